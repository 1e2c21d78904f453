//! The first scene: what `SO_RCVBUF` gives to who asks for how much.

use std::fs;
use std::io;
use std::panic::resume_unwind;
use std::thread;

use caps::{CapSet, Capability};
use exec_receive_buffer::{Result, grouped};
use nix::sys::socket::{setsockopt, sockopt};
use record::{Column, Record, Table};
use socket2::{Domain, Socket, Type};

/// The most that may be asked for. A network namespace has no such setting of its own.
const MOST: &str = "/proc/sys/net/core/rmem_max";

pub fn show(record: &mut Record) -> Result<()> {
    let most: usize = fs::read_to_string(MOST)?.trim().parse()?;
    println!(
        "SO_RCVBUF, where net.core.rmem_max is {} bytes:",
        grouped(most)
    );
    let mut table = Table::new([
        Column::words("`SO_RCVBUF`"),
        Column::number("asked for", "bytes"),
        Column::number("set to", "bytes"),
    ]);
    // ANCHOR: sizes
    for (name, asked) in [
        ("next to nothing", 1),
        ("a little", 10_000),
        ("`net.core.rmem_max`", most),
        ("twice that", 2 * most),
    ] {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_recv_buffer_size(asked)?; // never an error
        let set = socket.recv_buffer_size()?;
        // ANCHOR_END: sizes
        println!(
            "  asked for {:>9} bytes, set to {:>9} bytes",
            grouped(asked),
            grouped(set)
        );
        table = table.row([name.to_owned(), asked.to_string(), set.to_string()]);
    }
    let told = match force_without_privilege(2 * most) {
        Ok(()) => "granted".to_owned(),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => "EPERM".to_owned(),
        Err(error) => return Err(error.into()),
    };
    println!("  SO_RCVBUFFORCE without CAP_NET_ADMIN: {told}\n");
    record.add("sizes", table);
    Ok(())
}

// ANCHOR: force
/// Asks for more than the limit, in a thread that has given the privilege up, should there be one.
fn force_without_privilege(bytes: usize) -> io::Result<()> {
    let ask = || {
        caps::drop(None, CapSet::Effective, Capability::CAP_NET_ADMIN).map_err(io::Error::other)?;
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        Ok(setsockopt(&socket, sockopt::RcvBufForce, &bytes)?)
    };
    thread::scope(|scope| scope.spawn(ask).join()).unwrap_or_else(|panic| resume_unwind(panic))
}
// ANCHOR_END: force
