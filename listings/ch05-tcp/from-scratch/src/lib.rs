//! A TCP from scratch (RFC 9293), without a network: segments and time go in, segments and events
//! come out.
//!
//! It reads no clock, opens no socket and draws no random number. Whoever drives it brings these:
//! the lab or a TUN device in this listing, a vector of bytes in its tests. So the same code runs
//! against a kernel and, in virtual time, through ten thousand lost packets a second.
//!
//! # The parts, in the order of the RFC
//!
//! | Module | Part |
//! |---|---|
//! | [`connection`] | the variables of a connection (§3.3.1), its user's calls (§3.10.1 to §3.10.6) |
//! | `state` | the eleven states (§3.3.2) |
//! | `iss` | initial sequence numbers (§3.4.1, RFC 6528) |
//! | `open`, `options` | opening, and what the two ends agree on (§3.5, §3.7.1, RFC 7323) |
//! | [`reset`] | resets for segments that belong nowhere (§3.5.2) |
//! | `arrives` | SEGMENT ARRIVES (§3.10.7), with RFC 5961 against forged segments |
//! | `acknowledge` | what an acknowledgment does |
//! | `reassembly` | text in order again |
//! | `transmit` | segmentation, Nagle, silly windows, probes, delayed acknowledgments (§3.7, §3.8) |
//! | `timeouts`, `rto` | the timers (§3.10.8), the retransmission timeout (RFC 6298) |
//! | `congestion` | slow start, congestion avoidance (RFC 5681, RFC 6928) |
//! | `recovery` | what is lost: with SACK (RFC 6675), without (RFC 6582) |
//! | `timestamps` | round trips and old duplicates (RFC 7323) |
//! | [`stack`] | many connections and listeners behind addresses, IP packets in and out |
//! | [`driver`] | a stack on a device, with a real clock |
//! | [`harness`] | a stack with a clock and a wire that a test holds in its hand |
//!
//! # Two ends of a wire
//!
//! ```
//! use tcp_from_scratch::{Config, Error, Secret, Stack, Time};
//!
//! let mut client = Stack::new(Config::default(), Secret([1; 16]), &[[10, 0, 0, 1].into()]);
//! let mut server = Stack::new(Config::default(), Secret([2; 16]), &[[10, 0, 0, 2].into()]);
//! server.listen(80, 16)?;
//! let now = Time::ZERO;
//! let here = client.connect(now, ([10, 0, 0, 2], 80).into(), None)?;
//!
//! // A wire: what one end sends, the other receives. Here it loses nothing and takes no time.
//! let mut buffer = [0; 1500];
//! let mut carry = |client: &mut Stack, server: &mut Stack| loop {
//!     if let Some(len) = client.transmit(now, &mut buffer) {
//!         server.arrives(now, &buffer[..len]);
//!     } else if let Some(len) = server.transmit(now, &mut buffer) {
//!         client.arrives(now, &buffer[..len]);
//!     } else {
//!         return;
//!     }
//! };
//! carry(&mut client, &mut server);
//! let there = server.accept(80).expect("the handshake is done");
//!
//! client.send(here, b"hello")?;
//! carry(&mut client, &mut server);
//! let mut text = [0; 16];
//! assert_eq!(server.receive(there, &mut text)?, 5);
//! assert_eq!(server.receive(there, &mut text), Err(Error::WouldBlock));
//!
//! client.close(here)?;
//! carry(&mut client, &mut server);
//! assert_eq!(server.receive(there, &mut text)?, 0); // the end
//! # Ok::<(), Error>(())
//! ```
//!
//! # Bounds
//!
//! Whatever a peer sends, a connection holds at most [`Config::send_buffer`] and
//! [`Config::receive_buffer`] bytes of text, and twice [`config::RANGES_AT_MOST`] runs of numbers; a
//! stack holds at most [`Config::connections`] connections and [`config::RESETS_AT_MOST`] resets that
//! wait to be sent. A listener keeps as many half-open connections as its backlog says; a SYN beyond
//! that is dropped.
//!
//! # Left out
//!
//! ECN (RFC 3168), path MTU discovery and all of ICMP, IP fragments and options, TCP Fast Open, SYN
//! cookies, RACK-TLP (RFC 8985), F-RTO, pacing, segmentation offload.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod acknowledge;
mod arrives;
pub mod config;
mod congestion;
pub mod connection;
pub mod driver;
pub mod harness;
mod iss;
mod open;
mod options;
mod ranges;
mod reassembly;
mod recovery;
pub mod reset;
mod ring;
mod rto;
pub mod stack;
mod state;
mod time;
mod timeouts;
mod timestamps;
mod transmit;

pub use config::Config;
pub use connection::{Connection, Counters, Error, Event, FourTuple, Reason, Status};
pub use iss::Secret;
pub use stack::{ConnectionId, Stack};
pub use state::State;
pub use time::Time;
