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
use std::sync::{Mutex, PoisonError};

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
    // All of them before the first client may come: each needs descriptors, and a client may take
    // the last one.
    let workers = (0..setup.workers).map(|worker| Worker::new(setup, worker));
    let mut workers = workers.collect::<io::Result<Vec<Worker>>>()?;
    if workers.len() == 1
        && let Some(worker) = workers.pop()
    {
        // In a process with one thread the kernel need not guard the table of descriptors.
        setup.ready();
        return worker.run();
    }
    let workers: Vec<_> = workers
        .into_iter()
        .map(|worker| Mutex::new(Some(worker)))
        .collect();
    setup.on_threads(|worker| {
        setup.worker_ready();
        let mut worker = workers[worker]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        worker.take().map_or(Ok(()), Worker::run)
    })
}
