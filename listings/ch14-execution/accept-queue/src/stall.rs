//! A server that accepts one after the other, stops for a while, and goes on.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use exec_syn_queue::diag::Diag;
use exec_syn_queue::wait_until;
use lab::{Host, Report, tcp_info, undisturbed};
use record::{Axis, Line, Series};

use crate::stage::{Error, PORT, Settings, Stage};

// ANCHOR: numbers
/// The backlog of the server.
const BACKLOG: i32 = 16;

/// How many clients come, and how soon after one another.
const CLIENTS: usize = 100;
const EVERY: Duration = Duration::from_millis(10);

/// After which of them the server stops, and after which it goes on.
const STOPS: usize = 20;
const GOES_ON: usize = 60;
// ANCHOR_END: numbers

/// How often the experiment is made if the machine was too busy for its times.
const TRIES: usize = 2;

/// How often the length of the queue is read.
const LOOK: Duration = Duration::from_millis(2);

/// What a client saw, and when, since the first one came.
#[derive(Debug, Clone, Copy)]
struct Visit {
    came: Duration,
    /// Whether its SYN was dropped.
    dropped: bool,
    /// When connect() was done, and when the answer was there.
    connected: Duration,
    answered: Duration,
}

/// What all of them saw, and how long the queue was since when.
pub struct Stall {
    visits: Vec<Visit>,
    queue: Vec<(Duration, u32)>,
}

pub fn stall() -> Result<Stall, Error> {
    Ok(undisturbed(TRIES, try_once)?.0)
}

fn try_once() -> Result<(Stall, Report), Error> {
    let stage = Stage::open(Settings {
        backlog: BACKLOG,
        retries: 6,
        one_way: Duration::from_millis(1),
        ..Settings::default()
    })?;
    let (go_on, going_on) = channel();
    let accepted = Arc::new(AtomicUsize::new(0));
    let counts = accepted.clone();
    let listener = stage.listener.try_clone()?;
    let serving = stage
        .server
        .spawn(move || serve(&listener, &counts, &going_on));
    let began = Instant::now();
    let watch = Watch::start(&stage.server, began);

    // ANCHOR: clients
    let mut clients = Vec::new();
    for number in 1..=CLIENTS {
        let due = EVERY * (number as u32 - 1);
        thread::sleep(due.saturating_sub(began.elapsed()));
        let address = stage.address;
        clients.push(stage.client.spawn(move || visit(address, began)));
        wait_until(
            "the client was accepted, or waits, or its SYN was dropped",
            || {
                let accepted = accepted.load(Ordering::Relaxed) as u32;
                let others = stage.queue()?.length + stage.drops()?;
                Ok(accepted + others >= number as u32)
            },
        )?;
        if number == GOES_ON {
            go_on.send(())?;
        }
    }
    // ANCHOR_END: clients
    let mut visits = Vec::new();
    for client in clients {
        visits.push(client.join().map_err(|_| "a client has panicked")??);
    }
    serving.join().map_err(|_| "the server has panicked")??;
    visits.sort_by_key(|visit| visit.came);
    let queue = watch.stop()?;
    Ok((Stall { visits, queue }, stage.lab.finish()?))
}

// ANCHOR: serve
/// Accepts all clients, answers each with a byte, and stops in between until it is told.
fn serve(
    listener: &TcpListener,
    accepted: &AtomicUsize,
    going_on: &Receiver<()>,
) -> Result<(), Error> {
    for number in 1..=CLIENTS {
        let (mut client, _) = listener.accept()?;
        client.write_all(b".")?;
        accepted.store(number, Ordering::Relaxed);
        if number == STOPS {
            going_on.recv()?; // a long computation, a collection of garbage, a slow disk
        }
    }
    Ok(())
}
// ANCHOR_END: serve

// ANCHOR: visit
/// A client, until it has its answer.
fn visit(address: SocketAddr, began: Instant) -> Result<Visit, Error> {
    let came = began.elapsed();
    let mut stream = TcpStream::connect(address)?;
    let connected = began.elapsed();
    stream.read_exact(&mut [0])?;
    Ok(Visit {
        came,
        dropped: tcp_info(&stream)?.total_retrans > 0, // it has sent its SYN again
        connected,
        answered: began.elapsed(),
    })
}
// ANCHOR_END: visit

/// Reads the length of the queue again and again, and keeps each change.
struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<std::io::Result<Vec<(Duration, u32)>>>,
}

impl Watch {
    fn start(server: &Host, began: Instant) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stops = stop.clone();
        let thread = server.spawn(move || {
            let diag = Diag::open()?;
            let mut queue: Vec<(Duration, u32)> = vec![(Duration::ZERO, 0)];
            while !stops.load(Ordering::Relaxed) {
                let length = diag.listener(PORT)?.recv_q;
                if queue.last().is_none_or(|last| last.1 != length) {
                    queue.push((began.elapsed(), length));
                }
                thread::sleep(LOOK);
            }
            queue.push((began.elapsed(), diag.listener(PORT)?.recv_q));
            Ok(queue)
        });
        Self { stop, thread }
    }

    fn stop(self) -> Result<Vec<(Duration, u32)>, Error> {
        self.stop.store(true, Ordering::Relaxed);
        Ok(self.thread.join().map_err(|_| "a watch has panicked")??)
    }
}

impl Stall {
    pub fn tell(&self) {
        println!(
            "\n3. listen({BACKLOG}), a client every {} ms\n",
            EVERY.as_millis()
        );
        let stalled = &self.visits[STOPS..GOES_ON];
        let (dropped, waited): (Vec<&Visit>, Vec<&Visit>) =
            stalled.iter().partition(|visit| visit.dropped);
        println!("{STOPS} clients are accepted. Then the server does something else.");
        let longest = |until: fn(&Visit) -> Duration| {
            let all = waited.iter().map(|visit| until(visit) - visit.came);
            in_ms(all.max().unwrap_or_default())
        };
        println!(
            "{} clients connect and wait in the queue: connect() takes up to {:.1} ms, the answer up \
             to {:.0} ms",
            waited.len(),
            longest(|visit| visit.connected),
            longest(|visit| visit.answered),
        );
        print!("{} clients find the queue full", dropped.len());
        let took = || dropped.iter().map(|visit| visit.connected - visit.came);
        match (took().min(), took().max()) {
            (Some(least), Some(most)) => {
                let [least, most] = [least, most].map(in_ms);
                println!(": connect() takes from {least:.0} ms to {most:.0} ms");
            }
            _ => println!(),
        }
        println!(
            "{} clients come after the server has gone on.",
            CLIENTS - GOES_ON
        );
    }

    /// How long each client took, by when it came.
    pub fn visits(&self) -> Series {
        let line = |name: &str, until: fn(&Visit) -> Duration| Line {
            name: name.to_owned(),
            points: self
                .visits
                .iter()
                .map(|visit| (in_ms(visit.came), in_ms(until(visit) - visit.came)))
                .collect(),
        };
        Series {
            x: Axis::new("the client comes after", "ms"),
            y: Axis::new("takes", "ms"),
            lines: vec![
                line("until the answer", |visit| visit.answered),
                line("until `connect()` returns", |visit| visit.connected),
            ],
        }
    }

    /// How many connections waited, until the first of the dropped SYNs is sent again.
    pub fn queue(&self) -> Series {
        /// A step is drawn as wide as this, in ms, since no two points may stand on one place.
        const STEP: f64 = 0.001;
        let end = self.visits.iter().map(|visit| visit.came).max();
        let end = in_ms(end.unwrap_or_default());
        let mut points: Vec<(f64, f64)> = Vec::new();
        for &(at, length) in &self.queue {
            let (at, length) = (in_ms(at), f64::from(length));
            if at > end - STEP {
                break;
            }
            if let Some(&(_, before)) = points.last() {
                points.push((at - STEP, before)); // until then as it was
            }
            points.push((at, length));
        }
        let last = points.last().map_or(0.0, |last| last.1);
        points.push((end, last));
        let limit = f64::from(BACKLOG);
        Series {
            x: Axis::new("time", "ms"),
            y: Axis::new("connections in the accept queue", ""),
            lines: vec![
                Line {
                    name: "`Recv-Q`".to_owned(),
                    points,
                },
                Line {
                    name: "`Send-Q`".to_owned(),
                    points: vec![(0.0, limit), (end, limit)],
                },
            ],
        }
    }
}

fn in_ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
