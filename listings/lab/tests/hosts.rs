//! Hosts with several links, hosts that forward, TUN interfaces, and nodes that act by themselves.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use lab::{Error, Host, Lab, Link, Node, Out, Packet};

const DEADLINE: Duration = Duration::from_secs(10);

fn udp(host: &Host, address: IpAddr, port: u16) -> UdpSocket {
    let socket = host.run(|| UdpSocket::bind((address, port))).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

/// Sends to a socket and gives the sender's address, as seen there.
fn seen(from: &UdpSocket, to: &UdpSocket) -> IpAddr {
    from.send_to(b"?", to.local_addr().unwrap()).unwrap();
    to.recv_from(&mut [0]).unwrap().1.ip()
}

#[test]
fn a_packet_leaves_by_the_interface_that_owns_its_source_address() {
    lab::test(|| {
        let mut builder = Lab::builder();
        let [client, server] = ["client", "server"].map(|name| builder.host(name));
        let routers = ["wifi", "cellular"].map(|name| builder.router(name));
        for router in routers {
            builder.link(client, router, Link::new(), Link::new());
            builder.link(router, server, Link::new(), Link::new());
        }
        let lab = builder.start().unwrap();
        let (client, server) = (lab.host(client), lab.host(server));
        let interfaces = client.interfaces();
        assert_eq!(interfaces.len(), 2);
        assert_eq!(interfaces[1].name, "eth1");
        assert_eq!(interfaces[1].v4, Ipv4Addr::new(10, 1, 0, 1));
        // The server answers to each address by the way that leads there.
        for (at, router) in ["wifi", "cellular"].into_iter().enumerate() {
            let (here, there) = (&interfaces[at], &server.interfaces()[at]);
            for (here, there) in [
                (IpAddr::from(here.v4), IpAddr::from(there.v4)),
                (here.v6.into(), there.v6.into()),
            ] {
                let (near, far) = (udp(&client, here, 0), udp(&server, there, 0));
                assert_eq!(seen(&near, &far), here);
                assert_eq!(seen(&far, &near), there);
                let capture = lab.capture();
                let last: Vec<&str> = capture.crossings()[capture.crossings().len() - 4..]
                    .iter()
                    .map(|crossing| capture.name(crossing.to))
                    .collect();
                assert_eq!(last, [router, "server", router, "client"]);
            }
        }
        let _ = lab.finish().unwrap();
    });
}

#[test]
fn a_new_host_takes_what_comes_for_any_of_its_addresses() {
    lab::test(|| {
        // The first packet of each of many labs, as early as it can be.
        for _ in 0..30 {
            let (_lab, client, server) = Lab::pair(Link::new()).unwrap();
            let near = udp(&client, client.v6().into(), 0);
            assert_eq!(
                seen(&near, &udp(&server, server.v6().into(), 9)),
                IpAddr::from(client.v6())
            );
        }
    });
}

#[test]
fn a_gateway_s_kernel_forwards() {
    lab::test(|| {
        let mut builder = Lab::builder();
        let [client, server] = ["client", "server"].map(|name| builder.host(name));
        let gateway = builder.gateway("gateway");
        builder.link(client, gateway, Link::new(), Link::new());
        builder.link(gateway, server, Link::new(), Link::new().mtu(1300));
        let lab = builder.start().unwrap();
        let [client, server, gateway] = [client, server, gateway].map(|place| lab.host(place));
        for address in [IpAddr::from(server.v4()), server.v6().into()] {
            let listener = server.run(|| TcpListener::bind((address, 80))).unwrap();
            let writing = client.spawn(move || {
                let mut connection = TcpStream::connect((address, 80)).unwrap();
                connection.write_all(&[7; 20_000]).unwrap();
            });
            let (mut connection, _) = listener.accept().unwrap();
            connection.set_read_timeout(Some(DEADLINE)).unwrap();
            let mut all = Vec::new();
            connection.read_to_end(&mut all).unwrap();
            assert_eq!(all.len(), 20_000);
            writing.join().unwrap();
        }
        let counters = gateway.counters();
        assert!(counters["IpForwDatagrams"] > 20, "{counters:?}");
        assert!(counters["Ip6OutForwDatagrams"] > 20, "{counters:?}");
        // Both of its addresses can be reached from both sides.
        for interface in gateway.interfaces() {
            for host in [&client, &server] {
                let near = udp(host, host.v4().into(), 0);
                let far = udp(&gateway, interface.v4.into(), 0);
                assert_eq!(seen(&near, &far), IpAddr::from(host.v4()));
                assert_eq!(seen(&far, &near), IpAddr::from(interface.v4));
            }
        }
        let _ = lab.finish().unwrap();
    });
}

#[test]
fn a_tun_interface_s_packets_come_out_of_its_file_and_go_in_there() {
    lab::test(|| {
        let (lab, client, _server) = Lab::pair(Link::new()).unwrap();
        let mut device = std::fs::File::options();
        if device.read(true).write(true).open("/dev/net/tun").is_err() {
            // Who may not is told so; tests/refusals.rs shows each case.
            let error = client.tun("tun0", client.v4(), Ipv4Addr::LOCALHOST, 1400);
            assert!(matches!(error, Err(Error::Refused(_))), "{error:?}");
            return;
        }
        for (local, remote) in [
            (
                IpAddr::from(Ipv4Addr::new(10, 9, 0, 1)),
                IpAddr::from(Ipv4Addr::new(10, 9, 0, 2)),
            ),
            (
                Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 1).into(),
                Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 2).into(),
            ),
        ] {
            let mut tun = client.tun("tun0", local, remote, 1400).unwrap();
            let socket = udp(&client, local, 5000);
            socket.send_to(b"hello", (remote, 7)).unwrap();
            let mut buffer = [0; 1400];
            let length = tun.read(&mut buffer).unwrap();
            let packet = Packet::new(&buffer[..length]);
            assert_eq!(packet.payload(), b"hello");
            assert_eq!(
                (packet.source(), packet.destination()),
                (Some(local), Some(remote))
            );
            // The same from there to here.
            let mut answer = packet.clone();
            let (addresses, ports) = if local.is_ipv4() { (12, 20) } else { (8, 40) };
            let half = (ports - addresses) / 2;
            answer.bytes_mut()[addresses..ports].rotate_left(half);
            answer.bytes_mut()[ports..ports + 4].rotate_left(2);
            answer.repair_checksums();
            tun.write_all(answer.bytes()).unwrap();
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!(
                (&buffer[..length], from),
                (&b"hello"[..], (remote, 7).into())
            );
            drop(tun);
            assert!(!client.proc_net("dev").contains("tun0"));
        }
        let error = client
            .tun(
                "a name that is too long",
                Ipv4Addr::LOCALHOST,
                client.v4(),
                1400,
            )
            .unwrap_err();
        assert!(
            error.to_string().contains("make a TUN interface"),
            "{error}"
        );
        let _ = lab.finish().unwrap();
    });
}

/// Passes each packet on after a while, and the last one a second time.
struct Slow {
    waiting: Vec<Packet>,
}

const WHILE: Duration = Duration::from_millis(30);

impl Node for Slow {
    fn packet(&mut self, _port: usize, packet: Packet, out: &mut Out) {
        self.waiting.push(packet);
        // A second one moves the alarm that the first one has set.
        out.wake_at(out.now() + WHILE);
    }

    fn wake(&mut self, out: &mut Out) {
        let again = self.waiting.len() > 1;
        for packet in self.waiting.split_off(usize::from(again)) {
            out.send(1, packet);
        }
        if again {
            // What is past is now.
            out.wake_at(Duration::ZERO);
        }
    }
}

#[test]
fn a_node_is_woken_when_it_asked_to_be_and_not_when_it_changed_its_mind() {
    lab::test(|| {
        let mut builder = Lab::builder();
        let (a, b) = (builder.host("a"), builder.host("b"));
        let slow = builder.node(
            "slow",
            Slow {
                waiting: Vec::new(),
            },
        );
        builder.link(a, slow, Link::new(), Link::new());
        builder.link(slow, b, Link::new(), Link::new());
        let lab = builder.start().unwrap();
        let (a, b) = (lab.host(a), lab.host(b));
        let (near, far) = (udp(&a, a.v4().into(), 0), udp(&b, b.v4().into(), 0));
        for byte in [1, 2] {
            near.send_to(&[byte], far.local_addr().unwrap()).unwrap();
        }
        let mut byte = [0];
        let received = [0; 2].map(|_| {
            far.recv(&mut byte).unwrap();
            byte[0]
        });
        assert_eq!(received, [2, 1]);
        let capture = lab.capture();
        let times = |name| -> Vec<Duration> { capture.sent_by(name).map(|it| it.sent).collect() };
        let (came, went) = (times("a"), times("slow"));
        // To the nanosecond: a node acts at the time it asked for, however late the relay is.
        assert_eq!(went, [came[1] + WHILE; 2]);
    });
}
