//! The second scene: nobody reads. How many bytes fit, who waits and who loses.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use exec_receive_buffer::{
    Memory, Result, Row, grouped, memory, ms, set_deadline, table, unread, unsent, wait_until,
};
use lab::{Host, Lab, Link, tcp_info};
use record::Record;
use socket2::{Domain, SockRef, Socket, Type};

/// What the server asks for, and half of what it gets.
const RECEIVE_BUFFER: usize = 65_536;

/// What the client hands over with one `send()`: as much as a packet carries of either protocol
/// (1,500 bytes less 52 of TCP's headers, or 28 of UDP's), and a short message.
const TCP_LARGE: usize = 1448;
const UDP_LARGE: usize = 1472;
const SMALL: usize = 100;

/// How many datagrams are sent: more than fit.
const DATAGRAMS: usize = 400;

/// How long the server's program lets the client wait.
const PAUSE: Duration = Duration::from_millis(100);

/// A receive buffer that was filled, and what else there is to tell.
struct Full {
    /// Bytes of data that wait in the server's kernel, and of those that wait in the client's.
    unread: usize,
    unsent: usize,
    memory: Memory,
    /// Segments that the server's kernel has merged with others, to save memory.
    merged: i64,
    /// Datagrams that it has dropped.
    dropped: i64,
    /// How long a `send()` took that found no room.
    waited: Duration,
}

pub fn show(record: &mut Record) -> Result<()> {
    println!(
        "A server that does not read, with a receive buffer of {} bytes:",
        grouped(2 * RECEIVE_BUFFER)
    );
    let mut all = Vec::new();
    for size in [TCP_LARGE, SMALL] {
        let full = tcp(size)?;
        full.tell(&format!("TCP, {size} bytes a segment"));
        println!("    and {} in the client's kernel", grouped(full.unsent));
        println!(
            "    one message more: send() takes {:.0} ms, until the server reads",
            ms(full.waited)
        );
        all.push((format!("TCP, `{size}` bytes"), full));
    }
    for size in [UDP_LARGE, SMALL] {
        let full = udp(size)?;
        full.tell(&format!("UDP, {size} bytes a datagram"));
        println!(
            "    send() takes all {DATAGRAMS} datagrams at once; {} of them are dropped",
            full.dropped
        );
        all.push((format!("UDP, `{size}` bytes"), full));
    }
    println!();
    record.add("full", table("each segment or datagram", &all, &ROWS));
    Ok(())
}

impl Full {
    fn tell(&self, what: &str) {
        println!(
            "  {what}:\n    {} bytes of data in {} bytes of memory",
            grouped(self.unread),
            grouped(self.memory.received)
        );
    }
}

const ROWS: [Row<Full>; 5] = [
    ("data held, bytes", |it| it.unread.to_string()),
    ("memory booked, bytes", |it| it.memory.received.to_string()),
    ("data ÷ memory, %", |it| {
        format!(
            "{:.0}",
            100.0 * it.unread as f64 / it.memory.received as f64
        )
    }),
    ("segments merged", |it| it.merged.to_string()),
    ("datagrams dropped", |it| it.dropped.to_string()),
];

fn tcp(size: usize) -> Result<Full> {
    let (lab, client, server) = Lab::pair(Link::new())?;
    // As long as the window allows, each message is to be a segment of its own.
    client.sysctl("net.ipv4.tcp_autocorking", 0)?;
    let (mut sender, mut receiver) = connect(&client, &server)?;
    sender.set_nodelay(true)?;

    // ANCHOR: tcp
    let message = vec![b'm'; size];
    let taken = fill(&mut sender, &message)?; // and nobody reads
    let mut full = Full {
        unread: unread(&receiver)?,
        unsent: unsent(&sender)?,
        memory: memory(&receiver)?,
        merged: server.counters()["TcpExtTCPRcvCollapsed"],
        dropped: 0,
        waited: Duration::ZERO,
    };

    let (calls, called) = mpsc::channel();
    let writing = thread::spawn(move || {
        sender.set_nonblocking(false)?;
        let start = Instant::now();
        let _ = calls.send(());
        sender.write_all(&message).map(|()| start.elapsed())
    });
    called.recv()?;
    thread::sleep(PAUSE);
    let mut all = Vec::new();
    receiver.read_to_end(&mut all)?;
    full.waited = writing.join().expect("the writer does not panic")?;
    // ANCHOR_END: tcp

    if all.len() != taken + size {
        return Err(format!("{} of {} bytes arrived", all.len(), taken + size).into());
    }
    drop(receiver);
    let _ = lab.finish()?;
    Ok(full)
}

/// A connection to a server with a small receive buffer.
fn connect(client: &Host, server: &Host) -> Result<(TcpStream, TcpStream)> {
    let address = SocketAddr::from((server.v4(), 80));
    let listener = server.run(|| Socket::new(Domain::IPV4, Type::STREAM, None))?;
    listener.set_recv_buffer_size(RECEIVE_BUFFER)?;
    listener.bind(&address.into())?;
    listener.listen(1)?;
    let sender = client.run(|| TcpStream::connect(address))?;
    let (receiver, _) = TcpListener::from(listener).accept()?;
    for end in [&sender, &receiver] {
        set_deadline(end)?;
    }
    Ok((sender, receiver))
}

// ANCHOR: fill
/// Writes message after message until both buffers are full, and says how many bytes that took.
fn fill(sender: &mut TcpStream, message: &[u8]) -> Result<usize> {
    sender.set_nonblocking(true)?;
    let mut taken = 0;
    wait_until("the window is closed and the send buffer full", || {
        // By the answer to a probe, too: merging segments may have made room once more.
        let info = tcp_info(sender)?;
        let closed = info.snd_wnd == 0 && info.backoff > 0 && info.probes == 0;
        // Unless the one before is sent, a message may share a segment with it.
        while closed || unsent(sender)? == 0 {
            match sender.write(message) {
                Ok(bytes) => taken += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(closed),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    })?;
    Ok(taken)
}
// ANCHOR_END: fill

fn udp(size: usize) -> Result<Full> {
    let (lab, client, server) = Lab::pair(Link::new())?;
    let address = SocketAddr::from((server.v4(), 53));
    let receiver = server.run(|| UdpSocket::bind(address))?;
    SockRef::from(&receiver).set_recv_buffer_size(RECEIVE_BUFFER)?;
    let sender = client.run(|| UdpSocket::bind((client.v4(), 0)))?;
    sender.connect(address)?;

    // ANCHOR: udp
    let message = vec![b'm'; size];
    for _ in 0..DATAGRAMS {
        sender.send(&message)?; // never fails for want of room at the receiver
    }
    wait_until("all datagrams have come to the server", || {
        Ok(server.counters()["IpInDelivers"] >= DATAGRAMS as i64)
    })?;
    let memory = memory(&receiver)?;
    let dropped = server.counters()["UdpRcvbufErrors"];

    receiver.set_nonblocking(true)?;
    let mut unread = 0;
    while let Ok(length) = receiver.recv(&mut [0; 1500]) {
        unread += length;
    }
    // ANCHOR_END: udp

    drop((sender, receiver));
    let _ = lab.finish()?;
    Ok(Full {
        unread,
        unsent: 0,
        memory,
        merged: 0,
        dropped,
        waited: Duration::ZERO,
    })
}
