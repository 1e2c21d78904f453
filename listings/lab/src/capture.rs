//! Every packet of a run: when it was sent, when it arrived, and what became of it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::time::Duration;

use record::{Event, Sequence, What};

use crate::link::Fate;
use crate::packet::{self, Tcp, Udp};
use crate::pcapng;

/// All packets that crossed a link, in the order in which they were sent.
///
/// A packet that crosses several links, by way of a router, stands here once for each.
#[derive(Debug, Clone)]
pub struct Capture {
    /// The lab's hosts and nodes, by [`Crossing::from`] and [`Crossing::to`].
    places: Vec<Place>,
    crossings: Vec<Crossing>,
    /// When the lab started, in nanoseconds since 1970.
    pub(crate) started_realtime_ns: u64,
}

/// A host or node as a capture names it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) address: Option<String>,
}

/// One packet on one direction of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossing {
    /// Who sent it, as an index; [`Capture::name`] gives the name.
    pub from: usize,
    /// Who it was sent to, as an index.
    pub to: usize,
    /// Its number in this direction, from 1 on: the one that rules see.
    pub number: u64,
    /// When the sender's kernel handed it to the link, since the lab started.
    pub sent: Duration,
    /// When it was handed to the receiver, if it was. Later than the link meant by as much as the
    /// relay was late.
    pub arrived: Option<Duration>,
    /// What became of it.
    pub fate: Fate,
    /// Bytes from the IP header on, as it was sent.
    pub length: usize,
    /// Bytes that waited for the link's rate when it came.
    pub queue_bytes: usize,
    /// The packet as it was sent, from the IP header on; cut off where the lab's snap length says.
    pub bytes: Box<[u8]>,
}

impl Crossing {
    /// The TCP header, if it is a TCP segment.
    #[must_use]
    pub fn tcp(&self) -> Option<Tcp> {
        packet::tcp(&self.bytes, self.length)
    }

    /// The UDP header, if it is a UDP datagram.
    #[must_use]
    pub fn udp(&self) -> Option<Udp> {
        packet::udp(&self.bytes, self.length)
    }
}

impl Capture {
    pub(crate) fn new(
        places: Vec<Place>,
        mut crossings: Vec<Crossing>,
        started_realtime_ns: u64,
    ) -> Self {
        // The relay reads host after host; those that sent meanwhile come in later than they sent.
        crossings.sort_by_key(|crossing| crossing.sent);
        Self {
            places,
            crossings,
            started_realtime_ns,
        }
    }

    /// The packets.
    #[must_use]
    pub fn crossings(&self) -> &[Crossing] {
        &self.crossings
    }

    /// The name of a host or node.
    #[must_use]
    pub fn name(&self, place: usize) -> &str {
        &self.places[place].name
    }

    /// The packets that a host or node sent.
    pub fn sent_by(&self, name: &str) -> impl Iterator<Item = &Crossing> {
        self.crossings
            .iter()
            .filter(move |crossing| self.name(crossing.from) == name)
    }

    /// One line for each packet: when it was sent, by whom and to whom, what it is, and what became
    /// of it. TCP's numbers count from the first that was seen.
    #[must_use]
    pub fn lines(&self) -> String {
        let mut text = String::new();
        let mut numbers = Numbers::default();
        let started = self
            .crossings
            .first()
            .map_or(Duration::ZERO, |first| first.sent);
        for crossing in &self.crossings {
            let at_ms = (crossing.sent - started).as_secs_f64() * 1e3;
            let (from, to) = (self.name(crossing.from), self.name(crossing.to));
            let (what, detail) = numbers.describe(crossing);
            let fate = match crossing.fate {
                Fate::Passed => "",
                Fate::Copied => "  (a copy)",
                Fate::Rewritten => "  (rewritten)",
                Fate::Lost => "  LOST",
                Fate::Dropped => "  DROPPED",
                Fate::Overflowed => "  QUEUE FULL",
            };
            let gap = if detail.is_empty() { "" } else { ", " };
            let _ = writeln!(
                text,
                "{at_ms:>9.3} ms  {from} > {to}  {what}{gap}{detail}{fate}"
            );
        }
        text
    }

    /// The packets as a figure: a lifeline for each host and node, a message for each packet.
    #[must_use]
    pub fn sequence(&self) -> Sequence {
        let mut sequence = Sequence::new();
        for place in &self.places {
            let address = place.address.as_ref().map(|address| format!("`{address}`"));
            sequence.host(place.name.clone(), address.as_deref());
        }
        let mut numbers = Numbers::default();
        let started = self
            .crossings
            .first()
            .map_or(Duration::ZERO, |first| first.sent);
        let microseconds = |time: Duration| (time.saturating_sub(started)).as_micros() as u64;
        for crossing in &self.crossings {
            let (what, detail) = numbers.describe(crossing);
            sequence.events.push(Event {
                at_us: microseconds(crossing.sent),
                what: What::Message {
                    from: crossing.from,
                    to: crossing.to,
                    label: format!("`{what}`"),
                    note: (!detail.is_empty()).then(|| format!("`{detail}`")),
                    arrived_us: crossing.arrived.map(microseconds),
                    fate: crossing.fate.into(),
                },
            });
        }
        sequence
    }

    /// The packets as a file for Wireshark and `tshark`, with a comment on each that was not carried
    /// as it was. `key_log` are lines as TLS libraries write them to `SSLKEYLOGFILE`, or nothing.
    #[must_use]
    pub fn pcapng(&self, key_log: &str) -> Vec<u8> {
        pcapng::file(self, key_log)
    }

    /// Writes [`pcapng`](Self::pcapng) to a file.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write_pcapng(&self, path: impl AsRef<Path>, key_log: &str) -> io::Result<()> {
        std::fs::write(path, self.pcapng(key_log))
    }
}

/// Where TCP's sequence numbers start, by sender and ports, so that they can be shown from 0 on.
#[derive(Default)]
struct Numbers(HashMap<(Vec<u8>, u16, u16), u32>);

impl Numbers {
    /// What a packet is, and the numbers that belong to it.
    fn describe(&mut self, crossing: &Crossing) -> (String, String) {
        if let Some(tcp) = crossing.tcp() {
            let (source, destination) = addresses(&crossing.bytes);
            let (from, to) = (tcp.source_port, tcp.destination_port);
            let first = *self.0.entry((source, from, to)).or_insert(tcp.sequence);
            let mut detail = format!("seq {}", tcp.sequence.wrapping_sub(first));
            if tcp.has(Tcp::ACK) {
                let first = *self
                    .0
                    .entry((destination, to, from))
                    .or_insert(tcp.acknowledgment.wrapping_sub(1));
                let _ = write!(detail, ", ack {}", tcp.acknowledgment.wrapping_sub(first));
            }
            let _ = write!(detail, ", win {}", tcp.window);
            if tcp.length > 0 {
                let _ = write!(detail, ", {} bytes", tcp.length);
            }
            return (packet::flags(&tcp), detail);
        }
        match crossing.udp() {
            Some(udp) => ("UDP".to_owned(), format!("{} bytes", udp.length)),
            None => (packet::other(&crossing.bytes), String::new()),
        }
    }
}

/// Source and destination, as far as they tell connections apart.
fn addresses(bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (from, length) = if bytes[0] >> 4 == 4 { (12, 4) } else { (8, 16) };
    (
        bytes[from..from + length].to_vec(),
        bytes[from + length..from + 2 * length].to_vec(),
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    /// A SYN that arrived, and one that was lost.
    pub(crate) fn two_segments() -> Capture {
        let mut bytes = Vec::new();
        PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .tcp(40_000, 80, 7, 1000)
            .syn()
            .write(&mut bytes, &[])
            .unwrap();
        let crossing = |number, fate| Crossing {
            from: 0,
            to: 1,
            number,
            sent: Duration::from_millis(number),
            arrived: (fate == Fate::Passed).then(|| Duration::from_millis(number + 25)),
            fate,
            length: bytes.len(),
            queue_bytes: 0,
            bytes: bytes.clone().into(),
        };
        let place = |name: &str| Place {
            name: name.to_owned(),
            address: None,
        };
        Capture::new(
            vec![place("client"), place("server")],
            vec![crossing(2, Fate::Dropped), crossing(1, Fate::Passed)],
            1_700_000_000_000_000_000,
        )
    }

    #[test]
    fn lines_stand_in_the_order_of_sending_and_count_from_the_first() {
        assert_eq!(
            two_segments().lines(),
            "    0.000 ms  client > server  SYN, seq 0, win 1000\n    \
             1.000 ms  client > server  SYN, seq 0, win 1000  DROPPED\n"
        );
    }

    #[test]
    fn a_sequence_says_when_each_arrived_and_which_did_not() {
        let sequence = two_segments().sequence();
        let arrivals: Vec<_> = sequence
            .events
            .iter()
            .map(|event| match &event.what {
                What::Message {
                    arrived_us, fate, ..
                } => (event.at_us, *arrived_us, *fate),
                What::State { .. } => panic!("there are no states"),
            })
            .collect();
        assert_eq!(
            arrivals,
            [
                (0, Some(25_000), record::Fate::Arrived),
                (1000, None, record::Fate::Lost)
            ]
        );
    }
}
