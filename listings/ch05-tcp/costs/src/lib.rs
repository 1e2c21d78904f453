//! Four costs of TCP, each measured by a function that takes what matters and gives what it found.

#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod head_of_line;
pub mod nagle;
pub mod network;
pub mod reuse;
pub mod slow_start;
