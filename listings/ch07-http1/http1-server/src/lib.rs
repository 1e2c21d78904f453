//! A server of files and of a small REST resource, in three parts that know little of each other.
//!
//! - [`site`] is what is served: a request in, an answer out (RFC 9110). It knows methods, paths, fields
//!   and content, but neither sockets nor the bytes of a message, so that servers of other versions of
//!   HTTP can offer the same site.
//! - `server` brings it over HTTP/1.1: a thread for each connection, a deadline for all that a client
//!   may take its time over, and an end that loses no request. For Unix.
//! - [`client`] asks, and keeps the bytes of both messages to be looked at.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod client;
#[cfg(unix)]
pub mod server;
pub mod site;
