//! A client that sends exactly the bytes it is told to, and waits for one answer after the other: for
//! the tour, and for tests of servers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take to come. The longest wait that a route of the service makes is
/// [`MAX_SLOW`](crate::limits::MAX_SLOW).
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The longest head that an answer of the service has.
const MAX_HEAD_LEN: usize = 8 * 1024;

/// A connection to a server.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    /// Received, and not yet part of an answer.
    received: Vec<u8>,
}

/// What a server has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The status line and the fields, as they came.
    pub head: String,
    /// The content.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a field; names are in any case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// Whether the server says that this is its last answer on this connection.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.field("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
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
            stream,
            received: Vec::new(),
        })
    }

    /// The connection itself.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// When the connection has broken.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Asks for a path and waits for the answer.
    ///
    /// # Errors
    ///
    /// As [`Client::answer`].
    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(get(path))?;
        self.answer()
    }

    /// Waits for an answer to a request other than HEAD.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when the connection ends before it is complete, `WouldBlock` when it does not
    /// come within [`PATIENCE`], `InvalidData` when it is no HTTP.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let mut answer = self.answer_to_head()?;
        let length = match answer.field("content-length") {
            Some(length) => length
                .parse()
                .map_err(|_| invalid("a Content-Length that is none"))?,
            None if answer.status / 100 == 1 => 0,
            None => return Err(invalid("an answer without Content-Length")),
        };
        while self.received.len() < length {
            self.receive()?;
        }
        let rest = self.received.split_off(length);
        answer.body = std::mem::replace(&mut self.received, rest);
        Ok(answer)
    }

    /// Waits for an answer to HEAD, which has no body.
    ///
    /// # Errors
    ///
    /// As [`Client::answer`].
    pub fn answer_to_head(&mut self) -> io::Result<Answer> {
        let end = loop {
            if let Some(at) = self
                .received
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
            {
                break at + 4;
            }
            if self.received.len() > MAX_HEAD_LEN {
                return Err(invalid("an answer whose head does not end"));
            }
            self.receive()?;
        };
        let rest = self.received.split_off(end);
        let head = std::mem::replace(&mut self.received, rest);
        let head = String::from_utf8(head).map_err(|_| invalid("a head that is no text"))?;
        let status = head
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| invalid("no status line"))?;
        Ok(Answer {
            status,
            head,
            body: Vec::new(),
        })
    }

    /// Waits for the server to end the connection, and gives what came before.
    ///
    /// # Errors
    ///
    /// When it does not end it within [`PATIENCE`], or resets it.
    pub fn end(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = std::mem::take(&mut self.received);
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => {
                self.received.extend_from_slice(&buffer[..len]);
                Ok(())
            }
            // With a time limit on it, a read is not begun again after a signal, signal(7).
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// A request for a path, as short as can be.
#[must_use]
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
