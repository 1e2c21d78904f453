//! What the page says of flow control, seen in the listing's run.
#![cfg(target_os = "linux")]

use std::sync::LazyLock;
use std::time::Duration;

use record::What;
use testkit::{Program, Run, listing, peer};

/// One run for all proofs: it takes seconds.
static RUN: LazyLock<Run> = LazyLock::new(|| {
    listing!()
        // How much fits where is the kernel's to say, and so are rates.
        .varying(r"\b[\d,]+ bytes", "N bytes")
        .varying(r"[\d.]+ (Mbit/s|measured)", "N $1")
        .varying(r"(TCPWantZeroWindowAdv) +\d+", "$1 N")
        .env("LAB_PCAPNG", CAPTURE)
        .deadline(Duration::from_secs(60))
        .run()
        .succeeds()
});

/// Where that run writes its packets; of its other labs, beside it.
const CAPTURE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/flow-control.pcapng");

/// The number right before or behind these words of the output.
fn number(before: &str, behind: &str) -> f64 {
    let text = &RUN.stdout;
    let from = text
        .find(before)
        .unwrap_or_else(|| panic!("{before:?} is not in {text}"));
    let text = &text[from + before.len()..];
    let to = text
        .find(behind)
        .unwrap_or_else(|| panic!("{behind:?} is not in {text}"));
    let digits = text[..to].replace(',', "");
    digits
        .trim()
        .parse()
        .unwrap_or_else(|_| panic!("{digits:?} is no number"))
}

/// The messages of the figure `stop`: who sends it, what it says, when it was sent in microseconds.
fn messages() -> Vec<(usize, String, u64)> {
    let events = &RUN.sequence("stop").events;
    let messages = events.iter().filter_map(|event| match &event.what {
        What::Message { from, label, .. } => Some((*from, label.replace('`', ""), event.at_us)),
        What::State { .. } => None,
    });
    messages.collect()
}

/// A line of the plot: milliseconds and bytes.
fn line(name: &str) -> Vec<(f64, f64)> {
    let lines = &RUN.series("window").lines;
    let line = lines.iter().find(|line| line.name == name).unwrap();
    assert!(line.points.is_sorted_by_key(|(x, _)| *x));
    line.points.clone()
}

fn at(line: &[(f64, f64)], x: f64) -> Option<f64> {
    line.iter().rfind(|(there, _)| *there <= x).map(|(_, y)| *y)
}

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn a_write_takes_what_fits_into_both_buffers_and_then_would_block() {
    let taken = number("write() takes ", " bytes");
    let received = number("would block.\n", " bytes");
    let unsent = number("receive buffer,\n", " bytes");
    assert_eq!(taken, received + unsent);
    // About the first window, which the kernel makes of the middle number of tcp_rmem, 131,072.
    assert!((40_000.0..131_072.0).contains(&received), "{received}");
    // What was asked for, doubled, and less than a segment's worth of bookkeeping over it.
    assert!((65_536.0..200_000.0).contains(&unsent), "{unsent}");
}

#[test]
fn a_reader_that_stops_closes_the_window_and_the_sender_stops() {
    let messages = messages();
    let closed = messages
        .iter()
        .position(|(_, says, _)| says == "window 0")
        .unwrap();
    assert_eq!(closed, 1, "{messages:?}");
    // Then nothing but probes and their answers, up to a window that is not 0, and data.
    let rest: Vec<&str> = messages[closed..]
        .iter()
        .map(|(_, says, _)| says.as_str())
        .collect();
    let [waiting @ .., opened, data] = &rest[..] else {
        panic!("{rest:?}");
    };
    let question_and_answer = ["window 0", "probe"];
    for (place, says) in waiting.iter().enumerate() {
        assert_eq!(*says, question_and_answer[place % 2], "{rest:?}");
    }
    assert_eq!(waiting.len(), 7, "three probes, each answered: {rest:?}");
    assert!(
        opened.starts_with("window ") && *opened != "window 0",
        "{rest:?}"
    );
    assert!(data.ends_with(" bytes"), "{rest:?}");
}

#[test]
fn the_time_between_probes_doubles() {
    let messages = messages();
    let times: Vec<u64> = messages
        .iter()
        .filter(|(_, says, _)| says == "probe" || says == "window 0")
        .filter(|(from, _, _)| *from == 0)
        .map(|(_, _, at_us)| *at_us)
        .collect();
    let [first, second, third] = times[..] else {
        panic!("{messages:?}");
    };
    let closed = messages[1].2;
    let [one, two, four] = [first - closed, second - first, third - second];
    // The first comes after a retransmission timeout, 200 ms at least.
    assert!((200_000..400_000).contains(&one), "{times:?}");
    for (shorter, longer) in [(one, two), (two, four)] {
        let factor = longer as f64 / shorter as f64;
        assert!((1.6..2.5).contains(&factor), "{factor}: {times:?}");
    }
}

#[test]
fn what_is_in_flight_never_exceeds_the_window() {
    let (window, in_flight) = (line("the server's window"), line("in flight"));
    let mut compared = 0;
    for (x, _) in &in_flight {
        let Some(window) = at(&window, *x) else {
            continue; // the first flight: its window came with the handshake
        };
        let bytes = at(&in_flight, *x).unwrap();
        assert!(bytes <= window, "{bytes} of {window} bytes after {x} ms");
        compared += 1;
    }
    assert!(compared > 20, "{compared}");
    // In the end the window is closed, and everything has arrived.
    assert_eq!(window.last().unwrap().1, 0.0);
    assert_eq!(in_flight.last().unwrap().1, 0.0);
}

#[test]
fn the_kernels_count_windows_that_close_and_open() {
    for line in [
        "client  TCPWinProbe           3",
        "server  TCPToZeroWindowAdv    1",
        "server  TCPFromZeroWindowAdv  1",
    ] {
        assert!(RUN.stdout.contains(line), "{line}: {}", RUN.stdout);
    }
}

#[test]
fn the_sender_knows_how_long_the_window_held_it_up() {
    let busy = number("client  busy for ", " ms");
    let waited = number(" ms, ", " ms of it because");
    assert!(
        waited > busy * 0.75 && waited <= busy,
        "{waited} of {busy} ms"
    );
}

#[test]
fn no_byte_is_lost() {
    // The listing compares each byte it reads with the one that was sent there, and fails otherwise.
    assert_eq!(RUN.stdout.matches("all 300,000 bytes arrive").count(), 2);
}

#[test]
fn a_probe_repairs_a_lost_window_update() {
    // Without it both ends would wait for ever: nothing that was sent is unacknowledged.
    let waited_ms = number("opens the window:\n  for ", " ms nothing is sent");
    assert!((100.0..400.0).contains(&waited_ms), "{waited_ms} ms");
    assert!(number("and is told:\n  the window is ", " bytes again") > 1448.0);
}

#[test]
fn single_bytes_read_make_no_small_windows_or_segments() {
    let rows = &RUN.table("bytes").rows;
    let [read, window, segment, mss] = [0, 1, 2, 3].map(|row| rows[row][1].parse::<u32>().unwrap());
    assert_eq!(read, 1);
    assert_eq!(segment, mss);
    assert!(window >= mss && window.is_multiple_of(mss), "{window}");
}

#[test]
fn a_window_per_round_trip_is_the_limit() {
    let rows = &RUN.table("windows").rows;
    let number = |row: &[String], column: usize| row[column].parse::<f64>().unwrap();
    for row in rows {
        assert!(number(row, 3) <= number(row, 2) * 1.02, "{row:?}");
    }
    // The two that the window limits come near it, as near as a busy machine lets them; the third has
    // other things to wait for.
    for row in &rows[..2] {
        assert!(number(row, 3) > number(row, 2) / 4.0, "{row:?}");
    }
}

#[test]
fn without_scaling_a_window_ends_at_65535_bytes_and_with_it_does_not() {
    let rows = &RUN.table("windows").rows;
    assert_eq!(rows[1][1], "65535");
    assert!(rows[2][1].parse::<u32>().unwrap() > 65_535, "{rows:?}");
}

#[test]
fn so_rcvbuf_is_doubled_and_ends_autotuning() {
    let (asked, set) = (
        number("asked for ", " bytes"),
        number(" bytes, set to ", " bytes"),
    );
    assert_eq!(set, 2.0 * asked);
    let widest: f64 = RUN.table("windows").rows[0][1].parse().unwrap();
    assert!(widest <= set, "{widest} of {set} bytes");
}

#[test]
fn tshark_sees_the_window_close_and_open_and_calls_the_probes_keep_alive() {
    let Some(tshark) = peer("tshark") else { return };
    LazyLock::force(&RUN);
    let count = |what: &str| {
        let filter = format!("tcp.analysis.{what}");
        let run = Program::new(&tshark)
            .args(["-r", CAPTURE, "-Y", &filter])
            .run()
            .succeeds();
        run.stdout.lines().count()
    };
    // The one that closes it, and the answers to three probes.
    assert_eq!(count("zero_window"), 4);
    assert_eq!(count("keep_alive"), 3);
    assert!(count("window_update") >= 1);
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = testkit::listing!().arg("fast").run();
    assert_eq!(run.status.code(), Some(2));
    assert!(
        run.stderr.contains("usage: tcp-flow-control"),
        "{}",
        run.stderr
    );
}
