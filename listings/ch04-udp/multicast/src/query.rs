//! General queries of IGMPv3 (RFC 9776 §4.1) and MLDv2 (RFC 9777 §5.1): which groups do you want?

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ip_header::checksum::Sum;
use ip_header::{Error, Protocol, ipv4, ipv6};

use crate::report::IGMP;

/// All hosts that know of multicast at all.
pub const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
/// The same for IPv6.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// How the querier asks, which its hosts are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How often it asks.
    pub interval: Duration,
    /// Within what time a host answers: at a random moment, so that not all answer at once.
    pub response: Duration,
    /// How many of its questions, or of the answers, may be lost in a row, less one.
    pub robustness: u8,
}

impl Default for Timing {
    /// RFC 9776 §8 and RFC 9777 §9.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(125),
            response: Duration::from_secs(10),
            robustness: 2,
        }
    }
}

impl Timing {
    /// How long a group counts as wanted after the last report of it (RFC 9776 §8).
    #[must_use]
    pub fn membership(self) -> Duration {
        self.interval * self.robustness.into() + self.response
    }

    /// The byte in which a query carries robustness and interval: `QRV`, and the interval in whole
    /// seconds, at most 127, the longest that is its own code (RFC 9776 §4.1).
    fn bytes(self) -> [u8; 2] {
        let seconds = self.interval.as_secs().min(127) as u8;
        [self.robustness & 7, seconds]
    }
}

/// A packet that asks over IPv4: 20 bytes of header, 4 of Router Alert, 12 of query.
///
/// # Errors
///
/// None in practice: there is room for the header.
pub fn v4(source: Ipv4Addr, timing: Timing) -> Result<[u8; 36], Error> {
    let mut packet = [0; 36];
    let header = ipv4::Header {
        ttl: 1,
        // Router Alert (RFC 2113).
        options: ipv4::Options::new(&[0x94, 4, 0, 0])?,
        ..ipv4::Header::new(IGMP, source, ALL_SYSTEMS)
    };
    let query = header.emit(&mut packet)?;
    // In tenths of a second, at most 127, the longest that is its own code.
    let response = (timing.response.as_millis() / 100).min(127) as u8;
    let [qrv, qqic] = timing.bytes();
    query.copy_from_slice(&[0x11, response, 0, 0, 0, 0, 0, 0, qrv, qqic, 0, 0]);
    let checksum = Sum::new().bytes(query).checksum();
    query[2..4].copy_from_slice(&checksum.to_be_bytes());
    Ok(packet)
}

/// A packet that asks over IPv6, from a link-local address: 40 bytes of header, 8 of Hop-by-Hop
/// Options with the Router Alert, 28 of query.
///
/// # Errors
///
/// None in practice: there is room for the header.
pub fn v6(source: Ipv6Addr, timing: Timing) -> Result<[u8; 76], Error> {
    let mut packet = [0; 76];
    let header = ipv6::Header {
        hop_limit: 1,
        ..ipv6::Header::new(Protocol::HOP_BY_HOP, source, ALL_NODES)
    };
    let behind = header.emit(&mut packet)?;
    // Router Alert for MLD (RFC 2711), and padding.
    behind[..8].copy_from_slice(&[Protocol::ICMPV6.0, 0, 5, 2, 0, 0, 1, 0]);
    let query = &mut behind[8..];
    query[0] = 130;
    // In milliseconds, at most 32,767, the longest that is its own code.
    let response = timing.response.as_millis().min(32_767) as u16;
    query[4..6].copy_from_slice(&response.to_be_bytes());
    query[24..26].copy_from_slice(&timing.bytes());
    let pseudo = header.addresses().pseudo_header(Protocol::ICMPV6, 28);
    let checksum = pseudo.bytes(query).checksum();
    query[2..4].copy_from_slice(&checksum.to_be_bytes());
    Ok(packet)
}
