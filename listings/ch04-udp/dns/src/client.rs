//! The resolver's sockets: a new one for each query.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use udp_dns_message::{MAX_MESSAGE_LEN, NameBuf, Type, frame};

use crate::Transport;
use crate::random::Random;
use crate::resolver::{Accepted, Answer, Config, Failure, Lookup, Query, Refusal, Step};

/// Something that happens on the way to an answer, for whoever wants to watch.
#[derive(Debug)]
pub enum Event<'a> {
    /// A query goes out.
    Sent(&'a Query),
    /// Nothing came in time.
    TimedOut,
    /// Nobody is there, as the network says, or the connection broke.
    Unreachable(ErrorKind),
    /// A message arrived that is no answer.
    Refused(Refusal),
    /// An answer arrived.
    Accepted(Accepted),
}

// ANCHOR: resolve
/// Finds the records of this type that the name has, and tells `watch` what happens meanwhile.
///
/// # Errors
///
/// [`Failure`] says why there is no answer, be it a bad one.
pub fn resolve(
    name: NameBuf,
    qtype: Type,
    config: Config,
    random: impl Random,
    mut watch: impl FnMut(Event),
) -> Result<Answer, Failure> {
    let started = Instant::now();
    let mut lookup = Lookup::new(name, qtype, config, random);
    let mut buffer = vec![0; frame::PREFIX_LEN + MAX_MESSAGE_LEN];
    let mut socket = closed();
    loop {
        match lookup.poll(started.elapsed()) {
            Step::Done(result) => return result,
            Step::Send { query, until } => {
                watch(Event::Sent(&query));
                // First close the old one: a late answer to the query before is to find nobody.
                drop(std::mem::replace(&mut socket, closed()));
                socket = Socket::open(&query, until.saturating_sub(started.elapsed()));
            }
            Step::Wait(until) => {
                let left = until.saturating_sub(started.elapsed());
                let received = match &mut socket {
                    Ok(socket) => socket.receive(&mut buffer, left),
                    Err(error) => Err(error.kind().into()),
                };
                match received {
                    Ok((from, message)) => match lookup.received(from, message) {
                        Ok(accepted) => watch(Event::Accepted(accepted)),
                        Err(refusal) => watch(Event::Refused(refusal)),
                    },
                    Err(error) if is_timeout(error.kind()) => {
                        if started.elapsed() >= until {
                            watch(Event::TimedOut);
                        }
                    }
                    Err(error) => {
                        watch(Event::Unreachable(error.kind()));
                        lookup.unreachable();
                    }
                }
            }
        }
    }
}
// ANCHOR_END: resolve

fn closed() -> io::Result<Socket> {
    Err(ErrorKind::NotConnected.into())
}

fn is_timeout(kind: ErrorKind) -> bool {
    use ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(kind, Interrupted | TimedOut | WouldBlock)
}

/// The socket of one query.
enum Socket {
    Udp(UdpSocket, SocketAddr),
    Tcp {
        stream: TcpStream,
        server: SocketAddr,
        /// How much of the answer is in the buffer.
        len: usize,
    },
}

impl Socket {
    // ANCHOR: open
    /// Opens a socket and sends the query; a connection is waited for no longer than that.
    fn open(query: &Query, wait: Duration) -> io::Result<Self> {
        let server = query.server;
        match query.transport {
            Transport::Udp => {
                let any: IpAddr = match server {
                    SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                    SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
                };
                let socket = UdpSocket::bind((any, 0))?; // the kernel draws a port
                socket.connect(server)?; // and hands over only what comes from the server's
                socket.send(&query.bytes)?;
                Ok(Self::Udp(socket, server))
            }
            Transport::Tcp => {
                let mut stream = TcpStream::connect_timeout(&server, at_least(wait))?;
                let prefix = frame::prefix(query.bytes.len()).unwrap_or_default();
                // In one piece: two could travel in two segments.
                stream.write_all(&[&prefix, &query.bytes[..]].concat())?;
                Ok(Self::Tcp {
                    stream,
                    server,
                    len: 0,
                })
            }
        }
    }
    // ANCHOR_END: open

    // ANCHOR: receive
    /// Waits for the next message, no longer than that.
    fn receive<'b>(
        &mut self,
        buffer: &'b mut [u8],
        wait: Duration,
    ) -> io::Result<(SocketAddr, &'b [u8])> {
        match self {
            Self::Udp(socket, server) => {
                socket.set_read_timeout(Some(at_least(wait)))?;
                let len = socket.recv(buffer)?;
                Ok((*server, &buffer[..len]))
            }
            Self::Tcp {
                stream,
                server,
                len,
            } => {
                let until = Instant::now() + wait;
                while frame::take(&buffer[..*len]).is_none() {
                    let left = until.saturating_duration_since(Instant::now());
                    stream.set_read_timeout(Some(at_least(left)))?;
                    match stream.read(&mut buffer[*len..])? {
                        0 => return Err(ErrorKind::UnexpectedEof.into()),
                        more => *len += more,
                    }
                }
                let taken = std::mem::take(len);
                let (message, _) = frame::take(&buffer[..taken]).unwrap_or_default();
                Ok((*server, message))
            }
        }
    }
    // ANCHOR_END: receive
}

/// A timeout of zero would mean for ever.
fn at_least(wait: Duration) -> Duration {
    wait.max(Duration::from_millis(1))
}
