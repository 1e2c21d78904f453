//! Being told to end.

use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::signal::{SigSet, Signal};
use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

/// What a shell reports of a program that Ctrl-C has ended.
const ENDED_BY_SIGINT: i32 = 130;

/// The request to shut down, by SIGTERM, by Ctrl-C (SIGINT) or by [`Shutdown::request`]. A second
/// signal ends the process at once.
///
/// Its descriptor becomes readable and stays so, as nobody reads from it: any number of workers
/// can wait for it, beside whatever else each waits for.
#[derive(Debug)]
pub struct Shutdown {
    requested: Arc<AtomicBool>,
    told: UnixStream,
    tell: UnixStream,
    handlers: Mutex<Vec<SigId>>,
}

impl Shutdown {
    /// From now on SIGTERM and SIGINT do not end this process but request its end.
    ///
    /// # Errors
    ///
    /// When there is no descriptor left for it.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::new()?;
        for signal in [SIGTERM, SIGINT] {
            // Before `on` sets the flag: only a signal that finds it set ends the process.
            let requested = Arc::clone(&shutdown.requested);
            let insist = flag::register_conditional_shutdown(signal, ENDED_BY_SIGINT, requested)?;
            shutdown.handlers().push(insist);
            shutdown.on(signal)?;
        }
        Ok(shutdown)
    }

    /// The same in a worker process, whose parent says what is to happen: SIGTERM requests its end,
    /// how ever often it comes. Ctrl-C, which reaches parent and children alike, is the parent's.
    ///
    /// # Errors
    ///
    /// When there is no descriptor left for it.
    pub fn of_worker() -> io::Result<Self> {
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGINT);
        mask.thread_block()?;
        let shutdown = Self::new()?;
        shutdown.on(SIGTERM)?;
        Ok(shutdown)
    }

    fn new() -> io::Result<Self> {
        let (told, tell) = UnixStream::pair()?;
        told.set_nonblocking(true)?;
        tell.set_nonblocking(true)?;
        let (requested, handlers) = (Arc::default(), Mutex::default());
        Ok(Self {
            requested,
            told,
            tell,
            handlers,
        })
    }

    fn on(&self, signal: i32) -> io::Result<()> {
        let set = flag::register(signal, Arc::clone(&self.requested))?;
        let tell = low_level::pipe::register(signal, self.tell.try_clone()?)?;
        self.handlers().extend([set, tell]);
        Ok(())
    }

    /// Signals are no longer this value's concern: in a worker process, which has inherited its
    /// parent's.
    pub fn disarm(&self) {
        for handler in self.handlers().drain(..) {
            low_level::unregister(handler);
        }
    }

    fn handlers(&self) -> MutexGuard<'_, Vec<SigId>> {
        self.handlers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the end was requested.
    #[inline]
    #[must_use]
    pub fn requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }

    /// Requests it.
    pub fn request(&self) {
        self.requested.store(true, Ordering::Relaxed);
        // If it is full, it is readable.
        let _ = (&self.tell).write(&[0]);
    }
}

impl AsFd for Shutdown {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.told.as_fd()
    }
}

impl Drop for Shutdown {
    fn drop(&mut self) {
        self.disarm();
    }
}
