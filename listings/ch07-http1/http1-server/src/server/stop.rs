//! Being told to end.

use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Instant;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// What a shell reports of a program that Ctrl-C has ended.
const ENDED_BY_SIGINT: i32 = 130;

/// What tells a server to end. Its descriptor becomes readable then and stays so, as nobody reads from it:
/// any number of threads can wait for it, beside whatever else each waits for.
#[derive(Debug, Clone)]
pub struct Stop(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    requested: OnceLock<Instant>,
    told: UnixStream,
    tell: UnixStream,
}

impl Stop {
    pub(super) fn new() -> io::Result<Self> {
        let (told, tell) = UnixStream::pair()?;
        let requested = OnceLock::new();
        Ok(Self(Arc::new(Inner {
            requested,
            told,
            tell,
        })))
    }

    /// Tells the server to end. Once is enough.
    pub fn request(&self) {
        if self.0.requested.set(Instant::now()).is_ok() {
            // One byte always fits.
            let _ = (&self.0.tell).write(&[0]);
        }
    }

    /// When it was told.
    #[must_use]
    pub fn requested(&self) -> Option<Instant> {
        self.0.requested.get().copied()
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.told.as_fd()
    }
}

/// From now on SIGTERM and Ctrl-C (SIGINT) tell the server to end. A second signal ends the process at
/// once.
///
/// # Errors
///
/// When the system has nothing left for it.
pub fn on_signals(stop: Stop) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    thread::Builder::new().spawn(move || {
        for _ in signals.forever() {
            if stop.requested().is_some() {
                process::exit(ENDED_BY_SIGINT);
            }
            stop.request();
        }
    })?;
    Ok(())
}
