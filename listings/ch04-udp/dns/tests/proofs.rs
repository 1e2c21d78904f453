//! What the page claims of the tour.
#![cfg(target_os = "linux")]

use std::sync::LazyLock;

use record::{Fate, What};
use testkit::Run;

static RUN: LazyLock<Run> = LazyLock::new(|| testkit::listing!().run().succeeds());

/// What was printed of the question that begins like this.
fn story(question: &str) -> &'static str {
    let stories = RUN.stdout.split("\n\n");
    stories
        .into_iter()
        .find(|story| story.starts_with(question))
        .unwrap_or_else(|| panic!("{question}: {}", RUN.stdout))
}

/// The IDs and names of the queries of a story.
fn queries(story: &str) -> Vec<(&str, &str)> {
    let asked = story.lines().filter(|line| line.contains("ask over "));
    asked
        .map(|line| {
            let (_, id) = line.split_once("ID ").unwrap();
            id.split_once(", ").unwrap()
        })
        .collect()
}

/// Sender, label, and whether it arrived, of a figure's messages.
fn messages(figure: &str) -> Vec<(&'static str, &'static str, bool)> {
    let record::Sequence { hosts, events } = RUN.sequence(figure);
    let messages = events.iter().map(|event| match &event.what {
        What::Message {
            from, label, fate, ..
        } => (
            hosts[*from].name.as_str(),
            label.as_str(),
            *fate == Fate::Arrived,
        ),
        What::State { .. } => panic!("there are no states"),
    });
    messages.collect()
}

const RESOLVER: &str = "resolver";
const SERVER: &str = "server";
const ATTACKER: &str = "attacker";

#[test]
fn the_tour_prints_and_records_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn one_question_and_one_answer_are_one_round_trip() {
    let story = story("mail.example.com. A");
    assert_eq!(queries(story).len(), 1);
    assert!(story.contains("300 IN A 192.0.2.25"), "{story}");
}

#[test]
fn a_chain_of_aliases_is_followed_within_one_answer() {
    let story = story("www.example.com. AAAA");
    assert_eq!(queries(story).len(), 1);
    assert_eq!(story.matches("is an alias").count(), 2);
    assert!(story.contains("2001:db8::81"), "{story}");
}

#[test]
fn no_such_name_and_no_such_records_are_told_apart() {
    assert!(story("mail.example.com. AAAA").contains("(NODATA)"));
    assert!(story("missing.example.com. A").contains("(NXDOMAIN)"));
}

#[test]
fn a_truncated_answer_is_fetched_over_tcp() {
    let messages = messages("truncated");
    let expected = [
        (RESOLVER, "query", true),
        (SERVER, "answer, truncated", true),
        (RESOLVER, "`SYN`", true),
        (SERVER, "`SYN ACK`", true),
        (RESOLVER, "query", true),
        (SERVER, "answer", true),
        (SERVER, "rest of the answer", true), // its 1,500 bytes are more than a segment
    ];
    assert_eq!(messages, expected);
}

#[test]
fn a_lost_query_is_repeated_with_another_id_other_letters_and_another_port() {
    let messages = messages("lost");
    let expected = [
        (RESOLVER, "query", false),
        (RESOLVER, "query", true),
        (SERVER, "answer", true),
    ];
    assert_eq!(messages, expected);
    let story = story("example.com. MX");
    let [(id, letters), (other_id, other_letters)] = queries(story)[..] else {
        panic!("{story}");
    };
    assert_ne!(id, other_id);
    assert_ne!(letters, other_letters);
    assert!(letters.eq_ignore_ascii_case(other_letters));
    let ports: Vec<&str> = RUN.sequence("lost").events[..2]
        .iter()
        .map(|event| match &event.what {
            What::Message {
                note: Some(note), ..
            } => note.split_once("port ").unwrap().1,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_ne!(ports[0], ports[1]);
}

#[test]
fn a_late_answer_finds_no_socket() {
    let story = story("ns1.example.com. A");
    assert_eq!(queries(story).len(), 2);
    assert!(
        story.contains("the kernel finds no socket for 1 more"),
        "{story}"
    );
    assert!(!story.contains("refuse"), "{story}");
    // Both answers arrived.
    let answers = messages("late")
        .into_iter()
        .filter(|(from, ..)| *from == SERVER);
    assert_eq!(answers.count(), 2);
}

#[test]
fn forged_answers_with_one_thing_wrong_are_refused_and_the_right_one_is_taken() {
    let story = story("web.example.com. A");
    for line in [
        "refuse an answer: wrong ID",
        "refuse an answer: wrong question",
        "the kernel finds no socket for 2 more",
        "300 IN A 192.0.2.81",
    ] {
        assert!(story.contains(line), "{line}: {story}");
    }
    let messages = messages("forged");
    let expected = [
        (RESOLVER, "query", true),
        (ATTACKER, "forged: wrong port", true),
        (ATTACKER, "forged: wrong source", true),
        (ATTACKER, "forged: wrong ID", true),
        (ATTACKER, "forged: wrong question", true),
        (SERVER, "answer", true),
    ];
    assert_eq!(messages, expected);
}

#[test]
fn an_answer_in_the_wrong_case_makes_the_resolver_ask_over_tcp() {
    let story = story("example.com. A,");
    assert!(story.contains("refuse an answer: wrong case"), "{story}");
    assert!(story.contains("ask over TCP"), "{story}");
    assert!(story.contains("300 IN A 192.0.2.80"), "{story}");
    let tcp = messages("case");
    assert!(tcp.contains(&(RESOLVER, "`SYN`", true)), "{tcp:?}");
}

#[test]
fn nowhere_is_the_attackers_address_believed() {
    assert!(!RUN.stdout.contains("198.51.100.66"), "{}", RUN.stdout);
}

#[test]
fn a_server_that_is_down_costs_a_round_trip_and_not_a_timeout() {
    let story = story("ns2.example.com. A");
    assert!(
        story.contains("nobody is there: connection refused"),
        "{story}"
    );
    assert!(!story.contains("no answer in time"), "{story}");
    assert_eq!(queries(story).len(), 2);
}

#[test]
fn id_port_and_case_multiply() {
    let rows = &RUN.table("guesses").rows;
    let guesses: Vec<u64> = rows
        .iter()
        .map(|row| row[2].replace(',', "").parse().unwrap())
        .collect();
    let ports = guesses[1] / guesses[0];
    assert_eq!(guesses[0], 65_536);
    assert!((1 << 14..1 << 16).contains(&ports), "{ports}");
    assert_eq!(guesses[2], guesses[1] << 13, "13 letters");
}

#[test]
fn the_resolver_asks_whom_it_is_told_to_ask() {
    let server = testkit::listing!().arg("127.0.0.1:0").serve();
    let address = server.address().to_string();
    let ask = |name: &str, qtype: &str| {
        testkit::listing!()
            .args(["ask", &address, name, qtype])
            .run()
    };
    let found = ask("www.example.com", "AAAA").succeeds();
    assert!(found.stdout.contains("2001:db8::81"), "{}", found.stdout);
    let missing = ask("missing.example.com", "A");
    assert_eq!(missing.status.code(), Some(1));
    assert!(missing.stdout.contains("NXDOMAIN"), "{}", missing.stdout);
    let down = testkit::listing!()
        .args(["ask", "127.0.0.1:1", "www.example.com"])
        .run();
    assert_eq!(down.status.code(), Some(1));
    assert!(down.stderr.contains("nobody is there"), "{}", down.stderr);
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    for arguments in [
        &["ask"][..],
        &["ask", "nowhere", "example.com"],
        &["ask", "127.0.0.1", "example.com", "A", "more"],
        &["fast"],
    ] {
        let run = testkit::listing!().args(arguments).run();
        assert_eq!(run.status.code(), Some(2), "{arguments:?}");
        assert!(run.stderr.contains("usage: udp-dns"), "{}", run.stderr);
    }
}

#[test]
fn a_name_or_type_that_is_none_is_named() {
    let name = format!("{}.com", "a".repeat(64));
    let run = testkit::listing!().args(["ask", "127.0.0.1", &name]).run();
    assert_eq!(run.status.code(), Some(1));
    assert!(run.stderr.contains("label"), "{}", run.stderr);
    let run = testkit::listing!()
        .args(["ask", "127.0.0.1", "example.com", "NONSENSE"])
        .run();
    assert_eq!(run.status.code(), Some(1));
    assert!(run.stderr.contains("NONSENSE"), "{}", run.stderr);
}
