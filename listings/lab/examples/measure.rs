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
#[path = "../src/measure.rs"]
mod measure;

#[cfg(target_os = "linux")]
mod experiment {
    use std::error::Error;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    use lab::{Lab, Link};

    use crate::measure;

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
        let (up, gone) = measure::set_up(LABS)?;
        spread(&format!("two hosts up, {LABS} labs in a row"), up);
        spread("two hosts gone", gone);
        Ok(())
    }

    fn round_trips() -> Result<(), Box<dyn Error>> {
        let (errors, report) = measure::round_trip_errors(ROUND_TRIPS)?;
        spread("error of a 50 ms round trip", errors);
        println!("    {report:?}");
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
        let (gigabits, counters, report) = measure::throughput(BYTES)?;
        println!("TCP at 1,500 bytes a packet: {gigabits:.2} Gbit/s");
        println!(
            "    retransmitted: {}, of these in vain: {}; overtaken: {}",
            counters["TcpRetransSegs"],
            counters["TcpExtTCPDSACKRecv"],
            counters["TcpExtTCPSACKReorder"],
        );
        println!("    {report:?}");
        Ok(())
    }
}
