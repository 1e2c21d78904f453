//! Worker processes, each of which serves one connection at a time, and a parent that serves nobody:
//! it forks them, and puts another in the place of one that dies.

#![deny(unsafe_code)]
#![cfg(target_os = "linux")]

use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::process::exit;
use std::time::{Duration, Instant};

use exec_blocking_server::Worker;
use exec_service::{Listeners, Model, Setup, Shutdown, Workers, stop_accepting};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, getpid, getppid};
use signal_hook::SigId;
use signal_hook::consts::SIGCHLD;
use signal_hook::low_level::{pipe, unregister};

/// How many worker processes there are by default. A worker waits for its client most of the time; so
/// there are many more of them than cores, as many as clients are to be served at a time.
const WORKERS: usize = 32;

// ANCHOR: model
/// How this server executes the service.
pub const MODEL: Model = Model {
    name: env!("CARGO_PKG_NAME"),
    workers_are: "processes, each of which serves one connection at a time",
    workers: Workers::Fixed(WORKERS),
    // With a queue for each, clients would wait behind a worker that is busy while others are not.
    listeners: Listeners::Shared,
    serve,
};
// ANCHOR_END: model

/// A worker that has lived so long did not die of its beginning.
const STABLE: Duration = Duration::from_secs(1);

/// How long a place stays empty after a worker has died early; then twice as long, and so on. One that
/// dies of its beginning would otherwise be forked as fast as it dies.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// How long at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How much longer than they may take the parent waits for its workers to end.
const PATIENCE: Duration = Duration::from_millis(500);

// ANCHOR: serve
/// Serves until it is told to end.
///
/// # Errors
///
/// When it cannot have a process for each worker.
pub fn serve(setup: &Setup) -> io::Result<()> {
    let mut parent = Parent::new(setup)?;
    setup.ready();
    while !setup.shutdown.requested() {
        let next = parent.fill_places();
        parent.wait(next)?;
    }
    parent.end()
}
// ANCHOR_END: serve

// ANCHOR: parent
struct Parent<'a> {
    setup: &'a Setup,
    places: Vec<Place>,
    /// Becomes readable when a child has died.
    deaths: UnixStream,
    handler: SigId,
}

/// A worker's place, and who is in it.
struct Place {
    worker: Option<(Pid, Instant)>,
    /// How long the place stays empty if this worker dies early as well.
    pause: Duration,
    /// Until when it stays empty.
    empty_until: Instant,
}

impl<'a> Parent<'a> {
    /// Has all workers forked. There is no other thread yet: in a child there would be only this one,
    /// and what the others held locked would stay so.
    fn new(setup: &'a Setup) -> io::Result<Self> {
        let (deaths, tell) = UnixStream::pair()?;
        deaths.set_nonblocking(true)?;
        tell.set_nonblocking(true)?;
        let now = Instant::now();
        let empty = |_| Place {
            worker: None,
            pause: Duration::ZERO,
            empty_until: now,
        };
        let places = (0..setup.workers).map(empty).collect();
        let handler = pipe::register(SIGCHLD, tell)?;
        let mut parent = Self {
            setup,
            places,
            deaths,
            handler,
        };
        for number in 0..setup.workers {
            parent.places[number].worker = Some((fork_worker(setup, number)?, now));
        }
        Ok(parent)
    }

    /// Notes who has died, and forks whoever is to take an empty place. Gives when the next is to.
    fn fill_places(&mut self) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for (number, place) in self.places.iter_mut().enumerate() {
            let now = Instant::now();
            if let Some((process, since)) = place.worker {
                let Some(death) = death_of(process) else {
                    continue;
                };
                eprintln!("worker {number} (process {process}) {death}: another takes its place");
                place.worker = None;
                // The kernel has closed what it had open.
                self.setup.stats.worker(number).all_closed();
                if now - since >= STABLE {
                    place.pause = Duration::ZERO;
                }
                place.empty_until = now + place.pause;
                place.pause = (place.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
            }
            if now >= place.empty_until {
                match fork_worker(self.setup, number) {
                    Ok(process) => {
                        place.worker = Some((process, now));
                        continue;
                    }
                    Err(error) => {
                        eprintln!("worker {number} cannot be forked: {error}");
                        place.empty_until = now + place.pause.max(FIRST_PAUSE);
                    }
                }
            }
            next = next.into_iter().chain([place.empty_until]).min();
        }
        next
    }

    /// Waits for the request to shut down, for a child's death, or for the time.
    fn wait(&self, until: Option<Instant>) -> io::Result<()> {
        let mut fds = [
            PollFd::new(self.setup.shutdown.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.deaths.as_fd(), PollFlags::POLLIN),
        ];
        // Once it is requested, it is so for good, and only deaths are left to wait for.
        let watched = usize::from(self.setup.shutdown.requested())..;
        match poll(&mut fds[watched], timeout(until)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        // As many bytes as there were signals; who has died is asked for each place.
        while (&self.deaths).read(&mut [0; 64]).is_ok_and(|len| len > 0) {}
        Ok(())
    }

    /// Tells all workers to end, and waits until they have.
    fn end(mut self) -> io::Result<()> {
        stop_accepting(&self.setup.listeners[0]);
        let at_latest = Instant::now() + self.setup.limits.drain + PATIENCE;
        self.tell_workers(Signal::SIGTERM);
        loop {
            for (number, place) in self.places.iter_mut().enumerate() {
                if let Some((process, _)) = place.worker
                    && death_of(process).is_some()
                {
                    place.worker = None;
                    self.setup.stats.worker(number).all_closed();
                }
            }
            if self.places.iter().all(|place| place.worker.is_none()) {
                return Ok(());
            }
            if Instant::now() >= at_latest {
                self.tell_workers(Signal::SIGKILL);
            }
            self.wait(Some(at_latest))?;
        }
    }

    fn tell_workers(&self, signal: Signal) {
        for (process, _) in self.places.iter().filter_map(|place| place.worker) {
            // It may have died just now.
            let _ = kill(process, signal);
        }
    }
}
// ANCHOR_END: parent

impl Drop for Parent<'_> {
    fn drop(&mut self) {
        unregister(self.handler);
    }
}

/// How that child has died, if it has.
fn death_of(process: Pid) -> Option<String> {
    match waitpid(process, Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::Exited(_, code)) => Some(format!("has ended with code {code}")),
        Ok(WaitStatus::Signaled(_, signal, _)) => Some(format!("was ended by {signal}")),
        Ok(_) | Err(Errno::EINTR) => None,
        Err(error) => Some(format!("is gone: {error}")),
    }
}

// ANCHOR: fork
/// Forks the worker of that number. The child inherits the listening socket, and the counters.
#[allow(unsafe_code, reason = "fork")]
fn fork_worker(setup: &Setup, number: usize) -> io::Result<Pid> {
    let parent = getpid();
    // Until the child has handlers of its own, signals wait: its parent's are not for it.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block()?;
    // SAFETY: a child of a process with several threads may only call what is safe in a signal
    // handler. There is one thread when the workers are forked first. When a dead one is replaced,
    // there may be another only in the tour, its client's; it holds no lock of this program's but
    // the allocator's, which the C library puts in order for the child.
    let forked = unsafe { nix::unistd::fork() };
    match forked {
        Ok(ForkResult::Child) => exit(match work(setup, number, parent) {
            Ok(()) => 0,
            Err(error) => {
                eprintln!("worker {number}: {error}");
                1
            }
        }),
        Ok(ForkResult::Parent { child }) => {
            signals.thread_unblock()?;
            Ok(child)
        }
        Err(error) => {
            signals.thread_unblock()?;
            Err(error.into())
        }
    }
}

/// All that a child does.
fn work(setup: &Setup, number: usize, parent: Pid) -> io::Result<()> {
    setup.shutdown.disarm();
    let shutdown = Shutdown::of_worker()?;
    // Whatever becomes of the parent, its workers do not stay behind: they end when it dies, and at
    // once if they were about to.
    set_pdeathsig(Signal::SIGTERM)?;
    if getppid() != parent {
        return Ok(());
    }
    let mut for_workers = SigSet::empty();
    for_workers.add(Signal::SIGTERM);
    for_workers.thread_unblock()?;
    let on_drain = || {
        let _ = set_pdeathsig(Signal::SIGKILL);
    };
    Worker::new(setup, &shutdown, number, on_drain)?.work()
}
// ANCHOR_END: fork

/// What `poll` takes: milliseconds, rounded up.
fn timeout(until: Option<Instant>) -> PollTimeout {
    let Some(until) = until else {
        return PollTimeout::NONE;
    };
    let left = until.saturating_duration_since(Instant::now());
    PollTimeout::try_from(left.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX)
}
