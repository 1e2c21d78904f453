//! Reading and writing segments against smoltcp and etherparse.
//!
//! ```text
//! cargo bench -p tcp-segment
//! ```
//!
//! What counts is the ratio of the medians, theirs to ours. Above 1, ours is faster.

use std::hint::black_box;

use etherparse::TcpHeader;
use ip_header::Addresses;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpAddress, TcpPacket, TcpRepr};
use tcp_segment::option::{MAX_OPTIONS_LEN, SackBlock, SackBlocks};
use tcp_segment::{Flags, Header, Options, Segment, SeqNumber, TcpOption};
use testkit::yardstick::compare;

const SOURCE: [u8; 4] = [192, 0, 2, 1];
const DESTINATION: [u8; 4] = [198, 51, 100, 7];

fn main() {
    println!("nanoseconds each, and how many times ours it takes\n");
    let timestamps = [
        TcpOption::NoOperation,
        TcpOption::NoOperation,
        TcpOption::Timestamps {
            value: 166_790_547,
            echo_reply: 2_425_916_455,
        },
    ];
    let syn = [
        TcpOption::MaximumSegmentSize(1460),
        TcpOption::SackPermitted,
        TcpOption::Timestamps {
            value: 166_790_526,
            echo_reply: 0,
        },
        TcpOption::NoOperation,
        TcpOption::WindowScale(7),
    ];
    let block = |left| SackBlock {
        left: SeqNumber(left),
        right: SeqNumber(left + 18),
    };
    let blocks = SackBlocks::new(&[block(90), block(54), block(18)]).expect("one to four");
    let mut sack = timestamps.to_vec();
    sack.extend([
        TcpOption::NoOperation,
        TcpOption::NoOperation,
        TcpOption::Sack(blocks),
    ]);

    for (what, flags, options, data) in [
        ("a SYN", Flags::SYN, &syn[..], 0),
        ("an acknowledgment", Flags::ACK, &timestamps[..], 0),
        ("three SACK blocks", Flags::ACK, &sack[..], 0),
        ("100 bytes", Flags::PSH | Flags::ACK, &timestamps[..], 100),
        ("1448 bytes", Flags::PSH | Flags::ACK, &timestamps[..], 1448),
    ] {
        let bytes = segment(flags, options, data);
        read(what, &bytes);
        write(what, &bytes);
    }
}

fn addresses() -> Addresses {
    Addresses::V4 {
        source: SOURCE.into(),
        destination: DESTINATION.into(),
    }
}

fn segment(flags: Flags, options: &[TcpOption], data: usize) -> Vec<u8> {
    let mut room = [0; MAX_OPTIONS_LEN];
    let header = Header {
        acknowledgment_number: SeqNumber(2_550_975_992),
        flags,
        window: 502,
        options: Options::emit(options, &mut room).expect("options that fit"),
        ..Header::new(40_000, 80, SeqNumber(1_049_554_671))
    };
    let mut bytes = vec![0; header.header_len()];
    bytes.extend((0..data).map(|at| (at * 31 + at / 7) as u8));
    header.emit(&mut bytes, addresses()).expect("it fits");
    bytes
}

/// Lengths, checksum, all fields, all options.
fn read(what: &str, bytes: &[u8]) {
    let [source, destination] = [SOURCE, DESTINATION].map(|[a, b, c, d]| IpAddress::v4(a, b, c, d));
    compare(
        &format!("read {what}"),
        vec![
            (
                "ours",
                Box::new(|| {
                    let segment = Segment::parse(black_box(bytes), addresses()).unwrap();
                    let header = segment.header();
                    for option in header.options {
                        black_box(option.unwrap());
                    }
                    black_box(header);
                    segment.payload().len() as u64
                }),
            ),
            (
                "smoltcp",
                Box::new(|| {
                    let packet = TcpPacket::new_checked(black_box(bytes)).unwrap();
                    let checksums = ChecksumCapabilities::default();
                    let repr = TcpRepr::parse(&packet, &source, &destination, &checksums).unwrap();
                    black_box(&repr);
                    repr.payload.len() as u64
                }),
            ),
            (
                "etherparse",
                Box::new(|| {
                    let (header, payload) = TcpHeader::from_slice(black_box(bytes)).unwrap();
                    let checksum = header.calc_checksum_ipv4_raw(SOURCE, DESTINATION, payload);
                    assert_eq!(checksum.unwrap(), header.checksum);
                    for option in header.options_iterator() {
                        black_box(option.unwrap());
                    }
                    black_box(&header);
                    payload.len() as u64
                }),
            ),
        ],
    );
}

/// Header, options, checksum, in front of data that stand there.
fn write(what: &str, bytes: &[u8]) {
    let [source, destination] = [SOURCE, DESTINATION].map(|[a, b, c, d]| IpAddress::v4(a, b, c, d));
    let ours = Segment::parse(bytes, addresses()).unwrap();
    let header = ours.header();
    let list: Vec<TcpOption> = header.options.iter().collect::<Result<_, _>>().unwrap();
    let packet = TcpPacket::new_checked(bytes).unwrap();
    let checksums = ChecksumCapabilities::default();
    let repr = TcpRepr::parse(&packet, &source, &destination, &checksums).unwrap();
    let mut buffers = [bytes.to_vec(), bytes.to_vec()];
    let [ours, theirs] = &mut buffers;
    compare(
        &format!("write {what}"),
        vec![
            (
                "ours",
                Box::new(|| {
                    let mut room = [0; MAX_OPTIONS_LEN];
                    let options = Options::emit(black_box(&list), &mut room).unwrap();
                    let header = Header {
                        options,
                        ..*black_box(&header)
                    };
                    header.emit(black_box(ours), addresses()).unwrap();
                    ours.len() as u64
                }),
            ),
            (
                // It copies the data, too: it knows no other way.
                "smoltcp",
                Box::new(|| {
                    let mut packet = TcpPacket::new_unchecked(black_box(&mut theirs[..]));
                    black_box(&repr).emit(&mut packet, &source, &destination, &checksums);
                    packet.into_inner().len() as u64
                }),
            ),
        ],
    );
}
