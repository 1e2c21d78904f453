//! The second cost: what stands behind a lost segment waits, whether it belongs to it or not.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use lab::{Capture, Report, Verdict};

use crate::network::{Network, Result, half};

/// Logical streams, such as three answers that a server sends at once.
pub const STREAMS: usize = 3;

/// Chunks of all streams together; their streams take turns.
pub const CHUNKS: usize = 15;

/// Between two chunks: so long that few are under way at a time, and congestion control, which
/// halves its window on a loss, holds none of them back.
pub const GAP: Duration = Duration::from_millis(16);

/// Bytes of a chunk, which fit in a segment. The first two are its number.
const CHUNK: usize = 1_000;

/// How the streams are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    /// All in one connection.
    One,
    /// Each in a connection of its own.
    OneEach,
}

/// A piece of a stream.
#[derive(Debug, Clone, Copy)]
pub struct Chunk {
    /// When the server wrote it, since the first.
    pub sent: Duration,
    /// From then until a segment with it reached the client's kernel.
    pub arrived_after: Duration,
    /// From then until the client's program could read it.
    pub readable_after: Duration,
}

impl Chunk {
    /// How much longer it took than the way takes.
    #[must_use]
    pub fn waited(&self, round_trip: Duration) -> Duration {
        self.readable_after.saturating_sub(round_trip / 2)
    }
}

/// The stream of the chunk with this number.
#[must_use]
pub fn stream(number: usize) -> usize {
    number % STREAMS
}

/// The longest that a chunk of each stream waited.
#[must_use]
pub fn longest_waits(chunks: &[Chunk], round_trip: Duration) -> [Duration; STREAMS] {
    let mut longest = [Duration::ZERO; STREAMS];
    for (number, chunk) in chunks.iter().enumerate() {
        let longest = &mut longest[stream(number)];
        *longest = chunk.waited(round_trip).max(*longest);
    }
    longest
}

/// Sends all chunks, and loses the segment that holds the one numbered `lost`.
///
/// # Errors
///
/// When the network cannot be built or a connection fails.
pub fn measure(
    connections: Connections,
    round_trip: Duration,
    lost: usize,
) -> Result<(Vec<Chunk>, Report)> {
    // ANCHOR: lose
    let mut is_lost = false;
    let back = half(round_trip).rule(move |_, packet| {
        let lose = !is_lost && packet.payload().starts_with(&name(lost));
        is_lost |= lose;
        if lose { Verdict::Drop } else { Verdict::Pass }
    });
    // ANCHOR_END: lose
    let network = Network::new(half(round_trip), back, GAP / 4)?;
    let listener = network.listen(80)?;
    let (mut readers, mut writers) = (Vec::new(), Vec::new());
    let count = match connections {
        Connections::One => 1,
        Connections::OneEach => STREAMS,
    };
    for _ in 0..count {
        readers.push(network.connect(network.socket()?, 80)?);
        let (writer, _) = listener.accept()?;
        writer.set_nodelay(true)?;
        writers.push(writer);
    }

    let reading: Vec<_> = readers
        .into_iter()
        .map(|connection| thread::spawn(move || read(connection, CHUNKS / count)))
        .collect();
    // ANCHOR: send
    let started = Instant::now();
    let mut sent = Vec::new();
    for number in 0..CHUNKS {
        let due = started + GAP * number as u32;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let mut chunk = [0; CHUNK];
        chunk[..2].copy_from_slice(&name(number));
        sent.push(Instant::now());
        writers[stream(number) % count].write_all(&chunk)?;
    }
    // ANCHOR_END: send

    let mut readable = Vec::new();
    for each in reading {
        readable.extend(each.join().expect("a reader does not panic")?);
    }
    readable.sort_unstable();
    let chunks = sent
        .into_iter()
        .zip(readable)
        .zip(flights(&network.lab.capture()))
        .map(|((sent, (_, readable)), arrived_after)| Chunk {
            sent: sent - started,
            arrived_after,
            readable_after: readable - sent,
        })
        .collect();
    Ok((chunks, network.lab.finish()?))
}

/// How long each chunk was under way, in the order in which they were sent: from its first segment's
/// departure to the first arrival of a segment with the same bytes.
fn flights(capture: &Capture) -> Vec<Duration> {
    let mut chunks: Vec<((u16, u32), Duration, Option<Duration>)> = Vec::new();
    for crossing in capture.sent_by("server") {
        let Some(segment) = crossing.tcp().filter(|segment| segment.length > 0) else {
            continue;
        };
        let bytes = (segment.destination_port, segment.sequence);
        let known = chunks.iter_mut().find(|(known, ..)| *known == bytes);
        match known {
            Some((_, _, arrived)) => *arrived = arrived.or(crossing.arrived),
            None => chunks.push((bytes, crossing.sent, crossing.arrived)),
        }
    }
    chunks
        .into_iter()
        .map(|(_, sent, arrived)| arrived.unwrap_or(sent) - sent)
        .collect()
}

/// The first bytes of a chunk.
fn name(number: usize) -> [u8; 2] {
    (number as u16).to_be_bytes()
}

// ANCHOR: read
/// Which chunks came, and when.
fn read(mut connection: TcpStream, count: usize) -> io::Result<Vec<(u16, Instant)>> {
    let mut chunk = [0; CHUNK];
    (0..count)
        .map(|_| {
            connection.read_exact(&mut chunk)?;
            Ok((u16::from_be_bytes([chunk[0], chunk[1]]), Instant::now()))
        })
        .collect()
}
// ANCHOR_END: read
