//! Sockets that listen on `::`, and who can reach them.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// How long a client waits for a listener on its own host before it gives up.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Where to listen, and what to set `IPV6_V6ONLY` to.
pub const SOCKETS: [(&str, Option<bool>); 3] =
    [("0.0.0.0", None), ("::", Some(true)), ("::", Some(false))];

// ANCHOR: listen
/// Listens on an address, any port unless `port` is one. `only_v6` is IPV6_V6ONLY (RFC 3493 §5.3),
/// which has to be set before the socket has an address.
fn listen(address: &str, port: u16, only_v6: Option<bool>) -> io::Result<TcpListener> {
    let ip: IpAddr = address.parse().map_err(io::Error::other)?;
    let address = SocketAddr::new(ip, port);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if let Some(only_v6) = only_v6 {
        socket.set_only_v6(only_v6)?;
    }
    socket.bind(&address.into())?;
    socket.listen(8)?;
    Ok(socket.into())
}
// ANCHOR_END: listen

// ANCHOR: peer
/// Under which addresses a client of `127.0.0.1` and one of `::1` appear to a listener, or why they
/// do not get in.
pub fn who_comes_in(address: &str, only_v6: Option<bool>) -> io::Result<[io::Result<IpAddr>; 2]> {
    let (listener, _reserved) = alone_on_its_port(address, only_v6)?;
    let port = listener.local_addr()?.port();
    let peer_of = |loopback: IpAddr| -> io::Result<io::Result<IpAddr>> {
        match TcpStream::connect_timeout(&(loopback, port).into(), CONNECT_WITHIN) {
            Ok(_client) => Ok(listener.accept().map(|(_, peer)| peer.ip())),
            Err(refused) if refused.kind() == ErrorKind::ConnectionRefused => Ok(Err(refused)),
            Err(other) => Err(other),
        }
    };
    Ok([
        peer_of(Ipv4Addr::LOCALHOST.into())?,
        peer_of(Ipv6Addr::LOCALHOST.into())?,
    ])
}
// ANCHOR_END: peer

/// A listener, and a socket that keeps other programs from its port in the other family, where one
/// of them might answer in its place. The socket does not listen; who connects to it is refused.
fn alone_on_its_port(
    address: &str,
    only_v6: Option<bool>,
) -> io::Result<(TcpListener, Option<Socket>)> {
    let other: SocketAddr = match only_v6 {
        Some(true) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        Some(false) => return Ok((listen(address, 0, only_v6)?, None)), // it has both
        None => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    loop {
        let listener = listen(address, 0, only_v6)?;
        let reserved = Socket::new(Domain::for_address(other), Type::STREAM, None)?;
        if other.is_ipv6() {
            reserved.set_only_v6(true)?;
        }
        let port = listener.local_addr()?.port();
        match reserved.bind(&SocketAddr::new(other.ip(), port).into()) {
            Ok(()) => return Ok((listener, Some(reserved))),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {} // another port, then
            Err(error) => return Err(error),
        }
    }
}

/// What `IPV6_V6ONLY` is on a new socket: on Linux what `net.ipv6.bindv6only` says.
pub fn default_of_the_system() -> io::Result<bool> {
    Socket::new(Domain::IPV6, Type::STREAM, None)?.only_v6()
}

/// Whether a socket on `::` leaves `0.0.0.0` on the same port to another.
pub fn both_on_one_port(only_v6: bool) -> io::Result<bool> {
    let first = listen("::", 0, Some(only_v6))?;
    match listen("0.0.0.0", first.local_addr()?.port(), None) {
        Ok(_second) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(false),
        Err(error) => Err(error),
    }
}
