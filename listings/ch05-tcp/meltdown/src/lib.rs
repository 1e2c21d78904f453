//! Two tunnels that carry the packets of one network over another, and what is measured in them.

#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod outage;
pub mod trial;
pub mod tunnel;
pub mod vpn;
