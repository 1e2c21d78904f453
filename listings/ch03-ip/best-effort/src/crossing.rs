//! One link, and what it does to packets.

use std::net::UdpSocket;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use lab::{Capture, Crossing, Fate, Host, Lab, Link, Node, Out, Packet, Verdict};
use record::{Axis, Line, Record, Series};

use crate::linux::{Result, next, wait_for};
use crate::show;

/// How many packets are sent, how long after each other, and how long they take.
const PACKETS: u64 = 40;
const EVERY: Duration = Duration::from_millis(2);
const DELAY: Duration = Duration::from_millis(10);

/// How many packets of 100 are lost, duplicated, overtaken by others. Far more than on most links, so
/// that 40 packets show it all.
const LOST: f64 = 0.15;
const DUPLICATED: u64 = 10;
const OVERTAKEN: u64 = 20;

/// How many of them the figure shows.
const FIGURE: u64 = 18;

/// What decides which: with another seed, other packets.
const SEED: u64 = 791;

/// The port that the server's program receives on.
const PORT: u16 = 7000;

// ANCHOR: rule
/// What becomes of the packet with this number in its direction, if it is not lost.
fn misfortune(number: u64, _: &Packet) -> Verdict {
    let random = random(SEED, number);
    match random % 100 {
        0..DUPLICATED => Verdict::Duplicate,
        // Up to three others overtake it.
        other if other < DUPLICATED + OVERTAKEN => {
            Verdict::Reorder(1 + (random >> 32) as usize % 3)
        }
        _ => Verdict::Pass,
    }
}
// ANCHOR_END: rule

/// A number for each seed and packet, the same in every run: SplitMix64 (Steele, Lea and Flood, 2014).
fn random(seed: u64, number: u64) -> u64 {
    let mut z = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

// ANCHOR: tap
/// Sits at the end of the link, writes down which numbers come out of it, in which order, and passes
/// everything on.
#[derive(Clone, Default)]
struct Tap(Arc<Mutex<Vec<u64>>>);

impl Node for Tap {
    fn packet(&mut self, port: usize, packet: Packet, out: &mut Out) {
        if port == 0 {
            let number = number(packet.payload()).unwrap_or_default();
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(number);
        }
        out.send(1 - port, packet);
    }
}
// ANCHOR_END: tap

/// A client, a server, and a socket on each, the client's connected to the server's: that one would
/// be told of ICMP errors.
struct Pair {
    lab: Lab,
    tap: Tap,
    client: Host,
    server: Host,
    sender: UdpSocket,
    receiver: UdpSocket,
    /// How many times `send()` failed.
    errors: usize,
}

impl Pair {
    /// `there` is the link that matters. What is behind the tap carries everything at once.
    fn open(there: Link) -> Result<Self> {
        let tap = Tap::default();
        let mut builder = Lab::builder();
        let client = builder.host("client");
        let end = builder.node("end of the link", tap.clone());
        let server = builder.host("server");
        builder.link(client, end, there, Link::new().delay(DELAY));
        builder.link(end, server, Link::new(), Link::new());
        let lab = builder.start()?;
        let (client, server) = (lab.host(client), lab.host(server));
        let receiver = server.run(|| UdpSocket::bind((server.v4(), PORT)))?;
        let sender = client.run(|| UdpSocket::bind((client.v4(), 0)))?;
        sender.connect((server.v4(), PORT))?;
        Ok(Self {
            lab,
            tap,
            client,
            server,
            sender,
            receiver,
            errors: 0,
        })
    }

    /// Sends a datagram, and goes on if that fails.
    fn send(&mut self, datagram: &[u8]) {
        self.errors += usize::from(self.sender.send(datagram).is_err());
    }

    /// What came out of the link, in its order.
    fn let_through(&self) -> Vec<u64> {
        self.tap
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The capture, as soon as each packet has arrived or is known never to.
    fn settled(&self) -> Result<Capture> {
        let settled = |packet: &Crossing| packet.arrived.is_some() || !packet.fate.arrives();
        wait_for("each packet's fate", || {
            let capture = self.lab.capture();
            Ok(capture.crossings().iter().all(settled).then_some(capture))
        })
    }

    /// What the server's program reads: so many datagrams, and no more.
    fn read(&self, count: usize) -> Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for _ in 0..count {
            numbers.push(number(&next(&self.receiver)?)?);
        }
        self.receiver.set_nonblocking(true)?;
        match self.receiver.recv(&mut [0; 8]) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(numbers),
            other => Err(format!("more than the link let through: {other:?}").into()),
        }
    }

    /// What the sender could have noticed.
    fn tell_sender(&self) -> Result<()> {
        let counters = self.client.counters();
        let pending = match self.sender.take_error()? {
            Some(error) => error.to_string(),
            None => "none".to_owned(),
        };
        println!("What the sender is told:");
        println!("  errors of send()            {}", self.errors);
        println!("  error pending on the socket {pending}");
        for (name, what) in [
            ("UdpOutDatagrams", "datagrams sent, it counts"),
            ("IpInReceives", "packets that came back"),
            ("IcmpInMsgs", "ICMP messages"),
        ] {
            println!("  {what:<27} {}", counters[name]);
        }
        Ok(())
    }
}

/// The number that a datagram carries first.
fn number(datagram: &[u8]) -> Result<u64> {
    match datagram.first_chunk() {
        Some(first) => Ok(u64::from_be_bytes(*first)),
        None => Err("a datagram without a number".into()),
    }
}

pub fn misfortunes(record: &mut Record) -> Result<()> {
    // ANCHOR: send
    let there = Link::new().delay(DELAY).loss(LOST, SEED).rule(misfortune);
    let mut pair = Pair::open(there)?;
    for number in 1..=PACKETS {
        pair.send(&number.to_be_bytes());
        thread::sleep(EVERY);
    }
    let capture = pair.settled()?;
    let let_through = pair.let_through();
    let read = pair.read(let_through.len())?;
    // ANCHOR_END: send

    let with_fate = |fate| {
        let packets = capture
            .sent_by("client")
            .filter(move |packet| packet.fate == fate);
        packets
            .map(|packet| number(show::payload(&packet.bytes)?))
            .collect::<Result<Vec<_>>>()
    };
    let (lost, twice) = (with_fate(Fate::Lost)?, with_fate(Fate::Copied)?);
    let late = late(&read);
    println!("sent:                  1 to {PACKETS}");
    println!("the link lost:         {}", list(&lost));
    println!("it duplicated:         {}", list(&twice));
    println!("others overtook:       {}", list(&late));
    println!("it let through:        {}", list(&let_through));
    println!("the server's program read");
    println!("                       {}", list(&read));
    let counted = pair.server.counters()["UdpInDatagrams"];
    println!(
        "{} datagrams, of which the server's kernel counted {counted}",
        read.len()
    );
    pair.tell_sender()?;

    record.add("arrivals", arrivals(&read));
    record.add("link", show::crossings(&capture, FIGURE));
    Ok(())
}

/// Which numbers arrived after a larger one, without those that are there a second time.
fn late(read: &[u64]) -> Vec<u64> {
    let mut late = Vec::new();
    for (at, number) in read.iter().enumerate() {
        let before = &read[..at];
        if !before.contains(number) && before.iter().any(|before| before > number) {
            late.push(*number);
        }
    }
    late
}

/// The numbers as they came, against the numbers as they were sent.
fn arrivals(read: &[u64]) -> Series {
    let sent: Vec<u64> = (1..=PACKETS).collect();
    let line = |name: &str, numbers: &[u64]| Line {
        name: name.to_owned(),
        points: (1..)
            .zip(numbers)
            .map(|(place, number)| (f64::from(place), *number as f64))
            .collect(),
    };
    Series {
        x: Axis::new("place in the order", ""),
        y: Axis::new("packet's number", ""),
        lines: vec![line("as sent", &sent), line("as received", read)],
    }
}

/// Bytes of each datagram that meets the queue, and how many there are.
const LENGTH: usize = 972; // 1,000 with the headers of IPv4 and UDP
const BURST: u64 = 20;

/// Room for six of them, and a rate at which one takes 80 ms: all are there before one has left.
const QUEUE: usize = 6_000;
const BITS_PER_SECOND: u64 = 100_000;

pub fn full_queue() -> Result<()> {
    let mut pair = Pair::open(Link::new().rate(BITS_PER_SECOND).queue(QUEUE))?;
    for number in 1..=BURST {
        let mut datagram = [0; LENGTH];
        datagram[..8].copy_from_slice(&number.to_be_bytes());
        pair.send(&datagram);
    }
    let capture = pair.settled()?;
    let read = pair.read(pair.let_through().len())?;
    let overflowed = capture
        .sent_by("client")
        .filter(|packet| packet.fate == Fate::Overflowed);
    println!("sent:                  1 to {BURST} at once, {LENGTH} bytes each");
    println!("found the queue full:  {}", overflowed.count());
    println!("the server's program read");
    println!("                       {}", list(&read));
    pair.tell_sender()
}

fn list(numbers: &[u64]) -> String {
    let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
    numbers.join(" ")
}
