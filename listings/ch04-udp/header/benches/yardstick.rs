//! Reading and writing datagrams against smoltcp and etherparse.
//!
//! ```text
//! cargo bench -p udp-header
//! ```
//!
//! What counts is the ratio of the medians, theirs to ours. Above 1, ours is faster.

use std::hint::black_box;

use etherparse::{UdpHeader, UdpSlice};
use ip_header::Addresses;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpAddress, UdpPacket, UdpRepr};
use testkit::yardstick::compare;
use udp_header::{Datagram, HEADER_LEN, Header};

const V4: [[u8; 4]; 2] = [[192, 0, 2, 1], [198, 51, 100, 7]];
const V6: [[u16; 8]; 2] = [
    [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1],
    [0x2001, 0xdb8, 0, 0, 0, 0, 0, 7],
];

fn main() {
    println!("nanoseconds each, and how many times ours it takes\n");
    let v4 = Addresses::V4 {
        source: V4[0].into(),
        destination: V4[1].into(),
    };
    let v6 = Addresses::V6 {
        source: V6[0].into(),
        destination: V6[1].into(),
    };
    for (family, addresses) in [("IPv4", v4), ("IPv6", v6)] {
        for data in [40, 1_200] {
            let what = format!("{data} bytes, {family}");
            let bytes = datagram(data, addresses);
            read(&what, &bytes, addresses);
            write(&what, &bytes, addresses);
        }
    }
}

fn datagram(data: usize, addresses: Addresses) -> Vec<u8> {
    let header = Header {
        source_port: 40_000,
        destination_port: 53,
    };
    let mut bytes = vec![0; HEADER_LEN];
    bytes.extend((0..data).map(|at| (at * 31 + at / 7) as u8));
    header.emit(&mut bytes, addresses).expect("it fits");
    bytes
}

fn smoltcps(addresses: Addresses) -> [IpAddress; 2] {
    match addresses {
        Addresses::V4 {
            source,
            destination,
        } => [source.into(), destination.into()],
        Addresses::V6 {
            source,
            destination,
        } => [source.into(), destination.into()],
    }
}

fn etherparses(header: &UdpHeader, addresses: Addresses, payload: &[u8]) -> u16 {
    let checksum = match addresses {
        Addresses::V4 {
            source,
            destination,
        } => header.calc_checksum_ipv4_raw(source.octets(), destination.octets(), payload),
        Addresses::V6 {
            source,
            destination,
        } => header.calc_checksum_ipv6_raw(source.octets(), destination.octets(), payload),
    };
    checksum.expect("a length that fits")
}

/// Lengths, checksum, all fields.
fn read(what: &str, bytes: &[u8], addresses: Addresses) {
    let [source, destination] = smoltcps(addresses);
    compare(
        &format!("read {what}"),
        vec![
            (
                "ours",
                Box::new(|| {
                    let datagram = Datagram::parse(black_box(bytes), black_box(addresses)).unwrap();
                    black_box(datagram.header());
                    datagram.payload().len() as u64
                }),
            ),
            (
                "smoltcp",
                Box::new(|| {
                    let packet = UdpPacket::new_checked(black_box(bytes)).unwrap();
                    let checksums = ChecksumCapabilities::default();
                    let (source, destination) = (black_box(&source), black_box(&destination));
                    black_box(UdpRepr::parse(&packet, source, destination, &checksums).unwrap());
                    packet.payload().len() as u64
                }),
            ),
            (
                "etherparse",
                Box::new(|| {
                    // Of its two ways the one that looks at the length, as the others do.
                    let slice = UdpSlice::from_slice(black_box(bytes)).unwrap();
                    let (header, payload) = (slice.to_header(), slice.payload());
                    let checksum = etherparses(&header, black_box(addresses), payload);
                    assert_eq!(checksum, header.checksum);
                    black_box(&header);
                    payload.len() as u64
                }),
            ),
        ],
    );
}

/// Header and checksum, in front of data that stand there.
fn write(what: &str, bytes: &[u8], addresses: Addresses) {
    let [source, destination] = smoltcps(addresses);
    let header = Datagram::parse(bytes, addresses).unwrap().header();
    let packet = UdpPacket::new_checked(bytes).unwrap();
    let checksums = ChecksumCapabilities::default();
    let repr = UdpRepr::parse(&packet, &source, &destination, &checksums).unwrap();
    let (theirs, _) = UdpHeader::from_slice(bytes).unwrap();

    let mut written = [(); 3].map(|()| {
        let mut written = bytes.to_vec();
        written[..HEADER_LEN].fill(0xa5);
        written
    });
    let [first, second, third] = &mut written;
    compare(
        &format!("write {what}"),
        vec![
            (
                "ours",
                Box::new(|| {
                    let header = black_box(&header);
                    header.emit(black_box(first), black_box(addresses)).unwrap();
                    (first.len() - HEADER_LEN) as u64
                }),
            ),
            (
                "smoltcp",
                Box::new(|| {
                    let mut packet = UdpPacket::new_unchecked(black_box(&mut second[..]));
                    let (source, destination) = (black_box(&source), black_box(&destination));
                    let len = bytes.len() - HEADER_LEN;
                    let keep = |_: &mut [u8]| {}; // the data stand there
                    black_box(&repr).emit(&mut packet, source, destination, len, keep, &checksums);
                    len as u64
                }),
            ),
            (
                "etherparse",
                Box::new(|| {
                    let (place, payload) = black_box(&mut third[..]).split_at_mut(HEADER_LEN);
                    let mut header = black_box(&theirs).clone();
                    header.checksum = etherparses(&header, black_box(addresses), payload);
                    place.copy_from_slice(&header.to_bytes());
                    payload.len() as u64
                }),
            ),
        ],
    );
    assert!(written.iter().all(|written| written == bytes));
}
