//! A payment service that charges once, however often and in whatever state of things it is asked.
//!
//! - [`payments`] decides: what to do with a request whose key is new, known, or being worked on.
//!   It knows no sockets and no HTTP; the time is a parameter.
//! - [`store`] keeps keys, answers and payments, on SQLite or PostgreSQL.
//! - [`bank`] is the effect that no transaction of ours can take back: another process with a ledger
//!   of its own.
//! - [`worker`] makes processes of them, which take requests from their standard input.
//! - [`drive`] starts such processes, stops them at a step of their work, and kills them.

#![forbid(unsafe_code)]

pub mod bank;
pub mod drive;
pub mod payments;
pub mod store;
pub mod worker;
