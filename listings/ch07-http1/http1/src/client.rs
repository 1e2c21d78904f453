//! A client's end of a connection.

use crate::Status;
use crate::body::{self, Length, Misuse, Receiver, Sender};
use crate::chunked::Piece;
use crate::error::{Error, What};
use crate::field::{Field, Fields, Scratch};
use crate::head::Head;
use crate::request::{Method, Target};
use crate::response::{Asked, Response, StatusLine};

/// What has come over a connection.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// Nothing: read more from the socket, and call again with what was left over and what came.
    More,
    /// The head of a response, to the first request that waits for one. If its status is interim,
    /// another head follows it; else its content, if it has any, and then [`Event::End`].
    Response(Response<'a>),
    /// A part of the content.
    Data(&'a [u8]),
    /// The response is complete. Trailer fields must be kept apart from the head's.
    End(Fields<'a>),
    /// This is no response: close the connection. A proxy answers its own client with 502.
    Refused(Error),
    /// No further response comes over this connection, and no further request should go: close it.
    Closed,
    /// The bytes from here on are no longer HTTP: CONNECT or an upgrade has succeeded.
    Tunnel,
}

/// How many requests may wait for their responses (pipelining, RFC 9112 §9.3.2). Servers take a
/// request at a time, so more of them would only fill buffers.
pub const MAX_OUTSTANDING: usize = 64;

/// A client's end of a connection. It knows no socket, no buffer and no clock.
///
/// ```
/// use http1::client::{Connection, Event};
/// use http1::{Field, Length, Method, Scratch, Status, Target};
///
/// let (mut connection, mut scratch) = (Connection::new(), Scratch::default());
/// const HOST: Field = Field::literal("Host", "example.com");
/// let mut out = Vec::new();
/// connection.request(Method::Get, Target::Origin(b"/"), &[HOST], None, &mut out)?;
/// assert_eq!(out, b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
///
/// let received = b"HTTP/1.1 204 No Content\r\n\r\n";
/// let (used, event) = connection.next(received, &mut scratch);
/// assert!(matches!(event, Event::Response(response) if response.status() == Status::NO_CONTENT));
/// assert!(matches!(connection.next(&received[used..], &mut scratch), (0, Event::End(_))));
/// # Ok::<(), http1::Misuse>(())
/// ```
#[derive(Debug, Clone)]
pub struct Connection {
    reading: Reading,
    /// The content of the last request, if it is not complete.
    writing: Option<Sender>,
    /// Bytes of this response that have been dealt with: where errors count from.
    offset: u64,
    outstanding: Outstanding,
    /// Whether the server lets further responses follow.
    persistent: bool,
    /// Whether the caller wants no further request.
    last: bool,
}

#[derive(Debug, Clone, Copy)]
enum Reading {
    Head(Head<StatusLine>),
    Content(Receiver),
    Over,
    Tunnel,
}

/// What those requests were that wait for a response, the first one in the lowest bits.
#[derive(Debug, Clone, Copy, Default)]
struct Outstanding {
    head: u64,
    connect: u64,
    count: usize,
}

impl Outstanding {
    fn push(&mut self, asked: Asked) {
        self.head |= u64::from(asked == Asked::Head) << self.count;
        self.connect |= u64::from(asked == Asked::Connect) << self.count;
        self.count += 1;
    }

    fn first(&self) -> Option<Asked> {
        match (self.head & 1, self.connect & 1) {
            _ if self.count == 0 => None,
            (1, _) => Some(Asked::Head),
            (_, 1) => Some(Asked::Connect),
            _ => Some(Asked::Other),
        }
    }

    fn pop(&mut self) {
        self.head >>= 1;
        self.connect >>= 1;
        self.count = self.count.saturating_sub(1);
    }
}

impl Connection {
    /// A connection on which nothing has been said.
    #[must_use]
    pub fn new() -> Self {
        Self {
            reading: Reading::Head(Head::NEW),
            writing: None,
            offset: 0,
            outstanding: Outstanding::default(),
            persistent: true,
            last: false,
        }
    }

    /// Begins a request: appends its head. `length` is that of its content; without, it has none,
    /// and is complete. The fields must have Host, once; `Connection: close` is written when
    /// [`close_after_request`](Self::close_after_request) has been called.
    ///
    /// Several may be sent before the first is answered: their responses come in the same order.
    ///
    /// # Errors
    ///
    /// When the request before it is not complete, when the connection is to be closed, when too many
    /// wait for their response, or when a field is missing or not the caller's to write. Then nothing
    /// was appended.
    pub fn request(
        &mut self,
        method: Method<'_>,
        target: Target<'_>,
        fields: &[Field<'_>],
        length: Option<Length>,
        to: &mut Vec<u8>,
    ) -> Result<(), Misuse> {
        if self.writing.is_some() || matches!(self.reading, Reading::Over | Reading::Tunnel) {
            return Err(Misuse::OutOfTurn);
        }
        if self.outstanding.count == MAX_OUTSTANDING {
            return Err(Misuse::TooManyRequests);
        }
        if fields.iter().any(|field| body::is_framing(field.name())) {
            return Err(Misuse::FramingField);
        }
        if fields.iter().filter(|field| field.is("host")).count() != 1 {
            return Err(Misuse::Host);
        }
        to.extend_from_slice(method.as_bytes());
        to.push(b' ');
        to.extend_from_slice(target.as_bytes());
        to.extend_from_slice(b" HTTP/1.1\r\n");
        for field in fields {
            field.emit(to);
        }
        match length {
            None => {}
            Some(Length::Known(length)) => {
                to.extend_from_slice(b"Content-Length: ");
                body::decimal(length, to);
                to.extend_from_slice(b"\r\n");
                self.writing = Some(Sender::Length(length));
            }
            Some(Length::Unknown) => {
                to.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
                self.writing = Some(Sender::Chunked);
            }
        }
        to.extend_from_slice(match self.last {
            false => b"\r\n",
            true => b"Connection: close\r\n\r\n",
        });
        self.outstanding.push(method.into());
        Ok(())
    }

    /// Appends a part of the request's content with its framing.
    ///
    /// # Errors
    ///
    /// When no request has content to come, or when that is more than was announced.
    pub fn data(&mut self, data: &[u8], to: &mut Vec<u8>) -> Result<(), Misuse> {
        self.writing
            .as_mut()
            .ok_or(Misuse::OutOfTurn)?
            .data(data, to)
    }

    /// Counts a part of the request's content that the caller sends by its own means.
    ///
    /// # Errors
    ///
    /// As [`data`](Self::data), and when the content is sent in chunks.
    pub fn sent(&mut self, len: u64) -> Result<(), Misuse> {
        self.writing.as_mut().ok_or(Misuse::OutOfTurn)?.count(len)
    }

    /// Ends the content of a request that has some. Only one in chunks can have trailers.
    ///
    /// # Errors
    ///
    /// When there is no such request, or when it has announced more content.
    pub fn end(&mut self, trailers: &[Field<'_>], to: &mut Vec<u8>) -> Result<(), Misuse> {
        if trailers.iter().any(|field| body::is_framing(field.name())) {
            return Err(Misuse::FramingField);
        }
        self.writing
            .as_mut()
            .ok_or(Misuse::OutOfTurn)?
            .end(trailers, to)?;
        self.writing = None;
        Ok(())
    }

    /// Makes the next request the connection's last; it says so.
    pub fn close_after_request(&mut self) {
        self.last = true;
    }

    /// Says what stands at the beginning of `bytes`, and how many of them it has dealt with: those
    /// are not given again, the others are, in front of what comes later.
    pub fn next<'a>(&mut self, bytes: &'a [u8], scratch: &'a mut Scratch) -> (usize, Event<'a>) {
        match &mut self.reading {
            Reading::Head(_) if bytes.is_empty() => (0, Event::More),
            Reading::Head(head) => {
                let Some(asked) = self.outstanding.first() else {
                    return self.fail(Error::new(What::Unasked, 0));
                };
                match Response::resume(head, bytes, asked, scratch) {
                    Ok(None) => (0, Event::More),
                    Ok(Some(response)) => {
                        self.begin(&response, asked);
                        (response.head_len(), Event::Response(response))
                    }
                    Err(error) => self.fail(error),
                }
            }
            Reading::Content(receiver) => match receiver.next(bytes, scratch) {
                Ok((used, piece)) => {
                    self.offset += used as u64;
                    let event = match piece {
                        Piece::More => Event::More,
                        Piece::Data(data) => Event::Data(data),
                        Piece::End(trailers) => {
                            self.complete();
                            Event::End(trailers)
                        }
                    };
                    (used, event)
                }
                Err(error) => self.fail(error),
            },
            Reading::Over => (0, Event::Closed),
            Reading::Tunnel => (0, Event::Tunnel),
        }
    }

    fn begin(&mut self, response: &Response<'_>, asked: Asked) {
        let status = response.status();
        if status.is_interim() {
            self.reading = Reading::Head(Head::NEW);
            return;
        }
        if status == Status::SWITCHING_PROTOCOLS || asked == Asked::Connect && status.is_success() {
            self.reading = Reading::Tunnel;
            return;
        }
        self.offset = response.head_len() as u64;
        self.persistent &= response.is_persistent();
        self.reading = Reading::Content(Receiver::new(response.framing()));
    }

    fn complete(&mut self) {
        self.offset = 0;
        self.outstanding.pop();
        self.reading = match self.persistent && !(self.last && self.outstanding.count == 0) {
            true => Reading::Head(Head::NEW),
            false => Reading::Over,
        };
    }

    fn fail<'a>(&mut self, error: Error) -> (usize, Event<'a>) {
        self.reading = Reading::Over;
        self.persistent = false;
        (0, Event::Refused(error.behind(self.offset)))
    }

    /// The server will send no more: `rest` is what was left over when [`next`](Self::next) said
    /// [`Event::More`] for the last time. Ends a response that goes until then.
    pub fn end_of_input(&mut self, rest: &[u8]) -> Event<'static> {
        match &self.reading {
            Reading::Content(receiver) if receiver.ends_with_connection() => {
                self.reading = Reading::Over;
                self.outstanding.pop();
                Event::End(Fields::default())
            }
            Reading::Head(_) if rest.is_empty() && self.outstanding.count == 0 => {
                self.reading = Reading::Over;
                Event::Closed
            }
            Reading::Head(_) | Reading::Content(_) => {
                self.fail(Error::new(What::CutOff, rest.len())).1
            }
            Reading::Over => Event::Closed,
            Reading::Tunnel => Event::Tunnel,
        }
    }

    /// How many requests have no complete response: after [`Event::Closed`], those that must be sent
    /// again on another connection, if they may (RFC 9112 §9.3.1).
    #[must_use]
    pub const fn outstanding(&self) -> usize {
        self.outstanding.count
    }

    /// Whether another request may be sent now or, if one is under way, behind it.
    #[must_use]
    pub fn is_persistent(&self) -> bool {
        self.persistent && !self.last && !matches!(self.reading, Reading::Over | Reading::Tunnel)
    }
}

impl Default for Connection {
    fn default() -> Self {
        Self::new()
    }
}
