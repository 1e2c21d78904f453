//! What protocols differ in, measured one property after the other.
//!
//! ```text
//! cargo run -p basics-protocol-properties
//! ```
//!
//! 1. data format: one order as JSON, as XML and as Protobuf
//! 2. transfer mode: what becomes of two sends over UDP and over TCP
//! 3. direction: both ends speak at once
//! 4. state: what a client of each notices when its server starts anew
//! 5. flow control: what becomes of data that no one reads
//!
//! Look for the numbers: how many bytes, messages and reads; who waits, who loses, who is told.

#![forbid(unsafe_code)]

mod flow;
mod formats;
mod transfer;

use std::env;
use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use record::{Column, Record, Table};

/// Where every socket of this listing is bound: loopback, a port of the kernel's choice.
const ANY_PORT: &str = "127.0.0.1:0";

/// How long to wait for what is on its way.
const DEADLINE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    if env::args().len() > 1 {
        eprintln!("usage: basics-protocol-properties (it takes no arguments)");
        return ExitCode::from(2);
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("basics-protocol-properties: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    let mut record = Record::new();

    println!("1. Data format: one order in three formats\n");
    let (sizes, protobuf) = formats::compare()?;
    record.add("formats", sizes);
    record.add("protobuf", protobuf);

    println!("\n2. Transfer mode: two sends of 5 bytes, then reads with room for 100\n");
    let (udp_mode, tcp_mode) = transfer::two_sends()?;

    println!("\n3. Direction: both ends send before either reads\n");
    let direction = transfer::both_at_once()?;

    println!("\n4. State: the server starts anew, its client asks again on the same socket\n");
    let (udp_state, tcp_state) = transfer::server_starts_anew()?;

    println!(
        "\n5. Flow control: {} sends of {} bytes each to a receiver that does not read\n",
        flow::SENDS,
        flow::SEND_LEN
    );
    let flow = flow::no_one_reads()?;
    record.add("backpressure", flow.series);

    let row = |property: &str, tcp: &str, udp: &str| [property, tcp, udp].map(str::to_owned);
    let properties = Table::new([
        Column::words("property"),
        Column::words("`TCP`"),
        Column::words("`UDP`"),
    ])
    .row(row("two sends arrive as", &tcp_mode, &udp_mode))
    .row(row("both ends send at once", direction, direction))
    .row(row("after the server starts anew", tcp_state, udp_state))
    .row(row("when no one reads", &flow.tcp, &flow.udp))
    .row(row(
        "congestion control",
        &flow.tcp_congestion,
        &flow.udp_congestion,
    ));
    record.add("properties", properties);
    record.save()
}

/// Both ends of a new connection, the client's first.
fn connection() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind(ANY_PORT)?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    for end in [&client, &server] {
        end.set_read_timeout(Some(DEADLINE))?;
        end.set_write_timeout(Some(DEADLINE))?;
    }
    Ok((client, server))
}

/// Asks again and again until it is so, up to a deadline.
fn wait_until(what: &str, mut it_is_so: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let at_latest = Instant::now() + DEADLINE;
    while !it_is_so()? {
        if Instant::now() >= at_latest {
            let late = format!("waited {DEADLINE:?} in vain until {what}");
            return Err(io::Error::new(ErrorKind::TimedOut, late));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
