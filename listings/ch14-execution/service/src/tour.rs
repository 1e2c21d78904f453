//! What a server shows of itself when nobody says where it is to serve: each route once, then the same
//! request often, and how many system calls that took.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use record::{Cell, Column, Record, Table};

use crate::client::{Answer, Client, get};
use crate::pattern;
use crate::stats::{Stats, Syscall, Totals};

/// How many requests are sent one at a time, and as many in pipelines.
const REQUESTS: u64 = 1024;

/// How many of them are in one pipeline.
const PIPELINE: u64 = 16;

/// How many bytes are asked for; more than a socket's buffer takes at first.
const BYTES: usize = 100_000;

/// How long the server is asked to wait.
const SLOW: Duration = Duration::from_millis(20);

/// Sends everything to the server and tells what came of it.
pub fn visit(address: SocketAddr, stats: &Stats) -> io::Result<Record> {
    routes(address)?;

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
    Ok(tell(&one_by_one, &pipelined))
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

fn tell(one_by_one: &Totals, pipelined: &Totals) -> Record {
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
    let mut record = Record::new();
    record.add("syscalls", table);
    record
}

/// What is left when the server has ended.
pub fn tell_end(stats: &Stats) {
    let totals = stats.total();
    println!("SIGTERM is what would end it now, or Ctrl-C. It has ended:");
    println!(
        "  {} requests on {} connections, of which {} are open",
        totals.requests,
        totals.accepted,
        totals.accepted - totals.closed
    );
}
