//! Messages between programs that no one here wrote: dig asks, unbound or dnsmasq answers.
//! `tests/captures.rs` has captured them in the lab, and asks again whether they still say the same.

use ip_header::{Error, Packet, Protocol};
use udp_dns_message::frame;

/// A packet, from its IP header on.
pub struct Captured {
    /// Who asked for what.
    pub name: &'static str,
    packet: &'static [u8],
}

macro_rules! captured {
    ($($name:literal),* $(,)?) => {
        /// All of them: a query, and behind it its answer.
        pub const ALL: &[Captured] = &[$(
            Captured {
                name: concat!($name, "-query"),
                packet: include_bytes!(concat!("../captures/", $name, "-query.packet")),
            },
            Captured {
                name: concat!($name, "-answer"),
                packet: include_bytes!(concat!("../captures/", $name, "-answer.packet")),
            },
        )*];
    };
}

captured!(
    "a",
    "aaaa",
    "mx",
    "cname",
    "srv",
    "https",
    "nxdomain",
    "refused",
    "truncated",
    "tcp",
    "dnsmasq-cname",
    "dnsmasq-srv",
    "dnsmasq-txt",
    "dnsmasq-ptr",
);

/// The one of this name.
pub fn find(name: &str) -> &'static Captured {
    let found = ALL.iter().find(|captured| captured.name == name);
    found.expect("one of the names above")
}

impl Captured {
    /// The UDP datagram or TCP segment, and which of them it is.
    pub fn upper_layer(&self) -> Result<(Protocol, &'static [u8]), Error> {
        let upper = Packet::parse(self.packet)?.upper_layer()?;
        Ok((upper.protocol, upper.bytes))
    }

    /// The DNS message in it.
    pub fn message(&self) -> Result<&'static [u8], Error> {
        let (protocol, bytes) = self.upper_layer()?;
        if protocol == Protocol::UDP {
            return Ok(&bytes[UDP_HEADER_LEN..]);
        }
        let header_len = usize::from(bytes[TCP_DATA_OFFSET] >> 4) * 4;
        let stream = &bytes[header_len..];
        let (message, _) = frame::take(stream).expect("a message in one segment");
        Ok(message)
    }
}

/// UDP's header, in bytes.
pub const UDP_HEADER_LEN: usize = 8;

/// The byte of TCP's header whose upper half says how many words of 4 bytes the header has.
const TCP_DATA_OFFSET: usize = 12;
