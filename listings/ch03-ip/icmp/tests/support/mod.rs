//! What holds for any bytes; the proofs and the fuzz target both ask for it.

use ip_header::{Addresses, Protocol};
use ip_icmp::{Error, HEADER_LEN, Quoted, Reason, icmpv4, icmpv6};

/// The addresses of every ICMPv6 message here.
pub const ADDRESSES: Addresses = Addresses::V6 {
    source: core::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2),
    destination: core::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1),
};

/// Panics unless all that the library promises holds for these bytes: as a message of either family,
/// with their own checksum and with the right one, and as a quoted packet.
pub fn holds(bytes: &[u8]) {
    quoted(bytes, &Quoted::parse(bytes));
    v4(bytes);
    v6(bytes);
    if bytes.len() >= HEADER_LEN {
        // A fuzzer does not guess checksums.
        let mut right = bytes.to_vec();
        right[2..4].fill(0);
        let sum = ip_header::checksum::Sum::new().bytes(&right);
        right[2..4].copy_from_slice(&sum.checksum().to_be_bytes());
        v4(&right);
        right[2..4].fill(0);
        let sum = ADDRESSES.pseudo_header(Protocol::ICMPV6, right.len() as u32);
        let checksum = sum.bytes(&right).checksum();
        right[2..4].copy_from_slice(&checksum.to_be_bytes());
        v6(&right);
    }
}

fn error(bytes: &[u8], error: &Error) {
    assert!(error.to_string().contains(error.field), "{error}");
    match error.reason {
        Reason::Truncated { needed, available } => {
            assert_eq!(available, bytes.len(), "{error}");
            assert!(needed > available, "{error}");
        }
        _ => assert!(error.offset < bytes.len(), "{error}"),
    }
}

fn v4(bytes: &[u8]) {
    let view = match icmpv4::Message::parse(bytes) {
        Ok(view) => view,
        Err(what) => return error(bytes, &what),
    };
    let mut anew = bytes.to_vec();
    let payload = view.header().emit(&mut anew).unwrap();
    assert_eq!(payload, view.payload());
    let again = icmpv4::Message::parse(&anew).unwrap();
    assert_eq!(again.header(), view.header());
    let unused: &[usize] = match view.kind() {
        icmpv4::Type::DESTINATION_UNREACHABLE => &[4],
        icmpv4::Type::TIME_EXCEEDED => &[4, 6, 7],
        icmpv4::Type::PARAMETER_PROBLEM => &[6, 7],
        _ => &[],
    };
    same(bytes, &anew, unused);
    assert_eq!(view.quoted().is_some(), view.kind().is_error());
    parts(view.payload(), view.quoted(), view.extension());
}

fn v6(bytes: &[u8]) {
    let view = match icmpv6::Message::parse(ADDRESSES, bytes) {
        Ok(view) => view,
        Err(what) => return error(bytes, &what),
    };
    let mut anew = bytes.to_vec();
    let payload = view.header().emit(ADDRESSES, &mut anew).unwrap();
    assert_eq!(payload, view.payload());
    let again = icmpv6::Message::parse(ADDRESSES, &anew).unwrap();
    assert_eq!(again.header(), view.header());
    let unused: &[usize] = match view.kind() {
        icmpv6::Type::DESTINATION_UNREACHABLE | icmpv6::Type::TIME_EXCEEDED => &[5, 6, 7],
        icmpv6::Type::PACKET_TOO_BIG => &[1],
        _ => &[],
    };
    same(bytes, &anew, unused);
    assert_eq!(view.quoted().is_some(), view.kind().is_error());
    parts(view.payload(), view.quoted(), view.extension());
}

/// Emitting undoes parsing, except for unused bytes that were not zero, and the checksum with them,
/// and the other form of a zero in it.
fn same(bytes: &[u8], anew: &[u8], unused: &[usize]) {
    let is_canonical = unused.iter().all(|at| bytes[*at] == 0);
    for (at, (old, new)) in bytes.iter().zip(anew).enumerate() {
        match at {
            2 | 3 if !is_canonical || bytes[2..4] == [0xff, 0xff] => {}
            at if unused.contains(&at) => assert_eq!(*new, 0),
            _ => assert_eq!(old, new, "byte {at}"),
        }
    }
}

fn parts(payload: &[u8], found: Option<Result<Quoted, Error>>, extension: &[u8]) {
    assert!(payload.ends_with(extension));
    let before = &payload[..payload.len() - extension.len()];
    match found {
        Some(found) => quoted(before, &found),
        None => assert!(extension.is_empty()),
    }
}

fn quoted(bytes: &[u8], found: &Result<Quoted, Error>) {
    let quoted = match found {
        Ok(quoted) => quoted,
        Err(what) => return error(bytes, what),
    };
    assert!(bytes.starts_with(quoted.as_bytes()));
    assert!(quoted.as_bytes().len() <= quoted.total_len());
    assert_eq!(
        quoted.is_cut(),
        quoted.as_bytes().len() < quoted.total_len()
    );
    if let Some(upper) = quoted.upper_layer() {
        assert_eq!(upper.bytes, &quoted.as_bytes()[upper.offset..]);
    } else {
        assert_eq!(quoted.ports(), None);
    }
    // Where the packet is whole, the view of whole packets agrees.
    if let (false, Ok(packet)) = (quoted.is_cut(), ip_header::Packet::parse(bytes)) {
        assert_eq!(packet.addresses(), quoted.addresses());
        assert_eq!(packet.upper_layer().ok(), quoted.upper_layer());
    }
}
