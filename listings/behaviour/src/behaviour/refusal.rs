//! What is no request, or more than one to some and less to others.

use exec_service::client::get;

use crate::{Server, Subject};

/// What is sent, and with which status it is refused.
fn refused() -> Vec<(String, u16)> {
    let head = |rest: &str| format!("POST /echo HTTP/1.1\r\nHost: localhost\r\n{rest}");
    let long = "x".repeat(20_000);
    vec![
        ("nonsense\r\n\r\n".into(), 400),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\x00".into(), 400), // the beginning of a TLS handshake
        ("GET /\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\n\r\n".into(), 400), // no Host
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\nHost: localhost\n\n".into(), 400), // bare LF
        ("GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n".into(), 400),
        ("GET / HTTP/2.0\r\nHost: localhost\r\n\r\n".into(), 505),
        (
            "GET / HTTP/1.1\r\nHost: localhost\r\nX : y\r\n\r\n".into(),
            400,
        ),
        (
            "GET / HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n".into(),
            400,
        ),
        (
            "GET / HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n".into(),
            400,
        ),
        (format!("GET /{long} HTTP/1.1\r\n"), 414),
        (
            format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n"),
            431,
        ),
        (head("Content-Length: ten\r\n\r\n"), 400),
        (head("Content-Length: -1\r\n\r\n"), 400),
        (head("Content-Length: +1\r\n\r\n"), 400),
        (head("Content-Length: 3, 3\r\n\r\n"), 400),
        (head("Content-Length: 99999999999\r\n\r\n"), 413),
        (head("Transfer-Encoding: gzip\r\n\r\n"), 400),
        (head("Transfer-Encoding: chunked\r\n\r\nZ\r\n"), 400),
        (head("Transfer-Encoding: chunked\r\n\r\n3\r\nteaX"), 400),
        (head("Transfer-Encoding: chunked\r\n\r\n-1\r\n"), 400),
        (head("Expect: magic\r\nContent-Length: 0\r\n\r\n"), 417),
        // What two servers in a row could take for different requests.
        (head("Content-Length: 4\r\nContent-Length: 5\r\n\r\n"), 400),
        (
            head(
                "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n",
            ),
            400,
        ),
        (
            head("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
            400,
        ),
        (head("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), 400),
        (head("Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n"), 400),
        (
            "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
            400,
        ),
    ]
}

/// Each gets the status that says why, then the end; nothing behind it is taken for a request, and
/// other connections notice nothing.
#[doc(alias = "test")]
pub fn malformed_and_smuggling_requests_are_refused_and_others_go_on(subject: &Subject) {
    let server = Server::start(subject, &[]);
    let mut other = server.client();
    for (request, status) in refused() {
        let mut client = server.client();
        // What came before is answered, what comes after is not.
        client
            .send([&get("/"), &*request, &get("/elsewhere")].concat())
            .unwrap();
        assert_eq!(client.answer().unwrap().status, 200);
        let answer = client
            .answer()
            .unwrap_or_else(|error| panic!("{request:.99?}: {error}"));
        assert_eq!(answer.status, status, "{request:.99?}");
        assert!(answer.closes(), "{request:.99?}");
        assert_eq!(client.end().unwrap(), b"", "{request:.99?}");
        if subject.is_concurrent() {
            assert_eq!(other.get("/").unwrap().status, 200);
        }
    }
    assert_eq!(server.get("/").status, 200);
}
