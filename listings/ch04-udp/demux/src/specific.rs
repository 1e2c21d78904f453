//! Sockets on one port that are bound more or less precisely, and which of them is preferred.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use record::{Column, Table};

use crate::mailbox::{Loopback, Mailbox, Share};

/// Another address of loopback.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

pub fn tell(loopback: &Loopback) -> io::Result<Table> {
    // ANCHOR: sockets
    let everywhere = Mailbox::open("any address", (Ipv4Addr::UNSPECIFIED, 0), Share::Address)?;
    let port = everywhere.address()?.port();
    let here = Mailbox::open("one address", (Ipv4Addr::LOCALHOST, port), Share::Address)?;
    let friend = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let peer = Mailbox::open("one peer", (Ipv4Addr::LOCALHOST, port), Share::Address)?;
    peer.socket.connect(friend.local_addr()?)?;
    // ANCHOR_END: sockets

    let mut sockets = vec![everywhere, here, peer];
    for socket in &sockets {
        let peer = match socket.socket.peer_addr() {
            Ok(_) => "connected to the friend",
            Err(_) => "not connected",
        };
        let at = socket.address()?.ip();
        println!("{:<11}  bound to {at:<9}  {peer}", socket.name);
    }

    println!();
    let mut table = Table::new(["sender", "to", "got by"].map(Column::words));
    let mut told = |who: &str, from: &UdpSocket, to: Ipv4Addr, sockets: &[Mailbox]| {
        let winner = winner(loopback, from, (to, port).into(), sockets)?;
        println!("{who:<8} to {to:<9}  got by «{winner}»");
        table
            .rows
            .push([who.to_owned(), format!("`{to}`"), winner].into());
        io::Result::Ok(())
    };
    told("friend", &friend, Ipv4Addr::LOCALHOST, &sockets)?;
    told("stranger", &stranger, Ipv4Addr::LOCALHOST, &sockets)?;
    told("friend", &friend, ELSEWHERE, &sockets)?;
    // A second one just like it, and later.
    sockets.push(Mailbox::open(
        "one address, later",
        (Ipv4Addr::LOCALHOST, port),
        Share::Address,
    )?);
    told("stranger", &stranger, Ipv4Addr::LOCALHOST, &sockets)?;
    println!("\nThe last has taken the stranger's datagrams from a socket that is still there.");
    Ok(table)
}

// ANCHOR: winner
/// Sends one datagram and looks who got it.
fn winner(
    loopback: &Loopback,
    from: &UdpSocket,
    to: SocketAddr,
    sockets: &[Mailbox],
) -> io::Result<String> {
    from.send_to(b"who gets this?", to)?;
    loopback.settle()?;
    let mut winners = Vec::new();
    for socket in sockets {
        for _ in socket.empty()? {
            winners.push(socket.name.as_str());
        }
    }
    match winners[..] {
        [winner] => Ok(winner.to_owned()),
        _ => Err(io::Error::other(format!(
            "one datagram to {to} was read by {winners:?}"
        ))),
    }
}
// ANCHOR_END: winner
