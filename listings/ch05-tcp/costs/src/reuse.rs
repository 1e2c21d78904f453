//! The first cost: a handshake before each request, or before the first alone.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use lab::{Capture, Report, TcpState};

use crate::network::{Network, Result, half};

/// Bytes of a request and of its answer, which fit in a segment each.
const REQUEST: usize = 100;
const ANSWER: usize = 1_000;

/// The port for requests with a connection each, and the one for those that share one.
pub const EACH: u16 = 80;
/// See [`EACH`].
pub const SHARED: u16 = 81;

/// How long the last segments of a close may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// What was measured of one way to use connections.
#[derive(Debug, Clone)]
pub struct Requests {
    /// From asking for a connection, where there is none yet, to the last byte of the answer.
    pub times: Vec<Duration>,
    /// Segments in both directions, the handshakes' and the closes' included.
    pub segments: usize,
    /// Connections that the client's kernel still keeps in TIME-WAIT.
    pub time_wait: usize,
}

/// Both ways, and all their packets.
#[derive(Debug, Clone)]
pub struct Reuse {
    /// A new connection for each request.
    pub each: Requests,
    /// One connection for all.
    pub shared: Requests,
    /// Each packet of both.
    pub capture: Capture,
}

/// Asks `requests` times each way.
///
/// # Errors
///
/// When the network cannot be built or a connection fails.
pub fn measure(round_trip: Duration, requests: usize) -> Result<(Reuse, Report)> {
    let tolerance = round_trip / 10;
    let network = Network::new(half(round_trip), half(round_trip), tolerance)?;

    let serving = serve(network.listen(EACH)?, requests);
    let sockets = (0..requests)
        .map(|_| network.socket())
        .collect::<io::Result<Vec<_>>>()?;
    // ANCHOR: each
    let mut each = Vec::new();
    for socket in sockets {
        let started = Instant::now();
        let mut connection = network.connect(socket, EACH)?;
        ask(&mut connection)?;
        each.push(started.elapsed());
    }
    // ANCHOR_END: each
    serving.join().expect("the server does not panic")?;
    let waiting_of_each = time_wait(&network, EACH)?;

    let serving = serve(network.listen(SHARED)?, 1);
    let socket = network.socket()?;
    // ANCHOR: shared
    let mut shared = Vec::new();
    let started = Instant::now();
    let mut connection = network.connect(socket, SHARED)?;
    ask(&mut connection)?;
    shared.push(started.elapsed());
    for _ in 1..requests {
        let started = Instant::now();
        ask(&mut connection)?;
        shared.push(started.elapsed());
    }
    // ANCHOR_END: shared
    drop(connection);
    serving.join().expect("the server does not panic")?;
    let waiting_of_shared = time_wait(&network, SHARED)?;

    let capture = network.lab.capture();
    let requests = |times, port, time_wait| Requests {
        times,
        segments: segments(&capture, port),
        time_wait,
    };
    let reuse = Reuse {
        each: requests(each, EACH, waiting_of_each),
        shared: requests(shared, SHARED, waiting_of_shared),
        capture,
    };
    Ok((reuse, network.lab.finish()?))
}

/// One request and its answer.
fn ask(connection: &mut TcpStream) -> io::Result<()> {
    connection.write_all(&[b'?'; REQUEST])?;
    connection.read_exact(&mut [0; ANSWER])
}

/// Answers on `connections` connections, one after the other, until the client closes each.
fn serve(listener: TcpListener, connections: usize) -> thread::JoinHandle<io::Result<()>> {
    thread::spawn(move || {
        for _ in 0..connections {
            let (mut connection, _) = listener.accept()?;
            loop {
                match connection.read_exact(&mut [0; REQUEST]) {
                    Ok(()) => connection.write_all(&[b'!'; ANSWER])?,
                    Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    })
}

/// How many connections to a port the client keeps in TIME-WAIT once all are closed.
fn time_wait(network: &Network, port: u16) -> io::Result<usize> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let states: Vec<TcpState> = network
            .client
            .tcp_states()
            .iter()
            .filter(|socket| socket.remote.port() == port)
            .map(|socket| socket.state)
            .collect();
        if states.iter().all(|&state| state == TcpState::TimeWait) {
            return Ok(states.len());
        }
        if Instant::now() > deadline {
            return Err(io::Error::new(
                ErrorKind::TimedOut,
                "a connection does not close",
            ));
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn segments(capture: &Capture, port: u16) -> usize {
    capture
        .crossings()
        .iter()
        .filter_map(lab::Crossing::tcp)
        .filter(|segment| [segment.source_port, segment.destination_port].contains(&port))
        .count()
}
