//! What programs that no one here wrote say of the same messages.

use std::net::Ipv6Addr;

use etherparse::{Icmpv4Slice, Icmpv4Type, Icmpv6Slice, Icmpv6Type};
use ip_header::{Addresses, Packet, Protocol, ipv4, ipv6};
use ip_icmp::{Echo, HEADER_LEN, icmpv4, icmpv6};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use testkit::{Program, peer};

/// How many messages of each family tshark is asked about.
const MESSAGES: usize = 150;

/// The addresses of every ICMPv6 message here.
const ADDRESSES: Addresses = Addresses::V6 {
    source: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2),
    destination: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1),
};

/// A UDP datagram to be quoted: as many of its bytes as `there` says.
fn datagram(version: u8, port: u16, ttl: u8, there: usize) -> Vec<u8> {
    let mut bytes = vec![0; 600];
    let payload = match version {
        4 => {
            let header =
                ipv4::Header::new(Protocol::UDP, [10, 0, 0, 1].into(), [10, 0, 0, 9].into());
            ipv4::Header { ttl, ..header }.emit(&mut bytes).unwrap()
        }
        _ => {
            let Addresses::V6 {
                source,
                destination,
            } = ADDRESSES
            else {
                unreachable!()
            };
            let header = ipv6::Header::new(Protocol::UDP, destination, source);
            let hop_limit = ttl;
            ipv6::Header {
                hop_limit,
                ..header
            }
            .emit(&mut bytes)
            .unwrap()
        }
    };
    let len = payload.len() as u16;
    payload[..2].copy_from_slice(&port.to_be_bytes());
    payload[2..4].copy_from_slice(&33_434_u16.to_be_bytes());
    payload[4..6].copy_from_slice(&len.to_be_bytes());
    bytes.truncate(there);
    bytes
}

prop_compose! {
    fn v4_message()(
        which in 0..6_u8,
        (identifier, sequence) in any::<(u16, u16)>(),
        (code, mtu) in (0..3_u8, 68..1500_u16),
        (port, ttl) in (1..u16::MAX, 1..=255_u8),
        there in 28..576_usize,
        data in vec(any::<u8>(), 0..64),
    ) -> Vec<u8> {
        let echo = Echo { identifier, sequence };
        let header = match which {
            0 => icmpv4::Header::Echo(echo),
            1 => icmpv4::Header::EchoReply(echo),
            2 => icmpv4::Header::TimeExceeded {
                code: icmpv4::TimeExceeded(code % 2),
                quoted_words: 0,
            },
            3 => icmpv4::Header::DestinationUnreachable {
                code: icmpv4::Unreachable::FRAGMENTATION_NEEDED,
                quoted_words: 0,
                next_hop_mtu: mtu,
            },
            4 => icmpv4::Header::Redirect { code, gateway: [10, 0, code, 1].into() },
            _ => icmpv4::Header::DestinationUnreachable {
                code: icmpv4::Unreachable(code),
                quoted_words: 0,
                next_hop_mtu: 0,
            },
        };
        let payload = if which < 2 { data } else { datagram(4, port, ttl, there) };
        let mut message = vec![0; HEADER_LEN];
        message.extend(payload);
        header.emit(&mut message).unwrap();
        message
    }
}

prop_compose! {
    fn v6_message()(
        which in 0..6_u8,
        (identifier, sequence) in any::<(u16, u16)>(),
        (code, mtu) in (0..2_u8, 1280..9000_u32),
        (port, ttl) in (1..u16::MAX, 1..=255_u8),
        there in 48..600_usize,
        data in vec(any::<u8>(), 0..64),
    ) -> Vec<u8> {
        let echo = Echo { identifier, sequence };
        let header = match which {
            0 => icmpv6::Header::EchoRequest(echo),
            1 => icmpv6::Header::EchoReply(echo),
            2 => icmpv6::Header::TimeExceeded {
                code: icmpv6::TimeExceeded(code),
                quoted_words: 0,
            },
            3 => icmpv6::Header::PacketTooBig { mtu },
            4 => icmpv6::Header::ParameterProblem { code, pointer: mtu },
            _ => icmpv6::Header::DestinationUnreachable {
                code: icmpv6::Unreachable([0, 4][usize::from(code)]),
                quoted_words: 0,
            },
        };
        let payload = if which < 2 { data } else { datagram(6, port, ttl, there) };
        let mut message = vec![0; HEADER_LEN];
        message.extend(payload);
        header.emit(ADDRESSES, &mut message).unwrap();
        message
    }
}

proptest! {
    #[test]
    fn etherparse_reads_the_same_in_icmpv4(bytes in v4_message()) {
        let ours = icmpv4::Message::parse(&bytes).unwrap();
        let theirs = Icmpv4Slice::from_slice(&bytes).unwrap();
        prop_assert_eq!(ours.kind().0, theirs.type_u8());
        prop_assert_eq!(ours.code(), theirs.code_u8());
        prop_assert_eq!(ours.checksum(), theirs.checksum());
        prop_assert_eq!(ours.payload(), theirs.payload());
        prop_assert_eq!(theirs.icmp_type().calc_checksum(theirs.payload()), ours.checksum());
        match (ours.header(), theirs.icmp_type()) {
            (icmpv4::Header::Echo(echo), Icmpv4Type::EchoRequest(their))
            | (icmpv4::Header::EchoReply(echo), Icmpv4Type::EchoReply(their)) => {
                prop_assert_eq!((echo.identifier, echo.sequence), (their.id, their.seq));
            }
            (icmpv4::Header::DestinationUnreachable { .. }, Icmpv4Type::DestinationUnreachable(_))
            | (icmpv4::Header::TimeExceeded { .. }, Icmpv4Type::TimeExceeded(_))
            | (icmpv4::Header::Redirect { .. }, Icmpv4Type::Redirect(_)) => {}
            (ours, theirs) => prop_assert!(false, "{:?}, {:?}", ours, theirs),
        }
    }

    #[test]
    fn etherparse_reads_the_same_in_icmpv6(bytes in v6_message()) {
        let Addresses::V6 { source, destination } = ADDRESSES else { unreachable!() };
        let ours = icmpv6::Message::parse(ADDRESSES, &bytes).unwrap();
        let theirs = Icmpv6Slice::from_slice(&bytes).unwrap();
        prop_assert_eq!(ours.kind().0, theirs.type_u8());
        prop_assert_eq!(ours.code(), theirs.code_u8());
        prop_assert_eq!(ours.checksum(), theirs.checksum());
        prop_assert!(theirs.is_checksum_valid(source.octets(), destination.octets()));
        prop_assert_eq!(ours.payload(), theirs.payload());
        match (ours.header(), theirs.icmp_type()) {
            (icmpv6::Header::EchoRequest(echo), Icmpv6Type::EchoRequest(their))
            | (icmpv6::Header::EchoReply(echo), Icmpv6Type::EchoReply(their)) => {
                prop_assert_eq!((echo.identifier, echo.sequence), (their.id, their.seq));
            }
            (icmpv6::Header::PacketTooBig { mtu }, Icmpv6Type::PacketTooBig { mtu: their }) => {
                prop_assert_eq!(mtu, their);
            }
            (icmpv6::Header::DestinationUnreachable { .. }, Icmpv6Type::DestinationUnreachable(_))
            | (icmpv6::Header::TimeExceeded { .. }, Icmpv6Type::TimeExceeded(_))
            | (icmpv6::Header::ParameterProblem { .. }, Icmpv6Type::ParameterProblem(_)) => {}
            (ours, theirs) => prop_assert!(false, "{:?}, {:?}", ours, theirs),
        }
    }
}

/// The packet that carries a message.
fn carried(message: &[u8], version: u8) -> Vec<u8> {
    let mut packet;
    match version {
        4 => {
            packet = vec![0; ipv4::HEADER_LEN];
            packet.extend(message);
            let header =
                ipv4::Header::new(Protocol::ICMP, [10, 0, 0, 2].into(), [10, 0, 0, 1].into());
            header.emit(&mut packet).unwrap();
        }
        _ => {
            let Addresses::V6 {
                source,
                destination,
            } = ADDRESSES
            else {
                unreachable!()
            };
            packet = vec![0; ipv6::HEADER_LEN];
            packet.extend(message);
            let header = ipv6::Header::new(Protocol::ICMPV6, source, destination);
            header.emit(&mut packet).unwrap();
        }
    }
    packet
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
    "icmp.type",
    "icmp.code",
    "icmp.checksum",
    "icmp.checksum.status",
    "icmp.mtu",
    "icmpv6.type",
    "icmpv6.code",
    "icmpv6.checksum",
    "icmpv6.checksum.status",
    "icmpv6.mtu",
    // The last of each: that of the quoted packet.
    "ip.ttl",
    "ipv6.hlim",
    "udp.srcport",
    "udp.dstport",
];

/// What we read, in tshark's words.
fn tshark_line(packet: &[u8]) -> String {
    let parsed = Packet::parse(packet).unwrap();
    let upper = parsed.upper_layer().unwrap();
    let mut columns = vec![String::new(); TSHARK_FIELDS.len()];
    let quoted = match parsed {
        Packet::V4(carrier) => {
            let message = icmpv4::Message::parse(upper.bytes).unwrap();
            columns[0] = message.kind().0.to_string();
            columns[1] = message.code().to_string();
            columns[2] = format!("{:#06x}", message.checksum());
            columns[3] = "1".to_owned(); // good
            if let icmpv4::Header::DestinationUnreachable {
                code: icmpv4::Unreachable::FRAGMENTATION_NEEDED,
                next_hop_mtu,
                ..
            } = message.header()
            {
                columns[4] = next_hop_mtu.to_string();
            }
            columns[10] = carrier.header().ttl.to_string();
            message.quoted()
        }
        Packet::V6(carrier) => {
            let message = icmpv6::Message::parse(parsed.addresses(), upper.bytes).unwrap();
            columns[5] = message.kind().0.to_string();
            columns[6] = message.code().to_string();
            columns[7] = format!("{:#06x}", message.checksum());
            columns[8] = "1".to_owned(); // good
            if let icmpv6::Header::PacketTooBig { mtu } = message.header() {
                columns[9] = mtu.to_string();
            }
            columns[11] = carrier.header().hop_limit.to_string();
            message.quoted()
        }
    };
    if let Some(quoted) = quoted {
        let quoted = quoted.unwrap();
        let at = if columns[10].is_empty() { 11 } else { 10 };
        columns[at] = quoted.ttl().to_string();
        if let Some((source, destination)) = quoted.ports() {
            columns[12] = source.to_string();
            columns[13] = destination.to_string();
        }
    }
    columns.join("|")
}

fn as_tshark_reads(packets: &[Vec<u8>]) {
    let Some(tshark) = peer("tshark") else { return };
    let fields = TSHARK_FIELDS.iter().flat_map(|field| ["-e", *field]);
    let run = Program::new(tshark)
        .args(["-n", "-r", "-", "-T", "fields", "-E", "separator=|"])
        .args(["-E", "occurrence=l"])
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
    // The same messages in every run: a test that is right once is right again.
    let mut runner = TestRunner::deterministic();
    let mut packets = Vec::new();
    for _ in 0..MESSAGES {
        let message = v4_message().new_tree(&mut runner).unwrap().current();
        packets.push(carried(&message, 4));
        let message = v6_message().new_tree(&mut runner).unwrap().current();
        packets.push(carried(&message, 6));
    }
    as_tshark_reads(&packets);
}

#[cfg(target_os = "linux")]
#[test]
fn tshark_reads_the_same_in_real_messages() {
    let run = testkit::listing!().run().succeeds();
    // The figure of a large one is cut.
    let whole = ["echo", "echo-reply", "port-unreachable", "time-exceeded"];
    let mut packets = Vec::new();
    for family in ["v4", "v6"] {
        packets.extend(whole.map(|name| run.wire(&format!("{name}-{family}")).bytes.clone()));
    }
    as_tshark_reads(&packets);
}
