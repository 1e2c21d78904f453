//! The loop of one worker: reap what the kernel has done, hand in what follows from it.

use std::io;
use std::mem;
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use exec_epoll_server::slab::{Slab, Token};
use exec_epoll_server::timers::Timers;
use exec_service::{
    ACCEPT_PAUSE, BACKLOG, Output, Service, Session, Setup, Step, Syscall, stop_accepting,
    stop_listening,
};
use io_uring::types::Fixed;

use crate::ring::{Completion, Ring};

/// At most so many bytes of a body are handed in at once. The client's progress shows with each.
const PART_LEN: usize = 256 * 1024;

/// How many empty outputs are kept for the next answers.
const SPARE: usize = 64;

// ANCHOR: operations
/// What was handed in, by the number that the kernel hands back with what has come of it: the
/// connection's token, and above its place what was to be done for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Accept,
    Shutdown,
    Receive,
    Send,
    SendBody,
    HalfClose,
    Close,
    /// Whatever comes of it, something else tells.
    Cancel,
}

impl Operation {
    const ALL: [Self; 8] = [
        Self::Accept,
        Self::Shutdown,
        Self::Receive,
        Self::Send,
        Self::SendBody,
        Self::HalfClose,
        Self::Close,
        Self::Cancel,
    ];

    /// A worker has far fewer than 2²⁴ connections: the table of descriptors is smaller.
    const SHIFT: u32 = 24;

    fn of(self, token: Token) -> u64 {
        u64::from(token) | (self as u64) << Self::SHIFT
    }

    /// The same for an operation of no connection.
    fn of_nobody(self) -> u64 {
        (self as u64) << Self::SHIFT
    }

    fn from(data: u64) -> (Self, Token) {
        let kind = (data >> Self::SHIFT) as usize & 0xff;
        (Self::ALL[kind], Token::from(data & !(0xff << Self::SHIFT)))
    }
}
// ANCHOR_END: operations

// ANCHOR: connection
struct Connection {
    /// Its index in the ring's table of descriptors.
    socket: Fixed,
    session: Session,
    step: Step,
    /// What is being sent, and must stay where it is meanwhile.
    output: Output,
    /// Whether it is being received from.
    receiving: bool,
    /// Operations for it that the kernel has not done with.
    pending: u32,
    /// Of these, how many send.
    sending: u32,
    closing: bool,
    /// Sending without a copy turned out to copy: the way to this client needs it.
    copies: bool,
}
// ANCHOR_END: connection

// ANCHOR: worker
pub struct Worker<'a> {
    // Dropped first, which ends all operations: the others have memory that they use.
    ring: Ring,
    connections: Slab<Connection>,
    /// How many there are.
    open: usize,
    listener: Option<&'a TcpListener>,
    /// When to accept again, after an error that may pass.
    accept_at: Option<Instant>,
    timers: Timers,
    service: Service,
    /// Lent to the connection whose turn it is.
    output: Output,
    /// Outputs that were sent.
    spare: Vec<Output>,
    /// The time, as of the last wait.
    now: Instant,
    drain: Option<Drain>,
}
// ANCHOR_END: worker

/// What is to end when.
struct Drain {
    listener: Instant,
    connections: Instant,
}

impl<'a> Worker<'a> {
    pub fn new(setup: &'a Setup, worker: usize) -> io::Result<Self> {
        let now = Instant::now();
        let mut ring = Ring::new(setup.workers)?;
        let listener = &setup.listeners[worker];
        ring.poll(setup.shutdown.as_fd(), Operation::Shutdown.of_nobody());
        Ok(Self {
            ring,
            connections: Slab::default(),
            open: 0,
            listener: Some(listener),
            accept_at: Some(now),
            timers: Timers::new(now),
            service: setup.service(worker, now),
            output: Output::default(),
            spare: Vec::new(),
            now,
            drain: None,
        })
    }

    // ANCHOR: run
    pub fn run(mut self) -> io::Result<()> {
        let mut completions = Vec::new();
        self.accept();
        while !self.is_done() {
            self.service.count(Syscall::IoUringEnter);
            self.ring.wait(self.timeout(), &mut completions)?;
            self.now = Instant::now();
            self.service.tick(self.now);
            for completion in completions.drain(..) {
                match Operation::from(completion.data) {
                    (Operation::Accept, _) => self.accepted(&completion),
                    (Operation::Shutdown, _) => self.begin_drain(),
                    (Operation::Cancel, _) => {}
                    (operation, token) => self.completed(operation, token, &completion),
                }
            }
            self.ring_timers();
        }
        Ok(())
    }
    // ANCHOR_END: run

    // ANCHOR: accepted
    /// A connection is there, or accepting has come to an end.
    fn accepted(&mut self, completion: &Completion) {
        if let Ok(index) = u32::try_from(completion.result) {
            self.open += 1;
            self.service.counters().accepted();
            let mut session = Session::new(&self.service, self.now);
            if self.drain.is_some() {
                session.drain(&self.service, self.now);
            }
            let token = self.connections.insert(Connection {
                socket: Fixed(index),
                session,
                step: Step::Read,
                output: Output::default(),
                receiving: false,
                pending: 0,
                sending: 0,
                closing: false,
                copies: false,
            });
            self.go_on(token, Step::Read);
        }
        if completion.more() {
            if !self.has_room_for_all() {
                self.ring
                    .cancel(Operation::Accept.of_nobody(), Operation::Cancel.of_nobody());
            }
        } else if self.listener.is_some() {
            // One was all that was asked for; or the kernel has no memory or no file to give, which
            // may pass.
            let ended = completion.result >= 0 || -completion.result == libc::ECANCELED;
            let pause = if ended { Duration::ZERO } else { ACCEPT_PAUSE };
            self.accept_at = Some(self.now + pause);
        }
    }

    /// Whether the table of descriptors has a place for whoever may wait. A connection that is
    /// accepted and finds no place there is lost.
    fn has_room_for_all(&self) -> bool {
        self.open + BACKLOG as usize + 1 < self.ring.descriptors()
    }

    /// Has connections accepted: all that come, or where places run short the next one; or none until
    /// one is closed, and they wait in the queue.
    fn accept(&mut self) {
        let Some(listener) = self.listener else {
            return;
        };
        self.accept_at = None;
        if self.has_room_for_all() {
            self.ring
                .accept_all(listener.as_fd(), Operation::Accept.of_nobody());
        } else if self.open < self.ring.descriptors() {
            self.ring
                .accept(listener.as_fd(), Operation::Accept.of_nobody());
        } else {
            self.accept_at = Some(self.now + ACCEPT_PAUSE);
        }
    }
    // ANCHOR_END: accepted

    // ANCHOR: completed
    /// The kernel has done something for a connection.
    fn completed(&mut self, operation: Operation, token: Token, completion: &Completion) {
        let Some(connection) = self.connections.get_mut(token) else {
            self.ring.give_back(completion);
            return;
        };
        if let Some(copied) = completion.notification() {
            // The pattern stays where it is, so nobody has waited for this.
            connection.copies |= copied;
            return;
        }
        if operation != Operation::Receive || !completion.more() {
            connection.pending -= 1;
        }
        let Connection {
            session, output, ..
        } = connection;
        let (service, now) = (&mut self.service, self.now);
        let step = match operation {
            Operation::Receive => {
                connection.receiving = completion.more();
                let lent = if output.is_empty() {
                    &mut self.output
                } else {
                    output
                };
                let step = match self.ring.received(completion) {
                    _ if connection.closing => Step::Close,
                    Some(bytes) if !bytes.is_empty() => session.receive(service, bytes, now, lent),
                    _ => match -completion.result {
                        0 => session.end_of_input(service, now, lent),
                        // No buffer was free, or we have ended it: then it begins anew when it is
                        // wanted.
                        libc::ENOBUFS | libc::ECANCELED => connection.step,
                        _ => Step::Close,
                    },
                };
                self.ring.give_back(completion);
                step
            }
            Operation::Send | Operation::SendBody => {
                connection.sending -= 1;
                match usize::try_from(completion.result) {
                    Ok(len) => output.advance(len),
                    // What went before it was not sent in full: it comes again.
                    Err(_) if -completion.result == libc::ECANCELED => {}
                    Err(_) => connection.step = Step::Close,
                }
                match connection.step {
                    Step::Close => Step::Close,
                    _ if connection.sending > 0 => return,
                    _ if output.is_empty() => {
                        if self.spare.len() < SPARE {
                            self.spare.push(mem::take(output));
                        }
                        session.flushed(service, now, &mut self.output)
                    }
                    _ => Step::Write,
                }
            }
            Operation::HalfClose if completion.result < 0 => Step::Close,
            Operation::HalfClose => session.half_closed(service, now),
            _ => return self.rest(token), // closed
        };
        self.go_on(token, step);
    }
    // ANCHOR_END: completed

    // ANCHOR: go-on
    /// Hands in what a connection needs next.
    fn go_on(&mut self, token: Token, step: Step) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if connection.closing {
            self.output = Output::default();
            return self.rest(token);
        }
        connection.step = step;
        if !self.output.is_empty() {
            let empty = self.spare.pop().unwrap_or_default();
            connection.output = mem::replace(&mut self.output, empty);
        }
        match step {
            Step::Read if !connection.receiving => {
                connection.receiving = true;
                connection.pending += 1;
                self.ring
                    .receive(connection.socket, Operation::Receive.of(token));
            }
            Step::Write if connection.sending == 0 => {
                connection.session.blocked(&self.service, self.now);
                send(&mut self.ring, connection, token);
            }
            // It sends faster than it takes answers, so what it sends stays with the kernel, whose
            // window then closes.
            Step::Write | Step::Wait if connection.receiving && !connection.session.is_idle() => {
                self.ring
                    .cancel(Operation::Receive.of(token), Operation::Cancel.of_nobody());
            }
            Step::Linger => {
                connection.pending += 1;
                self.ring
                    .shutdown(connection.socket, Operation::HalfClose.of(token));
            }
            Step::Close => {
                connection.closing = true;
                connection.pending += 1;
                let closed = Operation::Close.of(token);
                self.ring
                    .close(connection.socket, Operation::Cancel.of_nobody(), closed);
            }
            Step::Read | Step::Write | Step::Wait => {}
        }
        self.rest(token);
    }
    // ANCHOR_END: go-on

    // ANCHOR: rest
    /// There is nothing to be handed in for this connection now.
    fn rest(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if !connection.closing {
            self.timers
                .ring_by(token.index, connection.session.deadline());
        } else if connection.pending == 0 {
            // Only now is nobody left who uses its memory.
            self.connections.remove(token);
            self.open -= 1;
            self.service.counters().closed();
            self.accept_at = self.accept_at.map(|_| self.now);
        }
    }
    // ANCHOR_END: rest

    /// How long to wait at most.
    fn timeout(&self) -> Option<Duration> {
        let drain = self.drain.as_ref().map(|drain| match self.listener {
            Some(_) => drain.listener,
            None => drain.connections,
        });
        let next = [self.timers.next(), self.accept_at, drain]
            .into_iter()
            .flatten()
            .min();
        next.map(|at| at.saturating_duration_since(self.now))
    }

    fn ring_timers(&mut self) {
        while let Some(index) = self.timers.ring(self.now) {
            let Some(token) = self.connections.at(index) else {
                continue;
            };
            let Some(connection) = self.connections.get_mut(token) else {
                continue;
            };
            if connection.closing {
                continue;
            }
            let output = if connection.output.is_empty() {
                &mut self.output
            } else {
                &mut connection.output
            };
            let step = connection
                .session
                .expired(&mut self.service, self.now, output);
            self.go_on(token, step);
        }
        if self.accept_at.is_some_and(|at| at <= self.now) {
            self.accept();
        }
        if let Some(drain) = &self.drain
            && drain.listener <= self.now
            && let Some(listener) = self.listener.take()
        {
            self.accept_at = None;
            stop_listening(listener);
            self.ring
                .cancel(Operation::Accept.of_nobody(), Operation::Cancel.of_nobody());
        }
    }

    // ANCHOR: drain
    fn begin_drain(&mut self) {
        let (Some(listener), None) = (self.listener, &self.drain) else {
            return;
        };
        let limits = self.service.limits();
        self.drain = Some(Drain {
            listener: self.now + limits.last_handshakes,
            connections: self.now + limits.drain,
        });
        stop_accepting(listener);
        self.service.close_after_answers(true);
        for token in self.connections.tokens() {
            let Some(connection) = self.connections.get_mut(token) else {
                continue;
            };
            connection.session.drain(&self.service, self.now);
            self.timers
                .ring_by(token.index, connection.session.deadline());
        }
    }

    fn is_done(&self) -> bool {
        self.drain.as_ref().is_some_and(|drain| {
            self.listener.is_none() && self.open == 0 || drain.connections <= self.now
        })
    }
    // ANCHOR_END: drain
}

// ANCHOR: send
/// Hands in all of the output, or a large body's next part.
fn send(ring: &mut Ring, connection: &mut Connection, token: Token) {
    let Connection { socket, output, .. } = connection;
    let body = output.body();
    let bytes = output.bytes();
    if !bytes.is_empty() {
        connection.sending += 1;
        // SAFETY: the output is the connection's own, and neither changes nor goes before its
        // operations are completed.
        #[allow(unsafe_code, reason = "memory that the kernel sends from")]
        unsafe {
            ring.send(*socket, bytes, body.is_some(), Operation::Send.of(token));
        }
    }
    if let Some(body) = body {
        connection.sending += 1;
        let part = body.memory();
        let part = &part[..part.len().min(PART_LEN)];
        let zero_copy = ring.has_zero_copy() && !connection.copies;
        ring.send_body(*socket, part, zero_copy, Operation::SendBody.of(token));
    }
    connection.pending += connection.sending;
}
// ANCHOR_END: send
