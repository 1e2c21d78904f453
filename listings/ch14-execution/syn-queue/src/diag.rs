//! The sockets of a network namespace with the lengths of their queues: what `ss` prints, by the way
//! that `ss` takes, `sock_diag`(7).
//!
//! Chapter 5's `tcp-close` asks for one connection. Here the question is a *dump*: all TCP sockets in
//! some states. So the half-open connections are counted, for which the kernel keeps small entries
//! instead of sockets.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

/// Message type of questions and answers (linux/sock_diag.h).
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// «Any socket», where its cookie would stand (linux/inet_diag.h).
const NO_COOKIE: [u8; 8] = [0xff; 8];

/// Room for what the kernel sends in one piece: at most 32 KiB (`netlink_dump` in
/// net/netlink/af_netlink.c).
const ROOM: usize = 32_768;

/// Length of a `struct nlmsghdr`, and where its length and type stand.
const HEADER: usize = 16;
const LENGTH: usize = 0;
const TYPE: usize = 4;

/// Offsets in a `struct inet_diag_msg`, which follows the header.
mod at {
    pub(super) const FAMILY: usize = 0;
    pub(super) const STATE: usize = 1;
    pub(super) const RETRANSMITS: usize = 3;
    pub(super) const LOCAL_PORT: usize = 4;
    pub(super) const REMOTE_PORT: usize = 6;
    pub(super) const LOCAL: usize = 8;
    pub(super) const REMOTE: usize = 24;
    pub(super) const RECV_Q: usize = 56;
    pub(super) const SEND_Q: usize = 60;
    pub(super) const INODE: usize = 68;
    pub(super) const END: usize = 72;
}

/// The states that matter here, by their numbers in the kernel's include/net/tcp_states.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// The connection stands.
    Established = 1,
    /// The SYN was sent and nothing has come back yet.
    SynSent = 2,
    /// The SYN was answered, and the answer was not acknowledged yet: half-open.
    SynReceived = 3,
    /// The other end has closed.
    CloseWait = 8,
    /// Not a connection: it waits for them.
    Listen = 10,
}

impl State {
    const ALL: [Self; 5] = [
        Self::Established,
        Self::SynSent,
        Self::SynReceived,
        Self::CloseWait,
        Self::Listen,
    ];
}

// ANCHOR: socket
/// A socket as `ss` lists it, or an entry of a SYN queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Socket {
    /// Its state.
    pub state: State,
    /// Its own address.
    pub local: SocketAddr,
    /// The other end's; zeros while listening.
    pub remote: SocketAddr,
    /// Bytes that have arrived and were not read; while listening, connections that were not
    /// accepted.
    pub recv_q: u32,
    /// Bytes that are not acknowledged; while listening, the backlog.
    pub send_q: u32,
    /// How often the last segment was sent again, SYN ACKs included.
    pub retransmits: u8,
    /// The number that a program's descriptor has as a file (stat(2)); 0 where none has it.
    pub inode: u32,
}
// ANCHOR_END: socket

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

    // ANCHOR: sockets
    /// All TCP sockets in one of these states, and for [`State::SynReceived`] the entries of
    /// all SYN queues.
    ///
    /// # Errors
    ///
    /// When the kernel does not understand the question.
    pub fn sockets(&self, states: &[State]) -> io::Result<Vec<Socket>> {
        let mut found = Vec::new();
        let mut answer = vec![0; ROOM];
        for family in [libc::AF_INET, libc::AF_INET6] {
            let question = question(family, states);
            send(self.0.as_raw_fd(), &question, MsgFlags::empty())?;
            loop {
                let length = recv(self.0.as_raw_fd(), &mut answer, MsgFlags::empty())?;
                if !read(&answer[..length], &mut found)? {
                    break;
                }
            }
        }
        Ok(found)
    }
    // ANCHOR_END: sockets

    /// The listener at a port.
    ///
    /// # Errors
    ///
    /// Those of [`sockets`](Self::sockets), and [`ErrorKind::NotFound`] when nobody listens there.
    pub fn listener(&self, port: u16) -> io::Result<Socket> {
        let mut listeners = self.sockets(&[State::Listen])?.into_iter();
        let found = listeners.find(|socket| socket.local.port() == port);
        found.ok_or_else(|| io::Error::new(ErrorKind::NotFound, "nobody listens at this port"))
    }
}

/// A `struct nlmsghdr` and a `struct inet_diag_req_v2`, all in the machine's byte order.
fn question(family: libc::c_int, states: &[State]) -> Vec<u8> {
    let wanted = states
        .iter()
        .fold(0, |set, &state| set | 1_u32 << state as u8);
    let mut body = vec![family as u8, libc::IPPROTO_TCP as u8, 0, 0];
    body.extend(wanted.to_ne_bytes());
    body.extend([0; 40]); // of any ports and addresses, on any interface
    body.extend(NO_COOKIE);

    let mut message = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
    message.extend([0; 8]); // sequence number, and from whom: there is one question at a time
    message.extend(body);
    message
}

/// Reads what came in one piece, and says whether more is to come.
fn read(mut answer: &[u8], found: &mut Vec<Socket>) -> io::Result<bool> {
    while !answer.is_empty() {
        let length = u32::from_ne_bytes(array(answer, LENGTH)?) as usize;
        let message = answer.get(..length).filter(|_| length >= HEADER);
        let message = message.ok_or_else(no_answer)?;
        match u16::from_ne_bytes(array(message, TYPE)?) {
            SOCK_DIAG_BY_FAMILY => found.extend(read_socket(&message[HEADER..])?),
            kind if i32::from(kind) == libc::NLMSG_DONE => return Ok(false),
            kind if i32::from(kind) == libc::NLMSG_ERROR => {
                let error = i32::from_ne_bytes(array(message, HEADER)?);
                return Err(Errno::from_raw(error.saturating_neg()).into());
            }
            _ => return Err(no_answer()),
        }
        // The next begins at a multiple of four.
        answer = answer.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(true)
}

/// Nothing where its state is none of ours.
fn read_socket(body: &[u8]) -> io::Result<Option<Socket>> {
    if body.len() < at::END {
        return Err(no_answer());
    }
    let mut states = State::ALL.into_iter();
    let Some(state) = states.find(|state| *state as u8 == body[at::STATE]) else {
        return Ok(None);
    };
    let address = |at, port| -> io::Result<SocketAddr> {
        let ip = match i32::from(body[at::FAMILY]) {
            libc::AF_INET => IpAddr::from(array::<4>(body, at)?),
            _ => IpAddr::from(array::<16>(body, at)?),
        };
        Ok((ip, u16::from_be_bytes(array(body, port)?)).into())
    };
    Ok(Some(Socket {
        state,
        local: address(at::LOCAL, at::LOCAL_PORT)?,
        remote: address(at::REMOTE, at::REMOTE_PORT)?,
        recv_q: u32::from_ne_bytes(array(body, at::RECV_Q)?),
        send_q: u32::from_ne_bytes(array(body, at::SEND_Q)?),
        retransmits: body[at::RETRANSMITS],
        inode: u32::from_ne_bytes(array(body, at::INODE)?),
    }))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> io::Result<[u8; N]> {
    let bytes = bytes
        .get(at..at + N)
        .and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(no_answer)
}

fn no_answer() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "not an answer of sock_diag")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_listener_and_what_waits_there_are_found_in_both_versions_of_ip() {
        let diag = Diag::open().unwrap();
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                assert!(address.contains("::1"), "IPv4 has a loopback");
                continue; // a container without IPv6
            };
            let local = listener.local_addr().unwrap();
            let stream = TcpStream::connect(local).unwrap();
            let found = diag.listener(local.port()).unwrap();
            assert_eq!((found.state, found.local), (State::Listen, local));
            assert_eq!((found.recv_q, found.send_q), (1, 128), "{found:?}");
            let file = fs::metadata(format!("/proc/self/fd/{}", listener.as_raw_fd()));
            assert_eq!(u64::from(found.inode), file.unwrap().ino());

            let all = diag.sockets(&[State::Established]).unwrap();
            let ours = stream.local_addr().unwrap();
            let accepted = |socket: &&Socket| (socket.local, socket.remote) == (local, ours);
            let accepted = all.iter().find(accepted).unwrap();
            assert_eq!(accepted.state, State::Established);
            assert!(all.iter().all(|socket| socket.state == State::Established));
            drop(listener);
            let error = diag.listener(local.port()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error_and_never_a_panic() {
        let message = |length: u32, kind: u16, body: &[u8]| {
            let mut message = length.to_ne_bytes().to_vec();
            message.extend(kind.to_ne_bytes());
            message.extend([0; 10]);
            message.extend(body);
            message
        };
        let error = libc::NLMSG_ERROR as u16;
        for broken in [
            vec![0; 3],
            message(0, 0, &[]),
            message(15, SOCK_DIAG_BY_FAMILY, &[]),
            message(17, SOCK_DIAG_BY_FAMILY, &[]),
            message(16, SOCK_DIAG_BY_FAMILY, &[]),
            message(16 + 71, SOCK_DIAG_BY_FAMILY, &[1; 71]),
            message(16, error, &[]),
            message(16, 77, &[]),
        ] {
            read(&broken, &mut Vec::new()).unwrap_err();
        }
        let refusal = message(20, error, &(-libc::EINVAL).to_ne_bytes());
        let refusal = read(&refusal, &mut Vec::new()).unwrap_err();
        assert_eq!(refusal.raw_os_error(), Some(libc::EINVAL));
        let worst = message(20, error, &i32::MIN.to_ne_bytes());
        read(&worst, &mut Vec::new()).unwrap_err();

        // Two sockets of which one is in a state that nobody asked for, and the end.
        let mut body = [0; 72];
        (body[at::FAMILY], body[at::STATE]) = (libc::AF_INET as u8, State::Listen as u8);
        let mut answer = message(16 + 72, SOCK_DIAG_BY_FAMILY, &body);
        body[at::STATE] = 200;
        answer.extend(message(16 + 72, SOCK_DIAG_BY_FAMILY, &body));
        let mut found = Vec::new();
        assert!(read(&answer, &mut found).unwrap(), "more is to come");
        answer.extend(message(16, libc::NLMSG_DONE as u16, &[]));
        assert!(!read(&answer, &mut found).unwrap());
        assert_eq!(found.len(), 2);
    }
}
