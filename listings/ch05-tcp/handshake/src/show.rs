//! What was found, in words for the reader and in records for the figures.

use std::io;
use std::time::Duration;

use lab::{Capture, Crossing, Tcp, TcpState};
use nix::errno::Errno;
use record::{Column, Sequence, Table};
use tcp_segment::{Flags, Segment, TcpOption};

use crate::linux::Result;
use crate::losses::{Attempt, Ending, OPENING, Outcome, Speaker, Trial};
use crate::open::{Moment, Opened, Timed};

/// The hosts of a sequence, as the lab numbers them.
const CLIENT: usize = 0;
const SERVER: usize = 1;

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// `50.2 ms` or `1.05 s`.
fn short(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{:.1} ms", ms(time))
    } else {
        format!("{:.2} s", time.as_secs_f64())
    }
}

/// In milliseconds, for a column of a table.
fn cell(time: Duration) -> String {
    format!("{:.1}", ms(time))
}

// ANCHOR: segment
/// The segment in a captured packet, read by the next page's parser.
fn segment(crossing: &Crossing) -> Result<Segment<'_>> {
    let packet = ip_header::Packet::parse(&crossing.bytes)?;
    let segment = Segment::parse(packet.upper_layer()?.bytes, packet.addresses())?;
    Ok(segment)
}

/// An option's name and what it says; nothing if it only fills up.
fn in_words(option: TcpOption) -> Option<(&'static str, String)> {
    Some(match option {
        TcpOption::MaximumSegmentSize(size) => ("MSS", size.to_string()),
        TcpOption::WindowScale(shift) => ("window scale", shift.to_string()),
        TcpOption::SackPermitted => ("SACK permitted", String::new()),
        TcpOption::Timestamps { value, echo_reply } => {
            ("timestamps", format!("{value} {echo_reply}"))
        }
        TcpOption::NoOperation | TcpOption::EndOfList => return None,
        other => ("option", other.kind().to_string()),
    })
}
// ANCHOR_END: segment

/// Prints each segment in two lines, with the numbers as they are on the wire.
pub fn segments(capture: &Capture) -> Result<()> {
    for crossing in capture.crossings() {
        let segment = segment(crossing)?;
        let header = segment.header();
        let sent = crossing.sent - capture.crossings()[0].sent;
        let (from, to) = (capture.name(crossing.from), capture.name(crossing.to));
        let mut numbers = format!("seq {}", header.sequence_number);
        if header.flags.contains(Flags::ACK) {
            numbers += &format!(", ack {}", header.acknowledgment_number);
        }
        println!(
            "{:>5.1} ms  {from} > {to}  {:8}  {numbers}",
            ms(sent),
            header.flags.to_string().replace(", ", " "),
        );
        let mut says = vec![
            format!("header {} bytes", header.header_len()),
            match segment.payload().len() {
                0 => "no data".to_owned(),
                len => format!("data {len} bytes"),
            },
        ];
        for option in header.options {
            if let Some((name, value)) = in_words(option?) {
                says.push(format!("{name} {value}").trim_end().to_owned());
            }
        }
        println!("          {}", says.join(", "));
    }
    println!();
    Ok(())
}

/// Prints who was in which state when.
pub fn moments(opened: &Opened) {
    for moment in &opened.moments {
        println!(
            "{:>5.1} ms  {:32} client {:12} server {}",
            ms(moment.at - opened.called),
            moment.what,
            name(moment.client),
            name(moment.server),
        );
    }
}

fn name(state: Option<TcpState>) -> String {
    state.map_or_else(|| "–".to_owned(), |state| state.to_string())
}

/// The packets, and between them each state when it was first seen.
pub fn sequence(opened: &Opened) -> Sequence {
    let mut sequence = opened.capture.sequence();
    let mut last = [None; 2];
    for Moment {
        at, client, server, ..
    } in &opened.moments
    {
        let at_us = (*at - opened.called).as_micros() as u64;
        for (host, state) in [(CLIENT, *client), (SERVER, *server)] {
            if state != last[host] {
                sequence.state(at_us, host, format!("`{}`", name(state)), None);
            }
            last[host] = state;
        }
    }
    sequence.events.sort_by_key(|event| event.at_us);
    sequence
}

/// What each of the three segments says, by the names in [`facts`].
const FACTS: [&str; 9] = [
    "sequence number",
    "acknowledgment number",
    "window, unscaled",
    "header length, bytes",
    "data, bytes",
    "option `MSS`",
    "option `SACK permitted`",
    "option `timestamps`",
    "option `window scale`",
];

fn facts(crossing: &Crossing) -> Result<[String; 9]> {
    let segment = segment(crossing)?;
    let header = segment.header();
    let mut options = Vec::new();
    for option in header.options {
        options.extend(in_words(option?));
    }
    let option = |name: &str| {
        let found = options.iter().find(|(of, _)| *of == name);
        found.map_or("–".to_owned(), |(_, value)| match value.as_str() {
            "" => "yes".to_owned(),
            value => verbatim(value),
        })
    };
    let acknowledges = header.flags.contains(Flags::ACK);
    Ok([
        verbatim(header.sequence_number),
        match acknowledges {
            true => verbatim(header.acknowledgment_number),
            false => "–".to_owned(),
        },
        verbatim(header.window),
        verbatim(header.header_len()),
        verbatim(segment.payload().len()),
        option("MSS"),
        option("SACK permitted"),
        option("timestamps"),
        option("window scale"),
    ])
}

/// A text without the marks of what is verbatim.
fn plain(text: &str) -> String {
    text.replace('`', "")
}

fn verbatim(value: impl ToString) -> String {
    format!("`{}`", value.to_string())
}

/// The three segments side by side.
pub fn options(capture: &Capture) -> Result<Table> {
    let mut table = Table::new([
        Column::words("field"),
        Column::words("`SYN`"),
        Column::words("`SYN ACK`"),
        Column::words("`ACK`"),
    ]);
    let first = |flags| {
        let mut crossings = capture.crossings().iter();
        let found = crossings.find(|crossing| {
            let segment = crossing.tcp();
            segment.is_some_and(|segment| segment.flags & OPENING == flags)
        });
        facts(found.ok_or("one of the three segments is missing")?)
    };
    let (syn, syn_ack, ack) = (first(Tcp::SYN)?, first(OPENING)?, first(Tcp::ACK)?);
    for (((name, syn), syn_ack), ack) in FACTS.into_iter().zip(syn).zip(syn_ack).zip(ack) {
        table = table.row([name.to_owned(), syn, syn_ack, ack]);
    }
    Ok(table)
}

/// Prints the medians, and records them.
pub fn times(timed: &Timed) -> Table {
    let mut table = Table::new([
        Column::words("version"),
        Column::number("`connect()`", "ms"),
        Column::number("`accept()`", "ms"),
    ]);
    for (version, times) in [("IPv4", &timed.v4), ("IPv6", &timed.v6)] {
        let (connect, accept) = (times.connect, times.accept);
        println!(
            "{version}  connect() returns after {}, the server's accept() after {}",
            short(connect),
            short(accept)
        );
        table = table.row([verbatim(version), cell(connect), cell(accept)]);
    }
    println!(
        "\nThe SYNs of all connections, both sides', began with {} different numbers.",
        timed.initial_sequence_numbers.len()
    );
    table
}

/// Prints what the losses cost, and records it.
pub fn losses(outcomes: &[(Trial, Outcome)]) -> Table {
    let mut table = Table::new([
        Column::words("lost"),
        Column::words("speaks first"),
        Column::number("`SYN`s", ""),
        Column::number("`SYN ACK`s", ""),
        Column::number("`connect()`", "ms"),
        Column::number("first data", "ms"),
    ]);
    println!("lost                speaks first  SYN  SYN ACK  connect() returns  first data");
    for (trial, outcome) in outcomes {
        let speaker = match trial.speaks_first {
            Speaker::Client => "client",
            Speaker::Server => "server",
        };
        let count = |flags| {
            let segments = outcome.capture.crossings().iter().filter_map(Crossing::tcp);
            segments
                .filter(|segment| segment.flags & OPENING == flags)
                .count()
        };
        let (syns, syn_acks) = (count(Tcp::SYN), count(OPENING));
        println!(
            "{:18}  {speaker:12}  {syns:>3}  {syn_acks:>7}  {:>17}  {:>10}",
            trial.lost,
            short(outcome.connect),
            short(outcome.data),
        );
        table = table.row([
            trial.lost.to_owned(),
            speaker.to_owned(),
            syns.to_string(),
            syn_acks.to_string(),
            cell(outcome.connect),
            cell(outcome.data),
        ]);
    }
    table
}

/// The first packets of a capture.
pub fn first(messages: usize, capture: &Capture) -> Sequence {
    let mut sequence = capture.sequence();
    sequence.events.truncate(messages);
    sequence
}

/// Prints how the attempts ended, and records it.
pub fn endings(endings: &[(Attempt, Ending)]) -> Table {
    let mut table = Table::new([
        Column::words("what awaits the client"),
        Column::words("`SYN`s sent after"),
        Column::words("`connect()` says"),
        Column::number("`connect()`", "ms"),
    ]);
    for (attempt, ending) in endings {
        let seconds = ending.syns.iter().map(Duration::as_secs_f64);
        let syns: Vec<String> = seconds.map(|sent| format!("{sent:.2} s")).collect();
        let (syns, says) = (syns.join(", "), says(&ending.error));
        println!("{}", plain(attempt.what));
        println!("    SYN after {syns}");
        println!(
            "    connect() says {}, after {}",
            plain(&says),
            short(ending.after)
        );
        table = table.row([
            attempt.what.to_owned(),
            verbatim(syns),
            says,
            cell(ending.after),
        ]);
    }
    table
}

/// The kernel's error by its name, or that there was none.
fn says(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => format!("`{:?}`", Errno::from_raw(number)),
        None => "nothing, and the program gives up".to_owned(),
    }
}
