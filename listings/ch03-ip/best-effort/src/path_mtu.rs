//! Two links with a router between them, of which the second carries less.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use lab::{Capture, Host, Lab, Link, Packet, Verdict};
use record::Record;

use crate::linux::{Result, next, wait_for};
use crate::options::{Discover, path_mtu, set_mtu_discover};
use crate::show::{self, Kind};

/// What each link carries at most, in bytes, and how long it takes.
const MTUS: [usize; 2] = [1500, 1400];
const DELAY: Duration = Duration::from_millis(10);

/// The headers in front of what a program sends: UDP's behind that of IPv4 or IPv6.
const HEADERS_V4: usize = 20 + 8;
const HEADERS_V6: usize = 40 + 8;

/// The port that the server's program receives on.
const PORT: u16 = 7000;

/// A datagram that is sent to see whether the ones before it arrive. No link here reorders, so it
/// comes after them.
const LAST: &[u8] = b"that was all";

/// Client, router and server.
struct Path {
    lab: Lab,
    client: Host,
    server: Host,
}

impl Path {
    /// `to_server` and `to_client` are what leads away from the router.
    fn open(to_server: Link, to_client: Link) -> Result<Self> {
        // ANCHOR: path
        let [near, far] = MTUS.map(|mtu| Link::new().mtu(mtu).delay(DELAY));
        let mut builder = Lab::builder();
        let client = builder.host("client");
        let router = builder.router("router");
        let server = builder.host("server");
        builder.link(client, router, near, to_client.mtu(MTUS[0]).delay(DELAY));
        builder.link(router, server, to_server.mtu(MTUS[1]).delay(DELAY), far);
        // ANCHOR_END: path
        let lab = builder.start()?;
        let (client, server) = (lab.host(client), lab.host(server));
        Ok(Self {
            lab,
            client,
            server,
        })
    }

    /// A socket of the client that is connected to one of the server.
    fn sockets(&self, v6: bool, discover: Discover) -> Result<(UdpSocket, UdpSocket)> {
        let address = |host: &Host| -> IpAddr {
            match v6 {
                true => host.v6().into(),
                false => host.v4().into(),
            }
        };
        let receiver = self
            .server
            .run(|| UdpSocket::bind((address(&self.server), PORT)))?;
        let sender = self
            .client
            .run(|| UdpSocket::bind((address(&self.client), 0)))?;
        sender.connect((address(&self.server), PORT))?;
        set_mtu_discover(&sender, discover)?;
        Ok((sender, receiver))
    }

    /// The packets whose kind fits, with their lengths.
    fn packets(&self, fits: impl Fn(Kind) -> bool) -> Result<Vec<(Kind, usize)>> {
        let mut found = Vec::new();
        for packet in self.lab.capture().crossings() {
            let kind = show::kind(&packet.bytes)?;
            if fits(kind) {
                found.push((kind, packet.length));
            }
        }
        Ok(found)
    }

    fn figure(&self) -> Result<record::Sequence> {
        show::path(&self.settled()?, MTUS)
    }

    /// The capture, as soon as nothing is under way.
    fn settled(&self) -> Result<Capture> {
        wait_for("the packets to arrive", || {
            let capture = self.lab.capture();
            let under_way =
                |packet: &&lab::Crossing| packet.fate.arrives() && packet.arrived.is_none();
            let none = !capture.crossings().iter().any(|packet| under_way(&packet));
            Ok(none.then_some(capture))
        })
    }
}

/// A datagram of which each byte differs from those beside it.
fn datagram(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

pub fn told(record: &mut Record) -> Result<()> {
    for (v6, headers, name) in [
        (false, HEADERS_V4, "path-mtu"),
        (true, HEADERS_V6, "path-mtu-v6"),
    ] {
        let path = Path::open(Link::new(), Link::new())?;
        let (sender, receiver) = path.sockets(v6, Discover::Do)?;
        println!(
            "IPv{}, and nobody may cut the packet",
            if v6 { 6 } else { 4 }
        );
        println!("  path MTU                       {}", path_mtu(&sender)?);

        // ANCHOR: told
        let full = datagram(MTUS[0] - headers);
        println!(
            "  send() of {} bytes           {}",
            full.len(),
            outcome(sender.send(&full))
        );
        let told = wait_for("the router's message", || {
            let mtu = usize::try_from(path_mtu(&sender)?)?;
            Ok((mtu != MTUS[0]).then_some(mtu))
        })?;
        // ANCHOR_END: told
        for (kind, length) in path.packets(|kind| matches!(kind, Kind::TooBig { .. }))? {
            if let Kind::TooBig { version, at_most } = kind {
                let name = if version == 4 { "ICMP" } else { "ICMPv6" };
                println!("  the router's {name:<17} at most {at_most}, in {length} bytes");
            }
        }
        let pending = sender.take_error()?;
        println!(
            "  error pending on the socket    {}",
            told_of(pending.as_ref())
        );
        println!("  path MTU                       {told}");
        println!(
            "  send() of {} bytes           {}",
            full.len(),
            outcome(sender.send(&full))
        );

        // ANCHOR: fits
        let fitting = datagram(told - headers);
        println!(
            "  send() of {} bytes           {}",
            fitting.len(),
            outcome(sender.send(&fitting))
        );
        let arrived = next(&receiver)?; // the first that arrives at all
        // ANCHOR_END: fits
        let same = if arrived == fitting {
            "the same"
        } else {
            "others"
        };
        println!(
            "  the server's program reads     {} bytes, {same}",
            arrived.len()
        );
        record.add(name, path.figure()?);
    }
    Ok(())
}

fn outcome(sent: std::io::Result<usize>) -> String {
    match sent {
        Ok(_) => "done".to_owned(),
        Err(error) => told_of(Some(&error)),
    }
}

fn told_of(error: Option<&std::io::Error>) -> String {
    match error.map(std::io::Error::raw_os_error) {
        None => "none".to_owned(),
        Some(Some(libc::EMSGSIZE)) => "EMSGSIZE: message too long".to_owned(),
        Some(_) => format!("{error:?}"),
    }
}

// ANCHOR: black-hole
/// A firewall that lets no ICMP through.
fn no_icmp(_: u64, packet: &Packet) -> Verdict {
    match show::kind(packet.bytes()) {
        Ok(Kind::TooBig { .. }) => Verdict::Drop,
        _ => Verdict::Pass,
    }
}

pub fn black_hole() -> Result<()> {
    let path = Path::open(Link::new(), Link::new().rule(no_icmp))?;
    let (sender, receiver) = path.sockets(false, Discover::Do)?;
    let full = datagram(MTUS[0] - HEADERS_V4);
    for _ in 0..3 {
        sender.send(&full)?; // each one succeeds, and is lost
    }
    sender.send(LAST)?;
    let first = next(&receiver)?;
    // ANCHOR_END: black-hole
    let arrived = if first == LAST {
        "the small one"
    } else {
        "another"
    };
    println!(
        "3 of {} bytes and one of {} are sent",
        full.len(),
        LAST.len()
    );
    println!("the first that arrives is {arrived}");
    println!(
        "error pending on the socket    {}",
        told_of(sender.take_error()?.as_ref())
    );
    println!("path MTU, as the kernel thinks {}", path_mtu(&sender)?);
    Ok(())
}

/// How the server's kernel put pieces together: packets of several pieces that came in whole, pieces
/// that came in, packets that were given up.
fn reassembly(server: &Host, version: u8) -> [i64; 3] {
    let prefix = if version == 4 { "Ip" } else { "Ip6" };
    let counters = server.counters();
    ["ReasmOKs", "ReasmReqds", "ReasmFails"].map(|name| counters[&format!("{prefix}{name}")])
}

fn tell_pieces(path: &Path) -> Result<()> {
    let mut told = Vec::new();
    for (kind, length) in path.packets(|kind| matches!(kind, Kind::Piece { .. }))? {
        if let Kind::Piece {
            from,
            length: payload,
        } = kind
        {
            let text = format!(
                "  piece: bytes {from} to {}, in a packet of {length}",
                from + payload - 1
            );
            if !told.contains(&text) {
                println!("{text}");
                told.push(text); // on the second link it is the same
            }
        }
    }
    Ok(())
}

pub fn cut_by_the_router(record: &mut Record) -> Result<()> {
    let path = Path::open(Link::new(), Link::new())?;
    // ANCHOR: cut
    let (sender, receiver) = path.sockets(false, Discover::Dont)?;
    let full = datagram(MTUS[0] - HEADERS_V4);
    sender.send(&full)?;
    let arrived = next(&receiver)?;
    // ANCHOR_END: cut
    println!(
        "IPv4, and routers may cut: one packet of {} bytes leaves the client",
        MTUS[0]
    );
    tell_pieces(&path)?;
    let same = if arrived == full {
        "the same"
    } else {
        "others"
    };
    println!(
        "  the server's program reads {} bytes, {same}",
        arrived.len()
    );
    let [whole, pieces, _] = reassembly(&path.server, 4);
    println!("  the server's kernel made {whole} packet of {pieces} pieces");
    record.add("router-cuts", path.figure()?);
    Ok(())
}

// ANCHOR: one-lost
/// Loses the last piece of each packet.
fn lose_last_piece(_: u64, packet: &Packet) -> Verdict {
    match show::kind(packet.bytes()) {
        Ok(Kind::Piece { from, .. }) if from > 0 => Verdict::Drop,
        _ => Verdict::Pass,
    }
}

pub fn one_piece_lost(record: &mut Record) -> Result<()> {
    let path = Path::open(Link::new().rule(lose_last_piece), Link::new())?;
    // How long the server waits for pieces, in seconds; 30 otherwise.
    path.server.sysctl("net.ipv4.ipfrag_time", 1)?;
    let (sender, receiver) = path.sockets(false, Discover::Dont)?;
    let full = datagram(MTUS[0] - HEADERS_V4);
    sender.send(&full)?;
    sender.send(LAST)?;
    let first = next(&receiver)?;
    wait_for("the server to give up", || {
        Ok((reassembly(&path.server, 4)[2] > 0).then_some(()))
    })?;
    // ANCHOR_END: one-lost
    let arrived = if first == LAST {
        "the one that was sent after it"
    } else {
        "another"
    };
    println!("The same, and the link loses the last piece");
    println!("  the first that the server's program reads is {arrived}");
    let timed_out = wait_for("the server's message", || {
        let messages = path.packets(|kind| kind == Kind::ReassemblyTimedOut)?;
        // Once on each link.
        Ok((messages.len() == 2).then_some(messages.len() / 2))
    })?;
    let [whole, pieces, given_up] = reassembly(&path.server, 4);
    println!(
        "  the server's kernel: {pieces} piece came, {whole} packets made, {given_up} given up"
    );
    println!("  and says so, with {timed_out} ICMP message: time exceeded in reassembly");
    println!(
        "  error pending on the client's socket: {}",
        told_of(sender.take_error()?.as_ref())
    );
    record.add("piece-lost", path.figure()?);
    Ok(())
}

pub fn cut_by_the_source(record: &mut Record) -> Result<()> {
    let path = Path::open(Link::new(), Link::new())?;
    // ANCHOR: source
    let (sender, receiver) = path.sockets(true, Discover::Want)?;
    let full = datagram(MTUS[0] - HEADERS_V6);
    sender.send(&full)?; // lost: the kernel does not know yet
    wait_for("the router's message", || {
        Ok((path_mtu(&sender)? != MTUS[0] as i32).then_some(()))
    })?;
    sender.take_error()?;
    sender.send(&full)?; // and now it does
    let arrived = next(&receiver)?;
    // ANCHOR_END: source
    println!("IPv6, and only the source may cut: it does, once it knows the path");
    tell_pieces(&path)?;
    let same = if arrived == full {
        "the same"
    } else {
        "others"
    };
    println!(
        "  the server's program reads {} bytes, {same}",
        arrived.len()
    );
    let [whole, pieces, _] = reassembly(&path.server, 6);
    println!("  the server's kernel made {whole} packet of {pieces} pieces");
    record.add("source-cuts", path.figure()?);
    let is_last = |packet: &&lab::Crossing| matches!(show::kind(&packet.bytes), Ok(Kind::Piece { from, .. }) if from > 0);
    let capture = path.settled()?;
    let last = capture.crossings().iter().find(is_last);
    record.add(
        "fragment",
        show::fragment(&last.ok_or("no last piece")?.bytes)?,
    );
    Ok(())
}
