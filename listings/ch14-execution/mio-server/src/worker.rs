//! The event loop.

use std::io::{self, ErrorKind};
use std::mem;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::{Duration, Instant};

use exec_epoll_server::slab::{Slab, Token};
use exec_epoll_server::timers::Timers;
use exec_service::{ACCEPT_PAUSE, Output, Session, Setup, Syscall, stop_accepting, stop_listening};
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};

use crate::connection::{Connection, Lent, Outcome};

/// How many events one poll brings at most. What does not fit comes with the next.
const EVENTS: usize = 256;

/// How many bytes one read takes at most: all of a long pipeline, or of a large request.
const BUFFER_LEN: usize = 64 * 1024;

/// How many connections are accepted before the others have their turn.
const ACCEPTS: usize = 16;

const LISTENER: Token = Token::special(0);
const SHUTDOWN: Token = Token::special(1);

// ANCHOR: worker
pub struct Worker<'a> {
    setup: &'a Setup,
    poll: Poll,
    listener: Option<TcpListener>,
    /// When to accept although mio will not say so again.
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
        let poll = Poll::new()?;
        let mut listener = TcpListener::from_std(setup.listeners[worker].try_clone()?);
        let shutdown = setup.shutdown.as_fd().as_raw_fd();
        let registry = poll.registry();
        registry.register(&mut listener, to_mio(LISTENER), Interest::READABLE)?;
        registry.register(
            &mut SourceFd(&shutdown),
            to_mio(SHUTDOWN),
            Interest::READABLE,
        )?;
        // ANCHOR_END: new
        let now = Instant::now();
        Ok(Self {
            setup,
            poll,
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
            },
            drain: None,
        })
    }

    // ANCHOR: run
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        while !self.is_done() {
            self.lent.service.count(Syscall::EpollWait);
            match self.poll.poll(&mut events, self.timeout()) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => events.clear(),
                Err(error) => return Err(error),
            }
            self.lent.now = Instant::now();
            self.lent.service.tick(self.lent.now);
            if self.setup.shutdown.requested() {
                self.begin_drain();
            }
            for event in &events {
                match from_mio(event.token()) {
                    SHUTDOWN => {} // all it had to do was to wake this worker
                    LISTENER => self.accept(),
                    token => self.told(token, event),
                }
            }
            self.go_on();
            self.ring();
        }
        Ok(())
    }
    // ANCHOR_END: run

    // ANCHOR: told
    fn told(&mut self, token: Token, event: &Event) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        connection.told(event);
        if !connection.unfinished {
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
        self.accept_at = None;
        for _ in 0..ACCEPTS {
            let Some(listener) = &self.listener else {
                return;
            };
            self.lent.service.count(Syscall::Accept4);
            match listener.accept() {
                Ok((stream, _)) => self.add(stream),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return,
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                    // No descriptor or no memory. Whoever waits in the queue waits on,
                    // until a connection of ours ends, or for a moment.
                    _ => {
                        self.accept_at = Some(self.lent.now + ACCEPT_PAUSE);
                        return;
                    }
                },
            }
        }
        self.accept_at = Some(self.lent.now);
    }

    fn add(&mut self, stream: TcpStream) {
        let Lent { service, now, .. } = &mut self.lent;
        service.counters().accepted();
        let mut session = Session::new(service, *now);
        if self.drain.is_some() {
            session.drain(service, *now);
        }
        service.count(Syscall::EpollCtl);
        let deadline = session.deadline();
        let token = self.connections.insert(Connection::new(stream, session));
        self.timers.ring_by(token.index, deadline);

        let both = Interest::READABLE | Interest::WRITABLE;
        let added = match self.connections.get_mut(token) {
            Some(connection) => {
                self.poll
                    .registry()
                    .register(&mut connection.stream, to_mio(token), both)
            }
            None => Ok(()),
        };
        if added.is_err() {
            self.close(token);
        }
    }
    // ANCHOR_END: accept

    // ANCHOR: close
    /// On Linux the kernel forgets a socket that is closed. mio wants to be told, as it may
    /// keep something of its own for it elsewhere.
    fn close(&mut self, token: Token) {
        if let Some(mut connection) = self.connections.remove(token) {
            self.lent.service.count(Syscall::EpollCtl);
            let _ = self.poll.registry().deregister(&mut connection.stream);
            self.lent.service.count(Syscall::Close);
            self.lent.service.counters().closed();
            // If there was no descriptor to be had, there is one now.
            self.accept_at = self.accept_at.map(|_| self.lent.now);
        }
    }
    // ANCHOR_END: close

    // ANCHOR: deadlines
    /// How long a poll may wait.
    fn timeout(&self) -> Option<Duration> {
        if !self.unfinished.is_empty() {
            return Some(Duration::ZERO);
        }
        let drain = self.drain.as_ref().map(|drain| match &self.listener {
            Some(_) if self.accept_at.is_none() => drain.last_handshakes,
            _ => drain.end,
        });
        let next = [self.timers.next(), self.accept_at, drain]
            .into_iter()
            .flatten()
            .min();
        next.map(|at| at.saturating_duration_since(self.lent.now))
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
        let (Some(listener), None) = (&self.listener, &self.drain) else {
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
        if let (Some(listener), None) = (&self.listener, self.accept_at) {
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

// ANCHOR: token
/// mio keeps a `usize` for us, the kernel 64 bits: on a processor of 64 bits the two are
/// the same.
fn to_mio(token: Token) -> mio::Token {
    const { assert!(size_of::<usize>() == size_of::<u64>()) };
    mio::Token(u64::from(token) as usize)
}

fn from_mio(token: mio::Token) -> Token {
    Token::from(token.0 as u64)
}
// ANCHOR_END: token
