//! A message as it is shown: a line of text and a part of a figure for each of its parts.

use std::error::Error;

use http1::chunked::{Decoder, Piece};
use http1::{Asked, Fields, Framing, Request, Response, Scratch};
use record::{Field, Wire};

/// Collects parts that follow each other without a gap.
struct Parts<'a> {
    bytes: &'a [u8],
    /// Up to here everything has a part.
    at: usize,
    fields: Vec<Field>,
}

impl<'a> Parts<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        println!("byte  {:<36} part", "text");
        let fields = Vec::new();
        Self {
            bytes,
            at: 0,
            fields,
        }
    }

    /// The next `len` bytes are one part with these inside it: names and lengths, of which some
    /// stand for white space or line ends and have no name that anyone would print.
    fn part(&mut self, name: &str, note: &str, inner: &[(&str, usize)]) {
        let len = inner.iter().map(|(_, len)| len).sum();
        let text = self.text(self.at, len);
        let shown = text.strip_suffix("\\r\\n").unwrap_or(&text);
        println!("{:>4}  {shown:<36} {}", self.at, name.replace('`', ""));
        let mut at = self.at;
        let mut fields = Vec::new();
        for (name, len) in inner {
            let text = self.text(at, *len);
            fields.push(Field::bytes(*name, at, *len).value(format!("`{text}`")));
            at += len;
        }
        let mut field = Field::bytes(name, self.at, len).note(note);
        field = match fields.len() {
            1 => field.value(format!("`{text}`")),
            _ => field.fields(fields),
        };
        self.fields.push(field);
        self.at = at;
    }

    fn text(&self, at: usize, len: usize) -> String {
        self.bytes[at..at + len].escape_ascii().to_string()
    }

    /// Field lines, and the empty line behind them.
    fn head(&mut self, fields: Fields<'_>) {
        for field in fields.iter() {
            let note = match () {
                () if field.is("host") => "which of the server's sites is meant",
                () if field.is("content-length") => "how many bytes of content follow the head",
                () if field.is("transfer-encoding") => "the content comes in chunks",
                () if field.is("date") => "when the answer was made",
                () if field.is("content-type") => "how the content is to be read",
                () => "",
            };
            let inner = [
                ("`field-name`", field.name().len()),
                ("`:`", 1),
                ("white space", 1),
                ("`field-value`", field.value().len()),
                ("`CRLF`", 2),
            ];
            self.part("`field-line`", note, &inner);
        }
        self.part(
            "`CRLF`",
            "an empty line: the head ends here",
            &[("`CRLF`", 2)],
        );
    }

    /// All parts, if they are all there is.
    fn wire(self) -> Result<Wire, Box<dyn Error>> {
        match self.at == self.bytes.len() {
            true => Ok(Wire {
                bytes: self.bytes.to_vec(),
                fields: self.fields,
            }),
            false => Err("a byte that is part of nothing".into()),
        }
    }
}

// ANCHOR: request
/// Prints a request's parts, and gives its figure.
pub fn request(bytes: &[u8]) -> Result<Wire, Box<dyn Error>> {
    let mut scratch = Scratch::default();
    let request = Request::parse(bytes, &mut scratch)?.ok_or("not complete")?;
    let mut parts = Parts::new(bytes);
    let inner = [
        ("`method`", request.method().as_bytes().len()),
        ("white space", 1),
        ("`request-target`", request.target().as_bytes().len()),
        ("white space", 1),
        ("`HTTP-version`", request.version().to_string().len()),
        ("`CRLF`", 2),
    ];
    parts.part("`request-line`", "what is to be done, to what", &inner);
    parts.head(request.fields());
    if let Framing::Length(length) = request.framing() {
        let inner = [("content", usize::try_from(length)?)];
        parts.part("content", "as many bytes as the head says", &inner);
    }
    parts.wire()
}
// ANCHOR_END: request

/// Prints a response's parts, which has content in chunks, and gives its figure.
pub fn response(bytes: &[u8]) -> Result<Wire, Box<dyn Error>> {
    let mut scratch = Scratch::default();
    let response = Response::parse(bytes, Asked::Other, &mut scratch)?.ok_or("not complete")?;
    let mut parts = Parts::new(bytes);
    let inner = [
        ("`HTTP-version`", response.version().to_string().len()),
        ("white space", 1),
        ("`status-code`", 3),
        ("white space", 1),
        ("`reason-phrase`", response.reason().len()),
        ("`CRLF`", 2),
    ];
    parts.part("`status-line`", "what became of the request", &inner);
    parts.head(response.fields());
    let mut start = response.head_len();

    let mut decoder = Decoder::new();
    loop {
        let (used, piece) = decoder.next(&bytes[start..], &mut scratch)?;
        start += used;
        match piece {
            Piece::Data(data) => {
                let size_line = start - data.len() - parts.at;
                let inner = [
                    ("`chunk-size`", size_line - 2),
                    ("`CRLF`", 2),
                    ("`chunk-data`", data.len()),
                    ("`CRLF`", 2),
                ];
                parts.part(
                    "`chunk`",
                    "its size in hexadecimal, and so many bytes",
                    &inner,
                );
            }
            Piece::End(_) => {
                let inner = [("`chunk-size`", start - parts.at - 4), ("`CRLF`", 2)];
                parts.part(
                    "`last-chunk`",
                    "a chunk of size 0: the content ends here",
                    &inner,
                );
                let inner = [("`CRLF`", 2)];
                parts.part("`CRLF`", "an empty line: no trailer fields", &inner);
                return parts.wire();
            }
            Piece::More => return Err("not complete".into()),
        }
    }
}
