//! What the page says of the server, as a reader would run it.
#![cfg(target_os = "linux")]

use std::fs;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use exec_behaviour::{Kind, Server, eventually, subject};
use exec_service::client::{Client, get};
use testkit::Run;

static RUN: LazyLock<Run> = LazyLock::new(|| testkit::listing!().run().succeeds());

fn server(arguments: &[&str]) -> Server {
    Server::start(
        &subject!(Kind::Together {
            idle_connection: None
        }),
        arguments,
    )
}

fn threads(server: &Server) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.process())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Threads:"));
    line.unwrap().trim().parse().unwrap()
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
fn a_request_takes_two_system_calls_and_a_pipeline_shares_them() {
    let rows = &RUN.table("syscalls").rows;
    let calls: Vec<&str> = rows.iter().map(|row| &*row[0]).collect();
    assert_eq!(calls, ["`recvfrom`", "`sendto`"]);
    assert!(
        rows.iter().all(|row| row[1] == "1.00" && row[2] == "0.06"),
        "{rows:?}"
    );
}

#[test]
fn there_are_as_many_threads_as_connections_and_one_that_accepts() {
    let server = server(&[]);
    assert_eq!(threads(&server), 1);
    let connect = || {
        let mut client = server.client();
        assert_eq!(client.get("/").unwrap().status, 200);
        client
    };
    let clients: Vec<Client> = (0..50).map(|_| connect()).collect();
    assert_eq!(threads(&server), 51);
    // Threads whose clients have gone serve others.
    drop(clients);
    eventually("the clients to be gone", || server.open() == 0);
    let _clients: Vec<Client> = (0..50).map(|_| connect()).collect();
    assert!(threads(&server) <= 52, "{}", threads(&server));
}

#[test]
fn clients_that_wait_do_not_hold_each_other_up() {
    let server = server(&[]);
    let start = Instant::now();
    let mut clients: Vec<Client> = (0..50).map(|_| server.client()).collect();
    for client in &mut clients {
        client.send(get("/slow/300")).unwrap();
    }
    for client in &mut clients {
        assert_eq!(client.answer().unwrap().status, 200);
    }
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn beyond_its_bound_the_pool_leaves_clients_in_the_kernels_queue() {
    let server = server(&["--workers", "3"]);
    let mut clients: Vec<Client> = (0..3).map(|_| server.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").unwrap().status, 200);
    }
    let mut next = server.client();
    next.send(get("/")).unwrap();
    next.stream()
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    next.answer().unwrap_err();
    assert_eq!(threads(&server), 4);
    drop(clients.pop());
    next.stream()
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    assert_eq!(next.answer().unwrap().status, 200);
}
