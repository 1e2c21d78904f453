//! One connection's service, without a socket and without a clock.

use std::mem;
use std::time::{Duration, Instant};

use http1::server::{Answer, Connection, Event, Phase};
use http1::{Error, Field, Length, Method, Request, Status};

use crate::limits::{MAX_BYTES, MAX_LINGER_LEN, MAX_SLOW};
use crate::output::Output;
use crate::pattern::{self, Body};
use crate::service::Service;

// ANCHOR: step
/// What a server does next for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a session only says what is to be done"]
pub enum Step {
    /// Wait for input until the deadline.
    Read,
    /// Write all of the output, and read nothing meanwhile; then [`Session::flushed`].
    Write,
    /// Neither read nor write until the deadline; then [`Session::expired`].
    Wait,
    /// Say that no more will be written (`shutdown`); then [`Session::half_closed`].
    Linger,
    /// Close the connection.
    Close,
}
// ANCHOR_END: step

/// An answer up to this length is copied into the output, so that the answers to a pipeline leave
/// together; a longer one is only pointed at.
const MAX_COPIED: u64 = 16 * 1024;

/// The answer to `/`.
pub const ROOT: &[u8] = b"Seven servers, one service.\n";

/// The answer to `/slow`.
const SLOW: &[u8] = b"Here you are.\n";

/// The answer to whatever there is not.
const NOT_FOUND: &[u8] = b"Not here. There are /, /bytes/N, /slow/MS, /echo and /stats.\n";

const TEXT: Field<'_> = Field::literal("Content-Type", "text/plain");
const JSON: Field<'_> = Field::literal("Content-Type", "application/json");
const ALLOW_GET: Field<'_> = Field::literal("Allow", "GET, HEAD");
const ALLOW_POST: Field<'_> = Field::literal("Allow", "POST");

// ANCHOR: session
/// One connection's service.
///
/// Bytes that were read, and the time, go in; what is to be written comes out ([`Output`]), and what is
/// to be done next ([`Step`]). A session on which nothing is under way owns no memory but itself.
#[derive(Debug)]
pub struct Session {
    http: Connection,
    state: State,
    deadline: Instant,
    /// What the deadline is for.
    phase: Phase,
    /// What the request asks for that is being read or answered.
    route: Route,
    /// What could not be dealt with yet.
    kept: Option<Box<Kept>>,
    /// Whether the client will send no more.
    ended: bool,
    /// Whether the output waits for the client to take it.
    blocked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Requests are read and answered.
    Open,
    /// The answer to `/slow` is due at the deadline.
    Slow,
    /// The last answer is in the output. The client may still be sending, or not.
    Last { linger: bool },
    /// Nothing more will be written. What comes is thrown away, up to so many bytes.
    Lingering { left: usize },
    /// There is nothing left to do.
    Over,
}

#[derive(Debug, Default)]
struct Kept {
    /// Bytes that make no whole request yet, or that came behind one which is not answered yet.
    input: Vec<u8>,
    /// The body of a request that is not complete.
    body: Vec<u8>,
}
// ANCHOR_END: session

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Root,
    Bytes(u64),
    Slow(Duration),
    Echo,
    Stats,
    NotFound,
    /// A route that has other methods.
    NotAllowed {
        allow: Field<'static>,
    },
}

// ANCHOR: route
impl Route {
    fn of(request: &Request<'_>) -> Self {
        let (method, path) = (request.method(), request.target().path());
        let read_only = match path {
            b"/" => Self::Root,
            b"/stats" => Self::Stats,
            b"/echo" if method == Method::Post => return Self::Echo,
            b"/echo" => return Self::NotAllowed { allow: ALLOW_POST },
            _ => Self::with_number(path).unwrap_or(Self::NotFound),
        };
        match (method, read_only) {
            (Method::Get | Method::Head, _) | (_, Self::NotFound) => read_only,
            _ => Self::NotAllowed { allow: ALLOW_GET },
        }
    }

    fn with_number(path: &[u8]) -> Option<Self> {
        let path = std::str::from_utf8(path).ok()?;
        let (route, number) = path.strip_prefix('/')?.split_once('/')?;
        let number = number
            .parse::<u64>()
            .ok()
            .filter(|_| !number.starts_with('+'))?;
        match route {
            "bytes" if number <= MAX_BYTES => Some(Self::Bytes(number)),
            "slow" if number <= MAX_SLOW.as_millis() as u64 => {
                Some(Self::Slow(Duration::from_millis(number)))
            }
            _ => None,
        }
    }
}
// ANCHOR_END: route

impl Session {
    /// A connection that has just been accepted.
    #[must_use]
    pub fn new(service: &Service, now: Instant) -> Self {
        Self {
            http: Connection::new(),
            state: State::Open,
            deadline: now + service.limits.head,
            phase: Phase::Head,
            route: Route::NotFound,
            kept: None,
            ended: false,
            blocked: false,
        }
    }

    /// When [`Session::expired`] is to be called. It may come to be later than it was, and a timer may
    /// be content to find that out when it fires; it comes to be earlier only by what a call of
    /// another method of the session brings about.
    #[inline]
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether nothing is under way: no part of a request has come, and no answer is owed.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.state == State::Open
            && self.http.phase() == Phase::Idle
            && !self.blocked
            && self.kept.is_none()
    }

    // ANCHOR: receive
    /// Takes all that was read. What it cannot deal with yet, it keeps.
    pub fn receive(
        &mut self,
        service: &mut Service,
        bytes: &[u8],
        now: Instant,
        output: &mut Output,
    ) -> Step {
        match self.state {
            State::Open if output.is_empty() && self.kept.is_none() => {
                let used = self.process(service, bytes, now, output);
                if used < bytes.len() && matches!(self.state, State::Open | State::Slow) {
                    self.keep(&bytes[used..]);
                }
            }
            State::Open if output.is_empty() => {
                self.keep(bytes);
                self.process_kept(service, now, output);
            }
            // The server was to read nothing; some cannot help it.
            State::Open | State::Slow => self.keep(bytes),
            State::Lingering { left } => {
                self.state = match left.checked_sub(bytes.len()) {
                    Some(left) => State::Lingering { left },
                    None => State::Over,
                };
            }
            State::Last { .. } | State::Over => {}
        }
        self.step(output)
    }

    /// Takes note that the client will send no more.
    pub fn end_of_input(
        &mut self,
        service: &mut Service,
        now: Instant,
        output: &mut Output,
    ) -> Step {
        self.ended = true;
        match self.state {
            State::Open if output.is_empty() => self.process_kept(service, now, output),
            State::Lingering { .. } => self.state = State::Over,
            _ => {}
        }
        self.step(output)
    }
    // ANCHOR_END: receive

    // ANCHOR: written
    /// Takes note that all of the output was written, and goes on with what has come meanwhile.
    pub fn flushed(&mut self, service: &mut Service, now: Instant, output: &mut Output) -> Step {
        if self.blocked {
            self.blocked = false;
            self.deadline = now + self.limit(service);
        }
        if self.state == State::Open && (self.kept.is_some() || self.ended) {
            self.process_kept(service, now, output);
        }
        self.step(output)
    }

    /// Takes note that the client has not taken all of the output: it has so long for some of it.
    pub fn blocked(&mut self, service: &Service, now: Instant) {
        self.blocked = true;
        self.deadline = now + service.limits.write;
    }
    // ANCHOR_END: written

    // ANCHOR: expired
    /// Does what is due, if the deadline has passed.
    pub fn expired(&mut self, service: &mut Service, now: Instant, output: &mut Output) -> Step {
        if now < self.deadline {
            return self.step(output);
        }
        match (self.state, self.http.phase()) {
            (State::Slow, _) if !self.blocked => {
                self.answer(service, output);
                self.deadline = now + self.limit(service);
            }
            (State::Open, Phase::Head | Phase::Content) if !self.blocked => {
                self.refuse(Error::timeout(0), service, output);
            }
            _ => self.state = State::Over,
        }
        self.step(output)
    }

    /// Takes note that the server is to end: a connection without anything under way gets little more
    /// time.
    pub fn drain(&mut self, service: &Service, now: Instant) {
        self.end_if_idle(now + service.limits.grace);
    }

    /// Takes note that others wait for a worker which serves one at a time: a connection without
    /// anything under way gets hardly any more time, nor does one that is only waited for to end.
    pub fn hurry(&mut self, service: &Service, now: Instant) {
        let is_new = self.phase != self.http.phase();
        let at_latest = now
            + if is_new {
                service.limits.grace
            } else {
                service.limits.hurry
            };
        self.end_if_idle(at_latest);
        if matches!(self.state, State::Lingering { .. }) {
            self.deadline = self.deadline.min(at_latest);
        }
    }

    fn end_if_idle(&mut self, at_latest: Instant) {
        if self.is_idle() {
            self.deadline = self.deadline.min(at_latest);
        }
    }
    // ANCHOR_END: expired

    // ANCHOR: linger
    /// Takes note that no more will be written. The client may still be sending, and closing the
    /// connection on unread bytes would be a reset, which can overtake the answer on its way to the
    /// client's program. So some of it is read and thrown away (RFC 9112 §9.6).
    pub fn half_closed(&mut self, service: &Service, now: Instant) -> Step {
        self.state = State::Lingering {
            left: MAX_LINGER_LEN,
        };
        self.kept = None;
        self.deadline = now + service.limits.linger;
        Step::Read
    }
    // ANCHOR_END: linger

    fn step(&self, output: &Output) -> Step {
        match self.state {
            State::Over => Step::Close,
            _ if !output.is_empty() => Step::Write,
            State::Open | State::Lingering { .. } => Step::Read,
            State::Slow => Step::Wait,
            State::Last { linger: true } if !self.ended => Step::Linger,
            State::Last { .. } => Step::Close,
        }
    }

    /// How long the client may take for what comes next, or the server.
    fn limit(&self, service: &Service) -> Duration {
        match (self.state, self.http.phase(), self.route) {
            (State::Slow, _, Route::Slow(time)) => time,
            (_, Phase::Head, _) => service.limits.head,
            (_, Phase::Content, _) => service.limits.body,
            _ => service.limits.idle,
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.kept
            .get_or_insert_default()
            .input
            .extend_from_slice(bytes);
    }

    fn process_kept(&mut self, service: &mut Service, now: Instant, output: &mut Output) {
        let Some(mut kept) = self.kept.take() else {
            self.process(service, &[], now, output);
            return;
        };
        service.body = mem::take(&mut kept.body);
        let mut input = mem::take(&mut kept.input);
        let used = self.process(service, &input, now, output);
        if !matches!(self.state, State::Open | State::Slow) {
            return;
        }
        // What `process` has kept is the body of a request that goes on.
        if used < input.len() {
            input.drain(..used);
            self.kept.get_or_insert_default().input = input;
        }
    }

    // ANCHOR: process
    /// Reads and answers requests, as many as there are and the output has room for. Gives how many
    /// of the bytes it has dealt with.
    fn process(
        &mut self,
        service: &mut Service,
        input: &[u8],
        now: Instant,
        output: &mut Output,
    ) -> usize {
        let mut used = 0;
        let mut moved_on = false;
        while self.state == State::Open && !output.is_full() {
            let (len, event) = self.http.next(&input[used..], &mut service.scratch);
            used += len;
            match event {
                Event::Request(request) => {
                    self.route = Route::of(&request);
                    moved_on = true;
                }
                Event::Continue => self.http.send_continue(&mut output.bytes),
                Event::Data(data) if self.route == Route::Echo => {
                    service.body.extend_from_slice(data)
                }
                Event::Data(_) => {}
                Event::End(_) => {
                    moved_on = true;
                    match self.route {
                        Route::Slow(time) => {
                            self.state = State::Slow;
                            self.deadline = now + time;
                        }
                        _ => self.answer(service, output),
                    }
                }
                Event::More if self.ended => match self.http.end_of_input(&input[used..]) {
                    Event::Refused(error) => self.refuse(error, service, output),
                    _ => self.state = State::Last { linger: false },
                },
                Event::More => break,
                Event::Refused(error) => self.refuse(error, service, output),
                // Each request is answered at its end, the last one ends this loop, and no tunnel is
                // ever granted.
                Event::Closed | Event::Answer | Event::Tunnel => self.state = State::Over,
            }
        }
        match &mut self.state {
            State::Open if moved_on || self.phase != self.http.phase() => {
                self.phase = self.http.phase();
                self.deadline = now + self.limit(service);
            }
            State::Last { linger } => *linger |= used < input.len(),
            _ => {}
        }
        if !service.body.is_empty() {
            self.kept.get_or_insert_default().body = mem::take(&mut service.body);
        }
        used
    }
    // ANCHOR_END: process

    // ANCHOR: answer
    /// Answers the request that was read.
    fn answer(&mut self, service: &mut Service, output: &mut Output) {
        let linger = service.closes && self.http.is_persistent();
        if service.closes {
            self.http.close_after_answer();
        }
        let (http, date, out) = (&mut self.http, &service.date, &mut output.bytes);
        let written = match self.route {
            Route::Root => http.reply(Status::OK, &[TEXT], ROOT, date, out),
            Route::Bytes(len) => {
                let length = Length::Known(len);
                let answer = Answer {
                    status: Status::OK,
                    fields: &[TEXT],
                    length,
                };
                http.answer(&answer, date, out).and_then(|()| {
                    if len <= MAX_COPIED {
                        http.data(&pattern::memory()[..len as usize], out)?;
                    } else {
                        if http.sends_content() {
                            output.body = Body { offset: 0, len };
                        }
                        http.sent(len)?;
                    }
                    http.end(&[], out)
                })
            }
            Route::Slow(_) => http.reply(Status::OK, &[TEXT], SLOW, date, out),
            Route::Echo => http.reply(Status::OK, &[TEXT], &service.body, date, out),
            Route::Stats => http.reply(Status::OK, &[JSON], service.stats().as_bytes(), date, out),
            Route::NotFound => http.reply(Status::NOT_FOUND, &[TEXT], NOT_FOUND, date, out),
            Route::NotAllowed { allow } => {
                http.reply(Status::METHOD_NOT_ALLOWED, &[allow], b"", date, out)
            }
        };
        service.body.clear();
        service.counters().request();
        self.state = match written {
            Ok(()) if self.http.is_persistent() => State::Open,
            Ok(()) => State::Last { linger },
            // This code is at odds with the library; nobody can make it so from outside.
            Err(_) => State::Over,
        };
    }

    /// Answers what is no request, or came too late; it is the connection's last answer.
    fn refuse(&mut self, error: Error, service: &mut Service, output: &mut Output) {
        self.http.refuse(error, &service.date, &mut output.bytes);
        service.body.clear();
        service.counters().request();
        self.state = State::Last { linger: true };
    }
    // ANCHOR_END: answer
}
