//! Connections that are opened without a loss.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use lab::{Capture, Crossing, Host, Lab, Link, Report, Tcp, TcpState};

use crate::linux::{ONE_WAY, PORT, Result, finished};

/// How long to wait for a state, which should be there after two round trips.
const DEADLINE: Duration = Duration::from_secs(10);

/// How many connections are timed over each version of IP.
pub const CONNECTIONS: usize = 11;

/// A connection that was opened.
pub struct Opened {
    /// When the client's program called `connect()`.
    pub called: Instant,
    /// Each but the last within half a round trip of its own.
    pub moments: [Moment; 4],
    pub capture: Capture,
}

/// In which state each end of the connection was at some moment; none where a kernel knew of none.
pub struct Moment {
    pub what: &'static str,
    pub at: Instant,
    pub client: Option<TcpState>,
    pub server: Option<TcpState>,
}

// ANCHOR: open
/// Opens a connection, and looks at the tables of both kernels on the way.
pub fn open() -> Result<(Opened, Report)> {
    let (lab, client, server) = Lab::pair(Link::new().delay(ONE_WAY))?;
    let address = SocketAddr::from((server.v4(), PORT));
    let listener = server.run(|| TcpListener::bind(address))?;

    let connecting = client.spawn(move || -> Result<_> {
        let called = Instant::now();
        Ok((called, TcpStream::connect(address)?))
    });
    let look = |what, it_is_so: fn(&Moment) -> bool| look(what, &client, &server, it_is_so);
    let under_way = look("the SYN is under way", |now| now.client.is_some())?;
    let arrived = look("the SYN has arrived", |now| now.server.is_some())?;
    let (called, connection) = finished(connecting)?;
    let returned = look("connect() has returned", |_| true)?;
    let complete = look("nobody has called accept() yet", |now| {
        now.server == Some(TcpState::Established)
    })?;
    let accepted = listener.accept()?;

    let opened = Opened {
        called,
        moments: [under_way, arrived, returned, complete],
        capture: lab.capture(),
    };
    drop((connection, accepted));
    let mut report = lab.finish()?;
    report.late += opened.late_looks();
    Ok((opened, report))
}
// ANCHOR_END: open

impl Opened {
    /// How many looks took so long that the next segment may have arrived meanwhile.
    fn late_looks(&self) -> u64 {
        let looks = (1..).zip(&self.moments[..3]);
        let late = looks.filter(|(half, look)| look.at - self.called > ONE_WAY * *half);
        late.count() as u64
    }
}

/// Looks at both ends again and again, until `it_is_so`.
fn look(
    what: &'static str,
    client: &Host,
    server: &Host,
    it_is_so: fn(&Moment) -> bool,
) -> Result<Moment> {
    let at_latest = Instant::now() + DEADLINE;
    let end = |host: &Host| {
        let mut states = host.tcp_states().into_iter().map(|socket| socket.state);
        states.find(|&state| state != TcpState::Listen)
    };
    loop {
        let moment = Moment {
            what,
            client: end(client),
            server: end(server),
            at: Instant::now(),
        };
        if it_is_so(&moment) {
            return Ok(moment);
        }
        if moment.at > at_latest {
            return Err(format!("waited in vain: {what}").into());
        }
        thread::sleep(Duration::from_micros(500));
    }
}

/// What it takes to open connections over both versions of IP.
pub struct Timed {
    pub v4: Times,
    pub v6: Times,
    /// The sequence numbers of all SYNs, of both sides.
    pub initial_sequence_numbers: BTreeSet<u32>,
}

/// Medians, counted from the call of `connect()`.
pub struct Times {
    /// Until it returned.
    pub connect: Duration,
    /// Until the server's `accept()` did.
    pub accept: Duration,
}

pub fn timed() -> Result<(Timed, Report)> {
    let (lab, client, server) = Lab::pair(Link::new().delay(ONE_WAY))?;
    let v4 = times(&client, &server, server.v4().into())?;
    let v6 = times(&client, &server, server.v6().into())?;
    let capture = lab.capture();
    let segments = capture.crossings().iter().filter_map(Crossing::tcp);
    let syns = segments.filter(|segment| segment.has(Tcp::SYN));
    let timed = Timed {
        v4,
        v6,
        initial_sequence_numbers: syns.map(|syn| syn.sequence).collect(),
    };
    Ok((timed, lab.finish()?))
}

// ANCHOR: times
fn times(client: &Host, server: &Host, address: IpAddr) -> Result<Times> {
    let listener = server.run(|| TcpListener::bind((address, PORT)))?;
    let accepting = server.spawn(move || -> Result<Vec<_>> {
        let accept = |_| Ok((listener.accept()?, Instant::now()));
        (0..CONNECTIONS).map(accept).collect()
    });
    let connected = client.run(|| -> Result<Vec<_>> {
        let connect = |_| {
            let called = Instant::now();
            let connection = TcpStream::connect((address, PORT))?;
            Ok((called, Instant::now(), connection))
        };
        (0..CONNECTIONS).map(connect).collect()
    })?;
    let accepted = finished(accepting)?;

    let each = || connected.iter().zip(&accepted);
    Ok(Times {
        connect: median(each().map(|((called, returned, _), _)| *returned - *called)),
        accept: median(each().map(|((called, ..), (_, returned))| *returned - *called)),
    })
}

fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.collect();
    times.sort();
    times[times.len() / 2]
}
// ANCHOR_END: times
