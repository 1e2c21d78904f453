//! What the page says about headers and checksums, and what holds for every packet.

mod support;

use ip_header::checksum::{Sum, update};
use ip_header::{
    Addresses, Dscp, Ecn, Error, FlowLabel, FragmentOffset, Packet, Protocol, ipv4, ipv6,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// A packet with options of so many bytes and a payload of 48, none of them zero.
fn v4_with_options(len: usize) -> Vec<u8> {
    let options = [1; 40]; // No Operation
    let header = ipv4::Header {
        identification: 0x1234,
        options: ipv4::Options::new(&options[..len]).unwrap(),
        ..ipv4::Header::new(
            Protocol::UDP,
            [192, 0, 2, 1].into(),
            [198, 51, 100, 7].into(),
        )
    };
    let mut bytes = vec![0xa5; header.header_len() + 48];
    header.emit(&mut bytes).unwrap();
    bytes
}

fn v4() -> Vec<u8> {
    v4_with_options(0)
}

/// A packet whose payload is `payload`, which begins with what `next_header` says.
fn v6(next_header: Protocol, payload: &[u8]) -> Vec<u8> {
    let address = |last| [0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into();
    let header = ipv6::Header::new(next_header, address(1), address(2));
    let mut bytes = vec![0; ipv6::HEADER_LEN + payload.len()];
    header.emit(&mut bytes).unwrap().copy_from_slice(payload);
    bytes
}

/// An extension header of `len` units of 8 bytes.
fn extension(next_header: Protocol, len: u8) -> Vec<u8> {
    let mut bytes = vec![0; usize::from(len) * 8];
    bytes[..2].copy_from_slice(&[next_header.0, len - 1]);
    bytes
}

fn flip(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    flipped[bit / 8] ^= 0x80 >> (bit % 8);
    flipped
}

/// Makes the checksum right again, so that another check is reached.
fn with_right_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let header_len = usize::from(bytes[0] & 0x0f) * 4;
    bytes[10..12].fill(0);
    let sum = Sum::new().bytes(&bytes[..header_len.min(bytes.len())]);
    bytes[10..12].copy_from_slice(&sum.checksum().to_be_bytes());
    bytes
}

fn with_total_len(packet: &[u8], total_len: u16) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet[2..4].copy_from_slice(&total_len.to_be_bytes());
    with_right_checksum(packet)
}

#[test]
fn one_flipped_bit_is_caught_in_an_ipv4_header_of_any_length() {
    for options in (0..=40).step_by(4) {
        let packet = v4_with_options(options);
        ipv4::Packet::parse(&packet).expect("right as it was sent");
        for bit in 0..(ipv4::HEADER_LEN + options) * 8 {
            let caught = ipv4::Packet::parse(&flip(&packet, bit)).is_err();
            assert!(caught, "bit {bit}, {options} bytes of options");
        }
    }
}

#[test]
fn a_flipped_bit_that_no_other_check_sees_is_the_checksums_to_catch() {
    let packet = &v4()[..36];
    let packet = &with_total_len(packet, 36);
    for bit in 0..ipv4::HEADER_LEN * 8 {
        let damaged = flip(packet, bit);
        let total_len = u16::from_be_bytes([damaged[2], damaged[3]]);
        let expected = match bit {
            0..4 => "version",
            4 => "options", // ihl 13, more than the packet has
            5 | 7 => "ihl", // 1 and 4, less than 5
            16..32 if !(20..=36).contains(&total_len) => "total_len",
            _ => "header_checksum",
        };
        let error = ipv4::Packet::parse(&damaged).unwrap_err();
        assert_eq!(error.field, expected, "bit {bit}");
    }
}

#[test]
fn only_a_flipped_bit_of_ihl_can_hide_and_only_if_the_payload_happens_to_fit() {
    // With ihl 7 instead of 5 the checksum goes over eight bytes of the payload too. These eight
    // make up for what the flip adds: 0x0200 + 0xfdff is 0xffff, which in one's complement is zero.
    let header = ipv4::Header::new(Protocol::UDP, [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    let mut packet = vec![0; 28];
    let payload = header.emit(&mut packet).unwrap();
    payload.copy_from_slice(&[0xfd, 0xff, 0, 0, 0, 0, 0, 0]);
    let hidden = flip(&packet, 6);
    let wrong = ipv4::Packet::parse(&hidden).expect("the damage does not show");
    assert_eq!((wrong.ihl(), wrong.payload()), (7, &[][..]));
}

#[test]
fn words_that_change_places_escape_the_checksum() {
    let mut packet = v4();
    let (source, destination) = packet[12..20].split_at_mut(4);
    source.swap_with_slice(destination);
    let swapped = ipv4::Packet::parse(&packet).expect("addition has no order");
    assert_eq!(
        swapped.header().source,
        std::net::Ipv4Addr::new(198, 51, 100, 7)
    );
}

#[test]
fn nothing_but_version_and_length_can_be_wrong_in_an_ipv6_header() {
    let packet = v6(Protocol::UDP, &[0; 16]);
    for bit in 0..ipv6::HEADER_LEN * 8 {
        let caught = ipv6::Packet::parse(&flip(&packet, bit)).is_err();
        // payload_len is 16, bit 43; only without that bit it is not too large.
        assert_eq!(
            caught,
            bit < 4 || (32..48).contains(&bit) && bit != 43,
            "bit {bit}"
        );
    }
}

#[test]
fn the_pseudo_header_lets_the_upper_layer_notice_a_changed_address_protocol_or_length() {
    let packet = v6(Protocol::UDP, b"datagram");
    let sum = |packet: &[u8]| {
        let packet = Packet::parse(packet).ok()?;
        let upper = packet.upper_layer().ok()?;
        let len = upper.bytes.len() as u32;
        let sum = packet.addresses().pseudo_header(upper.protocol, len);
        Some(sum.bytes(upper.bytes).value())
    };
    let before = sum(&packet);
    for bit in 4..ipv6::HEADER_LEN * 8 {
        let not_covered = bit < 32 || (56..64).contains(&bit); // dscp, ecn, flow_label, hop_limit
        assert_eq!(sum(&flip(&packet, bit)) == before, not_covered, "bit {bit}");
    }
}

#[test]
fn the_pseudo_header_of_ipv4_is_that_of_rfc_768() {
    let addresses = Addresses::V4 {
        source: [192, 0, 2, 1].into(),
        destination: [198, 51, 100, 7].into(),
    };
    let sum = addresses.pseudo_header(Protocol::UDP, 0x1234);
    let spelled_out = [192, 0, 2, 1, 198, 51, 100, 7, 0, 17, 0x12, 0x34];
    assert_eq!(sum.value(), Sum::new().bytes(&spelled_out).value());
}

#[test]
fn both_forms_of_a_zero_checksum_are_right() {
    let mut packet = v4();
    packet[10..12].fill(0);
    // A packet whose other words add up to 0xffff.
    let identification = 0x1234 + !Sum::new().bytes(&packet[..20]).value();
    packet[4..6].copy_from_slice(&identification.to_be_bytes());
    for zero in [0x00, 0xff] {
        packet[10..12].fill(zero);
        assert!(ipv4::Packet::parse(&packet).is_ok());
        support::holds(&packet);
    }
}

#[test]
fn bytes_behind_the_packet_are_left_out() {
    for packet in [v4(), v6(Protocol::UDP, b"eight by")] {
        let mut padded = packet.clone();
        padded.extend([0; 6]);
        let upper = Packet::parse(&padded).unwrap().upper_layer().unwrap();
        assert_eq!(
            upper.bytes,
            Packet::parse(&packet).unwrap().upper_layer().unwrap().bytes
        );
        support::holds(&padded);
    }
}

/// Each way in which a packet can be wrong, and what is said about it.
#[test]
fn what_is_wrong_is_named_with_field_and_offset() {
    let v4_with = |at: usize, byte: u8| {
        let mut bytes = v4();
        bytes[at] = byte;
        with_right_checksum(bytes)
    };
    let v6_with = |at: usize, byte: u8| {
        let mut bytes = v6(Protocol::UDP, &[0; 8]);
        bytes[at] = byte;
        bytes
    };
    let table: &[(Vec<u8>, &str)] = &[
        (
            vec![],
            "version at byte 0 is cut off: 0 of 20 bytes are there",
        ),
        (
            v4()[..3].to_vec(),
            "total_len at byte 2 is cut off: 3 of 20 bytes are there",
        ),
        (
            v4()[..19].to_vec(),
            "destination at byte 16 is cut off: 19 of 20 bytes are there",
        ),
        (v4_with(0, 0x55), "version at byte 0 is 5, not 4"),
        (v4_with(0, 0x44), "ihl at byte 0 is 4, less than 5"),
        (
            v4_with(0, 0x4f)[..40].to_vec(),
            "options at byte 20 is cut off: 40 of 60 bytes are there",
        ),
        (v4_with(3, 19), "total_len at byte 2 is 19, less than 20"),
        (
            with_total_len(&v4_with_options(8), 24),
            "total_len at byte 2 is 24, less than 28",
        ),
        (v4_with(3, 69), "total_len at byte 2 is 69, more than 68"),
        (
            flip(&v4(), 70),
            "header_checksum at byte 10 is 0x3c39, but the bytes give 0x3a39",
        ),
        (
            v6(Protocol::UDP, b"")[..39].to_vec(),
            "destination at byte 24 is cut off: 39 of 40 bytes are there",
        ),
        (
            v6_with(0, 0x60)[..6].to_vec(),
            "next_header at byte 6 is cut off: 6 of 40 bytes are there",
        ),
        (v6_with(5, 9), "payload_len at byte 4 is 9, more than 8"),
    ];
    for (bytes, expected) in table {
        let error = Packet::parse(bytes).unwrap_err();
        assert_eq!(error.to_string(), *expected);
        support::holds(bytes);
    }

    let not_six = ipv6::Packet::parse(&v4()).unwrap_err();
    assert_eq!(not_six.to_string(), "version at byte 0 is 4, not 6");
}

#[test]
fn extension_headers_that_are_wrong_are_named_with_their_offset() {
    let behind_one = |next: Protocol, rest: &[u8]| {
        let mut payload = extension(next, 1);
        payload.extend(rest);
        v6(Protocol::DESTINATION_OPTIONS, &payload)
    };
    let mut many = Vec::new();
    for _ in 0..=ipv6::MAX_EXTENSIONS {
        many.extend(extension(Protocol::DESTINATION_OPTIONS, 1));
    }
    let table: &[(Vec<u8>, &str)] = &[
        (
            v6(Protocol::HOP_BY_HOP, &[17]),
            "extension at byte 40 is cut off: 41 of 42 bytes are there",
        ),
        (
            v6(Protocol::ROUTING, &extension(Protocol::TCP, 3)[..20]),
            "extension at byte 40 is cut off: 60 of 64 bytes are there",
        ),
        (
            behind_one(Protocol::FRAGMENT, &[17, 0, 0, 0]),
            "extension at byte 48 is cut off: 52 of 56 bytes are there",
        ),
        (
            behind_one(Protocol::AUTHENTICATION, &[17, 4, 0, 0]),
            "extension at byte 48 is cut off: 52 of 72 bytes are there",
        ),
        (
            behind_one(Protocol::HOP_BY_HOP, &extension(Protocol::TCP, 1)),
            "next_header at byte 40 is 0, which has no place here",
        ),
        (
            v6(Protocol::DESTINATION_OPTIONS, &many),
            "extensions at byte 168 is 17, more than 16",
        ),
    ];
    for (bytes, expected) in table {
        let packet = Packet::parse(bytes).expect("a router forwards it");
        assert_eq!(packet.upper_layer().unwrap_err().to_string(), *expected);
        support::holds(bytes);
    }
}

#[test]
fn the_upper_layer_is_found_behind_all_extension_headers() {
    let mut payload = extension(Protocol::ROUTING, 1);
    payload.extend(extension(Protocol::AUTHENTICATION, 3));
    payload.extend([Protocol::DESTINATION_OPTIONS.0, 4]);
    payload.extend([0; 22]);
    payload.extend(extension(Protocol::TCP, 2));
    payload.extend(b"segment");
    let bytes = v6(Protocol::HOP_BY_HOP, &payload);
    let packet = ipv6::Packet::parse(&bytes).unwrap();

    let kinds: Vec<_> = packet.extensions().map(|each| each.unwrap().kind).collect();
    assert_eq!(
        kinds,
        [
            Protocol::HOP_BY_HOP,
            Protocol::ROUTING,
            Protocol::AUTHENTICATION,
            Protocol::DESTINATION_OPTIONS
        ]
    );
    let upper = packet.upper_layer().unwrap();
    assert_eq!(
        (upper.protocol, upper.offset, upper.bytes, upper.fragment),
        (Protocol::TCP, 40 + 8 + 24 + 24 + 16, &b"segment"[..], None)
    );
}

#[test]
fn the_data_of_a_later_fragment_is_not_read_as_headers() {
    let fragment = |units: u16| {
        // The second byte is reserved and ignored (RFC 8200 §4.5).
        let mut payload = vec![Protocol::DESTINATION_OPTIONS.0, 0xff];
        payload.extend((units << 3 | 1).to_be_bytes());
        payload.extend([0, 0, 0xab, 0xcd]);
        payload.extend(extension(Protocol::TCP, 1));
        v6(Protocol::FRAGMENT, &payload)
    };
    for (units, protocol, len) in [(0, Protocol::TCP, 0), (9, Protocol::DESTINATION_OPTIONS, 8)] {
        let bytes = fragment(units);
        let upper = Packet::parse(&bytes).unwrap().upper_layer().unwrap();
        assert_eq!((upper.protocol, upper.bytes.len()), (protocol, len));
        let fragment = upper.fragment.expect("a fragment");
        assert_eq!(fragment.offset.bytes(), usize::from(units) * 8);
        assert_eq!(
            (fragment.identification, fragment.more_fragments),
            (0xabcd, true)
        );
    }
}

#[test]
fn what_does_not_fit_is_not_written() {
    let mut buffer = vec![0; 70_000];
    let header = ipv4::Header::new(Protocol::UDP, [1, 2, 3, 4].into(), [5, 6, 7, 8].into());
    let mut says = |len: usize| header.emit(&mut buffer[..len]).unwrap_err().to_string();
    assert_eq!(
        says(19),
        "destination at byte 16 is cut off: 19 of 20 bytes are there"
    );
    assert_eq!(
        says(65_536),
        "total_len at byte 2 is 65536, more than 65535"
    );
    let header = ipv6::Header::new(Protocol::UDP, [1; 8].into(), [2; 8].into());
    let mut says = |len: usize| header.emit(&mut buffer[..len]).unwrap_err().to_string();
    assert_eq!(
        says(39),
        "destination at byte 24 is cut off: 39 of 40 bytes are there"
    );
    assert_eq!(
        says(40 + 65_536),
        "payload_len at byte 4 is 65536, more than 65535"
    );
    assert!(
        buffer.iter().all(|byte| *byte == 0),
        "something was written"
    );
    assert!(header.emit(&mut buffer[..40 + 65_535]).is_ok());
}

#[test]
fn a_value_that_its_field_cannot_hold_cannot_be_made() {
    assert_eq!((Dscp::new(63).is_some(), Dscp::new(64)), (true, None));
    assert!(FlowLabel::new(0xf_ffff).is_some() && FlowLabel::new(0x10_0000).is_none());
    for (bytes, units) in [
        (0, Some(0)),
        (65_528, Some(8_191)),
        (7, None),
        (65_536, None),
    ] {
        assert_eq!(
            FragmentOffset::from_bytes(bytes).map(FragmentOffset::units),
            units
        );
    }
    let refused = |len: usize| -> Error { ipv4::Options::new(&[0; 48][..len]).unwrap_err() };
    assert_eq!(
        refused(44).to_string(),
        "options at byte 20 is 44, more than 40"
    );
    assert_eq!(
        refused(6).to_string(),
        "options at byte 20 is 6, not a multiple of 4"
    );
}

/// What the fuzzer starts from and what it has found, on any toolchain.
#[test]
fn the_fuzzers_corpus_holds() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/parse");
    let mut files = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        support::holds(&std::fs::read(file.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files >= 8, "{files} files in {corpus}");
}

fn ecn() -> impl Strategy<Value = Ecn> {
    prop::sample::select(&[Ecn::NotEct, Ecn::Ect0, Ecn::Ect1, Ecn::Ce][..])
}

fn dscp() -> impl Strategy<Value = Dscp> {
    (0..64_u8).prop_map(|value| Dscp::new(value).unwrap())
}

prop_compose! {
    fn v4_header()(
        (dscp, ecn) in (dscp(), ecn()),
        identification in any::<u16>(),
        flags in any::<[bool; 3]>(),
        units in 0..8192_u32,
        (ttl, protocol) in any::<(u8, u8)>(),
        (source, destination) in any::<([u8; 4], [u8; 4])>(),
    ) -> ipv4::Header<'static> {
        ipv4::Header {
            dscp,
            ecn,
            identification,
            flags: ipv4::Flags {
                reserved: flags[0],
                dont_fragment: flags[1],
                more_fragments: flags[2],
            },
            fragment_offset: FragmentOffset::from_bytes(units * 8).unwrap(),
            ttl,
            protocol: Protocol(protocol),
            source: source.into(),
            destination: destination.into(),
            options: ipv4::Options::NONE,
        }
    }
}

prop_compose! {
    fn v6_header()(
        (dscp, ecn) in (dscp(), ecn()),
        label in 0..1_u32 << 20,
        (next_header, hop_limit) in any::<(u8, u8)>(),
        (source, destination) in any::<([u8; 16], [u8; 16])>(),
    ) -> ipv6::Header {
        ipv6::Header {
            dscp,
            ecn,
            flow_label: FlowLabel::new(label).unwrap(),
            next_header: Protocol(next_header),
            hop_limit,
            source: source.into(),
            destination: destination.into(),
        }
    }
}

/// Options of whole words, as bytes.
fn options() -> impl Strategy<Value = Vec<u8>> {
    (0..=10_usize).prop_flat_map(|words| vec(any::<u8>(), words * 4))
}

/// Bytes that look like a packet at least in their first ones.
fn almost_a_packet() -> impl Strategy<Value = Vec<u8>> {
    let kinds = prop::sample::select(&[0_u8, 6, 17, 43, 44, 51, 59, 60, 135, 253][..]);
    (any::<bool>(), vec(any::<u8>(), 0..200), vec(kinds, 24)).prop_map(|(six, mut bytes, kinds)| {
        let len = bytes.len() as u8;
        let mut set = |at: usize, byte: u8| {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        };
        if !six {
            set(0, 0x45 + kinds[0] % 11);
            set(2, 0);
            set(3, len);
            return if len < 20 {
                bytes
            } else {
                with_right_checksum(bytes)
            };
        }
        set(0, 0x60);
        set(4, 0);
        set(5, len.saturating_sub(40));
        set(6, kinds[0]);
        for (at, kind) in (40..).step_by(8).zip(&kinds[1..]) {
            set(at, *kind);
            set(at + 1, kind % 2);
        }
        bytes
    })
}

proptest! {
    #[test]
    fn parsing_undoes_emitting_in_ipv4(
        header in v4_header(), options in options(), payload in vec(any::<u8>(), 0..100),
    ) {
        let options = ipv4::Options::new(&options).unwrap();
        let header = ipv4::Header { options, ..header };
        let mut bytes = vec![0xee; header.header_len() + payload.len()];
        header.emit(&mut bytes).unwrap().copy_from_slice(&payload);
        let packet = ipv4::Packet::parse(&bytes).unwrap();
        prop_assert_eq!(packet.header(), header);
        prop_assert_eq!(packet.payload(), payload);
        prop_assert_eq!(packet.as_bytes(), &bytes);
    }

    #[test]
    fn parsing_undoes_emitting_in_ipv6(header in v6_header(), payload in vec(any::<u8>(), 0..100)) {
        let mut bytes = vec![0xee; ipv6::HEADER_LEN + payload.len()];
        header.emit(&mut bytes).unwrap().copy_from_slice(&payload);
        let packet = ipv6::Packet::parse(&bytes).unwrap();
        prop_assert_eq!(packet.header(), header);
        prop_assert_eq!(packet.payload(), payload);
        prop_assert_eq!(packet.as_bytes(), &bytes);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        support::holds(&bytes);
    }

    #[test]
    fn emitting_undoes_parsing(bytes in almost_a_packet()) {
        support::holds(&bytes);
    }

    #[test]
    fn the_pseudo_header_counts_like_the_bytes_that_it_stands_for(
        source in any::<[u8; 16]>(), destination in any::<[u8; 16]>(), v6 in any::<bool>(),
        protocol in any::<u8>(), len in any::<u32>(), behind in vec(any::<u8>(), 0..20),
    ) {
        let ip_len = if v6 { 16 } else { 4 };
        let addresses = if v6 {
            Addresses::V6 { source: source.into(), destination: destination.into() }
        } else {
            let [source, destination] = [source, destination].map(|[a, b, c, d, ..]| [a, b, c, d].into());
            Addresses::V4 { source, destination }
        };
        let sum = addresses.pseudo_header(Protocol(protocol), len).bytes(&behind);
        let bytes = [
            &source[..ip_len], &destination[..ip_len], &len.to_be_bytes(), &[0, 0, 0, protocol], &behind,
        ];
        prop_assert_eq!(sum.value(), Sum::new().bytes(&bytes.concat()).value());
    }

    #[test]
    fn a_mended_checksum_is_the_one_computed_anew(
        header in v4_header(), at in prop::sample::select(&[2, 4, 6, 8, 12, 14, 16, 18][..]),
        new in any::<u16>(),
    ) {
        let mut bytes = [0; 20];
        header.emit(&mut bytes).unwrap();
        let before = u16::from_be_bytes([bytes[10], bytes[11]]);
        let old = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        bytes[at..at + 2].copy_from_slice(&new.to_be_bytes());
        let anew = with_right_checksum(bytes.to_vec());
        prop_assert_eq!(update(before, old, new).to_be_bytes(), [anew[10], anew[11]]);
    }
}

/// The listing itself.
#[cfg(target_os = "linux")]
mod run {
    use std::sync::LazyLock;

    use ip_header::{Packet, Protocol, ipv4, ipv6};
    use testkit::{Program, Run, listing, peer};

    static RUN: LazyLock<Run> = LazyLock::new(|| {
        listing!()
            // What the kernel picks at random for each packet, and the sum over it.
            .varying(
                r"(?m)^(.* (identification|header_checksum|flow_label)) .*$",
                "$2",
            )
            .varying(r"0x[0-9a-f]{4}\b", "SUM")
            .run()
            .succeeds()
    });

    #[test]
    fn it_prints_what_the_page_shows() {
        RUN.matches_output();
        assert_eq!(RUN.stderr, "");
    }

    #[test]
    fn it_records_what_the_figures_show() {
        RUN.matches_record();
    }

    const FIGURES: [&str; 4] = ["ipv4", "ipv6", "ipv4-options", "ipv6-extension"];

    #[test]
    fn every_byte_of_a_figure_belongs_to_a_field() {
        for name in FIGURES {
            let wire = RUN.wire(name);
            let mut bit = 0;
            for field in &wire.fields {
                assert_eq!(field.bit, bit, "{name}: {}", field.name);
                bit += field.bits;
            }
            assert_eq!(bit, wire.bytes.len() * 8, "{name}");
        }
    }

    #[test]
    fn real_packets_are_read_and_built_anew_byte_for_byte() {
        for name in FIGURES {
            let bytes = &RUN.wire(name).bytes;
            super::support::holds(bytes); // and so emitting undoes parsing
            let packet = Packet::parse(bytes).unwrap();
            let upper = packet.upper_layer().unwrap();
            assert_eq!((upper.protocol, upper.fragment), (Protocol::UDP, None));
            assert!(upper.bytes.ends_with(b"hello, IP"));
        }
        let v4 = ipv4::Packet::parse(&RUN.wire("ipv4").bytes).unwrap();
        let v6 = ipv6::Packet::parse(&RUN.wire("ipv6").bytes).unwrap();
        assert_eq!((v4.ihl(), v4.total_len(), v6.payload_len()), (5, 37, 17));
        assert!(v4.header().source.is_loopback() && v6.header().source.is_loopback());
    }

    #[test]
    fn a_real_option_makes_the_ipv4_header_longer_and_its_payload_begins_later() {
        let packet = ipv4::Packet::parse(&RUN.wire("ipv4-options").bytes).unwrap();
        let header = packet.header();
        assert_eq!(
            (packet.ihl(), header.header_len(), packet.total_len()),
            (7, 28, 45)
        );
        // Record Route, of which the sender has taken the only place: the next would be behind it.
        assert_eq!(header.options.as_bytes(), [7, 7, 8, 127, 0, 0, 1, 0]);
        assert_eq!(packet.upper_layer().offset, 28);
    }

    #[test]
    fn a_real_extension_header_counts_as_payload_and_names_what_follows_it() {
        let packet = ipv6::Packet::parse(&RUN.wire("ipv6-extension").bytes).unwrap();
        assert_eq!(packet.header().next_header, Protocol::DESTINATION_OPTIONS);
        assert_eq!(packet.payload_len(), 25);
        let extensions: Vec<_> = packet.extensions().map(Result::unwrap).collect();
        let [extension] = extensions[..] else {
            panic!("{extensions:?}");
        };
        assert_eq!(
            (extension.kind, extension.offset),
            (Protocol::DESTINATION_OPTIONS, 40)
        );
        assert_eq!(extension.bytes, [Protocol::UDP.0, 0, 1, 4, 0, 0, 0, 0]);
        let upper = packet.upper_layer().unwrap();
        assert_eq!((upper.protocol, upper.offset), (Protocol::UDP, 48));
    }

    #[test]
    fn every_flipped_bit_of_a_real_ipv4_header_is_noticed_and_few_of_ipv6() {
        assert!(RUN.stdout.contains("\nIPv4  160 of 160 noticed: "));
        assert!(
            RUN.stdout
                .contains("\nIPv6  18 of 320 noticed: version 4, payload_len 14\n")
        );
    }

    #[test]
    fn wrong_arguments_are_answered_with_the_usage() {
        let run = listing!().arg("eth0").run();
        assert_eq!(run.status.code(), Some(2));
        assert!(run.stderr.starts_with("usage: "), "{}", run.stderr);
    }

    #[test]
    fn where_namespaces_are_refused_the_remedy_is_named() {
        let (Some(unshare), Some(_)) = (peer("unshare"), peer("setpriv")) else {
            return;
        };
        // In a user namespace of its own, in which no further ones may be made, without rights.
        let script = "echo 0 > /proc/sys/user/max_user_namespaces && \
                      exec setpriv --bounding-set -all --inh-caps -all \"$0\"";
        let run = Program::new(unshare)
            .args(["--user", "--map-root-user", "sh", "-c", script])
            .arg(env!("CARGO_BIN_EXE_ip-header"))
            .run();
        assert_eq!(run.status.code(), Some(1), "{}", run.stderr);
        assert!(
            run.stderr
                .contains("`sysctl user.max_user_namespaces=15000`"),
            "{}",
            run.stderr
        );
        assert_eq!(run.stdout, "");
    }
}
