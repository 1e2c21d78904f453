//! Four sockets with `SO_REUSEPORT` on one port, and many flows.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use record::{Column, Table};

use crate::mailbox::{Loopback, Mailbox, Share};

/// As many sockets as a server with four workers has.
const WORKERS: usize = 4;

/// Clients, each with a port of its own: so many that no worker stays without (each would with a
/// probability of 0.75^256).
const FLOWS: usize = 256;

/// Datagrams of each flow.
const EACH: usize = 8;

pub fn tell(loopback: &Loopback) -> io::Result<Table> {
    // ANCHOR: group
    let first = Mailbox::open("worker 1", (Ipv4Addr::LOCALHOST, 0), Share::Port)?;
    let address = first.address()?;
    let mut workers = vec![first];
    for number in 2..=WORKERS {
        let name = format!("worker {number}");
        workers.push(Mailbox::open(
            &name,
            (Ipv4Addr::LOCALHOST, address.port()),
            Share::Port,
        )?);
    }
    // ANCHOR_END: group
    let flows = (0..FLOWS)
        .map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<io::Result<Vec<_>>>()?;

    let before = owners(loopback, &flows, address, &workers)?;
    println!(
        "{FLOWS} clients, {EACH} datagrams each: every client met one worker, always the same."
    );

    // ANCHOR: close
    let closed = workers.remove(1);
    let waiting: Vec<&UdpSocket> = flows
        .iter()
        .filter(|flow| port(flow).is_ok_and(|port| before[&port] == closed.name))
        .collect();
    for flow in &waiting {
        flow.send_to(b"still in the queue", address)?;
    }
    loopback.settle()?;
    drop(closed); // unread
    let after = owners(loopback, &flows, address, &workers)?;
    // ANCHOR_END: close

    let count = |owners: &HashMap<u16, String>, name: &str| {
        owners.values().filter(|owner| *owner == name).count()
    };
    let mut table = Table::new([
        Column::words("socket"),
        Column::number("flows of four", ""),
        Column::number("flows of three", ""),
    ]);
    println!("\n          flows of four  of three, after worker 2 has closed");
    for number in 1..=WORKERS {
        let name = format!("worker {number}");
        let [of_four, of_three] = [count(&before, &name), count(&after, &name)];
        println!("{name}  {of_four:>13}  {of_three:>8}");
        table = table.row([name, of_four.to_string(), of_three.to_string()]);
    }

    let moved = before
        .iter()
        .filter(|(port, owner)| **owner != "worker 2" && after[*port] != **owner)
        .count();
    let lost = waiting.len();
    println!("\n{lost} datagrams waited for worker 2 when it closed. Nobody got them.");
    println!("{moved} flows whose worker was still there have another one now.");
    Ok(table)
}

// ANCHOR: owners
/// By the port of each flow, the worker that gets it.
///
/// # Errors
///
/// If one flow meets two workers, or a datagram is missing.
fn owners(
    loopback: &Loopback,
    flows: &[UdpSocket],
    to: SocketAddr,
    workers: &[Mailbox],
) -> io::Result<HashMap<u16, String>> {
    let mut owners: HashMap<u16, String> = HashMap::new();
    for flow in flows {
        let mut read = 0;
        for _ in 0..EACH {
            flow.send_to(b"hello", to)?;
        }
        loopback.settle()?;
        for worker in workers {
            for letter in worker.empty()? {
                let owner = owners
                    .entry(letter.from.port())
                    .or_insert(worker.name.clone());
                if *owner != worker.name {
                    let text = format!("{} was met by {owner} and {}", letter.from, worker.name);
                    return Err(io::Error::other(text));
                }
                read += 1;
            }
        }
        if read != EACH {
            return Err(io::Error::other(format!("{read} of {EACH} datagrams came")));
        }
    }
    Ok(owners)
}
// ANCHOR_END: owners

fn port(socket: &UdpSocket) -> io::Result<u16> {
    Ok(socket.local_addr()?.port())
}
