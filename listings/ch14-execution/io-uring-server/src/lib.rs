//! An HTTP server on io_uring: nothing is asked whether it is ready. What is to be done is handed to
//! the kernel, which does it as soon as it can and says so.
//!
//! - [`ring`]: the two queues, and the memory that the kernel receives into. All that is unsafe is
//!   there.
//! - [`worker`]: the loop. It reaps completions and hands in what follows from them.
//!
//! The connections' places and their deadlines are kept as in the epoll server.

#![cfg(target_os = "linux")]
#![deny(unsafe_code)]

mod ring;
mod worker;

use std::io;

use exec_service::{Listeners, Model, Setup, Workers};

use worker::Worker;

/// How this server executes the service.
pub const MODEL: Model = Model {
    name: env!("CARGO_PKG_NAME"),
    workers_are: "a thread with an io_uring instance",
    workers: Workers::PerCore,
    listeners: Listeners::PerWorker,
    serve,
};

// ANCHOR: serve
/// Serves with one thread for each worker, until the shutdown is requested and all is finished.
///
/// # Errors
///
/// When the kernel has no io_uring, or one that lacks what this server is made of; the message names
/// the version that has it, and the server that runs without.
pub fn serve(setup: &Setup) -> io::Result<()> {
    setup.on_threads(|number| {
        // The thread that sets a ring up is the one that may use it.
        let worker = Worker::new(setup, number)?;
        setup.worker_ready();
        worker.run()
    })
}
// ANCHOR_END: serve
