//! Network address translation, as RFC 4787 (UDP), RFC 5382 (TCP) and RFC 5508 (ICMP) describe it.

mod rewrite;
mod table;
mod translator;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::table::{Connection, Table};
pub(crate) use self::translator::Translator;

/// How many mappings a NAT holds at once. One that is full lets no new one begin.
pub const MAPPINGS_AT_MOST: usize = 4096;

/// How many pairs of a mapping and a remote endpoint a NAT holds at once.
pub const SESSIONS_AT_MOST: usize = 16_384;

/// What RFC 4787, REQ-5, recommends.
const UDP_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// The least that RFC 5382, REQ-5, allows for an established connection: two hours and four minutes.
const TCP_TIMEOUT: Duration = Duration::from_secs(2 * 3600 + 4 * 60);
/// The least that it allows for one that is being opened or closed.
const TCP_TRANSITORY_TIMEOUT: Duration = Duration::from_secs(4 * 60);
/// The least that RFC 5508, REQ-2, allows.
const ICMP_TIMEOUT: Duration = Duration::from_secs(60);

/// How much of a remote endpoint a decision depends on (RFC 4787, sections 4.1 and 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Behavior {
    /// On nothing of it.
    EndpointIndependent,
    /// On its address.
    AddressDependent,
    /// On its address and its port.
    AddressAndPortDependent,
}

impl Behavior {
    /// As much of an endpoint as counts; the rest is zeros.
    fn scope(self, remote: SocketAddrV4) -> SocketAddrV4 {
        match self {
            Self::EndpointIndependent => SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0),
            Self::AddressDependent => SocketAddrV4::new(*remote.ip(), 0),
            Self::AddressAndPortDependent => remote,
        }
    }
}

/// A NAT, described by its behaviors, for [`Builder::nat`](crate::Builder::nat).
///
/// Translates UDP, TCP, ICMP echoes, and the ICMP errors about any of these, fragments included as
/// long as the first comes first. It changes what it must and nothing else, and adjusts checksums by
/// what it has changed (RFC 1624), so that a broken packet stays broken. Everything else over IPv4,
/// and all that comes from outside and does not belong to a mapping, it drops without an answer.
#[derive(Debug, Clone)]
#[must_use]
pub struct Nat {
    mapping: Behavior,
    filtering: Behavior,
    preserves_ports: bool,
    hairpins: bool,
    timeout: Duration,
    tcp_timeout: Duration,
    pub(crate) pool: Vec<Ipv4Addr>,
}

impl Nat {
    /// A NAT whose choice of an outside endpoint, and whose decision whom it lets in there, depend
    /// on as much of the remote endpoint as these say. It preserves ports and hairpins.
    pub fn new(mapping: Behavior, filtering: Behavior) -> Self {
        Self {
            mapping,
            filtering,
            preserves_ports: true,
            hairpins: true,
            timeout: UDP_TIMEOUT,
            tcp_timeout: TCP_TIMEOUT,
            pool: Vec::new(),
        }
    }

    /// What RFC 3489 called a full cone: one outside endpoint for each inside one, open to all.
    pub fn full_cone() -> Self {
        Self::new(Behavior::EndpointIndependent, Behavior::EndpointIndependent)
    }

    /// A restricted cone: open to the addresses that were sent to.
    pub fn restricted_cone() -> Self {
        Self::new(Behavior::EndpointIndependent, Behavior::AddressDependent)
    }

    /// A port-restricted cone: open to the endpoints that were sent to, as most NATs in homes are.
    pub fn port_restricted_cone() -> Self {
        Self::new(
            Behavior::EndpointIndependent,
            Behavior::AddressAndPortDependent,
        )
    }

    /// A symmetric NAT: another outside endpoint for each remote one, open to that alone. It does not
    /// preserve ports.
    pub fn symmetric() -> Self {
        Self::new(
            Behavior::AddressAndPortDependent,
            Behavior::AddressAndPortDependent,
        )
        .preserve_ports(false)
    }

    /// Whether an inside port is kept outside as long as nobody else has it there (RFC 4787, 4.2.1).
    /// If not so, or where it is taken, ports are taken from 50,000 on, in order.
    pub fn preserve_ports(mut self, yes: bool) -> Self {
        self.preserves_ports = yes;
        self
    }

    /// Whether those inside reach each other by their outside endpoints (RFC 4787, 6). They see the
    /// sender's outside endpoint.
    pub fn hairpin(mut self, yes: bool) -> Self {
        self.hairpins = yes;
        self
    }

    /// After how long without a packet from inside UDP is forgotten: five minutes otherwise.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// After how long without a packet a TCP connection is forgotten: two hours and four minutes
    /// otherwise. One that is being opened or closed is forgotten after four minutes, or after this
    /// if it is less.
    pub fn tcp_timeout(mut self, timeout: Duration) -> Self {
        self.tcp_timeout = timeout;
        self
    }

    /// Gives it several addresses outside. Each address inside always gets the same of them: what
    /// RFC 4787, 4.1, calls paired pooling.
    pub fn pool(mut self, addresses: &[Ipv4Addr]) -> Self {
        self.pool = addresses.to_vec();
        self
    }

    /// How long a session lasts without another packet.
    fn lifetime(&self, protocol: Protocol, connection: Connection) -> Duration {
        match protocol {
            Protocol::Udp => self.timeout,
            Protocol::Icmp => self.timeout.min(ICMP_TIMEOUT),
            Protocol::Tcp if connection.is_established() => self.tcp_timeout,
            Protocol::Tcp => self.tcp_timeout.min(TCP_TRANSITORY_TIMEOUT),
        }
    }
}

/// What a NAT translates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// The user datagram protocol.
    Udp,
    /// The transmission control protocol.
    Tcp,
    /// Echo requests and replies, whose identifier takes the place of a port.
    Icmp,
}

/// An entry of a NAT's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Of what protocol.
    pub protocol: Protocol,
    /// The host's own endpoint.
    pub inside: SocketAddrV4,
    /// What takes its place outside.
    pub outside: SocketAddrV4,
    /// The endpoints that it was used with and that are not forgotten. ICMP's have port 0.
    pub remotes: Vec<SocketAddrV4>,
}

/// A look into the table of a NAT of a running lab.
#[derive(Debug, Clone)]
pub struct NatTable(Arc<Mutex<Table>>);

impl NatTable {
    /// The mappings, by protocol and inside endpoint.
    #[must_use]
    pub fn mappings(&self) -> Vec<Mapping> {
        self.table()
            .mappings
            .iter()
            .map(|(key, entry)| Mapping {
                protocol: key.protocol,
                inside: key.inside,
                outside: entry.outside,
                remotes: entry.sessions.keys().copied().collect(),
            })
            .collect()
    }

    /// How many packets from outside it has not let in.
    #[must_use]
    pub fn filtered(&self) -> u64 {
        self.table().filtered
    }

    /// How many packets from inside it has not let out because the table was full.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.table().refused
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
