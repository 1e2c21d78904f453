//! What one worker that is stuck costs the others' clients.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use lab::{Lab, Link, Report, undisturbed};
use record::{Axis, Column, Line, Series, Table};

use crate::workers::{Error, Way, Workers};

// ANCHOR: numbers
/// How many clients come, and how soon after one another.
const CLIENTS: u32 = 200;
const EVERY: Duration = Duration::from_millis(5);

/// Which of them sends a request that takes long, and how long.
const SLOW: u32 = 60;
const STUCK: Duration = Duration::from_millis(400);
// ANCHOR_END: numbers

/// Who has waited this long has waited for the worker that is stuck.
const LONG: Duration = Duration::from_millis(100);

// ANCHOR: serve
/// Answers a request of one byte; one kind takes long.
fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut request = [0];
    stream.read_exact(&mut request)?;
    if request == *b"s" {
        thread::sleep(STUCK); // a lock, a disk, a name that is looked up
    }
    stream.write_all(b".")
}

/// A client: connects, asks, and waits for the answer. When it came, and how long that took.
fn visit(address: SocketAddr, request: u8, began: Instant) -> io::Result<(Duration, Duration)> {
    let came = began.elapsed();
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(&[request])?;
    stream.read_exact(&mut [0])?;
    Ok((came, began.elapsed() - came))
}
// ANCHOR_END: serve

/// When each client came, and how long it took.
type Visits = Vec<(Duration, Duration)>;

/// How often the experiment is made if the machine was too busy for its times.
const TRIES: usize = 2;

fn visits(way: Way) -> Result<(Visits, Report), Error> {
    let (lab, client, server) = Lab::pair(Link::new())?;
    let workers = Workers::start(&server, way, serve)?;
    let began = Instant::now();
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        thread::sleep((EVERY * number).saturating_sub(began.elapsed()));
        let (address, request) = (workers.address, if number == SLOW { b's' } else { b'f' });
        clients.push(client.spawn(move || visit(address, request, began)));
    }
    let mut visits = Visits::new();
    for client in clients {
        visits.push(client.join().map_err(|_| "a client has panicked")??);
    }
    visits.sort_unstable(); // some may have been started late, and after others
    visits.dedup_by_key(|(came, _)| *came);
    drop(workers);
    Ok((visits, lab.finish()?))
}

pub fn tell() -> Result<(Series, Table), Error> {
    println!(
        "\n2. A client every {} ms, and one whose request takes {} ms\n",
        EVERY.as_millis(),
        STUCK.as_millis()
    );
    let mut lines = Vec::new();
    let mut table = Table::new([
        Column::words("workers"),
        Column::number("median", "ms"),
        Column::number("99 of 100", "ms"),
        Column::number("waited", "clients"),
    ]);
    for way in [Way::Reuseport, Way::Accept] {
        let (visits, _) = undisturbed(TRIES, || visits(way))?;
        let mut sorted: Vec<Duration> = visits.iter().map(|(_, took)| *took).collect();
        sorted.sort_unstable();
        let at = |hundredth: usize| sorted[(sorted.len() - 1) * hundredth / 100];
        let waited = sorted.iter().filter(|took| **took > LONG).count();
        let in_ms = |time: Duration| time.as_secs_f64() * 1e3;
        let [median, tail] = [at(50), at(99)].map(|time| format!("{:.1}", in_ms(time)));
        println!(
            "{:31} median {median} ms, 99 of 100 within {tail} ms; {waited} waited for the worker",
            way.to_string().replace('`', "")
        );
        table = table.row([way.to_string(), median, tail, waited.to_string()]);
        lines.push(Line {
            name: way.to_string(),
            points: visits
                .iter()
                .map(|(came, took)| (in_ms(*came), in_ms(*took)))
                .collect(),
        });
    }
    let series = Series {
        x: Axis::new("the client comes after", "ms"),
        y: Axis::new("until the answer", "ms"),
        lines,
    };
    Ok((series, table))
}
