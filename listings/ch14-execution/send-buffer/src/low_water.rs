//! The fourth scene: how long a new message waits behind the old ones, and `TCP_NOTSENT_LOWAT`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use exec_receive_buffer::{
    Result, Row, grouped, is_writable, median, ms, plotted_ms, set_deadline, table, unsent,
};
use lab::{Capture, Lab, Link, Report, undisturbed};
use nix::poll::PollTimeout;
use record::{Axis, Line, Record, Series};
use socket2::SockRef;

/// How often an experiment is repeated if the machine was too busy for it.
const TRIES: usize = 3;

// ANCHOR: way
/// What the link carries, in bits a second.
const RATE: u64 = 20_000_000;

/// The way there, and the way back.
const DELAY: Duration = Duration::from_millis(10);

/// Bytes that may wait in front of the link, which take it 20 ms.
const QUEUE: usize = 50_000;
// ANCHOR_END: way

/// What the client writes at a time, made at the moment at which there is room for it.
const MESSAGE: usize = 4096;

/// How many bytes may wait unsent before the socket counts as full.
const LOW_WATER: u32 = 16_384;

/// How long the client writes.
const WATCHED: Duration = Duration::from_millis(2500);

/// When the start is over: what the largest buffer took at first has been sent, in 1.2 s.
const SETTLED: Duration = Duration::from_millis(1500);

/// From one point of the plot to the next.
const STEP: Duration = Duration::from_millis(25);

/// How late the lab may carry a packet: half of what one waits in a full queue.
const TOLERANCE: Duration = Duration::from_millis(10);

/// A client that always has something new to send, and what it does about its send buffer.
struct Client {
    name: &'static str,
    /// `net.ipv4.tcp_wmem`: at least, at first, and at most.
    wmem: &'static str,
    low_water: Option<u32>,
}

// ANCHOR: clients
const CLIENTS: [Client; 3] = [
    Client {
        name: "`4 MiB`",
        wmem: "4096 4194304 4194304", // as `SO_SNDBUF` would, but `net.core.wmem_max` limits that
        low_water: None,
    },
    Client {
        name: "left alone",
        wmem: "4096 16384 4194304",
        low_water: None,
    },
    Client {
        name: "`4 MiB`, `TCP_NOTSENT_LOWAT`",
        wmem: "4096 4194304 4194304",
        low_water: Some(LOW_WATER),
    },
];
// ANCHOR_END: clients

/// One message's way, in times since the connection was asked for.
struct Passage {
    written: Duration,
    /// When the last of it was first sent.
    sent: Duration,
    read: Duration,
}

struct Seen {
    passages: Vec<Passage>,
    /// The most that was ever unsent, in bytes.
    most_unsent: usize,
}

pub fn show(record: &mut Record) -> Result<()> {
    println!(
        "A client writes {} bytes whenever poll() says writable, over 20 Mbit/s:",
        grouped(MESSAGE)
    );
    let mut settled = Vec::new();
    let mut lines = Vec::new();
    // Each on a network of its own, and with few packets: they do not disturb each other.
    let all: Result<Vec<Seen>> = thread::scope(|scope| {
        let runs = CLIENTS
            .each_ref()
            .map(|client| scope.spawn(|| undisturbed(TRIES, || client.watch())));
        let seen = runs.into_iter().map(|run| {
            let (seen, _) = run.join().unwrap_or_else(|panic| resume_unwind(panic))?;
            Ok(seen)
        });
        seen.collect()
    });
    for (client, seen) in CLIENTS.iter().zip(all?) {
        let it = seen.settled();
        println!(
            "  {}:\n    {:.1} Mbit/s, up to {} bytes unsent",
            client.name.replace('`', ""),
            it.throughput,
            grouped(it.most_unsent)
        );
        println!(
            "    a message waits {:.1} ms in the kernel, and {:.1} ms later it is read",
            it.in_kernel_ms, it.in_network_ms
        );
        settled.push((client.name.to_owned(), it));
        lines.push(seen.line(client.name));
    }
    println!();
    record.add(
        "low-water",
        table("the client's send buffer", &settled, &ROWS),
    );
    record.add(
        "ages",
        Series {
            x: Axis::new("message written after", "ms"),
            y: Axis::new("until it is read", "ms"),
            lines,
        },
    );
    Ok(())
}

/// What held once the start was over, in medians.
struct Settled {
    /// In Mbit/s.
    throughput: f64,
    /// In bytes.
    most_unsent: usize,
    in_kernel_ms: f64,
    in_network_ms: f64,
    age_ms: f64,
}

const ROWS: [Row<Settled>; 5] = [
    ("throughput, Mbit/s", |it| format!("{:.1}", it.throughput)),
    ("unsent at most, bytes", |it| it.most_unsent.to_string()),
    ("in the client's kernel, ms", |it| {
        format!("{:.1}", it.in_kernel_ms)
    }),
    ("in the network, ms", |it| {
        format!("{:.1}", it.in_network_ms)
    }),
    ("read after, ms", |it| format!("{:.1}", it.age_ms)),
];

impl Client {
    fn watch(&self) -> Result<(Seen, Report)> {
        let mut builder = Lab::builder();
        let places = [builder.host("client"), builder.host("server")];
        let narrow = Link::new().rate(RATE).queue(QUEUE).delay(DELAY);
        builder.link(places[0], places[1], narrow, Link::new().delay(DELAY));
        builder.tolerance(TOLERANCE);
        let lab = builder.start()?;
        let [client, server] = places.map(|place| lab.host(place));
        client.sysctl("net.ipv4.tcp_wmem", self.wmem)?;
        server.sysctl("net.ipv4.tcp_rmem", "4096 6291456 6291456")?;

        let listener = server.run(|| TcpListener::bind((server.v4(), 80)))?;
        let (started, sender) = client.run(|| {
            let started = Instant::now(); // when the SYN is sent, by which packets are dated
            TcpStream::connect((server.v4(), 80)).map(|sender| (started, sender))
        })?;
        if let Some(bytes) = self.low_water {
            SockRef::from(&sender).set_tcp_notsent_lowat(bytes)?;
        }
        let (receiver, _) = listener.accept()?;
        set_deadline(&receiver)?;
        let reading = server.spawn(move || read(receiver, started));
        let (written, most_unsent) = client.run(|| write(sender, started))?;
        let read = reading.join().expect("the reader does not panic");

        let sent = sent(&lab.capture());
        let passages = written.iter().zip(&sent).zip(&read);
        let seen = Seen {
            passages: passages
                .map(|((&written, &sent), &read)| Passage {
                    written,
                    sent,
                    read,
                })
                .collect(),
            most_unsent,
        };
        Ok((seen, lab.finish()?))
    }
}

// ANCHOR: write
/// Writes whenever there is room. Gives when each message was made, and the most that was unsent.
fn write(mut sender: TcpStream, started: Instant) -> io::Result<(Vec<Duration>, usize)> {
    sender.set_nonblocking(true)?;
    let (mut written, mut most_unsent) = (Vec::new(), 0);
    while started.elapsed() < WATCHED {
        if !is_writable(&sender, PollTimeout::from(100_u8))? {
            continue;
        }
        written.push(started.elapsed());
        let mut rest = &[b'm'; MESSAGE][..]; // the newest there is, made now
        while !rest.is_empty() {
            match sender.write(rest) {
                Ok(bytes) => rest = &rest[bytes..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    is_writable(&sender, PollTimeout::from(100_u8))?;
                }
                Err(error) => return Err(error),
            }
        }
        most_unsent = most_unsent.max(unsent(&sender)?);
    }
    // What waits now is of no interest to anybody: close() is to throw it away.
    SockRef::from(&sender).set_linger(Some(Duration::ZERO))?;
    Ok((written, most_unsent))
}
// ANCHOR_END: write

/// When each message had been read, until the connection is reset.
fn read(mut receiver: TcpStream, started: Instant) -> Vec<Duration> {
    let mut read = Vec::new();
    while receiver.read_exact(&mut [0; MESSAGE]).is_ok() {
        read.push(started.elapsed());
    }
    read
}

// ANCHOR: sent
/// When the last byte of each message was first sent, since the SYN was.
fn sent(capture: &Capture) -> Vec<Duration> {
    let mut segments = capture
        .sent_by("client")
        .filter_map(|crossing| Some((crossing.sent, crossing.tcp()?)));
    let Some((start, syn)) = segments.next() else {
        return Vec::new();
    };
    let mut sent = Vec::new();
    for (at, segment) in segments {
        // Counted from the first byte of data, which comes after the SYN.
        let from = segment.sequence.wrapping_sub(syn.sequence.wrapping_add(1));
        let end = from as usize + segment.length;
        while (sent.len() + 1) * MESSAGE <= end {
            sent.push(at - start);
        }
    }
    sent
}
// ANCHOR_END: sent

impl Seen {
    fn settled(&self) -> Settled {
        let settled = || self.passages.iter().filter(|it| it.read > SETTLED);
        let last = self.passages.last();
        let lasted = last.map_or(Duration::ZERO, |it| it.read.saturating_sub(SETTLED));
        let bits = (settled().count() * MESSAGE * 8) as f64;
        Settled {
            throughput: bits * 1e-6 / lasted.as_secs_f64(),
            most_unsent: self.most_unsent,
            in_kernel_ms: median(settled().map(|it| ms(it.sent.saturating_sub(it.written)))),
            in_network_ms: median(settled().map(|it| ms(it.read.saturating_sub(it.sent)))),
            age_ms: median(settled().map(|it| ms(it.read - it.written))),
        }
    }

    /// The message of each [`STEP`] that took the longest.
    fn line(&self, name: &str) -> Line {
        let step = |it: &Passage| it.written.as_nanos() / STEP.as_nanos();
        let steps = self.passages.chunk_by(|one, next| step(one) == step(next));
        let longest = steps.filter_map(|step| step.iter().max_by_key(|it| it.read - it.written));
        Line {
            name: name.to_owned(),
            points: longest
                .map(|it| (plotted_ms(it.written), plotted_ms(it.read - it.written)))
                .collect(),
        }
    }
}
