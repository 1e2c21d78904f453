//! A network in a vector: it loses, repeats and reorders what its seed wants, and somebody on it
//! forges answers. Time is a number that jumps to what happens next.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use udp_dns::Transport;
use udp_dns::random::Seeded;
use udp_dns::resolver::{Answer, Config, Failure, Lookup, Query, Step};
use udp_dns::server::answer;
use udp_dns::zone::Zone;
use udp_dns_message::{
    Class, Flags, HEADER_LEN, Header, MAX_MESSAGE_LEN, Message, NameBuf, Question, Rcode, Rdata,
    Record, Section, Type, Writer,
};

/// Where every forged answer leads.
pub const POISON: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 66);

/// What goes wrong, and how often.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// Of each datagram, in each direction.
    pub loss: f64,
    /// Of each datagram that is not lost.
    pub duplicates: f64,
    /// Of each answer: it takes [`LATE`] longer at most, so that others overtake it.
    pub reordered: f64,
    /// Forged answers for each query over UDP.
    pub forged: usize,
}

/// The bar: a tenth of everything.
pub const HOSTILE: Faults = Faults {
    loss: 0.1,
    duplicates: 0.1,
    reordered: 0.1,
    forged: 5,
};

/// From the resolver to a server, or back.
const DELAY: Duration = Duration::from_millis(20);

/// How much later an answer may be, or a forged one may come.
const LATE: Duration = Duration::from_millis(1500);

/// The kernel's range of ports.
const PORTS: std::ops::Range<u16> = 32_768..61_000;

/// The servers, in the order of their addresses.
pub const SERVERS: [Quirk; 3] = [Quirk::None, Quirk::NoEdns, Quirk::LowerCase];

/// What is special about a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quirk {
    None,
    /// It is older than EDNS.
    NoEdns,
    /// It does not keep the case of the question.
    LowerCase,
}

/// What is wrong with a forged answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Forgery {
    Id,
    Port,
    Source,
    SourcePort,
    Name,
    Type,
    Case,
    NotAnAnswer,
    Cut,
    Garbage,
    /// ID, port and case are guessed.
    Blind,
    /// Right in every way, for the query before this one.
    Stale,
}

const FORGERIES: [Forgery; 12] = [
    Forgery::Id,
    Forgery::Port,
    Forgery::Source,
    Forgery::SourcePort,
    Forgery::Name,
    Forgery::Type,
    Forgery::Case,
    Forgery::NotAnAnswer,
    Forgery::Cut,
    Forgery::Garbage,
    Forgery::Blind,
    Forgery::Stale,
];

/// A datagram, or a message of a connection, on its way to the resolver.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Delivery {
    at: Duration,
    /// So that two of one time keep their order.
    number: u64,
    from: SocketAddr,
    transport: Transport,
    port: u16,
    bytes: Vec<u8>,
    forged: bool,
}

/// What was seen.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// Queries sent, over UDP and TCP.
    pub queries: usize,
    /// Of these, over TCP.
    pub over_tcp: usize,
    /// Queries and answers that were lost.
    pub lost: usize,
    /// Forged answers by what is wrong with them.
    pub forged: BTreeMap<Forgery, usize>,
    /// Messages that arrived where no socket was, the forged among them, and messages that were
    /// refused, by reason.
    pub no_socket: usize,
    pub no_socket_forged: usize,
    pub refused: BTreeMap<&'static str, usize>,
    pub refused_forged: usize,
    /// Forged messages that were taken for an answer. One is too many.
    pub accepted_forged: usize,
    /// The longest that one name took, and the most queries.
    pub longest: Duration,
    pub most_queries: usize,
}

/// The network, three servers on it, and somebody who forges.
pub struct Network<'z> {
    zone: &'z Zone,
    faults: Faults,
    random: Seeded,
    now: Duration,
    under_way: BinaryHeap<Reverse<Delivery>>,
    number: u64,
    before: Option<(Query, u16)>,
    pub tally: Tally,
}

/// The address of a server.
pub fn address(server: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 53 + server as u8], 53))
}

impl<'z> Network<'z> {
    pub fn new(zone: &'z Zone, faults: Faults, seed: u64) -> Self {
        Self {
            zone,
            faults,
            random: Seeded(seed),
            now: Duration::ZERO,
            under_way: BinaryHeap::new(),
            number: 0,
            before: None,
            tally: Tally::default(),
        }
    }

    /// Resolves one name, beginning with this server.
    pub fn resolve(&mut self, name: NameBuf, qtype: Type, first: usize) -> Result<Answer, Failure> {
        let servers: Vec<SocketAddr> = (0..SERVERS.len())
            .map(|place| address((first + place) % SERVERS.len()))
            .collect();
        let config = Config::new(servers);
        let total = config.total;
        let random = Seeded(self.random.draw());
        let mut lookup = Lookup::new(name, qtype, config, random);
        let started = self.now;
        let mut socket: Option<(Transport, u16)> = None;
        loop {
            match lookup.poll(self.now) {
                Step::Done(result) => {
                    let took = self.now - started;
                    assert!(took <= total, "{name}: {took:?}");
                    self.tally.longest = self.tally.longest.max(took);
                    self.tally.most_queries = self.tally.most_queries.max(lookup.attempts());
                    return result;
                }
                Step::Send { query, until } => {
                    assert!(until > self.now, "{name}: waits for nothing");
                    let span = u64::from(PORTS.end - PORTS.start);
                    let port = PORTS.start + self.random.below(span) as u16;
                    socket = Some((query.transport, port));
                    self.send(&query, port);
                }
                Step::Wait(until) => {
                    let next = self.under_way.peek().map(|Reverse(next)| next.at);
                    if next.is_none_or(|next| next > until) {
                        self.now = until;
                        continue;
                    }
                    let Some(Reverse(delivery)) = self.under_way.pop() else {
                        continue;
                    };
                    self.now = self.now.max(delivery.at);
                    let Delivery { from, forged, .. } = delivery;
                    if socket != Some((delivery.transport, delivery.port)) {
                        self.tally.no_socket += 1;
                        self.tally.no_socket_forged += usize::from(forged);
                        continue;
                    }
                    match lookup.received(from, &delivery.bytes) {
                        Ok(_) => self.tally.accepted_forged += usize::from(forged),
                        Err(refusal) => {
                            *self.tally.refused.entry(refusal.name()).or_default() += 1;
                            self.tally.refused_forged += usize::from(forged);
                        }
                    }
                }
            }
        }
    }

    fn chance(&mut self, probability: f64) -> bool {
        (self.random.below(1 << 53) as f64) < probability * (1_u64 << 53) as f64
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        Duration::from_nanos(self.random.below(most.as_nanos() as u64))
    }

    fn deliver(&mut self, mut delivery: Delivery) {
        self.number += 1;
        delivery.number = self.number;
        self.under_way.push(Reverse(delivery));
    }

    fn send(&mut self, query: &Query, port: u16) {
        self.tally.queries += 1;
        let delivery = Delivery {
            at: self.now,
            number: 0,
            from: query.server,
            transport: query.transport,
            port,
            bytes: Vec::new(),
            forged: false,
        };
        if query.transport == Transport::Tcp {
            self.tally.over_tcp += 1;
            let at = self.now + 4 * DELAY;
            let bytes = self.answer(query);
            return self.deliver(Delivery {
                at,
                bytes,
                ..delivery
            });
        }
        for _ in 0..self.faults.forged {
            self.forge(query, port);
        }
        self.before = Some((query.clone(), port));
        for _ in 0..self.copies() {
            for _ in 0..self.copies() {
                let reordered = self.chance(self.faults.reordered);
                let late = if reordered {
                    self.up_to(LATE)
                } else {
                    Duration::ZERO
                };
                let at = self.now + 2 * DELAY + late;
                let bytes = self.answer(query);
                self.deliver(Delivery {
                    at,
                    bytes,
                    ..delivery.clone()
                });
            }
        }
    }

    /// What arrives of one datagram: none, one, or two.
    fn copies(&mut self) -> usize {
        if self.chance(self.faults.loss) {
            self.tally.lost += 1;
            return 0;
        }
        1 + usize::from(self.chance(self.faults.duplicates))
    }

    /// What the server answers.
    fn answer(&self, query: &Query) -> Vec<u8> {
        let server = (0..SERVERS.len()).find(|&server| address(server) == query.server);
        let quirk = server.map_or(Quirk::None, |server| SERVERS[server]);
        if quirk == Quirk::NoEdns && query.edns {
            let header = Header {
                flags: Flags::QR,
                rcode: Rcode::FORMERR,
                ..Header::query(query.id)
            };
            let mut buffer = [0; HEADER_LEN];
            return Writer::new(&mut buffer, header, None)
                .unwrap()
                .finish()
                .to_vec();
        }
        let mut room = [0; MAX_MESSAGE_LEN];
        let answer = answer(self.zone, &query.bytes, query.transport, &mut room);
        let mut answer = answer.expect("a query has an answer").to_vec();
        if quirk == Quirk::LowerCase {
            let end = HEADER_LEN + query.name.as_wire().len();
            answer[HEADER_LEN..end].make_ascii_lowercase(); // lengths are below the letters
        }
        answer
    }

    /// Sends the resolver an answer that is right but for one thing.
    fn forge(&mut self, query: &Query, port: u16) {
        // A wrong case makes for TCP, and is rare, so that the other forgeries have their chance.
        let mut kind = FORGERIES[self.random.below(FORGERIES.len() as u64) as usize];
        if kind == Forgery::Case && !self.chance(0.1) {
            kind = Forgery::Id;
        }
        let (mut query, mut port) = (query.clone(), port);
        let mut header = Header {
            flags: Flags::QR | Flags::AA,
            ..Header::query(0)
        };
        let mut from = query.server;
        match kind {
            Forgery::Id => query.id ^= 1 + self.random.below(0xffff) as u16,
            Forgery::Port => port ^= 1 + self.random.below(0xffff) as u16,
            Forgery::Source => from.set_ip(Ipv4Addr::new(203, 0, 113, 66).into()),
            Forgery::SourcePort => from.set_port(5353),
            Forgery::Name => query.name = "other.example.net".parse().unwrap(),
            Forgery::Type => query.qtype = Type(query.qtype.0 ^ 1),
            Forgery::Case => {
                let (name, letters) = (query.name, letters(&query.name));
                let which = letters[self.random.below(letters.len() as u64) as usize];
                query.name =
                    name.map_case(|at| name.as_wire()[at].is_ascii_uppercase() != (at == which));
            }
            Forgery::NotAnAnswer => header.flags = Flags::NONE,
            Forgery::Cut | Forgery::Garbage => {}
            Forgery::Blind => {
                query.id = self.random.draw() as u16;
                port = PORTS.start + self.random.below(u64::from(PORTS.end - PORTS.start)) as u16;
                let upper = self.random.draw();
                query.name = query.name.map_case(|at| upper >> (at % 64) & 1 == 1);
            }
            Forgery::Stale => match &self.before {
                // Sent to the port of now, else there would be nobody.
                Some((before, _)) if before.id != query.id => query = before.clone(),
                _ => return,
            },
        }
        header.id = query.id;
        let mut bytes = poisoned(header, &query);
        match kind {
            Forgery::Cut => bytes.truncate(bytes.len() - 1),
            Forgery::Garbage => {
                let end = bytes.len();
                for byte in &mut bytes[HEADER_LEN..end] {
                    *byte = 0xc0; // pointers that lead nowhere
                }
            }
            _ => {}
        }
        *self.tally.forged.entry(kind).or_default() += 1;
        // Most are there before the server's answer; some come when another query is under way.
        let wait = if self.chance(0.9) { 2 * DELAY } else { LATE };
        let at = self.now + self.up_to(wait);
        self.deliver(Delivery {
            at,
            number: 0,
            from,
            transport: Transport::Udp,
            port,
            bytes,
            forged: true,
        });
    }
}

/// Where the letters of a name are, among its bytes.
fn letters(name: &NameBuf) -> Vec<usize> {
    let bytes = name.as_wire().iter().enumerate();
    bytes
        .filter(|(_, byte)| byte.is_ascii_alphabetic())
        .map(|(at, _)| at)
        .collect()
}

/// An answer that leads to [`POISON`].
fn poisoned(header: Header, query: &Query) -> Vec<u8> {
    let mut buffer = [0; 1024];
    let mut writer = Writer::new(&mut buffer, header, None).unwrap();
    let name = query.name.name();
    let question = Question {
        name,
        qtype: query.qtype,
        class: Class::IN,
    };
    writer.question(&question).unwrap();
    let record = Record {
        name,
        class: Class::IN,
        ttl: 86_400,
        rdata: Rdata::A(POISON),
    };
    writer.record(Section::Answer, &record).unwrap();
    let bytes = writer.finish().to_vec();
    assert!(Message::parse(&bytes).is_ok());
    bytes
}
