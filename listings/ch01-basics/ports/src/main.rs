//! One address, many services: what ports do, who chooses them, and how one is refused.
//!
//! ```text
//! cargo run -p basics-ports
//! ```
//!
//! Look for two connections from the *same* port of the client that are different connections all the
//! same, for the ports that the kernel picks by itself, and for the error of each attempt that fails:
//! those are the names that you will meet in your logs.
//!
//! The program gives up the right to privileged ports before it tries one, so that root sees what
//! everyone sees.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use record::{Column, Event, Fate, Record, Sequence, Table, What};
use socket2::{Domain, Socket, Type};

const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// How many clients ask the kernel for a port. Each takes two descriptors, of which 256 are the
/// least that a system gives a program.
const CLIENTS: usize = 50;

/// HTTP's port, below 1024 as all that are well known.
const PRIVILEGED_PORT: u16 = 80;

/// An address for examples (RFC 5737), which no machine has.
const NOT_OURS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

fn main() -> ExitCode {
    if env::args().len() > 1 {
        eprintln!("usage: basics-ports (it takes no arguments)");
        return ExitCode::from(2);
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("basics-ports: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    let mut record = Record::new();
    println!("1. Two services on one address\n");
    record.add("demultiplexing", two_services()?);
    println!("\n2. Ports that the kernel chooses\n");
    chosen_by_the_kernel()?;
    println!("\n3. Attempts at a port\n");
    record.add("errors", attempts()?);
    record.save()
}

// ANCHOR: service
/// A program that waits on a port; what it answers says who it is and who asked.
struct Service {
    name: &'static str,
    listener: TcpListener,
}

impl Service {
    fn start(name: &'static str) -> io::Result<Self> {
        // Port 0: the kernel chooses one that is free.
        let listener = TcpListener::bind((LOCALHOST, 0))?;
        Ok(Self { name, listener })
    }

    fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts one client and reads what it says.
    fn hear(&self) -> io::Result<(TcpStream, String)> {
        let (stream, _) = self.listener.accept()?;
        let line = read_line(&stream)?;
        Ok((stream, line))
    }

    fn answer(&self, mut stream: &TcpStream) -> io::Result<()> {
        let client = stream.peer_addr()?;
        stream.write_all(format!("{}: hello, {client}\n", self.name).as_bytes())
    }
}
// ANCHOR_END: service

fn read_line(stream: &TcpStream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

// ANCHOR: connect-from
/// A connection whose own port is `port`, where 0 leaves it to the kernel.
fn connect_from(port: u16, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // Two sockets on one port: allowed, as long as both say so and no other listens there.
    socket.set_reuse_address(true)?;
    #[cfg(all(unix, not(target_os = "linux")))]
    socket.set_reuse_port(true)?;
    socket.bind(&SocketAddr::from((LOCALHOST, port)).into())?;
    socket.connect(&to.into())?;
    Ok(socket.into())
}
// ANCHOR_END: connect-from

/// Three connections to two services, the third from the same port as the first.
fn two_services() -> io::Result<Sequence> {
    let [orders, photos] = [Service::start("orders")?, Service::start("photos")?];
    for service in [&orders, &photos] {
        println!("{} listens on {}", service.name, service.address()?);
    }
    println!();

    let start = Instant::now();
    let mut told = Vec::new();
    let mut turn = |socket: &TcpStream, service: &Service| -> io::Result<TcpStream> {
        let mut socket = socket;
        let asked_us = start.elapsed().as_micros() as u64;
        socket.write_all(b"who is there?\n")?;
        let (stream, line) = service.hear()?;
        let heard_us = start.elapsed().as_micros() as u64;
        service.answer(&stream)?;
        let answer = read_line(socket)?;
        let read_us = start.elapsed().as_micros() as u64;
        let client = socket.local_addr()?;
        println!("{client} -> {}  {line}", service.address()?);
        println!("{client} <- {}  {answer}", service.address()?);
        told.push((
            client,
            service.address()?,
            line,
            answer,
            [asked_us, heard_us, read_us],
        ));
        Ok(stream)
    };

    // ANCHOR: four-tuple
    let first = connect_from(0, orders.address()?)?;
    let second = connect_from(0, orders.address()?)?;
    let port = first.local_addr()?.port();
    let third = connect_from(port, photos.address()?)?; // the first one's port once more
    let kept = [
        turn(&first, &orders)?,
        turn(&second, &orders)?,
        turn(&third, &photos)?,
    ];
    // ANCHOR_END: four-tuple
    println!(
        "\nThe first and the third both come from port {port}. The kernel tells them apart by all"
    );
    println!("four: both addresses and both ports. Hence 65,535 is no limit on connections.");
    drop(kept);

    let mut sequence = Sequence::new();
    for (number, (client, ..)) in told.iter().enumerate() {
        let name = ["first socket", "second socket", "third socket"][number];
        sequence.host(name, Some(&format!("`{client}`")));
    }
    for service in [&orders, &photos] {
        sequence.host(
            format!("service `{}`", service.name),
            Some(&format!("`{}`", service.address()?)),
        );
    }
    let orders_at = orders.address()?;
    for (from, (_, service, line, answer, [asked, heard, read])) in told.into_iter().enumerate() {
        let to = if service == orders_at { 3 } else { 4 };
        let mut message = |at_us, from, to, label: String, arrived_us| {
            let what = What::Message {
                from,
                to,
                label: format!("`{label}`"),
                note: None,
                arrived_us: Some(arrived_us),
                fate: Fate::Arrived,
            };
            sequence.events.push(Event { at_us, what });
        };
        message(asked, from, to, line, heard);
        message(heard, to, from, answer, read);
    }
    Ok(sequence)
}

/// The range from which Linux takes a client's port; elsewhere RFC 6335's.
fn ephemeral_range() -> io::Result<RangeInclusive<u16>> {
    if !cfg!(target_os = "linux") {
        return Ok(49152..=65535);
    }
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")?;
    let numbers: Vec<u16> = text
        .split_whitespace()
        .filter_map(|number| number.parse().ok())
        .collect();
    match numbers[..] {
        [first, last] => Ok(first..=last),
        _ => Err(io::Error::other(format!("no range of ports: {text}"))),
    }
}

/// The ports that many clients are given.
fn chosen_by_the_kernel() -> io::Result<()> {
    let range = ephemeral_range()?;
    // ANCHOR: ephemeral
    let service = Service::start("orders")?;
    let mut clients = Vec::new();
    let mut ports = BTreeSet::new();
    for _ in 0..CLIENTS {
        let client = TcpStream::connect(service.address()?)?;
        ports.insert(client.local_addr()?.port());
        // Accepted at once: a backlog may be shorter than the row of clients.
        clients.push((client, service.listener.accept()?));
    }
    // ANCHOR_END: ephemeral
    let within = ports.iter().filter(|port| range.contains(port)).count();
    println!(
        "a client may get      port {} to port {} (net.ipv4.ip_local_port_range)",
        range.start(),
        range.end()
    );
    println!(
        "{CLIENTS} clients at once    {} different ports, {within} of them in that range",
        ports.len()
    );
    if let (Some(lowest), Some(highest)) = (ports.first(), ports.last()) {
        println!("lowest and highest    port {lowest} and port {highest}");
    }
    Ok(())
}

/// The C name of an error, such as `EADDRINUSE`.
fn errno(error: &io::Error) -> Option<String> {
    let number = error.raw_os_error()?;
    #[cfg(unix)]
    let name = format!("{:?}", nix::errno::Errno::from_raw(number));
    #[cfg(not(unix))]
    let name = number.to_string();
    Some(name)
}

/// How an attempt went, for people and for the figure.
struct Attempts(Table);

impl Attempts {
    /// Notes an attempt; `what` in words with verbatim parts between backticks.
    fn note<T>(&mut self, what: &str, outcome: io::Result<T>, meaning: &str) {
        let (kind, errno) = match outcome {
            Ok(_) => ("works".to_owned(), "–".to_owned()),
            Err(error) => (
                format!("`{:?}`", error.kind()),
                errno(&error).map_or("–".to_owned(), |errno| format!("`{errno}`")),
            ),
        };
        let plain = |text: &str| text.replace('`', "");
        println!("{:44} {:14} {}", plain(what), plain(&errno), plain(&kind));
        println!("    {}", plain(meaning));
        let row = [what.to_owned(), errno, kind, meaning.to_owned()];
        self.0 = self.0.clone().row(row);
    }
}

/// Everything that one can try with a port that is in use, or is not for everyone.
fn attempts() -> io::Result<Table> {
    let mut attempts = Attempts(Table::new([
        Column::words("attempt"),
        Column::words("errno"),
        Column::words("in Rust"),
        Column::words("why"),
    ]));

    // ANCHOR: in-use
    let taken = TcpListener::bind((LOCALHOST, 0))?;
    let address = taken.local_addr()?;
    let port = address.port();
    attempts.note(
        "a second listener on the same port",
        TcpListener::bind(address),
        "one listener for one address and port",
    );
    attempts.note(
        "the same port, on `127.0.0.2`",
        TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), port)),
        "another address has ports of its own",
    );
    attempts.note(
        "the same port, on all addresses (`0.0.0.0`)",
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)),
        "all addresses include the one in use",
    );
    attempts.note(
        "the same number as a UDP port",
        UdpSocket::bind(address),
        "TCP and UDP have ports of their own",
    );
    // ANCHOR_END: in-use

    // ANCHOR: same-connection
    let first = connect_from(0, address)?;
    attempts.note(
        "a second connection between the same ports",
        connect_from(first.local_addr()?.port(), address),
        "the four numbers are a connection's name",
    );
    // ANCHOR_END: same-connection

    // ANCHOR: other-errors
    attempts.note(
        "a listener on an address of another machine",
        TcpListener::bind((NOT_OURS, 0)),
        "no interface here has that address",
    );
    // Bound, so that no one else comes to listen there, but without a listen() of its own.
    let closed = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    closed.bind(&SocketAddr::from((LOCALHOST, 0)).into())?;
    let client = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    attempts.note(
        "a connection to a port without a listener",
        client.connect(&closed.local_addr()?),
        "the kernel there says no, at once",
    );
    // ANCHOR_END: other-errors

    let (outcome, meaning) = privileged()?;
    attempts.note(
        &format!("port `{PRIVILEGED_PORT}`, without the right to it"),
        outcome,
        &meaning,
    );
    Ok(attempts.0)
}

// ANCHOR: privileged
/// Tries HTTP's port on a thread that has given up the right to it, and says what that shows.
fn privileged() -> io::Result<(io::Result<()>, String)> {
    let attempt = thread::spawn(|| -> io::Result<io::Result<()>> {
        give_up_the_right()?;
        Ok(TcpListener::bind((LOCALHOST, PRIVILEGED_PORT)).map(drop))
    });
    let outcome = attempt
        .join()
        .map_err(|_| io::Error::other("the attempt panicked"))??;
    let first_free = first_unprivileged_port()?;
    let meaning = if PRIVILEGED_PORT < first_free {
        format!("below `{first_free}`, `CAP_NET_BIND_SERVICE` is needed")
    } else {
        format!("on this machine all ports from `{first_free}` on are for everyone")
    };
    Ok((outcome, meaning))
}

/// Takes `CAP_NET_BIND_SERVICE` from the calling thread, and from it alone.
#[cfg(target_os = "linux")]
fn give_up_the_right() -> io::Result<()> {
    use caps::{CapSet, Capability};
    caps::drop(None, CapSet::Effective, Capability::CAP_NET_BIND_SERVICE).map_err(io::Error::other)
}
// ANCHOR_END: privileged

/// Elsewhere there is no such right that a thread could give up.
#[cfg(not(target_os = "linux"))]
fn give_up_the_right() -> io::Result<()> {
    Ok(())
}

/// The first port that is for everyone.
fn first_unprivileged_port() -> io::Result<u16> {
    if !cfg!(target_os = "linux") {
        return Ok(1024);
    }
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")?;
    text.trim().parse().map_err(io::Error::other)
}
