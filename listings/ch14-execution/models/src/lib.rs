//! What it takes to compare servers: each in a process of its own, a client that keeps them busy, and
//! what the kernel says that they have used.

#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

mod client;
mod processes;
mod server;

use std::env;
use std::io;
use std::process::{Command, ExitCode};

use exec_service::Model;

pub use client::{Answers, Load, idle_connections};
pub use processes::{Processes, Used};
pub use server::{Server, on_core};

/// The word by which a program is asked to be a server.
pub const SERVE: &str = "serve";

/// One of the servers of this chapter, and what its model allows.
#[derive(Debug, Clone, Copy)]
pub struct Contender {
    /// The server itself.
    pub model: &'static Model,
    /// What a connection occupies.
    pub connection: Occupies,
}

/// What a connection occupies as long as it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occupies {
    /// The whole server: others wait.
    Everything,
    /// A process, of which there is a fixed number.
    Process,
    /// A thread, which is started for it.
    Thread,
    /// A place in a table: one worker serves thousands.
    Place,
}

impl Contender {
    /// What `--workers` is to say for a server on one core, which so many connections ask at a time.
    #[must_use]
    pub fn workers(&self, connections: usize) -> Option<usize> {
        match self.connection {
            Occupies::Everything | Occupies::Place => Some(1),
            Occupies::Process => Some(connections),
            Occupies::Thread => None,
        }
    }

    /// Whether it can have thousands of connections open.
    #[must_use]
    pub fn holds_many(&self) -> bool {
        matches!(self.connection, Occupies::Thread | Occupies::Place)
    }
}

/// All of them, in the order in which the chapter tells of them.
pub static CONTENDERS: &[Contender] = &[
    Contender {
        model: &exec_blocking_server::MODEL,
        connection: Occupies::Everything,
    },
    Contender {
        model: &exec_prefork_server::MODEL,
        connection: Occupies::Process,
    },
    Contender {
        model: &exec_threaded_server::MODEL,
        connection: Occupies::Thread,
    },
    Contender {
        model: &exec_epoll_server::MODEL,
        connection: Occupies::Place,
    },
    Contender {
        model: &exec_mio_server::MODEL,
        connection: Occupies::Place,
    },
    Contender {
        model: &exec_tokio_server::MODEL,
        connection: Occupies::Place,
    },
    Contender {
        model: &exec_io_uring_server::MODEL,
        connection: Occupies::Place,
    },
];

/// This very program as that server, on a port of the kernel's choice: its process is then the
/// server's alone. The program must begin with [`serve_if_asked`].
#[must_use]
pub fn command(model: &Model) -> Command {
    // Even when a newer build has taken the program's place.
    let mut command = Command::new("/proc/self/exe");
    command.args([SERVE, model.name, "127.0.0.1:0"]);
    command
}

/// Is the server that [`command`] asks for, if this process was started so.
#[must_use]
pub fn serve_if_asked() -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    arguments.next().filter(|first| first == SERVE)?;
    let name = arguments.next()?;
    let asked = CONTENDERS.iter().find(|one| name == one.model.name)?;
    Some(exec_service::run_with(asked.model, arguments))
}

/// How many cores this process may use.
///
/// # Errors
///
/// When the kernel does not say.
pub fn cores() -> io::Result<usize> {
    Ok(std::thread::available_parallelism()?.get())
}
