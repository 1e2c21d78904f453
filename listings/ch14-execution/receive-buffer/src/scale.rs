//! The sixth scene: a window is scaled as the handshake has agreed, so a buffer has to be set before.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use exec_receive_buffer::{Result, grouped, set_deadline};
use ip_header::Packet;
use lab::{Capture, Lab, Link, Tcp};
use record::{Column, Record, Table};
use socket2::{Domain, SockRef, Socket, Type};
use tcp_segment::{Segment, TcpOption};

/// The way there, and the way back.
const DELAY: Duration = Duration::from_millis(5);

/// What is sent: more than any of the windows.
const BYTES: usize = 2 << 20;

/// What a program may ask for.
const TINY: usize = 4 << 10;
const SMALL: usize = 32 << 10;
const LARGE: usize = 1 << 20;

pub fn show(record: &mut Record) -> Result<()> {
    println!("SO_RCVBUF before listen() and after accept(), and the windows that come of it:");
    let mut table = Table::new([
        Column::words("set before `listen()`"),
        Column::words("set after `accept()`"),
        Column::number("in the end", "bytes"),
        Column::number("shift in the `SYN ACK`", "bits"),
        Column::number("largest window", "bytes"),
    ]);
    for (before, after) in [
        (None, None),
        (Some(SMALL), None),
        (None, Some(SMALL)),
        (Some(TINY), Some(LARGE)),
        (None, Some(LARGE)),
    ] {
        let scaled = transfer(before, after)?;
        let words = |set: Option<usize>| set.map_or("—".to_owned(), grouped);
        let (before, after) = (words(before), words(after));
        println!(
            "  {before:>6} before, {after:>9} after: {:>9} bytes, shift {}, window up to {:>9}",
            grouped(scaled.buffer),
            scaled.shift,
            grouped(scaled.widest)
        );
        let verbatim = |words: String| format!("`{words}`");
        table = table.row([
            verbatim(before),
            verbatim(after),
            scaled.buffer.to_string(),
            scaled.shift.to_string(),
            scaled.widest.to_string(),
        ]);
    }
    record.add("scale", table);
    Ok(())
}

/// What became of a receive buffer's window.
struct Scaled {
    /// `SO_RCVBUF` in the end.
    buffer: usize,
    /// By how many bits the server's windows are shifted.
    shift: u8,
    /// The largest of them, in bytes.
    widest: usize,
}

fn transfer(before: Option<usize>, after: Option<usize>) -> Result<Scaled> {
    let (lab, client, server) = Lab::pair(Link::new().delay(DELAY))?;
    client.sysctl("net.ipv4.tcp_wmem", "4096 4194304 4194304")?;
    let address = SocketAddr::from((server.v4(), 80));
    // ANCHOR: scale
    let listener = server.run(|| Socket::new(Domain::IPV4, Type::STREAM, None))?;
    if let Some(bytes) = before {
        listener.set_recv_buffer_size(bytes)?; // what it accepts inherits this
    }
    listener.bind(&address.into())?;
    listener.listen(1)?;
    let mut sender = client.run(|| TcpStream::connect(address))?;
    let (mut receiver, _) = TcpListener::from(listener).accept()?;
    if let Some(bytes) = after {
        SockRef::from(&receiver).set_recv_buffer_size(bytes)?;
    }
    // ANCHOR_END: scale
    for end in [&sender, &receiver] {
        set_deadline(end)?;
    }
    let sending = client.spawn(move || {
        sender.write_all(&vec![b'd'; BYTES])?;
        sender.shutdown(Shutdown::Write)
    });
    while receiver.read(&mut [0; 1 << 16])? > 0 {}
    sending.join().expect("the sender does not panic")?;

    let buffer = SockRef::from(&receiver).recv_buffer_size()?;
    let capture = lab.capture();
    let shift = shift(&capture).ok_or("the server's SYN ACK names no shift")?;
    let segments = capture.sent_by("server").filter_map(|packet| packet.tcp());
    let windows = segments
        .filter(|segment| !segment.has(Tcp::SYN)) // whose window is not scaled
        .map(|segment| usize::from(segment.window) << shift);
    let widest = windows.max().unwrap_or_default();
    drop(receiver);
    let _ = lab.finish()?;
    Ok(Scaled {
        buffer,
        shift,
        widest,
    })
}

// ANCHOR: shift
/// The option in the server's first segment (RFC 7323 §2.2).
fn shift(capture: &Capture) -> Option<u8> {
    let syn_ack = capture.sent_by("server").next()?;
    let packet = Packet::parse(&syn_ack.bytes).ok()?;
    let segment = Segment::parse_without_checksum(packet.upper_layer().ok()?.bytes).ok()?;
    let mut options = segment.header().options.iter();
    options.find_map(|option| match option {
        Ok(TcpOption::WindowScale(shift)) => Some(shift),
        _ => None,
    })
}
// ANCHOR_END: shift
