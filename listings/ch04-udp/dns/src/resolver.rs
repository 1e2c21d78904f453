//! The resolver as a state machine: bytes in, queries and a result out, time passed in.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use udp_dns_message::{
    Class, Edns, Error, Flags, HEADER_LEN, Header, MAX_NAME_LEN, Message, Name, NameBuf, Opcode,
    Question, Rcode, Rdata, Record, Type, Writer,
};

use crate::Transport;
use crate::random::Random;

/// What the resolver takes in a datagram, in bytes: what fits into every IPv6 packet that nobody
/// need fragment, 1,280 less the headers of IPv6 and UDP.
pub const UDP_PAYLOAD_SIZE: u16 = 1280 - 40 - 8;

/// The longest query, in bytes: a header, one question, an OPT without options.
pub const MAX_QUERY_LEN: usize = HEADER_LEN + MAX_NAME_LEN + 4 + 11;

/// How many names an alias may lead on to. Chains in use have one or two; a loop has no end.
pub const MAX_ALIASES: usize = 16;

/// After how many datagrams that are no answer a query is asked again over TCP (RFC 5452 §9.3). An
/// attacker has so many guesses at a port, whatever they send. Mistakes and duplicates are fewer.
pub const MAX_REFUSED: usize = 16;

// ANCHOR: config
/// Whom to ask, and how patiently.
#[derive(Debug, Clone)]
pub struct Config {
    /// In the order in which they are asked.
    pub servers: Vec<SocketAddr>,
    /// How long to wait for the first answer. Doubles whenever all servers have been asked.
    pub first_timeout: Duration,
    /// Where doubling ends.
    pub longest_timeout: Duration,
    /// How many queries to send at most, for one name with all its aliases.
    pub attempts: usize,
    /// How long all of it may take.
    pub total: Duration,
}

impl Config {
    /// The usual patience: a second, as one waits where the round trip is not known
    /// (RFC 8085 §3.1.1), ten queries, half a minute.
    #[must_use]
    pub fn new(servers: impl Into<Vec<SocketAddr>>) -> Self {
        Self {
            servers: servers.into(),
            first_timeout: Duration::from_secs(1),
            longest_timeout: Duration::from_secs(8),
            attempts: 10,
            total: Duration::from_secs(30),
        }
    }
}
// ANCHOR_END: config

// ANCHOR: query
/// A query as it is to be sent: from a socket of its own, whose port the kernel draws.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// To whom.
    pub server: SocketAddr,
    /// On what.
    pub transport: Transport,
    /// Drawn for this query.
    pub id: u16,
    /// With letters in the case that was drawn for this query.
    pub name: NameBuf,
    /// Which records.
    pub qtype: Type,
    /// Whether it has an OPT.
    pub edns: bool,
    /// The message.
    pub bytes: Vec<u8>,
}
// ANCHOR_END: query

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Close the socket of the query before, open a new one, send this.
    Send {
        /// What, and to whom.
        query: Query,
        /// How long to wait for an answer.
        until: Duration,
    },
    /// Wait until then for an answer; [`Lookup::poll`] again at the latest then.
    Wait(Duration),
    /// It is over.
    Done(Result<Answer, Failure>),
}

/// What was found out about the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// There are such records.
    Found(Found),
    /// The name does not exist (NXDOMAIN), nor does any below it.
    NoSuchName {
        /// Where the chain of aliases led.
        name: NameBuf,
    },
    /// The name exists and has no records of that type (NODATA).
    NoData {
        /// Where the chain of aliases led.
        name: NameBuf,
    },
}

/// Records, in the message that brought them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The names that were followed on the way, from the one that was asked for.
    pub aliases: Vec<NameBuf>,
    /// The name that has the records.
    pub name: NameBuf,
    qtype: Type,
    message: Vec<u8>,
}

impl Found {
    /// The records, which are of the name and the type that were asked for. What else the message
    /// has is nobody's business.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let message = Message::parse(&self.message).ok();
        message
            .into_iter()
            .flat_map(|message| message.answers())
            .filter(|record| is_of(record, self.name.name(), self.qtype))
    }
}

/// Whether a record answers a question.
fn is_of(record: &Record, name: Name, qtype: Type) -> bool {
    let wanted = record.rtype() == qtype || qtype == Type::ANY;
    wanted && record.class == Class::IN && record.name == name
}

/// Why nothing was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// There is nobody to ask.
    NoServers,
    /// Time or attempts ran out; this is what became of the last query.
    Exhausted {
        /// How many queries were sent.
        attempts: usize,
        /// What became of the last.
        last: Trouble,
    },
    /// More than [`MAX_ALIASES`] aliases, or an alias that leads back.
    AliasesWithoutEnd {
        /// Where the resolver gave up.
        name: Box<NameBuf>,
    },
    /// There are no random numbers.
    NoRandomNumbers(io::ErrorKind),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoServers => f.write_str("there is no server to ask"),
            Self::Exhausted { attempts, last } => {
                write!(f, "no answer to {attempts} queries; the last: {last}")
            }
            Self::AliasesWithoutEnd { name } => {
                write!(f, "the aliases have no end; the last: {name}")
            }
            Self::NoRandomNumbers(kind) => write!(f, "there are no random numbers: {kind}"),
        }
    }
}

impl std::error::Error for Failure {}

/// What became of a query that brought no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing came in time.
    Timeout,
    /// The server's host, or one on the way, says that nobody is there.
    Unreachable,
    /// The server does not want to, or cannot.
    Rcode(Rcode),
    /// The server names others who might know: a stub resolver asks only those that it was given.
    Referral,
    /// The message over TCP is truncated, or none.
    Broken,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no answer in time"),
            Self::Unreachable => f.write_str("nobody is there"),
            Self::Rcode(rcode) => write!(f, "{rcode}"),
            Self::Referral => f.write_str("a referral"),
            Self::Broken => f.write_str("no whole message"),
        }
    }
}

// ANCHOR: refusal
/// Why a message is no answer to the query (RFC 5452 §9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No query is waiting: it is late, or a second copy.
    NotWaiting,
    /// It came from another address or port than the query went to.
    WrongSource,
    /// It is no message, or a broken one.
    Malformed(Error),
    /// It is a question, or answers none of this kind.
    NotAnAnswer,
    /// It has another ID.
    WrongId,
    /// It answers another question.
    WrongQuestion,
    /// Its question has the letters, but not their case.
    WrongCase,
}
// ANCHOR_END: refusal

impl Refusal {
    /// All reasons but for [`Malformed`](Self::Malformed), which has many, by name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotWaiting => "late or a duplicate",
            Self::WrongSource => "wrong source",
            Self::Malformed(_) => "malformed",
            Self::NotAnAnswer => "not an answer",
            Self::WrongId => "wrong ID",
            Self::WrongQuestion => "wrong question",
            Self::WrongCase => "wrong case",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "malformed: {error}"),
            other => f.write_str(other.name()),
        }
    }
}

/// What an answer led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// The result.
    Result,
    /// It is truncated: the same again over TCP.
    Truncated,
    /// The server does not know EDNS: the same again without.
    WithoutEdns,
    /// It gives an alias, and nothing of where that leads: another question.
    Alias,
    /// The server is of no help: on to the next.
    NextServer(Trouble),
}

/// One server, and what was learnt about it.
#[derive(Debug, Clone, Copy)]
struct Server {
    address: SocketAddr,
    edns: bool,
}

// ANCHOR: lookup
/// One name on its way to its records.
#[derive(Debug)]
pub struct Lookup<R> {
    config: Config,
    random: R,
    qtype: Type,
    /// The name that is asked for now, and those that led to it.
    name: NameBuf,
    aliases: Vec<NameBuf>,
    servers: Vec<Server>,
    /// Which of them is asked next.
    turn: usize,
    /// How many turns have been over.
    turns: usize,
    attempts: usize,
    started: Option<Duration>,
    last: Trouble,
    state: State,
}

#[derive(Debug)]
enum State {
    /// A query is to be sent.
    Ready(Transport),
    /// One was sent, and until when it may be answered.
    Waiting {
        query: Query,
        until: Duration,
        refused: usize,
    },
    Done(Result<Answer, Failure>),
}
// ANCHOR_END: lookup

impl<R: Random> Lookup<R> {
    /// To find the records of this type that the name has.
    pub fn new(name: NameBuf, qtype: Type, config: Config, random: R) -> Self {
        let with_edns = |&address: &SocketAddr| Server {
            address,
            edns: true,
        };
        let state = match config.servers.is_empty() {
            true => State::Done(Err(Failure::NoServers)),
            false => State::Ready(Transport::Udp),
        };
        Self {
            servers: config.servers.iter().map(with_edns).collect(),
            config,
            random,
            qtype,
            name,
            aliases: Vec::new(),
            turn: 0,
            turns: 0,
            attempts: 0,
            started: None,
            last: Trouble::Timeout,
            state,
        }
    }

    /// How many queries there have been.
    #[must_use]
    pub const fn attempts(&self) -> usize {
        self.attempts
    }

    // ANCHOR: poll
    /// What is to be done now. `now` counts from any one moment, and never goes back.
    pub fn poll(&mut self, now: Duration) -> Step {
        let deadline = *self.started.get_or_insert(now) + self.config.total;
        let transport = match &self.state {
            State::Ready(transport) => *transport,
            State::Waiting { until, .. } if now < *until => return Step::Wait(*until),
            State::Waiting { .. } => self.next_server(Trouble::Timeout),
            State::Done(result) => return Step::Done(result.clone()),
        };
        if self.attempts == self.config.attempts || now >= deadline {
            let (attempts, last) = (self.attempts, self.last);
            return self.done(Err(Failure::Exhausted { attempts, last }));
        }
        let query = match self.query(transport) {
            Ok(query) => query,
            Err(error) => return self.done(Err(Failure::NoRandomNumbers(error.kind()))),
        };
        self.attempts += 1;
        let until = (now + self.timeout(transport)).min(deadline);
        self.state = State::Waiting {
            query: query.clone(),
            until,
            refused: 0,
        };
        Step::Send { query, until }
    }

    /// Doubles with every round of all servers. TCP takes a round trip more.
    fn timeout(&self, transport: Transport) -> Duration {
        let rounds = (self.turns / self.servers.len()).min(16); // 65,536 times are enough
        let timeout = self.config.first_timeout.saturating_mul(1 << rounds);
        let round_trips = match transport {
            Transport::Udp => 1,
            Transport::Tcp => 2,
        };
        timeout.min(self.config.longest_timeout) * round_trips
    }
    // ANCHOR_END: poll

    fn done(&mut self, result: Result<Answer, Failure>) -> Step {
        self.state = State::Done(result.clone());
        Step::Done(result)
    }

    /// On to the next, which is asked over UDP first.
    fn next_server(&mut self, trouble: Trouble) -> Transport {
        self.last = trouble;
        self.turn = (self.turn + 1) % self.servers.len();
        self.turns += 1;
        self.state = State::Ready(Transport::Udp);
        Transport::Udp
    }

    // ANCHOR: draw
    /// Each query is drawn anew, also when one is repeated: were two of a kind under way, a forged
    /// answer would hit one of them twice as easily (RFC 5452 §5).
    fn query(&mut self, transport: Transport) -> io::Result<Query> {
        let Server { address, edns } = self.servers[self.turn];
        let id = self.random.next()? as u16;
        let mut upper = [0; MAX_NAME_LEN.div_ceil(64)];
        for bits in &mut upper {
            *bits = self.random.next()?;
        }
        let name = self
            .name
            .map_case(|index| upper[index / 64] >> (index % 64) & 1 == 1);

        let mut buffer = [0; MAX_QUERY_LEN];
        let edns_or_not = edns.then(|| Edns::new(UDP_PAYLOAD_SIZE));
        let question = Question {
            name: name.name(),
            qtype: self.qtype,
            class: Class::IN,
        };
        let mut writer =
            Writer::new(&mut buffer, Header::query(id), edns_or_not).map_err(io::Error::other)?;
        writer.question(&question).map_err(io::Error::other)?;
        Ok(Query {
            server: address,
            transport,
            id,
            qtype: self.qtype,
            edns,
            bytes: writer.finish().to_vec(),
            name,
        })
    }
    // ANCHOR_END: draw

    // ANCHOR: received
    /// Takes what arrived on the query's socket, and from whom.
    ///
    /// # Errors
    ///
    /// Why it is no answer. The query goes on waiting, unless somebody seems to be guessing: then
    /// the same is asked over TCP, where a stranger's guess would have to hit the numbers of a
    /// connection, too.
    pub fn received(&mut self, from: SocketAddr, bytes: &[u8]) -> Result<Accepted, Refusal> {
        let State::Waiting { query, refused, .. } = &mut self.state else {
            return Err(Refusal::NotWaiting);
        };
        let message = match query.answered_by(from, bytes) {
            Ok(message) => message,
            Err(refusal) => {
                *refused += 1;
                let guessing = *refused >= MAX_REFUSED || refusal == Refusal::WrongCase;
                match (query.transport, guessing) {
                    (Transport::Udp, true) => self.state = State::Ready(Transport::Tcp),
                    (Transport::Udp, false) => {}
                    // The server itself says so, and nothing else will come from it.
                    (Transport::Tcp, _) => {
                        self.next_server(Trouble::Broken);
                    }
                }
                return Err(refusal);
            }
        };
        let (transport, edns) = (query.transport, query.edns);
        Ok(self.accept(&message, transport, edns))
    }
    // ANCHOR_END: received

    /// Takes the news that nobody is there: an ICMP error, or a connection that was refused or broke.
    pub fn unreachable(&mut self) {
        if matches!(self.state, State::Waiting { .. }) {
            self.next_server(Trouble::Unreachable);
        }
    }

    // ANCHOR: accept
    /// Does what an answer says. It is one: [`Query::answered_by`] has checked.
    fn accept(&mut self, message: &Message, transport: Transport, edns: bool) -> Accepted {
        let header = message.header();
        if header.flags.contains(Flags::TC) {
            if transport == Transport::Tcp {
                self.next_server(Trouble::Broken);
                return Accepted::NextServer(Trouble::Broken);
            }
            self.state = State::Ready(Transport::Tcp);
            return Accepted::Truncated;
        }
        match header.rcode {
            Rcode::NOERROR | Rcode::NXDOMAIN => self.follow(message),
            // A server from before EDNS takes the OPT for a mistake (RFC 6891 §7).
            Rcode::FORMERR | Rcode::NOTIMP | Rcode::BADVERS if edns => {
                self.servers[self.turn].edns = false;
                self.state = State::Ready(transport);
                Accepted::WithoutEdns
            }
            rcode => {
                self.next_server(Trouble::Rcode(rcode));
                Accepted::NextServer(Trouble::Rcode(rcode))
            }
        }
    }
    // ANCHOR_END: accept

    // ANCHOR: follow
    /// Goes from alias to alias through the answer. Only records of the name asked for count, and of
    /// those that it leads to: whatever else the message brings was not asked for.
    fn follow(&mut self, message: &Message) -> Accepted {
        let asked = self.name;
        loop {
            let (name, qtype) = (self.name, self.qtype);
            if message
                .answers()
                .any(|record| is_of(&record, name.name(), qtype))
            {
                let found = Found {
                    aliases: std::mem::take(&mut self.aliases),
                    name,
                    qtype,
                    message: message.as_bytes().to_vec(),
                };
                self.done(Ok(Answer::Found(found)));
                return Accepted::Result;
            }
            let alias = message.answers().find_map(|record| match record.rdata {
                Rdata::Cname(target) if is_of(&record, name.name(), Type::CNAME) => Some(target),
                _ => None,
            });
            let Some(target) = alias else { break };
            let target = target.to_buf();
            let again = target == name || self.aliases.contains(&target);
            if again || self.aliases.len() == MAX_ALIASES {
                let name = Box::new(target);
                self.done(Err(Failure::AliasesWithoutEnd { name }));
                return Accepted::Result;
            }
            self.aliases.push(name);
            self.name = target;
        }
        self.without_records(message, self.name != asked)
    }

    /// The answer ends at a name without records: what does that mean?
    fn without_records(&mut self, message: &Message, by_alias: bool) -> Accepted {
        let (header, name) = (message.header(), self.name);
        let of = |rtype| {
            let mut records = message.authorities();
            records.find(|record| record.rtype() == rtype)
        };
        // The code is that of the last name (RFC 6604 §3).
        if header.rcode == Rcode::NXDOMAIN {
            self.done(Ok(Answer::NoSuchName { name }));
            return Accepted::Result;
        }
        // NODATA comes with the zone's SOA (RFC 2308 §2.2). If it is the zone of the last name, that
        // name has been looked for; if not, the server has not gone so far, and is asked again.
        let in_zone = of(Type::SOA).is_some_and(|soa| name.name().is_at_or_below(soa.name));
        if !in_zone && by_alias {
            self.state = State::Ready(Transport::Udp);
            return Accepted::Alias;
        }
        let referral = of(Type::SOA).is_none() && of(Type::NS).is_some();
        if referral && !header.flags.contains(Flags::AA) {
            self.next_server(Trouble::Referral);
            return Accepted::NextServer(Trouble::Referral);
        }
        self.done(Ok(Answer::NoData { name }));
        Accepted::Result
    }
    // ANCHOR_END: follow
}

impl Query {
    // ANCHOR: answered-by
    /// The message, if it is an answer to this query. That it reached the query's own port, the
    /// kernel has seen to.
    ///
    /// # Errors
    ///
    /// The first rule of RFC 5452 §9.1 that it breaks.
    pub fn answered_by<'m>(
        &self,
        from: SocketAddr,
        bytes: &'m [u8],
    ) -> Result<Message<'m>, Refusal> {
        if from != self.server {
            return Err(Refusal::WrongSource);
        }
        let header = Header::parse(bytes).map_err(Refusal::Malformed)?;
        if header.id != self.id {
            return Err(Refusal::WrongId);
        }
        if !header.flags.contains(Flags::QR) || header.opcode != Opcode::QUERY {
            return Err(Refusal::NotAnAnswer);
        }
        let message = Message::parse(bytes).map_err(Refusal::Malformed)?;
        let Some(question) = message.question() else {
            // Who did not understand the question may leave it out.
            let complains = matches!(header.rcode, Rcode::FORMERR | Rcode::NOTIMP);
            return match complains && message.questions().next().is_none() {
                true => Ok(message),
                false => Err(Refusal::WrongQuestion),
            };
        };
        let name = self.name.name();
        let same = (question.name, question.qtype, question.class) == (name, self.qtype, Class::IN);
        if !same {
            return Err(Refusal::WrongQuestion);
        }
        // Over TCP nobody guesses, and some servers answer in lower case.
        if self.transport == Transport::Udp && !question.name.eq_case(name) {
            return Err(Refusal::WrongCase);
        }
        Ok(message)
    }
    // ANCHOR_END: answered-by
}
