//! A server that listens and does not accept, and a client that connects.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use exec_syn_queue::counters::Counters;
use exec_syn_queue::diag::{self, Diag};
use exec_syn_queue::wait_until;
use lab::{Host, Lab, Link};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use socket2::{Domain, SockRef, Socket, Type};

pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Where the server listens.
pub const PORT: u16 = 80;

/// What is unlike the usual stage.
pub struct Settings {
    /// What `listen()` is called with.
    pub backlog: i32,
    /// `net.core.somaxconn`.
    pub somaxconn: u32,
    /// `net.ipv4.tcp_abort_on_overflow`.
    pub abort: u8,
    /// `net.ipv4.tcp_syncookies`.
    pub cookies: u8,
    /// `net.ipv4.tcp_syn_retries` of the client: how often it sends its SYN again.
    pub retries: u8,
    /// How long a packet is under way.
    pub one_way: Duration,
    /// What else the link from the client does.
    pub there: Link,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            backlog: 1,
            somaxconn: 4096,
            abort: 0,
            cookies: 1,
            retries: 1, // two SYNs and three seconds, instead of seven and more than a minute
            one_way: Duration::ZERO,
            there: Link::new(),
        }
    }
}

/// The two hosts.
pub struct Stage {
    pub lab: Lab,
    pub client: Host,
    pub server: Host,
    pub address: SocketAddr,
    pub listener: TcpListener,
    pub diag: Diag,
    pub counters: Counters,
}

impl Stage {
    pub fn open(settings: Settings) -> Result<Self, Error> {
        let mut builder = Lab::builder();
        let [client, server] = ["client", "server"].map(|name| builder.host(name));
        let there = settings.there.delay(settings.one_way);
        let back = Link::new().delay(settings.one_way);
        builder.link(client, server, there, back);
        let lab = builder.start()?;
        let (client, server) = (lab.host(client), lab.host(server));
        server.sysctl("net.core.somaxconn", settings.somaxconn)?;
        server.sysctl("net.ipv4.tcp_abort_on_overflow", settings.abort)?;
        server.sysctl("net.ipv4.tcp_syncookies", settings.cookies)?;
        client.sysctl("net.ipv4.tcp_syn_retries", settings.retries)?;
        match client.sysctl("net.ipv4.tcp_syn_linear_timeouts", 0) {
            // Before 6.5, Linux does not know it and does as with 0.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }

        // ANCHOR: listen
        let address = SocketAddr::from((server.v4(), PORT));
        let socket = server.run(|| Socket::new(Domain::IPV4, Type::STREAM, None))?;
        socket.bind(&address.into())?;
        socket.listen(settings.backlog)?;
        // ANCHOR_END: listen
        Ok(Self {
            diag: server.run(Diag::open)?,
            counters: server.run(Counters::open)?,
            lab,
            client,
            server,
            address,
            listener: socket.into(),
        })
    }

    // ANCHOR: connect
    /// Lets the client connect, and waits until it has, or until the server has dropped its
    /// SYN.
    pub fn connect(&self) -> io::Result<Client> {
        let dropped = self.drops()?;
        let open = || Socket::new(Domain::IPV4, Type::STREAM, None);
        let socket = self.client.run(open)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&self.address.into()) {
            Err(error) if error.raw_os_error() == Some(Errno::EINPROGRESS as i32) => {}
            other => other?,
        }
        let stream = TcpStream::from(socket);
        let mut connected = false;
        wait_until("the SYN is answered or dropped", || {
            connected = outcome(&stream, SOON)?;
            Ok(connected || self.drops()? > dropped)
        })?;
        Ok(match connected {
            true => Client::Connected(stream),
            false => Client::Waits(stream),
        })
    }
    // ANCHOR_END: connect

    /// The accept queue, as the kernel says it.
    pub fn queue(&self) -> io::Result<Queue> {
        let diag::Socket { recv_q, send_q, .. } = self.diag.listener(PORT)?;
        Ok(Queue {
            length: recv_q,
            limit: send_q,
        })
    }

    /// Waits until so many connections are in the accept queue.
    pub fn waits_for(&self, length: u32) -> io::Result<()> {
        wait_until("the connections are in the accept queue", || {
            Ok(self.queue()?.length == length)
        })
    }

    /// How often a segment has met a full queue.
    pub fn overflows(&self) -> io::Result<u32> {
        self.counters.get("ListenOverflows")
    }

    /// How many SYNs were dropped, and other segments that met a full queue.
    pub fn drops(&self) -> io::Result<u32> {
        self.counters.get("ListenDrops")
    }

    /// Calls `listen()` on the socket that listens already.
    pub fn listen_again(&self, backlog: i32) -> io::Result<()> {
        SockRef::from(&self.listener).listen(backlog)
    }
}

/// An accept queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// How many connections wait; `ss` calls it Recv-Q.
    pub length: u32,
    /// The backlog; `ss` calls it Send-Q.
    pub limit: u32,
}

/// How long an answer may take that comes at once.
pub const SOON: Duration = Duration::from_millis(5);

/// Whether `connect()` has an outcome, be it good or bad, within a time.
pub fn outcome(stream: &TcpStream, within: Duration) -> io::Result<bool> {
    let mut polled = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
    let within = u16::try_from(within.as_millis()).unwrap_or(u16::MAX);
    Ok(poll(&mut polled, within)? > 0)
}

/// How far a client has come.
#[derive(Debug)]
pub enum Client {
    Connected(TcpStream),
    /// Its SYN was dropped, and it will send it again.
    Waits(TcpStream),
}
