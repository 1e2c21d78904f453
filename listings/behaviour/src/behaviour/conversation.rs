//! What a client and a server say to each other when both mean well.

use std::io::Write as _;
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use exec_service::client::{Client, get};
use exec_service::pattern;

use crate::server::until_read;
use crate::{Server, Subject};

/// A request with a body of known length.
fn post(body: &str) -> String {
    let length = body.len();
    format!("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// A request whose body comes in chunks.
fn post_chunked(chunks: &[&str]) -> String {
    let mut request =
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    for chunk in chunks {
        request += &format!("{:x}\r\n{chunk}\r\n", chunk.len());
    }
    request + "0\r\n\r\n"
}

/// HTTP/1.1 goes on until someone says otherwise (RFC 9112 §9.3).
#[doc(alias = "test")]
pub fn a_connection_serves_many_requests(subject: &Subject) {
    let server = Server::start(subject, &[]);
    let mut client = server.client();
    for _ in 0..100 {
        let answer = client.get("/").unwrap();
        assert_eq!(answer.status, 200);
        assert!(!answer.closes(), "{}", answer.head);
    }
    let stats: serde_json::Value =
        serde_json::from_slice(&client.get("/stats").unwrap().body).unwrap();
    assert_eq!(stats["connections"]["accepted"], 1, "{stats}");
    assert_eq!(stats["requests"], 100, "{stats}");
}

/// By `Connection: close`, or by speaking HTTP/1.0 without `Connection: keep-alive`.
#[doc(alias = "test")]
pub fn a_connection_closes_when_the_client_or_its_version_says_so(subject: &Subject) {
    let server = Server::start(subject, &[]);
    for last in [
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: TE , Close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    ] {
        let mut client = server.client();
        assert!(!client.get("/").unwrap().closes());
        client.send(last).unwrap();
        let answer = client.answer().unwrap();
        assert!(
            answer.status == 200 && answer.closes(),
            "{last:?}: {}",
            answer.head
        );
        assert_eq!(client.end().unwrap(), b"", "{last:?}");
    }
    let mut client = server.client();
    for _ in 0..3 {
        client
            .send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            .unwrap();
        let answer = client.answer().unwrap();
        assert_eq!(answer.field("connection"), Some("keep-alive"));
    }
}

/// Sent without waiting for any answer; among them some that take time, or a body of their own.
#[doc(alias = "test")]
pub fn a_thousand_pipelined_requests_are_answered_in_order(subject: &Subject) {
    const REQUESTS: usize = 1000;
    const SLOW: usize = 500;
    const LARGE: usize = 700;
    const LARGE_LEN: usize = 300_000;
    let server = Server::start(subject, &[]);
    let mut client = server.client();
    let request = |n: usize| match n {
        SLOW => get("/slow/30"),
        LARGE => get(&format!("/bytes/{LARGE_LEN}")),
        _ if n.is_multiple_of(4) => get("/"),
        _ if n % 4 == 1 => get(&format!("/bytes/{n}")),
        _ if n % 4 == 2 => post(&format!("number {n}")),
        _ => post_chunked(&["chunk ", &n.to_string()]),
    };
    let mut stream = client.stream().try_clone().unwrap();
    let writer = thread::spawn(move || {
        let all: String = (0..REQUESTS).map(request).collect();
        stream.write_all(all.as_bytes()).unwrap();
    });
    for n in 0..REQUESTS {
        let answer = client
            .answer()
            .unwrap_or_else(|error| panic!("answer {n}: {error}"));
        assert_eq!(answer.status, 200, "{n}");
        let body = String::from_utf8_lossy(&answer.body);
        match n {
            SLOW => assert!(!body.is_empty()),
            LARGE => assert_eq!(answer.body, pattern::memory()[..LARGE_LEN]),
            _ if n.is_multiple_of(4) => assert!(!body.is_empty()),
            _ if n % 4 == 1 => assert_eq!(answer.body, pattern::memory()[..n]),
            _ if n % 4 == 2 => assert_eq!(body, format!("number {n}")),
            _ => assert_eq!(body, format!("chunk {n}")),
        }
    }
    writer.join().unwrap();
    client.stream().shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.end().unwrap(), b"");
}

/// TCP delivers bytes, not requests: wherever one piece ends, and the server has read it before the
/// next one is sent.
#[doc(alias = "test")]
pub fn requests_may_be_split_at_every_byte(subject: &Subject) {
    let server = Server::start(subject, &[]);
    let requests = [
        get("/"),
        post("tea for two"),
        post_chunked(&["tea", " for ", "two"]),
    ]
    .concat();
    let mut client = server.client();
    let root = client.get("/").unwrap().body;
    let all_answered = |client: &mut Client, how: &dyn Fn() -> String| {
        for expected in [&root[..], b"tea for two", b"tea for two"] {
            let answer = client
                .answer()
                .unwrap_or_else(|error| panic!("{}: {error}", how()));
            assert_eq!(
                (answer.status, &answer.body[..]),
                (200, expected),
                "{}",
                how()
            );
        }
    };
    for at in 1..requests.len() {
        client.send(&requests[..at]).unwrap();
        until_read(client.stream());
        client.send(&requests[at..]).unwrap();
        all_answered(&mut client, &|| {
            format!("split before {:?}", &requests[at..])
        });
    }
    for byte in requests.as_bytes() {
        client.send([*byte]).unwrap();
        until_read(client.stream());
    }
    all_answered(&mut client, &|| "byte by byte".to_owned());
}

/// A half-closed connection: the client has said its last, the server has not.
#[doc(alias = "test")]
pub fn a_client_that_says_no_more_still_gets_its_answers(subject: &Subject) {
    let server = Server::start(subject, &[]);
    let mut client = server.client();
    let large = get("/bytes/2000000");
    client
        .send([get("/"), get("/slow/50"), large, post("the last")].concat())
        .unwrap();
    client.stream().shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.answer().unwrap().status, 200);
    assert_eq!(client.answer().unwrap().status, 200);
    assert_eq!(client.answer().unwrap().body.len(), 2_000_000);
    assert_eq!(client.answer().unwrap().body, b"the last");
    assert_eq!(client.end().unwrap(), b"");

    // Half a request is none: it is refused, and the connection closed.
    let mut client = server.client();
    client
        .send([get("/"), "GET / HT".to_owned()].concat())
        .unwrap();
    client.stream().shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.answer().unwrap().status, 200);
    assert_eq!(client.answer().unwrap().status, 400);
    assert_eq!(client.end().unwrap(), b"");

    let mut client = server.client();
    client.stream().shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.end().unwrap(), b"");
}

/// Each with the methods that it has and one that it has not.
#[doc(alias = "test")]
pub fn every_route_answers(subject: &Subject) {
    let server = Server::start(subject, &[]);
    let mut client = server.client();
    let mut ask = |request: &str| {
        client.send(request).unwrap();
        client
            .answer()
            .unwrap_or_else(|error| panic!("{request:?}: {error}"))
    };
    for (path, status) in [
        ("/", 200),
        ("/?query", 200),
        ("http://localhost/", 200),
        ("/bytes/0", 200),
        ("/bytes/16384", 200),
        ("/bytes/16385", 200),
        ("/bytes/3000000", 200),
        ("/slow/0", 200),
        ("/stats", 200),
        ("/echo", 405),
        ("/bytes/", 404),
        ("/bytes/-1", 404),
        ("/bytes/1073741825", 404),
        ("/bytes/99999999999999999999", 404),
        ("/slow/10001", 404),
        ("/elsewhere", 404),
    ] {
        let answer = ask(&get(path));
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.field("date").is_some(), "{}", answer.head);
        if let Some(length) = path.strip_prefix("/bytes/").filter(|_| status == 200) {
            let length: usize = length.parse().unwrap();
            assert_eq!(answer.body.len(), length);
            let pieces = answer.body.chunks(pattern::PATTERN_LEN);
            assert!(
                pieces
                    .zip(std::iter::repeat(pattern::memory()))
                    .all(|(piece, all)| all.starts_with(piece))
            );
        }
    }
    for (method, path) in [
        ("DELETE", "/"),
        ("POST", "/bytes/1"),
        ("PUT", "/echo"),
        ("POST", "/stats"),
    ] {
        let answer = ask(&format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        ));
        assert_eq!(answer.status, 405, "{method} {path}");
        assert!(answer.field("allow").is_some(), "{}", answer.head);
    }
    // Content that a route has no use for is read all the same: a request follows it.
    let answer = ask("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n12345");
    assert_eq!(answer.status, 200);

    let start = Instant::now();
    assert_eq!(ask(&get("/slow/100")).status, 200);
    assert!(start.elapsed() >= Duration::from_millis(100));

    // HEAD: the fields of GET, and no body.
    let mut fields = |path: &str| {
        client
            .send(format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            .unwrap();
        let head = client.answer_to_head().unwrap();
        let get = client.get(path).unwrap();
        for name in ["content-length", "content-type"] {
            assert_eq!(head.field(name), get.field(name), "{path}");
        }
        (head.status, get.status)
    };
    for path in ["/", "/bytes/100", "/bytes/3000000", "/slow/1"] {
        assert_eq!(fields(path), (200, 200), "{path}");
    }
    assert_eq!(fields("/elsewhere"), (404, 404));
}

/// By its length, in chunks of any size, or empty.
#[doc(alias = "test")]
pub fn a_body_comes_back_whatever_its_framing(subject: &Subject) {
    let server = Server::start(subject, &[]);
    let mut client = server.client();
    let long = String::from_utf8(pattern::memory()[..exec_service::limits::MAX_ECHO_LEN].to_vec())
        .unwrap();
    let mut back = |request: String| {
        client.send(request).unwrap();
        let answer = client.answer().unwrap();
        assert_eq!(answer.status, 200);
        String::from_utf8(answer.body).unwrap()
    };
    for body in ["", "x", "some text", &long] {
        assert_eq!(back(post(body)), body);
        assert_eq!(
            back(post_chunked(&[body][..usize::from(!body.is_empty())])),
            body
        );
    }
    let chunks: Vec<&str> = long
        .as_bytes()
        .chunks(1000)
        .map(|chunk| std::str::from_utf8(chunk).unwrap())
        .collect();
    assert_eq!(back(post_chunked(&chunks)), long);
    let with_trailer = "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
                        3;why=not\r\ntea\r\n0\r\nDigest: none\r\n\r\n";
    assert_eq!(back(with_trailer.to_owned()), "tea");
}

/// Before it sends a body that nobody may want (RFC 9110 §10.1.1).
#[doc(alias = "test")]
pub fn a_client_that_asks_first_is_told_to_continue(subject: &Subject) {
    let server = Server::start(subject, &[]);
    let mut client = server.client();
    let head = |length: usize| {
        format!(
            "POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    for _ in 0..3 {
        client.send(head(3)).unwrap();
        assert_eq!(client.answer().unwrap().status, 100);
        client.send("tea").unwrap();
        let answer = client.answer().unwrap();
        assert_eq!((answer.status, &answer.body[..]), (200, &b"tea"[..]));
    }
    // Who does not wait is not told.
    client.send(head(3) + "tea").unwrap();
    assert_eq!(client.answer().unwrap().status, 200);
    // What is too long is refused before it is sent.
    client.send(head(1 << 30)).unwrap();
    let answer = client.answer().unwrap();
    assert!(answer.status == 413 && answer.closes(), "{}", answer.head);
    assert_eq!(client.end().unwrap(), b"");
}
