//! A client that asks, waits for the answer, and keeps the bytes of both.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use http1::client::{Connection, Event};
use http1::{Field, Length, Limits, Method, Misuse, Scratch, Status, Target};

/// How long an answer may keep it waiting.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The longest content that it takes, in bytes: it is kept in memory.
pub const MAX_CONTENT: u64 = 64 << 20;

/// How much is read at once, in bytes.
const READ_LEN: usize = 16 * 1024;

/// A connection to a server.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    host: String,
    http: Connection,
    scratch: Scratch,
    /// What has come, from the beginning of an answer on.
    received: Vec<u8>,
}

/// A request and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The request's bytes.
    pub request: Vec<u8>,
    /// The answer's bytes.
    pub response: Vec<u8>,
    /// What became of the request.
    pub status: Status,
    /// The answer's fields, in their order.
    pub fields: Vec<(String, String)>,
    /// The answer's content.
    pub content: Vec<u8>,
}

impl Exchange {
    /// The value of the first field of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut named = self.fields.iter();
        let (_, value) = named.find(|(field, _)| field.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// The content, as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    ///
    /// When nobody listens there.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect(address)?)
    }

    /// Goes on with a connection that there is.
    ///
    /// # Errors
    ///
    /// When it is no longer one.
    pub fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            host: stream.peer_addr()?.to_string(),
            stream,
            http: Connection::new(),
            scratch: Scratch::new(Limits {
                body: MAX_CONTENT,
                ..Limits::DEFAULT
            }),
            received: Vec::new(),
        })
    }

    /// The connection itself.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether another request can follow.
    #[must_use]
    pub fn is_persistent(&self) -> bool {
        self.http.is_persistent()
    }

    /// Sends a request and waits for the answer.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when a method, target or field is none; else as [`answer`](Self::answer).
    pub fn ask(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        content: Option<&[u8]>,
    ) -> io::Result<Exchange> {
        let request = self.request(method, target, fields, content)?;
        self.stream.write_all(&request)?;
        self.answer(request)
    }

    /// The bytes of a request, which are yet to be sent: to [`stream`](Self::stream).
    ///
    /// # Errors
    ///
    /// `InvalidInput` when it cannot be written, or not now.
    pub fn request(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        content: Option<&[u8]>,
    ) -> io::Result<Vec<u8>> {
        let method = Method::new(method.as_bytes()).map_err(invalid)?;
        let target = Target::new(target.as_bytes(), method).map_err(invalid)?;
        let host = Field::new(b"Host", self.host.as_bytes()).map_err(invalid)?;
        let mut all = vec![host];
        for (name, value) in fields {
            all.push(Field::new(name.as_bytes(), value.as_bytes()).map_err(invalid)?);
        }
        let length = content.map(|content| Length::Known(content.len() as u64));
        let mut out = Vec::new();
        let misuse = |error: Misuse| io::Error::new(ErrorKind::InvalidInput, error);
        self.http
            .request(method, target, &all, length, &mut out)
            .map_err(misuse)?;
        if let Some(content) = content {
            self.http.data(content, &mut out).map_err(misuse)?;
            self.http.end(&[], &mut out).map_err(misuse)?;
        }
        Ok(out)
    }

    /// Waits for the answer to a request that was sent. Interim answers are passed over.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when the connection ends before, `WouldBlock` or `TimedOut` when nothing comes
    /// within [`PATIENCE`], `InvalidData` when it is no HTTP.
    pub fn answer(&mut self, request: Vec<u8>) -> io::Result<Exchange> {
        let (mut used, mut begins_at) = (0, 0);
        let mut head = None;
        let mut content = Vec::new();
        loop {
            let (len, event) = self.http.next(&self.received[used..], &mut self.scratch);
            let at = used;
            used += len;
            match event {
                Event::More => {
                    let filled = self.received.len();
                    self.received.resize(filled + READ_LEN, 0);
                    let read = self.stream.read(&mut self.received[filled..]);
                    self.received
                        .truncate(filled + read.as_ref().map_or(0, |read| *read));
                    match read {
                        Ok(0) => match self.http.end_of_input(&self.received[used..]) {
                            Event::End(_) => break,
                            _ => return Err(ErrorKind::UnexpectedEof.into()),
                        },
                        // With a time limit on it, a read is not begun again after a signal, signal(7).
                        Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                        _ => {}
                    }
                }
                Event::Response(response) if response.status().is_interim() => {}
                Event::Response(response) => {
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    let fields = response.fields();
                    let fields = fields
                        .iter()
                        .map(|field| (text(field.name()), text(field.value())));
                    head = Some((response.status(), fields.collect()));
                    begins_at = at;
                }
                Event::Data(data) => content.extend_from_slice(data),
                Event::End(_) => break,
                Event::Refused(error) => return Err(io::Error::new(ErrorKind::InvalidData, error)),
                Event::Closed | Event::Tunnel => return Err(ErrorKind::UnexpectedEof.into()),
            }
        }
        let rest = self.received.split_off(used);
        let mut response = std::mem::replace(&mut self.received, rest);
        response.drain(..begins_at);
        let (status, fields) = head.ok_or(ErrorKind::InvalidData)?;
        Ok(Exchange {
            request,
            response,
            status,
            fields,
            content,
        })
    }
}

fn invalid(error: http1::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, error)
}
