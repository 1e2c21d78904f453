//! The kernel's table of TCP connections over IPv4, as Linux shows it in `/proc/net/tcp`.
//!
//! One line of it (proc(5), the kernel's `net/ipv4/tcp_ipv4.c`, `tcp4_seq_show`):
//!
//! ```text
//!   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
//!    3: 0100007F:A1F8 0100007F:1F90 06 00000000:00000000 03:00000DB6 00000000     0        0 0 …
//! ```
//!
//! Addresses are numbers of this machine's byte order, ports are not; `st` is the state, and after
//! `tr`, the kind of timer that runs, stands when it will fire.

#![forbid(unsafe_code)]

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

/// The table of the network namespace that the calling thread is in. (`/proc/net` is that of the
/// process's main thread.)
pub const TABLE: &str = "/proc/thread-self/net/tcp";

/// In what fraction of a second the kernel tells user space its times: `USER_HZ`, 100 everywhere
/// that Linux runs Rust's standard library.
const TICK: Duration = Duration::from_millis(10);

// ANCHOR: state
/// The states of RFC 9293 §3.3.2. CLOSED is missing, for it means that there is no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the RFC's own names")]
pub enum State {
    Established,
    SynSent,
    SynReceived,
    FinWait1,
    FinWait2,
    TimeWait,
    CloseWait,
    LastAck,
    Listen,
    Closing,
}

impl State {
    /// The state of a number in column `st` (the kernel's `include/net/tcp_states.h`).
    fn from_kernel(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Established,
            2 => Self::SynSent,
            // 12 is the kernel's TCP_NEW_SYN_RECV, which it prints as 3.
            3 => Self::SynReceived,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            _ => return None,
        })
    }
}
// ANCHOR_END: state

/// As RFC 9293 spells it.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Established => "ESTABLISHED",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::TimeWait => "TIME-WAIT",
            Self::CloseWait => "CLOSE-WAIT",
            Self::LastAck => "LAST-ACK",
            Self::Listen => "LISTEN",
            Self::Closing => "CLOSING",
        })
    }
}

/// One end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The address of this end.
    pub local: SocketAddr,
    /// The address of the other end; 0.0.0.0:0 for a listener.
    pub remote: SocketAddr,
    /// Where in its life this end is.
    pub state: State,
    /// For a listener, how many connections wait for `accept()`; else bytes that wait to be read.
    pub waiting: u32,
    /// How long until the timer fires that runs for this end, if one runs.
    pub timer: Option<Duration>,
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        let mut columns = line.split_ascii_whitespace().skip(1);
        let local = address(columns.next()?)?;
        let remote = address(columns.next()?)?;
        let state = State::from_kernel(u8::from_str_radix(columns.next()?, 16).ok()?)?;
        let (_to_send, waiting) = columns.next()?.split_once(':')?;
        let (timer, when) = columns.next()?.split_once(':')?;
        let ticks = u32::from_str_radix(when, 16).ok()?;
        Some(Self {
            local,
            remote,
            state,
            waiting: u32::from_str_radix(waiting, 16).ok()?,
            timer: (timer != "00").then(|| TICK * ticks),
        })
    }
}

/// An address as in `0100007F:1F90`, which is 127.0.0.1:8080 on a little-endian machine.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let ip = u32::from_str_radix(ip, 16).ok()?.to_ne_bytes();
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(SocketAddrV4::new(Ipv4Addr::from(ip), port).into())
}

/// Reads the text of [`TABLE`].
///
/// # Errors
///
/// When a line is not as the kernel writes it; the error holds the line.
pub fn parse(table: &str) -> io::Result<Vec<Entry>> {
    let lines = table.lines().skip(1);
    lines
        .map(|line| {
            Entry::parse(line).ok_or_else(|| {
                io::Error::new(ErrorKind::InvalidData, format!("not as in {TABLE}: {line}"))
            })
        })
        .collect()
}

// ANCHOR: find
/// What the kernel holds for the end at `local` whose other end is at `remote`; nothing when it
/// holds nothing.
///
/// # Errors
///
/// When the table cannot be read, as on a system that is not Linux.
pub fn find(local: SocketAddr, remote: SocketAddr) -> io::Result<Option<Entry>> {
    let table = std::fs::read_to_string(TABLE)?;
    let mut entries = parse(&table)?.into_iter();
    Ok(entries.find(|entry| entry.local == local && entry.remote == remote))
}
// ANCHOR_END: find

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when\n";

    #[test]
    #[cfg(target_endian = "little")]
    fn a_line_is_read_as_the_kernel_wrote_it() {
        let line =
            "  12: 0100007F:A1F8 0200007F:1F90 06 00000000:00000003 03:00000DB6 00000000 0 0";
        assert_eq!(
            parse(&format!("{HEAD}{line}\n")).unwrap(),
            [Entry {
                local: ([127, 0, 0, 1], 0xa1f8).into(),
                remote: ([127, 0, 0, 2], 8080).into(),
                state: State::TimeWait,
                waiting: 3,
                timer: Some(Duration::from_millis(35_100)),
            }]
        );
    }

    #[test]
    fn a_line_of_another_shape_is_an_error_that_shows_it() {
        for line in [
            "nonsense",
            "0: 0100007F:A1F8",
            "0: 0100007F 0100007F:1F90 06 0:0 0:0",
            "0: 0100007F:A1F8 0100007F:1F90 7F 0:0 0:0",
            "0: é:A1F8 0100007F:1F90 06 0:0 0:0",
        ] {
            let error = parse(&format!("{HEAD}{line}\n")).unwrap_err();
            assert!(error.to_string().contains(line), "{error}");
        }
        assert_eq!(parse("").unwrap(), []);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(.|\n){0,200}", columns in "([0-9A-F]{1,9}[: \n]{1,2}){0,40}") {
            // What matters is that it comes back at all: neither a panic nor a loop.
            let _ = parse(&text);
            let _ = parse(&format!("{HEAD}{columns}"));
        }
    }
}
