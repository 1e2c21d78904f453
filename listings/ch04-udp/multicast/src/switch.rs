//! A switch that snoops: it reads the reports that pass, and keeps a group's packets from ports
//! where nobody wants them.
//!
//! It believes every report that is well formed, whoever sent it: at worst a port gets too much. A
//! router must not believe one over IPv6 whose source is no link-local address (RFC 9777).

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ip_header::{Addresses, Packet};
use lab::{Node, Out};

use crate::query::{self, Timing};
use crate::report::{Kind, Record, Report};

/// How many groups a port may have. What a stranger sends must not fill the memory: a report for one
/// more changes nothing, and its group stays away from the port. Linux lets a socket join 20
/// (`net.ipv4.igmp_max_memberships`).
pub const GROUPS_AT_MOST: usize = 256;

/// How many sources of a group are told apart on a port. With more the port gets the group from
/// everybody, and its host sorts: Linux takes 10 a socket (`net.ipv4.igmp_max_msf`).
pub const SOURCES_AT_MOST: usize = 64;

/// A switch or router of the lab between hosts, each on a port of its own.
///
/// A port has one host, so what that host says last is what its port wants. Where several share a
/// port, a switch must ask whether anybody else wants a group that one of them leaves.
pub struct Switch {
    /// Who is where: a real switch learns that from what they send.
    hosts: Vec<Vec<IpAddr>>,
    members: Members,
    timing: Timing,
    asks: Option<(Ipv4Addr, Ipv6Addr)>,
    snoops: bool,
    routes: bool,
}

/// What a [`Switch`] knows, to be asked while it runs.
#[derive(Debug, Clone, Default)]
pub struct Members(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    ports: Vec<HashMap<IpAddr, Membership>>,
    reports: u64,
    refused: u64,
}

/// What a port wants of a group.
#[derive(Debug)]
struct Membership {
    mode: Mode,
    sources: HashSet<IpAddr>,
    /// When a report last said so.
    heard: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Only what comes from its sources.
    Include,
    /// All that does not.
    Exclude,
}

impl Membership {
    /// Whether it was confirmed lately.
    fn holds(&self, now: Duration, timing: Timing) -> bool {
        now.saturating_sub(self.heard) <= timing.membership()
    }
}

impl Switch {
    /// A switch whose ports lead to these hosts, each by its addresses.
    #[must_use]
    pub fn new(hosts: Vec<Vec<IpAddr>>) -> Self {
        let members = Members::default();
        members.state().ports = hosts.iter().map(|_| HashMap::new()).collect();
        Self {
            hosts,
            members,
            timing: Timing::default(),
            asks: None,
            snoops: true,
            routes: false,
        }
    }

    /// The same, but it reads no reports, and floods what goes to a group out of every port.
    #[must_use]
    pub fn without_snooping(mut self) -> Self {
        self.snoops = false;
        self
    }

    /// The same as a router: its ports are networks of their own, a packet's time to live counts,
    /// and what goes to groups of one network stays there.
    #[must_use]
    pub fn routing(mut self) -> Self {
        self.routes = true;
        self
    }

    /// The same, and it asks from time to time which groups are wanted, from these addresses.
    #[must_use]
    pub fn asking(mut self, v4: Ipv4Addr, v6: Ipv6Addr, timing: Timing) -> Self {
        self.timing = timing;
        self.asks = Some((v4, v6));
        self
    }

    /// What it knows.
    #[must_use]
    pub fn members(&self) -> Members {
        self.members.clone()
    }

    // ANCHOR: forward
    /// Forwards a packet to whom it is for.
    fn forward(&self, port: usize, addresses: Addresses, packet: lab::Packet, out: &mut Out) {
        let (source, destination) = ends(addresses);
        let Some(packet) = self.one_hop_less(packet, destination) else {
            return;
        };
        let now = out.now();
        let others = (0..self.hosts.len()).filter(|&other| other != port);
        let wants = |other: &usize| match destination.is_multicast() {
            false => self.hosts[*other].contains(&destination),
            true if !self.snoops || is_for_the_whole_network(destination) => true,
            true => self
                .members
                .wants(*other, destination, source, now, self.timing),
        };
        for other in others.filter(wants) {
            out.send(other, packet.clone());
        }
    }
    // ANCHOR_END: forward

    /// The packet as it goes on, if it does: a switch changes nothing. A router takes one from the
    /// time to live, and drops what has none left; of a group's packet it tells nobody (RFC 1122
    /// §3.2.2).
    fn one_hop_less(&self, mut packet: lab::Packet, destination: IpAddr) -> Option<lab::Packet> {
        if !self.routes {
            return Some(packet);
        }
        if is_for_the_whole_network(destination) {
            return None;
        }
        let at = if packet.version() == 6 { 7 } else { 8 };
        let left = packet.bytes_mut().get_mut(at)?;
        *left = left.checked_sub(1).filter(|left| *left > 0)?;
        packet.repair_checksums();
        Some(packet)
    }

    fn ask(&self, out: &mut Out) {
        let Some((v4, v6)) = self.asks else {
            return;
        };
        self.members.forget(out.now(), self.timing);
        for port in 0..self.hosts.len() {
            for packet in [
                query::v4(v4, self.timing).map(|packet| lab::Packet::new(&packet)),
                query::v6(v6, self.timing).map(|packet| lab::Packet::new(&packet)),
            ]
            .into_iter()
            .flatten()
            {
                out.send(port, packet);
            }
        }
        out.wake_at(out.now() + self.timing.interval);
    }
}

// ANCHOR: node
impl Node for Switch {
    fn packet(&mut self, port: usize, packet: lab::Packet, out: &mut Out) {
        let Ok(read) = Packet::parse(packet.bytes()) else {
            return; // whoever it is for would drop it, too
        };
        match Report::of(&read) {
            // Reports are for the querier, and no host needs those of another.
            Ok(Some(report)) if self.snoops => {
                self.members.note(port, &report, out.now());
                if self.asks.is_some() && self.members.reports() == 1 {
                    self.ask(out);
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => self.forward(port, read.addresses(), packet.clone(), out),
            Err(_) => self.members.state().refused += 1,
        }
    }

    fn wake(&mut self, out: &mut Out) {
        self.ask(out);
    }
}
// ANCHOR_END: node

impl Members {
    /// How many reports were read.
    #[must_use]
    pub fn reports(&self) -> u64 {
        self.state().reports
    }

    /// How many reports were broken.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.state().refused
    }

    /// Whether the host on a port has said that it wants what goes to a group, from whomever.
    #[must_use]
    pub fn joined(&self, port: usize, group: IpAddr) -> bool {
        let state = self.state();
        state
            .ports
            .get(port)
            .is_some_and(|groups| groups.contains_key(&group))
    }

    /// How many groups a port has.
    #[must_use]
    pub fn groups(&self, port: usize) -> usize {
        self.state().ports.get(port).map_or(0, HashMap::len)
    }

    /// Forgets what no report has confirmed in time.
    fn forget(&self, now: Duration, timing: Timing) {
        for groups in &mut self.state().ports {
            groups.retain(|_, membership| membership.holds(now, timing));
        }
    }

    fn wants(
        &self,
        port: usize,
        group: IpAddr,
        source: IpAddr,
        now: Duration,
        timing: Timing,
    ) -> bool {
        let mut state = self.state();
        let Some(groups) = state.ports.get_mut(port) else {
            return false;
        };
        let Some(membership) = groups.get(&group) else {
            return false;
        };
        if !membership.holds(now, timing) {
            groups.remove(&group);
            return false;
        }
        (membership.mode == Mode::Include) == membership.sources.contains(&source)
    }

    fn note(&self, port: usize, report: &Report<'_>, now: Duration) {
        let mut state = self.state();
        state.reports += 1;
        if let Some(groups) = state.ports.get_mut(port) {
            for record in report.records() {
                note_record(groups, &record, now);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// ANCHOR: note
/// Changes what a port wants by what its host says (the tables of RFC 9776 §6.4, for one host).
fn note_record(groups: &mut HashMap<IpAddr, Membership>, record: &Record<'_>, now: Duration) {
    let Some(kind) = record.kind else {
        return;
    };
    if !record.group.is_multicast() {
        return;
    }
    if groups.len() >= GROUPS_AT_MOST && !groups.contains_key(&record.group) {
        return;
    }
    let membership = groups.entry(record.group).or_insert(Membership {
        mode: Mode::Include,
        sources: HashSet::new(), // from nobody, so far
        heard: now,
    });
    membership.heard = now;
    let named = record.sources();
    let Membership { mode, sources, .. } = membership;
    match (kind, *mode) {
        (Kind::IsInclude | Kind::ToInclude, _) => {
            (*mode, *sources) = (Mode::Include, named.collect());
        }
        (Kind::IsExclude | Kind::ToExclude, _) => {
            (*mode, *sources) = (Mode::Exclude, named.collect());
        }
        (Kind::Allow, Mode::Include) | (Kind::Block, Mode::Exclude) => sources.extend(named),
        (Kind::Allow, Mode::Exclude) | (Kind::Block, Mode::Include) => {
            named.for_each(|source| {
                sources.remove(&source);
            });
        }
    }
    // More than are told apart here.
    if sources.len() > SOURCES_AT_MOST {
        (*mode, *sources) = (Mode::Exclude, HashSet::new());
    }
    if *mode == Mode::Include && sources.is_empty() {
        groups.remove(&record.group);
    }
}
// ANCHOR_END: note

/// Groups of one network, which nobody has to join for a switch to let them pass, and no router
/// forwards: `224.0.0.0/24` (RFC 5771 §4), and IPv6's of interface-local and link-local scope
/// (RFC 4291 §2.7).
fn is_for_the_whole_network(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(group) => group.octets()[..3] == [224, 0, 0],
        IpAddr::V6(group) => group.is_multicast() && group.octets()[1] & 0xf <= 2,
    }
}

fn ends(addresses: Addresses) -> (IpAddr, IpAddr) {
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
