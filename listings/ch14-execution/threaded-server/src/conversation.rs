//! What a thread does for one connection.

use std::io::{self, ErrorKind, Read as _};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use exec_service::{Output, Service, Session, Setup, Step, Syscall, is_passing, pattern};
use nix::libc::{MSG_MORE, MSG_NOSIGNAL, off_t};
use nix::sys::sendfile::sendfile;
use socket2::SockRef;

/// How much is read at once, in bytes: a request with its fields, or many short ones.
const READ_LEN: usize = 16 * 1024;

/// By how much a timeout that is set may differ from the one that is due. Otherwise each request
/// would cost one more system call, as no two deadlines are equally far away.
const TOLERANCE: Duration = Duration::from_millis(20);

// ANCHOR: conversations
/// All conversations, so that whoever ends the server can end them.
#[derive(Debug)]
pub struct Conversations {
    places: Vec<Place>,
    draining: AtomicBool,
    /// Whether all is over, and the bell that rings then.
    over: (Mutex<bool>, Condvar),
}

#[derive(Debug, Default)]
struct Place {
    client: Mutex<Option<Arc<TcpStream>>>,
    /// Whether its thread sleeps in `recv()` while nothing is under way.
    idle: AtomicBool,
}

impl Conversations {
    pub fn new(places: usize) -> Self {
        let places = (0..places).map(|_| Place::default()).collect();
        Self {
            places,
            draining: AtomicBool::new(false),
            over: <_>::default(),
        }
    }

    /// From now on each answer is its connection's last.
    pub fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Ends those that wait for a request of which nothing has come.
    pub fn end_idle(&self) {
        for place in self.places.iter().filter(|place| place.idle.load(Relaxed)) {
            place.shut_down(Shutdown::Read);
        }
    }

    /// Ends all, whatever they are at.
    pub fn end_all(&self) {
        *locked(&self.over.0) = true;
        self.over.1.notify_all();
        for place in &self.places {
            place.shut_down(Shutdown::Both);
        }
    }

    /// Sleeps until then; gives whether all was over before.
    fn sleep_until(&self, until: Instant) -> bool {
        let mut over = locked(&self.over.0);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if *over || left.is_zero() {
                return *over;
            }
            let waited = self.over.1.wait_timeout(over, left);
            over = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Place {
    fn shut_down(&self, how: Shutdown) {
        if let Some(client) = &*locked(&self.client) {
            // It may have gone meanwhile.
            let _ = client.shutdown(how);
        }
    }
}
// ANCHOR_END: conversations

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a thread has.
pub struct Worker<'a> {
    conversations: &'a Conversations,
    place: &'a Place,
    service: Service,
    output: Output,
    buffer: Box<[u8]>,
    /// The timeout that is set for the client's socket.
    timeout: Duration,
}

impl<'a> Worker<'a> {
    pub fn new(setup: &Setup, conversations: &'a Conversations, place: usize) -> Self {
        Self {
            conversations,
            service: setup.service(place, Instant::now()),
            place: &conversations.places[place],
            output: Output::default(),
            buffer: vec![0; READ_LEN].into_boxed_slice(),
            timeout: Duration::ZERO,
        }
    }

    // ANCHOR: serve
    /// Serves the client until its connection ends.
    pub fn serve(&mut self, client: TcpStream) {
        let client = Arc::new(client);
        *locked(&self.place.client) = Some(Arc::clone(&client));
        // What goes wrong between these two is no concern of the others.
        let _ = self.converse(&client);
        self.place.idle.store(false, Relaxed);
        locked(&self.place.client).take();
        self.service.count(Syscall::Close);
        self.service.counters().closed();
    }

    fn converse(&mut self, client: &TcpStream) -> io::Result<()> {
        let now = self.now();
        let mut session = Session::new(&self.service, now);
        self.output = Output::default();
        self.timeout = Duration::ZERO;
        self.service.count(Syscall::Setsockopt);
        client.set_write_timeout(Some(self.service.limits().write))?;
        let mut step = Step::Read;
        loop {
            step = match step {
                Step::Read => self.read(client, &mut session)?,
                Step::Write => self.write(client, &mut session)?,
                Step::Wait if self.conversations.sleep_until(session.deadline()) => return Ok(()),
                Step::Wait => self.expired(&mut session),
                Step::Linger => {
                    self.service.count(Syscall::Shutdown);
                    client.shutdown(Shutdown::Write)?;
                    let now = self.now();
                    session.half_closed(&self.service, now)
                }
                Step::Close => return Ok(()),
            };
        }
    }
    // ANCHOR_END: serve

    // ANCHOR: read
    /// Sleeps until something comes, or until the deadline.
    fn read(&mut self, mut client: &TcpStream, session: &mut Session) -> io::Result<Step> {
        let now = self.now();
        let draining = self.conversations.is_draining();
        if draining {
            session.drain(&self.service, now);
        }
        let left = session.deadline().saturating_duration_since(now);
        if left.is_zero() {
            return Ok(self.expired(session));
        }
        if left.abs_diff(self.timeout) > TOLERANCE {
            self.service.count(Syscall::Setsockopt);
            client.set_read_timeout(Some(left))?;
            self.timeout = left;
        }

        self.place
            .idle
            .store(session.is_idle() && !draining, Relaxed);
        self.service.count(Syscall::Recvfrom);
        let outcome = client.read(&mut self.buffer);
        self.place.idle.store(false, Relaxed);
        let now = self.now();
        let (service, output) = (&mut self.service, &mut self.output);
        match outcome {
            Ok(0) => Ok(session.end_of_input(service, now, output)),
            Ok(len) => Ok(session.receive(service, &self.buffer[..len], now, output)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(self.expired(session)),
            Err(error) if is_passing(&error) => Ok(Step::Read),
            Err(error) => Err(error),
        }
    }
    // ANCHOR_END: read

    // ANCHOR: write
    /// Sleeps until the client's kernel, or this one's, has taken everything.
    fn write(&mut self, client: &TcpStream, session: &mut Session) -> io::Result<Step> {
        let socket = SockRef::from(client);
        while !self.output.is_empty() {
            let bytes = self.output.bytes();
            let written = match self.output.body() {
                Some(body) if bytes.is_empty() => {
                    let (offset, len) = body.file();
                    let mut offset = offset as off_t;
                    self.service.count(Syscall::Sendfile);
                    let sent = sendfile(client, pattern::file()?, Some(&mut offset), len);
                    sent.map_err(io::Error::from)
                }
                more => {
                    // The head goes out with the beginning of the body, not before it.
                    let more = if more.is_some() { MSG_MORE } else { 0 };
                    self.service.count(Syscall::Sendto);
                    socket.send_with_flags(bytes, MSG_NOSIGNAL | more)
                }
            };
            match written {
                Ok(written) => self.output.advance(written),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Among them the timeout: the client has taken nothing for too long.
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

    /// The time; and what else a thread looks at when it has woken up.
    fn now(&mut self) -> Instant {
        let now = Instant::now();
        self.service.tick(now);
        self.service
            .close_after_answers(self.conversations.is_draining());
        now
    }
}
