//! The listening socket: how it begins, and how it ends without losing anybody.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};

/// How many connections may wait to be accepted. The kernel takes the lesser of this and
/// `net.core.somaxconn`, whose default it has been since Linux 5.4.
pub const BACKLOG: i32 = 4096;

/// How long a worker accepts nobody after `accept()` has found no descriptor (`EMFILE`) or no
/// memory, unless one of its own connections ends before: the queue would wake it for ever.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

// ANCHOR: listen
/// Listens on the address; non-blocking, as whoever accepts has more to do than wait for it.
///
/// # Errors
///
/// When the address cannot be had; the message names it.
pub fn listen(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let open = || -> io::Result<TcpListener> {
        let kind = Type::STREAM.nonblocking();
        let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
        // Connections of the server that was here before may still be in TIME-WAIT.
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(reuse_port)?;
        // Accepted sockets inherit it, so it costs no system call for each of them.
        socket.set_tcp_nodelay(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    let named = |error: io::Error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    };
    open().map_err(named)
}
// ANCHOR_END: listen

// ANCHOR: stop
/// The flags are in a TCP header's fourteenth byte, and SYN among them is 2 (RFC 9293 §3.1).
const FLAGS: u32 = 13;
const SYN: u32 = 0x02;

// Of the instructions of the packet filter, bpf(4): load a byte, jump if a bit is set, return.
const LOAD_BYTE: u16 = 0x30;
const JUMP_IF_SET: u16 = 0x45;
const RETURN: u16 = 0x06;

/// Begins no more connections, and loses none that has begun.
///
/// Closing the socket would reset every connection that waits in its queue, and also one whose
/// handshake is under way. So the socket stays, and the kernel drops each SYN that comes for it: its
/// client repeats it after a second, and finds the server's successor or that there is none. Accept
/// what is in the queue, once more after [`Limits::last_handshakes`](crate::Limits), then close.
pub fn stop_accepting(listener: impl AsFd) {
    let instruction = |code, if_set, if_not, k| SockFilter::new(code, if_set, if_not, k);
    let without_syn = [
        instruction(LOAD_BYTE, 0, 0, FLAGS),
        instruction(JUMP_IF_SET, 0, 1, SYN),
        instruction(RETURN, 0, 0, 0),
        instruction(RETURN, 0, 0, u32::MAX),
    ];
    // Where it cannot be had, connections begin until the socket is closed, and the last of them may
    // be reset: as with most servers.
    let _ = SockRef::from(&listener).attach_filter(&without_syn);
}

/// Ends listening, as closing the socket would: whoever connects from now on is refused, or comes to a
/// successor that listens on the same port. Call it when the queue is empty: it resets whom it has.
pub fn stop_listening(listener: impl AsFd) {
    // It can only fail where nothing listens.
    let _ = SockRef::from(&listener).shutdown(std::net::Shutdown::Read);
}
// ANCHOR_END: stop

/// Whether `accept()` has failed for want of a resource that may come back: pause, do not spin.
#[must_use]
pub fn is_exhausted(error: &io::Error) -> bool {
    let exhausted = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    error
        .raw_os_error()
        .is_some_and(|code| exhausted.contains(&code))
}

/// Whether a call on a socket has failed in a way that passes: nothing was there after all, a signal
/// came, or the connection to be accepted has gone while it waited.
#[must_use]
pub fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
    matches!(error.kind(), ConnectionAborted | Interrupted | WouldBlock)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::TcpStream;

    use super::*;

    /// So long a connection attempt is watched to which nobody answers.
    const UNANSWERED: Duration = Duration::from_millis(200);

    #[test]
    fn who_waits_in_the_queue_is_accepted_after_the_server_has_stopped_accepting() {
        let listener = listen("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let address = listener.local_addr().unwrap();
        let _waiting: Vec<_> = (0..5)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        stop_accepting(&listener);
        let error = TcpStream::connect_timeout(&address, UNANSWERED).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        for _ in 0..5 {
            listener.accept().unwrap();
        }
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        stop_listening(&listener);
        let error = TcpStream::connect(address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
}
