//! What a bundle is to a receiver, and what the kernel refuses.

use std::io::{self, ErrorKind, IoSlice};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, sendmmsg, sendmsg};

use crate::pair::{Calls, Error, Got, LENGTH, Pair, probe, received};
use crate::way::Way;

/// What one send became at a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reads {
    /// What each call gave until nothing was left.
    pub got: Vec<Got>,
    /// The calls, with the one that found nothing.
    pub calls: Calls,
    /// Whether the bytes that were received are those that were sent, in their order.
    pub in_order: bool,
}

/// Bytes that differ from one to the next, and from one datagram to the next.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

// ANCHOR: bundle
/// Sends `length` bytes in one call, to be cut after every `segment`, and reads them with room for
/// `room` bytes a call.
///
/// # Errors
///
/// When the kernel knows no bundles, or refuses this one.
pub fn bundle(way: Way, length: usize, segment: usize, room: usize) -> Result<Reads, Error> {
    let Pair { sender, receiver } = Pair::new(way, 1)?;
    let (bytes, segment) = (
        pattern(length),
        u16::try_from(segment).map_err(io::Error::other)?,
    );
    // For this call only, whatever the socket's UDP_SEGMENT is.
    let cut = [ControlMessage::UdpGsoSegments(&segment)];
    let whole = [IoSlice::new(&bytes)];
    let (socket, flags) = (sender.socket.as_raw_fd(), MsgFlags::empty());
    let sent = sendmsg::<()>(socket, &whole, &cut, flags, None)?;
    // ANCHOR_END: bundle
    if sent != length {
        return Err(Error::Wrong(format!("{sent} of {length} bytes were sent")));
    }
    let mut reads = Reads {
        got: Vec::new(),
        calls: Calls {
            send: 1,
            receive: 0,
        },
        in_order: true,
    };
    let (mut buffer, mut at) = (vec![0; room], 0);
    loop {
        reads.calls.receive += 1;
        match received(&receiver.socket, &mut buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(got) => {
                let expected = &bytes[at.min(length)..(at + got.length).min(length)];
                reads.in_order &= buffer[..got.length] == *expected;
                at += got.length;
                reads.got.push(got);
            }
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return Ok(reads),
            Err(error) => return Err(error),
        }
    }
}

/// Where the kernel says no, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The most datagrams that it made of one bundle.
    pub most_segments: usize,
    /// What it says to one more.
    pub one_more: Errno,
    /// The most bytes in one bundle.
    pub most_bytes: usize,
    /// What it says to one more byte.
    pub one_more_byte: Errno,
    /// How many datagrams `sendmmsg` sent, and `recvmmsg` received, of so many.
    pub at_once: [usize; 3],
    /// What `sendmmsg` gave for four datagrams of which the third is too long, and what it gives
    /// when called again with the rest.
    pub third_too_long: (usize, Errno),
    /// The calls that it took to find out.
    pub calls: Calls,
}

/// More datagrams than one call takes.
const TOO_MANY: usize = 1_100;

/// Asks the kernel.
///
/// # Errors
///
/// When it knows no bundles, or has other limits than a search finds.
pub fn limits() -> Result<Limits, Error> {
    let Pair { sender, receiver } = Pair::new(Way::Segmented, 1)?;
    let sender = &sender.socket;
    let mut calls = Calls::default();
    let mut buffer = vec![0; 1 << 16];
    let mut is_empty = |calls: &mut Calls| -> Result<usize, Error> {
        for count in 0.. {
            calls.receive += 1;
            match received(&receiver.socket, &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(count);
                }
                Err(error) => return Err(error),
            }
        }
        unreachable!("a queue ends")
    };

    // ANCHOR: limits
    probe(sender, 1)?;
    let bytes = vec![0; 1 << 16];
    let (most_segments, one_more) = most(1..TOO_MANY, |count| {
        calls.send += 1;
        sender.send(&bytes[..count])?;
        let arrived = is_empty(&mut calls)?;
        Ok((arrived == count).then_some(()))
    })?;
    probe(sender, LENGTH)?;
    let (most_bytes, one_more_byte) = most(1..1 << 16, |length| {
        calls.send += 1;
        sender.send(&bytes[..length])?;
        let arrived = is_empty(&mut calls)?;
        Ok((arrived == length.div_ceil(LENGTH)).then_some(()))
    })?;
    // ANCHOR_END: limits

    probe(sender, 0)?;
    let many = vec![[IoSlice::new(b"x")]; TOO_MANY];
    calls.send += 1;
    let sent = send_many(sender, &many)?;
    // One byte each: they all find room, as the receive buffer counts what they occupy.
    let queued = is_empty(&mut calls)?;
    let (short, long) = ([IoSlice::new(b"x")], [IoSlice::new(&bytes)]);
    calls.send += 2;
    let first = send_many(sender, &[short, short, long, short])?;
    let then = send_many(sender, &[long, short]).expect_err("it is as long as before");
    is_empty(&mut calls)?;
    Ok(Limits {
        most_segments,
        one_more,
        most_bytes,
        one_more_byte,
        at_once: [TOO_MANY, sent, queued],
        third_too_long: (first, then),
        calls,
    })
}

fn send_many(sender: &UdpSocket, datagrams: &[[IoSlice<'_>; 1]]) -> Result<usize, Errno> {
    let mut headers = MultiHeaders::<()>::preallocate(datagrams.len(), None);
    let (socket, nowhere_else) = (sender.as_raw_fd(), vec![None; datagrams.len()]);
    let flags = MsgFlags::empty();
    Ok(sendmmsg(socket, &mut headers, datagrams, nowhere_else, [], flags)?.count())
}

/// The largest number that `works`, by halving, and the error for the next one.
fn most(
    range: std::ops::Range<usize>,
    mut works: impl FnMut(usize) -> Result<Option<()>, Error>,
) -> Result<(usize, Errno), Error> {
    let (mut good, mut bad, mut refusal) = (range.start, range.end, None);
    if works(good)?.is_none() {
        return Err(Error::Wrong(format!("not even {good} arrive")));
    }
    while good + 1 < bad {
        let middle = good.midpoint(bad);
        match works(middle) {
            Ok(Some(())) => good = middle,
            Ok(None) => return Err(Error::Wrong(format!("{middle} were sent and did not come"))),
            Err(Error::Io(error)) => {
                bad = middle;
                refusal = error.raw_os_error().map(Errno::from_raw);
            }
            Err(error) => return Err(error),
        }
    }
    let refusal = refusal.ok_or_else(|| Error::Wrong("nothing was refused".to_owned()))?;
    Ok((good, refusal))
}
