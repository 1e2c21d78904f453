//! A stack that a test drives: it holds the clock, and both ends of the wire.
//!
//! This is all that an outside test suite needs, whatever it is written for: it puts packets in,
//! takes packets out, lets time pass, and makes the user's calls.
//!
//! ```
//! use std::time::Duration;
//! use tcp_from_scratch::harness::Harness;
//! use tcp_from_scratch::{Event, State};
//! use tcp_segment::{Flags, Header, SeqNumber};
//!
//! let mut harness = Harness::new("192.0.2.1".parse()?);
//! harness.stack().listen(80, 8)?;
//!
//! // A SYN goes in, a SYN with ACK comes out.
//! let peer = "192.0.2.9:4000".parse()?;
//! let syn = Header {
//!     flags: Flags::SYN,
//!     window: 1000,
//!     ..Header::new(4000, 80, SeqNumber(100))
//! };
//! harness.put(peer, &syn, b"");
//! let answers = harness.take();
//! assert_eq!(answers[0].flags, Flags::SYN | Flags::ACK);
//! assert_eq!(answers[0].ack, SeqNumber(101));
//!
//! // Nobody answers: a second later it comes again.
//! assert!(harness.take().is_empty());
//! harness.pass(Duration::from_secs(1));
//! assert_eq!(harness.take(), answers);
//!
//! // The handshake is completed.
//! let ack = Header {
//!     flags: Flags::ACK,
//!     acknowledgment_number: answers[0].seq + 1,
//!     ..Header { sequence_number: SeqNumber(101), ..syn }
//! };
//! harness.put(peer, &ack, b"");
//! let connection = harness.stack().accept(80).expect("a connection");
//! assert_eq!(harness.stack().status(connection)?.state, State::Established);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ip_header::{Addresses, Packet, Protocol, ipv4, ipv6};
use tcp_segment::{Flags, Header, Segment, SeqNumber, TcpOption};

use crate::{Config, Secret, Stack, Time};

/// A segment that came out, with all that a test may want to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// To whom.
    pub to: SocketAddr,
    /// From which of our ports.
    pub port: u16,
    /// SEG.SEQ.
    pub seq: SeqNumber,
    /// SEG.ACK; zero without the flag.
    pub ack: SeqNumber,
    /// Control bits.
    pub flags: Flags,
    /// The window, unscaled.
    pub window: u16,
    /// The urgent pointer.
    pub urgent_pointer: u16,
    /// The segment text.
    pub text: Vec<u8>,
    /// The bytes of the options, padding included.
    pub options: Vec<u8>,
}

impl Taken {
    /// The options, read.
    ///
    /// # Panics
    ///
    /// When they cannot be read: our own can.
    #[must_use]
    pub fn options(&self) -> Vec<TcpOption<'_>> {
        let options = tcp_segment::Options::new(&self.options).expect("whole words");
        options
            .iter()
            .map(|option| option.expect("an option"))
            .collect()
    }
}

/// A [`Stack`] with one address, a clock that starts at zero, and a wire.
#[derive(Debug)]
pub struct Harness {
    stack: Stack,
    ip: IpAddr,
    now: Time,
    buffer: Vec<u8>,
}

impl Harness {
    /// A stack with this address, the default [`Config`], and always the same secret.
    #[must_use]
    pub fn new(ip: IpAddr) -> Self {
        Self::with(Config::default(), ip)
    }

    /// A stack with another [`Config`].
    #[must_use]
    pub fn with(config: Config, ip: IpAddr) -> Self {
        Self {
            stack: Stack::new(config, Secret([7; 16]), &[ip]),
            ip,
            now: Time::ZERO,
            buffer: vec![0; usize::from(config.mtu)],
        }
    }

    /// The stack, for the user's calls: listen, connect, accept, send, receive, close, abort, status,
    /// event.
    pub fn stack(&mut self) -> &mut Stack {
        &mut self.stack
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// Lets time pass. What is due by then happens with the next [`take`](Self::take).
    pub fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// When the stack wants to be asked again ([`Stack::next_timeout`]).
    #[must_use]
    pub fn next_timeout(&self) -> Option<Time> {
        self.stack.next_timeout()
    }

    /// Lets time pass up to the next timeout, if there is one.
    pub fn pass_to_timeout(&mut self) -> bool {
        let next = self.stack.next_timeout();
        self.now = self.now.max(next.unwrap_or(self.now));
        next.is_some()
    }

    /// Puts a segment in, as if `from` had sent it; its ports stand in `header`.
    ///
    /// # Panics
    ///
    /// When it makes no packet: it is too long, or `from` is of another version than the stack.
    pub fn put(&mut self, from: SocketAddr, header: &Header, text: &[u8]) {
        let packet = packet(from.ip(), self.ip, header, text);
        self.put_packet(&packet);
    }

    /// Puts in any bytes at all, as a packet.
    pub fn put_packet(&mut self, packet: &[u8]) {
        self.stack.arrives(self.now, packet);
    }

    /// Takes out all segments that the stack sends now.
    ///
    /// # Panics
    ///
    /// When one of them is broken.
    pub fn take(&mut self) -> Vec<Taken> {
        let mut taken = Vec::new();
        while let Some(packet) = self.take_packet() {
            taken.push(read(&packet));
        }
        taken
    }

    /// Takes out the next packet, from the IP header on.
    pub fn take_packet(&mut self) -> Option<Vec<u8>> {
        let len = self.stack.transmit(self.now, &mut self.buffer)?;
        Some(self.buffer[..len].to_vec())
    }
}

/// A packet with this segment.
fn packet(source: IpAddr, destination: IpAddr, header: &Header, text: &[u8]) -> Vec<u8> {
    let len = header.header_len() + text.len();
    let mut packet;
    let (addresses, at) = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            packet = vec![0; ipv4::HEADER_LEN + len];
            let ip = ipv4::Header::new(Protocol::TCP, source, destination);
            ip.emit(&mut packet).expect("a segment that fits");
            (ip.addresses(), ipv4::HEADER_LEN)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            packet = vec![0; ipv6::HEADER_LEN + len];
            let ip = ipv6::Header::new(Protocol::TCP, source, destination);
            ip.emit(&mut packet).expect("a segment that fits");
            (ip.addresses(), ipv6::HEADER_LEN)
        }
        _ => panic!("{source} and {destination} are not of one version"),
    };
    let segment = &mut packet[at..];
    segment[header.header_len()..].copy_from_slice(text);
    header
        .emit(segment, addresses)
        .expect("a segment that fits");
    packet
}

/// A packet as a test wants to see it.
///
/// # Panics
///
/// When it is broken.
#[must_use]
pub fn read(packet: &[u8]) -> Taken {
    let packet = Packet::parse(packet).expect("a packet of ours is right");
    let addresses = packet.addresses();
    let upper = packet.upper_layer().expect("a packet of ours is right");
    let segment = Segment::parse(upper.bytes, addresses).expect("a segment of ours is right");
    let header = segment.header();
    let ip = match addresses {
        Addresses::V4 { destination, .. } => destination.into(),
        Addresses::V6 { destination, .. } => destination.into(),
    };
    Taken {
        to: SocketAddr::new(ip, header.destination_port),
        port: header.source_port,
        seq: header.sequence_number,
        ack: header.acknowledgment_number,
        flags: header.flags,
        window: header.window,
        urgent_pointer: header.urgent_pointer,
        text: segment.payload().to_vec(),
        options: header.options.as_bytes().to_vec(),
    }
}
