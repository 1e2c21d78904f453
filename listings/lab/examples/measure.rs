//! The lab against its own bars: set-up, times, throughput.
//!
//! Run `cargo run --release -p lab --example measure`.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use lab::{Host, Lab, Link};

const LABS: usize = 200;
const ROUND_TRIPS: usize = 100;
const BYTES: usize = 1 << 30;

fn main() -> Result<(), Box<dyn Error>> {
    lab::enter()?;
    set_up()?;
    round_trips()?;
    throughput()
}

/// The median, the 95th of a hundred, and the largest.
fn spread(name: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |hundredths: usize| times[(times.len() - 1) * hundredths / 100];
    println!(
        "{name}: p50 {:.2?}, p95 {:.2?}, max {:.2?}",
        at(50),
        at(95),
        at(100)
    );
}

fn set_up() -> Result<(), Box<dyn Error>> {
    let (mut up, mut gone) = (Vec::new(), Vec::new());
    for _ in 0..LABS {
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
    spread(&format!("two hosts up, {LABS} labs in a row"), up);
    spread("two hosts gone", gone);
    Ok(())
}

fn until_the_interface_is_gone() -> std::io::Result<()> {
    while std::fs::read_to_string("/proc/thread-self/net/dev")?.contains("eth0") {
        std::thread::sleep(Duration::from_micros(100));
    }
    Ok(())
}

fn round_trips() -> Result<(), Box<dyn Error>> {
    let delay = Duration::from_millis(25);
    let (lab, client, server) = Lab::pair(Link::new().delay(delay))?;
    let echo = server.run(|| UdpSocket::bind((server.v4(), 7)))?;
    let socket = client.run(|| UdpSocket::bind((client.v4(), 0)))?;
    socket.connect((server.v4(), 7))?;
    let mut errors = Vec::new();
    for _ in 0..ROUND_TRIPS {
        let mut byte = [0];
        let started = Instant::now();
        socket.send(&[1])?;
        let (_, from) = echo.recv_from(&mut byte)?;
        echo.send_to(&byte, from)?;
        socket.recv(&mut byte)?;
        errors.push(started.elapsed().abs_diff(2 * delay));
    }
    spread("error of a 50 ms round trip", errors);
    println!("    {:?}", lab.finish()?);
    Ok(())
}

fn throughput() -> Result<(), Box<dyn Error>> {
    let mut builder = Lab::builder();
    let (a, b) = (builder.host("client"), builder.host("server"));
    builder.link(a, b, Link::new(), Link::new());
    builder.snap(0);
    let lab = builder.start()?;
    let (client, server) = (lab.host(a), lab.host(b));
    let seconds = transfer(&client, &server)?;
    println!(
        "TCP at 1,500 bytes a packet: {:.2} Gbit/s",
        BYTES as f64 * 8.0 / seconds / 1e9
    );
    let counters = client.counters();
    println!("    retransmitted: {}", counters["TcpRetransSegs"]);
    println!("    {:?}", lab.finish()?);
    Ok(())
}

fn transfer(client: &Host, server: &Host) -> std::io::Result<f64> {
    let listener = server.run(|| TcpListener::bind((server.v4(), 80)))?;
    let reading = server.spawn(move || -> std::io::Result<()> {
        let (mut connection, _) = listener.accept()?;
        let mut buffer = vec![0; 1 << 18];
        while connection.read(&mut buffer)? > 0 {}
        Ok(())
    });
    let mut connection = client.run(|| TcpStream::connect((server.v4(), 80)))?;
    let block = vec![7; 1 << 18];
    let started = Instant::now();
    for _ in 0..BYTES / block.len() {
        connection.write_all(&block)?;
    }
    drop(connection);
    reading.join().expect("the reader does not panic")?;
    Ok(started.elapsed().as_secs_f64())
}
