//! What the four measurements have in common: two hosts, a link, Reno.

use std::error::Error;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use lab::{Capture, Host, Lab, Link};
use record::{Sequence, What};
use socket2::{Domain, Socket, Type};

/// What a measurement gives, or why there is none.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How long a program of the experiment waits for the other one.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of each packet that are kept: its headers.
const SNAP: usize = 100;

/// A client, a server, and the link between them.
pub struct Network {
    /// The running network.
    pub lab: Lab,
    /// The host that asks.
    pub client: Host,
    /// The host that answers.
    pub server: Host,
}

impl Network {
    // ANCHOR: network
    /// Joins the two hosts. Their TCP uses Reno, and everything else is the kernel's default.
    ///
    /// # Errors
    ///
    /// Those of [`lab::Builder::start`].
    pub fn new(there: Link, back: Link, tolerance: Duration) -> Result<Self> {
        let mut builder = Lab::builder();
        builder.congestion("reno");
        builder.tolerance(tolerance);
        builder.snap(SNAP);
        let (client, server) = (builder.host("client"), builder.host("server"));
        builder.link(client, server, there, back);
        let lab = builder.start()?;
        let (client, server) = (lab.host(client), lab.host(server));
        Ok(Self {
            lab,
            client,
            server,
        })
    }
    // ANCHOR_END: network

    /// Listens on a port of the server.
    ///
    /// # Errors
    ///
    /// When the port is in use.
    pub fn listen(&self, port: u16) -> io::Result<TcpListener> {
        let address = (self.server.v4(), port);
        self.server.run(|| TcpListener::bind(address))
    }

    /// A socket of the client's that is not connected yet.
    ///
    /// # Errors
    ///
    /// When the client is out of them.
    pub fn socket(&self) -> io::Result<Socket> {
        self.client
            .run(|| Socket::new(Domain::IPV4, Type::STREAM, None))
    }

    /// Connects a socket of the client's to a port of the server.
    ///
    /// # Errors
    ///
    /// When nobody listens there.
    pub fn connect(&self, socket: Socket, port: u16) -> io::Result<TcpStream> {
        socket.connect(&SocketAddr::from((self.server.v4(), port)).into())?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }
}

/// A link that takes half of a round trip, and as much as is sent.
pub fn half(round_trip: Duration) -> Link {
    Link::new().delay(round_trip / 2)
}

/// The one in the middle.
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

/// In milliseconds.
#[must_use]
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Some of a capture's packets, by their index, as a figure, whose time starts with the first of them.
#[must_use]
pub fn part(capture: &Capture, wanted: impl Fn(usize) -> bool) -> Sequence {
    let mut sequence = capture.sequence();
    let mut index = 0..;
    sequence
        .events
        .retain(|_| index.next().is_some_and(&wanted));
    let start_us = sequence.events.first().map_or(0, |event| event.at_us);
    for event in &mut sequence.events {
        event.at_us -= start_us;
        if let What::Message { arrived_us, .. } = &mut event.what {
            *arrived_us = arrived_us.map(|arrived| arrived - start_us);
        }
    }
    sequence
}
