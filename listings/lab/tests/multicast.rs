//! Groups: who is told of them, and what arrives.
#![cfg(target_os = "linux")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use lab::{Crossing, Host, Lab, Link, Place};
use socket2::{Domain, SockRef, Socket, Type};

const DEADLINE: Duration = Duration::from_secs(10);
const V4: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const V6: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 0x123);
const PORT: u16 = 7000;
/// The number of `eth0` (the lab's FIRST_HOST_INTERFACE).
const ETH0: u32 = 2;

/// A host's socket for [`PORT`] in the version of IP of this address.
fn socket(host: &Host, address: IpAddr) -> UdpSocket {
    let address = SocketAddr::new(address, PORT);
    let socket = host.run(|| {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None).unwrap();
        if address.is_ipv6() {
            socket.set_only_v6(true).unwrap();
        }
        socket.bind(&address.into()).unwrap();
        UdpSocket::from(socket)
    });
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

/// Two hosts, and their sockets over IPv4 and IPv6; the second host has joined both groups.
fn joined(multicast: bool) -> (Lab, Host, Host, [UdpSocket; 4]) {
    let mut builder = Lab::builder();
    if multicast {
        builder.multicast();
    }
    let places: [Place; 2] = ["sender", "member"].map(|name| builder.host(name));
    builder.link(places[0], places[1], Link::new(), Link::new());
    let lab = builder.start().unwrap();
    let [sender, member] = places.map(|place| lab.host(place));
    let all = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let [to_v4, to_v6] = all.map(|address| socket(&sender, address));
    let [v4, v6] = all.map(|address| socket(&member, address));
    v4.join_multicast_v4(&V4, &member.v4()).unwrap();
    v6.join_multicast_v6(&V6, ETH0).unwrap();
    (lab, sender, member, [to_v4, to_v6, v4, v6])
}

/// Waits for the first packet of `member` of this protocol, which stands at this byte.
fn report(lab: &Lab, version: u8, at: usize, protocol: u8) -> Crossing {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let capture = lab.capture();
        let found = capture
            .sent_by("member")
            .find(|crossing| crossing.bytes[0] >> 4 == version && crossing.bytes[at] == protocol);
        if let Some(found) = found {
            return found.clone();
        }
        assert!(Instant::now() < deadline, "no report: {}", capture.lines());
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_host_reports_the_groups_that_it_has_joined_and_receives_what_goes_there() {
    lab::test(|| {
        let (lab, sender, member, [to_v4, to_v6, v4, v6]) = joined(true);
        // IGMP to 224.0.0.22, and MLD behind a Hop-by-Hop header to ff02::16.
        let igmp = report(&lab, 4, 9, 2);
        assert_eq!(igmp.bytes[12..16], member.v4().octets());
        assert_eq!(igmp.bytes[16..20], [224, 0, 0, 22]);
        let mld = report(&lab, 6, 6, 0);
        let link_local: Ipv6Addr = "fe80::2".parse().unwrap();
        assert_eq!(mld.bytes[8..24], link_local.octets());

        let mut buffer = [0; 16];
        to_v4.send_to(b"to a group", (V4, PORT)).unwrap();
        let (length, from) = v4.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"to a group");
        assert_eq!(from, (sender.v4(), PORT).into());
        SockRef::from(&to_v6).set_multicast_if_v6(ETH0).unwrap();
        to_v6.send_to(b"to a group", (V6, PORT)).unwrap();
        let (length, from) = v6.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"to a group");
        assert_eq!(from.ip(), IpAddr::from(sender.v6()));
    });
}

#[test]
fn without_multicast_a_host_has_no_address_that_an_mld_report_may_come_from() {
    lab::test(|| {
        let (lab, ..) = joined(false);
        assert_eq!(report(&lab, 6, 6, 0).bytes[8..24], [0; 16]);
    });
}

#[test]
fn a_network_without_members_says_nothing_of_itself() {
    lab::test(|| {
        let mut builder = Lab::builder();
        builder.multicast();
        let (a, b) = (builder.host("a"), builder.host("b"));
        builder.link(a, b, Link::new(), Link::new());
        let lab = builder.start().unwrap();
        let (a, b) = (lab.host(a), lab.host(b));
        // Something else has crossed, so that what was sent before would have, too.
        let socket = a.run(|| UdpSocket::bind((a.v4(), 0))).unwrap();
        let end = b.run(|| UdpSocket::bind((b.v4(), PORT))).unwrap();
        end.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.send_to(b"end", (b.v4(), PORT)).unwrap();
        end.recv_from(&mut [0; 3]).unwrap();
        assert_eq!(lab.capture().crossings().len(), 1);
    });
}
