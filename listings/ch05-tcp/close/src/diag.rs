//! One end of a TCP connection, as its kernel knows it: `sock_diag`(7), which `ss` asks, too.
//!
//! `/proc/net/tcp` shows the same and is easier to read, but the kernel walks through all of its
//! table for it: milliseconds on a machine with much memory, for one connection in the end. Here the
//! question names the connection, and the answer takes microseconds.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

use crate::State;

/// Message type of questions and answers (linux/sock_diag.h).
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// «Any socket of these addresses», where its cookie would stand (linux/inet_diag.h).
const NO_COOKIE: [u8; 8] = [0xff; 8];

/// Offsets in the answer: a `struct nlmsghdr`, and behind it a `struct inet_diag_msg`.
const TYPE: usize = 4;
const BODY: usize = 16;
const STATE: usize = BODY + 1;
const TIMER: usize = BODY + 2;
const EXPIRES: usize = BODY + 52;
const RQUEUE: usize = BODY + 56;
const LENGTH: usize = BODY + 72;

/// What a kernel knows of one end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Where in its life it is.
    pub state: State,
    /// How long until its timer fires, if one runs.
    pub timer: Option<Duration>,
    /// Bytes that have arrived and were not read.
    pub unread: u32,
}

/// A way to ask the kernel of the network namespace in which it was opened.
#[derive(Debug)]
pub struct Diag(OwnedFd);

impl Diag {
    /// Opens it in the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// When the kernel was built without `CONFIG_INET_DIAG`, or lacks the module.
    pub fn open() -> io::Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkSockDiag,
        )?;
        Ok(Self(socket))
    }

    // ANCHOR: find
    /// The end at `local` of the connection to `remote`, or a listener there; nothing where
    /// the kernel holds nothing.
    ///
    /// # Errors
    ///
    /// When the kernel does not understand the question.
    pub fn find(&self, local: SocketAddr, remote: SocketAddr) -> io::Result<Option<End>> {
        let question = question(local, remote);
        send(self.0.as_raw_fd(), &question, MsgFlags::empty())?;
        let mut answer = [0; 1024];
        let length = recv(self.0.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        read(&answer[..length])
    }
    // ANCHOR_END: find
}

/// A `struct nlmsghdr` and a `struct inet_diag_req_v2`. Ports and addresses are in network byte
/// order, all else in the machine's.
fn question(local: SocketAddr, remote: SocketAddr) -> Vec<u8> {
    let family = if local.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    let mut body = vec![family as u8, libc::IPPROTO_TCP as u8, 0, 0];
    body.extend(u32::MAX.to_ne_bytes()); // in any state
    body.extend(local.port().to_be_bytes());
    body.extend(remote.port().to_be_bytes());
    for address in [local.ip(), remote.ip()] {
        let octets = match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        body.extend(&octets);
        body.extend(vec![0; 16 - octets.len()]);
    }
    body.extend([0; 4]); // on any interface
    body.extend(NO_COOKIE);

    let mut message = ((BODY + body.len()) as u32).to_ne_bytes().to_vec();
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend((libc::NLM_F_REQUEST as u16).to_ne_bytes());
    message.extend([0; 8]); // sequence number, and from whom: there is one question at a time
    message.extend(body);
    message
}

fn read(answer: &[u8]) -> io::Result<Option<End>> {
    let number = |at: usize| -> io::Result<u32> {
        let bytes = answer
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_ne_bytes).ok_or_else(no_answer)
    };
    let kind = answer
        .get(TYPE..TYPE + 2)
        .and_then(|bytes| bytes.try_into().ok());
    let kind = kind.map(u16::from_ne_bytes).ok_or_else(no_answer)?;
    if i32::from(kind) == libc::NLMSG_ERROR {
        let error = Errno::from_raw(-(number(BODY)? as i32));
        return if error == Errno::ENOENT {
            Ok(None)
        } else {
            Err(error.into())
        };
    }
    if kind != SOCK_DIAG_BY_FAMILY || answer.len() < LENGTH {
        return Err(no_answer());
    }
    let Some(state) = state(answer[STATE]) else {
        return Ok(None);
    };
    let timer = Duration::from_millis(u64::from(number(EXPIRES)?));
    Ok(Some(End {
        state,
        timer: (answer[TIMER] != 0).then_some(timer),
        unread: number(RQUEUE)?,
    }))
}

fn no_answer() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "not an answer of sock_diag")
}

/// The state of a number in the kernel's include/net/tcp_states.h.
fn state(number: u8) -> Option<State> {
    Some(match number {
        1 => State::Established,
        2 => State::SynSent,
        3 | 12 => State::SynReceived,
        4 => State::FinWait1,
        5 => State::FinWait2,
        6 => State::TimeWait,
        7 => State::Closed,
        8 => State::CloseWait,
        9 => State::LastAck,
        10 => State::Listen,
        11 => State::Closing,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn both(listener: &TcpListener) -> (TcpStream, SocketAddr, SocketAddr) {
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (local, remote) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        (stream, local, remote)
    }

    #[test]
    fn a_connection_is_found_in_both_versions_of_ip_and_nothing_where_there_is_none() {
        let diag = Diag::open().unwrap();
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                assert!(address.contains("::1"), "IPv4 has a loopback");
                continue; // a container without IPv6
            };
            let (stream, local, remote) = both(&listener);
            let end = diag.find(local, remote).unwrap().unwrap();
            assert_eq!((end.state, end.timer), (State::Established, None));
            // The listener is the answer for an end that does not exist but might.
            let other = SocketAddr::new(local.ip(), 1);
            let end = diag.find(remote, other).unwrap().unwrap();
            assert_eq!(end.state, State::Listen);
            drop((stream, listener));
            assert_eq!(
                diag.find(SocketAddr::new(remote.ip(), 1), other).unwrap(),
                None
            );
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for answer in [&[][..], &[0; 16], &[0; 200]] {
            read(answer).unwrap_err();
        }
        let mut refusal = [0; 36];
        refusal[TYPE..TYPE + 2].copy_from_slice(&(libc::NLMSG_ERROR as u16).to_ne_bytes());
        refusal[BODY..BODY + 4].copy_from_slice(&(-libc::ENOENT).to_ne_bytes());
        assert_eq!(read(&refusal).unwrap(), None);
        refusal[BODY..BODY + 4].copy_from_slice(&(-libc::EINVAL).to_ne_bytes());
        let error = read(&refusal).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    }
}
