//! Real DNS messages, taken apart field by field, and written anew; and some that are broken.
//!
//! ```text
//! cargo run -p udp-dns-message
//! ```
//!
//! The messages are dig's questions and the answers of unbound and dnsmasq, captured in the book's
//! lab; `captured.rs` has them. `lib.rs` reads and writes them.
//!
//! Look for the names that end in a pointer, and what that saves; for what is missing in the answer
//! that is truncated; and for how much work a hostile message makes.

#![forbid(unsafe_code)]

mod captured;
mod hostile;
mod show;

use std::error::Error;
use std::process::ExitCode;

use captured::{Captured, UDP_HEADER_LEN, find};
use record::{Axis, Column, Field, Line, Record, Series, Table};
use show::Front;
use udp_dns_message::{Flags, MAX_MESSAGE_LEN, Message, Name, Question, Rdata, Section, Writer};

fn main() -> ExitCode {
    if std::env::args().len() > 1 {
        eprintln!("usage: udp-dns-message (it takes no arguments)");
        return ExitCode::from(2);
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("udp-dns-message: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut record = Record::new();
    println!("dig asks for the IPv4 address of example.com: a whole UDP datagram\n");
    record.add("datagram", datagram("a-query")?);
    for (figure, name, what) in [
        (
            "cookie",
            "aaaa-query",
            "dig asks for the IPv6 address, and shows a cookie",
        ),
        (
            "compressed",
            "cname-answer",
            "unbound answers for WWW.example.com",
        ),
        (
            "truncated",
            "truncated-answer",
            "unbound's answer does not fit",
        ),
    ] {
        let bytes = find(name).message()?;
        println!("\n{what}: {} bytes\n", bytes.len());
        record.add(figure, show::message(bytes, None, &Message::parse(bytes)?));
    }

    println!("\nThe answers, and what compression saves\n");
    record.add("messages", all()?);
    println!("\nThe answer that came over TCP, written for UDP\n");
    for limit in [512, 1232] {
        println!("at most {limit:>4} bytes  {}", within(limit)?);
    }
    println!("\nBroken messages\n");
    record.add("broken", broken()?);
    println!("\nHow much work: labels and pointers looked at\n");
    record.add("work", work());
    Ok(record.save()?)
}

/// A captured query with the UDP header in front of it.
fn datagram(name: &str) -> Result<record::Wire, Box<dyn Error>> {
    let (_, bytes) = find(name).upper_layer()?;
    let number = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let field = |name: &str, at, value: String, note: &str| {
        let field = Field::bytes(format!("`{name}`"), at, 2);
        field.value(format!("`{value}`")).note(note)
    };
    let fields = [
        field(
            "source_port",
            0,
            number(0).to_string(),
            "the answer comes back to it",
        ),
        field("destination_port", 2, number(2).to_string(), "DNS"),
        field(
            "length",
            4,
            number(4).to_string(),
            "header and data, in bytes",
        ),
        field(
            "checksum",
            6,
            format!("{:#06x}", number(6)),
            "over the addresses, the header and the data",
        ),
    ];
    let front = Front {
        len: UDP_HEADER_LEN,
        fields: vec![Field::bytes("UDP header", 0, UDP_HEADER_LEN).fields(fields)],
    };
    let message = Message::parse(&bytes[UDP_HEADER_LEN..])?;
    Ok(show::message(bytes, Some(front), &message))
}

/// Reads every message, writes it anew, and tells of the answers what compression has saved.
fn all() -> Result<Table, Box<dyn Error>> {
    let mut table = Table::new([
        Column::words("answer"),
        Column::words("`flags`"),
        Column::words("`rcode`"),
        Column::number("names", ""),
        Column::number("of them with a pointer", ""),
        Column::number("length", "bytes"),
        Column::number("without compression", "bytes"),
    ]);
    println!(
        "answer                flags           rcode     names  pointers  bytes  uncompressed"
    );
    let (mut together, mut without) = (0, 0);
    for Captured { name, .. } in captured::ALL {
        let bytes = find(name).message()?;
        let message = Message::parse(bytes)?;
        let mut room = [0; MAX_MESSAGE_LEN];
        let anew = Message::parse(write_anew(&message, &mut room)?)?;
        if !same(&message, &anew) {
            return Err(format!("{name}: what was written anew says something else").into());
        }
        let Some(name) = name.strip_suffix("-answer") else {
            continue;
        };
        let names = names(&message);
        let saved = |name: &Name| name.wire_len() - name.encoded_len();
        let pointers = names.iter().filter(|name| saved(name) > 0).count();
        let len = bytes.len();
        let uncompressed = len + names.iter().map(saved).sum::<usize>();
        let header = message.header();
        let [flags, rcode] = [header.flags.to_string(), header.rcode.to_string()];
        let count = names.len();
        println!(
            "{name:<20}  {flags:<14}  {rcode:<8}  {count:>5}  {pointers:>8}  {len:>5}  {uncompressed:>12}"
        );
        let numbers = [count, pointers, len, uncompressed].map(|number| number.to_string());
        let words = [name.to_owned(), flags, rcode].map(|word| format!("`{word}`"));
        table = table.row(words.into_iter().chain(numbers));
        (together, without) = (together + len, without + uncompressed);
    }
    println!("{:<20}  {together:>46}  {without:>12}", "together");
    let count = captured::ALL.len();
    println!("\nAll {count} messages were read, and written anew: they say the same.");
    Ok(table)
}

// ANCHOR: anew
/// Writes all parts of a message to the front of `room`.
fn write_anew<'r>(
    message: &Message<'r>,
    room: &'r mut [u8],
) -> Result<&'r [u8], udp_dns_message::Error> {
    let mut writer = Writer::new(room, message.header(), message.edns())?;
    for question in message.questions() {
        writer.question(&question)?;
    }
    for section in Section::ALL {
        for record in message.records(section) {
            writer.record(section, &record)?;
        }
    }
    Ok(writer.finish())
}

/// Whether two messages say the same.
fn same(a: &Message, b: &Message) -> bool {
    let same_records = |section| a.records(section).eq(b.records(section));
    (a.header(), a.edns()) == (b.header(), b.edns())
        && a.questions().eq(b.questions())
        && Section::ALL.into_iter().all(same_records)
}
// ANCHOR_END: anew

/// All names in a message.
fn names<'a>(message: &Message<'a>) -> Vec<Name<'a>> {
    let mut names: Vec<Name> = message.questions().map(|question| question.name).collect();
    for section in Section::ALL {
        for record in message.records(section) {
            names.push(record.name);
            match record.rdata {
                Rdata::Cname(name) | Rdata::Ns(name) | Rdata::Ptr(name) => names.push(name),
                Rdata::Soa(soa) => names.extend([soa.mname, soa.rname]),
                Rdata::Mx { exchange, .. } => names.push(exchange),
                Rdata::Srv { target, .. } => names.push(target),
                Rdata::A(_) | Rdata::Aaaa(_) | Rdata::Txt(_) | Rdata::Opaque { .. } => {}
            }
        }
    }
    names
}

/// Writes unbound's long answer as a server would that may send `limit` bytes.
fn within(limit: usize) -> Result<String, Box<dyn Error>> {
    let long = Message::parse(find("tcp-answer").message()?)?;
    // ANCHOR: within
    let mut room = vec![0; limit];
    let mut writer = Writer::new(&mut room, long.header(), long.edns())?;
    let question: Question = long.question().ok_or("no question")?;
    writer.question(&question)?;
    if writer.rrset(Section::Answer, long.answers()).is_err() {
        writer.truncated();
    }
    let message = Message::parse(writer.finish())?;
    // ANCHOR_END: within
    let (len, answers) = (message.as_bytes().len(), message.answers().count());
    let truncated = message.header().flags.contains(Flags::TC);
    let then = if truncated {
        "truncated (TC)"
    } else {
        "complete"
    };
    Ok(format!("{len:>3} bytes, answers {answers}, {then}"))
}

/// What is wrong with each broken message, and where.
fn broken() -> Result<Table, Box<dyn Error>> {
    let mut table = Table::new([
        Column::words("message"),
        Column::number("length", "bytes"),
        Column::words("what is wrong with it"),
    ]);
    for (what, bytes) in hostile::broken() {
        let Err(error) = Message::parse(&bytes) else {
            return Err(format!("{what} was accepted").into());
        };
        println!("{what:<34}  {error}");
        let row = [
            what.to_owned(),
            bytes.len().to_string(),
            format!("`{error}`"),
        ];
        table = table.row(row);
    }
    Ok(table)
}

/// The lengths for which the work is counted, in bytes.
const LENGTHS: [usize; 7] = [2048, 4096, 8192, 16_384, 32_768, 49_152, MAX_MESSAGE_LEN];

/// Counts the work that a chain of pointers makes, with and without the limit; and the most that any
/// message makes.
fn work() -> Series {
    let mut lines = [
        ("a chain of pointers, followed to its end", vec![]),
        ("the most expensive message that is accepted", vec![]),
        ("the chain, refused", vec![]),
    ];
    println!(" bytes  chain, followed  most expensive  chain, refused");
    for len in LENGTHS {
        let chain = hostile::chain(len);
        let counted = |bytes: &[u8]| {
            let mut steps = 0;
            let _ = Message::parse_counting(bytes, &mut steps);
            steps
        };
        let steps = [
            followed(&chain),
            counted(&hostile::costly(len)),
            counted(&chain),
        ];
        let [a, b, c] = steps;
        println!("{len:>6}  {a:>15}  {b:>14}  {c:>14}");
        for ((_, points), steps) in lines.iter_mut().zip(steps) {
            points.push((len as f64, steps as f64));
        }
    }
    Series {
        x: Axis::new("length of the message", "bytes"),
        y: Axis::new("labels and pointers looked at", ""),
        lines: lines
            .map(|(name, points)| Line {
                name: name.into(),
                points,
            })
            .into(),
    }
}

// ANCHOR: followed
/// How many labels and pointers somebody looks at who follows each pointer backwards, without
/// counting them: the walk ends, but when?
fn followed(message: &[u8]) -> usize {
    let [.., high, low] = *message.first_chunk::<6>().expect("a header");
    let (mut at, mut steps) = (12, 0);
    for _ in 0..u16::from_be_bytes([high, low]) {
        let mut place = at;
        let mut end = None;
        loop {
            steps += 1;
            match message[place] {
                0 => break,
                pointer @ 0xc0.. => {
                    end = end.or(Some(place + 2));
                    place = usize::from(pointer & 0x3f) << 8 | usize::from(message[place + 1]);
                }
                label => place += 1 + usize::from(label),
            }
        }
        at = end.unwrap_or(place + 1) + 4;
    }
    steps
}
// ANCHOR_END: followed
