//! The third scene: what a program can learn of its buffer without reading.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use exec_receive_buffer::{
    Result, grouped, is_readable, memory, set_deadline, set_receive_low_water, unread, wait_until,
};
use lab::{Lab, Link};

/// How many bytes make the server's program worth waking.
const LOW_WATER: usize = 4096;

pub fn show() -> Result<()> {
    let (lab, client, server) = Lab::pair(Link::new())?;
    let listener = server.run(|| TcpListener::bind((server.v4(), 80)))?;
    let mut sender = client.run(|| TcpStream::connect((server.v4(), 80)))?;
    let (mut receiver, _) = listener.accept()?;
    for end in [&sender, &receiver] {
        set_deadline(end)?;
    }
    let arrived = |receiver: &TcpStream, bytes| {
        wait_until("the bytes have arrived", || Ok(unread(receiver)? == bytes))
    };

    // ANCHOR: peek
    sender.write_all(&[b'b'; 10_000])?;
    arrived(&receiver, 10_000)?;
    let mut head = [0; 4];
    let memory = memory(&receiver)?;
    let peeked = receiver.peek(&mut head)?; // recv() with MSG_PEEK
    let after_peek = unread(&receiver)?;
    let read = receiver.read(&mut head)?;
    let after_read = unread(&receiver)?;
    // ANCHOR_END: peek
    println!("10,000 bytes have arrived:");
    println!("  {memory}");
    println!(
        "  MSG_PEEK gives {peeked}, and FIONREAD still says {} bytes",
        grouped(after_peek)
    );
    println!(
        "  read() gives {read}, and FIONREAD says {} bytes",
        grouped(after_read)
    );

    receiver.read_exact(&mut vec![0; after_read])?;
    // ANCHOR: low-water
    set_receive_low_water(&receiver, LOW_WATER as i32)?;
    sender.write_all(&[b'b'; LOW_WATER - 1])?;
    arrived(&receiver, LOW_WATER - 1)?;
    let before = is_readable(&receiver)?;
    sender.write_all(b"b")?;
    arrived(&receiver, LOW_WATER)?;
    let then = is_readable(&receiver)?;
    // ANCHOR_END: low-water
    let word = |readable| if readable { "readable" } else { "not readable" };
    println!("SO_RCVLOWAT at {} bytes:", grouped(LOW_WATER));
    println!(
        "  poll() says {} at {} bytes, and {} at {}\n",
        word(before),
        grouped(LOW_WATER - 1),
        word(then),
        grouped(LOW_WATER)
    );
    drop((sender, receiver));
    let _ = lab.finish()?;
    Ok(())
}
