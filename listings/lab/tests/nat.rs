//! What a NAT of the lab promises, asked as RFC 5780 asks a NAT of which nothing is known: by
//! packets of real hosts.
#![cfg(target_os = "linux")]

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use lab::{Behavior, Host, Lab, Link, Nat, NatTable, Place, Protocol};
use socket2::{Domain, Socket, Type};

const DEADLINE: Duration = Duration::from_secs(10);
const BEHAVIORS: [Behavior; 3] = [
    Behavior::EndpointIndependent,
    Behavior::AddressDependent,
    Behavior::AddressAndPortDependent,
];
const PORTS: [u16; 2] = [3478, 3479];

/// `alice` and `bob` behind a NAT; `server`, with two addresses, on the other side.
struct Net {
    lab: Lab,
    alice: Host,
    bob: Host,
    server: Host,
    /// By address and port of [`PORTS`].
    services: [[UdpSocket; 2]; 2],
    table: NatTable,
    outside: Ipv4Addr,
}

impl Net {
    fn new(nat: Nat) -> Self {
        Self::with_link_to_server(nat, Link::new())
    }

    fn with_link_to_server(nat: Nat, link: Link) -> Self {
        let mut builder = Lab::builder();
        let internet = builder.router("internet");
        let home = builder.nat("home", internet, nat);
        let outside = Ipv4Addr::new(203, 0, 113, 1);
        builder.addresses(home, outside, Ipv6Addr::LOCALHOST);
        let [alice, bob, server] = ["alice", "bob", "server"].map(|name| builder.host(name));
        for inside in [alice, bob] {
            builder.link(inside, home, Link::new(), Link::new());
        }
        builder.link(home, internet, Link::new(), Link::new());
        for _ in 0..2 {
            builder.link(server, internet, Link::new(), link.clone());
        }
        let lab = builder.start().unwrap();
        let table = lab.nat(home);
        let [alice, bob, server] = [alice, bob, server].map(|place| lab.host(place));
        let services = [0, 1].map(|at| {
            let address = server.interfaces()[at].v4;
            PORTS.map(|port| udp(&server, address, port))
        });
        Self {
            lab,
            alice,
            bob,
            server,
            services,
            table,
            outside,
        }
    }

    /// The endpoint that a service sees when `socket` sends to it.
    fn reflexive(&self, socket: &UdpSocket, address: usize, port: usize) -> SocketAddr {
        let service = &self.services[address][port];
        socket
            .send_to(b"who am I?", service.local_addr().unwrap())
            .unwrap();
        service.recv_from(&mut [0; 16]).unwrap().1
    }

    /// Returns when all that has been sent has arrived, or will not.
    fn settle(&self) {
        let _ = self.lab.capture();
    }
}

fn udp(host: &Host, address: impl Into<IpAddr>, port: u16) -> UdpSocket {
    let address = address.into();
    let socket = host.run(|| UdpSocket::bind((address, port))).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

fn any_port(host: &Host) -> UdpSocket {
    udp(host, host.v4(), 0)
}

/// What arrives until `=` does, by the byte that it carries. Whatever is sent last is one, from
/// where everything is let in.
fn arrived(socket: &UdpSocket) -> Vec<u8> {
    let mut all = Vec::new();
    while all.last() != Some(&b'=') {
        let mut byte = [0];
        socket.recv(&mut byte).unwrap();
        all.push(byte[0]);
    }
    all
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < DEADLINE, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn mapping_depends_on_as_much_of_the_remote_endpoint_as_it_should() {
    lab::test(|| {
        for mapping in BEHAVIORS {
            let net = Net::new(Nat::new(mapping, Behavior::AddressAndPortDependent));
            let socket = any_port(&net.alice);
            // RFC 5780, section 4.3: another address, and then another port as well.
            let seen = [(0, 0), (1, 0), (1, 1), (0, 0)]
                .map(|(address, port)| net.reflexive(&socket, address, port));
            assert!(seen.iter().all(|each| each.ip() == net.outside));
            assert_eq!(seen[0], seen[3], "{mapping:?}");
            let differ = [seen[0] != seen[1], seen[1] != seen[2]];
            let expected = match mapping {
                Behavior::EndpointIndependent => [false, false],
                Behavior::AddressDependent => [true, false],
                Behavior::AddressAndPortDependent => [true, true],
            };
            assert_eq!(differ, expected, "{mapping:?}: {seen:?}");
        }
    });
}

#[test]
fn filtering_depends_on_as_much_of_the_remote_endpoint_as_it_should() {
    lab::test(|| {
        for (mapping, filtering) in BEHAVIORS
            .into_iter()
            .flat_map(|mapping| BEHAVIORS.map(|filtering| (mapping, filtering)))
        {
            let net = Net::new(Nat::new(mapping, filtering));
            let socket = any_port(&net.alice);
            let outside = net.reflexive(&socket, 0, 0);
            // RFC 5780, section 4.4: from another address, another port, and where it was sent to.
            for (name, (address, port)) in [(b'a', (1, 1)), (b'p', (0, 1)), (b'=', (0, 0))] {
                net.services[address][port]
                    .send_to(&[name], outside)
                    .unwrap();
                net.settle();
            }
            let expected: &[u8] = match filtering {
                Behavior::EndpointIndependent => b"ap=",
                Behavior::AddressDependent => b"p=",
                Behavior::AddressAndPortDependent => b"=",
            };
            assert_eq!(arrived(&socket), expected, "{mapping:?}, {filtering:?}");
            assert_eq!(net.table.filtered(), 3 - expected.len() as u64);
        }
    });
}

#[test]
fn the_four_folk_names_are_four_pairs_of_behaviors() {
    use Behavior::{
        AddressAndPortDependent as Both, AddressDependent as Address, EndpointIndependent as Free,
    };
    for (nat, mapping, filtering) in [
        (Nat::full_cone(), Free, Free),
        (Nat::restricted_cone(), Free, Address),
        (Nat::port_restricted_cone(), Free, Both),
        (Nat::symmetric().preserve_ports(true), Both, Both),
    ] {
        assert_eq!(
            format!("{nat:?}"),
            format!("{:?}", Nat::new(mapping, filtering))
        );
    }
}

#[test]
fn a_port_is_kept_until_two_hosts_want_the_same() {
    lab::test(|| {
        let ports = |nat: Nat| {
            let net = Net::new(nat);
            [&net.alice, &net.bob]
                .map(|host| net.reflexive(&udp(host, host.v4(), 5000), 0, 0).port())
        };
        assert_eq!(ports(Nat::full_cone()), [5000, 50_000]);
        assert_eq!(
            ports(Nat::full_cone().preserve_ports(false)),
            [50_000, 50_001]
        );
    });
}

#[test]
fn of_several_outside_addresses_each_inside_address_keeps_one() {
    lab::test(|| {
        let pool = [198, 199].map(|last| Ipv4Addr::new(203, 0, 113, last));
        let net = Net::new(Nat::symmetric().pool(&pool));
        let seen = [&net.alice, &net.bob].map(|host| {
            let socket = any_port(host);
            let seen =
                [(0, 0), (1, 1)].map(|(address, port)| net.reflexive(&socket, address, port).ip());
            assert_eq!(seen[0], seen[1]);
            // And the way back is the same.
            net.services[0][0]
                .send_to(b"=", net.reflexive(&socket, 0, 0))
                .unwrap();
            net.settle();
            assert_eq!(arrived(&socket), b"=");
            seen[0]
        });
        assert_ne!(seen[0], seen[1]);
        assert!(seen.iter().all(|address| pool.contains(&match address {
            IpAddr::V4(address) => *address,
            IpAddr::V6(_) => panic!("{address}"),
        })));
    });
}

#[test]
fn two_hosts_behind_one_nat_reach_each_other_by_their_outside_endpoints_if_it_hairpins() {
    lab::test(|| {
        for hairpins in [true, false] {
            let net = Net::new(Nat::full_cone().hairpin(hairpins));
            let (alice, bob) = (any_port(&net.alice), any_port(&net.bob));
            let outside = [&alice, &bob].map(|socket| net.reflexive(socket, 0, 0));
            alice.send_to(b"h", outside[1]).unwrap();
            net.settle();
            if hairpins {
                // RFC 4787, REQ-9a: bob sees alice's outside endpoint.
                assert_eq!(bob.recv_from(&mut [0]).unwrap().1, outside[0]);
                // Fragments and all.
                alice.send_to(&[7; 4000], outside[1]).unwrap();
                assert_eq!(bob.recv(&mut [0; 4000]).unwrap(), 4000);
            } else {
                net.services[0][0].send_to(b"=", outside[1]).unwrap();
                assert_eq!(arrived(&bob), b"=");
            }
        }
    });
}

#[test]
fn a_mapping_is_forgotten_in_time_unless_it_is_used_from_inside() {
    lab::test(|| {
        let timeout = Duration::from_millis(200);
        let nat = Nat::full_cone().preserve_ports(false).timeout(timeout);
        let net = Net::new(nat);
        let socket = any_port(&net.alice);
        let started = Instant::now();
        let outside = net.reflexive(&socket, 0, 0);
        assert_eq!(net.table.mappings().len(), 1);
        // What comes from outside does not keep it.
        eventually("the mapping is still there", || {
            net.services[0][0].send_to(b"?", outside).unwrap();
            net.table.mappings().is_empty()
        });
        assert!(started.elapsed() >= timeout);
        net.settle();
        let filtered = net.table.filtered();
        net.services[0][0].send_to(b"!", outside).unwrap();
        net.settle();
        assert_eq!(net.table.filtered(), filtered + 1);
        assert_ne!(net.reflexive(&socket, 0, 0), outside);

        // What goes out keeps it for as long as it goes on.
        let mut kept = net.reflexive(&socket, 0, 0);
        let (started, mut last) = (Instant::now(), Instant::now());
        while started.elapsed() < 3 * timeout {
            let seen = net.reflexive(&socket, 0, 0);
            // Unless the machine let a whole timeout pass between two lines.
            if last.elapsed() < timeout {
                assert_eq!(seen, kept);
            }
            (kept, last) = (seen, Instant::now());
            std::thread::sleep(timeout / 20);
        }
    });
}

/// Opens a connection from a host to port 80 of another.
fn connection(client: &Host, server: &Host) -> (TcpStream, TcpStream) {
    let listener = server.run(|| TcpListener::bind((server.v4(), 80))).unwrap();
    let near = client
        .run(|| TcpStream::connect((server.v4(), 80)))
        .unwrap();
    let (far, _) = listener.accept().unwrap();
    for end in [&near, &far] {
        end.set_read_timeout(Some(DEADLINE)).unwrap();
    }
    (near, far)
}

#[test]
fn tcp_passes_through_with_the_nat_s_address_and_right_checksums() {
    lab::test(|| {
        const BYTES: usize = 1_000_000;
        let net = Net::new(Nat::symmetric());
        let (mut near, mut far) = connection(&net.alice, &net.server);
        let outside = far.peer_addr().unwrap();
        assert_eq!(outside, (net.outside, 50_000).into());
        let sending = net.server.spawn(move || {
            far.write_all(&vec![1; BYTES]).unwrap();
            far
        });
        let mut received = vec![0; BYTES];
        near.read_exact(&mut received).unwrap();
        near.write_all(&received[..BYTES / 10]).unwrap();
        let mut far = sending.join().unwrap();
        far.read_exact(&mut received[..BYTES / 10]).unwrap();
        for host in [&net.alice, &net.server] {
            let counters = host.counters();
            assert_eq!(counters["TcpInCsumErrors"], 0);
            assert_eq!(counters["TcpRetransSegs"], 0);
        }
        let mappings = net.table.mappings();
        assert_eq!(mappings.len(), 1);
        assert_eq!(mappings[0].protocol, Protocol::Tcp);
        assert_eq!(
            SocketAddr::from(mappings[0].inside),
            near.local_addr().unwrap()
        );
        assert_eq!(SocketAddr::from(mappings[0].outside), outside);
    });
}

#[test]
fn a_connection_that_was_idle_for_too_long_goes_nowhere() {
    lab::test(|| {
        let nat = Nat::port_restricted_cone().tcp_timeout(Duration::from_millis(100));
        let net = Net::new(nat);
        let (mut near, mut far) = connection(&net.alice, &net.server);
        near.write_all(b"hello").unwrap();
        far.read_exact(&mut [0; 5]).unwrap();
        eventually("the connection is still known", || {
            net.table.mappings().is_empty()
        });
        near.write_all(b"anybody?").unwrap();
        far.set_nonblocking(true).unwrap();
        eventually("nothing was sent again", || {
            net.alice.counters()["TcpRetransSegs"] > 0
        });
        assert_eq!(
            far.read(&mut [0]).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        // And who is outside learns as little.
        far.write_all(b"nobody?").unwrap();
        net.settle();
        assert!(net.table.filtered() > 0);
    });
}

#[test]
fn a_connection_closes_through_a_nat() {
    lab::test(|| {
        let net = Net::new(Nat::symmetric());
        let (near, mut far) = connection(&net.alice, &net.server);
        drop(near);
        assert_eq!(far.read(&mut [0]).unwrap(), 0);
        drop(far);
        // Gone from LAST-ACK by the last acknowledgment, and not by being tired of sending.
        eventually("the server waits", || net.server.tcp_states().is_empty());
        assert_eq!(net.server.counters()["TcpRetransSegs"], 0);
    });
}

#[test]
fn errors_find_the_socket_that_they_are_about() {
    lab::test(|| {
        let refused = |socket: &UdpSocket| {
            let error = socket.recv(&mut [0]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
        };
        let net = Net::new(Nat::full_cone().preserve_ports(false));
        // From outside: nobody listens at the server's port.
        let socket = any_port(&net.alice);
        socket.connect((net.server.v4(), 9)).unwrap();
        socket.send(b"x").unwrap();
        refused(&socket);
        // From inside: nobody listens at alice's port any more.
        let socket = any_port(&net.alice);
        let outside = net.reflexive(&socket, 0, 0);
        drop(socket);
        net.services[0][0].connect(outside).unwrap();
        net.services[0][0].send(b"x").unwrap();
        refused(&net.services[0][0]);
        for host in [&net.alice, &net.server] {
            assert_eq!(host.counters()["IcmpInCsumErrors"], 0);
        }
    });
}

#[test]
fn a_path_with_a_small_mtu_is_found_from_behind_a_nat() {
    lab::test(|| {
        let net = Net::with_link_to_server(Nat::symmetric(), Link::new().mtu(1300));
        let (mut near, mut far) = connection(&net.alice, &net.server);
        let writing = net.alice.spawn(move || near.write_all(&[5; 50_000]));
        far.read_exact(&mut [0; 50_000]).unwrap();
        writing.join().unwrap().unwrap();
        let lines = net.lab.capture().lines();
        assert!(
            lines.contains("internet > home  ICMP fragmentation needed")
                && lines.contains("home > alice  ICMP fragmentation needed"),
            "{lines}"
        );
    });
}

#[test]
fn a_datagram_in_fragments_passes_both_ways() {
    lab::test(|| {
        let net = Net::new(Nat::symmetric());
        let socket = any_port(&net.alice);
        let service = &net.services[0][0];
        socket
            .send_to(&[7; 4000], service.local_addr().unwrap())
            .unwrap();
        let mut buffer = [0; 4000];
        let (length, outside) = service.recv_from(&mut buffer).unwrap();
        assert_eq!((length, buffer), (4000, [7; 4000]));
        service.send_to(&[8; 4000], outside).unwrap();
        assert_eq!(socket.recv(&mut buffer).unwrap(), 4000);
        assert_eq!(buffer, [8; 4000]);
    });
}

#[test]
fn a_ping_is_answered() {
    lab::test(|| {
        let net = Net::new(Nat::symmetric());
        let ping = |host: &Host| -> io::Result<Socket> {
            let socket = host
                .run(|| Socket::new(Domain::IPV4, Type::DGRAM, Some(socket2::Protocol::ICMPV4)))?;
            socket.set_read_timeout(Some(DEADLINE))?;
            let to: SocketAddr = (net.server.v4(), 0).into();
            // An echo request; the kernel fills in the checksum and its own identifier.
            socket.send_to(&[8, 0, 0, 0, 0, 0, 0, 1, b'?'], &to.into())?;
            Ok(socket)
        };
        for host in [&net.alice, &net.bob] {
            let mut reply = [0; 16];
            let length = ping(host).unwrap().read(&mut reply).unwrap();
            assert_eq!((length, reply[0], reply[8]), (9, 0, b'?'));
        }
        let mappings = net.table.mappings();
        assert!(mappings.iter().all(|it| it.protocol == Protocol::Icmp));
        assert_eq!(mappings.len(), 2);
    });
}

#[test]
fn what_is_behind_a_nat_has_no_address_outside() {
    lab::test(|| {
        let net = Net::new(Nat::full_cone());
        net.services[0][0]
            .send_to(b"x", (net.alice.v4(), 9))
            .unwrap();
        let lines = net.lab.capture().lines();
        assert!(
            lines.contains("internet > server  ICMP network unreachable"),
            "{lines}"
        );
        assert_eq!(net.server.counters()["IcmpInDestUnreachs"], 1);
    });
}

#[test]
fn ipv6_is_forwarded_as_it_is() {
    lab::test(|| {
        let net = Net::new(Nat::symmetric());
        let (alice, server) = (net.alice.v6(), net.server.v6());
        let (near, far) = (udp(&net.alice, alice, 0), udp(&net.server, server, 9));
        near.send_to(b"6", far.local_addr().unwrap()).unwrap();
        let (_, from) = far.recv_from(&mut [0]).unwrap();
        assert_eq!(from, near.local_addr().unwrap());
        far.send_to(b"6", from).unwrap();
        assert_eq!(near.recv(&mut [0]).unwrap(), 1);
    });
}

/// A home of one host, `192.168.1.2`, behind a NAT.
fn home(builder: &mut lab::Builder, name: &str, last: u8, internet: Place, nat: Nat) -> Place {
    let gate = builder.nat(&format!("{name}'s NAT"), internet, nat);
    let host = builder.host(name);
    let v6 = |number| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, number, last.into());
    builder.addresses(gate, Ipv4Addr::new(203, 0, 113, last), v6(1));
    builder.addresses(host, Ipv4Addr::new(192, 168, 1, 2), v6(2));
    builder.link(host, gate, Link::new(), Link::new());
    builder.link(gate, internet, Link::new(), Link::new());
    host
}

/// Two peers in two homes, whose NATs know nothing of each other, meet by the endpoints that a server
/// has seen of them, each sending first. Whether they do.
fn meet(alices: Nat, bobs: Nat) -> bool {
    let mut builder = Lab::builder();
    let internet = builder.router("internet");
    let hosts = [
        home(&mut builder, "alice", 1, internet, alices),
        home(&mut builder, "bob", 2, internet, bobs),
    ];
    let server = builder.host("server");
    builder.link(server, internet, Link::new(), Link::new());
    let lab = builder.start().unwrap();
    let service = udp(&lab.host(server), lab.host(server).v4(), 3478);
    let peers = hosts.map(|place| any_port(&lab.host(place)));
    // One private address, twice, which is nobody's outside.
    assert_eq!(
        peers[0].local_addr().unwrap().ip(),
        peers[1].local_addr().unwrap().ip()
    );
    let outside = [&peers[0], &peers[1]].map(|peer| {
        peer.send_to(b"?", service.local_addr().unwrap()).unwrap();
        service.recv_from(&mut [0]).unwrap().1
    });
    for _ in 0..2 {
        for at in [0, 1] {
            peers[at].send_to(&[at as u8], outside[1 - at]).unwrap();
            let _ = lab.capture();
        }
    }
    for to in outside {
        service.send_to(b"=", to).unwrap();
    }
    let heard = peers.map(|peer| arrived(&peer).len() > 1);
    heard == [true; 2]
}

#[test]
fn two_homes_with_the_same_addresses_meet_unless_both_nats_depend_on_the_endpoint() {
    lab::test(|| {
        let port_restricted = Nat::port_restricted_cone;
        assert!(meet(port_restricted(), port_restricted()));
        assert!(!meet(Nat::symmetric(), Nat::symmetric()));
        assert!(!meet(Nat::symmetric(), port_restricted()));
    });
}
