//! A sender and a receiver on loopback.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, UdpSocket};
use std::ops::AddAssign;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, recvmmsg, recvmsg, sendmmsg, setsockopt, sockopt,
};
use socket2::SockRef;

use crate::way::Way;

/// Bytes of a datagram: as large as QUIC may make them before it knows more about the path (RFC
/// 9000, section 14).
pub const LENGTH: usize = 1_200;

/// Datagrams of that length that fit into one bundle. A bundle is one datagram to everybody but the
/// last layer, and IPv4 allows 65,535 bytes with 28 of headers.
pub const MOST_IN_A_BUNDLE: usize = 65_507 / LENGTH;

/// What is asked for as the receive buffer: as much as an unprivileged program gets from any
/// kernel. It is doubled, and holds more than a hundred datagrams.
pub const BUFFER: usize = 212_992;

/// Room for a received bundle, whatever its length.
const ROOM: usize = 1 << 16;

/// How long a receiver waits for a datagram that was lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// What may go wrong.
#[derive(Debug)]
pub enum Error {
    /// The kernel does not know a socket option.
    Missing {
        /// Its name.
        option: &'static str,
        /// The version of Linux that it came with.
        since: &'static str,
    },
    /// A datagram did not come, came twice or came changed.
    Wrong(String),
    /// A call failed.
    Io(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { option, since } => write!(
                f,
                "this kernel has no {option}, which came with Linux {since}: bundles cannot be \
                 tried here, send and sendmmsg can"
            ),
            Self::Wrong(what) => f.write_str(what),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// System calls that moved datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Calls {
    /// To send.
    pub send: usize,
    /// To receive.
    pub receive: usize,
}

impl AddAssign for Calls {
    fn add_assign(&mut self, other: Self) {
        self.send += other.send;
        self.receive += other.receive;
    }
}

// ANCHOR: probe
/// Switches GSO on for a socket that sends, or says which kernel would know it. A segment of 0
/// bytes switches it off.
///
/// # Errors
///
/// [`Error::Missing`] when the kernel does not know the option.
pub fn probe(sender: &impl AsFd, segment: usize) -> Result<(), Error> {
    let segment = i32::try_from(segment).map_err(io::Error::other)?;
    match setsockopt(sender, sockopt::UdpGsoSegment, &segment) {
        Err(Errno::ENOPROTOOPT) => Err(Error::Missing {
            option: "UDP_SEGMENT",
            since: "4.18",
        }),
        set => Ok(set?),
    }
}

/// Lets a receiver have bundles whole, or not.
fn coalesce(receiver: &impl AsFd, on: bool) -> Result<(), Error> {
    match setsockopt(receiver, sockopt::UdpGroSegment, &on) {
        // A kernel that does not know it does not do it, either.
        Err(Errno::ENOPROTOOPT) if on => Err(Error::Missing {
            option: "UDP_GRO",
            since: "5.0",
        }),
        Err(Errno::ENOPROTOOPT) => Ok(()),
        set => Ok(set?),
    }
}
// ANCHOR_END: probe

/// Two sockets that are connected to each other, and what they send.
#[derive(Debug)]
pub struct Pair {
    /// The one that sends.
    pub sender: Sender,
    /// The one that receives.
    pub receiver: Receiver,
}

/// The one that sends.
#[derive(Debug)]
pub struct Sender {
    /// Its socket.
    pub socket: UdpSocket,
    way: Way,
    /// The datagrams of a batch, one behind the other, and the next one's number.
    bytes: Vec<u8>,
    next: u64,
}

/// The one that receives.
#[derive(Debug)]
pub struct Receiver {
    /// Its socket.
    pub socket: UdpSocket,
    way: Way,
    bytes: Vec<u8>,
    /// The number that the next datagram must have.
    next: u64,
}

impl Pair {
    /// Two sockets for batches of up to so many datagrams.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] when the kernel lacks what `way` needs.
    pub fn new(way: Way, batch: usize) -> Result<Self, Error> {
        let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
        let (sender, receiver) = (bind()?, bind()?);
        sender.connect(receiver.local_addr()?)?;
        receiver.connect(sender.local_addr()?)?;
        SockRef::from(&receiver).set_recv_buffer_size(BUFFER)?;
        receiver.set_read_timeout(Some(PATIENCE))?;
        if way.segments() {
            probe(&sender, LENGTH)?;
        }
        coalesce(&receiver, way == Way::Coalesced)?;
        Ok(Self {
            sender: Sender {
                socket: sender,
                way,
                bytes: vec![0; batch * LENGTH],
                next: 0,
            },
            receiver: Receiver {
                socket: receiver,
                way,
                bytes: vec![0; ROOM.max(batch * LENGTH)],
                next: 0,
            },
        })
    }
}

impl Sender {
    /// Sends a batch of datagrams, each of which begins with its number. Gives how many calls it
    /// took.
    ///
    /// # Errors
    ///
    /// When the kernel does not take all of them.
    ///
    /// # Panics
    ///
    /// When that are more than the pair was made for.
    pub fn send(&mut self, count: usize) -> Result<usize, Error> {
        let bytes = &mut self.bytes[..count * LENGTH];
        for datagram in bytes.chunks_exact_mut(LENGTH) {
            datagram[..8].copy_from_slice(&self.next.to_be_bytes());
            self.next += 1;
        }
        // ANCHOR: send
        let calls = match self.way {
            Way::Single => {
                for datagram in bytes.chunks_exact(LENGTH) {
                    self.socket.send(datagram)?;
                }
                count
            }
            Way::Batched => {
                let datagrams: Vec<_> = bytes
                    .chunks_exact(LENGTH)
                    .map(|datagram| [IoSlice::new(datagram)])
                    .collect();
                let (socket, nowhere_else) = (self.socket.as_raw_fd(), vec![None; count]);
                let mut headers = MultiHeaders::<()>::preallocate(count, None);
                let flags = MsgFlags::empty();
                let sent = sendmmsg(socket, &mut headers, &datagrams, nowhere_else, [], flags)?;
                complete(sent.count(), count)?;
                1
            }
            Way::Segmented | Way::Coalesced => {
                // UDP_SEGMENT is set: the kernel cuts after every LENGTH bytes.
                complete(self.socket.send(bytes)?, bytes.len())?;
                1
            }
        };
        // ANCHOR_END: send
        Ok(calls)
    }
}

fn complete(sent: usize, wanted: usize) -> Result<(), Error> {
    if sent == wanted {
        return Ok(());
    }
    Err(Error::Wrong(format!("{sent} of {wanted} were sent")))
}

impl Receiver {
    /// Receives as many datagrams as one call gives, at most `most`, and checks them. Waits for the
    /// first. Gives how many there were.
    ///
    /// # Errors
    ///
    /// When one is missing, came twice, in the wrong order or with another length.
    pub fn receive(&mut self, most: usize) -> Result<usize, Error> {
        // ANCHOR: receive
        let (length, spacing) = match self.way {
            Way::Single | Way::Segmented => (self.socket.recv(&mut self.bytes)?, LENGTH),
            Way::Batched => {
                let mut rooms: Vec<_> = self.bytes.chunks_exact_mut(LENGTH).take(most).collect();
                let mut rooms: Vec<_> = rooms
                    .iter_mut()
                    .map(|room| [IoSliceMut::new(room)])
                    .collect();
                // Not until all are there: until one is, and whatever else is there by then.
                let (socket, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_WAITFORONE);
                let mut headers = MultiHeaders::<()>::preallocate(most, None);
                let received = recvmmsg(socket, &mut headers, &mut rooms, flags, None)?;
                // Datagrams of full length lie one behind the other, as in a bundle.
                (received.map(|datagram| datagram.bytes).sum(), LENGTH)
            }
            Way::Coalesced => {
                let got = received(&self.socket, &mut self.bytes, MsgFlags::empty())?;
                // Without the note it was one datagram, and no bundle.
                (got.length, got.segment.unwrap_or(got.length))
            }
        };
        // ANCHOR_END: receive
        for datagram in self.bytes[..length].chunks(spacing) {
            let number = datagram
                .first_chunk()
                .map(|bytes| u64::from_be_bytes(*bytes));
            if (number, datagram.len()) != (Some(self.next), LENGTH) {
                let (next, length) = (self.next, datagram.len());
                return Err(Error::Wrong(format!(
                    "datagram {next} should have come, and {length} bytes of {number:?} did"
                )));
            }
            self.next += 1;
        }
        Ok(length.div_ceil(spacing))
    }
}

/// What one call has received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Got {
    /// Bytes, of one datagram or of several.
    pub length: usize,
    /// Bytes of each datagram but the last, if there are several.
    pub segment: Option<usize>,
    /// Whether there were more bytes than room. They are lost.
    pub truncated: bool,
}

// ANCHOR: received
/// Receives with `recvmsg`, which has room for the kernel's note about a bundle.
///
/// # Errors
///
/// Those of the call.
pub fn received(socket: &UdpSocket, room: &mut [u8], flags: MsgFlags) -> Result<Got, Error> {
    let mut notes = cmsg_space!(i32);
    let mut room = [IoSliceMut::new(room)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut room, Some(&mut notes), flags)?;
    let segment = message.cmsgs()?.find_map(|note| match note {
        ControlMessageOwned::UdpGroSegments(bytes) => usize::try_from(bytes).ok(),
        _ => None,
    });
    Ok(Got {
        length: message.bytes,
        segment,
        truncated: message.flags.contains(MsgFlags::MSG_TRUNC),
    })
}
// ANCHOR_END: received

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_kernel_without_gso_is_told_apart_and_the_version_is_named() {
        // TCP knows no UDP_SEGMENT, and says so as an old kernel's UDP does.
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for error in [probe(&other, LENGTH), coalesce(&other, true)] {
            let message = error.unwrap_err().to_string();
            assert!(message.starts_with("this kernel has no UDP_"), "{message}");
            assert!(message.contains("which came with Linux "), "{message}");
        }
        coalesce(&other, false).unwrap();
    }
}
