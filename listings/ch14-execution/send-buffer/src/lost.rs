//! The fifth scene: `send()` has returned, and the receiver is killed.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use exec_receive_buffer::{Result, grouped, is_window_closed, set_deadline, unsent, wait_until};
use lab::{Capture, Lab, Link, Tcp, TcpState, tcp_info};
use record::{Event, Fate, Record, Sequence, What};
use socket2::SockRef;

/// The way there, and the way back.
const DELAY: Duration = Duration::from_millis(10);

/// What the client writes, and what it asks for as its send buffer: more than it needs.
const BYTES: usize = 150_000;
const SEND_BUFFER: usize = 131_072;

pub fn show(record: &mut Record) -> Result<()> {
    let (lab, client, server) = Lab::pair(Link::new().delay(DELAY))?;
    let listener = server.run(|| TcpListener::bind((server.v4(), 80)))?;
    let mut sender = client.run(|| TcpStream::connect((server.v4(), 80)))?;
    SockRef::from(&sender).set_send_buffer_size(SEND_BUFFER)?;
    set_deadline(&sender)?;
    let (receiver, _) = listener.accept()?;

    // ANCHOR: kill
    // A program that has the connection as its standard input, and never reads it.
    let mut program = server.command("sleep");
    program.arg("60").stdin(OwnedFd::from(receiver));
    let mut sleeping = program.spawn()?;
    drop(program); // it holds the connection, too

    sender.write_all(&[b'd'; BYTES])?; // returns: the kernel has taken all of it
    wait_until("the window is closed", || is_window_closed(&sender))?;
    let unsent = unsent(&sender)?;

    sleeping.kill()?; // SIGKILL
    sleeping.wait()?;
    wait_until("the reset has come", || {
        Ok(tcp_info(&sender)?.state == Some(TcpState::Closed))
    })?;
    let told = [sender.write(b"more"), sender.write(b"more")];
    // ANCHOR_END: kill

    let acknowledged = BYTES - unsent;
    println!(
        "send() has taken {} bytes, and the server's program is killed:",
        grouped(BYTES)
    );
    println!(
        "  {} of them acknowledged, {} not sent, 0 read",
        grouped(acknowledged),
        grouped(unsent)
    );
    let told = told.map(|result| match result {
        Ok(bytes) => format!("{bytes} bytes taken"),
        Err(error) => name(&error),
    });
    println!(
        "  the next send(): {}; the one after: {}\n",
        told[0], told[1]
    );
    record.add("lost", sequence(&lab.capture(), acknowledged, &told[0])?);
    drop(sender);
    let _ = lab.finish()?;
    Ok(())
}

/// The error's name in errno(3).
fn name(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionReset => "ECONNRESET".to_owned(),
        std::io::ErrorKind::BrokenPipe => "EPIPE".to_owned(),
        _ => error.to_string(),
    }
}

/// What crossed the network, with the data as one arrow.
fn sequence(capture: &Capture, acknowledged: usize, told: &str) -> Result<Sequence> {
    let all: Vec<_> = capture
        .crossings()
        .iter()
        .filter_map(|crossing| Some((crossing, crossing.tcp()?)))
        .filter(|(_, tcp)| !tcp.has(Tcp::SYN))
        .collect();
    let closed = all.iter().position(|(crossing, tcp)| {
        capture.name(crossing.from) == "server" && tcp.window == 0 && !tcp.has(Tcp::RST)
    });
    let closed = closed.ok_or("the window was not closed")?;
    // What is sent after that is a copy, since the acknowledgement let wait for it.
    let mut data = all[..closed].iter().filter(|(_, tcp)| tcp.length > 0);
    let (first, last) = (data.next(), data.next_back());
    let closed = all.get(closed);
    let reset = all.iter().find(|(_, tcp)| tcp.has(Tcp::RST));
    let (Some((first, _)), Some((last, _)), Some((closed, _)), Some((reset, _))) =
        (first, last, closed, reset)
    else {
        return Err("the connection was not filled and reset".into());
    };
    let us = |time: Duration| (time.saturating_sub(first.sent)).as_micros() as u64;

    let mut sequence = Sequence::new();
    let client = sequence.host("client", None);
    let server = sequence.host("server", None);
    sequence.state(0, client, "`send()` has returned", None);
    let messages = [
        (
            (client, server),
            first.sent,
            last.arrived,
            format!("`{}` bytes", grouped(acknowledged)),
        ),
        (
            (server, client),
            closed.sent,
            closed.arrived,
            "acknowledged, window `0`".to_owned(),
        ),
        (
            (server, client),
            reset.sent,
            reset.arrived,
            "`RST`".to_owned(),
        ),
    ];
    for ((from, to), sent, arrived, label) in messages {
        if label == "`RST`" {
            sequence.state(us(sent), server, "is killed", None);
        }
        sequence.events.push(Event {
            at_us: us(sent),
            what: What::Message {
                from,
                to,
                label,
                note: None,
                arrived_us: arrived.map(us),
                fate: Fate::Arrived,
            },
        });
    }
    let end = reset.arrived.map_or(0, us);
    sequence.state(end, client, format!("`send()`: `{told}`"), None);
    Ok(sequence)
}
