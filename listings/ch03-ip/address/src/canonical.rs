//! From an address to its one preferred text.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;

/// Writes an address as RFC 5952 §4 wants it, so that two texts are equal if the addresses are.
///
/// As `std::net` does, it writes the last 32 bits of an IPv4-mapped address as an IPv4 address
/// (RFC 5952 §5), and only of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canonical(pub IpAddr);

impl fmt::Display for Canonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        match self.0 {
            IpAddr::V4(v4) => dotted(&mut text, v4.octets())?,
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => {
                    text.write_str("::ffff:")?;
                    dotted(&mut text, v4.octets())?;
                }
                None => colons(&mut text, v6)?,
            },
        }
        f.pad(&text)
    }
}

fn dotted(to: &mut String, [a, b, c, d]: [u8; 4]) -> fmt::Result {
    write!(to, "{a}.{b}.{c}.{d}")
}

// ANCHOR: canonical
/// Groups in lower case without leading zeros (§4.1, §4.3), and `::` for the longest run of zeros
/// (§4.2).
fn colons(to: &mut String, address: Ipv6Addr) -> fmt::Result {
    let groups = address.segments();
    let zeros = longest_zeros(&groups);
    let (before, after) = (&groups[..zeros.start], &groups[zeros.end..]);
    join(to, before)?;
    if !zeros.is_empty() {
        to.write_str("::")?;
    }
    join(to, after)
}

/// The longest run of zeros, and the first of them if two are as long (§4.2.3). A single group is
/// not worth shortening (§4.2.2): then the range is empty, and at the end.
fn longest_zeros(groups: &[u16; 8]) -> Range<usize> {
    let mut longest = 8..8;
    let mut start = 0;
    for (at, group) in groups.iter().enumerate() {
        if *group != 0 {
            start = at + 1;
        } else if (start..at + 1).len() > longest.len().max(1) {
            longest = start..at + 1;
        }
    }
    longest
}
// ANCHOR_END: canonical

fn join(to: &mut String, groups: &[u16]) -> fmt::Result {
    for (at, group) in groups.iter().enumerate() {
        if at > 0 {
            to.write_char(':')?;
        }
        write!(to, "{group:x}")?;
    }
    Ok(())
}
