//! One request while the outer link is down, and who repeats it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use lab::{Capture, Report};

use crate::tunnel::Carrier;
use crate::vpn::{Kernels, ROUND_TRIP, Result, Switch, Vpn, outer};

/// How long the link is down: two retransmission timeouts and a bit.
pub const DOWN: Duration = Duration::from_millis(600);

/// Requests before it goes down, from which the kernels learn the round trip.
const REQUESTS: usize = 5;

/// Bytes of a request and of its answer.
const REQUEST: usize = 200;
const ANSWER: usize = 300;

/// How long the program waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What became of the request.
#[derive(Debug, Clone, Copy)]
pub struct Outage {
    /// From the request to its answer.
    pub answered_after: Duration,
    /// How often the inner client's kernel sent it.
    pub sent: usize,
    /// How often it reached the inner server.
    pub arrived: usize,
}

/// Sends a request into a tunnel whose link is down for a while.
///
/// # Errors
///
/// When the networks cannot be built, or the connection fails.
pub fn run(carrier: Carrier) -> Result<(Outage, Report)> {
    let down = Switch::default();
    let vpn = Vpn::open(carrier, Kernels::Today, outer(&down), outer(&down))?;
    let address = (vpn.server.v4(), 80);
    let listener = vpn.server.run(|| TcpListener::bind(address))?;
    let mut connection = vpn.client.run(|| TcpStream::connect(address))?;
    let (mut accepted, _) = listener.accept()?;
    for stream in [&connection, &accepted] {
        stream.set_read_timeout(Some(PATIENCE))?;
    }
    let serving = thread::spawn(move || -> std::io::Result<()> {
        for _ in 0..=REQUESTS {
            accepted.read_exact(&mut [0; REQUEST])?;
            accepted.write_all(&[b'!'; ANSWER])?;
        }
        Ok(())
    });
    let mut ask = || {
        connection.write_all(&[b'?'; REQUEST])?;
        connection.read_exact(&mut [0; ANSWER])
    };
    for _ in 0..REQUESTS {
        ask()?;
    }
    // ANCHOR: outage
    down.store(true, Ordering::Relaxed);
    let repairing = thread::spawn(move || {
        thread::sleep(DOWN);
        down.store(false, Ordering::Relaxed);
    });
    let started = Instant::now();
    ask()?;
    let answered_after = started.elapsed();
    // ANCHOR_END: outage
    for thread in [serving.join(), repairing.join().map(Ok)] {
        thread.expect("neither thread panics")?;
    }

    // What repeats the request is behind it in the tunnel; a round trip later it has arrived.
    thread::sleep(ROUND_TRIP);
    let capture = vpn.lab.capture();
    let outage = Outage {
        answered_after,
        sent: copies(&capture, |from, _| from == "client"),
        arrived: copies(&capture, |_, to| to == "server"),
    };
    let report = vpn.lab.finish()?;
    vpn.tunnel.close();
    Ok((outage, report))
}

/// How often the last request crossed a link of the inner network between these two.
fn copies(capture: &Capture, between: impl Fn(&str, &str) -> bool) -> usize {
    let crossed: Vec<u32> = capture
        .crossings()
        .iter()
        .filter(|crossing| between(capture.name(crossing.from), capture.name(crossing.to)))
        .filter_map(lab::Crossing::tcp)
        .filter(|segment| segment.length == REQUEST)
        .map(|segment| segment.sequence)
        .collect();
    let last = crossed.iter().copied().reduce(|one, other| {
        // Sequence numbers go round.
        if other.wrapping_sub(one) < 1 << 31 {
            other
        } else {
            one
        }
    });
    crossed.iter().filter(|&&one| Some(one) == last).count()
}
