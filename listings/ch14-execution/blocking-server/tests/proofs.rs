//! What the page says of the server, as a reader would run it.
#![cfg(target_os = "linux")]

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use exec_behaviour::{Kind, Server, Subject, subject};
use exec_service::client::get;
use testkit::Run;

static RUN: LazyLock<Run> = LazyLock::new(|| testkit::listing!().run().succeeds());

fn server() -> Server {
    let subject: Subject = subject!(Kind::OneAtATime);
    Server::start(&subject, &[])
}

#[test]
fn it_prints_and_records_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn a_request_takes_three_system_calls_and_a_pipeline_shares_them() {
    let rows = &RUN.table("syscalls").rows;
    let calls: Vec<&str> = rows.iter().map(|row| &*row[0]).collect();
    assert_eq!(calls, ["`poll`", "`recvfrom`", "`sendto`"]);
    assert!(
        rows.iter().all(|row| row[1] == "1.00" && row[2] == "0.06"),
        "{rows:?}"
    );
}

#[test]
fn of_eight_that_ask_for_something_slow_each_waits_for_those_before_it() {
    let waited = &RUN.series("slow").lines[0].points;
    assert_eq!(waited.len(), 8);
    assert!(
        waited.iter().all(|(nth, ms)| *ms >= nth * 50.0),
        "{waited:?}"
    );
}

#[test]
fn while_one_client_is_served_all_others_wait() {
    const SLOW: Duration = Duration::from_millis(300);
    let server = server();
    let (mut first, mut second) = (server.client(), server.client());
    first.send(get("/slow/300")).unwrap();
    second.send(get("/")).unwrap();
    let start = Instant::now();
    assert_eq!(second.answer().unwrap().status, 200);
    // The server may have begun with the first a little earlier.
    assert!(start.elapsed() > SLOW * 9 / 10, "{:?}", start.elapsed());
    // By then the first has its answer, which has come before.
    first.stream().set_nonblocking(true).unwrap();
    assert!(first.stream().peek(&mut [0]).is_ok_and(|len| len == 1));
}

#[test]
fn an_idle_client_is_let_go_for_the_sake_of_one_that_waits() {
    let server = server();
    let mut idle = server.client();
    assert!(!idle.get("/").unwrap().closes());
    assert_eq!(server.get("/").status, 200);
    // Not reset: ended.
    assert_eq!(idle.end().unwrap(), b"");
}

#[test]
fn an_answer_says_that_it_is_the_last_when_somebody_waits() {
    let server = server();
    let (mut first, second) = (server.client(), server.client());
    assert!(first.get("/").unwrap().closes());
    assert_eq!(first.end().unwrap(), b"");
    drop(second);
}

#[test]
fn there_is_no_second_worker() {
    let run = testkit::listing!()
        .args(["127.0.0.1:0", "--workers", "2"])
        .run();
    assert_eq!(run.status.code(), Some(2));
    assert!(
        run.stderr.starts_with("usage: exec-blocking-server"),
        "{}",
        run.stderr
    );
}
