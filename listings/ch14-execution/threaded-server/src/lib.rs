//! A pool of threads, one for each connection: while it waits for its client, a thread sleeps in
//! `recv()` or `send()`.
//!
//! - [`pool`] has the threads: it grows when nobody is free, up to a bound, and shrinks again.
//! - `conversation` is what a thread does for one connection.
//! - `acceptor` accepts connections while the pool has room, and ends the server.

#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

mod acceptor;
mod conversation;
pub mod pool;

use std::io;
use std::thread;
use std::time::Duration;

use exec_service::{Listeners, Model, Setup, Workers};

use acceptor::Acceptor;
use conversation::{Conversations, Worker};
use pool::Pool;

// ANCHOR: serve
/// How many threads there are at most, beside the one that accepts: ten thousand connections, and
/// some. Each costs the kernel a stack of 16 KiB, and the process as much of its own as it has used.
const THREADS: usize = 10_240;

/// How long a thread without work waits for some before it ends.
const PATIENCE: Duration = Duration::from_secs(10);

/// How this server executes the service.
pub const MODEL: Model = Model {
    name: env!("CARGO_PKG_NAME"),
    workers_are: "threads, one for each connection, started when they are needed",
    workers: Workers::Fixed(THREADS),
    listeners: Listeners::Shared,
    serve,
};

/// Serves until it is told to end.
///
/// # Errors
///
/// When it can accept nobody any more.
pub fn serve(setup: &Setup) -> io::Result<()> {
    let pool = Pool::new(setup.workers, PATIENCE);
    let conversations = Conversations::new(setup.workers);
    thread::scope(|scope| {
        setup.ready();
        let mut acceptor = Acceptor::new(setup, &pool, &conversations);
        let outcome = acceptor.accept(|client| {
            pool.hand_over(scope, client, |place| {
                let mut worker = Worker::new(setup, &conversations, place);
                move |client| worker.serve(client)
            })
        });
        acceptor.end();
        outcome
    })
}
// ANCHOR_END: serve
