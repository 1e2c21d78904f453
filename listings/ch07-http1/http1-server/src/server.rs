//! The site over HTTP/1.1: a thread for each connection.
//!
//! - [`Server`] accepts connections, not more than it has room for, and ends when it is told to
//!   ([`Stop`]), once everything that was asked is answered.
//! - `conversation` is what a thread does for its client. It sleeps in `poll()`, with a deadline for
//!   whatever the client may take its time over ([`Limits`]).
//! - `connections` counts them, and evicts one where there would be too many.

mod connections;
mod conversation;
mod stop;

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, Socket, Type};

use crate::site::Site;
use connections::Connections;
use conversation::Conversation;
pub use stop::{Stop, on_signals};

/// How many connections may wait to be accepted; the kernel takes the lesser of this and
/// `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// How long nobody is accepted after the system was found to be short of descriptors, memory or
/// threads.
const PAUSE: Duration = Duration::from_millis(100);

/// A thread's stack, in bytes. It is address space until it is used.
const STACK_LEN: usize = 256 * 1024;

// ANCHOR: limits
/// How long a client may take for what, and how many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many connections there are at most, each with a thread and some 80 KiB of buffers.
    pub connections: usize,
    /// From a request's first byte to the end of its head, however many bytes come meanwhile: a client
    /// that sends one a second (slow loris) gains nothing by it. It also holds for the first request of
    /// a connection from its beginning.
    pub head: Duration,
    /// Between an answer and the next request.
    pub idle: Duration,
    /// How long a client that is waited for is let in peace when others wait for its place. A request
    /// that is under way comes within a round trip.
    pub hurry: Duration,
    /// How long content may come to a halt, in either direction.
    pub stall: Duration,
    /// How fast content must come and be taken on the whole, in bytes a second.
    pub rate: u32,
    /// From the server's last word on a connection to the client's (RFC 9112 §9.6).
    pub linger: Duration,
    /// How long an idle connection waits for a request that may be under way when the server is told to
    /// end; and how long the listening socket does, for handshakes.
    pub grace: Duration,
    /// From the moment when the server is told to end to its end, whoever is still in.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Each may take two descriptors, its own and a file's, of which most systems give 1024.
            connections: 500,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            hurry: Duration::from_secs(1),
            stall: Duration::from_secs(20),
            // A little more than Apache asks for (500, `RequestReadTimeout`).
            rate: 1024,
            linger: Duration::from_secs(2),
            grace: Duration::from_millis(250),
            drain: Duration::from_secs(15),
        }
    }
}
// ANCHOR_END: limits

/// What a server has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections that it has accepted.
    pub connections: u64,
    /// Requests that it has answered, malformed ones included.
    pub requests: u64,
}

/// A server that listens, and that serves once it is [run](Self::run).
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    limits: Limits,
    stop: Stop,
}

impl Server {
    /// Listens at that address; at port 0, at one that the kernel chooses.
    ///
    /// # Errors
    ///
    /// When the address cannot be had; the message names it.
    pub fn bind(address: SocketAddr, limits: Limits) -> io::Result<Self> {
        let listen = || -> io::Result<TcpListener> {
            let socket = Socket::new(
                Domain::for_address(address),
                Type::STREAM,
                Some(Protocol::TCP),
            )?;
            // Connections of the server that was here before may still be in TIME-WAIT.
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            // Answers leave when they are complete, and need not wait for company.
            socket.set_tcp_nodelay(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        };
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
        };
        Ok(Self {
            listener: listen().map_err(named)?,
            limits,
            stop: Stop::new()?,
        })
    }

    /// Where clients find it.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What tells it to end.
    #[must_use]
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Serves until it is told to end, and until then some.
    ///
    /// # Errors
    ///
    /// When it can accept nobody any more. Those who are in are served to the end.
    pub fn run(self, site: &Site) -> io::Result<Totals> {
        let Self {
            listener,
            limits,
            stop,
        } = self;
        let connections = Connections::new(limits);
        let outcome = thread::scope(|scope| {
            let outcome = accept(&listener, &connections, &stop, |client| {
                let open = connections.open();
                let (connections, stop) = (&connections, &stop);
                let thread = thread::Builder::new().stack_size(STACK_LEN);
                let spawned = thread.spawn_scoped(scope, move || {
                    let _open = open;
                    // What goes wrong between these two is no concern of the others.
                    let _ = Conversation::new(client, connections, stop, site).converse();
                });
                spawned.map(|_| ())
            });
            // From here on, who connects is refused, or comes to a successor.
            drop(listener);
            // If it ends for another reason than this, nobody waits for more either.
            stop.request();
            outcome
        });
        outcome.map(|()| connections.totals())
    }
}

// ANCHOR: accept
/// Accepts clients while there is room, and hands them over. When the end is requested, it goes on for
/// a moment: who has connected by then is served.
fn accept(
    listener: &TcpListener,
    connections: &Connections,
    stop: &Stop,
    hand_over: impl Fn(TcpStream) -> io::Result<()>,
) -> io::Result<()> {
    let limits = connections.limits;
    loop {
        let told = stop.requested();
        if told.is_some() {
            stop_accepting(listener);
        }
        let is_over = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= Instant::now());
        if is_over(told.map(|told| told + limits.drain)) {
            return Ok(());
        }
        let last_call = told.map(|told| told + limits.grace);
        let knows = told.is_some();
        if !wait(listener.as_fd(), PollFlags::POLLIN, stop, knows, last_call)? {
            if is_over(last_call) {
                return Ok(());
            }
            continue;
        }
        if !connections.wait_for_room(Instant::now() + PAUSE) {
            continue;
        }
        match listener.accept() {
            Ok((client, _)) => {
                if let Err(error) = client
                    .set_nonblocking(true)
                    .and_then(|()| hand_over(client))
                {
                    eprintln!("a client was sent away: {error}");
                    thread::sleep(PAUSE);
                }
            }
            Err(error) if is_exhausted(&error) => thread::sleep(PAUSE),
            // A signal, or a client that has gone while it waited.
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error),
        }
    }
}
// ANCHOR_END: accept

// ANCHOR: stop
/// Begins no more connections, and loses none that has begun: closing the socket would reset those that
/// wait in its queue, and those whose handshake is under way. So the socket stays for a moment, and the
/// kernel drops every SYN that comes to it. Its sender repeats it a second later, and finds the
/// server's successor, or that there is none.
///
/// Calling it twice does no harm. Elsewhere than on Linux, connections begin until the socket is closed,
/// and the last of them may be reset.
fn stop_accepting(listener: &TcpListener) {
    #[cfg(target_os = "linux")]
    {
        use socket2::{SockFilter, SockRef};

        /// The flags are in a TCP header's fourteenth byte, and SYN among them is 2 (RFC 9293 §3.1).
        const FLAGS: u32 = 13;
        const SYN: u32 = 0x02;
        // Of the instructions of the packet filter, bpf(4): load a byte, jump if a bit is set, return.
        const LOAD_BYTE: u16 = 0x30;
        const JUMP_IF_SET: u16 = 0x45;
        const RETURN: u16 = 0x06;

        let without_syn = [
            SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
            SockFilter::new(JUMP_IF_SET, 0, 1, SYN),
            SockFilter::new(RETURN, 0, 0, 0),
            SockFilter::new(RETURN, 0, 0, u32::MAX),
        ];
        // Where it cannot be had, it is as elsewhere.
        let _ = SockRef::from(listener).attach_filter(&without_syn);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = listener;
}
// ANCHOR_END: stop

/// Sleeps until something can be done with the socket, until the deadline, or until the end is requested,
/// unless the caller knows of that already. Gives whether something can be done.
fn wait(
    socket: BorrowedFd<'_>,
    events: PollFlags,
    stop: &Stop,
    knows: bool,
    deadline: Option<Instant>,
) -> io::Result<bool> {
    let mut fds = [
        PollFd::new(socket, events),
        PollFd::new(stop.as_fd(), PollFlags::POLLIN),
    ];
    let timeout = deadline.map_or(PollTimeout::NONE, |deadline| {
        let left = deadline.saturating_duration_since(Instant::now());
        PollTimeout::try_from(left.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX)
    });
    match poll(&mut fds[..if knows { 1 } else { 2 }], timeout) {
        Ok(_) => Ok(fds[0].any().unwrap_or(true)),
        Err(Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether `accept()` has failed for want of something that may come back.
fn is_exhausted(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw);
    matches!(
        code,
        Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)
    )
}

/// Whether a call on a socket has failed in a way that passes.
fn is_passing(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
    matches!(error.kind(), ConnectionAborted | Interrupted | WouldBlock)
}
