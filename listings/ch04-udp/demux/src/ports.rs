//! Three programs on one host, and three on another that write to them.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::time::Instant;

use record::Sequence;

use crate::mailbox::{Loopback, Mailbox, Share};

/// What the programs are called. Each client sends to all three.
const PROGRAMS: [&str; 3] = ["dns", "game", "metrics"];

/// How often every client writes to every program: together 9,000 datagrams.
const ROUNDS: usize = 1000;

/// After so many rounds everybody reads: 3 × 16 datagrams fit into any receive buffer.
const ROUNDS_BEFORE_READING: usize = 16;

/// How often to look for a number that is free in UDP and in TCP.
const ATTEMPTS: usize = 16;

/// How many rounds the figure shows.
const ROUNDS_SHOWN: usize = 1;

pub fn tell(loopback: &Loopback) -> io::Result<Sequence> {
    let (shop, game) = one_number_for_both()?;
    let open = |name| Mailbox::open(name, (Ipv4Addr::LOCALHOST, 0), Share::Never);
    let programs = [open(PROGRAMS[0])?, game, open(PROGRAMS[2])?];
    let addresses = programs
        .iter()
        .map(Mailbox::address)
        .collect::<io::Result<Vec<_>>>()?;
    for (program, address) in programs.iter().zip(&addresses) {
        println!("{:<7} waits on {address}", program.name);
    }
    let clients = (0..PROGRAMS.len())
        .map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<io::Result<Vec<_>>>()?;

    let mut sequence = Sequence::new();
    for (number, client) in clients.iter().enumerate() {
        let name = ["client 1", "client 2", "client 3"][number];
        sequence.host(name, Some(&format!("`{}`", client.local_addr()?)));
    }
    for (program, address) in programs.iter().zip(&addresses) {
        sequence.host(format!("`{}`", program.name), Some(&format!("`{address}`")));
    }

    // ANCHOR: sort
    let start = Instant::now();
    let mut right = [0; PROGRAMS.len()];
    let mut wrong = 0;
    for round in 1..=ROUNDS {
        for (from, client) in clients.iter().enumerate() {
            for (to, (name, address)) in PROGRAMS.iter().zip(&addresses).enumerate() {
                let at_us = start.elapsed().as_micros() as u64;
                client.send_to(name.as_bytes(), address)?; // who it is meant for is all that it says
                if round <= ROUNDS_SHOWN {
                    let label = format!("to `:{}`", address.port());
                    sequence.message(at_us, from, PROGRAMS.len() + to, label, None);
                }
            }
        }
        if round % ROUNDS_BEFORE_READING == 0 || round == ROUNDS {
            loopback.settle()?;
            for (program, right) in programs.iter().zip(&mut right) {
                for letter in program.empty()? {
                    if letter.text == program.name {
                        *right += 1;
                    } else {
                        wrong += 1;
                    }
                }
            }
        }
    }
    // ANCHOR_END: sort

    println!();
    for (program, right) in programs.iter().zip(right) {
        println!(
            "{:<7} got {right} datagrams that were meant for it",
            program.name
        );
    }
    println!("meant for somebody else: {wrong}");

    let game = &programs[1];
    let answer = ask(&shop)?;
    println!("\nTCP has ports of its own: on the game's number a TCP server answers «{answer}»,");
    let missed = game.empty()?.len();
    println!("and of that the game's UDP socket got {missed} datagrams.");
    Ok(sequence)
}

/// A TCP server, and the game's UDP socket with the same number.
fn one_number_for_both() -> io::Result<(TcpListener, Mailbox)> {
    for _ in 0..ATTEMPTS {
        let shop = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = shop.local_addr()?.port();
        match Mailbox::open(PROGRAMS[1], (Ipv4Addr::LOCALHOST, port), Share::Never) {
            Ok(game) => return Ok((shop, game)),
            // Some other program has it for UDP.
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("no number is free for both"))
}

/// What the TCP server answers.
fn ask(shop: &TcpListener) -> io::Result<String> {
    let mut client = TcpStream::connect(shop.local_addr()?)?;
    let (mut server, _) = shop.accept()?;
    client.write_all(b"game?")?;
    let mut question = [0; 5];
    server.read_exact(&mut question)?;
    server.write_all(b"no, shop")?;
    drop(server);
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    Ok(answer)
}
