//! The lab against its own bars: set-up, times, throughput.
//!
//! Run `cargo run --release -p lab --example measure`, and with `set-up`, `round-trips`, `counts` or
//! `throughput` behind a `--` for some of it.

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("The lab needs Linux: run this in the book's dev container, or on Windows in WSL2.");
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    experiment::run()
}

#[cfg(target_os = "linux")]
mod experiment {
    use std::error::Error;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    use lab::{Host, Lab, Link};

    const LABS: usize = 200;
    const ROUND_TRIPS: usize = 100;
    const BYTES: usize = 1 << 30;

    pub(crate) fn run() -> Result<(), Box<dyn Error>> {
        lab::enter()?;
        let asked: Vec<String> = std::env::args().skip(1).collect();
        let is_asked = |part: &str| asked.is_empty() || asked.iter().any(|it| it == part);
        if is_asked("set-up") {
            set_up()?;
        }
        if is_asked("round-trips") {
            round_trips()?;
        }
        if is_asked("counts") {
            counts()?;
        }
        if is_asked("throughput") {
            throughput()?;
        }
        Ok(())
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

    /// How many round trips a connection and an answer take, which is two.
    fn counts() -> Result<(), Box<dyn Error>> {
        let busy = std::thread::available_parallelism()?.get();
        for loops in [0, busy] {
            let done = AtomicBool::new(false);
            let counts = std::thread::scope(|scope| {
                for _ in 0..loops {
                    scope.spawn(|| {
                        while !done.load(Ordering::Relaxed) {
                            std::hint::spin_loop();
                        }
                    });
                }
                let counts = (0..20).map(|_| count()).collect::<Result<Vec<_>, _>>();
                done.store(true, Ordering::Relaxed);
                counts
            })?;
            let disturbed = counts.iter().filter(|(_, disturbed)| *disturbed).count();
            let mut counts: Vec<f64> = counts.into_iter().map(|(count, _)| count).collect();
            counts.sort_by(f64::total_cmp);
            println!(
                "round trips counted, {loops} busy loops: median {:.3}, from {:.3} to {:.3}, \
                 disturbed {disturbed} of {}",
                counts[counts.len() / 2],
                counts[0],
                counts[counts.len() - 1],
                counts.len(),
            );
        }
        Ok(())
    }

    /// The round trips of one run, and whether it was disturbed.
    fn count() -> Result<(f64, bool), Box<dyn Error>> {
        let delay = Duration::from_millis(25);
        let (lab, client, server) = Lab::pair(Link::new().delay(delay))?;
        let listener = server.run(|| TcpListener::bind((server.v4(), 80)))?;
        let answering = server.spawn(move || {
            let (mut connection, _) = listener.accept()?;
            connection.read_exact(&mut [0])?;
            connection.write_all(b"!")
        });
        let elapsed = client.run(|| -> std::io::Result<Duration> {
            let started = Instant::now();
            let mut connection = TcpStream::connect((server.v4(), 80))?;
            connection.write_all(b"?")?;
            connection.read_exact(&mut [0])?;
            Ok(started.elapsed())
        })?;
        answering.join().expect("the server does not panic")?;
        let round_trips = elapsed.as_secs_f64() / (2.0 * delay.as_secs_f64());
        Ok((round_trips, lab.finish()?.disturbed()))
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
        println!(
            "    retransmitted: {}, of these in vain: {}; overtaken: {}",
            counters["TcpRetransSegs"],
            counters["TcpExtTCPDSACKRecv"],
            counters["TcpExtTCPSACKReorder"],
        );
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
}
