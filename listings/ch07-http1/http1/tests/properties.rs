//! What holds for every message: reading undoes writing, however the bytes are cut.

mod support;

use http1::{
    Asked, Field, Framing, Length, Method, Scratch, Status, Target, chunked, client, server,
};
use proptest::collection::vec;
use proptest::prelude::*;
use support::{Last, Pair, date};

fn token() -> impl Strategy<Value = Vec<u8>> {
    proptest::string::bytes_regex("[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}").unwrap()
}

/// What may be in a value, without white space at its ends.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let bytes = proptest::string::bytes_regex(
        "(?-u)([!-~\\x80-\\xff]([\t -~\\x80-\\xff]{0,80}[!-~\\x80-\\xff])?)?",
    );
    bytes.unwrap()
}

/// Fields that are the caller's to write.
fn fields(most: usize) -> impl Strategy<Value = Vec<Pair>> {
    let ours = [
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "expect",
        "date",
    ];
    let name = token().prop_filter("the connection's own", move |name| {
        let is = |known: &&str| name.eq_ignore_ascii_case(known.as_bytes());
        !ours.iter().any(is)
    });
    vec((name, value()), 0..most)
}

fn written(pairs: &[Pair]) -> Vec<Field<'_>> {
    let mut fields = Vec::new();
    for (name, value) in pairs {
        fields.push(Field::new(name, value).expect("a field"));
    }
    fields
}

fn method() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH",
    ];
    let known = proptest::sample::select(known.map(|name| name.as_bytes().to_vec()).to_vec());
    let other = token().prop_filter("its target has a form of its own", |name| {
        name != b"CONNECT"
    });
    prop_oneof![known, other]
}

fn target() -> impl Strategy<Value = Vec<u8>> {
    proptest::string::bytes_regex("(https?://[a-z0-9.-]{1,20}(:[0-9]{1,4})?)?/[!$-;=?-~]{0,60}")
        .unwrap()
}

/// Content as the pieces in which it is handed over, and whether its length is said before.
fn content() -> impl Strategy<Value = (Vec<Vec<u8>>, bool)> {
    (vec(vec(any::<u8>(), 0..50), 0..5), any::<bool>())
}

fn length(pieces: &[Vec<u8>], known: bool) -> Length {
    match known {
        true => Length::Known(pieces.iter().map(|piece| piece.len() as u64).sum()),
        false => Length::Unknown,
    }
}

/// Where the bytes are cut, as shares of their length.
fn ends(shares: &[f64], len: usize) -> Vec<usize> {
    let mut ends: Vec<usize> = shares
        .iter()
        .map(|share| (share * len as f64) as usize)
        .collect();
    ends.sort_unstable();
    ends
}

proptest! {
    #[test]
    fn a_server_reads_the_request_that_a_client_writes(
        method in method(), target in target(), pairs in fields(12),
        (pieces, known) in content(), trailers in fields(3), cuts in vec(0.0..1.0, 0..6),
    ) {
        let name = Method::new(&method).unwrap();
        let host = Field::literal("Host", "a.example");
        let all: Vec<Field> = std::iter::once(host).chain(written(&pairs)).collect();
        let mut out = Vec::new();
        let mut connection = client::Connection::new();
        let length = length(&pieces, known);
        let to = Target::new(&target, name).unwrap();
        connection.request(name, to, &all, Some(length), &mut out).unwrap();
        for piece in &pieces {
            connection.data(piece, &mut out).unwrap();
        }
        let trailers = if known { Vec::new() } else { trailers };
        connection.end(&written(&trailers), &mut out).unwrap();

        let server = support::requests(&out, ends(&cuts, out.len()));
        prop_assert_eq!(server.heard.last, Last::More);
        prop_assert_eq!(server.heard.rest, 0);
        prop_assert_eq!(server.heard.messages.len(), 1);
        let heard = &server.heard.messages[0];
        let first = [&method[..], b" ", &target].concat();
        prop_assert_eq!(heard.first.as_bytes(), &first[..]);
        prop_assert_eq!(&heard.fields[1..=pairs.len()], &pairs[..]);
        prop_assert_eq!(&heard.content, &pieces.concat());
        prop_assert_eq!(&heard.trailers, &trailers);
        prop_assert!(heard.complete && heard.persistent);
        support::heads_agree(&out);
    }

    #[test]
    fn a_client_reads_the_answer_that_a_server_writes(
        code in (200..600_u16).prop_filter("they have no content", |code| ![204, 304].contains(code)),
        pairs in fields(12), (pieces, known) in content(), trailers in fields(3), head in any::<bool>(),
        old in any::<bool>(), cuts in vec(0.0..1.0, 0..6),
    ) {
        let request = match (head, old) {
            (true, false) => "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
            (false, false) => "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            (true, true) => "HEAD / HTTP/1.0\r\n\r\n",
            (false, true) => "GET / HTTP/1.0\r\n\r\n",
        };
        let (mut connection, mut scratch) = (server::Connection::new(), Scratch::default());
        connection.next(request.as_bytes(), &mut scratch);
        connection.next(b"", &mut scratch);
        let mut out = Vec::new();
        let status = Status::new(code).unwrap();
        let fields = written(&pairs);
        let length = length(&pieces, known);
        let answer = server::Answer { status, fields: &fields, length };
        connection.answer(&answer, &date(), &mut out).unwrap();
        for piece in &pieces {
            connection.data(piece, &mut out).unwrap();
        }
        let trailers = if known || old { Vec::new() } else { trailers };
        connection.end(&written(&trailers), &mut out).unwrap();

        let asked = if head { Asked::Head } else { Asked::Other };
        let heard = support::responses(&out, ends(&cuts, out.len()), &[asked], true);
        prop_assert_eq!(heard.error(), None);
        prop_assert_eq!(heard.messages.len(), 1);
        let response = &heard.messages[0];
        prop_assert_eq!(&response.first, &code.to_string());
        prop_assert_eq!(&response.fields[1..=pairs.len()], &pairs[..]);
        let content = if head { Vec::new() } else { pieces.concat() };
        prop_assert_eq!(&response.content, &content);
        prop_assert_eq!(&response.trailers, if head { &[][..] } else { &trailers[..] });
        prop_assert!(response.complete);
        prop_assert_eq!(response.framing == Some(Framing::UntilClose), !known && old && !head);
        prop_assert_eq!(response.persistent, !old);
    }

    #[test]
    fn chunks_are_undone_however_they_are_cut_and_extended(
        pieces in vec(vec(any::<u8>(), 1..100), 0..8), zeros in 0..10_usize,
        name in token(), cuts in vec(0.0..1.0, 0..6),
    ) {
        let mut coded = Vec::new();
        for piece in &pieces {
            coded.extend(std::iter::repeat_n(b'0', zeros));
            let mut room = [0; chunked::MAX_HEAD];
            let head = chunked::head(piece.len() as u64, &mut room);
            coded.extend(head.strip_suffix(b"\r\n").unwrap());
            coded.extend([b" ; ", &name[..], b" = \"\\\"quoted\"\r\n"].concat());
            coded.extend([piece, chunked::END].concat());
        }
        coded.extend(b"0\r\n\r\n");

        let (mut decoder, mut scratch) = (chunked::Decoder::new(), Scratch::default());
        let (mut found, mut start, mut over) = (Vec::<u8>::new(), 0, false);
        for end in ends(&cuts, coded.len()).into_iter().chain([coded.len()]) {
            while !over {
                let (used, piece) = decoder.next(&coded[start..end.max(start)], &mut scratch).unwrap();
                start += used;
                match piece {
                    chunked::Piece::More => break,
                    chunked::Piece::Data(data) => found.extend(data),
                    chunked::Piece::End(fields) => {
                        prop_assert!(fields.is_empty());
                        over = true;
                    }
                }
            }
        }
        prop_assert!(over && start == coded.len());
        prop_assert_eq!(found, pieces.concat());
    }

    /// What can be written is what can be read, and the other way round.
    #[test]
    fn a_field_is_one_exactly_if_a_head_can_bear_it(
        name in prop_oneof![token(), vec(any::<u8>(), 0..4)],
        text in prop_oneof![value(), vec(any::<u8>(), 0..4)],
    ) {
        let head = [b"GET / HTTP/1.0\r\n", &name[..], b":", &text, b"\r\n\r\n"].concat();
        let mut scratch = Scratch::default();
        let read = http1::Request::parse(&head, &mut scratch);
        match Field::new(&name, &text) {
            Ok(field) => match read {
                Ok(Some(request)) => {
                    let found: Vec<Field> = request.fields().iter().collect();
                    prop_assert_eq!(found, [field]);
                }
                Ok(None) => prop_assert!(false, "not complete"),
                // A right field with a wrong sense, such as `Host: a b`.
                Err(error) => prop_assert!(error.what.section().1 != "5.1", "{}", error),
            },
            // Read it may be, but as another: `a:` and nothing is `a` and a colon.
            Err(_) => {
                let is = |field: Field| field.name() == name && field.value() == text;
                let read = read.ok().flatten();
                prop_assert!(!read.is_some_and(|request| request.fields().iter().any(is)));
            }
        }
    }

    /// A byte of a good message is another, is missing, or stands twice.
    #[test]
    fn a_damaged_message_comes_to_the_same_however_it_is_cut(
        number in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        kind in 0..3, cuts in vec(0.0..1.0, 0..4),
    ) {
        let messages: [&[u8]; 4] = [
            b"GET http://a:80/?b HTTP/1.1\r\nHost: a:80\r\nConnection: close, x\r\nA-Field: with a value\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhelloGET / HTTP/1.0\r\n\r\n",
            b"PUT /x HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n0\r\nA: b\r\n\r\n",
            b"\r\nOPTIONS * HTTP/1.1\r\nHost:\r\nUser-Agent: a-rather-long-name/1.0\r\n\r\n",
        ];
        let mut bytes = number.get(&messages).to_vec();
        let at = at.index(bytes.len());
        match kind {
            0 => bytes[at] = byte,
            1 => drop(bytes.remove(at)),
            _ => bytes.insert(at, bytes[at]),
        }
        support::requests_hold(&bytes, ends(&cuts, bytes.len()));
        support::requests_hold(&bytes, 0..bytes.len());
        support::heads_agree(&bytes);
    }
}
