//! What epoll tells of one connection, level-triggered and edge-triggered.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use record::{Column, Table};
use socket2::SockRef;

/// For how long nothing must come to be called silence. What is told is told at once.
const SILENCE_MS: u8 = 30;

/// Within what time bytes must have arrived on loopback, be the machine ever so busy.
const DEADLINE: Duration = Duration::from_secs(10);

/// Longer than a receiver delays an acknowledgement on Linux at first (`TCP_DELACK_MIN`, 40
/// ms).
const LATE_ACKNOWLEDGEMENT: Duration = Duration::from_millis(100);

/// As much as a server would read at once, in bytes.
const ROOM: usize = 4096;

// ANCHOR: watcher
/// An epoll instance that watches one descriptor.
pub struct Watcher(Epoll);

impl Watcher {
    pub fn of(watched: impl AsFd, events: EpollFlags) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(watched, EpollEvent::new(events, 0))?;
        Ok(Self(epoll))
    }

    /// What one call of `epoll_wait` tells; `None` is silence.
    pub fn told(&self) -> io::Result<Option<EpollFlags>> {
        let mut events = [EpollEvent::empty()];
        let told = self.0.wait(&mut events, SILENCE_MS)?;
        Ok((told > 0).then(|| events[0].events()))
    }
}
// ANCHOR_END: watcher

/// A connection over loopback: the client's end, and the server's, which does not block.
pub fn connection() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    client.set_nodelay(true)?;
    let (server, _) = listener.accept()?;
    server.set_nonblocking(true)?;
    Ok((client, server))
}

/// Waits until `done` gives something.
fn until<T>(what: &str, mut done: impl FnMut() -> io::Result<Option<T>>) -> io::Result<T> {
    let at_latest = Instant::now() + DEADLINE;
    loop {
        if let Some(done) = done()? {
            return Ok(done);
        }
        if Instant::now() > at_latest {
            return Err(io::Error::new(
                ErrorKind::TimedOut,
                format!("{what} did not come about"),
            ));
        }
        thread::sleep(Duration::from_micros(100));
    }
}

/// Waits until so many bytes can be read.
fn arrived(server: &TcpStream, count: usize) -> io::Result<()> {
    until("the arrival of all bytes", || {
        match server.peek(&mut [0; ROOM]) {
            Ok(there) => Ok((there >= count).then_some(())),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    })
}

/// The names of what was told.
fn names(told: Option<EpollFlags>) -> String {
    let names: Vec<_> = told
        .iter()
        .flat_map(|told| told.iter_names())
        .map(|(name, _)| name)
        .collect();
    names.join(" and ")
}

/// Waits until the end has arrived, and so all that was sent before it.
fn ended(server: &TcpStream) -> io::Result<()> {
    let watcher = Watcher::of(server, EpollFlags::EPOLLRDHUP)?;
    until("the arrival of the end", || Ok(watcher.told()?.map(drop)))
}

fn word(told: Option<EpollFlags>) -> &'static str {
    if told.is_some() { "told" } else { "silence" }
}

/// The same, told twice: level-triggered and edge-triggered.
struct Both {
    level: Watcher,
    edge: Watcher,
    table: Table,
}

impl Both {
    fn of(watched: &TcpStream, events: EpollFlags) -> io::Result<Self> {
        let columns = ["what happens", "level-triggered", "edge-triggered"];
        println!("{:38}{:18}{}", "", columns[1], columns[2]);
        Ok(Self {
            level: Watcher::of(watched, events)?,
            edge: Watcher::of(watched, events | EpollFlags::EPOLLET)?,
            table: Table::new(columns.map(Column::words)),
        })
    }

    /// Asks both.
    fn ask(&mut self, after: &str) -> io::Result<Option<EpollFlags>> {
        let (level, edge) = (self.level.told()?, self.edge.told()?);
        println!("  {after:36}{:18}{}", word(level), word(edge));
        let row = [after, word(level), word(edge)].map(str::to_owned);
        self.table.rows.push(row.into());
        Ok(edge)
    }
}

/// What is told while bytes arrive and are read.
pub fn reading() -> io::Result<Table> {
    // ANCHOR: reading
    let (mut client, mut server) = connection()?;
    let mut both = Both::of(&server, EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP)?;
    both.ask("nothing has arrived")?;

    client.write_all(b"six by")?;
    arrived(&server, 6)?;
    both.ask("6 bytes arrive")?;
    both.ask("nobody reads them")?;

    server.read_exact(&mut [0; 2])?;
    both.ask("2 of the 6 are read")?;

    client.write_all(b"t")?;
    arrived(&server, 5)?;
    both.ask("1 more arrives")?;

    let mut room = [0; ROOM];
    let short = server.read(&mut room)?;
    both.ask("all 5 are read")?;

    client.write_all(b"es!")?;
    arrived(&server, 3)?;
    both.ask("3 more arrive")?;

    client.shutdown(Shutdown::Write)?;
    ended(&server)?;
    let at_the_end = both.ask("right behind them, the end arrives")?;
    let last = server.read(&mut room)?;
    both.ask("the 3 are read, the end is not")?;
    // ANCHOR_END: reading

    println!(
        "The reads had room for {ROOM} bytes and got {short} and {last}: all there was. The end was told"
    );
    println!(
        "with the last of them, as {}, and not again.\n",
        names(at_the_end)
    );
    Ok(both.table)
}

/// What is told while a send buffer fills and empties.
pub fn writing() -> io::Result<Table> {
    // ANCHOR: writing
    let (client, mut server) = connection()?;
    let mut both = Both::of(&server, EpollFlags::EPOLLOUT)?;
    both.ask("there is room to write")?;
    both.ask("nobody writes")?;

    let sent = fill(&mut server)?;
    both.ask("the send buffer is full")?;

    let mut client_reads = client.try_clone()?.take(sent);
    let client = thread::spawn(move || io::copy(&mut client_reads, &mut io::sink()));
    let read = client
        .join()
        .map_err(|_| io::Error::other("the client panicked"))??;
    both.ask("the client has read everything")?;
    both.ask("nobody writes")?;
    // ANCHOR_END: writing

    if read != sent {
        return Err(io::Error::other("the client was sent something else"));
    }
    println!("Level-triggered, a loop that always asks for EPOLLOUT does not get to sleep.\n");
    Ok(both.table)
}

/// Writes until the kernel takes no more, and nothing that is acknowledged late makes room
/// again. Gives how many bytes it took.
fn fill(server: &mut TcpStream) -> io::Result<u64> {
    let mut sent = 0;
    let mut last = Instant::now();
    while last.elapsed() < LATE_ACKNOWLEDGEMENT {
        match server.write(&[0; ROOM]) {
            Ok(len) => {
                sent += len as u64;
                last = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

/// The one case in which a short read is not the last: a read ends where urgent data begins.
pub fn urgent() -> io::Result<()> {
    // ANCHOR: urgent
    let (mut client, mut server) = connection()?;
    client.write_all(b"before")?;
    SockRef::from(&client).send_out_of_band(b"!")?;
    client.write_all(b"after")?;
    client.shutdown(Shutdown::Write)?;
    ended(&server)?;

    let mut room = [0; ROOM];
    let [first, second] = [server.read(&mut room)?, server.read(&mut room)?];
    // ANCHOR_END: urgent
    println!(
        "The same with urgent data in the middle, and everything is there before the first read:"
    );
    println!("  the first read gets {first} bytes of {ROOM}, the second {second} more.\n");
    Ok(())
}
