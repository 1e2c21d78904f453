//! The event loop.

use std::io;
use std::mem;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use exec_service::{
    ACCEPT_PAUSE, Output, Session, Setup, Syscall, pattern, stop_accepting, stop_listening,
};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{SockFlag, accept4};

use crate::connection::{Connection, Lent, Outcome};
use crate::slab::{Slab, Token};
use crate::timers::Timers;

/// How many events one call of `epoll_wait` brings at most, of 12 bytes each. What does not
/// fit comes with the next call.
const EVENTS: usize = 256;

/// How many bytes one read takes at most: all of a long pipeline, or of a large request.
const BUFFER_LEN: usize = 64 * 1024;

/// How many connections are accepted before the others have their turn.
const ACCEPTS: usize = 16;

const LISTENER: Token = Token::special(0);
const SHUTDOWN: Token = Token::special(1);

// ANCHOR: told-of
/// Input, room for output, the end of input, urgent data; each when it comes about, and
/// once.
const TOLD_OF_A_CONNECTION: EpollFlags = EpollFlags::EPOLLIN
    .union(EpollFlags::EPOLLOUT)
    .union(EpollFlags::EPOLLRDHUP)
    .union(EpollFlags::EPOLLPRI)
    .union(EpollFlags::EPOLLET);
// ANCHOR_END: told-of

// ANCHOR: worker
pub struct Worker<'a> {
    setup: &'a Setup,
    epoll: Epoll,
    listener: Option<&'a TcpListener>,
    /// When to accept although epoll will not say so again.
    accept_at: Option<Instant>,
    connections: Slab<Connection>,
    timers: Timers,
    /// Those whose turn was over before they were done.
    unfinished: Vec<Token>,
    lent: Lent,
    drain: Option<Drain>,
}
// ANCHOR_END: worker

/// The end was requested.
struct Drain {
    /// When the last handshake will be complete that had begun.
    last_handshakes: Instant,
    /// When to end, whoever is still in.
    end: Instant,
}

impl<'a> Worker<'a> {
    // ANCHOR: new
    pub fn new(setup: &'a Setup, worker: usize) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let listener = &setup.listeners[worker];
        let told_once = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        epoll.add(listener, EpollEvent::new(told_once, LISTENER.into()))?;
        epoll.add(
            setup.shutdown.as_fd(),
            EpollEvent::new(told_once, SHUTDOWN.into()),
        )?;
        // ANCHOR_END: new
        let now = Instant::now();
        Ok(Self {
            setup,
            epoll,
            listener: Some(listener),
            accept_at: None,
            connections: Slab::default(),
            timers: Timers::new(now),
            unfinished: Vec::new(),
            lent: Lent {
                service: setup.service(worker, now),
                now,
                buffer: vec![0; BUFFER_LEN].into_boxed_slice(),
                output: Output::default(),
                pattern: pattern::file()?,
            },
            drain: None,
        })
    }

    // ANCHOR: run
    pub fn run(mut self) -> io::Result<()> {
        let mut events = [EpollEvent::empty(); EVENTS];
        while !self.is_done() {
            self.lent.service.count(Syscall::EpollWait);
            let told = match self.epoll.wait(&mut events, self.timeout()) {
                Ok(told) => told,
                Err(Errno::EINTR) => 0,
                Err(error) => return Err(error.into()),
            };
            self.lent.now = Instant::now();
            self.lent.service.tick(self.lent.now);
            if self.setup.shutdown.requested() {
                self.begin_drain();
            }
            for event in &events[..told] {
                match Token::from(event.data()) {
                    SHUTDOWN => {} // all it had to do was to wake this worker
                    LISTENER => self.accept(),
                    token => self.told(token, event.events()),
                }
            }
            self.go_on();
            self.ring();
        }
        Ok(())
    }
    // ANCHOR_END: run

    // ANCHOR: told
    fn told(&mut self, token: Token, events: EpollFlags) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if !connection.told(events) {
            self.close(token);
        } else if !connection.unfinished {
            self.turn(token);
        }
    }

    fn turn(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        match connection.turn(&mut self.lent) {
            Outcome::Rest => self
                .timers
                .ring_by(token.index, connection.session.deadline()),
            Outcome::Unfinished => {
                connection.unfinished = true;
                self.unfinished.push(token);
            }
            Outcome::Close => self.close(token),
        }
    }

    /// Another turn for each that was not done with its last.
    fn go_on(&mut self) {
        for token in mem::take(&mut self.unfinished) {
            if let Some(connection) = self.connections.get_mut(token) {
                connection.unfinished = false;
                self.turn(token);
            }
        }
    }
    // ANCHOR_END: told

    // ANCHOR: accept
    fn accept(&mut self) {
        let Some(listener) = self.listener else {
            return;
        };
        self.accept_at = None;
        for _ in 0..ACCEPTS {
            self.lent.service.count(Syscall::Accept4);
            match accept4(
                listener.as_raw_fd(),
                SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
            ) {
                Ok(number) => {
                    #[allow(unsafe_code, reason = "what accept4 gives is a number")]
                    // SAFETY: the descriptor is new, so nobody else has it.
                    self.add(unsafe { OwnedFd::from_raw_fd(number) });
                }
                Err(Errno::EAGAIN) => return,
                Err(Errno::EINTR | Errno::ECONNABORTED) => {}
                // No descriptor (EMFILE, ENFILE) or no memory. Whoever waits in the queue
                // waits on, until a connection of ours ends, or for a moment.
                Err(_) => {
                    self.accept_at = Some(self.lent.now + ACCEPT_PAUSE);
                    return;
                }
            }
        }
        self.accept_at = Some(self.lent.now);
    }

    fn add(&mut self, socket: OwnedFd) {
        let Lent { service, now, .. } = &mut self.lent;
        service.counters().accepted();
        let mut session = Session::new(service, *now);
        if self.drain.is_some() {
            session.drain(service, *now);
        }
        service.count(Syscall::EpollCtl);
        let deadline = session.deadline();
        let token = self.connections.insert(Connection::new(socket, session));
        self.timers.ring_by(token.index, deadline);

        let event = EpollEvent::new(TOLD_OF_A_CONNECTION, token.into());
        let added = match self.connections.get_mut(token) {
            Some(connection) => self.epoll.add(connection.socket(), event),
            None => Ok(()),
        };
        if added.is_err() {
            self.close(token);
        }
    }
    // ANCHOR_END: accept

    // ANCHOR: close
    /// Dropping the connection closes its socket, which takes it out of epoll. The timers
    /// may ring for nobody.
    fn close(&mut self, token: Token) {
        if self.connections.remove(token).is_some() {
            self.lent.service.count(Syscall::Close);
            self.lent.service.counters().closed();
            // If there was no descriptor to be had, there is one now.
            self.accept_at = self.accept_at.map(|_| self.lent.now);
        }
    }
    // ANCHOR_END: close

    // ANCHOR: deadlines
    /// How long `epoll_wait` may wait.
    fn timeout(&self) -> EpollTimeout {
        if !self.unfinished.is_empty() {
            return EpollTimeout::ZERO;
        }
        let drain = self.drain.as_ref().map(|drain| match self.listener {
            Some(_) if self.accept_at.is_none() => drain.last_handshakes,
            _ => drain.end,
        });
        let next = [self.timers.next(), self.accept_at, drain]
            .into_iter()
            .flatten()
            .min();
        next.map_or(EpollTimeout::NONE, |at| {
            // Rounded up: to wake too early is to wake again.
            let wait = at.saturating_duration_since(self.lent.now) + Duration::from_nanos(999_999);
            EpollTimeout::try_from(wait).unwrap_or(EpollTimeout::MAX)
        })
    }

    /// Looks after what is due.
    fn ring(&mut self) {
        while let Some(index) = self.timers.ring(self.lent.now) {
            if let Some(token) = self.connections.at(index) {
                self.turn(token);
            }
        }
        if self.accept_at.is_some_and(|at| at <= self.lent.now) {
            self.accept();
        }
        if self
            .drain
            .as_ref()
            .is_some_and(|drain| drain.last_handshakes <= self.lent.now)
        {
            self.end_listening();
        }
    }
    // ANCHOR_END: deadlines

    // ANCHOR: drain
    fn begin_drain(&mut self) {
        let (Some(listener), None) = (self.listener, &self.drain) else {
            return;
        };
        let Lent { service, now, .. } = &mut self.lent;
        self.drain = Some(Drain {
            last_handshakes: *now + service.limits().last_handshakes,
            end: *now + service.limits().drain,
        });
        stop_accepting(listener);
        service.close_after_answers(true);
        for token in self.connections.tokens() {
            let Some(connection) = self.connections.get_mut(token) else {
                continue;
            };
            connection.session.drain(service, *now);
            self.timers
                .ring_by(token.index, connection.session.deadline());
        }
        self.accept();
    }

    /// Serves those whose handshakes were complete too late for the first time, and nobody
    /// after.
    fn end_listening(&mut self) {
        self.accept();
        if let (Some(listener), None) = (self.listener, self.accept_at) {
            self.lent.service.count(Syscall::Shutdown);
            stop_listening(listener);
            self.listener = None;
        }
    }

    fn is_done(&self) -> bool {
        self.drain.as_ref().is_some_and(|drain| {
            self.listener.is_none() && self.connections.is_empty() || drain.end <= self.lent.now
        })
    }
    // ANCHOR_END: drain
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        for token in self.connections.tokens() {
            self.close(token);
        }
    }
}
