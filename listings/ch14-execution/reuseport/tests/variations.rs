//! Several listeners at one address, under other conditions than the listing's.
#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "the listing uses what these tests do not")]
#[path = "../src/workers.rs"]
mod workers;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use exec_syn_queue::diag::{Diag, State};
use exec_syn_queue::{DEADLINE, wait_until};
use lab::{Host, Lab, Link, Tcp, Verdict};
use socket2::{Domain, Socket, Type};
use testkit::skip;
use workers::{PORT, listen};

/// Sets `net.ipv4.tcp_migrate_req`, or says that the kernel has none.
fn migrates(server: &Host, migrate: u8) -> bool {
    match server.sysctl("net.ipv4.tcp_migrate_req", migrate) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            skip("needs Linux 5.14, for net.ipv4.tcp_migrate_req");
            false
        }
        other => {
            other.unwrap();
            true
        }
    }
}

fn address(server: &Host) -> SocketAddr {
    (server.v4(), PORT).into()
}

/// How many connections wait at all listeners together, and the most that wait at one.
fn waiting(diag: &Diag) -> (u32, u32) {
    let listeners = diag.sockets(&[State::Listen]).unwrap();
    let lengths = listeners.iter().map(|listener| listener.recv_q);
    (lengths.clone().sum(), lengths.max().unwrap_or_default())
}

#[test]
fn all_listeners_must_ask_for_reuseport() {
    lab::test(|| {
        let (_lab, _client, server) = Lab::pair(Link::new()).unwrap();
        let _first = listen(&server, address(&server), false).unwrap();
        let error = listen(&server, address(&server), true).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    });
}

#[test]
fn a_new_listener_takes_nothing_from_the_queues_that_there_are() {
    lab::test(|| {
        let (_lab, client, server) = Lab::pair(Link::new()).unwrap();
        let address = address(&server);
        let first = listen(&server, address, true).unwrap();
        let connect = || TcpStream::connect(address).unwrap();
        let _clients: Vec<TcpStream> = (0..20).map(|_| client.run(connect)).collect();
        let diag = server.run(Diag::open).unwrap();
        wait_until("all wait", || Ok(waiting(&diag).0 == 20)).unwrap();
        let second = listen(&server, address, true).unwrap();
        second.set_nonblocking(true).unwrap();
        assert_eq!(second.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        for _ in 0..20 {
            first.accept().unwrap();
        }
    });
}

/// A client whose ACK is lost, at a server whose listener is closed then, while another is there.
fn closed_in_the_middle_of_a_handshake(migrate: u8) -> Option<(Lab, TcpStream, TcpListener, Diag)> {
    let lost = Arc::new(AtomicBool::new(false));
    let seen = lost.clone();
    let there = Link::new().rule(move |_, packet| {
        let ack = packet
            .tcp()
            .is_some_and(|tcp| tcp.flags == Tcp::ACK && tcp.length == 0);
        match ack && !seen.swap(true, Ordering::Relaxed) {
            true => Verdict::Drop,
            false => Verdict::Pass,
        }
    });
    let mut builder = Lab::builder();
    let [client, server] = ["client", "server"].map(|name| builder.host(name));
    builder.link(client, server, there, Link::new());
    let lab = builder.start().unwrap();
    let (client, server) = (lab.host(client), lab.host(server));
    if !migrates(&server, migrate) {
        return None;
    }
    let address = address(&server);
    let goes = listen(&server, address, true).unwrap();
    let stream = client.run(|| TcpStream::connect(address)).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    wait_until("the ACK is lost", || Ok(lost.load(Ordering::Relaxed))).unwrap();
    let stays = listen(&server, address, true).unwrap();
    let diag = server.run(Diag::open).unwrap();
    assert_eq!(diag.sockets(&[State::SynReceived]).unwrap().len(), 1);
    drop(goes);
    Some((lab, stream, stays, diag))
}

#[test]
fn a_handshake_that_is_under_way_is_lost_with_its_listener() {
    lab::test(|| {
        let Some((_lab, mut client, _stays, diag)) = closed_in_the_middle_of_a_handshake(0) else {
            return;
        };
        client.write_all(b"hello").unwrap();
        let error = client.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        wait_until("nobody waits", || Ok(waiting(&diag) == (0, 0))).unwrap();
    });
}

#[test]
fn a_handshake_that_is_under_way_is_finished_by_another_listener_with_tcp_migrate_req() {
    lab::test(|| {
        let Some((_lab, mut client, stays, _diag)) = closed_in_the_middle_of_a_handshake(1) else {
            return;
        };
        client.write_all(b"hello").unwrap();
        let (mut accepted, _) = stays.accept().unwrap();
        let mut heard = [0; 5];
        accepted.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"hello");
    });
}

#[test]
fn connections_that_move_may_exceed_the_backlog_of_the_queue_they_come_to() {
    lab::test(|| {
        let (_lab, client, server) = Lab::pair(Link::new()).unwrap();
        if !migrates(&server, 1) {
            return;
        }
        let small = || {
            let socket = server.run(|| Socket::new(Domain::IPV4, Type::STREAM, None).unwrap());
            socket.set_reuse_port(true).unwrap();
            socket.bind(&address(&server).into()).unwrap();
            socket.listen(4).unwrap();
            TcpListener::from(socket)
        };
        let connect = || TcpStream::connect(address(&server)).unwrap();
        let goes = small();
        let mut clients: Vec<TcpStream> = (0..5).map(|_| client.run(connect)).collect();
        let diag = server.run(Diag::open).unwrap();
        wait_until("one queue is full", || Ok(waiting(&diag) == (5, 5))).unwrap();
        // Some of these come to the full queue, and are dropped; who connects has come to the other.
        let stays = small();
        let patience = std::time::Duration::from_millis(300);
        while clients.len() < 10 {
            let attempt = || TcpStream::connect_timeout(&address(&server), patience);
            clients.extend(client.run(attempt));
        }
        wait_until("both queues are full", || Ok(waiting(&diag) == (10, 5))).unwrap();
        drop(goes);
        assert_eq!(waiting(&diag), (10, 10));
        for _ in 0..10 {
            stays.accept().unwrap();
        }
    });
}
