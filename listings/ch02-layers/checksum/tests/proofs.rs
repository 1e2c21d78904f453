//! What the page says about sums and what they miss.

use std::sync::OnceLock;

use layers_checksum::{Sum, update};
use proptest::prelude::*;
use testkit::{Run, listing};

fn run() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| listing!().run().succeeds())
}

/// Of one kind of damage: how often it was tried, missed by the sum, missed by the CRC.
fn damage(kind: &str) -> [u32; 3] {
    let rows = &run().table("damage").rows;
    let row = rows.iter().find(|row| row[0] == kind);
    let row = row.unwrap_or_else(|| panic!("no row {kind}"));
    [1, 2, 3].map(|column: usize| row[column].parse().unwrap())
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
        "usage: layers-checksum (it takes no arguments)\n"
    );
    assert_eq!(run.stdout, "");
}

#[test]
fn one_flipped_bit_is_always_noticed() {
    let [tried, sum_missed, crc_missed] = damage("one bit flips");
    assert_eq!((tried, sum_missed, crc_missed), (77 * 8, 0, 0));
}

#[test]
fn words_that_change_places_are_never_noticed_by_the_sum_and_always_by_the_crc() {
    let [tried, sum_missed, crc_missed] = damage("two words change places");
    assert!(tried > 500);
    assert_eq!((sum_missed, crc_missed), (tried, 0));
}

#[test]
fn zeros_that_become_ones_are_never_noticed_by_the_sum_and_always_by_the_crc() {
    let [tried, sum_missed, crc_missed] = damage("`0x0000` becomes `0xffff`");
    assert_eq!((tried, sum_missed, crc_missed), (38, 38, 0));
}

#[test]
fn zeros_that_are_put_in_are_never_noticed_by_the_sum_and_always_by_the_crc() {
    let [tried, sum_missed, crc_missed] = damage("a word of zeros is put in");
    assert_eq!((tried, sum_missed, crc_missed), (39, 39, 0));
}

#[test]
fn of_two_flipped_bits_the_sum_misses_one_pair_in_forty_and_the_crc_none() {
    let [tried, sum_missed, crc_missed] = damage("two bits flip");
    assert_eq!(tried, 616 * 615 / 2);
    // They must stand at the same place of their words, and flip in opposite directions.
    assert!(
        (tried / 45..tried / 32).contains(&sum_missed),
        "{sum_missed}"
    );
    assert_eq!(crc_missed, 0);
}

#[test]
fn of_random_bytes_one_in_65536_has_the_right_sum_and_none_the_right_crc() {
    let [tried, sum_missed, crc_missed] = damage("all becomes random");
    assert_eq!(tried, 1 << 20);
    // 16 are to be expected; the same seed gives the same number in every run.
    assert!((8..=24).contains(&sum_missed), "{sum_missed}");
    assert_eq!(crc_missed, 0);
}

#[test]
fn added_up_on_paper_a_header_has_the_librarys_checksum() {
    let rows = &run().table("sum").rows;
    let number = |cell: &str| {
        u16::from_str_radix(cell.trim_matches('`').trim_start_matches("0x"), 16).unwrap()
    };
    let mut sum = 0_u32;
    for row in rows {
        sum += u32::from(number(&row[0]));
        sum = (sum & 0xffff) + (sum >> 16);
        assert_eq!(number(&row[1]), sum as u16);
    }
    let words: Vec<u8> = rows
        .iter()
        .flat_map(|row| number(&row[0]).to_be_bytes())
        .collect();
    assert_eq!(words.len(), 20);
    assert_eq!(Sum::new().bytes(&words).checksum(), !(sum as u16));
    assert!(
        run()
            .stdout
            .contains("the library's:                0x342f")
    );
}

#[test]
fn an_updated_checksum_is_the_one_of_all_bytes_for_every_ttl_and_every_checksum_before() {
    for identification in 0..=u16::MAX {
        let mut header = [
            0x45, 0, 0, 20, 0, 0, 0x40, 0, 0, 6, 0, 0, 192, 0, 2, 10, 198, 51, 100, 7,
        ];
        header[4..6].copy_from_slice(&identification.to_be_bytes());
        header[8] = (identification % 255) as u8 + 1;
        let before = Sum::new().bytes(&header).checksum();
        let old = u16::from_be_bytes([header[8], header[9]]);
        header[8] -= 1;
        let new = u16::from_be_bytes([header[8], header[9]]);
        let updated = update(before, old, new);
        assert_eq!(
            updated,
            Sum::new().bytes(&header).checksum(),
            "{header:02x?}"
        );
    }
}

#[test]
fn the_older_equation_gives_the_other_zero_where_this_one_is_right() {
    // RFC 1624 §4: the header's other words add up to 0xcd7a, and one word goes from 0x5555 to 0x3285.
    let (before, old, new) = (0xdd2f_u16, 0x5555_u16, 0x3285_u16);
    let ones_sum = |a: u16, b: u16| {
        let (sum, carry) = a.overflowing_add(b);
        sum + u16::from(carry)
    };
    // RFC 1141's: HC' = HC + m + ~m'
    let older = ones_sum(ones_sum(before, old), !new);
    assert_eq!(older, 0xffff);
    assert_eq!(update(before, old, new), 0x0000);
    let header = [0xcd7a_u16, new].map(u16::to_be_bytes).concat();
    assert_eq!(Sum::new().bytes(&header).checksum(), 0x0000);
}

#[test]
fn a_router_that_updates_does_not_hide_what_was_damaged_before() {
    let mut header = [
        0x45, 0, 0, 20, 0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 10, 198, 51, 100, 7,
    ];
    let checksum = Sum::new().bytes(&header).checksum();
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header[17] ^= 0x10; // inside the router, before the TTL is lowered
    header[8] -= 1;
    let updated = update(checksum, 64 << 8 | 6, 63 << 8 | 6);
    header[10..12].copy_from_slice(&updated.to_be_bytes());
    assert!(!Sum::new().bytes(&header).is_valid());
    // Added up anew, the damage would be covered up.
    header[10..12].fill(0);
    let anew = Sum::new().bytes(&header).checksum();
    header[10..12].copy_from_slice(&anew.to_be_bytes());
    assert!(Sum::new().bytes(&header).is_valid());
}

proptest! {
    #[test]
    fn a_burst_of_up_to_15_bits_is_always_noticed_by_the_sum(
        bytes in proptest::collection::vec(any::<u8>(), 4..100),
        (start, pattern) in (any::<prop::sample::Index>(), 1_u16..1 << 15),
    ) {
        let mut damaged = bytes.clone();
        let start = start.index(bytes.len() * 8 - 15);
        for bit in (0..15).filter(|bit| pattern >> bit & 1 == 1) {
            let at = start + bit;
            damaged[at / 8] ^= 0x80 >> (at % 8);
        }
        prop_assert_ne!(Sum::new().bytes(&damaged).checksum(), Sum::new().bytes(&bytes).checksum());
    }

    #[test]
    fn an_update_of_any_word_verifies(
        mut words in proptest::collection::vec(any::<u16>(), 2..30),
        at in any::<prop::sample::Index>(),
        new in any::<u16>(),
    ) {
        let sum = |words: &[u16]| {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            Sum::new().bytes(&bytes)
        };
        let before = sum(&words).checksum();
        let at = at.index(words.len());
        let old = std::mem::replace(&mut words[at], new);
        let updated = update(before, old, new);
        words.push(updated);
        prop_assume!(words.iter().any(|word| *word != 0));
        prop_assert!(sum(&words).is_valid());
    }
}
