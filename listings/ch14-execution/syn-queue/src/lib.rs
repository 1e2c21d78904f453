//! What the kernel knows of the connections that a program has not accepted yet.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

use std::time::{Duration, Instant};
use std::{io, thread};

#[cfg(target_os = "linux")]
pub mod counters;
#[cfg(target_os = "linux")]
pub mod diag;

/// How long anything may take that an experiment waits for.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Waits until something is so.
///
/// # Errors
///
/// The first of `it_is_so`, and [`TimedOut`](io::ErrorKind::TimedOut) after [`DEADLINE`].
pub fn wait_until(what: &str, mut it_is_so: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let at_latest = Instant::now() + DEADLINE;
    while !it_is_so()? {
        if Instant::now() >= at_latest {
            let late = format!("waited {DEADLINE:?} in vain until {what}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, late));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
