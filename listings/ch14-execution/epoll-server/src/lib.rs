//! An HTTP server on epoll, from scratch.
//!
//! - `worker` is the event loop: it waits for readiness, and gives each connection its turn.
//! - `connection` is a turn: read, answer, write.
//! - [`slab`] has the connections by the number that epoll gives back with an event.
//! - [`timers`] has their deadlines.

#![deny(unsafe_code)]

#[cfg(target_os = "linux")]
mod connection;
pub mod slab;
pub mod timers;
#[cfg(target_os = "linux")]
mod worker;

#[cfg(target_os = "linux")]
pub use server::{MODEL, serve};

#[cfg(target_os = "linux")]
mod server {
    use std::io;

    use exec_service::{Listeners, Model, Setup, Workers};

    use crate::worker::Worker;

    // ANCHOR: serve
    /// How this server executes the service.
    pub const MODEL: Model = Model {
        name: env!("CARGO_PKG_NAME"),
        workers_are: "threads, each with an epoll instance and a listening socket of its own",
        workers: Workers::PerCore,
        listeners: Listeners::PerWorker,
        serve,
    };

    /// Serves until it is told to end.
    ///
    /// # Errors
    ///
    /// When the kernel has no descriptor or no memory for an epoll instance.
    pub fn serve(setup: &Setup) -> io::Result<()> {
        setup.run_workers(|worker| Worker::new(setup, worker), Worker::run)
    }
    // ANCHOR_END: serve
}
