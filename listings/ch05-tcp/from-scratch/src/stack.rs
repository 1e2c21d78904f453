//! Many connections behind one or more addresses: IP packets in, IP packets out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use ip_header::{Addresses, Packet, Protocol, ipv4, ipv6};
use tcp_segment::{Flags, Header, Segment};

use crate::config::RESETS_AT_MOST;
use crate::iss::Secret;
use crate::{Config, Connection, Error, Event, FourTuple, State, Status, Time, reset};

/// Ports that [`Stack::connect`] takes for itself (RFC 6335 §6).
const EPHEMERAL_PORTS: std::ops::RangeInclusive<u16> = 49_152..=65_535;

/// A connection of a [`Stack`]. One that has been released is not mistaken for a later one in its
/// place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    place: usize,
    generation: u64,
}

/// A port that is listened on.
#[derive(Debug)]
struct Listener {
    backlog: usize,
    /// Connections in SYN-RECEIVED.
    half_open: usize,
    /// Connections that wait for [`Stack::accept`].
    established: VecDeque<ConnectionId>,
}

#[derive(Debug)]
struct Slot {
    connection: Box<Connection>,
    generation: u64,
    /// Whether it stands in `Stack::ready`.
    is_ready: bool,
    /// Its entry in `Stack::timers`.
    timer: Option<Time>,
    /// The listener's port, as long as the handshake is not done.
    half_open_at: Option<u16>,
    /// Whether [`Event`]s wait, and it stands in `Stack::eventful`.
    is_eventful: bool,
    released: bool,
}

// ANCHOR: stack
/// A host's TCP: listeners, connections, and the addresses that packets come to.
#[derive(Debug)]
pub struct Stack {
    config: Config,
    secret: Secret,
    addresses: Vec<IpAddr>,
    listeners: BTreeMap<u16, Listener>,
    slots: Vec<Option<Slot>>,
    vacant: Vec<usize>,
    by_tuple: BTreeMap<FourTuple, usize>,
    /// Connections that may have something to send, each once.
    ready: VecDeque<usize>,
    timers: BTreeSet<(Time, usize)>,
    eventful: VecDeque<usize>,
    /// Resets for segments that belong to no connection.
    resets: VecDeque<(FourTuple, Header<'static>)>,
    generations: u64,
    next_port: u16,
}
// ANCHOR_END: stack

impl Stack {
    /// A stack without connections. `secret` is to be drawn at random; where it is not, everybody can
    /// foretell its sequence numbers.
    #[must_use]
    pub fn new(config: Config, secret: Secret, addresses: &[IpAddr]) -> Self {
        Self {
            config,
            secret,
            addresses: addresses.to_vec(),
            listeners: BTreeMap::new(),
            slots: Vec::new(),
            vacant: Vec::new(),
            by_tuple: BTreeMap::new(),
            ready: VecDeque::new(),
            timers: BTreeSet::new(),
            eventful: VecDeque::new(),
            resets: VecDeque::new(),
            generations: 0,
            // Not always the same, but as foreseeable as the caller's secret.
            next_port: EPHEMERAL_PORTS.start() + u16::from(secret.0[0]) * 37,
        }
    }

    /// The passive OPEN call: connections to `port` are taken, on all addresses. At most `backlog`
    /// are half open at a time, and no new ones begin while as many wait for
    /// [`accept`](Self::accept); SYNs beyond that are dropped, and will be sent again.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`] when the port is listened on.
    pub fn listen(&mut self, port: u16, backlog: usize) -> Result<(), Error> {
        if self.listeners.contains_key(&port) {
            return Err(Error::AlreadyExists);
        }
        let listener = Listener {
            backlog,
            half_open: 0,
            established: VecDeque::new(),
        };
        self.listeners.insert(port, listener);
        Ok(())
    }

    /// CLOSE in LISTEN: what waits to be accepted, or is half open, is aborted.
    ///
    /// # Errors
    ///
    /// [`Error::DoesNotExist`] when nobody listens on the port.
    pub fn unlisten(&mut self, port: u16) -> Result<(), Error> {
        let listener = self.listeners.remove(&port).ok_or(Error::DoesNotExist)?;
        let half_open = (0..self.slots.len())
            .filter_map(|place| self.slots[place].as_ref().map(|slot| (place, slot)))
            .filter(|(_, slot)| slot.half_open_at == Some(port))
            .map(|(place, slot)| ConnectionId {
                place,
                generation: slot.generation,
            });
        let all: Vec<ConnectionId> = half_open.chain(listener.established).collect();
        for id in all {
            self.abort(id)?;
            self.release(id)?;
        }
        Ok(())
    }

    /// The next connection whose handshake is done.
    pub fn accept(&mut self, port: u16) -> Option<ConnectionId> {
        self.listeners.get_mut(&port)?.established.pop_front()
    }

    /// The active OPEN call: begins a connection to `remote`, from `local` or from an address and a
    /// port of the stack's choice.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] when no address of ours is of the remote one's version,
    /// [`Error::AlreadyExists`] when there is a connection between the same two sockets,
    /// [`Error::InsufficientResources`] when there are too many, or no port is free.
    pub fn connect(
        &mut self,
        now: Time,
        remote: SocketAddr,
        local: Option<SocketAddr>,
    ) -> Result<ConnectionId, Error> {
        let tuple = match local {
            Some(local) => FourTuple { local, remote },
            None => self.free_tuple(remote)?,
        };
        if !self.addresses.contains(&tuple.local.ip()) {
            return Err(Error::Address);
        }
        if self.by_tuple.contains_key(&tuple) {
            return Err(Error::AlreadyExists);
        }
        if self.by_tuple.len() >= self.config.connections {
            return Err(Error::InsufficientResources);
        }
        let connection = Connection::open(self.config, &self.secret, tuple, now)?;
        Ok(self.add(connection, None))
    }

    fn free_tuple(&mut self, remote: SocketAddr) -> Result<FourTuple, Error> {
        let ip = self
            .addresses
            .iter()
            .find(|ip| ip.is_ipv4() == remote.is_ipv4())
            .copied()
            .ok_or(Error::Address)?;
        for _ in EPHEMERAL_PORTS {
            let local = SocketAddr::new(ip, self.next_port);
            self.next_port = self
                .next_port
                .checked_add(1)
                .unwrap_or(*EPHEMERAL_PORTS.start());
            let tuple = FourTuple { local, remote };
            if !self.by_tuple.contains_key(&tuple) {
                return Ok(tuple);
            }
        }
        Err(Error::InsufficientResources)
    }

    /// [`Connection::send`].
    ///
    /// # Errors
    ///
    /// Those of [`Connection::send`], and [`Error::DoesNotExist`] when it has been released; so have
    /// all calls that follow.
    pub fn send(&mut self, id: ConnectionId, bytes: &[u8]) -> Result<usize, Error> {
        self.with(id, |connection| connection.send(bytes))?
    }

    /// [`Connection::receive`].
    ///
    /// # Errors
    ///
    /// Those of [`Connection::receive`].
    pub fn receive(&mut self, id: ConnectionId, bytes: &mut [u8]) -> Result<usize, Error> {
        self.with(id, |connection| connection.receive(bytes))?
    }

    /// [`Connection::close`].
    ///
    /// # Errors
    ///
    /// Those of [`Connection::close`].
    pub fn close(&mut self, id: ConnectionId) -> Result<(), Error> {
        self.with(id, Connection::close)?
    }

    /// [`Connection::abort`].
    ///
    /// # Errors
    ///
    /// [`Error::DoesNotExist`].
    pub fn abort(&mut self, id: ConnectionId) -> Result<(), Error> {
        self.with(id, Connection::abort)
    }

    /// Lets go of a connection: it closes in its own time, and its place is free when it has. See
    /// [`Connection::release`].
    ///
    /// # Errors
    ///
    /// [`Error::DoesNotExist`].
    pub fn release(&mut self, id: ConnectionId) -> Result<(), Error> {
        self.with(id, Connection::release)?;
        if let Some(slot) = &mut self.slots[id.place] {
            slot.released = true;
        }
        Ok(())
    }

    /// [`Connection::status`].
    ///
    /// # Errors
    ///
    /// [`Error::DoesNotExist`].
    pub fn status(&self, id: ConnectionId) -> Result<Status, Error> {
        Ok(self.connection(id)?.status())
    }

    /// The connection itself, to be looked at.
    ///
    /// # Errors
    ///
    /// [`Error::DoesNotExist`].
    pub fn connection(&self, id: ConnectionId) -> Result<&Connection, Error> {
        let slot = self.slots.get(id.place).and_then(Option::as_ref);
        slot.filter(|slot| slot.generation == id.generation)
            .map(|slot| &*slot.connection)
            .ok_or(Error::DoesNotExist)
    }

    /// Does something with a connection, after which it may have something to send.
    ///
    /// # Errors
    ///
    /// [`Error::DoesNotExist`].
    pub fn with<T>(
        &mut self,
        id: ConnectionId,
        work: impl FnOnce(&mut Connection) -> T,
    ) -> Result<T, Error> {
        let slot = self.slots.get_mut(id.place).and_then(Option::as_mut);
        let slot = slot
            .filter(|slot| slot.generation == id.generation)
            .ok_or(Error::DoesNotExist)?;
        let result = work(&mut slot.connection);
        self.touched(id.place);
        Ok(result)
    }

    /// All connections there are.
    pub fn ids(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.slots.iter().enumerate().filter_map(|(place, slot)| {
            slot.as_ref().map(|slot| ConnectionId {
                place,
                generation: slot.generation,
            })
        })
    }

    /// The next thing that has happened, and to which connection.
    pub fn event(&mut self) -> Option<(ConnectionId, Event)> {
        loop {
            let place = *self.eventful.front()?;
            let told = self.slots[place].as_mut().and_then(|slot| {
                let id = ConnectionId {
                    place,
                    generation: slot.generation,
                };
                let event = slot.connection.event();
                slot.is_eventful = event.is_some();
                event.map(|event| (id, event))
            });
            if told.is_some() {
                return told;
            }
            self.eventful.pop_front();
        }
    }

    // ANCHOR: packet
    /// A packet has arrived. What is broken, or is for somebody else, is dropped without a word; so
    /// is a piece of a packet.
    pub fn arrives(&mut self, now: Time, packet: &[u8]) {
        let Ok(packet) = Packet::parse(packet) else {
            return;
        };
        let addresses = packet.addresses();
        let (remote, local) = ips(addresses);
        if !self.addresses.contains(&local) || !may_be_a_source(remote) {
            return;
        }
        let Ok(upper) = packet.upper_layer() else {
            return;
        };
        if upper.protocol != Protocol::TCP || upper.fragment.is_some() {
            return;
        }
        let Ok(segment) = Segment::parse(upper.bytes, addresses) else {
            return;
        };
        let header = segment.header();
        let tuple = FourTuple {
            local: SocketAddr::new(local, header.destination_port),
            remote: SocketAddr::new(remote, header.source_port),
        };
        self.segment_arrives(now, tuple, &header, segment.payload());
    }

    fn segment_arrives(&mut self, now: Time, tuple: FourTuple, header: &Header, text: &[u8]) {
        if let Some(&place) = self.by_tuple.get(&tuple) {
            if self.reopens(place, header) {
                let beyond = self.slots[place]
                    .as_ref()
                    .map(|slot| slot.connection.snd.nxt);
                self.remove(place);
                return self.arrives_in_listen(now, tuple, header, text, beyond);
            }
            if let Some(slot) = &mut self.slots[place] {
                let reset = slot.connection.arrives(now, header, text);
                self.answer(tuple, reset);
                self.touched(place);
            }
        } else {
            self.arrives_in_listen(now, tuple, header, text, None);
        }
    }
    // ANCHOR_END: packet

    // ANCHOR: listen
    /// RFC 9293 §3.10.7.2, and §3.10.7.1 where nobody listens.
    fn arrives_in_listen(
        &mut self,
        now: Time,
        tuple: FourTuple,
        header: &Header,
        text: &[u8],
        beyond: Option<tcp_segment::SeqNumber>,
    ) {
        let port = tuple.local.port();
        let Some(listener) = self.listeners.get_mut(&port) else {
            return self.answer(tuple, reset::answer(header, text.len()));
        };
        // First, check for a RST; second, for an ACK; third, for a SYN.
        if header.flags.contains(Flags::RST) {
            return;
        }
        if header.flags.contains(Flags::ACK) {
            return self.answer(tuple, reset::answer(header, text.len()));
        }
        if !header.flags.contains(Flags::SYN) {
            return;
        }
        let full = listener.half_open >= listener.backlog
            || listener.established.len() >= listener.backlog
            || self.by_tuple.len() >= self.config.connections;
        if full {
            return;
        }
        let (config, secret) = (self.config, &self.secret);
        if let Ok(connection) = Connection::answer(config, secret, tuple, now, header, text, beyond)
        {
            listener.half_open += 1;
            self.add(connection, Some(port));
        }
    }

    /// Whether a SYN may take the place of a connection in TIME-WAIT (RFC 9293 §3.6.1): if its
    /// numbers, or its clock, are beyond all that the old one had (RFC 6191 §2).
    fn reopens(&self, place: usize, header: &Header) -> bool {
        let Some(slot) = &self.slots[place] else {
            return false;
        };
        let is_syn =
            header.flags.contains(Flags::SYN) && !header.flags.intersects(Flags::ACK | Flags::RST);
        let listened = self.listeners.contains_key(&header.destination_port);
        let waits = slot.connection.state() == State::TimeWait;
        is_syn && listened && waits && slot.connection.is_before(header)
    }
    // ANCHOR_END: listen

    /// A reset waits to be sent, if there is room for it.
    fn answer(&mut self, tuple: FourTuple, reset: Option<Header<'static>>) {
        if let Some(reset) = reset
            && self.resets.len() < RESETS_AT_MOST
        {
            self.resets.push_back((tuple, reset));
        }
    }

    // ANCHOR: stack-transmit
    /// Writes the next packet to the front of `buffer`, and says how long it is; `None` when there is
    /// nothing to send before something arrives, somebody calls, or it is
    /// [`next_timeout`](Self::next_timeout). Connections take turns.
    ///
    /// # Panics
    ///
    /// When `buffer` is shorter than the MTU.
    pub fn transmit(&mut self, now: Time, buffer: &mut [u8]) -> Option<usize> {
        if let Some((tuple, reset)) = self.resets.pop_front() {
            let addresses = tuple.addresses()?;
            let at = ip_header_len(addresses);
            let len = at + reset.header_len();
            reset.emit(&mut buffer[at..len], addresses).ok()?;
            return Some(emit_ip(addresses, &mut buffer[..len]));
        }
        while let Some(&(time, place)) = self.timers.first()
            && time <= now
        {
            self.timers.pop_first();
            if let Some(slot) = &mut self.slots[place] {
                slot.timer = None;
            }
            self.is_ready(place);
        }
        while let Some(place) = self.ready.pop_front() {
            let Some(slot) = &mut self.slots[place] else {
                continue;
            };
            slot.is_ready = false;
            let addresses = slot.connection.addresses;
            let at = ip_header_len(addresses);
            match slot.connection.transmit(now, &mut buffer[at..]) {
                Some(len) => {
                    self.is_ready(place);
                    return Some(emit_ip(addresses, &mut buffer[..at + len]));
                }
                None => self.settle(place),
            }
        }
        None
    }
    // ANCHOR_END: stack-transmit

    /// When to call [`transmit`](Self::transmit) again, if nothing arrives before: at once, if
    /// something waits to be sent.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Time> {
        if self.ready.is_empty() && self.resets.is_empty() {
            return self.timers.first().map(|(time, _)| *time);
        }
        Some(Time::ZERO)
    }

    fn add(&mut self, connection: Connection, half_open_at: Option<u16>) -> ConnectionId {
        self.generations += 1;
        let tuple = connection.tuple;
        let slot = Slot {
            connection: Box::new(connection),
            generation: self.generations,
            is_ready: false,
            timer: None,
            half_open_at,
            is_eventful: false,
            released: false,
        };
        let place = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[place] = Some(slot);
        self.by_tuple.insert(tuple, place);
        self.is_ready(place);
        ConnectionId {
            place,
            generation: self.generations,
        }
    }

    fn is_ready(&mut self, place: usize) {
        if let Some(slot) = &mut self.slots[place]
            && !slot.is_ready
        {
            slot.is_ready = true;
            self.ready.push_back(place);
        }
    }

    /// Something has happened to a connection: it may have something to send.
    fn touched(&mut self, place: usize) {
        self.is_ready(place);
        self.take_note(place);
    }

    /// A connection may have something to tell, or its handshake may be done.
    fn take_note(&mut self, place: usize) {
        let Some(slot) = &mut self.slots[place] else {
            return;
        };
        if !slot.is_eventful {
            slot.is_eventful = true;
            self.eventful.push_back(place);
        }
        let state = slot.connection.state();
        if state == State::SynReceived {
            return;
        }
        if let Some(port) = slot.half_open_at.take() {
            let id = ConnectionId {
                place,
                generation: slot.generation,
            };
            // Where the handshake failed, nobody will ask for the connection.
            slot.released |= state == State::Closed;
            if let Some(listener) = self.listeners.get_mut(&port) {
                listener.half_open -= 1;
                if state != State::Closed {
                    listener.established.push_back(id);
                }
            }
        }
    }

    /// A connection has nothing to send now: takes note of its timer, or of its end.
    fn settle(&mut self, place: usize) {
        self.take_note(place);
        let Some(slot) = &mut self.slots[place] else {
            return;
        };
        let timer = slot.connection.next_timeout();
        if slot.timer != timer {
            let old = std::mem::replace(&mut slot.timer, timer);
            if let Some(time) = old {
                self.timers.remove(&(time, place));
            }
            if let Some(time) = timer {
                self.timers.insert((time, place));
            }
        }
        if slot.released && slot.connection.state() == State::Closed {
            self.remove(place);
        }
    }

    fn remove(&mut self, place: usize) {
        let Some(slot) = self.slots[place].take() else {
            return;
        };
        self.by_tuple.remove(&slot.connection.tuple);
        if let Some(time) = slot.timer {
            self.timers.remove(&(time, place));
        }
        self.ready.retain(|other| *other != place);
        self.eventful.retain(|other| *other != place);
        self.vacant.push(place);
    }
}

/// Source and destination.
fn ips(addresses: Addresses) -> (IpAddr, IpAddr) {
    match addresses {
        Addresses::V4 {
            source,
            destination,
        } => (source.into(), destination.into()),
        Addresses::V6 {
            source,
            destination,
        } => (source.into(), destination.into()),
    }
}

/// Nobody can be answered at the others (RFC 9293 §3.9.2.3).
fn may_be_a_source(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !ip.is_multicast() && !ip.is_unspecified() && !broadcast
}

fn ip_header_len(addresses: Addresses) -> usize {
    match addresses {
        Addresses::V4 { .. } => ipv4::HEADER_LEN,
        Addresses::V6 { .. } => ipv6::HEADER_LEN,
    }
}

/// Writes the IP header in front of a segment.
fn emit_ip(addresses: Addresses, packet: &mut [u8]) -> usize {
    let written = match addresses {
        Addresses::V4 {
            source,
            destination,
        } => ipv4::Header::new(Protocol::TCP, source, destination)
            .emit(packet)
            .is_ok(),
        Addresses::V6 {
            source,
            destination,
        } => ipv6::Header::new(Protocol::TCP, source, destination)
            .emit(packet)
            .is_ok(),
    };
    debug_assert!(written, "a packet has room for its header");
    packet.len()
}
