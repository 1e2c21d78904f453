//! Workers of two servers: those of the one sleep while they wait, those of the other never do as long
//! as there is work.

use std::io;
use std::time::Duration;

use exec_models::{Load, Server, Used, on_core};
use exec_service::Model;
use record::{Column, Table};

/// A process for each connection, which sleeps while it waits for its client.
const PREFORK: &Model = &exec_prefork_server::MODEL;

/// All connections of a worker in one loop.
const EPOLL: &Model = &exec_epoll_server::MODEL;

/// What takes long, and how long.
const SLOW: &str = "/slow/10";
const WAIT: Duration = Duration::from_millis(10);

/// Clients that ask at the same time.
const CLIENTS: usize = 32;

/// How many workers there are on the only core.
const ON_ONE_CORE: [usize; 4] = [1, 2, 4, 8];

/// Requests to the server on one core, and before they count.
const REQUESTS: usize = 12_000;
const WARM_UP: usize = 1_000;

// ANCHOR: measure
/// What a server did for some requests.
struct Measured {
    /// Answers in a second.
    rate: f64,
    /// The processor's time for a request.
    processor: Duration,
    /// How often the kernel put another thread in the place of one of the server's, for each request.
    switches: f64,
}

fn start(model: &Model, workers: usize) -> io::Result<Server> {
    let mut command = exec_models::command(model);
    command.args(["--workers", &workers.to_string()]);
    // Nobody else is to come: it may end at once.
    command.args(["--limits", "last_handshakes=0"]);
    Server::start(command)
}

fn measure(server: &Server, load: &Load) -> io::Result<Measured> {
    let before = server.processes.used()?;
    let answers = load.run(server.address)?;
    let after = server.processes.used()?;
    // A worker waits for something, or loses its core: in both cases another thread is put in its place.
    let switches = |used: Used| (used.waits + used.preemptions) as f64;
    Ok(Measured {
        rate: load.requests as f64 / answers.elapsed.as_secs_f64(),
        processor: after.processor.saturating_sub(before.processor) / load.requests as u32,
        switches: (switches(after) - switches(before)) / load.requests as f64,
    })
}
// ANCHOR_END: measure

fn load(path: &str, requests: usize) -> Load<'_> {
    Load {
        path,
        connections: CLIENTS,
        pipelined: 1,
        requests,
        rate: None,
    }
}

// ANCHOR: waiting
/// Answers that take 10 ms, in which there is nothing to do.
pub fn tell_waiting() -> io::Result<Table> {
    let mut table = Table::new([
        Column::words("Server"),
        Column::number("Workers", ""),
        Column::number("Answers", "1/s"),
        Column::number("Rate × time", ""),
    ]);
    println!("{CLIENTS} clients ask for {SLOW}.\n");
    println!(
        "{:<22}{:>9}{:>12}{:>14}",
        "", "workers", "answers/s", "rate × time"
    );
    let rows = [1, 2, 4, 8, 16].map(|workers| (PREFORK, workers, workers));
    for (model, workers, at_a_time) in rows.into_iter().chain([(EPOLL, 1, CLIENTS)]) {
        let server = start(model, workers)?;
        // All clients ask at once. So each row takes about as long as the first: 32 waits.
        let measured = measure(&server, &load(SLOW, CLIENTS * at_a_time))?;
        let row = [
            format!("`{}`", model.name),
            workers.to_string(),
            format!("{:.0}", measured.rate),
            format!("{:.1}", measured.rate * WAIT.as_secs_f64()),
        ];
        println!(
            "{:<22}{:>9}{:>12}{:>14}",
            model.name, row[1], row[2], row[3]
        );
        table = table.row(row);
    }
    println!();
    Ok(table)
}
// ANCHOR_END: waiting

// ANCHOR: ready
/// Answers that take nothing but the processor's time, from workers that share one core.
pub fn tell_ready() -> io::Result<Table> {
    let mut table = Table::new([
        Column::number("Workers on one core", ""),
        Column::number("Answers", "1/s"),
        Column::number("Context switches for a request", ""),
        Column::number("Processor time for a request", "µs"),
    ]);
    println!(
        "{CLIENTS} clients ask for /; {} has one core.\n",
        EPOLL.name
    );
    println!(
        "{:<9}{:>12}{:>20}{:>14}",
        "workers", "answers/s", "switches/request", "µs/request"
    );
    for workers in ON_ONE_CORE {
        let server = on_core(0, || start(EPOLL, workers))?;
        load("/", WARM_UP).run(server.address)?;
        let measured = measure(&server, &load("/", REQUESTS))?;
        let row = [
            workers.to_string(),
            format!("{:.0}", measured.rate),
            format!("{:.3}", measured.switches),
            format!("{:.0}", measured.processor.as_secs_f64() * 1e6),
        ];
        println!("{:<9}{:>12}{:>20}{:>14}", row[0], row[1], row[2], row[3]);
        table = table.row(row);
    }
    Ok(table)
}
// ANCHOR_END: ready
