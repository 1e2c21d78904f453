//! One thread that serves one connection at a time. A worker process of the prefork server is no
//! more than this.

#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

use std::io::{self, ErrorKind, Read as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Instant;

use exec_service::{
    ACCEPT_PAUSE, Listeners, Model, Output, Service, Session, Setup, Shutdown, Stats, Step,
    Syscall, Workers, is_exhausted, is_passing, stop_accepting,
};
use nix::errno::Errno;
use nix::libc::{MSG_DONTWAIT, MSG_NOSIGNAL};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use socket2::SockRef;

// ANCHOR: serve
/// How this server executes the service.
pub const MODEL: Model = Model {
    name: env!("CARGO_PKG_NAME"),
    workers_are: "a thread that serves one connection at a time",
    workers: Workers::One,
    listeners: Listeners::Shared,
    serve,
};

/// Serves until it is told to end.
///
/// # Errors
///
/// When it can accept nobody any more.
pub fn serve(setup: &Setup) -> io::Result<()> {
    setup.ready();
    Worker::new(setup, &setup.shutdown, 0, || {})?.work()
}
// ANCHOR_END: serve

/// How much is read at once, in bytes: a request with its fields, or many short ones.
const READ_LEN: usize = 16 * 1024;

// ANCHOR: worker
/// What a worker has, which serves one connection at a time.
pub struct Worker<'a> {
    listener: &'a TcpListener,
    shutdown: &'a Shutdown,
    /// Where it waits while it has no client.
    door: Epoll,
    stats: &'a Stats,
    service: Service,
    output: Output,
    buffer: Box<[u8]>,
    drain: Option<Drain>,
    on_drain: fn(),
}

/// The end has been requested.
struct Drain {
    /// Handshakes that had begun are done: what is in the queue then is the last.
    last_call: Instant,
    /// Whatever is not finished then, remains so.
    end: Instant,
}
// ANCHOR_END: worker

impl<'a> Worker<'a> {
    // ANCHOR: door
    /// A worker that has done nothing yet. `on_drain` is called when it hears that it is to end.
    ///
    /// # Errors
    ///
    /// When there is no descriptor left for it.
    pub fn new(
        setup: &'a Setup,
        shutdown: &'a Shutdown,
        worker: usize,
        on_drain: fn(),
    ) -> io::Result<Self> {
        let listener = &setup.listeners[0];
        let door = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        // Of several processes that wait here for the same socket, the kernel wakes one.
        let client = EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE;
        door.add(listener, EpollEvent::new(client, 0))?;
        door.add(shutdown, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        Ok(Self {
            listener,
            shutdown,
            door,
            stats: &setup.stats,
            service: setup.service(worker, Instant::now()),
            output: Output::default(),
            buffer: vec![0; READ_LEN].into_boxed_slice(),
            drain: None,
            on_drain,
        })
    }
    // ANCHOR_END: door

    // ANCHOR: work
    /// Serves one client after the other, until the end is requested and nobody waits any more.
    ///
    /// # Errors
    ///
    /// When it can accept nobody any more.
    pub fn work(&mut self) -> io::Result<()> {
        let listener = self.listener;
        while !self.is_over() {
            self.service.count(Syscall::Accept4);
            match listener.accept() {
                Ok((client, _)) => {
                    self.service.counters().accepted();
                    // What goes wrong between these two is no concern of the others.
                    let _ = self.converse(&client);
                    self.service.count(Syscall::Close);
                    self.service.counters().closed();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let last_call = self.drain.as_ref().map(|drain| drain.last_call);
                    if last_call.is_some_and(|last_call| Instant::now() >= last_call) {
                        return Ok(());
                    }
                    self.wait_at_the_door(last_call)?;
                }
                Err(error) if is_exhausted(&error) => {
                    let _ = self.wait(&[], Some(Instant::now() + ACCEPT_PAUSE));
                }
                // A client that has gone while it waited, or a signal.
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
    // ANCHOR_END: work

    // ANCHOR: converse
    /// Serves one client until its connection ends.
    fn converse(&mut self, client: &TcpStream) -> io::Result<()> {
        let now = self.now();
        let mut session = Session::new(&self.service, now);
        self.output = Output::default();
        let mut step = Step::Read;
        loop {
            step = match step {
                Step::Read => self.read(client, &mut session)?,
                Step::Write => self.write(client, &mut session)?,
                Step::Wait => {
                    self.wait(&[], Some(session.deadline()))?;
                    self.expired(&mut session)
                }
                Step::Linger => {
                    self.service.count(Syscall::Shutdown);
                    client.shutdown(std::net::Shutdown::Write)?;
                    let now = self.now();
                    session.half_closed(&self.service, now)
                }
                Step::Close => return Ok(()),
            };
        }
    }
    // ANCHOR_END: converse

    // ANCHOR: read
    fn read(&mut self, client: &TcpStream, session: &mut Session) -> io::Result<Step> {
        if self.drain.is_some() {
            session.drain(&self.service, Instant::now());
        }
        let client_speaks = (client.as_fd(), PollFlags::POLLIN);
        let someone_waits = (self.listener.as_fd(), PollFlags::POLLIN);
        let both = [client_speaks, someone_waits];
        let mut ready = self.wait(&both, Some(session.deadline()))?;
        // Unless another worker is free for them.
        let others_wait = ready[1] && self.stats.open() >= self.stats.workers() as u64;
        // The last answer says that it is the last, so that nobody is cut off.
        self.service
            .close_after_answers(others_wait || self.drain.is_some());
        if ready[1] && !ready[0] {
            let now = Instant::now();
            let look_again = now + self.service.limits().hurry;
            if others_wait {
                session.hurry(&self.service, now);
            }
            ready = self.wait(&[client_speaks], Some(session.deadline().min(look_again)))?;
        }
        if !ready[0] {
            return Ok(self.expired(session));
        }
        self.service.count(Syscall::Recvfrom);
        let len = match (&*client).read(&mut self.buffer) {
            Ok(len) => len,
            Err(error) if is_passing(&error) => return Ok(Step::Read),
            Err(error) => return Err(error),
        };
        let now = self.now();
        let (service, output) = (&mut self.service, &mut self.output);
        Ok(match len {
            0 => session.end_of_input(service, now, output),
            len => session.receive(service, &self.buffer[..len], now, output),
        })
    }
    // ANCHOR_END: read

    // ANCHOR: write
    fn write(&mut self, client: &TcpStream, session: &mut Session) -> io::Result<Step> {
        let socket = SockRef::from(client);
        while !self.output.is_empty() {
            let flags = MSG_DONTWAIT | MSG_NOSIGNAL;
            let written = match self.output.body() {
                None => {
                    self.service.count(Syscall::Sendto);
                    socket.send_with_flags(self.output.bytes(), flags)
                }
                Some(_) => {
                    self.service.count(Syscall::Sendmsg);
                    socket.send_vectored_with_flags(&self.output.slices(), flags)
                }
            };
            match written {
                Ok(written) => self.output.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let now = self.now();
                    session.blocked(&self.service, now);
                    let room = (client.as_fd(), PollFlags::POLLOUT);
                    if !self.wait(&[room], Some(session.deadline()))?[0] {
                        return Ok(self.expired(session));
                    }
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let now = self.now();
        Ok(session.flushed(&mut self.service, now, &mut self.output))
    }
    // ANCHOR_END: write

    fn expired(&mut self, session: &mut Session) -> Step {
        let now = self.now();
        session.expired(&mut self.service, now, &mut self.output)
    }

    /// The time, also for the service.
    fn now(&mut self) -> Instant {
        let now = Instant::now();
        self.service.tick(now);
        now
    }

    // ANCHOR: wait
    /// Waits for whatever of it is ready first, or for the time, or for the request to shut down;
    /// and says which is ready.
    ///
    /// # Errors
    ///
    /// When the server's time is over.
    fn wait(
        &mut self,
        what: &[(BorrowedFd, PollFlags)],
        until: Option<Instant>,
    ) -> io::Result<[bool; 2]> {
        let end = self.drain.as_ref().map(|drain| drain.end);
        let until = until.into_iter().chain(end).min();
        let shutdown = self.shutdown.as_fd();
        let mut fds = [0; 3].map(|_| PollFd::new(shutdown, PollFlags::POLLIN));
        for (fd, (what, events)) in fds[1..].iter_mut().zip(what) {
            *fd = PollFd::new(*what, *events);
        }
        // Once it is requested, it is so for good, and nothing to wait for.
        let watched = usize::from(self.drain.is_some())..1 + what.len();
        self.service.count(Syscall::Poll);
        match poll(&mut fds[watched], timeout(until)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        self.look_at_the_time()?;
        if self.is_over() {
            return Err(ErrorKind::TimedOut.into());
        }
        let ready = |fd: &PollFd| fd.revents().is_some_and(|events| !events.is_empty());
        Ok([1, 2].map(|at| at <= what.len() && ready(&fds[at])))
    }
    // ANCHOR_END: wait

    /// Waits for somebody to serve, or for the time, or for the request to shut down.
    fn wait_at_the_door(&mut self, until: Option<Instant>) -> io::Result<()> {
        self.service.count(Syscall::EpollWait);
        match self.door.wait(&mut [EpollEvent::empty()], timeout(until)) {
            Ok(_) | Err(Errno::EINTR) => self.look_at_the_time(),
            Err(error) => Err(error.into()),
        }
    }

    // ANCHOR: drain
    /// Begins to end when that is requested.
    fn look_at_the_time(&mut self) -> io::Result<()> {
        let now = self.now();
        if self.drain.is_none() && self.shutdown.requested() {
            stop_accepting(self.listener);
            self.door.delete(self.shutdown)?;
            let limits = *self.service.limits();
            self.service.close_after_answers(true);
            self.drain = Some(Drain {
                last_call: now + limits.last_handshakes,
                end: now + limits.drain,
            });
            (self.on_drain)();
        }
        Ok(())
    }

    /// Whether the time for ending is over.
    fn is_over(&self) -> bool {
        let end = self.drain.as_ref().map(|drain| drain.end);
        end.is_some_and(|end| Instant::now() >= end)
    }
    // ANCHOR_END: drain
}

/// What `poll` and `epoll_wait` take: milliseconds, rounded up, so that nobody is woken too early.
fn timeout(until: Option<Instant>) -> PollTimeout {
    let Some(until) = until else {
        return PollTimeout::NONE;
    };
    let left = until.saturating_duration_since(Instant::now());
    PollTimeout::try_from(left.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX)
}
