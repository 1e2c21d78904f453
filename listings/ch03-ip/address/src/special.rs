//! Ranges for special purposes.
//!
//! They are those of IANA's «IPv4 Special-Purpose Address Registry» and «IPv6 Special-Purpose
//! Address Registry» (RFC 6890, RFC 8190), both as of 9 October 2025. Multicast has registries of its
//! own: `224.0.0.0/4` and `ff00::/8` are not in these.

use std::net::IpAddr;
use std::sync::LazyLock;

use crate::prefix::Prefix;
use crate::table::Table;

/// A line of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The network, in CIDR notation.
    pub prefix: &'static str,
    /// What it is for.
    pub name: &'static str,
    /// The RFC that says so.
    pub rfc: u16,
    /// Whether a packet to such an address may leave its owner's domain. The registry leaves it open
    /// for ranges that were given back, and for those that depend on the IPv4 address inside.
    pub globally_reachable: Option<bool>,
}

const fn range(prefix: &'static str, name: &'static str, rfc: u16, global: Option<bool>) -> Range {
    Range {
        prefix,
        name,
        rfc,
        globally_reachable: global,
    }
}

const YES: Option<bool> = Some(true);
const NO: Option<bool> = Some(false);
const OPEN: Option<bool> = None;

// ANCHOR: ranges
/// The lines of the IPv4 registry, in its order.
pub const V4: [Range; 26] = [
    range("0.0.0.0/8", "this network", 791, NO),
    range("0.0.0.0/32", "this host on this network", 1122, NO),
    range("10.0.0.0/8", "private use", 1918, NO),
    range("100.64.0.0/10", "shared address space", 6598, NO),
    range("127.0.0.0/8", "loopback", 1122, NO),
    range("169.254.0.0/16", "link-local", 3927, NO),
    range("172.16.0.0/12", "private use", 1918, NO),
    range("192.0.0.0/24", "IETF protocol assignments", 6890, NO),
    range("192.0.0.0/29", "IPv4 service continuity prefix", 7335, NO),
    range("192.0.0.8/32", "IPv4 dummy address", 7600, NO),
    range("192.0.0.9/32", "Port Control Protocol anycast", 7723, YES),
    range("192.0.0.10/32", "TURN anycast", 8155, YES),
    range("192.0.0.170/32", "NAT64/DNS64 discovery", 8880, NO),
    range("192.0.0.171/32", "NAT64/DNS64 discovery", 8880, NO),
    range("192.0.2.0/24", "documentation (TEST-NET-1)", 5737, NO),
    range("192.31.196.0/24", "AS112-v4", 7535, YES),
    range("192.52.193.0/24", "AMT", 7450, YES),
    range("192.88.99.0/24", "was 6to4 relay anycast", 7526, OPEN),
    range("192.88.99.2/32", "6a44 relay anycast", 6751, NO),
    range("192.168.0.0/16", "private use", 1918, NO),
    range(
        "192.175.48.0/24",
        "direct delegation AS112 service",
        7534,
        YES,
    ),
    range("198.18.0.0/15", "benchmarking", 2544, NO),
    range("198.51.100.0/24", "documentation (TEST-NET-2)", 5737, NO),
    range("203.0.113.0/24", "documentation (TEST-NET-3)", 5737, NO),
    range("240.0.0.0/4", "reserved", 1112, NO),
    range("255.255.255.255/32", "limited broadcast", 919, NO),
];

/// The lines of the IPv6 registry, in its order.
pub const V6: [Range; 25] = [
    range("::1/128", "loopback", 4291, NO),
    range("::/128", "unspecified", 4291, NO),
    range("::ffff:0:0/96", "IPv4-mapped", 4291, NO),
    range("64:ff9b::/96", "IPv4/IPv6 translation", 6052, YES),
    range("64:ff9b:1::/48", "IPv4/IPv6 translation", 8215, NO),
    range("100::/64", "discard-only", 6666, NO),
    range("100:0:0:1::/64", "dummy prefix", 9780, NO),
    range("2001::/23", "IETF protocol assignments", 2928, NO),
    range("2001::/32", "Teredo", 4380, OPEN),
    range("2001:1::1/128", "Port Control Protocol anycast", 7723, YES),
    range("2001:1::2/128", "TURN anycast", 8155, YES),
    range(
        "2001:1::3/128",
        "DNS-SD service registration anycast",
        9665,
        YES,
    ),
    range("2001:2::/48", "benchmarking", 5180, NO),
    range("2001:3::/32", "AMT", 7450, YES),
    range("2001:4:112::/48", "AS112-v6", 7535, YES),
    range("2001:10::/28", "was ORCHID", 4843, OPEN),
    range("2001:20::/28", "ORCHIDv2", 7343, YES),
    range("2001:30::/28", "drone remote identification", 9374, YES),
    range("2001:db8::/32", "documentation", 3849, NO),
    range("2002::/16", "6to4", 3056, OPEN),
    range(
        "2620:4f:8000::/48",
        "direct delegation AS112 service",
        7534,
        YES,
    ),
    range("3fff::/20", "documentation", 9637, NO),
    range("5f00::/16", "segment routing (SRv6) SIDs", 9602, NO),
    range("fc00::/7", "unique local", 4193, NO),
    range("fe80::/10", "link-local", 4291, NO),
];

/// The most specific range in which an address lies; nothing for one of ordinary use.
#[must_use]
pub fn of(address: IpAddr) -> Option<&'static Range> {
    static TABLE: LazyLock<Table<&'static Range>> = LazyLock::new(|| {
        let ranges = V4.iter().chain(&V6);
        let parsed = ranges.filter_map(|range| Some((Prefix::parse(range.prefix).ok()?, range)));
        parsed.collect()
    });
    TABLE.longest_match(address).map(|(_, range)| *range)
}
// ANCHOR_END: ranges
