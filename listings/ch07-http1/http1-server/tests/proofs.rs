//! What the program shows, run as a reader would.
#![cfg(unix)]

use std::fs;
use std::sync::OnceLock;

use http1_server::client::Client;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use record::{Sequence, What};
use testkit::{Run, listing};

/// One run serves all proofs.
fn run() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| {
        // A tag of a file is made of the times of its changes.
        let program = listing!().varying("\"[0-9a-f]{16}\"", "\"TAG\"");
        let program = program.varying("part-[0-9a-f]{16}", "part-TAG");
        program.run().succeeds()
    })
}

/// The answer to the first request whose line begins so, behind a line that begins so.
#[track_caller]
fn answer(behind: &str, request: &str) -> String {
    let lines = run().stdout.lines();
    let mut lines = lines.skip_while(|line| !line.starts_with(behind)).skip(1);
    let line = lines.find(|line| line.starts_with(request));
    let line = line.unwrap_or_else(|| panic!("no {request:?} behind {behind:?}"));
    line.to_owned()
}

/// The answer to the first request with such a field behind a line that begins so.
#[track_caller]
fn answer_to(behind: &str, field: &str) -> String {
    let lines: Vec<&str> = run()
        .stdout
        .lines()
        .skip_while(|line| !line.starts_with(behind))
        .collect();
    let pair = lines
        .windows(2)
        .find(|pair| pair[1] == format!("  with {field}"));
    let pair = pair.unwrap_or_else(|| panic!("no {field:?} behind {behind:?}"));
    pair[0].to_owned()
}

#[test]
fn it_prints_and_records_what_the_page_shows() {
    run().matches_output();
    run().matches_record();
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    for arguments in [
        &["8080"][..],
        &["localhost"],
        &["--help"],
        &["127.0.0.1:0", "folder", "more"],
    ] {
        let run = listing!().args(arguments).run();
        assert_eq!(run.status.code(), Some(2), "{arguments:?}");
        assert!(
            run.stderr.starts_with("usage: http1-server "),
            "{}",
            run.stderr
        );
        assert!(run.stdout.is_empty());
    }
}

#[test]
fn a_folder_that_is_none_is_named() {
    let run = listing!().args(["127.0.0.1:0", "no-such-folder"]).run();
    assert_eq!(run.status.code(), Some(1));
    assert!(run.stderr.contains("no-such-folder"), "{}", run.stderr);
}

#[test]
fn the_tag_of_a_file_is_weak_at_first_and_strong_soon() {
    assert!(answer("Files", "GET /poem.txt").contains("200 OK  ETag: W/\""));
    assert!(answer("(now that", "GET /poem.txt").contains("200 OK  ETag: \""));
}

/// Labels of all messages, in their order, behind their direction.
fn messages(sequence: &Sequence) -> Vec<String> {
    let events = sequence.events.iter();
    let label = |event: &record::Event| match &event.what {
        What::Message {
            from, to, label, ..
        } => Some(format!("{from}>{to} {label}")),
        What::State { .. } => None,
    };
    events.filter_map(label).collect()
}

#[test]
fn content_that_has_not_changed_is_not_sent_again() {
    let messages = messages(run().sequence("revalidation"));
    let expected = [
        "0>1 `GET /poem.txt`",
        "1>0 `200 OK` and `123` bytes",
        "0>1 `GET /poem.txt` with `If-None-Match`",
        "1>0 `304 Not Modified` without content",
        "0>1 `GET /poem.txt` with `If-None-Match`",
        "1>0 `200 OK` and `124` bytes",
    ];
    assert_eq!(messages, expected);
}

#[test]
fn of_two_clients_the_second_to_write_is_told_and_nothing_is_lost() {
    let messages = messages(run().sequence("update"));
    let expected = [
        "0>1 `GET`",
        "1>0 `200 OK`",
        "2>1 `GET`",
        "1>2 `200 OK`",
        "0>1 `PUT` with `If-Match`",
        "1>0 `204 No Content`",
        "2>1 `PUT` with `If-Match`",
        "1>2 `412 Precondition Failed`",
        "2>1 `GET`",
        "1>2 `200 OK`",
        "2>1 `PUT` with `If-Match`",
        "1>2 `204 No Content`",
    ];
    assert_eq!(messages, expected);
}

#[test]
fn every_byte_of_the_partial_answer_is_part_of_something() {
    let wire = run().wire("partial");
    let mut at = 0;
    for field in &wire.fields {
        assert_eq!(field.bit, at, "{}", field.name);
        at += field.bits;
    }
    assert_eq!(at, wire.bytes.len() * 8);
    let text = std::str::from_utf8(&wire.bytes).unwrap();
    assert!(text.starts_with("HTTP/1.1 206 Partial Content\r\n"));
    assert!(text.contains("\r\nContent-Range: bytes 0-23/123\r\n"));
    assert!(text.contains("\r\nContent-Length: 24\r\n"));
    assert!(text.ends_with("\r\n\r\nI'm Nobody! Who are you?"));
}

#[test]
fn ranges_are_answered_with_a_part_with_several_or_with_the_length() {
    let part = answer_to("Files", "Range: bytes=0-23");
    assert!(
        part.ends_with("206 Partial Content  Content-Range: bytes 0-23/123"),
        "{part}"
    );
    let parts = answer_to("Files", "Range: bytes=0-2,-4");
    assert!(parts.contains("206 Partial Content"), "{parts}");
    assert_eq!(run().stdout.matches("| Content-Range: bytes ").count(), 2);
    let none = answer_to("Files", "Range: bytes=5000-");
    assert!(
        none.ends_with("416 Range Not Satisfiable  Content-Range: bytes */123"),
        "{none}"
    );
    // The part of a version that is gone would not fit to what the client has.
    let changed = answer_to("(somebody", "Range: bytes=0-23");
    assert!(changed.contains("200 OK"), "{changed}");
}

#[test]
fn a_repeated_delete_is_answered_otherwise_and_changes_nothing() {
    assert!(answer("Notes", "DELETE /api/notes/1").ends_with("204 No Content"));
    let again = answer("DELETE /api/notes/1", "DELETE /api/notes/1");
    assert!(again.contains("404 Not Found"));
}

#[test]
fn a_slow_client_is_cut_off_while_others_are_answered() {
    let stdout = &run().stdout;
    assert!(
        stdout.contains(" ms: HTTP/1.1 408 Request Timeout"),
        "{stdout}"
    );
    assert!(stdout.contains("another client got an answer after each of these bytes"));
}

#[test]
fn a_request_that_is_half_sent_when_the_server_is_told_to_end_is_answered() {
    let lines: Vec<&str> = run().stdout.lines().collect();
    assert!(lines.contains(&"    201 Created · Connection: close"));
    assert!(lines.contains(&"    nobody else can connect"));
}

#[test]
fn it_serves_a_folder_until_it_is_told_to_end() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hello.txt"), "hello").unwrap();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let program = listing!().arg("127.0.0.1:0").arg(folder.path());
        let mut server = program.serve();
        let mut client = Client::connect(server.address()).unwrap();
        let answer = client.ask("GET", "/hello.txt", &[], None).unwrap();
        assert_eq!(answer.text(), "hello");
        kill(Pid::from_raw(i32::try_from(server.id()).unwrap()), signal).unwrap();
        assert_eq!(
            server.line_with("ended"),
            "ended: 1 requests on 1 connections"
        );
    }
}

#[test]
fn without_a_folder_it_serves_a_sample() {
    let server = listing!().arg("127.0.0.1:0").serve();
    let mut client = Client::connect(server.address()).unwrap();
    for (target, status) in [
        ("/", 200),
        ("/poem.txt", 200),
        ("/api/notes", 200),
        ("/x", 404),
    ] {
        let answer = client.ask("GET", target, &[], None).unwrap();
        assert_eq!(answer.status.code(), status, "{target}");
    }
}

#[test]
fn an_address_that_is_taken_is_named() {
    let server = listing!().arg("127.0.0.1:0").serve();
    let address = server.address().to_string();
    let run = listing!().arg(&address).run();
    assert_eq!(run.status.code(), Some(1));
    assert!(
        run.stderr.contains(&format!("cannot listen on {address}")),
        "{}",
        run.stderr
    );
}
