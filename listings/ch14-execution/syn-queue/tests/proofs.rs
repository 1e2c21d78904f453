//! What the page says of the SYN queue, seen in the listing's run.
#![cfg(target_os = "linux")]

use std::sync::LazyLock;
use std::time::Duration;

use record::{Figure, What};
use testkit::{Run, listing};

/// One run for all proofs: it takes seconds.
static RUN: LazyLock<Run> = LazyLock::new(|| {
    listing!()
        // The server's clock, and the cookie's.
        .varying(r"timestamp, \d+", "timestamp, N")
        .deadline(Duration::from_secs(60))
        .run()
        .succeeds()
});

/// A row of the table `limits`.
#[derive(Debug, Clone, Copy)]
struct Limit {
    backlog: u32,
    mode: u32,
    max_syn_backlog: u32,
    somaxconn: u32,
    room: u32,
    half_open: u32,
    cookies: u32,
    dropped: u32,
}

fn limits() -> Vec<Limit> {
    let rows = RUN.table("limits").rows.iter();
    let limits: Vec<Limit> = rows
        .map(|row| {
            let number = |cell: &String| cell.trim_matches('`').parse::<u32>().unwrap();
            let numbers: Vec<u32> = row.iter().map(number).collect();
            let [
                backlog,
                mode,
                max_syn_backlog,
                somaxconn,
                room,
                half_open,
                cookies,
                dropped,
            ] = numbers[..]
            else {
                panic!("{row:?}");
            };
            Limit {
                backlog,
                mode,
                max_syn_backlog,
                somaxconn,
                room,
                half_open,
                cookies,
                dropped,
            }
        })
        .collect();
    assert_eq!(limits.len(), 11);
    limits
}

/// What the kernel adds to the backlog: nothing in kernels from before 2025, which then let nobody in
/// through a backlog of 0 either.
fn extra() -> u32 {
    let first = limits()[0];
    assert_eq!((first.backlog, first.mode), (0, 0));
    assert!(first.half_open <= 1, "{first:?}");
    first.half_open
}

/// The row of the table `client` that begins so.
fn client(what: &str) -> Vec<String> {
    let mut rows = RUN.table("client").rows.iter();
    let row = rows.find(|row| row[0].replace('`', "") == what);
    row.unwrap_or_else(|| panic!("{what}")).clone()
}

const CONNECT: usize = 1;
const KEPT: usize = 2;
const OPTIONS: usize = 3;
const LARGEST: usize = 4;
const AFTER: usize = 5;

/// Who says what in a figure.
type Said = Vec<(usize, String)>;

/// The messages of a figure by their senders, and the states by whose they are.
fn told(figure: &str) -> (Said, Said) {
    let (mut messages, mut states) = (Vec::new(), Vec::new());
    for event in &RUN.sequence(figure).events {
        match &event.what {
            What::Message { from, label, .. } => {
                messages.push((*from, label.replace('`', "")));
            }
            What::State { host, label, .. } => states.push((*host, label.replace('`', ""))),
        }
    }
    (messages, states)
}

#[test]
fn a_run_prints_what_the_page_shows() {
    if extra() == 1 {
        RUN.matches_output();
    }
    RUN.matches_record();
}

#[test]
fn the_syn_queue_has_room_for_one_more_than_the_backlog() {
    for limit in limits() {
        let binds = limit.mode == 0 && limit.max_syn_backlog < limit.backlog;
        if limit.mode < 2 && !binds && limit.backlog <= limit.somaxconn {
            assert_eq!(limit.half_open, limit.backlog + extra(), "{limit:?}");
        }
    }
}

#[test]
fn the_count_is_what_the_kernels_conditions_say() {
    for limit in limits() {
        assert_eq!(limit.half_open, limit.room, "{limit:?}");
    }
}

#[test]
fn tcp_max_syn_backlog_binds_without_cookies_only() {
    let bound = |mode| {
        let mut found = limits()
            .into_iter()
            .filter(|limit| limit.mode == mode && limit.max_syn_backlog < limit.backlog);
        (found.next(), found.next())
    };
    let (Some(of_128), Some(of_40)) = bound(0) else {
        panic!("two without cookies");
    };
    assert_eq!((of_128.max_syn_backlog, of_128.half_open), (128, 97));
    assert_eq!((of_40.max_syn_backlog, of_40.half_open), (40, 31));
    let (Some(with_cookies), None) = bound(1) else {
        panic!("one with cookies");
    };
    assert_eq!(with_cookies.half_open, with_cookies.backlog + extra());
}

#[test]
fn somaxconn_caps_the_backlog() {
    let capped = limits()
        .into_iter()
        .filter(|limit| limit.somaxconn < limit.backlog);
    let modes: Vec<u32> = capped
        .map(|limit| {
            assert_eq!(limit.half_open, limit.somaxconn + extra(), "{limit:?}");
            limit.mode
        })
        .collect();
    assert_eq!(modes, [0, 1]);
}

#[test]
fn a_syn_that_finds_no_room_is_dropped_or_answered_with_a_cookie() {
    for limit in limits() {
        let rest = 300 - limit.half_open;
        let expected = if limit.mode == 0 {
            (0, rest)
        } else {
            (rest, 0)
        };
        assert_eq!((limit.cookies, limit.dropped), expected, "{limit:?}");
    }
}

#[test]
fn with_tcp_syncookies_2_nothing_is_ever_kept() {
    let always: Vec<Limit> = limits()
        .into_iter()
        .filter(|limit| limit.mode == 2)
        .collect();
    let [always] = always[..] else {
        panic!("{always:?}");
    };
    assert_eq!((always.half_open, always.cookies), (0, 300));
    assert_eq!(client("tcp_syncookies=2, no attack")[KEPT], "nothing");
}

#[test]
fn the_queue_fills_up_to_its_limit_and_stays_there() {
    let series = RUN.series("fill");
    let last = |name: &str| {
        let line = series.lines.iter().find(|line| line.name == name).unwrap();
        let limit = line.points.last().unwrap().1;
        for &(sent, half_open) in &line.points {
            assert_eq!(half_open, sent.min(limit), "{name} after {sent} SYNs");
        }
        limit
    };
    let extra = f64::from(extra());
    assert_eq!(last("`listen(64)`"), 64.0 + extra);
    assert_eq!(last("`listen(16)`"), 16.0 + extra);
    let off = "`listen(64)`, `tcp_syncookies=0`, `tcp_max_syn_backlog=40`";
    assert_eq!(last(off), 31.0);
    assert_eq!(last("`listen(64)`, `tcp_syncookies=2`"), 0.0);
}

#[test]
fn without_cookies_a_client_that_finds_the_queue_full_times_out() {
    let row = client("full, tcp_syncookies=0");
    assert_eq!(row[CONNECT], "`ETIMEDOUT`");
    let after: f64 = row[AFTER].parse().unwrap();
    assert!((2900.0..5000.0).contains(&after), "{after} ms");
    // Its SYNs arrive, and nothing comes back: neither an answer nor a refusal.
    let (messages, states) = told("dropped");
    let said: Vec<(usize, &str)> = messages
        .iter()
        .map(|(from, says)| (*from, says.as_str()))
        .collect();
    assert_eq!(said, [(0, "SYN"), (0, "SYN")]);
    let states: Vec<(usize, &str)> = states.iter().map(|(of, is)| (*of, is.as_str())).collect();
    assert_eq!(
        states,
        [
            (1, "SYN queue full"),
            (1, "dropped"),
            (1, "dropped"),
            (0, "ETIMEDOUT")
        ]
    );
}

#[test]
fn with_cookies_the_client_is_connected_although_the_queue_is_full() {
    for what in [
        "full, tcp_syncookies=1",
        "full, tcp_syncookies=1, no timestamps",
    ] {
        assert_eq!(client(what)[CONNECT], "connected", "{what}");
    }
    let (messages, states) = told("cookie");
    let said: Vec<&str> = messages.iter().map(|(_, says)| says.as_str()).collect();
    assert_eq!(said, ["SYN", "SYN ACK", "ACK"]);
    let states: Vec<&str> = states.iter().map(|(_, is)| is.as_str()).collect();
    assert_eq!(states, ["SYN queue full", "nothing kept", "ESTABLISHED"]);
}

#[test]
fn between_syn_ack_and_ack_the_server_keeps_an_entry_or_with_a_cookie_nothing() {
    assert_eq!(client("room in the queue")[KEPT], "an entry");
    assert_eq!(client("full, tcp_syncookies=1")[KEPT], "nothing");
}

#[test]
fn a_cookie_keeps_the_options_only_where_there_are_timestamps() {
    let all = "SACK, timestamps, window scale";
    assert_eq!(client("room in the queue")[OPTIONS], all);
    assert_eq!(client("full, tcp_syncookies=1")[OPTIONS], all);
    let without = client("full, tcp_syncookies=1, no timestamps");
    assert_eq!(without[OPTIONS], "none");
}

#[test]
fn a_cookie_rounds_the_segment_size_down() {
    let largest = |what| client(what)[LARGEST].parse::<u32>().unwrap();
    // The client's SYN says 1,452, and timestamps take 12 of it.
    assert_eq!(largest("room in the queue"), 1452 - 12);
    // A cookie has two bits for it: 536, 1300, 1440 or 1460.
    assert_eq!(largest("full, tcp_syncookies=1"), 1440 - 12);
    assert_eq!(largest("full, tcp_syncookies=1, no timestamps"), 1440);
}

#[test]
fn the_last_bits_of_the_cookies_timestamp_are_the_clients_options() {
    let wire = RUN.wire("cookie-segment");
    let timestamps = wire
        .fields
        .iter()
        .find(|field| field.name == "`timestamps`");
    let value = &timestamps.unwrap().fields[1];
    let bits = |name: &str| {
        let field = value.fields.iter().find(|field| field.name == name);
        field.unwrap().value.clone().unwrap()
    };
    // With tcp_rmem as the lab sets it, a client asks for a shift of 7.
    assert_eq!(bits("the client's window scale"), "`7`");
    assert_eq!(
        (bits("`SACK`"), bits("`ECN`")),
        ("`1`".into(), "`0`".into())
    );
    let at = value.bit / 8;
    assert_eq!(wire.bytes[at + 3] & 0x3f, 0b01_0111, "{:02x?}", wire.bytes);
}

#[test]
fn a_lone_entry_is_sent_syn_acks_after_1_3_and_7_seconds_and_is_still_there() {
    let line = RUN
        .stdout
        .lines()
        .find(|line| line.starts_with("one alone"));
    let times = seconds(line.unwrap());
    // A timer may be late, by an eighth of its time and by what the machine is busy.
    for (time, expected) in times.iter().zip([0.0, 1.0, 3.0, 7.0]) {
        let late = expected / 8.0 + 0.5;
        assert!((expected..=expected + late).contains(time), "{times:?}");
    }
    assert_eq!(times.len(), 4);
    let Figure::Series(series) = &RUN.record().figures["stay"] else {
        panic!("a plot");
    };
    let alone = series.lines.iter().find(|line| line.name == "one alone");
    assert!(alone.unwrap().points.iter().all(|point| point.1 == 1.0));
}

#[test]
fn a_full_queue_gives_up_half_of_its_entries_after_seven_seconds() {
    let series = RUN.series("stay");
    let full = series.lines.iter().find(|line| line.name == "a full queue");
    let points = &full.unwrap().points;
    assert_eq!(points[0].1, 16.0 + f64::from(extra()));
    let fell = points.iter().find(|point| point.1 < points[0].1).unwrap();
    assert!((7.0..9.0).contains(&fell.0), "{points:?}");
    assert_eq!(points.last().unwrap().1, 8.0, "half of the backlog is left");
    let line = RUN.stdout.lines().find(|line| line.contains("given up"));
    assert_eq!(seconds(line.unwrap()).len(), 3, "three SYN ACKs each");
}

/// The times that a line names.
fn seconds(line: &str) -> Vec<f64> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let times = words.windows(2).filter(|pair| pair[1].starts_with('s'));
    times.filter_map(|pair| pair[0].parse().ok()).collect()
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = listing!().arg("64").run();
    assert_eq!(run.status.code(), Some(2));
    assert!(
        run.stderr.contains("usage: exec-syn-queue"),
        "{}",
        run.stderr
    );
}
