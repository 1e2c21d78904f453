//! What the page says of receive buffers, seen in the listing's run.
#![cfg(target_os = "linux")]

use std::sync::LazyLock;
use std::time::Duration;

use record::{Column, Table};
use testkit::{Run, listing};

/// One run for all proofs: it takes seconds.
static RUN: LazyLock<Run> = LazyLock::new(|| {
    listing!()
        // How much fits where is the kernel's to say, and so are rates.
        .varying(r" +\d[\d,]* bytes", " N bytes")
        .varying(r"(and|window up to) +\d[\d,]*( in |$)", "$1 N$2")
        .varying(r"(?m)(window up to) +\d[\d,]*$", "$1 N")
        .varying(r" +\d[\d,]* at last", " N at last")
        .varying(r"\d+ messages a second sent, \d+ read", "N sent, N read")
        .varying(r"([(,][a-z]+)\d+", "${1}N")
        .varying(r"[\d.]+ Mbit/s", "N Mbit/s")
        .varying(r"; \d+ of them are dropped", "; N of them are dropped")
        .varying(r"shift \d+", "shift N")
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

    fn row(&self, first: &[&str]) -> &'static [String] {
        let plain = |cell: &String| cell.replace('`', "");
        let mut rows = self.0.rows.iter();
        rows.find(|row| {
            row.iter()
                .map(plain)
                .zip(first)
                .all(|(cell, wanted)| cell == *wanted)
        })
        .unwrap_or_else(|| panic!("no row {first:?}"))
    }

    fn number(&self, first: &[&str], column: &str) -> f64 {
        let plain = |each: &Column| each.label.replace('`', "");
        let at = self.0.columns.iter().position(|each| plain(each) == column);
        let at = at.unwrap_or_else(|| panic!("no column {column}"));
        let cell = &self.row(first)[at];
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

fn most(line: &[(f64, f64)]) -> f64 {
    line.iter().map(|(_, y)| *y).fold(0.0, f64::max)
}

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn so_rcvbuf_is_doubled_and_has_a_least_and_a_most() {
    let sizes = Cells::of("sizes");
    let set = |row: &str| sizes.number(&[row], "set to");
    assert_eq!(set("a little"), 20_000.0);
    let limit = sizes.number(&["net.core.rmem_max"], "asked for");
    assert_eq!(set("net.core.rmem_max"), 2.0 * limit);
    assert_eq!(set("twice that"), 2.0 * limit, "and no error");
    // SOCK_MIN_RCVBUF in include/net/sock.h: 2,048 bytes and the bookkeeping of one packet.
    assert!((2048.0..3072.0).contains(&set("next to nothing")));
}

#[test]
fn going_beyond_the_limit_takes_a_privilege() {
    assert!(
        RUN.stdout
            .contains("SO_RCVBUFFORCE without CAP_NET_ADMIN: EPERM")
    );
}

const LARGE: &str = "TCP, 1448 bytes";
const SMALL: &str = "TCP, 100 bytes";
const DATAGRAMS: &str = "UDP, 100 bytes";

#[test]
fn the_buffer_counts_memory_and_not_data() {
    let full = Cells::of("full");
    for kind in [LARGE, SMALL, "UDP, 1472 bytes", DATAGRAMS] {
        let [data, memory] =
            ["data held, bytes", "memory booked, bytes"].map(|row| full.number(&[row], kind));
        assert!(data < 0.9 * memory, "{kind}: {data} of {memory}");
        // Not more than it was set to, but for what was under way when it was full.
        assert!(
            (0.75..1.25).contains(&(memory / 131_072.0)),
            "{kind}: {memory}"
        );
    }
    // A datagram of 100 bytes costs hundreds.
    assert!(full.number(&["data ÷ memory, %"], DATAGRAMS) < 25.0);
}

#[test]
fn before_a_tcp_buffer_overflows_the_kernel_merges_small_segments() {
    let full = Cells::of("full");
    assert_eq!(full.number(&["segments merged"], LARGE), 0.0);
    assert!(full.number(&["segments merged"], SMALL) > 0.0);
    let share = |kind| full.number(&["data ÷ memory, %"], kind);
    assert!(share(SMALL) > 2.0 * share(DATAGRAMS));
}

#[test]
fn tcp_drops_nothing_and_lets_the_sender_wait() {
    let full = Cells::of("full");
    for (kind, size) in [(LARGE, "1448"), (SMALL, "100")] {
        assert_eq!(full.number(&["datagrams dropped"], kind), 0.0);
        // The listing counts what arrives in the end, and fails unless that is all.
        let text = RUN
            .stdout
            .split_once(&format!("TCP, {size} bytes"))
            .unwrap()
            .1;
        let waited = text.split_once("send() takes ").unwrap().1;
        let waited = waited.split_once(" ms, until").unwrap().0;
        assert!(waited.parse::<f64>().unwrap() >= 100.0, "{waited}");
    }
}

#[test]
fn udp_takes_every_send_and_drops_what_does_not_fit() {
    let full = Cells::of("full");
    for size in [1472.0, 100.0] {
        let kind = format!("UDP, {size} bytes");
        let number = |row| full.number(&[row], &kind);
        let held = number("data held, bytes") / size;
        assert_eq!(
            held + number("datagrams dropped"),
            400.0,
            "each is held or counted"
        );
        // As many as fit; some kernels take one more.
        let one = number("memory booked, bytes") / held;
        assert!((held + 1.0) * one > 131_072.0, "{held} of {one} bytes");
        assert!((held - 1.0) * one <= 131_072.0, "{held} of {one} bytes");
    }
}

#[test]
fn a_peek_takes_nothing_and_a_read_does() {
    assert!(
        RUN.stdout
            .contains("MSG_PEEK gives 4, and FIONREAD still says 10,000 bytes")
    );
    assert!(
        RUN.stdout
            .contains("read() gives 4, and FIONREAD says 9,996 bytes")
    );
}

#[test]
fn below_its_low_water_mark_a_socket_is_not_readable() {
    let line = "poll() says not readable at 4,095 bytes, and readable at 4,096";
    assert!(RUN.stdout.contains(line), "{}", RUN.stdout);
}

#[test]
fn the_receive_buffer_fills_first_and_then_the_send_buffer() {
    let [sender, receiver] = [
        "in the client's send buffer",
        "in the backend's receive buffer",
    ]
    .map(|name| line("waiting", name));
    // The pairs are of one moment.
    let filled = receiver
        .iter()
        .position(|(_, kb)| *kb > 0.8 * most(receiver))
        .unwrap();
    let waits = sender
        .iter()
        .position(|(_, kb)| *kb > 0.3 * most(sender))
        .unwrap();
    assert!(filled < waits, "{filled}, {waits}");
    assert!(sender[filled].1 < 0.3 * most(sender));
    // In the end nothing is left.
    assert_eq!(
        (sender.last().unwrap().1, receiver.last().unwrap().1),
        (0.0, 0.0)
    );
}

const KEEPS_UP: &str = "the backend keeps up";
const TOO_SLOW: &str = "the backend is too slow";

#[test]
fn a_slow_backend_slows_its_client_down_to_its_own_pace() {
    let backend = Cells::of("backend");
    let number = |kind, row| backend.number(&[row], kind);
    let read = number(TOO_SLOW, "messages read a second");
    // One in 8 ms are 125.
    assert!((60.0..130.0).contains(&read), "{read}");
    // As much is sent as is read, give or take a third of the send buffer that was free already.
    let sent = number(TOO_SLOW, "messages sent a second");
    assert!(sent < 2.0 * read, "{sent}, {read}");
    assert!(number(KEEPS_UP, "messages sent a second") > 2.5 * read);
    let longest = number(TOO_SLOW, "longest send(), ms");
    assert!(longest > 30.0, "{longest}");
}

#[test]
fn the_delay_grows_long_before_send_is_held_up() {
    let [calls, reads] =
        ["held up in send()", "until the backend has read it"].map(|name| line("delays", name));
    let held_up = calls.iter().position(|(_, ms)| *ms > 30.0).unwrap();
    assert!(reads[held_up - 1].1 > 100.0, "{:?}", reads[held_up - 1]);
    assert!(calls[..held_up].iter().all(|(_, ms)| *ms < 30.0));
}

#[test]
fn a_message_waits_as_long_as_all_that_is_before_it() {
    let backend = Cells::of("backend");
    let number = |kind, row| backend.number(&[row], kind);
    let waited = number(TOO_SLOW, "then until it is read, ms");
    let predicted = number(TOO_SLOW, "bytes ÷ bytes a second, ms");
    // Within what a busy machine makes of it; on an idle one it is a few per cent.
    assert!(
        (0.6..1.7).contains(&(waited / predicted)),
        "{waited}, {predicted}"
    );
    assert!(waited > 20.0 * number(KEEPS_UP, "then until it is read, ms"));
}

#[test]
fn left_alone_a_buffer_grows_for_a_fast_reader() {
    let autotuning = Cells::of("autotuning");
    let number = |column| autotuning.number(&["left alone"], column);
    assert_eq!(number("at first"), 131_072.0);
    assert!(number("at last") > 8.0 * number("at first"));
    let buffer = line("growth", "buffer, left alone");
    assert!(buffer.is_sorted_by_key(|(_, kb)| *kb), "{buffer:?}");
    // It is the program's reading that makes it grow: the window is never less than what it read.
    let [window, read] =
        ["window, left alone", "read in a round trip"].map(|name| line("growth", name));
    let behind = window
        .iter()
        .zip(read)
        .filter(|(window, read)| window.1 < read.1);
    assert_eq!(behind.count(), 0, "{window:?} {read:?}");
}

#[test]
fn so_rcvbuf_ends_autotuning_and_limits_the_speed() {
    let autotuning = Cells::of("autotuning");
    let number = |column| autotuning.number(&["SO_RCVBUF set"], column);
    assert_eq!([number("at first"), number("at last")], [131_072.0; 2]);
    // A window in 40 ms.
    let limit = number("largest window") * 8e-6 / 0.04;
    assert!(
        number("speed") <= 1.05 * limit,
        "{} of {limit}",
        number("speed")
    );
    assert!(autotuning.number(&["left alone"], "speed") > 2.0 * number("speed"));
}

#[test]
fn the_handshake_fixes_the_scale_of_the_window() {
    let scale = Cells::of("scale");
    let shift = |before, after| scale.number(&[before, after], "shift in the SYN ACK");
    let widest = |before, after| scale.number(&[before, after], "largest window");
    assert!(shift("32,768", "—") < shift("—", "—"));
    assert_eq!(shift("—", "32,768"), shift("—", "—"));
    // A large buffer behind a window that cannot tell of it.
    assert_eq!(shift("4,096", "1,048,576"), 0.0);
    assert!(widest("4,096", "1,048,576") <= 65_535.0);
    assert!(scale.number(&["4,096", "1,048,576"], "in the end") > 4.0 * 65_535.0);
    assert!(widest("—", "1,048,576") > 65_535.0);
}

#[test]
fn a_window_that_was_promised_is_not_taken_back() {
    let scale = Cells::of("scale");
    let widest = |before, after| scale.number(&[before, after], "largest window");
    // Both have the same buffer, but the second had promised more before.
    assert_eq!(scale.number(&["32,768", "—"], "in the end"), 65_536.0);
    assert_eq!(scale.number(&["—", "32,768"], "in the end"), 65_536.0);
    assert!(widest("—", "32,768") > 1.2 * widest("32,768", "—"));
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = testkit::listing!().arg("large").run();
    assert_eq!(run.status.code(), Some(2));
    let usage = "usage: exec-receive-buffer (it takes no arguments)";
    assert!(run.stderr.contains(usage), "{}", run.stderr);
}
