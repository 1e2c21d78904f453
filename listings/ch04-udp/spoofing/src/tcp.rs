//! The same trick on TCP.

use std::io::ErrorKind;
use std::net::{SocketAddrV4, TcpListener};

use lab::{Capture, Crossing, Tcp, TcpState};
use record::Sequence;

use crate::forge::segment;
use crate::stage::{Edge, Error, Stage, VICTIM_PORT, figure};

/// What the forged SYN gives as its first number.
const SEQUENCE: u32 = 1000;

/// How many numbers the attacker tries for each connection. The right one is one of 4,294,967,296.
const GUESSES: u32 = 10;

/// What the attack came to. Bytes count from the IP header on.
pub struct Outcome {
    /// By SYNs only.
    pub sent: usize,
    /// By SYN ACKs only.
    pub got: usize,
    pub syn_acks: usize,
    pub resets: usize,
    pub guesses: usize,
    /// Connections in the server's accept queue, and sockets in any state but LISTEN.
    pub accepted: usize,
    pub sequence: Sequence,
}

// ANCHOR: attack
pub fn attack(forged: u16, edge: Edge) -> Result<Outcome, Error> {
    let stage = Stage::open(edge)?;
    let server = stage.server_address();
    let listener = stage.server.run(|| TcpListener::bind(server))?;
    listener.set_nonblocking(true)?;

    let mut guesses = 0;
    for number in 0..forged {
        let victim = SocketAddrV4::new(stage.victim.v4(), VICTIM_PORT + number);
        stage
            .attacker
            .send(segment(victim, server, Tcp::SYN, SEQUENCE, 0)?);
        if forged > 1 {
            // The number to acknowledge is in the SYN ACK, which goes to the victim.
            for guess in 0..GUESSES {
                let number = guess.wrapping_mul(0x9e37_79b9);
                stage
                    .attacker
                    .send(segment(victim, server, Tcp::ACK, SEQUENCE + 1, number)?);
                guesses += 1;
            }
        }
    }
    // ANCHOR_END: attack

    let forged = usize::from(forged);
    let capture = stage.wait("the end of what the SYNs began", |capture| {
        let resets = arrived(capture, "server", Tcp::RST);
        let refusals = capture
            .sent_by("server")
            .filter(|crossing| has(crossing, Tcp::RST));
        resets.count() == forged && refusals.count() == guesses
    })?;
    let mut accepted = 0;
    loop {
        match listener.accept() {
            Ok(_) => accepted += 1,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error.into()),
        }
    }
    accepted += stage
        .server
        .tcp_states()
        .iter()
        .filter(|socket| socket.state != TcpState::Listen)
        .count();
    let syns = capture
        .sent_by("attacker")
        .filter(|crossing| has(crossing, Tcp::SYN));
    let bytes = |crossing: &Crossing| crossing.length;
    Ok(Outcome {
        sent: syns.map(bytes).sum(),
        got: arrived(&capture, "victim", Tcp::SYN | Tcp::ACK)
            .map(bytes)
            .sum(),
        syn_acks: arrived(&capture, "victim", Tcp::SYN | Tcp::ACK).count(),
        resets: arrived(&capture, "server", Tcp::RST).count(),
        guesses,
        accepted,
        sequence: figure(&capture),
    })
}

fn has(crossing: &Crossing, flags: u8) -> bool {
    crossing.tcp().is_some_and(|tcp| tcp.has(flags))
}

/// The segments with these flags that have come to a host.
fn arrived<'a>(
    capture: &'a Capture,
    host: &'a str,
    flags: u8,
) -> impl Iterator<Item = &'a Crossing> {
    capture
        .sent_by("router")
        .filter(move |crossing| capture.name(crossing.to) == host)
        .filter(move |crossing| crossing.arrived.is_some() && has(crossing, flags))
}
