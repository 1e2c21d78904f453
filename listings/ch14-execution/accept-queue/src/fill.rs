//! How many connections wait, and what becomes of the rest.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::thread;

use nix::errno::Errno;
use record::{Column, Table};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use crate::stage::{Client, Error, Settings, Stage};

/// How many clients come that there is no room for.
const TOO_MANY: usize = 3;

// ANCHOR: backlogs
/// What `listen()` is called with, and `net.core.somaxconn`.
const BACKLOGS: [(i32, u32); 6] = [
    (0, 4096),
    (1, 4096),
    (4, 4096),
    (128, 4096),
    (128, 16),
    (-1, 16),
];
// ANCHOR_END: backlogs

/// Lets clients connect, one after the other, to a server that accepts none.
pub fn nobody_accepts() -> Result<Table, Error> {
    println!("1. Nobody accepts\n");
    println!(
        "listen()  somaxconn  Recv-Q  Send-Q  connected  SYN-SENT  ListenOverflows  ListenDrops"
    );
    let mut table = Table::new([
        Column::words("`listen()`"),
        Column::words("`somaxconn`"),
        Column::number("`Recv-Q`", ""),
        Column::number("`Send-Q`", ""),
        Column::number("connected", ""),
        Column::number("waiting", ""),
        Column::number("`ListenOverflows`", ""),
        Column::number("`ListenDrops`", ""),
    ]);
    let mut shown = None;
    for (backlog, somaxconn) in BACKLOGS {
        let stage = Stage::open(Settings {
            backlog,
            somaxconn,
            ..Settings::default()
        })?;
        // ANCHOR: fill
        let (mut connected, mut wait) = (Vec::new(), Vec::new());
        while wait.len() < TOO_MANY {
            match stage.connect()? {
                Client::Connected(stream) => connected.push(stream),
                Client::Waits(stream) => wait.push(stream),
            }
        }
        let queue = stage.queue()?;
        // ANCHOR_END: fill
        let counted = [stage.overflows()?, stage.drops()?];
        let found = [
            queue.length,
            queue.limit,
            connected.len() as u32,
            wait.len() as u32,
        ];
        println!(
            "{backlog:>8}  {somaxconn:>9}  {:>6}  {:>6}  {:>9}  {:>8}  {:>15}  {:>11}",
            found[0], found[1], found[2], found[3], counted[0], counted[1]
        );
        let cells = found
            .into_iter()
            .chain(counted)
            .map(|number| number.to_string());
        let set = [format!("`{backlog}`"), format!("`{somaxconn}`")];
        table = table.row(set.into_iter().chain(cells));
        if backlog == 4 {
            shown = Some((queue, stage.address));
        }
        let _ = stage.lab.finish()?; // nothing was lost that no one had decided to lose
    }
    let (queue, address) = shown.ok_or("listen(4) is one of them")?;
    println!("\nThe third of them, as `ss -lnt` would show it:\n");
    println!("State   Recv-Q  Send-Q  Local Address:Port");
    println!("LISTEN  {:>6}  {:>6}  {address}", queue.length, queue.limit);
    Ok(table)
}

/// Changes the backlog of a socket that listens.
pub fn listen_again() -> Result<(), Error> {
    // ANCHOR: again
    let stage = Stage::open(Settings::default())?;
    let mut clients = Vec::new();
    let mut fill = || -> Result<u32, Error> {
        while let Client::Connected(stream) = stage.connect()? {
            clients.push(stream);
        }
        Ok(stage.queue()?.length)
    };
    let small = fill()?;
    stage.listen_again(4)?;
    let larger = fill()?;
    stage.listen_again(0)?;
    let smaller = stage.queue()?.length;
    for _ in 0..smaller {
        stage.listener.accept()?;
    }
    // ANCHOR_END: again
    println!("\n6. listen() again, on a socket that listens\n");
    println!("listen(1)  {small} wait");
    println!("listen(4)  {larger} wait");
    println!("listen(0)  {smaller} wait still, and all of them are accepted");
    Ok(())
}

/// The same queue where both ends are on one machine and there is no network that could lose a SYN.
pub fn unix_socket() -> Result<(), Error> {
    println!("\n7. A Unix socket, listen(1)\n");
    // ANCHOR: unix
    let name = format!("exec-accept-queue-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name)?;
    let listener = UnixListener::bind_addr(&address)?;
    SockRef::from(&listener).listen(1)?;
    let address = SockAddr::unix(format!("\0{name}"))?;
    let mut connected = Vec::new();
    let error = loop {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&address) {
            Ok(()) => connected.push(socket),
            Err(error) => break error,
        }
    };
    // ANCHOR_END: unix
    let error = Errno::from_raw(error.raw_os_error().unwrap_or_default());
    println!(
        "{} connected, and the next, which does not block: {error:?}",
        connected.len()
    );

    // Who blocks waits until there is room, for as long as it takes.
    let blocked = thread::spawn(move || -> std::io::Result<()> {
        Socket::new(Domain::UNIX, Type::STREAM, None)?.connect(&address)
    });
    listener.accept()?;
    blocked.join().map_err(|_| "a client has panicked")??;
    println!("One that blocks is connected after an accept()");
    Ok(())
}
