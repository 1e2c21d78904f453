//! The tour: a resolver, its server, and somebody who forges, on a network of their own.

use std::error::Error;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use lab::{Capture, Crossing, Host, Lab, Link, Packet, Report, Tcp, Verdict, undisturbed};
use record::{Column, Event as Step, Fate, Record, Sequence, Table, What};
use udp_dns::client::{Event, resolve};
use udp_dns::random::Seeded;
use udp_dns::resolver::{Accepted, Answer, Config};
use udp_dns::server::Server;
use udp_dns::zone::Zone;
use udp_dns_message::{Flags, Header, Message, NameBuf, Type, frame};

use crate::arithmetic::Unknowns;
use crate::attacker::{Wrong, forge};

/// What the server knows.
pub const ZONE: &str = include_str!("example.com.zone");

/// How often the tour is repeated if the machine was too busy for it.
const TRIES: usize = 3;

/// From the resolver to the router. The attacker is next to that, so as to be first.
const NEAR: Duration = Duration::from_millis(5);

/// Between two forged answers, so that a figure shows one after the other.
const PACE: Duration = Duration::from_millis(8);

/// From the server to the router.
const FAR: Duration = Duration::from_millis(35);

/// The resolver knows its network, so it need not wait a second.
const FIRST_TIMEOUT: Duration = Duration::from_millis(250);

/// Of the resolver's numbers. In the tour they may repeat; whoever asks for real takes the kernel's.
const SEED: u64 = 4;

/// How long to wait for what is about to happen on the network.
const SOON: Duration = Duration::from_secs(5);

/// The indices of the places, in the order in which they are added.
const RESOLVER: usize = 0;
const SERVER: usize = 1;
const ATTACKER: usize = 2;
const ROUTER: usize = 3;

/// What goes wrong here, goes wrong for the reader to see.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What the network does to the next query, or to its answer.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Mishap {
    #[default]
    None,
    LosesQuery,
    DelaysAnswer,
    /// The attacker sees it, and is quicker than the server.
    Forges(&'static [Wrong]),
}

// ANCHOR: names
/// What is asked, and what goes wrong.
const QUESTIONS: [(&str, Type, Mishap, Option<&str>); 10] = [
    ("mail.example.com", Type::A, Mishap::None, None),
    ("www.example.com", Type::AAAA, Mishap::None, None),
    ("mail.example.com", Type::AAAA, Mishap::None, None),
    ("missing.example.com", Type::A, Mishap::None, None),
    (
        "longer.example.com",
        Type::TXT,
        Mishap::None,
        Some("truncated"),
    ),
    ("example.com", Type::MX, Mishap::LosesQuery, Some("lost")),
    (
        "ns1.example.com",
        Type::A,
        Mishap::DelaysAnswer,
        Some("late"),
    ),
    ("web.example.com", Type::A, FORGES, Some("forged")),
    ("example.com", Type::A, FORGES_CASE, Some("case")),
    ("ns2.example.com", Type::A, Mishap::None, None), // of two servers, the first is down
];

const FORGES: Mishap = Mishap::Forges(&[Wrong::Port, Wrong::Source, Wrong::Id, Wrong::Question]);
const FORGES_CASE: Mishap = Mishap::Forges(&[Wrong::Case]);
// ANCHOR_END: names

/// Runs the tour, prints it, and leaves its figures behind.
pub fn run() -> Outcome<()> {
    let (tour, _) = undisturbed(TRIES, Tour::run)?;
    print!("{}", tour.printed);
    let mut record = Record::new();
    for (name, sequence) in tour.sequences {
        record.add(name, sequence);
    }
    record.add("guesses", tour.guesses);
    record.save()?;
    Ok(())
}

struct Tour {
    printed: String,
    sequences: Vec<(&'static str, Sequence)>,
    guesses: Table,
}

impl Tour {
    // ANCHOR: network
    fn run() -> Outcome<(Self, Report)> {
        let mishap = Arc::new(Mutex::new(Mishap::None));
        let (tell, told) = mpsc::channel();
        let mut network = Lab::builder();
        let resolver = network.host("resolver");
        let server = network.host("server");
        let attacker = network.raw("attacker");
        let router = network.router("router");
        let (near, far) = (Link::new().delay(NEAR), Link::new().delay(FAR));
        let there = near.clone().rule(queries(mishap.clone(), tell));
        let back = near.rule(answers(mishap.clone()));
        network.link(resolver, router, there, back);
        network.link(router, server, far.clone(), far);
        network.link(attacker, router, Link::new(), Link::new());
        let lab = network.start()?;

        let raw = lab.raw(attacker);
        let forger = thread::spawn(move || {
            let mut random = Seeded(SEED);
            for (query, wrong) in told {
                for (place, wrong) in wrong.iter().enumerate() {
                    if place > 0 {
                        thread::sleep(PACE);
                    }
                    if let Ok(answer) = forge(&query, *wrong, raw.v4(), &mut random) {
                        raw.send(answer);
                    }
                }
            }
        });
        // ANCHOR_END: network

        let (resolver, server) = (lab.host(resolver), lab.host(server));
        let address = SocketAddr::from((server.v4(), PORT));
        let running = server.run(|| Server::start(Zone::parse(ZONE)?, address).map_err(boxed))?;
        let mut random = Seeded(SEED);
        let mut printed = String::new();
        let mut sequences = Vec::new();
        for (place, (name, qtype, what, figure)) in QUESTIONS.into_iter().enumerate() {
            *lock(&mishap) = what;
            let nobody = SocketAddr::from((server.v4(), PORT + 1));
            let servers = match place + 1 == QUESTIONS.len() {
                true => vec![nobody, address],
                false => vec![address],
            };
            let before = (lab.capture().crossings().len(), no_ports(&resolver));
            let name: NameBuf = name.parse()?;
            let (story, answer) = ask(&resolver, name, qtype, servers, &mut random);
            let unwanted = what.finds_no_socket();
            let deadline = Instant::now() + SOON;
            while no_ports(&resolver) - before.1 < unwanted {
                if Instant::now() > deadline {
                    return Err(format!("{name}: the kernel has not seen all that was sent").into());
                }
                thread::yield_now();
            }
            writeln!(printed, "{name} {qtype}{}", what.in_words())?;
            printed.push_str(&story);
            if unwanted > 0 {
                writeln!(printed, "  the kernel finds no socket for {unwanted} more")?;
            }
            writeln!(printed, "{answer}")?;
            if let Some(figure) = figure {
                let sequence = sequence(&lab.capture(), before.0, what)?;
                sequences.push((figure, sequence));
            }
        }
        let range = resolver.read_sysctl("net.ipv4.ip_local_port_range")?;
        let guesses = guesses(&range, &mut printed)?;
        drop(running);
        let report = lab.finish()?;
        forger.join().map_err(|_| "the attacker panicked")?;
        let tour = Self {
            printed,
            sequences,
            guesses,
        };
        Ok((tour, report))
    }
}

/// The port of DNS.
const PORT: u16 = 53;

fn boxed<E: Error + Send + Sync + 'static>(error: E) -> Box<dyn Error + Send + Sync> {
    Box::new(error)
}

fn lock(mishap: &Mutex<Mishap>) -> std::sync::MutexGuard<'_, Mishap> {
    mishap.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many datagrams the host has got for which there was no socket.
fn no_ports(host: &Host) -> i64 {
    host.counters()["UdpNoPorts"]
}

impl Mishap {
    fn in_words(self) -> &'static str {
        match self {
            Self::None => "",
            Self::LosesQuery => ", and the network loses the query",
            Self::DelaysAnswer => ", and the network delays the answer",
            Self::Forges([Wrong::Case]) => ", and an attacker knows all but the case",
            Self::Forges(_) => ", and an attacker gets one thing wrong in each of four answers",
        }
    }

    /// How many datagrams reach the resolver's host, and none of its sockets. When the case is wrong,
    /// this is the server's own answer: by then the same is asked over TCP.
    fn finds_no_socket(self) -> i64 {
        match self {
            Self::DelaysAnswer | Self::Forges([Wrong::Case]) => 1,
            Self::Forges(wrong) => {
                let outside = |wrong: &&Wrong| matches!(wrong, Wrong::Port | Wrong::Source);
                wrong.iter().filter(outside).count() as i64
            }
            _ => 0,
        }
    }
}

// ANCHOR: rules
/// What happens to queries on their way.
fn queries(
    mishap: Arc<Mutex<Mishap>>,
    tell: mpsc::Sender<(Packet, &'static [Wrong])>,
) -> impl FnMut(u64, &Packet) -> Verdict + Send {
    move |_, packet| {
        if packet.udp().is_none() {
            return Verdict::Pass;
        }
        let mut mishap = lock(&mishap);
        match *mishap {
            Mishap::LosesQuery => {
                *mishap = Mishap::None; // only the first
                Verdict::Drop
            }
            Mishap::Forges(wrong) => {
                // An attacker elsewhere would have to guess what this one is told.
                let _ = tell.send((packet.clone(), wrong));
                *mishap = Mishap::None;
                Verdict::Pass
            }
            _ => Verdict::Pass,
        }
    }
}

/// What happens to answers on theirs.
fn answers(mishap: Arc<Mutex<Mishap>>) -> impl FnMut(u64, &Packet) -> Verdict + Send {
    move |_, packet| {
        let mut mishap = lock(&mishap);
        if packet.udp().is_none() || *mishap != Mishap::DelaysAnswer {
            return Verdict::Pass;
        }
        *mishap = Mishap::None; // only the first
        Verdict::Delay(2 * FIRST_TIMEOUT)
    }
}
// ANCHOR_END: rules

// ANCHOR: ask
/// Asks on the resolver's host; gives what happened, and what came of it.
fn ask(
    host: &Host,
    name: NameBuf,
    qtype: Type,
    servers: Vec<SocketAddr>,
    random: &mut Seeded,
) -> (String, String) {
    let config = Config {
        first_timeout: FIRST_TIMEOUT,
        ..Config::new(servers)
    };
    host.run(|| {
        let started = Instant::now();
        let mut story = String::new();
        let watch = |event: Event| {
            let ms = started.elapsed().as_secs_f64() * 1e3;
            let _ = writeln!(story, "  {ms:7.1} ms  {}", in_words(&event));
        };
        let answer = match resolve(name, qtype, config, random, watch) {
            Ok(answer) => records(&answer),
            Err(failure) => format!("  {failure}\n"),
        };
        (story, answer)
    })
}
// ANCHOR_END: ask

/// What a resolver does or notices, in one line.
pub fn in_words(event: &Event) -> String {
    match event {
        Event::Sent(query) => format!(
            "ask over {}{}, ID {:#06x}, {}",
            query.transport,
            if query.edns { "" } else { " without EDNS" },
            query.id,
            query.name,
        ),
        Event::TimedOut => "no answer in time".to_owned(),
        Event::Unreachable(error) => format!("nobody is there: {error}"),
        Event::Refused(refusal) => format!("refuse an answer: {refusal}"),
        Event::Accepted(accepted) => match accepted {
            Accepted::Result => "answer".to_owned(),
            Accepted::Truncated => "answer, truncated".to_owned(),
            Accepted::WithoutEdns => "the server does not know EDNS".to_owned(),
            Accepted::Alias => "an alias, whose name the answer says nothing about".to_owned(),
            Accepted::NextServer(trouble) => format!("no help: {trouble}"),
        },
    }
}

/// An answer's records, as in a zone file, each on a line.
pub fn records(answer: &Answer) -> String {
    let mut lines = String::new();
    let _ = match answer {
        Answer::Found(found) => {
            for alias in &found.aliases {
                let _ = writeln!(lines, "  {alias} is an alias");
            }
            let records = found.records().map(|record| record.to_string());
            records.for_each(|mut line| {
                if line.len() > LINE {
                    line.truncate(line.floor_char_boundary(LINE));
                    line.push('…');
                }
                let _ = writeln!(lines, "  {line}");
            });
            Ok(())
        }
        Answer::NoSuchName { name } => writeln!(lines, "  {name} does not exist (NXDOMAIN)"),
        Answer::NoData { name } => writeln!(lines, "  {name} has no such records (NODATA)"),
    };
    lines
}

/// How much of a record is printed, in bytes.
const LINE: usize = 64;

/// What happened on the wire since the crossing of this number, as the two ends and the attacker see
/// it: the router only passes things on.
fn sequence(capture: &Capture, from: usize, mishap: Mishap) -> Outcome<Sequence> {
    let crossings = &capture.crossings()[from..];
    let start = crossings.first().map_or(Duration::ZERO, |first| first.sent);
    let us = |time: Duration| time.saturating_sub(start).as_micros() as u64;
    let mut sequence = Sequence::new();
    // The attacker on the left, so that the arrows do not cross.
    let mut hosts = [0; ROUTER];
    for place in [ATTACKER, RESOLVER, SERVER] {
        if place != ATTACKER || matches!(mishap, Mishap::Forges(_)) {
            hosts[place] = sequence.host(capture.name(place), None);
        }
    }
    let mut rest = 0;
    let mut forged = match mishap {
        Mishap::Forges(wrong) => wrong.iter(),
        _ => [].iter(),
    };
    for first in crossings.iter().filter(|first| first.to == ROUTER) {
        let Some((label, note)) = label(first, &mut rest)? else {
            continue;
        };
        let second = crossings.iter().find(|second| {
            second.from == ROUTER && second.sent >= first.sent && same(first, second)
        });
        let label = match first.from {
            ATTACKER => forged
                .next()
                .map_or(label, |wrong| forged_label(*wrong).to_owned()),
            _ => label,
        };
        let fate = if first.fate.arrives() {
            Fate::Arrived
        } else {
            Fate::Lost
        };
        let to = match first.from {
            RESOLVER => SERVER,
            _ => RESOLVER,
        };
        sequence.events.push(Step {
            at_us: us(first.sent),
            what: What::Message {
                from: hosts[first.from],
                to: hosts[to],
                label,
                note,
                arrived_us: second.and_then(|second| second.arrived).map(us),
                fate,
            },
        });
    }
    Ok(sequence)
}

/// What a forged answer is called in a figure.
const fn forged_label(wrong: Wrong) -> &'static str {
    match wrong {
        Wrong::Port => "forged: wrong port",
        Wrong::Source => "forged: wrong source",
        Wrong::Id => "forged: wrong ID",
        Wrong::Question => "forged: wrong question",
        Wrong::Case => "forged: wrong case",
    }
}

/// Whether it is the same packet on the next link: there it has another time to live, and so another
/// checksum.
fn same(first: &Crossing, second: &Crossing) -> bool {
    let (first, second) = (&first.bytes, &second.bytes);
    first.len() == second.len() && first[..8] == second[..8] && first[12..] == second[12..]
}

/// What a packet is called in a figure: DNS messages, and the handshake of TCP. Its plain
/// acknowledgements, its end, and ICMP are left out. `rest` is what a message over TCP still lacks.
fn label(crossing: &Crossing, rest: &mut usize) -> Outcome<Option<(String, Option<String>)>> {
    let packet = Packet::new(&crossing.bytes);
    let mut message = packet.payload();
    let named = |label: &str| Ok(Some((label.to_owned(), None)));
    let mut len = message.len();
    let port = match (packet.udp(), packet.tcp()) {
        (Some(udp), _) => udp.source_port,
        (_, Some(tcp)) if tcp.has(Tcp::SYN | Tcp::ACK) => return named("`SYN ACK`"),
        (_, Some(tcp)) if tcp.has(Tcp::SYN) => return named("`SYN`"),
        (_, Some(_)) if !message.is_empty() && *rest > 0 => {
            *rest = rest.saturating_sub(message.len());
            return named("rest of the answer");
        }
        (_, Some(tcp)) => {
            let Some((prefix, begun)) = message.split_first_chunk::<{ frame::PREFIX_LEN }>() else {
                return Ok(None);
            };
            len = u16::from_be_bytes(*prefix).into();
            *rest = len.saturating_sub(begun.len());
            message = begun;
            tcp.source_port
        }
        (None, None) => return Ok(None),
    };
    let Header { id, flags, .. } = Header::parse(message)?;
    Ok(Some(if flags.contains(Flags::QR) {
        let cut = if flags.contains(Flags::TC) {
            "answer, truncated"
        } else {
            "answer"
        };
        (
            cut.to_owned(),
            Some(format!("ID `{id:#06x}`, `{len}` bytes")),
        )
    } else {
        let asked = Message::parse(message)?.question();
        let name = asked.map(|question| question.name.to_string());
        let name = name.unwrap_or_default();
        let note = format!("`{name}`, ID `{id:#06x}`, from port `{port}`");
        ("query".to_owned(), Some(note))
    }))
}

/// The arithmetic of guessing, for the last name.
fn guesses(range: &str, printed: &mut String) -> Outcome<Table> {
    let name: NameBuf = "www.example.com".parse()?;
    let unknowns = Unknowns::new(range, &name).ok_or("no range of ports")?;
    let (bits, guesses) = (unknowns.bits(), unknowns.guesses());
    let mut table = Table::new([
        Column::words("the resolver draws"),
        Column::number("unknown", "bits"),
        Column::number("forged answers for each that fits", ""),
    ]);
    writeln!(
        printed,
        "What somebody has to guess who does not see the query for {name}:"
    )?;
    let mut known = 0.0;
    for ((what, bits), guesses) in ["the ID", "and the port", "and the case of the letters"]
        .into_iter()
        .zip(bits)
        .zip(guesses)
    {
        known += bits;
        writeln!(
            printed,
            "  {what:28} {known:4.1} bits, one in {}",
            grouped(guesses)
        )?;
        table = table.row([what.into(), format!("{known:.1}"), grouped(guesses)]);
    }
    Ok(table)
}

/// A whole number with its thousands set apart.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
