//! One connection: its socket, what epoll has said about it, and its turn.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::Instant;

use exec_service::{Output, Service, Session, Step, Syscall};
use nix::errno::Errno;
use nix::sys::epoll::EpollFlags;
use nix::sys::sendfile::sendfile;
use nix::sys::socket::{MsgFlags, Shutdown, recv, send, shutdown};

/// After so many reads and writes a connection's turn is over: a client whose requests
/// never end must not be the only one that is served. What a turn moves is bounded by that,
/// and by the socket's buffers.
const TURN: usize = 4;

/// More follows at once: do not send a segment that is not full. `nix` has no name for it.
const MSG_MORE: MsgFlags = MsgFlags::from_bits_retain(nix::libc::MSG_MORE);

// ANCHOR: connection
pub struct Connection {
    socket: OwnedFd,
    pub session: Session,
    /// What the session waits for.
    step: Step,
    /// What epoll has said once, and no read or write has refuted since.
    readable: bool,
    writable: bool,
    /// A short read need not be the last: the end was told along with the bytes before it,
    /// or there is urgent data, where a read stops.
    read_on: bool,
    /// Its turn was over before it was done, and the next one comes of itself.
    pub unfinished: bool,
    /// What could not be written yet.
    parked: Option<Box<Output>>,
}

/// What a worker has once and lends to the connection whose turn it is. A connection that
/// is idle has no buffer.
pub struct Lent {
    pub service: Service,
    pub now: Instant,
    pub buffer: Box<[u8]>,
    pub output: Output,
    /// The file that large bodies are sent from.
    pub pattern: BorrowedFd<'static>,
}
// ANCHOR_END: connection

/// How a turn has ended.
pub enum Outcome {
    /// There is nothing to be done before epoll says so, or the deadline comes.
    Rest,
    /// There is more to be done, and it is somebody else's turn.
    Unfinished,
    Close,
}

impl Connection {
    pub fn new(socket: OwnedFd, session: Session) -> Self {
        Self {
            socket,
            session,
            step: Step::Read,
            readable: false,
            writable: true,
            read_on: false,
            unfinished: false,
            parked: None,
        }
    }

    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    // ANCHOR: told
    /// Keeps what epoll says, as it says it once. Gives whether there still is a connection.
    pub fn told(&mut self, events: EpollFlags) -> bool {
        self.readable |= events.contains(EpollFlags::EPOLLIN);
        self.writable |= events.contains(EpollFlags::EPOLLOUT);
        self.read_on |= events.intersects(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLPRI);
        // Reset, or ended in both directions.
        !events.intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP)
    }
    // ANCHOR_END: told

    // ANCHOR: turn
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
    // ANCHOR_END: turn

    // ANCHOR: read
    fn read(&mut self, lent: &mut Lent) -> Step {
        lent.service.count(Syscall::Recvfrom);
        match recv(self.socket.as_raw_fd(), &mut lent.buffer, MsgFlags::empty()) {
            Ok(0) => {
                self.readable = false;
                self.session
                    .end_of_input(&mut lent.service, lent.now, &mut lent.output)
            }
            Ok(len) => {
                // Fewer than there was room for: these were all, and epoll will tell of the
                // next.
                self.readable = len == lent.buffer.len() || self.read_on;
                let bytes = &lent.buffer[..len];
                self.session
                    .receive(&mut lent.service, bytes, lent.now, &mut lent.output)
            }
            Err(Errno::EAGAIN) => {
                self.readable = false;
                Step::Read
            }
            Err(Errno::EINTR) => Step::Read,
            Err(_) => Step::Close,
        }
    }
    // ANCHOR_END: read

    // ANCHOR: write
    fn write(&mut self, lent: &mut Lent) -> Step {
        match self.send(lent) {
            Ok(len) => {
                lent.output.advance(len);
                if lent.output.is_empty() {
                    return self
                        .session
                        .flushed(&mut lent.service, lent.now, &mut lent.output);
                }
            }
            Err(Errno::EAGAIN) => self.writable = false,
            Err(Errno::EINTR) => {}
            Err(_) => return Step::Close,
        }
        self.session.blocked(&lent.service, lent.now);
        Step::Write
    }

    fn send(&self, lent: &Lent) -> nix::Result<usize> {
        let bytes = lent.output.bytes();
        let Some(body) = lent.output.body() else {
            lent.service.count(Syscall::Sendto);
            return send(self.socket.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL);
        };
        if !bytes.is_empty() {
            // The head of a large body, which is to leave together with the body's first
            // bytes.
            lent.service.count(Syscall::Sendto);
            return send(
                self.socket.as_raw_fd(),
                bytes,
                MsgFlags::MSG_NOSIGNAL | MSG_MORE,
            );
        }
        lent.service.count(Syscall::Sendfile);
        let (from, len) = body.file();
        let mut from = i64::try_from(from).map_err(|_| Errno::EOVERFLOW)?;
        sendfile(&self.socket, lent.pattern, Some(&mut from), len)
    }
    // ANCHOR_END: write

    // ANCHOR: linger
    fn linger(&mut self, lent: &mut Lent) -> Step {
        lent.service.count(Syscall::Shutdown);
        match shutdown(self.socket.as_raw_fd(), Shutdown::Write) {
            Ok(()) => self.session.half_closed(&lent.service, lent.now),
            Err(_) => Step::Close,
        }
    }
    // ANCHOR_END: linger
}
