//! A stub resolver, and an authoritative server for it to ask.
//!
//! The [`resolver`] is a state machine without sockets or clock: whoever drives it sends its queries,
//! hands it what arrives, and says what time it is. [`client`] does so with real sockets. The proofs
//! do so with a network that loses, repeats, reorders and forges as a seed says.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

use std::fmt;

pub mod client;
pub mod random;
pub mod resolver;
#[cfg(target_os = "linux")]
pub mod server;
pub mod zone;

/// What a message travels on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// A datagram: one message, at most as long as the other end says that it takes.
    Udp,
    /// A connection: each message with its length in front.
    Tcp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}
