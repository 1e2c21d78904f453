//! The four questions with SSE2, which compares sixteen bytes at once.
//!
//! Intrinsics are safe in functions that declare their instructions; to call such a function from
//! one that does not is unsafe, for the processor might lack them. SSE2 belongs to x86-64 itself, so
//! none does. That is all that is unsafe here: no pointer is made, bytes come by reference.

use std::arch::x86_64::{
    __m128i, _mm_add_epi8, _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_movemask_epi8, _mm_or_si128,
    _mm_set_epi64x, _mm_set1_epi8,
};

use super::{HALF, LANES};

/// A bit for each byte that is not printable ASCII, the lowest for the first.
#[inline(always)]
pub fn stops(block: &[u8; HALF]) -> u32 {
    // SAFETY: every x86-64 processor has SSE2.
    unsafe { stops_(block) }
}

/// A bit for each byte that is neither a letter nor a hyphen.
#[inline(always)]
pub fn not_word(bytes: &[u8; LANES]) -> u32 {
    // SAFETY: every x86-64 processor has SSE2.
    unsafe { not_word_(bytes) }
}

/// A bit for each byte that is no letter, digit, hyphen or point.
#[inline(always)]
pub fn not_plain_host(bytes: &[u8; LANES]) -> u32 {
    // SAFETY: every x86-64 processor has SSE2.
    unsafe { not_plain_host_(bytes) }
}

/// A bit for each byte that no request target has.
#[inline(always)]
pub fn not_target(bytes: &[u8; LANES]) -> u32 {
    // SAFETY: every x86-64 processor has SSE2.
    unsafe { not_target_(bytes) }
}

#[inline]
#[target_feature(enable = "sse2")]
fn stops_(block: &[u8; HALF]) -> u32 {
    let (lanes, _) = block.as_chunks();
    let text = |bytes| mask(within(load(bytes), b' ', b'~'));
    !(text(&lanes[0]) | text(&lanes[1]) << LANES)
}

#[inline]
#[target_feature(enable = "sse2")]
fn not_word_(bytes: &[u8; LANES]) -> u32 {
    let bytes = load(bytes);
    let hyphens = _mm_cmpeq_epi8(bytes, each(b'-'));
    !mask(_mm_or_si128(letters(bytes), hyphens))
}

#[inline]
#[target_feature(enable = "sse2")]
fn not_plain_host_(bytes: &[u8; LANES]) -> u32 {
    let bytes = load(bytes);
    let digits = within(bytes, b'0', b'9');
    let others = within(bytes, b'-', b'.'); // neighbours
    !mask(_mm_or_si128(_mm_or_si128(letters(bytes), digits), others))
}

#[inline]
#[target_feature(enable = "sse2")]
fn not_target_(bytes: &[u8; LANES]) -> u32 {
    let bytes = load(bytes);
    let visible = within(bytes, b'!', b'~');
    let quotes = within(bytes, b'"', b'#'); // neighbours
    let angles = _mm_cmpeq_epi8(_mm_or_si128(bytes, each(2)), each(b'>')); // `<` lacks one bit of it
    (!mask(visible) & 0xffff) | mask(_mm_or_si128(quotes, angles))
}

#[inline]
#[target_feature(enable = "sse2")]
fn load(bytes: &[u8; LANES]) -> __m128i {
    let both = u128::from_le_bytes(*bytes);
    _mm_set_epi64x((both >> 64) as i64, both as i64)
}

/// The same byte in every lane.
#[inline]
#[target_feature(enable = "sse2")]
fn each(byte: u8) -> __m128i {
    _mm_set1_epi8(byte.cast_signed())
}

/// Which lanes are letters, of either case.
#[inline]
#[target_feature(enable = "sse2")]
fn letters(bytes: __m128i) -> __m128i {
    within(_mm_or_si128(bytes, each(0x20)), b'a', b'z')
}

/// Which lanes are from `low` to `high`, both included.
#[inline]
#[target_feature(enable = "sse2")]
fn within(bytes: __m128i, low: u8, high: u8) -> __m128i {
    // There is no comparison of unsigned bytes: `low` becomes the least of the signed ones.
    let moved = _mm_add_epi8(bytes, each(0x80_u8.wrapping_sub(low)));
    _mm_cmplt_epi8(moved, each(0x80_u8.wrapping_add(high - low + 1)))
}

/// One bit for each lane.
#[inline]
#[target_feature(enable = "sse2")]
fn mask(lanes: __m128i) -> u32 {
    _mm_movemask_epi8(lanes).cast_unsigned()
}
