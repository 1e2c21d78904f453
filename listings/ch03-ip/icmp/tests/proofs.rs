//! What the page says about ICMP messages, and what holds for every message.

mod support;

use ip_header::{Addresses, Protocol, ipv4, ipv6};
use ip_icmp::{Echo, HEADER_LEN, Quoted, Reason, icmpv4, icmpv6};
use proptest::collection::vec;
use proptest::prelude::*;

fn echo() -> impl Strategy<Value = Echo> {
    any::<(u16, u16)>().prop_map(|(identifier, sequence)| Echo {
        identifier,
        sequence,
    })
}

prop_compose! {
    /// With a `length` that fits into a payload of 1,024 bytes, in either unit.
    fn words()(words in 0..=128_u8) -> u8 { words }
}

fn v4_header() -> impl Strategy<Value = icmpv4::Header> {
    use icmpv4::{Header, TimeExceeded, Type, Unreachable};
    prop_oneof![
        echo().prop_map(Header::Echo),
        echo().prop_map(Header::EchoReply),
        (any::<u8>(), words(), any::<u16>()).prop_map(|(code, quoted_words, next_hop_mtu)| {
            Header::DestinationUnreachable {
                code: Unreachable(code),
                quoted_words,
                next_hop_mtu,
            }
        }),
        (any::<u8>(), words()).prop_map(|(code, quoted_words)| Header::TimeExceeded {
            code: TimeExceeded(code),
            quoted_words,
        }),
        (any::<u8>(), any::<u8>(), words()).prop_map(|(code, pointer, quoted_words)| {
            Header::ParameterProblem {
                code,
                pointer,
                quoted_words,
            }
        }),
        (any::<u8>(), any::<[u8; 4]>()).prop_map(|(code, gateway)| Header::Redirect {
            code,
            gateway: gateway.into(),
        }),
        (13..=255_u8, any::<u8>(), any::<[u8; 4]>()).prop_map(|(kind, code, rest)| {
            Header::Other {
                kind: Type(kind),
                code,
                rest,
            }
        }),
    ]
}

fn v6_header() -> impl Strategy<Value = icmpv6::Header> {
    use icmpv6::{Header, TimeExceeded, Type, Unreachable};
    prop_oneof![
        echo().prop_map(Header::EchoRequest),
        echo().prop_map(Header::EchoReply),
        any::<u32>().prop_map(|mtu| Header::PacketTooBig { mtu }),
        (any::<u8>(), words()).prop_map(|(code, quoted_words)| Header::DestinationUnreachable {
            code: Unreachable(code),
            quoted_words,
        }),
        (any::<u8>(), words()).prop_map(|(code, quoted_words)| Header::TimeExceeded {
            code: TimeExceeded(code),
            quoted_words,
        }),
        (any::<u8>(), any::<u32>())
            .prop_map(|(code, pointer)| Header::ParameterProblem { code, pointer }),
        (130..=255_u8, any::<u8>(), any::<[u8; 4]>()).prop_map(|(kind, code, rest)| {
            Header::Other {
                kind: Type(kind),
                code,
                rest,
            }
        }),
    ]
}

fn v6_addresses() -> impl Strategy<Value = Addresses> {
    any::<([u8; 16], [u8; 16])>().prop_map(|(source, destination)| Addresses::V6 {
        source: source.into(),
        destination: destination.into(),
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again_over_ipv4(
        header in v4_header(),
        payload in vec(any::<u8>(), 1024..1040),
    ) {
        let mut bytes = vec![0; HEADER_LEN];
        bytes.extend(&payload);
        prop_assert_eq!(header.emit(&mut bytes).unwrap(), &payload[..]);
        let view = icmpv4::Message::parse(&bytes).unwrap();
        prop_assert_eq!(view.header(), header);
        prop_assert_eq!(view.payload(), &payload[..]);
        prop_assert_eq!(view.as_bytes(), &bytes[..]);
    }

    #[test]
    fn what_is_written_is_read_again_over_ipv6(
        header in v6_header(),
        addresses in v6_addresses(),
        payload in vec(any::<u8>(), 1024..1040),
    ) {
        let mut bytes = vec![0; HEADER_LEN];
        bytes.extend(&payload);
        prop_assert_eq!(header.emit(addresses, &mut bytes).unwrap(), &payload[..]);
        let view = icmpv6::Message::parse(addresses, &bytes).unwrap();
        prop_assert_eq!(view.header(), header);
        prop_assert_eq!(view.payload(), &payload[..]);
    }

    #[test]
    fn every_flipped_bit_is_noticed(
        header in v4_header(),
        header_v6 in v6_header(),
        addresses in v6_addresses(),
        bit in 0..1032_usize * 8,
    ) {
        let mut bytes = vec![0xa5; 1032];
        header.emit(&mut bytes).unwrap();
        bytes[bit / 8] ^= 0x80 >> (bit % 8);
        let error = icmpv4::Message::parse(&bytes).unwrap_err();
        prop_assert_eq!((error.field, error.offset), ("checksum", 2));

        header_v6.emit(addresses, &mut bytes).unwrap();
        bytes[bit / 8] ^= 0x80 >> (bit % 8);
        let error = icmpv6::Message::parse(addresses, &bytes).unwrap_err();
        prop_assert_eq!((error.field, error.offset), ("checksum", 2));
    }

    #[test]
    fn the_checksum_of_icmpv6_covers_the_addresses_and_that_of_icmpv4_does_not(
        header in v6_header(),
        addresses in v6_addresses(),
        byte in 0..16_usize,
    ) {
        let mut bytes = vec![0; 1032];
        header.emit(addresses, &mut bytes).unwrap();
        let Addresses::V6 { source, destination } = addresses else { unreachable!() };
        let mut other = destination.octets();
        other[byte] ^= 1;
        let other = Addresses::V6 { source, destination: other.into() };
        let error = icmpv6::Message::parse(other, &bytes).unwrap_err();
        prop_assert_eq!((error.field, error.offset), ("checksum", 2));
    }

    #[test]
    fn a_quoted_packet_is_read_however_much_of_it_is_there(
        len in 28..1500_usize,
        quoted in 20..600_usize,
        ports in any::<(u16, u16)>(),
        ttl in any::<u8>(),
    ) {
        let mut packet = vec![0; len];
        let header = ipv4::Header {
            ttl,
            ..ipv4::Header::new(Protocol::UDP, [192, 0, 2, 1].into(), [192, 0, 2, 2].into())
        };
        let payload = header.emit(&mut packet).unwrap();
        payload[..2].copy_from_slice(&ports.0.to_be_bytes());
        payload[2..4].copy_from_slice(&ports.1.to_be_bytes());

        let there = &packet[..quoted.min(len)];
        let quoted = Quoted::parse(there).unwrap();
        prop_assert_eq!(quoted.total_len(), len);
        prop_assert_eq!(quoted.is_cut(), there.len() < len);
        prop_assert_eq!(quoted.addresses(), header.addresses());
        prop_assert_eq!(quoted.ttl(), ttl);
        prop_assert_eq!(quoted.ports(), (there.len() >= 24).then_some(ports));
        // The view of whole packets refuses what is cut.
        prop_assert_eq!(ipv4::Packet::parse(there).is_err(), quoted.is_cut());
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..200), version in 0..3_u8) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() && version > 0 {
            *first = [0x45, 0x60][usize::from(version) - 1];
        }
        support::holds(&bytes);
    }

    #[test]
    fn any_quotation_is_read_without_a_panic(
        kind in 0..13_u8,
        header in vec(any::<u8>(), 6),
        version in prop_oneof![Just(0x45_u8), Just(0x46), Just(0x60)],
        next in prop_oneof![Just(0_u8), Just(17), Just(43), Just(44), Just(51), Just(60), any::<u8>()],
        quoted in vec(any::<u8>(), 0..160),
    ) {
        let mut bytes = vec![kind, header[0], 0, 0, 0, header[1], 0, 0, version];
        bytes.extend(quoted);
        if version == 0x60 && bytes.len() > 14 {
            bytes[14] = next;
        }
        support::holds(&bytes);
    }
}

#[test]
fn every_packet_of_the_corpus_keeps_the_promises() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/parse");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        support::holds(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 10, "{count} files");
}

#[test]
fn an_error_names_the_field_and_its_place() {
    let whole = [8, 0, 0xf7, 0xff, 0, 0, 0, 0];
    assert!(icmpv4::Message::parse(&whole).is_ok());
    for (available, field, offset) in [
        (0, "type", 0),
        (1, "code", 1),
        (3, "checksum", 2),
        (7, "rest", 4),
    ] {
        let error = icmpv4::Message::parse(&whole[..available]).unwrap_err();
        assert_eq!((error.field, error.offset), (field, offset));
        assert_eq!(
            error.reason,
            Reason::Truncated {
                needed: 8,
                available
            }
        );
    }
    let error = icmpv4::Message::parse(&[8, 0, 0xf7, 0xfe, 0, 0, 0, 0]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "checksum at byte 2 is 0xf7fe, but the bytes give 0xf7ff"
    );
    let header = icmpv4::Header::Echo(Echo::default());
    let error = header.emit(&mut [0; 5]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "rest at byte 4 is cut off: 5 of 8 bytes are there"
    );
}

#[test]
fn a_length_beyond_the_message_is_refused_and_one_within_it_cuts_the_extension_off() {
    // RFC 4884: 128 bytes at least, behind which the extension begins.
    let mut bytes = [0; 8 + 128 + 12];
    let packet = ipv4::Header::new(Protocol::UDP, [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    packet.emit(&mut bytes[8..8 + 40]).unwrap();
    bytes[8 + 128..].fill(0xee);
    let with = |quoted_words| icmpv4::Header::TimeExceeded {
        code: icmpv4::TimeExceeded::IN_TRANSIT,
        quoted_words,
    };

    with(32).emit(&mut bytes).unwrap();
    let message = icmpv4::Message::parse(&bytes).unwrap();
    assert_eq!(message.extension(), [0xee; 12]);
    // What fills up a short packet is not the packet's.
    let quoted = message.quoted().unwrap().unwrap();
    assert_eq!((quoted.as_bytes().len(), quoted.total_len()), (40, 40));

    with(0).emit(&mut bytes).unwrap();
    let message = icmpv4::Message::parse(&bytes).unwrap();
    assert_eq!(message.extension(), [0; 0]);

    with(36).emit(&mut bytes).unwrap();
    let error = icmpv4::Message::parse(&bytes).unwrap_err();
    assert_eq!(error.to_string(), "length at byte 5 is 36, more than 35");

    let header = icmpv6::Header::TimeExceeded {
        code: icmpv6::TimeExceeded::IN_TRANSIT,
        quoted_words: 18,
    };
    header.emit(support::ADDRESSES, &mut bytes).unwrap();
    let error = icmpv6::Message::parse(support::ADDRESSES, &bytes).unwrap_err();
    assert_eq!(error.to_string(), "length at byte 4 is 18, more than 17");
}

#[test]
fn a_later_fragment_and_headers_that_are_cut_off_have_no_ports() {
    let mut packet = [0; 28];
    let header = ipv4::Header::new(Protocol::UDP, [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    let later = ipv4::Header {
        fragment_offset: ip_header::FragmentOffset::from_bytes(8).unwrap(),
        ..header
    };
    header.emit(&mut packet).unwrap();
    assert_eq!(Quoted::parse(&packet).unwrap().ports(), Some((0, 0)));
    later.emit(&mut packet).unwrap();
    assert_eq!(Quoted::parse(&packet).unwrap().ports(), None);

    // A Destination Options header of 16 bytes, then a Fragment header of the first piece, then UDP.
    let header = ipv6::Header::new(
        Protocol::DESTINATION_OPTIONS,
        [1; 16].into(),
        [2; 16].into(),
    );
    let mut packet = [0; 40 + 16 + 8 + 8];
    header.emit(&mut packet).unwrap();
    packet[40] = 44;
    packet[41] = 1;
    packet[56] = 17;
    packet[64..68].copy_from_slice(&[0xc3, 0x50, 0x82, 0x9a]);
    for len in 40..=packet.len() {
        let quoted = Quoted::parse(&packet[..len]).unwrap();
        let expected = (len >= 68).then_some((50_000, 33_434));
        assert_eq!(quoted.ports(), expected, "{len} bytes");
        assert_eq!(quoted.upper_layer().is_some(), len >= 64, "{len} bytes");
    }
    packet[58..60].copy_from_slice(&8_u16.to_be_bytes());
    assert_eq!(Quoted::parse(&packet).unwrap().ports(), None);
}

#[cfg(target_os = "linux")]
mod runs {
    use std::sync::LazyLock;

    use ip_header::{Packet, UpperLayer};
    use testkit::{Run, listing};

    use super::*;

    static RUN: LazyLock<Run> = LazyLock::new(|| {
        listing!()
            // It covers what the kernel chooses, such as the flow label of a quoted packet.
            .varying("0x[0-9a-f]{4}", "0x…")
            .run()
            .succeeds()
    });

    #[test]
    fn the_run_is_as_shown() {
        RUN.matches_output();
        RUN.matches_record();
    }

    fn upper(packet: &[u8]) -> (Addresses, UpperLayer<'_>) {
        let packet = Packet::parse(packet).unwrap();
        (packet.addresses(), packet.upper_layer().unwrap())
    }

    #[test]
    fn a_host_answers_an_echo_with_the_same_number_and_data() {
        let [asked, answered] = ["echo-v4", "echo-reply-v4"].map(|name| &RUN.wire(name).bytes);
        let [(_, asked), (_, answered)] = [upper(asked), upper(answered)];
        let [asked, answered] =
            [asked, answered].map(|upper| icmpv4::Message::parse(upper.bytes).unwrap());
        let icmpv4::Header::Echo(echo) = asked.header() else {
            panic!("{asked:?}");
        };
        assert_eq!(answered.header(), icmpv4::Header::EchoReply(echo));
        assert_eq!(answered.payload(), asked.payload());

        let [asked, answered] = ["echo-v6", "echo-reply-v6"].map(|name| &RUN.wire(name).bytes);
        let [asked, answered] = [asked, answered].map(|packet| {
            let (addresses, upper) = upper(packet);
            icmpv6::Message::parse(addresses, upper.bytes).unwrap()
        });
        let icmpv6::Header::EchoRequest(echo) = asked.header() else {
            panic!("{asked:?}");
        };
        assert_eq!(answered.header(), icmpv6::Header::EchoReply(echo));
        assert_eq!(answered.payload(), asked.payload());
    }

    #[test]
    fn an_error_quotes_the_packet_with_its_ports_and_the_ttl_that_it_had_there() {
        for (name, ttl) in [("port-unreachable", 63), ("time-exceeded", 1)] {
            let packet = &RUN.wire(&format!("{name}-v4")).bytes;
            let message = icmpv4::Message::parse(upper(packet).1.bytes).unwrap();
            let v4 = message.quoted().unwrap().unwrap();
            let packet = &RUN.wire(&format!("{name}-v6")).bytes;
            let (addresses, upper) = upper(packet);
            let message = icmpv6::Message::parse(addresses, upper.bytes).unwrap();
            let v6 = message.quoted().unwrap().unwrap();
            for (quoted, len) in [(v4, 39), (v6, 59)] {
                assert_eq!(quoted.ports(), Some((50_000, 33_434)));
                assert_eq!(quoted.ttl(), ttl);
                assert_eq!((quoted.total_len(), quoted.is_cut()), (len, false));
            }
        }
    }

    #[test]
    fn a_large_packet_is_quoted_only_in_part_and_more_of_it_in_ipv6() {
        let parts: Vec<&str> = RUN.stdout.split("\ntoo big\n").skip(1).collect();
        let [v4, v6] = parts[..] else {
            panic!("{}", RUN.stdout);
        };
        // 576 bytes in all in IPv4, 1,280 in IPv6.
        assert!(v4.contains(" to 10.0.0.1, 576 bytes\n"));
        assert!(v4.contains("  it quotes     548 of the packet's 1500 bytes:\n"));
        assert!(v4.contains("  next_hop_mtu  1400 "));
        assert!(v6.contains(" to fd00::1, 1280 bytes\n"));
        assert!(v6.contains("  it quotes     1232 of the packet's 1520 bytes:\n"));
        assert!(v6.contains("  mtu           1400 "));
    }

    #[test]
    fn wrong_arguments_are_answered_with_the_usage() {
        let run = listing!().arg("eth0").run();
        assert_eq!(run.status.code(), Some(2));
        assert_eq!(run.stderr, "usage: ip-icmp (it takes no arguments)\n");
    }
}
