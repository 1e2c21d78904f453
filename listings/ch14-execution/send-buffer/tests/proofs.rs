//! What the page says of send buffers, seen in the listing's run.
#![cfg(target_os = "linux")]

use std::sync::LazyLock;
use std::time::Duration;

use record::{Column, Table, What};
use testkit::{Run, listing};

/// One run for all proofs: it takes seconds.
static RUN: LazyLock<Run> = LazyLock::new(|| {
    listing!()
        // How much fits where is the kernel's to say, and so are rates.
        .varying(r" +\d[\d,]* bytes", " N bytes")
        .varying(r"(set to|takes|bytes,) +\d[\d,]*(:|;| on)", "$1 N$2")
        .varying(
            r" +\d[\d,]* (on their way|unsent|not sent|at first|at last)",
            " N $1",
        )
        .varying(r"; +\d[\d,]* (on|unsent|of)", "; N $1")
        .varying(r" +[\d.]+ %", " N %")
        .varying(r"[\d.]+ Mbit/s", "N Mbit/s")
        .varying(r"\d[\d,]* of them acknowledged", "N of them acknowledged")
        .deadline(Duration::from_secs(90))
        .run()
        .succeeds()
});

/// A table of the run, whose cells are found by the words of its rows and columns.
struct Cells(&'static Table);

impl Cells {
    fn of(name: &str) -> Self {
        Self(RUN.table(name))
    }

    fn cell(&self, first: &[&str], column: &str) -> &'static str {
        let plain = |cell: &String| cell.replace('`', "");
        let mut rows = self.0.rows.iter();
        let row = rows
            .find(|row| {
                row.iter()
                    .map(plain)
                    .zip(first)
                    .all(|(cell, wanted)| cell == *wanted)
            })
            .unwrap_or_else(|| panic!("no row {first:?}"));
        let label = |each: &Column| each.label.replace('`', "");
        let at = self.0.columns.iter().position(|each| label(each) == column);
        &row[at.unwrap_or_else(|| panic!("no column {column}"))]
    }

    fn number(&self, first: &[&str], column: &str) -> f64 {
        let cell = self.cell(first, column);
        cell.parse()
            .unwrap_or_else(|_| panic!("{cell:?} is no number"))
    }
}

/// A line of a plot.
fn line(series: &str, name: &str) -> &'static [(f64, f64)] {
    let lines = &RUN.series(series).lines;
    let line = lines.iter().find(|line| line.name.replace('`', "") == name);
    &line.unwrap_or_else(|| panic!("no line {name}")).points
}

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn so_sndbuf_is_doubled_and_has_a_least() {
    let sizes = Cells::of("sizes");
    let set = |asked: &str| sizes.number(&[asked], "set to");
    assert_eq!(set("10,000"), 20_000.0);
    assert_eq!(set("65,536"), 131_072.0);
    // SOCK_MIN_SNDBUF in include/net/sock.h: twice that of SO_RCVBUF.
    assert!((4096.0..6144.0).contains(&set("1")));
}

#[test]
fn send_takes_what_the_buffer_holds_and_then_would_block() {
    let sizes = Cells::of("sizes");
    for asked in ["65,536", "131,072"] {
        let [set, taken] =
            ["set to", "taken by send()"].map(|column| sizes.number(&[asked], column));
        // At least the limit; at most a piece of 64 KiB beyond.
        assert!(
            (set * 0.9..set + 65_536.0).contains(&taken),
            "{taken} of {set}"
        );
    }
}

#[test]
fn the_limit_is_looked_at_only_where_a_new_piece_begins() {
    let sizes = Cells::of("sizes");
    let [set, taken] = ["set to", "taken by send()"].map(|column| sizes.number(&["1"], column));
    assert!(
        taken > 5.0 * set && taken < 65_536.0 + set,
        "{taken} of {set}"
    );
}

#[test]
fn what_send_took_is_on_its_way_or_unsent() {
    let sizes = Cells::of("sizes");
    for asked in ["—", "1", "10,000", "65,536", "131,072"] {
        let [taken, sent, unsent] = ["taken by send()", "on their way", "unsent"]
            .map(|column| sizes.number(&[asked], column));
        assert_eq!(taken, sent + unsent);
        assert_eq!(sent, 14_480.0, "ten segments: the first congestion window");
    }
}

#[test]
fn poll_says_writable_once_a_third_is_free_and_send_takes_bytes_before() {
    let writable = Cells::of("writable");
    let turn = |asked| {
        ["the last «no», filled", "the first «yes», filled"]
            .map(|column| writable.number(&[asked], column))
    };
    // To the tenth of a percent that the table has.
    let [no, yes] = turn("send() takes a byte");
    assert!(no >= 99.9 && yes <= 100.1, "{no}, {yes}");
    // Free is at least half of what is queued, include/net/sock.h: sk_stream_is_writeable.
    let [no, yes] = turn("poll() says writable");
    assert!(no >= 66.6 && yes <= 66.8, "{no}, {yes}");
}

#[test]
fn left_alone_a_send_buffer_grows_with_the_congestion_window() {
    let autotuning = Cells::of("autotuning");
    let [first, last] =
        ["at first", "at last"].map(|column| autotuning.number(&["left alone"], column));
    assert!(last > 8.0 * first, "{first}, {last}");
    let [buffer, window] = ["send buffer", "congestion window"].map(|name| line("growth", name));
    // Up to the most that there is, room for what is on its way and as much again, in memory.
    for ((at, buffer), (_, window)) in buffer.iter().zip(window) {
        let needed = window.min(4194.304 / 4.0);
        assert!(*buffer >= needed, "{buffer} kB for {window} after {at} ms");
    }
}

#[test]
fn so_sndbuf_ends_autotuning_and_limits_the_speed() {
    let autotuning = Cells::of("autotuning");
    let number = |column| autotuning.number(&["SO_SNDBUF set"], column);
    assert_eq!([number("at first"), number("at last")], [131_072.0; 2]);
    // A buffer in 40 ms, which the kernel exceeds by a piece of its queue as long as it can send it.
    let limit = 131_072.0 * 8e-6 / 0.04;
    assert!(
        number("speed") < 2.0 * limit,
        "{} of {limit}",
        number("speed")
    );
    assert!(autotuning.number(&["left alone"], "speed") > 1.5 * number("speed"));
}

const LARGE: &str = "4 MiB";
const ALONE: &str = "left alone";
const LOW_WATER: &str = "4 MiB, TCP_NOTSENT_LOWAT";

#[test]
fn behind_a_large_send_buffer_a_new_message_is_late_and_no_byte_is_faster() {
    let table = Cells::of("low-water");
    let [large, low] = [LARGE, LOW_WATER].map(|kind| table.number(&["read after, ms"], kind));
    assert!(large > 8.0 * low, "{large}, {low}");
    let [large, low] = [LARGE, LOW_WATER].map(|kind| table.number(&["throughput, Mbit/s"], kind));
    // Within what a busy machine makes of it.
    assert!((0.7..1.4).contains(&(large / low)), "{large}, {low}");
    // The link's 20 Mbit/s, of which 52 bytes of 1,500 are headers.
    assert!(low > 10.0 && low < 19.6, "{low}");
}

#[test]
fn the_wait_is_in_the_senders_own_kernel_and_not_in_the_network() {
    let table = Cells::of("low-water");
    let kernel = |kind| table.number(&["in the client's kernel, ms"], kind);
    let network = |kind| table.number(&["in the network, ms"], kind);
    for kind in [LARGE, ALONE, LOW_WATER] {
        // On its way for 10 ms, in the link's queue for 20 ms at most.
        assert!(
            (9.0..45.0).contains(&network(kind)),
            "{kind}: {}",
            network(kind)
        );
    }
    assert!(kernel(LARGE) > 10.0 * network(LARGE));
    assert!(kernel(LOW_WATER) < network(LOW_WATER));
    // All that is unsent has to be sent before, at the link's speed.
    let unsent = table.number(&["unsent at most, bytes"], LARGE);
    let predicted_ms = unsent * 8.0 / (20e6 * 1448.0 / 1500.0) * 1e3;
    let waited = kernel(LARGE);
    assert!(
        (0.75..1.25).contains(&(waited / predicted_ms)),
        "{waited}, {predicted_ms}"
    );
}

#[test]
fn below_half_of_the_low_water_mark_the_socket_is_writable() {
    // 16,384 bytes: poll() says writable below 8,192, and then one message of 4,096 is written.
    let unsent = Cells::of("low-water").number(&["unsent at most, bytes"], LOW_WATER);
    assert!((8192.0..=12_288.0).contains(&unsent), "{unsent}");
}

#[test]
fn send_has_returned_and_all_is_lost() {
    let (_, text) = RUN.stdout.split_once("program is killed:\n").unwrap();
    let line = text.lines().next().unwrap();
    let numbers: Vec<u32> = line
        .split(|c: char| !c.is_ascii_digit() && c != ',')
        .filter_map(|word| word.replace(',', "").parse().ok())
        .collect();
    let [acknowledged, unsent, read] = numbers[..] else {
        panic!("{line}");
    };
    assert_eq!(acknowledged + unsent, 150_000);
    assert!(acknowledged > 10_000 && unsent > 10_000, "{line}");
    assert_eq!(read, 0);
}

#[test]
fn only_the_next_send_hears_of_it() {
    assert!(
        RUN.stdout
            .contains("the next send(): ECONNRESET; the one after: EPIPE")
    );
    let events = &RUN.sequence("lost").events;
    let told: Vec<&str> = events
        .iter()
        .map(|event| match &event.what {
            What::Message { label, .. } | What::State { label, .. } => label.as_str(),
        })
        .collect();
    let place = |what: &str| told.iter().position(|label| label.contains(what)).unwrap();
    assert!(place("`send()` has returned") < place("`RST`"));
    assert!(place("`RST`") < place("`ECONNRESET`"));
}

#[test]
fn close_returns_at_once_and_the_kernel_sends_the_rest() {
    let closing = Cells::of("closing");
    let row = ["close()"];
    assert!(closing.number(&row, "close() takes") < 100.0);
    assert!(closing.number(&row, "not yet at the server") > 10_000.0);
    assert_eq!(closing.number(&row, "the server reads"), 150_000.0);
    assert_eq!(
        closing.cell(&row, "what the server is told"),
        "the end of the stream"
    );
}

#[test]
fn the_kernel_sends_what_a_program_has_left_behind() {
    let closing = Cells::of("closing");
    let row = ["the program ends"];
    assert!(closing.number(&row, "not yet at the server") > 10_000.0);
    assert_eq!(closing.number(&row, "the server reads"), 150_000.0);
    assert_eq!(
        closing.cell(&row, "what the server is told"),
        "the end of the stream"
    );
}

#[test]
fn a_lingering_close_waits_until_all_is_acknowledged() {
    let closing = Cells::of("closing");
    let row = ["close(), SO_LINGER at 5 s"];
    let took = closing.number(&row, "close() takes");
    assert!((195.0..5000.0).contains(&took), "{took}"); // the server reads after 200 ms
    assert_eq!(closing.number(&row, "the server reads"), 150_000.0);
}

#[test]
fn a_close_with_linger_at_zero_throws_away_what_is_unsent() {
    let closing = Cells::of("closing");
    let row = ["close(), SO_LINGER at 0 s"];
    let [behind, read] =
        ["not yet at the server", "the server reads"].map(|column| closing.number(&row, column));
    assert!(closing.number(&row, "close() takes") < 100.0);
    assert_eq!(behind + read, 150_000.0);
    assert_eq!(
        closing.cell(&row, "what the server is told"),
        "`ECONNRESET`"
    );
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = testkit::listing!().arg("large").run();
    assert_eq!(run.status.code(), Some(2));
    let usage = "usage: exec-send-buffer (it takes no arguments)";
    assert!(run.stderr.contains(usage), "{}", run.stderr);
}
