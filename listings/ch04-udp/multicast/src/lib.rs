//! What hosts say of the groups that they have joined, and a switch that listens.
//!
//! [`Report`] reads the reports of IGMPv3 (RFC 9776) and MLDv2 (RFC 9777), and [`query`] writes the
//! question that they answer. [`Switch`] is a node of the book's lab that keeps what the reports say
//! and forwards to a port only what is wanted there.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod query;
pub mod report;
#[cfg(target_os = "linux")]
pub mod switch;

pub use report::{Kind, Record, Report};
#[cfg(target_os = "linux")]
pub use switch::{Members, Switch};
