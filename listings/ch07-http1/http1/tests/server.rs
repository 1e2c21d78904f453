//! What a server's end of a connection says and allows.

mod support;

#[cfg(target_os = "linux")]
use std::time::Duration;

use http1::server::{Answer, Connection, Event, Phase};
use http1::{Error, Field, Length, Limits, Misuse, Scratch, Status, What};
use support::date;

/// The connection after a request, which is dealt with up to its last event.
fn asked(request: &[u8]) -> Connection {
    let (mut connection, mut scratch) = (Connection::new(), Scratch::default());
    let mut start = 0;
    loop {
        let (used, event) = connection.next(&request[start..], &mut scratch);
        start += used;
        match event {
            Event::End(_) | Event::More | Event::Answer => return connection,
            Event::Refused(error) => panic!("{error}"),
            _ => {}
        }
    }
}

fn get(fields: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n").into_bytes()
}

fn answer(connection: &mut Connection, status: Status, length: Length) -> Result<String, Misuse> {
    let mut out = Vec::new();
    let fields = &[];
    let answer = Answer {
        status,
        fields,
        length,
    };
    let answered = connection.answer(&answer, &date(), &mut out);
    if answered.is_err() {
        assert!(out.is_empty(), "a misuse that appends something");
    }
    answered.map(|()| String::from_utf8(out).expect("ASCII"))
}

/// What stands in an answer between status line and empty line, without the date.
fn head(out: &str) -> Vec<&str> {
    let (head, _) = out.split_once("\r\n\r\n").expect("an empty line");
    head.split("\r\n")
        .filter(|line| !line.starts_with("Date: "))
        .collect()
}

/// The event that comes next, by its name.
fn next(connection: &mut Connection, bytes: &[u8]) -> String {
    let mut scratch = Scratch::default();
    let (_, event) = connection.next(bytes, &mut scratch);
    let text = format!("{event:?}");
    text.split([' ', '(']).next().expect("a name").to_owned()
}

#[test]
fn requests_follow_each_other_until_a_side_wants_no_more() {
    let both = [get(""), get("Connection: close\r\n"), get("")].concat();
    let server = support::requests(&both, []);
    assert_eq!(server.heard.verdict(), "GET / 1 | GET / 2 close");
    let answers = String::from_utf8(server.out).unwrap();
    let answers: Vec<&str> = answers.split_inclusive("\r\n\r\n").collect();
    assert_eq!(head(answers[0]), ["HTTP/1.1 200 OK", "Content-Length: 0"]);
    assert_eq!(
        head(answers[1]),
        ["HTTP/1.1 200 OK", "Content-Length: 0", "Connection: close"]
    );
    assert_eq!(
        server.heard.rest,
        get("").len(),
        "what comes behind is not looked at"
    );
}

#[test]
fn a_thousand_pipelined_requests_get_a_thousand_answers_in_their_order() {
    let mut bytes = Vec::new();
    for number in 0..1000 {
        bytes.extend(format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes());
    }
    let server = support::requests(&bytes, (0..bytes.len()).step_by(777));
    let targets = server
        .heard
        .messages
        .iter()
        .map(|message| message.first.clone());
    assert!(targets.eq((0..1000).map(|number| format!("GET /{number}"))));
    let answers = support::responses(&server.out, [], &[http1::Asked::Other; 64], false);
    assert_eq!(answers.messages.len(), 64, "as many as were asked for");
    assert_eq!(answers.error().map(|error| error.what), Some(What::Unasked));
}

#[test]
fn the_next_request_waits_for_the_answer_to_the_one_before() {
    let both = [get(""), get("")].concat();
    let (mut connection, mut scratch) = (Connection::new(), Scratch::default());
    let (used, event) = connection.next(&both, &mut scratch);
    assert!(matches!(event, Event::Request(_)));
    let rest = &both[used..];
    assert!(matches!(
        connection.next(rest, &mut scratch),
        (0, Event::End(_))
    ));
    for _ in 0..2 {
        assert!(matches!(
            connection.next(rest, &mut scratch),
            (0, Event::Answer)
        ));
    }
    let mut out = Vec::new();
    connection
        .reply(Status::OK, &[], b"", &date(), &mut out)
        .unwrap();
    assert!(matches!(
        connection.next(rest, &mut scratch),
        (_, Event::Request(_))
    ));
}

#[test]
fn http_1_0_ends_with_the_answer_unless_the_client_asks_for_more() {
    let known = Length::Known(2);
    let mut once = asked(b"GET / HTTP/1.0\r\n\r\n");
    let out = answer(&mut once, Status::OK, known).unwrap();
    assert_eq!(
        head(&out),
        ["HTTP/1.1 200 OK", "Content-Length: 2", "Connection: close"]
    );

    let mut again = asked(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    let out = answer(&mut again, Status::OK, known).unwrap();
    assert_eq!(
        head(&out),
        [
            "HTTP/1.1 200 OK",
            "Content-Length: 2",
            "Connection: keep-alive"
        ]
    );
    let mut out = Vec::new();
    again.data(b"ok", &mut out).unwrap();
    again.end(&[], &mut out).unwrap();
    assert_eq!(next(&mut again, b"GET / HTTP/1.0\r\n\r\n"), "Request");
}

#[test]
fn content_of_unknown_length_goes_in_chunks_and_to_http_1_0_until_the_end() {
    let mut connection = asked(&get(""));
    let out = answer(&mut connection, Status::OK, Length::Unknown).unwrap();
    assert_eq!(
        head(&out),
        ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked"]
    );
    let mut out = Vec::new();
    for piece in [&b"hello"[..], b"", &[b'x'; 26]] {
        connection.data(piece, &mut out).unwrap();
    }
    let digest = [Field::literal("Digest", "x")];
    connection.end(&digest, &mut out).unwrap();
    let x = "x".repeat(26);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        format!("5\r\nhello\r\n1a\r\n{x}\r\n0\r\nDigest: x\r\n\r\n"),
        "an empty piece is no chunk: it would be the last"
    );
    assert_eq!(next(&mut connection, b""), "More");

    let mut old = asked(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let out = answer(&mut old, Status::OK, Length::Unknown).unwrap();
    assert_eq!(head(&out), ["HTTP/1.1 200 OK", "Connection: close"]);
    let mut out = Vec::new();
    old.data(b"hello", &mut out).unwrap();
    assert_eq!(old.end(&digest, &mut out), Err(Misuse::NotChunked));
    old.end(&[], &mut out).unwrap();
    assert_eq!(out, b"hello");
    assert_eq!(next(&mut old, b""), "Closed");
}

#[test]
fn an_answer_to_head_has_the_length_and_not_the_content() {
    let request = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
    for (length, field) in [
        (Length::Known(5), "Content-Length: 5"),
        (Length::Unknown, "Transfer-Encoding: chunked"),
    ] {
        for send in [true, false] {
            let mut connection = asked(request);
            let out = answer(&mut connection, Status::OK, length).unwrap();
            assert_eq!(head(&out), ["HTTP/1.1 200 OK", field]);
            assert!(!connection.sends_content());
            let mut out = Vec::new();
            if send {
                connection.data(b"hello", &mut out).unwrap();
            }
            connection.end(&[], &mut out).unwrap();
            assert!(out.is_empty(), "content in an answer to HEAD");
            assert_eq!(next(&mut connection, b""), "More");
        }
    }
}

#[test]
fn answers_204_and_304_have_neither_length_nor_content() {
    for (status, length) in [
        (Status::NO_CONTENT, Length::Known(0)),
        (Status::NOT_MODIFIED, Length::Known(0)),
        (Status::NOT_MODIFIED, Length::Known(5)),
        (Status::NOT_MODIFIED, Length::Unknown),
    ] {
        let mut connection = asked(&get(""));
        let out = answer(&mut connection, status, length).unwrap();
        assert_eq!(head(&out), [format!("HTTP/1.1 {status}")]);
        let mut out = Vec::new();
        connection.end(&[], &mut out).unwrap();
        assert!(out.is_empty());
    }
    let mut connection = asked(&get(""));
    for length in [Length::Known(1), Length::Unknown] {
        let refused = answer(&mut connection, Status::NO_CONTENT, length);
        assert_eq!(refused, Err(Misuse::WrongLength));
    }
}

#[test]
fn a_client_that_waits_is_told_to_go_on_once_and_only_if_it_waits() {
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    let (mut connection, mut scratch) = (Connection::new(), Scratch::default());
    assert!(matches!(
        connection.next(post, &mut scratch),
        (_, Event::Request(_))
    ));
    assert_eq!(next(&mut connection, b""), "Continue");
    assert_eq!(next(&mut connection, b""), "More", "once");
    let mut out = Vec::new();
    connection.send_continue(&mut out);
    assert_eq!(out, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.send_continue(&mut out);
    assert_eq!(out.len(), 25, "once");
    assert_eq!(next(&mut connection, b"ok"), "Data");
    assert_eq!(next(&mut connection, b""), "End");
    let out = answer(&mut connection, Status::OK, Length::Known(0)).unwrap();
    assert_eq!(
        head(&out),
        ["HTTP/1.1 200 OK", "Content-Length: 0"],
        "it stays open"
    );

    // Content came without leave: nobody waits.
    let mut eager = Connection::new();
    assert_eq!(next(&mut eager, post), "Request");
    assert_eq!(next(&mut eager, b"ok"), "Data");
    let mut out = Vec::new();
    eager.send_continue(&mut out);
    assert!(out.is_empty());

    // The final answer at once: nobody knows whether content follows.
    let mut refused = Connection::new();
    assert_eq!(next(&mut refused, post), "Request");
    let out = answer(&mut refused, Status::FORBIDDEN, Length::Known(0)).unwrap();
    let closes = [
        "HTTP/1.1 403 Forbidden",
        "Content-Length: 0",
        "Connection: close",
    ];
    assert_eq!(head(&out), closes);
}

#[test]
fn an_expectation_without_content_waits_for_nothing() {
    let mut connection = Connection::new();
    assert_eq!(
        next(&mut connection, &get("Expect: 100-continue\r\n")),
        "Request"
    );
    assert_eq!(next(&mut connection, b""), "End");
}

#[test]
fn an_answer_before_the_content_is_complete_leaves_the_rest_to_be_read() {
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";
    let mut connection = Connection::new();
    assert_eq!(next(&mut connection, post), "Request");
    let mut out = Vec::new();
    connection
        .reply(Status::OK, &[], b"", &date(), &mut out)
        .unwrap();
    assert_eq!(connection.phase(), Phase::Content);
    assert_eq!(next(&mut connection, b"abcd"), "Data");
    assert_eq!(next(&mut connection, b""), "End");
    assert_eq!(next(&mut connection, &get("")), "Request");

    let mut last = Connection::new();
    assert_eq!(next(&mut last, post), "Request");
    last.close_after_answer();
    last.reply(Status::OK, &[], b"", &date(), &mut out).unwrap();
    assert_eq!(next(&mut last, b"abcd"), "Closed", "nobody needs the rest");
}

#[test]
fn a_server_that_wants_to_end_says_so_in_the_answer() {
    let mut connection = asked(&get(""));
    connection.close_after_answer();
    assert!(!connection.is_persistent());
    let out = answer(&mut connection, Status::OK, Length::Known(0)).unwrap();
    assert_eq!(head(&out).last(), Some(&"Connection: close"));
    connection.end(&[], &mut Vec::new()).unwrap();
    assert_eq!(next(&mut connection, &get("")), "Closed");
}

#[test]
fn what_is_refused_is_answered_with_its_status_and_nothing_behind_it_is_read() {
    let mut bytes = get("Content-Length: 1, 1\r\n");
    bytes.extend(get(""));
    let server = support::requests(&bytes, []);
    assert_eq!(server.heard.verdict(), "! LengthInvalid 50");
    let out = String::from_utf8(server.out).unwrap();
    let (_, text) = out.split_once("\r\n\r\n").unwrap();
    assert_eq!(
        text,
        "a Content-Length that is no number at byte 50 (RFC 9112 §6.3)\n"
    );
    let fields = head(&out);
    assert_eq!(fields[0], "HTTP/1.1 400 Bad Request");
    assert_eq!(fields[2], format!("Content-Length: {}", text.len()));
    assert_eq!(fields[3], "Connection: close");
}

#[test]
fn what_is_wrong_behind_the_beginning_of_an_answer_only_ends_the_connection() {
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (mut connection, mut scratch) = (Connection::new(), Scratch::default());
    assert_eq!(next(&mut connection, post), "Request");
    answer(&mut connection, Status::OK, Length::Unknown).unwrap();
    let (_, event) = connection.next(b"nonsense", &mut scratch);
    let Event::Refused(error) = event else {
        panic!("{event:?}");
    };
    assert_eq!(
        (error.what, error.offset),
        (What::ChunkSize, post.len() as u64)
    );
    let mut out = Vec::new();
    connection.refuse(error, &date(), &mut out);
    assert!(out.is_empty(), "it would stand in the middle of the answer");
    assert_eq!(next(&mut connection, b""), "Closed");
}

#[test]
fn a_client_that_takes_too_long_is_told_so() {
    let mut connection = Connection::new();
    assert_eq!(next(&mut connection, b"GET / HT"), "More");
    let mut out = Vec::new();
    connection.refuse(Error::timeout(8), &date(), &mut out);
    assert!(out.starts_with(b"HTTP/1.1 408 Request Timeout\r\n"));
    assert!(out.ends_with("no more came in time at byte 8 (RFC 9110 §15.5.9)\n".as_bytes()));
    assert_eq!(next(&mut connection, b"TP/1.1"), "Closed");
}

#[test]
fn the_end_of_what_a_client_sends_is_clean_only_between_requests() {
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";
    for (sent, rest, expected) in [
        (&b""[..], &b""[..], "Closed"),
        (b"\r\n", b"\r\n", "Closed"),
        (b"GET", b"GET", "Refused"),
        (post, b"", "Refused"),
    ] {
        let mut connection = Connection::new();
        next(&mut connection, sent);
        let event = format!("{:?}", connection.end_of_input(rest));
        assert!(
            event.starts_with(expected),
            "{}: {event}",
            sent.escape_ascii()
        );
    }
    // A client that has asked, and only listens from now on.
    let mut connection = asked(&get(""));
    assert!(matches!(connection.end_of_input(b""), Event::Answer));
    let out = answer(&mut connection, Status::OK, Length::Known(0)).unwrap();
    assert_eq!(head(&out).last(), Some(&"Connection: close"));
    connection.end(&[], &mut Vec::new()).unwrap();
    assert!(matches!(connection.end_of_input(b""), Event::Closed));
    assert_eq!(next(&mut connection, b""), "Closed");
}

#[test]
fn interim_answers_come_before_the_answer_and_not_to_http_1_0() {
    let link = [Field::literal("Link", "</style.css>; rel=preload")];
    let hints = Answer {
        status: Status::EARLY_HINTS,
        fields: &link,
        length: Length::Known(0),
    };
    let mut connection = asked(&get(""));
    let mut out = Vec::new();
    connection.answer(&hints, &date(), &mut out).unwrap();
    let expected = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n";
    assert_eq!(out, expected.as_bytes());
    assert!(connection.owes_answer());

    let mut old = asked(b"GET / HTTP/1.0\r\n\r\n");
    out.clear();
    old.answer(&hints, &date(), &mut out).unwrap();
    assert!(out.is_empty() && old.owes_answer());
}

#[test]
fn a_tunnel_begins_where_connect_succeeds_or_an_offer_is_taken() {
    let nothing = Length::Known(0);
    let mut connect = asked(b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n");
    let out = answer(&mut connect, Status::OK, nothing).unwrap();
    assert_eq!(
        head(&out),
        ["HTTP/1.1 200 OK"],
        "no length: what follows is no content"
    );
    assert_eq!(next(&mut connect, b"\x16\x03\x01"), "Tunnel");
    assert_eq!(connect.phase(), Phase::Over);

    let offer = get("Connection: Upgrade\r\nUpgrade: websocket\r\n");
    let mut upgrade = asked(&offer);
    let out = answer(&mut upgrade, Status::SWITCHING_PROTOCOLS, nothing).unwrap();
    assert_eq!(
        head(&out),
        ["HTTP/1.1 101 Switching Protocols", "Connection: upgrade"]
    );
    assert_eq!(next(&mut upgrade, b"frames"), "Tunnel");

    // Nobody has offered; the content is not complete; the answer is a refusal.
    let switch =
        |connection: &mut Connection| answer(connection, Status::SWITCHING_PROTOCOLS, nothing);
    assert_eq!(switch(&mut asked(&get(""))), Err(Misuse::OutOfTurn));
    let post = get("Connection: upgrade\r\nContent-Length: 1\r\n");
    assert_eq!(switch(&mut asked(&post)), Err(Misuse::OutOfTurn));
    let mut refused = asked(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
    let out = answer(&mut refused, Status::FORBIDDEN, nothing).unwrap();
    assert_eq!(head(&out), ["HTTP/1.1 403 Forbidden", "Content-Length: 0"]);
    refused.end(&[], &mut Vec::new()).unwrap();
    assert_eq!(next(&mut refused, b""), "More");
}

#[test]
fn a_date_of_the_callers_own_stands_alone() {
    let mut connection = asked(&get(""));
    let fields = [Field::literal("date", "Sun, 06 Nov 1994 08:49:38 GMT")];
    let mut out = Vec::new();
    connection
        .reply(Status::OK, &fields, b"", &date(), &mut out)
        .unwrap();
    let out = String::from_utf8(out).unwrap().to_lowercase();
    assert_eq!(out.matches("date: ").count(), 1);
    assert!(out.contains("08:49:38"));
}

#[test]
fn a_status_that_nobody_has_registered_can_be_sent() {
    let mut connection = asked(&get(""));
    let status = Status::new(299).unwrap();
    let out = answer(&mut connection, status, Length::Known(0)).unwrap();
    assert_eq!(head(&out)[0], "HTTP/1.1 299 ");
    assert_eq!((Status::new(99), Status::new(600)), (None, None));
}

#[test]
fn misuse_is_refused_and_appends_nothing() {
    let mut out = Vec::new();
    let mut idle = Connection::new();
    let nothing = Length::Known(0);
    assert_eq!(
        answer(&mut idle, Status::OK, nothing),
        Err(Misuse::OutOfTurn)
    );
    assert_eq!(idle.data(b"x", &mut out), Err(Misuse::OutOfTurn));
    assert_eq!(idle.end(&[], &mut out), Err(Misuse::OutOfTurn));

    for name in ["Content-Length", "transfer-encoding", "CONNECTION"] {
        let fields = [Field::literal(name, "1")];
        let reply = asked(&get("")).reply(Status::OK, &fields, b"", &date(), &mut out);
        assert_eq!(reply, Err(Misuse::FramingField), "{name}");
        let mut chunked = asked(&get(""));
        answer(&mut chunked, Status::OK, Length::Unknown).unwrap();
        assert_eq!(
            chunked.end(&fields, &mut out),
            Err(Misuse::FramingField),
            "{name}"
        );
    }

    let mut connection = asked(&get(""));
    answer(&mut connection, Status::OK, Length::Known(5)).unwrap();
    assert_eq!(
        answer(&mut connection, Status::OK, nothing),
        Err(Misuse::OutOfTurn),
        "twice"
    );
    assert!(connection.sends_content());
    assert_eq!(connection.sent(6), Err(Misuse::WrongLength));
    assert_eq!(
        connection.data(b"123456", &mut out),
        Err(Misuse::WrongLength)
    );
    assert_eq!(connection.end(&[], &mut out), Err(Misuse::WrongLength));
    connection.sent(3).unwrap();
    assert!(out.is_empty());
    connection.data(b"45", &mut out).unwrap();
    connection.end(&[], &mut out).unwrap();
    assert_eq!(out, b"45");

    let mut chunked = asked(&get(""));
    answer(&mut chunked, Status::OK, Length::Unknown).unwrap();
    assert_eq!(chunked.sent(1), Err(Misuse::NotChunked));
}

#[test]
fn the_phase_says_what_is_waited_for() {
    let mut scratch = Scratch::default();
    let mut connection = Connection::new();
    assert_eq!(connection.phase(), Phase::Idle);
    connection.next(b"POST", &mut scratch);
    assert_eq!(connection.phase(), Phase::Head);
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n";
    connection.next(post, &mut scratch);
    assert_eq!(connection.phase(), Phase::Content);
    connection.next(b"ok", &mut scratch);
    connection.next(b"", &mut scratch);
    assert_eq!(connection.phase(), Phase::Answer);
    connection
        .reply(Status::OK, &[], b"", &date(), &mut Vec::new())
        .unwrap();
    assert_eq!(connection.phase(), Phase::Idle);
    connection.next(b"\0", &mut scratch);
    assert_eq!(connection.phase(), Phase::Over);
}

#[test]
fn limits_are_kept_to_the_byte() {
    let limits = Limits {
        start_line: 40,
        field_line: 50,
        fields: 3,
        head: 120,
        body: 5,
        ..Limits::DEFAULT
    };
    let verdict = |bytes: String| {
        let mut server = support::Server::new(Scratch::new(limits));
        server.take(bytes.as_bytes());
        server.heard.verdict()
    };
    let target = |len: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(len - 14));
    assert!(verdict(target(40)).starts_with("GET"));
    assert_eq!(verdict(target(41)), "! TargetTooLong 40");
    let field = |len: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
            "x".repeat(len - 3)
        )
    };
    assert!(verdict(field(50)).starts_with("GET"));
    assert_eq!(verdict(field(51)), "! FieldTooLong 75");
    let fields = |count: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "X: y\r\n".repeat(count - 1)
        )
    };
    assert!(verdict(fields(3)).starts_with("GET"));
    assert_eq!(verdict(fields(4)), "! TooManyFields 37");
    let exact = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\nY: {}\r\n\r\n",
        "a".repeat(46),
        "b".repeat(37)
    );
    assert_eq!(exact.len(), 120);
    assert!(verdict(exact.clone()).starts_with("GET"));
    assert_eq!(verdict(exact.replace("Y: ", "Y:  ")), "! TooLong 120");
    let post = |length: usize| {
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n12345")
    };
    assert!(verdict(post(5)).starts_with("POST / 2 \"12345\""));
    assert_eq!(verdict(post(6)), "! BodyTooLong 42");
    let chunks = |more: &str| {
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n{more}\r\n0\r\n\r\n"
        )
    };
    assert!(verdict(chunks("2\r\nde")).starts_with("POST / 2 \"abcde\""));
    assert!(verdict(chunks("3\r\ndef")).contains("! BodyTooLong"));
}

/// The thread's own time, which others on the machine do not use up.
#[cfg(target_os = "linux")]
fn thread_time() -> Duration {
    let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
    let now = nix::time::clock_gettime(clock).expect("a clock that every thread has");
    now.into()
}

/// Time for one more byte must not grow with the bytes that are there: four times as many take four
/// times as long, not sixteen times.
#[cfg(target_os = "linux")]
#[test]
fn a_client_that_sends_single_bytes_costs_no_more_than_its_bytes() {
    let shapes: [fn(usize) -> String; 3] = [
        |len| format!("GET /{} HTTP/1.1\r\n", "x".repeat(len)),
        |len| {
            let field = format!("X: {}\r\n", "y".repeat(len / 99 - 5));
            format!("GET / HTTP/1.1\r\n{}", field.repeat(98))
        },
        |len| format!("GET / HTTP/1.1\r\nX: {}\r\n", "\u{e9}\t".repeat(len / 3)),
    ];
    let limits = Limits {
        start_line: 20_000,
        field_line: 20_000,
        head: 20_000,
        ..Limits::DEFAULT
    };
    let mut scratch = Scratch::new(limits);
    let mut time = |bytes: &[u8]| {
        let begun = thread_time();
        let mut connection = Connection::new();
        for end in 1..bytes.len() {
            let (used, event) = connection.next(&bytes[..end], &mut scratch);
            assert!(used == 0 && matches!(event, Event::More), "{event:?}");
        }
        thread_time() - begun
    };
    for shape in shapes {
        let (short, long) = (shape(4_000), shape(16_000));
        // The shortest of many runs is the one that nobody disturbed.
        let mut best = [Duration::MAX; 2];
        for _ in 0..15 {
            for (best, bytes) in best.iter_mut().zip([&short, &long]) {
                *best = time(bytes.as_bytes()).min(*best);
            }
        }
        let ratio = best[1].as_secs_f64() / best[0].as_secs_f64();
        assert!(ratio < 8.0, "{ratio}: {best:?}");
    }
}

#[test]
fn a_connection_at_rest_is_small() {
    assert!(
        size_of::<Connection>() <= 256,
        "{}",
        size_of::<Connection>()
    );
}
