//! Reading and writing a header against smoltcp and etherparse, summing bytes against both and a plain
//! loop.
//!
//! ```text
//! cargo bench -p ip-header
//! ```
//!
//! What counts is the ratio of the medians, theirs to ours. Above 1, ours is faster.

use std::hint::black_box;

use ip_header::checksum::Sum;
use ip_header::{Protocol, ipv4, ipv6};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{Ipv4Packet, Ipv4Repr, Ipv6Packet, Ipv6Repr, checksum};
use testkit::yardstick::compare;

fn main() {
    let v4 = packet_v4();
    let v6 = packet_v6();
    println!("nanoseconds each, and how many times ours it takes\n");

    compare(
        "IPv4: parse, checksum, all fields",
        vec![
            (
                "ours",
                Box::new(|| {
                    let packet = ipv4::Packet::parse(black_box(&v4)).unwrap();
                    black_box(packet.header());
                    packet.payload().len() as u64
                }),
            ),
            (
                "smoltcp",
                Box::new(|| {
                    let packet = Ipv4Packet::new_checked(black_box(&v4[..])).unwrap();
                    let repr = Ipv4Repr::parse(&packet, &ChecksumCapabilities::default()).unwrap();
                    black_box(repr);
                    packet.payload().len() as u64
                }),
            ),
            (
                "etherparse",
                Box::new(|| {
                    let slice = black_box(&v4[..]);
                    let (header, payload) = etherparse::Ipv4Header::from_slice(slice).unwrap();
                    assert_eq!(header.calc_header_checksum(), header.header_checksum);
                    black_box(&header);
                    payload.len() as u64
                }),
            ),
        ],
    );

    compare(
        "IPv6: parse, all fields",
        vec![
            (
                "ours",
                Box::new(|| {
                    let packet = ipv6::Packet::parse(black_box(&v6)).unwrap();
                    black_box(packet.header());
                    packet.payload().len() as u64
                }),
            ),
            (
                "smoltcp",
                Box::new(|| {
                    let packet = Ipv6Packet::new_checked(black_box(&v6[..])).unwrap();
                    black_box(Ipv6Repr::parse(&packet).unwrap());
                    packet.payload().len() as u64
                }),
            ),
            (
                "etherparse",
                Box::new(|| {
                    let slice = black_box(&v6[..]);
                    let (header, payload) = etherparse::Ipv6Header::from_slice(slice).unwrap();
                    black_box(&header);
                    payload.len() as u64
                }),
            ),
        ],
    );

    write_v4(&header_v4(), &v4);
    write_v6(&header_v6(), &v6);

    for len in [20, 1_500, 65_535] {
        let bytes: Vec<u8> = (0..len).map(|at| (at * 31 + at / 7) as u8).collect();
        compare(
            &format!("checksum of {len} bytes"),
            vec![
                (
                    "ours",
                    Box::new(|| Sum::new().bytes(black_box(&bytes)).value().into()),
                ),
                (
                    "smoltcp",
                    Box::new(|| checksum::data(black_box(&bytes)).into()),
                ),
                (
                    "etherparse",
                    Box::new(|| {
                        let sum = etherparse::checksum::Sum16BitWords::new();
                        (!sum.add_slice(black_box(&bytes)).ones_complement().to_be()).into()
                    }),
                ),
                ("plain loop", Box::new(|| naive(black_box(&bytes)).into())),
            ],
        );
    }
}

/// All fields and the checksum, in front of a payload that stands there.
fn write_v4(header: &ipv4::Header, packet: &[u8]) {
    let smoltcps = Ipv4Packet::new_checked(packet).unwrap();
    let checksums = ChecksumCapabilities::default();
    let repr = Ipv4Repr::parse(&smoltcps, &checksums).unwrap();
    let (etherparses, _) = etherparse::Ipv4Header::from_slice(packet).unwrap();

    let mut written = [(); 3].map(|()| vec![0xa5; packet.len()]);
    let [first, second, third] = &mut written;
    compare(
        "IPv4: emit, with checksum",
        vec![
            (
                "ours",
                Box::new(|| black_box(header).emit(black_box(first)).unwrap().len() as u64),
            ),
            (
                "smoltcp",
                Box::new(|| {
                    let mut packet = Ipv4Packet::new_unchecked(black_box(&mut second[..]));
                    black_box(&repr).emit(&mut packet, &checksums);
                    packet.payload_mut().len() as u64
                }),
            ),
            (
                "etherparse",
                Box::new(|| {
                    let mut header = black_box(&etherparses).clone();
                    header.header_checksum = header.calc_header_checksum();
                    let (place, payload) =
                        black_box(&mut third[..]).split_at_mut(header.header_len());
                    place.copy_from_slice(&header.to_bytes());
                    payload.len() as u64
                }),
            ),
        ],
    );
    assert!(written.iter().all(|written| written == packet));
}

/// All fields, in front of a payload that stands there.
fn write_v6(header: &ipv6::Header, packet: &[u8]) {
    let repr = Ipv6Repr::parse(&Ipv6Packet::new_checked(packet).unwrap()).unwrap();
    let (etherparses, _) = etherparse::Ipv6Header::from_slice(packet).unwrap();

    let mut written = [(); 3].map(|()| vec![0xa5; packet.len()]);
    let [first, second, third] = &mut written;
    compare(
        "IPv6: emit",
        vec![
            (
                "ours",
                Box::new(|| black_box(header).emit(black_box(first)).unwrap().len() as u64),
            ),
            (
                "smoltcp",
                Box::new(|| {
                    let mut packet = Ipv6Packet::new_unchecked(black_box(&mut second[..]));
                    black_box(&repr).emit(&mut packet);
                    packet.payload_mut().len() as u64
                }),
            ),
            (
                "etherparse",
                Box::new(|| {
                    let header = black_box(&etherparses);
                    let (place, payload) =
                        black_box(&mut third[..]).split_at_mut(header.header_len());
                    place.copy_from_slice(&header.to_bytes());
                    payload.len() as u64
                }),
            ),
        ],
    );
    assert!(written.iter().all(|written| written == packet));
}

/// RFC 1071 §1, a word at a time.
fn naive(bytes: &[u8]) -> u16 {
    let mut sum = 0_u64;
    for pair in bytes.chunks(2) {
        sum += u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn header_v4() -> ipv4::Header<'static> {
    ipv4::Header::new(Protocol::UDP, [192, 0, 2, 1].into(), [192, 0, 2, 2].into())
}

fn header_v6() -> ipv6::Header {
    ipv6::Header::new(Protocol::UDP, [1; 8].into(), [2; 8].into())
}

fn packet_v4() -> Vec<u8> {
    let mut bytes = vec![0xa5; ipv4::HEADER_LEN + 64];
    header_v4().emit(&mut bytes).unwrap();
    bytes
}

fn packet_v6() -> Vec<u8> {
    let mut bytes = vec![0xa5; ipv6::HEADER_LEN + 64];
    header_v6().emit(&mut bytes).unwrap();
    bytes
}
