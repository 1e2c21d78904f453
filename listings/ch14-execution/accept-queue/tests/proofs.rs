//! What the page says of the accept queue, seen in the listing's run.
#![cfg(target_os = "linux")]

use std::sync::LazyLock;
use std::time::Duration;

use record::What;
use testkit::{Run, listing};

/// One run for all proofs: it takes seconds.
static RUN: LazyLock<Run> = LazyLock::new(|| {
    listing!()
        .deadline(Duration::from_secs(60))
        .run()
        .succeeds()
});

/// A row of the table `backlogs`.
#[derive(Debug)]
struct Filled {
    backlog: i64,
    somaxconn: i64,
    recv_q: i64,
    send_q: i64,
    connected: i64,
    wait: i64,
    overflows: i64,
    drops: i64,
}

fn filled() -> Vec<Filled> {
    let rows = RUN.table("backlogs").rows.iter();
    let filled: Vec<Filled> = rows
        .map(|row| {
            let numbers: Vec<i64> = row
                .iter()
                .map(|cell| cell.trim_matches('`').parse().unwrap())
                .collect();
            let [
                backlog,
                somaxconn,
                recv_q,
                send_q,
                connected,
                wait,
                overflows,
                drops,
            ] = numbers[..]
            else {
                panic!("{row:?}");
            };
            Filled {
                backlog,
                somaxconn,
                recv_q,
                send_q,
                connected,
                wait,
                overflows,
                drops,
            }
        })
        .collect();
    assert_eq!(filled.len(), 6);
    filled
}

/// What happens in a figure, in order: `client > server SYN`, or `server: accept queue full`; and when,
/// in milliseconds.
fn told(figure: &str) -> Vec<(String, f64)> {
    let sequence = RUN.sequence(figure);
    let name = |host: usize| sequence.hosts[host].name.as_str();
    let events = sequence.events.iter().map(|event| {
        let text = match &event.what {
            What::Message {
                from, to, label, ..
            } => format!("{} > {} {label}", name(*from), name(*to)),
            What::State { host, label, .. } => format!("{}: {label}", name(*host)),
        };
        (text.replace('`', ""), event.at_us as f64 / 1e3)
    });
    events.collect()
}

fn texts(told: &[(String, f64)]) -> Vec<&str> {
    told.iter().map(|(text, _)| text.as_str()).collect()
}

/// The row of the table `overlaps` for this setting.
fn overlap(abort: &str) -> &'static [String] {
    let mut rows = RUN.table("overlaps").rows.iter();
    rows.find(|row| row[0] == abort).unwrap()
}

/// A line of a plot.
fn line(figure: &str, name: &str) -> &'static [(f64, f64)] {
    let mut lines = RUN.series(figure).lines.iter();
    &lines.find(|line| line.name == name).unwrap().points
}

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn the_accept_queue_holds_one_more_than_the_backlog() {
    for filled in filled() {
        assert_eq!(filled.recv_q, filled.send_q + 1, "{filled:?}");
        assert_eq!(filled.connected, filled.recv_q, "{filled:?}");
    }
}

#[test]
fn send_q_is_the_backlog_and_somaxconn_its_limit() {
    for filled in filled() {
        // As the kernel reads it, −1 is more than any limit.
        let asked = u32::try_from(filled.backlog).unwrap_or(u32::MAX);
        let limit = i64::from(asked).min(filled.somaxconn);
        assert_eq!(filled.send_q, limit, "{filled:?}");
    }
}

#[test]
fn a_backlog_of_0_makes_room_for_one() {
    let filled = filled();
    assert_eq!((filled[0].backlog, filled[0].recv_q), (0, 1));
}

#[test]
fn a_syn_that_meets_a_full_queue_is_counted_twice_by_name_and_answered_by_nothing() {
    for filled in filled() {
        assert_eq!(filled.wait, 3, "{filled:?}");
        assert_eq!((filled.overflows, filled.drops), (3, 3), "{filled:?}");
    }
    let told = told("timed-out");
    assert_eq!(
        texts(&told),
        [
            "server: accept queue full",
            "client > server SYN",
            "server: dropped",
            "client > server SYN",
            "server: dropped",
            "client: ETIMEDOUT",
        ]
    );
}

#[test]
fn tcp_abort_on_overflow_does_not_change_that() {
    let mut lines = RUN.stdout.lines();
    let line = lines.find(|line| line.starts_with("the same, tcp_abort_on_overflow=1"));
    assert!(line.unwrap().contains("connect(): ETIMEDOUT"), "{line:?}");
}

#[test]
fn a_client_gets_in_with_its_second_syn_once_there_is_room() {
    let told = told("recovered");
    assert_eq!(
        texts(&told),
        [
            "server: accept queue full",
            "client > server SYN",
            "server: dropped",
            "server: accept()",
            "client > server SYN",
            "server > client SYN ACK",
            "client: ESTABLISHED",
            "client > server ACK",
            "server: ESTABLISHED",
        ]
    );
    // There was room at once, and it took a second to ask again.
    assert!(told[3].1 < 500.0, "{told:?}");
    assert!((1000.0..1500.0).contains(&told[4].1), "{told:?}");
}

#[test]
fn while_a_server_stops_as_many_wait_as_there_is_room_for_and_the_rest_loses_a_second() {
    for words in [
        "\n20 clients are accepted.",
        "\n17 clients connect and wait in the queue",
        "\n23 clients find the queue full",
        "\n40 clients come after",
    ] {
        assert!(RUN.stdout.contains(words), "{words}: {}", RUN.stdout);
    }
    let connect = line("visits", "until `connect()` returns");
    let answer = line("visits", "until the answer");
    assert_eq!((connect.len(), answer.len()), (100, 100));
    // Of those that came while it stopped, the first 17 are connected at once.
    let slow = |points: &[(f64, f64)]| -> Vec<usize> {
        let numbered = points.iter().enumerate();
        let slow = numbered.filter(|(_, (_, took))| *took > 900.0);
        slow.map(|(number, _)| number + 1).collect()
    };
    assert_eq!(slow(connect), (38..=60).collect::<Vec<_>>());
    for number in 38..=60 {
        let took = connect[number - 1].1;
        // Or three, where the machine was so busy that the second SYN met a full queue, too.
        assert!((1000.0..4000.0).contains(&took), "{number}: {took} ms");
    }
    // And they waited for the answer until the server went on, the first of them the longest.
    let waits = |number: usize| answer[number - 1].1;
    assert!(waits(21) > waits(37) && waits(37) > 100.0, "{answer:?}");
}

#[test]
fn the_queue_grows_to_its_limit_while_the_server_stops_and_is_empty_soon_after() {
    let points = line("queue", "`Recv-Q`");
    let most = points.iter().map(|point| point.1).fold(0.0, f64::max);
    assert_eq!(most, 17.0);
    assert_eq!(line("queue", "`Send-Q`")[0].1, 16.0);
    let full = points.iter().rfind(|point| point.1 == most).unwrap().0;
    let empty = points
        .iter()
        .find(|point| point.0 >= full && point.1 == 0.0);
    let empty = empty
        .expect("it is emptied before the first of the others comes back")
        .0;
    assert!(empty - full < 300.0, "{full} and {empty} ms");
}

#[test]
fn the_client_is_established_while_the_server_is_not() {
    for (abort, server) in [("`0`", "`SYN-RECV`"), ("`1`", "nothing")] {
        assert_eq!(overlap(abort)[1..3], ["`ESTABLISHED`", server]);
    }
}

#[test]
fn an_ack_that_meets_a_full_queue_is_ignored_and_made_good_once_there_is_room() {
    assert_eq!(overlap("`0`")[3], "`hello` arrives");
    let told = told("ignored");
    let texts = texts(&told);
    let after = texts.iter().position(|text| *text == "server: ACK dropped");
    assert_eq!(
        texts[after.unwrap() + 1..],
        [
            "server > client SYN ACK",
            "client > server ACK",
            "client > server PSH ACK",
            "server: accept()",
            "client > server PSH ACK",
            "server: ESTABLISHED",
            "server > client ACK",
        ]
    );
}

#[test]
fn every_segment_that_meets_the_full_queue_is_counted_and_not_every_client() {
    // One client: its ACK, its ACK of the second SYN ACK, and its data.
    assert_eq!(overlap("`0`")[4..], ["3", "1"]);
    assert_eq!(overlap("`1`")[4..], ["1", "0"]);
}

#[test]
fn with_tcp_abort_on_overflow_an_ack_that_meets_a_full_queue_is_reset() {
    assert_eq!(overlap("`1`")[3], "`ECONNRESET`");
    let told = told("reset");
    let texts = texts(&told);
    let [.., full, reset, learns] = texts[..] else {
        panic!("{texts:?}");
    };
    assert_eq!(
        (full, reset, learns),
        (
            "server: accept queue full",
            "server > client RST",
            "client: ECONNRESET"
        )
    );
}

#[test]
fn data_waits_for_accept_acknowledged() {
    let at = RUN.stdout.find("1000 bytes to a server").unwrap();
    let text = &RUN.stdout[at..];
    let line = text.lines().find(|line| line.starts_with("ESTAB")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words, ["ESTAB", "1000", "0"]);
    assert!(text.contains("acknowledged: yes"), "{text}");
    assert!(text.contains("accept(): 1000 bytes; 0 wait now"), "{text}");
}

#[test]
fn listen_on_a_listening_socket_changes_its_backlog_and_loses_nobody() {
    for line in [
        "listen(1)  2 wait\n",
        "listen(4)  5 wait\n",
        "listen(0)  5 wait still, and all of them are accepted\n",
    ] {
        assert!(RUN.stdout.contains(line), "{line}: {}", RUN.stdout);
    }
}

#[test]
fn a_full_unix_socket_tells_who_does_not_block_and_lets_others_wait() {
    for line in [
        "2 connected, and the next, which does not block: EAGAIN\n",
        "One that blocks is connected after an accept()\n",
    ] {
        assert!(RUN.stdout.contains(line), "{line}: {}", RUN.stdout);
    }
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = listing!().arg("128").run();
    assert_eq!(run.status.code(), Some(2));
    assert!(
        run.stderr.contains("usage: exec-accept-queue"),
        "{}",
        run.stderr
    );
}
