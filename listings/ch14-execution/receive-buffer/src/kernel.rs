//! The questions that take a line of care, with the care taken.

use std::fmt;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};

use nix::libc::{self, c_int, c_ulong, c_void, socklen_t};

// ANCHOR: memory
/// What a socket's buffers cost the kernel, in bytes of memory. `ss -m` calls it `skmem`, and the
/// kernel `SK_MEMINFO_…` (linux/sock_diag.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// `r`: booked for what has arrived and was not read.
    pub received: usize,
    /// `rb`: how much that may be, `SO_RCVBUF`.
    pub receive_buffer: usize,
    /// `t`: booked for packets that the network interface has not let go of.
    pub transmitting: usize,
    /// `tb`: how much `queued` may be, `SO_SNDBUF`.
    pub send_buffer: usize,
    /// `f`: set aside for this socket and not booked for anything yet.
    pub set_aside: usize,
    /// `w`: booked for what was written and is not acknowledged.
    pub queued: usize,
    /// `o`: booked for options, such as the socket's filter.
    pub options: usize,
    /// `bl`: came in while the program was inside a call on this socket, and waits for its end.
    pub backlog: usize,
    /// `d`: packets that the socket did not take.
    pub drops: usize,
}

/// Asks for a socket's [`Memory`]: `SO_MEMINFO`, since Linux 4.12.
///
/// # Errors
///
/// When the descriptor is no socket, or the kernel is older.
pub fn memory(socket: &impl AsFd) -> io::Result<Memory> {
    let numbers: [u32; 9] = option(socket, libc::SOL_SOCKET, libc::SO_MEMINFO)?;
    let [r, rb, t, tb, f, w, o, bl, d] = numbers.map(|number| number as usize);
    Ok(Memory {
        received: r,
        receive_buffer: rb,
        transmitting: t,
        send_buffer: tb,
        set_aside: f,
        queued: w,
        options: o,
        backlog: bl,
        drops: d,
    })
}

/// Bytes that have arrived and were not read; of a UDP socket, those of the first datagram
/// (`FIONREAD`, in tcp(7) and udp(7)).
///
/// # Errors
///
/// When the descriptor is no such socket; the same holds for the two that follow.
pub fn unread(socket: &impl AsFd) -> io::Result<usize> {
    count(socket, libc::FIONREAD as c_ulong)
}

/// Bytes that were written and are not acknowledged, be they sent or not (`SIOCOUTQ`, in tcp(7)).
pub fn unacknowledged(socket: &impl AsFd) -> io::Result<usize> {
    count(socket, libc::TIOCOUTQ as c_ulong)
}

/// Those of them that were not even sent (`SIOCOUTQNSD`, linux/sockios.h).
pub fn unsent(socket: &impl AsFd) -> io::Result<usize> {
    count(socket, libc::SIOCOUTQNSD as c_ulong)
}
// ANCHOR_END: memory

/// As `ss -m` prints it.
impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "skmem:(r{},rb{},t{},tb{},f{},w{},o{},bl{},d{})",
            self.received,
            self.receive_buffer,
            self.transmitting,
            self.send_buffer,
            self.set_aside,
            self.queued,
            self.options,
            self.backlog,
            self.drops
        )
    }
}

/// How many bytes the program has read within a round trip, as autotuning counts it: `rcv_space`
/// of `ss -ti`.
///
/// # Errors
///
/// When the descriptor is no TCP socket.
pub fn receive_space(socket: &impl AsFd) -> io::Result<usize> {
    /// Where it stands in `struct tcp_info` (linux/tcp.h), in units of 32 bits.
    const TCPI_RCV_SPACE: usize = 24;
    let info: [u32; TCPI_RCV_SPACE + 1] = option(socket, libc::IPPROTO_TCP, libc::TCP_INFO)?;
    Ok(info[TCPI_RCV_SPACE] as usize)
}

/// Lets the socket count as readable only from so many bytes on (`SO_RCVLOWAT`, in socket(7)).
///
/// # Errors
///
/// When the descriptor is no socket.
pub fn set_receive_low_water(socket: &impl AsFd, bytes: c_int) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `bytes`, which lives until the call returns.
    check(unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            (&raw const bytes).cast::<c_void>(),
            mem::size_of_val(&bytes) as socklen_t,
        )
    })
}

fn count(socket: &impl AsFd, request: c_ulong) -> io::Result<usize> {
    let mut number: c_int = 0;
    // SAFETY: each of the requests above writes one `int` to where the pointer says. (The type of
    // `request` depends on the C library.)
    check(unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), request as _, &raw mut number) })?;
    usize::try_from(number).map_err(io::Error::other)
}

/// The first `N` numbers of an option that consists of numbers. What the kernel is too old to know
/// is zero.
fn option<const N: usize>(socket: &impl AsFd, level: c_int, name: c_int) -> io::Result<[u32; N]> {
    let mut numbers = [0; N];
    let mut length = mem::size_of_val(&numbers) as socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, which is what `numbers` has room for, and
    // any bytes make numbers.
    check(unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            numbers.as_mut_ptr().cast::<c_void>(),
            &raw mut length,
        )
    })?;
    Ok(numbers)
}

fn check(result: c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
