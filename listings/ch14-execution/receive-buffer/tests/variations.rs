//! Receive buffers under other conditions than the listing's, and what is harder to see.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::process::Stdio;
use std::time::Duration;

use exec_receive_buffer::{
    is_readable, memory, set_deadline, set_receive_low_water, unacknowledged, unread, wait_until,
};
use lab::{Host, Lab, Link, tcp_info};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, SockRef, Socket, Type};
use testkit::peer;

struct Connection {
    lab: Lab,
    client: Host,
    server: Host,
    sender: TcpStream,
    receiver: TcpStream,
}

fn connection(link: Link, configure: impl FnOnce(&Host, &Host)) -> Connection {
    let (lab, client, server) = Lab::pair(link).unwrap();
    configure(&client, &server);
    let listener = server.run(|| TcpListener::bind((server.v4(), 80))).unwrap();
    let sender = client
        .run(|| TcpStream::connect((server.v4(), 80)))
        .unwrap();
    let (receiver, _) = listener.accept().unwrap();
    for end in [&sender, &receiver] {
        set_deadline(end).unwrap();
    }
    Connection {
        lab,
        client,
        server,
        sender,
        receiver,
    }
}

/// Sends so many bytes to a program that reads them all, and gives the largest receive buffer.
fn largest_buffer(mut connection: Connection, bytes: usize) -> usize {
    let mut sender = connection.sender.try_clone().unwrap();
    let sending = connection.client.spawn(move || {
        sender.write_all(&vec![b'd'; bytes]).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
    });
    let mut largest = 0;
    let mut buffer = vec![0; 1 << 16];
    while connection.receiver.read(&mut buffer).unwrap() > 0 {
        largest = largest.max(memory(&connection.receiver).unwrap().receive_buffer);
    }
    sending.join().unwrap();
    drop((connection.sender, connection.receiver));
    drop(connection.lab);
    largest
}

#[test]
fn with_the_privilege_a_buffer_may_be_larger_than_the_limit() {
    let limit = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    // Root of the machine has it; root of a user namespace, as in many containers, has not.
    match setsockopt(&socket, sockopt::RcvBufForce, &(2 * limit)) {
        Ok(()) => assert_eq!(socket.recv_buffer_size().unwrap(), 4 * limit),
        Err(error) => {
            assert_eq!(error, nix::errno::Errno::EPERM);
            assert!(socket.recv_buffer_size().unwrap() <= 2 * limit);
        }
    }
}

#[test]
fn a_socket_inherits_the_buffer_of_its_listener() {
    lab::test(|| {
        let (_lab, client, server) = Lab::pair(Link::new()).unwrap();
        let listener = server.run(|| TcpListener::bind((server.v4(), 80))).unwrap();
        SockRef::from(&listener)
            .set_recv_buffer_size(50_000)
            .unwrap();
        let _sender = client
            .run(|| TcpStream::connect((server.v4(), 80)))
            .unwrap();
        let (receiver, _) = listener.accept().unwrap();
        assert_eq!(
            SockRef::from(&receiver).recv_buffer_size().unwrap(),
            100_000
        );
    });
}

#[test]
fn without_tcp_moderate_rcvbuf_no_buffer_grows() {
    lab::test(|| {
        let largest = |moderate: u8| {
            let link = Link::new().delay(Duration::from_millis(10));
            let connection = connection(link, |_, server| {
                server
                    .sysctl("net.ipv4.tcp_moderate_rcvbuf", moderate)
                    .unwrap();
            });
            largest_buffer(connection, 1 << 20)
        };
        assert_eq!(largest(0), 131_072);
        assert!(largest(1) > 131_072);
    });
}

#[test]
fn the_third_number_of_tcp_rmem_is_the_most_that_autotuning_gives() {
    lab::test(|| {
        let link = Link::new().delay(Duration::from_millis(10));
        let connection = connection(link, |_, server| {
            server
                .sysctl("net.ipv4.tcp_rmem", "4096 131072 300000")
                .unwrap();
        });
        let largest = largest_buffer(connection, 2 << 20);
        assert!((131_072..=300_000).contains(&largest), "{largest}");
    });
}

#[test]
fn a_buffer_does_not_grow_for_a_program_that_does_not_read() {
    lab::test(|| {
        let link = Link::new().delay(Duration::from_millis(10));
        let Connection {
            lab: _lab,
            mut sender,
            receiver,
            ..
        } = connection(link, |_, _| ());
        sender.set_nonblocking(true).unwrap();
        wait_until("the window is closed", || {
            while sender.write(&[b'd'; 1 << 16]).is_ok() {}
            Ok(tcp_info(&receiver)?.rcv_wnd == 0)
        })
        .unwrap();
        assert_eq!(memory(&receiver).unwrap().receive_buffer, 131_072);
    });
}

#[test]
fn the_end_of_the_stream_is_readable_below_the_low_water_mark() {
    lab::test(|| {
        let Connection {
            lab: _lab,
            mut sender,
            receiver,
            ..
        } = connection(Link::new(), |_, _| ());
        set_receive_low_water(&receiver, 1000).unwrap();
        sender.write_all(b"few").unwrap();
        wait_until("it has arrived", || Ok(unread(&receiver)? == 3)).unwrap();
        assert!(!is_readable(&receiver).unwrap());
        drop(sender);
        wait_until("the end is readable", || is_readable(&receiver)).unwrap();
    });
}

#[test]
fn a_udp_socket_counts_its_own_drops_and_the_host_all_of_them() {
    lab::test(|| {
        let (_lab, client, server) = Lab::pair(Link::new()).unwrap();
        let receiver = server.run(|| UdpSocket::bind((server.v4(), 53))).unwrap();
        SockRef::from(&receiver)
            .set_recv_buffer_size(10_000)
            .unwrap();
        let sender = client.run(|| UdpSocket::bind((client.v4(), 0))).unwrap();
        for _ in 0..200 {
            sender.send_to(&[b'd'; 1000], (server.v4(), 53)).unwrap();
        }
        wait_until("all have come", || {
            Ok(server.counters()["IpInDelivers"] == 200)
        })
        .unwrap();
        let drops = memory(&receiver).unwrap().drops;
        assert!(drops > 180, "{drops}");
        assert_eq!(server.counters()["UdpRcvbufErrors"], drops as i64);
        assert_eq!(
            unread(&receiver).unwrap(),
            1000,
            "FIONREAD says the next datagram's length"
        );
    });
}

#[test]
fn a_kernel_counts_what_it_does_to_a_buffer_that_is_too_full() {
    lab::test(|| {
        let Connection {
            lab: _lab,
            client,
            server,
            mut sender,
            receiver,
        } = connection(Link::new(), |_, server| {
            // Autotuning would save it.
            server
                .sysctl("net.ipv4.tcp_rmem", "4096 65536 65536")
                .unwrap();
        });
        client.sysctl("net.ipv4.tcp_autocorking", 0).unwrap();
        sender.set_nodelay(true).unwrap();
        sender.set_nonblocking(true).unwrap();
        wait_until("the kernel has merged segments", || {
            // A segment each, as long as each is acknowledged before the next.
            if unacknowledged(&sender)? < 1000 {
                let _ = sender.write(&[b'd'; 100]);
            }
            Ok(server.counters()["TcpExtTCPRcvCollapsed"] > 0)
        })
        .unwrap();
        let counters = server.counters();
        assert!(counters["TcpExtPruneCalled"] > 0);
        assert_eq!(
            counters["TcpExtRcvPruned"], 0,
            "nothing that was taken is thrown away"
        );
        assert!(unread(&receiver).unwrap() > 0);
    });
}

#[test]
fn ss_shows_what_the_socket_says_of_itself() {
    lab::test(|| {
        let Some(ss) = peer("ss") else { return };
        let Connection {
            lab: _lab,
            server,
            mut sender,
            receiver,
            ..
        } = connection(Link::new(), |_, _| ());
        sender.write_all(&[b'd'; 10_000]).unwrap();
        wait_until("it has arrived", || Ok(unread(&receiver)? == 10_000)).unwrap();
        let mut command = server.command(ss.to_str().unwrap());
        let output = command
            .args(["-H", "-t", "-m", "-n"])
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            output.split_whitespace().nth(1),
            Some("10000"),
            "Recv-Q: {output}"
        );
        let skmem = memory(&receiver).unwrap().to_string();
        assert!(output.contains(&skmem), "{skmem}: {output}");
    });
}
