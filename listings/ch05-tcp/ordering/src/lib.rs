//! What the experiments on order and on retransmission have in common: a connection on the lab, its
//! segments in the numbers of its byte streams, and how to show them.

#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]

mod connection;
mod figure;
mod segment;

pub use connection::{Closed, Connection, Result, SEGMENT, data, wait_until};
pub use figure::{sequence, text};
pub use segment::{Segment, exchange, segments};
