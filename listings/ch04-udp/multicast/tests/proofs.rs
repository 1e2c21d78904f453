//! What the page says of multicast, seen in the listing's run.
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

/// The lines between this one and the next empty one, without their indentation.
fn part(first: &str) -> Vec<&'static str> {
    let mut lines = RUN.stdout.lines();
    assert!(
        lines.any(|line| line.starts_with(first)),
        "{first:?} is not in {}",
        RUN.stdout
    );
    lines
        .take_while(|line| !line.is_empty())
        .map(str::trim)
        .collect()
}

/// The messages of the figure `groups`: from, to, and what it says.
fn messages() -> Vec<(usize, usize, String)> {
    let events = &RUN.sequence("groups").events;
    let messages = events.iter().filter_map(|event| match &event.what {
        What::Message {
            from, to, label, ..
        } => Some((*from, *to, label.replace('`', ""))),
        What::State { .. } => None,
    });
    messages.collect()
}

const SENDER: usize = 0;
const SWITCH: usize = 1;
const A: usize = 2;
const B: usize = 3;
const C: usize = 4;

/// To whom the switch sent this.
fn receivers(text: &str) -> Vec<usize> {
    let messages = messages().into_iter();
    messages
        .filter(|(from, _, says)| *from == SWITCH && says == text)
        .map(|(_, to, _)| to)
        .collect()
}

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn one_send_reaches_each_host_that_has_joined_and_no_other() {
    let lines = part("a and b join 239.192.0.7");
    assert_eq!(lines[0], "a receives one, two");
    assert_eq!(lines[1], "b receives one");
    assert_eq!(lines[2], "c receives nothing");
    assert_eq!(receivers("one"), [A, B]);
    // The sender sends each once, whoever receives it.
    let sent = messages().into_iter().filter(|(from, ..)| *from == SENDER);
    let sent: Vec<_> = sent.map(|(_, _, says)| says).collect();
    assert_eq!(sent, ["one", "two"]);
}

#[test]
fn a_host_that_leaves_receives_nothing_more() {
    assert_eq!(receivers("two"), [A]);
    let left = ("leaves 239.192.0.7", B);
    let messages = messages();
    let at = |says: &str, from: usize| {
        let found = messages.iter().position(|it| it.2 == says && it.0 == from);
        found.unwrap_or_else(|| panic!("{says:?} is not in {messages:?}"))
    };
    assert!(at(left.0, left.1) < at("two", SENDER));
}

#[test]
fn hosts_report_what_they_join_and_leave_and_a_sender_reports_nothing() {
    let lines = part("a and b join 239.192.0.7");
    assert_eq!(
        lines[4..],
        [
            "reports of sender: none",
            "reports of a: TO_EX {}",
            "reports of b: TO_EX {}, TO_IN {}",
            "reports of c: none",
        ]
    );
    let to_c = messages().iter().filter(|(_, to, _)| *to == C).count();
    assert_eq!(to_c, 0);
}

#[test]
fn a_report_is_an_igmp_packet_with_ttl_1_to_the_routers_group() {
    let wire = RUN.wire("report");
    assert_eq!(wire.bytes.len(), 40);
    assert_eq!(wire.bytes[8], 1, "time to live");
    assert_eq!(wire.bytes[9], 2, "protocol");
    assert_eq!(wire.bytes[16..20], [224, 0, 0, 22]);
    assert_eq!(wire.bytes[20..24], [0x94, 4, 0, 0], "Router Alert");
    assert_eq!(wire.bytes[24], 0x22, "type");
    assert_eq!(wire.bytes[32], 4, "CHANGE_TO_EXCLUDE_MODE");
    assert_eq!(wire.bytes[36..40], [239, 192, 0, 7]);
}

#[test]
fn the_sender_sends_one_packet_however_many_receive_it() {
    let rows = &RUN.table("cost").rows;
    let numbers = rows.iter().map(|row| {
        let cells = row.iter().map(|cell| cell.parse::<u32>().unwrap());
        cells.collect::<Vec<_>>()
    });
    let numbers: Vec<_> = numbers.collect();
    // Receivers, to the group, copied by the switch, one by one.
    assert_eq!(numbers, [[1, 1, 1, 1], [4, 1, 4, 4], [16, 1, 16, 16]]);
}

#[test]
fn a_kernel_that_has_not_joined_discards_what_is_flooded_to_it() {
    let rows = &RUN.table("kernel").rows;
    for (row, joined) in rows.iter().zip([true, false, true, false]) {
        let passed = if joined { "1" } else { "0" };
        assert_eq!(row[1..], ["1", passed, passed], "{row:?}");
        assert_eq!(row[0].ends_with("has joined"), joined, "{row:?}");
    }
    assert_eq!(rows.len(), 4, "with and without, in both versions of IP");
}

#[test]
fn it_is_the_host_that_joins_unless_a_socket_says_otherwise() {
    let lines = part("Three sockets of one host");
    assert!(lines[0].ends_with("receives it"), "{lines:?}");
    assert!(lines[1].ends_with("receives it, too"), "{lines:?}");
    assert!(lines[2].ends_with("receives nothing"), "{lines:?}");
}

#[test]
fn a_member_hears_itself_unless_it_switches_that_off() {
    assert_eq!(
        part("The sender has joined its own group"),
        [
            "IP_MULTICAST_LOOP 1: 1 of its own",
            "IP_MULTICAST_LOOP 0: 0 of its own",
            "packets on the wire: 2, once each",
        ]
    );
}

#[test]
fn a_sender_with_two_interfaces_sends_out_of_one_which_the_program_may_choose() {
    assert_eq!(
        part("A sender with two interfaces"),
        [
            "a receives: as the route says",
            "b receives: as the program says",
            "packets sent: 2",
        ]
    );
}

#[test]
fn the_time_to_live_is_1_unless_the_program_says_otherwise_and_ends_silently() {
    assert_eq!(
        part("A router between the sender and a"),
        [
            "sent with time to live 1: the router drops it and tells nobody",
            "sent with time to live 2: arrives, with 1",
            "ICMP messages to the sender: 0",
        ]
    );
}

#[test]
fn a_member_of_one_source_receives_nothing_from_another() {
    assert_eq!(
        part("a joins 232.1.1.1 for what s1 sends"),
        [
            "report: ALLOW {10.0.0.1}",
            "s1 and s2 send; a receives from s1",
            "copies by the switch: 1",
        ]
    );
}

#[test]
fn over_ipv6_it_is_the_same_with_mld_from_a_link_local_address() {
    assert_eq!(
        part("The same over IPv6"),
        [
            "a receives one, two",
            "b receives one",
            "c receives nothing",
            "the sender sent 2 packets to the group",
            "reports come from fe80::2, go to ff02::16, with hop limit 1",
        ]
    );
}

#[test]
fn a_report_that_is_lost_is_repeated() {
    let lines = part("The first report of a is lost");
    assert_eq!(lines[0], "a sends TO_EX {}, and again TO_EX {}");
}

#[test]
fn a_host_that_vanishes_is_forgotten_and_one_that_answers_is_not() {
    assert_eq!(
        part("a and b join, a is unplugged"),
        [
            "a, who no longer answers, is forgotten",
            "b, who answers with IS_EX {} each time, is still a member",
        ]
    );
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = listing!().arg("everybody").run();
    assert_eq!(run.status.code(), Some(2));
    assert!(
        run.stderr.contains("usage: udp-multicast"),
        "{}",
        run.stderr
    );
}
