//! What clients find out, on loopback, where nothing gets lost.

use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{MSG_PEEK, MSG_TRUNC};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};
use record::{Column, Record, Table};
use socket2::{MaybeUninitSlice, SockRef};

use crate::server;

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// How long to wait for a datagram that must come.
const DEADLINE: Duration = Duration::from_secs(5);

/// The longest data that the 16-bit lengths of IPv4 leave: 65,535 − 20 − 8 bytes.
const LONGEST_V4: usize = 65_507;

/// In IPv6 the header does not count: 65,535 − 8 bytes.
const LONGEST_V6: usize = 65_527;

pub fn tell() -> io::Result<()> {
    let mut record = Record::new();
    println!("1. One send, one datagram, one read\n");
    whole()?;
    println!("\n2. A buffer that is too small\n");
    cut()?;
    println!("\n3. The longest datagram\n");
    longest()?;
    println!("\n4. connect(): whom a socket hears\n");
    heard()?;
    println!("\n5. Nobody there: which call says so?\n");
    record.add("refusals", refused()?);
    record.save()
}

/// A client's socket, on a port of the kernel's choice.
fn client() -> io::Result<UdpSocket> {
    let socket = server::open((HERE, 0).into())?;
    socket.set_read_timeout(Some(DEADLINE))?;
    Ok(socket)
}

fn whole() -> io::Result<()> {
    // ANCHOR: whole
    let server = server::open((HERE, 0).into())?;
    let client = client()?;
    for text in ["first", "", "and third"] {
        client.send_to(text.as_bytes(), server.local_addr()?)?;
    }
    let mut buffer = [0; 100];
    for _ in 0..3 {
        server::echo(&server, &mut buffer)?;
    }
    for _ in 0..3 {
        let (length, _) = client.recv_from(&mut buffer)?;
        let text = String::from_utf8_lossy(&buffer[..length]);
        println!("{length:>2} bytes back: «{text}»");
    }
    // ANCHOR_END: whole
    println!("\nThe second has none, and is a datagram all the same. It is no end of anything.");
    Ok(())
}

fn cut() -> io::Result<()> {
    let server = server::open((HERE, 0).into())?;
    let client = client()?;
    // ANCHOR: cut
    client.send_to(b"ten bytes.", server.local_addr()?)?;
    client.send_to(b"next", server.local_addr()?)?;
    client.send_to(b"ten bytes.", server.local_addr()?)?;
    let socket = SockRef::from(&server);
    for size in [5, 5] {
        let mut buffer = vec![MaybeUninit::uninit(); size];
        let mut slices = [MaybeUninitSlice::new(&mut buffer)];
        let (length, flags, _) = socket.recv_from_vectored(&mut slices)?;
        let cut = if flags.is_truncated() {
            "MSG_TRUNC"
        } else {
            "–"
        };
        println!("room for {size}: {length} bytes, flags {cut}");
    }
    // How long is the next one? Look, and leave it where it is.
    let mut buffer = [MaybeUninit::uninit(); 5];
    let length = socket.recv_with_flags(&mut buffer, MSG_TRUNC | MSG_PEEK)?;
    println!("asked first: the next one has {length} bytes");
    // ANCHOR_END: cut
    println!("\nWhat found no room in the first read is gone: the second gives the next datagram.");
    Ok(())
}

fn longest() -> io::Result<()> {
    let places: [(SocketAddr, usize); 2] = [
        ((HERE, 0).into(), LONGEST_V4),
        ((Ipv6Addr::LOCALHOST, 0).into(), LONGEST_V6),
    ];
    for (place, longest) in places {
        let version = if place.is_ipv4() { "IPv4" } else { "IPv6" };
        let server = match server::open(place) {
            Ok(server) => server,
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
                println!("{version}: this machine has none");
                continue;
            }
            Err(error) => return Err(error),
        };
        server.set_read_timeout(Some(DEADLINE))?;
        let client = server::open(place)?;
        let mut buffer = vec![0; longest + 1];
        client.send_to(&vec![7; longest], server.local_addr()?)?;
        let (length, _) = server.recv_from(&mut buffer)?;
        println!("{version}: {length} bytes arrive");
        let one_more = client.send_to(&buffer, server.local_addr()?);
        println!("{version}: {} bytes: {}", longest + 1, outcome(&one_more));
    }
    Ok(())
}

fn heard() -> io::Result<()> {
    let mut buffer = [0; 100];
    // ANCHOR: heard
    let server = server::open((HERE, 0).into())?;
    let client = client()?;
    let stranger = server::open((HERE, 0).into())?;
    let to_client = client.local_addr()?;

    stranger.send_to(b"from a stranger", to_client)?;
    let (length, _) = client.recv_from(&mut buffer)?;
    println!(
        "unconnected, it reads «{}»",
        String::from_utf8_lossy(&buffer[..length])
    );

    client.connect(server.local_addr()?)?;
    stranger.send_to(b"from a stranger", to_client)?;
    server.send_to(b"from the server", to_client)?;
    let length = client.recv(&mut buffer)?;
    println!(
        "connected, it reads   «{}»",
        String::from_utf8_lossy(&buffer[..length])
    );
    // ANCHOR_END: heard
    client.set_nonblocking(true)?;
    let more = client.recv(&mut buffer);
    println!("and then: {}", outcome(&more));

    // ANCHOR: stranger
    stranger.connect(to_client)?;
    stranger.send(b"from a stranger")?;
    until_told(&stranger)?;
    let told = stranger.send(b"from a stranger");
    // ANCHOR_END: stranger
    println!("the stranger is told: {}", outcome(&told));
    Ok(())
}

// ANCHOR: refused
fn refused() -> io::Result<Table> {
    let mut rows = Vec::new();
    for kind in ["connected", "not connected", "not connected, `IP_RECVERR`"] {
        let server = server::open((HERE, 0).into())?;
        let nobody = server.local_addr()?;
        drop(server); // so that nobody has this port
        let client = client()?;
        client.set_nonblocking(true)?;
        match kind {
            "connected" => client.connect(nobody)?,
            "not connected" => {}
            _ => setsockopt(&client, sockopt::Ipv4RecvErr, &true)?,
        }
        let send = || {
            let sent = match kind {
                "connected" => client.send(b"anybody there?"),
                _ => client.send_to(b"anybody there?", nobody),
            };
            if sent.is_ok() && kind != "not connected" {
                until_told(&client)?;
            }
            sent
        };
        let calls = [send(), send(), send(), client.recv(&mut [0; 100])];
        rows.push((kind, calls.map(|call| outcome(&call))));
    }
    // ANCHOR_END: refused

    let heads = ["first send", "second send", "third send", "recv"];
    let mut table = Table::new(["socket"].into_iter().chain(heads).map(Column::words));
    let line = |first: &str, [a, b, c, d]: [&str; 4]| {
        println!("{first:<25}  {a:<12}  {b:<12}  {c:<12}  {d}");
    };
    line("socket", heads);
    for (kind, calls) in rows {
        line(&kind.replace('`', ""), calls.each_ref().map(String::as_str));
        let cell = |call: String| match call.as_str() {
            WORKS => call,
            error => format!("`{error}`"), // the same in every language
        };
        let calls = calls.map(cell);
        table = table.row([kind.to_owned()].into_iter().chain(calls));
    }
    println!("\nThe refusal belongs to the send before. Whoever is told of it is told once.");
    Ok(table)
}

// ANCHOR: until-told
/// Waits until the answer that nobody is there has come: poll(2) tells of errors unasked.
fn until_told(socket: &UdpSocket) -> io::Result<()> {
    let timeout = PollTimeout::try_from(DEADLINE).map_err(io::Error::other)?;
    match poll(
        &mut [PollFd::new(socket.as_fd(), PollFlags::empty())],
        timeout,
    )? {
        0 => Err(io::Error::other("no refusal came")),
        _ => Ok(()),
    }
}
// ANCHOR_END: until-told

/// What is said of a call that did what it should.
const WORKS: &str = "works";

/// What a call gave, in a word.
fn outcome(result: &io::Result<usize>) -> String {
    match result {
        Ok(_) => WORKS.to_owned(),
        Err(error) => match error.raw_os_error() {
            Some(number) => format!("{:?}", Errno::from_raw(number)),
            None => error.to_string(),
        },
    }
}
