//! Connections over links that lose segments, and to where nobody answers.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use lab::{Capture, Host, Lab, Link, Report, Tcp, Verdict};

use crate::linux::{Experiment, ONE_WAY, PORT, Result, finished};

/// When the client's program gives up, if its kernel has not before.
const PATIENCE: Duration = Duration::from_millis(3800);

/// The flags that open a connection.
pub const OPENING: u8 = Tcp::SYN | Tcp::ACK;

/// Whose program is the first to say something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// As in HTTP and TLS.
    Client,
    /// As in SMTP, FTP and MySQL.
    Server,
}

/// A connection over a link that loses some segments.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    pub lost: &'static str,
    /// What flags of [`OPENING`] they have.
    flags: u8,
    /// How many of them.
    count: usize,
    pub speaks_first: Speaker,
    /// The name of its figure, and how many messages that shows.
    pub figure: Option<(&'static str, usize)>,
}

/// What a trial found, counted from the call of `connect()`.
pub struct Outcome {
    /// Until it returned.
    pub connect: Duration,
    /// Until the first data had reached the other program.
    pub data: Duration,
    pub capture: Capture,
}

const fn lose(lost: &'static str, flags: u8, count: usize, speaks_first: Speaker) -> Trial {
    Trial {
        lost,
        flags,
        count,
        speaks_first,
        figure: None,
    }
}

// ANCHOR: trials
pub const TRIALS: [Trial; 7] = [
    lose("nothing", 0, 0, Speaker::Client),
    lose("the first SYN", Tcp::SYN, 1, Speaker::Client).drawn("syn-lost", 4),
    lose("the first two SYNs", Tcp::SYN, 2, Speaker::Client),
    lose("the first SYN ACK", OPENING, 1, Speaker::Client),
    lose("the ACK", Tcp::ACK, 1, Speaker::Client).drawn("ack-lost", 4),
    lose("nothing", 0, 0, Speaker::Server),
    lose("the ACK", Tcp::ACK, 1, Speaker::Server).drawn("ack-lost-and-silence", 6),
];
// ANCHOR_END: trials

impl Trial {
    const fn drawn(mut self, figure: &'static str, messages: usize) -> Self {
        self.figure = Some((figure, messages));
        self
    }
}

// ANCHOR: trial
impl Experiment for Trial {
    type Found = Outcome;

    fn network(self) -> Result<(Lab, Host, Host)> {
        let mut left = self.count;
        let link = Link::new().delay(ONE_WAY).rule(move |_, packet| {
            let hit = packet.tcp().is_some_and(|segment| {
                segment.flags & OPENING == self.flags && segment.length == 0
            });
            if hit && left > 0 {
                left -= 1;
                Verdict::Drop
            } else {
                Verdict::Pass
            }
        });
        Ok(Lab::pair(link)?)
    }

    fn run(self, (lab, client, server): (Lab, Host, Host)) -> Result<(Outcome, Report)> {
        let address = SocketAddr::from((server.v4(), PORT));
        let listener = server.run(|| TcpListener::bind(address))?;
        let serving = server.spawn(move || -> Result<_> {
            let (connection, _) = listener.accept()?;
            let done = speak(&connection, self.speaks_first == Speaker::Server)?;
            Ok((done, connection))
        });
        let (called, connection, connected) = client.run(|| -> Result<_> {
            let called = Instant::now();
            Ok((called, TcpStream::connect(address)?, Instant::now()))
        })?;
        let done = speak(&connection, self.speaks_first == Speaker::Client)?;
        let (done_there, _still_open) = finished(serving)?;
        let outcome = Outcome {
            connect: connected - called,
            data: done.max(done_there) - called,
            capture: lab.capture(),
        };
        Ok((outcome, lab.finish()?))
    }
}

/// Says five bytes, or hears them, and gives when that was done.
fn speak(mut connection: &TcpStream, first: bool) -> io::Result<Instant> {
    if first {
        connection.write_all(b"hello")?;
    } else {
        connection.read_exact(&mut [0; 5])?;
    }
    Ok(Instant::now())
}
// ANCHOR_END: trial

/// A connection to where no one listens, or from where nothing comes back.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// What awaits it, and kernel parameters of the client between backticks.
    pub what: &'static str,
    /// Whether the network loses everything.
    silence: bool,
    settings: &'static [(&'static str, u8)],
    /// The name of its figure.
    pub figure: Option<&'static str>,
}

/// How an attempt ended.
pub struct Ending {
    /// When each SYN was sent, counted from the first.
    pub syns: Vec<Duration>,
    pub error: io::Error,
    /// From the call of `connect()` until it returned.
    pub after: Duration,
    pub capture: Capture,
}

const fn silence(what: &'static str, settings: &'static [(&'static str, u8)]) -> Attempt {
    Attempt {
        what,
        silence: true,
        settings,
        figure: None,
    }
}

// ANCHOR: attempts
pub const ATTEMPTS: [Attempt; 4] = [
    Attempt {
        what: "no one listens at the port",
        silence: false,
        settings: &[],
        figure: Some("refused"),
    },
    silence("silence", &[]),
    silence(
        "silence, `tcp_syn_linear_timeouts=0`",
        &[("tcp_syn_linear_timeouts", 0)],
    ),
    silence(
        "silence, `tcp_syn_linear_timeouts=0 tcp_syn_retries=1`",
        &[("tcp_syn_linear_timeouts", 0), ("tcp_syn_retries", 1)],
    ),
];

impl Experiment for Attempt {
    type Found = Ending;

    fn network(self) -> Result<(Lab, Host, Host)> {
        let loss = if self.silence { 1.0 } else { 0.0 };
        let (lab, client, server) = Lab::pair(Link::new().delay(ONE_WAY).loss(loss, 0))?;
        for (name, value) in self.settings {
            match client.sysctl(&format!("net.ipv4.{name}"), value) {
                // Before 6.5, Linux does not know the linear timeouts and does as with 0.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                other => other?,
            }
        }
        Ok((lab, client, server))
    }

    fn run(self, (lab, client, server): (Lab, Host, Host)) -> Result<(Ending, Report)> {
        let address = SocketAddr::from((server.v4(), PORT));
        let (outcome, after) = client.run(|| {
            let called = Instant::now();
            let outcome = TcpStream::connect_timeout(&address, PATIENCE);
            (outcome, called.elapsed())
        });
        let capture = lab.capture();
        let sent = capture.sent_by("client").map(|crossing| crossing.sent);
        let syns: Vec<Duration> = sent.collect();
        let ending = Ending {
            syns: syns.iter().map(|&sent| sent - syns[0]).collect(),
            error: outcome
                .err()
                .ok_or("somebody answered, against expectation")?,
            after,
            capture,
        };
        Ok((ending, lab.finish()?))
    }
}
// ANCHOR_END: attempts
