//! What the page says of the servers side by side.
#![cfg(target_os = "linux")]

use std::sync::OnceLock;

use testkit::{Run, listing};

const BLOCKING: &str = "exec-blocking-server";

/// One run for all proofs: it starts seven servers.
fn run() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| listing!().run().succeeds())
}

/// A column's values, by server.
fn column(name: &str) -> Vec<(String, f64)> {
    let table = run().table("side-by-side");
    let at = table
        .columns
        .iter()
        .position(|column| column.label == name)
        .unwrap();
    let rows = table.rows.iter();
    rows.filter_map(|row| Some((row[0].trim_matches('`').to_owned(), row[at].parse().ok()?)))
        .collect()
}

fn of(server: &str, name: &str) -> f64 {
    let column = column(name);
    let found = column.iter().find(|(one, _)| one == server);
    found.unwrap_or_else(|| panic!("no {name} of {server}")).1
}

#[test]
fn what_it_prints_is_what_the_page_shows() {
    let numbers = r"[0-9]+(\.[0-9]+)?";
    listing!()
        .varying(&format!(r" +{numbers}"), " N")
        .run()
        .succeeds()
        .matches_output();
}

#[test]
fn sixteen_at_once_take_less_than_a_system_call_each() {
    let pipelined = column("of sixteen at once");
    assert_eq!(pipelined.len(), 7);
    // One that serves a connection at a time ends it after an answer, because others wait.
    for (server, calls) in pipelined
        .into_iter()
        .filter(|(server, _)| server != BLOCKING)
    {
        assert!(calls < 1.0, "{server}: {calls}");
        let singly = of(&server, "System calls for a request");
        assert!(calls < singly, "{server}: {calls}, and {singly} singly");
    }
}

#[test]
fn where_one_connection_is_served_at_a_time_each_answer_costs_a_connection() {
    for measure in ["System calls for a request", "of sixteen at once"] {
        let calls = of(BLOCKING, measure);
        assert!(calls > 6.0, "{measure}: {calls}");
    }
}

#[test]
fn io_uring_takes_less_than_one_system_call_for_a_request_where_others_take_more_than_two() {
    assert!(of("exec-io-uring-server", "System calls for a request") < 1.0);
    for server in ["exec-epoll-server", "exec-mio-server", "exec-tokio-server"] {
        assert!(of(server, "System calls for a request") > 2.0, "{server}");
    }
}

#[test]
fn where_a_connection_has_a_thread_of_its_own_every_request_is_waited_for() {
    for server in ["exec-prefork-server", "exec-threaded-server"] {
        assert!(of(server, "Waits for a request") > 0.5, "{server}");
    }
    for server in ["exec-epoll-server", "exec-io-uring-server"] {
        assert!(of(server, "Waits for a request") < 0.5, "{server}");
    }
}

#[test]
fn an_idle_connection_takes_less_than_a_kilobyte_and_ten_times_that_with_a_thread() {
    for server in ["exec-epoll-server", "exec-io-uring-server"] {
        let bytes = of(server, "An idle connection takes");
        assert!(bytes <= 1024.0, "{server}: {bytes}");
        let with_a_thread = of("exec-threaded-server", "An idle connection takes");
        assert!(
            with_a_thread > 10.0 * bytes,
            "{server}: {bytes} of {with_a_thread}"
        );
    }
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    for wrong in [&["fast"][..], &["serve"], &["serve", "exec-fast-server"]] {
        let run = listing!().args(wrong).run();
        assert_eq!(run.status.code(), Some(2), "{wrong:?}");
        assert!(
            run.stderr.starts_with("usage: exec-models"),
            "{}",
            run.stderr
        );
    }
}
