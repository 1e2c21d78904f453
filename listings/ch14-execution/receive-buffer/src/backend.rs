//! The fourth scene: a backend that reads slowly for a while, and its client.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use exec_receive_buffer::{
    Result, Row, grouped, mean, ms, plotted_ms, set_deadline, table, unread, unsent,
};
use lab::{Lab, Link, Report, undisturbed};
use record::{Axis, Line, Record, Series};

/// How often the experiment is repeated if the machine was too busy for it.
const TRIES: usize = 3;

// ANCHOR: workload
/// What the client sends at once: a request with a body, say.
const MESSAGE: usize = 4096;

/// From one message to the next, as long as `send()` lets the client go on.
const EVERY: Duration = Duration::from_millis(2);

/// When the backend needs time for a message, since the start, and how much: four times what it
/// takes the client to send one.
const SLOW: Range<Duration> = Duration::from_millis(300)..Duration::from_millis(1500);
const WORK: Duration = Duration::from_millis(8);

/// When the client has sent enough.
const END: Duration = Duration::from_millis(1800);
// ANCHOR_END: workload

/// How often the two kernels are asked: not at the moments at which messages are sent.
const SAMPLED_EVERY: Duration = Duration::from_millis(7);

/// The part of the slow phase in which nothing changes any more: the buffers are full.
const SETTLED: Range<Duration> = Duration::from_millis(1000)..SLOW.end;

/// From one point of the plot of delays to the next.
const STEP: Duration = Duration::from_millis(15);

/// How late the lab may carry a packet: what is looked at takes milliseconds.
const TOLERANCE: Duration = Duration::from_millis(4);

/// One message's way, in times since the start.
struct Passage {
    /// When the client's program called `send()`, and when the call returned.
    called: Duration,
    returned: Duration,
    /// When the backend's program had read all of it.
    read: Duration,
}

/// Bytes that wait in both kernels at one moment.
struct Sample {
    at: Duration,
    unsent: usize,
    unread: usize,
}

struct Seen {
    passages: Vec<Passage>,
    samples: Vec<Sample>,
}

pub fn show(record: &mut Record) -> Result<()> {
    let (seen, _) = undisturbed(TRIES, watch)?;
    println!(
        "A client sends {} bytes every {} ms; then its backend needs {} ms for each:",
        grouped(MESSAGE),
        EVERY.as_millis(),
        WORK.as_millis()
    );
    let mut phases = Vec::new();
    let fast = Duration::ZERO..SLOW.start;
    for (name, phase) in [("keeps up", fast), ("is too slow", SETTLED)] {
        let phase = seen.phase(&phase);
        println!(
            "  backend {name}: {:.0} messages a second sent, {:.0} read",
            phase.sent, phase.rate
        );
        println!(
            "    send() takes {:.1} ms at most; {:.1} ms later the message is read",
            phase.longest_send_ms, phase.read_ms
        );
        println!(
            "    {} bytes wait, which at this rate takes {:.1} ms",
            grouped(phase.waiting as usize),
            phase.predicted_ms()
        );
        phases.push((format!("the backend {name}"), phase));
    }
    println!();
    record.add("backend", table("in this phase", &phases, &ROWS));
    record.add("waiting", seen.waiting());
    record.add("delays", seen.delays());
    Ok(())
}

const ROWS: [Row<Phase>; 6] = [
    ("messages sent a second", |it| format!("{:.0}", it.sent)),
    ("messages read a second", |it| format!("{:.0}", it.rate)),
    ("longest `send()`, ms", |it| {
        format!("{:.1}", it.longest_send_ms)
    }),
    ("then until it is read, ms", |it| {
        format!("{:.1}", it.read_ms)
    }),
    ("bytes waiting, kB", |it| format!("{:.0}", it.waiting / 1e3)),
    ("bytes ÷ bytes a second, ms", |it| {
        format!("{:.1}", it.predicted_ms())
    }),
];

fn watch() -> Result<(Seen, Report)> {
    let mut builder = Lab::builder();
    let places = [builder.host("client"), builder.host("backend")];
    builder.link(places[0], places[1], Link::new(), Link::new());
    builder.tolerance(TOLERANCE);
    let lab = builder.start()?;
    let [client, backend] = places.map(|place| lab.host(place));
    let listener = backend.run(|| TcpListener::bind((backend.v4(), 80)))?;
    let sender = client.run(|| TcpStream::connect((backend.v4(), 80)))?;
    sender.set_nodelay(true)?;
    let (receiver, _) = listener.accept()?;
    for end in [&sender, &receiver] {
        set_deadline(end)?;
    }

    let started = Instant::now();
    let sending = {
        let sender = sender.try_clone()?;
        client.spawn(move || send(sender, started))
    };
    let reading = {
        let receiver = receiver.try_clone()?;
        backend.spawn(move || read(receiver, started))
    };
    let mut samples = Vec::new();
    for tick in 1.. {
        let over = reading.is_finished();
        samples.push(Sample {
            at: started.elapsed(),
            unsent: unsent(&sender)?,
            unread: unread(&receiver)?,
        });
        if over {
            break;
        }
        thread::sleep((SAMPLED_EVERY * tick).saturating_sub(started.elapsed()));
    }
    let sent = sending.join().expect("the client does not panic")?;
    let read = reading.join().expect("the backend does not panic")?;
    if sent.len() != read.len() {
        return Err(format!("{} of {} messages were read", read.len(), sent.len()).into());
    }
    let passages = sent.into_iter().zip(read);
    let passages = passages.map(|((called, returned), read)| Passage {
        called,
        returned,
        read,
    });
    let seen = Seen {
        passages: passages.collect(),
        samples,
    };
    drop((sender, receiver));
    Ok((seen, lab.finish()?))
}

// ANCHOR: send
/// The client: when it called `send()` for each message, and when the call returned.
fn send(mut sender: TcpStream, started: Instant) -> io::Result<Vec<(Duration, Duration)>> {
    let mut sent = Vec::new();
    let mut next = started;
    while next < started + END {
        thread::sleep(next.saturating_duration_since(Instant::now()));
        let called = started.elapsed();
        sender.write_all(&[b'm'; MESSAGE])?; // returns when the kernel has taken all of it
        let returned = started.elapsed();
        sent.push((called, returned));
        next = (next + EVERY).max(started + returned); // it does not make up for lost time
    }
    sender.shutdown(Shutdown::Write)?;
    Ok(sent)
}

/// The backend: when it had read each message.
fn read(mut receiver: TcpStream, started: Instant) -> io::Result<Vec<Duration>> {
    let mut read = Vec::new();
    while receiver.peek(&mut [0])? > 0 {
        receiver.read_exact(&mut [0; MESSAGE])?;
        let now = started.elapsed();
        read.push(now);
        if SLOW.contains(&now) {
            thread::sleep(WORK); // a database's answer, for instance
        }
    }
    Ok(read)
}
// ANCHOR_END: send

/// What held in the middle of a phase.
struct Phase {
    /// Messages a second that the client sent.
    sent: f64,
    /// Messages a second that the backend read.
    rate: f64,
    /// The longest that the client was held up.
    longest_send_ms: f64,
    /// From the moment at which `send()` returned to that at which the message was read.
    read_ms: f64,
    /// Bytes that waited in the two kernels.
    waiting: f64,
}

impl Phase {
    // ANCHOR: predicted
    /// How long what is waiting will take at the rate at which it is read: so long waits
    /// whoever comes behind it (Little's law).
    fn predicted_ms(&self) -> f64 {
        self.waiting / (self.rate * MESSAGE as f64) * 1e3
    }
    // ANCHOR_END: predicted
}

impl Seen {
    fn phase(&self, phase: &Range<Duration>) -> Phase {
        let sent = || self.passages.iter().filter(|it| phase.contains(&it.called));
        let read = || self.passages.iter().filter(|it| phase.contains(&it.read));
        let samples = self.samples.iter().filter(|it| phase.contains(&it.at));
        let seconds = (phase.end - phase.start).as_secs_f64();
        let in_send = sent().map(|it| ms(it.returned - it.called));
        Phase {
            sent: sent().count() as f64 / seconds,
            rate: read().count() as f64 / seconds,
            longest_send_ms: in_send.fold(0.0, f64::max),
            read_ms: mean(read().map(|it| ms(it.read.saturating_sub(it.returned)))),
            waiting: mean(samples.map(|it| (it.unsent + it.unread) as f64)),
        }
    }

    /// Where the bytes wait. Every other moment is enough for a plot, the last included.
    fn waiting(&self) -> Series {
        let line = |name: &str, bytes: fn(&Sample) -> usize| {
            let backwards = self.samples.iter().rev().step_by(2);
            let points = backwards.map(|it| (plotted_ms(it.at), bytes(it) as f64 / 1e3));
            let mut points: Vec<_> = points.collect();
            points.reverse();
            Line {
                name: name.to_owned(),
                points,
            }
        };
        Series {
            x: Axis::new("time", "ms"),
            y: Axis::new("bytes waiting", "kB"),
            lines: vec![
                line("in the client's send buffer", |it| it.unsent),
                line("in the backend's receive buffer", |it| it.unread),
            ],
        }
    }

    /// What a message takes, over the time at which it was sent: the longest of each [`STEP`].
    fn delays(&self) -> Series {
        let step = |it: &Passage| it.called.as_nanos() / STEP.as_nanos();
        let line = |name: &str, took: fn(&Passage) -> Duration| {
            let steps = self.passages.chunk_by(|one, next| step(one) == step(next));
            let longest = steps.filter_map(|step| step.iter().max_by_key(|it| took(it)));
            Line {
                name: name.to_owned(),
                points: longest
                    .map(|it| (plotted_ms(it.called), plotted_ms(took(it))))
                    .collect(),
            }
        };
        Series {
            x: Axis::new("time", "ms"),
            y: Axis::new("delay", "ms"),
            lines: vec![
                line("until the backend has read it", |it| it.read - it.called),
                line("held up in `send()`", |it| it.returned - it.called),
            ],
        }
    }
}
