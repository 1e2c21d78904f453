//! The end: SIGTERM, and nobody loses anything by it.

use std::io::{self, ErrorKind, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use exec_service::client::{Client, get};

use crate::server::{DEADLINE, eventually, until_read};
use crate::{Server, Subject};

/// How many answers there are before the server is told to end.
const ANSWERS_BEFORE: u64 = 500;

/// Requests in one pipeline.
const PIPELINE: usize = 8;

/// What clients go by, and what they have seen.
#[derive(Default)]
struct Load {
    told: AtomicBool,
    answers: AtomicU64,
}

impl Load {
    fn answered(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }
}

/// A connection, or nothing where nobody listens any more. A handshake that the server no longer
/// takes part in is repeated by the client's kernel after a second, and refused then.
fn connect(address: SocketAddr) -> Option<Client> {
    match TcpStream::connect_timeout(&address, DEADLINE) {
        Ok(stream) => Some(Client::over(stream).unwrap()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
            None
        }
    }
}

/// Whether the server has ended the connection, so that it will not hear another request (RFC 9112
/// §9.5). Without looking, a client would lose requests that it never had to send.
fn has_ended(client: &Client) -> bool {
    let stream = client.stream();
    stream.set_nonblocking(true).unwrap();
    let ended = match stream.peek(&mut [0]) {
        Ok(len) => len == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    };
    stream.set_nonblocking(false).unwrap();
    ended
}

/// Sends `request` so many times at once, and again and again, on as few connections as the server
/// allows, until nobody listens any more. A request that was sent on an open connection has to be
/// answered, unless an answer before it said that it is the last.
fn keep_asking(address: SocketAddr, request: &str, pipeline: usize, load: &Load) {
    let requests = request.repeat(pipeline);
    while let Some(mut client) = connect(address) {
        'connection: loop {
            client
                .send(&requests)
                .unwrap_or_else(|error| panic!("a request was lost: {error}"));
            for _ in 0..pipeline {
                let answer = client
                    .answer()
                    .unwrap_or_else(|error| panic!("a request was lost: {error}"));
                assert_eq!(answer.status, 200);
                load.answered();
                if answer.closes() {
                    assert_eq!(client.end().unwrap(), b"");
                    break 'connection;
                }
            }
            if has_ended(&client) {
                break;
            }
        }
    }
}

/// Sends the first half before the server is told to end, the second after.
fn ask_in_halves(mut client: Client, halves: (&str, &str), load: &Load) -> io::Result<()> {
    client.send(halves.0)?;
    eventually("the server to be told", || {
        load.told.load(Ordering::Relaxed)
    });
    client.send(halves.1)?;
    let answer = client.answer()?;
    assert_eq!(answer.status, 200);
    assert!(answer.closes(), "{}", answer.head);
    load.answered();
    assert_eq!(client.end()?, b"");
    Ok(())
}

/// Asks for much before the server is told to end, and takes most of it after.
fn ask_for_much(mut client: Client, load: &Load) -> io::Result<()> {
    const MUCH: usize = 50_000_000;
    client.send(get(&format!("/bytes/{MUCH}")))?;
    let mut received = vec![0; 100_000];
    client.stream().read_exact(&mut received)?;
    eventually("the server to be told", || {
        load.told.load(Ordering::Relaxed)
    });
    client.stream().read_to_end(&mut received)?;
    let head = received
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("a head")
        + 4;
    assert_eq!(received.len() - head, MUCH);
    load.answered();
    Ok(())
}

/// Under load from connections that are kept, from new ones, from pipelines, and in the middle of
/// requests and answers: what was sent before the server said «close» is answered, the server counts as
/// many requests as the clients have answers, and then it is gone.
#[doc(alias = "test")]
pub fn a_graceful_shutdown_loses_no_request(subject: &Subject) {
    let mut server = Server::start(subject, &["--limits", "grace=10000"]);
    let load = &Load::default();
    let address = server.address;
    let closing = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let root = &get("/");
    let post = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n";

    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| keep_asking(address, &get("/"), 1, load));
            scope.spawn(|| keep_asking(address, closing, 1, load));
            scope.spawn(|| keep_asking(address, &get("/bytes/1000"), PIPELINE, load));
        }
        eventually("enough answers", || {
            load.answers.load(Ordering::Relaxed) >= ANSWERS_BEFORE
        });

        let lost = |error: io::Error| panic!("a request was lost: {error}");
        let connection = || connect(address).expect("the server listens");
        let slow = connection();
        scope
            .spawn(move || ask_in_halves(slow, (&get("/slow/300"), ""), load).unwrap_or_else(lost));
        if subject.holds_all() {
            for halves in [root.split_at(20), (post, "text"), ("", root)] {
                let client = connection();
                scope.spawn(move || ask_in_halves(client, halves, load).unwrap_or_else(lost));
            }
            let mut kept = connection();
            assert_eq!(kept.get("/").unwrap().status, 200);
            load.answered();
            scope.spawn(move || ask_in_halves(kept, ("", &get("/")), load).unwrap_or_else(lost));
            let client = connection();
            scope.spawn(move || ask_for_much(client, load).unwrap_or_else(lost));
        }
        server.terminate();
        eventually("the server to be told", || connect_fails(address));
        load.told.store(true, Ordering::Relaxed);
    });
    let (requests, _) = server.ended();
    assert_eq!(requests, load.answers.load(Ordering::Relaxed));
}

/// Idle connections end soon, long answers at the deadline, and all at once when told twice.
#[doc(alias = "test")]
pub fn a_shutdown_without_work_takes_a_moment(subject: &Subject) {
    const SLACK: Duration = Duration::from_secs(5);

    let mut server = Server::start(subject, &["--limits", "grace=200"]);
    let mut client = server.client();
    assert_eq!(client.get("/").unwrap().status, 200);
    let start = Instant::now();
    server.terminate();
    assert_eq!(client.end().unwrap(), b"");
    server.ended();
    assert!(start.elapsed() < SLACK, "{:?}", start.elapsed());

    let mut server = Server::start(subject, &["--limits", "drain=400"]);
    let mut client = server.client();
    client.send(get("/slow/10000")).unwrap();
    until_read(client.stream());
    let start = Instant::now();
    server.terminate();
    server.ended();
    assert!(start.elapsed() < SLACK, "{:?}", start.elapsed());
    client.answer().unwrap_err();

    let server = Server::start(subject, &[]);
    let mut client = server.client();
    client.send(get("/slow/10000")).unwrap();
    until_read(client.stream());
    let start = Instant::now();
    server.terminate();
    // Two signals of a kind that are pending at a time are one.
    eventually("the first signal to arrive", || {
        connect_fails(server.address)
    });
    server.terminate();
    eventually("its processes to end", || server.processes().is_empty());
    assert!(start.elapsed() < SLACK, "{:?}", start.elapsed());
    client.answer().unwrap_err();
}

/// Whether no connection begins any more, the first thing that a server brings about when it is told to
/// end. Its workers may hear it one after the other, so that it takes several attempts to know.
fn connect_fails(address: SocketAddr) -> bool {
    const ATTEMPTS: usize = 8;
    const UNANSWERED: Duration = Duration::from_millis(20);
    (0..ATTEMPTS).all(|_| TcpStream::connect_timeout(&address, UNANSWERED).is_err())
}
