//! Messages on a TCP connection: two bytes of length stand in front of each (RFC 1035 §4.2.2).

use crate::MAX_MESSAGE_LEN;

/// How many bytes the length takes.
pub const PREFIX_LEN: usize = 2;

/// Takes the first message from what a connection has brought so far: gives it, and what follows.
/// `None` until it has arrived as a whole.
///
/// ```
/// use udp_dns_message::frame;
///
/// let arrived = [0, 2, b'o', b'k', 0, 9, b'f'];
/// let (message, rest) = frame::take(&arrived).unwrap();
/// assert_eq!((message, frame::take(rest)), (&b"ok"[..], None));
/// ```
#[must_use]
pub fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (prefix, rest) = bytes.split_first_chunk::<PREFIX_LEN>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*prefix)))
}

/// What stands in front of a message of `len` bytes, if a message can be as long.
#[must_use]
pub const fn prefix(len: usize) -> Option<[u8; PREFIX_LEN]> {
    if len <= MAX_MESSAGE_LEN {
        Some((len as u16).to_be_bytes())
    } else {
        None
    }
}
