//! An attacker, a victim and a server, each on a link of its own to one router.

use std::net::{IpAddr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use lab::{Capture, Host, Lab, Link, Packet, Raw, Verdict};
use record::{Sequence, What};

pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// How long a packet takes for a link.
const ONE_WAY: Duration = Duration::from_millis(5);

/// How long to wait for what must come.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// The victim's port, and the server's.
pub const VICTIM_PORT: u16 = 7000;
pub const SERVER_PORT: u16 = 5000;

/// What the attacker's network does with packets that leave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// It carries them all.
    Open,
    /// It drops those whose source is not its own.
    Filtered,
}

pub struct Stage {
    pub lab: Lab,
    pub attacker: Raw,
    pub victim: Host,
    pub server: Host,
}

impl Stage {
    pub fn open(edge: Edge) -> Result<Self, Error> {
        let mut builder = Lab::builder();
        let attacker = builder.raw("attacker");
        let router = builder.router("router");
        let [server, victim] = ["server", "victim"].map(|name| builder.host(name));
        let link = || Link::new().delay(ONE_WAY);
        // ANCHOR: filter
        let own = IpAddr::from(ATTACKER);
        let out = match edge {
            Edge::Open => link(),
            Edge::Filtered => link().rule(move |_, packet: &Packet| match packet.source() {
                Some(source) if source == own => Verdict::Pass,
                _ => Verdict::Drop,
            }),
        };
        // ANCHOR_END: filter
        builder.addresses(attacker, ATTACKER, "fd00::66".parse()?);
        builder.link(attacker, router, out, link());
        builder.link(server, router, link(), link());
        builder.link(victim, router, link(), link());
        let lab = builder.start()?;
        Ok(Self {
            attacker: lab.raw(attacker),
            victim: lab.host(victim),
            server: lab.host(server),
            lab,
        })
    }

    pub fn victim_address(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.victim.v4(), VICTIM_PORT)
    }

    pub fn server_address(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.server.v4(), SERVER_PORT)
    }

    pub fn attacker_address(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.attacker.v4(), VICTIM_PORT)
    }

    /// Waits until the capture has what `there` looks for.
    pub fn wait(&self, what: &str, there: impl Fn(&Capture) -> bool) -> Result<Capture, Error> {
        let started = Instant::now();
        loop {
            let capture = self.lab.capture();
            if there(&capture) {
                return Ok(capture);
            }
            if started.elapsed() > DEADLINE {
                return Err(format!("{what}: not within {DEADLINE:?}").into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The packets as a figure, each with the source that it claims.
pub fn figure(capture: &Capture) -> Sequence {
    let mut sequence = capture.sequence();
    for (event, crossing) in sequence.events.iter_mut().zip(capture.crossings()) {
        let source = Packet::new(&crossing.bytes).source();
        if let (What::Message { note, .. }, Some(source)) = (&mut event.what, source) {
            let rest = note.take().unwrap_or_default();
            *note = Some(format!("source `{source}`, {rest}"));
        }
    }
    sequence
}

/// The attacker's own address.
const ATTACKER: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 0, 0, 66);

/// A socket of a host that waits no longer than [`DEADLINE`].
pub fn socket(host: &Host, at: SocketAddrV4) -> Result<UdpSocket, Error> {
    let socket = host.run(|| UdpSocket::bind(at))?;
    socket.set_read_timeout(Some(DEADLINE))?;
    Ok(socket)
}
