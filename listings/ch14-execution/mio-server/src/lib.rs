//! The server of `exec-epoll-server` on mio. What mio has no opinion on is taken from there: the
//! table of connections and the timers.
//!
//! - `worker` is the event loop, on `mio::Poll`.
//! - `connection` is a turn: read, answer, write.

#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

mod connection;
mod worker;

use std::io;

use exec_service::{Listeners, Model, Setup, Workers};

use worker::Worker;

/// How this server executes the service.
pub const MODEL: Model = Model {
    name: env!("CARGO_PKG_NAME"),
    workers_are: "threads, each with a mio::Poll and a listening socket of its own",
    workers: Workers::PerCore,
    listeners: Listeners::PerWorker,
    serve,
};

/// Serves until it is told to end.
///
/// # Errors
///
/// When the kernel has no descriptor or no memory for a worker.
pub fn serve(setup: &Setup) -> io::Result<()> {
    setup.run_workers(|worker| Worker::new(setup, worker), Worker::run)
}
