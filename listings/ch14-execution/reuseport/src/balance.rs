//! Who gets the connections, and who is woken for them.

use std::io::{Read, Write};
use std::net::TcpStream;

use lab::{Lab, Link};
use record::{Column, Table};

use crate::workers::{Error, WORKERS, Way, Workers};

/// How many clients come.
const CLIENTS: usize = 200;

/// What came of them.
struct Balance {
    accepted: [usize; WORKERS],
    woken: u64,
}

// ANCHOR: balance
/// Lets clients come one after the other, the next when all workers sleep again.
fn balance(way: Way) -> Result<Balance, Error> {
    let (lab, client, server) = Lab::pair(Link::new())?;
    let workers = Workers::start(&server, way, |mut stream| stream.write_all(b"."))?;
    let before = workers.woken()?;
    client.run(|| -> Result<(), Error> {
        for _ in 0..CLIENTS {
            TcpStream::connect(workers.address)?.read_exact(&mut [0])?;
            workers.sleep()?;
        }
        Ok(())
    })?;
    let balance = Balance {
        accepted: workers.accepted(),
        woken: workers.woken()? - before,
    };
    // ANCHOR_END: balance
    drop(workers);
    let _ = lab.finish()?; // nothing was lost that no one had decided to lose
    Ok(balance)
}

pub fn tell() -> Result<Table, Error> {
    println!("1. {WORKERS} workers, {CLIENTS} clients one after the other\n");
    println!("                                connections of each worker    workers woken");
    let mut columns = vec![Column::words("workers")];
    columns.extend((1..=WORKERS).map(|number| Column::number(format!("worker `{number}`"), "")));
    columns.push(Column::number("workers woken", ""));
    let mut table = Table::new(columns);
    for way in Way::ALL {
        let Balance { accepted, woken } = balance(way)?;
        let numbers = accepted.map(|count| format!("{count:>5}")).join("  ");
        println!(
            "{:31} {numbers}  {woken:>15}",
            way.to_string().replace('`', "")
        );
        let cells = accepted.into_iter().map(|count| count.to_string());
        let row = [way.to_string()].into_iter().chain(cells);
        table = table.row(row.chain([woken.to_string()]));
    }
    Ok(table)
}
