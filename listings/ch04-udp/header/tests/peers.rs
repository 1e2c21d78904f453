//! What programs that no one here wrote say of the same datagrams.

use etherparse::UdpHeader;
use ip_header::{Addresses, Packet, Protocol, ipv4, ipv6};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use smoltcp::wire::{IpAddress, UdpPacket};
use testkit::{Program, peer};
use udp_header::{Datagram, HEADER_LEN, Header};

/// How many datagrams tshark is asked about.
const DATAGRAMS: usize = 300;

fn addresses() -> impl Strategy<Value = Addresses> {
    prop_oneof![
        any::<([u8; 4], [u8; 4])>().prop_map(|(source, destination)| Addresses::V4 {
            source: source.into(),
            destination: destination.into(),
        }),
        any::<([u8; 16], [u8; 16])>().prop_map(|(source, destination)| Addresses::V6 {
            source: source.into(),
            destination: destination.into(),
        }),
    ]
}

/// What is done to the checksum, by whoever writes the datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checksum {
    Right,
    /// Another by so much, in one's complement.
    Wrong(u16),
    None,
}

prop_compose! {
    fn datagram()(
        (source_port, destination_port) in any::<(u16, u16)>(),
        payload in vec(any::<u8>(), 0..80),
        addresses in addresses(),
    ) -> (Vec<u8>, Addresses) {
        let mut bytes = vec![0; HEADER_LEN];
        bytes.extend(payload);
        Header { source_port, destination_port }.emit(&mut bytes, addresses).unwrap();
        (bytes, addresses)
    }
}

fn checksum() -> impl Strategy<Value = Checksum> {
    prop_oneof![
        4 => Just(Checksum::Right),
        1 => (1..0xffff_u16).prop_map(Checksum::Wrong),
        1 => Just(Checksum::None),
    ]
}

fn same_as_etherparse(bytes: &[u8], addresses: Addresses) {
    let ours = Datagram::parse(bytes, addresses).unwrap();
    let (theirs, behind) = UdpHeader::from_slice(bytes).unwrap();
    assert_eq!(ours.header().source_port, theirs.source_port);
    assert_eq!(ours.header().destination_port, theirs.destination_port);
    assert_eq!(ours.length(), theirs.length);
    assert_eq!(ours.checksum(), Some(theirs.checksum));
    assert_eq!(ours.payload(), behind);
    let computed = match addresses {
        Addresses::V4 {
            source,
            destination,
        } => theirs.calc_checksum_ipv4_raw(source.octets(), destination.octets(), behind),
        Addresses::V6 {
            source,
            destination,
        } => theirs.calc_checksum_ipv6_raw(source.octets(), destination.octets(), behind),
    };
    assert_eq!(ours.checksum(), computed.ok());
    assert_eq!(&bytes[..HEADER_LEN], &theirs.to_bytes()[..]);
}

fn same_as_smoltcp(bytes: &[u8], addresses: Addresses) {
    let ours = Datagram::parse(bytes, addresses).unwrap();
    let theirs = UdpPacket::new_checked(bytes).unwrap();
    let [source, destination]: [IpAddress; 2] = match addresses {
        Addresses::V4 {
            source,
            destination,
        } => [source.into(), destination.into()],
        Addresses::V6 {
            source,
            destination,
        } => [source.into(), destination.into()],
    };
    assert!(theirs.verify_checksum(&source, &destination));
    assert_eq!(ours.header().source_port, theirs.src_port());
    assert_eq!(ours.header().destination_port, theirs.dst_port());
    assert_eq!(ours.length(), theirs.len());
    assert_eq!(ours.checksum(), Some(theirs.checksum()));
    assert_eq!(ours.payload(), theirs.payload());
}

proptest! {
    #[test]
    fn etherparse_reads_the_same((bytes, addresses) in datagram()) {
        same_as_etherparse(&bytes, addresses);
    }

    #[test]
    fn smoltcp_reads_the_same((bytes, addresses) in datagram()) {
        same_as_smoltcp(&bytes, addresses);
    }

    #[test]
    fn smoltcp_finds_the_same_checksums_right(
        (mut bytes, addresses) in datagram(), flip in any::<prop::sample::Index>(),
    ) {
        let bit = flip.index(bytes.len() * 8);
        bytes[bit / 8] ^= 0x80 >> (bit % 8);
        let ours = Datagram::parse_with_optional_checksum(&bytes, addresses);
        let [source, destination]: [IpAddress; 2] = match addresses {
            Addresses::V4 { source, destination } => [source.into(), destination.into()],
            Addresses::V6 { source, destination } => [source.into(), destination.into()],
        };
        let theirs = UdpPacket::new_checked(&bytes[..]);
        let right = theirs.is_ok_and(|packet| packet.verify_checksum(&source, &destination));
        prop_assert_eq!(ours.is_ok(), right);
    }
}

/// Packets as a capture file: pcap, whose link type 101 is raw IP (pcap-savefile(5)).
fn pcap(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for number in [0xa1b2_c3d4_u32, 4 << 16 | 2, 0, 0, 65_535, 101] {
        file.extend(number.to_be_bytes());
    }
    for packet in packets {
        let len = packet.len() as u32;
        for number in [0, 0, len, len] {
            file.extend(number.to_be_bytes());
        }
        file.extend(packet);
    }
    file
}

/// A packet that carries a datagram.
fn packet(datagram: &[u8], addresses: Addresses) -> Vec<u8> {
    match addresses {
        Addresses::V4 {
            source,
            destination,
        } => {
            let mut packet = vec![0; ipv4::HEADER_LEN + datagram.len()];
            let header = ipv4::Header::new(Protocol::UDP, source, destination);
            header.emit(&mut packet).unwrap().copy_from_slice(datagram);
            packet
        }
        Addresses::V6 {
            source,
            destination,
        } => {
            let mut packet = vec![0; ipv6::HEADER_LEN + datagram.len()];
            let header = ipv6::Header::new(Protocol::UDP, source, destination);
            header.emit(&mut packet).unwrap().copy_from_slice(datagram);
            packet
        }
    }
}

/// What tshark shows of a datagram, in the order of [`tshark_line`].
const TSHARK_FIELDS: &[&str] = &[
    "udp.srcport",
    "udp.dstport",
    "udp.length",
    "udp.checksum",
    "udp.checksum.status",
    "udp.payload",
];

/// What we read in a packet, in tshark's words.
fn tshark_line(packet: &[u8]) -> String {
    let packet = Packet::parse(packet).unwrap();
    let (addresses, bytes) = (packet.addresses(), packet.upper_layer().unwrap().bytes);
    let datagram = Datagram::parse_without_checksum(bytes).unwrap();
    let parsed = Datagram::parse(bytes, addresses);
    let status = match (parsed, datagram.checksum(), addresses) {
        (Ok(_), None, _) => "3",                     // not present
        (Ok(_), Some(_), _) => "1",                  // good
        (Err(_), None, Addresses::V6 { .. }) => "4", // illegal: there must be one
        (Err(error), _, _) if error.field == "checksum" => "0",
        (Err(error), _, _) => panic!("{error}"),
    };
    let payload: String = datagram
        .payload()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    [
        datagram.header().source_port.to_string(),
        datagram.header().destination_port.to_string(),
        datagram.length().to_string(),
        format!("{:#06x}", datagram.checksum().unwrap_or(0)),
        status.to_owned(),
        payload,
    ]
    .join("|")
}

fn as_tshark_reads(packets: &[Vec<u8>]) {
    let Some(tshark) = peer("tshark") else { return };
    let fields = TSHARK_FIELDS.iter().flat_map(|field| ["-e", *field]);
    let run = Program::new(tshark)
        .args(["-n", "-r", "-", "-T", "fields", "-E", "separator=|"])
        .args(["-E", "occurrence=f", "-o", "udp.check_checksum:TRUE"])
        .args(fields)
        .input(pcap(packets))
        .run()
        .succeeds();
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines.len(), packets.len(), "{}", run.stderr);
    for (line, packet) in lines.iter().zip(packets) {
        assert_eq!(*line, tshark_line(packet), "{packet:02x?}");
    }
}

#[test]
fn tshark_reads_the_same_and_finds_the_same_checksums_right_wrong_or_missing() {
    // The same datagrams in every run: a test that is right once is right again.
    let mut runner = TestRunner::deterministic();
    let strategy = (datagram(), checksum());
    let mut packets = Vec::new();
    for _ in 0..DATAGRAMS {
        let ((mut bytes, addresses), checksum) = strategy.new_tree(&mut runner).unwrap().current();
        let right = u16::from_be_bytes([bytes[6], bytes[7]]);
        let written = match checksum {
            Checksum::Right => right,
            Checksum::None => 0,
            // Never zero, which would be none.
            Checksum::Wrong(by) => {
                let (sum, carried) = right.overflowing_add(by);
                sum + u16::from(carried)
            }
        };
        bytes[6..8].copy_from_slice(&written.to_be_bytes());
        packets.push(packet(&bytes, addresses));
    }
    as_tshark_reads(&packets);
}

#[cfg(target_os = "linux")]
#[test]
fn tshark_and_the_others_read_the_same_in_what_a_kernel_sent() {
    let run = testkit::listing!().run().succeeds();
    let mut packets = Vec::new();
    for (name, pseudo_header_len) in [("ipv4", 12), ("ipv6", 40)] {
        let bytes = &run.wire(name).bytes;
        let addresses = match name {
            "ipv4" => Addresses::V4 {
                source: <[u8; 4]>::try_from(&bytes[..4]).unwrap().into(),
                destination: <[u8; 4]>::try_from(&bytes[4..8]).unwrap().into(),
            },
            _ => Addresses::V6 {
                source: <[u8; 16]>::try_from(&bytes[..16]).unwrap().into(),
                destination: <[u8; 16]>::try_from(&bytes[16..32]).unwrap().into(),
            },
        };
        let datagram = &bytes[pseudo_header_len..];
        same_as_etherparse(datagram, addresses);
        same_as_smoltcp(datagram, addresses);
        packets.push(packet(datagram, addresses));
    }
    as_tshark_reads(&packets);
}
