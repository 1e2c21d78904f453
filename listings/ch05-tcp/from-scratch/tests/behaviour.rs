//! When our TCP sends and when it waits, and that nobody makes it hold more than was agreed on.

use std::net::SocketAddr;
use std::time::Duration;

use tcp_from_scratch::harness::{Harness, Taken};
use tcp_from_scratch::{Config, ConnectionId, Error, Event, Reason, State, Status};
use tcp_segment::option::MAX_OPTIONS_LEN;
use tcp_segment::{Flags, Header, Options, SeqNumber, TcpOption};

const MS: fn(u64) -> Duration = Duration::from_millis;
const SECONDS: fn(u64) -> Duration = Duration::from_secs;

/// An established connection, and its peer, which does what the test says.
struct Pair {
    harness: Harness,
    id: ConnectionId,
    seq: SeqNumber,
    ack: SeqNumber,
    window: u16,
    /// TSval, where timestamps were agreed on.
    clock: Option<u32>,
}

fn peer() -> SocketAddr {
    "192.0.2.9:4000".parse().unwrap()
}

impl Pair {
    fn new(config: Config) -> Self {
        Self::with_options(config, &[TcpOption::MaximumSegmentSize(1000)])
    }

    fn with_options(config: Config, options: &[TcpOption]) -> Self {
        let mut harness = Harness::with(config, "192.0.2.1".parse().unwrap());
        harness.stack().listen(80, 4).unwrap();
        let mut room = [0; MAX_OPTIONS_LEN];
        let syn = Header {
            flags: Flags::SYN,
            window: 60_000,
            options: Options::emit(options, &mut room).unwrap(),
            ..Header::new(4000, 80, SeqNumber(99))
        };
        harness.put(peer(), &syn, b"");
        let answer = harness.take().remove(0);
        let clock = options.iter().find_map(|option| match option {
            TcpOption::Timestamps { value, .. } => Some(*value),
            _ => None,
        });
        let seq = SeqNumber(100);
        let mut ack = Header {
            flags: Flags::ACK,
            acknowledgment_number: answer.seq + 1,
            window: 60_000,
            ..Header::new(4000, 80, seq)
        };
        let mut room = [0; MAX_OPTIONS_LEN];
        let timestamps = clock.map(|value| TcpOption::Timestamps {
            value,
            echo_reply: 0,
        });
        ack.options = Options::emit(timestamps.as_slice(), &mut room).unwrap();
        harness.put(peer(), &ack, b"");
        let id = harness.stack().accept(80).unwrap();
        harness.take();
        Self {
            harness,
            id,
            seq,
            ack: answer.seq + 1,
            window: 60_000,
            clock,
        }
    }

    /// The peer sends text with what it has acknowledged so far.
    fn put(&mut self, seq: SeqNumber, text: &[u8]) {
        let mut room = [0; MAX_OPTIONS_LEN];
        let timestamps = self.clock.map(|value| TcpOption::Timestamps {
            value,
            echo_reply: 0,
        });
        let header = Header {
            flags: Flags::ACK,
            acknowledgment_number: self.ack,
            window: self.window,
            options: Options::emit(timestamps.as_slice(), &mut room).unwrap(),
            ..Header::new(4000, 80, seq)
        };
        self.harness.put(peer(), &header, text);
    }

    /// The peer acknowledges all that it has seen.
    fn acknowledge(&mut self, taken: &[Taken]) {
        for segment in taken {
            let fin = u32::from(segment.flags.contains(Flags::FIN));
            self.ack = self.ack.max(segment.seq + segment.text.len() as u32 + fin);
        }
        self.put(self.seq, b"");
    }

    fn send(&mut self, bytes: usize) -> Vec<Taken> {
        self.harness.stack().send(self.id, &vec![7; bytes]).unwrap();
        self.harness.take()
    }

    fn status(&mut self) -> Status {
        self.harness.stack().status(self.id).unwrap()
    }

    /// What goes out, and when: up to a point in time.
    fn watch(&mut self, up_to: Duration) -> Vec<(Duration, Taken)> {
        let began = self.harness.now();
        let mut seen = Vec::new();
        loop {
            let now = self.harness.now() - began;
            seen.extend(self.harness.take().into_iter().map(|taken| (now, taken)));
            let next = self.harness.next_timeout().map(|time| time - began);
            match next {
                Some(next) if next <= up_to => self.harness.pass_to_timeout(),
                _ => break,
            };
        }
        self.harness.pass(up_to - (self.harness.now() - began));
        seen
    }
}

fn lens(taken: &[Taken]) -> Vec<usize> {
    taken.iter().map(|segment| segment.text.len()).collect()
}

#[test]
fn nagle_holds_small_segments_back_until_all_is_acknowledged() {
    let mut pair = Pair::new(Config::default());
    let first = pair.send(10);
    assert_eq!(lens(&first), [10]);
    assert_eq!(lens(&pair.send(10)), []);
    assert_eq!(lens(&pair.send(995)), [1000]); // a full segment may go
    pair.acknowledge(&first);
    assert_eq!(pair.harness.take(), []);
    pair.ack += 1000;
    pair.put(pair.seq, b"");
    // Five bytes are left, and nothing else is under way.
    assert_eq!(lens(&pair.harness.take()), [5]);
}

#[test]
fn without_nagle_small_segments_go_at_once() {
    let mut pair = Pair::new(Config {
        nagle: false,
        ..Config::default()
    });
    assert_eq!(lens(&pair.send(10)), [10]);
    assert_eq!(lens(&pair.send(10)), [10]);
}

#[test]
fn one_segment_is_acknowledged_after_a_while_and_two_at_once() {
    let mut pair = Pair::new(Config::default());
    pair.put(SeqNumber(100), &[7; 1000]);
    assert_eq!(pair.harness.take(), []);
    pair.put(SeqNumber(1100), &[7; 1000]);
    assert_eq!(pair.harness.take()[0].ack, SeqNumber(2100));
    pair.put(SeqNumber(2100), &[7; 1000]);
    let seen = pair.watch(SECONDS(10));
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].0, seen[0].1.ack), (MS(40), SeqNumber(3100)));
}

#[test]
fn an_acknowledgment_rides_on_text() {
    let mut pair = Pair::new(Config::default());
    pair.put(SeqNumber(100), &[7; 10]);
    let sent = pair.send(10);
    assert_eq!((sent.len(), sent[0].ack), (1, SeqNumber(110)));
    pair.seq = SeqNumber(110);
    pair.acknowledge(&sent);
    assert_eq!(pair.watch(SECONDS(10)), []);
}

#[test]
fn a_gap_is_reported_at_once_segment_by_segment() {
    let mut pair = Pair::with_options(
        Config::default(),
        &[
            TcpOption::MaximumSegmentSize(1000),
            TcpOption::SackPermitted,
        ],
    );
    for at in [1100, 3100, 2100] {
        pair.put(SeqNumber(at), &[7; 1000]);
        let answers = pair.harness.take();
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].ack, SeqNumber(100));
        let options = answers[0].options();
        let Some(TcpOption::Sack(blocks)) = options.last() else {
            panic!("{options:?}")
        };
        let first = blocks.as_slice()[0];
        assert!(first.left <= SeqNumber(at) && SeqNumber(at) < first.right);
    }
    pair.put(SeqNumber(100), &[7; 1000]);
    assert_eq!(pair.harness.take()[0].ack, SeqNumber(4100));
}

#[test]
fn the_same_segment_goes_out_after_1_2_4_8_seconds_and_then_every_minute() {
    let mut pair = Pair::new(Config::default());
    // The handshake took no time, so that RTO is the least, one second.
    let first = pair.send(10);
    let seen = pair.watch(SECONDS(200));
    let times: Vec<u64> = seen.iter().map(|(time, _)| time.as_secs()).collect();
    assert_eq!(times, [1, 3, 7, 15, 31, 63, 123, 183]);
    assert!(seen.iter().all(|(_, taken)| taken.text == first[0].text));
    let mut events = std::iter::from_fn(|| pair.harness.stack().event());
    assert!(events.any(|(_, event)| event == Event::Unresponsive));
}

#[test]
fn after_five_minutes_without_an_answer_it_gives_up() {
    let mut pair = Pair::new(Config::default());
    pair.send(10);
    pair.watch(SECONDS(299));
    assert_eq!(pair.status().state, State::Established);
    pair.watch(SECONDS(2));
    assert_eq!(pair.status().ended, Some(Reason::TimedOut));
}

#[test]
fn a_timeout_starts_over_with_one_segment() {
    let mut pair = Pair::new(Config::default());
    let sent = pair.send(30_000);
    assert_eq!(sent.len(), 10); // the initial window
    let seen = pair.watch(MS(1500));
    assert_eq!(seen.len(), 1);
    let status = pair.status();
    assert_eq!(
        (status.congestion_window, status.slow_start_threshold),
        (1000, 5000)
    );
    assert_eq!(status.counters.timeouts, 1);
}

#[test]
fn three_duplicates_send_the_lost_segment_again_and_nothing_else() {
    let mut pair = Pair::new(Config::default());
    let sent = pair.send(10_000);
    pair.acknowledge(&sent[..2]);
    assert_eq!(pair.harness.take(), []);
    // The third is lost; the peer knows no SACK.
    pair.put(pair.seq, b"");
    pair.put(pair.seq, b"");
    assert_eq!(pair.harness.take(), []);
    pair.put(pair.seq, b"");
    let again = pair.harness.take();
    assert_eq!(again, sent[2..3]);
    assert_eq!(pair.status().counters.fast_recoveries, 1);
}

#[test]
fn a_closed_window_is_probed_for_a_day_ever_more_rarely_and_never_given_up() {
    let mut pair = Pair::new(Config::default());
    pair.window = 0;
    pair.put(pair.seq, b"");
    assert_eq!(pair.send(5000), []);
    let began = pair.harness.now();
    let mut probes = Vec::new();
    while pair.harness.now() - began < SECONDS(24 * 3600) {
        assert!(pair.harness.pass_to_timeout());
        let taken = pair.harness.take();
        for probe in &taken {
            assert_eq!(lens(&taken), [1]);
            probes.push((pair.harness.now() - began).as_secs());
            let _ = probe;
            pair.put(pair.seq, b""); // «still closed»
        }
    }
    assert_eq!(probes[..8], [1, 3, 7, 15, 31, 63, 123, 183]);
    assert!(probes.len() < 1500);
    assert_eq!(pair.status().state, State::Established);
    // It opens, and what was asked to be sent goes out from the first byte on.
    pair.window = 60_000;
    pair.put(pair.seq, b"");
    assert_eq!(lens(&pair.harness.take()), [1000; 5]);
}

#[test]
fn a_window_too_small_to_be_worth_it_is_used_only_after_a_while() {
    let mut pair = Pair::new(Config::default());
    pair.window = 100;
    pair.put(pair.seq, b"");
    assert_eq!(pair.send(5000), []);
    let seen = pair.watch(SECONDS(1));
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].0, seen[0].1.text.len()), (SECONDS(1), 100));
}

#[test]
fn the_window_shrinks_to_zero_and_opens_by_no_less_than_a_segment() {
    let mut pair = Pair::new(Config {
        receive_buffer: 5000,
        ..Config::default()
    });
    let mut seq = SeqNumber(100);
    for expected in [3000, 1000] {
        pair.put(seq, &[7; 1000]);
        pair.put(seq + 1000, &[7; 1000]);
        seq += 2000;
        assert_eq!(pair.harness.take().last().unwrap().window, expected);
    }
    pair.put(seq, &[7; 1000]);
    assert_eq!(pair.watch(MS(40)).last().unwrap().1.window, 0);
    pair.seq = seq + 1000;
    // The user reads 900 bytes: not worth a word. 100 more: that makes a segment.
    pair.harness
        .stack()
        .receive(pair.id, &mut [0; 900])
        .unwrap();
    assert_eq!(pair.watch(SECONDS(5)), []);
    pair.harness
        .stack()
        .receive(pair.id, &mut [0; 100])
        .unwrap();
    assert_eq!(pair.harness.take()[0].window, 1000);
}

#[test]
fn two_ends_with_closed_windows_still_hear_each_others_acknowledgments() {
    let mut pair = Pair::new(Config {
        receive_buffer: 1000,
        ..Config::default()
    });
    let sent = pair.send(10);
    pair.put(pair.seq, &[7; 1000]);
    pair.seq += 1000;
    assert_eq!(pair.watch(MS(40)).last().unwrap().1.window, 0);
    // A probe with a byte for which there is no room, and an acknowledgment.
    pair.ack += sent[0].text.len() as u32;
    pair.put(pair.seq, b"x");
    assert_eq!(pair.status().unacknowledged, 0);
    assert_eq!(pair.harness.take()[0].ack, pair.seq);
}

#[test]
fn segments_with_an_older_timestamp_are_unmasked() {
    let options = [
        TcpOption::MaximumSegmentSize(1000),
        TcpOption::Timestamps {
            value: 1000,
            echo_reply: 0,
        },
    ];
    let mut pair = Pair::with_options(Config::default(), &options);
    assert!(pair.status().timestamps);
    pair.clock = Some(999);
    pair.put(SeqNumber(100), b"old");
    assert_eq!(pair.status().readable, 0);
    assert_eq!(pair.harness.take()[0].ack, SeqNumber(100));
    // One without a timestamp is dropped without a word (RFC 7323 §3.2).
    pair.clock = None;
    pair.put(SeqNumber(100), b"none");
    assert_eq!((pair.status().readable, pair.harness.take()), (0, vec![]));
    pair.clock = Some(1001);
    pair.put(SeqNumber(100), b"new");
    assert_eq!(pair.status().readable, 3);
}

#[test]
fn an_idle_connection_asks_after_two_hours_if_told_to_and_gives_up_if_nobody_is_there() {
    let mut pair = Pair::new(Config::default());
    assert_eq!(pair.watch(SECONDS(24 * 3600)), []);
    let after = Some(SECONDS(7200));
    let id = pair.id;
    pair.harness
        .stack()
        .with(id, |connection| connection.set_keep_alive(after))
        .unwrap();
    pair.put(pair.seq, b""); // heard of just now
    let seen = pair.watch(SECONDS(7201));
    assert_eq!(seen.len(), 1);
    // A number before what comes next, so that it must be answered.
    assert_eq!((seen[0].1.seq, seen[0].1.text.len()), (pair.ack - 1, 0));
    pair.watch(SECONDS(9 * 75));
    assert_eq!(pair.status().ended, Some(Reason::TimedOut));
}

#[test]
fn closed_with_text_unread_the_peer_is_told_by_a_reset() {
    let mut pair = Pair::new(Config::default());
    pair.put(pair.seq, b"unread");
    let id = pair.id;
    pair.harness.stack().release(id).unwrap();
    assert_eq!(pair.harness.take()[0].flags, Flags::RST);
    assert_eq!(pair.harness.stack().ids().count(), 0);
}

#[test]
fn urgent_text_is_marked_up_to_its_end() {
    let mut pair = Pair::new(Config::default());
    let id = pair.id;
    pair.harness.stack().send(id, b"urgent").unwrap();
    pair.harness
        .stack()
        .with(id, |connection| connection.urgent())
        .unwrap();
    let sent = pair.harness.take();
    assert!(sent[0].flags.contains(Flags::URG));
    assert_eq!(sent[0].urgent_pointer, 6);
    pair.acknowledge(&sent);
    assert!(!pair.send(10)[0].flags.contains(Flags::URG));
}

#[test]
fn a_user_who_sends_more_than_fits_is_told_and_told_when_there_is_room() {
    let mut pair = Pair::new(Config {
        send_buffer: 3000,
        ..Config::default()
    });
    let id = pair.id;
    assert_eq!(pair.harness.stack().send(id, &[7; 5000]), Ok(3000));
    assert_eq!(
        pair.harness.stack().send(id, &[7; 5000]),
        Err(Error::WouldBlock)
    );
    let sent = pair.harness.take();
    pair.acknowledge(&sent);
    let mut events = std::iter::from_fn(|| pair.harness.stack().event());
    assert!(events.any(|(_, event)| event == Event::Writable));
}

#[test]
fn a_peer_that_sends_every_other_byte_gets_64_runs_and_no_more() {
    let options = [
        TcpOption::MaximumSegmentSize(1000),
        TcpOption::SackPermitted,
    ];
    let mut pair = Pair::with_options(Config::default(), &options);
    for at in 0..10_000 {
        pair.put(SeqNumber(101 + 2 * at), b"x");
    }
    pair.harness.take();
    // The bytes between are sent, once: those that were kept come out, and what was not is missing.
    for at in 0..10_000 {
        pair.put(SeqNumber(100 + 2 * at), b"y");
    }
    let kept = tcp_from_scratch::config::RANGES_AT_MOST;
    assert_eq!(pair.status().readable, 2 * kept + 1);
    assert_eq!(pair.status().state, State::Established);
}

#[test]
fn a_flood_of_syns_fills_the_backlog_and_nothing_else() {
    let mut harness = Harness::new("192.0.2.1".parse().unwrap());
    harness.stack().listen(80, 100).unwrap();
    let syn = |harness: &mut Harness, port| {
        let header = Header {
            flags: Flags::SYN,
            window: 1000,
            ..Header::new(port, 80, SeqNumber(1))
        };
        harness.put(SocketAddr::new(peer().ip(), port), &header, b"");
        harness.take().len()
    };
    let answers: usize = (1..10_000).map(|port| syn(&mut harness, port)).sum();
    assert_eq!((answers, harness.stack().ids().count()), (100, 100));
    // Three minutes later those that never finished are gone, and there is room again.
    harness.pass(SECONDS(181));
    harness.take();
    assert_eq!(harness.stack().ids().count(), 0);
    assert_eq!(syn(&mut harness, 1), 1);
}

#[test]
fn a_flood_of_segments_for_nobody_is_answered_up_to_a_limit() {
    let mut harness = Harness::new("192.0.2.1".parse().unwrap());
    for port in 1..10_000 {
        let header = Header {
            flags: Flags::ACK,
            ..Header::new(port, 80, SeqNumber(1))
        };
        harness.put(peer(), &header, b"");
    }
    assert_eq!(
        harness.take().len(),
        tcp_from_scratch::config::RESETS_AT_MOST
    );
}
