//! The fourth cost: a sender that waits for an acknowledgment, and a receiver that waits to send it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use lab::{Capture, Report};
use record::Sequence;

use crate::network::{Network, Result, half, part};

/// Bytes of a request's head and of its body.
const HEAD: usize = 20;
const BODY: usize = 30;

/// Bytes of the answer.
const ANSWER: usize = 40;

/// How the client writes a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// Head, then body, in two writes.
    Two,
    /// The same with `TCP_NODELAY`.
    TwoWithoutDelay,
    /// Both in one write.
    One,
}

/// The times of `requests` on one connection, and its packets.
///
/// # Errors
///
/// When the network cannot be built or a connection fails.
pub fn measure(
    round_trip: Duration,
    writes: Writes,
    requests: usize,
) -> Result<((Vec<Duration>, Capture), Report)> {
    let tolerance = Duration::from_millis(2);
    let network = Network::new(half(round_trip), half(round_trip), tolerance)?;
    let listener = network.listen(80)?;
    let serving = thread::spawn(move || {
        let (connection, _) = listener.accept()?;
        serve(connection)
    });
    let mut connection = network.connect(network.socket()?, 80)?;
    connection.set_nodelay(writes == Writes::TwoWithoutDelay)?;

    let mut times = Vec::new();
    for _ in 0..requests {
        let started = Instant::now();
        // ANCHOR: ask
        if writes == Writes::One {
            connection.write_all(&[b'?'; HEAD + BODY])?;
        } else {
            connection.write_all(&[b'?'; HEAD])?;
            connection.write_all(&[b'?'; BODY])?;
        }
        connection.read_exact(&mut [0; ANSWER])?;
        // ANCHOR_END: ask
        times.push(started.elapsed());
    }
    drop(connection);
    serving.join().expect("the server does not panic")?;
    let capture = network.lab.capture();
    Ok(((times, capture), network.lab.finish()?))
}

/// Answers as soon as a request is complete, and says nothing before.
fn serve(mut connection: TcpStream) -> io::Result<()> {
    loop {
        match connection.read_exact(&mut [0; HEAD + BODY]) {
            Ok(()) => connection.write_all(&[b'!'; ANSWER])?,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// The packets of one request, counted from 1 on, as a figure: the head, the acknowledgment that lets
/// the body go, the body, the answer. (The body may be acknowledged alone as well, or with the
/// answer.)
#[must_use]
pub fn exchange(capture: &Capture, number: usize) -> Sequence {
    let crossings = capture.crossings();
    let length = |index: usize| crossings[index].tcp().map_or(0, |segment| segment.length);
    let next = |from: usize, bytes: usize| (from..crossings.len()).find(|&at| length(at) == bytes);
    let wanted: Option<[usize; 4]> = (|| {
        let head = (0..crossings.len())
            .filter(|&index| length(index) == HEAD)
            .nth(number - 1)?;
        let acknowledgment = next(head, 0)?;
        Some([head, acknowledgment, next(head, BODY)?, next(head, ANSWER)?])
    })();
    let wanted = wanted.unwrap_or_default();
    part(capture, |index| wanted.contains(&index))
}
