//! Four workers, of whom one crashes: how many answer after it?

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::wait::WaitStatus;
use record::{Column, Table};

use crate::Error;
use crate::child::{Child, fork};

/// How many workers there are.
const WORKERS: usize = 4;

/// Which of them is told to crash, counted from 0.
const CRASHES: usize = 1;

/// How long one may take to answer. Who is gone does not answer at once: the connection is closed.
const DEADLINE: Duration = Duration::from_secs(10);

/// What a worker is told: to answer, or how to end.
#[derive(Clone, Copy, PartialEq)]
#[repr(u8)]
enum Order {
    Answer = b'?',
    Panic = b'p',
    Segfault = b's',
    Exit = b'e',
}

// ANCHOR: worker
/// Answers until nobody asks any more, or until it is told to end in some other way.
fn work(mut orders: UnixStream) {
    let mut order = [0];
    while orders.read_exact(&mut order).is_ok() {
        match order[0] {
            b'p' => panic!("as it was told"),
            b's' => segfault(),
            b'e' => std::process::exit(1),
            _ => orders.write_all(b"!").expect("somebody who has asked"),
        }
    }
}
// ANCHOR_END: worker

/// Writes to a page that it may not write to.
fn segfault() {
    let page = std::num::NonZero::new(1).expect("it is one");
    // SAFETY: a new mapping, which nothing else can mean.
    let mapped = unsafe { mmap_anonymous(None, page, ProtFlags::PROT_NONE, MapFlags::MAP_PRIVATE) };
    let mapped = mapped.expect("an address");
    // SAFETY: the page is none of Rust's memory, so a volatile write to it is what the hardware makes
    // of it: a fault.
    unsafe { mapped.cast::<u8>().as_ptr().write_volatile(1) };
}

/// As in all that is going to crash: no message, no core file.
fn quietly() {
    std::panic::set_hook(Box::new(|_| ()));
    setrlimit(Resource::RLIMIT_CORE, 0, 0).expect("less is always allowed");
}

/// Workers, the connections to them, and the processes that they are in.
struct Workers {
    connections: Vec<UnixStream>,
    processes: Vec<Child>,
}

impl Workers {
    // ANCHOR: threads
    /// Four threads of one process. It is a child of ours, so that we live to tell.
    fn threads() -> Result<Self, Error> {
        let pairs: Result<Vec<_>, _> = (0..WORKERS).map(|_| pair()).collect();
        let (connections, theirs): (Vec<_>, Vec<_>) = pairs?.into_iter().unzip();
        let process = || {
            quietly();
            let threads: Vec<_> = theirs
                .into_iter()
                .map(|orders| thread::spawn(|| work(orders)))
                .collect();
            // A panic ends the thread, and is an error to whoever joins it.
            let joined = threads.into_iter().map(|thread| thread.join());
            joined.filter(Result::is_err).count() as u8
        };
        // SAFETY: this process has one thread.
        let processes = vec![unsafe { fork(process) }?];
        Ok(Self {
            connections,
            processes,
        })
    }
    // ANCHOR_END: threads

    // ANCHOR: processes
    /// Four processes.
    fn processes() -> Result<Self, Error> {
        let (mut connections, mut processes) = (Vec::new(), Vec::new());
        for _ in 0..WORKERS {
            // One at a time: a child has a copy of all that is open, and what a brother of the worker
            // that crashes holds open would not be closed.
            let (ours, theirs) = pair()?;
            let process = || {
                quietly();
                work(theirs);
                0
            };
            // SAFETY: this process has one thread.
            processes.push(unsafe { fork(process) }?);
            connections.push(ours);
        }
        Ok(Self {
            connections,
            processes,
        })
    }
    // ANCHOR_END: processes

    fn tell(&mut self, worker: usize, order: Order) -> bool {
        let connection = &mut self.connections[worker];
        // Who is gone does not even listen.
        let told = connection.write_all(&[order as u8]);
        told.is_ok() && connection.read_exact(&mut [0]).is_ok()
    }

    fn answering(&mut self) -> usize {
        let all = 0..self.connections.len();
        all.filter(|&worker| self.tell(worker, Order::Answer))
            .count()
    }

    /// How the process of the worker that was told to crash has ended. The others end when nobody asks
    /// them any more.
    fn end(self) -> Result<WaitStatus, Error> {
        for connection in self.connections {
            // Closing ours would not do: the processes have copies of it. One that has crashed has closed
            // its end already.
            let _ = connection.shutdown(Shutdown::Both);
        }
        let mut ended = Vec::new();
        for process in self.processes {
            ended.push(process.wait()?);
        }
        Ok(ended[CRASHES.min(ended.len() - 1)])
    }
}

fn pair() -> io::Result<(UnixStream, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_read_timeout(Some(DEADLINE))?;
    Ok((ours, theirs))
}

pub fn compare() -> Result<Table, Error> {
    println!("One of {WORKERS} workers crashes:");
    let mut table = Table::new([
        Column::words("workers"),
        Column::words("one of them"),
        Column::words("its process"),
        Column::number("answer before", ""),
        Column::number("answer after", ""),
    ]);
    for (kind, start) in [
        (
            "threads",
            Workers::threads as fn() -> Result<Workers, Error>,
        ),
        ("processes", Workers::processes),
    ] {
        for (what, order) in [
            ("panics", Order::Panic),
            ("writes where it may not", Order::Segfault),
            ("calls `exit()`", Order::Exit),
        ] {
            let mut workers = start()?;
            let before = workers.answering();
            if workers.tell(CRASHES, order) {
                return Err("it was to crash, and answered".into());
            }
            let after = workers.answering();
            let end = match workers.end()? {
                WaitStatus::Exited(_, 1) if (kind, order) == ("threads", Order::Panic) => {
                    "goes on without it".to_owned()
                }
                WaitStatus::Exited(_, status) => format!("exits with `{status}`"),
                WaitStatus::Signaled(_, signal, _) => format!("is killed by `{signal}`"),
                status => return Err(format!("it ended with {status:?}").into()),
            };
            let (typed, says) = (what.replace('`', ""), end.replace('`', ""));
            println!("  {kind:9}  it {typed:22}  {after} of {before} answer; its process {says}");
            table = table.row([
                kind.to_owned(),
                what.to_owned(),
                end,
                before.to_string(),
                after.to_string(),
            ]);
        }
    }
    println!();
    Ok(table)
}
