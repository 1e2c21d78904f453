//! What the service alone costs, without any system call.
//!
//! ```text
//! cargo bench -p exec-service
//! ```

use std::hint::black_box;
use std::time::{Duration, Instant};

use exec_service::client::get;
use exec_service::{Limits, Output, Service, Session, Stats, Step};
use record::{Cell, Column, Record, Table};

/// Turns of each measurement; the median counts.
const ROUNDS: usize = 51;

/// How long about one turn lasts.
const TURN: Duration = Duration::from_millis(4);

fn main() {
    println!("nanoseconds for one request, median of {ROUNDS} turns\n");
    let mut table = Table::new([Column::words("request"), Column::number("time", "ns")]);
    let stats = Stats::new("bench", 1).expect("a little memory");
    let now = Instant::now();
    let mut service = Service::new(Limits::default(), stats, 0, now);
    let browser = "GET / HTTP/1.1\r\nHost: localhost:8080\r\n\
        User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
        Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
        Accept-Language: ko,en-US;q=0.7,en;q=0.3\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
        DNT: 1\r\nConnection: keep-alive\r\nUpgrade-Insecure-Requests: 1\r\n\r\n";
    let post = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n";
    for (name, requests, count) in [
        ("`GET /`, as `wrk` asks", get("/"), 1),
        ("`GET /`, 16 in a pipeline", get("/").repeat(16), 16),
        ("`GET /`, as a browser asks", browser.to_owned(), 1),
        ("`GET /bytes/1000`", get("/bytes/1000"), 1),
        ("`GET /bytes/1048576`, not copied", get("/bytes/1048576"), 1),
        (
            "`POST /echo`, 100 bytes",
            post.to_owned() + &"x".repeat(100),
            1,
        ),
        ("`GET /elsewhere`", get("/elsewhere"), 1),
    ] {
        let mut session = Session::new(&service, now);
        let mut output = Output::default();
        let mut serve = || {
            service.tick(now);
            let mut step = session.receive(
                &mut service,
                black_box(requests.as_bytes()),
                now,
                &mut output,
            );
            while step == Step::Write {
                let len = output.slices().iter().map(|slice| slice.len()).sum();
                output.advance(black_box(len));
                if output.is_empty() {
                    step = session.flushed(&mut service, now, &mut output);
                }
            }
            assert_eq!(step, Step::Read);
        };
        measure(&mut serve); // to warm up
        let ns = measure(&mut serve);
        let each = format!("{:.0}", ns / f64::from(count));
        println!("  {:32}{each:>8}", name.replace('`', ""));
        table = table.row([name.to_owned(), each].map(Cell::from));
    }
    println!("\n  a session is {} bytes long", size_of::<Session>());
    let mut record = Record::new();
    record.add("costs", table);
    record.save().expect("the record is written");
}

/// The median time of one call.
fn measure(mut call: impl FnMut()) -> f64 {
    let mut turn = |calls: u32| {
        let start = Instant::now();
        (0..calls).for_each(|_| call());
        start.elapsed()
    };
    let mut calls = 1;
    while turn(calls) < TURN {
        calls *= 2;
    }
    let mut turns: Vec<f64> = (0..ROUNDS)
        .map(|_| turn(calls).as_nanos() as f64 / f64::from(calls))
        .collect();
    turns.sort_by(f64::total_cmp);
    turns[ROUNDS / 2]
}
