//! A child process that runs a function, and that is never left behind.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{self, ForkResult, Pid};

/// The exit status of a child whose function panicked, as Rust's own runtime has it.
const PANICKED: u8 = 101;

/// How often a child is asked whether it has ended.
const POLL: Duration = Duration::from_millis(1);

/// A child process. Dropping it kills it and waits until it is gone.
pub struct Child {
    pid: Pid,
    ended: bool,
}

// ANCHOR: fork
/// Copies this process. The copy runs `work` and ends with the status that this returns.
///
/// # Safety
///
/// Of several threads only the calling one goes on in the copy, whatever the others were at. So if
/// there are any, `work` may do only what is async-signal-safe: see fork(2) and signal-safety(7).
pub unsafe fn fork(work: impl FnOnce() -> u8) -> io::Result<Child> {
    // SAFETY: what `work` may do is the caller's to know; the rest of this function allocates nothing.
    match unsafe { unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Child {
            pid: child,
            ended: false,
        }),
        ForkResult::Child => {
            let status = catch_unwind(AssertUnwindSafe(work)).unwrap_or(PANICKED);
            // SAFETY: ends the process on the spot, and with it all that could be unsound. `exit()`
            // would also run what the parent has left to be run when *it* ends.
            unsafe { libc::_exit(status.into()) }
        }
    }
}
// ANCHOR_END: fork

impl Child {
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until it has ended, and says how.
    pub fn wait(mut self) -> io::Result<WaitStatus> {
        let status = waitpid(self.pid, None)?;
        self.ended = true;
        Ok(status)
    }

    /// How it has ended, if it does so in that time.
    pub fn wait_for(&mut self, time: Duration) -> io::Result<Option<WaitStatus>> {
        let until = Instant::now() + time;
        loop {
            let status = waitpid(self.pid, Some(WaitPidFlag::WNOHANG))?;
            if status != WaitStatus::StillAlive {
                self.ended = true;
                return Ok(Some(status));
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            std::thread::sleep(POLL);
        }
    }

    /// Whether it waits for something, rather than for a core.
    pub fn sleeps(&self) -> io::Result<bool> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        // `PID (NAME) STATE …`, and the name may hold anything.
        Ok(stat
            .rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with('S')))
    }

    /// How many threads it has.
    pub fn threads(&self) -> io::Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/task", self.pid))?.count())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.ended {
            // It may have ended; then it stays ours to wait for, and its number nobody else's.
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = waitpid(self.pid, None);
        }
    }
}
