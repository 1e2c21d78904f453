//! Two hosts, a connection between them, and what became of it: every segment, and every state of
//! both ends.

use std::cell::Cell;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lab::{Capture, Crossing, Host, Lab, Link, Report, Tcp};
use nix::errno::Errno;
use record::{Sequence, What};
use socket2::{Domain, SockRef, Socket, Type};
use tcp_close::State;
use tcp_close::diag::{self, Diag};

/// How long a segment is under way. Every state that ends with a segment's arrival lasts as long, or
/// twice as long: long enough to be seen.
pub const DELAY: Duration = Duration::from_millis(30);

/// What lasted less was passed through by a program that called `close()` without delay. To see it
/// is a matter of luck, so it counts as not seen.
const BRIEF: Duration = Duration::from_millis(25);

/// How long to wait before the kernel is asked again.
const PAUSE: Duration = Duration::from_micros(300);

/// How long anything may take that the experiment waits for.
const DEADLINE: Duration = Duration::from_secs(10);

/// The ports: nobody else is on these hosts.
const CLIENT_PORT: u16 = 40_000;
const SERVER_PORT: u16 = 80;

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A lab with one connection, over which a greeting and its answer have gone, and nothing is under
/// way any more.
pub struct Stage {
    // Dropped in this order: the watches end before the lab does.
    pub client: End,
    pub server: End,
    lab: Lab,
    /// When the lab's clock stood at zero.
    zero: Instant,
    /// From when on the story is to be told.
    begin: Cell<Instant>,
}

/// One of the two hosts, with the state of its end of the connection.
pub struct End {
    pub host: Host,
    address: SocketAddr,
    watch: Watch,
}

impl Stage {
    /// Makes the lab; `there` is the link from the client to the server. Gives the two ends of the
    /// connection with it.
    pub fn open(there: Link) -> Result<(Self, TcpStream, TcpStream)> {
        let mut builder = Lab::builder();
        builder.congestion("reno"); // any would do
        builder.tolerance(DELAY / 6);
        let places = [builder.host("client"), builder.host("server")];
        builder.link(places[0], places[1], there, Link::new().delay(DELAY));
        let lab = builder.start()?;
        let zero = Instant::now();
        let [client, server] = places.map(|place| lab.host(place));
        let client_at = SocketAddr::from((client.v4(), CLIENT_PORT));
        let server_at = SocketAddr::from((server.v4(), SERVER_PORT));
        let client = End::watched(client, client_at, server_at)?;
        let server = End::watched(server, server_at, client_at)?;
        let (client_stream, server_stream) = connect(&client, &server)?;
        let stage = Self {
            lab,
            client,
            server,
            zero,
            begin: Cell::new(Instant::now()),
        };
        Ok((stage, client_stream, server_stream))
    }

    /// The story begins here; what was before, only led up to it.
    pub fn begin(&self) {
        self.begin.set(Instant::now());
    }

    /// Waits until neither end has anything more to do, and tells all.
    pub fn finish(self) -> Result<(Story, Report)> {
        for end in [&self.client, &self.server] {
            end.watch.wait_for("the end", |state| {
                matches!(state, State::TimeWait | State::Closed)
            })?;
        }
        let begin = self.begin.get() - self.zero;
        let seen = [self.client, self.server].map(|mut end| end.watch.stop());
        let story = Story::new(&self.lab.capture(), self.zero, begin, seen);
        Ok((story, self.lab.finish()?))
    }
}

impl End {
    /// From here on, nothing is missed.
    fn watched(host: Host, address: SocketAddr, remote: SocketAddr) -> io::Result<Self> {
        let watch = Watch::start(&host, address, remote);
        let end = Self {
            host,
            address,
            watch,
        };
        end.reaches(State::Closed)?;
        Ok(end)
    }

    /// Waits until this end is in a state.
    pub fn reaches(&self, wanted: State) -> io::Result<()> {
        self.watch
            .wait_for(&wanted.to_string(), |state| state == wanted)
    }

    /// Waits until this many bytes have arrived that the program has not read.
    pub fn has_unread(&self, bytes: u32) -> io::Result<()> {
        wait_until(&format!("{bytes} bytes at the other end"), || {
            self.watch.last().is_some_and(|end| end.unread == bytes)
        })
    }
}

/// The connection, and `hello` and `hi` over it.
fn connect(client: &End, server: &End) -> io::Result<(TcpStream, TcpStream)> {
    let listener = server.host.run(|| TcpListener::bind(server.address))?;
    server.reaches(State::Listen)?;
    let open = || Socket::new(Domain::IPV4, Type::STREAM, None);
    let socket = client.host.run(open)?;
    socket.bind(&client.address.into())?;
    socket.connect(&server.address.into())?;
    let (mut client, (mut server, _)) = (TcpStream::from(socket), listener.accept()?);
    // One answer makes the server's end «interactive» on new kernels, three on older ones: from then
    // on it delays acknowledgments, since an answer may be about to carry them. Here, at once.
    SockRef::from(&server).set_tcp_quickack(false)?;
    exchange(&mut client, &mut server, b"hello")?;
    SockRef::from(&client).set_tcp_quickack(true)?; // the other way round: saves this listing time
    exchange(&mut server, &mut client, b"hi")?;
    acknowledged(&server)?;
    Ok((client, server))
}

/// Sends and receives.
fn exchange(from: &mut TcpStream, to: &mut TcpStream, what: &[u8]) -> io::Result<()> {
    from.write_all(what)?;
    to.read_exact(&mut vec![0; what.len()])
}

/// Waits until the other end has acknowledged everything.
pub fn acknowledged(stream: &TcpStream) -> io::Result<()> {
    let at_latest = Instant::now() + DEADLINE;
    loop {
        let info = lab::tcp_info(stream)?;
        if info.unacked == 0 && info.notsent_bytes == 0 {
            return Ok(());
        }
        expired(at_latest, "everything is acknowledged")?;
        thread::sleep(PAUSE);
    }
}

/// What a program learns when it reads from a connection, or writes to it.
pub fn heard(outcome: io::Result<usize>) -> String {
    match outcome {
        Ok(0) => "the end of the stream".to_owned(),
        Ok(_) => "data".to_owned(),
        Err(error) => match error.raw_os_error() {
            Some(number) => format!("`{:?}`", Errno::from_raw(number)),
            None => error.to_string(),
        },
    }
}

fn wait_until(what: &str, mut it_is_so: impl FnMut() -> bool) -> io::Result<()> {
    let at_latest = Instant::now() + DEADLINE;
    while !it_is_so() {
        expired(at_latest, what)?;
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn expired(at_latest: Instant, what: &str) -> io::Result<()> {
    if Instant::now() < at_latest {
        return Ok(());
    }
    let late = format!("waited {DEADLINE:?} in vain until {what}");
    Err(io::Error::new(io::ErrorKind::TimedOut, late))
}

// ANCHOR: watch
/// Asks the kernel again and again, and keeps each change.
struct Watch {
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the kernel said, and from when on.
struct Seen {
    at: Instant,
    state: State,
    /// What was left on the timer at first.
    timer: Option<Duration>,
    /// The latest that was read in this state.
    end: Option<diag::End>,
}

impl Watch {
    fn start(host: &Host, local: SocketAddr, remote: SocketAddr) -> Self {
        let seen = Arc::new(Mutex::new(Vec::<Seen>::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (writes, stops) = (seen.clone(), stop.clone());
        let thread = host.spawn(move || {
            let diag = Diag::open().expect("the kernel can be asked");
            while !stops.load(Ordering::Relaxed) {
                let end = diag.find(local, remote).expect("the kernel answers");
                let state = end.map_or(State::Closed, |end| end.state);
                let timer = end.and_then(|end| end.timer);
                let mut seen = writes.lock().unwrap_or_else(PoisonError::into_inner);
                match seen.last_mut() {
                    Some(last) if last.state == state => {
                        last.timer = last.timer.or(timer);
                        last.end = end;
                    }
                    _ => seen.push(Seen {
                        at: Instant::now(),
                        state,
                        timer,
                        end,
                    }),
                }
                drop(seen);
                thread::sleep(PAUSE);
            }
        });
        Self {
            seen,
            stop,
            thread: Some(thread),
        }
    }
    // ANCHOR_END: watch

    fn last(&self) -> Option<diag::End> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.last().and_then(|seen| seen.end)
    }

    fn wait_for(&self, what: &str, is_it: impl Fn(State) -> bool) -> io::Result<()> {
        wait_until(what, || {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.last().is_some_and(|seen| is_it(seen.state))
        })
    }

    /// Ends the questions, and gives what was seen.
    fn stop(&mut self) -> Vec<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a watch does not panic");
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *seen)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What became of the connection.
pub struct Story {
    /// What each segment says, with an arrow from the client (`FIN ACK →`) or to it (`← ACK`).
    pub segments: Vec<String>,
    /// What the client's end went through, and the server's.
    pub paths: [Vec<Stay>; 2],
    /// Since when the story is told, by the clock of the paths.
    pub begin: Duration,
    /// Both together, from then on.
    pub sequence: Sequence,
}

/// How long an end was in a state.
#[derive(Debug, Clone)]
pub struct Stay {
    pub state: State,
    /// Since the lab started.
    pub from: Duration,
    /// Nothing for the last one.
    pub lasted: Option<Duration>,
    /// What was left on the end's timer at first.
    pub timer: Option<Duration>,
    /// And in the end.
    pub timer_left: Option<Duration>,
}

impl Stay {
    /// Whether it was passed through in no time, as only a program can do.
    pub fn is_brief(&self) -> bool {
        self.state == State::CloseWait && self.lasted.is_some_and(|lasted| lasted < BRIEF)
    }
}

impl Story {
    fn new(capture: &Capture, zero: Instant, begin: Duration, seen: [Vec<Seen>; 2]) -> Self {
        let mut place = 0..;
        let paths = seen.map(|seen| {
            let place = place.next().expect("the numbers do not end");
            stays(seen, zero, &local(capture.crossings(), place))
        });
        let mut sequence = capture.sequence();
        let events = std::mem::take(&mut sequence.events);
        let mut told: Vec<_> = capture.crossings().iter().zip(events).collect();
        told.retain(|(crossing, _)| crossing.sent >= begin);
        let start = told.first().map_or(begin, |(crossing, _)| crossing.sent);
        let since_start = |time: Duration| time.saturating_sub(start).as_micros() as u64;

        let mut states = Vec::new();
        for (host, path) in paths.iter().enumerate() {
            let mut by_way_of = None;
            for stay in path {
                let ended = stay.lasted.map(|lasted| stay.from + lasted);
                if ended.is_some_and(|ended| ended <= begin) {
                    continue;
                }
                if stay.is_brief() {
                    by_way_of = Some(format!("by way of `{}`", stay.state));
                    continue;
                }
                states.push((stay.from, host, stay.state, by_way_of.take()));
            }
        }
        states.sort_by_key(|&(from, ..)| from.max(begin)); // those at the beginning come first
        for (from, host, state, note) in states {
            let label = match state {
                State::Closed => "gone".to_owned(),
                state => format!("`{state}`"),
            };
            sequence.state(since_start(from), host, label, note.as_deref());
        }
        let mut segments = Vec::new();
        for (crossing, mut event) in told {
            event.at_us = since_start(crossing.sent);
            if let What::Message {
                label, arrived_us, ..
            } = &mut event.what
            {
                *arrived_us = crossing.arrived.map(since_start);
                segments.push(arrow(crossing, label.trim_matches('`')));
            }
            sequence.events.push(event);
        }
        // A state stands before the segments of its moment.
        sequence.events.sort_by_key(|event| event.at_us);
        Self {
            segments,
            paths,
            begin,
            sequence,
        }
    }
}

fn arrow(crossing: &Crossing, flags: &str) -> String {
    let what = match crossing.tcp() {
        Some(tcp) if tcp.length > 0 => format!("{flags} + {} bytes", tcp.length),
        _ => flags.to_owned(),
    };
    let lost = if crossing.fate.arrives() { "" } else { " lost" };
    match crossing.from {
        0 => format!("{what}{lost} →"),
        _ => format!("← {what}{lost}"),
    }
}

/// A segment as one host saw it.
struct Local {
    came: bool,
    at: Duration,
    segment: Tcp,
}

/// What came to a host and left it, in the order of time.
fn local(crossings: &[Crossing], place: usize) -> Vec<Local> {
    let mut local: Vec<Local> = crossings
        .iter()
        .filter_map(|crossing| {
            let came = crossing.to == place;
            Some(Local {
                came,
                at: if came {
                    crossing.arrived?
                } else {
                    crossing.sent
                },
                segment: crossing.tcp()?,
            })
        })
        .collect();
    local.sort_by_key(|local| local.at);
    local
}

/// Whether it is this segment that brings an end from a state to the next, by RFC 9293's diagram or
/// by a reset.
fn brings(local: &Local, from: State, to: State) -> bool {
    let (came, has) = (local.came, |flags| local.segment.has(flags));
    match to {
        State::SynSent => !came && has(Tcp::SYN),
        State::SynReceived => came && has(Tcp::SYN),
        State::FinWait1 | State::LastAck => !came && has(Tcp::FIN),
        State::CloseWait | State::Closing => came && has(Tcp::FIN),
        State::Established | State::FinWait2 => came && has(Tcp::ACK),
        State::TimeWait => came && (has(Tcp::FIN) || from == State::Closing),
        State::Closed => has(Tcp::RST) || came && from == State::LastAck,
        State::Listen => false,
    }
}

/// What one end went through. It is seen a moment after the segment that brought it about.
fn stays(mut seen: Vec<Seen>, zero: Instant, local: &[Local]) -> Vec<Stay> {
    whether_seen_or_not(&mut seen);
    let mut stays: Vec<Stay> = Vec::new();
    for seen in seen {
        let at = seen.at.saturating_duration_since(zero);
        let last = stays.last().map(|last| (last.state, last.from));
        let cause = last.and_then(|(state, from)| {
            local
                .iter()
                .find(|local| local.at > from && brings(local, state, seen.state))
                .filter(|local| local.at < at + Duration::from_millis(1))
        });
        stays.push(Stay {
            state: seen.state,
            from: cause.map_or(at, |local| local.at),
            lasted: None,
            timer: seen.timer,
            timer_left: seen.end.and_then(|end| end.timer),
        });
    }
    for next in 1..stays.len() {
        stays[next - 1].lasted = Some(stays[next].from - stays[next - 1].from);
    }
    stays
}

/// Two states may be too short to be seen, or be seen by chance. CLOSE-WAIT, which the program ends,
/// always was there. FIN-WAIT-2 is what the kernel goes through while it works on one segment that
/// is both acknowledgment and FIN: by the diagram, it was not there.
fn whether_seen_or_not(seen: &mut Vec<Seen>) {
    use State::{CloseWait, Established, FinWait1, FinWait2, LastAck, TimeWait};
    let states: Vec<State> = seen.iter().map(|seen| seen.state).collect();
    let skipped = |pair: &[State]| pair == [Established, LastAck];
    if let Some(before) = states.windows(2).position(skipped) {
        let unseen = Seen {
            at: seen[before + 1].at,
            state: CloseWait,
            timer: None,
            end: None,
        };
        seen.insert(before + 1, unseen);
    }
    let passed = |three: &[State]| three == [FinWait1, FinWait2, TimeWait];
    if let Some(before) = states.windows(3).position(passed)
        && seen[before + 2].at - seen[before + 1].at < BRIEF
    {
        seen.remove(before + 1);
    }
}
