//! One TCP connection on a network of its own, with a sender that always has more to send, and what
//! its congestion window did.

#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::iter;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use lab::{CaState, Capture, Crossing, Lab, Link, Report, TcpInfo};
use socket2::SockRef;

/// What there is, or what stands in the way of it: the lab, or a socket.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How often a connection is tried on a machine that is too busy for it.
const TRIES: usize = 3;

/// From one point of a plot to the next.
pub const STEP: Duration = Duration::from_millis(20);

/// The port of the receiver.
const PORT: u16 = 80;

/// How often the sender's kernel is asked: more than once in the shortest recovery, which takes a
/// round trip of at least 20 ms here.
const SAMPLED_EVERY: Duration = Duration::from_millis(10);

/// How late the lab may carry a packet: what is looked at takes round trips, of which the shortest
/// is that long, and waits that are longer.
const TOLERANCE: Duration = Duration::from_millis(20);

// ANCHOR: experiment
/// A connection to be watched: under which congestion control, and over what.
pub struct Experiment {
    /// The kernel's name for the algorithm.
    pub congestion: &'static str,
    /// From the sender to the receiver.
    pub there: Link,
    /// And back, for the acknowledgments.
    pub back: Link,
    /// Whether the two agree on explicit congestion notification (RFC 3168).
    pub ecn: bool,
}

/// What the sender's kernel knew of the connection at a moment.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Since `connect()` was called.
    pub at: Duration,
    /// All of it, as `ss -ti` shows it.
    pub info: TcpInfo,
}

/// What was seen of a connection.
pub struct Flow {
    /// What the kernel knew, over time.
    pub samples: Vec<Sample>,
    /// Every packet.
    pub capture: Capture,
}

impl Experiment {
    /// Sends as much as TCP lets through, until a sample is `enough`, and then breaks off. Where the
    /// lab was disturbed, tries again, and gives in the end the run that was disturbed least.
    ///
    /// # Errors
    ///
    /// When the lab cannot be built (the kernel may lack the algorithm), when it lost packets that
    /// no link had decided to lose, or when a socket call fails.
    pub fn run(&self, enough: impl Fn(&Sample) -> bool) -> Result<Flow> {
        let (mut flow, mut report) = self.run_once(&enough)?;
        for _ in 1..TRIES {
            if !report.disturbed() {
                break;
            }
            let again = self.run_once(&enough)?;
            if again.1.latest < report.latest {
                (flow, report) = again;
            }
        }
        Ok(flow)
    }

    fn run_once(&self, enough: impl Fn(&Sample) -> bool) -> Result<(Flow, Report)> {
        let mut builder = Lab::builder();
        let (sender, receiver) = (builder.host("sender"), builder.host("receiver"));
        builder.link(sender, receiver, self.there.clone(), self.back.clone());
        builder.congestion(self.congestion);
        builder.tolerance(TOLERANCE);
        let lab = builder.start()?;
        let (sender, receiver) = (lab.host(sender), lab.host(receiver));
        for host in [&sender, &receiver] {
            host.sysctl("net.ipv4.tcp_ecn", u8::from(self.ecn))?;
        }
        // Buffers with room for everything from the start: neither the program that writes nor flow
        // control shall ever be what the sender waits for.
        sender.sysctl("net.ipv4.tcp_wmem", "4096 4194304 4194304")?;
        receiver.sysctl("net.ipv4.tcp_rmem", "4096 6291456 6291456")?;

        let listener = receiver.run(|| TcpListener::bind((receiver.v4(), PORT)))?;
        let started = Instant::now();
        let sending = sender.run(|| TcpStream::connect((receiver.v4(), PORT)))?;
        let receiving = OnceLock::new();

        let samples = thread::scope(|scope| {
            // Both end with the connection.
            scope.spawn(|| while (&sending).write_all(&[0; 1 << 16]).is_ok() {});
            scope.spawn(|| {
                let (accepted, _) = listener.accept().expect("a connection that was made");
                let mut receiving = receiving.get_or_init(|| accepted);
                while matches!(receiving.read(&mut [0; 1 << 16]), Ok(1..)) {}
            });
            let samples = watch(&sending, started, enough);
            for end in iter::once(&sending).chain(receiving.get()) {
                end.shutdown(Shutdown::Both)?;
                // What is still in the buffers goes nowhere: `close()` will reset.
                SockRef::from(end).set_linger(Some(Duration::ZERO))?;
            }
            samples
        })?;
        let capture = lab.capture();
        drop((sending, receiving));
        Ok((Flow { samples, capture }, lab.finish()?))
    }
}

/// Asks the kernel again and again.
fn watch(
    socket: &TcpStream,
    started: Instant,
    enough: impl Fn(&Sample) -> bool,
) -> std::io::Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for tick in 1.. {
        let sample = Sample {
            at: started.elapsed(),
            info: lab::tcp_info(socket)?,
        };
        samples.push(sample);
        if enough(&sample) {
            break;
        }
        thread::sleep((SAMPLED_EVERY * tick).saturating_sub(started.elapsed()));
    }
    Ok(samples)
}
// ANCHOR_END: experiment

/// What one loss, or one mark, did to the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// When the sender's kernel noticed, within [a sample](SAMPLED_EVERY).
    pub at: Duration,
    /// The window until then, in segments.
    pub before: u32,
    /// When that was over: what was lost had been sent again and acknowledged.
    pub over: Duration,
    /// The window from then on.
    pub after: u32,
}

impl Cut {
    /// What part of the window was kept.
    #[must_use]
    pub fn kept(&self) -> f64 {
        f64::from(self.after) / f64::from(self.before)
    }
}

impl Flow {
    // ANCHOR: cuts
    /// All of the window's reductions that came to their end. In between, recovery holds the window
    /// at what the acknowledgments allow (RFC 9937), which is another matter.
    #[must_use]
    pub fn cuts(&self) -> Vec<Cut> {
        let calm = |sample: &Sample| {
            let state = sample.info.ca_state;
            matches!(state, CaState::Open | CaState::Disorder)
        };
        let mut cuts = Vec::new();
        let mut noticed = None;
        for pair in self.samples.windows(2) {
            match [calm(&pair[0]), calm(&pair[1])] {
                [true, false] => noticed = Some((pair[0].info, pair[1])),
                [false, true] => cuts.extend(noticed.take().map(|(before, first)| Cut {
                    at: first.at,
                    before: before.snd_cwnd,
                    over: pair[1].at,
                    // The threshold is what recovery ends with (RFC 5681 §3.2), if one was set.
                    after: match first.info.snd_ssthresh {
                        threshold if threshold != before.snd_ssthresh => threshold,
                        _ => pair[1].info.snd_cwnd,
                    },
                })),
                _ => {}
            }
        }
        cuts
    }
    // ANCHOR_END: cuts

    /// The packets with data, in the order in which they were sent.
    pub fn data(&self) -> impl Iterator<Item = &Crossing> {
        let with_data = |crossing: &&Crossing| crossing.tcp().is_some_and(|tcp| tcp.length > 0);
        self.capture.sent_by("sender").filter(with_data)
    }

    /// When a packet was sent, on the clock of the [samples](Sample::at): the first, a SYN, when
    /// `connect()` was called.
    #[must_use]
    pub fn since_connect(&self, crossing: &Crossing) -> Duration {
        let first = self.capture.sent_by("sender").next();
        crossing.sent - first.map_or(crossing.sent, |first| first.sent)
    }

    // ANCHOR: queue
    /// How long each packet that got through waited for a link of this rate, and when it was sent.
    #[must_use]
    pub fn waits(&self, bits_per_second: u64) -> Vec<(Duration, Duration)> {
        let taken = self.data().filter(|crossing| crossing.fate.arrives());
        taken
            .map(|crossing| {
                let bits = crossing.queue_bytes as f64 * 8.0;
                let wait = Duration::from_secs_f64(bits / bits_per_second as f64);
                (self.since_connect(crossing), wait)
            })
            .collect()
    }
    // ANCHOR_END: queue

    /// Bits of data a second that were acknowledged.
    #[must_use]
    pub fn goodput(&self) -> f64 {
        let last = self.last();
        last.info.bytes_acked as f64 * 8.0 / last.at.as_secs_f64()
    }

    /// What the kernel knew at the end.
    ///
    /// # Panics
    ///
    /// When there are no samples, which [`Experiment::run`] never gives.
    #[must_use]
    pub fn last(&self) -> &Sample {
        self.samples.last().expect("a flow was looked at")
    }

    // ANCHOR: rounds
    /// The packets of each round trip: a pause of at least `pause` sets two of them apart.
    #[must_use]
    pub fn rounds(&self, pause: Duration) -> Vec<Vec<&Crossing>> {
        let data: Vec<&Crossing> = self.data().collect();
        data.chunk_by(|one, next| next.sent - one.sent < pause)
            .map(<[_]>::to_vec)
            .collect()
    }
    // ANCHOR_END: rounds

    /// The window as a plot has it: at each step what it was then, in seconds and segments.
    #[must_use]
    pub fn window(&self, step: Duration) -> Vec<(f64, f64)> {
        let steps = self.last().at.as_nanos() / step.as_nanos();
        (0..=steps as u32)
            .filter_map(|number| {
                let at = step * number;
                let sample = self.samples.iter().rfind(|sample| sample.at <= at)?;
                Some((seconds(at), f64::from(sample.info.snd_cwnd)))
            })
            .collect()
    }
}

/// Whether this kernel has the congestion control at hand.
#[must_use]
pub fn available(congestion: &str) -> bool {
    fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control")
        .is_ok_and(|all| all.split_whitespace().any(|name| name == congestion))
}

/// An algorithm's name as its RFC writes it.
#[must_use]
pub fn title(congestion: &str) -> String {
    match congestion {
        "reno" => "Reno".to_owned(),
        other => other.to_uppercase(),
    }
}

/// A time of a plot, in seconds.
#[must_use]
pub fn seconds(at: Duration) -> f64 {
    at.as_millis() as f64 / 1e3
}

/// The value below which so many hundredths of the values are: 50 gives the median. NaN of none.
#[must_use]
pub fn at_hundredth(mut values: Vec<f64>, hundredth: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values
        .get(last * hundredth / 100)
        .copied()
        .unwrap_or(f64::NAN)
}
