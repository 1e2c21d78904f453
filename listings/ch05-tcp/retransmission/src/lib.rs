//! A trial: so many segments sent at once over a link that loses or delays the ones it is told to.

#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io::Write;
use std::thread;
use std::time::Duration;

use lab::{Capture, Link, Packet, Report, TcpInfo, Verdict, tcp_info};
use tcp_ordering::{Connection, Result, SEGMENT, Segment, data};

/// How often a trial is repeated on a machine that is too busy for it.
const TRIES: usize = 8;

/// By how much trials that run side by side are set off, so that not all have packets to carry in
/// the same instant.
const APART: Duration = Duration::from_millis(7);

// ANCHOR: trial
/// What is sent over what.
#[derive(Debug, Clone)]
pub struct Trial {
    /// How many segments each write fills. The next write waits until all of the one
    /// before has been acknowledged.
    writes: Vec<usize>,
    /// What the link does, by the segment's number in the stream, from 1 on, and by how
    /// often the segment has been sent by then.
    verdicts: HashMap<(u32, u32), Verdict>,
    /// The client's kernel parameters below `net.ipv4`.
    parameters: Vec<(&'static str, u32)>,
    one_way: Duration,
    v6: bool,
}
// ANCHOR_END: trial

/// Runs trials side by side.
///
/// # Errors
///
/// Those of [`Trial::run`].
pub fn side_by_side(trials: impl IntoIterator<Item = Trial>) -> Result<Vec<Outcome>> {
    thread::scope(|scope| {
        let running: Vec<_> = trials
            .into_iter()
            .inspect(|_| thread::sleep(APART))
            .map(|trial| scope.spawn(move || trial.run()))
            .collect();
        let ended = running.into_iter().map(|trial| trial.join());
        ended
            .map(|outcome| outcome.expect("no trial panics"))
            .collect()
    })
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// The client's `TCP_INFO`: after the handshake, and after each write was acknowledged.
    pub info: Vec<TcpInfo>,
    /// All segments.
    pub segments: Vec<Segment>,
    /// The packets that they are from.
    pub capture: Capture,
    /// What the client's kernel has counted.
    counters: HashMap<String, i64>,
}

impl Trial {
    /// One write of so many segments over a link that does nothing to them, 100 ms each way.
    #[must_use]
    pub fn of(segments: usize) -> Self {
        Self {
            writes: vec![segments],
            verdicts: HashMap::new(),
            parameters: Vec::new(),
            one_way: Duration::from_millis(100),
            v6: false,
        }
    }

    /// Another write.
    #[must_use]
    pub fn then(mut self, segments: usize) -> Self {
        self.writes.push(segments);
        self
    }

    /// The link loses a segment when it is first sent.
    #[must_use]
    pub fn lose(self, segment: u32) -> Self {
        self.lose_times(segment, 1)
    }

    /// The link loses a segment as often as that.
    #[must_use]
    pub fn lose_times(mut self, segment: u32, times: u32) -> Self {
        self.verdicts
            .extend((1..=times).map(|time| ((segment, time), Verdict::Drop)));
        self
    }

    /// The link takes longer for a segment when it is sent for the `time`-th time.
    #[must_use]
    pub fn late(mut self, segment: u32, time: u32, by: Duration) -> Self {
        self.verdicts.insert((segment, time), Verdict::Delay(by));
        self
    }

    /// Sets one of the client's kernel parameters, such as `tcp_sack`.
    #[must_use]
    pub fn with(mut self, parameter: &'static str, value: u32) -> Self {
        self.parameters.push((parameter, value));
        self
    }

    /// How long a segment is under way.
    #[must_use]
    pub fn one_way(mut self, one_way: Duration) -> Self {
        self.one_way = one_way;
        self
    }

    /// The same over IPv6.
    #[must_use]
    pub fn over_v6(mut self) -> Self {
        self.v6 = true;
        self
    }

    // ANCHOR: run
    /// Runs the trial, again if the machine was too busy.
    ///
    /// # Errors
    ///
    /// Those of the lab and of the system calls.
    pub fn run(&self) -> Result<Outcome> {
        Ok(lab::undisturbed(TRIES, || self.once())?.0)
    }

    fn once(&self) -> Result<(Outcome, Report)> {
        let there = Link::new().delay(self.one_way).rule(self.rule());
        let back = Link::new().delay(self.one_way);
        let mut connection = Connection::open(self.v6, there, back, |client, _| {
            self.parameters
                .iter()
                .try_for_each(|(name, value)| client.sysctl(&format!("net.ipv4.{name}"), value))
        })?;
        let mut info = vec![tcp_info(&connection.writer)?];
        for segments in &self.writes {
            connection.writer.write_all(&data(segments * SEGMENT))?;
            connection.all_is_acknowledged()?;
            info.push(tcp_info(&connection.writer)?);
        }
        let closed = connection.close()?;
        let outcome = Outcome {
            info,
            segments: closed.segments,
            capture: closed.capture,
            counters: closed.client,
        };
        Ok((outcome, closed.report))
    }

    /// What the link does with each packet.
    fn rule(&self) -> impl FnMut(u64, &Packet) -> Verdict + Send + 'static {
        let verdicts = self.verdicts.clone();
        let mut first_byte = None;
        let mut sent = HashMap::new();
        move |_, packet| {
            let Some(header) = packet.tcp().filter(|header| header.length > 0) else {
                return Verdict::Pass;
            };
            let first_byte = *first_byte.get_or_insert(header.sequence);
            let segment = header.sequence.wrapping_sub(first_byte) / SEGMENT as u32 + 1;
            let time = sent
                .entry(segment)
                .and_modify(|time| *time += 1)
                .or_insert(1);
            let verdict = verdicts.get(&(segment, *time));
            verdict.cloned().unwrap_or(Verdict::Pass)
        }
    }
    // ANCHOR_END: run
}

impl Outcome {
    /// One of the client's counters, as `nstat -az` names it.
    ///
    /// # Panics
    ///
    /// When the kernel has no such counter.
    #[must_use]
    pub fn count(&self, counter: &str) -> i64 {
        self.counters[counter]
    }

    /// When a segment was sent, each time; numbers count from 1.
    #[must_use]
    pub fn sendings(&self, segment: u32) -> Vec<Duration> {
        let first_byte = (segment - 1) * SEGMENT as u32 + 1;
        self.segments
            .iter()
            .filter(|each| each.has_data() && each.bytes.start == first_byte)
            .map(|each| each.sent)
            .collect()
    }

    /// How long after the first sending a segment was sent again, if it was.
    #[must_use]
    pub fn wait(&self, segment: u32) -> Option<Duration> {
        match self.sendings(segment)[..] {
            [first, second, ..] => Some(second - first),
            _ => None,
        }
    }
}
