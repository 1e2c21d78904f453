//! A request and a response taken apart, where messages end, and what is refused.
//!
//! ```text
//! cargo run -p http1
//! ```
//!
//! No network: a client's end of a connection writes bytes, a server's end reads them and answers,
//! and the client reads the answer. `lib.rs` has both ends.
//!
//! Look for how little tells one part of a message from the next; for the many ways in which its
//! end can be told; and for the byte at which each forged request gives itself away.

#![forbid(unsafe_code)]

use std::error::Error;
use std::process::ExitCode;

use http1::server::{Answer, Event};
use http1::{
    Asked, Date, Field, Framing, Length, Method, Request, Response, Scratch, Status, Target,
};
use http1::{client, server};
use record::{Column, Record, Table};

mod show;

fn main() -> ExitCode {
    if std::env::args().len() > 1 {
        eprintln!("usage: http1 (it takes no arguments)");
        return ExitCode::from(2);
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("http1: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut record = Record::new();
    println!("A client asks\n");
    let request = ask()?;
    record.add("request", show::request(&request)?);
    println!("\nA server answers\n");
    let response = serve(&request)?;
    record.add("response", show::response(&response)?);

    println!("\nWhere the content of a message ends\n");
    record.add("framing", framing()?);
    println!("\nRequests that another server might read differently\n");
    record.add("refused", refused());
    println!("\nThe request once more, byte by byte\n");
    in_single_bytes(&request)?;
    Ok(record.save()?)
}

// ANCHOR: ask
/// A request with five bytes of content, as a client writes it.
fn ask() -> Result<Vec<u8>, Box<dyn Error>> {
    const FIELDS: [Field; 2] = [
        Field::literal("Host", "notes.example"),
        Field::literal("Content-Type", "text/plain"),
    ];
    let (mut connection, mut out) = (client::Connection::new(), Vec::new());
    let target = Target::new(b"/notes/7?draft=yes", Method::Put)?;
    let length = Some(Length::Known(5));
    connection.request(Method::Put, target, &FIELDS, length, &mut out)?;
    connection.data(b"hello", &mut out)?;
    connection.end(&[], &mut out)?;
    Ok(out)
}
// ANCHOR_END: ask

// ANCHOR: serve
/// The answer of a server that takes its time over the content, and so sends it in chunks.
fn serve(received: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let (mut connection, mut scratch) = (server::Connection::new(), Scratch::default());
    let (mut start, mut out) = (0, Vec::new());
    loop {
        let (used, event) = connection.next(&received[start..], &mut scratch);
        start += used;
        match event {
            Event::Request(_) | Event::Data(_) => {}
            Event::End(_) => {
                let answer = Answer {
                    status: Status::OK,
                    fields: &[Field::literal("Content-Type", "text/plain")],
                    length: Length::Unknown,
                };
                // The moment that RFC 9110 takes for its examples, so that all runs print the same.
                let date = Date::from_unix(784_111_777);
                connection.answer(&answer, &date, &mut out)?;
                connection.data(b"kept ", &mut out)?;
                connection.data(b"5 bytes", &mut out)?;
                connection.end(&[], &mut out)?;
            }
            Event::Refused(error) => return Err(error.into()),
            _ => return Ok(out),
        }
    }
}
// ANCHOR_END: serve

/// Messages, each of which ends in another way.
const ENDS: [(&str, &str, Option<Asked>); 8] = [
    (
        "a request that says nothing",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        None,
    ),
    (
        "a request with `Content-Length`",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
        None,
    ),
    (
        "a request with `Transfer-Encoding: chunked`",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        None,
    ),
    (
        "a response with `Content-Length`",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        Some(Asked::Other),
    ),
    (
        "the same in answer to `HEAD`",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        Some(Asked::Head),
    ),
    (
        "`304` with `Content-Length`",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        Some(Asked::Other),
    ),
    (
        "a response with `Transfer-Encoding: chunked`",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        Some(Asked::Other),
    ),
    (
        "a response that says nothing",
        "HTTP/1.1 200 OK\r\n\r\n",
        Some(Asked::Other),
    ),
];

fn framing() -> Result<Table, Box<dyn Error>> {
    let mut scratch = Scratch::default();
    let mut table = Table::new([Column::words("message"), Column::words("its content ends")]);
    for (name, head, asked) in ENDS {
        let head = head.as_bytes();
        let framing = match asked {
            None => Request::parse(head, &mut scratch)?.map(|request| request.framing()),
            Some(asked) => Response::parse(head, asked, &mut scratch)?.map(|head| head.framing()),
        };
        let end = match framing.ok_or("a head that is not complete")? {
            Framing::Empty => "with the head".to_owned(),
            Framing::Length(length) => format!("after {length} bytes"),
            Framing::Chunked => "with a chunk of size 0".to_owned(),
            Framing::UntilClose => "with the connection".to_owned(),
        };
        println!("{:<45} {end}", name.replace('`', ""));
        table = table.row([name.to_owned(), end]);
    }
    Ok(table)
}

// ANCHOR: smuggled
/// Requests after which two servers can disagree about where the next one begins.
const SMUGGLED: [(&str, &str); 10] = [
    (
        "`Content-Length`, then `chunked`",
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
    ),
    (
        "`chunked`, then `Content-Length`",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    ),
    (
        "two lengths",
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    ),
    ("a length with a sign", "Content-Length: +5\r\n\r\nhello"),
    (
        "a coding after `chunked`",
        "Transfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n",
    ),
    (
        "a folded line",
        "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    ),
    ("a space before a colon", "Content-Length : 5\r\n\r\nhello"),
    (
        "a line that ends in `LF`",
        "X: y\nContent-Length: 5\r\n\r\nhello",
    ),
    ("two hosts", "Host: b.example\r\n\r\n"),
    (
        "a chunk size beyond 64 bits",
        "Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello",
    ),
];
// ANCHOR_END: smuggled

fn refused() -> Table {
    let mut table = Table::new([
        Column::words("request"),
        Column::words("what is wrong"),
        Column::number("at byte", ""),
        Column::words("by"),
        Column::number("answer", ""),
    ]);
    for (name, rest) in SMUGGLED {
        let bytes = format!("POST / HTTP/1.1\r\nHost: a.example\r\n{rest}");
        let Some(error) = first_error(bytes.as_bytes()) else {
            println!("{name}: nothing is wrong with it");
            continue;
        };
        let status = error.status().code();
        println!("{:<33} {status}  {error}", name.replace('`', ""));
        let (rfc, section) = error.what.section();
        table = table.row([
            name.to_owned(),
            error.what.to_string(),
            error.offset.to_string(),
            format!("`RFC {rfc} §{section}`"),
            status.to_string(),
        ]);
    }
    table
}

fn first_error(bytes: &[u8]) -> Option<http1::Error> {
    let (mut connection, mut scratch) = (server::Connection::new(), Scratch::default());
    let mut start = 0;
    loop {
        let (used, event) = connection.next(&bytes[start..], &mut scratch);
        start += used;
        match event {
            Event::Refused(error) => return Some(error),
            Event::Request(_) | Event::Data(_) => {}
            _ => return None,
        }
    }
}

/// What a server is given again is what it has not used: the whole head each time, until it is
/// complete.
fn in_single_bytes(request: &[u8]) -> Result<(), Box<dyn Error>> {
    let (mut connection, mut scratch) = (server::Connection::new(), Scratch::default());
    let (mut start, mut head_at, mut pieces) = (0, 0, Vec::new());
    for end in 1..=request.len() {
        let (used, event) = connection.next(&request[start..end], &mut scratch);
        start += used;
        match event {
            Event::More => {}
            Event::Request(_) => head_at = end,
            Event::Data(data) => pieces.push(data.len()),
            other => return Err(format!("unexpected: {other:?}").into()),
        }
    }
    println!("the head is complete with byte {head_at}");
    println!(
        "the content comes in {} pieces: nobody waits for the rest",
        pieces.len()
    );
    Ok(())
}
