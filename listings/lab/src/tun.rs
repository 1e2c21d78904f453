//! Interfaces whose other end is a file: what the kernel sends there, a program reads.
//! Documentation/networking/tuntap.rst.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use nix::net::if_::if_nametoindex;

use crate::enter::Refusal;
use crate::error::{During, Error};
use crate::lab::whole;
use crate::netlink::Netlink;
use crate::sys;

const DEVICE: &str = "/dev/net/tun";

/// Makes a TUN interface in the network namespace that the calling thread is in, and gives its file.
pub(crate) fn create(
    name: &str,
    [local, remote]: [IpAddr; 2],
    mtu: usize,
    congestion: &str,
) -> Result<File, Error> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(DEVICE)
        .map_err(|error| Error::Refused(Refusal::of_tun(&error)))?;
    attach(&file, name).during("make a TUN interface")?;
    let index = if_nametoindex(name).during("find the TUN interface")?;
    let netlink = Netlink::open().during("open a netlink socket")?;
    netlink
        .set_mtu(index, mtu)
        .during("set the MTU of the TUN interface")?;
    netlink
        .set_up(index, 0)
        .during("switch the TUN interface on")?;
    netlink.add_address(index, local).during("set an address")?;
    netlink
        .add_route(whole(remote), index, libc::RT_TABLE_MAIN.into(), congestion)
        .during("set a route")?;
    Ok(file)
}

/// Makes `file` the other end of a new interface: packets from their IP header on, one each time.
fn attach(file: &File, name: &str) -> io::Result<()> {
    // The last byte stays the NUL that ends the name.
    if name.is_empty() || name.len() >= libc::IFNAMSIZ {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: all zeros is a valid `ifreq`, which is integers and a pointer.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the request is an `ifreq` with a name and flags, as TUNSETIFF wants, and outlives the
    // call.
    sys::check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) })?;
    Ok(())
}
