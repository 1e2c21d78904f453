//! Closing under other conditions than the listing's: the other version of IP, the other end first,
//! other settings, and the end of TIME-WAIT itself.
#![cfg(target_os = "linux")]

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use lab::{Host, Lab, Link, Tcp, Verdict};
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use tcp_close::State;
use tcp_close::diag::{Diag, End};
use testkit::wait_for;

fn lab() -> (Lab, Host, Host) {
    Lab::pair(Link::new().delay(Duration::from_millis(1))).unwrap()
}

/// A socket of `host`, bound to `local`.
fn bound(host: &Host, local: SocketAddr) -> std::io::Result<Socket> {
    let socket = host.run(|| Socket::new(Domain::for_address(local), Type::STREAM, None))?;
    socket.bind(&local.into())?;
    Ok(socket)
}

/// Asks a host's kernel about a connection.
fn ask(host: &Host, local: SocketAddr, remote: SocketAddr) -> Option<End> {
    host.run(|| Diag::open().unwrap().find(local, remote).unwrap())
}

fn ends(stream: &TcpStream) -> (SocketAddr, SocketAddr) {
    (stream.local_addr().unwrap(), stream.peer_addr().unwrap())
}

/// A connection from the client to port 80 of the server, whose listener is gone.
fn connection(client: &Host, server: &Host, v6: bool) -> (TcpStream, TcpStream) {
    let [here, there]: [IpAddr; 2] = if v6 {
        [client.v6().into(), server.v6().into()]
    } else {
        [client.v4().into(), server.v4().into()]
    };
    let listener = server.run(|| TcpListener::bind((there, 80))).unwrap();
    let socket = bound(client, (here, 40_000).into()).unwrap();
    socket
        .connect(&SocketAddr::from((there, 80)).into())
        .unwrap();
    (socket.into(), listener.accept().unwrap().0)
}

/// Waits until an end is in a state.
fn reaches(host: &Host, (local, remote): (SocketAddr, SocketAddr), state: State) -> End {
    wait_for(&format!("{state} at {local}"), || {
        ask(host, local, remote).filter(|end| end.state == state)
    })
}

fn is_gone(host: &Host, (local, remote): (SocketAddr, SocketAddr)) {
    wait_for(&format!("nothing at {local}"), || {
        ask(host, local, remote).is_none().then_some(())
    });
}

/// Closes both ends, the first one first.
fn close(first: TcpStream, mut second: TcpStream) {
    drop(first);
    assert_eq!(second.read(&mut [0]).unwrap(), 0, "the end");
    drop(second);
}

#[test]
fn time_wait_is_with_whoever_closes_first_in_both_versions_of_ip() {
    lab::test(|| {
        for (v6, server_first) in [(false, false), (false, true), (true, false), (true, true)] {
            let (_lab, client, server) = lab();
            let (at_client, at_server) = connection(&client, &server, v6);
            let [of_client, of_server] = [ends(&at_client), ends(&at_server)];
            let (waits, gone) = if server_first {
                close(at_server, at_client);
                ((&server, of_server), (&client, of_client))
            } else {
                close(at_client, at_server);
                ((&client, of_client), (&server, of_server))
            };
            let timer = reaches(waits.0, waits.1, State::TimeWait).timer.unwrap();
            assert!(timer <= Duration::from_secs(60), "{timer:?}");
            assert!(timer > Duration::from_secs(50), "{timer:?}");
            is_gone(gone.0, gone.1);
        }
    });
}

#[test]
fn time_wait_ends_by_itself_after_a_minute_whatever_tcp_fin_timeout_says() {
    lab::test(|| {
        let (_lab, client, server) = lab();
        client.sysctl("net.ipv4.tcp_fin_timeout", 5).unwrap();
        let (at_client, at_server) = connection(&client, &server, false);
        let (local, remote) = ends(&at_client);
        close(at_client, at_server);
        reaches(&client, (local, remote), State::TimeWait);
        let began = Instant::now();
        while ask(&client, local, remote).is_some() {
            assert!(began.elapsed() < Duration::from_secs(90), "it never ends");
            thread::sleep(Duration::from_millis(50));
        }
        // The timer wheel rounds a minute up to a few seconds more, never down.
        let lasted = began.elapsed();
        assert!(lasted > Duration::from_secs(59), "{lasted:?}");
        assert!(lasted < Duration::from_secs(75), "{lasted:?}");
    });
}

#[test]
fn tcp_fin_timeout_ends_fin_wait_2_that_no_program_holds_and_no_other() {
    lab::test(|| {
        let (_lab, client, server) = lab();
        client.sysctl("net.ipv4.tcp_fin_timeout", 1).unwrap();
        let (held, _open) = connection(&client, &server, false);
        let of_held = ends(&held);
        held.shutdown(Shutdown::Write).unwrap();
        assert_eq!(reaches(&client, of_held, State::FinWait2).timer, None);

        let (closed, mut open) = connection(&client, &server, true);
        let of_closed = ends(&closed);
        drop(closed);
        let end = reaches(&client, of_closed, State::FinWait2);
        assert!(end.timer.unwrap() <= Duration::from_secs(1), "{end:?}");
        is_gone(&client, of_closed);
        // Nobody told the other end, which learns of it when it sends.
        reaches(&server, (of_closed.1, of_closed.0), State::CloseWait);
        open.write_all(b"still there?").unwrap();
        is_gone(&server, (of_closed.1, of_closed.0));
        assert!(ask(&client, of_held.0, of_held.1).is_some());
    });
}

#[test]
fn an_orphan_that_nobody_acknowledges_is_given_up_after_tcp_orphan_retries() {
    lab::test(|| {
        // The network loses all of the client's segments from its FIN on.
        let mut fins = 0;
        let there = Link::new().rule(move |_, packet| {
            fins += usize::from(packet.tcp().is_some_and(|segment| segment.has(Tcp::FIN)));
            if fins > 0 {
                Verdict::Drop
            } else {
                Verdict::Pass
            }
        });
        let mut builder = Lab::builder();
        let places = [builder.host("client"), builder.host("server")];
        builder.link(places[0], places[1], there, Link::new());
        let lab = builder.start().unwrap();
        let [client, server] = places.map(|place| lab.host(place));
        client.sysctl("net.ipv4.tcp_orphan_retries", 2).unwrap();
        let (at_client, _at_server) = connection(&client, &server, false);
        let of_client = ends(&at_client);
        drop(at_client);
        reaches(&client, of_client, State::FinWait1);
        is_gone(&client, of_client);
        let sent = lab.capture();
        let fins = sent
            .sent_by("client")
            .filter(|crossing| crossing.tcp().is_some_and(|segment| segment.has(Tcp::FIN)));
        // The kernel takes the number for a time: that of so many timeouts, each twice the one
        // before, from 200 ms on. For 2 that is 1.4 s, for its default of 8 nearly two minutes, which
        // `is_gone` would not have waited for.
        let fins = fins.count();
        assert!((3..=6).contains(&fins), "{}", sent.lines());
    });
}

#[test]
fn a_client_runs_out_of_ports_towards_one_address_and_port_only() {
    lab::test(|| {
        let (_lab, client, server) = lab();
        client.sysctl("net.ipv4.tcp_tw_reuse", 0).unwrap();
        client
            .sysctl("net.ipv4.ip_local_port_range", "40000 40003")
            .unwrap();
        let listeners = [80, 81].map(|port| {
            server
                .run(|| TcpListener::bind((server.v4(), port)))
                .unwrap()
        });
        let connect = |listener: &TcpListener| -> std::io::Result<()> {
            let address = listener.local_addr()?;
            let stream = client.run(|| TcpStream::connect(address))?;
            let of_client = ends(&stream);
            close(stream, listener.accept()?.0);
            reaches(&client, of_client, State::TimeWait);
            Ok(())
        };
        for _ in 40_000..=40_003 {
            connect(&listeners[0]).unwrap();
        }
        let error = connect(&listeners[0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        connect(&listeners[1]).unwrap();
    });
}

#[test]
fn tcp_tw_reuse_lets_the_connecting_side_take_its_port_again_after_a_second() {
    lab::test(|| {
        let (_lab, client, server) = lab();
        client
            .sysctl("net.ipv4.ip_local_port_range", "40000 40000")
            .unwrap();
        let listener = server.run(|| TcpListener::bind((server.v4(), 80))).unwrap();
        let address = listener.local_addr().unwrap();
        let connect = || client.run(|| TcpStream::connect(address));
        let stream = connect().unwrap();
        let of_client = ends(&stream);
        close(stream, listener.accept().unwrap().0);
        reaches(&client, of_client, State::TimeWait);

        client.sysctl("net.ipv4.tcp_tw_reuse", 0).unwrap();
        let error = connect().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        client.sysctl("net.ipv4.tcp_tw_reuse", 1).unwrap();
        let again = wait_for("the port", || connect().ok());
        assert_eq!(ends(&again), of_client);
        let mut accepted = listener.accept().unwrap().0;
        accepted.write_all(b"x").unwrap();
        (&again).read_exact(&mut [0]).unwrap();
    });
}

#[test]
fn a_new_connection_may_take_the_place_of_a_time_wait_at_the_listener() {
    lab::test(|| {
        let (_lab, client, server) = lab();
        let listener = server.run(|| TcpListener::bind((server.v4(), 80))).unwrap();
        let local = SocketAddr::from((client.v4(), 40_000));
        let remote = listener.local_addr().unwrap();
        for _ in 0..2 {
            let socket = bound(&client, local).unwrap();
            socket.connect(&remote.into()).unwrap();
            let accepted = listener.accept().unwrap().0;
            // The server closes first, so that it is left with TIME-WAIT, and the client with
            // nothing that would keep it from the same port.
            let of_server = ends(&accepted);
            close(accepted, socket.into());
            reaches(&server, of_server, State::TimeWait);
            is_gone(&client, (local, remote));
        }
    });
}

#[test]
fn keepalive_finds_out_that_the_other_end_has_vanished() {
    lab::test(|| {
        // From the first keepalive probe on, nothing arrives any more.
        let mut silent = false;
        let there = Link::new().rule(move |number, _| {
            silent |= number > 2;
            if silent { Verdict::Drop } else { Verdict::Pass }
        });
        let mut builder = Lab::builder();
        let places = [builder.host("client"), builder.host("server")];
        builder.link(places[0], places[1], there, Link::new());
        let lab = builder.start().unwrap();
        let [client, server] = places.map(|place| lab.host(place));
        let (mut at_client, _at_server) = connection(&client, &server, false);
        let second = Duration::from_secs(1);
        let often = TcpKeepalive::new()
            .with_time(second)
            .with_interval(second)
            .with_retries(2);
        SockRef::from(&at_client).set_tcp_keepalive(&often).unwrap();
        let error = at_client.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        // Two probes after the handshake, and in the end a reset that nobody hears either.
        let capture = lab.capture();
        let sent = capture.sent_by("client").skip(2);
        let resets: Vec<bool> = sent
            .map(|crossing| crossing.tcp().unwrap().has(Tcp::RST))
            .collect();
        assert_eq!(resets, [false, false, true], "{}", capture.lines());
    });
}

#[test]
fn linger_with_a_time_makes_close_wait_until_the_fin_is_acknowledged() {
    lab::test(|| {
        let delay = Duration::from_millis(50);
        let (_lab, client, server) = Lab::pair(Link::new().delay(delay)).unwrap();
        for (linger, v6) in [(false, false), (true, true)] {
            let (at_client, _at_server) = connection(&client, &server, v6);
            if linger {
                let long = Some(Duration::from_secs(20));
                SockRef::from(&at_client).set_linger(long).unwrap();
            }
            let began = Instant::now();
            drop(at_client);
            let took = began.elapsed();
            // A segment there and one back; without it, a system call.
            assert_eq!(took >= 2 * delay, linger, "{took:?}");
        }
    });
}

#[test]
fn the_kernel_counts_resets_by_their_cause() {
    lab::test(|| {
        let (_lab, client, server) = lab();
        let count = |name: &str| client.counters()[&format!("TcpExt{name}")];
        assert_eq!((count("TCPAbortOnData"), count("TCPAbortOnClose")), (0, 0));

        let (at_client, _at_server) = connection(&client, &server, false);
        let option = SockRef::from(&at_client);
        option.set_linger(Some(Duration::ZERO)).unwrap();
        drop(at_client);
        assert_eq!((count("TCPAbortOnData"), count("TCPAbortOnClose")), (1, 0));

        let (at_client, mut at_server) = connection(&client, &server, true);
        at_server.write_all(b"news").unwrap();
        let (local, remote) = ends(&at_client);
        wait_for("four bytes", || {
            ask(&client, local, remote).filter(|end| end.unread == 4)
        });
        drop(at_client);
        assert_eq!((count("TCPAbortOnData"), count("TCPAbortOnClose")), (1, 1));
        assert_eq!(client.counters()["TcpOutRsts"], 2);
    });
}
