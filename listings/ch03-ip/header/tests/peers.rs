//! What programs that no one here wrote say of the same packets.

use etherparse::{IpNumber, Ipv4Header, Ipv6Header, Ipv6Slice};
use ip_header::{Dscp, Ecn, FlowLabel, FragmentOffset, Packet, Protocol, ipv4, ipv6};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use testkit::{Program, peer};

/// For experiments (RFC 4727): nothing behind it is looked into.
const EXPERIMENT: Protocol = Protocol(253);

/// How many packets tshark is asked about.
const PACKETS: usize = 300;

fn ecn(bits: u8) -> Ecn {
    [Ecn::NotEct, Ecn::Ect1, Ecn::Ect0, Ecn::Ce][usize::from(bits)]
}

prop_compose! {
    fn v4_packet()(
        (dscp, ecn_bits) in (0..64_u8, 0..4_u8),
        (identification, ttl) in any::<(u16, u8)>(),
        (dont_fragment, more_fragments) in any::<(bool, bool)>(),
        units in prop_oneof![Just(0), 0..8000_u32],
        (source, destination) in any::<([u8; 4], [u8; 4])>(),
        option_words in 0..=10_usize,
        payload in vec(any::<u8>(), 0..64),
    ) -> Vec<u8> {
        let options = [1; 40]; // No Operation
        let header = ipv4::Header {
            dscp: Dscp::new(dscp).unwrap(),
            ecn: ecn(ecn_bits),
            identification,
            flags: ipv4::Flags { reserved: false, dont_fragment, more_fragments },
            fragment_offset: FragmentOffset::from_bytes(units * 8).unwrap(),
            ttl,
            options: ipv4::Options::new(&options[..option_words * 4]).unwrap(),
            ..ipv4::Header::new(EXPERIMENT, source.into(), destination.into())
        };
        let mut bytes = vec![0; header.header_len() + payload.len()];
        header.emit(&mut bytes).unwrap().copy_from_slice(&payload);
        bytes
    }
}

/// A chain of extension headers: kinds, each with the units of 8 bytes that it has beyond the first.
fn chain() -> impl Strategy<Value = Vec<(Protocol, u8)>> {
    let kinds = [
        Protocol::DESTINATION_OPTIONS,
        Protocol::ROUTING,
        Protocol::FRAGMENT,
        Protocol::AUTHENTICATION,
    ];
    let first = prop::option::of(Just(Protocol::HOP_BY_HOP));
    let rest = vec((prop::sample::select(kinds.to_vec()), 0..4_u8), 0..6);
    (first, rest).prop_map(|(first, rest)| {
        let first = first.map(|kind| (kind, 1));
        first.into_iter().chain(rest).collect()
    })
}

prop_compose! {
    fn v6_packet()(
        (dscp, ecn_bits) in (0..64_u8, 0..4_u8),
        label in 0..1_u32 << 20,
        hop_limit in any::<u8>(),
        (source, destination) in any::<([u8; 16], [u8; 16])>(),
        chain in chain(),
        payload in vec(any::<u8>(), 1..64),
    ) -> Vec<u8> {
        let mut kinds: Vec<Protocol> = chain.iter().map(|(kind, _)| *kind).collect();
        kinds.push(EXPERIMENT);
        let mut behind = Vec::new();
        for ((kind, units), next) in chain.iter().zip(&kinds[1..]) {
            let mut extension = match *kind {
                // Of the first fragment: identification 7, more to come or not.
                Protocol::FRAGMENT => vec![0, 0, 0, units & 1, 0, 0, 0, 7],
                // Its length is in units of 4 bytes and must be even here: 16 bytes and more.
                Protocol::AUTHENTICATION => {
                    let mut bytes = vec![0; 16 + usize::from(*units) * 8];
                    bytes[1] = 2 + units * 2;
                    bytes
                }
                // Its options are padding: PadN, as long as need be.
                _ => {
                    let mut bytes = vec![0; 8 + usize::from(*units) * 8];
                    let pad = bytes.len() as u8 - 4;
                    bytes[1..4].copy_from_slice(&[*units, 1, pad]);
                    bytes
                }
            };
            extension[0] = next.0;
            behind.extend(extension);
        }
        behind.extend(payload);

        let header = ipv6::Header {
            dscp: Dscp::new(dscp).unwrap(),
            ecn: ecn(ecn_bits),
            flow_label: FlowLabel::new(label).unwrap(),
            hop_limit,
            ..ipv6::Header::new(kinds[0], source.into(), destination.into())
        };
        let mut bytes = vec![0; ipv6::HEADER_LEN + behind.len()];
        header.emit(&mut bytes).unwrap().copy_from_slice(&behind);
        bytes
    }
}

fn same_as_etherparse_v4(bytes: &[u8]) {
    let ours = ipv4::Packet::parse(bytes).unwrap();
    let (theirs, behind) = Ipv4Header::from_slice(bytes).unwrap();
    let header = ours.header();
    assert_eq!(header.dscp.get(), theirs.dscp.value());
    assert_eq!(header.ecn as u8, theirs.ecn.value());
    assert_eq!(ours.ihl(), theirs.ihl());
    assert_eq!(ours.total_len(), theirs.total_len);
    assert_eq!(header.identification, theirs.identification);
    assert_eq!(header.flags.dont_fragment, theirs.dont_fragment);
    assert_eq!(header.flags.more_fragments, theirs.more_fragments);
    assert_eq!(
        header.fragment_offset.units(),
        theirs.fragment_offset.value()
    );
    assert_eq!(header.ttl, theirs.time_to_live);
    assert_eq!(header.protocol.0, theirs.protocol.0);
    assert_eq!(ours.header_checksum(), theirs.header_checksum);
    assert_eq!(ours.header_checksum(), theirs.calc_header_checksum());
    assert_eq!(header.source.octets(), theirs.source);
    assert_eq!(header.destination.octets(), theirs.destination);
    assert_eq!(header.options.as_bytes(), &theirs.options[..]);
    assert_eq!(header.is_fragment(), theirs.is_fragmenting_payload());
    assert_eq!(ours.payload(), behind);
    assert_eq!(&bytes[..header.header_len()], &theirs.to_bytes()[..]);
}

fn same_as_etherparse_v6(bytes: &[u8]) {
    let ours = ipv6::Packet::parse(bytes).unwrap();
    let (theirs, behind) = Ipv6Header::from_slice(bytes).unwrap();
    let header = ours.header();
    assert_eq!(
        header.dscp.get() << 2 | header.ecn as u8,
        theirs.traffic_class
    );
    assert_eq!(header.flow_label.get(), theirs.flow_label.value());
    assert_eq!(ours.payload_len(), theirs.payload_length);
    assert_eq!(header.next_header.0, theirs.next_header.0);
    assert_eq!(header.hop_limit, theirs.hop_limit);
    assert_eq!(header.source.octets(), theirs.source);
    assert_eq!(header.destination.octets(), theirs.destination);
    assert_eq!(ours.payload(), behind);
    assert_eq!(&bytes[..ipv6::HEADER_LEN], &theirs.to_bytes()[..]);

    let upper = ours.upper_layer().unwrap();
    let slice = Ipv6Slice::from_slice(bytes).unwrap();
    assert_eq!(IpNumber(upper.protocol.0), slice.payload().ip_number);
    assert_eq!(upper.bytes, slice.payload().payload);
    if slice.is_payload_fragmented() {
        assert!(upper.fragment.is_some());
    }
}

proptest! {
    #[test]
    fn etherparse_reads_the_same_in_ipv4(bytes in v4_packet()) {
        same_as_etherparse_v4(&bytes);
    }

    #[test]
    fn etherparse_reads_the_same_in_ipv6(bytes in v6_packet()) {
        same_as_etherparse_v6(&bytes);
    }

    #[test]
    fn what_we_accept_of_any_bytes_etherparse_accepts(
        mut bytes in vec(any::<u8>(), 20..120), ihl in 5..8_u8,
    ) {
        let len = bytes.len() as u16;
        bytes[0] = 4 << 4 | ihl;
        bytes[2..4].copy_from_slice(&len.to_be_bytes());
        bytes[6] &= 0x7f; // etherparse does not keep the reserved flag
        bytes[10..12].fill(0);
        let header_len = usize::from(ihl) * 4;
        prop_assume!(header_len <= bytes.len());
        let sum = ip_header::checksum::Sum::new().bytes(&bytes[..header_len]);
        bytes[10..12].copy_from_slice(&sum.checksum().to_be_bytes());
        same_as_etherparse_v4(&bytes);
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

/// What tshark shows of a field, in the order of [`tshark_line`].
const TSHARK_FIELDS: &[&str] = &[
    "ip.hdr_len",
    "ip.dsfield.dscp",
    "ip.dsfield.ecn",
    "ip.len",
    "ip.id",
    "ip.flags.df",
    "ip.flags.mf",
    "ip.frag_offset",
    "ip.ttl",
    "ip.proto",
    "ip.checksum",
    "ip.checksum.status",
    "ip.src",
    "ip.dst",
    "ipv6.tclass.dscp",
    "ipv6.tclass.ecn",
    "ipv6.flow",
    "ipv6.plen",
    "ipv6.nxt",
    "ipv6.hlim",
    "ipv6.src",
    "ipv6.dst",
];

/// What we read, in tshark's words.
fn tshark_line(bytes: &[u8]) -> String {
    let columns: Vec<String> = match Packet::parse(bytes).unwrap() {
        Packet::V4(packet) => {
            let header = packet.header();
            let mut columns = vec![
                (packet.ihl() * 4).to_string(),
                header.dscp.get().to_string(),
                (header.ecn as u8).to_string(),
                packet.total_len().to_string(),
                format!("{:#06x}", header.identification),
                u8::from(header.flags.dont_fragment).to_string(),
                u8::from(header.flags.more_fragments).to_string(),
                header.fragment_offset.units().to_string(),
                header.ttl.to_string(),
                header.protocol.0.to_string(),
                format!("{:#06x}", packet.header_checksum()),
                "1".to_owned(), // good
                header.source.to_string(),
                header.destination.to_string(),
            ];
            columns.resize(TSHARK_FIELDS.len(), String::new());
            columns
        }
        Packet::V6(packet) => {
            let header = packet.header();
            let mut columns = vec![String::new(); 14];
            columns.extend([
                header.dscp.get().to_string(),
                (header.ecn as u8).to_string(),
                format!("{:#08x}", header.flow_label.get()),
                packet.payload_len().to_string(),
                header.next_header.0.to_string(),
                header.hop_limit.to_string(),
                header.source.to_string(),
                header.destination.to_string(),
            ]);
            columns
        }
    };
    columns.join("|")
}

fn as_tshark_reads(packets: &[Vec<u8>]) {
    let Some(tshark) = peer("tshark") else { return };
    let fields = TSHARK_FIELDS.iter().flat_map(|field| ["-e", *field]);
    let run = Program::new(tshark)
        .args(["-n", "-r", "-", "-T", "fields", "-E", "separator=|"])
        .args(["-E", "occurrence=f", "-o", "ip.check_checksum:TRUE"])
        // Fragments are shown as they are, not put together.
        .args(["-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE"])
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
fn tshark_reads_the_same() {
    // The same packets in every run: a test that is right once is right again.
    let mut runner = TestRunner::deterministic();
    let either = prop_oneof![v4_packet(), v6_packet()];
    let packets: Vec<Vec<u8>> = (0..PACKETS)
        .map(|_| either.new_tree(&mut runner).unwrap().current())
        .collect();
    as_tshark_reads(&packets);
}

#[cfg(target_os = "linux")]
#[test]
fn tshark_and_etherparse_read_the_same_in_real_packets() {
    let run = testkit::listing!().run().succeeds();
    let [v4, v6] = ["ipv4", "ipv6"].map(|name| run.wire(name).bytes.clone());
    same_as_etherparse_v4(&v4);
    same_as_etherparse_v6(&v6);
    as_tshark_reads(&[v4, v6]);
}
