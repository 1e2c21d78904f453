//! What makes kernels send ICMP messages.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use ip_header::{Addresses, Packet, Protocol};
use ip_icmp::{Echo, icmpv4, icmpv6};
use lab::{Host, Lab, Link};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::linux::Result;

/// How long to wait for what should be there after some milliseconds.
const DEADLINE: Duration = Duration::from_secs(10);

/// What the second link carries at most: less than Ethernet's 1,500 bytes, as a tunnel would.
const NARROW: usize = 1400;

/// The ports: the client's, and one of the server's that nobody has.
const FROM: u16 = 50_000;
const TO: u16 = 33_434;

/// A datagram that fits, and one that fills a packet of 1,500 bytes over IPv4 and one of 1,520 over
/// IPv6, which the first link carries, too.
const SMALL: &[u8] = b"hello, ICMP";
const LARGE: [u8; 1472] = [b'x'; 1472];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub fn name(self) -> &'static str {
        match self {
            Self::V4 => "v4",
            Self::V6 => "v6",
        }
    }

    pub fn heading(self) -> &'static str {
        match self {
            Self::V4 => "Over IPv4: ICMP",
            Self::V6 => "Over IPv6: ICMPv6",
        }
    }

    fn address(self, host: &Host) -> IpAddr {
        match self {
            Self::V4 => host.v4().into(),
            Self::V6 => host.v6().into(),
        }
    }
}

/// A client, a router that is a Linux kernel, and a server.
pub struct Network {
    lab: Lab,
    client: Host,
    server: Host,
}

/// The names of the messages, in the order in which they are provoked.
const MESSAGES: [&str; 5] = [
    "echo",
    "echo reply",
    "port unreachable",
    "time exceeded",
    "too big",
];

impl Network {
    pub fn start() -> Result<Self> {
        let mut builder = Lab::builder();
        let client = builder.host("client");
        let router = builder.gateway("router");
        let server = builder.host("server");
        // Room for the longest packet of the client, so that it is the router that has to refuse it.
        let wide = || Link::new().mtu(1600);
        let narrow = || Link::new().mtu(NARROW);
        builder.link(client, router, wide(), wide());
        builder.link(router, server, narrow(), narrow());
        let lab = builder.start()?;
        let (client, server) = (lab.host(client), lab.host(server));
        Ok(Self {
            lab,
            client,
            server,
        })
    }

    // ANCHOR: echo
    /// Sends an echo request that this program has made, and waits for the reply of the server's
    /// kernel.
    pub fn echo(&self, family: Family) -> Result<()> {
        let [source, destination] = [&self.client, &self.server].map(|host| family.address(host));
        let echo = Echo {
            identifier: 792,
            sequence: 1,
        };
        let mut message = [0; ip_icmp::HEADER_LEN + SMALL.len()];
        message[ip_icmp::HEADER_LEN..].copy_from_slice(SMALL);
        let (domain, protocol) = match (source, destination) {
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let addresses = Addresses::V6 {
                    source,
                    destination,
                };
                icmpv6::Header::EchoRequest(echo).emit(addresses, &mut message)?;
                (Domain::IPV6, socket2::Protocol::ICMPV6)
            }
            _ => {
                icmpv4::Header::Echo(echo).emit(&mut message)?;
                (Domain::IPV4, socket2::Protocol::ICMPV4)
            }
        };
        let socket = self
            .client
            .run(|| Socket::new(domain, Type::RAW, Some(protocol)))?;
        let to = SockAddr::from(SocketAddr::new(destination, 0));
        socket.send_to(&message, &to)?;
        socket.set_read_timeout(Some(DEADLINE))?;
        socket.recv(&mut [MaybeUninit::uninit(); 100])?;
        Ok(())
    }
    // ANCHOR_END: echo

    // ANCHOR: errors
    /// Sends to a port that nobody has.
    pub fn send_to_a_closed_port(&self, family: Family) -> Result<()> {
        self.send(family, SMALL, |_| Ok(()))
    }

    /// Sends a packet that may not pass the router.
    pub fn send_with_one_hop(&self, family: Family) -> Result<()> {
        self.send(family, SMALL, |socket| match family {
            Family::V4 => socket.set_ttl_v4(1),
            Family::V6 => socket.set_unicast_hops_v6(1),
        })
    }

    /// Sends more than the second link carries. Linux sets *don't fragment* in UDP's packets, too.
    pub fn send_too_much(&self, family: Family) -> Result<()> {
        self.send(family, &LARGE, |_| Ok(()))
    }

    fn send(
        &self,
        family: Family,
        datagram: &[u8],
        set: impl Fn(&Socket) -> io::Result<()>,
    ) -> Result<()> {
        let from = SocketAddr::new(family.address(&self.client), FROM);
        let to = SocketAddr::new(family.address(&self.server), TO);
        let socket = self.client.run(|| UdpSocket::bind(from))?;
        let socket = Socket::from(socket);
        set(&socket)?;
        let before = self.on_the_clients_link()?.len();
        socket.send_to(datagram, &to.into())?;
        let at_latest = Instant::now() + DEADLINE;
        while self.on_the_clients_link()?.len() == before {
            if Instant::now() > at_latest {
                return Err("no message came back".into());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
    // ANCHOR_END: errors

    /// Each message on the client's link, with its name.
    pub fn messages(&self) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let messages = self.on_the_clients_link()?;
        if messages.len() != MESSAGES.len() {
            return Err(format!("{} messages, not {}", messages.len(), MESSAGES.len()).into());
        }
        Ok(MESSAGES.into_iter().zip(messages).collect())
    }

    /// The packets on the client's link that carry a message, in either direction.
    fn on_the_clients_link(&self) -> Result<Vec<Vec<u8>>> {
        let capture = self.lab.capture();
        let mut messages = Vec::new();
        for crossing in capture.crossings() {
            let mut ends = [crossing.from, crossing.to]
                .map(|place| capture.name(place))
                .into_iter();
            let upper = Packet::parse(&crossing.bytes)?.upper_layer()?;
            if ends.any(|end| end == self.client.name())
                && matches!(upper.protocol, Protocol::ICMP | Protocol::ICMPV6)
            {
                messages.push(crossing.bytes.to_vec());
            }
        }
        Ok(messages)
    }
}
