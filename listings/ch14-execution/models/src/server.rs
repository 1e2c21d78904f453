//! A server in a process of its own: started, found by the address that it prints, ended.

use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::processes::Processes;

/// How long a server may take to end once it was asked to; then it is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server that runs. It ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it has used so far, and more.
    pub processes: Processes,
}

impl Server {
    /// Starts a server that prints the address at which it listens.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or ends without having printed an address.
    pub fn start(mut command: Command) -> io::Result<Self> {
        let mut server = Self::spawn(&mut command, SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let stdout = server.child.stdout.take();
        let mut lines = BufReader::new(stdout.expect("it is piped")).lines();
        let address = loop {
            let Some(line) = lines.next().transpose()? else {
                let complaint = format!("{command:?} printed no address");
                return Err(io::Error::other(complaint));
            };
            let Some((_, url)) = line.split_once("http://") else {
                continue;
            };
            if let Ok(address) = url.trim_end().trim_end_matches('/').parse() {
                break address;
            }
        };
        // What else it prints is read, so that it never waits for somebody to read it.
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        server.address = address;
        Ok(server)
    }

    /// Starts a server that is known to listen at an address, and waits until it does.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or nobody listens there within five seconds.
    pub fn start_at(mut command: Command, address: SocketAddr) -> io::Result<Self> {
        let server = Self::spawn(&mut command, address)?;
        let at_latest = Instant::now() + PATIENCE;
        while let Err(error) = std::net::TcpStream::connect(address) {
            if Instant::now() > at_latest {
                return Err(error);
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    fn spawn(command: &mut Command, address: SocketAddr) -> io::Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()?;
        Ok(Self {
            address,
            processes: Processes::of_group(child.id()),
            child,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = nix::sys::signal::kill(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGTERM,
        );
        let at_latest = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < at_latest {
            thread::sleep(Duration::from_millis(2));
        }
        let _ = self.processes.signal(Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Does something with this thread, and what it starts, on one core.
///
/// # Errors
///
/// When this process may not use that core, or what is done fails.
pub fn on_core<T>(core: usize, what: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let myself = Pid::from_raw(0);
    let before = sched_getaffinity(myself)?;
    let mut only = CpuSet::new();
    only.set(core)?;
    sched_setaffinity(myself, &only)?;
    let result = what();
    sched_setaffinity(myself, &before)?;
    result
}
