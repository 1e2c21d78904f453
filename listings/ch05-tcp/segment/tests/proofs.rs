//! What the page says about segments, and what holds for every one.

mod strategies;
mod support;

use std::cmp::Ordering;
use std::time::Duration;

use ip_header::{Addresses, Error};
use proptest::collection::vec;
use proptest::prelude::*;
use strategies::{Parts, addresses, header, list};
use support::ADDRESSES;
use tcp_segment::option::{Cookie, MAX_OPTIONS_LEN, Other, SackBlock, SackBlocks, UserTimeout};
use tcp_segment::{
    Flags, HEADER_LEN, Header, MAX_HEADER_LEN, Options, Segment, SeqNumber, TcpOption,
};

const V4: Addresses = ADDRESSES[0];

/// A segment whose header has these options, with these data.
fn segment(options: &[u8], data: &[u8], addresses: Addresses) -> Vec<u8> {
    let header = Header {
        acknowledgment_number: SeqNumber(0x0123_4567),
        flags: Flags::PSH | Flags::ACK,
        window: 501,
        options: Options::new(options).unwrap(),
        ..Header::new(40_000, 80, SeqNumber(0x89ab_cdef))
    };
    let mut bytes = vec![0; header.header_len()];
    bytes.extend(data);
    header.emit(&mut bytes, addresses).unwrap();
    bytes
}

fn flip<const N: usize>(bytes: &[u8], bits: [usize; N]) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    for bit in bits {
        flipped[bit / 8] ^= 0x80 >> (bit % 8);
    }
    flipped
}

/// Makes the checksum right again.
fn mended(mut bytes: Vec<u8>, addresses: Addresses) -> Vec<u8> {
    if let Ok(segment) = Segment::parse_without_checksum(&bytes) {
        let checksum = segment.computed_checksum(addresses);
        bytes[16..18].copy_from_slice(&checksum.to_be_bytes());
    }
    bytes
}

/// The options in `bytes`, in a header where they are all there is.
fn options(bytes: &[u8]) -> Vec<Result<TcpOption<'_>, String>> {
    let options = Options::new(bytes).unwrap();
    let text = |error: Error| error.to_string();
    options.iter().map(|option| option.map_err(text)).collect()
}

#[test]
fn one_flipped_bit_is_caught_wherever_it_is() {
    for addresses in ADDRESSES {
        for options in (0..=MAX_OPTIONS_LEN).step_by(4) {
            for data in [&b""[..], b"odd", b"a longer payload"] {
                let bytes = segment(&vec![1; options], data, addresses);
                Segment::parse(&bytes, addresses).expect("right as it was sent");
                for bit in 0..bytes.len() * 8 {
                    let caught = Segment::parse(&flip(&bytes, [bit]), addresses).is_err();
                    assert!(caught, "bit {bit}, {options} bytes of options");
                }
            }
        }
    }
}

#[test]
fn one_flipped_bit_of_an_address_is_caught_by_the_checksum() {
    for addresses in ADDRESSES {
        let bytes = segment(&[], b"hello", addresses);
        let (both, half) = match addresses {
            Addresses::V4 {
                source,
                destination,
            } => ([source.octets(), destination.octets()].concat(), 4),
            Addresses::V6 {
                source,
                destination,
            } => ([source.octets(), destination.octets()].concat(), 16),
        };
        for bit in 0..both.len() * 8 {
            let flipped = flip(&both, [bit]);
            let (source, destination) = flipped.split_at(half);
            let wrong = match addresses {
                Addresses::V4 { .. } => Addresses::V4 {
                    source: <[u8; 4]>::try_from(source).unwrap().into(),
                    destination: <[u8; 4]>::try_from(destination).unwrap().into(),
                },
                Addresses::V6 { .. } => Addresses::V6 {
                    source: <[u8; 16]>::try_from(source).unwrap().into(),
                    destination: <[u8; 16]>::try_from(destination).unwrap().into(),
                },
            };
            let error = Segment::parse(&bytes, wrong).unwrap_err();
            assert_eq!(error.field, "checksum", "bit {bit}");
        }
    }
}

#[test]
fn zeros_that_were_added_or_lost_are_caught_since_the_length_counts_too() {
    let bytes = segment(&[], b"data\0\0", V4);
    for len in [
        bytes.len() - 2,
        bytes.len() - 1,
        bytes.len() + 1,
        bytes.len() + 2,
    ] {
        let mut other = bytes.clone();
        other.resize(len, 0);
        let error = Segment::parse(&other, V4).unwrap_err();
        assert_eq!(error.field, "checksum", "{len} bytes");
    }
}

#[test]
fn words_that_change_places_escape_the_checksum() {
    let bytes = segment(&[], b"Al pays Bo", V4);
    let swapped = segment(&[], b"Bo pays Al", V4);
    assert_eq!(bytes[16..18], swapped[16..18]);
    let swapped = Segment::parse(&swapped, V4).unwrap();
    assert_eq!(swapped.payload(), b"Bo pays Al");
    // Ports and addresses, too: what went from here to there could as well come from there.
    let Addresses::V4 {
        source,
        destination,
    } = V4
    else {
        unreachable!("V4 is of version 4");
    };
    let reversed = Addresses::V4 {
        source: destination,
        destination: source,
    };
    let mut back = bytes;
    back[..4].rotate_left(2);
    let back = Segment::parse(&back, reversed).unwrap();
    assert_eq!(back.header().source_port, 80);
}

/// Two flips cancel out if they are in the same column of their words and one bit was 0 and the
/// other 1: of all pairs one in 16, and of these one in two.
#[test]
fn two_flipped_bits_escape_if_they_stand_in_one_column_and_differ_and_only_then() {
    let bytes = segment(&[1; 12], b"Al pays Bo 10 won\n", V4);
    let bits = bytes.len() * 8;
    let bit = |at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
    let data_offset = 96..100;
    let mut escaped = 0;
    for first in 0..bits {
        for second in 0..first {
            let cancel = first % 16 == second % 16 && bit(first) != bit(second);
            let accepted = Segment::parse(&flip(&bytes, [first, second]), V4).is_ok();
            let lengths_wrong = data_offset.contains(&first) || data_offset.contains(&second);
            if !lengths_wrong {
                assert_eq!(accepted, cancel, "bits {first} and {second}");
            }
            escaped += usize::from(accepted);
        }
    }
    let share = escaped as f64 / (bits * (bits - 1) / 2) as f64;
    assert!((0.02..0.04).contains(&share), "{share}");
}

#[test]
fn both_forms_of_a_zero_checksum_are_right() {
    let mut bytes = segment(&[], &[0, 0], V4);
    // Data that bring the sum of everything else to 0xffff.
    let checksum = [bytes[16], bytes[17]];
    bytes[20..22].copy_from_slice(&checksum);
    for zero in [0x00, 0xff] {
        bytes[16..18].fill(zero);
        assert!(Segment::parse(&bytes, V4).is_ok());
        support::holds(&bytes);
    }
}

/// Each way in which a segment can be wrong, and what is said about it.
#[test]
fn what_is_wrong_is_named_with_field_and_offset() {
    let good = || segment(&[1; 8], b"data", V4);
    let with = |at: usize, byte: u8| {
        let mut bytes = good();
        bytes[at] = byte;
        mended(bytes, V4)
    };
    let table: &[(Vec<u8>, &str)] = &[
        (
            vec![],
            "source_port at byte 0 is cut off: 0 of 20 bytes are there",
        ),
        (
            good()[..7].to_vec(),
            "sequence_number at byte 4 is cut off: 7 of 20 bytes are there",
        ),
        (
            good()[..19].to_vec(),
            "urgent_pointer at byte 18 is cut off: 19 of 20 bytes are there",
        ),
        (with(12, 0x40), "data_offset at byte 12 is 4, less than 5"),
        (
            with(12, 0x90),
            "options at byte 20 is cut off: 32 of 36 bytes are there",
        ),
        (
            good()[..24].to_vec(),
            "options at byte 20 is cut off: 24 of 28 bytes are there",
        ),
        (
            flip(&good(), [8 * 31]),
            "checksum at byte 16 is 0x8a12, but the bytes give 0x8992",
        ),
    ];
    for (bytes, expected) in table {
        assert_eq!(
            Segment::parse(bytes, V4).unwrap_err().to_string(),
            *expected
        );
        support::holds(bytes);
    }
}

#[test]
fn options_that_are_wrong_are_named_with_their_offset() {
    let mss = || Ok(TcpOption::MaximumSegmentSize(1460));
    let wrong = |text: &str| Err(text.to_owned());
    // The walk ends where no length says where to go on.
    let ends: &[(&[u8], &str)] = &[
        (&[3, 0, 7, 1], "option_length at byte 25 is 0, less than 2"),
        (&[9, 1, 1, 1], "option_length at byte 25 is 1, less than 2"),
        (
            &[8, 10, 0, 0],
            "option_length at byte 25 is 10, more than 4",
        ),
        (
            &[1, 253, 255, 1],
            "option_length at byte 26 is 255, more than 3",
        ),
        (
            &[1, 1, 1, 3],
            "option_length at byte 28 is cut off: 28 of 29 bytes are there",
        ),
    ];
    for (bytes, expected) in ends {
        let read = [&[2, 4, 0x05, 0xb4], *bytes].concat();
        let read = options(&read);
        assert_eq!(read[0], mss());
        assert_eq!(read.last(), Some(&wrong(expected)));
        let fills = |option: &Result<TcpOption, String>| *option == Ok(TcpOption::NoOperation);
        assert!(read[1..read.len() - 1].iter().all(fills), "{read:?}");
    }
    // It goes on behind an option whose length is known and wrong.
    let goes_on: &[(&[u8], &str)] = &[
        (&[2, 3, 5, 1], "option_length at byte 21 is 3, not 4"),
        (&[3, 4, 7, 7], "option_length at byte 21 is 4, not 3"),
        (&[4, 3, 0, 1], "option_length at byte 21 is 3, not 2"),
        (&[5, 2, 1, 1], "option_length at byte 21 is 2, not 10"),
        (
            &[5, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            "option_length at byte 21 is 20, not 18",
        ),
        (
            &[8, 8, 0, 0, 0, 0, 0, 0],
            "option_length at byte 21 is 8, not 10",
        ),
        (&[28, 3, 0, 1], "option_length at byte 21 is 3, not 4"),
        (&[34, 4, 0, 0], "option_length at byte 21 is 4, not 6"),
        (
            &[34, 7, 0, 0, 0, 0, 0, 1],
            "option_length at byte 21 is 7, not 6",
        ),
        (
            &[34, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            "option_length at byte 21 is 20, not 18",
        ),
    ];
    for (bytes, expected) in goes_on {
        let read = [*bytes, &[2, 4, 0x05, 0xb4]].concat();
        let read = options(&read);
        assert_eq!(read.first(), Some(&wrong(expected)));
        assert_eq!(read.last(), Some(&mss()));
    }
    // Neither makes the segment unreadable: its sender can be answered.
    for (bytes, _) in ends.iter().chain(goes_on) {
        let bytes = segment(bytes, b"data", V4);
        assert!(Segment::parse(&bytes, V4).is_ok());
        support::holds(&bytes);
    }
}

#[test]
fn an_option_that_nobody_knows_is_passed_over_by_its_length() {
    let authentication = [29, 6, 1, 2, 0xaa, 0xbb];
    let bytes = [
        &authentication[..],
        &[253, 4, 9, 9],
        &[3, 3, 7],
        &[0, 0xee, 0xee],
    ]
    .concat();
    let other = |kind, data| Ok(TcpOption::Other(Other::new(kind, data).unwrap()));
    assert_eq!(
        options(&bytes),
        [
            other(29, &[1, 2, 0xaa, 0xbb]),
            other(253, &[9, 9]),
            Ok(TcpOption::WindowScale(7)),
            Ok(TcpOption::EndOfList), // what follows is padding, whatever it is
        ]
    );
}

#[test]
fn every_option_is_written_as_its_rfc_draws_it() {
    let block = |left, right| SackBlock {
        left: SeqNumber(left),
        right: SeqNumber(right),
    };
    let blocks = |list: &[SackBlock]| TcpOption::Sack(SackBlocks::new(list).unwrap());
    let table: &[(TcpOption, &[u8])] = &[
        (TcpOption::EndOfList, &[0]),
        (TcpOption::NoOperation, &[1]),
        (TcpOption::MaximumSegmentSize(1460), &[2, 4, 0x05, 0xb4]),
        (TcpOption::WindowScale(14), &[3, 3, 14]),
        (TcpOption::SackPermitted, &[4, 2]),
        (
            blocks(&[block(0x01020304, 0x05060708)]),
            &[5, 10, 1, 2, 3, 4, 5, 6, 7, 8],
        ),
        (
            blocks(&[block(1, 2), block(3, 4), block(5, 6), block(7, 8)]),
            &[
                5, 34, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6, 0,
                0, 0, 7, 0, 0, 0, 8,
            ],
        ),
        (
            TcpOption::Timestamps {
                value: 0x0a0b_0c0d,
                echo_reply: 0x0102_0304,
            },
            &[8, 10, 0x0a, 0x0b, 0x0c, 0x0d, 1, 2, 3, 4],
        ),
        (
            TcpOption::UserTimeout(UserTimeout::from_minutes(5).unwrap()),
            &[28, 4, 0x80, 5],
        ),
        (
            TcpOption::UserTimeout(UserTimeout::from_seconds(300).unwrap()),
            &[28, 4, 0x01, 0x2c],
        ),
        (TcpOption::FastOpen(Cookie::REQUEST), &[34, 2]),
        (
            TcpOption::FastOpen(Cookie::new(b"biscuits").unwrap()),
            &[34, 10, b'b', b'i', b's', b'c', b'u', b'i', b't', b's'],
        ),
        (
            TcpOption::Other(Other::new(30, &[0, 0x81]).unwrap()),
            &[30, 4, 0, 0x81],
        ),
    ];
    for (option, expected) in table {
        let mut room = [0xee; MAX_OPTIONS_LEN];
        let emitted = Options::emit(std::slice::from_ref(option), &mut room).unwrap();
        let (bytes, padding) = emitted.as_bytes().split_at(option.wire_len());
        assert_eq!(bytes, *expected, "{option:?}");
        assert!(padding.len() < 4 && padding.iter().all(|byte| *byte == 0));
        assert_eq!(option.kind(), expected[0]);
        assert_eq!(emitted.iter().next(), Some(Ok(*option)));
    }
}

#[test]
fn what_does_not_fit_is_not_written() {
    let mut buffer = vec![0; 66_000];
    let options = [1; 8];
    let header = Header {
        options: Options::new(&options).unwrap(),
        ..Header::new(1, 2, SeqNumber(3))
    };
    let mut says = |len: usize, addresses| {
        let error = header.emit(&mut buffer[..len], addresses).unwrap_err();
        error.to_string()
    };
    let [v4, v6] = ADDRESSES;
    assert_eq!(
        says(19, v4),
        "urgent_pointer at byte 18 is cut off: 19 of 20 bytes are there"
    );
    assert_eq!(
        says(27, v4),
        "options at byte 20 is cut off: 27 of 28 bytes are there"
    );
    assert_eq!(
        says(65_516, v4),
        "segment at byte 0 is 65516, more than 65515"
    );
    assert_eq!(
        says(65_536, v6),
        "segment at byte 0 is 65536, more than 65535"
    );
    assert!(
        buffer.iter().all(|byte| *byte == 0),
        "something was written"
    );
    for (len, addresses) in [(65_515, v4), (65_535, v6)] {
        header.emit(&mut buffer[..len], addresses).unwrap();
        assert!(Segment::parse(&buffer[..len], addresses).is_ok());
        let error = Segment::parse(&buffer[..=len], addresses).unwrap_err();
        assert_eq!(error.field, "segment");
    }

    let mut room = [0; MAX_OPTIONS_LEN];
    assert!(Options::emit(&[TcpOption::NoOperation; 40], &mut room).is_ok());
    let long = [0; 300];
    let long = TcpOption::Other(Other::new(253, &long).unwrap());
    for (list, len) in [
        (&[TcpOption::NoOperation; 41][..], 41),
        (&[TcpOption::MaximumSegmentSize(1460); 11], 44),
        (&[TcpOption::NoOperation, long], 303),
    ] {
        let error = Options::emit(list, &mut room).unwrap_err();
        let expected = format!("options at byte 20 is {len}, more than 40");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_value_that_its_field_cannot_hold_cannot_be_made() {
    assert!(Flags::from_bits(0x0fff).is_some() && Flags::from_bits(0x1000).is_none());
    assert!(UserTimeout::from_seconds(32_767).is_some());
    assert!(UserTimeout::from_seconds(32_768).is_none());
    assert!(UserTimeout::from_minutes(32_768).is_none());
    let blocks = [SackBlock::default(); 5];
    for (count, fits) in [(0, false), (1, true), (4, true), (5, false)] {
        assert_eq!(SackBlocks::new(&blocks[..count]).is_some(), fits, "{count}");
    }
    for len in 0..=20 {
        let fits = len == 0 || (4..=16).contains(&len) && len % 2 == 0;
        assert_eq!(Cookie::new(&[0; 20][..len]).is_some(), fits, "{len}");
    }
    for kind in [0, 1, 2, 3, 4, 5, 8, 28, 34] {
        assert!(Other::new(kind, &[]).is_none(), "{kind} has a name");
    }
    let refused = |len: usize| Options::new(&[0; 48][..len]).unwrap_err().to_string();
    assert_eq!(refused(44), "options at byte 20 is 44, more than 40");
    assert_eq!(refused(6), "options at byte 20 is 6, not a multiple of 4");
}

#[test]
fn a_user_timeout_counts_seconds_or_minutes() {
    let minutes = UserTimeout::from_minutes(5).unwrap();
    let seconds = UserTimeout::from_seconds(300).unwrap();
    assert_eq!(minutes.duration(), Duration::from_secs(300));
    assert_eq!(seconds.duration(), minutes.duration());
    assert_ne!(seconds, minutes);
}

#[test]
fn there_are_eight_flags_each_a_bit_of_its_own() {
    let flags = [
        (Flags::CWR, "CWR"),
        (Flags::ECE, "ECE"),
        (Flags::URG, "URG"),
        (Flags::ACK, "ACK"),
        (Flags::PSH, "PSH"),
        (Flags::RST, "RST"),
        (Flags::SYN, "SYN"),
        (Flags::FIN, "FIN"),
    ];
    for (at, (flag, name)) in flags.into_iter().enumerate() {
        let header = Header {
            flags: flag,
            ..Header::new(1, 2, SeqNumber(3))
        };
        let mut bytes = [0; HEADER_LEN];
        header.emit(&mut bytes, V4).unwrap();
        assert_eq!((bytes[12], bytes[13]), (0x50, 0x80 >> at), "{name}");
        assert_eq!(flag.to_string(), name);
    }
    let all = flags
        .into_iter()
        .fold(Flags::NONE, |all, (flag, _)| all | flag);
    assert_eq!(all.bits(), 0xff);
    assert_eq!(all.to_string(), "SYN, FIN, RST, PSH, URG, ACK, ECE, CWR");
    assert_eq!(Flags::NONE.to_string(), "none");
}

#[test]
fn reserved_bits_are_kept_as_they_came() {
    let bytes = mended(
        {
            let mut bytes = segment(&[], b"", V4);
            bytes[12] |= 0x0f;
            bytes
        },
        V4,
    );
    let flags = Segment::parse(&bytes, V4).unwrap().header().flags;
    assert_eq!(flags.reserved(), 0xf);
    assert_eq!(flags.to_string(), "PSH, ACK, AE, 0xe00");
    support::holds(&bytes);
}

#[test]
fn a_header_is_twenty_to_sixty_bytes_long() {
    for options in (0..=MAX_OPTIONS_LEN).step_by(4) {
        let bytes = segment(&vec![1; options], b"data", V4);
        let parsed = Segment::parse(&bytes, V4).unwrap();
        let len = HEADER_LEN + options;
        assert_eq!(usize::from(parsed.data_offset()) * 4, len);
        assert_eq!(parsed.payload(), b"data");
    }
    assert_eq!((HEADER_LEN, MAX_HEADER_LEN), (20, 60));
}

#[test]
fn a_syn_and_a_fin_take_a_sequence_number_each() {
    let takes = |flags, data: usize| {
        let header = Header {
            flags,
            ..Header::new(1, 2, SeqNumber(3))
        };
        header.sequence_len(data)
    };
    assert_eq!(takes(Flags::ACK, 0), 0);
    assert_eq!(takes(Flags::SYN, 0), 1);
    assert_eq!(takes(Flags::FIN | Flags::ACK, 0), 1);
    assert_eq!(takes(Flags::RST, 0), 0);
    assert_eq!(takes(Flags::PSH | Flags::ACK, 1448), 1448);
    assert_eq!(takes(Flags::SYN | Flags::FIN, 10), 12);
}

#[test]
fn a_window_is_scaled_except_in_a_syn() {
    let window = |flags, shift| {
        let header = Header {
            flags,
            window: 65_535,
            ..Header::new(1, 2, SeqNumber(3))
        };
        header.window_bytes(shift)
    };
    assert_eq!(window(Flags::ACK, 0), 65_535);
    assert_eq!(window(Flags::ACK, 7), 65_535 * 128);
    assert_eq!(window(Flags::SYN | Flags::ACK, 7), 65_535);
    // About a gigabyte: less than half of all sequence numbers, so that old and new can be told apart.
    assert_eq!(window(Flags::ACK, 14), 1_073_725_440);
    assert_eq!(window(Flags::ACK, 255), window(Flags::ACK, 14));
}

#[test]
fn sequence_numbers_begin_anew_behind_the_last() {
    let last = SeqNumber(u32::MAX);
    assert_eq!(last + 1, SeqNumber(0));
    assert_eq!(SeqNumber(0) - 1, last);
    assert!(last < SeqNumber(0) && SeqNumber(5) > SeqNumber(u32::MAX - 5));
    assert_eq!(SeqNumber(5) - SeqNumber(u32::MAX - 4), 10);
    let mut number = last;
    number += 3;
    assert_eq!(
        (number, number.max(last), number.min(last)),
        (SeqNumber(2), number, last)
    );
    number -= 3;
    assert_eq!(number, last);
    // Half way round neither comes first.
    let half = 1 << 31;
    assert_eq!(SeqNumber(7).partial_cmp(&(SeqNumber(7) + half)), None);
    assert!(SeqNumber(7) < SeqNumber(7) + (half - 1));
    assert!(SeqNumber(7) > SeqNumber(7) + (half + 1));
}

#[test]
fn a_window_may_lie_across_the_last_number() {
    let first = SeqNumber(u32::MAX - 1);
    let within = [u32::MAX - 1, u32::MAX, 0, 1].map(SeqNumber);
    for number in within {
        assert!(number.is_within(first, 4), "{number}");
        assert!(!number.is_within(first, 0), "{number}");
    }
    for number in [u32::MAX - 2, 2].map(SeqNumber) {
        assert!(!number.is_within(first, 4), "{number}");
    }
}

#[test]
fn a_capture_that_was_cut_off_is_read_without_its_checksum() {
    let bytes = segment(&[1; 12], &[0xa5; 1000], V4);
    let cut = &bytes[..96];
    assert_eq!(Segment::parse(cut, V4).unwrap_err().field, "checksum");
    let parsed = Segment::parse_without_checksum(cut).unwrap();
    assert_eq!(
        parsed.header(),
        Segment::parse(&bytes, V4).unwrap().header()
    );
    assert_eq!(parsed.payload().len(), 64);
    assert_eq!(parsed.header().sequence_len(1000), 1000);
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
    assert!(files >= 30, "{files} files in {corpus}");
}

/// The kinds that have no name here.
fn other_kinds() -> Vec<u8> {
    let nameless = |kind: &u8| Other::new(*kind, &[]).is_some();
    (0..=u8::MAX).filter(nameless).collect()
}

/// Bytes that look like a segment at least in their first ones.
fn almost_a_segment() -> impl Strategy<Value = Vec<u8>> {
    let kinds = prop::sample::select(&[0_u8, 1, 2, 3, 4, 5, 8, 19, 28, 29, 30, 34, 254][..]);
    let lengths = prop::sample::select(&[0_u8, 1, 2, 3, 4, 6, 8, 10, 18, 26, 34, 40][..]);
    (
        vec(any::<u8>(), 20..100),
        5..=15_u8,
        vec((kinds, lengths), 8),
    )
        .prop_map(|(mut bytes, data_offset, options)| {
            bytes[12] = data_offset << 4 | bytes[12] & 0x0f;
            let mut at = HEADER_LEN;
            for (kind, length) in options {
                if let Some(place) = bytes.get_mut(at..at + 2) {
                    place.copy_from_slice(&[kind, length]);
                }
                at += if kind < 2 {
                    1
                } else {
                    usize::from(length).max(2)
                };
            }
            bytes
        })
}

proptest! {
    #[test]
    fn parsing_undoes_emitting(
        header in header(), list in list(other_kinds()), data in vec(any::<u8>(), 0..100),
        addresses in addresses(),
    ) {
        let list: Vec<TcpOption> = list.iter().map(Parts::option).collect();
        let mut room = [0xee; MAX_OPTIONS_LEN];
        let header = Header { options: Options::emit(&list, &mut room).unwrap(), ..header };
        let mut bytes = vec![0xee; header.header_len()];
        bytes.extend(&data);
        header.emit(&mut bytes, addresses).unwrap();

        let segment = Segment::parse(&bytes, addresses).unwrap();
        prop_assert_eq!(segment.header(), header);
        prop_assert_eq!(segment.payload(), data);
        let read = segment.header().options.iter().take_while(|option| {
            *option != Ok(TcpOption::EndOfList) // the padding
        });
        prop_assert_eq!(read.collect::<Result<Vec<_>, _>>().unwrap(), list);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        support::holds(&bytes);
    }

    #[test]
    fn emitting_undoes_parsing(bytes in almost_a_segment()) {
        support::holds(&bytes);
    }

    #[test]
    fn going_on_by_less_than_half_of_all_numbers_makes_greater(
        from in any::<u32>(), on in 1..1_u32 << 31,
    ) {
        let (from, to) = (SeqNumber(from), SeqNumber(from) + on);
        prop_assert_eq!(from.partial_cmp(&to), Some(Ordering::Less));
        prop_assert_eq!(to.partial_cmp(&from), Some(Ordering::Greater));
        prop_assert_eq!((to - from, to - on), (on, from));
        prop_assert_eq!((from.max(to), from.min(to)), (to, from));
        prop_assert!(from.is_within(from, on) && !to.is_within(from, on));
        prop_assert!(to.is_within(from, on + 1));
    }
}

/// The listing itself.
#[cfg(target_os = "linux")]
mod run {
    use std::sync::LazyLock;

    use record::{Table, Wire};
    use tcp_segment::option::SackBlock;
    use tcp_segment::{Flags, Segment, SeqNumber, TcpOption};
    use testkit::{Run, listing};

    static RUN: LazyLock<Run> = LazyLock::new(|| {
        listing!()
            // What the kernel picks at random or reads from a clock, what depends on this machine's
            // memory, and the sum over all.
            .varying(
                r"(?m)^(.* (sequence_number|acknowledgment_number|window|checksum|timestamps|window_scale|sack)) .*$",
                "$2",
            )
            .varying(r"0x[0-9a-f]{4}\b", "SUM")
            .varying(r"(?m)^\d+ of 79800 not noticed, \d\.\d %$", "SOME not noticed")
            // How often a payment is sent again is the sender's choice.
            .varying(r"\d+ segments were", "ALL segments were")
            .run()
            .succeeds()
    });

    /// A segment of a figure. Its checksum was right when it was captured; the figure has no
    /// addresses.
    fn of_figure(name: &str) -> Segment<'static> {
        Segment::parse_without_checksum(&RUN.wire(name).bytes).unwrap()
    }

    fn options(segment: Segment<'static>) -> Vec<TcpOption<'static>> {
        let options = segment.header().options;
        options.iter().collect::<Result<_, _>>().unwrap()
    }

    /// The numbers of a row of the table: bytes of header and data, sequence numbers.
    fn row(table: &Table, name: &str) -> [usize; 3] {
        let row = table.rows.iter().find(|row| row[0] == name);
        let row = row.unwrap_or_else(|| panic!("no segment {name}"));
        [2, 3, 4].map(|at| row[at].parse().unwrap())
    }

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
        fn covered(fields: &[record::Field], from: usize) -> usize {
            fields.iter().fold(from, |bit, field| {
                assert_eq!(field.bit, bit, "{}", field.name);
                if !field.fields.is_empty() {
                    assert_eq!(
                        covered(&field.fields, bit),
                        bit + field.bits,
                        "{}",
                        field.name
                    );
                }
                bit + field.bits
            })
        }
        for name in ["syn", "data", "sack"] {
            let Wire { bytes, fields } = RUN.wire(name);
            assert_eq!(covered(fields, 0), bytes.len() * 8, "{name}");
            super::support::holds(bytes);
        }
    }

    #[test]
    fn a_syn_brings_four_options() {
        let options = options(of_figure("syn"));
        let [
            TcpOption::MaximumSegmentSize(1460),
            TcpOption::SackPermitted,
            TcpOption::Timestamps { echo_reply: 0, .. },
            TcpOption::NoOperation,
            TcpOption::WindowScale(shift),
        ] = options[..]
        else {
            panic!("{options:?}");
        };
        assert!(shift <= 14, "{shift}");
    }

    #[test]
    fn sequence_numbers_count_bytes() {
        let [syn, data, sack] = ["syn", "data", "sack"].map(|name| of_figure(name).header());
        let payment = of_figure("data").payload().len() as u32;
        assert_eq!(payment, 18);
        // The SYN took a number, the empty acknowledgment behind it none.
        assert_eq!(data.sequence_number, syn.sequence_number + 1);
        // The server has the first payment, and expects the byte behind it.
        assert_eq!(sack.acknowledgment_number, data.sequence_number + payment);
        assert_eq!(sack.sequence_number, data.acknowledgment_number);
    }

    #[test]
    fn three_gaps_make_the_longest_header_there_can_be() {
        let sack = of_figure("sack");
        assert_eq!(sack.data_offset(), 15);
        let expected = sack.header().acknowledgment_number;
        let blocks = options(sack).into_iter().find_map(|option| match option {
            TcpOption::Sack(blocks) => Some(blocks.as_slice().to_vec()),
            _ => None,
        });
        // Payments 3, 5 and 7, the last to arrive first.
        let block = |from: u32| SackBlock {
            left: expected + from,
            right: expected + (from + 18),
        };
        assert_eq!(blocks, Some(vec![block(90), block(54), block(18)]));
    }

    #[test]
    fn headers_of_20_to_60_bytes_occur() {
        let table = RUN.table("kinds");
        let header = |name| row(table, name)[0];
        assert_eq!(header("refuses"), 20);
        assert_eq!(header("pays"), 32);
        assert_eq!(header("acknowledges"), 32);
        assert_eq!(header("asks for a connection"), 40);
        assert_eq!(header("agrees"), 40);
        assert_eq!(header("says that there is a gap"), 44);
        assert_eq!(header("says that there are two gaps"), 52);
        assert_eq!(header("says that there are three gaps"), 60);
    }

    #[test]
    fn a_syn_and_a_fin_take_a_number_each_and_an_acknowledgment_none() {
        let table = RUN.table("kinds");
        let [data, numbers] = [1, 2].map(|at| move |name| row(table, name)[at]);
        for (name, takes) in [
            ("asks for a connection", 1),
            ("agrees", 1),
            ("acknowledges", 0),
            ("says that there is a gap", 0),
            ("has finished", 1),
            ("refuses", 0),
        ] {
            assert_eq!((data(name), numbers(name)), (0, takes), "{name}");
        }
        assert_eq!((data("pays"), numbers("pays")), (18, 18));
    }

    #[test]
    fn all_eight_flags_occur() {
        let flags: Vec<&str> = RUN
            .table("kinds")
            .rows
            .iter()
            .map(|row| &row[1][..])
            .collect();
        let flags = flags.join(" ");
        for flag in 0..8 {
            let name = Flags::from_bits(1 << flag).unwrap().to_string();
            assert!(flags.contains(&name), "no {name} in {flags}");
        }
    }

    #[test]
    fn a_reset_carries_no_options() {
        assert_eq!(row(RUN.table("kinds"), "refuses"), [20, 0, 0]);
    }

    #[test]
    fn one_flipped_bit_is_noticed_in_segment_and_addresses() {
        let noticed = |line: &str| assert!(RUN.stdout.contains(line), "{}", RUN.stdout);
        noticed("\nthe segment    400 of 400 noticed: ");
        noticed("\nthe addresses  64 of 64 noticed, ");
    }

    #[test]
    fn of_two_flipped_bits_about_one_pair_in_32_is_not_noticed() {
        let line = RUN
            .stdout
            .lines()
            .find(|line| line.contains(" not noticed,"));
        let count = line.and_then(|line| line.split(' ').next()?.parse::<f64>().ok());
        let share = count.expect("a count") / 79_800.0;
        assert!((0.02..0.04).contains(&share), "{share}");
    }

    #[test]
    fn two_names_that_change_places_are_not_noticed() {
        let text = &RUN.stdout;
        assert!(text.contains("\nAl pays Bo 10 won (0x"), "{text}");
        assert!(text.contains("\nBo pays Al 10 won (0x"), "{text}");
    }

    #[test]
    fn wrong_arguments_are_answered_with_the_usage() {
        let run = listing!().arg("eth0").run();
        assert_eq!(run.status.code(), Some(2));
        assert!(run.stderr.starts_with("usage: "), "{}", run.stderr);
    }

    #[test]
    fn the_first_number_differs_from_connection_to_connection() {
        let again = listing!().run().succeeds();
        let first = |run: &Run| {
            let syn = &run.wire("syn").bytes;
            Segment::parse_without_checksum(syn)
                .unwrap()
                .header()
                .sequence_number
        };
        assert_ne!(first(&RUN), first(&again), "a chance of one in 2³²");
        assert_ne!(first(&RUN), SeqNumber(0));
    }
}
