//! One send, and every host that has joined the group receives it. The capture shows how a host says
//! what it wants, who copies the packet, and what ends it.
//!
//! ```text
//! cargo run -p udp-multicast
//! ```
//!
//! Look for how often the sender sends, for what reaches the host that has not joined, and for what
//! happens to a report that is lost and to a host that vanishes. Linux only.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod net;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "udp-multicast builds a network of Linux kernels. Run it on Linux: in the book's dev \
         container, or on Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    lab::experiment(env!("CARGO_PKG_NAME"), linux::run)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    use ip_header::Packet;
    use lab::{Capture, Crossing, Lab, Link, Verdict};
    use record::{Column, Event, Fate, Field, Record, Sequence, Table, What, Wire};
    use socket2::SockRef;
    use udp_multicast::query::Timing;
    use udp_multicast::report::{HEADER_LEN, IGMP};
    use udp_multicast::{Kind, Report, Switch};

    use crate::net::{ETH0, Error, Net, PORT, next, receiver, receiver_v6, until_end, wait_until};

    /// A group of one's own organisation (RFC 2365 §6.2).
    const GROUP: Ipv4Addr = Ipv4Addr::new(239, 192, 0, 7);
    /// The same for IPv6: made up by its users, within the site (RFC 4291 §2.7).
    const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 7);
    /// A channel: a group that belongs to one source (RFC 4607 §1).
    const CHANNEL: Ipv4Addr = Ipv4Addr::new(232, 1, 1, 1);

    /// How long a packet is under way on a cable, so that figures show who waits for whom.
    const CABLE: Duration = Duration::from_millis(1);

    pub fn run() -> Result<(), Error> {
        let mut record = Record::new();
        groups(&mut record)?;
        record.add("cost", cost()?);
        record.add("kernel", kernel()?);
        sockets()?;
        loops()?;
        interfaces()?;
        record.add("ttl", hops()?);
        sources()?;
        version_6()?;
        lost_report()?;
        vanished()?;
        record.save()?;
        Ok(())
    }

    fn groups(record: &mut Record) -> Result<(), Error> {
        let net = Net::new(&["sender", "a", "b", "c"], CABLE, |switch| switch)?;
        let [sender, a, b, c] = &net.hosts[..] else {
            unreachable!("there are four")
        };
        // ANCHOR: groups
        let sockets = [receiver(a)?, receiver(b)?, receiver(c)?];
        sockets[0].join_multicast_v4(&GROUP, &a.v4())?;
        wait_until("a's report has come", || net.joined("a", GROUP))?;
        sockets[1].join_multicast_v4(&GROUP, &b.v4())?; // and c does not
        wait_until("b's report has come", || net.joined("b", GROUP))?;
        let socket = receiver(sender)?;
        socket.send_to(b"one", (GROUP, PORT))?;
        // Once b has left, not even what is under way would reach it.
        let first = next(&sockets[1])?;

        sockets[1].leave_multicast_v4(&GROUP, &b.v4())?;
        wait_until("b's report has come", || !net.joined("b", GROUP))?;
        socket.send_to(b"two", (GROUP, PORT))?;
        // ANCHOR_END: groups

        let mut heard = [vec![], vec![first], vec![]];
        for ((host, own), heard) in [a, b, c].iter().zip(&sockets).zip(&mut heard) {
            // What was sent before has arrived before.
            socket.send_to(b"end", (host.v4(), PORT))?;
            heard.extend(until_end(own)?);
        }
        let capture = net.lab.capture();
        let sent = |name: &str| to_group(&capture, name).count();
        println!("a and b join {GROUP}; the sender sends, b leaves, the sender sends again:");
        for (host, heard) in [a, b, c].iter().zip(&heard) {
            println!("  {} receives {}", host.name(), listed(heard, "nothing"));
        }
        println!(
            "  packets to the group: {} from the sender, {} from the switch",
            sent("sender"),
            sent("switch")
        );
        for host in &net.hosts {
            let name = host.name();
            println!(
                "  reports of {name}: {}",
                listed(&reports(&capture, name), "none")
            );
        }
        println!();
        record.add("groups", sequence(&capture));
        let join = capture.sent_by("a").find(|it| is_report(it));
        record.add("report", wire(&join.ok_or("a has not reported")?.bytes)?);
        net.finish()
    }

    /// The things, or the word for none.
    fn listed(things: &[String], none: &str) -> String {
        match things {
            [] => none.to_owned(),
            some => some.join(", "),
        }
    }

    /// What a host or the switch sent to groups, reports aside.
    fn to_group<'a>(capture: &'a Capture, name: &str) -> impl Iterator<Item = &'a Crossing> {
        let of_group = |crossing: &&Crossing| {
            crossing.udp().is_some()
                && Packet::parse(&crossing.bytes)
                    .is_ok_and(|packet| destination(&packet).is_multicast())
        };
        let sent: Vec<_> = capture.sent_by(name).filter(of_group).collect();
        sent.into_iter()
    }

    fn destination(packet: &Packet<'_>) -> IpAddr {
        match packet {
            Packet::V4(packet) => packet.header().destination.into(),
            Packet::V6(packet) => packet.header().destination.into(),
        }
    }

    fn is_report(crossing: &Crossing) -> bool {
        report(crossing, |_| ()).is_some()
    }

    /// What `read` makes of the report in a packet, if there is one.
    fn report<T>(crossing: &Crossing, read: impl FnOnce(&Report<'_>) -> T) -> Option<T> {
        let packet = Packet::parse(&crossing.bytes).ok()?;
        Report::of(&packet).ok()?.map(|report| read(&report))
    }

    /// The records that a host has sent, as RFC 9776 abbreviates them.
    fn reports(capture: &Capture, name: &str) -> Vec<String> {
        capture
            .sent_by(name)
            .filter_map(|crossing| {
                report(crossing, |report| {
                    let records: Vec<String> = report
                        .records()
                        .map(|record| {
                            let sources: Vec<_> =
                                record.sources().map(|it| it.to_string()).collect();
                            format!("{} {{{}}}", abbreviation(record.kind), sources.join(", "))
                        })
                        .collect();
                    records.join(" and ")
                })
            })
            .collect()
    }

    fn abbreviation(kind: Option<Kind>) -> &'static str {
        match kind {
            Some(Kind::IsInclude) => "IS_IN",
            Some(Kind::IsExclude) => "IS_EX",
            Some(Kind::ToInclude) => "TO_IN",
            Some(Kind::ToExclude) => "TO_EX",
            Some(Kind::Allow) => "ALLOW",
            Some(Kind::Block) => "BLOCK",
            None => "unknown",
        }
    }

    /// Reports, and what went to the group.
    fn sequence(capture: &Capture) -> Sequence {
        let told = capture.crossings().iter().filter_map(|crossing| {
            if let Some(kind) = report(crossing, |report| report.records().next()?.kind) {
                let label = match kind {
                    Some(Kind::ToExclude) => format!("joins `{GROUP}`"),
                    _ => format!("leaves `{GROUP}`"),
                };
                return Some((
                    crossing,
                    label,
                    Some(format!("`{} {{}}`", abbreviation(kind))),
                ));
            }
            let payload = lab::Packet::new(&crossing.bytes);
            let text = String::from_utf8_lossy(payload.payload()).into_owned();
            (text != "end").then(|| (crossing, format!("`{text}`"), None))
        });
        let told: Vec<_> = told.collect();
        let start = told
            .first()
            .map_or(Duration::ZERO, |(first, ..)| first.sent);
        let us = |time: Duration| time.saturating_sub(start).as_micros() as u64;
        let mut sequence = Sequence::new();
        let names = ["sender", "switch", "a", "b", "c"];
        for name in names {
            sequence.host(
                if name.len() == 1 {
                    format!("`{name}`")
                } else {
                    name.to_owned()
                },
                None,
            );
        }
        let place = |place: usize| {
            let mut all = names.iter();
            all.position(|name| *name == capture.name(place))
                .unwrap_or_default()
        };
        for (crossing, label, note) in told {
            sequence.events.push(Event {
                at_us: us(crossing.sent),
                what: What::Message {
                    from: place(crossing.from),
                    to: place(crossing.to),
                    label,
                    note,
                    arrived_us: crossing.arrived.map(us),
                    fate: Fate::Arrived,
                },
            });
        }
        sequence
    }

    /// The packet by which a host joins.
    fn wire(bytes: &[u8]) -> Result<Wire, Error> {
        let Packet::V4(packet) = Packet::parse(bytes)? else {
            return Err("the report is not IPv4".into());
        };
        let (ip, igmp) = (packet.header(), packet.header().header_len());
        let report = Report::of(&Packet::V4(packet))?.ok_or("there is no report")?;
        let record = report.records().next().ok_or("the report is empty")?;
        let at = igmp + HEADER_LEN;
        Ok(Wire {
            bytes: bytes.to_vec(),
            fields: vec![
                Field::bytes("IPv4 header", 0, igmp)
                    .value(format!("`{} → {}`", ip.source, ip.destination))
                    .note(format!(
                        "protocol `{}`, time to live `{}`, and the option `Router Alert`",
                        IGMP.0, ip.ttl
                    )),
                Field::bytes("`type`", igmp, 1)
                    .value(format!("`{:#04x}`", bytes[igmp]))
                    .note("a report of version 3"),
                Field::bytes("`reserved`", igmp + 1, 1),
                Field::bytes("`checksum`", igmp + 2, 2).value(format!(
                    "`0x{:02x}{:02x}`",
                    bytes[igmp + 2],
                    bytes[igmp + 3]
                )),
                Field::bytes("`flags`", igmp + 4, 2),
                Field::bytes("`number_of_records`", igmp + 6, 2)
                    .value(format!("`{}`", report.records().count())),
                Field::bytes("record of a group", at, bytes.len() - at).fields([
                    Field::bytes("`record_type`", at, 1)
                        .value(format!("`{}`", record.record_type))
                        .note("from now on from all sources but those named"),
                    Field::bytes("`aux_data_len`", at + 1, 1)
                        .value(format!("`{}`", record.auxiliary.len() / 4)),
                    Field::bytes("`number_of_sources`", at + 2, 2)
                        .value(format!("`{}`", record.sources().len()))
                        .note("none is named: from all"),
                    Field::bytes("`multicast_address`", at + 4, 4)
                        .value(format!("`{}`", record.group)),
                ]),
            ],
        })
    }

    /// One update to each of ever more receivers, to the group and one by one.
    fn cost() -> Result<Table, Error> {
        println!("One update of 1,000 bytes for N receivers, packets that the sender sent:");
        let mut table = Table::new([
            Column::words("receivers"),
            Column::number("sent to the group", "packets"),
            Column::number("copied by the switch", "packets"),
            Column::number("sent to each", "packets"),
        ]);
        for receivers in [1, 4, 16] {
            let names: Vec<String> = (1..=receivers).map(|n| format!("r{n}")).collect();
            let mut all = vec!["sender"];
            all.extend(names.iter().map(String::as_str));
            let net = Net::new(&all, CABLE, |switch| switch)?;
            let sockets = net.hosts[1..]
                .iter()
                .map(|host| {
                    let socket = receiver(host)?;
                    socket.join_multicast_v4(&GROUP, &host.v4())?;
                    Ok(socket)
                })
                .collect::<Result<Vec<_>, Error>>()?;
            wait_until("all have joined", || {
                names.iter().all(|name| net.joined(name, GROUP))
            })?;
            let update = [7; 1000];
            // ANCHOR: cost
            let socket = receiver(&net.hosts[0])?;
            socket.send_to(&update, (GROUP, PORT))?; // to all of them
            for host in &net.hosts[1..] {
                socket.send_to(&update, (host.v4(), PORT))?; // to each of them
            }
            // ANCHOR_END: cost
            for socket in &sockets {
                for _ in 0..2 {
                    let mut buffer = [0; 1001];
                    if socket.recv(&mut buffer)? != update.len() {
                        return Err("an update is not whole".into());
                    }
                }
            }
            let capture = net.lab.capture();
            let group = to_group(&capture, "sender").count();
            let copies = to_group(&capture, "switch").count();
            let each = capture
                .sent_by("sender")
                .filter(|it| it.udp().is_some())
                .count()
                - group;
            println!(
                "  N = {receivers:2}  to the group {group}, to each {each:2}, copied by the switch {copies:2}"
            );
            table = table.row([receivers, group, copies, each].map(|n| n.to_string()));
            net.finish()?;
        }
        println!();
        Ok(table)
    }

    /// A switch that reads no reports floods, and then each kernel has to decide.
    fn kernel() -> Result<Table, Error> {
        println!("A switch that reads no reports sends it to all; what the kernels counted:");
        let mut table = Table::new([
            Column::words("host"),
            Column::number("arrived", ""),
            Column::number("passed on to UDP", ""),
            Column::number("read by the program", ""),
        ]);
        let net = Net::new(&["sender", "a", "c"], CABLE, Switch::without_snooping)?;
        for v6 in [false, true] {
            let version = if v6 { "6" } else { "4" };
            let open = if v6 { receiver_v6 } else { receiver };
            let sender = open(&net.hosts[0])?;
            for (host, joins) in [(&net.hosts[1], true), (&net.hosts[2], false)] {
                let socket = open(host)?;
                if joins && v6 {
                    socket.join_multicast_v6(&GROUP_V6, ETH0)?;
                } else if joins {
                    socket.join_multicast_v4(&GROUP, &host.v4())?;
                }
                let names = if v6 {
                    ["Ip6InReceives", "Ip6InDelivers"]
                } else {
                    ["IpInReceives", "IpInDelivers"]
                };
                let count = || names.map(|name| host.counters()[name]);
                let before = count();
                let (group, own): (IpAddr, IpAddr) = if v6 {
                    (GROUP_V6.into(), host.v6().into())
                } else {
                    (GROUP.into(), host.v4().into())
                };
                sender.send_to(b"update", (group, PORT))?;
                sender.send_to(b"end", (own, PORT))?;
                let read = until_end(&socket)?.len();
                let after = count();
                // One of each is the end.
                let [arrived, passed] = [0, 1].map(|at| after[at] - before[at] - 1);
                let name = host.name();
                let what = if joins {
                    "has joined"
                } else {
                    "has not joined"
                };
                println!(
                    "  IPv{version}, {name} {what:14}: {arrived} arrived, {passed} passed on to UDP, {read} read"
                );
                table = table.row([
                    format!("`IPv{version}`, {what}"),
                    arrived.to_string(),
                    passed.to_string(),
                    read.to_string(),
                ]);
            }
        }
        println!();
        net.finish()?;
        Ok(table)
    }

    /// A host joins, not a socket.
    fn sockets() -> Result<(), Error> {
        let net = Net::new(&["sender", "a"], CABLE, |switch| switch)?;
        let (sender, a) = (receiver(&net.hosts[0])?, &net.hosts[1]);
        // ANCHOR: sockets
        let [joined, other, strict] = [receiver(a)?, receiver(a)?, receiver(a)?];
        joined.join_multicast_v4(&GROUP, &a.v4())?;
        SockRef::from(&strict).set_multicast_all_v4(false)?;
        // ANCHOR_END: sockets
        wait_until("a has joined", || net.joined("a", GROUP))?;
        let mut buffer = [0; 8];
        for text in ["one", "two"] {
            sender.send_to(text.as_bytes(), (GROUP, PORT))?;
            for socket in [&joined, &other] {
                let length = socket.recv(&mut buffer)?;
                if &buffer[..length] != text.as_bytes() {
                    return Err("a datagram came out of order".into());
                }
            }
        }
        // The second has come, so the first has been given to all that it is for.
        strict.set_nonblocking(true)?;
        let strict = strict.recv(&mut buffer);
        println!("Three sockets of one host, one of which has joined:");
        println!("  the one that has joined         receives it");
        println!("  another                         receives it, too");
        println!(
            "  another, IP_MULTICAST_ALL off   {}",
            if strict.is_err() {
                "receives nothing"
            } else {
                "receives it, too"
            }
        );
        println!();
        net.finish()
    }

    /// Whether a sender that is a member receives what it sends.
    fn loops() -> Result<(), Error> {
        let net = Net::new(&["sender", "a"], CABLE, |switch| switch)?;
        let sender = receiver(&net.hosts[0])?;
        let other = receiver(&net.hosts[1])?;
        println!("The sender has joined its own group:");
        // ANCHOR: loop
        sender.join_multicast_v4(&GROUP, &net.hosts[0].v4())?;
        for on in [sender.multicast_loop_v4()?, false] {
            sender.set_multicast_loop_v4(on)?;
            sender.send_to(b"update", (GROUP, PORT))?;
            other.send_to(b"end", (net.hosts[0].v4(), PORT))?;
            let own = until_end(&sender)?.len();
            println!("  IP_MULTICAST_LOOP {}: {own} of its own", u8::from(on));
        }
        // ANCHOR_END: loop
        let sent = to_group(&net.lab.capture(), "sender").count();
        println!("  packets on the wire: {sent}, once each\n");
        net.finish()
    }

    /// A sender with two interfaces has to choose one.
    fn interfaces() -> Result<(), Error> {
        let mut builder = Lab::builder();
        builder.multicast();
        let [sender, a, b] = ["sender", "a", "b"].map(|name| builder.host(name));
        builder.link(sender, a, Link::new(), Link::new());
        builder.link(sender, b, Link::new(), Link::new());
        let lab = builder.start()?;
        let [sender, a, b] = [sender, a, b].map(|place| lab.host(place));
        let members = [receiver(&a)?, receiver(&b)?];
        members[0].join_multicast_v4(&GROUP, &a.v4())?;
        members[1].join_multicast_v4(&GROUP, &b.v4())?;
        println!("A sender with two interfaces, a member behind each:");
        // ANCHOR: interface
        let socket = receiver(&sender)?;
        socket.send_to(b"as the route says", (GROUP, PORT))?;
        let second = &sender.interfaces()[1];
        SockRef::from(&socket).set_multicast_if_v4(&second.v4)?;
        socket.send_to(b"as the program says", (GROUP, PORT))?;
        // ANCHOR_END: interface
        let mut buffer = [0; 32];
        for (host, member) in [&a, &b].iter().zip(&members) {
            let length = member.recv(&mut buffer)?;
            let text = String::from_utf8_lossy(&buffer[..length]);
            println!("  {} receives: {text}", host.name());
        }
        let capture = lab.capture();
        println!("  packets sent: {}\n", to_group(&capture, "sender").count());
        let _ = lab.finish()?;
        Ok(())
    }

    /// How far a datagram goes.
    fn hops() -> Result<Table, Error> {
        let net = Net::new(&["sender", "a"], CABLE, Switch::routing)?;
        let a = &net.hosts[1];
        let member = receiver(a)?;
        member.join_multicast_v4(&GROUP, &a.v4())?;
        wait_until("a has joined", || net.joined("a", GROUP))?;
        println!("A router between the sender and a, which has joined:");
        let mut table = Table::new([
            Column::words("the sender sets"),
            Column::number("time to live, sent", ""),
            Column::number("time to live, arrived", ""),
        ]);
        // ANCHOR: ttl
        let sender = receiver(&net.hosts[0])?;
        sender.send_to(b"as it comes", (GROUP, PORT))?;
        sender.set_multicast_ttl_v4(2)?;
        sender.send_to(b"two hops", (GROUP, PORT))?;
        // ANCHOR_END: ttl
        sender.send_to(b"end", (a.v4(), PORT))?;
        let heard = until_end(&member)?;
        let capture = net.lab.capture();
        let ttl = |crossing: &Crossing| crossing.bytes[8];
        let text = |crossing: &Crossing| {
            let packet = lab::Packet::new(&crossing.bytes);
            String::from_utf8_lossy(packet.payload()).into_owned()
        };
        for sent in to_group(&capture, "sender") {
            let what = text(sent);
            let mut passed = to_group(&capture, "switch");
            let passed = passed.find(|it| text(it) == what).map(ttl);
            let read = heard.contains(&what);
            let name = if what == "two hops" {
                "`IP_MULTICAST_TTL = 2`"
            } else {
                "nothing"
            };
            println!(
                "  sent with time to live {}: {}",
                ttl(sent),
                match (passed, read) {
                    (Some(left), true) => format!("arrives, with {left}"),
                    _ => "the router drops it and tells nobody".to_owned(),
                }
            );
            table = table.row([
                name.to_owned(),
                ttl(sent).to_string(),
                passed.map_or("–".to_owned(), |left| left.to_string()),
            ]);
        }
        println!(
            "  ICMP messages to the sender: {}\n",
            net.hosts[0].counters()["IcmpInMsgs"]
        );
        net.finish()?;
        Ok(table)
    }

    /// A member that names its source.
    fn sources() -> Result<(), Error> {
        let net = Net::new(&["s1", "s2", "a"], CABLE, |switch| switch)?;
        let [s1, s2, a] = &net.hosts[..] else {
            unreachable!("there are three")
        };
        // ANCHOR: sources
        let member = receiver(a)?;
        SockRef::from(&member).join_ssm_v4(&s1.v4(), &CHANNEL, &a.v4())?;
        // ANCHOR_END: sources
        wait_until("a has joined", || net.joined("a", CHANNEL))?;
        for (source, text) in [(s1, "from s1"), (s2, "from s2")] {
            receiver(source)?.send_to(text.as_bytes(), (CHANNEL, PORT))?;
        }
        wait_until("both have sent", || {
            let capture = net.lab.capture();
            let arrived = |name| to_group(&capture, name).all(|it| it.arrived.is_some());
            ["s1", "s2"]
                .iter()
                .all(|name| to_group(&capture, name).count() == 1 && arrived(name))
        })?;
        receiver(s2)?.send_to(b"end", (a.v4(), PORT))?;
        let heard = until_end(&member)?;
        let capture = net.lab.capture();
        println!("a joins {CHANNEL} for what {} sends:", s1.name());
        println!("  report: {}", reports(&capture, "a").join(", "));
        println!("  s1 and s2 send; a receives {}", heard.join(", "));
        println!(
            "  copies by the switch: {}\n",
            to_group(&capture, "switch").count()
        );
        net.finish()
    }

    /// The same with MLD.
    fn version_6() -> Result<(), Error> {
        let net = Net::new(&["sender", "a", "b", "c"], CABLE, |switch| switch)?;
        let [sender, a, b, c] = &net.hosts[..] else {
            unreachable!("there are four")
        };
        // ANCHOR: version-6
        let sockets = [receiver_v6(a)?, receiver_v6(b)?, receiver_v6(c)?];
        sockets[0].join_multicast_v6(&GROUP_V6, ETH0)?;
        sockets[1].join_multicast_v6(&GROUP_V6, ETH0)?;
        // ANCHOR_END: version-6
        wait_until("both reports have come", || {
            net.joined("a", GROUP_V6) && net.joined("b", GROUP_V6)
        })?;
        let socket = receiver_v6(sender)?;
        socket.send_to(b"one", (GROUP_V6, PORT))?;
        let mut heard = [vec![], vec![next(&sockets[1])?], vec![]];
        sockets[1].leave_multicast_v6(&GROUP_V6, ETH0)?;
        wait_until("b's report has come", || !net.joined("b", GROUP_V6))?;
        socket.send_to(b"two", (GROUP_V6, PORT))?;
        println!("The same over IPv6, with MLD and {GROUP_V6}:");
        for ((host, own), heard) in [a, b, c].iter().zip(&sockets).zip(&mut heard) {
            socket.send_to(b"end", (host.v6(), PORT))?;
            heard.extend(until_end(own)?);
            println!("  {} receives {}", host.name(), listed(heard, "nothing"));
        }
        let capture = net.lab.capture();
        println!(
            "  the sender sent {} packets to the group",
            to_group(&capture, "sender").count()
        );
        let join = capture
            .sent_by("a")
            .find(|it| is_report(it))
            .ok_or("no report")?;
        let packet = Packet::parse(&join.bytes)?;
        let Packet::V6(packet) = packet else {
            return Err("the report is not IPv6".into());
        };
        let header = packet.header();
        println!(
            "  reports come from {}, go to {}, with hop limit {}\n",
            header.source, header.destination, header.hop_limit
        );
        net.finish()
    }

    /// The first report is lost.
    fn lost_report() -> Result<(), Error> {
        let lose_the_first = |number: u64, packet: &lab::Packet| {
            let read = Packet::parse(packet.bytes());
            let report = read.is_ok_and(|read| Report::of(&read).is_ok_and(|it| it.is_some()));
            if report && number == 1 {
                Verdict::Drop
            } else {
                Verdict::Pass
            }
        };
        let net = Net::with_link("a", Link::new().rule(lose_the_first), |switch| switch)?;
        let a = &net.hosts[1];
        a.sysctl("net.ipv4.igmp_qrv", 2)?; // the kernel's own default
        let member = receiver(a)?;
        let started = Instant::now();
        member.join_multicast_v4(&GROUP, &a.v4())?;
        wait_until("a has joined", || net.joined("a", GROUP))?;
        let after_ms = started.elapsed().as_secs_f64() * 1e3;
        let said = reports(&net.lab.capture(), "a");
        println!("The first report of a is lost:");
        println!("  a sends {}", said.join(", and again "));
        println!("  after {after_ms:.1} ms the switch knows\n");
        net.finish()
    }

    /// How often the switch asks in the last experiment; a real one does every 125 seconds.
    const ASKING: Timing = Timing {
        interval: Duration::from_millis(300),
        response: Duration::from_millis(100),
        robustness: 2,
    };

    /// A host is unplugged, and says nothing any more.
    fn vanished() -> Result<(), Error> {
        let unplugged = Arc::new(AtomicBool::new(false));
        let cut = unplugged.clone();
        let rule = move |_: u64, _: &lab::Packet| {
            if cut.load(Ordering::Relaxed) {
                Verdict::Drop
            } else {
                Verdict::Pass
            }
        };
        // ANCHOR: vanish
        let querier = (Ipv4Addr::new(10, 0, 0, 254), "fe80::fe".parse()?);
        let net = Net::with_link("a", Link::new().rule(rule), |switch| {
            switch.asking(querier.0, querier.1, ASKING)
        })?;
        let members = [receiver(&net.hosts[1])?, receiver(&net.hosts[2])?];
        members[0].join_multicast_v4(&GROUP, &net.hosts[1].v4())?;
        members[1].join_multicast_v4(&GROUP, &net.hosts[2].v4())?;
        wait_until("both have joined", || {
            net.joined("a", GROUP) && net.joined("b", GROUP)
        })?;
        unplugged.store(true, Ordering::Relaxed); // a says nothing any more
        wait_until("a is forgotten", || !net.joined("a", GROUP))?;
        let b_is_still_there = net.joined("b", GROUP);
        // ANCHOR_END: vanish
        let capture = net.lab.capture();
        let answers = reports(&capture, "b")
            .iter()
            .filter(|it| it.starts_with("IS_EX"))
            .count();
        println!("a and b join, a is unplugged, and the switch asks all the time:");
        println!("  a, who no longer answers, is forgotten");
        println!(
            "  b, who answers with IS_EX {{}}{}, is {}",
            if answers > 1 { " each time" } else { "" },
            if b_is_still_there {
                "still a member"
            } else {
                "forgotten, too"
            }
        );
        drop(members);
        net.finish()
    }
}
