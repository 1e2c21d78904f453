//! The few requests to the kernel's network configuration that a lab needs: rtnetlink(7) for
//! interfaces, addresses and routes, and the ioctls of ethtool for what an interface offloads.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socket};

use crate::sys;

/// `struct nlmsghdr`: length, kind, flags, sequence, port.
const HEADER_BYTES: usize = 16;
/// `struct ifinfomsg`.
const INTERFACE_HEADER_BYTES: usize = 16;
/// `enum` values of linux/veth.h, linux/rtnetlink.h and linux/fib_rules.h that libc lacks.
const VETH_INFO_PEER: u16 = 1;
const RTAX_CC_ALGO: u16 = 16;
const FRA_SRC: u16 = 2;
const FRA_TABLE: u16 = 15;
const FR_ACT_TO_TBL: u8 = 1;

/// A request under construction: a header's fixed part, and attributes.
struct Request(Vec<u8>);

impl Request {
    fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.nest(kind, |request| request.0.extend_from_slice(value))
    }

    /// An attribute whose value is what `fill` adds.
    fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.0.len();
        self.0.extend_from_slice(&[0, 0]);
        self.0.extend_from_slice(&kind.to_ne_bytes());
        fill(self);
        let length = (self.0.len() - start) as u16;
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    fn name(&mut self, name: &str) -> &mut Self {
        let mut value = name.as_bytes().to_vec();
        value.push(0);
        self.attribute(libc::IFLA_IFNAME, &value)
    }
}

/// `struct ifinfomsg`.
fn interface_header(index: u32, flags: u32, change: u32) -> Vec<u8> {
    let mut header = vec![0; 4];
    for field in [index, flags, change] {
        header.extend_from_slice(&field.to_ne_bytes());
    }
    header
}

/// One end of a pair of interfaces that are each other's wire, veth(4).
pub(crate) struct End<'a> {
    pub(crate) name: &'a str,
    /// The two ends must differ in it: the kernel takes a link whose peer has the same index, in
    /// another namespace, for an ordinary one, and may report its carrier up to a second late.
    pub(crate) index: u32,
    pub(crate) mac: [u8; 6],
}

/// A conversation with the network namespace that the calling thread is in.
pub(crate) struct Netlink {
    socket: OwnedFd,
}

impl Netlink {
    pub(crate) fn open() -> io::Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            None,
        )?;
        Ok(Self { socket })
    }

    /// Sends a request and gives the first message of the answer, without its header.
    fn ask(&self, kind: u16, flags: i32, request: &Request) -> io::Result<Vec<u8>> {
        let length = (HEADER_BYTES + request.0.len()) as u32;
        let mut message = length.to_ne_bytes().to_vec();
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(&((libc::NLM_F_REQUEST | flags) as u16).to_ne_bytes());
        message.extend_from_slice(&[0; 8]);
        message.extend_from_slice(&request.0);
        send(self.socket.as_raw_fd(), &message, MsgFlags::empty())?;

        let mut answer = vec![0; 8192];
        let length = recv(self.socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        answer.truncate(length);
        if length < HEADER_BYTES + 4 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let kind = u16::from_ne_bytes([answer[4], answer[5]]);
        answer.drain(..HEADER_BYTES);
        if i32::from(kind) == libc::NLMSG_ERROR {
            let error = i32::from_ne_bytes([answer[0], answer[1], answer[2], answer[3]]);
            if error != 0 {
                return Err(io::Error::from_raw_os_error(-error));
            }
        }
        Ok(answer)
    }

    fn change(&self, kind: u16, flags: i32, request: &Request) -> io::Result<()> {
        self.ask(kind, libc::NLM_F_ACK | flags, request).map(drop)
    }

    /// Makes a pair of interfaces: `here`, and `there` in another namespace.
    pub(crate) fn create_veth(
        &self,
        here: &End,
        there: &End,
        namespace: BorrowedFd,
        mtu: usize,
    ) -> io::Result<()> {
        let mtu = (mtu as u32).to_ne_bytes();
        let mut request = Request(interface_header(here.index, 0, 0));
        request
            .name(here.name)
            .attribute(libc::IFLA_ADDRESS, &here.mac)
            .attribute(libc::IFLA_MTU, &mtu)
            .nest(libc::IFLA_LINKINFO, |info| {
                info.attribute(libc::IFLA_INFO_KIND, b"veth");
                info.nest(libc::IFLA_INFO_DATA, |data| {
                    data.nest(VETH_INFO_PEER, |peer| {
                        peer.0.extend(interface_header(there.index, 0, 0));
                        peer.name(there.name)
                            .attribute(libc::IFLA_ADDRESS, &there.mac)
                            .attribute(libc::IFLA_MTU, &mtu)
                            .attribute(libc::IFLA_NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes());
                    });
                });
            });
        self.change(
            libc::RTM_NEWLINK,
            libc::NLM_F_CREATE | libc::NLM_F_EXCL,
            &request,
        )
    }

    /// Switches an interface on, with these flags of netdevice(7) besides.
    pub(crate) fn set_up(&self, index: u32, flags: i32) -> io::Result<()> {
        let flags = (libc::IFF_UP | flags) as u32;
        self.set_flags(index, flags, flags)
    }

    /// Makes an interface one that has no multicast, and so tells nobody of its groups.
    pub(crate) fn switch_multicast_off(&self, index: u32) -> io::Result<()> {
        self.set_flags(index, 0, libc::IFF_MULTICAST as u32)
    }

    /// Sets those of an interface's flags that are in `mask`.
    fn set_flags(&self, index: u32, flags: u32, mask: u32) -> io::Result<()> {
        self.change(
            libc::RTM_NEWLINK,
            0,
            &Request(interface_header(index, flags, mask)),
        )
    }

    /// Sets the largest packet that an interface takes.
    pub(crate) fn set_mtu(&self, index: u32, mtu: usize) -> io::Result<()> {
        let mut request = Request(interface_header(index, 0, 0));
        request.attribute(libc::IFLA_MTU, &(mtu as u32).to_ne_bytes());
        self.change(libc::RTM_NEWLINK, 0, &request)
    }

    /// Whether an interface is up and the other end of its wire, too.
    pub(crate) fn is_running(&self, index: u32) -> io::Result<bool> {
        let answer = self.ask(
            libc::RTM_GETLINK,
            0,
            &Request(interface_header(index, 0, 0)),
        )?;
        let flags = answer.get(8..12).map_or(0, |flags| {
            u32::from_ne_bytes([flags[0], flags[1], flags[2], flags[3]])
        });
        Ok(flags & libc::IFF_RUNNING as u32 != 0)
    }

    /// How many packets have come by an interface so far.
    pub(crate) fn received(&self, index: u32) -> io::Result<u64> {
        let answer = self.ask(
            libc::RTM_GETLINK,
            0,
            &Request(interface_header(index, 0, 0)),
        )?;
        // Behind the `ifinfomsg`, attributes: length, kind, value, each at a multiple of 4. That of
        // the statistics begins with `rx_packets` (`struct rtnl_link_stats64`).
        let mut rest = answer.get(INTERFACE_HEADER_BYTES..).unwrap_or_default();
        while let [a, b, c, d, value @ ..] = rest {
            let (length, kind) = (u16::from_ne_bytes([*a, *b]), u16::from_ne_bytes([*c, *d]));
            if kind == libc::IFLA_STATS64
                && let Some(packets) = value.first_chunk()
            {
                return Ok(u64::from_ne_bytes(*packets));
            }
            let length = usize::from(length).max(4).next_multiple_of(4);
            rest = rest.get(length..).unwrap_or_default();
        }
        Err(io::ErrorKind::InvalidData.into())
    }

    /// Gives an interface an address that it shares a network with nobody: all else is behind the
    /// route.
    pub(crate) fn add_address(&self, index: u32, address: IpAddr) -> io::Result<()> {
        let (octets, bits) = octets(address);
        // Even where duplicates are not looked for (`accept_dad`), an IPv6 address without this flag
        // is tentative, and no socket can be bound to it, until a kernel thread has had its turn.
        let flags = match address {
            IpAddr::V4(_) => 0,
            IpAddr::V6(_) => libc::IFA_F_NODAD as u8,
        };
        // `struct ifaddrmsg`: family, prefix length, flags, scope, index.
        let mut header = vec![family(address), bits, flags, 0];
        header.extend_from_slice(&index.to_ne_bytes());
        let mut request = Request(header);
        request
            .attribute(libc::IFA_LOCAL, &octets)
            .attribute(libc::IFA_ADDRESS, &octets);
        self.change(
            libc::RTM_NEWADDR,
            libc::NLM_F_CREATE | libc::NLM_F_EXCL,
            &request,
        )?;
        match address {
            IpAddr::V4(_) => Ok(()),
            IpAddr::V6(_) => self.add_local_route(index, address),
        }
    }

    /// Has packets to an address taken for this namespace's own. The kernel does so by itself, but
    /// for an IPv6 address not before that thread has had its turn.
    fn add_local_route(&self, index: u32, address: IpAddr) -> io::Result<()> {
        let (octets, bits) = octets(address);
        // `struct rtmsg`, as below.
        let header = vec![
            family(address),
            bits,
            0,
            0,
            libc::RT_TABLE_LOCAL,
            libc::RTPROT_BOOT,
            libc::RT_SCOPE_UNIVERSE,
            libc::RTN_LOCAL,
            0,
            0,
            0,
            0,
        ];
        let mut request = Request(header);
        request
            .attribute(libc::RTA_DST, &octets)
            .attribute(libc::RTA_OIF, &index.to_ne_bytes());
        self.change(libc::RTM_NEWROUTE, libc::NLM_F_CREATE, &request)
    }

    /// Sends what goes to a prefix out of an interface, with TCP governed by `congestion`.
    ///
    /// A route can name any congestion control that the kernel has (ip-route(8), `congctl`); a
    /// namespace's default cannot be set to all of them by the owner of a user namespace.
    pub(crate) fn add_route(
        &self,
        (to, bits): (IpAddr, u8),
        index: u32,
        table: u32,
        congestion: &str,
    ) -> io::Result<()> {
        // `struct rtmsg`: family, lengths of destination and source, type of service, table,
        // protocol, scope, kind; and 32 bits of flags. The attribute says which table.
        let scope = match to {
            IpAddr::V4(_) => libc::RT_SCOPE_LINK,
            IpAddr::V6(_) => libc::RT_SCOPE_UNIVERSE,
        };
        let header = vec![
            family(to),
            bits,
            0,
            0,
            libc::RT_TABLE_UNSPEC,
            libc::RTPROT_BOOT,
            scope,
            libc::RTN_UNICAST,
            0,
            0,
            0,
            0,
        ];
        let mut congestion = congestion.as_bytes().to_vec();
        congestion.push(0);
        let mut request = Request(header);
        if bits > 0 {
            request.attribute(libc::RTA_DST, &octets(to).0);
        }
        request
            .attribute(libc::RTA_TABLE, &table.to_ne_bytes())
            .attribute(libc::RTA_OIF, &index.to_ne_bytes())
            .nest(libc::RTA_METRICS, |metrics| {
                metrics.attribute(RTAX_CC_ALGO, &congestion);
            });
        self.change(
            libc::RTM_NEWROUTE,
            libc::NLM_F_CREATE | libc::NLM_F_EXCL,
            &request,
        )
    }

    /// Looks in a table of its own for the routes of what comes from an address; what is not found
    /// there is looked for in the usual ones (ip-rule(8)).
    pub(crate) fn add_rule(&self, from: IpAddr, table: u32) -> io::Result<()> {
        let (octets, bits) = octets(from);
        // `struct fib_rule_hdr`: family, lengths of destination and source, type of service, table,
        // two reserved bytes, action; and 32 bits of flags.
        let header = vec![
            family(from),
            0,
            bits,
            0,
            libc::RT_TABLE_UNSPEC,
            0,
            0,
            FR_ACT_TO_TBL,
            0,
            0,
            0,
            0,
        ];
        let mut request = Request(header);
        request
            .attribute(FRA_SRC, &octets)
            .attribute(FRA_TABLE, &table.to_ne_bytes());
        self.change(
            libc::RTM_NEWRULE,
            libc::NLM_F_CREATE | libc::NLM_F_EXCL,
            &request,
        )
    }
}

fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

fn octets(address: IpAddr) -> (Vec<u8>, u8) {
    match address {
        IpAddr::V4(address) => (address.octets().to_vec(), 32),
        IpAddr::V6(address) => (address.octets().to_vec(), 128),
    }
}

/// Lets an interface send each packet as it will be on the wire: with its checksum, no longer than
/// the MTU, and not joined with others on arrival.
pub(crate) fn switch_offloading_off(name: &str) -> io::Result<()> {
    // linux/ethtool.h: what sets TX checksums, TCP segmentation, generic segmentation, and generic
    // receive offload. (Without checksums the kernel does UDP segmentation itself, too.)
    const ETHTOOL_STXCSUM: u32 = 0x17;
    const ETHTOOL_STSO: u32 = 0x1f;
    const ETHTOOL_SGSO: u32 = 0x24;
    const ETHTOOL_SGRO: u32 = 0x2c;
    const SIOCETHTOOL: libc::Ioctl = 0x8946;

    let socket = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    for command in [ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO, ETHTOOL_STXCSUM] {
        // `struct ethtool_value`.
        let mut value = [command, 0];
        // SAFETY: all zeros is a valid `ifreq`, which is integers and a pointer.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        // The last byte stays the NUL that ends the name.
        for (to, from) in request.ifr_name[..libc::IFNAMSIZ - 1]
            .iter_mut()
            .zip(name.bytes())
        {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_data = value.as_mut_ptr().cast();
        // SAFETY: the request is an `ifreq` whose data is an `ethtool_value`, as SIOCETHTOOL wants,
        // and both outlive the call.
        sys::check(unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) })?;
    }
    Ok(())
}
