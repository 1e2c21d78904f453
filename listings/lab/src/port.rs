//! Where the relay meets a host's kernel: the other end of the host's interface, read and written
//! through a packet socket, packet(7).

use std::io;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

use crate::netlink::Netlink;
use crate::packet::{HEADROOM, Packet};
use crate::sys;

/// How many packets one system call hands to the kernel.
pub(crate) const BATCH: usize = 64;

/// Bytes of packets that may wait for the relay. A sender fills them while the relay is not let run:
/// 8 MB are what one sends in 60 ms at 1 Gbit/s. The kernel counts a ring against no limit, unlike
/// the buffer of an ordinary socket, which an ordinary user cannot make larger than 200 kB.
const RING_BYTES: usize = 8 << 20;
/// Rings are made of contiguous blocks; larger ones are harder to get.
const BLOCK_BYTES: usize = 1 << 16;
/// What precedes the Ethernet frame in a slot, generously: `tpacket2_hdr`, `sockaddr_ll`, padding.
const SLOT_HEADER_BYTES: usize = 128;

/// linux/if_packet.h, for `SOL_PACKET`.
const PACKET_RX_RING: libc::c_int = 5;
const PACKET_STATISTICS: libc::c_int = 6;
const PACKET_VERSION: libc::c_int = 10;
const PACKET_QDISC_BYPASS: libc::c_int = 20;
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
const TPACKET_V2: libc::c_int = 1;
const TP_STATUS_KERNEL: u32 = 0;
const TP_STATUS_USER: u32 = 1;

/// The relay's end of a host's interface.
pub(crate) struct Port {
    socket: OwnedFd,
    ring: Ring,
    /// The host's Ethernet address.
    host: [u8; 6],
    /// Ethernet: to whom, from the relay; the first and the type are those of each packet.
    header: [u8; HEADROOM],
    index: u32,
    /// What the interface had counted when the port was opened.
    before: u64,
    /// Packets that came for the ring, and those of them that it had no room for.
    arrived: u64,
    pub(crate) overflowed: u64,
    /// Packets that the kernel did not take.
    pub(crate) refused: u64,
}

/// A packet that a host sent, and when its kernel saw it, by the clock of [`sys::realtime_ns`].
pub(crate) struct Received {
    pub(crate) sent_realtime_ns: u64,
    pub(crate) packet: Packet,
}

impl Port {
    /// Opens the interface of this index, in the calling thread's network namespace.
    pub(crate) fn open(
        netlink: &Netlink,
        index: u32,
        host: [u8; 6],
        relay: [u8; 6],
        mtu: usize,
    ) -> io::Result<Self> {
        // No protocol, hence no packets until the ring is there and the socket is bound.
        let socket = socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            None::<SockProtocol>,
        )?;
        sys::set_option(&socket, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, 1_i32)?;
        sys::set_option(&socket, libc::SOL_PACKET, PACKET_QDISC_BYPASS, 1_i32)?;
        sys::set_option(&socket, libc::SOL_PACKET, PACKET_VERSION, TPACKET_V2)?;
        // Lets the kernel stamp packets where they come in rather than where they are copied.
        sys::set_option(&socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1_i32)?;
        let ring = Ring::new(&socket, mtu)?;

        // SAFETY: all zeros is a valid `sockaddr_ll`, which is integers.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = index as i32;
        // SAFETY: the pointer and the length describe `address`.
        sys::check(unsafe {
            libc::bind(
                socket.as_raw_fd(),
                (&raw const address).cast(),
                size_of_val(&address) as libc::socklen_t,
            )
        })?;

        let mut header = [0; HEADROOM];
        header[6..12].copy_from_slice(&relay);
        Ok(Self {
            socket,
            ring,
            host,
            header,
            index,
            before: netlink.received(index)?,
            arrived: 0,
            overflowed: 0,
            refused: 0,
        })
    }

    /// The next IP packet that the host has sent, if there is one.
    pub(crate) fn receive(&mut self) -> Option<Received> {
        loop {
            let received = self.ring.next()?;
            // Anything else is a kernel's talk to its neighbours.
            if let Some(received) = received {
                return Some(received);
            }
        }
    }

    /// Hands up to [`BATCH`] packets to the host's kernel.
    pub(crate) fn send<'a>(&mut self, packets: impl Iterator<Item = &'a mut Packet>) {
        // SAFETY: all zeros is valid for both, which are integers and pointers.
        let (mut vectors, mut messages): ([libc::iovec; BATCH], [libc::mmsghdr; BATCH]) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        let mut count = 0;
        for (packet, vector) in packets.zip(&mut vectors) {
            let kind = if packet.version() == 6 {
                libc::ETH_P_IPV6
            } else {
                libc::ETH_P_IP
            };
            let to = group_address(packet).unwrap_or(self.host);
            self.header[..6].copy_from_slice(&to);
            self.header[12..].copy_from_slice(&(kind as u16).to_be_bytes());
            let frame = packet.framed(&self.header);
            vector.iov_base = frame.as_mut_ptr().cast();
            vector.iov_len = frame.len();
            messages[count].msg_hdr.msg_iov = vector;
            messages[count].msg_hdr.msg_iovlen = 1;
            count += 1;
        }
        let mut done = 0;
        while done < count {
            let left = &mut messages[done..count];
            // SAFETY: `left` are messages of one vector each, of frames that the iterator's borrow
            // keeps alive and in place for this function.
            let sent = unsafe {
                libc::sendmmsg(
                    self.socket.as_raw_fd(),
                    left.as_mut_ptr(),
                    left.len() as libc::c_uint,
                    0,
                )
            };
            match usize::try_from(sent) {
                Ok(sent) if sent > 0 => done += sent,
                _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                _ => {
                    self.refused += 1;
                    done += 1;
                }
            }
        }
    }

    /// How many packets the interface has counted since the port was opened. They may still be on
    /// their way to the ring, on another processor.
    pub(crate) fn sent(&self, netlink: &Netlink) -> io::Result<u64> {
        Ok(netlink.received(self.index)?.saturating_sub(self.before))
    }

    /// How many packets have come to the ring, those included that found it full.
    pub(crate) fn arrived(&mut self) -> io::Result<u64> {
        // `struct tpacket_stats`: packets, drops; since the last call.
        let mut statistics = [0_u32; 2];
        let mut length = size_of_val(&statistics) as libc::socklen_t;
        // SAFETY: the pointer and the length describe `statistics`.
        sys::check(unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                PACKET_STATISTICS,
                statistics.as_mut_ptr().cast(),
                &raw mut length,
            )
        })?;
        self.arrived += u64::from(statistics[0]);
        self.overflowed += u64::from(statistics[1]);
        Ok(self.arrived)
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Memory that the kernel fills with packets and the relay empties, slot by slot: «packet mmap»,
/// Documentation/networking/packet_mmap.rst.
struct Ring {
    memory: NonNull<libc::c_void>,
    slot_bytes: usize,
    slots: usize,
    next: usize,
}

// SAFETY: the memory is the ring's alone on this side, wherever the ring is.
unsafe impl Send for Ring {}

impl Ring {
    fn new(socket: &OwnedFd, mtu: usize) -> io::Result<Self> {
        /// `struct tpacket_req`.
        #[derive(Clone, Copy)]
        #[repr(C)]
        struct Request {
            block_bytes: u32,
            blocks: u32,
            slot_bytes: u32,
            slots: u32,
        }
        let slot_bytes = (SLOT_HEADER_BYTES + HEADROOM + mtu).next_power_of_two();
        let slots = RING_BYTES / slot_bytes;
        let request = Request {
            block_bytes: BLOCK_BYTES as u32,
            blocks: (RING_BYTES / BLOCK_BYTES) as u32,
            slot_bytes: slot_bytes as u32,
            slots: slots as u32,
        };
        sys::set_option(socket, libc::SOL_PACKET, PACKET_RX_RING, request)?;
        // SAFETY: a new mapping of the socket's ring, at an address of the kernel's choice.
        let memory = unsafe {
            mmap(
                None,
                NonZeroUsize::new(RING_BYTES).expect("the ring is not empty"),
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED,
                socket,
                0,
            )
        }?;
        Ok(Self {
            memory,
            slot_bytes,
            slots,
            next: 0,
        })
    }

    /// What is in the next slot: `None` if nothing, `Some(None)` if something that is no IP packet.
    fn next(&mut self) -> Option<Option<Received>> {
        // SAFETY: slots lie one after another in the mapping (they divide blocks), and `next` is
        // less than their number. Each begins with a `tpacket2_hdr`, aligned as it needs.
        let header = unsafe {
            self.memory
                .byte_add(self.next * self.slot_bytes)
                .cast::<libc::tpacket2_hdr>()
        };
        // SAFETY: kernel and program hand a slot to each other by this word, each only to the other.
        let status = unsafe { AtomicU32::from_ptr(&raw mut (*header.as_ptr()).tp_status) };
        if status.load(Ordering::Acquire) & TP_STATUS_USER == 0 {
            return None;
        }
        // SAFETY: the slot is ours until the status is given back. The kernel wrote header and frame,
        // `tp_snaplen` bytes from `tp_mac` on, within the slot.
        let (sent_realtime_ns, frame) = unsafe {
            let header = header.as_ref();
            let frame = std::slice::from_raw_parts(
                std::ptr::from_ref(header)
                    .cast::<u8>()
                    .add(usize::from(header.tp_mac)),
                header.tp_snaplen as usize,
            );
            let time = u64::from(header.tp_sec) * 1_000_000_000 + u64::from(header.tp_nsec);
            (time, frame)
        };
        let received = is_ip(frame).then(|| Received {
            sent_realtime_ns,
            packet: Packet::new(&frame[HEADROOM..]),
        });
        status.store(TP_STATUS_KERNEL, Ordering::Release);
        self.next = (self.next + 1) % self.slots;
        Some(received)
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping is `RING_BYTES` long, and nothing refers to it any more.
        let _ = unsafe { munmap(self.memory, RING_BYTES) };
    }
}

/// The Ethernet address of the group that a packet goes to, if it goes to one: made of the group's
/// last 23 bits (RFC 1112, section 6.4) or last 32 (RFC 2464, section 7).
fn group_address(packet: &Packet) -> Option<[u8; 6]> {
    match packet.destination()? {
        IpAddr::V4(group) if group.is_multicast() => {
            let [_, b, c, d] = group.octets();
            Some([0x01, 0x00, 0x5e, b & 0x7f, c, d])
        }
        IpAddr::V6(group) if group.is_multicast() => {
            let [.., a, b, c, d] = group.octets();
            Some([0x33, 0x33, a, b, c, d])
        }
        _ => None,
    }
}

fn is_ip(frame: &[u8]) -> bool {
    let kind = match frame.get(12..HEADROOM) {
        Some(kind) => i32::from(u16::from_be_bytes([kind[0], kind[1]])),
        None => return false,
    };
    frame.len() > HEADROOM && (kind == libc::ETH_P_IP || kind == libc::ETH_P_IPV6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_to_a_group_goes_to_the_groups_ethernet_address() {
        let v4 = |destination: [u8; 4]| {
            let mut bytes = [0; 20];
            bytes[0] = 0x45;
            bytes[16..].copy_from_slice(&destination);
            group_address(&Packet::new(&bytes))
        };
        // Their last 23 bits are the same.
        let address = Some([0x01, 0x00, 0x5e, 0x01, 0x01, 0x02]);
        assert_eq!(v4([224, 129, 1, 2]), address);
        assert_eq!(v4([239, 1, 1, 2]), address);
        assert_eq!(v4([10, 1, 1, 2]), None);

        let mut bytes = [0; 40];
        bytes[0] = 0x60;
        bytes[24..].copy_from_slice(&[0xff, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x81, 2, 3, 4]);
        let address = group_address(&Packet::new(&bytes));
        assert_eq!(address, Some([0x33, 0x33, 0x81, 2, 3, 4]));
    }
}
