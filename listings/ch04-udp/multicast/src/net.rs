//! Hosts around a switch.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use lab::{Host, Lab, Link};
use socket2::{Domain, Socket, Type};
use udp_multicast::{Members, Switch};

pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The port of all receivers.
pub const PORT: u16 = 7000;

/// The number of a host's first interface, which a member names over IPv6.
pub const ETH0: u32 = 2;

/// How long anything may take that is waited for.
const DEADLINE: Duration = Duration::from_secs(10);

/// Hosts around a switch, each on the port of its place in the list.
pub struct Net {
    pub lab: Lab,
    pub hosts: Vec<Host>,
    members: Members,
}

impl Net {
    /// Hosts of these names around a switch, each on a cable that takes `delay`.
    pub fn new(
        names: &[&str],
        delay: Duration,
        switch: impl FnOnce(Switch) -> Switch,
    ) -> Result<Self, Error> {
        Self::build(names, |_| Link::new().delay(delay), switch)
    }

    /// A sender, `a` and `b` around a switch; one of them sends by this link.
    pub fn with_link(
        name: &str,
        link: Link,
        switch: impl FnOnce(Switch) -> Switch,
    ) -> Result<Self, Error> {
        let links = |other: &str| {
            if other == name {
                link.clone()
            } else {
                Link::new()
            }
        };
        Self::build(&["sender", "a", "b"], links, switch)
    }

    fn build(
        names: &[&str],
        link: impl Fn(&str) -> Link,
        configure: impl FnOnce(Switch) -> Switch,
    ) -> Result<Self, Error> {
        let mut builder = Lab::builder();
        builder.multicast();
        let places: Vec<_> = names.iter().map(|name| builder.host(name)).collect();
        // As the lab numbers them.
        let addresses = (1..=names.len() as u8).map(|n| {
            let v6 = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, n.into());
            vec![IpAddr::from([10, 0, 0, n]), v6.into()]
        });
        let node = configure(Switch::new(addresses.collect()));
        let members = node.members();
        let switch = builder.node("switch", node);
        for (place, name) in places.iter().zip(names) {
            let back = link(name);
            builder.link(*place, switch, link(name), back);
        }
        let lab = builder.start()?;
        let hosts: Vec<_> = places.iter().map(|place| lab.host(*place)).collect();
        for host in &hosts {
            // Each change is told once. (By default twice, in case one is lost: the last but one
            // experiment shows that.)
            host.sysctl("net.ipv4.igmp_qrv", 1)?;
        }
        Ok(Self {
            lab,
            hosts,
            members,
        })
    }

    /// Whether the switch knows that a host has joined a group.
    pub fn joined(&self, name: &str, group: impl Into<IpAddr>) -> bool {
        let port = self.hosts.iter().position(|host| host.name() == name);
        port.is_some_and(|port| self.members.joined(port, group.into()))
    }

    /// Ends the run, which fails where a packet was lost that nobody decided to lose.
    pub fn finish(self) -> Result<(), Error> {
        let _ = self.lab.finish()?; // no time is measured
        Ok(())
    }
}

/// A socket for [`PORT`] of all of a host's IPv4 addresses, and of the groups that it joins. Others may
/// have the port, too.
pub fn receiver(host: &Host) -> Result<UdpSocket, Error> {
    socket(host, Ipv4Addr::UNSPECIFIED.into())
}

/// The same for IPv6.
pub fn receiver_v6(host: &Host) -> Result<UdpSocket, Error> {
    socket(host, Ipv6Addr::UNSPECIFIED.into())
}

fn socket(host: &Host, address: IpAddr) -> Result<UdpSocket, Error> {
    let address = SocketAddr::new(address, PORT);
    let socket = host.run(|| {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.set_read_timeout(Some(DEADLINE))?;
        Ok::<_, std::io::Error>(socket)
    })?;
    Ok(socket.into())
}

/// The next datagram's text.
pub fn next(socket: &UdpSocket) -> Result<String, Error> {
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// The datagrams that came before the one that says `end`.
pub fn until_end(socket: &UdpSocket) -> Result<Vec<String>, Error> {
    let mut heard = Vec::new();
    loop {
        match next(socket)? {
            end if end == "end" => return Ok(heard),
            text => heard.push(text),
        }
    }
}

/// Waits until it is so.
pub fn wait_until(what: &str, mut so: impl FnMut() -> bool) -> Result<(), Error> {
    let deadline = Instant::now() + DEADLINE;
    while !so() {
        if Instant::now() > deadline {
            return Err(format!("waited {DEADLINE:?}, in vain, until {what}").into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
