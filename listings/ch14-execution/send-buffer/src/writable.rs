//! The second scene: when `send()` takes more, and when poll(2) says so.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use exec_receive_buffer::{
    DEADLINE, Result, grouped, is_window_closed, is_writable, memory, set_deadline, wait_until,
};
use lab::{Lab, Link};
use nix::poll::PollTimeout;
use record::{Column, Record, Table};
use socket2::SockRef;

/// What the client asks for as its send buffer.
const SEND_BUFFER: usize = 131_072;

/// What the server reads at a time.
const PIECE: usize = 2048;

/// How long the client asks after each: some hundred times what the two kernels need.
const SETTLED: Duration = Duration::from_millis(1);

/// How far the buffer was filled when the answer was «no» for the last time, and when it was «yes»
/// for the first, in bytes of memory.
struct Turn {
    last_no: usize,
    first_yes: usize,
}

pub fn show(record: &mut Record) -> Result<()> {
    let (lab, client, server) = Lab::pair(Link::new())?;
    let listener = server.run(|| TcpListener::bind((server.v4(), 80)))?;
    let mut sender = client.run(|| TcpStream::connect((server.v4(), 80)))?;
    SockRef::from(&sender).set_send_buffer_size(SEND_BUFFER)?;
    let (mut receiver, _) = listener.accept()?;
    set_deadline(&receiver)?;
    sender.set_nonblocking(true)?;
    wait_until("both buffers are full", || {
        let closed = is_window_closed(&sender)?;
        while takes(&mut sender, &[b'd'; PIECE])? {}
        Ok(closed)
    })?;

    let buffer = memory(&sender)?.send_buffer;
    println!(
        "A send buffer of {} bytes is full, and the server reads:",
        grouped(buffer)
    );
    let mut table = Table::new([
        Column::words("what is asked"),
        Column::number("the last «no», filled", "%"),
        Column::number("the first «yes», filled", "%"),
    ]);
    // ANCHOR: turns
    let send = drain(&mut sender, &mut receiver, |sender| takes(sender, b"d"))?;
    let poll = drain(&mut sender, &mut receiver, |sender| {
        is_writable(sender, PollTimeout::ZERO)
    })?;
    // ANCHOR_END: turns
    for (name, turn) in [
        ("`send()` takes a byte", send),
        ("`poll()` says writable", poll),
    ] {
        let [no, yes] = [turn.last_no, turn.first_yes].map(|it| 100.0 * it as f64 / buffer as f64);
        println!(
            "  {:21}  not yet with {no:5.1} % of it filled, but with {yes:4.1} %",
            name.replace('`', "")
        );
        table = table.row([name.to_owned(), format!("{no:.1}"), format!("{yes:.1}")]);
    }
    println!();
    record.add("writable", table);
    drop((sender, receiver));
    let _ = lab.finish()?;
    Ok(())
}

// ANCHOR: drain
/// Lets the other end read bit by bit until the answer is «yes».
fn drain(
    sender: &mut TcpStream,
    receiver: &mut TcpStream,
    mut ask: impl FnMut(&mut TcpStream) -> io::Result<bool>,
) -> Result<Turn> {
    let mut last_no = None;
    let at_latest = Instant::now() + DEADLINE;
    while Instant::now() < at_latest {
        receiver.read_exact(&mut [0; PIECE])?;
        let settled = Instant::now() + SETTLED;
        while Instant::now() < settled {
            let before = memory(sender)?.queued;
            let answer = ask(sender)?;
            let after = memory(sender)?.queued;
            match (answer, last_no) {
                (true, Some(last_no)) => {
                    return Ok(Turn {
                        last_no,
                        first_yes: before.min(after),
                    });
                }
                // If acknowledgements came meanwhile, the answer may be to either.
                (false, _) if before == after => last_no = Some(before),
                _ => {}
            }
        }
    }
    Err("the answer does not change in time".into())
}
// ANCHOR_END: drain

/// Whether `send()` takes any of these bytes.
fn takes(sender: &mut TcpStream, bytes: &[u8]) -> io::Result<bool> {
    match sender.write(bytes) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}
