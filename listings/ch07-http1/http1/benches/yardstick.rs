//! Reading heads against httparse, on the requests and responses of its own benchmark.
//!
//! ```text
//! cargo bench -p http1
//! ```
//!
//! All contestants take turns in one run, so that a machine that slows down slows all of them
//! down; what counts is the ratio of the medians, theirs to ours. Above 1, ours is faster. httparse
//! finds the parts of a head; ours weighs Host, framing and persistence besides, and keeps limits.

use std::hint::black_box;

use http1::{Asked, Date, Field, Request, Response, Scratch, Status, server};
use testkit::yardstick::compare;

/// `benches/parse.rs` of httparse 1.10 has these four.
const REQUEST_SHORT: &[u8] = b"GET / HTTP/1.0\r\n\
    Host: example.com\r\n\
    Cookie: session=60; user_id=1\r\n\r\n";

const RESPONSE_SHORT: &[u8] = b"HTTP/1.0 200 OK\r\n\
    Date: Wed, 21 Oct 2015 07:28:00 GMT\r\n\
    Set-Cookie: session=60; user_id=1\r\n\r\n";

const FIELDS: &str = "\
    Host: www.kittyhell.com\r\n\
    User-Agent: Mozilla/5.0 (Macintosh; U; Intel Mac OS X 10.6; ja-JP-mac; rv:1.9.2.3) \
    Gecko/20100401 Firefox/3.6.3 Pathtraq/0.9\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: ja,en-us;q=0.7,en;q=0.3\r\n\
    Accept-Encoding: gzip,deflate\r\n\
    Accept-Charset: Shift_JIS,utf-8;q=0.7,*;q=0.7\r\n\
    Keep-Alive: 115\r\n\
    Connection: keep-alive\r\n\
    Cookie: wp_ozh_wsa_visits=2; wp_ozh_wsa_visit_lasttime=xxxxxxxxxx; \
    __utma=xxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.x; \
    __utmz=xxxxxxxxx.xxxxxxxxxx.x.x.utmccn=(referral)|utmcsr=reader.livedoor.com|\
    utmcct=/reader/|utmcmd=referral|padding=under256\r\n\r\n";

fn main() {
    println!("nanoseconds each, and how many times ours it takes\n");
    let request = format!(
        "GET /wp-content/uploads/2010/03/hello-kitty-darth-vader-pink.jpg HTTP/1.1\r\n{FIELDS}"
    );
    let response = format!("HTTP/1.1 200 OK\r\nDate: Wed, 21 Oct 2015 07:28:00 GMT\r\n{FIELDS}");
    requests("its request", request.as_bytes());
    requests("its short request", REQUEST_SHORT);
    responses("its response", response.as_bytes());
    responses("its short response", RESPONSE_SHORT);

    let wrk = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";
    requests("what wrk sends", wrk.as_bytes());
    let long = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nCookie: {}\r\n\r\n",
        "x".repeat(4096)
    );
    requests("a value of 4096 bytes", long.as_bytes());
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "a: b\r\n".repeat(99));
    requests("99 tiny fields more", many.as_bytes());
    whole_exchange(wrk.as_bytes());
}

/// Of both, also with every field looked at: httparse gives a list of slices, ours one of places.
fn requests(what: &str, bytes: &[u8]) {
    let (mut scratch, mut scratch_2) = (Scratch::default(), Scratch::default());
    let mut slots = [httparse::EMPTY_HEADER; http1::MAX_FIELDS];
    let mut slots_2 = slots;
    compare(
        &format!("{what}, {} bytes", bytes.len()),
        vec![
            (
                "ours",
                Box::new(|| {
                    let request = Request::parse(black_box(bytes), &mut scratch);
                    let request = request.expect("right").expect("complete");
                    black_box(&request).head_len() as u64
                }),
            ),
            (
                "httparse",
                Box::new(|| {
                    let mut request = httparse::Request::new(&mut slots);
                    let parsed = request.parse(black_box(bytes)).expect("right");
                    black_box(&request);
                    parsed.unwrap() as u64
                }),
            ),
            (
                "ours, each field read",
                Box::new(|| {
                    let request = Request::parse(black_box(bytes), &mut scratch_2);
                    let request = request.expect("right").expect("complete");
                    for field in request.fields().iter() {
                        black_box((field.name(), field.value()));
                    }
                    black_box(&request).head_len() as u64
                }),
            ),
            (
                "httparse, each read",
                Box::new(|| {
                    let mut request = httparse::Request::new(&mut slots_2);
                    let parsed = request.parse(black_box(bytes)).expect("right");
                    for header in request.headers.iter() {
                        black_box((header.name, header.value));
                    }
                    black_box(&request);
                    parsed.unwrap() as u64
                }),
            ),
        ],
    );
}

fn responses(what: &str, bytes: &[u8]) {
    let mut scratch = Scratch::default();
    let mut slots = [httparse::EMPTY_HEADER; http1::MAX_FIELDS];
    compare(
        &format!("{what}, {} bytes", bytes.len()),
        vec![
            (
                "ours",
                Box::new(|| {
                    let response = Response::parse(black_box(bytes), Asked::Other, &mut scratch);
                    let response = response.expect("right").expect("complete");
                    black_box(&response).head_len() as u64
                }),
            ),
            (
                "httparse",
                Box::new(|| {
                    let mut response = httparse::Response::new(&mut slots);
                    let parsed = response.parse(black_box(bytes)).expect("right");
                    black_box(&response);
                    parsed.unwrap() as u64
                }),
            ),
        ],
    );
}

/// What a server does for one request, from the bytes to the answer's; there is no one to compare
/// it with.
fn whole_exchange(bytes: &[u8]) {
    const TEXT: Field = Field::literal("Content-Type", "text/plain");
    let mut scratch = Scratch::default();
    let mut connection = server::Connection::new();
    let date = Date::now();
    let mut out = Vec::with_capacity(4096);
    compare(
        "request, answer of 12 bytes",
        vec![(
            "ours",
            Box::new(|| {
                out.clear();
                let (used, event) = connection.next(black_box(bytes), &mut scratch);
                black_box(event);
                black_box(connection.next(&bytes[used..], &mut scratch));
                let replied =
                    connection.reply(Status::OK, &[TEXT], b"hello, world", &date, &mut out);
                replied.expect("an answer is owed");
                black_box(out.len()) as u64
            }),
        )],
    );
}
