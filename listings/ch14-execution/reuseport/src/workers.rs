//! Workers that take their connections from one accept queue, or from one each.

use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fmt, fs};

use lab::Host;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::unistd::{Pid, gettid};
use socket2::{Domain, SockRef, Socket, Type};

pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Where the workers listen.
pub const PORT: u16 = 80;

/// How many there are.
pub const WORKERS: usize = 4;

/// Room for all clients that come at once.
const BACKLOG: i32 = 1024;

// ANCHOR: ways
/// How workers come by their connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// One listener, and each worker waits in accept().
    Accept,
    /// One listener, and each worker waits in an epoll of its own.
    Epoll,
    /// The same with `EPOLLEXCLUSIVE`.
    Exclusive,
    /// A listener for each worker, by `SO_REUSEPORT`.
    Reuseport,
}
// ANCHOR_END: ways

impl Way {
    pub const ALL: [Self; 4] = [Self::Accept, Self::Epoll, Self::Exclusive, Self::Reuseport];
}

/// As a reader would say it.
impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "one queue, `accept()`",
            Self::Epoll => "one queue, epoll",
            Self::Exclusive => "one queue, `EPOLLEXCLUSIVE`",
            Self::Reuseport => "one queue each, `SO_REUSEPORT`",
        })
    }
}

// ANCHOR: listen
/// A listener; one of several at this address, if `reuseport` says so.
pub fn listen(host: &Host, address: SocketAddr, reuseport: bool) -> io::Result<TcpListener> {
    let socket = host.run(|| Socket::new(Domain::IPV4, Type::STREAM, None))?;
    socket.set_reuse_port(reuseport)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
// ANCHOR_END: listen

/// Workers at work. They end when this is dropped.
pub struct Workers {
    pub address: SocketAddr,
    listeners: Vec<TcpListener>,
    workers: Vec<(Pid, JoinHandle<Result<(), Error>>)>,
    accepted: Arc<[AtomicUsize; WORKERS]>,
}

/// What a worker does with a connection.
type Serve = fn(TcpStream) -> io::Result<()>;

impl Workers {
    pub fn start(host: &Host, way: Way, serve: Serve) -> Result<Self, Error> {
        let address = SocketAddr::from((host.v4(), PORT));
        let count = if way == Way::Reuseport { WORKERS } else { 1 };
        let listeners: io::Result<Vec<TcpListener>> = (0..count)
            .map(|_| listen(host, address, way == Way::Reuseport))
            .collect();
        let listeners = listeners?;
        let accepted: Arc<[AtomicUsize; WORKERS]> = Arc::default();
        let mut workers = Vec::new();
        for number in 0..WORKERS {
            let listener = listeners[number % count].try_clone()?;
            let counts = accepted.clone();
            let (tell, told) = channel();
            let worker = host.spawn(move || {
                tell.send(gettid())?;
                work(&listener, way, &mut |stream| {
                    counts[number].fetch_add(1, Ordering::Relaxed);
                    serve(stream)
                })
            });
            workers.push((told.recv()?, worker));
            // The next one begins to wait after this one.
            asleep(&workers)?;
        }
        Ok(Self {
            address,
            listeners,
            workers,
            accepted,
        })
    }

    /// How many connections each worker has accepted.
    pub fn accepted(&self) -> [usize; WORKERS] {
        std::array::from_fn(|number| self.accepted[number].load(Ordering::Relaxed))
    }

    /// Waits until all of them sleep.
    pub fn sleep(&self) -> Result<(), Error> {
        asleep(&self.workers)
    }

    /// How often they have been woken, all together: how often they went to sleep.
    pub fn woken(&self) -> Result<u64, Error> {
        let all = self
            .workers
            .iter()
            .map(|(worker, _)| Ok(status(*worker)?.1));
        all.sum()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for listener in &self.listeners {
            // Whoever waits for a connection at this listener is told that there will be none.
            let _ = SockRef::from(listener).shutdown(Shutdown::Both);
        }
        for (_, worker) in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

// ANCHOR: work
/// Accepts and serves, until the listener is shut down.
fn work(
    listener: &TcpListener,
    way: Way,
    serve: &mut dyn FnMut(TcpStream) -> io::Result<()>,
) -> Result<(), Error> {
    if way == Way::Accept {
        while let Some(stream) = accept(listener)? {
            serve(stream)?;
        }
        return Ok(());
    }
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let mut events = EpollFlags::EPOLLIN;
    if way == Way::Exclusive {
        events |= EpollFlags::EPOLLEXCLUSIVE;
    }
    epoll.add(listener, EpollEvent::new(events, 0))?;
    loop {
        epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::NONE)?;
        match accept(listener) {
            Ok(Some(stream)) => {
                stream.set_nonblocking(false)?;
                serve(stream)?;
            }
            Ok(None) => return Ok(()),
            // Another worker was faster.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}
// ANCHOR_END: work

/// The next connection; nothing once the listener was shut down.
fn accept(listener: &TcpListener) -> io::Result<Option<TcpStream>> {
    match listener.accept() {
        Ok((stream, _)) => Ok(Some(stream)),
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(None),
        Err(error) => Err(error),
    }
}

/// Waits until all of these sleep.
fn asleep(workers: &[(Pid, JoinHandle<Result<(), Error>>)]) -> Result<(), Error> {
    for (worker, _) in workers {
        while !status(*worker)?.0 {
            thread::sleep(Duration::from_micros(50));
        }
    }
    Ok(())
}

/// Whether a thread of this process sleeps, and how often it has gone to sleep: proc(5).
fn status(thread: Pid) -> Result<(bool, u64), Error> {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/status"))?;
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim)
            .ok_or_else(|| format!("no {name} in {text}"))
    };
    let sleeps = value("State:")?.starts_with('S');
    Ok((sleeps, value("voluntary_ctxt_switches:")?.parse()?))
}
