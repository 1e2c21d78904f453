//! What the page says about Ethernet's frames, and what holds for all of them.

mod support;

use std::sync::OnceLock;

use layers_ethernet::{
    Error, EtherType, FCS_LEN, Field, Frame, HEADER_LEN, Header, MAX_PAYLOAD_LEN, MacAddress,
    Priority, Reason, TAG_LEN, Tag, VlanId, crc, fields,
};
use proptest::prelude::*;
use testkit::{Run, listing};

const CAPTURED: &[u8] = include_bytes!("../fuzz/corpus/parse/captured-request");

fn run() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| listing!().run().succeeds())
}

fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut sealed = [bytes, &[0; FCS_LEN]].concat();
    crc::seal(&mut sealed).unwrap();
    sealed
}

fn flip(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    flipped[bit / 8] ^= 0x80 >> (bit % 8);
    flipped
}

#[test]
fn the_listing_prints_and_records_what_the_page_shows() {
    run().matches_output();
    run().matches_record();
}

#[test]
fn an_argument_is_answered_with_the_usage() {
    let run = listing!().arg("x").run();
    assert_eq!(run.status.code(), Some(2));
    assert_eq!(
        run.stderr,
        "usage: layers-ethernet (it takes no arguments)\n"
    );
    assert_eq!(run.stdout, "");
}

#[test]
fn whatever_the_fuzzer_began_with_keeps_all_promises() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/parse");
    let mut files = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        support::holds(&std::fs::read(file.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files >= 10, "the corpus is there");
}

#[test]
fn a_captured_frame_is_read_and_built_anew_byte_for_byte() {
    let frame = Frame::parse(CAPTURED).unwrap();
    assert_eq!(frame.header().ether_type, EtherType::IPV4);
    assert_eq!(frame.payload().len(), 89);
    let mut anew = vec![0; CAPTURED.len()];
    frame
        .header()
        .emit(&mut anew)
        .unwrap()
        .copy_from_slice(frame.payload());
    assert_eq!(anew, CAPTURED);
}

#[test]
fn every_flipped_bit_is_noticed_and_so_are_any_two() {
    let frame = sealed(CAPTURED);
    for first in 0..frame.len() * 8 {
        let once = flip(&frame, first);
        assert!(crc::open(&once).is_err(), "bit {first}");
        for second in (0..first).step_by(7) {
            assert!(
                crc::open(&flip(&once, second)).is_err(),
                "bits {second}, {first}"
            );
        }
    }
    assert!(
        run()
            .stdout
            .contains("856 of 856 flipped bits are noticed.")
    );
}

#[test]
fn a_burst_of_up_to_32_bits_is_noticed_in_a_frame_of_full_length() {
    let frame = sealed(&vec![0x5a; HEADER_LEN + MAX_PAYLOAD_LEN]);
    for len in 2..=32_usize {
        for start in (0..frame.len() * 8 - len).step_by(131) {
            // Its ends flip, and in between every third bit.
            let mut damaged = flip(&flip(&frame, start), start + len - 1);
            for bit in (start + 1..start + len - 1).step_by(3) {
                damaged = flip(&damaged, bit);
            }
            assert!(crc::open(&damaged).is_err(), "{len} bits from {start} on");
        }
    }
}

#[test]
fn the_check_is_that_of_the_catalogues() {
    // The check value of CRC-32/ISO-HDLC, and the ends.
    assert_eq!(crc::crc32(b"123456789"), 0xcbf4_3926);
    assert_eq!(crc::crc32(b""), 0);
    assert_eq!(crc::crc32(&[0; 4]), 0x2144_df1c);
}

#[test]
fn the_fields_cover_the_header_with_and_without_a_tag() {
    for (all, len) in [
        (&fields::ALL[..], HEADER_LEN),
        (&fields::ALL_TAGGED[..], HEADER_LEN + TAG_LEN),
    ] {
        let mut next = 0;
        for field in all {
            assert_eq!(field.bit, next, "{}", field.name);
            next += field.bits;
        }
        assert_eq!(next, len * 8);
    }
}

#[test]
fn a_tag_adds_four_bytes_behind_the_addresses() {
    let frame = Frame::parse(CAPTURED).unwrap();
    let tag = Tag {
        priority: Priority::new(5).unwrap(),
        drop_eligible: true,
        vlan: VlanId::new(0xabc).unwrap(),
    };
    let header = Header {
        tag: Some(tag),
        ..frame.header()
    };
    let mut tagged = vec![0; CAPTURED.len() + TAG_LEN];
    header
        .emit(&mut tagged)
        .unwrap()
        .copy_from_slice(frame.payload());
    assert_eq!(tagged[..12], CAPTURED[..12]);
    assert_eq!(tagged[12..16], [0x81, 0x00, 0xba, 0xbc]);
    assert_eq!(tagged[16..], CAPTURED[12..]);
    assert_eq!(Frame::parse(&tagged).unwrap().header(), header);
    assert!(run().stdout.contains("Tagged by a switch: 111 bytes"));
}

#[test]
fn of_two_tags_the_second_is_the_payloads() {
    let bytes = include_bytes!("../fuzz/corpus/parse/two-tags");
    let frame = Frame::parse(bytes).unwrap();
    assert_eq!(frame.header().ether_type, EtherType::VLAN);
    assert_eq!(frame.payload()[..2], [0x60, 0x64]);
}

fn error(field: Field, reason: Reason) -> Error {
    Error {
        field: field.name,
        offset: field.offset(),
        reason,
    }
}

#[test]
fn a_header_that_is_cut_off_names_the_first_field_that_is_not_there() {
    let tagged = include_bytes!("../fuzz/corpus/parse/tagged");
    for (frame, needed) in [(CAPTURED, 14), (&tagged[..], 18)] {
        for available in 0..needed {
            // Before the type is there, nobody can know of a tag.
            let (all, needed) = match available {
                0..14 => (&fields::ALL[..], 14),
                _ => (&fields::ALL_TAGGED[..], needed),
            };
            let cut = *all.iter().find(|field| field.end() > available).unwrap();
            let expected = error(cut, Reason::Truncated { needed, available });
            assert_eq!(Frame::parse(&frame[..available]), Err(expected));
        }
    }
}

#[test]
fn a_length_in_the_place_of_the_type_is_refused() {
    let plain = include_bytes!("../fuzz/corpus/parse/length-instead-of-type");
    let tagged = include_bytes!("../fuzz/corpus/parse/tagged-length");
    let reason = Reason::LessThan {
        least: 0x0600,
        found: 0x26,
    };
    assert_eq!(Frame::parse(plain), Err(error(fields::ETHER_TYPE, reason)));
    assert_eq!(
        Frame::parse(tagged),
        Err(error(fields::TAGGED_ETHER_TYPE, reason))
    );
    let mut bytes = CAPTURED.to_vec();
    bytes[12..14].copy_from_slice(&[0x05, 0xff]);
    assert!(Frame::parse(&bytes).is_err());
    bytes[12..14].copy_from_slice(&[0x06, 0x00]);
    assert!(Frame::parse(&bytes).is_ok());
}

#[test]
fn a_header_that_cannot_be_written_leaves_the_buffer_as_it_was() {
    let header = Frame::parse(CAPTURED).unwrap().header();
    let tagged = Header {
        tag: Some(Tag::default()),
        ..header
    };
    let length = EtherType(0x05ff);
    for (header, room) in [
        (header, 13),
        (tagged, 17),
        (
            Header {
                ether_type: length,
                ..header
            },
            60,
        ),
        (
            Header {
                ether_type: length,
                ..tagged
            },
            60,
        ),
        // It would be read as a tag.
        (
            Header {
                ether_type: EtherType::VLAN,
                ..header
            },
            60,
        ),
    ] {
        let mut bytes = vec![0xa5; room];
        assert!(header.emit(&mut bytes).is_err(), "{header:?}");
        assert_eq!(bytes, vec![0xa5; room]);
    }
}

#[test]
fn what_is_shorter_than_a_check_sequence_has_none() {
    for len in 0..FCS_LEN {
        let mut bytes = vec![0; len];
        let expected = Error {
            field: "frame_check_sequence",
            offset: 0,
            reason: Reason::Truncated {
                needed: FCS_LEN,
                available: len,
            },
        };
        assert_eq!(crc::open(&bytes), Err(expected));
        assert_eq!(crc::seal(&mut bytes), Err(expected));
    }
}

#[test]
fn an_address_says_whether_it_is_a_groups_and_who_chose_it() {
    let address = |text: &str| text.parse::<MacAddress>().unwrap();
    assert_eq!(MacAddress::BROADCAST, address("FF:ff:FF:ff:FF:ff"));
    assert!(MacAddress::BROADCAST.is_multicast());
    assert!(address("01:00:5e:00:00:fb").is_multicast());
    let host = address("02:00:00:00:00:01");
    assert!(!host.is_multicast() && host.is_locally_administered());
    let made = address("00:00:5e:00:53:01");
    assert!(!made.is_multicast() && !made.is_locally_administered());
}

#[test]
fn an_address_that_is_none_is_refused_at_the_place_where_it_goes_wrong() {
    for (text, offset) in [
        ("", 0),
        ("02", 2),
        ("02:00:00:00:00:0", 16),
        ("02:00:00:00:00:011", 17),
        ("02-00-00-00-00-01", 2),
        ("02:0g:00:00:00:01", 4),
        ("0:00:00:00:00:001", 1),
        ("02:00:00:00:00:é", 15),
    ] {
        let error = text.parse::<MacAddress>().unwrap_err();
        assert_eq!(
            (error.field, error.offset),
            ("mac_address", offset),
            "{text}: {error}"
        );
    }
}

#[test]
fn priorities_and_vlans_hold_what_fits() {
    assert_eq!(Priority::new(7).map(Priority::get), Some(7));
    assert_eq!(Priority::new(8), None);
    assert_eq!(VlanId::new(4_095).map(VlanId::get), Some(4_095));
    assert_eq!(VlanId::new(4_096), None);
}

proptest! {
    #[test]
    fn any_bytes_keep_all_promises(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        support::holds(&bytes);
    }

    #[test]
    fn what_is_written_is_read(
        (destination, source) in any::<([u8; 6], [u8; 6])>(),
        tag in prop::option::of((0..8_u8, any::<bool>(), 0..4_096_u16)),
        ether_type in 0x0600..=u16::MAX,
        payload in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        prop_assume!(tag.is_some() || ether_type != EtherType::VLAN.0);
        let header = Header {
            destination: MacAddress(destination),
            source: MacAddress(source),
            tag: tag.map(|(priority, drop_eligible, vlan)| Tag {
                priority: Priority::new(priority).unwrap(),
                drop_eligible,
                vlan: VlanId::new(vlan).unwrap(),
            }),
            ether_type: EtherType(ether_type),
        };
        let mut bytes = vec![0; header.header_len() + payload.len()];
        header.emit(&mut bytes).unwrap().copy_from_slice(&payload);
        let sealed = sealed(&bytes);
        let frame = Frame::parse_with_fcs(&sealed).unwrap();
        prop_assert_eq!(frame.header(), header);
        prop_assert_eq!(frame.payload(), &payload[..]);
    }
}
