//! The two socket options that path MTU discovery has (ip(7), ipv6(7)); `nix` makes the calls.

use std::io;
use std::net::UdpSocket;

use nix::sys::socket::sockopt::{GetStruct, SetStruct};
use nix::sys::socket::{GetSockOpt, SetSockOpt};

/// Whether the packets of a socket may be cut, and by whom: `IP_PMTUDISC_…`.
#[derive(Debug, Clone, Copy)]
struct MtuDiscover;
nix::setsockopt_impl!(
    MtuDiscover,
    libc::IPPROTO_IP,
    libc::IP_MTU_DISCOVER,
    i32,
    SetStruct<i32>
);

/// The same for IPv6.
#[derive(Debug, Clone, Copy)]
struct MtuDiscoverV6;
nix::setsockopt_impl!(
    MtuDiscoverV6,
    libc::IPPROTO_IPV6,
    libc::IPV6_MTU_DISCOVER,
    i32,
    SetStruct<i32>
);

/// How large a packet may be on the way to the socket's peer, as far as the kernel knows.
#[derive(Debug, Clone, Copy)]
struct Mtu;
nix::getsockopt_impl!(Mtu, libc::IPPROTO_IP, libc::IP_MTU, i32, GetStruct<i32>);

/// The same for IPv6.
#[derive(Debug, Clone, Copy)]
struct MtuV6;
nix::getsockopt_impl!(
    MtuV6,
    libc::IPPROTO_IPV6,
    libc::IPV6_MTU,
    i32,
    GetStruct<i32>
);

/// Who may cut a packet that is too big.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discover {
    /// Nobody: `DF` is set, and what is known to be too big is not sent.
    Do,
    /// This host, by what it knows of the path; routers may not. Linux's default.
    Want,
    /// Anybody: `DF` is not set.
    Dont,
}

// ANCHOR: options
/// Sets `IP_MTU_DISCOVER`, or `IPV6_MTU_DISCOVER` on a socket of IPv6.
pub fn set_mtu_discover(socket: &UdpSocket, discover: Discover) -> io::Result<()> {
    let value = match discover {
        Discover::Do => libc::IP_PMTUDISC_DO, // the numbers are IPv6's too
        Discover::Want => libc::IP_PMTUDISC_WANT,
        Discover::Dont => libc::IP_PMTUDISC_DONT,
    };
    match socket.local_addr()?.is_ipv4() {
        true => MtuDiscover.set(socket, &value)?,
        false => MtuDiscoverV6.set(socket, &value)?,
    }
    Ok(())
}

/// Asks a connected socket for `IP_MTU`, or `IPV6_MTU`.
pub fn path_mtu(socket: &UdpSocket) -> io::Result<i32> {
    Ok(match socket.local_addr()?.is_ipv4() {
        true => Mtu.get(socket)?,
        false => MtuV6.get(socket)?,
    })
}
// ANCHOR_END: options
