//! The lab's promises, measured: set-up, times, throughput. `main.rs` does it in a few seconds,
//! `examples/measure.rs` with as much as it takes.

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use lab::{Host, Lab, Link, Report};

type Outcome<T> = Result<T, Box<dyn Error>>;

// ANCHOR: round-trip
/// How long a question and its answer take.
pub fn round_trip(here: &UdpSocket, there: &UdpSocket) -> io::Result<Duration> {
    let mut buffer = [0; 16];
    let started = Instant::now();
    here.send(b"hello")?;
    let (length, from) = there.recv_from(&mut buffer)?;
    there.send_to(&buffer[..length], from)?;
    here.recv(&mut buffer)?;
    Ok(started.elapsed())
}
// ANCHOR_END: round-trip

/// How long so many labs take to be there, and to be gone, interfaces and all.
pub fn set_up(labs: usize) -> Outcome<(Vec<Duration>, Vec<Duration>)> {
    let (mut up, mut gone) = (Vec::new(), Vec::new());
    for _ in 0..labs {
        let started = Instant::now();
        let (lab, client, server) = Lab::pair(Link::new())?;
        up.push(started.elapsed());
        // A thread on each host keeps its namespace and sees the interface go.
        let watches = [client, server].map(|host| host.spawn(until_the_interface_is_gone));
        let started = Instant::now();
        drop(lab);
        for watch in watches {
            watch.join().expect("a watch does not panic")?;
        }
        gone.push(started.elapsed());
    }
    Ok((up, gone))
}

fn until_the_interface_is_gone() -> io::Result<()> {
    while std::fs::read_to_string("/proc/thread-self/net/dev")?.contains("eth0") {
        std::thread::sleep(Duration::from_micros(100));
    }
    Ok(())
}

/// By how much so many round trips over 25 ms each way miss 50 ms.
pub fn round_trip_errors(round_trips: usize) -> Outcome<(Vec<Duration>, Report)> {
    let delay = Duration::from_millis(25);
    let (lab, client, server) = Lab::pair(Link::new().delay(delay))?;
    let here = client.run(|| UdpSocket::bind((client.v4(), 0)))?;
    let there = server.run(|| UdpSocket::bind((server.v4(), 7)))?;
    here.connect(there.local_addr()?)?;
    let errors = (0..round_trips)
        .map(|_| Ok(round_trip(&here, &there)?.abs_diff(2 * delay)))
        .collect::<io::Result<_>>()?;
    Ok((errors, lab.finish()?))
}

/// How fast TCP is without a delay, in Gbit/s, and what the sender's kernel counted. An error if a
/// packet was lost that no link had decided to lose.
pub fn throughput(bytes: usize) -> Outcome<(f64, HashMap<String, i64>, Report)> {
    let mut builder = Lab::builder();
    let (a, b) = (builder.host("client"), builder.host("server"));
    builder.link(a, b, Link::new(), Link::new());
    builder.snap(0);
    let lab = builder.start()?;
    let client = lab.host(a);
    let gigabits = transfer(&client, &lab.host(b), bytes)?;
    Ok((gigabits, client.counters(), lab.finish()?))
}

fn transfer(client: &Host, server: &Host, bytes: usize) -> io::Result<f64> {
    let listener = server.run(|| TcpListener::bind((server.v4(), 80)))?;
    let reading = server.spawn(move || -> io::Result<()> {
        let (mut connection, _) = listener.accept()?;
        let mut buffer = vec![0; 1 << 18];
        while connection.read(&mut buffer)? > 0 {}
        Ok(())
    });
    let mut connection = client.run(|| TcpStream::connect((server.v4(), 80)))?;
    let block = vec![7; 1 << 18];
    let started = Instant::now();
    for _ in 0..bytes / block.len() {
        connection.write_all(&block)?;
    }
    drop(connection);
    reading.join().expect("the reader does not panic")?;
    Ok(bytes as f64 * 8.0 / started.elapsed().as_secs_f64() / 1e9)
}
