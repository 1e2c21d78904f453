//! What the page says about datagrams, and what holds for every one.

mod support;

use ip_header::Addresses;
use proptest::collection::vec;
use proptest::prelude::*;
use support::ADDRESSES;
use udp_header::{Datagram, HEADER_LEN, Header, MAX_LEN, fields};

const V4: Addresses = ADDRESSES[0];
const V6: Addresses = ADDRESSES[1];

const HEADER: Header = Header {
    source_port: 40_000,
    destination_port: 53,
};

fn datagram(data: &[u8], addresses: Addresses) -> Vec<u8> {
    let mut bytes = [&[0; HEADER_LEN], data].concat();
    HEADER.emit(&mut bytes, addresses).unwrap();
    bytes
}

fn flip(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    flipped[bit / 8] ^= 0x80 >> (bit % 8);
    flipped
}

/// Two bytes of data with which the checksum of a datagram comes out as zero.
fn comes_out_as_zero(addresses: Addresses) -> Vec<u8> {
    let bytes = datagram(&[0, 0], addresses);
    datagram(&bytes[6..8], addresses)
}

#[test]
fn a_datagram_is_written_as_rfc_768_draws_it() {
    // Summed up by hand: c000 + 0201 + c633 + 6407 + 0011 + 000a (pseudo-header)
    // + 9c40 + 0035 + 000a + 6869 (header and «hi») = 2f13e, folded f140, complement 0ebf.
    let expected = [0x9c, 0x40, 0x00, 0x35, 0x00, 0x0a, 0x0e, 0xbf, b'h', b'i'];
    assert_eq!(datagram(b"hi", V4), expected);
}

#[test]
fn one_flipped_bit_is_caught_wherever_it_is() {
    for addresses in ADDRESSES {
        for data in [&b""[..], b"odd", b"a longer payload"] {
            let bytes = datagram(data, addresses);
            Datagram::parse(&bytes, addresses).expect("right as it was sent");
            for bit in 0..bytes.len() * 8 {
                let caught = Datagram::parse(&flip(&bytes, bit), addresses).is_err();
                assert!(caught, "bit {bit}");
            }
        }
    }
}

#[test]
fn both_forms_of_zero_mean_different_things() {
    for addresses in ADDRESSES {
        let mut bytes = comes_out_as_zero(addresses);
        assert_eq!(bytes[6..8], [0xff, 0xff], "zero is sent as all ones");
        let parsed = Datagram::parse(&bytes, addresses).unwrap();
        assert_eq!(parsed.checksum(), Some(0xffff));
        support::holds(&bytes);
        // The other form says that there is none. Then damage goes unnoticed in IPv4.
        bytes[6..8].fill(0);
        bytes[9] ^= 1;
        let parsed = Datagram::parse(&bytes, addresses);
        match addresses {
            Addresses::V4 { .. } => assert_eq!(parsed.unwrap().checksum(), None),
            Addresses::V6 { .. } => assert_eq!(parsed.unwrap_err().field, "checksum"),
        }
        support::holds(&bytes);
    }
}

#[test]
fn ipv6_without_a_checksum_is_refused_unless_the_caller_allows_it() {
    let mut bytes = datagram(b"tunnel", V6);
    HEADER.emit_without_checksum(&mut bytes).unwrap();
    let error = Datagram::parse(&bytes, V6).unwrap_err();
    assert_eq!((error.field, error.offset), ("checksum", 6));
    let allowed = Datagram::parse_with_optional_checksum(&bytes, V6).unwrap();
    assert_eq!(
        (allowed.checksum(), allowed.payload()),
        (None, &b"tunnel"[..])
    );
    // What is there must be right all the same.
    let wrong = flip(&datagram(b"tunnel", V6), 8 * 9);
    let error = Datagram::parse_with_optional_checksum(&wrong, V6).unwrap_err();
    assert_eq!(error.field, "checksum");
    // In IPv4 nobody has to allow it.
    assert!(Datagram::parse(&bytes, V4).is_ok());
}

#[test]
fn what_the_length_leaves_over_is_a_trailer_that_the_checksum_does_not_cover() {
    for addresses in ADDRESSES {
        let bytes = datagram(b"hello", addresses);
        for tail in [&b"t"[..], b"tail", &[0; 40]] {
            let longer = [&bytes[..], tail].concat();
            let parsed = Datagram::parse(&longer, addresses).unwrap();
            assert_eq!((parsed.payload(), parsed.trailer()), (&b"hello"[..], tail));
            assert_eq!(parsed.as_bytes(), bytes);
            support::holds(&longer);
        }
    }
}

/// Each way in which a datagram can be wrong, and what is said about it.
#[test]
fn what_is_wrong_is_named_with_field_and_offset() {
    let good = || datagram(b"data", V4);
    let with_length = |length: u16| {
        let mut bytes = good();
        bytes[4..6].copy_from_slice(&length.to_be_bytes());
        bytes
    };
    let table: &[(Vec<u8>, &str)] = &[
        (
            vec![],
            "source_port at byte 0 is cut off: 0 of 8 bytes are there",
        ),
        (
            good()[..3].to_vec(),
            "destination_port at byte 2 is cut off: 3 of 8 bytes are there",
        ),
        (
            good()[..7].to_vec(),
            "checksum at byte 6 is cut off: 7 of 8 bytes are there",
        ),
        (with_length(7), "length at byte 4 is 7, less than 8"),
        // What a jumbogram says (RFC 2675 §4).
        (with_length(0), "length at byte 4 is 0, less than 8"),
        (with_length(13), "length at byte 4 is 13, more than 12"),
        (
            with_length(65_535),
            "length at byte 4 is 65535, more than 12",
        ),
        (
            flip(&good(), 8 * 11),
            "checksum at byte 6 is 0x9e61, but the bytes give 0x9de1",
        ),
    ];
    for (bytes, expected) in table {
        let error = Datagram::parse(bytes, V4).unwrap_err();
        assert_eq!(error.to_string(), *expected);
        support::holds(bytes);
    }
}

#[test]
fn what_does_not_fit_is_not_written() {
    let mut buffer = vec![0; 70_000];
    let mut says = |len: usize, addresses| {
        let error = HEADER.emit(&mut buffer[..len], addresses).unwrap_err();
        error.to_string()
    };
    let cut = "checksum at byte 6 is cut off: 7 of 8 bytes are there";
    assert_eq!(says(7, V4), cut);
    assert_eq!(
        says(65_516, V4),
        "length at byte 4 is 65516, more than 65515"
    );
    assert_eq!(
        says(65_536, V6),
        "length at byte 4 is 65536, more than 65535"
    );
    let without = HEADER.emit_without_checksum(&mut buffer[..MAX_LEN + 1]);
    let says = without.unwrap_err().to_string();
    assert_eq!(says, "length at byte 4 is 65536, more than 65535");
    assert!(
        buffer.iter().all(|byte| *byte == 0),
        "something was written"
    );
    for (len, addresses) in [(65_515, V4), (MAX_LEN, V6)] {
        HEADER.emit(&mut buffer[..len], addresses).unwrap();
        let parsed = Datagram::parse(&buffer[..len], addresses).unwrap();
        assert_eq!(usize::from(parsed.length()), len);
    }
    // What IPv6 can carry, IPv4 cannot.
    let error = Datagram::parse(&buffer[..MAX_LEN], V4).unwrap_err();
    assert_eq!(error, fields::LENGTH.more_than(65_515, MAX_LEN));
}

#[test]
fn an_empty_datagram_is_a_datagram() {
    for addresses in ADDRESSES {
        let bytes = datagram(b"", addresses);
        let parsed = Datagram::parse(&bytes, addresses).unwrap();
        assert_eq!((parsed.length(), parsed.payload()), (8, &b""[..]));
    }
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
    assert!(files >= 15, "{files} files in {corpus}");
}

/// Bytes whose `length` is near the truth.
fn almost_a_datagram() -> impl Strategy<Value = Vec<u8>> {
    (vec(any::<u8>(), 8..100), -3..4_isize, any::<bool>()).prop_map(|(mut bytes, off, none)| {
        let length = bytes.len().saturating_add_signed(off) as u16;
        bytes[4..6].copy_from_slice(&length.to_be_bytes());
        if none {
            bytes[6..8].fill(0);
        }
        bytes
    })
}

proptest! {
    #[test]
    fn parsing_undoes_emitting(
        (source_port, destination_port) in any::<(u16, u16)>(), data in vec(any::<u8>(), 0..100),
        is_v4 in any::<bool>(),
    ) {
        let addresses = if is_v4 { V4 } else { V6 };
        let header = Header { source_port, destination_port };
        let mut bytes = vec![0xee; HEADER_LEN];
        bytes.extend(&data);
        header.emit(&mut bytes, addresses).unwrap();
        let parsed = Datagram::parse(&bytes, addresses).unwrap();
        prop_assert_eq!(parsed.header(), header);
        prop_assert_eq!(parsed.payload(), data);
        prop_assert_eq!(parsed.checksum(), Some(parsed.computed_checksum(addresses)));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        support::holds(&bytes);
    }

    #[test]
    fn emitting_undoes_parsing(bytes in almost_a_datagram()) {
        support::holds(&bytes);
    }
}

/// The listing itself.
#[cfg(target_os = "linux")]
mod run {
    use std::sync::LazyLock;

    use ip_header::checksum::Sum;
    use testkit::{Run, listing};
    use udp_header::Datagram;

    static RUN: LazyLock<Run> = LazyLock::new(|| listing!().run().succeeds());

    /// What a figure sums up: pseudo-header and datagram.
    fn summed(name: &str) -> (&'static [u8], &'static [u8]) {
        let wire = RUN.wire(name);
        let pseudo_header = wire.fields[0].bits / 8;
        wire.bytes.split_at(pseudo_header)
    }

    /// By datagram and IP version, what the library and the kernel did.
    fn judged(datagram: &str, version: &str) -> [&'static str; 2] {
        let rows = &RUN.table("judged").rows;
        let version = format!("`{version}`");
        let row = rows
            .iter()
            .find(|row| row[0] == datagram && row[1] == version);
        let row = row.unwrap_or_else(|| panic!("no «{datagram}» over {version}"));
        [&row[2], &row[3]]
    }

    const READ: [&str; 2] = ["reads it", "hands it over"];
    const REFUSED: [&str; 2] = ["refuses it", "drops it"];

    #[test]
    fn it_prints_what_the_page_shows() {
        RUN.matches_output();
        assert_eq!(RUN.stderr, "");
    }

    #[test]
    fn it_records_what_the_figures_show() {
        RUN.matches_record();
    }

    #[test]
    fn every_bit_of_a_figure_belongs_to_a_field() {
        for name in ["ipv4", "ipv6"] {
            let wire = RUN.wire(name);
            let mut bit = 0;
            for field in &wire.fields {
                assert_eq!(field.bit, bit, "{name}: {}", field.name);
                for inner in &field.fields {
                    assert_eq!(inner.bit, bit, "{name}: {}", inner.name);
                    bit += inner.bits;
                }
                if field.fields.is_empty() {
                    bit += field.bits;
                }
                assert_eq!(bit, field.bit + field.bits, "{name}: {}", field.name);
            }
            assert_eq!(bit, wire.bytes.len() * 8, "{name}");
        }
    }

    #[test]
    fn all_that_is_summed_up_adds_up_to_all_ones() {
        for name in ["ipv4", "ipv6"] {
            let bytes = &RUN.wire(name).bytes;
            assert_eq!(Sum::new().bytes(bytes).value(), 0xffff, "{name}");
        }
    }

    #[test]
    fn the_pseudo_header_has_12_bytes_in_ipv4_and_40_in_ipv6() {
        for (name, len) in [("ipv4", 12), ("ipv6", 40)] {
            let (pseudo_header, datagram) = summed(name);
            assert_eq!(pseudo_header.len(), len);
            let datagram = Datagram::parse_without_checksum(datagram).unwrap();
            assert_eq!(
                (datagram.length(), datagram.payload()),
                (18, &b"hello, UDP"[..])
            );
        }
    }

    #[test]
    fn the_same_datagram_has_another_checksum_over_ipv6() {
        let [v4, v6] = ["ipv4", "ipv6"].map(|name| summed(name).1);
        assert_ne!(v4[6..8], v6[6..8]);
        assert_eq!((&v4[..6], &v4[8..]), (&v6[..6], &v6[8..]));
    }

    #[test]
    fn every_flipped_bit_of_datagram_and_addresses_is_noticed() {
        let noticed = |line: &str| assert!(RUN.stdout.contains(line), "{}", RUN.stdout);
        noticed("\nIPv4  208 of 208 noticed, 64 of them in the addresses: ");
        noticed("\nIPv6  400 of 400 noticed, 256 of them in the addresses: ");
    }

    #[test]
    fn a_kernel_that_was_told_to_leave_the_checksum_out_sends_zero() {
        assert!(
            RUN.stdout
                .contains("leave it out  00 00 on the wire: there is none\n")
        );
    }

    #[test]
    fn a_kernel_sends_a_checksum_that_comes_out_as_zero_as_all_ones() {
        assert!(
            RUN.stdout
                .contains("comes out as zero       ff ff on the wire: there is one\n")
        );
    }

    #[test]
    fn library_and_kernel_read_and_refuse_the_same() {
        for version in ["IPv4", "IPv6"] {
            for datagram in ["nothing is wrong", "four bytes behind the datagram"] {
                assert_eq!(judged(datagram, version), READ);
            }
            for datagram in [
                "a bit of the data flipped",
                "length 7",
                "a length beyond the packet",
                "only half a header",
            ] {
                assert_eq!(judged(datagram, version), REFUSED);
            }
        }
        assert_eq!(RUN.table("judged").rows.len(), 16);
    }

    #[test]
    fn without_a_checksum_ipv4_delivers_and_ipv6_drops_unless_the_receiver_allows_it() {
        assert_eq!(judged("no checksum", "IPv4"), READ);
        assert_eq!(judged("no checksum", "IPv6"), REFUSED);
        for version in ["IPv4", "IPv6"] {
            let allowed = judged("no checksum, and the receiver allows it", version);
            assert_eq!(allowed, READ);
        }
    }

    #[test]
    fn a_datagram_that_is_dropped_for_its_checksum_shows_in_a_counter_only() {
        let line = "refused by the kernel for their checksum: 1 over IPv4, 2 over IPv6\n";
        assert!(RUN.stdout.ends_with(line), "{}", RUN.stdout);
    }

    #[test]
    fn nobody_hands_over_what_stands_behind_the_datagram() {
        let behind = RUN.stdout.lines();
        let behind = behind.filter(|line| line.starts_with("four bytes behind the datagram"));
        let handed = behind.filter(|line| line.contains(" hands over «hello, UDP» "));
        assert_eq!(handed.count(), 2);
    }

    #[test]
    fn wrong_arguments_are_answered_with_the_usage() {
        let run = listing!().arg("eth0").run();
        assert_eq!(run.status.code(), Some(2));
        assert_eq!(run.stderr, "usage: udp-header (it takes no arguments)\n");
    }
}
