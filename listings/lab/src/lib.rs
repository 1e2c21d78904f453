//! A small network of real kernels inside one process.
//!
//! Each [`Host`] is a network namespace with the kernel's own TCP and UDP. The hosts are joined by a
//! relay in user space, which delays, limits, queues, loses, reorders, duplicates and rewrites packets
//! as each [`Link`] says, and keeps a [`Capture`] of every one. It needs no root: [`enter`] moves the
//! process into a user namespace of its own. When the [`Lab`] is dropped, or the process killed,
//! nothing is left.
//!
//! ```no_run
//! use std::net::UdpSocket;
//! use std::time::{Duration, Instant};
//! use lab::{Lab, Link};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     lab::enter()?;
//!     let link = Link::new().delay(Duration::from_millis(25));
//!     let (lab, client, server) = Lab::pair(link)?;
//!
//!     let echo = server.run(|| UdpSocket::bind((server.v4(), 7)))?;
//!     let socket = client.run(|| UdpSocket::bind((client.v4(), 0)))?;
//!     let started = Instant::now();
//!     socket.send_to(b"hello", (server.v4(), 7))?;
//!     let mut buffer = [0; 16];
//!     let (length, from) = echo.recv_from(&mut buffer)?;
//!     echo.send_to(&buffer[..length], from)?;
//!     socket.recv(&mut buffer)?;
//!     println!("there and back in {:?}", started.elapsed());
//!
//!     print!("{}", lab.capture().lines());
//!     println!("disturbed: {}", lab.finish()?.disturbed());
//!     Ok(())
//! }
//! ```
//!
//! # Time
//!
//! A link's delay counts from the moment at which the sender's kernel stamped the packet, so the
//! relay's own pace adds nothing as long as it keeps up. Where the machine is too busy for that, the
//! relay knows, and [`Lab::finish`] says so: [`Report::disturbed`]. Experiments assert on counts,
//! order and medians, and are repeated by [`undisturbed`].
//!
//! # Its packets in Wireshark
//!
//! Whatever uses the lab also writes its packets to a file, where the environment variable
//! `LAB_PCAPNG` names one: `LAB_PCAPNG=handshake.pcapng cargo run -p tcp-handshake`. A second lab of
//! the same process writes to `handshake-2.pcapng`, and so on.
//!
//! # What a host is
//!
//! For each of its links an interface, `eth0` and so on, with an IPv4 and an IPv6 address and nobody
//! on its wire: no address resolution, no neighbour discovery, no checksum or segmentation offload, so
//! that each packet of a capture is one that a network would carry. Kernel parameters that a namespace
//! copies from the machine are set to the kernel's defaults, and TCP's congestion control is the
//! lab's.
//!
//! # What else there is
//!
//! Between hosts there may be routers and NATs of the relay's own ([`Builder::router`],
//! [`Builder::nat`]), hosts whose kernels forward ([`Builder::gateway`]), and whatever an experiment
//! makes itself ([`Node`]). A [`Raw`] host has no kernel: the experiment makes and takes its packets.
//! With [`Host::tun`] it does so behind a kernel's own interface.
//!
//! Linux only: on other systems the crate is empty.

#![cfg(target_os = "linux")]
#![warn(missing_docs)]

mod capture;
mod children;
mod enter;
mod error;
mod host;
mod lab;
mod link;
mod nat;
mod netlink;
mod node;
mod packet;
mod pcapng;
mod port;
mod relay;
mod sys;
mod tcp_info;
mod tun;

pub use capture::{Capture, Crossing};
pub use enter::{Refusal, enter, experiment, test};
pub use error::Error;
pub use host::{Host, Interface, TcpSocket, TcpState};
pub use lab::{
    Builder, LINKS_AT_MOST, Lab, Nothing, PCAPNG_VARIABLE, PLACES_AT_MOST, Place, Raw, Report,
    TOLERANCE, undisturbed,
};
pub use link::{Fate, HELD_AT_MOST, Link, QUEUE_BYTES, Verdict};
pub use nat::{Behavior, MAPPINGS_AT_MOST, Mapping, Nat, NatTable, Protocol, SESSIONS_AT_MOST};
pub use node::{Node, Out};
pub use packet::{Packet, Tcp, Udp};
pub use tcp_info::{CaState, TcpInfo, tcp_info};
