//! One connection: its socket, what mio has said about it, and its turn.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::time::Instant;

use exec_service::{Output, Service, Session, Step, Syscall};
use mio::event::Event;
use mio::net::TcpStream;

/// After so many reads and writes a connection's turn is over: a client whose requests
/// never end must not be the only one that is served.
const TURN: usize = 4;

// ANCHOR: connection
pub struct Connection {
    pub stream: TcpStream,
    pub session: Session,
    /// What the session waits for.
    step: Step,
    /// What mio has said once, and no `WouldBlock` has refuted since.
    readable: bool,
    writable: bool,
    /// Its turn was over before it was done, and the next one comes of itself.
    pub unfinished: bool,
    /// What could not be written yet.
    parked: Option<Box<Output>>,
}
// ANCHOR_END: connection

/// What a worker has once and lends to the connection whose turn it is.
pub struct Lent {
    pub service: Service,
    pub now: Instant,
    pub buffer: Box<[u8]>,
    pub output: Output,
}

/// How a turn has ended.
pub enum Outcome {
    /// There is nothing to be done before mio says so, or the deadline comes.
    Rest,
    /// There is more to be done, and it is somebody else's turn.
    Unfinished,
    Close,
}

impl Connection {
    pub fn new(stream: TcpStream, session: Session) -> Self {
        Self {
            stream,
            session,
            step: Step::Read,
            readable: false,
            writable: true,
            unfinished: false,
            parked: None,
        }
    }

    // ANCHOR: told
    /// Keeps what mio says. It also tells of errors and ends of connections, but not on
    /// every system: who reads or writes learns of them anyway.
    pub fn told(&mut self, event: &Event) {
        self.readable |= event.is_readable();
        self.writable |= event.is_writable();
    }
    // ANCHOR_END: told

    /// Reads, answers and writes until the kernel has nothing more for it, or its turn is
    /// over.
    pub fn turn(&mut self, lent: &mut Lent) -> Outcome {
        if let Some(parked) = self.parked.take() {
            lent.output = *parked;
        }
        let outcome = self.steps(lent);
        if !lent.output.is_empty() {
            self.parked = Some(lent.output.park());
        }
        outcome
    }

    fn steps(&mut self, lent: &mut Lent) -> Outcome {
        for _ in 0..TURN {
            self.step = match self.step {
                Step::Read if self.readable => self.read(lent),
                Step::Write if self.writable => self.write(lent),
                Step::Linger => self.linger(lent),
                Step::Close => return Outcome::Close,
                _ if self.session.deadline() <= lent.now => {
                    self.session
                        .expired(&mut lent.service, lent.now, &mut lent.output)
                }
                Step::Read | Step::Write | Step::Wait => return Outcome::Rest,
            };
        }
        Outcome::Unfinished
    }

    // ANCHOR: read
    fn read(&mut self, lent: &mut Lent) -> Step {
        lent.service.count(Syscall::Recvfrom);
        match self.stream.read(&mut lent.buffer) {
            Ok(0) => {
                self.readable = false;
                self.session
                    .end_of_input(&mut lent.service, lent.now, &mut lent.output)
            }
            Ok(len) => {
                // A short read is no reason to believe that there is no more: mio promises
                // another event only after `WouldBlock`.
                let bytes = &lent.buffer[..len];
                self.session
                    .receive(&mut lent.service, bytes, lent.now, &mut lent.output)
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => {
                    self.readable = false;
                    Step::Read
                }
                ErrorKind::Interrupted => Step::Read,
                _ => Step::Close,
            },
        }
    }
    // ANCHOR_END: read

    // ANCHOR: write
    fn write(&mut self, lent: &mut Lent) -> Step {
        let written = if lent.output.body().is_none() {
            lent.service.count(Syscall::Sendto);
            self.stream.write(lent.output.bytes())
        } else {
            // sendfile is not the same on all systems, and so not mio's. This copies.
            lent.service.count(Syscall::Writev);
            self.stream.write_vectored(&lent.output.slices())
        };
        match written {
            Ok(len) => {
                lent.output.advance(len);
                if lent.output.is_empty() {
                    return self
                        .session
                        .flushed(&mut lent.service, lent.now, &mut lent.output);
                }
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => self.writable = false,
                ErrorKind::Interrupted => {}
                _ => return Step::Close,
            },
        }
        self.session.blocked(&lent.service, lent.now);
        Step::Write
    }
    // ANCHOR_END: write

    fn linger(&mut self, lent: &mut Lent) -> Step {
        lent.service.count(Syscall::Shutdown);
        match self.stream.shutdown(Shutdown::Write) {
            Ok(()) => self.session.half_closed(&lent.service, lent.now),
            Err(_) => Step::Close,
        }
    }
}
