//! A tiny authoritative server: one zone, answered from memory.
//!
//! [`answer`] is all of the protocol: the bytes of a query in, the bytes of an answer out. [`Server`]
//! is the edge, where these bytes come from sockets.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use udp_dns_message::{
    Class, Edns, Flags, Header, MAX_MESSAGE_LEN, Message, Name, NameBuf, Opcode, Question, Rcode,
    Rdata, Record, Section, Type, Writer, frame,
};

use crate::Transport;
use crate::zone::{Data, Entry, Found, Zone};

/// The longest answer in a datagram when the question has no EDNS (RFC 1035 §4.2.1).
const PLAIN_UDP_LEN: usize = 512;

/// The longest answer in a datagram, and what we say that we can take: no path that is worth its name
/// makes fragments of it (IPv6's least MTU of 1,280 bytes, less the headers).
pub const UDP_PAYLOAD_SIZE: u16 = 1232;

/// How many CNAMEs an answer follows: more are a mistake.
const MAX_CHAIN: usize = 8;

// ANCHOR: answer
/// Answers a query from `zone`; `None` where silence is the answer.
///
/// Any bytes are a query here. What is no message gets FORMERR as soon as it has a header, so that
/// its sender knows which; what is itself an answer gets nothing, lest two servers answer each other
/// for ever.
pub fn answer<'o>(
    zone: &Zone,
    query: &[u8],
    transport: Transport,
    room: &'o mut [u8; MAX_MESSAGE_LEN],
) -> Option<&'o [u8]> {
    let header = Header::parse(query).ok()?;
    if header.flags.contains(Flags::QR) {
        return None;
    }
    let message = Message::parse(query).ok();
    let edns = message.and_then(|message| message.edns());
    let (rcode, question) = match judge(header, message.as_ref()) {
        Ok(question) => (Rcode::NOERROR, Some(question)),
        Err(rcode) => (rcode, message.and_then(|message| message.question())),
    };
    // RD is copied; RA is not set: who wants others to be asked must ask others.
    let rd = Flags::RD.bits() & header.flags.bits();
    let header = Header {
        flags: if rd == 0 {
            Flags::QR
        } else {
            Flags::QR | Flags::RD
        },
        rcode,
        ..header
    };
    // The answer has an OPT if the question had one (RFC 6891 §6.1.1); DO is copied (RFC 3225 §3).
    let own = edns.map(|edns| Edns {
        dnssec_ok: edns.dnssec_ok,
        ..Edns::new(UDP_PAYLOAD_SIZE)
    });
    let limit = match (transport, edns) {
        (Transport::Tcp, _) => MAX_MESSAGE_LEN,
        (Transport::Udp, None) => PLAIN_UDP_LEN,
        (Transport::Udp, Some(edns)) => {
            usize::from(edns.udp_payload_size.min(UDP_PAYLOAD_SIZE)).max(PLAIN_UDP_LEN)
        }
    };
    let mut writer = Writer::new(&mut room[..limit], header, own).ok()?;
    // 255 bytes of name and 4 more fit into the least limit.
    question.and_then(|question| writer.question(&question).ok());
    if rcode == Rcode::NOERROR
        && let Some(question) = question
    {
        Answer {
            zone,
            writer: &mut writer,
        }
        .fill(question);
    }
    Some(writer.finish())
}

/// The question, if it is one that can be answered; else what to say instead.
fn judge<'q>(header: Header, message: Option<&Message<'q>>) -> Result<Question<'q>, Rcode> {
    // Another operation has other sections: it is not ours to find mistakes in them.
    if header.opcode != Opcode::QUERY {
        return Err(Rcode::NOTIMP);
    }
    let message = message.ok_or(Rcode::FORMERR)?;
    if message.edns().is_some_and(|edns| edns.version > 0) {
        return Err(Rcode::BADVERS);
    }
    // Exactly one (RFC 9619 §4).
    let question = message.question().ok_or(Rcode::FORMERR)?;
    match question {
        Question {
            class: Class::IN,
            qtype,
            ..
        } if !is_transfer(qtype) => Ok(question),
        _ => Err(Rcode::REFUSED),
    }
}
// ANCHOR_END: answer

/// Whether the whole zone is asked for.
fn is_transfer(qtype: Type) -> bool {
    matches!(qtype, Type::AXFR | Type::IXFR)
}

/// An answer in the making.
struct Answer<'a, 'b> {
    zone: &'a Zone,
    writer: &'a mut Writer<'b>,
}

/// A set of records did not fit.
struct Full;

impl<'a> Answer<'a, '_> {
    fn fill(&mut self, question: Question) {
        // What does not fit is left out, and TC says so; additional records nobody misses.
        if let Err(Full) = self.sections(question) {
            self.writer.truncated();
        }
    }

    // ANCHOR: sections
    fn sections(&mut self, Question { name, qtype, .. }: Question) -> Result<(), Full> {
        let mut name = name.to_buf();
        let mut chain = vec![name];
        let mut hosts: Vec<Name> = Vec::new();
        for links in 0..MAX_CHAIN {
            let entries = match self.zone.find(name.name()) {
                Found::Outside if links == 0 => {
                    self.rcode(Rcode::REFUSED);
                    return Ok(());
                }
                // The chain has left the zone. The rest is for who asked.
                Found::Outside => break,
                // Of a cut's own keys the upper zone speaks (RFC 4035 §3.1.4.1): there are none.
                Found::Delegated(cut, _) if qtype == Type::DS && *cut == name => {
                    self.authoritative();
                    return self.negative();
                }
                Found::Delegated(cut, servers) => return self.refer(links, cut, servers),
                Found::Node(entries) | Found::Wildcard(entries) => entries,
                Found::Nothing => {
                    self.authoritative();
                    self.rcode(Rcode::NXDOMAIN);
                    return self.negative();
                }
            };
            self.authoritative();
            if let [
                Entry {
                    ttl,
                    data: Data::Cname(target),
                },
            ] = entries
                && !matches!(qtype, Type::CNAME | Type::ANY)
            {
                let rdata = Rdata::Cname(target.name());
                self.put(Section::Answer, [record(name.name(), *ttl, rdata)])?;
                if chain.contains(target) {
                    break;
                }
                chain.push(*target);
                name = *target;
                continue;
            }
            // ANY gets one set: enough for who is curious, and nothing for who wants much sent to
            // somebody else (RFC 8482 §4.1).
            let wanted = match (qtype, entries) {
                (Type::ANY, [first, ..]) => first.data.rtype(),
                _ => qtype,
            };
            let set = entries.iter().filter(|entry| entry.data.rtype() == wanted);
            if set.clone().next().is_none() {
                return self.negative();
            }
            hosts.extend(set.clone().filter_map(|entry| entry.data.host()));
            let records = set.map(|entry| record(name.name(), entry.ttl, entry.data.rdata()));
            self.put(Section::Answer, records)?;
            break;
        }
        self.addresses(&hosts, false)
    }
    // ANCHOR_END: sections

    /// Another server knows: its name, and its addresses, without which one could not ask it.
    fn refer(&mut self, links: usize, cut: &'a NameBuf, entries: &'a [Entry]) -> Result<(), Full> {
        // Of the CNAMEs in front, if there are any, this zone is the authority.
        if links > 0 {
            self.authoritative();
        }
        let servers = entries
            .iter()
            .filter(|entry| entry.data.rtype() == Type::NS);
        let hosts: Vec<Name> = servers
            .clone()
            .filter_map(|entry| entry.data.host())
            .collect();
        let records = servers.map(|entry| record(cut.name(), entry.ttl, entry.data.rdata()));
        self.put(Section::Authority, records)?;
        self.addresses(&hosts, true)
    }

    /// There is nothing, and for how long one may remember that (RFC 2308 §2, §5).
    fn negative(&mut self) -> Result<(), Full> {
        let Entry { ttl, data } = self.zone.soa();
        let Data::Soa {
            numbers: [.., minimum],
            ..
        } = data
        else {
            unreachable!("`Zone::soa` gives the SOA");
        };
        let soa = record(self.zone.apex(), *ttl.min(minimum), data.rdata());
        self.put(Section::Authority, [soa])
    }

    /// Addresses that will be asked for next. Where they are `needed`, as glue is (RFC 9471 §2), TC
    /// says that some are missing.
    fn addresses(&mut self, hosts: &[Name], needed: bool) -> Result<(), Full> {
        for &host in hosts {
            let zone = self.zone;
            for rtype in [Type::A, Type::AAAA] {
                let set = zone
                    .addresses(host)
                    .filter(|entry| entry.data.rtype() == rtype);
                let records = set.map(|entry| record(host, entry.ttl, entry.data.rdata()));
                let put = self.put(Section::Additional, records);
                if needed {
                    put?;
                }
            }
        }
        Ok(())
    }

    fn put<'r>(
        &mut self,
        section: Section,
        records: impl IntoIterator<Item = Record<'r>>,
    ) -> Result<(), Full> {
        self.writer.rrset(section, records).map_err(|_| Full)
    }

    fn authoritative(&mut self) {
        self.writer.set_flags(Flags::AA);
    }

    /// One that the four bits of the header hold.
    fn rcode(&mut self, rcode: Rcode) {
        self.writer.set_rcode(rcode).expect("four bits");
    }
}

fn record<'r>(name: Name<'r>, ttl: u32, rdata: Rdata<'r>) -> Record<'r> {
    Record {
        name,
        class: Class::IN,
        ttl,
        rdata,
    }
}

/// How many TCP connections are served at a time. Each has a thread and room for two messages.
pub const MAX_CONNECTIONS: usize = 64;

/// How long a connection may go without a question, or not take an answer, before it is closed
/// (RFC 7766 §6.2.3 asks for a few seconds).
pub const IDLE: Duration = Duration::from_secs(5);

/// How often a free port is looked for that both UDP and TCP have.
const PORT_TRIES: usize = 16;

/// A server's sockets: a UDP port, and the TCP port of the same number.
#[derive(Debug)]
pub struct Sockets {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Sockets {
    /// Binds both; port 0 means any that is free.
    ///
    /// # Errors
    ///
    /// When one of them is taken, or the address is not this host's.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let mut tries = 0;
        loop {
            tries += 1;
            let udp = UdpSocket::bind(address)?;
            let both = SocketAddr::new(address.ip(), udp.local_addr()?.port());
            match TcpListener::bind(both) {
                Ok(tcp) => return Ok(Self { udp, tcp }),
                Err(error) => {
                    // The port was free for UDP, but not for TCP.
                    let another = address.port() == 0 && error.kind() == ErrorKind::AddrInUse;
                    if !another || tries == PORT_TRIES {
                        return Err(error);
                    }
                }
            }
        }
    }
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    /// Closing it ends the server.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers from `zone` at `address`, over UDP and TCP.
    ///
    /// # Errors
    ///
    /// Those of [`Sockets::bind`].
    pub fn start(zone: Zone, address: SocketAddr) -> io::Result<Self> {
        let sockets = Sockets::bind(address)?;
        let address = sockets.udp.local_addr()?;
        let (stop, stopped) = UnixStream::pair()?;
        sockets.udp.set_nonblocking(true)?;
        sockets.tcp.set_nonblocking(true)?;
        let thread = thread::Builder::new()
            .name("dns-server".into())
            .spawn(move || serve(&zone, &sockets, &stopped))?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it is asked.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the process ends.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

// ANCHOR: serve
/// Waits for datagrams and connections until `stopped` ends.
fn serve(zone: &Zone, sockets: &Sockets, stopped: &UnixStream) {
    let connections = Connections::default();
    thread::scope(|scope| {
        loop {
            let mut waiting = [
                PollFd::new(sockets.udp.as_fd(), PollFlags::POLLIN),
                PollFd::new(sockets.tcp.as_fd(), PollFlags::POLLIN),
                PollFd::new(stopped.as_fd(), PollFlags::POLLIN),
            ];
            if let Err(error) = poll(&mut waiting, PollTimeout::NONE)
                && error != nix::Error::EINTR
            {
                break;
            }
            let [udp, tcp, stop] = waiting.map(|socket| socket.any().unwrap_or(false));
            if stop {
                break;
            }
            if udp {
                datagrams(zone, &sockets.udp);
            }
            if tcp && let Ok((stream, _)) = sockets.tcp.accept() {
                // Beyond the limit the connection is closed at once: its client asks again, or
                // another server.
                if let Some(place) = connections.enter(&stream) {
                    scope.spawn(move || {
                        let _ = connection(zone, &stream);
                        drop(place);
                    });
                }
            }
        }
        connections.close();
    });
}

/// How many datagrams are answered before connections have their turn.
const DATAGRAMS_AT_ONCE: usize = 64;

/// Answers the datagrams that are there.
fn datagrams(zone: &Zone, socket: &UdpSocket) {
    let mut query = [0; MAX_MESSAGE_LEN];
    let mut room = [0; MAX_MESSAGE_LEN];
    for _ in 0..DATAGRAMS_AT_ONCE {
        let Ok((len, from)) = socket.recv_from(&mut query) else {
            // Nothing more, or an ICMP message about an answer that nobody was waiting for.
            return;
        };
        if let Some(answer) = answer(zone, &query[..len], Transport::Udp, &mut room) {
            // An answer that cannot be sent is one that was lost: the client asks again.
            let _ = socket.send_to(answer, from);
        }
    }
}

/// Answers one question after the other, in their order, until the client has no more.
fn connection(zone: &Zone, mut stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(IDLE))?;
    stream.set_nodelay(true)?;
    let mut arrived = Vec::new();
    let mut chunk = [0; 4096];
    let mut room = Box::new([0; MAX_MESSAGE_LEN]);
    let mut idle_since = Instant::now();
    loop {
        let mut rest = &arrived[..];
        while let Some((query, behind)) = frame::take(rest) {
            rest = behind;
            // What gets no answer over UDP would leave its client waiting here.
            let Some(answer) = answer(zone, query, Transport::Tcp, &mut room) else {
                return Ok(());
            };
            let prefix = frame::prefix(answer.len()).expect("a message's length");
            // In one write, that is in one segment where it fits.
            stream.write_all(&[&prefix[..], answer].concat())?;
            idle_since = Instant::now();
        }
        // What is left is a part of one message, so `arrived` holds no more than that and a chunk.
        arrived = rest.to_vec();
        // A message that comes byte by byte does not keep the connection open.
        let left = IDLE.saturating_sub(idle_since.elapsed());
        if left.is_zero() {
            return Ok(());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            len => arrived.extend(&chunk[..len]),
        }
    }
}
// ANCHOR_END: serve

/// The connections there are, so that they can be counted and closed.
#[derive(Debug, Default, Clone)]
struct Connections(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    next: u64,
    streams: HashMap<u64, TcpStream>,
}

/// A connection's place among those that are served.
struct Place {
    connections: Connections,
    number: u64,
}

impl Connections {
    /// Takes a place, if one is free.
    fn enter(&self, stream: &TcpStream) -> Option<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.streams.len() >= MAX_CONNECTIONS {
            return None;
        }
        let number = open.next;
        open.next += 1;
        open.streams.insert(number, stream.try_clone().ok()?);
        Some(Place {
            connections: self.clone(),
            number,
        })
    }

    /// Closes all, so that their threads end.
    fn close(&self) {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in open.streams.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let open = &self.connections.0;
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        open.streams.remove(&self.number);
    }
}
