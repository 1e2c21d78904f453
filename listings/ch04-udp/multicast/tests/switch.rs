//! The switch among hosts that make it hard.
#![cfg(target_os = "linux")]

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use ip_header::ipv4;
use lab::{Host, Lab, Link, Packet, Raw};
use udp_multicast::report::IGMP;
use udp_multicast::switch::{GROUPS_AT_MOST, SOURCES_AT_MOST};
use udp_multicast::{Members, Switch};

mod support;
use support::report;

const DEADLINE: Duration = Duration::from_secs(10);
const PORT: u16 = 7000;
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 192, 0, 7);

/// A kernel that sends to groups, and a host whose reports the test writes.
struct Net {
    lab: Lab,
    sender: Host,
    socket: UdpSocket,
    raw: Raw,
    members: Members,
    sent: u64,
}

impl Net {
    fn new() -> Self {
        let mut builder = Lab::builder();
        let sender = builder.host("sender");
        let raw = builder.raw("raw");
        let hosts = [1, 2].map(|n| vec![IpAddr::from([10, 0, 0, n])]);
        let node = Switch::new(hosts.to_vec());
        let members = node.members();
        let switch = builder.node("switch", node);
        builder.link(sender, switch, Link::new(), Link::new());
        builder.link(raw, switch, Link::new(), Link::new());
        let lab = builder.start().unwrap();
        let (sender, raw) = (lab.host(sender), lab.raw(raw));
        let socket = sender.run(|| UdpSocket::bind((sender.v4(), PORT))).unwrap();
        Self {
            lab,
            sender,
            socket,
            raw,
            members,
            sent: 0,
        }
    }

    /// Sends a report from the raw host, and waits until the switch has dealt with it.
    fn report(&mut self, message: &[u8]) {
        let mut packet = vec![0; 20 + message.len()];
        let header = ipv4::Header {
            ttl: 1,
            ..ipv4::Header::new(IGMP, self.raw.v4(), Ipv4Addr::new(224, 0, 0, 22))
        };
        header.emit(&mut packet).unwrap().copy_from_slice(message);
        self.raw.send(Packet::new(&packet));
        self.sent += 1;
        let deadline = Instant::now() + DEADLINE;
        while self.members.reports() + self.members.refused() < self.sent {
            assert!(Instant::now() < deadline, "the switch has not read it");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// What arrives at the raw host of what the sender sends to a group.
    fn arrives(&self, group: Ipv4Addr) -> bool {
        self.socket.send_to(b"update", (group, PORT)).unwrap();
        // Behind it, so that what was sent before has arrived if this has.
        self.socket.send_to(b"end", (self.raw.v4(), PORT)).unwrap();
        let first = self.raw.receive(DEADLINE).unwrap();
        if first.payload() == b"end" {
            return false;
        }
        assert_eq!(first.payload(), b"update");
        assert_eq!(self.raw.receive(DEADLINE).unwrap().payload(), b"end");
        true
    }
}

#[test]
fn each_kind_of_record_changes_what_the_port_gets() {
    lab::test(|| {
        let mut net = Net::new();
        let here = net.sender.v4().octets();
        let other = [10, 0, 0, 99];
        let group = GROUP.octets();
        assert!(!net.arrives(GROUP), "nobody has joined");
        for (kind, sources, arrives) in [
            (4, vec![], true),       // TO_EX {}: from all
            (6, vec![here], false),  // BLOCK: but not from here
            (5, vec![here], true),   // ALLOW: from here again
            (3, vec![], false),      // TO_IN {}: from nobody
            (5, vec![here], true),   // ALLOW: from here
            (6, vec![other], true),  // BLOCK of another
            (6, vec![here], false),  // BLOCK of the only one
            (1, vec![other], false), // IS_IN {other}
            (1, vec![here], true),   // IS_IN {here}
            (2, vec![here], false),  // IS_EX {here}
            (7, vec![], false),      // nobody knows what this is
            (2, vec![other], true),  // IS_EX {other}
        ] {
            net.report(&report(&[(kind, group, sources.clone())]));
            assert_eq!(net.arrives(GROUP), arrives, "{kind} {sources:?}");
        }
        let _ = net.lab.finish().unwrap();
    });
}

#[test]
fn a_host_that_joins_a_thousand_groups_gets_as_many_as_the_switch_has_room_for() {
    lab::test(|| {
        let mut net = Net::new();
        for high in 0..10 {
            let groups: Vec<_> = (0..100)
                .map(|low| (4, [239, 1, high, low], vec![]))
                .collect();
            net.report(&report(&groups));
        }
        assert_eq!(net.members.groups(1), GROUPS_AT_MOST);
        assert!(net.arrives(Ipv4Addr::new(239, 1, 0, 0)));
        assert!(!net.arrives(Ipv4Addr::new(239, 1, 9, 99)));
        // What it has, it may still change.
        net.report(&report(&[(3, [239, 1, 0, 0], vec![])]));
        assert!(!net.arrives(Ipv4Addr::new(239, 1, 0, 0)));
        assert_eq!(net.members.groups(1), GROUPS_AT_MOST - 1);
        let _ = net.lab.finish().unwrap();
    });
}

#[test]
fn more_sources_than_the_switch_tells_apart_let_all_of_them_pass() {
    lab::test(|| {
        let mut net = Net::new();
        let strangers = |from: usize, count: usize| {
            (from..from + count)
                .map(|n| [172, 16, (n >> 8) as u8, n as u8])
                .collect::<Vec<_>>()
        };
        let group = GROUP.octets();
        net.report(&report(&[(1, group, strangers(0, SOURCES_AT_MOST))]));
        assert!(!net.arrives(GROUP));
        // One more, step by step, and all at once.
        net.report(&report(&[(5, group, strangers(SOURCES_AT_MOST, 1))]));
        assert!(net.arrives(GROUP));
        net.report(&report(&[(3, group, vec![])]));
        assert!(!net.arrives(GROUP));
        net.report(&report(&[(1, group, strangers(0, SOURCES_AT_MOST + 1))]));
        assert!(net.arrives(GROUP));
        let _ = net.lab.finish().unwrap();
    });
}

#[test]
fn a_broken_report_changes_nothing() {
    lab::test(|| {
        let mut net = Net::new();
        let whole = report(&[(4, GROUP.octets(), vec![])]);
        for bit in [16, 60, 64, 100, 127] {
            let mut broken = whole.clone();
            broken[bit / 8] ^= 0x80 >> (bit % 8);
            net.report(&broken);
        }
        net.report(&whole[..whole.len() - 1]);
        assert_eq!((net.members.reports(), net.members.refused()), (0, 6));
        assert!(!net.arrives(GROUP));
        net.report(&whole);
        assert!(net.arrives(GROUP));
        let _ = net.lab.finish().unwrap();
    });
}

#[test]
fn groups_of_the_one_network_pass_without_a_report() {
    lab::test(|| {
        let net = Net::new();
        assert!(net.arrives(Ipv4Addr::new(224, 0, 0, 251)));
        assert!(!net.arrives(Ipv4Addr::new(224, 0, 1, 251)));
        let _ = net.lab.finish().unwrap();
    });
}
