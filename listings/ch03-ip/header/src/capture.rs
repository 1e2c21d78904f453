//! Packets from the wire: in a network of its own, on its loopback interface, without root.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::UdpSocket;
use std::time::Duration;

use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::SetSockOpt;
use nix::sys::socket::sockopt::SetStruct;
use socket2::{Domain, Protocol, Socket, Type};

/// How long to wait for a packet that was sent on the same machine.
const DEADLINE: Duration = Duration::from_secs(5);

/// Room for a packet as long as any.
const LONGEST: usize = 65_575;

/// The kinds of packets, by the numbers that Ethernet uses (`ETH_P_IP`, `ETH_P_IPV6`).
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

/// One packet of each kind that the program looks at.
pub struct Packets {
    pub v4: Vec<u8>,
    pub v6: Vec<u8>,
    pub v4_with_options: Vec<u8>,
    pub v6_with_extension: Vec<u8>,
}

/// Record Route with room for one address (RFC 791 §3.1): kind, length, where the next address goes;
/// and an End of Option List behind it, to fill four bytes.
const RECORD_ROUTE: [u8; 8] = [7, 7, 4, 0, 0, 0, 0, 0];

/// A Destination Options header that says nothing (RFC 8200 §4.2, §4.6): what follows, which the
/// kernel fills in; no more than 8 bytes; and a PadN of six.
const NOTHING_TO_SAY: [u8; 8] = [0, 0, 1, 4, 0, 0, 0, 0];

/// `IP_OPTIONS` (ip(7)).
#[derive(Debug, Clone, Copy)]
struct Options;
nix::setsockopt_impl!(
    Options,
    libc::IPPROTO_IP,
    libc::IP_OPTIONS,
    [u8; 8],
    SetStruct<[u8; 8]>
);

/// `IPV6_DSTOPTS` (RFC 3542 §9.2), which takes the rights that the process has in its own network.
#[derive(Debug, Clone, Copy)]
struct DestinationOptions;
nix::setsockopt_impl!(
    DestinationOptions,
    libc::IPPROTO_IPV6,
    libc::IPV6_DSTOPTS,
    [u8; 8],
    SetStruct<[u8; 8]>
);

// ANCHOR: capture
/// Sends `message` in UDP datagrams over IPv4 and over IPv6, and gives the packets.
pub fn packets(message: &[u8]) -> io::Result<Packets> {
    enter_own_network()?;
    let (v4, v6) = ("127.0.0.1:0", "[::1]:0");
    Ok(Packets {
        v4: capture(IPV4, v4, message, |_| Ok(()))?,
        v6: capture(IPV6, v6, message, |_| Ok(()))?,
        v4_with_options: capture(IPV4, v4, message, |from| Options.set(from, &RECORD_ROUTE))?,
        v6_with_extension: capture(IPV6, v6, message, |from| {
            DestinationOptions.set(from, &NOTHING_TO_SAY)
        })?,
    })
}

fn capture(
    kind: u16,
    address: &str,
    message: &[u8],
    prepare: impl FnOnce(&UdpSocket) -> nix::Result<()>,
) -> io::Result<Vec<u8>> {
    // A packet socket (packet(7)) gives what arrives before the kernel's own IP sees it; of type
    // DGRAM, without the link's header.
    let kind = Some(Protocol::from(i32::from(kind.to_be())));
    let mut socket = Socket::new(Domain::PACKET, Type::DGRAM, kind).map_err(refused)?;
    socket.set_read_timeout(Some(DEADLINE))?;
    send(address, message, prepare)?;
    loop {
        let mut packet = vec![0; LONGEST];
        let len = socket.read(&mut packet).map_err(|error| {
            let text = format!("the packet from {address} did not come: {error}");
            io::Error::new(error.kind(), text)
        })?;
        packet.truncate(len);
        if packet.ends_with(message) {
            return Ok(packet);
        }
    }
}

/// Sends a datagram from an address to itself.
fn send(
    address: &str,
    message: &[u8],
    prepare: impl FnOnce(&UdpSocket) -> nix::Result<()>,
) -> io::Result<()> {
    let socket = UdpSocket::bind(address).map_err(|error| {
        let text = format!("cannot use {address} on loopback: {error}");
        io::Error::new(error.kind(), text)
    })?;
    prepare(&socket)?;
    socket.send_to(message, socket.local_addr()?)?;
    Ok(())
}
// ANCHOR_END: capture

// ANCHOR: own-network
/// Moves this process into a user namespace, in which it may do everything, and a network namespace
/// of that, which has nothing but a loopback interface. Both are gone when the process ends.
fn enter_own_network() -> io::Result<()> {
    let own = CloneFlags::CLONE_NEWNET;
    // Where user namespaces are refused, root does without.
    unshare(CloneFlags::CLONE_NEWUSER | own)
        .or_else(|error| unshare(own).map_err(|_| error))
        .map_err(|error| refused(error.into()))?;
    // Some machines switch IPv6 off for new interfaces; here it harms no one.
    let _ = fs::write("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "0");
    bring_loopback_up()
}
// ANCHOR_END: own-network

/// Says what to do where the system refuses what an own network needs.
fn refused(error: io::Error) -> io::Error {
    let remedy = match error.kind() {
        ErrorKind::PermissionDenied => {
            "allow user namespaces: where AppArmor refuses them, `sysctl \
             kernel.apparmor_restrict_unprivileged_userns=0`; in a container, `--security-opt \
             seccomp=unconfined`"
        }
        _ => "allow user namespaces: `sysctl user.max_user_namespaces=15000`",
    };
    let text = format!("this system gives the program no network of its own ({error}); {remedy}");
    io::Error::new(error.kind(), text)
}

/// `ip link set lo up`, as the message that `ip` sends (rtnetlink(7)).
fn bring_loopback_up() -> io::Result<()> {
    const RTM_NEWLINK: u16 = 16;
    const NLM_F_REQUEST_AND_ACK: u16 = 0x1 | 0x4;
    const LOOPBACK_INDEX: i32 = 1;
    const IFF_UP: u32 = 0x1;
    const NETLINK_ROUTE: i32 = 0;
    const LEN: u32 = 32;

    let mut request = Vec::with_capacity(LEN as usize);
    request.extend(LEN.to_ne_bytes());
    request.extend(RTM_NEWLINK.to_ne_bytes());
    request.extend(NLM_F_REQUEST_AND_ACK.to_ne_bytes());
    request.extend([0; 4 + 4 + 4]); // sequence, port; family, type of the interface
    request.extend(LOOPBACK_INDEX.to_ne_bytes());
    request.extend(IFF_UP.to_ne_bytes()); // the flags…
    request.extend(IFF_UP.to_ne_bytes()); // …and which of them to change

    let route = Some(Protocol::from(NETLINK_ROUTE));
    let mut netlink = Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, route)?;
    netlink.write_all(&request)?;
    let mut answer = [0; 64];
    let len = netlink.read(&mut answer)?;
    // The answer is an error message even if all is well; then its number is zero.
    match answer[..len].get(16..20) {
        Some([0, 0, 0, 0]) => Ok(()),
        Some(&[a, b, c, d]) => {
            let errno = i32::from_ne_bytes([a, b, c, d]).wrapping_neg();
            Err(refused(io::Error::from_raw_os_error(errno)))
        }
        _ => Err(io::Error::other(
            "the kernel's answer about loopback is cut off",
        )),
    }
}
