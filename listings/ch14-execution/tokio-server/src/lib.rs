//! Many connections on few threads, written as if each had a thread of its own: tokio keeps the loop.

#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

mod connection;
mod worker;

use std::io;

use exec_service::{Listeners, Model, Setup, Workers};

/// How this server executes the service.
pub const MODEL: Model = Model {
    name: env!("CARGO_PKG_NAME"),
    workers_are: "a tokio runtime of one thread",
    workers: Workers::PerCore,
    listeners: Listeners::PerWorker,
    serve,
};

// ANCHOR: serve
/// Serves until it is told to end.
///
/// # Errors
///
/// When the system has no epoll instance to give, or a worker can accept nobody any more.
pub fn serve(setup: &Setup) -> io::Result<()> {
    setup.on_threads(|number| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .on_thread_park(worker::count_wait(setup, number))
            .build()?;
        let tasks = tokio::task::LocalSet::new();
        // What the tasks have open is closed with them, when the worker is at its end.
        tasks.block_on(&runtime, worker::work(setup, number))
    })
}
// ANCHOR_END: serve
