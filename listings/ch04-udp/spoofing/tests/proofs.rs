//! What the page says about forged senders, on the lab's network.

#![cfg(target_os = "linux")]

use std::sync::LazyLock;

use record::{Sequence, What};
use testkit::{Run, listing};

static RUN: LazyLock<Run> = LazyLock::new(|| listing!().run().succeeds());

/// What the attacker sent and the victim got, in bytes.
fn row(way: &str) -> [usize; 2] {
    let rows = &RUN.table("times").rows;
    let row = rows.iter().find(|row| row[0] == way).unwrap();
    [&row[1], &row[2]].map(|cell| cell.parse().unwrap())
}

/// The number behind a fact, in the part of the output with this heading.
fn fact(part: &str, fact: &str) -> usize {
    let from = RUN.stdout.find(&format!("\n\n{part}\n")).unwrap();
    let line = RUN.stdout[from..]
        .lines()
        .find(|line| line.trim_start().starts_with(fact));
    let line = line.unwrap_or_else(|| panic!("{}", RUN.stdout));
    line.split_whitespace().last().unwrap().parse().unwrap()
}

/// The messages of a figure that arrived, as «from > to: label».
fn messages(figure: &Sequence) -> Vec<String> {
    let name = |host: usize| figure.hosts[host].name.trim_matches('`');
    let message = |event: &record::Event| match &event.what {
        What::Message {
            from, to, label, ..
        } => {
            format!(
                "{} > {}: {}",
                name(*from),
                name(*to),
                label.replace('`', "")
            )
        }
        other => panic!("{other:?}"),
    };
    figure.events.iter().map(message).collect()
}

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
    assert_eq!(RUN.stderr, "");
}

#[test]
fn udp_answers_the_victim_with_thirty_times_what_the_attacker_spent() {
    let [sent, got] = row("UDP, every one answered");
    assert_eq!([sent, got], [64 * (28 + 4), 64 * (28 + 1000)]);
    assert!(got > 30 * sent);
    assert_eq!(fact("UDP, every one answered", "answers to the victim"), 64);
}

#[test]
fn the_server_sees_the_victim_and_never_the_attacker() {
    assert_eq!(
        fact("UDP, every one answered", "senders that the server saw"),
        1
    );
    let figure = RUN.sequence("udp");
    let told = messages(figure);
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told[0].starts_with("attacker > router"), "{told:?}");
    assert!(told[1].starts_with("router > server"), "{told:?}");
    assert!(told[2].starts_with("server > router"), "{told:?}");
    assert!(told[3].starts_with("router > victim"), "{told:?}");
}

#[test]
fn a_forged_syn_is_answered_to_the_victim_who_resets() {
    let figure = RUN.sequence("tcp");
    let told = messages(figure);
    let hops: Vec<&str> = told
        .iter()
        .map(|told| told.split(':').next().unwrap())
        .collect();
    assert_eq!(
        hops,
        [
            "attacker > router",
            "router > server",
            "server > router",
            "router > victim",
            "victim > router",
            "router > server",
        ]
    );
    assert!(told[3].contains("SYN ACK"), "{told:?}");
    assert!(told[5].contains("RST"), "{told:?}");
    assert_eq!(fact("TCP", "SYN ACKs to the victim"), 64);
    assert_eq!(fact("TCP", "resets by the victim"), 64);
}

#[test]
fn tcp_never_completes_for_a_sender_who_does_not_see_the_answer() {
    assert_eq!(
        fact("TCP", "acknowledgements that the attacker guessed"),
        640
    );
    assert_eq!(fact("TCP", "connections that came about"), 0);
    let [sent, got] = row("TCP");
    assert!(got < sent * 3 / 2, "{got} of {sent}");
}

#[test]
fn with_a_cookie_no_answer_is_longer_than_its_question() {
    let [sent, got] = row("UDP, with a cookie");
    assert_eq!(sent, got);
    assert_eq!(fact("UDP, with a cookie", "answers to the victim"), 64);
    assert_eq!(fact("UDP, with a cookie", "long answers to the victim"), 0);
}

#[test]
fn a_cookie_is_worth_nothing_with_another_address() {
    assert_eq!(fact("UDP, with a cookie", "forgeries with a cookie"), 32);
    assert_eq!(fact("UDP, with a cookie", "long answers to the victim"), 0);
}

#[test]
fn an_honest_client_pays_one_round_trip_for_the_cookie() {
    let figure = RUN.sequence("cookie");
    let told = messages(figure);
    assert_eq!(told.len(), 8, "{told:?}"); // two round trips by way of the router
    assert!(told.iter().all(|told| !told.starts_with("attacker")));
}

#[test]
fn a_filtering_edge_lets_nothing_forged_out_and_all_that_is_honest() {
    assert_eq!(row("UDP, filtered edge")[1], 0);
    assert_eq!(
        fact("UDP, filtered edge", "forgeries that the edge dropped"),
        64
    );
    assert_eq!(
        fact("UDP, filtered edge", "answers to the attacker's own"),
        1
    );
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = listing!().arg("192.0.2.1").run();
    assert_eq!(run.status.code(), Some(2));
    assert_eq!(run.stderr, "usage: udp-spoofing (it takes no arguments)\n");
}
