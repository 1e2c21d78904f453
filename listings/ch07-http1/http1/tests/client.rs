//! What a client's end of a connection says and allows.

mod support;

use http1::client::{Connection, Event, MAX_OUTSTANDING};
use http1::{Asked, Field, Length, Method, Misuse, Scratch, Status, Target, What};
use support::{Last, responses};

const HOST: Field = Field::literal("Host", "a.example");
const ROOT: Target = Target::Origin(b"/");

fn ask(
    connection: &mut Connection,
    method: Method,
    length: Option<Length>,
) -> Result<String, Misuse> {
    let mut out = Vec::new();
    let asked = connection.request(method, ROOT, &[HOST], length, &mut out);
    asked.map(|()| String::from_utf8(out).expect("ASCII"))
}

#[test]
fn a_request_has_the_framing_of_its_content() {
    let first = |method: &str| format!("{method} / HTTP/1.1\r\nHost: a.example\r\n");
    let mut connection = Connection::new();
    let out = ask(&mut connection, Method::Get, None).unwrap();
    assert_eq!(out, first("GET") + "\r\n");

    let out = ask(&mut connection, Method::Post, Some(Length::Known(2))).unwrap();
    assert_eq!(out, first("POST") + "Content-Length: 2\r\n\r\n");
    assert_eq!(
        ask(&mut connection, Method::Get, None),
        Err(Misuse::OutOfTurn),
        "within another"
    );
    let mut out = Vec::new();
    assert_eq!(connection.end(&[], &mut out), Err(Misuse::WrongLength));
    connection.sent(1).unwrap();
    connection.data(b"k", &mut out).unwrap();
    connection.end(&[], &mut out).unwrap();
    assert_eq!(out, b"k");

    let patch = Method::new(b"PATCH-2").unwrap();
    let out = ask(&mut connection, patch, Some(Length::Unknown)).unwrap();
    assert_eq!(out, first("PATCH-2") + "Transfer-Encoding: chunked\r\n\r\n");
    let mut out = Vec::new();
    connection.data(b"hello", &mut out).unwrap();
    connection
        .end(&[Field::literal("Digest", "x")], &mut out)
        .unwrap();
    assert_eq!(out, b"5\r\nhello\r\n0\r\nDigest: x\r\n\r\n");
    assert_eq!(connection.data(b"x", &mut out), Err(Misuse::OutOfTurn));
}

#[test]
fn a_request_names_one_host_and_leaves_framing_to_the_connection() {
    let mut out = Vec::new();
    let mut request =
        |fields: &[Field]| Connection::new().request(Method::Get, ROOT, fields, None, &mut out);
    assert_eq!(request(&[]), Err(Misuse::Host));
    assert_eq!(request(&[HOST, HOST]), Err(Misuse::Host));
    for name in ["Content-Length", "Transfer-Encoding", "Connection"] {
        let field = Field::literal(name, "5");
        assert_eq!(request(&[HOST, field]), Err(Misuse::FramingField), "{name}");
    }
    assert!(out.is_empty());
}

#[test]
fn no_target_and_no_method_can_break_a_request_line() {
    for target in [&b""[..], b"/ HTTP/1.1\r\nX: y", b"/\0", b"/a b", b"x", b"*"] {
        assert!(
            Target::new(target, Method::Get).is_err(),
            "{}",
            target.escape_ascii()
        );
    }
    for method in [&b""[..], b"GET ", b"G\r\nT", b"G:T"] {
        assert!(Method::new(method).is_err(), "{}", method.escape_ascii());
    }
    assert_eq!(Target::new(b"*", Method::Options), Ok(Target::Asterisk));
    assert_eq!(
        Target::new(b"a:1", Method::Connect),
        Ok(Target::Authority(b"a:1"))
    );
    let absolute = Target::new(b"http://a:1/b?c", Method::Get).unwrap();
    assert_eq!(
        (absolute.path(), absolute.query()),
        (&b"/b"[..], Some(&b"c"[..]))
    );
}

#[test]
fn pipelined_responses_belong_to_their_requests_in_their_order() {
    let asked = [Asked::Head, Asked::Other, Asked::Head];
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let bytes = format!("{length}{length}hello{length}");
    let heard = responses(bytes.as_bytes(), [], &asked, false);
    assert_eq!(heard.verdict(), "200 1 | 200 1 \"hello\" | 200 1");

    let mut connection = Connection::new();
    for number in 0..MAX_OUTSTANDING {
        assert_eq!(connection.outstanding(), number);
        ask(&mut connection, Method::Get, None).unwrap();
    }
    let more = ask(&mut connection, Method::Get, None);
    assert_eq!(more, Err(Misuse::TooManyRequests));
}

#[test]
fn a_server_that_closes_leaves_the_later_requests_to_be_sent_again() {
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let (mut connection, mut scratch) = (Connection::new(), Scratch::default());
    for _ in 0..3 {
        ask(&mut connection, Method::Get, None).unwrap();
    }
    let (used, event) = connection.next(bytes, &mut scratch);
    assert!(matches!(event, Event::Response(_)) && used == bytes.len());
    assert!(matches!(
        connection.next(b"", &mut scratch),
        (0, Event::End(_))
    ));
    assert!(matches!(
        connection.next(b"", &mut scratch),
        (0, Event::Closed)
    ));
    assert_eq!(connection.outstanding(), 2);
    assert!(!connection.is_persistent());
    assert_eq!(
        ask(&mut connection, Method::Get, None),
        Err(Misuse::OutOfTurn)
    );
}

#[test]
fn a_client_that_wants_no_more_says_so() {
    let (mut connection, mut scratch) = (Connection::new(), Scratch::default());
    ask(&mut connection, Method::Get, None).unwrap();
    connection.close_after_request();
    let out = ask(&mut connection, Method::Get, None).unwrap();
    assert!(out.ends_with("\r\nConnection: close\r\n\r\n"));
    assert!(!connection.is_persistent());
    // Both are answered before it ends.
    let bytes = b"HTTP/1.1 204 No Content\r\n\r\n".repeat(2);
    let mut start = 0;
    let mut ends = 0;
    loop {
        let (used, event) = connection.next(&bytes[start..], &mut scratch);
        start += used;
        match event {
            Event::Response(response) => assert_eq!(response.status(), Status::NO_CONTENT),
            Event::End(_) => ends += 1,
            Event::Closed => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((ends, connection.outstanding()), (2, 0));
}

#[test]
fn the_end_of_the_connection_ends_only_what_goes_until_then() {
    let cut = |bytes: &[u8]| responses(bytes, [], &[Asked::Other], true);
    let heard = cut(b"HTTP/1.1 200 OK\r\n\r\nhello");
    assert_eq!(heard.verdict(), "200 0 \"hello\" close");
    for bytes in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let error = cut(bytes).error().expect("cut off");
        assert_eq!(
            (error.what, error.offset),
            (What::CutOff, bytes.len() as u64)
        );
    }
    // Nothing is waited for, and nothing came.
    assert_eq!(responses(b"", [], &[], true).last, Last::Closed);
}

#[test]
fn what_no_request_asked_for_is_refused() {
    let heard = responses(b"HTTP/1.1 408 Request Timeout\r\n\r\n", [], &[], false);
    assert_eq!(heard.error().map(|error| error.what), Some(What::Unasked));
}
