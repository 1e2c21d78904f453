//! What the page says about TCP's costs, measured again.
#![cfg(target_os = "linux")]

use std::sync::LazyLock;
use std::time::Duration;

use lab::Tcp;
use record::{Table, What};
use tcp_costs::head_of_line::{self, Connections, GAP};
use tcp_costs::nagle::{self, Writes};
use tcp_costs::network::median;
use tcp_costs::reuse::{self, EACH, SHARED};
use tcp_costs::slow_start::{self, Fetcher};
use testkit::{DEADLINE, Program, Run, alone, listing, peer};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A busy machine repeats measurements, for which a listing's usual time may be too short.
fn program() -> Program {
    listing!()
        .deadline(DEADLINE * 2)
        // Whether an acknowledgment travels alone or with data depends on who is faster.
        .varying(r"(?m)TIME ([12]) \d+ (\d+)$", "TIME $1 SEGMENTS $2")
        // A window that has grown may need a second flight for the last segments, or not.
        .varying(r"(the same again|idle=0) TIME [12]\b", "$1 TIME FEW")
        // Of a flight whose acknowledgments a busy machine holds back for a while, two are made.
        .varying(r"(of rest|TIME TIME) TIME [78]\b", "$1 TIME SEVEN")
}

/// One run for all proofs.
static RUN: LazyLock<Run> = LazyLock::new(|| {
    let _alone = alone();
    program().run().succeeds()
});

/// The number in a cell of the row of that name.
fn cell(table: &Table, row: &str, column: usize) -> f64 {
    let row = table.rows.iter().find(|cells| cells[0] == row);
    let text = &row.expect("a row of that name")[column];
    text.parse().expect("a number")
}

/// The points of a line of one of the figures.
fn line(figure: &str, name: &str) -> Vec<(f64, f64)> {
    let lines = &RUN.series(figure).lines;
    let line = lines.iter().find(|line| line.name == name);
    line.expect("a line of that name").points.clone()
}

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn a_request_takes_two_round_trips_on_a_new_connection_and_one_on_a_kept_one() {
    let _alone = alone();
    lab::test(|| {
        for round_trip in [ms(20), ms(50)] {
            let (reuse, _) = lab::undisturbed(3, || reuse::measure(round_trip, 9)).unwrap();
            for (requests, round_trips) in [(reuse.each, 2.0), (reuse.shared, 1.0)] {
                // A busy machine adds to a time and never takes from it.
                let fastest = requests.times.iter().min().unwrap();
                let took = fastest.as_secs_f64() / round_trip.as_secs_f64();
                let about = round_trips..round_trips + 0.25;
                assert!(about.contains(&took), "{took}, not {round_trips}");
            }
        }
    });
}

#[test]
fn the_medians_of_a_run_tell_the_two_apart() {
    let table = RUN.table("reuse");
    let [each, shared] = ["new for each", "one for all"].map(|row| cell(table, row, 1));
    assert!(each >= 40.0 && shared >= 20.0, "{each}, {shared}");
    assert!(each > shared * 1.4, "{each}, {shared}");
}

#[test]
fn every_connection_leaves_a_time_wait_behind() {
    let table = RUN.table("reuse");
    assert_eq!(cell(table, "new for each", 4), 11.0);
    assert_eq!(cell(table, "one for all", 4), 1.0);
}

#[test]
fn a_kept_connection_shakes_hands_once_and_sends_a_third_of_the_segments() {
    let _alone = alone();
    lab::test(|| {
        let requests = 12;
        let (reuse, _) = reuse::measure(ms(4), requests).unwrap();
        let syns = |port| {
            reuse
                .capture
                .sent_by("client")
                .filter_map(lab::Crossing::tcp)
                .filter(|segment| segment.destination_port == port && segment.has(Tcp::SYN))
                .count()
        };
        assert_eq!((syns(EACH), syns(SHARED)), (requests, 1));
        // Three to open, four or three to close, and two or three for the request.
        let each = reuse.each.segments as f64 / requests as f64;
        let shared = reuse.shared.segments as f64 / requests as f64;
        assert!((8.0..=11.0).contains(&each), "{each}");
        assert!((2.0..=4.0).contains(&shared), "{shared}");
    });
}

/// The longest wait of the streams A, B and C, in milliseconds; a round trip takes 40.
fn waits(carried_by: &str) -> [f64; 3] {
    [1, 2, 3].map(|column| cell(RUN.table("waits"), carried_by, column))
}

#[test]
fn in_one_connection_a_lost_segment_makes_every_stream_wait() {
    let waits = waits("one connection");
    assert!(waits.iter().all(|&wait| wait > 20.0), "{waits:?}");
    assert!(waits[0] > 40.0, "{waits:?}");
}

#[test]
fn in_separate_connections_only_the_stream_that_lost_it_waits() {
    let _alone = alone();
    lab::test(|| {
        let round_trip = ms(40);
        let others = (0..3).map(|_| {
            let measured = head_of_line::measure(Connections::OneEach, round_trip, 6);
            let [a, b, c] = head_of_line::longest_waits(&measured.unwrap().0, round_trip);
            assert!(a > round_trip, "{a:?}");
            b.max(c)
        });
        // A busy machine is late to wake a program, but not in every run.
        let others = others.min().unwrap();
        assert!(others < round_trip / 4, "{others:?}");
    });
}

#[test]
fn what_waits_is_there_and_must_not_be_read() {
    let arrived = line("one", "the bytes are there");
    let late_arrivals = arrived.iter().filter(|&&(_, after)| after > 40.0).count();
    assert_eq!(late_arrivals, 1, "{arrived:?}");
    let late_reads: usize = ["A", "B", "C"]
        .iter()
        .map(|stream| {
            line("one", &format!("stream `{stream}` can be read"))
                .iter()
                .filter(|&&(_, after)| after > 40.0)
                .count()
        })
        .sum();
    assert!(late_reads >= 3, "{late_reads}");
}

#[test]
fn the_wait_is_a_round_trip_and_what_it_takes_to_notice() {
    let _alone = alone();
    lab::test(|| {
        for round_trip in [ms(40), ms(80)] {
            let waits = (0..3).map(|_| {
                let (chunks, _) = head_of_line::measure(Connections::One, round_trip, 7).unwrap();
                chunks[7].waited(round_trip)
            });
            let waited = median(&waits.collect::<Vec<_>>());
            // RACK sees it by the next segment's acknowledgment; three segments would be the most.
            let least = round_trip + GAP / 2;
            let most = round_trip * 2 + GAP * 3;
            assert!((least..most).contains(&waited), "{waited:?}");
        }
    });
}

#[test]
fn the_window_doubles_with_every_flight() {
    let table = RUN.table("flights");
    let expected = [10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 95.0];
    assert!(table.rows.len() >= expected.len());
    for (flight, expected) in (1..).zip(expected) {
        let row = flight.to_string();
        assert_eq!(cell(table, &row, 1), expected);
        // An acknowledgment may be late for its flight: a segment or two go with the next.
        let sent = cell(table, &row, 2);
        assert!((sent - expected).abs() <= 4.0, "{sent}, not {expected}");
    }
}

#[test]
fn a_first_answer_of_1_mib_takes_seven_round_trips_whatever_the_round_trip() {
    for (round_trip, took) in line("slow-start", "new connection") {
        let round_trips = took / round_trip;
        // What a busy machine needs for 725 segments counts for little where the way is long.
        let most = if round_trip < 50.0 { 70.0 } else { 10.0 };
        assert!(
            (7.0..most).contains(&round_trips),
            "{round_trip} ms: {round_trips}"
        );
    }
}

#[test]
fn the_next_answer_over_the_same_connection_takes_one_flight_or_two() {
    let _alone = alone();
    lab::test(|| {
        let (growth, _) = lab::undisturbed(3, || slow_start::measure(ms(30), 3)).unwrap();
        let flights: Vec<usize> = growth.fetches.iter().map(|it| it.flights.len()).collect();
        assert!(flights[0] >= 7, "{flights:?}");
        assert!(
            flights[1..].iter().all(|&flights| flights <= 2),
            "{flights:?}"
        );
    });
}

#[test]
fn the_next_answer_over_the_same_connection_takes_less_time() {
    // Where a round trip is short, most of the time is the machine's, and not TCP's.
    let again = line("slow-start", "the same connection again").into_iter();
    for (round_trip, again) in again.filter(|&(round_trip, _)| round_trip >= 50.0) {
        let new = line("slow-start", "new connection");
        let new = new.iter().find(|(same, _)| *same == round_trip).unwrap().1;
        assert!(again < new * 0.6, "{round_trip} ms: {again}, {new}");
    }
}

#[test]
fn a_connection_that_rested_starts_slowly_again_unless_told_otherwise() {
    let table = RUN.table("idle");
    assert!(cell(table, "at once", 2) <= 2.0);
    assert!(cell(table, "after `1.8 s` of rest", 2) >= 7.0);
    assert!(
        cell(
            table,
            "after `1.8 s` of rest, `tcp_slow_start_after_idle=0`",
            2
        ) <= 2.0
    );
}

#[test]
fn a_larger_initial_window_saves_flights() {
    let Some(ip) = peer("ip") else { return };
    let _alone = alone();
    lab::test(move || {
        let network = slow_start::network(ms(40)).unwrap();
        let ip = ip.to_str().unwrap();
        let changed = network
            .server
            .command(ip)
            .args("route change default dev eth0 congctl reno initcwnd 20".split(' '))
            .status()
            .unwrap();
        assert!(changed.success());
        // The fewest of a few tries: a busy machine adds flights, and takes none away.
        let flights = (80..83).map(|port| {
            let mut fetcher = Fetcher::connect(&network, port).unwrap();
            let flights = fetcher.fetch().unwrap().flights.len();
            fetcher.close().unwrap();
            flights
        });
        assert_eq!(flights.min(), Some(6));
    });
}

#[test]
fn two_writes_before_a_read_take_forty_milliseconds_and_need_not() {
    let table = RUN.table("writes");
    assert!(cell(table, "head, body", 1) >= 40.0);
    for row in ["head, body, with `TCP_NODELAY`", "head and body at once"] {
        let median = cell(table, row, 1);
        assert!((2.0..12.0).contains(&median), "{row}: {median}");
    }
}

#[test]
fn the_body_waits_for_an_acknowledgment_that_waits_for_an_answer() {
    let sequence = RUN.sequence("nagle");
    let server = sequence.hosts.iter().position(|host| host.name == "server");
    let messages: Vec<(bool, u64, u64, &str)> = sequence
        .events
        .iter()
        .map(|event| match &event.what {
            What::Message {
                from,
                arrived_us: Some(arrived_us),
                note: Some(note),
                ..
            } => (
                Some(*from) == server,
                event.at_us,
                *arrived_us,
                note.as_str(),
            ),
            other => panic!("a packet that arrives, not {other:?}"),
        })
        .collect();
    let [head, acknowledgment, body, answer] = messages[..] else {
        panic!("four packets, not {messages:?}");
    };
    assert!(!head.0 && head.3.contains("20 bytes"), "{head:?}");
    assert!(
        acknowledgment.0 && !acknowledgment.3.contains("bytes"),
        "{acknowledgment:?}"
    );
    assert!(!body.0 && body.3.contains("30 bytes"), "{body:?}");
    assert!(answer.0 && answer.3.contains("40 bytes"), "{answer:?}");
    // The server's kernel holds the acknowledgment back, and Nagle's algorithm the body.
    let held_back_us = acknowledgment.1 - head.2;
    assert!((38_000..60_000).contains(&held_back_us), "{held_back_us}");
    assert!(body.1 >= acknowledgment.2, "{messages:?}");
}

#[test]
fn the_first_request_of_a_connection_is_acknowledged_at_once() {
    let _alone = alone();
    lab::test(|| {
        let measured = lab::undisturbed(3, || nagle::measure(ms(2), Writes::Two, 5));
        let ((times, _), _) = measured.unwrap();
        assert!(times[0] < ms(30), "{times:?}");
        assert!(times[2..].iter().all(|&time| time > ms(38)), "{times:?}");
    });
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = testkit::listing!().arg("fast").run();
    assert_eq!(run.status.code(), Some(2));
    assert!(run.stderr.contains("usage: tcp-costs"), "{}", run.stderr);
}
