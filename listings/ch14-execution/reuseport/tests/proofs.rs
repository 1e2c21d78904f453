//! What the page says of one accept queue and of several, seen in the listing's run.
#![cfg(target_os = "linux")]

use std::sync::LazyLock;

use testkit::{Run, listing};

/// One run for all proofs: it takes seconds.
static RUN: LazyLock<Run> = LazyLock::new(|| {
    listing!()
        // The kernel's hash is another one in each run, and who of the woken is first is a matter of
        // chance.
        .varying(
            r"(?m)^(one queue, epoll|one queue each, SO_REUSEPORT)( +\d+){5}$",
            "$1 N",
        )
        .varying(r"\d+ waited", "N waited")
        .varying(r"\d+ in the queue", "N in the queue")
        .varying(
            r": \d+ clients reset, \d+ served",
            ": N clients reset, N served",
        )
        .run()
        .succeeds()
});

const WORKERS: usize = 4;
const CLIENTS: u32 = 200;

/// How many connections each worker has had, and how often workers were woken.
fn balance(workers: &str) -> (Vec<u32>, u32) {
    let mut rows = RUN.table("balance").rows.iter();
    let row = rows.find(|row| row[0].replace('`', "") == workers).unwrap();
    let mut numbers: Vec<u32> = row[1..].iter().map(|cell| cell.parse().unwrap()).collect();
    let woken = numbers.pop().unwrap();
    assert_eq!(numbers.len(), WORKERS);
    assert_eq!(numbers.iter().sum::<u32>(), CLIENTS, "{row:?}");
    (numbers, woken)
}

/// When each client came, and how long it waited for its answer, in milliseconds.
fn latency(workers: &str) -> &'static [(f64, f64)] {
    let mut lines = RUN.series("latency").lines.iter();
    let line = lines.find(|line| line.name.replace('`', "") == workers);
    &line.unwrap().points
}

const ONE: &str = "one queue, accept()";
const EACH: &str = "one queue each, SO_REUSEPORT";

/// Those who waited for the worker that was stuck.
fn waited(workers: &str) -> Vec<(f64, f64)> {
    let points = latency(workers).iter().copied();
    points.filter(|(_, took)| *took > 100.0).collect()
}

/// The row of the table `closing`; nothing where the kernel is too old.
fn closing(migrate: &str) -> Option<[u32; 5]> {
    let mut rows = RUN.table("closing").rows.iter();
    let row = rows.find(|row| row[0] == migrate)?;
    let numbers: Vec<u32> = row[1..].iter().map(|cell| cell.parse().unwrap()).collect();
    Some(numbers.try_into().unwrap())
}

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn workers_that_wait_in_accept_take_turns_and_one_is_woken_for_each_connection() {
    let (accepted, woken) = balance(ONE);
    assert_eq!(accepted, [CLIENTS / 4; WORKERS]);
    assert!((CLIENTS..CLIENTS * 11 / 10).contains(&woken), "{woken}");
}

#[test]
fn epoll_wakes_all_workers_for_each_connection() {
    let (_, woken) = balance("one queue, epoll");
    assert!(woken > CLIENTS * 3, "{woken}");
}

#[test]
fn epollexclusive_wakes_one_worker_and_it_is_the_same_as_long_as_it_is_idle() {
    let (accepted, woken) = balance("one queue, EPOLLEXCLUSIVE");
    assert!((CLIENTS..CLIENTS * 11 / 10).contains(&woken), "{woken}");
    let most = accepted.iter().max().unwrap();
    assert!(*most > CLIENTS * 9 / 10, "{accepted:?}");
}

#[test]
fn reuseport_spreads_by_chance_and_wakes_one_worker() {
    let (accepted, woken) = balance(EACH);
    assert!((CLIENTS..CLIENTS * 11 / 10).contains(&woken), "{woken}");
    // 50 each would be even. The standard deviation is √(200 · ¼ · ¾) = 6.1, and five of it are
    // less than once in a million runs.
    for count in &accepted {
        assert!((19..=81).contains(count), "{accepted:?}");
    }
}

#[test]
fn with_one_queue_each_a_stuck_worker_holds_up_the_clients_that_the_hash_sends_it() {
    // 60 come in the first 300 ms of it, and a quarter of them is sent to it: 15, give or take; less
    // than two is a matter of once in a million runs.
    let waited = waited(EACH);
    assert!((2..=40).contains(&waited.len()), "{}", waited.len());
    // None of them has an answer before the worker goes on, and then all of them do.
    let answered: Vec<f64> = waited.iter().map(|(came, took)| came + took).collect();
    let first = answered.iter().copied().fold(f64::MAX, f64::min);
    let last = answered.iter().copied().fold(f64::MIN, f64::max);
    assert!(first > 690.0 && last - first < 300.0, "{answered:?}");
}

#[test]
fn with_one_queue_only_the_client_waits_whose_request_takes_long() {
    let waited = waited(ONE);
    // A busy machine may hold up others, too, but not for as long.
    let stuck = waited.iter().filter(|(_, took)| *took > 300.0);
    assert_eq!(stuck.count(), 1, "{waited:?}");
}

#[test]
fn a_stuck_worker_shows_in_the_slowest_hundredth() {
    let rows = &RUN.table("tail").rows;
    let tail = |row: usize| rows[row][2].parse::<f64>().unwrap();
    assert!(tail(0) > 200.0 && tail(1) < tail(0) / 2.0, "{rows:?}");
}

#[test]
fn a_listener_that_is_closed_resets_all_who_wait_in_its_queue() {
    if let Some([closed, left, reset, served, moved]) = closing("`0`") {
        assert!(closed > 0 && reset == closed, "{closed} and {reset}");
        assert_eq!((left, served, moved), (40 - closed, 40 - closed, 0));
    }
}

#[test]
fn with_tcp_migrate_req_they_move_to_another_queue() {
    if let Some([closed, left, reset, served, moved]) = closing("`1`") {
        assert_eq!((left, reset, served), (40, 0, 40));
        assert!(closed > 0 && moved == closed, "{closed} and {moved}");
    }
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = listing!().arg("4").run();
    assert_eq!(run.status.code(), Some(2));
    assert!(
        run.stderr.contains("usage: exec-reuseport"),
        "{}",
        run.stderr
    );
}
