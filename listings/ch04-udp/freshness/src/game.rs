//! The network, and the two ways across it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use lab::{Crossing, Host, Lab, Link, Report, Verdict};

use crate::world::{SIZE, Taken, Update, World};

/// What may go wrong.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// How often the server sends the state of its world.
pub const UPDATES_A_SECOND: u32 = 60;

/// Between two updates.
pub const PERIOD: Duration = Duration::from_nanos(1_000_000_000 / UPDATES_A_SECOND as u64);

/// How late the network may carry a packet before a run is repeated: half of the time between two
/// updates, so that none is ever so late that the next one overtakes it.
const TOLERANCE: Duration = PERIOD.checked_div(2).expect("two is not zero");

/// How long nothing comes by UDP before the receiver takes the game to be over: thirty updates,
/// which no link loses at a stretch that loses one in twenty.
const SILENCE: Duration = Duration::from_millis(500);

/// How long the receiver waits for TCP, whose kernel may try to send a segment again several times,
/// and waits twice as long each time.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of each packet that the capture keeps: its headers, and an update's number.
const SNAP: usize = 100;

/// A network and a game.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The share of the packets that the link loses, in each direction.
    pub loss: f64,
    /// Which ones.
    pub seed: u64,
    /// From the server to the client and back.
    pub round_trip: Duration,
    /// How many updates there are.
    pub updates: u32,
}

/// An update that was newer than all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Its number.
    pub number: u32,
    /// When it was made, since the game began.
    pub made: Duration,
    /// When the receiver's program had it.
    pub at: Duration,
}

/// What the receiver saw of a game, and what the network did.
#[derive(Debug, Clone)]
pub struct Received {
    /// When each update was made.
    pub made: Vec<Duration>,
    /// The updates that changed the receiver's world, in the order in which they came.
    pub taken: Vec<Arrival>,
    /// How many came after a newer one, and were dropped.
    pub old: usize,
    /// How many packets with updates were sent.
    pub sent: usize,
    /// How many of them the link lost.
    pub lost: usize,
    /// How many segments the sender's kernel sent again; none with UDP.
    pub retransmitted: i64,
    /// How many segments held more or less than one update. `TCP_NODELAY` sends each update at
    /// once, unless the window has no room for it: then the kernel fills the next segment with what
    /// has come together.
    pub resized: usize,
}

/// A game over both, at the same time, on two networks that lose alike.
#[derive(Debug, Clone)]
pub struct Game {
    /// Over UDP.
    pub udp: Received,
    /// Over TCP.
    pub tcp: Received,
}

/// What a game gives.
pub type Played = Result<(Game, Report), Error>;

// ANCHOR: link
impl Settings {
    /// The network: two hosts, and a link that takes half of the round trip each way and loses
    /// packets by number. Both games get one like it.
    fn network(&self) -> Result<(Lab, Host, Host), Error> {
        let link = |seed| {
            let half = Link::new().delay(self.round_trip / 2);
            half.loss(self.loss, seed)
        };
        let mut builder = Lab::builder();
        builder.congestion("cubic");
        builder.tolerance(TOLERANCE);
        builder.snap(SNAP);
        let (server, client) = (builder.host("server"), builder.host("client"));
        builder.link(server, client, link(self.seed), link(!self.seed));
        let lab = builder.start()?;
        let (server, client) = (lab.host(server), lab.host(client));
        Ok((lab, server, client))
    }
}
// ANCHOR_END: link

/// Plays it over UDP and over TCP at the same time.
///
/// # Errors
///
/// When a network cannot be built or a socket fails.
///
/// # Panics
///
/// When a thread of the game does.
pub fn play(settings: Settings) -> Played {
    let (udp, tcp) = thread::scope(|scope| {
        let udp = scope.spawn(|| over_udp(settings));
        let tcp = scope.spawn(|| over_tcp(settings));
        (udp.join(), tcp.join())
    });
    let (udp, udp_report) = udp.expect("no panic")?;
    let (tcp, tcp_report) = tcp.expect("no panic")?;
    let worse = [udp_report, tcp_report]
        .into_iter()
        .max_by_key(|report| (report.late, report.latest));
    Ok((Game { udp, tcp }, worse.expect("one of two")))
}

// ANCHOR: send
/// Makes an update every sixtieth of a second and sends it, however long sending took. Gives when
/// each was made.
fn updates(
    began: Instant,
    count: u32,
    mut send: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Vec<Duration>> {
    let mut made = Vec::new();
    for number in 0..count {
        let due = began + PERIOD * number;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let now = began.elapsed();
        let update = Update {
            number,
            made_ns: now.as_nanos() as u64,
        };
        send(&update.emit())?;
        made.push(now);
    }
    Ok(made)
}
// ANCHOR_END: send

/// Notes what came, and when.
struct Log {
    began: Instant,
    world: World,
    taken: Vec<Arrival>,
    old: usize,
}

impl Log {
    fn new(began: Instant) -> Self {
        Self {
            began,
            world: World::default(),
            taken: Vec::new(),
            old: 0,
        }
    }

    // ANCHOR: take
    fn take(&mut self, bytes: &[u8]) {
        let at = self.began.elapsed();
        // What is no update came from a stranger, who can send datagrams, too.
        let Some(update) = Update::parse(bytes) else {
            return;
        };
        match self.world.take(&update) {
            Taken::Old => self.old += 1,
            Taken::Newer => self.taken.push(Arrival {
                number: update.number,
                made: update.made(),
                at,
            }),
        }
    }
    // ANCHOR_END: take
}

fn over_udp(settings: Settings) -> Result<(Received, Report), Error> {
    let (lab, server, client) = settings.network()?;
    udp_game(lab, &server, &client, settings.updates)
}

fn udp_game(
    lab: Lab,
    server: &Host,
    client: &Host,
    count: u32,
) -> Result<(Received, Report), Error> {
    let (sending, receiving) = udp_sockets(server, client)?;
    let began = Instant::now();
    let mut log = Log::new(began);
    // ANCHOR: udp
    let sender = server.spawn(move || {
        updates(began, count, |update| sending.send(update).map(drop)) // and forgets it
    });
    let mut buffer = [0; SIZE + 1]; // a longer datagram is seen to be longer
    while let Some(length) = unless_silent(receiving.recv(&mut buffer))? {
        log.take(&buffer[..length]);
    }
    // ANCHOR_END: udp
    let made = sender.join().expect("no panic")?;
    let carries = |crossing: &Crossing| crossing.udp().is_some();
    let received = Received {
        made,
        taken: log.taken,
        old: log.old,
        sent: sent(&lab, carries),
        lost: lost(&lab, carries),
        retransmitted: 0,
        resized: 0,
    };
    Ok((received, lab.finish()?))
}

/// A socket on each host, each connected to the other: only its datagrams come in.
fn udp_sockets(server: &Host, client: &Host) -> io::Result<(UdpSocket, UdpSocket)> {
    let sending = server.run(|| UdpSocket::bind((server.v4(), 0)))?;
    let receiving = client.run(|| UdpSocket::bind((client.v4(), 0)))?;
    sending.connect(receiving.local_addr()?)?;
    receiving.connect(sending.local_addr()?)?;
    receiving.set_read_timeout(Some(SILENCE))?;
    Ok((sending, receiving))
}

fn over_tcp(settings: Settings) -> Result<(Received, Report), Error> {
    let (lab, server, client) = settings.network()?;
    let listener = server.run(|| TcpListener::bind((server.v4(), 0)))?;
    let address = listener.local_addr()?;
    let mut receiving = client.run(|| TcpStream::connect(address))?;
    let (mut sending, _) = listener.accept()?;
    sending.set_nodelay(true)?;
    receiving.set_read_timeout(Some(PATIENCE))?;
    let began = Instant::now();
    let mut log = Log::new(began);
    let count = settings.updates;
    // ANCHOR: tcp
    let sender = server.spawn(move || {
        updates(began, count, |update| sending.write_all(update)) // the kernel sees to the rest
    });
    let mut update = [0; SIZE];
    while unless_over(receiving.read_exact(&mut update))? {
        log.take(&update);
    }
    // ANCHOR_END: tcp
    let made = sender.join().expect("no panic")?;
    let carries = |crossing: &Crossing| crossing.tcp().is_some_and(|segment| segment.length > 0);
    let resized = |crossing: &Crossing| {
        let length = crossing.tcp().map_or(0, |segment| segment.length);
        length > 0 && length != SIZE
    };
    let received = Received {
        made,
        taken: log.taken,
        old: log.old,
        sent: sent(&lab, carries),
        lost: lost(&lab, carries),
        retransmitted: server.counters()["TcpRetransSegs"],
        resized: sent(&lab, resized),
    };
    Ok((received, lab.finish()?))
}

/// A UDP game on a link that loses nothing, but lets every tenth update be overtaken by the two
/// behind it, and carries every fifteenth twice.
///
/// # Errors
///
/// Those of [`play`].
pub fn overtaken(round_trip: Duration, count: u32) -> Result<(Received, Report), Error> {
    // ANCHOR: overtaken
    let there = Link::new()
        .delay(round_trip / 2)
        .rule(|number, _| match number {
            _ if number % 10 == 5 => Verdict::Reorder(2),
            _ if number % 15 == 7 => Verdict::Duplicate,
            _ => Verdict::Pass,
        });
    // ANCHOR_END: overtaken
    let mut builder = Lab::builder();
    builder.tolerance(TOLERANCE);
    let (server, client) = (builder.host("server"), builder.host("client"));
    builder.link(server, client, there, Link::new().delay(round_trip / 2));
    let lab = builder.start()?;
    let (server, client) = (lab.host(server), lab.host(client));
    udp_game(lab, &server, &client, count)
}

impl Received {
    /// How many updates came, but more than a period later than the link takes: behind one that was
    /// lost.
    #[must_use]
    pub fn late(&self, round_trip: Duration) -> usize {
        let in_time = round_trip / 2 + PERIOD;
        let late = |arrival: &&Arrival| arrival.at - arrival.made > in_time;
        self.taken.iter().filter(late).count()
    }
}

/// How many packets with updates the server sent.
fn sent(lab: &Lab, carries_updates: impl Fn(&Crossing) -> bool) -> usize {
    let capture = lab.capture();
    let sent = capture.sent_by("server");
    sent.filter(|&crossing| carries_updates(crossing)).count()
}

/// How many of them the link lost.
fn lost(lab: &Lab, carries_updates: impl Fn(&Crossing) -> bool) -> usize {
    sent(lab, |crossing| {
        carries_updates(crossing) && crossing.arrived.is_none()
    })
}

/// UDP has no end: when nothing comes any more, it is over.
fn unless_silent(received: io::Result<usize>) -> io::Result<Option<usize>> {
    match received {
        Ok(length) => Ok(Some(length)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// TCP has an end, and the server's is behind the last update.
fn unless_over(read: io::Result<()>) -> io::Result<bool> {
    match read {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
