//! What the page says of readiness, seen in the listing's run.
#![cfg(target_os = "linux")]

use std::sync::LazyLock;

use testkit::{Run, listing};

/// One run for all proofs: some of it takes time on purpose.
static RUN: LazyLock<Run> = LazyLock::new(|| listing!().run().succeeds());

/// What the two instances told after something had happened, the `nth` time that it did.
fn told(table: &str, after: &str, nth: usize) -> [bool; 2] {
    let rows = &RUN.table(table).rows;
    let row = rows.iter().filter(|row| row[0] == after).nth(nth);
    let row = row.unwrap_or_else(|| panic!("{after} is not in {rows:?}"));
    [1, 2].map(|column| match row[column].as_str() {
        "told" => true,
        "silence" => false,
        other => panic!("{other}"),
    })
}

const BOTH: [bool; 2] = [true, true];
const NEITHER: [bool; 2] = [false, false];
const LEVEL_ONLY: [bool; 2] = [true, false];

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn the_edge_is_told_once_and_the_level_as_long_as_it_lasts() {
    assert_eq!(told("reading", "nothing has arrived", 0), NEITHER);
    assert_eq!(told("reading", "6 bytes arrive", 0), BOTH);
    assert_eq!(told("reading", "nobody reads them", 0), LEVEL_ONLY);
}

#[test]
fn bytes_that_are_left_unread_are_not_told_at_an_edge_again() {
    assert_eq!(told("reading", "2 of the 6 are read", 0), LEVEL_ONLY);
}

#[test]
fn more_bytes_are_another_edge() {
    assert_eq!(told("reading", "1 more arrives", 0), BOTH);
}

#[test]
fn after_a_short_read_the_next_bytes_are_told() {
    assert_eq!(told("reading", "all 5 are read", 0), NEITHER);
    assert_eq!(told("reading", "3 more arrive", 0), BOTH);
}

#[test]
fn an_end_is_told_once_even_with_bytes_before_it() {
    assert_eq!(
        told("reading", "right behind them, the end arrives", 0),
        BOTH
    );
    assert_eq!(
        told("reading", "the 3 are read, the end is not", 0),
        LEVEL_ONLY
    );
    assert!(
        RUN.stdout.contains("EPOLLIN and EPOLLRDHUP"),
        "{}",
        RUN.stdout
    );
}

#[test]
fn room_to_write_is_told_at_an_edge_once_and_again_after_it_was_gone() {
    assert_eq!(told("writing", "there is room to write", 0), BOTH);
    assert_eq!(told("writing", "nobody writes", 0), LEVEL_ONLY);
    assert_eq!(told("writing", "the send buffer is full", 0), NEITHER);
    assert_eq!(told("writing", "the client has read everything", 0), BOTH);
    assert_eq!(told("writing", "nobody writes", 1), LEVEL_ONLY);
}

#[test]
fn a_read_stops_at_urgent_data_and_is_short_without_being_the_last() {
    let line = "the first read gets 6 bytes of 4096, the second 5 more";
    assert!(RUN.stdout.contains(line), "{}", RUN.stdout);
}

#[test]
fn regular_files_directories_and_dev_null_cannot_be_watched_and_poll_calls_them_ready() {
    for what in ["a regular file", "a directory", "/dev/null"] {
        let line = RUN
            .stdout
            .lines()
            .find(|line| line.trim_start().starts_with(what));
        let line = line.unwrap_or_else(|| panic!("{what}: {}", RUN.stdout));
        assert!(
            line.contains("EPERM") && line.ends_with("poll() says: ready"),
            "{line}"
        );
    }
}

#[test]
fn a_descriptor_is_watched_until_the_last_duplicate_is_closed() {
    assert!(
        RUN.stdout.contains("epoll tells of the closed one"),
        "{}",
        RUN.stdout
    );
    assert!(
        RUN.stdout.contains("closed as well, it tells of nothing"),
        "{}",
        RUN.stdout
    );
}

#[test]
fn a_connection_wakes_all_that_wait_unless_they_wait_exclusively() {
    let woken = |how: &str| -> usize {
        let line = RUN
            .stdout
            .lines()
            .find_map(|line| line.trim_start().strip_prefix(how)?.strip_suffix(" woken"));
        line.and_then(|number| number.trim().parse().ok())
            .unwrap_or_else(|| panic!("{how}: {}", RUN.stdout))
    };
    assert_eq!(woken("EPOLLIN  "), 4);
    // One or more, says epoll_ctl(2).
    assert!(
        (1..4).contains(&woken("EPOLLIN | EPOLLEXCLUSIVE")),
        "{}",
        RUN.stdout
    );
}

#[test]
fn the_price_of_poll_grows_with_the_sockets_watched_and_that_of_epoll_does_not() {
    // Both times of a line such as `1000 sockets:  poll 133.5µs   epoll_wait 430.0ns`.
    let times = |sockets: &str| -> [f64; 2] {
        let line = RUN
            .stdout
            .lines()
            .map(str::trim_start)
            .find(|line| line.starts_with(sockets));
        let line = line.unwrap_or_else(|| panic!("{sockets}: {}", RUN.stdout));
        ["poll ", "epoll_wait "].map(|call| {
            let (_, rest) = line.split_once(call).unwrap();
            let time = rest.split_whitespace().next().unwrap();
            let unit = time.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
            let ns = match unit {
                "ns" => 1.0,
                "µs" => 1e3,
                "ms" => 1e6,
                _ => panic!("{time}"),
            };
            time.trim_end_matches(unit).parse::<f64>().unwrap() * ns
        })
    };
    let [few, many] = [times("10 sockets"), times("10000 sockets")];
    let [poll, epoll] = [0, 1].map(|call| many[call] / few[call]);
    // A thousand times as many sockets.
    assert!(poll > 100.0, "{few:?} {many:?}");
    assert!(epoll < 10.0, "{few:?} {many:?}");
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = listing!().arg("fast").run();
    assert_eq!(run.status.code(), Some(2));
    assert!(
        run.stderr.contains("usage: exec-readiness"),
        "{}",
        run.stderr
    );
}
