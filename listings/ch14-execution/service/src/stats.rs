//! What a server counts of itself: connections, requests, and the system calls that it makes.
//!
//! Each worker has counters of its own, so that no two of them write to the same cache line, and
//! all lie in memory that worker processes share, so that any of them can answer `/stats`.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! syscalls {
    ($($name:ident = $text:literal),* $(,)?) => {
        /// A system call that one of the servers makes, by the name that `strace` gives it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs, reason = "their manual pages say what they do")]
        pub enum Syscall { $($name),* }

        impl Syscall {
            /// All of them, in the order in which they are told.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// As `strace` prints it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

syscalls! {
    Accept4 = "accept4",
    Poll = "poll",
    EpollWait = "epoll_wait",
    EpollCtl = "epoll_ctl",
    IoUringEnter = "io_uring_enter",
    Read = "read",
    Readv = "readv",
    Recvfrom = "recvfrom",
    Recvmsg = "recvmsg",
    Write = "write",
    Writev = "writev",
    Sendto = "sendto",
    Sendmsg = "sendmsg",
    Sendfile = "sendfile",
    Splice = "splice",
    Shutdown = "shutdown",
    Close = "close",
    Setsockopt = "setsockopt",
    Getsockopt = "getsockopt",
    Ioctl = "ioctl",
    Fcntl = "fcntl",
    Futex = "futex",
    Clone = "clone",
    Wait4 = "wait4",
}

/// What one worker counts. Only the worker itself writes here; everybody may read.
// Two cache lines, as processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
pub struct Counters {
    accepted: AtomicU64,
    closed: AtomicU64,
    requests: AtomicU64,
    syscalls: [AtomicU64; Syscall::ALL.len()],
}

impl Counters {
    /// A connection was accepted.
    #[inline]
    pub fn accepted(&self) {
        add(&self.accepted, 1);
    }

    /// A connection was closed.
    #[inline]
    pub fn closed(&self) {
        add(&self.closed, 1);
    }

    /// A request was answered, be it with an error.
    #[inline]
    pub fn request(&self) {
        add(&self.requests, 1);
    }

    /// A system call was made.
    #[inline]
    pub fn count(&self, call: Syscall) {
        add(&self.syscalls[call as usize], 1);
    }

    /// What this worker's predecessor had open when it died is closed: the kernel has seen to it.
    pub fn all_closed(&self) {
        self.closed.store(self.accepted.load(Relaxed), Relaxed);
    }
}

/// There is one writer, so that an addition need not be atomic; only the parts must be, for the
/// readers.
#[inline]
fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}

/// The counters of all workers.
#[derive(Debug, Clone)]
pub struct Stats {
    model: &'static str,
    /// The process that began it all.
    process: u32,
    shared: Arc<shared::Shared>,
}

impl Stats {
    /// Counters for so many workers and for whoever is none of them, all at zero.
    ///
    /// # Errors
    ///
    /// When the system has no memory to share.
    pub fn new(model: &'static str, workers: usize) -> io::Result<Self> {
        let shared = Arc::new(shared::Shared::new(workers + 1)?);
        let process = std::process::id();
        Ok(Self {
            model,
            process,
            shared,
        })
    }

    /// How many workers there are.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.shared.len() - 1
    }

    /// What that worker counts.
    ///
    /// # Panics
    ///
    /// When there is no such worker.
    #[must_use]
    pub fn worker(&self, worker: usize) -> &Counters {
        &self.shared[worker]
    }

    /// What the main thread counts, where it is none of the workers.
    #[must_use]
    pub fn main(&self) -> &Counters {
        &self.shared[self.workers()]
    }

    /// How many connections there are, as of now.
    #[must_use]
    pub fn open(&self) -> u64 {
        let sum = |of: fn(&Counters) -> &AtomicU64| -> u64 {
            self.shared
                .iter()
                .map(|counters| of(counters).load(Relaxed))
                .sum()
        };
        // In this order: what was closed was accepted before.
        let closed = sum(|counters| &counters.closed);
        sum(|counters| &counters.accepted).saturating_sub(closed)
    }

    /// All workers' counts together, as of now.
    #[must_use]
    pub fn total(&self) -> Totals {
        let mut totals = Totals::default();
        for counters in self.shared.iter() {
            totals.accepted += counters.accepted.load(Relaxed);
            totals.closed += counters.closed.load(Relaxed);
            totals.requests += counters.requests.load(Relaxed);
            for (total, count) in totals.syscalls.iter_mut().zip(&counters.syscalls) {
                *total += count.load(Relaxed);
            }
        }
        totals
    }

    /// All of it as JSON, and who says so: the worker's number and its process.
    pub(crate) fn as_told_by(&self, (worker, process): (usize, u32)) -> impl fmt::Display {
        let totals = self.total();
        Json {
            model: self.model,
            main_process: self.process,
            workers: self.workers(),
            worker,
            process,
            totals,
        }
    }
}

struct Json {
    model: &'static str,
    main_process: u32,
    workers: usize,
    worker: usize,
    process: u32,
    totals: Totals,
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals {
            accepted, requests, ..
        } = self.totals;
        let open = accepted.saturating_sub(self.totals.closed);
        writeln!(f, "{{")?;
        writeln!(f, "  \"server\": \"{}\",", self.model)?;
        writeln!(f, "  \"process\": {},", self.main_process)?;
        writeln!(f, "  \"workers\": {},", self.workers)?;
        writeln!(
            f,
            "  \"this\": {{ \"worker\": {}, \"process\": {} }},",
            self.worker, self.process
        )?;
        writeln!(
            f,
            "  \"connections\": {{ \"accepted\": {accepted}, \"open\": {open} }},"
        )?;
        writeln!(f, "  \"requests\": {requests},")?;
        writeln!(f, "  \"syscalls\": {}", self.totals)?;
        writeln!(f, "}}")
    }
}

/// What all workers counted together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed.
    pub closed: u64,
    /// Requests answered.
    pub requests: u64,
    syscalls: [u64; Syscall::ALL.len()],
}

impl Totals {
    /// How often a system call was made.
    #[must_use]
    pub fn of(&self, call: Syscall) -> u64 {
        self.syscalls[call as usize]
    }

    /// The system calls that were made, and how often.
    pub fn syscalls(&self) -> impl Iterator<Item = (Syscall, u64)> {
        Syscall::ALL
            .iter()
            .map(|&call| (call, self.of(call)))
            .filter(|(_, count)| *count > 0)
    }

    /// What was counted since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut difference = *self;
        difference.accepted -= before.accepted;
        difference.closed -= before.closed;
        difference.requests -= before.requests;
        for (count, before) in difference.syscalls.iter_mut().zip(before.syscalls) {
            *count -= before;
        }
        difference
    }
}

/// The system calls as a JSON object.
impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "{ ";
        for (call, count) in self.syscalls() {
            write!(f, "{separator}\"{}\": {count}", call.name())?;
            separator = ", ";
        }
        f.write_str(if separator == "{ " { "{}" } else { " }" })
    }
}

#[cfg(target_os = "linux")]
#[allow(
    unsafe_code,
    reason = "memory that outlives a fork and is the same on both sides of it"
)]
mod shared {
    use std::io;
    use std::num::NonZeroUsize;
    use std::ops::Deref;
    use std::ptr::NonNull;

    use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

    use super::Counters;

    /// As many counters as there are workers, in memory that a child process has in common with its
    /// parent.
    #[derive(Debug)]
    pub struct Shared {
        start: NonNull<Counters>,
        workers: usize,
    }

    // SAFETY: the memory belongs to this value alone until it is unmapped in `drop`, and all that
    // lies in it are atomics, which any thread may use.
    unsafe impl Send for Shared {}
    // SAFETY: as above.
    unsafe impl Sync for Shared {}

    impl Shared {
        pub fn new(workers: usize) -> io::Result<Self> {
            let size = NonZeroUsize::new(workers * size_of::<Counters>())
                .ok_or(io::ErrorKind::InvalidInput)?;
            let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
            // SAFETY: the kernel chooses a place where nothing is.
            let start = unsafe { mmap_anonymous(None, size, protection, MapFlags::MAP_SHARED)? };
            let start = start.cast();
            Ok(Self { start, workers })
        }
    }

    impl Deref for Shared {
        type Target = [Counters];

        #[inline]
        fn deref(&self) -> &[Counters] {
            // SAFETY: the mapping begins at a page, which is aligned enough, is that long, lives as
            // long as `self`, and is all zeros at first, which is what a zero `AtomicU64` looks
            // like. Nobody has it as anything but atomics.
            unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.workers) }
        }
    }

    impl Drop for Shared {
        fn drop(&mut self) {
            let size = self.workers * size_of::<Counters>();
            // SAFETY: it was mapped with that size, and no reference outlives `self`.
            let unmapped = unsafe { munmap(self.start.cast(), size) };
            debug_assert!(unmapped.is_ok(), "{unmapped:?}");
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod shared {
    use std::io;
    use std::ops::Deref;

    use super::Counters;

    /// As many counters as there are workers, which are threads.
    #[derive(Debug)]
    pub struct Shared(Vec<Counters>);

    impl Shared {
        pub fn new(workers: usize) -> io::Result<Self> {
            Ok(Self(
                (0..workers)
                    .map(|_| Counters {
                        accepted: 0.into(),
                        closed: 0.into(),
                        requests: 0.into(),
                        syscalls: [const { std::sync::atomic::AtomicU64::new(0) };
                            super::Syscall::ALL.len()],
                    })
                    .collect(),
            ))
        }
    }

    impl Deref for Shared {
        type Target = [Counters];

        fn deref(&self) -> &[Counters] {
            &self.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_all_workers_are_added() {
        let stats = Stats::new("test", 3).unwrap();
        for worker in 0..3 {
            stats.worker(worker).accepted();
            stats.worker(worker).count(Syscall::Read);
        }
        stats.worker(1).closed();
        let before = stats.total();
        stats.worker(2).request();
        stats.worker(2).count(Syscall::Writev);
        let totals = stats.total();
        assert_eq!((totals.accepted, totals.closed, totals.requests), (3, 1, 1));
        assert_eq!(totals.to_string(), r#"{ "read": 3, "writev": 1 }"#);
        assert_eq!(totals.since(&before).to_string(), r#"{ "writev": 1 }"#);
        assert_eq!(totals.since(&totals).to_string(), "{}");
    }

    #[test]
    fn no_two_workers_share_a_cache_line() {
        let stats = Stats::new("test", 2).unwrap();
        let [one, other] = [0, 1].map(|worker| std::ptr::from_ref(stats.worker(worker)).addr());
        assert_eq!(other - one, size_of::<Counters>());
        assert!(one.is_multiple_of(128) && (other - one).is_multiple_of(128));
    }
}
