//! What one direction of a link does to the packets it carries, decided without sockets or clocks.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::packet::Packet;

/// How many bytes may wait for a link that has a rate and no other [queue](Link::queue): 100
/// packets of full size, a common default of drivers.
pub const QUEUE_BYTES: usize = 150_000;

/// One direction of a link: how it delays, limits, loses and changes packets.
///
/// A new one carries everything at once. A clone shares its [rule](Link::rule) with the original.
#[derive(Clone)]
#[must_use]
pub struct Link {
    delay: Duration,
    bits_per_second: Option<u64>,
    queue_bytes: usize,
    loss: f64,
    seed: u64,
    pub(crate) mtu: usize,
    rule: Option<Arc<Mutex<Rule>>>,
}

type Rule = dyn FnMut(u64, &Packet) -> Verdict + Send;

/// What a [rule](Link::rule) decides about a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Carry it.
    Pass,
    /// Lose it.
    Drop,
    /// Carry it, and take this much longer for it. Packets behind it may overtake it.
    Delay(Duration),
    /// Carry it, and a copy right behind it.
    Duplicate,
    /// Let this many packets that follow arrive first. If they do not come within
    /// [`HELD_AT_MOST`], it goes on without them.
    Reorder(usize),
    /// Carry this one in its place.
    Rewrite(Packet),
}

/// How long [`Verdict::Reorder`] waits for the packets that are to overtake: longer than a
/// retransmission timeout of 200 ms, which sends one.
pub const HELD_AT_MOST: Duration = Duration::from_millis(500);

/// What became of a packet on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It was carried as it was.
    Passed,
    /// It is a second copy, by [`Verdict::Duplicate`].
    Copied,
    /// It was carried with other bytes, by [`Verdict::Rewrite`].
    Rewritten,
    /// It was lost by chance, as [`Link::loss`] has it.
    Lost,
    /// It was lost by [`Verdict::Drop`].
    Dropped,
    /// It found the [queue](Link::queue) full.
    Overflowed,
}

impl Fate {
    /// Whether the packet goes on.
    #[must_use]
    pub fn arrives(self) -> bool {
        matches!(self, Self::Passed | Self::Copied | Self::Rewritten)
    }
}

/// As figures draw it.
impl From<Fate> for record::Fate {
    fn from(fate: Fate) -> Self {
        match fate {
            Fate::Passed => Self::Arrived,
            Fate::Copied => Self::Duplicated,
            Fate::Rewritten => Self::Changed,
            Fate::Lost | Fate::Dropped | Fate::Overflowed => Self::Lost,
        }
    }
}

impl Default for Link {
    fn default() -> Self {
        Self::new()
    }
}

impl Link {
    /// A link that carries everything at once, up to 1,500 bytes a packet.
    pub fn new() -> Self {
        Self {
            delay: Duration::ZERO,
            bits_per_second: None,
            queue_bytes: QUEUE_BYTES,
            loss: 0.0,
            seed: 0,
            mtu: 1500,
            rule: None,
        }
    }

    /// How long a packet is under way once it has been sent.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// How many bits a second it sends, counted from the IP header on.
    ///
    /// # Panics
    ///
    /// When that is none.
    pub fn rate(mut self, bits_per_second: u64) -> Self {
        assert!(
            bits_per_second > 0,
            "a link sends more than 0 bits a second"
        );
        self.bits_per_second = Some(bits_per_second);
        self
    }

    /// How many bytes may wait to be sent at the [rate](Self::rate), those being sent included. A
    /// packet that finds no room is lost, but one that finds the link idle is always sent.
    pub fn queue(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// The largest packet that it carries, in bytes from the IP header on: the MTU of the host's
    /// interface and of the router's. Between 1,280 (RFC 8200, section 5) and 9,000.
    ///
    /// # Panics
    ///
    /// When it is not between these.
    pub fn mtu(mut self, bytes: usize) -> Self {
        assert!((1280..=9000).contains(&bytes), "an MTU of {bytes} bytes");
        self.mtu = bytes;
        self
    }

    /// Loses each packet with this probability. Which ones, depends only on `seed` and on the
    /// packet's number in this direction, so that every run loses the same.
    ///
    /// # Panics
    ///
    /// When `probability` is none.
    pub fn loss(mut self, probability: f64, seed: u64) -> Self {
        assert!(
            (0.0..=1.0).contains(&probability),
            "a probability of {probability}"
        );
        (self.loss, self.seed) = (probability, seed);
        self
    }

    /// Lets `rule` decide about each packet that the queue took, given its number in this
    /// direction, from 1 on. It runs in the relay's thread, which everything else waits for.
    pub fn rule(mut self, rule: impl FnMut(u64, &Packet) -> Verdict + Send + 'static) -> Self {
        self.rule = Some(Arc::new(Mutex::new(rule)));
        self
    }

    fn loses(&self, number: u64) -> bool {
        self.loss > 0.0 && uniform(self.seed, number) < self.loss
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("delay", &self.delay)
            .field("bits_per_second", &self.bits_per_second)
            .field("queue_bytes", &self.queue_bytes)
            .field("loss", &self.loss)
            .field("seed", &self.seed)
            .field("mtu", &self.mtu)
            .field("rule", &self.rule.is_some())
            .finish()
    }
}

/// A number from 0 to 1 for each seed and packet: SplitMix64 (Steele, Lea and Flood, 2014), entered
/// at the `number`-th place, so that a number does not depend on how many were drawn before.
fn uniform(seed: u64, number: u64) -> f64 {
    let mut z = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    (z >> 11) as f64 / (1_u64 << 53) as f64
}

/// A [`Link`] at work.
pub(crate) struct Direction {
    link: Link,
    /// How many packets were offered.
    offered: u64,
    /// When the last packet that was taken will have been sent.
    busy_until_ns: u64,
    /// When each packet that is not sent yet will be, and its length.
    waiting: VecDeque<(u64, usize)>,
    waiting_bytes: usize,
    /// Packets that wait to be overtaken.
    held: Vec<Held>,
}

struct Held {
    packet: OnItsWay,
    overtakers: usize,
}

/// A packet that the link has let pass.
#[derive(Debug)]
pub(crate) struct OnItsWay {
    /// When it is to arrive.
    pub(crate) due_ns: u64,
    /// Its number in this direction.
    pub(crate) number: u64,
    pub(crate) fate: Fate,
    pub(crate) packet: Packet,
}

/// What a link decided about a packet that it was offered.
#[derive(Debug)]
pub(crate) struct Decision {
    pub(crate) number: u64,
    pub(crate) fate: Fate,
    /// Bytes that waited when it came.
    pub(crate) queue_bytes: usize,
    /// What goes on because of it, in order: itself, a copy, others that had waited for it.
    pub(crate) go_on: Vec<OnItsWay>,
    /// When to ask [`Direction::release`] because it is held.
    pub(crate) release_at_ns: Option<u64>,
}

impl Direction {
    pub(crate) fn new(link: Link) -> Self {
        Self {
            link,
            offered: 0,
            busy_until_ns: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            held: Vec::new(),
        }
    }

    /// Decides about a packet that was sent at `now_ns`.
    pub(crate) fn offer(&mut self, now_ns: u64, packet: Packet) -> Decision {
        self.offered += 1;
        let number = self.offered;
        let queue_bytes = self.queue_at(now_ns);
        let mut decision = Decision {
            number,
            fate: Fate::Passed,
            queue_bytes,
            go_on: Vec::new(),
            release_at_ns: None,
        };
        let Some(sent_ns) = self.enqueue(now_ns, packet.length()) else {
            decision.fate = Fate::Overflowed;
            return decision;
        };
        let verdict = match &self.link.rule {
            Some(rule) => rule.lock().unwrap_or_else(PoisonError::into_inner)(number, &packet),
            None => Verdict::Pass,
        };
        if self.link.loses(number) {
            decision.fate = Fate::Lost;
            return decision;
        }
        let mut on = OnItsWay {
            due_ns: sent_ns + nanoseconds(self.link.delay),
            number,
            fate: Fate::Passed,
            packet,
        };
        match verdict {
            Verdict::Pass => self.pass(on, &mut decision.go_on),
            Verdict::Drop => decision.fate = Fate::Dropped,
            Verdict::Delay(longer) => {
                on.due_ns += nanoseconds(longer);
                self.pass(on, &mut decision.go_on);
            }
            Verdict::Duplicate => {
                let copy = OnItsWay {
                    fate: Fate::Copied,
                    packet: on.packet.clone(),
                    ..on
                };
                self.pass(on, &mut decision.go_on);
                self.pass(copy, &mut decision.go_on);
            }
            Verdict::Rewrite(other) => {
                decision.fate = Fate::Rewritten;
                (on.fate, on.packet) = (Fate::Rewritten, other);
                self.pass(on, &mut decision.go_on);
            }
            Verdict::Reorder(0) => self.pass(on, &mut decision.go_on),
            Verdict::Reorder(overtakers) => {
                decision.release_at_ns = Some(on.due_ns + nanoseconds(HELD_AT_MOST));
                self.held.push(Held {
                    packet: on,
                    overtakers,
                });
            }
        }
        decision
    }

    /// Lets a packet go that was held and has not been overtaken in time.
    pub(crate) fn release(&mut self, number: u64, now_ns: u64) -> Option<OnItsWay> {
        let at = self
            .held
            .iter()
            .position(|held| held.packet.number == number)?;
        let mut packet = self.held.remove(at).packet;
        packet.due_ns = now_ns;
        Some(packet)
    }

    /// Lets a packet go on, and behind it those that had waited for it as the last.
    fn pass(&mut self, packet: OnItsWay, go_on: &mut Vec<OnItsWay>) {
        let due_ns = packet.due_ns;
        go_on.push(packet);
        for held in &mut self.held {
            held.overtakers -= 1;
        }
        for mut held in self.held.extract_if(.., |held| held.overtakers == 0) {
            held.packet.due_ns = held.packet.due_ns.max(due_ns);
            go_on.push(held.packet);
        }
    }

    /// Bytes that have not been sent yet.
    fn queue_at(&mut self, now_ns: u64) -> usize {
        while let Some(&(sent_ns, length)) = self.waiting.front() {
            if sent_ns > now_ns {
                break;
            }
            self.waiting.pop_front();
            self.waiting_bytes -= length;
        }
        self.waiting_bytes
    }

    /// When the packet will have been sent; `None` if there is no room for it to wait.
    fn enqueue(&mut self, now_ns: u64, length: usize) -> Option<u64> {
        let Some(rate) = self.link.bits_per_second else {
            return Some(now_ns);
        };
        if !self.waiting.is_empty() && self.waiting_bytes + length > self.link.queue_bytes {
            return None;
        }
        let takes_ns = (length as u128 * 8 * 1_000_000_000).div_ceil(u128::from(rate));
        self.busy_until_ns = self.busy_until_ns.max(now_ns) + takes_ns as u64;
        self.waiting.push_back((self.busy_until_ns, length));
        self.waiting_bytes += length;
        Some(self.busy_until_ns)
    }
}

pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn packet(length: usize) -> Packet {
        Packet::new(&vec![0x45; length])
    }

    /// When each of the packets that go on is due, with its number and fate.
    fn offer(direction: &mut Direction, now_ns: u64) -> Vec<(u64, u64, Fate)> {
        direction
            .offer(now_ns, packet(1250))
            .go_on
            .iter()
            .map(|on| (on.due_ns, on.number, on.fate))
            .collect()
    }

    #[test]
    fn a_packet_is_due_after_it_was_sent_and_delayed() {
        // 1,250 bytes at 10 Mbit/s take 1 ms.
        let link = Link::new()
            .rate(10_000_000)
            .delay(Duration::from_millis(25));
        let mut direction = Direction::new(link);
        assert_eq!(offer(&mut direction, 0), [(26 * MS, 1, Fate::Passed)]);
        assert_eq!(offer(&mut direction, 0), [(27 * MS, 2, Fate::Passed)]);
        assert_eq!(offer(&mut direction, 9 * MS), [(35 * MS, 3, Fate::Passed)]);
    }

    #[test]
    fn a_full_queue_loses_the_packet_that_comes_last() {
        let mut direction = Direction::new(Link::new().rate(10_000_000).queue(3000));
        let fates: Vec<_> = (0..4)
            .map(|_| direction.offer(0, packet(1250)))
            .map(|decision| (decision.fate, decision.queue_bytes))
            .collect();
        assert_eq!(
            fates,
            [
                (Fate::Passed, 0),
                (Fate::Passed, 1250),
                (Fate::Overflowed, 2500),
                (Fate::Overflowed, 2500)
            ]
        );
        assert_eq!(direction.offer(MS, packet(1250)).fate, Fate::Passed);
    }

    #[test]
    fn an_idle_link_takes_a_packet_larger_than_its_queue() {
        let mut direction = Direction::new(Link::new().rate(1_000_000).queue(100));
        assert_eq!(direction.offer(0, packet(1250)).fate, Fate::Passed);
    }

    #[test]
    fn each_verdict_does_what_it_says() {
        let mut direction = Direction::new(Link::new().rule(|n, packet| match n {
            1 => Verdict::Drop,
            2 => Verdict::Delay(Duration::from_millis(7)),
            3 => Verdict::Duplicate,
            4 => Verdict::Reorder(2),
            6 => Verdict::Rewrite(Packet::new(&packet.bytes()[..20])),
            _ => Verdict::Pass,
        }));
        assert_eq!(offer(&mut direction, 0), []);
        assert_eq!(offer(&mut direction, 0), [(7 * MS, 2, Fate::Passed)]);
        assert_eq!(
            offer(&mut direction, 1),
            [(1, 3, Fate::Passed), (1, 3, Fate::Copied)]
        );
        assert_eq!(offer(&mut direction, 2), []);
        assert_eq!(offer(&mut direction, 3), [(3, 5, Fate::Passed)]);
        assert_eq!(
            offer(&mut direction, 4),
            [(4, 6, Fate::Rewritten), (4, 4, Fate::Passed)]
        );
    }

    #[test]
    fn a_held_packet_that_nobody_overtakes_is_released_once() {
        let mut direction = Direction::new(Link::new().rule(|_, _| Verdict::Reorder(1)));
        let release_at = direction.offer(0, packet(20)).release_at_ns;
        assert_eq!(release_at, Some(500 * MS));
        assert_eq!(direction.release(1, 500 * MS).unwrap().due_ns, 500 * MS);
        assert!(direction.release(1, 500 * MS).is_none());
    }

    #[test]
    fn chance_depends_on_the_seed_and_the_number_alone() {
        let lost = |seed| -> Vec<u64> {
            let link = Link::new().loss(0.03, seed);
            (1..=10_000).filter(|&n| link.loses(n)).collect()
        };
        assert_eq!(lost(7), lost(7));
        assert_ne!(lost(7), lost(8));
        assert!((200..400).contains(&lost(7).len()), "{}", lost(7).len());
        assert!((1..100).all(|n| Link::new().loss(1.0, 1).loses(n)));
        assert!((1..100).all(|n| !Link::new().loss(0.0, 1).loses(n)));
    }
}
