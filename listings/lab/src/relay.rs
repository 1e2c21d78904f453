//! The thread that carries every packet: in from the hosts' kernels, through the links' decisions,
//! out when they are due.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap};
use std::os::fd::AsFd;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;

use crate::capture::Crossing;
use crate::link::{Direction, Fate, OnItsWay, nanoseconds};
use crate::netlink::Netlink;
use crate::node::{Node, Out};
use crate::packet::Packet;
use crate::port::{BATCH, Port};
use crate::sys;

/// How long to wait at most for packets that another processor is bringing; it takes microseconds.
const CAUGHT_UP_WITHIN_NS: u64 = 100_000_000;

/// A host, a node or a raw node as the relay sees it.
pub(crate) struct Place {
    pub(crate) kind: Kind,
    /// The wires that lead away, by port.
    pub(crate) exits: Vec<usize>,
}

pub(crate) enum Kind {
    /// A host and its interfaces, in the order of its exits.
    Host(Vec<Port>),
    Node(Box<dyn Node>),
    Raw(mpsc::Sender<Packet>),
}

/// One direction of a link, and where it leads.
pub(crate) struct Wire {
    pub(crate) from: usize,
    /// The number of the port by which it leaves there.
    pub(crate) exit: usize,
    pub(crate) to: usize,
    /// The number of the port by which it enters there.
    pub(crate) port: usize,
    pub(crate) direction: Direction,
}

/// The network and how to watch it.
pub(crate) struct Plan {
    pub(crate) places: Vec<Place>,
    pub(crate) wires: Vec<Wire>,
    /// Speaks to the namespace of the ports.
    pub(crate) netlink: Netlink,
    /// How many bytes of each packet are kept; 0 keeps no packets at all.
    pub(crate) snap: usize,
    /// How late a packet may be.
    pub(crate) tolerance: Duration,
}

/// What is asked of the relay while it runs.
#[derive(Debug)]
enum Command {
    Inject(usize, Packet),
    Capture(mpsc::Sender<Vec<Crossing>>),
    Tally(mpsc::Sender<Tally>),
    Stop,
}

/// What the relay has to say about its own work.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) arrivals: u64,
    pub(crate) late: u64,
    pub(crate) worst_ns: u64,
    pub(crate) total_ns: u64,
    /// By place: packets that the ring had no room for, and those that the kernel refused.
    pub(crate) overflowed: Vec<u64>,
    pub(crate) refused: Vec<u64>,
}

/// The running relay. Dropping it ends it.
pub(crate) struct Relay {
    mailbox: Mailbox,
    thread: Option<JoinHandle<()>>,
}

/// A way to talk to the relay.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox {
    commands: mpsc::Sender<Command>,
    bell: Arc<EventFd>,
}

impl Mailbox {
    /// Whether the relay is still there to read it.
    fn post(&self, command: Command) -> bool {
        self.commands.send(command).is_ok() && self.bell.write(1).is_ok()
    }

    fn ask<T>(&self, command: impl FnOnce(mpsc::Sender<T>) -> Command) -> Option<T> {
        let (sender, receiver) = mpsc::channel();
        self.post(command(sender));
        receiver.recv().ok()
    }

    pub(crate) fn inject(&self, place: usize, packet: Packet) -> bool {
        self.post(Command::Inject(place, packet))
    }

    /// All packets so far, those that a host has sent before this call included.
    pub(crate) fn capture(&self) -> Option<Vec<Crossing>> {
        self.ask(Command::Capture)
    }

    pub(crate) fn tally(&self) -> Option<Tally> {
        self.ask(Command::Tally)
    }
}

/// The relay's end of a [`Mailbox`].
struct Inbox {
    commands: mpsc::Receiver<Command>,
    bell: Arc<EventFd>,
}

fn mailbox() -> std::io::Result<(Mailbox, Inbox)> {
    let (sender, commands) = mpsc::channel();
    let bell = Arc::new(EventFd::from_flags(
        EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK,
    )?);
    let mailbox = Mailbox {
        commands: sender,
        bell: bell.clone(),
    };
    Ok((mailbox, Inbox { commands, bell }))
}

impl Relay {
    pub(crate) fn start(plan: Plan) -> std::io::Result<Self> {
        let (mailbox, inbox) = mailbox()?;
        let started_ns = sys::monotonic_ns();
        let places = plan.places.len();
        let worker = Worker {
            inbox,
            started_ns,
            agenda: Agenda::default(),
            outgoing: (0..plan.wires.len()).map(|_| Vec::new()).collect(),
            alarms: vec![None; places],
            crossings: Vec::new(),
            held: HashMap::new(),
            tally: Tally {
                overflowed: vec![0; places],
                refused: vec![0; places],
                ..Tally::default()
            },
            plan,
        };
        let thread = thread::Builder::new()
            .name("lab-relay".to_owned())
            .spawn(move || close(worker.run()))?;
        Ok(Self {
            mailbox,
            thread: Some(thread),
        })
    }

    pub(crate) fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.mailbox.post(Command::Stop);
        if let Some(thread) = self.thread.take() {
            // If it has panicked, in a rule, the panic has been printed.
            let _ = thread.join();
        }
    }
}

/// Closes all packet sockets at once: for each, the kernel waits until no processor can be using it,
/// which takes tens of milliseconds, however many wait.
fn close(places: Vec<Place>) {
    thread::scope(|scope| {
        for place in places {
            if let Kind::Host(ports) = place.kind {
                for port in ports {
                    scope.spawn(|| drop(port));
                }
            }
        }
    });
}

/// What is to happen, and when.
#[derive(Default)]
struct Agenda {
    events: BinaryHeap<Reverse<Event>>,
    entered: u64,
}

struct Event {
    due_ns: u64,
    /// What is due at the same time happens in the order in which it was entered.
    order: u64,
    what: What,
}

enum What {
    Arrive(Arrival),
    /// A held packet has waited long enough: its wire and number.
    Release(usize, u64),
    /// A node's alarm goes off, if it is still set to this time.
    Wake(usize),
}

struct Arrival {
    wire: usize,
    on: OnItsWay,
    /// Its place in the capture.
    crossing: Option<usize>,
}

impl Agenda {
    fn enter(&mut self, due_ns: u64, what: What) {
        self.entered += 1;
        self.events.push(Reverse(Event {
            due_ns,
            order: self.entered,
            what,
        }));
    }

    fn next_due_ns(&self) -> Option<u64> {
        self.events.peek().map(|Reverse(event)| event.due_ns)
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due_ns, self.order).cmp(&(other.due_ns, other.order))
    }
}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Event {}

/// The relay's thread.
struct Worker {
    plan: Plan,
    inbox: Inbox,
    started_ns: u64,
    agenda: Agenda,
    /// By wire: what has arrived and goes to the kernel with the next call.
    outgoing: Vec<Vec<Arrival>>,
    /// By place: when a node wants to be woken.
    alarms: Vec<Option<u64>>,
    crossings: Vec<Crossing>,
    /// Places in the capture of packets that wait to be overtaken, by wire and number.
    held: HashMap<(usize, u64), usize>,
    tally: Tally,
}

impl Worker {
    /// Carries packets until it is told to stop, and gives what it has used.
    fn run(mut self) -> Vec<Place> {
        sys::be_punctual(sys::RELAY_SLICE);
        loop {
            self.do_what_is_due();
            if !self.obey() {
                return self.plan.places;
            }
            self.wait();
            self.take_in(BATCH);
        }
    }

    fn do_what_is_due(&mut self) {
        let mut now_ns = sys::monotonic_ns();
        while let Some(due_ns) = self.agenda.next_due_ns() {
            if due_ns > now_ns {
                now_ns = sys::monotonic_ns();
                if due_ns > now_ns {
                    break;
                }
            }
            let Some(Reverse(event)) = self.agenda.events.pop() else {
                break;
            };
            match event.what {
                What::Arrive(arrival) => self.arrive(arrival),
                What::Release(wire, number) => {
                    let direction = &mut self.plan.wires[wire].direction;
                    if let Some(on) = direction.release(number, due_ns) {
                        self.carry(wire, on, None);
                    }
                }
                What::Wake(place) => self.wake(place, event.due_ns),
            }
        }
        for wire in 0..self.outgoing.len() {
            self.flush(wire);
        }
    }

    /// Reads up to `limit` packets from each interface, each stamped by its kernel.
    fn take_in(&mut self, limit: usize) {
        for wire in 0..self.plan.wires.len() {
            let Wire { from, exit, .. } = self.plan.wires[wire];
            let (now_ns, since_1970_ns) = sys::now_and_lead_ns();
            for _ in 0..limit {
                let Kind::Host(ports) = &mut self.plan.places[from].kind else {
                    break;
                };
                let Some(received) = ports[exit].receive() else {
                    break;
                };
                let sent_ns = received
                    .sent_realtime_ns
                    .saturating_sub(since_1970_ns)
                    .clamp(self.started_ns.min(now_ns), sys::monotonic_ns());
                self.send(wire, received.packet, sent_ns);
            }
        }
    }

    /// Offers a packet to a wire.
    fn send(&mut self, wire: usize, packet: Packet, sent_ns: u64) {
        let Wire { from, to, .. } = self.plan.wires[wire];
        let crossing = (self.plan.snap > 0).then(|| Crossing {
            from,
            to,
            number: 0,
            sent: self.since_start(sent_ns),
            arrived: None,
            fate: Fate::Passed,
            length: packet.length(),
            queue_bytes: 0,
            bytes: packet.bytes()[..packet.length().min(self.plan.snap)].into(),
        });
        let decision = self.plan.wires[wire].direction.offer(sent_ns, packet);
        let index = crossing.map(|crossing| {
            self.crossings.push(Crossing {
                number: decision.number,
                fate: decision.fate,
                queue_bytes: decision.queue_bytes,
                ..crossing
            });
            self.crossings.len() - 1
        });
        if let Some(at_ns) = decision.release_at_ns {
            self.agenda
                .enter(at_ns, What::Release(wire, decision.number));
            if let Some(index) = index {
                self.held.insert((wire, decision.number), index);
            }
        }
        for on in decision.go_on {
            let own = (on.number == decision.number).then_some(index).flatten();
            self.carry(wire, on, own);
        }
    }

    /// Enters a packet's arrival. `crossing` is its place in the capture unless it was held.
    fn carry(&mut self, wire: usize, on: OnItsWay, crossing: Option<usize>) {
        let crossing = crossing.or_else(|| self.held.remove(&(wire, on.number)));
        let crossing = match crossing {
            Some(original) if on.fate == Fate::Copied => {
                self.crossings.push(Crossing {
                    fate: on.fate,
                    arrived: None,
                    ..self.crossings[original].clone()
                });
                Some(self.crossings.len() - 1)
            }
            other => other,
        };
        self.agenda
            .enter(on.due_ns, What::Arrive(Arrival { wire, on, crossing }));
    }

    fn arrive(&mut self, arrival: Arrival) {
        let Wire { to, port, .. } = self.plan.wires[arrival.wire];
        let since_start = self.since_start(arrival.on.due_ns);
        match &mut self.plan.places[to].kind {
            Kind::Host(_) => {
                let wire = arrival.wire;
                self.outgoing[wire].push(arrival);
                if self.outgoing[wire].len() == BATCH {
                    self.flush(wire);
                }
            }
            // What a node does takes no time: it happens when it is due, even if the relay is late.
            Kind::Node(node) => {
                let Arrival { on, crossing, .. } = arrival;
                let mut out = Out::at(since_start);
                node.packet(port, on.packet, &mut out);
                if let Some(crossing) = crossing {
                    self.crossings[crossing].arrived = Some(since_start);
                }
                self.follow(to, out, on.due_ns);
            }
            Kind::Raw(sender) => {
                // Nobody listens any more: lost at the receiver, as in a host that is switched off.
                let _ = sender.send(arrival.on.packet);
                self.account(arrival.on.due_ns, arrival.crossing, sys::monotonic_ns());
            }
        }
    }

    /// Does what a node has asked for.
    fn follow(&mut self, place: usize, out: Out, now_ns: u64) {
        for (exit, packet) in out.packets {
            // What goes to a port without a link is lost.
            if let Some(&wire) = self.plan.places[place].exits.get(exit) {
                self.send(wire, packet, now_ns);
            }
        }
        if let Some(time) = out.alarm {
            let due_ns = now_ns.max(self.started_ns.saturating_add(nanoseconds(time)));
            self.alarms[place] = Some(due_ns);
            self.agenda.enter(due_ns, What::Wake(place));
        }
    }

    /// Wakes a node whose alarm is set to this time; a former alarm of it is past.
    fn wake(&mut self, place: usize, due_ns: u64) {
        if self.alarms[place] != Some(due_ns) {
            return;
        }
        self.alarms[place] = None;
        if let Kind::Node(node) = &mut self.plan.places[place].kind {
            let mut out = Out::at(Duration::from_nanos(due_ns.saturating_sub(self.started_ns)));
            node.wake(&mut out);
            self.follow(place, out, due_ns);
        }
    }

    /// Hands a host what has arrived for it on a wire.
    fn flush(&mut self, wire: usize) {
        if self.outgoing[wire].is_empty() {
            return;
        }
        let Wire { to, port, .. } = self.plan.wires[wire];
        let mut arrivals = std::mem::take(&mut self.outgoing[wire]);
        if let Kind::Host(ports) = &mut self.plan.places[to].kind {
            let now_ns = sys::monotonic_ns();
            ports[port].send(arrivals.iter_mut().map(|arrival| &mut arrival.on.packet));
            for arrival in &arrivals {
                self.account(arrival.on.due_ns, arrival.crossing, now_ns);
            }
        }
        arrivals.clear();
        self.outgoing[wire] = arrivals;
    }

    /// Notes when a packet arrived, and how late that was.
    fn account(&mut self, due_ns: u64, crossing: Option<usize>, now_ns: u64) {
        let late_ns = now_ns.saturating_sub(due_ns);
        self.tally.arrivals += 1;
        self.tally.total_ns += late_ns;
        self.tally.worst_ns = self.tally.worst_ns.max(late_ns);
        if u128::from(late_ns) > self.plan.tolerance.as_nanos() {
            self.tally.late += 1;
        }
        if let Some(crossing) = crossing {
            self.crossings[crossing].arrived = Some(self.since_start(now_ns));
        }
    }

    /// Does what was asked; `false` when that was to stop.
    fn obey(&mut self) -> bool {
        while let Ok(command) = self.inbox.commands.try_recv() {
            match command {
                Command::Stop => return false,
                Command::Inject(place, packet) => {
                    if let Some(&wire) = self.plan.places[place].exits.first() {
                        self.send(wire, packet, sys::monotonic_ns());
                    }
                    self.do_what_is_due();
                }
                Command::Capture(answer) => {
                    self.catch_up();
                    let _ = answer.send(self.crossings.clone());
                }
                Command::Tally(answer) => {
                    self.catch_up();
                    self.count_losses();
                    let _ = answer.send(self.tally.clone());
                }
            }
        }
        true
    }

    /// Reads all that the hosts have sent before this call, and does with it what is due.
    fn catch_up(&mut self) {
        let deadline_ns = sys::monotonic_ns() + CAUGHT_UP_WITHIN_NS;
        let netlink = &self.plan.netlink;
        for place in &mut self.plan.places {
            let Kind::Host(ports) = &mut place.kind else {
                continue;
            };
            for port in ports {
                let sent = port.sent(netlink).unwrap_or(0);
                while port.arrived().is_ok_and(|arrived| arrived < sent)
                    && sys::monotonic_ns() < deadline_ns
                {
                    thread::yield_now();
                }
            }
        }
        self.take_in(usize::MAX);
        self.do_what_is_due();
    }

    fn count_losses(&mut self) {
        for (at, place) in self.plan.places.iter().enumerate() {
            if let Kind::Host(ports) = &place.kind {
                self.tally.refused[at] = ports.iter().map(|port| port.refused).sum();
                self.tally.overflowed[at] = ports.iter().map(|port| port.overflowed).sum();
            }
        }
    }

    /// Sleeps until something is due, a host has sent something, or something is asked.
    fn wait(&self) {
        let timeout = self
            .agenda
            .next_due_ns()
            .map(|due_ns| due_ns.saturating_sub(sys::monotonic_ns()))
            .map(|wait_ns| TimeSpec::from_duration(Duration::from_nanos(wait_ns)));
        let ports = self
            .plan
            .places
            .iter()
            .filter_map(|place| match &place.kind {
                Kind::Host(ports) => Some(ports),
                _ => None,
            })
            .flatten()
            .map(Port::as_fd);
        let mut descriptors: Vec<PollFd> = std::iter::once(self.inbox.bell.as_fd())
            .chain(ports)
            .map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN))
            .collect();
        // Interrupted or not: the loop looks at everything anyway.
        let _ = ppoll(&mut descriptors, timeout, None);
        let _ = self.inbox.bell.read();
    }

    fn since_start(&self, ns: u64) -> Duration {
        Duration::from_nanos(ns.saturating_sub(self.started_ns))
    }
}
