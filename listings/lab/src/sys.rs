//! The system calls that need a line of care, with the care taken.

use std::fs::{self, File};
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};
use nix::time::{ClockId, clock_gettime};

/// The result of a system call that reports an error as a negative number.
pub(crate) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn clock_ns(clock: ClockId) -> u64 {
    let time = clock_gettime(clock).expect("the clocks that every Linux has can be read");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// Nanoseconds on the clock that nobody sets: the lab's own time.
pub(crate) fn monotonic_ns() -> u64 {
    clock_ns(ClockId::CLOCK_MONOTONIC)
}

/// Nanoseconds since 1970: the clock with which the kernel stamps packets.
pub(crate) fn realtime_ns() -> u64 {
    clock_ns(ClockId::CLOCK_REALTIME)
}

/// Now by [`monotonic_ns`], and how far [`realtime_ns`] is ahead of it.
///
/// Both clocks run at one rate, but the other may be set. A thread that has to wait between reading
/// the one and the other would take its wait for a part of the distance; so it asks again.
pub(crate) fn now_and_lead_ns() -> (u64, u64) {
    /// More than two readings take where they are no system calls.
    const UNDISTURBED_NS: u64 = 2_000;
    const TRIES: usize = 4;
    let mut best = (u64::MAX, 0, 0);
    for _ in 0..TRIES {
        let before_ns = monotonic_ns();
        let realtime_ns = realtime_ns();
        let now_ns = monotonic_ns();
        best = best.min((now_ns - before_ns, now_ns, realtime_ns));
        if best.0 <= UNDISTURBED_NS {
            break;
        }
    }
    let (_, now_ns, realtime_ns) = best;
    (now_ns, realtime_ns.saturating_sub(now_ns))
}

/// How many threads the process has.
pub(crate) fn threads() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/task")?.count())
}

/// Whether the calling thread has a capability, by its number in capabilities(7).
pub(crate) fn has_capability(number: u32) -> bool {
    fs::read_to_string("/proc/thread-self/status")
        .ok()
        .and_then(|status| {
            let mask = status
                .lines()
                .find_map(|line| line.strip_prefix("CapEff:"))?;
            u64::from_str_radix(mask.trim(), 16).ok()
        })
        .is_some_and(|mask| mask >> number & 1 == 1)
}

/// Moves the calling thread into a fresh network namespace and gives a handle on it.
pub(crate) fn new_network_namespace() -> io::Result<OwnedFd> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    // `/proc/self/ns/net` would be the main thread's.
    Ok(File::open("/proc/thread-self/ns/net")?.into())
}

/// Moves the calling thread into a network namespace.
pub(crate) fn enter_network_namespace(namespace: impl AsFd) -> io::Result<()> {
    Ok(setns(namespace, CloneFlags::CLONE_NEWNET)?)
}

/// Sets a socket option that nix does not know.
pub(crate) fn set_option<T: Copy>(
    socket: impl AsFd,
    level: libc::c_int,
    name: libc::c_int,
    value: T,
) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `value`, which lives until the call returns.
    check(unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            mem::size_of::<T>() as libc::socklen_t,
        )
    })?;
    Ok(())
}

/// The relay's slice, the shortest that the kernel grants: it comes before all others.
pub(crate) const RELAY_SLICE: Duration = Duration::from_micros(100);

/// The slice of an experiment's own threads: they come before what else keeps the machine busy, but
/// behind the relay. A receiver that took its place for each packet would slow down all.
pub(crate) const HOST_SLICE: Duration = Duration::from_millis(1);

/// Asks to be woken to the nanosecond and to be let run soon after that, which needs no privilege.
///
/// A thread's timers may otherwise fire 50 µs late ([`PR_SET_TIMERSLACK`]), and the scheduler lets a
/// busy thread finish its slice of about 3 ms first unless the woken one has asked for a shorter
/// slice (EEVDF, since Linux 6.12; older kernels ignore the wish). What the thread starts does not
/// inherit it. Of two that are woken on one processor the one with the shorter slice comes first.
///
/// [`PR_SET_TIMERSLACK`]: https://man7.org/linux/man-pages/man2/PR_SET_TIMERSLACK.2const.html
pub(crate) fn be_punctual(slice: Duration) {
    /// `struct sched_attr` in its first form, sched_setattr(2).
    #[repr(C)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    /// linux/sched.h: SCHED_FLAG_RESET_ON_FORK.
    const RESET_ON_FORK: u64 = 1;

    // SAFETY: numbers only. The thread keeps the nice value that it has.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    let attributes = Attributes {
        size: mem::size_of::<Attributes>() as u32,
        policy: 0,
        flags: RESET_ON_FORK,
        nice,
        priority: 0,
        runtime: slice.as_nanos() as u64,
        deadline: 0,
        period: 0,
    };
    // SAFETY: PR_SET_TIMERSLACK takes a number; sched_setattr reads `size` bytes of `attributes`.
    // Both change the calling thread only, and a refusal costs nothing but punctuality.
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1_usize);
        libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0);
    }
}
