//! A server on the lab, an attacker that floods it with SYNs, and what the kernel makes of them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use exec_syn_queue::counters::Counters;
use exec_syn_queue::diag::{Diag, State};
use exec_syn_queue::wait_until;
use ip_header::{Addresses, Protocol, ipv4};
use lab::{Host, Lab, Link, Packet, Raw};
use socket2::{Domain, Socket, Type};
use tcp_segment::{Flags, Header, Options, SeqNumber, TcpOption};

pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Where the server listens.
pub const PORT: u16 = 80;

/// How long a packet between client and server is under way.
pub const ONE_WAY: Duration = Duration::from_millis(25);

/// How many SYNs are sent before the kernel is asked what became of them: far less than the queue of
/// a processor has room for (`net.core.netdev_max_backlog`, 1,000).
const AT_ONCE: u32 = 128;

// ANCHOR: regime
/// What decides how many half-open connections a listener may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Regime {
    /// What `listen()` is called with.
    pub backlog: u32,
    /// `net.ipv4.tcp_syncookies`: 0 never, 1 when the SYN queue is full, 2 always.
    pub cookies: u8,
    /// `net.ipv4.tcp_max_syn_backlog`.
    pub max_syn_backlog: u32,
    /// `net.core.somaxconn`.
    pub somaxconn: u32,
}

impl Regime {
    /// As a kernel comes, on a machine with some memory.
    pub const USUAL: Self = Self {
        backlog: 64,
        cookies: 1,
        max_syn_backlog: 4096,
        somaxconn: 4096,
    };
}
// ANCHOR_END: regime

impl Regime {
    // ANCHOR: room
    /// For how many strangers the SYN queue has room: the conditions of `tcp_conn_request()` in
    /// the kernel's net/ipv4/tcp_input.c. `extra` is 1, and was 0 before 2025.
    pub fn room(&self, extra: u32) -> u32 {
        let backlog = self.backlog.min(self.somaxconn); // listen() sees to that
        let queue = backlog + extra; // full: already more than the backlog
        let max = self.max_syn_backlog;
        match self.cookies {
            0 => queue.min(max - max / 4 + 1), // the last quarter is not for strangers
            1 => queue,
            _ => 0, // nothing is kept at all
        }
    }
    // ANCHOR_END: room
}

/// What the kernel has made of the SYNs so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Entries of the SYN queue: connections in SYN-RECV.
    pub half_open: u32,
    /// SYN ACKs sent with a cookie, and without an entry.
    pub cookies: u32,
    /// SYNs that were dropped.
    pub dropped: u32,
}

/// A server between an attacker and a client.
pub struct Stage {
    pub lab: Lab,
    pub server: Host,
    pub client: Host,
    pub listener: TcpListener,
    pub attacker: Raw,
    pub diag: Diag,
    pub counters: Counters,
    /// How many SYNs the attacker has sent.
    sent: u32,
}

impl Stage {
    pub fn open(regime: Regime) -> Result<Self, Error> {
        Self::with_link(regime, Link::new())
    }

    /// With a link from the client that does something besides taking its time.
    pub fn with_link(regime: Regime, from_client: Link) -> Result<Self, Error> {
        // ANCHOR: stage
        let mut builder = Lab::builder();
        let [server, client] = ["server", "client"].map(|name| builder.host(name));
        let attacker = builder.raw("attacker");
        let [there, back] = [from_client.delay(ONE_WAY), Link::new().delay(ONE_WAY)];
        builder.link(server, attacker, Link::new(), Link::new()); // the way to everybody else
        builder.link(client, server, there, back);
        let lab = builder.start()?;
        let (server, client) = (lab.host(server), lab.host(client));

        server.sysctl("net.ipv4.tcp_syncookies", regime.cookies)?;
        server.sysctl("net.ipv4.tcp_max_syn_backlog", regime.max_syn_backlog)?;
        server.sysctl("net.core.somaxconn", regime.somaxconn)?;
        let listener = server.run(|| Socket::new(Domain::IPV4, Type::STREAM, None))?;
        listener.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into())?;
        listener.listen(regime.backlog.try_into()?)?;
        // ANCHOR_END: stage
        Ok(Self {
            attacker: lab.raw(attacker),
            diag: server.run(Diag::open)?,
            counters: server.run(Counters::open)?,
            lab,
            server,
            client,
            listener: listener.into(),
            sent: 0,
        })
    }

    /// Where the client finds the server.
    pub fn address(&self) -> SocketAddr {
        (self.server.interfaces()[1].v4, PORT).into()
    }

    // ANCHOR: flood
    /// Sends so many SYNs, each from somewhere else, and never answers what comes back. Waits
    /// until the kernel has decided about all of them.
    pub fn flood(&mut self, syns: u32) -> Result<Taken, Error> {
        let until = self.sent + syns;
        while self.sent < until {
            for _ in 0..AT_ONCE.min(until - self.sent) {
                self.attacker.send(syn(self.sent, self.server.v4())?);
                self.sent += 1;
            }
            wait_until("the kernel has decided about all SYNs", || {
                let taken = self.taken()?;
                Ok(taken.half_open + taken.cookies + taken.dropped == self.sent)
            })?;
        }
        Ok(self.taken()?)
    }

    pub fn taken(&self) -> io::Result<Taken> {
        Ok(Taken {
            half_open: self.half_open()?,
            cookies: self.counters.get("SyncookiesSent")?,
            dropped: self.counters.get("ListenDrops")?,
        })
    }

    pub fn half_open(&self) -> io::Result<u32> {
        Ok(self.diag.sockets(&[State::SynReceived])?.len() as u32)
    }
    // ANCHOR_END: flood
}

// ANCHOR: syn
/// The SYN of the `number`-th stranger, from an address for documentation (RFC 5737): nobody has
/// it, so nobody answers the SYN ACK with a reset.
fn syn(number: u32, server: Ipv4Addr) -> Result<Packet, ip_header::Error> {
    let source = Ipv4Addr::new(198, 51, 100, (number % 250) as u8 + 1);
    let mut room = [0; 40];
    let header = Header {
        flags: Flags::SYN,
        window: u16::MAX,
        options: Options::emit(&[TcpOption::MaximumSegmentSize(1460)], &mut room)?,
        ..Header::new(1024 + (number / 250) as u16, PORT, SeqNumber(number))
    };
    packet(source, server, &header)
}

/// A segment without data, in a packet from whomever.
pub fn packet(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    header: &Header,
) -> Result<Packet, ip_header::Error> {
    let mut bytes = vec![0; 20 + header.header_len()];
    let ip = ipv4::Header::new(Protocol::TCP, source, destination);
    let addresses = Addresses::V4 {
        source,
        destination,
    };
    header.emit(ip.emit(&mut bytes)?, addresses)?;
    Ok(Packet::new(&bytes))
}
// ANCHOR_END: syn
