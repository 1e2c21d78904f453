//! What all servers of this chapter have in common, so that only their execution differs: a small
//! HTTP service without a socket, and the frame around a server.
//!
//! - [`Session`] is the service as one connection has it. It knows neither sockets nor clocks: bytes
//!   and the time go in, bytes come out ([`Output`]), and it says what is to happen next ([`Step`]).
//! - [`Service`] is what a worker needs for all of its sessions: prepared answers, counters.
//! - [`run`] is a server's `main`: command line, listening sockets, signals, tour. What remains for
//!   the server is a function of [`Setup`]: its execution model.
//!
//! | Route | Answer |
//! |---|---|
//! | `GET /` | a line of text |
//! | `GET /bytes/N` | the first N bytes of a [pattern] |
//! | `GET /slow/MS` | a line of text, after so many milliseconds |
//! | `POST /echo` | the request's body |
//! | `GET /stats` | what the server has counted, as JSON |

#![deny(unsafe_code)]

pub mod client;
#[cfg(target_os = "linux")]
mod frame;
pub mod limits;
#[cfg(target_os = "linux")]
mod listen;
mod output;
pub mod pattern;
mod service;
mod session;
#[cfg(target_os = "linux")]
mod shutdown;
pub mod stats;
#[cfg(target_os = "linux")]
mod tour;

#[cfg(target_os = "linux")]
pub use frame::{Listeners, Model, Setup, Workers, run, run_with};
pub use limits::Limits;
#[cfg(target_os = "linux")]
pub use listen::{
    ACCEPT_PAUSE, BACKLOG, is_exhausted, is_passing, listen, stop_accepting, stop_listening,
};
pub use output::{OUTPUT_LIMIT, Output};
pub use pattern::Body;
pub use service::Service;
pub use session::{ROOT, Session, Step};
#[cfg(target_os = "linux")]
pub use shutdown::Shutdown;
pub use stats::{Counters, Stats, Syscall};
