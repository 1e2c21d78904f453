//! Reading and writing frames against etherparse, and the check sequence against the plain loop.
//!
//! ```text
//! cargo bench -p layers-ethernet
//! ```
//!
//! What counts is the ratio of the medians, theirs to ours. Above 1, ours is faster.

use std::hint::black_box;

use etherparse::{Ethernet2Header, SingleVlanHeader, VlanId as TheirVlan, VlanPcp};
use layers_ethernet::{EtherType, Frame, Header, MacAddress, Priority, Tag, VlanId, crc};
use testkit::yardstick::compare;

fn main() {
    let plain = Header {
        destination: MacAddress([0x02, 0, 0, 0, 0, 1]),
        source: MacAddress([0x02, 0, 0, 0, 0, 2]),
        tag: None,
        ether_type: EtherType::IPV4,
    };
    let tagged = Header {
        tag: Some(Tag {
            priority: Priority::new(3).unwrap(),
            drop_eligible: false,
            vlan: VlanId::new(100).unwrap(),
        }),
        ..plain
    };
    println!("nanoseconds each, and how many times ours it takes\n");
    for (what, header) in [("plain", plain), ("tagged", tagged)] {
        let mut bytes = vec![0xa5; 14 + 4 + 64];
        header.emit(&mut bytes).unwrap();
        read(what, &bytes);
        write(what, &header, &bytes);
    }
    for len in [64, 1_518] {
        let bytes: Vec<u8> = (0..len).map(|at| (at * 31 + at / 7) as u8).collect();
        compare(
            &format!("check sequence of {len} bytes"),
            vec![
                ("ours", Box::new(|| crc::crc32(black_box(&bytes)).into())),
                (
                    "bit by bit",
                    Box::new(|| bit_by_bit(black_box(&bytes)).into()),
                ),
            ],
        );
    }
}

fn read(what: &str, bytes: &[u8]) {
    compare(
        &format!("parse, {what}, all fields"),
        vec![
            (
                "ours",
                Box::new(|| {
                    let frame = Frame::parse(black_box(bytes)).unwrap();
                    black_box(&frame.header());
                    frame.payload().len() as u64
                }),
            ),
            (
                "etherparse",
                Box::new(|| {
                    let (header, rest) = Ethernet2Header::from_slice(black_box(bytes)).unwrap();
                    black_box(&header);
                    if header.ether_type != etherparse::EtherType::VLAN_TAGGED_FRAME {
                        return rest.len() as u64;
                    }
                    let (tag, rest) = SingleVlanHeader::from_slice(rest).unwrap();
                    black_box(&tag);
                    rest.len() as u64
                }),
            ),
        ],
    );
}

fn write(what: &str, header: &Header, bytes: &[u8]) {
    let ethernet = Ethernet2Header {
        destination: header.destination.0,
        source: header.source.0,
        ether_type: match header.tag {
            None => etherparse::EtherType(header.ether_type.0),
            Some(_) => etherparse::EtherType::VLAN_TAGGED_FRAME,
        },
    };
    let tag = header.tag.map(|tag| SingleVlanHeader {
        pcp: VlanPcp::try_new(tag.priority.get()).unwrap(),
        drop_eligible_indicator: tag.drop_eligible,
        vlan_id: TheirVlan::try_new(tag.vlan.get()).unwrap(),
        ether_type: etherparse::EtherType(header.ether_type.0),
    });
    let mut written = [(); 2].map(|()| vec![0xa5; bytes.len()]);
    let [first, second] = &mut written;
    compare(
        &format!("emit, {what}"),
        vec![
            (
                "ours",
                Box::new(|| black_box(header).emit(black_box(first)).unwrap().len() as u64),
            ),
            (
                "etherparse",
                Box::new(|| {
                    let rest = black_box(&ethernet)
                        .write_to_slice(black_box(second))
                        .unwrap();
                    let Some(tag) = black_box(&tag) else {
                        return rest.len() as u64;
                    };
                    let (place, rest) = rest.split_at_mut(4);
                    place.copy_from_slice(&tag.to_bytes());
                    rest.len() as u64
                }),
            ),
        ],
    );
    assert!(written.iter().all(|written| written == bytes));
}

/// The division as one does it on paper.
fn bit_by_bit(bytes: &[u8]) -> u32 {
    let mut remainder = u32::MAX;
    for byte in bytes {
        remainder ^= u32::from(*byte);
        for _ in 0..8 {
            remainder = (remainder >> 1) ^ ((remainder & 1) * 0xedb8_8320);
        }
    }
    !remainder
}
