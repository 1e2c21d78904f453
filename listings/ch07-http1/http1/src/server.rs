//! A server's end of a connection.

use crate::body::{self, Length, Misuse, Receiver, Sender};
use crate::chunked::Piece;
use crate::error::{Error, What};
use crate::field::{Field, Fields, Scratch};
use crate::head::Head;
use crate::request::{Request, RequestLine};
use crate::response::Asked;
use crate::{Date, Status, Version};

/// What has come over a connection, or what is to be done.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// Nothing: read more from the socket, and call again with what was left over and what came.
    More,
    /// A request's head. Its content follows, if it has any, and then [`Event::End`]; the answer may
    /// begin at once.
    Request(Request<'a>),
    /// The client may be waiting for leave to send its content. Give it
    /// ([`Connection::send_continue`]), or answer for good. It comes once, and only while no content has come.
    Continue,
    /// A part of the content.
    Data(&'a [u8]),
    /// The request is complete. Its trailer fields, of which there are hardly ever any, must be kept
    /// apart from the head's.
    End(Fields<'a>),
    /// The request is complete and not answered yet: answer first, then call again. What has come
    /// behind it is other requests.
    Answer,
    /// This is no request: send [`Connection::refuse`]'s answer, then close.
    Refused(Error),
    /// Both sides have said all, or no more can be understood: when all answers are sent, close.
    Closed,
    /// The bytes from here on are no longer HTTP: CONNECT or an upgrade has succeeded. It may come in
    /// place of [`Event::End`].
    Tunnel,
}

/// An answer's head.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// What became of the request.
    pub status: Status,
    /// The fields, without those that the connection writes itself: Content-Length,
    /// Transfer-Encoding, Connection, and Date unless it is among them.
    pub fields: &'a [Field<'a>],
    /// How long the content is.
    pub length: Length,
}

/// What a server is waiting for, and so which of its deadlines holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// For a request of which not a byte has come.
    Idle,
    /// For the rest of a request's head.
    Head,
    /// For the rest of a request's content.
    Content,
    /// For the server's own answer to a complete request.
    Answer,
    /// For nothing: it is to be closed, or a tunnel.
    Over,
}

/// A server's end of a connection: which bytes are whose, and what may be sent.
///
/// It knows no socket, no buffer and no clock. Bytes that were received go in by
/// [`next`](Self::next), which says what they are; answers come out as bytes appended to a buffer.
///
/// ```
/// use http1::server::{Connection, Event};
/// use http1::{Date, Scratch, Status};
///
/// let (mut connection, mut scratch) = (Connection::new(), Scratch::default());
/// let received = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";
/// let (mut start, mut out) = (0, Vec::new());
/// loop {
///     let (used, event) = connection.next(&received[start..], &mut scratch);
///     start += used;
///     match event {
///         Event::Request(request) => assert_eq!(request.target().path(), b"/"),
///         Event::Data(_) => {}
///         Event::Continue => connection.send_continue(&mut out),
///         Event::End(_) | Event::Answer => {
///             let date = Date::from_unix(784_111_777); // in earnest: renewed each second
///             connection.reply(Status::OK, &[], b"hello", &date, &mut out)?;
///         }
///         Event::Refused(error) => connection.refuse(error, &Date::now(), &mut out),
///         Event::More | Event::Closed | Event::Tunnel => break,
///     }
/// }
/// assert_eq!(out, b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
///     Content-Length: 5\r\n\r\nhello");
/// # Ok::<(), http1::Misuse>(())
/// ```
#[derive(Debug, Clone)]
pub struct Connection {
    reading: Reading,
    writing: Writing,
    /// Bytes of this message that have been dealt with: where errors count from.
    offset: u64,
    asked: Asked,
    version: Version,
    /// Whether another request may follow this one.
    persistent: bool,
    /// Whether the client has offered to change the protocol.
    upgrades: bool,
    /// Whether the client may still be waiting for 100 (Continue).
    awaits_continue: bool,
    /// Whether the caller has been told so.
    told: bool,
}

#[derive(Debug, Clone, Copy)]
enum Reading {
    Head(Head<RequestLine>),
    Content(Receiver),
    /// The request is complete.
    Complete,
    /// Nothing is understood any more.
    Over,
    Tunnel,
}

impl Reading {
    /// Whether no more of the request is to come.
    fn is_complete(&self) -> bool {
        matches!(self, Self::Complete | Self::Content(Receiver::Length(0)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writing {
    /// No request has come.
    Nothing,
    /// A request waits for the answer's head.
    Owed,
    Content(Sender),
    Complete,
}

impl Connection {
    /// A connection on which nothing has been said.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            reading: Reading::Head(Head::NEW),
            writing: Writing::Nothing,
            offset: 0,
            asked: Asked::Other,
            version: Version::Http11,
            persistent: true,
            upgrades: false,
            awaits_continue: false,
            told: false,
        }
    }

    /// Says what stands at the beginning of `bytes`, and how many of them it has dealt with: those
    /// are not given again, the others are, in front of what comes later.
    ///
    /// Call it until it says [`Event::More`] or one of those that want something else than bytes.
    /// `scratch` may be another one each time.
    pub fn next<'a>(&mut self, bytes: &'a [u8], scratch: &'a mut Scratch) -> (usize, Event<'a>) {
        if self.writing == Writing::Complete && matches!(self.reading, Reading::Complete) {
            match self.persistent {
                true => *self = Self::new(),
                false => self.reading = Reading::Over,
            }
        }
        match &mut self.reading {
            Reading::Head(_) if bytes.is_empty() => (0, Event::More),
            Reading::Head(head) => match Request::resume(head, bytes, scratch) {
                Ok(None) => (0, Event::More),
                Ok(Some(request)) => {
                    self.begin(&request);
                    (request.head_len(), Event::Request(request))
                }
                Err(error) => self.fail(error),
            },
            Reading::Content(receiver) => {
                if self.writing == Writing::Complete && !self.persistent {
                    self.reading = Reading::Over; // nobody waits for the rest
                    return (0, Event::Closed);
                }
                if !bytes.is_empty() {
                    self.awaits_continue = false; // it did not wait (RFC 9110 §10.1.1)
                } else if self.awaits_continue && !self.told {
                    self.told = true;
                    return (0, Event::Continue);
                }
                match receiver.next(bytes, scratch) {
                    Ok((used, piece)) => {
                        self.offset += used as u64;
                        let event = match piece {
                            Piece::More => Event::More,
                            Piece::Data(data) => Event::Data(data),
                            Piece::End(trailers) => {
                                self.reading = Reading::Complete;
                                Event::End(trailers)
                            }
                        };
                        (used, event)
                    }
                    Err(error) => self.fail(error),
                }
            }
            Reading::Complete => (0, Event::Answer),
            Reading::Over => (0, Event::Closed),
            Reading::Tunnel => (0, Event::Tunnel),
        }
    }

    #[inline]
    fn begin(&mut self, request: &Request<'_>) {
        self.reading = Reading::Content(Receiver::new(request.framing()));
        self.writing = Writing::Owed;
        self.offset = request.head_len() as u64;
        self.asked = request.method().into();
        self.version = request.version();
        self.persistent &= request.is_persistent();
        self.upgrades = request.offers_upgrade();
        self.awaits_continue = request.expects_continue();
        self.told = false;
    }

    #[cold]
    fn fail<'a>(&mut self, error: Error) -> (usize, Event<'a>) {
        self.reading = Reading::Over;
        self.persistent = false;
        (0, Event::Refused(error.behind(self.offset)))
    }

    /// The client will send no more: `rest` is what was left over when [`next`](Self::next) said
    /// [`Event::More`] for the last time. It may still read: what is owed to it can be sent.
    pub fn end_of_input(&mut self, rest: &[u8]) -> Event<'static> {
        match self.reading {
            Reading::Head(_) if rest.is_empty() || rest == b"\r\n" => {
                self.reading = Reading::Over;
                Event::Closed
            }
            Reading::Head(_) | Reading::Content(_) => {
                self.fail(Error::new(What::CutOff, rest.len())).1
            }
            Reading::Complete if self.writing != Writing::Complete => {
                self.persistent = false;
                Event::Answer
            }
            Reading::Complete | Reading::Over => Event::Closed,
            Reading::Tunnel => Event::Tunnel,
        }
    }

    /// Gives the client leave to send its content: 100 (Continue).
    pub fn send_continue(&mut self, to: &mut Vec<u8>) {
        if self.awaits_continue && self.writing == Writing::Owed {
            to.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.awaits_continue = false;
    }

    /// Makes the current answer, or the next if none is due, the connection's last; it says so.
    pub fn close_after_answer(&mut self) {
        self.persistent = false;
    }

    /// Begins the answer: appends its head. Content follows by [`data`](Self::data), or by the
    /// caller's own means ([`sent`](Self::sent)), and then [`end`](Self::end).
    ///
    /// An interim answer (1xx but 101) has no content, and the answer is still owed; a client of
    /// HTTP/1.0 gets none (RFC 9110 §15.2). 101, and 2xx to CONNECT, turn the connection into a
    /// tunnel, once the request is complete. Behind an answer that comes while the client waits for 100 (Continue), the connection
    /// is closed: nobody knows whether the content will come.
    ///
    /// # Errors
    ///
    /// When no answer is owed, or not this one: a tunnel before the request is complete, 101 that the
    /// client has not offered ([`Request::offers_upgrade`]). When a field is among those that the connection writes itself, or
    /// when an answer that has no content is given some. Then nothing was appended.
    pub fn answer(
        &mut self,
        answer: &Answer<'_>,
        date: &Date,
        to: &mut Vec<u8>,
    ) -> Result<(), Misuse> {
        let Answer {
            status,
            fields,
            length,
        } = *answer;
        if self.writing != Writing::Owed {
            return Err(Misuse::OutOfTurn);
        }
        let mut dated = false;
        for field in fields {
            if body::is_framing(field.name()) {
                return Err(Misuse::FramingField);
            }
            dated |= field.is("date");
        }
        let tunnel = status == Status::SWITCHING_PROTOCOLS
            || self.asked == Asked::Connect && status.is_success();
        if tunnel && !self.reading.is_complete()
            || status == Status::SWITCHING_PROTOCOLS && !self.upgrades
        {
            return Err(Misuse::OutOfTurn);
        }
        if (tunnel || status.is_empty() && status != Status::NOT_MODIFIED)
            && length != Length::Known(0)
        {
            return Err(Misuse::WrongLength);
        }
        if status.is_interim() {
            if self.version == Version::Http11 {
                status_line(status, to);
                fields.iter().for_each(|field| field.emit(to));
                to.extend_from_slice(b"\r\n");
            }
            return Ok(());
        }

        let until_close = length == Length::Unknown && self.version == Version::Http10;
        self.persistent &= !self.awaits_continue && !until_close;
        status_line(status, to);
        if !dated {
            to.extend_from_slice(b"Date: ");
            to.extend_from_slice(date.as_bytes());
            to.extend_from_slice(b"\r\n");
        }
        for field in fields {
            field.emit(to);
        }
        // 204 and tunnels have no length, 304 that of an answer which is not this one (RFC 9110 §8.6).
        let empty = tunnel || status.is_empty();
        let sender = match length {
            _ if empty => Sender::Withheld(match length {
                Length::Known(length) => length,
                Length::Unknown => 0,
            }),
            Length::Known(length) => {
                to.extend_from_slice(b"Content-Length: ");
                body::decimal(length, to);
                to.extend_from_slice(b"\r\n");
                match self.asked {
                    Asked::Head => Sender::Withheld(length),
                    _ => Sender::Length(length),
                }
            }
            Length::Unknown if self.version == Version::Http11 => {
                to.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
                match self.asked {
                    Asked::Head => Sender::WithheldUnknown,
                    _ => Sender::Chunked,
                }
            }
            Length::Unknown if self.asked == Asked::Head => Sender::WithheldUnknown,
            Length::Unknown => Sender::UntilClose,
        };
        to.extend_from_slice(match (tunnel, self.persistent, self.version) {
            (true, ..) if status == Status::SWITCHING_PROTOCOLS => b"Connection: upgrade\r\n\r\n",
            (true, ..) | (false, true, Version::Http11) => b"\r\n",
            (false, true, Version::Http10) => b"Connection: keep-alive\r\n\r\n",
            (false, false, _) => b"Connection: close\r\n\r\n",
        });
        if tunnel {
            self.reading = Reading::Tunnel;
            self.writing = Writing::Complete;
        } else {
            self.writing = Writing::Content(sender);
        }
        Ok(())
    }

    /// Appends a part of the answer's content with its framing; nothing, if the client must not get
    /// it (HEAD, 204, 304).
    ///
    /// # Errors
    ///
    /// When no answer has begun, or when that is more than it has announced. Then nothing was
    /// appended.
    pub fn data(&mut self, data: &[u8], to: &mut Vec<u8>) -> Result<(), Misuse> {
        self.sender()?.data(data, to)
    }

    /// Counts a part of the answer's content that the caller sends by its own means, out of a file
    /// for example. Ask [`sends_content`](Self::sends_content) before.
    ///
    /// # Errors
    ///
    /// When no answer has begun, when that is more than it has announced, or when the content is
    /// sent in chunks.
    pub fn sent(&mut self, len: u64) -> Result<(), Misuse> {
        self.sender()?.count(len)
    }

    /// Whether the answer that has begun has content which is sent, rather than only announced.
    #[must_use]
    pub fn sends_content(&self) -> bool {
        matches!(self.writing, Writing::Content(sender) if sender.is_sent())
    }

    /// Ends the answer. Only an answer in chunks can have trailers.
    ///
    /// # Errors
    ///
    /// When no answer has begun, or when it has announced more content: then the connection can only
    /// be cut off.
    pub fn end(&mut self, trailers: &[Field<'_>], to: &mut Vec<u8>) -> Result<(), Misuse> {
        if trailers.iter().any(|field| body::is_framing(field.name())) {
            return Err(Misuse::FramingField);
        }
        self.sender()?.end(trailers, to)?;
        self.writing = Writing::Complete;
        Ok(())
    }

    fn sender(&mut self) -> Result<&mut Sender, Misuse> {
        match &mut self.writing {
            Writing::Content(sender) => Ok(sender),
            _ => Err(Misuse::OutOfTurn),
        }
    }

    /// Appends a whole answer.
    ///
    /// # Errors
    ///
    /// As [`answer`](Self::answer).
    pub fn reply(
        &mut self,
        status: Status,
        fields: &[Field<'_>],
        content: &[u8],
        date: &Date,
        to: &mut Vec<u8>,
    ) -> Result<(), Misuse> {
        let length = Length::Known(content.len() as u64);
        self.answer(
            &Answer {
                status,
                fields,
                length,
            },
            date,
            to,
        )?;
        if self.writing == Writing::Complete {
            return Ok(()); // a tunnel
        }
        self.data(content, to)?;
        self.end(&[], to)
    }

    /// Appends the answer to what is no request: its status, and the reason as text. Nothing, if
    /// another answer has begun: then the client learns it from the connection's end.
    pub fn refuse(&mut self, error: Error, date: &Date, to: &mut Vec<u8>) {
        self.reading = Reading::Over;
        self.persistent = false;
        if matches!(self.writing, Writing::Content(_) | Writing::Complete) {
            return;
        }
        self.writing = Writing::Complete;
        let text = error.to_string();
        status_line(error.status(), to);
        to.extend_from_slice(b"Date: ");
        to.extend_from_slice(date.as_bytes());
        to.extend_from_slice(b"\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ");
        body::decimal(text.len() as u64 + 1, to);
        to.extend_from_slice(b"\r\nConnection: close\r\n\r\n");
        if self.asked != Asked::Head {
            to.extend_from_slice(text.as_bytes());
            to.push(b'\n');
        }
    }

    /// What the connection is waiting for.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match (&self.reading, self.writing) {
            (Reading::Over | Reading::Tunnel, _) => Phase::Over,
            (Reading::Head(head), _) if head.is_new() => Phase::Idle,
            (Reading::Head(_), _) => Phase::Head,
            (Reading::Content(_), _) => Phase::Content,
            (Reading::Complete, Writing::Complete) if self.persistent => Phase::Idle,
            (Reading::Complete, Writing::Complete) => Phase::Over,
            (Reading::Complete, _) => Phase::Answer,
        }
    }

    /// Whether another request may follow the current one.
    #[must_use]
    pub const fn is_persistent(&self) -> bool {
        self.persistent
    }

    /// Whether an answer is owed that has not begun.
    #[must_use]
    pub fn owes_answer(&self) -> bool {
        self.writing == Writing::Owed
    }
}

impl Default for Connection {
    fn default() -> Self {
        Self::new()
    }
}

/// Appends a status line.
fn status_line(status: Status, to: &mut Vec<u8>) {
    match status.line() {
        Some(line) => to.extend_from_slice(line.as_bytes()),
        None => {
            to.extend_from_slice(b"HTTP/1.1 ");
            body::decimal(status.code().into(), to);
            to.extend_from_slice(b" \r\n"); // the space stays, the phrase may go (RFC 9112 §4)
        }
    }
}
