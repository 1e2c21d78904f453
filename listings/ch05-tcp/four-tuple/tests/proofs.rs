//! What the page says about what tells connections apart.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::LazyLock;
use std::time::Duration;

use ip_header::{Addresses, Protocol, ipv4};
use lab::{Host, Lab, Link, Packet, Raw, Tcp, TcpState};
use record::What;
use socket2::{Domain, Socket, Type};
use tcp_segment::{Flags, Header, SeqNumber};
use testkit::{Run, listing, peer, skip, wait_for};

/// One run for all proofs.
static RUN: LazyLock<Run> = LazyLock::new(|| listing!().run().succeeds());

const DEADLINE: Duration = Duration::from_secs(20);

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

/// The rows of a table, without the marks of what is verbatim.
fn rows(table: &str) -> Vec<Vec<String>> {
    let rows = RUN.table(table).rows.iter();
    rows.map(|row| row.iter().map(|cell| cell.replace('`', "")).collect())
        .collect()
}

// ── Four connections

#[test]
fn connections_that_share_a_port_get_their_own_bytes() {
    let sorted = rows("sorted");
    let carried: Vec<_> = sorted.iter().map(|row| row[2].as_str()).collect();
    assert_eq!(carried, ["pl um", "pe ar", "ki wi", "li me"]);
    for row in &sorted {
        assert_eq!(
            row[2].replace(' ', ""),
            row[3],
            "the socket reads what was sent to it"
        );
    }
}

#[test]
fn one_differing_number_makes_another_connection() {
    let tuples: Vec<(SocketAddr, SocketAddr)> = rows("sorted")
        .iter()
        .map(|row| (row[0].parse().unwrap(), row[1].parse().unwrap()))
        .collect();
    assert_eq!(tuples.iter().collect::<BTreeSet<_>>().len(), 4);
    assert!(tuples.iter().all(|(source, _)| source.port() == 40_000));
    let (source, destination) = tuples[0];
    let differing = tuples[1..].iter().map(|(there, to)| {
        u8::from(there.ip() != source.ip())
            + u8::from(to.ip() != destination.ip())
            + u8::from(to.port() != destination.port())
    });
    assert_eq!(differing.collect::<Vec<_>>(), [1, 1, 1]);
}

#[test]
fn the_segments_of_all_four_come_mixed() {
    let events = &RUN.sequence("mixed").events;
    let notes = events.iter().map(|event| match &event.what {
        What::Message {
            note, arrived_us, ..
        } => {
            assert!(arrived_us.is_some());
            note.as_deref().unwrap().trim_matches('`')
        }
        What::State { .. } => panic!("there are no states"),
    });
    let notes: Vec<_> = notes.collect();
    assert_eq!(notes, ["pl", "pe", "ki", "li", "um", "ar", "wi", "me"]);
}

// ── Ten ports

#[test]
fn ten_ports_make_ten_connections_to_each_destination() {
    for pool in rows("pools") {
        assert_eq!(pool[2], "EADDRNOTAVAIL", "{pool:?}");
        assert_eq!(pool[3], "10", "{pool:?}");
    }
}

#[test]
fn the_same_ports_serve_another_server_another_port_and_another_client() {
    let pools: Vec<_> = rows("pools")
        .into_iter()
        .map(|mut row| (row.remove(0), row.remove(0)))
        .collect();
    let pool = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    assert_eq!(
        pools,
        [
            pool("anna", "10.0.0.3:80"),
            pool("anna", "10.0.0.3:8080"),
            pool("anna", "10.0.0.4:80"),
            pool("ben", "10.0.0.3:80")
        ]
    );
    let said = "The clients' ends have 10 different ports.";
    assert!(RUN.stdout.contains(said), "{}", RUN.stdout);
}

#[test]
fn all_connections_to_a_server_have_its_one_port() {
    let said = "Port 80 of orders has 22 connections, and 1 listener.";
    assert!(RUN.stdout.contains(said), "{}", RUN.stdout);
}

// ── One more

/// Which call failed, and with what.
fn attempt(what: &str) -> (String, String) {
    let rows = rows("attempts");
    let row = rows.iter().find(|row| row[0] == what);
    let row = row.unwrap_or_else(|| panic!("an attempt {what:?} in {rows:?}"));
    (row[1].clone(), row[2].clone())
}

#[track_caller]
fn assert_refused(what: &str, call: &str, errno: &str) {
    assert_eq!(attempt(what), (call.to_owned(), errno.to_owned()), "{what}");
}

#[track_caller]
fn assert_works(what: &str) {
    assert_refused(what, "–", "works");
}

#[test]
fn a_tuple_that_exists_is_refused_by_connect() {
    assert_refused(
        "a tuple that exists, with SO_REUSEADDR",
        "connect()",
        "EADDRNOTAVAIL",
    );
}

#[test]
fn a_port_that_is_bound_is_refused_by_bind() {
    assert_refused(
        "a tuple that exists, without SO_REUSEADDR",
        "bind()",
        "EADDRINUSE",
    );
}

#[test]
fn a_client_without_a_free_tuple_is_refused_by_connect() {
    assert_refused(
        "any port, to where all ten are connected",
        "connect()",
        "EADDRNOTAVAIL",
    );
    assert_works("any port, to where none is");
}

#[test]
fn bind_to_port_0_wants_a_port_that_no_connection_has() {
    assert_refused("the same after bind() to port 0", "bind()", "EADDRINUSE");
    assert_works("the same with IP_BIND_ADDRESS_NO_PORT");
}

#[test]
fn time_wait_keeps_the_tuple_of_the_client_that_closed_first() {
    assert_refused(
        "any port, after the client closed one of the ten",
        "connect()",
        "EADDRNOTAVAIL",
    );
    assert_works("any port, after the server closed one of the ten");
}

#[test]
fn the_kernel_shares_ports_by_itself_over_ipv6_too() {
    lab::test(|| {
        let (_lab, client, server) = Lab::pair(Link::new()).unwrap();
        client
            .sysctl("net.ipv4.ip_local_port_range", "50000 50003")
            .unwrap();
        let mut ports = Vec::new();
        for port in [80, 8080] {
            let address = SocketAddr::from((server.v6(), port));
            let listener = server.run(|| TcpListener::bind(address)).unwrap();
            let open: Vec<TcpStream> = (0..4)
                .map(|_| client.run(|| TcpStream::connect(address)).unwrap())
                .collect();
            let error = client.run(|| TcpStream::connect(address)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
            ports.push((listener, open));
        }
        let numbers: BTreeSet<u16> = ports
            .iter()
            .flat_map(|(_, open)| open)
            .map(|stream| stream.local_addr().unwrap().port())
            .collect();
        assert_eq!(
            numbers.into_iter().collect::<Vec<_>>(),
            [50000, 50001, 50002, 50003]
        );
    });
}

#[test]
fn ss_lists_the_connections_by_their_tuples() {
    let Some(ss) = peer("ss") else { return };
    lab::test(move || {
        let (_lab, client, server) = Lab::pair(Link::new()).unwrap();
        let address = SocketAddr::from((server.v4(), 80));
        let listener = server.run(|| TcpListener::bind(address)).unwrap();
        let open: Vec<(TcpStream, TcpStream)> = (0..3)
            .map(|_| {
                let stream = client.run(|| TcpStream::connect(address)).unwrap();
                (stream, listener.accept().unwrap().0)
            })
            .collect();
        let mut command = client.command(ss.to_str().unwrap());
        let output = command
            .args(["-Htn", "state", "established", "dport = :80"])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let listed: BTreeSet<SocketAddr> = text
            .lines()
            .map(|line| line.split_whitespace().nth(2).unwrap().parse().unwrap())
            .collect();
        let ours = open.iter().map(|(client, _)| client.local_addr().unwrap());
        assert_eq!(listed, ours.collect());
    });
}

// ── More than there are ports

/// More than a 16-bit number can tell apart.
const CONNECTIONS: u32 = 66_000;

/// How many ports of each of the clients' addresses are used.
const PORTS_EACH: u32 = 33_000;

/// How many handshakes may be under way at once.
const AT_ONCE: usize = 256;

/// A segment without data from one of the clients, of which `number` gives address and port.
fn segment(number: u32, to: Ipv4Addr, flags: Flags, numbers: (u32, u32)) -> Packet {
    let source = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 1, 0, 1)) + number / PORTS_EACH);
    let port = 10_000 + (number % PORTS_EACH) as u16;
    let (sequence_number, acknowledgment_number) = numbers;
    let mut bytes = [0; 40];
    let ip = ipv4::Header::new(Protocol::TCP, source, to);
    let payload = ip.emit(&mut bytes).unwrap();
    let header = Header {
        acknowledgment_number: SeqNumber(acknowledgment_number),
        flags,
        window: u16::MAX,
        ..Header::new(port, 80, SeqNumber(sequence_number))
    };
    let addresses = Addresses::V4 {
        source,
        destination: to,
    };
    header.emit(payload, addresses).unwrap();
    Packet::new(&bytes)
}

/// Which of the clients a packet is for.
fn number_of(packet: &Packet, header: &Tcp) -> u32 {
    let Some(std::net::IpAddr::V4(address)) = packet.destination() else {
        panic!("an IPv4 packet");
    };
    let client = u32::from(address) - u32::from(Ipv4Addr::new(10, 1, 0, 1));
    client * PORTS_EACH + u32::from(header.destination_port - 10_000)
}

/// Opens so many connections to port 80, each by the three segments of a handshake.
fn open_all(raw: &Raw, to: Ipv4Addr) {
    const ISS: u32 = 7;
    let (mut asked, mut opened) = (0, 0);
    while opened < CONNECTIONS {
        while asked < CONNECTIONS && (asked - opened) < AT_ONCE as u32 {
            raw.send(segment(asked, to, Flags::SYN, (ISS, 0)));
            asked += 1;
        }
        let packet = raw.receive(DEADLINE).expect("an answer to each SYN");
        let header = packet.tcp().unwrap();
        assert_eq!(header.flags, Tcp::SYN | Tcp::ACK, "{packet:?}");
        let numbers = (ISS + 1, header.sequence.wrapping_add(1));
        raw.send(segment(
            number_of(&packet, &header),
            to,
            Flags::ACK,
            numbers,
        ));
        opened += 1;
    }
}

fn established(host: &Host) -> usize {
    let sockets = host.tcp_states().into_iter();
    sockets
        .filter(|socket| socket.local.port() == 80 && socket.state == TcpState::Established)
        .count()
}

#[test]
fn one_port_holds_more_connections_than_there_are_ports() {
    lab::test(|| {
        let mut builder = Lab::builder();
        let (server, clients) = (builder.host("server"), builder.raw("clients"));
        builder.link(server, clients, Link::new(), Link::new());
        builder.snap(0);
        let lab = builder.start().unwrap();
        let (server, clients) = (lab.host(server), lab.raw(clients));
        if let Err(error) = server.sysctl("net.core.somaxconn", CONNECTIONS) {
            return skip(&format!("needs net.core.somaxconn: {error}"));
        }
        // They wait in the accept queue, and take no descriptor there.
        let listener = server.run(|| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket
                .bind(&SocketAddr::from((server.v4(), 80)).into())
                .unwrap();
            socket.listen(CONNECTIONS as i32).unwrap();
            TcpListener::from(socket)
        });
        open_all(&clients, server.v4());
        wait_for("66,000 connections", || {
            (established(&server) == CONNECTIONS as usize).then_some(())
        });
        drop(listener);
    });
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = listing!().arg("80").run();
    assert_eq!(run.status.code(), Some(2));
    assert!(run.stderr.starts_with("usage: "), "{}", run.stderr);
}
