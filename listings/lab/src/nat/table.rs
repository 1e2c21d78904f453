//! What a NAT remembers.

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use super::{Behavior, Protocol, SESSIONS_AT_MOST};
use crate::packet::Tcp;

/// Where the search for a port begins if it is not to be the host's own, and where after 65,535.
const FIRST_PORT: u16 = 50_000;
const LOWEST_PORT: u16 = 1024;

/// What a mapping is looked up by from inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) protocol: Protocol,
    pub(super) inside: SocketAddrV4,
    /// As much of the remote endpoint as the mapping depends on.
    pub(super) scope: SocketAddrV4,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) outside: SocketAddrV4,
    pub(super) sessions: BTreeMap<SocketAddrV4, Session>,
}

/// What passes between a mapping and a remote endpoint.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    pub(super) expires: Duration,
    pub(super) connection: Connection,
}

/// Which ends of a TCP connection have sent what: index 0 is inside, 1 outside.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Connection {
    pub(super) opened: [bool; 2],
    pub(super) closed: [bool; 2],
    pub(super) reset: bool,
}

impl Connection {
    pub(super) fn see(&mut self, from: usize, flags: u8) {
        if flags & Tcp::SYN != 0 && self.is_over() {
            *self = Self::default();
        }
        self.opened[from] |= flags & Tcp::SYN != 0;
        self.closed[from] |= flags & Tcp::FIN != 0;
        self.reset |= flags & Tcp::RST != 0;
    }

    pub(super) fn is_over(self) -> bool {
        self.reset || self.closed == [true; 2]
    }

    pub(super) fn is_established(self) -> bool {
        self.opened == [true; 2] && !self.is_over()
    }
}

pub(super) const INSIDE: usize = 0;
pub(super) const OUTSIDE: usize = 1;

/// All that a NAT remembers.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) mappings: BTreeMap<Key, Entry>,
    pub(super) by_outside: HashMap<(Protocol, SocketAddrV4), Key>,
    pub(super) sessions: usize,
    pub(super) next_port: u16,
    pub(super) filtered: u64,
    pub(super) refused: u64,
}

impl Entry {
    /// Whether it is there for anyone still.
    pub(super) fn lasts(&self, now: Duration) -> bool {
        self.sessions.values().any(|session| session.expires > now)
    }

    /// Whether it lets a remote endpoint in.
    pub(super) fn admits(&self, remote: SocketAddrV4, filtering: Behavior, now: Duration) -> bool {
        let port = |port| SocketAddrV4::new(*remote.ip(), port);
        match filtering {
            Behavior::EndpointIndependent => self.lasts(now),
            Behavior::AddressDependent => self
                .sessions
                .range(port(0)..=port(u16::MAX))
                .any(|(_, session)| session.expires > now),
            Behavior::AddressAndPortDependent => self
                .sessions
                .get(&remote)
                .is_some_and(|session| session.expires > now),
        }
    }
}

impl Table {
    /// Forgets what has expired, and gives when the next does.
    pub(super) fn sweep(&mut self, now: Duration) -> Option<Duration> {
        let Self {
            mappings,
            by_outside,
            sessions,
            ..
        } = self;
        let mut next: Option<Duration> = None;
        *sessions = 0;
        mappings.retain(|key, entry| {
            entry.sessions.retain(|_, session| session.expires > now);
            *sessions += entry.sessions.len();
            let first = entry.sessions.values().map(|session| session.expires).min();
            next = [next, first].into_iter().flatten().min();
            if entry.sessions.is_empty() {
                by_outside.remove(&(key.protocol, entry.outside));
            }
            !entry.sessions.is_empty()
        });
        next
    }

    /// Forgets one mapping.
    pub(super) fn forget(&mut self, key: &Key) {
        if let Some(entry) = self.mappings.remove(key) {
            self.by_outside.remove(&(key.protocol, entry.outside));
            self.sessions -= entry.sessions.len();
        }
    }

    /// Notes a packet between a mapping that is there and a remote endpoint. `false` if that would be
    /// one session too many.
    pub(super) fn note(
        &mut self,
        key: &Key,
        remote: SocketAddrV4,
        now: Duration,
        see: impl FnOnce(Option<Connection>) -> Session,
    ) -> bool {
        let is_full = self.sessions >= SESSIONS_AT_MOST;
        let Some(entry) = self.mappings.get_mut(key) else {
            return false;
        };
        let known = entry.sessions.get(&remote);
        if known.is_none() && is_full {
            self.refused += 1;
            return false;
        }
        let connection = known
            .filter(|session| session.expires > now)
            .map(|session| session.connection);
        self.sessions += usize::from(known.is_none());
        entry.sessions.insert(remote, see(connection));
        true
    }

    /// A port that is free at an outside address.
    pub(super) fn free_port(
        &mut self,
        protocol: Protocol,
        address: Ipv4Addr,
        own: Option<u16>,
    ) -> u16 {
        let is_free = |port: u16| {
            let outside = SocketAddrV4::new(address, port);
            !self.by_outside.contains_key(&(protocol, outside))
        };
        if let Some(own) = own.filter(|&own| is_free(own)) {
            return own;
        }
        let first = self.next_port.max(FIRST_PORT);
        // There are more ports than mappings.
        let port = (first..=u16::MAX)
            .chain(LOWEST_PORT..first)
            .find(|&port| is_free(port))
            .expect("a table has fewer entries than there are ports");
        self.next_port = port.checked_add(1).unwrap_or(FIRST_PORT);
        port
    }
}
