//! Segments of all kinds, for properties and for peers.

use ip_header::Addresses;
use proptest::collection::vec;
use proptest::prelude::*;
use tcp_segment::option::{Cookie, MAX_OPTIONS_LEN, Other, SackBlock, SackBlocks, UserTimeout};
use tcp_segment::{Flags, Header, SeqNumber, TcpOption};

/// An option of any kind, whose data live as long as the test: the strategy gives the parts.
#[derive(Debug, Clone)]
pub enum Parts {
    NoOperation,
    MaximumSegmentSize(u16),
    WindowScale(u8),
    SackPermitted,
    Sack(Vec<(u32, u32)>),
    Timestamps(u32, u32),
    UserTimeout(bool, u16),
    FastOpen(Vec<u8>),
    Other(u8, Vec<u8>),
}

impl Parts {
    /// The option.
    pub fn option(&self) -> TcpOption<'_> {
        match self {
            Self::NoOperation => TcpOption::NoOperation,
            Self::MaximumSegmentSize(size) => TcpOption::MaximumSegmentSize(*size),
            Self::WindowScale(shift) => TcpOption::WindowScale(*shift),
            Self::SackPermitted => TcpOption::SackPermitted,
            Self::Sack(edges) => {
                let block = |&(left, right): &(u32, u32)| SackBlock {
                    left: SeqNumber(left),
                    right: SeqNumber(right),
                };
                let blocks: Vec<SackBlock> = edges.iter().map(block).collect();
                TcpOption::Sack(SackBlocks::new(&blocks).unwrap())
            }
            Self::Timestamps(value, echo_reply) => TcpOption::Timestamps {
                value: *value,
                echo_reply: *echo_reply,
            },
            Self::UserTimeout(true, count) => {
                TcpOption::UserTimeout(UserTimeout::from_minutes(*count).unwrap())
            }
            Self::UserTimeout(false, count) => {
                TcpOption::UserTimeout(UserTimeout::from_seconds(*count).unwrap())
            }
            Self::FastOpen(cookie) => TcpOption::FastOpen(Cookie::new(cookie).unwrap()),
            Self::Other(kind, data) => TcpOption::Other(Other::new(*kind, data).unwrap()),
        }
    }
}

fn parts(other_kinds: Vec<u8>) -> impl Strategy<Value = Parts> {
    let other_kind = prop::sample::select(other_kinds);
    prop_oneof![
        Just(Parts::NoOperation),
        any::<u16>().prop_map(Parts::MaximumSegmentSize),
        any::<u8>().prop_map(Parts::WindowScale),
        Just(Parts::SackPermitted),
        vec(any::<(u32, u32)>(), 1..=4).prop_map(Parts::Sack),
        any::<(u32, u32)>().prop_map(|(value, echo)| Parts::Timestamps(value, echo)),
        (any::<bool>(), 0..1_u16 << 15).prop_map(|(unit, count)| Parts::UserTimeout(unit, count)),
        prop_oneof![Just(0), (2..=8_usize).prop_map(|half| half * 2)]
            .prop_flat_map(|len| vec(any::<u8>(), len))
            .prop_map(Parts::FastOpen),
        (other_kind, vec(any::<u8>(), 0..12)).prop_map(|(kind, data)| Parts::Other(kind, data)),
    ]
}

/// As many options as a header holds; those without a name are of one of these kinds.
pub fn list(other_kinds: Vec<u8>) -> impl Strategy<Value = Vec<Parts>> {
    vec(parts(other_kinds), 0..8).prop_map(|mut list| {
        let len =
            |list: &[Parts]| -> usize { list.iter().map(|parts| parts.option().wire_len()).sum() };
        while len(&list) > MAX_OPTIONS_LEN {
            list.pop();
        }
        list
    })
}

prop_compose! {
    pub fn header()(
        (source_port, destination_port, window, urgent_pointer) in any::<(u16, u16, u16, u16)>(),
        (sequence, acknowledgment) in any::<(u32, u32)>(),
        flags in 0..1_u16 << 12,
    ) -> Header<'static> {
        Header {
            acknowledgment_number: SeqNumber(acknowledgment),
            flags: Flags::from_bits(flags).unwrap(),
            window,
            urgent_pointer,
            ..Header::new(source_port, destination_port, SeqNumber(sequence))
        }
    }
}

pub fn addresses() -> impl Strategy<Value = Addresses> {
    prop_oneof![
        any::<([u8; 4], [u8; 4])>().prop_map(|(source, destination)| Addresses::V4 {
            source: source.into(),
            destination: destination.into(),
        }),
        any::<([u8; 16], [u8; 16])>().prop_map(|(source, destination)| Addresses::V6 {
            source: source.into(),
            destination: destination.into(),
        }),
    ]
}
