//! The third cost: a connection does not know yet what its path can carry, and finds out slowly.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, iter};

use lab::{Capture, Report, Tcp, tcp_info};

use crate::network::{Network, Result, half};

/// Bytes of the answer.
pub const ANSWER: usize = 1 << 20;

/// The initial window in segments (RFC 6928 §2), as Linux has it: `TCP_INIT_CWND`.
pub const INITIAL_WINDOW: usize = 10;

/// How late packets may be: 320 segments that leave at once keep the relay busy for a while.
const TOLERANCE: Duration = Duration::from_millis(8);

// ANCHOR: predict
/// The flights in which an answer leaves if the window doubles with each round trip.
#[must_use]
pub fn predicted_flights(segments: usize) -> Vec<usize> {
    let mut left = segments;
    iter::successors(Some(INITIAL_WINDOW), |window| Some(window * 2))
        .map_while(|window| {
            let flight = window.min(left);
            left -= flight;
            (flight > 0).then_some(flight)
        })
        .collect()
}
// ANCHOR_END: predict

/// An answer that was fetched.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// From the request to the last byte of the answer.
    pub took: Duration,
    /// How many segments the server sent at once, and then on the acknowledgments of each flight.
    pub flights: Vec<usize>,
}

/// A connection over which answers are fetched, time and again.
pub struct Fetcher<'a> {
    network: &'a Network,
    connection: TcpStream,
    /// Gives the server's end of the connection.
    serving: JoinHandle<io::Result<()>>,
}

impl<'a> Fetcher<'a> {
    /// Connects.
    ///
    /// # Errors
    ///
    /// When the connection fails.
    pub fn connect(network: &'a Network, port: u16) -> Result<Self> {
        let listener = network.listen(port)?;
        let serving = thread::spawn(move || {
            let (mut connection, _) = listener.accept()?;
            let answer = vec![b'!'; ANSWER];
            while connection.read(&mut [0])? > 0 {
                connection.write_all(&answer)?;
            }
            Ok(())
        });
        Ok(Self {
            network,
            connection: network.connect(network.socket()?, port)?,
            serving,
        })
    }

    // ANCHOR: fetch
    /// Asks with one byte, and reads the answer.
    ///
    /// # Errors
    ///
    /// When the connection fails.
    pub fn fetch(&mut self) -> Result<Fetch> {
        let before = self.network.lab.capture().crossings().len();
        let mut answer = vec![0; ANSWER];
        let started = Instant::now();
        self.connection.write_all(b"?")?;
        self.connection.read_exact(&mut answer)?;
        let took = started.elapsed();

        let capture = self.network.lab.capture();
        let flights = flights(&capture, before, self.connection.peer_addr()?.port());
        Ok(Fetch { took, flights })
    }
    // ANCHOR_END: fetch

    /// Closes.
    ///
    /// # Errors
    ///
    /// When the server could not answer.
    pub fn close(self) -> Result<()> {
        drop(self.connection);
        Ok(self.serving.join().expect("the server does not panic")?)
    }
}

// ANCHOR: flights
/// The server's segments in flights: a segment belongs to the flight behind the one whose
/// acknowledgment let it go.
fn flights(capture: &Capture, since: usize, port: u16) -> Vec<usize> {
    let crossings = &capture.crossings()[since..];
    let of = |name| {
        crossings
            .iter()
            .filter(move |crossing| capture.name(crossing.from) == name)
            .filter_map(|crossing| Some((crossing, crossing.tcp()?)))
            .filter(|(_, segment)| [segment.source_port, segment.destination_port].contains(&port))
    };
    let data: Vec<(Duration, Tcp)> = of("server")
        .filter(|(_, segment)| segment.length > 0)
        .map(|(crossing, segment)| (crossing.sent, segment))
        .collect();
    let mut acknowledgments = of("client")
        .filter_map(|(crossing, segment)| Some((crossing.arrived?, segment.acknowledgment)))
        .peekable();

    let mut flight_of: Vec<usize> = Vec::new();
    let mut acknowledged = 0;
    for (sent, _) in &data {
        while let Some((_, up_to)) = acknowledgments.next_if(|(arrived, _)| arrived <= sent) {
            let covers = |(_, segment): &&(Duration, Tcp)| {
                let end = segment.sequence.wrapping_add(segment.length as u32);
                up_to.wrapping_sub(end) < 1 << 31
            };
            let sent_before = &data[acknowledged..flight_of.len()];
            acknowledged += sent_before.iter().take_while(covers).count();
        }
        flight_of.push(
            acknowledged
                .checked_sub(1)
                .map_or(0, |last| flight_of[last] + 1),
        );
    }
    let mut flights = vec![0; flight_of.iter().max().map_or(0, |last| last + 1)];
    for flight in flight_of {
        flights[flight] += 1;
    }
    flights
}
// ANCHOR_END: flights

// ANCHOR: room
/// A network whose client has room for all of an answer from the start: what is measured is the
/// server's window, and not how fast the client's kernel opens its own (flow control).
///
/// # Errors
///
/// When the network cannot be built.
pub fn network(round_trip: Duration) -> Result<Network> {
    let network = Network::new(half(round_trip), half(round_trip), TOLERANCE)?;
    let parameter = "net.ipv4.tcp_rmem";
    network.client.sysctl(parameter, "4096 6291456 6291456")?;
    Ok(network)
}
// ANCHOR_END: room

/// Bytes of data that a segment holds: what the handshake left of 1,500.
fn segment_bytes(connection: &TcpStream) -> io::Result<usize> {
    Ok(tcp_info(connection)?.snd_mss as usize)
}

/// A new connection, and several answers over it, one after the other.
#[derive(Debug, Clone)]
pub struct Growth {
    /// The round trip of the link.
    pub round_trip: Duration,
    /// Bytes of data in a segment.
    pub segment_bytes: usize,
    /// The answers.
    pub fetches: Vec<Fetch>,
}

/// Fetches `count` answers over a new connection.
///
/// # Errors
///
/// When the network cannot be built or a connection fails.
pub fn measure(round_trip: Duration, count: usize) -> Result<(Growth, Report)> {
    let network = network(round_trip)?;
    let mut fetcher = Fetcher::connect(&network, 80)?;
    let fetches = iter::repeat_with(|| fetcher.fetch())
        .take(count)
        .collect::<Result<_>>()?;
    let growth = Growth {
        round_trip,
        segment_bytes: segment_bytes(&fetcher.connection)?,
        fetches,
    };
    fetcher.close()?;
    Ok((growth, network.lab.finish()?))
}

/// An answer before and after the connection has been idle.
#[derive(Debug, Clone)]
pub struct Idle {
    /// The window was grown.
    pub before: Fetch,
    /// With `tcp_slow_start_after_idle` at its default, 1.
    pub after: Fetch,
    /// On another connection that was grown and idle as well, with 0.
    pub after_without: Fetch,
}

/// Lets two connections grow and then rest.
///
/// # Errors
///
/// When the network cannot be built or a connection fails.
pub fn rest(round_trip: Duration, idle: Duration) -> Result<(Idle, Report)> {
    let network = network(round_trip)?;
    let mut first = Fetcher::connect(&network, 80)?;
    let mut second = Fetcher::connect(&network, 81)?;
    for fetcher in [&mut first, &mut second] {
        fetcher.fetch()?;
        fetcher.fetch()?;
    }
    // ANCHOR: idle
    second.fetch()?;
    let before = first.fetch()?;
    thread::sleep(idle);
    let after = first.fetch()?;
    let parameter = "net.ipv4.tcp_slow_start_after_idle";
    network.server.sysctl(parameter, 0)?;
    let after_without = second.fetch()?;
    // ANCHOR_END: idle
    first.close()?;
    second.close()?;
    let idle = Idle {
        before,
        after,
        after_without,
    };
    Ok((idle, network.lab.finish()?))
}
