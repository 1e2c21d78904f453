//! The attack over UDP, and an honest client beside it.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::time::{SystemTime, UNIX_EPOCH};

use lab::Fate;
use record::{Sequence, What};

use crate::forge::datagram;
use crate::service::{COOKIE_BYTES, EXCHANGE_BYTES, LIST, LIST_BYTES, Policy, Service};
use crate::stage::{DEADLINE, Edge, Error, Stage, figure, socket};

/// The largest datagram that anybody here sends.
const LONGEST: usize = 2000;

/// What an attack came to. Bytes count from the IP header on.
pub struct Outcome {
    pub sent: usize,
    pub got: usize,
    /// Senders of whom the server thought that they had asked, while the attack went on.
    pub senders: usize,
    /// Answers that the victim got.
    pub answers: usize,
    /// Of those, lists.
    pub long: usize,
    /// Forged questions that carried a cookie made for somebody else.
    pub replayed: usize,
    /// Forged packets that the edge dropped.
    pub dropped: usize,
    /// Answers to what the attacker sent in its own name.
    pub own: usize,
    pub sequence: Sequence,
}

// ANCHOR: attack
/// Forged questions, and at their end one in the attacker's own name: when that is answered, all
/// others have been, for packets overtake each other nowhere here.
pub fn attack(forged: u16, policy: Policy, edge: Edge) -> Result<Outcome, Error> {
    let stage = Stage::open(edge)?;
    let service = Service {
        policy,
        secret: rand()?,
    };
    let server = socket(&stage.server, stage.server_address())?;
    let victim = socket(&stage.victim, stage.victim_address())?;
    let honest = stage.attacker_address();

    // A cookie of its own, to be had by anybody who can receive.
    let own_cookie = match policy {
        Policy::AnswerAll => None,
        Policy::CookieFirst => {
            let question = [&LIST[..], &[0; COOKIE_BYTES]].concat();
            stage
                .attacker
                .send(datagram(honest, stage.server_address(), &question)?);
            serve(&server, &service, honest.into())?;
            Some(received(&stage)?[LIST.len()..].to_vec())
        }
    };

    let mut replayed = 0;
    for number in 0..forged {
        let question = match &own_cookie {
            None => LIST.to_vec(),
            Some(cookie) if number % 2 == 1 => {
                replayed += 1;
                [&LIST[..], cookie].concat()
            }
            Some(_) => [&LIST[..], &[0; COOKIE_BYTES]].concat(),
        };
        let forgery = datagram(stage.victim_address(), stage.server_address(), &question)?;
        stage.attacker.send(forgery);
    }
    let last = [&LIST[..], &[0; COOKIE_BYTES]].concat();
    if forged > 1 {
        stage
            .attacker
            .send(datagram(honest, stage.server_address(), &last)?);
    }
    // ANCHOR_END: attack

    let until = if forged > 1 {
        honest
    } else {
        stage.victim_address()
    };
    let senders = serve(&server, &service, until.into())?;
    let mut own = 0;
    if forged > 1 {
        received(&stage)?;
        own += 1;
    }
    let from_victim: Vec<_> = senders
        .iter()
        .filter(|from| **from != honest.into())
        .collect();
    let (mut answers, mut long) = (0, 0);
    let mut buffer = [0; LONGEST];
    for _ in &from_victim {
        let (length, from) = victim.recv_from(&mut buffer)?;
        if from != stage.server_address().into() {
            return Err(format!("the victim got a datagram from {from}").into());
        }
        answers += 1;
        long += usize::from(length == LIST_BYTES);
        if length != LIST_BYTES && length > EXCHANGE_BYTES {
            return Err(format!("an answer has {length} bytes").into());
        }
    }

    let capture = stage.lab.capture();
    let victim_ip = stage.victim.v4();
    let named = |bytes: &[u8], at: usize| bytes[at..at + 4] == victim_ip.octets();
    let forgeries: Vec<_> = capture
        .sent_by("attacker")
        .filter(|crossing| named(&crossing.bytes, 12))
        .collect();
    let at_victim = capture
        .sent_by("router")
        .filter(|crossing| capture.name(crossing.to) == "victim" && crossing.fate.arrives());
    let distinct: BTreeSet<_> = from_victim.into_iter().collect();
    Ok(Outcome {
        sent: forgeries.iter().map(|crossing| crossing.length).sum(),
        got: at_victim.map(|crossing| crossing.length).sum(),
        senders: distinct.len(),
        answers,
        long,
        replayed,
        dropped: forgeries
            .iter()
            .filter(|crossing| crossing.fate == Fate::Dropped)
            .count(),
        own,
        sequence: figure(&capture),
    })
}

// ANCHOR: serve
/// Answers until this sender has been answered; gives all whom the server believed to have asked.
fn serve(
    socket: &UdpSocket,
    service: &Service,
    until: SocketAddr,
) -> Result<Vec<SocketAddr>, Error> {
    let mut senders = Vec::new();
    let mut buffer = [0; LONGEST];
    loop {
        let (length, from) = socket.recv_from(&mut buffer)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        if let Some(answer) = service.answer(&buffer[..length], from, now) {
            socket.send_to(&answer, from)?;
        }
        senders.push(from);
        if from == until {
            return Ok(senders);
        }
    }
}
// ANCHOR_END: serve

/// What the next packet to the attacker carries.
fn received(stage: &Stage) -> Result<Vec<u8>, Error> {
    match stage.attacker.receive(DEADLINE) {
        Ok(packet) => Ok(packet.payload().to_vec()),
        Err(nothing) => Err(format!("the attacker got no answer: {nothing:?}").into()),
    }
}

/// A client that means it: it gets a cookie, and for that the list.
pub fn honest_exchange() -> Result<Sequence, Error> {
    let stage = Stage::open(Edge::Open)?;
    let service = Service {
        policy: Policy::CookieFirst,
        secret: rand()?,
    };
    let server = socket(&stage.server, stage.server_address())?;
    let client = socket(&stage.victim, stage.victim_address())?;
    let mut cookie = [0; COOKIE_BYTES];
    let mut buffer = [0; LONGEST];
    for expected in [EXCHANGE_BYTES, LIST_BYTES] {
        client.send_to(&[&LIST[..], &cookie].concat(), stage.server_address())?;
        serve(&server, &service, stage.victim_address().into())?;
        let (length, _) = client.recv_from(&mut buffer)?;
        if length != expected {
            return Err(format!("{length} bytes instead of {expected}").into());
        }
        cookie.copy_from_slice(&buffer[LIST.len()..EXCHANGE_BYTES]);
    }
    // Nobody attacks here: the victim is a client like any other.
    let mut sequence = figure(&stage.lab.capture());
    for host in &mut sequence.hosts {
        if host.name == "victim" {
            host.name = "client".to_owned();
        }
    }
    sequence.hosts.remove(0);
    for event in &mut sequence.events {
        if let What::Message { from, to, .. } = &mut event.what {
            (*from, *to) = (*from - 1, *to - 1);
        }
    }
    Ok(sequence)
}

/// A secret from the kernel.
fn rand() -> Result<[u8; 32], Error> {
    let mut secret = [0; 32];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut secret)?;
    Ok(secret)
}
