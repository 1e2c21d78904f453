//! Flow control: what becomes of data that no one reads.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use record::{Axis, Line, Series};
use socket2::{Domain, SockRef, Socket, Type};

use crate::{ANY_PORT, DEADLINE, wait_until};

/// How often the sender sends: so often that a byte can number the messages.
pub const SENDS: usize = 200;

/// How many bytes it sends each time.
pub const SEND_LEN: usize = 1000;

/// How much room the sockets ask for, in bytes; Linux gives twice that, for its own bookkeeping.
/// Small, so that it is soon full: by default it is some megabytes for TCP, 208 KiB for UDP.
const ROOM: usize = 8 * 1024;

/// How long nothing must come before the receiver looks around.
const QUIET: Duration = Duration::from_millis(200);

/// Whether the kernel tells how many messages it has dropped.
const COUNTS_DROPS: bool = cfg!(target_os = "linux");

/// What was seen.
pub struct Flow {
    /// Bytes by number of sends.
    pub series: Series,
    /// What became of the sends, in words.
    pub tcp: String,
    /// The same for UDP.
    pub udp: String,
    /// The name of the algorithm that guards the network from a TCP sender.
    pub tcp_congestion: String,
    /// The same for UDP.
    pub udp_congestion: String,
}

/// Sends over both to a receiver that does not read, then lets it read.
pub fn no_one_reads() -> io::Result<Flow> {
    let (tcp_accepted, tcp, tcp_congestion) = over_tcp()?;
    println!();
    let (udp_accepted, udp_kept, udp, udp_congestion) = over_udp()?;

    println!("\n6. Congestion control\n");
    println!(
        "TCP  has it: the algorithm here is {tcp_congestion}. Chapter 5 measures what it does."
    );
    println!("UDP  has {udp_congestion}: it sends as fast as the program does.");

    let line = |name: &str, bytes: Vec<usize>| Line {
        name: name.to_owned(),
        points: (1..)
            .zip(bytes)
            .map(|(x, y)| (f64::from(x), y as f64))
            .collect(),
    };
    Ok(Flow {
        series: Series {
            x: Axis::new("sends", ""),
            y: Axis::new("in all", "bytes"),
            lines: vec![
                line("`TCP`: accepted, and later read", tcp_accepted),
                line("`UDP`: accepted", udp_accepted),
                line("`UDP`: later read", udp_kept),
            ],
        },
        tcp,
        udp,
        tcp_congestion: format!("`{tcp_congestion}`"),
        udp_congestion,
    })
}

/// A number with a comma between thousands; below a million.
fn grouped(number: usize) -> String {
    match number / 1000 {
        0 => number.to_string(),
        thousands => format!("{thousands},{:03}", number % 1000),
    }
}

/// The byte at a place of the TCP stream, so that one missing or out of order would be noticed.
fn byte_at(place: usize) -> u8 {
    (place % 251) as u8
}

/// How many bytes had been accepted after each send, what became of them, and the name of the
/// connection's congestion control.
fn over_tcp() -> io::Result<(Vec<usize>, String, String)> {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    listener.set_recv_buffer_size(ROOM)?; // its connections inherit it
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    listener.listen(1)?;
    let listener = TcpListener::from(listener);
    let mut sender = TcpStream::connect(listener.local_addr()?)?;
    SockRef::from(&sender).set_send_buffer_size(ROOM)?;
    let (mut receiver, _) = listener.accept()?;
    receiver.set_read_timeout(Some(DEADLINE))?;
    sender.set_write_timeout(Some(DEADLINE))?;

    let stream: Vec<u8> = (0..SENDS * SEND_LEN).map(byte_at).collect();
    // ANCHOR: tcp-blocks
    let (mut accepted, mut after_each, mut refused) = (0, Vec::new(), 0);
    sender.set_nonblocking(true)?; // not to wait, but to be told that one would have to
    for _ in 0..SENDS {
        match sender.write(&stream[accepted..][..SEND_LEN]) {
            Ok(length) => accepted += length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => refused += 1,
            Err(error) => return Err(error),
        }
        after_each.push(accepted);
    }
    println!(
        "TCP  {} bytes accepted, then {refused} sends told to wait (WouldBlock)",
        grouped(accepted)
    );
    // ANCHOR_END: tcp-blocks

    // ANCHOR: tcp-keeps
    sender.set_nonblocking(false)?;
    let mut read = Vec::new();
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            sender.write_all(&stream[accepted..])?; // now it waits until there is room
            sender.shutdown(Shutdown::Write)
        });
        receiver.read_to_end(&mut read)?;
        sending
            .join()
            .map_err(|_| io::Error::other("the sender panicked"))?
    })?;
    // ANCHOR_END: tcp-keeps
    if read != stream {
        return Err(io::Error::other("what was read is not what was sent"));
    }
    println!(
        "     when the receiver reads, the sender goes on: {} of {} bytes, in their order,",
        grouped(read.len()),
        grouped(stream.len())
    );
    println!("     none lost");
    let outcome = "the sender waits, nothing is lost".to_owned();
    let congestion = congestion_control(SockRef::from(&sender))
        .ok_or_else(|| io::Error::other("a TCP without congestion control"))?;
    Ok((after_each, outcome, congestion))
}

/// The name of a socket's congestion control; nothing where the kernel knows none for it.
#[cfg(target_os = "linux")]
fn congestion_control(socket: SockRef<'_>) -> Option<String> {
    let name = socket.tcp_congestion().ok()?;
    let name = name.split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(name).into_owned())
}

/// Elsewhere it has no name that every system would tell.
#[cfg(not(target_os = "linux"))]
fn congestion_control(socket: SockRef<'_>) -> Option<String> {
    let of_tcp = socket.r#type().ok()? == Type::STREAM;
    of_tcp.then(|| "the system's".to_owned())
}

/// How many bytes had been accepted after each send, how many of those were there to be read, what
/// that means, and the name of the sender's congestion control, which is «none».
fn over_udp() -> io::Result<(Vec<usize>, Vec<usize>, String, String)> {
    let receiver = UdpSocket::bind(ANY_PORT)?;
    SockRef::from(&receiver).set_recv_buffer_size(ROOM)?;
    let sender = UdpSocket::bind(ANY_PORT)?;
    sender.connect(receiver.local_addr()?)?;

    // ANCHOR: udp-drops
    let mut accepted = Vec::new();
    for number in 0..SENDS {
        let mut message = [0; SEND_LEN];
        message[0] = number as u8;
        let length = sender.send(&message)?; // no error, no wait
        accepted.push(accepted.last().unwrap_or(&0) + length);
    }
    println!(
        "UDP  {} of {SENDS} sends accepted, without an error or a wait",
        accepted.len()
    );
    // ANCHOR_END: udp-drops

    let arrived = read_all(&receiver)?;
    let lost = SENDS - arrived.iter().filter(|arrived| **arrived).count();
    println!(
        "     the receiver finds {} messages kept and {lost} lost",
        SENDS - lost
    );
    if let Some(dropped) = dropped(&receiver)? {
        println!("     the receiver's kernel counts {dropped} dropped; the sender is told nothing");
    }
    let kept = arrived.iter().scan(0, |kept, arrived| {
        *kept += if *arrived { SEND_LEN } else { 0 };
        Some(*kept)
    });
    let outcome = format!("`{lost}` of `{SENDS}` messages are lost, no one is told");
    let congestion = congestion_control(SockRef::from(&sender));
    let congestion = congestion.unwrap_or_else(|| "none".to_owned());
    Ok((accepted, kept.collect(), outcome, congestion))
}

// ANCHOR: udp-reads
/// Which of the numbered messages can be read. The last has been, when those that were read and
/// those that the kernel dropped are all that were sent.
fn read_all(receiver: &UdpSocket) -> io::Result<Vec<bool>> {
    let mut arrived = vec![false; SENDS];
    let mut message = [0; SEND_LEN];
    receiver.set_read_timeout(Some(QUIET))?;
    wait_until("every message is read or dropped", || {
        match receiver.recv(&mut message) {
            Ok(_) => arrived[usize::from(message[0])] = true,
            // Where the kernel does not count what it drops, quiet must do.
            Err(error) if error.kind() == ErrorKind::WouldBlock && !COUNTS_DROPS => {
                return Ok(true);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        let read = arrived.iter().filter(|arrived| **arrived).count();
        Ok(dropped(receiver)?.is_some_and(|dropped| read + dropped == SENDS))
    })?;
    Ok(arrived)
}
// ANCHOR_END: udp-reads

/// How many messages to this socket the kernel has dropped, where it tells: the last column of
/// Linux's table of UDP sockets.
fn dropped(socket: &UdpSocket) -> io::Result<Option<usize>> {
    if !COUNTS_DROPS {
        return Ok(None);
    }
    let table = std::fs::read_to_string("/proc/thread-self/net/udp")?;
    let port = format!(":{:04X}", socket.local_addr()?.port());
    let line = table.lines().find(|line| {
        line.split_whitespace()
            .nth(1)
            .is_some_and(|local| local.ends_with(&port))
    });
    Ok(line.and_then(|line| line.split_whitespace().last()?.parse().ok()))
}
