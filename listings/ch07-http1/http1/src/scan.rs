//! Which bytes may stand where, and where in a head something ends.
//!
//! A head is text in which few bytes mean anything, so nearly all work on it is to find the next one
//! that does. Four questions are asked about sixteen bytes or more at once; `scan/sse2.rs` answers
//! them on x86-64, `scan/portable.rs` elsewhere, and the tests compare the two.

#[cfg(any(test, not(target_arch = "x86_64")))]
mod portable;

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "it calls SSE2's instructions, which is all")]
mod sse2;

#[cfg(not(target_arch = "x86_64"))]
use portable as lanes;
#[cfg(target_arch = "x86_64")]
use sse2 as lanes;

/// How many bytes are compared at once where few are to be expected.
const LANES: usize = 16;

/// How many bytes are searched at once for line ends.
const BLOCK: usize = 64;
const HALF: usize = BLOCK / 2;

/// What may be part of a token: a method, a field's name (RFC 9110 §5.6.2).
const TOKEN: [bool; 256] = table(b"!#$%&'*+-.^_`|~");

/// What a host's name is made of (RFC 3986 §3.2.2), escapes included.
const HOST: [bool; 256] = table(b"!$%&'()*+,-.;=_~");

/// Letters and digits, and some more.
const fn table(more: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < more.len() {
        table[more[at] as usize] = true;
        at += 1;
    }
    table
}

/// Whether the byte may be part of a token.
#[inline]
pub const fn is_token(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// Whether the byte may be part of a host's name.
#[inline]
pub const fn is_name_of_host(byte: u8) -> bool {
    HOST[byte as usize]
}

/// Whether the byte may be part of a request target.
///
/// RFC 3986 allows less: browsers send ``[ ] \ ^ ` { | }`` as they are, so these pass. What no
/// browser sends does not: quotes, angle brackets and the fragment's `#`.
#[inline]
pub const fn is_target(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'#' | b'<' | b'>')
}

/// Whether the byte may be part of a field's value (RFC 9110 §5.5).
#[inline]
pub const fn is_value(byte: u8) -> bool {
    byte >= b' ' && byte != 0x7f || byte == b'\t'
}

/// Whether the byte is white space within a line.
#[inline]
pub const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Without the white space at either end (RFC 9110 §5.6.3).
#[inline]
pub const fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// How long the token is at the beginning.
pub fn token_end(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| is_token(**byte)).count()
}

/// Whether a token, or other text without control characters, says this in whatever case. `known` is
/// in lower case: a letter differs from its other case by one bit, and no other character of text is
/// a letter or a hyphen but for that bit.
#[inline(always)]
pub fn is<const N: usize>(token: &[u8], known: &[u8; N]) -> bool {
    let Some(token) = token.first_chunk::<N>().filter(|_| token.len() == N) else {
        return false;
    };
    let differ = |differ, (byte, known): (&u8, &u8)| differ | (byte | 0x20) ^ known;
    token.iter().zip(known).fold(0, differ) == 0
}

/// Where the first byte is that is neither a letter nor a hyphen, if that is within the first 16:
/// the end of nearly every field's name.
#[inline(always)]
pub fn word_end(bytes: &[u8]) -> Option<usize> {
    let end = lanes::not_word(bytes.first_chunk()?).trailing_zeros() as usize;
    (end < LANES).then_some(end)
}

/// Where the first byte is that is no letter, digit, hyphen or point, if that is within the first
/// 16: the end of nearly every host's name.
#[inline(always)]
pub fn plain_host_end(bytes: &[u8]) -> Option<usize> {
    let end = lanes::not_plain_host(bytes.first_chunk()?).trailing_zeros() as usize;
    (end < LANES).then_some(end)
}

/// Where the first byte is that no request target has.
#[inline]
pub fn target_end(target: &[u8]) -> Option<usize> {
    let (blocks, rest) = target.as_chunks();
    // The last bytes that fill a block, of which some may have been seen, unless there are fewer.
    let fine = match target.last_chunk() {
        Some(last) => blocks
            .iter()
            .chain([last])
            .all(|block| lanes::not_target(block) == 0),
        None => rest.iter().all(|byte| is_target(*byte)),
    };
    match fine {
        true => None,
        false => target.iter().position(|byte| !is_target(*byte)),
    }
}

/// A bit for each byte that is not printable ASCII, the lowest for the first.
#[inline(always)]
fn stops(block: &[u8; BLOCK]) -> u64 {
    let (halves, _) = block.as_chunks();
    let bits = |half| u64::from(lanes::stops(half));
    bits(&halves[0]) | bits(&halves[1]) << HALF
}

/// The same for what stands at the end of `bytes`, and is less than a block.
#[inline]
fn last_stops(bytes: &[u8], rest: &[u8]) -> u64 {
    if let Some(block) = bytes.last_chunk() {
        // Some bytes of the last block have been seen, or all.
        return stops(block)
            .checked_shr((BLOCK - rest.len()) as u32)
            .unwrap_or(0);
    }
    match (rest.first_chunk(), rest.last_chunk()) {
        (Some(first), Some(last)) => {
            // Some bytes are in both halves, and have the same bit then.
            let bits = |half| u64::from(lanes::stops(half));
            bits(first) | bits(last) << (rest.len() - HALF)
        }
        _ => {
            let mut half = [b' '; HALF];
            half[..rest.len()].copy_from_slice(rest);
            lanes::stops(&half).into()
        }
    }
}

/// The places of all bytes that are not printable ASCII, in their order: line ends, and what must
/// not or seldom does stand in a line.
#[derive(Debug)]
pub struct Stops<'a> {
    bytes: &'a [u8],
    /// The place that the lowest bit of `mask` stands for.
    base: usize,
    /// A bit for each byte of the block at `base` that is one, and has not been given yet.
    mask: u64,
}

impl<'a> Stops<'a> {
    /// Looks from byte `from` on.
    #[inline(always)]
    pub fn new(bytes: &'a [u8], from: usize) -> Self {
        let mut stops = Self {
            bytes,
            base: from,
            mask: 0,
        };
        stops.load();
        stops
    }

    /// Reads the block at `base`, of which there must be at least one byte.
    #[inline(always)]
    fn load(&mut self) {
        let rest = self.bytes.get(self.base..).unwrap_or_default();
        self.mask = match rest.first_chunk() {
            Some(block) => stops(block),
            None => last_stops(self.bytes, rest),
        };
    }
}

impl Iterator for Stops<'_> {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        while self.mask == 0 {
            if self.bytes.len() <= self.base + BLOCK {
                return None;
            }
            self.base += BLOCK;
            self.load();
        }
        let at = self.base + self.mask.trailing_zeros() as usize;
        self.mask &= self.mask - 1;
        Some(at)
    }
}

#[cfg(test)]
mod tests;
