//! Exchanges as they are shown: as lines of text, and one of them as a figure.

use std::error::Error;

use http1::{Asked, Response, Scratch};
use http1_server::client::Exchange;
use record::{Field, Wire};

/// Which field of an answer tells most of it: the first of these that it has.
const TELLING: [&str; 5] = ["Location", "Allow", "Accept-Post", "Content-Range", "ETag"];

/// The longest content that is shown, in bytes.
const MAX_SHOWN: usize = 80;

/// How wide the first column is: what is asked.
const ASKED: usize = 25;

/// Prints the head of a table of exchanges.
pub fn head() {
    println!("{:<ASKED$}answer", "request");
}

/// Prints what was asked, and what tells most of the answer.
pub fn exchange(
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
    content: Option<&str>,
    answer: &Exchange,
) {
    let telling = TELLING
        .iter()
        .find_map(|name| Some(format!("  {name}: {}", answer.get(name)?)))
        .unwrap_or_default();
    let request = format!("{method} {target}");
    println!("{request:<ASKED$}{}{telling}", answer.status);
    for (name, value) in fields {
        // Notes are sent as what the server wants, unless it complains.
        if *name != "Content-Type" {
            println!("  with {name}: {value}");
        }
    }
    if let Some(content) = content {
        println!("  sends {content}");
    }
    let text = answer.text();
    if text.starts_with(['{', '[']) && !text.contains("\"status\"") && text.len() <= MAX_SHOWN {
        println!("  gets {text}");
    }
}

/// Prints all lines of an answer's content.
pub fn content(answer: &Exchange) {
    for line in answer.text().lines() {
        println!("    | {}", line.trim_end());
    }
}

// ANCHOR: partial
/// A partial response's bytes, each of them part of something.
pub fn partial(bytes: &[u8]) -> Result<Wire, Box<dyn Error>> {
    let mut scratch = Scratch::default();
    let response = Response::parse(bytes, Asked::Other, &mut scratch)?.ok_or("not complete")?;
    let text = |at: usize, len: usize| String::from_utf8_lossy(&bytes[at..at + len]).into_owned();
    let line_len = response.version().to_string().len() + 5 + response.reason().len() + 2;
    let mut at = line_len;
    let mut fields = vec![
        Field::bytes("`status-line`", 0, line_len)
            .value(format!("`{}`", response.status()))
            .note("only a part of the file follows"),
    ];
    for field in response.fields().iter() {
        let len = field.name().len() + 2 + field.value().len() + 2;
        let name = text(at, field.name().len());
        let value = String::from_utf8_lossy(field.value()).into_owned();
        let note = match () {
            () if field.is("content-range") => "from which byte to which, of how many",
            () if field.is("content-length") => "how many bytes follow: those of the part",
            () if field.is("etag") => "of which version it is a part",
            () if field.is("accept-ranges") => "parts can be asked for",
            () if field.is("last-modified") => "when the file was changed",
            () => "",
        };
        let mut line = Field::bytes(format!("`{name}`"), at, len).value(format!("`{value}`"));
        if !note.is_empty() {
            line = line.note(note);
        }
        fields.push(line);
        at += len;
    }
    fields.push(Field::bytes("`CRLF`", at, 2).note("an empty line: the head ends here"));
    at += 2;
    let content = bytes.len() - at;
    fields.push(
        Field::bytes("content", at, content)
            .value(format!("`{}`", text(at, content)))
            .note("the part"),
    );
    Ok(Wire {
        bytes: bytes.to_vec(),
        fields,
    })
}
// ANCHOR_END: partial
