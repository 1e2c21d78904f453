//! What a client sees that means it, while the SYN queue is full.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use exec_syn_queue::diag::{Socket, State};
use ip_header::{Packet, Protocol};
use lab::{Capture, Host, Link, Tcp, tcp_info};
use nix::errno::Errno;
use record::{Column, Event, Sequence, Table, What};
use tcp_segment::{Segment, TcpOption};

use crate::flood::{Error, PORT, Regime, Stage};

/// What the attacker sends before, where it attacks.
const SYNS: u32 = 64;

/// The client's way out is a DSL line, whose segments are a little shorter: 1,452 bytes of data and
/// options, and not 1,460.
const MTU: usize = 1492;

/// How often an experiment is made again if the machine was too busy to look in time.
const TRIES: usize = 10;

// ANCHOR: trials
/// A client under some conditions.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    pub what: &'static str,
    pub cookies: u8,
    /// Whether the SYN queue has been filled before.
    pub attacked: bool,
    /// The client's `net.ipv4.tcp_timestamps`.
    pub timestamps: u8,
}

const fn trial(what: &'static str, cookies: u8, attacked: bool) -> Trial {
    Trial {
        what,
        cookies,
        attacked,
        timestamps: 1,
    }
}

pub const TRIALS: [Trial; 5] = [
    trial("room in the queue", 1, false),
    trial("full, `tcp_syncookies=0`", 0, true),
    trial("full, `tcp_syncookies=1`", 1, true),
    Trial {
        timestamps: 0,
        ..trial("full, `tcp_syncookies=1`, no timestamps", 1, true)
    },
    trial("`tcp_syncookies=2`, no attack", 2, false),
];
// ANCHOR_END: trials

/// How a trial ended.
pub struct Outcome {
    /// What `connect()` said, and after what time.
    pub error: Option<Errno>,
    pub after: Duration,
    /// What the server's kernel had of the connection while the last segment of the handshake was
    /// on its way.
    pub kept: Option<Socket>,
    /// Bytes of data that the server will put into a segment.
    pub mss: Option<u32>,
    /// What the SYN ACK agrees to.
    pub syn_ack: Option<Vec<u8>>,
    /// Half-open connections before the client came.
    pub half_open: u32,
    pub sequence: Sequence,
}

impl Trial {
    pub fn run(self) -> Result<Outcome, Error> {
        for _ in 1..TRIES {
            if let Some(outcome) = self.try_once()? {
                return Ok(outcome);
            }
        }
        self.try_once()?
            .ok_or_else(|| "this machine is too busy to look in time".into())
    }

    /// Nothing where the look at the server came too late.
    fn try_once(self) -> Result<Option<Outcome>, Error> {
        // ANCHOR: client
        let regime = Regime {
            backlog: 8,
            cookies: self.cookies,
            ..Regime::USUAL
        };
        let mut stage = Stage::with_link(regime, Link::new().mtu(MTU))?;
        // No random offset, so that the bits can be read in which the cookie's options are.
        stage.server.sysctl("net.ipv4.tcp_timestamps", 2)?;
        stage
            .client
            .sysctl("net.ipv4.tcp_timestamps", self.timestamps)?;
        give_up_after_three_seconds(&stage.client)?;
        if self.attacked {
            stage.flood(SYNS)?;
        }
        let half_open = stage.half_open()?;

        let address = stage.address();
        let called = Instant::now();
        let connected = stage.client.run(|| TcpStream::connect(address));
        let after = called.elapsed();
        // The client has just sent its ACK: for 25 ms the server does not know.
        let states = [State::SynReceived, State::Established];
        let sockets = stage.diag.sockets(&states)?;
        // ANCHOR_END: client

        let mut outcome = Outcome {
            error: None,
            after,
            kept: None,
            mss: None,
            syn_ack: None,
            half_open,
            sequence: Sequence::new(),
        };
        match &connected {
            Err(error) => outcome.error = Some(errno(error)),
            Ok(stream) => {
                let local = stream.local_addr()?;
                outcome.kept = sockets.into_iter().find(|socket| socket.remote == local);
                if outcome
                    .kept
                    .is_some_and(|socket| socket.state == State::Established)
                {
                    return Ok(None);
                }
                let (accepted, _) = stage.listener.accept()?;
                outcome.mss = Some(tcp_info(&accepted)?.snd_mss);
            }
        }
        let capture = stage.lab.capture();
        outcome.syn_ack = syn_ack(&capture);
        outcome.sequence = self.sequence(&capture, &outcome);
        Ok(Some(outcome))
    }

    /// The client's packets, and what the server kept.
    fn sequence(self, capture: &Capture, outcome: &Outcome) -> Sequence {
        let all = capture.sequence();
        let crossings = capture.crossings().iter();
        let own: Vec<_> = crossings
            .zip(all.events)
            .filter(|(crossing, _)| {
                let names = [crossing.from, crossing.to].map(|place| capture.name(place));
                !names.contains(&"attacker")
            })
            .collect();
        let start = own.first().map_or(0, |(_, event)| event.at_us);

        let mut sequence = Sequence::new();
        let client = sequence.host("client", None);
        let server = sequence.host("server", None);
        if outcome.half_open > 0 {
            let note = format!("`{}` half-open connections", outcome.half_open);
            sequence.state(0, server, "SYN queue full", Some(&note));
        }
        for (crossing, mut event) in own {
            let from_client = capture.name(crossing.from) == "client";
            event.at_us -= start;
            let What::Message {
                from,
                to,
                arrived_us,
                ..
            } = &mut event.what
            else {
                continue;
            };
            (*from, *to) = if from_client {
                (client, server)
            } else {
                (server, client)
            };
            *arrived_us = arrived_us.map(|arrived| arrived - start);
            let arrived = *arrived_us;
            let (sent, flags) = (event.at_us, crossing.tcp().map_or(0, |tcp| tcp.flags));
            sequence.events.push(event);
            match (flags & (Tcp::SYN | Tcp::ACK), arrived) {
                (Tcp::SYN, Some(at)) if outcome.error.is_some() => {
                    sequence.state(at, server, "dropped", None);
                }
                (SYN_ACK, _) if outcome.kept.is_some() => {
                    sequence.state(
                        sent,
                        server,
                        "`SYN-RECV`",
                        Some("an entry in the SYN queue"),
                    );
                }
                (SYN_ACK, _) => {
                    let note = "what it must know is in the `SYN ACK`";
                    sequence.state(sent, server, "nothing kept", Some(note));
                }
                (Tcp::ACK, Some(at)) if from_client => {
                    sequence.state(at, server, "`ESTABLISHED`", None);
                    break;
                }
                _ => {}
            }
        }
        if let Some(error) = outcome.error {
            let at = outcome.after.as_micros() as u64;
            sequence.state(at, client, format!("`{error:?}`"), None);
        }
        sequence.events.sort_by_key(|event: &Event| event.at_us);
        sequence
    }
}

/// Two SYNs, instead of seven and more than a minute.
pub fn give_up_after_three_seconds(client: &Host) -> io::Result<()> {
    client.sysctl("net.ipv4.tcp_syn_retries", 1)?;
    match client.sysctl("net.ipv4.tcp_syn_linear_timeouts", 0) {
        // Before 6.5, Linux does not know it and does as with 0.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

const SYN_ACK: u8 = Tcp::SYN | Tcp::ACK;

/// The segment with which the server has answered the client.
fn syn_ack(capture: &Capture) -> Option<Vec<u8>> {
    let mut crossings = capture.sent_by("server");
    let found = crossings.find(|crossing| {
        let segment = crossing.tcp();
        capture.name(crossing.to) == "client"
            && segment.is_some_and(|tcp| tcp.flags & SYN_ACK == SYN_ACK && tcp.source_port == PORT)
    })?;
    let packet = Packet::parse(&found.bytes).ok()?;
    let upper = packet.upper_layer().ok()?;
    (upper.protocol == Protocol::TCP).then(|| upper.bytes.to_vec())
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}

impl Outcome {
    /// What the SYN ACK offers besides the MSS.
    pub fn options(&self) -> Vec<&'static str> {
        let Some(segment) = &self.syn_ack else {
            return Vec::new();
        };
        let segment =
            Segment::parse_without_checksum(segment).expect("a segment that a kernel sent");
        let options = segment.header().options;
        let names = options.iter().filter_map(|option| match option {
            Ok(TcpOption::SackPermitted) => Some("SACK"),
            Ok(TcpOption::Timestamps { .. }) => Some("timestamps"),
            Ok(TcpOption::WindowScale(_)) => Some("window scale"),
            _ => None,
        });
        names.collect()
    }
}

/// Tells how the trials ended.
pub fn tell(outcomes: &[(Trial, Outcome)]) -> Table {
    let mut table = Table::new([
        Column::words("the SYN queue"),
        Column::words("`connect()`"),
        Column::words("kept for it"),
        Column::words("options"),
        Column::number("largest segment", "bytes"),
        Column::number("after", "ms"),
    ]);
    let kept = |outcome: &Outcome| match outcome.kept {
        _ if outcome.error.is_some() => "–",
        Some(_) => "an entry",
        None => "nothing",
    };
    for (trial, outcome) in outcomes {
        let says = match outcome.error {
            Some(error) => format!("{error:?}"),
            None => "connected".to_owned(),
        };
        let options = match outcome.options().join(", ") {
            none if none.is_empty() && outcome.error.is_none() => "none".to_owned(),
            none if none.is_empty() => "–".to_owned(),
            some => some,
        };
        let mss = outcome
            .mss
            .map_or("–".to_owned(), |bytes| bytes.to_string());
        let ms = outcome.after.as_secs_f64() * 1e3;
        println!("{}", trial.what.replace('`', ""));
        println!("    connect(): {says} after {ms:.0} ms");
        if outcome.error.is_none() {
            let kept = kept(outcome);
            println!("    kept for it until the ACK came: {kept}; options: {options}");
            println!("    the server's segments: up to {mss} bytes");
        }
        let says = match outcome.error {
            Some(error) => format!("`{error:?}`"),
            None => says,
        };
        let after = format!("{ms:.0}");
        let (what, kept) = (trial.what.to_owned(), kept(outcome).to_owned());
        table = table.row([what, says, kept, options, mss, after]);
    }
    table
}
