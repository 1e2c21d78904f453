//! The first scene: how many bytes `send()` takes for how large a buffer.

use std::io::{ErrorKind, Write};
use std::net::{TcpListener, TcpStream};

use exec_receive_buffer::{Result, grouped, memory, unacknowledged, unsent, wait_until};
use lab::{Lab, Link, Verdict, tcp_info};
use record::{Column, Record, Table};
use socket2::SockRef;

/// What a program offers with each `send()`, which takes as much of it as it likes.
const OFFERED: usize = 1 << 20;

/// How many segments a new connection sends before it waits for an acknowledgement (RFC 6928).
const INITIAL_WINDOW: u32 = 10;

/// What was seen of a send buffer that was filled.
struct Full {
    /// `SO_SNDBUF`.
    buffer: usize,
    /// What `send()` took.
    taken: usize,
    /// What of it the kernel has not sent.
    unsent: usize,
}

pub fn show(record: &mut Record) -> Result<()> {
    println!("SO_SNDBUF, and what send() takes while nothing is acknowledged:");
    let mut table = Table::new([
        Column::words("asked for"),
        Column::number("set to", "bytes"),
        Column::number("taken by `send()`", "bytes"),
        Column::number("on their way", "bytes"),
        Column::number("unsent", "bytes"),
    ]);
    for asked in [None, Some(1), Some(10_000), Some(65_536), Some(131_072)] {
        let full = fill(asked)?;
        let sent = full.taken - full.unsent;
        let words = asked.map_or("—".to_owned(), grouped);
        println!(
            "  {words:>7} bytes, set to {:>7}: takes {:>7}; {} on their way, {:>7} unsent",
            grouped(full.buffer),
            grouped(full.taken),
            grouped(sent),
            grouped(full.unsent)
        );
        table = table.row([
            format!("`{words}`"),
            full.buffer.to_string(),
            full.taken.to_string(),
            sent.to_string(),
            full.unsent.to_string(),
        ]);
    }
    println!();
    record.add("sizes", table);
    Ok(())
}

// ANCHOR: fill
/// Offers bytes to a kernel that hears of no acknowledgement, until it takes no more.
fn fill(buffer: Option<usize>) -> Result<Full> {
    let mut builder = Lab::builder();
    let places = [builder.host("client"), builder.host("server")];
    let deaf = Link::new().rule(|number, _| match number {
        1 => Verdict::Pass, // the SYN ACK
        _ => Verdict::Drop,
    });
    builder.link(places[0], places[1], Link::new(), deaf);
    let lab = builder.start()?;
    let [client, server] = places.map(|place| lab.host(place));
    // No probe for a lost tail, which would be an eleventh segment.
    client.sysctl("net.ipv4.tcp_early_retrans", 0)?;
    let listener = server.run(|| TcpListener::bind((server.v4(), 80)))?;
    let mut sender = client.run(|| TcpStream::connect((server.v4(), 80)))?;
    if let Some(bytes) = buffer {
        SockRef::from(&sender).set_send_buffer_size(bytes)?;
    }

    sender.set_nonblocking(true)?;
    let mut taken = 0;
    loop {
        match sender.write(&[b'd'; OFFERED]) {
            Ok(bytes) => taken += bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break, // EAGAIN
            Err(error) => return Err(error.into()),
        }
    }
    // ANCHOR_END: fill
    wait_until("the first window is on its way", || {
        Ok(tcp_info(&sender)?.unacked == INITIAL_WINDOW)
    })?;
    let full = Full {
        buffer: memory(&sender)?.send_buffer,
        taken,
        unsent: unsent(&sender)?,
    };
    if unacknowledged(&sender)? != taken {
        return Err("the kernel does not hold what it took".into());
    }
    drop((sender, listener));
    let _ = lab.finish()?;
    Ok(full)
}
