//! What the page says of the mio server: of its run, and of a server under observation.
#![cfg(target_os = "linux")]

use exec_behaviour::{Kind, Server};
use exec_service::client::{Client, get};
use nix::sys::signal::{Signal, kill};
use serde_json::Value;
use testkit::listing;

/// The server, with one worker.
fn server() -> Server {
    let subject = exec_behaviour::subject!(Kind::Together {
        idle_connection: None
    });
    Server::start(&subject, &["--workers", "1"])
}

/// How often the server has made a system call.
fn calls(stats: &Value, name: &str) -> u64 {
    stats["syscalls"][name].as_u64().unwrap_or(0)
}

#[test]
fn a_run_prints_what_the_page_shows() {
    // How often a read finds the next request already, and saves a wait, is a matter of time.
    let run = listing!()
        .varying(r"(epoll_wait|recvfrom|sendto) +[\d. ]+", "$1 N")
        .run()
        .succeeds();
    run.matches_output();
    run.matches_record();
}

#[test]
fn every_turn_ends_with_a_read_for_nothing() {
    let server = server();
    let mut crowd: Vec<Client> = (0..100).map(|_| server.client()).collect();
    for client in &mut crowd {
        assert_eq!(client.get("/").unwrap().status, 200);
    }
    let before = server.stats();
    // While it does not run, all of them say something: nobody's next request comes meanwhile.
    kill(server.process(), Signal::SIGSTOP).unwrap();
    for client in &mut crowd {
        client.send(get("/")).unwrap();
    }
    kill(server.process(), Signal::SIGCONT).unwrap();
    for client in &mut crowd {
        assert_eq!(client.answer().unwrap().status, 200);
    }
    let after = server.stats();
    let count = |name| calls(&after, name) - calls(&before, name);
    // The two looks at the counters add their own, one of them the end of its connection.
    assert!((200..=206).contains(&count("recvfrom")), "{after}");
    assert!((100..=102).contains(&count("sendto")), "{after}");
}

#[test]
fn a_connection_is_registered_and_deregistered() {
    let server = server();
    let before = server.stats();
    for _ in 0..50 {
        let mut client = server.client();
        client
            .send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .unwrap();
        assert_eq!(client.answer().unwrap().status, 200);
        client.end().unwrap();
    }
    let after = server.stats();
    let count = |name| calls(&after, name) - calls(&before, name);
    // The first look's connection ends, the second look's begins.
    assert_eq!(count("epoll_ctl"), 2 * 50 + 2, "{after}");
}
