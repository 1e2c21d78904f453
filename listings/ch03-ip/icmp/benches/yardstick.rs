//! Reading and writing a message against etherparse.
//!
//! ```text
//! cargo bench -p ip-icmp
//! ```
//!
//! What counts is the ratio of the medians, theirs to ours. Above 1, ours is faster.

use std::hint::black_box;

use etherparse::{
    Icmpv4Header, Icmpv4Slice, Icmpv4Type, Icmpv6Header, Icmpv6Slice, Icmpv6Type, LaxIpSlice,
    icmpv4::TimeExceededCode, icmpv6,
};
use ip_header::{Addresses, Protocol, ipv4, ipv6};
use ip_icmp::{HEADER_LEN, icmpv4 as ours_v4, icmpv6 as ours_v6};
use testkit::yardstick::compare;

const SOURCE: [u8; 16] = [1; 16];
const DESTINATION: [u8; 16] = [2; 16];

fn addresses() -> Addresses {
    Addresses::V6 {
        source: SOURCE.into(),
        destination: DESTINATION.into(),
    }
}

const TIME_EXCEEDED_V4: ours_v4::Header = ours_v4::Header::TimeExceeded {
    code: ours_v4::TimeExceeded::IN_TRANSIT,
    quoted_words: 0,
};
const TIME_EXCEEDED_V6: ours_v6::Header = ours_v6::Header::TimeExceeded {
    code: ours_v6::TimeExceeded::IN_TRANSIT,
    quoted_words: 0,
};

fn main() {
    let v4 = message_v4();
    let v6 = message_v6();
    println!("nanoseconds each, and how many times ours it takes\n");

    compare(
        "ICMPv4 time exceeded: parse, checksum, header, quoted addresses and port",
        vec![
            (
                "ours",
                Box::new(|| {
                    let message = ours_v4::Message::parse(black_box(&v4)).unwrap();
                    black_box(message.header());
                    let quoted = message.quoted().unwrap().unwrap();
                    black_box(quoted.addresses());
                    u64::from(quoted.ports().unwrap().1)
                }),
            ),
            (
                "etherparse",
                Box::new(|| {
                    let message = Icmpv4Slice::from_slice(black_box(&v4)).unwrap();
                    let kind = message.icmp_type();
                    assert_eq!(kind.calc_checksum(message.payload()), message.checksum());
                    black_box(&kind);
                    quoted_port(message.payload())
                }),
            ),
        ],
    );
    compare(
        "ICMPv6 time exceeded: parse, checksum, header, quoted addresses and port",
        vec![
            (
                "ours",
                Box::new(|| {
                    let message = ours_v6::Message::parse(addresses(), black_box(&v6)).unwrap();
                    black_box(message.header());
                    let quoted = message.quoted().unwrap().unwrap();
                    black_box(quoted.addresses());
                    u64::from(quoted.ports().unwrap().1)
                }),
            ),
            (
                "etherparse",
                Box::new(|| {
                    let message = Icmpv6Slice::from_slice(black_box(&v6)).unwrap();
                    assert!(message.is_checksum_valid(SOURCE, DESTINATION));
                    black_box(message.icmp_type());
                    quoted_port(message.payload())
                }),
            ),
        ],
    );

    let mut written = [v4.clone(), v4.clone()];
    let [first, second] = &mut written;
    compare(
        "ICMPv4 time exceeded: emit, with checksum",
        vec![
            (
                "ours",
                Box::new(|| {
                    let header = black_box(TIME_EXCEEDED_V4);
                    header.emit(black_box(first)).unwrap().len() as u64
                }),
            ),
            (
                "etherparse",
                Box::new(|| {
                    let kind = Icmpv4Type::TimeExceeded(TimeExceededCode::TtlExceededInTransit);
                    let (place, payload) = black_box(&mut second[..]).split_at_mut(HEADER_LEN);
                    let header = Icmpv4Header::with_checksum(black_box(kind), payload);
                    place.copy_from_slice(&header.to_bytes());
                    payload.len() as u64
                }),
            ),
        ],
    );
    assert!(written.iter().all(|written| *written == v4));

    let mut written = [v6.clone(), v6.clone()];
    let [first, second] = &mut written;
    compare(
        "ICMPv6 time exceeded: emit, with checksum",
        vec![
            (
                "ours",
                Box::new(|| {
                    let header = black_box(TIME_EXCEEDED_V6);
                    header.emit(addresses(), black_box(first)).unwrap().len() as u64
                }),
            ),
            (
                "etherparse",
                Box::new(|| {
                    let kind = Icmpv6Type::TimeExceeded(icmpv6::TimeExceededCode::HopLimitExceeded);
                    let (place, payload) = black_box(&mut second[..]).split_at_mut(HEADER_LEN);
                    let kind = black_box(kind);
                    let header =
                        Icmpv6Header::with_checksum(kind, SOURCE, DESTINATION, payload).unwrap();
                    place.copy_from_slice(&header.to_bytes());
                    payload.len() as u64
                }),
            ),
        ],
    );
    assert!(written.iter().all(|written| *written == v6));
}

/// By what the sender finds its packet: the addresses of a quoted UDP datagram that is cut off, and
/// its destination port, which is given.
fn quoted_port(quoted: &[u8]) -> u64 {
    let (slice, _) = LaxIpSlice::from_slice(quoted).unwrap();
    black_box((
        slice.source_addr(),
        slice.destination_addr(),
        slice.payload_ip_number(),
    ));
    let payload = slice.payload().payload;
    u64::from(u16::from_be_bytes([payload[2], payload[3]]))
}

/// A datagram of 600 bytes, of which 128 are quoted.
fn message_v4() -> Vec<u8> {
    let mut packet = vec![0xa5; 600];
    let header = ipv4::Header::new(Protocol::UDP, [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    header.emit(&mut packet).unwrap();
    let mut message = vec![0; HEADER_LEN];
    message.extend(&packet[..128]);
    TIME_EXCEEDED_V4.emit(&mut message).unwrap();
    message
}

fn message_v6() -> Vec<u8> {
    let mut packet = vec![0xa5; 600];
    let header = ipv6::Header::new(Protocol::UDP, DESTINATION.into(), SOURCE.into());
    header.emit(&mut packet).unwrap();
    let mut message = vec![0; HEADER_LEN];
    message.extend(&packet[..128]);
    TIME_EXCEEDED_V6.emit(addresses(), &mut message).unwrap();
    message
}
