//! What becomes of an accept queue whose listener is closed.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

use exec_syn_queue::diag::{Diag, State};
use exec_syn_queue::{DEADLINE, wait_until};
use lab::{Lab, Link};
use record::{Column, Table};

use crate::workers::{Error, PORT, listen};

/// How many clients come.
const CLIENTS: u32 = 40;

/// What came of them.
struct Closed {
    /// How many waited in the queue that was closed, and how many wait in the other after that.
    closed: u32,
    left: u32,
    /// How many clients were reset, and how many were served.
    reset: u32,
    served: u32,
    /// How many the kernel says it has moved.
    moved: u32,
}

/// With `net.ipv4.tcp_migrate_req` so set; nothing where the kernel has no such parameter.
fn closing(migrate: u8) -> Result<Option<Closed>, Error> {
    let (lab, client, server) = Lab::pair(Link::new())?;
    match server.sysctl("net.ipv4.tcp_migrate_req", migrate) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other?,
    }
    // ANCHOR: closing
    let address = SocketAddr::from((server.v4(), PORT));
    let goes = listen(&server, address, true)?;
    let stays = listen(&server, address, true)?;
    let connect = || (0..CLIENTS).map(|_| TcpStream::connect(address)).collect();
    let clients: io::Result<Vec<TcpStream>> = client.run(connect);
    let mut clients = clients?;
    let diag = server.run(Diag::open)?;
    wait_until("all clients wait", || {
        Ok(waiting(&diag, &goes)? + waiting(&diag, &stays)? == CLIENTS)
    })?;
    let closed = waiting(&diag, &goes)?;
    drop(goes);
    let left = waiting(&diag, &stays)?;
    // ANCHOR_END: closing

    for _ in 0..left {
        stays.accept()?.0.write_all(b".")?;
    }
    let (mut reset, mut served) = (0, 0);
    for stream in &mut clients {
        stream.set_read_timeout(Some(DEADLINE))?;
        match stream.read_exact(&mut [0]) {
            Ok(()) => served += 1,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => reset += 1,
            Err(error) => return Err(error.into()),
        }
    }
    let counters = server.counters();
    let moved = counters.get("TcpExtTCPMigrateReqSuccess");
    let closed = Closed {
        closed,
        left,
        reset,
        served,
        moved: moved.map_or(0, |&count| count as u32),
    };
    let _ = lab.finish()?; // nothing was lost that no one had decided to lose
    Ok(Some(closed))
}

/// How many connections wait at a listener.
fn waiting(diag: &Diag, listener: &TcpListener) -> io::Result<u32> {
    let inode = fs::metadata(format!("/proc/self/fd/{}", listener.as_raw_fd()))?.ino();
    let mut listeners = diag.sockets(&[State::Listen])?.into_iter();
    let found = listeners.find(|socket| u64::from(socket.inode) == inode);
    found
        .map(|socket| socket.recv_q)
        .ok_or_else(|| ErrorKind::NotFound.into())
}

pub fn tell() -> Result<Table, Error> {
    println!("\n3. {CLIENTS} clients wait in two queues, and one of the two listeners is closed\n");
    let mut table = Table::new([
        Column::words("`tcp_migrate_req`"),
        Column::number("closed queue", ""),
        Column::number("other queue then", ""),
        Column::number("reset", ""),
        Column::number("served", ""),
        Column::number("moved", ""),
    ]);
    for migrate in [0, 1] {
        let Some(found) = closing(migrate)? else {
            println!("This kernel has no net.ipv4.tcp_migrate_req: it came with Linux 5.14.");
            break;
        };
        println!(
            "tcp_migrate_req={migrate}  {} in the queue that is closed: {} clients reset, {} served",
            found.closed, found.reset, found.served
        );
        let numbers = [
            found.closed,
            found.left,
            found.reset,
            found.served,
            found.moved,
        ];
        let cells = numbers.map(|number| number.to_string());
        table = table.row([format!("`{migrate}`")].into_iter().chain(cells));
    }
    Ok(table)
}
