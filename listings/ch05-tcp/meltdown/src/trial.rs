//! One run: connections inside the tunnel that send as much as they can, and a ping every 10 ms.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lab::{Host, Report};
use socket2::SockRef;

use crate::tunnel::Carrier;
use crate::vpn::{Kernels, Result, Switch, Vpn, outer};

/// How long a run takes.
pub const DURATION: Duration = Duration::from_millis(1_700);

/// When the link is down in a run that has an outage: longer than two retransmission timeouts.
pub const DOWN: Range<Duration> = Duration::from_millis(500)..Duration::from_millis(1_100);

/// Between two pings.
const INTERVAL: Duration = Duration::from_millis(10);

/// No ping is sent so close to the end: through the link's full queue of 150,000 bytes it takes
/// 120 ms, and the way.
const LAST_ANSWERS: Duration = Duration::from_millis(200);

/// What a run is to be made of.
#[derive(Debug, Clone, Copy)]
pub struct Conditions {
    /// What carries the inner packets.
    pub carrier: Carrier,
    /// The kernels.
    pub kernels: Kernels,
    /// The outer link loses each packet with this probability, in both directions.
    pub loss: f64,
    /// Which packets those are.
    pub seed: u64,
    /// Connections inside the tunnel.
    pub connections: usize,
    /// Whether the link carries nothing at all during [`DOWN`].
    pub outage: bool,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Bytes that the inner server's program read, in Mbit/s.
    pub goodput: f64,
    /// The pings.
    pub pings: Pings,
    /// Segments that the inner client's kernel sent again.
    pub repeated: usize,
    /// Packets that the tunnel's device lost because its queue was full.
    pub overflowed: usize,
    /// The most bytes that were inside the tunnel at a time.
    pub most_inside: usize,
}

/// Pings through the tunnel, each a datagram of the inner network and its echo.
#[derive(Debug, Clone)]
pub struct Pings {
    /// How long they took, in order; those that were still waiting as long as they had waited.
    pub times: Vec<Duration>,
    /// How many were still inside a tunnel that loses nothing when the run ended.
    pub waiting: usize,
    /// How many were lost.
    pub lost: usize,
}

impl Pings {
    /// What `hundredths` of those that were not lost took at most.
    ///
    /// # Panics
    ///
    /// When all were lost.
    #[must_use]
    pub fn percentile(&self, hundredths: usize) -> Duration {
        self.times[(self.times.len() - 1) * hundredths / 100]
    }
}

/// Runs a trial.
///
/// # Errors
///
/// When the networks cannot be built, or a socket fails.
pub fn run(conditions: Conditions) -> Result<(Outcome, Report)> {
    let Conditions {
        carrier,
        kernels,
        loss,
        seed,
        connections,
        outage,
    } = conditions;
    let down = Switch::default();
    let there = outer(&down).loss(loss, seed);
    let back = outer(&down).loss(loss, seed + 1);
    let vpn = Vpn::open(carrier, kernels, there, back)?;
    let mut bulk = Bulk::connect(&vpn.client, &vpn.server, connections)?;
    let pinger = Pinger::start(&vpn.client, &vpn.server)?;

    // ANCHOR: trial
    let started = Instant::now();
    bulk.start()?;
    let mut sent = Vec::new();
    let mut most_inside = 0;
    while started.elapsed() < DURATION {
        if started.elapsed() < DURATION - LAST_ANSWERS {
            sent.push(Instant::now());
            pinger.send(sent.len() - 1)?;
        }
        down.store(
            outage && DOWN.contains(&started.elapsed()),
            Ordering::Relaxed,
        );
        most_inside = most_inside.max(vpn.tunnel.inside()?);
        thread::sleep(INTERVAL);
    }
    let ended = Instant::now();
    let bytes = bulk.arrived();
    // ANCHOR_END: trial

    let repeated = vpn.client.counters()["TcpRetransSegs"];
    let overflowed = vpn.tunnel.overflowed();
    let report = vpn.lab.finish()?;
    bulk.stop();
    let answered = pinger.stop();
    vpn.tunnel.close();

    let outcome = Outcome {
        goodput: bytes as f64 * 8.0 / (ended - started).as_secs_f64() / 1e6,
        pings: judge(carrier, &sent, answered, ended),
        repeated: usize::try_from(repeated).expect("a count"),
        overflowed,
        most_inside,
    };
    Ok((outcome, report))
}

/// Connections that send as much as they can.
struct Bulk {
    /// Both ends of each.
    ends: Vec<[TcpStream; 2]>,
    arrived: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

impl Bulk {
    fn connect(client: &Host, server: &Host, connections: usize) -> Result<Self> {
        let address = (server.v4(), 80);
        let listener = server.run(|| TcpListener::bind(address))?;
        let mut ends = Vec::new();
        for _ in 0..connections {
            let sender = client.run(|| TcpStream::connect(address))?;
            ends.push([sender, listener.accept()?.0]);
        }
        Ok(Self {
            ends,
            arrived: Arc::default(),
            threads: Vec::new(),
        })
    }

    fn start(&mut self) -> Result<()> {
        for [sender, receiver] in &self.ends {
            let (mut to, mut from) = (sender.try_clone()?, receiver.try_clone()?);
            self.threads.push(thread::spawn(move || {
                while to.write_all(&[b'!'; 1 << 14]).is_ok() {}
            }));
            let arrived = self.arrived.clone();
            self.threads.push(thread::spawn(move || {
                let mut buffer = [0; 1 << 14];
                while let Ok(length @ 1..) = from.read(&mut buffer) {
                    arrived.fetch_add(length, Ordering::Relaxed);
                }
            }));
        }
        Ok(())
    }

    fn arrived(&self) -> usize {
        self.arrived.load(Ordering::Relaxed)
    }

    fn stop(self) {
        for end in self.ends.iter().flatten() {
            // It fails where the other end has closed.
            let _ = end.shutdown(Shutdown::Both);
        }
        for thread in self.threads {
            thread.join().expect("neither end panics");
        }
    }
}

/// Numbered datagrams that are sent back.
struct Pinger {
    here: UdpSocket,
    there: UdpSocket,
    echoing: JoinHandle<()>,
    /// Gives the numbers that came back, and when.
    listening: JoinHandle<Vec<(usize, Instant)>>,
}

impl Pinger {
    fn start(client: &Host, server: &Host) -> Result<Self> {
        let here = client.run(|| UdpSocket::bind((client.v4(), 7)))?;
        let there = server.run(|| UdpSocket::bind((server.v4(), 7)))?;
        here.connect((server.v4(), 7))?;
        there.connect((client.v4(), 7))?;
        let (echo, echoes) = (there.try_clone()?, here.try_clone()?);
        let echoing = thread::spawn(move || {
            let mut number = [0; 8];
            while let Ok(8) = echo.recv(&mut number) {
                let _ = echo.send(&number);
            }
        });
        let listening = thread::spawn(move || {
            let mut number = [0; 8];
            let mut answered = Vec::new();
            while let Ok(8) = echoes.recv(&mut number) {
                answered.push((u64::from_be_bytes(number) as usize, Instant::now()));
            }
            answered
        });
        Ok(Self {
            here,
            there,
            echoing,
            listening,
        })
    }

    fn send(&self, number: usize) -> Result<()> {
        self.here.send(&(number as u64).to_be_bytes())?;
        Ok(())
    }

    fn stop(self) -> Vec<(usize, Instant)> {
        for socket in [&self.here, &self.there] {
            let _ = SockRef::from(socket).shutdown(Shutdown::Both);
        }
        self.echoing.join().expect("the echo does not panic");
        self.listening.join().expect("the listener does not panic")
    }
}

// ANCHOR: judge
/// A ping without an answer was lost where the tunnel loses packets, and waits where it does not.
fn judge(
    carrier: Carrier,
    sent: &[Instant],
    answered: Vec<(usize, Instant)>,
    ended: Instant,
) -> Pings {
    let mut answers = vec![None; sent.len()];
    for (number, at) in answered {
        answers[number] = Some(at).filter(|&at| at <= ended);
    }
    let unanswered = answers.iter().filter(|answer| answer.is_none()).count();
    let (waiting, lost) = match carrier {
        Carrier::Udp => (0, unanswered),
        Carrier::Tcp => (unanswered, 0),
    };
    let mut times: Vec<Duration> = sent
        .iter()
        .zip(&answers)
        .filter(|(_, answer)| answer.is_some() || carrier == Carrier::Tcp)
        .map(|(&sent, answer)| answer.unwrap_or(ended) - sent)
        .collect();
    times.sort_unstable();
    Pings {
        times,
        waiting,
        lost,
    }
}
// ANCHOR_END: judge
