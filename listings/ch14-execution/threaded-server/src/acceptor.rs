//! The thread that accepts, and that sees to the end.

use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Instant;

use exec_service::{
    ACCEPT_PAUSE, Counters, Setup, Syscall, is_exhausted, is_passing, stop_accepting,
    stop_listening,
};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::conversation::Conversations;
use crate::pool::Pool;

pub struct Acceptor<'a> {
    setup: &'a Setup,
    listener: &'a TcpListener,
    counters: &'a Counters,
    pool: &'a Pool<TcpStream>,
    conversations: &'a Conversations,
    /// When the end was requested.
    told: Option<Instant>,
}

impl<'a> Acceptor<'a> {
    pub fn new(
        setup: &'a Setup,
        pool: &'a Pool<TcpStream>,
        conversations: &'a Conversations,
    ) -> Self {
        let (listener, counters) = (&setup.listeners[0], setup.stats.main());
        Self {
            setup,
            listener,
            counters,
            pool,
            conversations,
            told: None,
        }
    }

    // ANCHOR: accept
    /// Accepts clients and hands them over while there is a thread to be had; the others wait in the
    /// kernel's queue. Returns when the end was requested and nobody waits any more.
    pub fn accept(&mut self, hand_over: impl Fn(TcpStream) -> io::Result<()>) -> io::Result<()> {
        loop {
            self.look_whether_to_end();
            let last_call = self
                .told
                .map(|told| told + self.setup.limits.last_handshakes);
            let end = self.told.map(|told| told + self.setup.limits.drain);
            if end.is_some_and(|end| Instant::now() >= end) {
                return Ok(());
            }
            if !self.pool.wait_for_room(Instant::now() + ACCEPT_PAUSE) {
                continue;
            }
            self.counters.count(Syscall::Accept4);
            match self.listener.accept() {
                Ok((client, _)) => {
                    self.counters.accepted();
                    if let Err(error) = hand_over(client) {
                        // The system has fewer threads than this server would like.
                        self.counters.closed();
                        eprintln!("a client was sent away: {error}");
                        self.wait(&[], Some(Instant::now() + ACCEPT_PAUSE))?;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if last_call.is_some_and(|last_call| Instant::now() >= last_call) {
                        return Ok(());
                    }
                    self.wait(&[self.listener.as_fd()], last_call)?;
                }
                Err(error) if is_exhausted(&error) => {
                    self.wait(&[], Some(Instant::now() + ACCEPT_PAUSE))?;
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
    // ANCHOR_END: accept

    fn look_whether_to_end(&mut self) {
        if self.told.is_none() && self.setup.shutdown.requested() {
            stop_accepting(self.listener);
            self.conversations.drain();
            self.told = Some(Instant::now());
        }
    }

    // ANCHOR: end
    /// Lets conversations that are under way come to their end, and ends the others: first those in
    /// which nothing happens, at the deadline all. A thread that sleeps in `recv()` or `send()` is
    /// woken by shutting its socket down.
    pub fn end(&mut self) {
        stop_listening(self.listener);
        self.conversations.drain();
        let told = self.told.unwrap_or_else(Instant::now);
        let limits = &self.setup.limits;
        let (grace, end) = (told + limits.grace, told + limits.drain);
        if !self.pool.wait_for_rest(grace.min(end)) {
            self.conversations.end_idle();
            if !self.pool.wait_for_rest(end) {
                self.conversations.end_all();
            }
        }
        self.pool.end();
    }
    // ANCHOR_END: end

    /// Waits for a client, for the request to shut down, or for the time.
    fn wait(&self, clients: &[BorrowedFd], until: Option<Instant>) -> io::Result<()> {
        let mut fds = Vec::with_capacity(2);
        fds.extend(clients.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)));
        if self.told.is_none() {
            fds.push(PollFd::new(self.setup.shutdown.as_fd(), PollFlags::POLLIN));
        }
        let timeout = until.map_or(PollTimeout::NONE, |until| {
            let left = until.saturating_duration_since(Instant::now());
            PollTimeout::try_from(left.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX)
        });
        self.counters.count(Syscall::Poll);
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
