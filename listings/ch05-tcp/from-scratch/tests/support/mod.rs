//! Two of our stacks, and between them a channel that loses, holds back and repeats packets. Time is
//! a number, so hours pass in milliseconds, and every run with the same seed is the same.

#![allow(dead_code, reason = "each test uses its part")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use tcp_from_scratch::{Config, ConnectionId, Error, Event, Reason, Secret, Stack, State, Time};

/// SplitMix64 (Steele, Lea and Flood, 2014), after what a script says first.
pub struct Random<'a> {
    state: u64,
    script: &'a [u8],
}

impl<'a> Random<'a> {
    pub fn new(state: u64, script: &'a [u8]) -> Self {
        Self { state, script }
    }

    pub fn next(&mut self) -> u64 {
        if let Some((&byte, rest)) = self.script.split_first() {
            self.script = rest;
            return u64::from(byte) * 4; // up to 1,020: all that `permille` asks for
        }
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Whether it happens, this many times of a thousand.
    pub fn permille(&mut self, permille: u16) -> bool {
        self.next() % 1000 < u64::from(permille)
    }
}

/// What befalls a packet, in times of a thousand.
#[derive(Debug, Clone, Copy)]
pub struct Channel {
    pub delay: Duration,
    pub loss: u16,
    pub duplication: u16,
    /// So many arrive up to ten delays later.
    pub reordering: u16,
}

/// What one end does.
#[derive(Debug, Clone)]
pub struct Plan {
    pub config: Config,
    /// What it sends before it closes.
    pub text: Vec<u8>,
    /// It reads so many bytes at a time, and not more often than this.
    pub read_at_once: usize,
    pub read_every: Duration,
}

impl Plan {
    pub fn new(config: Config, text: Vec<u8>) -> Self {
        Self {
            config,
            text,
            read_at_once: usize::MAX,
            read_every: Duration::ZERO,
        }
    }
}

struct End {
    stack: Stack,
    id: Option<ConnectionId>,
    plan: Plan,
    sent: usize,
    closed: bool,
    received: Vec<u8>,
    at_end: bool,
    read_again: Time,
    reason: Option<Reason>,
}

/// What became of a connection.
#[derive(Debug)]
pub struct Outcome {
    pub took: Duration,
    pub received: [Vec<u8>; 2],
    pub reasons: [Option<Reason>; 2],
    pub paths: [Vec<State>; 2],
    pub counters: [tcp_from_scratch::Counters; 2],
    /// Packets put on the wire.
    pub packets: u64,
}

/// How the connection begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// The first end calls, the second listens.
    Usual,
    /// Both call at once.
    Simultaneous,
}

pub const IPS: [[u8; 4]; 2] = [[10, 0, 0, 1], [10, 0, 0, 2]];

/// Runs a connection to its end, TIME-WAIT included.
///
/// # Panics
///
/// When it has no end: after three days, or a million packets without progress.
pub fn run(plans: [Plan; 2], channel: Channel, mut random: Random, opening: Opening) -> Outcome {
    let mut ends = plans.map(|plan| End {
        stack: Stack::new(plan.config, Secret([0; 16]), &[]),
        id: None,
        sent: 0,
        closed: false,
        received: Vec::new(),
        at_end: false,
        read_again: Time::ZERO,
        reason: None,
        plan,
    });
    // Numbers anywhere, so that some runs cross from the largest to 0.
    let mut now = Time::from_micros(random.next() % (1 << 40));
    let began = now;
    for (end, ip) in ends.iter_mut().zip(IPS) {
        let secret = [random.next(), random.next()]
            .map(u64::to_le_bytes)
            .concat();
        let secret = Secret(secret.try_into().unwrap());
        end.stack = Stack::new(end.plan.config, secret, &[ip.into()]);
    }
    let sockets = IPS.map(|ip| (ip, 80).into());
    match opening {
        Opening::Usual => {
            ends[1].stack.listen(80, 4).unwrap();
            ends[0].id = Some(ends[0].stack.connect(now, sockets[1], None).unwrap());
        }
        Opening::Simultaneous => {
            for (at, end) in ends.iter_mut().enumerate() {
                let (local, remote) = (sockets[at], sockets[1 - at]);
                end.id = Some(end.stack.connect(now, remote, Some(local)).unwrap());
            }
        }
    }
    let mut wire = BinaryHeap::new();
    let (mut packets, mut buffer) = (0, vec![0; 65_536]);
    let (mut progress, mut since) = (0, 0);
    loop {
        for end in &mut ends {
            end.act(now);
        }
        for (at, end) in ends.iter_mut().enumerate() {
            while let Some(len) = end.stack.transmit(now, &mut buffer) {
                packets += 1;
                if random.permille(channel.loss) {
                    continue;
                }
                for _ in 0..1 + u32::from(random.permille(channel.duplication)) {
                    let mut due = now + channel.delay;
                    if random.permille(channel.reordering) {
                        due = due + channel.delay * (random.next() % 1000) as u32 / 100;
                    }
                    wire.push(Reverse((due, packets, 1 - at, buffer[..len].to_vec())));
                }
            }
        }
        ends.iter_mut().for_each(End::hear);
        let done = ends.iter().all(|end| end.reason.is_some() && end.at_end);
        if done && wire.is_empty() {
            break;
        }
        let so_far = ends.iter().map(|end| end.received.len() + end.sent).sum();
        if progress != so_far {
            (progress, since) = (so_far, packets);
        }
        assert!(
            packets - since < 1_000_000,
            "a million packets and no progress"
        );
        assert!(
            now - began < Duration::from_secs(3 * 24 * 3600),
            "no end within three days"
        );

        let arrival = wire.peek().map(|Reverse((due, ..))| *due);
        let timers = ends
            .iter()
            .flat_map(|end| [end.stack.next_timeout(), end.wakes()]);
        let next = timers.flatten().chain(arrival).min();
        let Some(next) = next else {
            panic!("nothing is under way, no timer runs: {:?}", states(&ends));
        };
        now = now.max(next);
        while let Some(Reverse((due, ..))) = wire.peek()
            && *due <= now
        {
            let Reverse((_, _, to, packet)) = wire.pop().unwrap();
            ends[to].stack.arrives(now, &packet);
        }
    }
    Outcome {
        took: now - began,
        packets,
        reasons: [0, 1].map(|at| ends[at].reason),
        paths: [0, 1].map(|at| ends[at].path()),
        counters: [0, 1].map(|at| ends[at].counters()),
        received: ends.map(|end| end.received),
    }
}

fn states(ends: &[End]) -> Vec<Vec<State>> {
    ends.iter().map(End::path).collect()
}

impl End {
    /// The user: accepts, sends as much as there is room for, reads what it may, closes at the end.
    fn act(&mut self, now: Time) {
        self.id = self.id.or_else(|| self.stack.accept(80));
        let Some(id) = self.id else {
            return;
        };
        while self.sent < self.plan.text.len() {
            match self.stack.send(id, &self.plan.text[self.sent..]) {
                Ok(taken) => self.sent += taken,
                Err(_) => break,
            }
        }
        // CLOSE in SYN-SENT would call the whole thing off.
        let opened = self
            .stack
            .status(id)
            .is_ok_and(|status| status.state != State::SynSent);
        if opened && self.sent == self.plan.text.len() && !self.closed {
            self.closed = self.stack.close(id).is_ok();
        }
        if now >= self.read_again && !self.at_end {
            self.read(now, id);
        }
    }

    fn hear(&mut self) {
        while let Some((_, event)) = self.stack.event() {
            if let Event::Closed(reason) = event {
                self.reason = Some(reason);
            }
        }
    }

    fn read(&mut self, now: Time, id: ConnectionId) {
        let mut buffer = vec![0; self.plan.read_at_once.min(1 << 16)];
        loop {
            match self.stack.receive(id, &mut buffer) {
                Ok(0) => self.at_end = true,
                Ok(len) => self.received.extend_from_slice(&buffer[..len]),
                Err(Error::WouldBlock) => {}
                Err(_) => self.at_end = true,
            }
            let more = self
                .stack
                .status(id)
                .is_ok_and(|status| status.readable > 0);
            if !more || self.plan.read_every > Duration::ZERO {
                break;
            }
        }
        self.read_again = now + self.plan.read_every;
    }

    /// When the user wants to read on, if it waits for that alone.
    fn wakes(&self) -> Option<Time> {
        let id = self.id?;
        let readable = self
            .stack
            .status(id)
            .is_ok_and(|status| status.readable > 0);
        let waits = readable || self.reason.is_some();
        (waits && !self.at_end).then_some(self.read_again)
    }

    fn path(&self) -> Vec<State> {
        let connection = self.id.and_then(|id| self.stack.connection(id).ok());
        connection.map_or(Vec::new(), |connection| connection.path().to_vec())
    }

    fn counters(&self) -> tcp_from_scratch::Counters {
        let status = self.id.and_then(|id| self.stack.status(id).ok());
        status.map(|status| status.counters).unwrap_or_default()
    }
}
