//! What the page says of the epoll server: of its run, and of a server under observation.
#![cfg(target_os = "linux")]

use std::io::{ErrorKind, Read as _};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use exec_behaviour::{Kind, Server};
use exec_service::client::{Client, get};
use nix::sys::signal::{Signal, kill};
use serde_json::Value;
use socket2::SockRef;
use testkit::{Run, listing};

/// Within what time whatever is waited for must have come about.
const DEADLINE: Duration = Duration::from_secs(20);

/// One run for all proofs of what it prints.
static RUN: LazyLock<Run> = LazyLock::new(|| {
    listing!()
        .varying(r"epoll_wait +[\d. ]+", "epoll_wait N")
        .run()
        .succeeds()
});

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

/// What is counted between two looks at the counters, the second look included.
fn since(before: &Value, after: &Value, name: &str) -> u64 {
    calls(after, name) - calls(before, name)
}

/// Clients of the server, each of which has been answered once.
fn crowd(server: &Server, count: usize) -> Vec<Client> {
    let mut crowd: Vec<Client> = (0..count).map(|_| server.client()).collect();
    for client in &mut crowd {
        assert_eq!(client.get("/").unwrap().status, 200);
    }
    crowd
}

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn a_request_costs_one_read_one_write_and_at_most_one_wait() {
    let rows = &RUN.table("syscalls").rows;
    let names: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(names, ["`epoll_wait`", "`recvfrom`", "`sendto`"]);
    let [wait, read, write] = [0, 1, 2].map(|row| rows[row][1].parse::<f64>().unwrap());
    assert_eq!((read, write), (1.0, 1.0), "{rows:?}");
    assert!(wait <= 1.05, "{rows:?}");
}

#[test]
fn sixteen_pipelined_requests_share_a_read_and_a_write() {
    for row in &RUN.table("syscalls").rows {
        let each: f64 = row[2].parse().unwrap();
        assert!(each <= 2.0 / 16.0, "{row:?}");
    }
}

#[test]
fn one_wait_tells_of_all_that_have_spoken() {
    let server = server();
    let mut crowd = crowd(&server, 200);
    let before = server.stats();
    // While it does not run, all of them say something.
    kill(server.process(), Signal::SIGSTOP).unwrap();
    for client in &mut crowd {
        client.send(get("/")).unwrap();
    }
    kill(server.process(), Signal::SIGCONT).unwrap();
    for client in &mut crowd {
        assert_eq!(client.answer().unwrap().status, 200);
    }
    let after = server.stats();
    let count = |name| since(&before, &after, name);
    // The two looks at the counters have a connection each, and are counted by halves.
    assert!((200..=202).contains(&count("recvfrom")), "{after}");
    assert!((200..=202).contains(&count("sendto")), "{after}");
    assert!(count("epoll_wait") <= 12, "{} waits", count("epoll_wait"));
}

#[test]
fn a_hundred_idle_connections_cost_nothing() {
    const WATCHED: Duration = Duration::from_secs(1);
    let server = server();
    let crowd = crowd(&server, 100);
    let (before, used) = (server.stats(), server.processor_time());
    thread::sleep(WATCHED);
    let used = server.processor_time() - used;
    let after = server.stats();
    // Looking at deadlines from time to time, and answering the questions of this test.
    let waits = since(&before, &after, "epoll_wait");
    assert!(waits <= 20, "{waits} waits");
    // Two of the ticks in which it is counted.
    assert!(used <= Duration::from_millis(20), "{used:?}");
    drop(crowd);
}

#[test]
fn an_idle_connection_costs_a_few_hundred_bytes() {
    const CROWD: usize = 2_000;
    let server = server();
    // The first ones make it fetch what it has for all.
    drop(crowd(&server, 100));
    let before = server.memory();
    let crowd = crowd(&server, CROWD);
    let each = server.memory().saturating_sub(before) / CROWD;
    assert!(each < 600, "{each} bytes");
    drop(crowd);
}

#[test]
fn without_descriptors_newcomers_wait_and_the_worker_sleeps() {
    const DESCRIPTORS: usize = 40;
    const CLIENTS: usize = 60;
    const WATCHED: Duration = Duration::from_millis(500);
    let subject = exec_behaviour::subject!(Kind::Together {
        idle_connection: None
    });
    let server = Server::start_with_descriptors(&subject, DESCRIPTORS, &["--workers", "1"]);
    let mut first = server.client();
    assert_eq!(first.get("/").unwrap().status, 200);
    let mut crowd: Vec<Client> = (0..CLIENTS).map(|_| server.client()).collect();
    for client in &mut crowd {
        client.send(get("/")).unwrap();
    }
    let mut stats =
        || -> Value { serde_json::from_slice(&first.get("/stats").unwrap().body).unwrap() };
    // It is full when nobody comes in any more: the last who did, did so a pause ago.
    let at_latest = Instant::now() + DEADLINE;
    let (mut before, mut since) = (stats(), Instant::now());
    while since.elapsed() < WATCHED {
        assert!(Instant::now() < at_latest, "it never fills up");
        thread::sleep(WATCHED / 10);
        let now = stats();
        if now["connections"] != before["connections"] {
            (before, since) = (now, Instant::now());
        }
    }
    let open = before["connections"]["open"].as_u64().unwrap();
    assert!((10..DESCRIPTORS as u64).contains(&open), "{before}");
    // The test's own questions, and one attempt in each pause.
    let waits = calls(&stats(), "epoll_wait") - calls(&before, "epoll_wait");
    assert!(waits <= 40, "{waits} waits in {WATCHED:?}");
    // The queue is first come, first served: whenever one leaves, the next comes in.
    for mut client in crowd {
        assert_eq!(client.answer().unwrap().status, 200);
    }
}

#[test]
fn a_connection_is_registered_once_however_often_its_writes_block() {
    let server = server();
    let mut client = server.client();
    let before = server.stats();
    client.send(get("/bytes/50000000")).unwrap();
    let mut left = 50_000_000;
    let mut buffer = vec![0; 1_000_000];
    while left > 0 {
        let len = client.stream().read(&mut buffer).unwrap();
        left -= len.min(left);
    }
    let after = server.stats();
    assert!(
        since(&before, &after, "sendfile") > 50_000_000 / (1 << 20),
        "{after}"
    );
    // The second look's own connection.
    assert_eq!(since(&before, &after, "epoll_ctl"), 1, "{after}");
}

#[test]
fn a_large_body_is_never_in_the_servers_memory() {
    let server = server();
    let before = server.stats();
    let answer = server.get("/bytes/1000000");
    assert!(answer.body == exec_service::pattern::memory()[..1_000_000]);
    let after = server.stats();
    // The heads of this answer and of the first look's.
    assert_eq!(since(&before, &after, "sendto"), 2, "{after}");
    assert!(since(&before, &after, "sendfile") >= 1, "{after}");
}

#[test]
fn an_end_that_is_told_with_the_last_bytes_is_not_overlooked() {
    let server = server();
    for _ in 0..100 {
        let mut client = server.client();
        client.send(get("/")).unwrap();
        client.stream().shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(client.answer().unwrap().status, 200);
        assert_eq!(client.end().unwrap(), b"");
    }
}

#[test]
fn urgent_data_in_the_middle_of_a_request_holds_nothing_up() {
    let server = server();
    let request = get("/");
    let (first, second) = request.split_at(9);
    for _ in 0..20 {
        let mut client = server.client();
        // All of it is there before the server reads.
        kill(server.process(), Signal::SIGSTOP).unwrap();
        client.send(first).unwrap();
        SockRef::from(client.stream())
            .send_out_of_band(b"!")
            .unwrap();
        client.send(second).unwrap();
        kill(server.process(), Signal::SIGCONT).unwrap();
        client
            .stream()
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        assert_eq!(client.answer().expect("an answer, at once").status, 200);
    }
}

#[test]
fn a_long_pipeline_is_interrupted_for_the_others() {
    const PIPELINE: usize = 400;
    let server = server();
    let mut pipeline = server.client();
    let mut other = server.client();
    for client in [&mut pipeline, &mut other] {
        assert_eq!(client.get("/").unwrap().status, 200);
    }
    // The pipeline is there first, and its answers are megabytes.
    kill(server.process(), Signal::SIGSTOP).unwrap();
    pipeline.send(get("/bytes/16000").repeat(PIPELINE)).unwrap();
    other.send(get("/stats")).unwrap();
    let pipeline = thread::spawn(move || {
        (0..PIPELINE).all(|_| {
            pipeline
                .answer()
                .is_ok_and(|answer| answer.body.len() == 16_000)
        })
    });
    kill(server.process(), Signal::SIGCONT).unwrap();
    let stats: Value = serde_json::from_slice(&other.answer().unwrap().body).unwrap();
    // What four reads and writes can answer.
    let answered = stats["requests"].as_u64().unwrap();
    assert!(
        answered < 50,
        "{answered} requests were answered before the other's"
    );
    assert!(
        pipeline.join().unwrap(),
        "an answer of the pipeline is missing"
    );
}

#[test]
fn each_worker_has_connections() {
    let subject = exec_behaviour::subject!(Kind::Together {
        idle_connection: None
    });
    let server = Server::start(&subject, &["--workers", "2"]);
    let mut workers = std::collections::HashSet::new();
    let at_latest = Instant::now() + DEADLINE;
    // The kernel assigns connections by a hash of their addresses and ports.
    while workers.len() < 2 {
        assert!(Instant::now() < at_latest, "one worker has all connections");
        workers.insert(server.stats()["this"]["worker"].as_u64().unwrap());
    }
}

#[test]
fn a_listening_socket_that_drains_refuses_newcomers() {
    let mut server = server();
    let mut slow = server.client();
    slow.send(get("/slow/3000")).unwrap();
    // The answer to something that is sent later says that the first was read.
    assert_eq!(server.get("/").status, 200);
    server.terminate();
    let at_latest = Instant::now() + DEADLINE;
    let refused = loop {
        assert!(Instant::now() < at_latest, "it goes on listening");
        let patience = Duration::from_millis(100);
        match std::net::TcpStream::connect_timeout(&server.address, patience) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => break Instant::now(),
            _ => thread::yield_now(),
        }
    };
    // It has not ended yet: there is still somebody to answer.
    let answer = slow.answer().unwrap();
    assert!(answer.status == 200 && answer.closes() && refused < Instant::now());
    server.ended();
}
