//! That many bytes at once are judged as each alone would be.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{
    BLOCK, HALF, LANES, Stops, is, is_target, is_token, lanes, plain_host_end, portable,
    target_end, token_end, word_end,
};

/// Every byte in every place, among bytes of one kind and of the other.
fn places<const N: usize>(mut judge: impl FnMut([u8; N])) {
    for among in [b'a', b' ', b'\r', 0xff] {
        for at in 0..N {
            for byte in 0..=255 {
                let mut bytes = [among; N];
                bytes[at] = byte;
                judge(bytes);
            }
        }
    }
}

/// Every two bytes side by side, in the lowest and in the highest lanes of a word.
fn pairs<const N: usize>(mut judge: impl FnMut([u8; N])) {
    for first in 0..=255 {
        for second in 0..=255 {
            for at in [0, 6, 7, N - 2] {
                let mut bytes = [b'x'; N];
                bytes[at] = first;
                bytes[at + 1] = second;
                judge(bytes);
            }
        }
    }
}

/// Sixteen bits count; what is above them does not.
fn low(bits: u32) -> u32 {
    bits & 0xffff
}

fn judge_lanes(bytes: [u8; LANES]) {
    let text = bytes.escape_ascii();
    assert_eq!(
        low(lanes::not_word(&bytes)),
        portable::not_word(&bytes),
        "{text}"
    );
    assert_eq!(
        low(lanes::not_plain_host(&bytes)),
        portable::not_plain_host(&bytes),
        "{text}"
    );
    assert_eq!(
        lanes::not_target(&bytes),
        portable::not_target(&bytes),
        "{text}"
    );
}

fn judge_half(bytes: [u8; HALF]) {
    assert_eq!(
        lanes::stops(&bytes),
        portable::stops(&bytes),
        "{}",
        bytes.escape_ascii()
    );
}

#[test]
fn sixteen_bytes_at_once_are_judged_as_one_by_one() {
    places(judge_lanes);
    pairs(judge_lanes);
    places(judge_half);
    pairs(judge_half);
}

#[test]
fn a_token_is_compared_as_its_lower_case_is() {
    for byte in (0..=255).filter(|byte| is_token(*byte)) {
        for known in (b'a'..=b'z').chain([b'-']) {
            let same = byte.eq_ignore_ascii_case(&known);
            assert_eq!(is(&[b'X', byte], &[b'x', known]), same, "{byte:#x}");
        }
    }
    assert!(!is(b"hos", b"host") && !is(b"hosts", b"host") && is(b"HoSt", b"host"));
}

fn is_stop(byte: u8) -> bool {
    !matches!(byte, b' '..=b'~')
}

/// Text in which something else stands now and then, or quite often.
fn text(longest: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![30 => b' '..=b'~', 1 => any::<u8>(), 1 => Just(b'\r'), 1 => Just(b'\n')];
    prop_oneof![vec(byte, 0..longest), vec(any::<u8>(), 0..longest)]
}

proptest! {
    #[test]
    fn stops_are_found_from_any_byte_on(bytes in text(4 * BLOCK), from in 0..5 * BLOCK) {
        let found: Vec<usize> = Stops::new(&bytes, from).collect();
        let expected: Vec<usize> = (from..bytes.len()).filter(|at| is_stop(bytes[*at])).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_target_ends_at_its_first_byte_that_none_has(
        mut bytes in vec((b'!'..=b'~').prop_filter("in a target", |byte| is_target(*byte)), 0..100),
        odd in any::<u8>(), at in 0..100_usize,
    ) {
        prop_assert_eq!(target_end(&bytes), None);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = odd;
            prop_assert_eq!(target_end(&bytes), (!is_target(odd)).then_some(at));
        }
    }

    #[test]
    fn names_end_where_they_do(bytes in text(40)) {
        let within = |end: Option<usize>| end.filter(|end| *end < LANES && bytes.len() >= LANES);
        let word = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'-';
        let word_len = bytes.iter().position(|byte| !word(byte));
        prop_assert_eq!(word_end(&bytes), within(word_len));
        let host = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        let host_len = bytes.iter().position(|byte| !host(byte));
        prop_assert_eq!(plain_host_end(&bytes), within(host_len));
        let token_len = bytes.iter().position(|byte| !is_token(*byte));
        prop_assert_eq!(token_end(&bytes), token_len.unwrap_or(bytes.len()));
    }
}
