//! A socket that somebody waits at, and what has come for it.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use socket2::{Domain, Socket, Type};

/// Room for each datagram that this program sends.
const LONGEST: usize = 64;

/// How long to wait for a datagram that must come.
const DEADLINE: Duration = Duration::from_secs(5);

// ANCHOR: loopback
/// Loopback, so used that one knows when everything has been delivered.
///
/// The kernel queues what is sent there by processor, and delivers each queue in order, as a rule at
/// once and on a busy machine a little later. So this thread stays on one processor, and a datagram to
/// oneself tells when all those before it have arrived.
pub struct Loopback {
    marker: UdpSocket,
}

impl Loopback {
    pub fn enter() -> io::Result<Self> {
        let this_thread = Pid::from_raw(0);
        let allowed = sched_getaffinity(this_thread)?;
        let mut one = CpuSet::new();
        for processor in 0..CpuSet::count() {
            if allowed.is_set(processor)? {
                one.set(processor)?;
                break;
            }
        }
        sched_setaffinity(this_thread, &one)?;
        let marker = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        marker.set_read_timeout(Some(DEADLINE))?;
        Ok(Self { marker })
    }

    /// Waits until all that this thread has sent is in its receivers' queues.
    pub fn settle(&self) -> io::Result<()> {
        self.marker.send_to(b"", self.marker.local_addr()?)?;
        self.marker.recv(&mut []).map(drop)
    }
}
// ANCHOR_END: loopback

/// A program's socket. What is read from it is known by its sender and its bytes.
pub struct Mailbox {
    pub name: String,
    pub socket: UdpSocket,
}

/// One datagram as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub from: SocketAddr,
    pub text: String,
}

/// What has to be said of a port before others may have it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Nothing: one port, one socket.
    Never,
    /// `SO_REUSEADDR`: sockets that are told apart by their addresses, or the newest instead of all.
    Address,
    /// `SO_REUSEPORT`: a group among which datagrams are spread.
    Port,
}

impl Mailbox {
    /// Binds a socket. Port 0: the kernel chooses one that is free.
    ///
    /// # Errors
    ///
    /// Those of bind(2).
    pub fn open(name: &str, at: (Ipv4Addr, u16), share: Share) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        socket.set_reuse_address(share == Share::Address)?;
        socket.set_reuse_port(share == Share::Port)?;
        socket.bind(&SocketAddr::from(at).into())?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            name: name.to_owned(),
            socket: socket.into(),
        })
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    // ANCHOR: empty
    /// Takes out all that has come: reads until there is no more.
    pub fn empty(&self) -> io::Result<Vec<Letter>> {
        let mut letters = Vec::new();
        let mut buffer = [0; LONGEST];
        loop {
            match self.socket.recv_from(&mut buffer) {
                Ok((length, from)) => {
                    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    letters.push(Letter { from, text });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(letters),
                Err(error) => return Err(error),
            }
        }
    }
    // ANCHOR_END: empty
}
