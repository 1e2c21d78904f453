//! Reading a header against smoltcp and etherparse, summing bytes against both and a plain loop.
//!
//! ```text
//! cargo bench -p ip-header
//! ```
//!
//! All contestants take turns in one run, so that a machine that slows down slows all of them
//! down; what counts is the ratio of the medians, theirs to ours. Above 1, ours is faster.

use std::hint::black_box;
use std::time::{Duration, Instant};

use ip_header::checksum::Sum;
use ip_header::{Protocol, ipv4, ipv6};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{Ipv4Packet, Ipv4Repr, Ipv6Packet, Ipv6Repr, checksum};

/// Turns of each contestant.
const ROUNDS: usize = 51;

/// How long about one turn lasts.
const TURN: Duration = Duration::from_millis(2);

type Contestant<'a> = (&'a str, Box<dyn Fn() -> u64 + 'a>);

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

/// Prints a table of one comparison. All must give the same number.
fn compare(what: &str, contestants: Vec<Contestant>) {
    let expected = contestants[0].1();
    for (name, run) in &contestants {
        assert_eq!(run(), expected, "{name} gives another result in: {what}");
    }
    let begun = Instant::now();
    let mut times = 0_u32;
    while begun.elapsed() < TURN {
        black_box(contestants[0].1());
        times += 1;
    }

    let mut turns = vec![Vec::new(); contestants.len()];
    for _ in 0..ROUNDS {
        for ((_, run), turns) in contestants.iter().zip(&mut turns) {
            let begun = Instant::now();
            for _ in 0..times {
                black_box(run());
            }
            turns.push(begun.elapsed().as_secs_f64() * 1e9 / f64::from(times));
        }
    }
    println!("{what}");
    let medians: Vec<f64> = turns.iter_mut().map(|turns| median(turns)).collect();
    for ((name, _), median) in contestants.iter().zip(&medians) {
        println!(
            "  {name:<12} {median:>10.1} ns   × {:.2}",
            median / medians[0]
        );
    }
}

fn median(turns: &mut [f64]) -> f64 {
    turns.sort_by(f64::total_cmp);
    turns[turns.len() / 2]
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

fn packet_v4() -> Vec<u8> {
    let header = ipv4::Header::new(Protocol::UDP, [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    let mut bytes = vec![0xa5; ipv4::HEADER_LEN + 64];
    header.emit(&mut bytes).unwrap();
    bytes
}

fn packet_v6() -> Vec<u8> {
    let header = ipv6::Header::new(Protocol::UDP, [1; 8].into(), [2; 8].into());
    let mut bytes = vec![0xa5; ipv6::HEADER_LEN + 64];
    header.emit(&mut bytes).unwrap();
    bytes
}
