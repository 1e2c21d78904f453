//! Datagrams that two kernels exchange over the lab's link, and what a kernel makes of datagrams
//! that this library wrote.

use std::error::Error;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use ip_header::{Addresses, Protocol, ipv4, ipv6};
use lab::{Host, Lab, Link, Packet, Raw};
use nix::libc;
use nix::sys::socket::SetSockOpt;
use nix::sys::socket::sockopt::SetBool;

/// How long to wait for what must come.
const DEADLINE: Duration = Duration::from_secs(5);

/// How long a packet is under way.
const DELAY: Duration = Duration::from_millis(1);

/// The sender's port and the receiver's. The network is the run's own, so nobody else has them.
pub const CLIENT_PORT: u16 = 40_000;
pub const SERVER_PORT: u16 = 7000;

/// More than any datagram here has.
const LONGEST: usize = 2000;

/// `SO_NO_CHECK`: send no checksum over IPv4.
#[derive(Debug, Clone, Copy)]
struct NoCheck;
nix::setsockopt_impl!(NoCheck, libc::SOL_SOCKET, libc::SO_NO_CHECK, bool, SetBool);

/// `UDP_NO_CHECK6_RX` of `<linux/udp.h>`: take datagrams without a checksum over IPv6.
#[derive(Debug, Clone, Copy)]
struct NoCheck6Rx;
nix::setsockopt_impl!(
    NoCheck6Rx,
    libc::SOL_UDP,
    libc::UDP_NO_CHECK6_RX,
    bool,
    SetBool
);

/// A datagram that was captured, with the addresses of the packet that carried it.
#[derive(Clone)]
pub struct Captured {
    pub addresses: Addresses,
    pub bytes: Vec<u8>,
}

/// A sender, a receiver, and somebody without a kernel who writes packets by hand.
pub struct Network {
    lab: Lab,
    client: Host,
    server: Host,
    writer: Raw,
}

impl Network {
    pub fn start() -> Result<Self, Box<dyn Error>> {
        let mut builder = Lab::builder();
        let [client, server] = ["client", "server"].map(|name| builder.host(name));
        let writer = builder.raw("writer");
        let link = || Link::new().delay(DELAY);
        builder.link(client, server, link(), link());
        builder.link(writer, client, link(), link());
        let lab = builder.start()?;
        Ok(Self {
            client: lab.host(client),
            server: lab.host(server),
            writer: lab.raw(writer),
            lab,
        })
    }

    // ANCHOR: exchange
    /// Sends a message from the client to the server over each family, and gives the datagrams as
    /// they crossed the link.
    pub fn exchange(&self, message: &[u8]) -> Result<[Captured; 2], Box<dyn Error>> {
        let v4 = (self.client.v4().into(), self.server.v4().into());
        let v6 = (self.client.v6().into(), self.server.v6().into());
        for (from, to) in [v4, v6] {
            self.send(from, to, message, |_| Ok(()))?;
        }
        let [.., v4, v6] = &self.captured()?[..] else {
            return Err("two datagrams were sent, and fewer were captured".into());
        };
        Ok([v4.clone(), v6.clone()])
    }
    // ANCHOR_END: exchange

    /// The same over IPv4 alone, from a socket that was told to send no checksum.
    pub fn without_checksum(&self, message: &[u8]) -> Result<Captured, Box<dyn Error>> {
        let (from, to) = (self.client.v4().into(), self.server.v4().into());
        self.send(from, to, message, |socket| NoCheck.set(socket, &true))?;
        let captured = self.captured()?.pop();
        captured.ok_or_else(|| "nothing was captured".into())
    }

    fn send(
        &self,
        from: std::net::IpAddr,
        to: std::net::IpAddr,
        message: &[u8],
        prepare: impl FnOnce(&UdpSocket) -> nix::Result<()>,
    ) -> Result<(), Box<dyn Error>> {
        let server = socket(&self.server, (to, SERVER_PORT).into())?;
        let client = socket(&self.client, (from, CLIENT_PORT).into())?;
        prepare(&client)?;
        client.send_to(message, server.local_addr()?)?;
        let mut buffer = [0; LONGEST];
        let (len, sender) = server.recv_from(&mut buffer)?;
        if (&buffer[..len], sender) != (message, client.local_addr()?) {
            return Err("something else arrived".into());
        }
        Ok(())
    }

    /// All datagrams so far, in their order.
    fn captured(&self) -> Result<Vec<Captured>, ip_header::Error> {
        let mut found = Vec::new();
        for crossing in self.lab.capture().crossings() {
            let packet = ip_header::Packet::parse(&crossing.bytes)?;
            let upper = packet.upper_layer()?;
            if upper.protocol == Protocol::UDP {
                found.push(Captured {
                    addresses: packet.addresses(),
                    bytes: upper.bytes.to_vec(),
                });
            }
        }
        Ok(found)
    }

    /// The addresses between which the writer's packets go, of either family.
    pub fn writers_addresses(&self) -> [Addresses; 2] {
        [
            Addresses::V4 {
                source: self.writer.v4(),
                destination: self.client.v4(),
            },
            Addresses::V6 {
                source: self.writer.v6(),
                destination: self.client.v6(),
            },
        ]
    }

    // ANCHOR: deliver
    /// What a program reads when a packet that carries `bytes` comes, if its kernel lets it read
    /// anything. Behind it comes a datagram that is right: once that is read, nothing else will come.
    pub fn deliver(
        &self,
        bytes: &[u8],
        addresses: Addresses,
        choice: Choice,
    ) -> Result<Option<Vec<u8>>, Box<dyn Error>> {
        const LAST: &[u8] = b"that was all";
        let at = match addresses {
            Addresses::V4 { destination, .. } => (destination, SERVER_PORT).into(),
            Addresses::V6 { destination, .. } => (destination, SERVER_PORT).into(),
        };
        let program = socket(&self.client, at)?;
        if choice == Choice::ChecksumOptional {
            NoCheck6Rx.set(&program, &true)?;
        }
        self.writer.send(packet(bytes, addresses)?);
        let mut last = [&[0; udp_header::HEADER_LEN], LAST].concat();
        header().emit(&mut last, addresses)?;
        self.writer.send(packet(&last, addresses)?);

        let mut buffer = [0; LONGEST];
        let mut read = None;
        loop {
            let len = program.recv(&mut buffer)?;
            match &buffer[..len] {
                LAST => return Ok(read),
                data => read = Some(data.to_vec()),
            }
        }
    }
    // ANCHOR_END: deliver

    /// How many datagrams the receiver's kernel has refused for their checksum, of either family.
    pub fn checksum_errors(&self) -> [i64; 2] {
        let counters = self.client.counters();
        ["UdpInCsumErrors", "Udp6InCsumErrors"].map(|name| counters.get(name).copied().unwrap_or(0))
    }

    pub fn finish(self) -> Result<(), Box<dyn Error>> {
        let _ = self.lab.finish()?; // whatever the times were
        Ok(())
    }
}

/// Whether the receiver takes datagrams without a checksum over IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    AsTheVersionDemands,
    ChecksumOptional,
}

/// The header of all datagrams that the writer sends.
pub fn header() -> udp_header::Header {
    udp_header::Header {
        source_port: CLIENT_PORT,
        destination_port: SERVER_PORT,
    }
}

/// A packet that carries these bytes as UDP.
fn packet(bytes: &[u8], addresses: Addresses) -> Result<Packet, ip_header::Error> {
    let packet = match addresses {
        Addresses::V4 {
            source,
            destination,
        } => {
            let mut packet = vec![0; ipv4::HEADER_LEN + bytes.len()];
            let header = ipv4::Header::new(Protocol::UDP, source, destination);
            header.emit(&mut packet)?.copy_from_slice(bytes);
            packet
        }
        Addresses::V6 {
            source,
            destination,
        } => {
            let mut packet = vec![0; ipv6::HEADER_LEN + bytes.len()];
            let header = ipv6::Header::new(Protocol::UDP, source, destination);
            header.emit(&mut packet)?.copy_from_slice(bytes);
            packet
        }
    };
    Ok(Packet::new(&packet))
}

/// A socket of a host that waits no longer than [`DEADLINE`].
fn socket(host: &Host, at: SocketAddr) -> io::Result<UdpSocket> {
    let socket = host.run(|| UdpSocket::bind(at))?;
    socket.set_read_timeout(Some(DEADLINE))?;
    Ok(socket)
}
