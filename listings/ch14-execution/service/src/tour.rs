//! What a server shows of itself when nobody says where it is to serve: each route once, then the same
//! request often, and how many system calls that took.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use record::{Axis, Cell, Column, Line, Record, Series, Table};

use crate::client::{Answer, Client, get};
use crate::pattern;
use crate::stats::{Stats, Syscall, Totals};

/// How many clients ask for it at once.
const CROWD: usize = 8;

/// How many requests are sent one at a time, and as many in pipelines.
const REQUESTS: u64 = 1024;

/// How many of them are in one pipeline.
const PIPELINE: u64 = 16;

/// How many bytes are asked for; more than a socket's buffer takes at first.
const BYTES: usize = 100_000;

/// How long the server is asked to wait.
const SLOW: Duration = Duration::from_millis(50);

/// Sends everything to the server and tells what came of it.
pub fn visit(address: SocketAddr, stats: &Stats) -> io::Result<Record> {
    routes(address)?;
    let slow = slow_crowd(address)?;

    let mut client = Client::connect(address)?;
    expect(client.get("/")?, 200)?;
    let before = stats.total();
    for _ in 0..REQUESTS {
        expect(client.get("/")?, 200)?;
    }
    let one_by_one = stats.total().since(&before);

    let batch = get("/").repeat(PIPELINE as usize);
    let before = stats.total();
    for _ in 0..REQUESTS / PIPELINE {
        client.send(&batch)?;
        for _ in 0..PIPELINE {
            expect(client.answer()?, 200)?;
        }
    }
    let pipelined = stats.total().since(&before);
    let mut record = Record::new();
    record.add("slow", slow);
    record.add("syscalls", tell(&one_by_one, &pipelined));
    Ok(record)
}

/// Each route once.
fn routes(address: SocketAddr) -> io::Result<()> {
    let mut client = Client::connect(address)?;
    let line = |request: &str, answer: &Answer, what: &str| {
        println!("  {request:25}{}{what}", answer.status);
    };
    println!("What it answers:");

    let answer = expect(client.get("/")?, 200)?;
    line(
        "GET /",
        &answer,
        &format!(", {:?}", String::from_utf8_lossy(&answer.body)),
    );

    let answer = expect(client.get(&format!("/bytes/{BYTES}"))?, 200)?;
    if answer.body != pattern::memory()[..BYTES] {
        return Err(io::Error::other(
            "/bytes answers with something else than the pattern",
        ));
    }
    line(
        &format!("GET /bytes/{BYTES}"),
        &answer,
        ", each byte in its place",
    );

    let start = Instant::now();
    let answer = expect(client.get(&format!("/slow/{}", SLOW.as_millis()))?, 200)?;
    if start.elapsed() < SLOW {
        return Err(io::Error::other("/slow answers too early"));
    }
    line(
        &format!("GET /slow/{}", SLOW.as_millis()),
        &answer,
        ", not before",
    );

    let text = "some text";
    client.send(format!(
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    ))?;
    let answer = expect(client.answer()?, 200)?;
    line(
        "POST /echo",
        &answer,
        &format!(", {:?}", String::from_utf8_lossy(&answer.body)),
    );

    let answer = expect(client.get("/stats")?, 200)?;
    line(
        "GET /stats",
        &answer,
        ", what the server has counted, as JSON",
    );

    let answer = expect(client.get("/elsewhere")?, 404)?;
    line("GET /elsewhere", &answer, "");

    client.send("GET / HTTP/1.1\r\n\r\n")?;
    let answer = expect(client.answer()?, 400)?;
    client.end()?;
    line(
        "GET / without a Host",
        &answer,
        ", and it closes the connection",
    );
    println!();
    Ok(())
}

fn expect(answer: Answer, status: u16) -> io::Result<Answer> {
    if answer.status == status {
        Ok(answer)
    } else {
        Err(io::Error::other(format!(
            "{status} was expected, and the answer is {}",
            answer.head
        )))
    }
}

// ANCHOR: slow
/// So many clients at once ask for something that takes time, though not the server's: each says how
/// long it has waited for its answer.
fn slow_crowd(address: SocketAddr) -> io::Result<Series> {
    let path = format!("/slow/{}", SLOW.as_millis());
    let mut clients = Vec::new();
    for _ in 0..CROWD {
        clients.push(Client::connect(address)?);
    }
    let start = Instant::now();
    let ask = |mut client: Client| -> io::Result<Duration> {
        expect(client.get(&path)?, 200)?;
        Ok(start.elapsed())
    };
    let mut waited = thread::scope(|scope| {
        let asking = clients.into_iter().map(|client| {
            let ask = &ask;
            scope.spawn(move || ask(client))
        });
        let asking: Vec<_> = asking.collect();
        let answered = asking.into_iter().map(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a client panicked")))
        });
        answered.collect::<io::Result<Vec<Duration>>>()
    })?;
    waited.sort();
    let ms = |time: &Duration| time.as_secs_f64() * 1e3;
    let (first, last) = (ms(&waited[0]), ms(&waited[CROWD - 1]));
    println!("{CROWD} clients ask for {path} at once:");
    println!("  the first is answered after {first:.0} ms, the last after {last:.0} ms\n");
    let points = waited
        .iter()
        .zip(1..)
        .map(|(time, nth)| (f64::from(nth), ms(time)));
    Ok(Series {
        x: Axis::new("answer", ""),
        y: Axis::new("time", "ms"),
        lines: vec![Line {
            name: "answered".to_owned(),
            points: points.collect(),
        }],
    })
}
// ANCHOR_END: slow

fn tell(one_by_one: &Totals, pipelined: &Totals) -> Table {
    let made = |call: &&Syscall| one_by_one.of(**call) + pipelined.of(**call) >= REQUESTS / 100;
    let per_request =
        |totals: &Totals, call| format!("{:.2}", totals.of(call) as f64 / totals.requests as f64);
    println!("Its system calls for a request      one at a time   {PIPELINE} in a pipeline");
    let mut table = Table::new([
        Column::words("system call"),
        Column::number("one request at a time", ""),
        Column::number("sixteen in a pipeline", ""),
    ]);
    for &call in Syscall::ALL.iter().filter(made) {
        let [one, many] = [one_by_one, pipelined].map(|totals| per_request(totals, call));
        println!("  {:30}{one:>17}{many:>19}", call.name());
        table = table.row([format!("`{}`", call.name()), one, many].map(Cell::from));
    }
    println!();
    table
}

/// What is left when the server has ended.
pub fn tell_end(stats: &Stats) {
    let totals = stats.total();
    println!("Told to end, as by SIGTERM or Ctrl-C, it has ended:");
    println!(
        "  {} requests on {} connections, {} of them open",
        totals.requests,
        totals.accepted,
        totals.accepted - totals.closed
    );
}
