//! What the page says about sorting datagrams, on real sockets.

#![cfg(target_os = "linux")]

use std::sync::LazyLock;

use record::What;
use testkit::{Run, listing};

static RUN: LazyLock<Run> = LazyLock::new(|| {
    listing!()
        // Which flow meets which worker follows from a number that the kernel keeps to itself.
        .varying(r"(?m)^(worker \d) .*$", "$1 FLOWS")
        .varying(r"(?m)^\d+ (datagrams waited|flows whose)", "SOME $1")
        .run()
        .succeeds()
});

/// By worker, its flows among four and among three.
fn group() -> Vec<[usize; 2]> {
    let rows = &RUN.table("group").rows;
    rows.iter()
        .map(|row| [&row[1], &row[2]].map(|cell| cell.parse().unwrap()))
        .collect()
}

/// The number at the beginning of the output's only line that contains a text.
fn number(text: &str) -> usize {
    let mut lines = RUN.stdout.lines().filter(|line| line.contains(text));
    let line = lines.next().unwrap_or_else(|| panic!("{}", RUN.stdout));
    assert_eq!(lines.next(), None);
    line.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
    assert_eq!(RUN.stderr, "");
}

#[test]
fn of_nine_thousand_datagrams_none_comes_to_another_program() {
    for program in ["dns", "game", "metrics"] {
        let line = format!("{program:<7} got 3000 datagrams that were meant for it\n");
        assert!(RUN.stdout.contains(&line), "{}", RUN.stdout);
    }
    assert!(RUN.stdout.contains("\nmeant for somebody else: 0\n"));
}

#[test]
fn each_program_has_a_port_and_every_client_a_port_of_its_own() {
    let hosts = &RUN.sequence("ports").hosts;
    let mut addresses: Vec<&str> = hosts
        .iter()
        .map(|host| host.detail.as_deref().unwrap())
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), 6);
    assert!(addresses.iter().all(|at| at.starts_with("`127.0.0.1:")));
}

#[test]
fn a_datagram_goes_to_the_program_whose_port_it_names() {
    let figure = RUN.sequence("ports");
    let mut seen = 0;
    for event in &figure.events {
        let What::Message { to, label, .. } = &event.what else {
            panic!("{event:?}");
        };
        let address = figure.hosts[*to].detail.as_deref().unwrap();
        let port = address.trim_end_matches('`').rsplit(':').next().unwrap();
        assert_eq!(*label, format!("to `:{port}`"));
        seen += 1;
    }
    assert_eq!(seen, 9);
}

#[test]
fn tcp_on_the_same_number_is_another_port() {
    assert!(RUN.stdout.contains("a TCP server answers «no, shop»"));
    assert!(RUN.stdout.contains("the game's UDP socket got 0 datagrams"));
}

#[test]
fn the_most_specific_socket_comes_first_and_of_equal_ones_the_latest() {
    let rows = &RUN.table("specific").rows;
    let told: Vec<[&str; 3]> = rows
        .iter()
        .map(|row| [0, 1, 2].map(|at| row[at].as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ["friend", "`127.0.0.1`", "one peer"],
            ["stranger", "`127.0.0.1`", "one address"],
            ["friend", "`127.0.0.2`", "any address"],
            ["stranger", "`127.0.0.1`", "one address, later"],
        ]
    );
}

#[test]
fn flows_are_spread_over_all_sockets_of_a_group() {
    let group = group();
    assert_eq!(group.len(), 4);
    assert!(group.iter().all(|[of_four, _]| *of_four > 0), "{group:?}");
    assert_eq!(group.iter().map(|[of_four, _]| of_four).sum::<usize>(), 256);
}

#[test]
fn a_flow_meets_the_same_socket_each_time() {
    // The listing ends with an error as soon as a flow meets two.
    assert!(
        RUN.stdout
            .contains("every client met one worker, always the same.")
    );
}

#[test]
fn what_waited_in_a_closed_socket_is_lost() {
    let [of_four, of_three] = group()[1];
    assert_eq!(number("datagrams waited for worker 2"), of_four);
    assert_eq!(of_three, 0);
}

#[test]
fn closing_one_socket_moves_flows_of_the_others() {
    assert!(number("flows whose worker was still there") > 0);
    let group = group();
    assert_eq!(
        group.iter().map(|[_, of_three]| of_three).sum::<usize>(),
        256
    );
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = listing!().arg("53").run();
    assert_eq!(run.status.code(), Some(2));
    assert_eq!(run.stderr, "usage: udp-demux (it takes no arguments)\n");
}
