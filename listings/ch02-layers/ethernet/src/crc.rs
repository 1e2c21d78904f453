//! The frame check sequence of Ethernet: a cyclic redundancy check of 32 bits (IEEE 802.3 §3.2.9).
//!
//! The bits of the frame are the coefficients of a polynomial, which is divided by a fixed one; the
//! remainder is the check. Unlike a sum it depends on where each bit stands.

use crate::error::{Error, Field, Reason};
use crate::frame::{FCS_LEN, fields::frame_check_sequence};

/// x³² + x²⁶ + x²³ + x²² + x¹⁶ + x¹² + x¹¹ + x¹⁰ + x⁸ + x⁷ + x⁵ + x⁴ + x² + x + 1. Ethernet sends the
/// lowest bit of each byte first, so the coefficients stand from the lowest bit up: that of x³¹ first.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// How many bytes are divided at once.
const SLICE: usize = 8;

/// The remainder of each byte with 0 to 7 zero bytes behind it.
static REMAINDERS: [[u32; 256]; SLICE] = remainders();

const fn remainders() -> [[u32; 256]; SLICE] {
    let mut tables = [[0; 256]; SLICE];
    let mut byte = 0;
    while byte < 256 {
        // ANCHOR: divide
        let mut remainder = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            let carry = remainder & 1 == 1;
            remainder >>= 1;
            if carry {
                remainder ^= POLYNOMIAL;
            }
            bit += 1;
        }
        // ANCHOR_END: divide
        tables[0][byte] = remainder;
        byte += 1;
    }
    let mut zeros = 1;
    while zeros < SLICE {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[zeros - 1][byte];
            tables[zeros][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        zeros += 1;
    }
    tables
}

/// The check over all of `bytes`.
///
/// ```
/// assert_eq!(layers_ethernet::crc::crc32(b"123456789"), 0xcbf4_3926);
/// ```
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    // It begins with ones and ends complemented, so that zeros in front and behind count too.
    let mut crc = u32::MAX;
    let (slices, rest) = bytes.as_chunks::<SLICE>();
    for slice in slices {
        // A polynomial's remainder is the sum (XOR) of its parts' remainders.
        let [a, b, c, d, e, f, g, h] = *slice;
        let [p, q, r, s] = (crc ^ u32::from_le_bytes([a, b, c, d])).to_le_bytes();
        crc = [p, q, r, s, e, f, g, h]
            .iter()
            .zip(REMAINDERS.iter().rev())
            .fold(0, |sum, (&byte, table)| sum ^ table[usize::from(byte)]);
    }
    for &byte in rest {
        crc = crc >> 8 ^ REMAINDERS[0][usize::from(crc as u8 ^ byte)];
    }
    !crc
}

/// Writes the check sequence into the last four bytes of `frame`, over all that stands before them. As
/// a rule the network card does it.
///
/// # Errors
///
/// When `frame` has not even four bytes.
pub fn seal(frame: &mut [u8]) -> Result<(), Error> {
    let available = frame.len();
    let Some((covered, fcs)) = frame.split_last_chunk_mut::<FCS_LEN>() else {
        return Err(frame_check_sequence(0).truncated(FCS_LEN, available));
    };
    *fcs = crc32(covered).to_le_bytes();
    Ok(())
}

/// All but the check sequence, if that is right.
///
/// # Errors
///
/// When there are not even four bytes, or the sequence is wrong: then the receiving card drops the
/// frame, and nobody hears of it.
pub fn open(frame: &[u8]) -> Result<&[u8], Error> {
    let Some((covered, &fcs)) = frame.split_last_chunk::<FCS_LEN>() else {
        return Err(frame_check_sequence(0).truncated(FCS_LEN, frame.len()));
    };
    let (computed, found) = (crc32(covered), u32::from_le_bytes(fcs));
    if computed != found {
        let field: Field = frame_check_sequence(covered.len());
        return Err(field.error(Reason::Not {
            expected: computed as usize,
            found: found as usize,
        }));
    }
    Ok(covered)
}
