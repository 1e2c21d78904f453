//! What a host knows of its link: which MAC address belongs to which IP address.

use std::io::{self, Read, Write};
use std::net::Ipv4Addr;

use lab::Host;
use layers_ethernet::MacAddress;
use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, Socket, Type};

// ANCHOR: neighbor
/// `ip neigh replace ADDRESS lladdr MAC dev eth0`, as the message that `ip` sends (rtnetlink(7)).
///
/// The lab's links have no ARP, which would have found this out.
pub fn tell(host: &Host, address: Ipv4Addr, mac: MacAddress) -> io::Result<()> {
    host.run(|| replace(address, mac))
}
// ANCHOR_END: neighbor

fn replace(address: Ipv4Addr, mac: MacAddress) -> io::Result<()> {
    const RTM_NEWNEIGH: u16 = 28;
    /// `NLM_F_REQUEST`, `NLM_F_ACK`, `NLM_F_REPLACE`, `NLM_F_CREATE`.
    const FLAGS: u16 = 0x0001 | 0x0004 | 0x0100 | 0x0400;
    const NETLINK_ROUTE: i32 = 0;
    const AF_INET: u8 = 2;
    const NUD_PERMANENT: u16 = 0x80;
    const NDA_DST: u16 = 1;
    const NDA_LLADDR: u16 = 2;
    const LEN: u32 = 16 + 12 + 8 + 12;

    let interface = if_nametoindex("eth0")?;
    let mut request = Vec::with_capacity(LEN as usize);
    request.extend(LEN.to_ne_bytes());
    request.extend(RTM_NEWNEIGH.to_ne_bytes());
    request.extend(FLAGS.to_ne_bytes());
    request.extend([0; 4 + 4]); // sequence, port
    request.extend([AF_INET, 0, 0, 0]);
    request.extend(interface.to_ne_bytes());
    request.extend(NUD_PERMANENT.to_ne_bytes());
    request.extend([0; 2]); // flags, type
    request.extend(8_u16.to_ne_bytes());
    request.extend(NDA_DST.to_ne_bytes());
    request.extend(address.octets());
    request.extend(10_u16.to_ne_bytes());
    request.extend(NDA_LLADDR.to_ne_bytes());
    request.extend(mac.0);
    request.extend([0; 2]); // to a multiple of four bytes

    let route = Some(Protocol::from(NETLINK_ROUTE));
    let mut netlink = Socket::new(Domain::from(nix::libc::AF_NETLINK), Type::RAW, route)?;
    netlink.write_all(&request)?;
    let mut answer = [0; 128];
    let len = netlink.read(&mut answer)?;
    // The answer is an error message even if all is well; then its number is zero.
    match answer[..len].get(16..20) {
        Some([0, 0, 0, 0]) => Ok(()),
        Some(&[a, b, c, d]) => {
            let errno = i32::from_ne_bytes([a, b, c, d]).wrapping_neg();
            Err(io::Error::from_raw_os_error(errno))
        }
        _ => Err(io::Error::other(
            "the kernel's answer about a neighbour is cut off",
        )),
    }
}
