//! What the page says about datagrams and sockets, on real ones.

#![cfg(target_os = "linux")]

use std::net::UdpSocket;
use std::sync::LazyLock;
use std::time::Duration;

use testkit::{Run, listing};

static RUN: LazyLock<Run> = LazyLock::new(|| {
    listing!()
        // Not every machine has IPv6.
        .varying(r"(?m)^IPv6: .*\n", "")
        .run()
        .succeeds()
});

/// What the three sends and the read gave, on this kind of socket.
fn calls(kind: &str) -> [&str; 4] {
    let rows = &RUN.table("refusals").rows;
    let row = rows.iter().find(|row| row[0] == kind).unwrap();
    [1, 2, 3, 4].map(|at| row[at].trim_matches('`'))
}

#[track_caller]
fn says(text: &str) {
    assert!(RUN.stdout.contains(text), "{}", RUN.stdout);
}

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
    assert_eq!(RUN.stderr, "");
}

#[test]
fn each_datagram_comes_back_by_itself_and_an_empty_one_too() {
    says("\n 5 bytes back: «first»\n 0 bytes back: «»\n 9 bytes back: «and third»\n");
}

#[test]
fn what_finds_no_room_is_cut_off_and_gone() {
    says("\nroom for 5: 5 bytes, flags MSG_TRUNC\nroom for 5: 4 bytes, flags –\n");
}

#[test]
fn a_reader_can_ask_for_the_length_first() {
    says("\nasked first: the next one has 10 bytes\n");
}

#[test]
fn the_longest_datagram_is_what_16_bits_leave() {
    says("\nIPv4: 65507 bytes arrive\nIPv4: 65508 bytes: EMSGSIZE\n");
    if !RUN.stdout.contains("\nIPv6: this machine has none\n") {
        says("\nIPv6: 65527 bytes arrive\nIPv6: 65528 bytes: EMSGSIZE\n");
    }
}

#[test]
fn a_connected_socket_hears_only_its_peer() {
    says("\nunconnected, it reads «from a stranger»\nconnected, it reads   «from the server»\n");
    says("\nand then: EAGAIN\n");
}

#[test]
fn to_a_stranger_a_connected_socket_is_nobody() {
    says("\nthe stranger is told: ECONNREFUSED\n");
}

#[test]
fn the_refusal_comes_with_the_next_call_and_once() {
    let told = ["works", "ECONNREFUSED", "works", "ECONNREFUSED"];
    assert_eq!(calls("connected"), told);
}

#[test]
fn an_unconnected_socket_is_told_nothing_unless_it_asked_for_errors() {
    let nothing = ["works", "works", "works", "EAGAIN"];
    assert_eq!(calls("not connected"), nothing);
    let told = ["works", "ECONNREFUSED", "works", "ECONNREFUSED"];
    assert_eq!(calls("not connected, `IP_RECVERR`"), told);
}

#[test]
fn one_socket_serves_all_clients() {
    let server = listing!().arg("127.0.0.1:0").serve();
    let clients: Vec<UdpSocket> = (0..20)
        .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
        .collect();
    for (number, client) in clients.iter().enumerate() {
        client
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        client.connect(server.address()).unwrap();
        client.send(format!("client {number}").as_bytes()).unwrap();
    }
    for (number, client) in clients.iter().enumerate() {
        let mut buffer = [0; 100];
        let length = client.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], format!("client {number}").as_bytes());
    }
}

#[test]
fn the_server_outlives_a_client_that_is_gone() {
    let server = listing!().arg("127.0.0.1:0").serve();
    for _ in 0..10 {
        let gone = UdpSocket::bind("127.0.0.1:0").unwrap();
        gone.send_to(b"I do not wait", server.address()).unwrap();
        drop(gone);
    }
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    client.send_to(b"still there?", server.address()).unwrap();
    let mut buffer = [0; 100];
    let (length, from) = client.recv_from(&mut buffer).unwrap();
    assert_eq!(
        (&buffer[..length], from),
        (&b"still there?"[..], server.address())
    );
}

#[test]
fn an_address_in_use_is_named() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let run = listing!().arg(address.to_string()).run();
    assert_eq!(run.status.code(), Some(1));
    let told = format!("udp-echo: cannot serve on {address}: Address already in use");
    assert!(run.stderr.starts_with(&told), "{}", run.stderr);
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    for arguments in [&["localhost"][..], &["127.0.0.1:7", "2"]] {
        let run = listing!().args(arguments).run();
        assert_eq!(run.status.code(), Some(2));
        assert!(run.stderr.starts_with("usage: udp-echo "), "{}", run.stderr);
    }
}
