//! What holds for any bytes, read as a report; the proofs and the fuzz target both ask for it. And
//! reports to try.

#![allow(
    dead_code,
    reason = "not everybody who shares this file needs all of it"
)]

use std::net::IpAddr;

use ip_header::checksum::Sum;
use ip_header::{Addresses, Protocol, Reason};
use udp_multicast::Report;
use udp_multicast::report::{HEADER_LEN, IGMP, V2_LISTENER_REPORT, V3_MEMBERSHIP_REPORT};

/// To all routers that listen to reports, from hosts of the lab.
pub const V4: Addresses = Addresses::V4 {
    source: std::net::Ipv4Addr::new(10, 0, 0, 2),
    destination: std::net::Ipv4Addr::new(224, 0, 0, 22),
};
pub const V6: Addresses = Addresses::V6 {
    source: std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2),
    destination: std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16),
};

/// Panics unless all that the reader promises holds for these bytes: as they are, and with a checksum
/// that is right.
pub fn holds(bytes: &[u8]) {
    for (addresses, protocol, kind) in [
        (V4, IGMP, V3_MEMBERSHIP_REPORT),
        (V6, Protocol::ICMPV6, V2_LISTENER_REPORT),
    ] {
        one_holds(addresses, protocol, kind, bytes);
        let mut repaired = bytes.to_vec();
        repair(addresses, protocol, &mut repaired);
        one_holds(addresses, protocol, kind, &repaired);
    }
}

fn one_holds(addresses: Addresses, protocol: Protocol, kind: u8, bytes: &[u8]) {
    let report = match Report::parse(addresses, protocol, bytes) {
        Ok(None) => {
            assert_ne!(bytes.first(), Some(&kind));
            return;
        }
        Ok(Some(report)) => report,
        Err(error) => {
            assert!(error.to_string().contains(error.field), "{error}");
            match error.reason {
                Reason::Truncated { needed, available } => {
                    assert_eq!(available, bytes.len(), "{error}");
                    assert!(needed > available, "{error}");
                    assert!(error.offset <= available, "{error}");
                }
                _ => assert!(error.offset < bytes.len(), "{error}"),
            }
            return;
        }
    };
    // What was read, written again, is what was there; behind it may be anything.
    let mut again = bytes[..HEADER_LEN].to_vec();
    let mut records = 0;
    for record in report.records() {
        records += 1;
        again.push(record.record_type);
        again.push((record.auxiliary.len() / 4) as u8);
        again.extend((record.sources().len() as u16).to_be_bytes());
        push(&mut again, record.group);
        record.sources().for_each(|source| push(&mut again, source));
        again.extend(record.auxiliary);
        assert_eq!(
            record
                .kind
                .map(|kind| kind as u8)
                .unwrap_or(record.record_type),
            record.record_type
        );
    }
    assert_eq!(records, u16::from_be_bytes([bytes[6], bytes[7]]));
    assert!(bytes.starts_with(&again), "{again:x?} is not in {bytes:x?}");
}

fn push(bytes: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => bytes.extend(address.octets()),
        IpAddr::V6(address) => bytes.extend(address.octets()),
    }
}

/// Sets a report's checksum to what it should be.
pub fn repair(addresses: Addresses, protocol: Protocol, message: &mut [u8]) {
    if message.len() < 4 {
        return;
    }
    message[2..4].fill(0);
    let sum = match addresses {
        Addresses::V4 { .. } => Sum::new(),
        Addresses::V6 { .. } => addresses.pseudo_header(protocol, message.len() as u32),
    };
    let checksum = sum.bytes(message).checksum();
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
}

/// A record to be written: kind, group, sources.
pub type Record = (u8, [u8; 4], Vec<[u8; 4]>);

/// A report of IGMPv3 with these records.
pub fn report(records: &[Record]) -> Vec<u8> {
    let mut message = vec![V3_MEMBERSHIP_REPORT, 0, 0, 0, 0, 0];
    message.extend((records.len() as u16).to_be_bytes());
    for (kind, group, sources) in records {
        message.extend([*kind, 0]);
        message.extend((sources.len() as u16).to_be_bytes());
        message.extend(group);
        message.extend(sources.iter().flatten());
    }
    repair(V4, IGMP, &mut message);
    message
}
