//! A TUN device: an interface of the kernel whose packets a program makes and takes (Linux's
//! Documentation/networking/tuntap.rst).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use tcp_from_scratch::driver::Device;

/// An interface that exists as long as this does.
#[derive(Debug)]
pub struct Tun {
    file: File,
    buffer: Vec<u8>,
}

impl Tun {
    /// Makes an interface in the network namespace of the calling thread, on which the kernel has the
    /// address `kernels`, and leads packets for `ours` there.
    ///
    /// # Errors
    ///
    /// When `/dev/net/tun` may not be opened, and when the kernel grants no interface.
    pub fn open(name: &str, kernels: Ipv4Addr, ours: Ipv4Addr) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/net/tun")?;
        let mut request = request(name);
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
        // SAFETY: TUNSETIFF reads and writes an ifreq, which outlives the call.
        let done = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &mut request) };
        Errno::result(done)?;

        let control = socket(
            AddressFamily::Inet,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            None,
        )?;
        let set = |operation, request: libc::ifreq| {
            // SAFETY: each of these operations reads an ifreq, which outlives the call.
            Errno::result(unsafe { libc::ioctl(control.as_raw_fd(), operation, &request) })
        };
        let mut request = self::request(name);
        request.ifr_ifru.ifru_addr = address(kernels);
        set(libc::SIOCSIFADDR, request)?;
        request.ifr_ifru.ifru_dstaddr = address(ours);
        set(libc::SIOCSIFDSTADDR, request)?;
        let flags = libc::IFF_UP | libc::IFF_RUNNING | libc::IFF_POINTOPOINT;
        request.ifr_ifru.ifru_flags = flags as libc::c_short;
        set(libc::SIOCSIFFLAGS, request)?;
        Ok(Self {
            file,
            buffer: vec![0; 1 << 16],
        })
    }
}

fn request(name: &str) -> libc::ifreq {
    // SAFETY: an ifreq is made of integers, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // One place is left for the zero behind the name.
    for (place, byte) in request.ifr_name[..libc::IFNAMSIZ - 1]
        .iter_mut()
        .zip(name.bytes())
    {
        *place = byte as libc::c_char;
    }
    request
}

fn address(ip: Ipv4Addr) -> libc::sockaddr {
    let mut data = [0; 14];
    for (place, octet) in data[2..6].iter_mut().zip(ip.octets()) {
        *place = octet as libc::c_char;
    }
    libc::sockaddr {
        sa_family: libc::AF_INET as libc::sa_family_t,
        sa_data: data,
    }
}

impl Device for Tun {
    fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        match self.file.write(packet) {
            // The kernel has no room: the packet is lost.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            result => result.map(|_| ()),
        }
    }

    fn receive(&mut self, within: Duration, take: impl FnOnce(&[u8])) -> io::Result<bool> {
        // Rounded up, or the last millisecond would be spent asking.
        let millis = within.as_nanos().div_ceil(1_000_000).min(60_000) as u16;
        let mut ready = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
        if poll(&mut ready, PollTimeout::from(millis))? == 0 {
            return Ok(false);
        }
        match self.file.read(&mut self.buffer) {
            Ok(len) => {
                take(&self.buffer[..len]);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}
