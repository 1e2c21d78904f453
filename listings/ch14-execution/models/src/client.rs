//! A client that keeps a number of connections busy, from one thread.
//!
//! Closed loop: each connection asks again as soon as it has its answers, as `wrk` does. Open loop:
//! requests come due at a steady rate whatever the server does, and a request that waits for a free
//! connection has been waiting since it was due. Only so does a latency say what a user would have
//! seen: a closed loop stops asking while the server stalls.

use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, Read as _, Write as _};
use std::iter;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use exec_service::client::Client;
use http1::client::{self, Event};
use http1::{Field, Method, Scratch, Status, Target};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// What is asked, and how.
#[derive(Debug, Clone, Copy)]
pub struct Load<'a> {
    /// The path, such as `/`.
    pub path: &'a str,
    /// How many connections are kept open.
    pub connections: usize,
    /// How many requests are sent at once on each.
    pub pipelined: usize,
    /// How many requests there are in all; a multiple of `pipelined`.
    pub requests: usize,
    /// Requests in a second, in an open loop; in a closed one without.
    pub rate: Option<f64>,
}

/// What came of it.
#[derive(Debug)]
pub struct Answers {
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// From when each request was due to its answer's last byte, in ascending order.
    pub latencies: Vec<Duration>,
    /// How often the server closed a connection, which it may.
    pub closed: usize,
}

impl Answers {
    /// The latency that this share of the requests stayed below.
    pub fn percentile(&self, share: f64) -> Duration {
        let last = self.latencies.len() - 1;
        self.latencies[(last as f64 * share).round() as usize]
    }
}

/// How long nothing may happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a request is sent again, at most, because its connection had been closed.
const RETRIES: usize = 16;

/// How much is read at once, in bytes.
const READ: usize = 256 * 1024;

impl Load<'_> {
    /// Asks all of it of the server at `address`.
    ///
    /// # Errors
    ///
    /// When a connection is refused or reset, an answer is none or not 200, or nothing happens for
    /// ten seconds.
    pub fn run(&self, address: SocketAddr) -> io::Result<Answers> {
        let name = address.to_string();
        let asked = Asked {
            address,
            target: Target::new(self.path.as_bytes(), Method::Get)
                .map_err(|error| wrong(error.to_string()))?,
            host: Field::new(b"Host", name.as_bytes()).map_err(|error| wrong(error.to_string()))?,
        };
        let mut scratch = Scratch::default();
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut connections = Vec::new();
        for token in 0..self.connections {
            connections.push(Connection::new(&asked, &epoll, token)?);
        }

        let begun = Instant::now();
        let mut free: VecDeque<usize> = (0..self.connections).collect();
        let mut events = vec![EpollEvent::empty(); 256];
        let mut buffer = vec![0; READ];
        let (mut sent, mut closed) = (0, 0);
        let mut latencies = Vec::with_capacity(self.requests);
        let mut last = begun;
        while latencies.len() < self.requests {
            let now = Instant::now();
            while sent < self.requests {
                let due = match self.rate {
                    Some(rate) => begun + Duration::from_secs_f64(sent as f64 / rate),
                    None => now,
                };
                if due > now {
                    break;
                }
                let Some(token) = free.pop_front() else { break };
                let connection = &mut connections[token];
                connection.due.extend(iter::repeat_n(due, self.pipelined));
                sent += self.pipelined;
                if connection.ended {
                    closed += 1;
                    connection.open(&asked, &epoll, token)?;
                }
                connection.send(&asked, &epoll, token)?;
            }
            // An open loop looks at the clock all the time: the processor is the client's own.
            let wait = match self.rate {
                Some(_) => EpollTimeout::ZERO,
                None => EpollTimeout::from(100_u8),
            };
            let count = epoll.wait(&mut events, wait)?;
            for event in &events[..count] {
                let token = event.data() as usize;
                let connection = &mut connections[token];
                connection.receive(&mut buffer, &mut scratch, &mut latencies)?;
                if connection.ended && !connection.due.is_empty() {
                    // The server may close a connection that a request is on its way to. GET is
                    // idempotent, so it is sent again (RFC 9110 §9.2.2).
                    closed += 1;
                    connection.open(&asked, &epoll, token)?;
                    connection.send(&asked, &epoll, token)?;
                }
                if connection.due.is_empty() && (sent == self.requests || connection.ended) {
                    // Nothing more comes of it, and somebody else may wait for the server.
                    epoll.delete(&connection.stream)?;
                    connection.stream.shutdown(Shutdown::Both).ok();
                    connection.ended = true;
                }
                if connection.due.is_empty() && !connection.free {
                    connection.free = true;
                    free.push_back(token);
                }
                last = Instant::now();
            }
            if last.elapsed() > PATIENCE {
                let missing = self.requests - latencies.len();
                let complaint = format!("{missing} answers of {} did not come", self.requests);
                return Err(io::Error::new(io::ErrorKind::TimedOut, complaint));
            }
        }
        latencies.sort();
        Ok(Answers {
            elapsed: last - begun,
            latencies,
            closed,
        })
    }
}

/// What is asked of whom.
struct Asked<'a> {
    address: SocketAddr,
    target: Target<'a>,
    host: Field<'a>,
}

struct Connection {
    stream: TcpStream,
    http: client::Connection,
    /// When each request was due that has no answer yet.
    due: VecDeque<Instant>,
    /// What has come of an answer's head.
    rest: Vec<u8>,
    /// What is being sent.
    out: Vec<u8>,
    /// Whether it waits for something to send.
    free: bool,
    /// Whether the server will answer nothing more on it.
    ended: bool,
}

impl Connection {
    fn new(asked: &Asked, epoll: &Epoll, token: usize) -> io::Result<Self> {
        Ok(Self {
            stream: connect(asked.address, epoll, token)?,
            http: client::Connection::new(),
            due: VecDeque::new(),
            rest: Vec::new(),
            out: Vec::new(),
            free: true,
            ended: false,
        })
    }

    /// Begins a new connection in its place, for the same requests.
    fn open(&mut self, asked: &Asked, epoll: &Epoll, token: usize) -> io::Result<()> {
        self.stream = connect(asked.address, epoll, token)?;
        self.http = client::Connection::new();
        self.rest.clear();
        self.ended = false;
        Ok(())
    }

    /// Sends all requests that have no answer, for which an empty send buffer has room.
    fn send(&mut self, asked: &Asked, epoll: &Epoll, token: usize) -> io::Result<()> {
        self.free = false;
        for _ in 0..RETRIES {
            self.out.clear();
            for _ in &self.due {
                self.http
                    .request(
                        Method::Get,
                        asked.target,
                        &[asked.host],
                        None,
                        &mut self.out,
                    )
                    .map_err(|misuse| wrong(misuse.to_string()))?;
            }
            match self.stream.write_all(&self.out) {
                Err(error) if is_end(&error) => self.open(asked, epoll, token)?,
                sent => return sent,
            }
        }
        Err(wrong("the server closes every connection"))
    }

    fn receive(
        &mut self,
        buffer: &mut [u8],
        scratch: &mut Scratch,
        latencies: &mut Vec<Duration>,
    ) -> io::Result<()> {
        let kept = self.rest.len();
        buffer[..kept].copy_from_slice(&self.rest);
        let read = match self.stream.read(&mut buffer[kept..]) {
            Ok(0) => {
                self.ended = true;
                return Ok(());
            }
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if is_end(&error) => {
                self.ended = true;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let now = Instant::now();
        let mut bytes = &buffer[..kept + read];
        loop {
            let (used, event) = self.http.next(bytes, scratch);
            bytes = &bytes[used..];
            match event {
                Event::Response(response) if response.status() != Status::OK => {
                    return Err(wrong(format!("an answer is {}", response.status().code())));
                }
                Event::Response(_) | Event::Data(_) => {}
                Event::End(_) => {
                    let due = self.due.pop_front();
                    latencies.push(now - due.ok_or_else(|| wrong("nobody asked for an answer"))?);
                }
                Event::More => break,
                Event::Closed => {
                    self.ended = true;
                    return Ok(());
                }
                Event::Refused(error) => return Err(wrong(error.to_string())),
                Event::Tunnel => return Err(wrong("nobody asked for a tunnel")),
            }
        }
        self.rest.clear();
        self.rest.extend_from_slice(bytes);
        // The server has said that this answer is the last.
        self.ended |= self.due.is_empty() && !self.http.is_persistent();
        Ok(())
    }
}

/// Opens connections one after the other, and has each ask once.
///
/// # Errors
///
/// When one of them gets no answer.
pub fn idle_connections(address: SocketAddr, count: usize) -> io::Result<Vec<Client>> {
    let open = || {
        let mut client = Client::connect(address)?;
        client.get("/")?;
        Ok(client)
    };
    (0..count).map(|_| open()).collect()
}

fn connect(address: SocketAddr, epoll: &Epoll, token: usize) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    epoll.add(
        stream.as_fd(),
        EpollEvent::new(EpollFlags::EPOLLIN, token as u64),
    )?;
    Ok(stream)
}

/// Whether the server had closed the connection when it was used.
fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

fn wrong(what: impl Into<Box<dyn Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
