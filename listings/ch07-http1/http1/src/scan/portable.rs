//! The four questions in plain code.

use super::{HALF, LANES, is_target};

/// A bit for each byte that is not printable ASCII, the lowest for the first.
pub fn stops(bytes: &[u8; HALF]) -> u32 {
    which(bytes, |byte| !matches!(byte, b' '..=b'~'))
}

/// A bit for each byte that is neither a letter nor a hyphen.
pub fn not_word(bytes: &[u8; LANES]) -> u32 {
    which(bytes, |byte| !byte.is_ascii_alphabetic() && byte != b'-')
}

/// A bit for each byte that is no letter, digit, hyphen or point.
pub fn not_plain_host(bytes: &[u8; LANES]) -> u32 {
    which(bytes, |byte| {
        !byte.is_ascii_alphanumeric() && byte != b'-' && byte != b'.'
    })
}

/// A bit for each byte that no request target has.
pub fn not_target(bytes: &[u8; LANES]) -> u32 {
    which(bytes, |byte| !is_target(byte))
}

fn which(bytes: &[u8], is: impl Fn(u8) -> bool) -> u32 {
    let bits = bytes.iter().rev();
    bits.fold(0, |bits, byte| bits << 1 | u32::from(is(*byte)))
}
