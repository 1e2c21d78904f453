//! What can go wrong with a lab, each in one sentence that says what to do about it.

use std::fmt;
use std::io;

use crate::enter::Refusal;

/// Why a lab could not be made, or why its run does not count.
///
/// `Debug` prints the same sentence as `Display`, since that is what `fn main() -> Result<(), Error>`
/// shows to the reader.
#[non_exhaustive]
pub enum Error {
    /// The process had started threads before it called [`enter`](crate::enter()).
    Threads {
        /// How many there were.
        threads: usize,
    },
    /// The machine does not let this process make namespaces or interfaces.
    Refused(Refusal),
    /// The kernel lacks the congestion control that the lab was to use.
    Congestion {
        /// What was asked for.
        wanted: String,
        /// What the kernel has, as `net.ipv4.tcp_available_congestion_control` lists it.
        available: String,
    },
    /// The network as described cannot be built.
    Topology(String),
    /// A step of setting up failed for a reason that is none of the above.
    Setup {
        /// What was being done.
        step: &'static str,
        /// What the kernel answered.
        error: io::Error,
    },
    /// Packets were lost that no link had decided to lose, so that the run proves nothing.
    Undecided(Vec<String>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Threads { threads } => write!(
                f,
                "the lab cannot enter a user namespace because the process has {threads} threads \
                 already: call `lab::enter()` in the first line of `main` (before a runtime such as \
                 tokio starts), or use `lab::test` in a test"
            ),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Congestion { wanted, available } => write!(
                f,
                "this kernel has no congestion control `{wanted}` (it has: {available}): run \
                 `sudo modprobe tcp_{wanted}`, or choose another with `Builder::congestion`"
            ),
            Self::Topology(problem) => f.write_str(problem),
            Self::Setup { step, error } => {
                write!(f, "the lab failed to {step}: {error}")
            }
            Self::Undecided(drops) => write!(
                f,
                "packets were lost that no link had decided to lose, so this run does not count; \
                 send less at once or run it on an idler machine: {}",
                drops.join(", ")
            ),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Setup { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// Says in which step an error of the operating system came up.
pub(crate) trait During<T> {
    /// `step` completes the sentence «the lab failed to …».
    fn during(self, step: &'static str) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> During<T> for Result<T, E> {
    fn during(self, step: &'static str) -> Result<T, Error> {
        self.map_err(|error| {
            let error = error.into();
            match error.raw_os_error() {
                // The kernel's and the security modules' ways to say «you may not».
                Some(libc::EPERM | libc::EACCES | libc::ENOSPC) => {
                    Error::Refused(Refusal::diagnose(step, &error))
                }
                _ => Error::Setup { step, error },
            }
        })
    }
}
