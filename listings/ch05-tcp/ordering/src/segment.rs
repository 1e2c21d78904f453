//! Segments in the numbers of their byte streams.
//!
//! As Wireshark does, this counts each direction from its SYN, which takes number 0. So the first
//! byte of data has number 1.

use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use ip_header::{ipv4, ipv6};
use lab::{Capture, Crossing, Fate};
use tcp_segment::{Flags, SeqNumber, TcpOption};

// ANCHOR: segment
/// A segment: what it carries, and what it says of those that went the other way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Who sent it: an index as in [`Crossing::from`].
    pub from: usize,
    /// Who it was sent to.
    pub to: usize,
    /// When it was sent; zero for the first of the capture.
    pub sent: Duration,
    /// When it arrived, if it did.
    pub arrived: Option<Duration>,
    /// What the link did to it.
    pub fate: Fate,
    /// Its control bits.
    pub flags: Flags,
    /// The bytes that it carries; an empty range stands at the number that comes next.
    pub bytes: Range<u32>,
    /// The cumulative acknowledgment: all bytes below this number have arrived.
    pub ack: Option<u32>,
    /// The selective acknowledgments: these have arrived, too (RFC 2018).
    pub sack: Vec<Range<u32>>,
}
// ANCHOR_END: segment

impl Segment {
    /// Whether it opens a direction.
    #[must_use]
    pub fn is_syn(&self) -> bool {
        self.flags.contains(Flags::SYN)
    }

    /// Whether it closes a direction.
    #[must_use]
    pub fn is_fin(&self) -> bool {
        self.flags.contains(Flags::FIN)
    }

    /// Whether it carries data.
    #[must_use]
    pub fn has_data(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// The bytes that came again although they had arrived: a receiver that knows D-SACK names them
    /// in the first of its blocks (RFC 2883 §4).
    #[must_use]
    pub fn duplicate(&self) -> Option<&Range<u32>> {
        let first = self.sack.first()?;
        let is_acknowledged = self.ack.is_some_and(|ack| first.end <= ack);
        let is_in_the_next = self
            .sack
            .get(1)
            .is_some_and(|next| next.start <= first.start && first.end <= next.end);
        (is_acknowledged || is_in_the_next).then_some(first)
    }

    /// What it carries or else acknowledges, as it stands on its arrow in a figure.
    #[must_use]
    pub fn label(&self) -> String {
        if self.has_data() {
            return format!("`{:?}`", self.bytes);
        }
        let mut words = Vec::new();
        for (has, name) in [(self.is_syn(), "SYN"), (self.is_fin(), "FIN")] {
            if has {
                words.push(name.to_owned());
            }
        }
        if let Some(ack) = self.ack {
            words.push(format!("ACK {ack}"));
        }
        let mut label = words.join(" ");
        for (place, block) in self.sack.iter().enumerate() {
            let name = if place == 0 && self.duplicate().is_some() {
                "D-SACK"
            } else {
                "SACK"
            };
            let _ = write!(label, ", {name} {block:?}");
        }
        format!("`{label}`")
    }
}

// ANCHOR: read
/// The segments of a capture that holds one connection, from its first SYN on.
///
/// # Panics
///
/// When it holds something else.
#[must_use]
pub fn segments(capture: &Capture) -> Vec<Segment> {
    let crossings = capture.crossings();
    let mut syns = [SeqNumber(0); 2];
    crossings
        .iter()
        .map(|crossing| read(crossing, &crossings[0], &mut syns))
        .collect()
}

/// Reads a segment; `syns` are the numbers of the SYNs, that of the client first.
fn read(crossing: &Crossing, first: &Crossing, syns: &mut [SeqNumber; 2]) -> Segment {
    let payload = if crossing.bytes[0] >> 4 == 4 {
        ipv4::Packet::parse(&crossing.bytes).map(|packet| packet.payload())
    } else {
        ipv6::Packet::parse(&crossing.bytes).map(|packet| packet.payload())
    }
    .expect("a host sends well-formed packets");
    let segment = tcp_segment::Segment::parse_without_checksum(payload)
        .expect("the connection is all that the hosts send");
    let header = segment.header();
    let way = usize::from(crossing.from != first.from);
    if header.flags.contains(Flags::SYN) {
        syns[way] = header.sequence_number;
    }
    let is_ack = header.flags.contains(Flags::ACK);
    let number = header.sequence_number - syns[way];
    let others = |theirs: SeqNumber| theirs - syns[1 - way];
    Segment {
        from: crossing.from,
        to: crossing.to,
        sent: crossing.sent - first.sent,
        arrived: crossing.arrived.map(|at| at - first.sent),
        fate: crossing.fate,
        flags: header.flags,
        bytes: number..number + segment.payload().len() as u32,
        ack: is_ack.then(|| others(header.acknowledgment_number)),
        sack: header
            .options
            .iter()
            .find_map(|option| match option {
                Ok(TcpOption::Sack(blocks)) => Some(blocks),
                _ => None,
            })
            .iter()
            .flat_map(|blocks| blocks.as_slice())
            .map(|block| others(block.left)..others(block.right))
            .collect(),
    }
}
// ANCHOR_END: read

/// The data and what acknowledges it, without handshake and farewell.
pub fn exchange(segments: &[Segment]) -> impl Iterator<Item = &Segment> {
    let fins = segments.iter().filter(|segment| segment.is_fin());
    // A FIN takes a number, too, and its receiver acknowledges it.
    let farewell: Vec<_> = fins.map(|fin| (fin.to, Some(fin.bytes.end + 1))).collect();
    segments
        .iter()
        .skip_while(|segment| !segment.has_data())
        .filter(move |segment| {
            !segment.is_fin() && !farewell.contains(&(segment.from, segment.ack))
        })
}
