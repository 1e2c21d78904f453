//! What it takes to compare servers: each in a process of its own, a client that keeps them busy, and
//! what the kernel says that they have used.

#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

mod client;
mod processes;
mod server;

use std::io;

use exec_service::Model;

pub use client::{Answers, Load, idle_connections};
pub use processes::{Processes, Used};
pub use server::{Server, on_core};

/// One of the servers of this chapter, and what its model allows.
#[derive(Debug, Clone, Copy)]
pub struct Contender {
    /// The server itself.
    pub model: &'static Model,
    /// Whether a connection that says nothing keeps a worker from all others.
    pub one_each: bool,
    /// Whether a worker can be given to each of many connections, or need not.
    pub holds_many: bool,
}

/// All of them, in the order in which the chapter tells of them.
pub static CONTENDERS: &[Contender] = &[
    Contender {
        model: &exec_blocking_server::MODEL,
        one_each: false,
        holds_many: false,
    },
    Contender {
        model: &exec_prefork_server::MODEL,
        one_each: true,
        holds_many: false,
    },
    Contender {
        model: &exec_threaded_server::MODEL,
        one_each: false,
        holds_many: true,
    },
    Contender {
        model: &exec_epoll_server::MODEL,
        one_each: false,
        holds_many: true,
    },
    Contender {
        model: &exec_mio_server::MODEL,
        one_each: false,
        holds_many: true,
    },
    Contender {
        model: &exec_tokio_server::MODEL,
        one_each: false,
        holds_many: true,
    },
    Contender {
        model: &exec_io_uring_server::MODEL,
        one_each: false,
        holds_many: true,
    },
];

/// How many cores this process may use.
///
/// # Errors
///
/// When the kernel does not say.
pub fn cores() -> io::Result<usize> {
    Ok(std::thread::available_parallelism()?.get())
}
