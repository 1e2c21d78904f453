//! What the page says of the server, as a reader would run it.
#![cfg(target_os = "linux")]

use std::fs;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use exec_behaviour::{Kind, Server, eventually, subject};
use exec_service::client::{Client, get};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::Value;
use testkit::Run;

static RUN: LazyLock<Run> = LazyLock::new(|| testkit::listing!().run().succeeds());

fn server(arguments: &[&str]) -> Server {
    Server::start(&subject!(Kind::OnePerWorker), arguments)
}

/// The process that serves this client.
fn worker_of(client: &mut Client) -> Pid {
    let stats: Value = serde_json::from_slice(&client.get("/stats").unwrap().body).unwrap();
    Pid::from_raw(i32::try_from(stats["this"]["process"].as_i64().unwrap()).unwrap())
}

#[test]
fn it_prints_and_records_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn of_eight_that_ask_for_something_slow_none_waits_for_another() {
    let (_, last) = RUN.series("slow").lines[0].points[7];
    // One after the other would take 400 ms.
    assert!((50.0..200.0).contains(&last), "{last} ms");
}

#[test]
fn there_is_a_process_for_each_worker_and_one_that_looks_after_them() {
    let server = server(&["--workers", "5"]);
    assert_eq!(server.processes().len(), 6);
    assert_ne!(worker_of(&mut server.client()), server.process());
}

#[test]
fn as_many_clients_are_served_at_a_time_as_there_are_workers() {
    const SLOW: Duration = Duration::from_millis(400);
    let server = server(&["--workers", "4"]);
    let mut clients: Vec<Client> = (0..5).map(|_| server.client()).collect();
    let start = Instant::now();
    for client in &mut clients {
        client.send(get("/slow/400")).unwrap();
    }
    let mut took: Vec<Duration> = thread::scope(|scope| {
        let wait = |mut client: Client| {
            assert_eq!(client.answer().unwrap().status, 200);
            start.elapsed()
        };
        let waiting: Vec<_> = clients
            .into_iter()
            .map(|client| scope.spawn(move || wait(client)))
            .collect();
        waiting
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    took.sort();
    assert!(took[3] < 2 * SLOW && took[4] >= 2 * SLOW, "{took:?}");
}

/// How often the server's processes have gone to sleep so far.
fn sleeps(server: &Server) -> u64 {
    let of = |process: i32| -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line?.trim().parse().ok()
    };
    server.processes().into_iter().filter_map(of).sum()
}

#[test]
fn the_kernel_wakes_one_worker_for_a_client_and_not_all_that_wait() {
    const CLIENTS: u64 = 200;
    let server = server(&["--workers", "16"]);
    assert_eq!(server.get("/").status, 200);
    let before = sleeps(&server);
    (0..CLIENTS).for_each(|_| assert_eq!(server.get("/").status, 200));
    let each = (sleeps(&server) - before) as f64 / CLIENTS as f64;
    // The one that serves the client may sleep until its request comes, until it leaves, and then
    // until the next client.
    assert!(
        each <= 4.0,
        "workers went to sleep {each} times for each client"
    );
}

#[test]
fn a_worker_that_is_killed_takes_only_its_own_client_along_and_another_takes_its_place() {
    let server = server(&["--workers", "4"]);
    let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
    let workers: Vec<Pid> = clients.iter_mut().map(worker_of).collect();
    kill(workers[1], Signal::SIGKILL).unwrap();
    // The kernel closes what the process had open.
    assert!(clients[1].end().is_ok_and(|rest| rest.is_empty()) || clients[1].get("/").is_err());
    for at in [0, 2, 3] {
        assert_eq!(worker_of(&mut clients[at]), workers[at]);
    }
    // All places are taken, so it is the new worker that serves the next client.
    let mut next = server.client();
    let new = worker_of(&mut next);
    assert!(!workers.contains(&new));
    assert_eq!(server.processes().len(), 5);
}

#[test]
fn a_worker_that_dies_early_again_and_again_is_replaced_ever_more_slowly() {
    let server = server(&["--workers", "1"]);
    let mut pauses = Vec::new();
    for _ in 0..4 {
        let worker = worker_of(&mut server.client());
        kill(worker, Signal::SIGKILL).unwrap();
        let start = Instant::now();
        assert_ne!(worker_of(&mut server.client()), worker);
        pauses.push(start.elapsed());
    }
    for (pause, at_least) in pauses.iter().skip(1).zip([100, 200, 400]) {
        assert!(
            *pause >= Duration::from_millis(at_least * 9 / 10),
            "{pauses:?}"
        );
    }
}

#[test]
fn workers_do_not_outlive_their_parent() {
    let server = server(&["--workers", "3"]);
    let mut client = server.client();
    client.send(get("/slow/300")).unwrap();
    exec_behaviour::until_read(client.stream());
    kill(server.process(), Signal::SIGKILL).unwrap();
    // What is under way is finished.
    assert_eq!(client.answer().unwrap().status, 200);
    drop(client);
    eventually("the workers to end", || server.processes().is_empty());
}

#[test]
fn the_signal_to_end_may_reach_all_processes_at_once() {
    // So a terminal does it on Ctrl-C, and a service manager that knows only the group.
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut server = server(&["--workers", "3"]);
        let mut client = server.client();
        client.send(get("/slow/300")).unwrap();
        exec_behaviour::until_read(client.stream());
        killpg(server.process(), signal).unwrap();
        assert_eq!(client.answer().unwrap().status, 200, "{signal}");
        drop(client);
        server.ended();
    }
}
