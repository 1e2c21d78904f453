//! Fields of a header's fixed part, read and written by their place.

use crate::error::Field;

/// The bytes of a field of `N` bytes; `fixed` is the fixed part of a header that has it.
///
/// # Panics
///
/// When the field does not lie within `fixed`.
#[must_use]
#[inline]
pub fn array<const LEN: usize, const N: usize>(fixed: &[u8; LEN], field: Field) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&fixed[field.offset()..][..N]);
    bytes
}

/// The number in a field of 16 bits, or in the 16 bits that begin with the field.
///
/// # Panics
///
/// When they do not lie within `fixed`.
#[must_use]
#[inline]
pub fn word<const LEN: usize>(fixed: &[u8; LEN], field: Field) -> u16 {
    u16::from_be_bytes(array(fixed, field))
}

/// Writes a field of `N` bytes.
///
/// # Panics
///
/// When the field does not lie within `fixed`.
#[inline]
pub fn put<const LEN: usize, const N: usize>(fixed: &mut [u8; LEN], field: Field, bytes: [u8; N]) {
    fixed[field.offset()..][..N].copy_from_slice(&bytes);
}
