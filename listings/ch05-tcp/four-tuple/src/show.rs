//! What was found, in words for the reader and in records for the figures.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use lab::{Host, TcpState};
use nix::errno::Errno;
use record::{Column, Event, Fate, Sequence, Table, What};

use crate::linux::{Attempt, Connection, DataSegment, FourTuple, HOSTS, Pool, Result};

/// Prints the segments as they came, and draws them.
pub fn mixed(segments: &[DataSegment]) -> Sequence {
    let mut sequence = Sequence::new();
    for (number, name) in (1..).zip(HOSTS) {
        sequence.host(verbatim(name), Some(&format!("`10.0.0.{number}`")));
    }
    println!("as they passed the router");
    let first = segments.first().map(|segment| segment.sent);
    let microseconds = |time: Duration| first.map_or(0, |first| (time - first).as_micros() as u64);
    for segment in segments {
        let FourTuple {
            source,
            destination,
        } = segment.tuple;
        println!("    {source} > {destination:<13}  {}", segment.data);
        sequence.events.push(Event {
            at_us: microseconds(segment.sent),
            what: What::Message {
                from: segment.from,
                to: segment.to,
                label: format!("`{} > {}`", source.port(), destination.port()),
                note: Some(format!("`{}`", segment.data)),
                arrived_us: segment.arrived.map(microseconds),
                fate: Fate::Arrived,
            },
        });
    }
    sequence
}

/// Sorts the segments by their tuples, reads from the servers' sockets, prints and records both.
pub fn sorted(segments: &[DataSegment], connections: &mut [Connection]) -> Result<Table> {
    let mut by_tuple: BTreeMap<FourTuple, Vec<&str>> = BTreeMap::new();
    for segment in segments {
        by_tuple
            .entry(segment.tuple)
            .or_default()
            .push(&segment.data);
    }
    let mut table = Table::new([
        Column::words("source"),
        Column::words("destination"),
        Column::words("the segments carry"),
        Column::words("the socket reads"),
    ]);
    println!("\nsorted by the four numbers, and what the server's socket reads");
    for (tuple, data) in by_tuple {
        let mut read = String::new();
        for connection in connections.iter_mut().filter(|each| is(each, tuple)) {
            let mut bytes = [0; 4];
            connection.server.read_exact(&mut bytes)?;
            read += &String::from_utf8_lossy(&bytes);
        }
        let FourTuple {
            source,
            destination,
        } = tuple;
        let carried = data.join(" ");
        println!("    {source} > {destination:<13}  {carried}  {read}");
        table =
            table.row([source.to_string(), destination.to_string(), carried, read].map(verbatim));
    }
    Ok(table)
}

/// Whether a connection is the one of that name.
fn is(connection: &Connection, tuple: FourTuple) -> bool {
    let ends = (
        connection.server.peer_addr(),
        connection.server.local_addr(),
    );
    matches!(ends, (Ok(source), Ok(destination))
        if (FourTuple { source, destination }) == tuple)
}

fn verbatim(text: impl std::fmt::Display) -> String {
    format!("`{text}`")
}

/// Prints how many connections each client got, and records it.
pub fn pools(pools: &[Pool], server: &Host) -> Table {
    let mut table = Table::new([
        Column::words("client"),
        Column::words("connects to"),
        Column::words("`connect()` says in the end"),
        Column::number("connections before", ""),
    ]);
    let mut ports = BTreeSet::new();
    for pool in pools {
        let (count, errno) = (pool.connections.len(), errno(&pool.refused));
        println!(
            "{:5} > {:<13}  {count} connections, and then {errno:?}",
            pool.client, pool.to
        );
        let ends = pool.connections.iter().map(|each| each.client.local_addr());
        ports.extend(
            ends.filter_map(std::result::Result::ok)
                .map(|end| end.port()),
        );
        table = table.row([
            verbatim(pool.client),
            verbatim(pool.to),
            format!("`{errno:?}`"),
            count.to_string(),
        ]);
    }
    println!("\nThe clients' ends have {} different ports.", ports.len());
    let at_80 = |state| {
        let here = |socket: &SocketAddr| socket.port() == 80;
        let sockets = server.tcp_states().into_iter();
        sockets
            .filter(|socket| here(&socket.local) && socket.state == state)
            .count()
    };
    println!(
        "Port 80 of orders has {} connections, and {} listener.",
        at_80(TcpState::Established),
        at_80(TcpState::Listen)
    );
    table
}

/// Prints how the attempts went, and records it.
pub fn attempts(attempts: &[Attempt]) -> Table {
    let mut table = Table::new([
        Column::words("attempt"),
        Column::words("fails in"),
        Column::words("error"),
    ]);
    for Attempt { what, refused } in attempts {
        let plain = what.replace('`', "");
        let (call, error) = match refused {
            Some((call, error)) => {
                println!("{plain:48}  {call} says {:?}", errno(error));
                (verbatim(call), format!("`{:?}`", errno(error)))
            }
            None => {
                println!("{plain:48}  works");
                ("–".to_owned(), "works".to_owned())
            }
        };
        table = table.row([(*what).to_owned(), call, error]);
    }
    table
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}
