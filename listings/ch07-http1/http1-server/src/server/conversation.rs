//! What a thread does for its client.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http1::server::{Answer, Connection, Event, Phase};
use http1::{
    Date, Error, Field, Framing, Length, Limits as MessageLimits, Request, Scratch, Target,
};
use nix::poll::PollFlags;

use super::connections::{Connections, WaitKey};
use super::{Limits, Stop, is_passing, wait};
use crate::site::{Incoming, Response, Site};

/// How much is read at once, in bytes. The longest head must fit in, and a little more: by that one sees
/// that it is too long.
const BUFFER_LEN: usize = MessageLimits::DEFAULT.head + 1024;

/// From this many bytes on, answers are sent before there are more of them. Less is sent when the client
/// is waited for: so the short answers to a pipeline leave together.
const OUT_LEN: usize = 32 * 1024;

/// How much of what a client still sends is read and thrown away before the connection is closed, in
/// bytes.
const MAX_LINGER_LEN: usize = 256 * 1024;

// ANCHOR: allowance
/// How long content may keep a thread waiting: for `stall`, and each byte that moves buys time at the
/// least rate, but never more than `stall` from now. So a client that halts is cut off after `stall`, one
/// that is too slow a little later, and none can save up time by being quick at first.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    until: Instant,
}

impl Allowance {
    fn moved(&mut self, bytes: usize, limits: &Limits, now: Instant) {
        let bought = Duration::from_secs_f64(bytes as f64 / f64::from(limits.rate.max(1)));
        self.until = (self.until + bought).min(now + limits.stall);
    }
}
// ANCHOR_END: allowance

/// One connection.
pub struct Conversation<'a> {
    client: Arc<TcpStream>,
    connections: &'a Connections,
    stop: &'a Stop,
    site: &'a Site,
    http: Connection,
    scratch: Scratch,
    buffer: Box<[u8]>,
    /// What of the buffer has come and was not dealt with yet.
    filled: Range<usize>,
    /// What is to be sent.
    out: Vec<u8>,
    /// The request that is being read.
    incoming: Option<Incoming>,
    /// What is waited for, and until when: `None` until somebody has to wait.
    waits_for: Option<(Phase, Allowance)>,
    /// Whether no request has come yet.
    is_new: bool,
    /// Whether it has been ended to make room for another.
    is_evicted: bool,
    /// Where it stands among those that wait for their client, while it does.
    wait_key: Option<WaitKey>,
}

/// What has come of waiting for the client.
enum Received {
    Bytes,
    /// The client sends no more.
    End,
    /// Its time is over.
    TooLate,
}

impl<'a> Conversation<'a> {
    pub fn new(
        client: TcpStream,
        connections: &'a Connections,
        stop: &'a Stop,
        site: &'a Site,
    ) -> Self {
        Self {
            client: Arc::new(client),
            connections,
            stop,
            site,
            http: Connection::new(),
            scratch: Scratch::default(),
            buffer: vec![0; BUFFER_LEN].into(),
            filled: 0..0,
            out: Vec::new(),
            incoming: None,
            waits_for: None,
            is_new: true,
            is_evicted: false,
            wait_key: None,
        }
    }

    // ANCHOR: converse
    /// Reads requests and answers them, until one side has said all.
    ///
    /// # Errors
    ///
    /// When the connection breaks, or the client does not take what it has asked for.
    pub fn converse(mut self) -> io::Result<()> {
        loop {
            let bytes = &self.buffer[self.filled.clone()];
            let (used, event) = self.http.next(bytes, &mut self.scratch);
            self.filled.start += used;
            match event {
                Event::Request(request) => {
                    self.incoming = Some(incoming(self.site, &request));
                    self.is_new = false;
                    self.waits_for = None;
                    self.end_waiting();
                }
                Event::Data(data) => {
                    if let Some(incoming) = &mut self.incoming {
                        incoming.data(data);
                    }
                }
                Event::Continue if self.incoming.as_ref().is_some_and(Incoming::wants_content) => {
                    self.http.send_continue(&mut self.out);
                }
                // Without its content the answer is the same: the client need not send it.
                Event::Continue | Event::End(_) | Event::Answer => self.answer()?,
                Event::More => {
                    self.flush()?;
                    match self.receive()? {
                        Received::Bytes => {}
                        Received::End => match self.end_of_input() {
                            Event::Refused(error) => return self.refuse(error),
                            _ => return self.close(),
                        },
                        // Nothing is under way, and everything was taken long ago.
                        Received::TooLate if self.http.phase() == Phase::Idle => return Ok(()),
                        Received::TooLate => {
                            let error = Error::timeout(self.filled.len() as u64);
                            return self.refuse(error);
                        }
                    }
                }
                Event::Refused(error) => return self.refuse(error),
                Event::Closed | Event::Tunnel => return self.close(),
            }
        }
    }
    // ANCHOR_END: converse

    /// The client is no longer waited for.
    fn end_waiting(&mut self) {
        if let Some(wait_key) = self.wait_key.take() {
            self.is_evicted |= !self.connections.end_waiting(wait_key);
        }
    }

    // ANCHOR: answer
    /// Answers the request, if that is still to be done.
    fn answer(&mut self) -> io::Result<()> {
        let Some(incoming) = self.incoming.take() else {
            return Ok(());
        };
        if self.stop.requested().is_some() || self.is_evicted {
            self.http.close_after_answer();
        }
        let response = incoming.answer(self.site, SystemTime::now());
        self.connections.answered();
        self.send(response)?;
        self.waits_for = None;
        Ok(())
    }

    /// Puts the answer on the wire, a piece at a time.
    fn send(&mut self, response: Response) -> io::Result<()> {
        let mut fields = Vec::with_capacity(response.fields.len());
        for (name, value) in &response.fields {
            let field = Field::new(name.as_bytes(), value.as_bytes());
            fields.push(field.map_err(io::Error::other)?);
        }
        let mut content = response.content;
        let answer = Answer {
            status: response.status,
            fields: &fields,
            length: Length::Known(content.len()),
        };
        self.http
            .answer(&answer, &Date::now(), &mut self.out)
            .map_err(io::Error::other)?;
        while self.http.sends_content() && !content.is_empty() {
            let head = self.out.len();
            let len = usize::try_from(content.len()).map_or(OUT_LEN, |len| len.min(OUT_LEN));
            self.out.resize(head + len, 0);
            let read = content.read(&mut self.out[head..]);
            self.out
                .truncate(head + read.as_ref().map_or(0, |read| *read));
            self.http.sent(read? as u64).map_err(io::Error::other)?;
            if self.out.len() >= OUT_LEN {
                self.flush()?;
            }
        }
        self.http.end(&[], &mut self.out).map_err(io::Error::other)
    }
    // ANCHOR_END: answer

    // ANCHOR: receive
    /// Waits for the client, but not for ever.
    fn receive(&mut self) -> io::Result<Received> {
        self.make_room();
        let limits = &self.connections.limits;
        loop {
            match (&*self.client).read(&mut self.buffer[self.filled.end..]) {
                Ok(0) => {
                    self.end_waiting();
                    return Ok(match self.is_evicted {
                        true => Received::TooLate,
                        false => Received::End,
                    });
                }
                Ok(len) => {
                    self.filled.end += len;
                    if let Some((Phase::Content, allowance)) = &mut self.waits_for {
                        allowance.moved(len, limits, Instant::now());
                    }
                    return Ok(Received::Bytes);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if is_passing(&error) => continue,
                Err(error) => return Err(error),
            }
            let told = self.stop.requested();
            let deadline = self.deadline(told);
            if deadline <= Instant::now() {
                return Ok(Received::TooLate);
            }
            let knows = told.is_some();
            wait(
                self.client.as_fd(),
                PollFlags::POLLIN,
                self.stop,
                knows,
                Some(deadline),
            )?;
        }
    }

    /// Until when the client is waited for. It is set when the waiting begins, and bytes that come do
    /// not change it, but for those of content.
    fn deadline(&mut self, told: Option<Instant>) -> Instant {
        let (limits, now) = (&self.connections.limits, Instant::now());
        let phase = match self.http.phase() {
            Phase::Idle if self.is_new => Phase::Head,
            phase => phase,
        };
        let allowance = match self.waits_for {
            Some((before, allowance)) if before == phase => allowance,
            _ => {
                self.end_waiting();
                if matches!(phase, Phase::Idle | Phase::Head) {
                    self.wait_key = Some(self.connections.begin_waiting(&self.client));
                }
                let longest = match phase {
                    Phase::Idle => limits.idle,
                    Phase::Head => limits.head,
                    _ => limits.stall,
                };
                Allowance {
                    until: now + longest,
                }
            }
        };
        self.waits_for = Some((phase, allowance));
        match told {
            None => allowance.until,
            Some(told) if self.http.phase() == Phase::Idle => {
                allowance.until.min(told + limits.grace)
            }
            Some(told) => allowance.until.min(told + limits.drain),
        }
    }
    // ANCHOR_END: receive

    /// Moves what is left over to the buffer's beginning. A head that fills the buffer is too long and has
    /// been refused, so there is room now.
    fn make_room(&mut self) {
        self.buffer.copy_within(self.filled.clone(), 0);
        self.filled = 0..self.filled.len();
    }

    fn end_of_input(&mut self) -> Event<'static> {
        self.http.end_of_input(&self.buffer[self.filled.clone()])
    }

    // ANCHOR: flush
    /// Sends what is to be sent, to a client that takes it.
    fn flush(&mut self) -> io::Result<()> {
        let limits = &self.connections.limits;
        let mut allowance = Allowance {
            until: Instant::now() + limits.stall,
        };
        let mut sent = 0;
        while sent < self.out.len() {
            match (&*self.client).write(&self.out[sent..]) {
                Ok(len) => {
                    sent += len;
                    allowance.moved(len, limits, Instant::now());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let told = self.stop.requested();
                    let end = told.map(|told| told + limits.drain);
                    let deadline = end.map_or(allowance.until, |end| allowance.until.min(end));
                    if deadline <= Instant::now() {
                        return Err(ErrorKind::TimedOut.into());
                    }
                    let knows = told.is_some();
                    wait(
                        self.client.as_fd(),
                        PollFlags::POLLOUT,
                        self.stop,
                        knows,
                        Some(deadline),
                    )?;
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        Ok(())
    }
    // ANCHOR_END: flush

    /// Answers what is no request, or came too late, and ends the connection.
    fn refuse(&mut self, error: Error) -> io::Result<()> {
        let before = self.out.len();
        self.http.refuse(error, &Date::now(), &mut self.out);
        // Unless it was answered already.
        if self.out.len() > before {
            self.connections.answered();
        }
        self.close()
    }

    // ANCHOR: close
    /// Says that no more will come, and waits for the client to say the same: it may still be sending,
    /// and closing the connection on unread bytes would be a reset, which can overtake the answer on its
    /// way to the client's program (RFC 9112 §9.6). Who is evicted gets no such time.
    fn close(&mut self) -> io::Result<()> {
        self.end_waiting();
        self.flush()?;
        if self.is_evicted {
            return Ok(());
        }
        self.client.shutdown(Shutdown::Write)?;
        let end = Instant::now() + self.connections.limits.linger;
        let mut left = MAX_LINGER_LEN;
        while left > 0 && Instant::now() < end {
            match (&*self.client).read(&mut self.buffer) {
                Ok(0) => return Ok(()),
                Ok(len) => left = left.saturating_sub(len),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    wait(
                        self.client.as_fd(),
                        PollFlags::POLLIN,
                        self.stop,
                        true,
                        Some(end),
                    )?;
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
    // ANCHOR_END: close
}

impl Drop for Conversation<'_> {
    /// However it has ended: nobody waits for this client.
    fn drop(&mut self) {
        self.end_waiting();
    }
}

/// Gives the site what it wants to know of a request.
fn incoming(site: &Site, request: &Request<'_>) -> Incoming {
    let target = match request.target() {
        Target::Absolute { origin: b"", .. } => b"/",
        Target::Origin(origin) | Target::Absolute { origin, .. } => origin,
        Target::Authority(target) => target,
        Target::Asterisk => b"*",
    };
    let fields = request.fields();
    let fields = fields.iter().map(|field| (field.name(), field.value()));
    let mut incoming = site.receive(request.method(), target, fields);
    if let Framing::Length(len) = request.framing() {
        incoming.announce(len);
    }
    incoming
}
