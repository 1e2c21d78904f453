//! What the page says about a connection's life, asked of the kernel.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::LazyLock;
use std::time::Duration;

use basics_connection::{Entry, State, TABLE, find, parse};
use record::What;
use socket2::{Domain, Socket, Type};
use testkit::{Program, Run, listing, peer, wait_for};

/// One run for all proofs: it waits a second for a connection that is asked for twice.
static RUN: LazyLock<Run> = LazyLock::new(|| listing!().run().succeeds());

/// The states of a host of the figure `life` with their times in microseconds, in their order.
fn states(host: &str) -> Vec<(u64, String)> {
    let life = RUN.sequence("life");
    let index = life.hosts.iter().position(|each| each.name == host);
    let index = index.expect("a host of that name");
    let events = life.events.iter().filter_map(|event| match &event.what {
        What::State { host, label, .. } if *host == index => Some((event.at_us, label.clone())),
        _ => None,
    });
    events.collect()
}

fn names(states: &[(u64, String)]) -> Vec<&str> {
    states
        .iter()
        .map(|(_, name)| name.trim_matches('`'))
        .collect()
}

fn wait_for_state(local: SocketAddr, remote: SocketAddr, state: State) -> Entry {
    wait_for(&format!("{state} at {local}"), || {
        find(local, remote)
            .unwrap()
            .filter(|entry| entry.state == state)
    })
}

fn wait_until_gone(local: SocketAddr, remote: SocketAddr) {
    wait_for(&format!("no entry for {local}"), || {
        find(local, remote).unwrap().is_none().then_some(())
    });
}

/// Two ends of a connection, the client's and the server's, and its listener.
fn connection() -> (TcpStream, TcpStream, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    (client, server, listener)
}

fn ends(stream: &TcpStream) -> (SocketAddr, SocketAddr) {
    (stream.local_addr().unwrap(), stream.peer_addr().unwrap())
}

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn the_client_goes_from_syn_sent_to_time_wait() {
    assert_eq!(
        names(&states("client")),
        ["SYN-SENT", "ESTABLISHED", "FIN-WAIT-2", "TIME-WAIT"]
    );
}

#[test]
fn the_server_goes_from_listen_to_nothing() {
    assert_eq!(
        names(&states("server")),
        [
            "LISTEN",
            "SYN-RECEIVED",
            "ESTABLISHED",
            "CLOSE-WAIT",
            "gone"
        ]
    );
}

#[test]
fn the_two_ends_are_in_different_states_on_the_way() {
    let rows: Vec<[&str; 2]> = RUN
        .table("states")
        .rows
        .iter()
        .map(|row| [row[1].trim_matches('`'), row[2].trim_matches('`')])
        .collect();
    for pair in [
        ["SYN-SENT", "–"],
        ["ESTABLISHED", "SYN-RECEIVED"],
        ["ESTABLISHED", "ESTABLISHED"],
        ["FIN-WAIT-2", "CLOSE-WAIT"],
        ["TIME-WAIT", "–"],
    ] {
        assert!(rows.contains(&pair), "{pair:?} is not in {rows:?}");
    }
}

#[test]
fn a_server_without_room_is_silent_and_the_client_asks_again_after_a_second() {
    let events = &RUN.sequence("life").events;
    let waited_us = events.iter().find_map(|event| match &event.what {
        What::Message {
            label, arrived_us, ..
        } if label == "`connect()`" => Some(arrived_us.unwrap() - event.at_us),
        _ => None,
    });
    // RFC 6298 §2.1: a second. A tick of the kernel's clock less would be no answer to the first.
    let waited = Duration::from_micros(waited_us.expect("an arrow of that name"));
    assert!(waited > Duration::from_millis(980), "{waited:?}");
}

#[test]
fn the_file_descriptors_are_free_again() {
    // The listener, both ends of the stranger's connection, both ends of this one.
    let said = "File descriptors: 5 more while the connection stood, 0 more now.";
    assert!(RUN.stdout.contains(said), "{}", RUN.stdout);
}

#[test]
fn the_end_that_closes_first_is_left_with_time_wait_for_a_minute() {
    for server_closes_first in [false, true] {
        let (client, server, _listener) = connection();
        let (mut first, mut second) = (client, server);
        if server_closes_first {
            std::mem::swap(&mut first, &mut second);
        }
        let (local, remote) = ends(&first);
        drop(first);
        assert_eq!(second.read(&mut [0]).unwrap(), 0, "the end");
        drop(second);
        wait_until_gone(remote, local);
        let left = wait_for_state(local, remote, State::TimeWait)
            .timer
            .unwrap();
        let minute = Duration::from_secs(60);
        assert!(left <= minute && left > minute / 2, "{left:?}");
    }
}

#[test]
fn an_end_stays_in_close_wait_until_its_program_closes() {
    let (client, server, _listener) = connection();
    let (at_client, at_server) = ends(&client);
    client.shutdown(Shutdown::Write).unwrap();
    let entry = wait_for_state(at_server, at_client, State::CloseWait);
    assert_eq!(entry.timer, None, "nothing but close() ends it");
    wait_for_state(at_client, at_server, State::FinWait2);
    drop(server);
    wait_until_gone(at_server, at_client);
}

#[test]
fn a_reset_leaves_nothing_at_either_end() {
    let (client, server, _listener) = connection();
    let (local, remote) = ends(&client);
    let option = socket2::SockRef::from(&client);
    option.set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    wait_until_gone(remote, local);
    wait_until_gone(local, remote);
    drop(server);
}

#[test]
fn the_connection_stands_before_accept_is_called() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (at_client, at_server) = ends(&client);
    wait_for_state(at_client, at_server, State::Established);
    wait_for_state(at_server, at_client, State::Established);
    // Even bytes arrive, and are kept until someone takes the connection.
    client.write_all(&[7; 1_000]).unwrap();
    wait_for("1,000 bytes at the other end", || {
        let entry = find(at_server, at_client).unwrap().unwrap();
        (entry.waiting == 1_000).then_some(())
    });
    let (mut server, from) = listener.accept().unwrap();
    assert_eq!(from, at_client);
    let mut arrived = [0; 1_000];
    server.read_exact(&mut arrived).unwrap();
    assert_eq!(arrived, [7; 1_000]);
}

#[test]
fn closing_with_bytes_unread_is_a_reset() {
    let (mut client, server, _listener) = connection();
    let (at_client, at_server) = ends(&client);
    client.write_all(b"unread").unwrap();
    wait_for("six bytes at the other end", || {
        let entry = find(at_server, at_client).unwrap().unwrap();
        (entry.waiting == 6).then_some(())
    });
    drop(server);
    let error = client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    wait_until_gone(at_server, at_client);
    wait_until_gone(at_client, at_server);
}

#[test]
fn keepalive_is_off_unless_a_program_asks_for_it() {
    let (client, server, _listener) = connection();
    for end in [&client, &server] {
        assert!(!socket2::SockRef::from(end).keepalive().unwrap());
        let (local, remote) = ends(end);
        assert_eq!(find(local, remote).unwrap().unwrap().timer, None);
    }
    let option = socket2::SockRef::from(&client);
    option.set_keepalive(true).unwrap();
    let (local, remote) = ends(&client);
    let probe = find(local, remote).unwrap().unwrap().timer.unwrap();
    assert!(probe > Duration::from_secs(1), "{probe:?}");
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = listing!().arg("127.0.0.1:8080").run();
    assert_eq!(run.status.code(), Some(2));
    assert!(run.stderr.starts_with("usage: "), "{}", run.stderr);
}

/// What `ss` calls a state.
fn in_words_of_ss(state: State) -> String {
    match state {
        State::Established => "ESTAB".to_owned(),
        State::SynReceived => "SYN-RECV".to_owned(),
        other => other.to_string(),
    }
}

/// An address of ss, which writes `*` for any port.
fn address_of_ss(text: &str) -> Option<SocketAddr> {
    text.replace(":*", ":0").parse().ok()
}

#[test]
fn ss_sees_the_same_states() {
    let Some(ss) = peer("ss") else { return };
    // An address that no other test uses: these sockets are ours, and stand still.
    let here = Ipv4Addr::new(127, 83, 83, 1);
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from((here, 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let listener = TcpListener::from(listener);
    let address = listener.local_addr().unwrap();
    let connect = || {
        let client = TcpStream::connect(address).unwrap();
        (client, listener.accept().unwrap().0)
    };

    let established = connect();
    let half_closed = connect();
    half_closed.0.shutdown(Shutdown::Write).unwrap();
    let (at_client, at_server) = ends(&half_closed.0);
    wait_for_state(at_client, at_server, State::FinWait2);
    let (closed, mut peer_of_closed) = connect();
    let (local, remote) = ends(&closed);
    drop(closed);
    assert_eq!(peer_of_closed.read(&mut [0]).unwrap(), 0);
    drop(peer_of_closed);
    wait_for_state(local, remote, State::TimeWait);
    let waiting = TcpStream::connect(address).unwrap();
    wait_for("a full queue", || {
        let listener = find(address, ([0, 0, 0, 0], 0).into()).unwrap();
        listener.filter(|listener| listener.waiting == 1)
    });
    let asking = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    asking.set_nonblocking(true).unwrap();
    asking.connect(&address.into()).unwrap_err();

    // `waiting` agrees as well, where it means the same: ss has its own idea of a TIME-WAIT's.
    let ours: BTreeMap<_, _> = parse(&std::fs::read_to_string(TABLE).unwrap())
        .unwrap()
        .into_iter()
        .filter(|entry| entry.local == address || entry.remote == address)
        .map(|entry| {
            let ends = (entry.local, entry.remote);
            (ends, (in_words_of_ss(entry.state), entry.waiting))
        })
        .collect();
    let run = Program::new(ss)
        .args(["-H", "-t", "-a", "-n"])
        .run()
        .succeeds();
    let theirs: BTreeMap<_, _> = run
        .stdout
        .lines()
        .filter_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let ends = (address_of_ss(columns[3])?, address_of_ss(columns[4])?);
            let waiting = columns[1].parse().unwrap();
            Some((ends, (columns[0].to_owned(), waiting)))
        })
        .filter(|((local, remote), _)| *local == address || *remote == address)
        .collect();
    assert_eq!(ours, theirs);

    let mut seen: Vec<&str> = ours.values().map(|(state, _)| state.as_str()).collect();
    seen.sort_unstable();
    assert_eq!(
        seen,
        [
            "CLOSE-WAIT",
            "ESTAB",
            "ESTAB",
            "ESTAB",
            "ESTAB",
            "FIN-WAIT-2",
            "LISTEN",
            "SYN-SENT",
            "TIME-WAIT"
        ]
    );
    drop((established, half_closed, waiting, asking));
}
