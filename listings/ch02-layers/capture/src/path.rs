//! One request from a client over a router to a server, and its frame on both sides of the router.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use lab::{Capture, Crossing, Host, Lab, Link, Report, undisturbed};
use layers_checksum::update;
use layers_ethernet::{Frame, MacAddress};
use record::{Column, Event, Fate, Sequence, Table, What, Wire};

use crate::figure;
use crate::layers::Layers;
use crate::linux::Error;
use crate::neighbor;
use crate::sniffer::Sniffer;

/// What the client's program writes.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// Addresses that are reserved for documentation (RFC 5737, RFC 3849).
const CLIENT: (Ipv4Addr, Ipv6Addr) = (
    Ipv4Addr::new(192, 0, 2, 10),
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10),
);
const SERVER: (Ipv4Addr, Ipv6Addr) = (
    Ipv4Addr::new(198, 51, 100, 7),
    Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 7),
);

const PORT: u16 = 80;

/// How long each of the two links takes.
const DELAY: Duration = Duration::from_millis(5);

/// How often the experiment is repeated if the machine was too busy for it.
const TRIES: usize = 3;

/// The request as it was captured.
pub struct Request {
    /// As the client sent it, and as the server received it.
    client: Vec<u8>,
    server: Vec<u8>,
    /// What was on the links.
    capture: Capture,
}

pub fn one_request() -> Result<Request, Error> {
    Ok(undisturbed(TRIES, capture)?.0)
}

fn capture() -> Result<(Request, Report), Error> {
    // ANCHOR: request
    let mut builder = Lab::builder();
    let client = builder.host("client");
    let router = builder.router("router");
    let server = builder.host("server");
    builder.addresses(client, CLIENT.0, CLIENT.1);
    builder.addresses(server, SERVER.0, SERVER.1);
    for (a, b) in [(client, router), (router, server)] {
        let link = Link::new().delay(DELAY);
        builder.link(a, b, link.clone(), link);
    }
    let lab = builder.start()?;
    let (client, server) = (lab.host(client), lab.host(server));

    let mut at_client = Sniffer::on(&client)?;
    let mut at_server = Sniffer::on(&server)?;
    let router_mac = who_delivers(&client, &server, &mut at_client)?;
    neighbor::tell(&client, SERVER.0, router_mac)?;

    let listener = server.run(|| TcpListener::bind((SERVER.0, PORT)))?;
    thread::scope(|scope| {
        let answering = scope.spawn(|| answer(&listener));
        client.run(ask)?;
        answering.join().expect("the server does not panic")
    })?;
    let at_client = at_client.frame_with(REQUEST)?;
    let at_server = at_server.frame_with(REQUEST)?;
    // ANCHOR_END: request

    let request = Request {
        client: at_client,
        server: at_server,
        capture: lab.capture(),
    };
    Ok((request, lab.finish()?))
}

// ANCHOR: router
/// The MAC address of whoever hands the client a packet of the server's: the router's.
fn who_delivers(
    client: &Host,
    server: &Host,
    at_client: &mut Sniffer,
) -> Result<MacAddress, Error> {
    let to = client
        .run(|| UdpSocket::bind((CLIENT.0, 0)))?
        .local_addr()?;
    let socket = server.run(|| UdpSocket::bind((SERVER.0, 0)))?;
    socket.send_to(b"hello", to)?;
    let bytes = at_client.frame_with(b"hello")?;
    Ok(Frame::parse(&bytes)?.header().source)
}
// ANCHOR_END: router

fn ask() -> Result<(), Error> {
    let mut stream = TcpStream::connect((SERVER.0, PORT))?;
    stream.write_all(REQUEST)?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response)?;
    match response == RESPONSE {
        true => Ok(()),
        false => Err("the server answered something else".into()),
    }
}

fn answer(listener: &TcpListener) -> Result<(), Error> {
    let (mut stream, _) = listener.accept()?;
    let mut request = [0; REQUEST.len()];
    stream.read_exact(&mut request)?;
    stream.write_all(RESPONSE)?;
    Ok(())
}

/// The header fields that a router has to do with, on one side of it.
struct Side {
    destination_mac: MacAddress,
    source_mac: MacAddress,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    /// Time to live and protocol, the word in which the router changes the former.
    ttl: u8,
    ttl_word: u16,
    checksum: u16,
}

impl Side {
    fn of(bytes: &[u8]) -> Result<Self, Error> {
        let frame = Frame::parse(bytes)?;
        let Some(&header) = frame.payload().first_chunk::<20>() else {
            return Err("the packet has no header".into());
        };
        let [.., ttl, protocol, c, d, s0, s1, s2, s3, d0, d1, d2, d3] = header;
        Ok(Self {
            destination_mac: frame.header().destination,
            source_mac: frame.header().source,
            source: [s0, s1, s2, s3].into(),
            destination: [d0, d1, d2, d3].into(),
            ttl,
            ttl_word: u16::from_be_bytes([ttl, protocol]),
            checksum: u16::from_be_bytes([c, d]),
        })
    }

    /// Names and values, in the order in which they stand in the frame.
    fn rows(&self) -> [(&'static str, String); 6] {
        [
            ("destination MAC address", self.destination_mac.to_string()),
            ("source MAC address", self.source_mac.to_string()),
            ("TTL", self.ttl.to_string()),
            ("header checksum", format!("{:#06x}", self.checksum)),
            ("source IP address", self.source.to_string()),
            ("destination IP address", self.destination.to_string()),
        ]
    }
}

impl Request {
    pub fn tell(&self) -> Result<(), Error> {
        let layers = Layers::of(&self.client)?;
        let [ethernet, ip, tcp, data] = layers.lens();
        println!("A request of {data} bytes, as the client's kernel sends it\n");
        println!("layer     bytes  from byte");
        for (layer, len, from) in [
            ("Ethernet", ethernet, 0),
            ("IPv4", ip, layers.packet),
            ("TCP", tcp, layers.transport),
            ("HTTP", data, layers.data),
        ] {
            println!("{layer:<8}  {len:>5}  {from:>9}");
        }
        println!("all       {:>5}\n", self.client.len());

        println!("The same packet on both sides of the router\n");
        let sides = [Side::of(&self.client)?, Side::of(&self.server)?];
        println!("{:<23}  {:<18}  at the server", "", "at the client");
        for ((name, here), (_, there)) in sides[0].rows().into_iter().zip(sides[1].rows()) {
            println!("{name:<23}  {here:<18}  {there}");
        }
        let layers: Vec<String> = self
            .differing(layers)
            .into_iter()
            .map(|(layer, differs)| {
                format!(
                    "{layer} {}",
                    if differs { "differs" } else { "is the same" }
                )
            })
            .collect();
        println!("{}\n", layers.join(", "));

        // ANCHOR: update
        // The router did not sum up the header again: only one word of it has changed.
        let [before, after] = &sides;
        let updated = update(before.checksum, before.ttl_word, after.ttl_word);
        if updated != after.checksum {
            return Err("the router computed another checksum".into());
        }
        // ANCHOR_END: update
        println!("The new checksum follows from the old one and the one word that changed.\n");
        Ok(())
    }

    // ANCHOR: differing
    /// Which layers are not the same on both sides, byte for byte.
    fn differing(&self, layers: Layers) -> [(&'static str, bool); 4] {
        let differs = |from: usize, to: usize| self.client[from..to] != self.server[from..to];
        [
            ("Ethernet", differs(0, layers.packet)),
            ("IPv4", differs(layers.packet, layers.transport)),
            ("TCP", differs(layers.transport, layers.data)),
            ("HTTP", differs(layers.data, layers.end)),
        ]
    }
    // ANCHOR_END: differing

    pub fn figure(&self) -> Result<Wire, Error> {
        Ok(figure::of(&self.client, Layers::of(&self.client)?))
    }

    pub fn table(&self) -> Result<Table, Error> {
        let table = Table::new([
            Column::words("field"),
            Column::words("client to router"),
            Column::words("router to server"),
        ]);
        let [here, there] = [
            Side::of(&self.client)?.rows(),
            Side::of(&self.server)?.rows(),
        ];
        Ok(here
            .into_iter()
            .zip(there)
            .fold(table, |table, ((name, here), (_, there))| {
                table.row([name.to_owned(), format!("`{here}`"), format!("`{there}`")])
            }))
    }

    /// The request's way, and how far each of those on it reads.
    pub fn sequence(&self) -> Result<Sequence, Error> {
        let [here, there] = [Side::of(&self.client)?, Side::of(&self.server)?];
        let [to_router, to_server] = ["client", "router"].map(|name| {
            let mut sent = self.capture.sent_by(name);
            sent.find(|crossing| crossing.bytes.ends_with(REQUEST))
        });
        let (Some(to_router), Some(to_server)) = (to_router, to_server) else {
            return Err("the request is not in the lab's capture".into());
        };
        let us = |time: Duration| time.saturating_sub(to_router.sent).as_micros() as u64;

        let mut sequence = Sequence::new();
        let client = sequence.host("client", Some(&format!("`{}`", CLIENT.0)));
        let router = sequence.host("router", None);
        let server = sequence.host("server", Some(&format!("`{}`", SERVER.0)));
        let message = |from, to, crossing: &Crossing, side: &Side| Event {
            at_us: us(crossing.sent),
            what: What::Message {
                from,
                to,
                label: format!("frame for `{}`", side.destination_mac),
                note: Some(format!(
                    "IP packet for `{}`, TTL `{}`",
                    side.destination, side.ttl
                )),
                arrived_us: crossing.arrived.map(us),
                fate: Fate::Arrived,
            },
        };
        sequence
            .events
            .push(message(client, router, to_router, &here));
        sequence.state(
            us(to_router.arrived.unwrap_or(to_router.sent)),
            router,
            "reads layers 2, 3",
            Some("It takes the packet out of its frame, and looks where the address leads."),
        );
        sequence
            .events
            .push(message(router, server, to_server, &there));
        let arrived = us(to_server.arrived.unwrap_or(to_server.sent));
        let kernel = Some("The kernel: Ethernet, IP, TCP.");
        sequence.state(arrived, server, "reads layers 2 to 4", kernel);
        sequence.state(arrived, server, "reads layer 7", Some("The program: HTTP."));
        Ok(sequence)
    }
}
