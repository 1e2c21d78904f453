//! A host: a network namespace with a kernel's whole network stack to itself.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::panic::resume_unwind;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::{fmt, fs};

use crate::children::Nursery;
use crate::error::Error;
use crate::sys;
use crate::tun;

/// A host of a running [`Lab`](crate::Lab). Clones are the same host.
///
/// # Panics
///
/// All methods panic when the lab has been dropped.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

struct Inner {
    name: String,
    interfaces: Vec<Interface>,
    /// The congestion control that its routes name.
    congestion: String,
    namespace: Mutex<Option<Arc<OwnedFd>>>,
    nursery: Arc<OnceNursery>,
}

/// A host's interface: its end of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// `eth0`, `eth1`, …
    pub name: String,
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
}

/// Where the lab's programs run, made when the first is.
pub(crate) type OnceNursery = Mutex<Option<Nursery>>;

impl Host {
    pub(crate) fn new(
        name: String,
        addresses: &[(Ipv4Addr, Ipv6Addr)],
        congestion: String,
        namespace: Arc<OwnedFd>,
        nursery: Arc<OnceNursery>,
    ) -> Self {
        let interface = |(at, &(v4, v6)): (usize, &_)| Interface {
            name: format!("eth{at}"),
            v4,
            v6,
        };
        Self(Arc::new(Inner {
            name,
            interfaces: addresses.iter().enumerate().map(interface).collect(),
            congestion,
            namespace: Mutex::new(Some(namespace)),
            nursery,
        }))
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its IPv4 address, that of `eth0`.
    #[must_use]
    pub fn v4(&self) -> Ipv4Addr {
        self.0.interfaces[0].v4
    }

    /// Its IPv6 address, that of `eth0`.
    #[must_use]
    pub fn v6(&self) -> Ipv6Addr {
        self.0.interfaces[0].v6
    }

    /// Its interfaces, one for each link.
    #[must_use]
    pub fn interfaces(&self) -> &[Interface] {
        &self.0.interfaces
    }

    /// Runs `work` on this host and waits for it: sockets that it makes are this host's, and stay
    /// so wherever they are taken.
    ///
    /// It runs in a thread of its own. Threads that `work` starts are on this host, too; those of a
    /// runtime that existed before are not. A panic goes on in the caller.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = self.namespace();
        thread::scope(|scope| scope.spawn(|| inside(&namespace, work)).join())
            .unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Runs `work` on this host in a thread of its own.
    ///
    /// The lab's end does not end the thread; let it end by itself, for instance since its peer has
    /// closed the connection.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let namespace = self.namespace();
        thread::Builder::new()
            .name(self.name().to_owned())
            .spawn(move || inside(&namespace, work))
            .expect("the system lets the lab start a thread")
    }

    /// A program to be run on this host; it, and all that it starts, ends with the lab at the latest.
    ///
    /// [`Child::id`](std::process::Child::id) is the number of a process that stands in for the
    /// program and ends as it does. Killing it kills the program.
    ///
    /// # Panics
    ///
    /// When the kernel grants the lab no process namespace.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let namespace = self.namespace();
        let mut nursery = self
            .0
            .nursery
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        nursery
            .get_or_insert_with(|| {
                Nursery::new().unwrap_or_else(|error| {
                    panic!("the lab has no process namespace for its programs: {error}")
                })
            })
            .command(namespace, program)
    }

    /// Makes a TUN interface on this host and gives its file, from which a program reads what the
    /// kernel sends to `remote`, and into which it writes what is to come from there: one packet each
    /// time, from the IP header on, of at most `mtu` bytes. `local` is the host's own address on it.
    /// It ends with the file.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] when this process may not open `/dev/net/tun`, or there is none, and
    /// [`Error::Setup`] when the name or an address is taken.
    pub fn tun(
        &self,
        name: &str,
        local: impl Into<IpAddr>,
        remote: impl Into<IpAddr>,
        mtu: usize,
    ) -> Result<File, Error> {
        let ends = [local.into(), remote.into()];
        self.run(|| tun::create(name, ends, mtu, &self.0.congestion))
    }

    /// Sets one of this host's kernel parameters, such as `net.ipv4.tcp_sack`.
    ///
    /// Some exist only outside, such as `net.core.rmem_max`, and a few are not for the owner of a
    /// user namespace.
    ///
    /// # Errors
    ///
    /// When the host has no such parameter, or it does not take the value.
    pub fn sysctl(&self, name: &str, value: impl fmt::Display) -> io::Result<()> {
        let (path, value) = (sysctl_path(name), value.to_string());
        self.run(|| fs::write(path, value))
    }

    /// One of this host's kernel parameters.
    ///
    /// # Errors
    ///
    /// When the host has no such parameter.
    pub fn read_sysctl(&self, name: &str) -> io::Result<String> {
        let path = sysctl_path(name);
        let text = self.run(|| fs::read_to_string(path))?;
        Ok(text.trim().to_owned())
    }

    /// What this host's kernel has counted, by protocol and name: `TcpRetransSegs`,
    /// `TcpExtTCPFastRetrans`, `UdpInErrors`, `Ip6InReceives`, … as `nstat -az` names them, all from
    /// `snmp`, `snmp6` and `netstat` in proc_pid_net(5).
    #[must_use]
    pub fn counters(&self) -> HashMap<String, i64> {
        let mut counters = HashMap::new();
        for file in ["snmp", "netstat"] {
            let text = self.proc_net(file);
            let lines: Vec<&str> = text.lines().collect();
            // A line of names, and a line of values, each behind the protocol.
            for pair in lines.chunks_exact(2) {
                let protocol = pair[0].split(':').next().unwrap_or_default();
                let names = pair[0].split_whitespace().skip(1);
                let values = pair[1].split_whitespace().skip(1);
                counters.extend(names.zip(values).filter_map(|(name, value)| {
                    Some((format!("{protocol}{name}"), value.parse().ok()?))
                }));
            }
        }
        // One name and value on each line.
        let text = self.proc_net("snmp6");
        counters.extend(text.lines().filter_map(|line| {
            let (name, value) = line.split_once(char::is_whitespace)?;
            Some((name.to_owned(), value.trim().parse().ok()?))
        }));
        counters
    }

    /// This host's TCP sockets, listening ones included.
    #[must_use]
    pub fn tcp_states(&self) -> Vec<TcpSocket> {
        ["tcp", "tcp6"]
            .iter()
            .flat_map(|file| {
                let text = self.proc_net(file);
                text.lines()
                    .skip(1)
                    .filter_map(TcpSocket::parse)
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// A file of proc_pid_net(5) as this host sees it; empty if there is none.
    #[must_use]
    pub fn proc_net(&self, file: &str) -> String {
        // `/proc/net` would be the main thread's.
        self.run(|| fs::read_to_string(format!("/proc/thread-self/net/{file}")))
            .unwrap_or_default()
    }

    /// Packets that an interface of this host lost, by the interface's name.
    pub(crate) fn interface_drops(&self) -> Vec<(String, u64)> {
        interface_drops(&self.proc_net("dev"))
    }

    /// Lets go of the namespace, which ends when its last socket and thread do.
    pub(crate) fn retire(&self) {
        self.0
            .namespace
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    fn namespace(&self) -> Arc<OwnedFd> {
        self.0
            .namespace
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .unwrap_or_else(|| panic!("the lab of host `{}` is gone", self.name()))
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.name(), self.v4(), self.v6())
    }
}

fn inside<T>(namespace: &OwnedFd, work: impl FnOnce() -> T) -> T {
    sys::enter_network_namespace(namespace).expect("a lab may enter the namespaces that it made");
    // What an experiment measures must not be how long its own threads wait for a processor.
    sys::be_punctual(sys::HOST_SLICE);
    work()
}

fn sysctl_path(name: &str) -> String {
    format!("/proc/sys/{}", name.replace('.', "/"))
}

/// The drops in `/proc/net/dev`, received and sent.
pub(crate) fn interface_drops(dev: &str) -> Vec<(String, u64)> {
    dev.lines()
        .filter_map(|line| {
            let (name, counts) = line.split_once(':')?;
            let counts: Vec<u64> = counts
                .split_whitespace()
                .filter_map(|count| count.parse().ok())
                .collect();
            Some((name.trim().to_owned(), counts.get(3)? + counts.get(11)?))
        })
        .collect()
}

/// One of a host's TCP sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpSocket {
    /// Its own address and port.
    pub local: SocketAddr,
    /// The other end's; zeros while listening.
    pub remote: SocketAddr,
    /// Its state.
    pub state: TcpState,
}

/// The states of RFC 9293, section 3.3.2, and Linux's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum TcpState {
    Established,
    SynSent,
    SynReceived,
    FinWait1,
    FinWait2,
    TimeWait,
    Closed,
    CloseWait,
    LastAck,
    Listen,
    Closing,
}

impl TcpState {
    /// By the number that `/proc/net/tcp` has for it (include/net/tcp_states.h).
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Established,
            2 => Self::SynSent,
            // 12 is a request that has no socket yet.
            3 | 12 => Self::SynReceived,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Closed,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            _ => return None,
        })
    }
}

/// As the RFC spells it: `FIN-WAIT-1`.
impl fmt::Display for TcpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Established => "ESTABLISHED",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::TimeWait => "TIME-WAIT",
            Self::Closed => "CLOSED",
            Self::CloseWait => "CLOSE-WAIT",
            Self::LastAck => "LAST-ACK",
            Self::Listen => "LISTEN",
            Self::Closing => "CLOSING",
        })
    }
}

impl TcpSocket {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace().skip(1);
        Some(Self {
            local: parse_address(words.next()?)?,
            remote: parse_address(words.next()?)?,
            state: TcpState::from_number(u8::from_str_radix(words.next()?, 16).ok()?)?,
        })
    }
}

/// `0100007F:0050`: words in the machine's byte order, and a port.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let mut octets = Vec::new();
    for at in (0..address.len()).step_by(8) {
        let word = u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?;
        octets.extend_from_slice(&word.to_ne_bytes());
    }
    let address = match octets.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(octets).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(octets).ok()?),
    };
    Some(SocketAddr::new(
        address,
        u16::from_str_radix(port, 16).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_proc_net_tcp_is_read() {
        let line = "   0: 0100000A:0050 0200000A:9C40 01 00000000:00000000 00:00000000 00000000";
        #[cfg(target_endian = "little")]
        assert_eq!(
            TcpSocket::parse(line),
            Some(TcpSocket {
                local: ([10, 0, 0, 1], 80).into(),
                remote: ([10, 0, 0, 2], 40_000).into(),
                state: TcpState::Established,
            })
        );
        assert_eq!(TcpSocket::parse("  sl  local_address"), None);
    }

    #[test]
    fn drops_in_both_directions_are_counted() {
        let dev = "Inter-| Receive\n face |bytes\n  eth0: 1 2 0 3 0 0 0 0 5 6 0 4 0 0 0 0\n";
        assert_eq!(interface_drops(dev), [("eth0".to_owned(), 7)]);
    }
}
