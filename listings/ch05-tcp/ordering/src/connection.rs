//! A connection between two hosts on the lab.

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use lab::{Capture, Host, Lab, Link, Report};
use socket2::{Domain, Socket, Type};

use crate::{Segment, segments};

/// What an experiment gives, or why there is nothing to give.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Bytes of data in a full segment of a [`Connection`]: a round number, for the reader's sake.
pub const SEGMENT: usize = 1000;

/// The timestamps that every segment carries (RFC 7323 §3.2), with their padding.
const TIMESTAMPS: u32 = 12;

/// How late the relay may carry a packet until the run does not count. What these experiments tell
/// apart lies at least 30 ms apart, and a packet and its answer may both be late.
const TOLERANCE: Duration = Duration::from_millis(12);

/// How long anything may take; the longest timeout of these experiments is below two seconds.
const DEADLINE: Duration = Duration::from_secs(20);

/// A connection between two hosts on the lab. The client writes, the server reads.
pub struct Connection {
    /// The network.
    pub lab: Lab,
    /// The host of `writer`.
    pub client: Host,
    /// The host of `reader`.
    pub server: Host,
    /// The client's end.
    pub writer: TcpStream,
    /// The server's end.
    pub reader: TcpStream,
}

/// What is known of a connection that has been closed.
#[derive(Debug)]
pub struct Closed {
    /// What the server read since the last time.
    pub rest: Vec<u8>,
    /// The segments of both directions.
    pub segments: Vec<Segment>,
    /// The packets that they are from.
    pub capture: Capture,
    /// What the client's kernel has counted.
    pub client: HashMap<String, i64>,
    /// What the server's kernel has counted.
    pub server: HashMap<String, i64>,
    /// How the run went.
    pub report: Report,
}

impl Connection {
    /// Opens a connection over two directions of a link, in full segments of [`SEGMENT`] bytes.
    /// `prepare` may set kernel parameters of the client and of the server before.
    ///
    /// # Errors
    ///
    /// Those of the lab and of the system calls.
    pub fn open(
        v6: bool,
        there: Link,
        back: Link,
        prepare: impl FnOnce(&Host, &Host) -> io::Result<()>,
    ) -> Result<Self> {
        let mut builder = Lab::builder();
        let (a, b) = (builder.host("client"), builder.host("server"));
        builder.link(a, b, there, back);
        builder.congestion("reno");
        builder.tolerance(TOLERANCE);
        let lab = builder.start()?;
        let (client, server) = (lab.host(a), lab.host(b));
        prepare(&client, &server)?;

        let ip = if v6 {
            IpAddr::from(server.v6())
        } else {
            server.v4().into()
        };
        let listener = server.run(|| TcpListener::bind((ip, 80)))?;
        let writer = client.run(|| connect((ip, 80).into()))?;
        let (reader, _) = listener.accept()?;
        reader.set_read_timeout(Some(DEADLINE))?;
        writer.set_read_timeout(Some(DEADLINE))?;
        Ok(Self {
            lab,
            client,
            server,
            writer,
            reader,
        })
    }

    /// Waits until the other end has acknowledged everything.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn all_is_acknowledged(&self) -> Result<()> {
        wait_until("all is acknowledged", || {
            Ok(lab::tcp_info(&self.writer)?.unacked == 0)
        })
    }

    /// Closes the connection in order: the client first, then the server, so that whatever either
    /// kernel still had to say has arrived.
    ///
    /// # Errors
    ///
    /// Those of the lab and of the system calls.
    pub fn close(mut self) -> Result<Closed> {
        self.writer.shutdown(Shutdown::Write)?;
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest)?;
        drop(self.reader);
        self.writer.read_to_end(&mut Vec::new())?;
        let capture = self.lab.capture();
        Ok(Closed {
            rest,
            segments: segments(&capture),
            capture,
            client: self.client.counters(),
            server: self.server.counters(),
            report: self.lab.finish()?,
        })
    }
}

// ANCHOR: connect
/// Connects, with full segments of [`SEGMENT`] bytes of data.
fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // The options that a segment carries come out of its MSS.
    socket.set_tcp_mss(SEGMENT as u32 + TIMESTAMPS)?;
    socket.connect(&address.into())?;
    Ok(socket.into())
}
// ANCHOR_END: connect

/// Bytes each of which tells its place, so that a stream in another order is another stream.
#[must_use]
pub fn data(len: usize) -> Vec<u8> {
    (0..len).map(|place| (place % 251) as u8).collect()
}

/// Asks again and again until it is so, up to a deadline.
///
/// # Errors
///
/// When it is not so in time, or cannot be asked.
pub fn wait_until(what: &str, mut it_is_so: impl FnMut() -> io::Result<bool>) -> Result<()> {
    let at_latest = Instant::now() + DEADLINE;
    while !it_is_so()? {
        if Instant::now() >= at_latest {
            let late = format!("waited {DEADLINE:?} in vain until {what}");
            return Err(io::Error::new(ErrorKind::TimedOut, late).into());
        }
        thread::sleep(Duration::from_micros(500));
    }
    Ok(())
}
