//! Real segments: two kernels talk over the lab's link, and every packet is kept.

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ip_header::{Addresses, Protocol};
use lab::{Host, Lab, Link, Verdict};
use socket2::{Domain, Socket, Type};
use tcp_segment::{Segment, TcpOption};

/// How many payments the client sends, and which of them the link loses at first.
const PAYMENTS: usize = 7;
const LOST: [usize; 3] = [1, 3, 5];

/// How long a segment is under way.
const DELAY: Duration = Duration::from_millis(10);

/// How long an end waits for the other.
const DEADLINE: Duration = Duration::from_secs(5);

/// How often the run is tried: where the client is held up in the middle of its payments for longer
/// than a retransmission timeout, its kernel sends several in one segment.
const TRIES: usize = 6;

/// How many segments the link loses at most: four times what a run takes that is not held up.
const LOSSES_AT_MOST: usize = 4 * LOST.len();

/// What the `n`-th payment says: two words of 16 bits in it are names.
pub fn payment(n: usize) -> String {
    format!("Al pays Bo {}0 won\n", n + 1)
}

/// A segment that was captured, with the addresses of the packet that carried it.
pub struct Captured {
    pub addresses: Addresses,
    pub bytes: Vec<u8>,
}

/// Lets two kernels talk, and gives all segments that crossed the link.
pub fn segments() -> Result<Vec<Captured>, Box<dyn Error>> {
    let mut tries = 1;
    loop {
        match segments_of_one_run() {
            Err(_) if tries < TRIES => tries += 1,
            result => return result,
        }
    }
}

fn segments_of_one_run() -> Result<Vec<Captured>, Box<dyn Error>> {
    let mut builder = Lab::builder();
    builder.congestion("reno");
    let [client, server] = ["client", "server"].map(|name| builder.host(name));
    let [there, back] = losing_until_told();
    builder.link(client, server, there, back);
    let lab = builder.start()?;
    let [client, server] = [client, server].map(|place| lab.host(place));
    // Otherwise a small write waits, whatever TCP_NODELAY says, while the interface still holds the
    // one before it, and is sent together with the next.
    client.sysctl("net.ipv4.tcp_autocorking", 0)?;

    pay(&client, &server)?;
    be_refused(&client, server.v6())?;

    let capture = lab.capture();
    let segments = capture.crossings().iter().map(|packet| {
        let (addresses, bytes) = segment_in(&packet.bytes)?;
        let bytes = bytes.to_vec();
        Ok(Captured { addresses, bytes })
    });
    let segments = segments.collect::<Result<Vec<_>, ip_header::Error>>()?;
    let _ = lab.finish()?; // whatever the times were
    if segments.iter().any(tells_of_all_gaps) {
        Ok(segments)
    } else {
        Err("no segment has told of three gaps".into())
    }
}

/// Whether a segment reports all that was received beyond the three losses, run by run.
fn tells_of_all_gaps(captured: &Captured) -> bool {
    Segment::parse(&captured.bytes, captured.addresses)
        .is_ok_and(|segment| sack_blocks(&segment) == Some(LOST.len()))
}

/// The segment that a packet carries: here all do.
fn segment_in(packet: &[u8]) -> Result<(Addresses, &[u8]), ip_header::Error> {
    let packet = ip_header::Packet::parse(packet)?;
    let upper = packet.upper_layer()?;
    debug_assert_eq!((upper.protocol, upper.fragment), (Protocol::TCP, None));
    Ok((packet.addresses(), upper.bytes))
}

// ANCHOR: lose
/// Two directions of a link. The first loses three payments, over and over, until a segment on the
/// second has told of three gaps, or there is no hope of it. The second loses acknowledgments until all payments have been
/// sent, so that no news of a loss makes the client hesitate.
fn losing_until_told() -> [Link; 2] {
    let all_sent = Arc::new(AtomicBool::new(false));
    let told = Arc::new(AtomicBool::new(false));
    let [sent, heard] = [all_sent.clone(), told.clone()];

    let mut losses = 0;
    let there = Link::new().delay(DELAY).rule(move |_, packet| {
        if packet.payload().ends_with(payment(PAYMENTS - 1).as_bytes()) {
            all_sent.store(true, Ordering::Relaxed);
        }
        let is = |n| packet.payload() == payment(n).as_bytes();
        let untold = !heard.load(Ordering::Relaxed) && losses < LOSSES_AT_MOST;
        match LOST.into_iter().any(is) && untold {
            true => {
                losses += 1;
                Verdict::Drop
            }
            false => Verdict::Pass,
        }
    });
    let back = Link::new().delay(DELAY).rule(move |_, packet| {
        let Ok((addresses, bytes)) = segment_in(packet.bytes()) else {
            return Verdict::Pass;
        };
        let Ok(segment) = Segment::parse(bytes, addresses) else {
            return Verdict::Pass;
        };
        if sack_blocks(&segment) == Some(LOST.len()) {
            told.store(true, Ordering::Relaxed);
        }
        match segment.sequence_len() == 0 && !sent.load(Ordering::Relaxed) {
            true => Verdict::Drop,
            false => Verdict::Pass,
        }
    });
    [there, back]
}
// ANCHOR_END: lose

/// How many SACK blocks a segment carries, if it does.
pub fn sack_blocks(segment: &Segment) -> Option<usize> {
    let options = segment.header().options;
    options.iter().find_map(|option| match option {
        Ok(TcpOption::Sack(blocks)) => Some(blocks.as_slice().len()),
        _ => None,
    })
}

// ANCHOR: talk
/// The client pays seven times, waits for an answer, sends one urgent byte, and closes.
fn pay(client: &Host, server: &Host) -> io::Result<()> {
    let listener = server.run(|| TcpListener::bind((server.v4(), 80)))?;
    let answering = server.spawn(move || -> io::Result<Vec<u8>> {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(DEADLINE))?;
        let mut payments = vec![0; PAYMENTS * payment(0).len()];
        stream.read_exact(&mut payments)?;
        stream.write_all(b"thanks\n")?;
        stream.read_to_end(&mut payments)?;
        Ok(payments)
    });

    let socket = client.run(|| Socket::new(Domain::IPV4, Type::STREAM, None))?;
    socket.bind(&SocketAddr::from((client.v4(), 40_000)).into())?;
    socket.set_tcp_nodelay(true)?; // each payment in a segment of its own
    socket.connect_timeout(&SocketAddr::from((server.v4(), 80)).into(), DEADLINE)?;
    let mut stream = TcpStream::from(socket.try_clone()?);
    stream.set_read_timeout(Some(DEADLINE))?;
    for n in 0..PAYMENTS {
        stream.write_all(payment(n).as_bytes())?;
    }
    stream.read_exact(&mut [0; 7])?;
    socket.send_out_of_band(b"!")?;
    stream.shutdown(Shutdown::Write)?;
    stream.read_to_end(&mut Vec::new())?;

    let arrived = answering.join().expect("the server does not panic")?;
    let sent: String = (0..PAYMENTS).map(payment).collect();
    match arrived == sent.as_bytes() {
        true => Ok(()),
        false => Err(io::Error::other("what arrived is not what was sent")),
    }
}

/// The client, which now offers ECN too, asks a port where nobody listens.
fn be_refused(client: &Host, server: Ipv6Addr) -> io::Result<()> {
    client.sysctl("net.ipv4.tcp_ecn", 1)?;
    match client.run(|| TcpStream::connect((server, 81))) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::other("somebody listens on port 81")),
    }
}
// ANCHOR_END: talk
