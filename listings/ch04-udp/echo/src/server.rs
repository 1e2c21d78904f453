//! The server: one socket for all its clients, and nothing to remember about any of them.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Socket, Type};

/// Room for the longest datagram that there is, so that none is cut here.
const LONGEST: usize = 65_535;

/// Ports below this belong to services. One that answers whatever it gets would talk with this server
/// for ever, if somebody forged a first datagram between the two.
const FIRST_CLIENT_PORT: u16 = 1024;

// ANCHOR: open
/// A bound socket. For UDP that is a server: no listen(), no accept().
pub fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}
// ANCHOR_END: open

// ANCHOR: serve
/// Sends each datagram back to where it says that it comes from, until the program is ended.
pub fn serve(address: SocketAddr) -> io::Result<()> {
    let socket = open(address).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot serve on {address}: {error}"))
    })?;
    let address = socket.local_addr()?;
    println!("echoing on {address}");
    println!("talk to it: nc -u {} {}", address.ip(), address.port());
    let mut buffer = vec![0; LONGEST];
    loop {
        // One client's trouble is not the server's: it goes on with the next datagram.
        if let Err(error) = echo(&socket, &mut buffer)
            && !passes(&error)
        {
            return Err(error);
        }
    }
}

/// Reads one datagram and answers it; says from whom it came and how long it was.
pub fn echo(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(SocketAddr, usize)> {
    let (length, from) = socket.recv_from(buffer)?;
    if from.port() >= FIRST_CLIENT_PORT && from != socket.local_addr()? {
        socket.send_to(&buffer[..length], from)?;
    }
    Ok((from, length))
}

/// Errors that concern one answer: its receiver is unreachable, or some queue has no room for it.
fn passes(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Interrupted
            | ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::PermissionDenied
            | ErrorKind::WouldBlock
    )
}
// ANCHOR_END: serve
