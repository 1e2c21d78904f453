//! How many guesses an attacker needs who sees no query.

use udp_dns_message::NameBuf;

/// What there is to guess.
#[derive(Debug, Clone, Copy)]
pub struct Unknowns {
    /// Ports that the kernel draws from.
    pub ports: u64,
    /// Letters of the name.
    pub letters: u32,
}

/// IDs: 16 bits.
const IDS: u64 = 1 << 16;

impl Unknowns {
    // ANCHOR: unknowns
    /// From what Linux has in `net.ipv4.ip_local_port_range`, both ends included, and a name.
    pub fn new(port_range: &str, name: &NameBuf) -> Option<Self> {
        let mut ends = port_range.split_whitespace().map(str::parse::<u64>);
        let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
        let letters = name.name().labels().flatten();
        Some(Self {
            ports: last.checked_sub(first)? + 1,
            letters: letters.filter(|byte| byte.is_ascii_alphabetic()).count() as u32,
        })
    }

    /// The bits of ID, port and case.
    pub fn bits(self) -> [f64; 3] {
        [16.0, (self.ports as f64).log2(), self.letters.into()]
    }

    /// Of how many forged answers, each with another guess, one is right: for the ID alone, with the
    /// port, and with the case.
    pub fn guesses(self) -> [f64; 3] {
        let ports = IDS as f64 * self.ports as f64;
        [IDS as f64, ports, ports * f64::from(self.letters).exp2()]
    }
    // ANCHOR_END: unknowns
}
