//! The accept queue under other conditions than the listing's, and what is harder to see.
#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "the listing uses what these tests do not")]
#[path = "../src/overlap.rs"]
mod overlap;
#[allow(dead_code, reason = "the listing uses what these tests do not")]
#[path = "../src/stage.rs"]
mod stage;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use exec_syn_queue::diag::State;
use exec_syn_queue::{DEADLINE, wait_until};
use nix::libc;
use overlap::{Meeting, meeting, state};
use socket2::{Domain, SockRef, Socket, Type};
use stage::{Client, PORT, Settings, Stage};

fn connected(stage: &Stage) -> TcpStream {
    match stage.connect().unwrap() {
        Client::Connected(stream) => {
            stream.set_nonblocking(false).unwrap();
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            stream
        }
        Client::Waits(_) => panic!("there should have been room"),
    }
}

/// A client that is connected to a server that is not.
fn half_made(abort: u8, cookies: u8) -> Meeting {
    let meeting = (0..5).find_map(|_| meeting(abort, cookies).unwrap());
    let meeting = meeting.expect("one of five tries is in time");
    meeting.late.set_nonblocking(false).unwrap();
    meeting.late.set_read_timeout(Some(DEADLINE)).unwrap();
    meeting
}

#[test]
fn the_queue_is_as_long_over_ipv6() {
    lab::test(|| {
        let stage = Stage::open(Settings::default()).unwrap();
        let address = SocketAddr::from((stage.server.v6(), 81));
        let open = || Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
        let listener = stage.server.run(open);
        listener.bind(&address.into()).unwrap();
        listener.listen(3).unwrap();
        let mut connected = Vec::new();
        let patience = Duration::from_millis(700); // less than until the SYN is sent again
        let error = loop {
            let attempt = || TcpStream::connect_timeout(&address, patience);
            match stage.client.run(attempt) {
                Ok(stream) => connected.push(stream),
                Err(error) => break error,
            }
        };
        assert_eq!(connected.len(), 4);
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(stage.diag.listener(81).unwrap().recv_q, 4);
    });
}

#[test]
fn a_client_that_waits_for_the_server_to_speak_is_helped_by_the_second_syn_ack() {
    lab::test(|| {
        let Meeting {
            stage, mut late, ..
        } = half_made(0, 1);
        let local = late.local_addr().unwrap();
        // There is room at once, and nobody knows: the client has said all it has to say.
        stage.listener.accept().unwrap();
        assert_eq!(
            state(&stage.diag, local).unwrap().unwrap().state,
            State::SynReceived
        );
        let accepting = loop {
            let (accepted, from) = stage.listener.accept().unwrap();
            if from == local {
                break accepted;
            }
        };
        (&accepting).write_all(b"hello").unwrap();
        late.read_exact(&mut [0; 5]).unwrap();
        let syn_acks = stage
            .lab
            .capture()
            .sent_by("server")
            .filter_map(lab::Crossing::tcp)
            .filter(|tcp| tcp.has(lab::Tcp::SYN) && tcp.destination_port == local.port())
            .count();
        assert_eq!(syn_acks, 2);
    });
}

#[test]
fn a_server_that_never_accepts_forgets_the_client_which_learns_it_when_it_writes() {
    lab::test(|| {
        let Meeting {
            stage, mut late, ..
        } = half_made(0, 1);
        let local = late.local_addr().unwrap();
        stage
            .server
            .sysctl("net.ipv4.tcp_synack_retries", 0)
            .unwrap();
        let gone = || Ok(state(&stage.diag, local)?.is_none());
        wait_until("the entry is gone", gone).unwrap();

        // The client still is connected, to nobody.
        let diag = stage.client.run(exec_syn_queue::diag::Diag::open).unwrap();
        let of_the_client = state(&diag, local).unwrap().unwrap();
        assert_eq!(of_the_client.state, State::Established);
        late.write_all(b"hello").unwrap();
        let error = late.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn with_a_cookie_the_ack_is_dropped_whatever_tcp_abort_on_overflow_says() {
    lab::test(|| {
        let Meeting {
            stage,
            mut late,
            server,
            ..
        } = half_made(1, 2);
        assert_eq!(server, None, "there is no entry to begin with");
        // No reset; and once there is room, the client's data bring the cookie once more.
        for _ in 0..2 {
            stage.listener.accept().unwrap();
        }
        late.write_all(b"hello").unwrap();
        let (mut accepted, from) = stage.listener.accept().unwrap();
        assert_eq!(from, late.local_addr().unwrap());
        accepted.read_exact(&mut [0; 5]).unwrap();
    });
}

#[test]
fn a_full_queue_drops_a_syn_before_it_thinks_of_a_cookie() {
    lab::test(|| {
        let stage = Stage::open(Settings {
            backlog: 0,
            cookies: 2,
            ..Settings::default()
        })
        .unwrap();
        let _waits = connected(&stage);
        stage.waits_for(1).unwrap();
        let sent = stage.counters.get("SyncookiesSent").unwrap();
        assert_eq!(sent, 1);
        assert!(matches!(stage.connect().unwrap(), Client::Waits(_)));
        assert_eq!(stage.counters.get("SyncookiesSent").unwrap(), sent);
        assert_eq!(stage.counters.get("ListenOverflows").unwrap(), 1);
    });
}

#[test]
fn who_has_closed_or_reset_its_connection_waits_on_and_is_accepted() {
    lab::test(|| {
        let stage = Stage::open(Settings::default()).unwrap();
        let mut closes = connected(&stage);
        let resets = connected(&stage);
        let [first, second] = [&closes, &resets].map(|stream| stream.local_addr().unwrap());
        stage.waits_for(2).unwrap();
        closes.write_all(b"bye").unwrap();
        drop(closes);
        SockRef::from(&resets)
            .set_linger(Some(Duration::ZERO)) // close() sends a reset
            .unwrap();
        drop(resets);
        wait_until("the server knows of both ends", || {
            let closed = stage.diag.sockets(&[State::CloseWait])?;
            let open = stage.diag.sockets(&[State::Established])?;
            Ok(closed.len() == 1 && open.is_empty())
        })
        .unwrap();
        // Nobody is on the line, and the places are taken all the same.
        assert_eq!(stage.queue().unwrap().length, 2);
        assert!(matches!(stage.connect().unwrap(), Client::Waits(_)));

        let (mut accepted, from) = stage.listener.accept().unwrap();
        assert_eq!(from, first);
        let mut text = String::new();
        accepted.read_to_string(&mut text).unwrap();
        assert_eq!(text, "bye");
        let (mut accepted, from) = stage.listener.accept().unwrap();
        assert_eq!(from, second);
        let error = accepted.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

/// `TCP_DEFER_ACCEPT`, tcp(7): for which neither `socket2` nor `nix` has a name.
fn defer_accept(listener: &TcpListener) {
    let seconds: libc::c_int = 1;
    // SAFETY: the descriptor is the listener's, and the option's value is an int, which lives on the
    // stack until the call returns.
    let outcome = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            size_of_val(&seconds) as libc::socklen_t,
        )
    };
    assert_eq!(outcome, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn tcp_defer_accept_leaves_a_client_in_the_syn_queue_until_it_has_said_something() {
    lab::test(|| {
        let stage = Stage::open(Settings::default()).unwrap();
        defer_accept(&stage.listener);
        let mut client = connected(&stage);
        wait_until("the ACK is put aside", || {
            Ok(stage.counters.get("TCPDeferAcceptDrop")? == 1)
        })
        .unwrap();
        assert_eq!(stage.queue().unwrap().length, 0);
        let entry = state(&stage.diag, client.local_addr().unwrap()).unwrap();
        assert_eq!(entry.unwrap().state, State::SynReceived);
        client.write_all(b"hello").unwrap();
        stage.waits_for(1).unwrap();
        assert_eq!(PORT, stage.address.port());
    });
}
