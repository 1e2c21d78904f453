//! What the page says of closing, seen in the listing's run.
#![cfg(target_os = "linux")]

use std::sync::LazyLock;
use std::time::Duration;

use record::{Fate, States, What};
use tcp_close::{State, TRANSITIONS};
use testkit::{Program, Run, listing, peer};

/// One run for all proofs: it takes seconds.
static RUN: LazyLock<Run> = LazyLock::new(|| {
    listing!()
        // How much of an answer is on its way when the reset follows depends on how busy the machine is.
        .varying(r"close\(\) +\d+ of", "close() N of")
        .env("LAB_PCAPNG", CAPTURE)
        .deadline(Duration::from_secs(60))
        .run()
        .succeeds()
});

/// Where that run writes its packets; of its other labs, beside it.
const CAPTURE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/close.pcapng");

const CLIENT: usize = 0;
const SERVER: usize = 1;

/// One segment of a figure.
struct Segment {
    from: usize,
    flags: String,
    at_us: u64,
    arrived_us: Option<u64>,
}

fn segments(figure: &str) -> Vec<Segment> {
    let events = &RUN.sequence(figure).events;
    let messages = events.iter().filter_map(|event| match &event.what {
        What::Message {
            from,
            label,
            arrived_us,
            fate,
            ..
        } => {
            assert_eq!(arrived_us.is_some(), *fate == Fate::Arrived);
            Some(Segment {
                from: *from,
                flags: label.trim_matches('`').to_owned(),
                at_us: event.at_us,
                arrived_us: *arrived_us,
            })
        }
        What::State { .. } => None,
    });
    messages.collect()
}

/// Who sent what, such as `> FIN ACK` for the client.
fn flags(figure: &str) -> Vec<String> {
    let arrows = ["> ", "< "];
    segments(figure)
        .iter()
        .map(|segment| format!("{}{}", arrows[segment.from], segment.flags))
        .collect()
}

/// The states of an end in a figure, with when they began in microseconds.
fn states(figure: &str, end: usize) -> Vec<(u64, String)> {
    let events = &RUN.sequence(figure).events;
    let states = events.iter().filter_map(|event| match &event.what {
        What::State { host, label, .. } if *host == end => {
            Some((event.at_us, label.trim_matches('`').to_owned()))
        }
        _ => None,
    });
    states.collect()
}

fn names(figure: &str, end: usize) -> Vec<String> {
    let states = states(figure, end);
    states.into_iter().map(|(_, name)| name).collect()
}

fn lasted_us(figure: &str, end: usize, state: &str) -> u64 {
    let states = states(figure, end);
    let at = states.iter().position(|(_, name)| name == state);
    let at = at.unwrap_or_else(|| panic!("{state} is not in {states:?}"));
    states[at + 1].0 - states[at].0
}

/// The lines of the output on an ending, and a number in them.
fn told(title: &str) -> String {
    let sections = RUN.stdout.split("\n\n");
    let section = sections.into_iter().find(|text| text.starts_with(title));
    section.expect("a section of that title").to_owned()
}

fn seconds_before(text: &str, mark: &str) -> f64 {
    let at = text
        .find(mark)
        .unwrap_or_else(|| panic!("{mark:?} is not in {text}"));
    let word = text[..at].split_whitespace().next_back();
    word.and_then(|word| word.parse().ok()).expect("a number")
}

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn a_program_that_takes_its_time_makes_four_segments() {
    assert_eq!(flags("four"), ["> FIN ACK", "< ACK", "< FIN ACK", "> ACK"]);
    assert_eq!(
        names("four", CLIENT),
        ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"]
    );
    assert_eq!(
        names("four", SERVER),
        ["ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "gone"]
    );
}

#[test]
fn a_program_that_closes_at_once_makes_three_segments() {
    assert_eq!(flags("three"), ["> FIN ACK", "< FIN ACK", "> ACK"]);
    // From FIN-WAIT-1 without FIN-WAIT-2: one segment acknowledges the FIN and brings the other.
    assert_eq!(
        names("three", CLIENT),
        ["ESTABLISHED", "FIN-WAIT-1", "TIME-WAIT"]
    );
    assert_eq!(names("three", SERVER), ["ESTABLISHED", "LAST-ACK", "gone"]);
}

#[test]
fn the_acknowledgment_of_a_fin_waits_40_ms_for_something_to_ride_on() {
    let [fin, ack] = &segments("four")[..2] else {
        panic!("two segments at least")
    };
    let waited_us = ack.at_us - fin.arrived_us.unwrap();
    // TCP_DELACK_MIN is 40 ms, counted in ticks of 4 ms at the coarsest but one.
    assert!((30_000..150_000).contains(&waited_us), "{waited_us} µs");
    let [fin, fin_ack] = &segments("three")[..2] else {
        panic!("two segments at least")
    };
    let waited_us = fin_ack.at_us - fin.arrived_us.unwrap();
    assert!(waited_us < 40_000, "{waited_us} µs");
}

#[test]
fn fin_wait_1_and_last_ack_last_a_round_trip() {
    let us = [
        lasted_us("three", CLIENT, "FIN-WAIT-1"),
        lasted_us("three", SERVER, "LAST-ACK"),
        lasted_us("four", SERVER, "LAST-ACK"),
    ];
    // Never less; more only where the machine is busy.
    assert!(us.iter().all(|&us| us >= 60_000), "{us:?}");
    assert!(us.iter().any(|&us| us < 100_000), "{us:?}");
}

#[test]
fn on_a_half_closed_connection_data_flows_on_in_the_other_direction() {
    assert_eq!(
        flags("half"),
        ["> FIN ACK", "< PSH ACK", "> ACK", "< FIN ACK", "> ACK"]
    );
    let text = told("half-close");
    assert!(text.contains("\"apple fig pear\""), "{text}");
}

#[test]
fn ends_that_close_at_once_meet_in_closing_and_both_keep_time_wait() {
    assert_eq!(
        flags("simultaneous"),
        ["> FIN ACK", "< FIN ACK", "< ACK", "> ACK"]
    );
    for end in [CLIENT, SERVER] {
        assert_eq!(
            names("simultaneous", end),
            ["ESTABLISHED", "FIN-WAIT-1", "CLOSING", "TIME-WAIT"]
        );
    }
}

#[test]
fn a_lost_last_ack_is_asked_for_again_and_answered_from_time_wait() {
    assert_eq!(
        flags("lost"),
        ["> FIN ACK", "< FIN ACK", "> ACK", "< FIN ACK", "> ACK"]
    );
    let segments = segments("lost");
    assert_eq!(segments[2].arrived_us, None, "the acknowledgment is lost");
    // The retransmission timeout is 200 ms at least, on Linux.
    let us = lasted_us("lost", SERVER, "LAST-ACK");
    assert!(us > 200_000, "{us} µs");
    assert_eq!(names("lost", CLIENT).last().unwrap(), "TIME-WAIT");
    assert_eq!(names("lost", SERVER).last().unwrap(), "gone");
}

#[test]
fn a_fin_that_comes_again_starts_time_wait_anew() {
    let states = states("lost", CLIENT);
    let (began_us, _) = states.last().unwrap();
    let again_us = segments("lost")[3].arrived_us.unwrap();
    let passed = (again_us - began_us) as f64 / 1e6;
    let left = seconds_before(&told("last ACK lost"), " s to go");
    assert!(passed > 0.2, "{passed} s");
    // Without a new start, what had passed would be missing.
    assert!(left > 60.0 - passed / 2.0, "{left} s, {passed} s");
}

#[test]
fn linger_at_zero_resets_and_leaves_nothing() {
    assert_eq!(flags("abort"), ["> RST ACK"]);
    assert_eq!(names("abort", CLIENT), ["ESTABLISHED", "gone"]);
    assert_eq!(names("abort", SERVER), ["ESTABLISHED", "gone"]);
    assert!(told("abort").contains("told      ECONNRESET"));
}

#[test]
fn close_with_data_unread_resets() {
    assert_eq!(flags("unread"), ["> RST ACK"]);
    assert_eq!(names("unread", CLIENT), ["ESTABLISHED", "gone"]);
    assert!(told("close with data unread").contains("told      ECONNRESET"));
}

#[test]
fn data_to_a_closed_socket_is_taken_and_then_answered_with_a_reset() {
    assert_eq!(flags("deaf"), ["> FIN ACK", "< ACK", "< PSH ACK", "> RST"]);
    assert!(told("data to").contains("4 bytes taken, and then EPIPE"));
    assert_eq!(
        names("deaf", CLIENT),
        ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "gone"]
    );
}

#[test]
fn a_kernel_that_knows_of_no_connection_answers_data_with_a_reset() {
    assert_eq!(flags("forgotten"), ["> PSH ACK", "< RST"]);
    // Up to then the other end had noticed nothing.
    assert_eq!(names("forgotten", CLIENT), ["ESTABLISHED", "gone"]);
    assert!(told("half-open").contains("told      ECONNRESET"));
}

#[test]
fn tcp_fin_timeout_limits_fin_wait_2_and_not_time_wait() {
    let rows = &RUN.table("timers").rows;
    assert_eq!(rows.len(), 2);
    for row in rows {
        let [setting, fin_wait_2, time_wait] = [0, 1, 2].map(|at| row[at].parse::<f64>().unwrap());
        for (timer, limit) in [(fin_wait_2, setting), (time_wait, 60.0)] {
            assert!(timer <= limit && timer > limit - 1.0, "{row:?}");
        }
    }
}

#[test]
fn a_reset_cuts_off_the_answer_and_a_lingering_close_does_not() {
    let rows = &RUN.table("upload").rows;
    let cut: usize = rows[0][2].parse().unwrap();
    let whole: usize = rows[1][2].parse().unwrap();
    assert!(0 < cut && cut < whole, "{cut} of {whole} bytes");
    assert_eq!(whole, 32_768);
    assert_eq!(rows[0][1], "`ECONNRESET`");
    assert_eq!(rows[1][1], "the end of the stream");
}

/// The names of the states of a walk of a figure, from the first to the last.
fn walked(figure: &States, walk: usize) -> Vec<&str> {
    let walk = &figure.walks[walk];
    let arrows: Vec<_> = walk
        .steps
        .iter()
        .map(|step| &figure.transitions[step.transition])
        .collect();
    for pair in arrows.windows(2) {
        let [to, from] = [&figure.states[pair[0].to], &figure.states[pair[1].from]];
        assert_eq!(to.name, from.name, "{} has a gap", walk.name);
    }
    let times: Vec<_> = walk.steps.iter().map(|step| step.at_us).collect();
    assert!(times.is_sorted(), "{times:?}");
    let first = arrows.first().map(|arrow| arrow.from);
    let places = first.into_iter().chain(arrows.iter().map(|arrow| arrow.to));
    places
        .map(|place| figure.states[place].name.trim_matches('`'))
        .collect()
}

fn figure(name: &str) -> &'static States {
    match &RUN.record().figures[name] {
        record::Figure::States(states) => states,
        _ => panic!("`{name}` is no state diagram"),
    }
}

#[test]
fn both_ends_walk_along_the_arrows_of_the_diagram() {
    let four = figure("states");
    assert_eq!(
        walked(four, CLIENT),
        [
            "CLOSED",
            "SYN-SENT",
            "ESTABLISHED",
            "FIN-WAIT-1",
            "FIN-WAIT-2",
            "TIME-WAIT"
        ]
    );
    assert_eq!(
        walked(four, SERVER),
        [
            "CLOSED",
            "LISTEN",
            "SYN-RECEIVED",
            "ESTABLISHED",
            "CLOSE-WAIT",
            "LAST-ACK",
            "CLOSED"
        ]
    );
    let both = figure("states-simultaneous");
    for end in [CLIENT, SERVER] {
        let walked = walked(both, end);
        assert_eq!(
            walked[walked.len() - 4..],
            ["ESTABLISHED", "FIN-WAIT-1", "CLOSING", "TIME-WAIT"]
        );
    }
}

#[test]
fn the_runs_visit_all_eleven_states() {
    let mut visited: Vec<&str> = ["states", "states-simultaneous"]
        .into_iter()
        .flat_map(|name| [CLIENT, SERVER].map(|end| walked(figure(name), end)))
        .flatten()
        .collect();
    visited.sort_unstable();
    visited.dedup();
    let mut all = State::ALL.map(|state| state.to_string());
    all.sort_unstable();
    assert_eq!(visited, all);
}

#[test]
fn the_drawing_has_the_diagrams_transitions() {
    let drawing = figure("states");
    let drawn: Vec<_> = drawing
        .transitions
        .iter()
        .map(|arrow| [arrow.from, arrow.to].map(|place| drawing.states[place].name.clone()))
        .collect();
    let ours = TRANSITIONS.map(|arrow| [arrow.from, arrow.to].map(|state| format!("`{state}`")));
    assert_eq!(drawn, ours);
}

#[test]
fn tshark_sees_the_same_segments() {
    let Some(tshark) = peer("tshark") else { return };
    LazyLock::force(&RUN);
    let theirs = Program::new(tshark)
        .args(["-r", CAPTURE, "-Y", "tcp.stream == 0"])
        .args(["-T", "fields", "-e", "ip.src", "-e", "tcp.flags.str"])
        .run()
        .succeeds();
    // `·······A···F`: a letter for each flag that is set. FIN and what follows it.
    let lines: Vec<&str> = theirs.stdout.lines().collect();
    let fin = lines.iter().position(|line| line.contains('F')).unwrap();
    let close: Vec<String> = lines[fin..]
        .iter()
        .map(|line| {
            let (from, flags) = line.split_once('\t').unwrap();
            let arrow = if from == "10.0.0.1" { '>' } else { '<' };
            let letters: String = flags.chars().filter(char::is_ascii_alphabetic).collect();
            format!("{arrow} {letters}")
        })
        .collect();
    assert_eq!(close, ["> AF", "< A", "< AF", "> A"]);
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = testkit::listing!().arg("fast").run();
    assert_eq!(run.status.code(), Some(2));
    assert!(run.stderr.contains("usage: tcp-close"), "{}", run.stderr);
}
