//! What the headers cost: the frames of messages of several sizes, over four stacks.

use std::io::{self, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};

use lab::{Host, Lab, Link};
use layers_ethernet::{FCS_LEN, HEADER_LEN, MIN_PAYLOAD_LEN};
use record::{Axis, Line, Series};

use crate::layers::Layers;
use crate::linux::Error;
use crate::sniffer::Sniffer;

/// Messages, in bytes. The last is what fills a packet of 1,500 bytes with TCP over IPv4, the one
/// before it with TCP over IPv6.
const SIZES: [usize; 10] = [1, 10, 37, 100, 200, 400, 700, 1_000, 1_428, 1_448];

/// What an Ethernet frame carries at most, in bytes, and what the headers leave of it.
const MTU: usize = 1_500;

const PORT: u16 = 7;

/// A transport over a version of IP, and its headers, in bytes.
struct Stack {
    name: &'static str,
    tcp: bool,
    v6: bool,
    headers: usize,
}

/// TCP with the timestamps that Linux uses unless it is told otherwise.
const STACKS: [Stack; 4] = [
    Stack {
        name: "UDP over IPv4",
        tcp: false,
        v6: false,
        headers: 20 + 8,
    },
    Stack {
        name: "UDP over IPv6",
        tcp: false,
        v6: true,
        headers: 40 + 8,
    },
    Stack {
        name: "TCP over IPv4",
        tcp: true,
        v6: false,
        headers: 20 + 32,
    },
    Stack {
        name: "TCP over IPv6",
        tcp: true,
        v6: true,
        headers: 40 + 32,
    },
];

/// One frame that was captured.
#[derive(Debug, Clone, Copy)]
struct Measured {
    data: usize,
    /// As a cable would have it, with padding and check sequence.
    frame: usize,
}

impl Measured {
    fn percent(self) -> f64 {
        self.data as f64 / self.frame as f64 * 100.0
    }
}

pub struct Overhead(Vec<(&'static str, Vec<Measured>)>);

pub fn measure() -> Result<Overhead, Error> {
    let (lab, client, server) = Lab::pair(Link::new())?;
    let mut measured = Vec::new();
    for stack in &STACKS {
        let to = match stack.v6 {
            false => IpAddr::V4(server.v4()),
            true => IpAddr::V6(server.v6()),
        };
        let fitting = SIZES.into_iter().filter(|size| stack.headers + size <= MTU);
        let points = match stack.tcp {
            true => over_tcp(&client, &server, to, fitting),
            false => over_udp(&client, &server, to, fitting),
        }?;
        measured.push((stack.name, points));
    }
    let _ = lab.finish()?; // no times are measured
    Ok(Overhead(measured))
}

// ANCHOR: measure
/// One segment for each message: the next is written when the one before was seen.
fn over_tcp(
    client: &Host,
    server: &Host,
    to: IpAddr,
    sizes: impl Iterator<Item = usize>,
) -> Result<Vec<Measured>, Error> {
    let mut sniffer = Sniffer::on(client)?;
    let listener = server.run(|| TcpListener::bind((to, PORT)))?;
    let mut stream = client.run(|| TcpStream::connect((to, PORT)))?;
    stream.set_nodelay(true)?; // no waiting for more
    let _connection = listener.accept()?;
    sizes
        .map(|size| sent(&mut sniffer, size, |data| stream.write_all(data)))
        .collect()
}

fn over_udp(
    client: &Host,
    server: &Host,
    to: IpAddr,
    sizes: impl Iterator<Item = usize>,
) -> Result<Vec<Measured>, Error> {
    let mut sniffer = Sniffer::on(client)?;
    let _receiver = server.run(|| UdpSocket::bind((to, PORT)))?;
    let socket =
        client.run(|| UdpSocket::bind(if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" }))?;
    sizes
        .map(|size| {
            sent(&mut sniffer, size, |data| {
                socket.send_to(data, (to, PORT)).map(drop)
            })
        })
        .collect()
}

/// Sends a message, and measures its frame.
fn sent(
    sniffer: &mut Sniffer,
    size: usize,
    send: impl FnOnce(&[u8]) -> io::Result<()>,
) -> Result<Measured, Error> {
    let message = vec![b'x'; size];
    send(&message)?;
    let frame = sniffer.frame_with(&message)?;
    if Layers::of(&frame)?.lens().iter().sum::<usize>() != frame.len() {
        return Err("a byte of the frame belongs to no layer".into());
    }
    Ok(Measured {
        data: size,
        frame: frame.len().max(HEADER_LEN + MIN_PAYLOAD_LEN) + FCS_LEN,
    })
}
// ANCHOR_END: measure

impl Overhead {
    pub fn tell(&self) {
        println!("Messages in frames, as a cable has them: bytes, and the data's share\n");
        print!("data ");
        for (name, _) in &self.0 {
            print!("  {name:>15}");
        }
        println!();
        for (nth, size) in SIZES.iter().enumerate() {
            print!("{size:>5}");
            for (_, points) in &self.0 {
                match points.get(nth) {
                    Some(point) => {
                        print!("  {:>6}  {:>5.1} %", point.frame, point.percent());
                    }
                    None => print!("  {:>15}", "does not fit"),
                }
            }
            println!();
        }
    }

    pub fn series(&self) -> Series {
        let line = |(name, points): &(&str, Vec<Measured>)| Line {
            name: (*name).to_owned(),
            points: points
                .iter()
                .map(|point| (point.data as f64, point.percent()))
                .collect(),
        };
        Series {
            x: Axis::new("data in the frame", "bytes"),
            y: Axis::new("the data's share of the frame", "%"),
            lines: self.0.iter().map(line).collect(),
        }
    }
}
