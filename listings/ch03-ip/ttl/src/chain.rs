//! The network: a client, four routers in a row, and a server.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ip_header::{Packet, Protocol};
use lab::{Host, Lab, Link, Verdict};

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How many routers are between client and server.
pub const ROUTERS: usize = 4;

/// How long a link takes: so long that each hop shows in the times.
const DELAY: Duration = Duration::from_millis(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub fn address(self, host: &Host) -> IpAddr {
        match self {
            Self::V4 => host.v4().into(),
            Self::V6 => host.v6().into(),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// Whose ICMP messages a filter drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    Nobody,
    /// Those of the router with this number, from 1 on.
    Router(usize),
}

pub struct Chain {
    pub lab: Lab,
    pub client: Host,
    pub routers: Vec<Host>,
    pub server: Host,
}

impl Chain {
    // ANCHOR: chain
    pub fn start(silence: Silence) -> Result<Self> {
        let mut builder = Lab::builder();
        let client = builder.host("client");
        let routers: Vec<_> = (1..=ROUTERS)
            .map(|number| builder.gateway(&format!("router {number}")))
            .collect();
        let server = builder.host("server");

        let places: Vec<_> = [client]
            .into_iter()
            .chain(routers.clone())
            .chain([server])
            .collect();
        for (at, ends) in places.windows(2).enumerate() {
            let there = Link::new().delay(DELAY);
            let mut back = Link::new().delay(DELAY);
            // The link that leads back from router `at + 1`, as if that router had a filter.
            if silence == Silence::Router(at + 1) {
                back = back.rule(|_, packet| match is_its_own_message(packet.bytes()) {
                    true => Verdict::Drop,
                    false => Verdict::Pass,
                });
            }
            builder.link(ends[0], ends[1], there, back);
        }
        let lab = builder.start()?;
        // ANCHOR_END: chain
        let chain = Self {
            client: lab.host(client),
            routers: routers.into_iter().map(|place| lab.host(place)).collect(),
            server: lab.host(server),
            lab,
        };
        Ok(chain)
    }

    /// Who has an address.
    pub fn name(&self, address: IpAddr) -> &str {
        let hosts = [&self.client, &self.server];
        let mut hosts = self.routers.iter().chain(hosts);
        let has = |host: &&Host| {
            let mut interfaces = host.interfaces().iter();
            interfaces.any(|interface| {
                [interface.v4.into(), IpAddr::from(interface.v6)].contains(&address)
            })
        };
        hosts.find(has).map_or("unknown", Host::name)
    }
}

/// Whether a packet carries an ICMP message and no router has forwarded it yet: Linux sends it with a
/// TTL of 64.
fn is_its_own_message(bytes: &[u8]) -> bool {
    let Ok(packet) = Packet::parse(bytes) else {
        return false;
    };
    let ttl = match packet {
        Packet::V4(packet) => packet.header().ttl,
        Packet::V6(packet) => packet.header().hop_limit,
    };
    let icmp = packet
        .upper_layer()
        .is_ok_and(|upper| matches!(upper.protocol, Protocol::ICMP | Protocol::ICMPV6));
    icmp && ttl == 64
}
