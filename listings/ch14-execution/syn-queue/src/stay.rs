//! How long a half-open connection is kept.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use exec_syn_queue::DEADLINE;
use exec_syn_queue::diag::State;
use lab::{Capture, Tcp};
use record::{Axis, Line, Series};

use crate::flood::{Error, Regime, Stage};

/// What the listeners are called with, and how many SYNs the attacker sends to one of them.
const BACKLOG: u32 = 16;
const SYNS: u32 = 64;

/// How often the entries are counted.
const EVERY: Duration = Duration::from_millis(20);

/// For how long after the fourth SYN ACK, so that the plot shows what is left.
const AFTERWARDS: Duration = Duration::from_millis(400);

/// A step is drawn as wide as this, in seconds, since no two points may stand on one place.
const STEP: f64 = 0.001;

/// Entries over time: seconds, and how many there were from then on.
type Course = Vec<(f64, u32)>;

/// What became of an entry that was alone, and of a full queue.
pub struct Stay {
    alone: Course,
    full: Course,
    /// When each of them was sent SYN ACKs, in seconds.
    alone_sent: Vec<Vec<f64>>,
    full_sent: Vec<Vec<f64>>,
}

pub fn stay() -> Result<Stay, Error> {
    // ANCHOR: stay
    let regime = Regime {
        backlog: BACKLOG,
        ..Regime::USUAL
    };
    let mut stages = [Stage::open(regime)?, Stage::open(regime)?];
    for stage in &stages {
        stage.server.sysctl("net.ipv4.tcp_synack_retries", 5)?; // the default
    }
    let started = Instant::now();
    stages[0].flood(1)?;
    stages[1].flood(SYNS)?;
    let mut courses = [Course::new(), Course::new()];
    let mut settled = None;
    while settled.is_none_or(|since: Instant| since.elapsed() < AFTERWARDS) {
        for (stage, course) in stages.iter().zip(&mut courses) {
            let half_open = stage.half_open()?;
            if course.last().is_none_or(|last| last.1 != half_open) {
                course.push((started.elapsed().as_secs_f64(), half_open));
            }
        }
        let alone = stages[0].diag.sockets(&[State::SynReceived])?;
        let fourth = alone.iter().any(|entry| entry.retransmits == 3);
        if fourth && stages[1].half_open()? <= BACKLOG / 2 {
            settled.get_or_insert_with(Instant::now);
        }
        if started.elapsed() > DEADLINE {
            return Err("waited in vain until entries go".into());
        }
        thread::sleep(EVERY);
    }
    // ANCHOR_END: stay
    let end = started.elapsed().as_secs_f64();
    for (stage, course) in stages.iter().zip(&mut courses) {
        course.push((end, stage.half_open()?));
    }
    let [alone, full] = courses;
    Ok(Stay {
        alone,
        full,
        alone_sent: syn_acks(&stages[0].lab.capture()),
        full_sent: syn_acks(&stages[1].lab.capture()),
    })
}

/// When each stranger was sent SYN ACKs; without those who were sent a cookie, once.
fn syn_acks(capture: &Capture) -> Vec<Vec<f64>> {
    let mut sent: BTreeMap<(Option<IpAddr>, u16), Vec<Duration>> = BTreeMap::new();
    let mut first = None;
    for crossing in capture.sent_by("server") {
        let Some(tcp) = crossing.tcp().filter(|tcp| tcp.has(Tcp::SYN | Tcp::ACK)) else {
            continue;
        };
        first.get_or_insert(crossing.sent);
        let to = lab::Packet::new(&crossing.bytes).destination();
        sent.entry((to, tcp.destination_port))
            .or_default()
            .push(crossing.sent);
    }
    let seconds = |sent: Vec<Duration>| {
        let since = sent
            .into_iter()
            .map(|sent| sent - first.unwrap_or_default());
        since.map(|since| since.as_secs_f64()).collect()
    };
    let kept = sent.into_values().filter(|sent| sent.len() > 1);
    kept.map(seconds).collect()
}

impl Stay {
    /// Tells it, and draws it.
    pub fn tell(&self) -> Series {
        let list = |sent: &[f64]| {
            let times: Vec<String> = sent.iter().map(|time| format!("{time:.1} s")).collect();
            times.join(", ")
        };
        for sent in &self.alone_sent {
            println!("one alone       SYN ACKs after {}: still there", list(sent));
        }
        let (_, before) = self.full[0];
        let (at, left) = self.full[self.full.len() - 1];
        let gone = before - left;
        let short = self.full_sent.iter().filter(|sent| sent.len() == 3);
        let typical = short
            .clone()
            .next()
            .map_or(String::new(), |sent| list(sent));
        println!("a full queue    {before} entries, and after {at:.1} s only {left}");
        println!("    of the {gone}      SYN ACKs after {typical}: then given up");
        let line = |name: &str, course: &Course| {
            let mut points: Vec<(f64, f64)> = Vec::new();
            for (at, entries) in course {
                let entries = f64::from(*entries);
                match points.last() {
                    Some(&(_, before)) if before != entries => {
                        points.push((*at - STEP, before)); // until then as it was
                    }
                    _ => {}
                }
                points.push((*at, entries));
            }
            Line {
                name: name.to_owned(),
                points,
            }
        };
        Series {
            x: Axis::new("time", "s"),
            y: Axis::new("half-open connections", ""),
            lines: vec![
                line("a full queue", &self.full),
                line("one alone", &self.alone),
            ],
        }
    }
}
