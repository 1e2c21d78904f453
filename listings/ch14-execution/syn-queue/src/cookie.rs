//! The SYN ACK that remembers a connection for the kernel, byte by byte.

use record::{Field, Wire};
use tcp_segment::{HEADER_LEN, Segment, TcpOption};

use crate::client::Outcome;
use crate::flood::Error;

/// How many of the timestamp's bits are options: `TSBITS` in the kernel's net/ipv4/syncookies.c.
const OPTION_BITS: usize = 6;

/// What the kernel has hidden in the last bits of its timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hidden {
    ecn: bool,
    sack: bool,
    /// By how many bits the client's windows are to be shifted; 15 for «no scaling».
    window_scale: u32,
}

impl Hidden {
    // ANCHOR: hidden
    fn of(timestamp: u32) -> Self {
        Self {
            ecn: timestamp >> 5 & 1 == 1,
            sack: timestamp >> 4 & 1 == 1,
            window_scale: timestamp & 0xf,
        }
    }
    // ANCHOR_END: hidden
}

/// Tells what the SYN ACK with the cookie says, and draws it.
pub fn tell(outcome: &Outcome) -> Result<Wire, Error> {
    let bytes = outcome
        .syn_ack
        .clone()
        .ok_or("the server has not answered")?;
    let segment = Segment::parse_without_checksum(&bytes).map_err(|error| error.to_string())?;
    let header = segment.header();
    let verbatim = |value: &dyn std::fmt::Display| format!("`{value}`");
    let mut fields = vec![
        Field::bytes("ports", 0, 4).value(format!(
            "`{}`, `{}`",
            header.source_port, header.destination_port
        )),
        Field::bytes("sequence number", 4, 4)
            .value(verbatim(&header.sequence_number))
            .note("the cookie: a keyed hash of addresses, ports and the minute, and which MSS"),
        Field::bytes("acknowledgement number", 8, 4)
            .value(verbatim(&header.acknowledgment_number))
            .note("the client's number, plus one"),
        Field::bytes("offset, flags, window, checksum, urgent pointer", 12, 8),
    ];
    let mut at = HEADER_LEN;
    for option in header.options {
        let option = option.map_err(|error| error.to_string())?;
        let len = option.wire_len();
        let field = Field::bytes(format!("`{}`", option.name()), at, len);
        fields.push(match option {
            TcpOption::MaximumSegmentSize(size) => field.value(verbatim(&size)),
            TcpOption::WindowScale(shift) => {
                field.value(verbatim(&shift)).note("the server's own; it will know it again")
            }
            TcpOption::Timestamps { value, .. } => {
                let hidden = Hidden::of(value);
                println!(
                    "\nIn the SYN ACK's timestamp, {value}, the last {OPTION_BITS} bits say: window \
                     scale {}, SACK {}, ECN {}",
                    hidden.window_scale,
                    yes_or_no(hidden.sack),
                    yes_or_no(hidden.ecn),
                );
                field.fields(timestamps(at, value, hidden))
            }
            _ => field,
        });
        at += len;
    }
    Ok(Wire { bytes, fields })
}

fn timestamps(at: usize, value: u32, hidden: Hidden) -> Vec<Field> {
    /// How many of the clock's bits are bytes that it has to itself.
    const WHOLE_BYTES: usize = 24;
    let bit = (at + 2) * 8; // behind kind and length
    let clock = 32 - OPTION_BITS;
    let options = bit + clock;
    vec![
        Field::bytes("kind, length", at, 2),
        Field::bytes("value", at + 2, 4)
            .value(format!("`{value}`"))
            .fields([
                Field::bits("the server's clock, first three bytes", bit, WHOLE_BYTES),
                Field::bits("its last two bits", bit + WHOLE_BYTES, clock - WHOLE_BYTES),
                Field::bits("`ECN`", options, 1).value(format!("`{}`", u8::from(hidden.ecn))),
                Field::bits("`SACK`", options + 1, 1).value(format!("`{}`", u8::from(hidden.sack))),
                Field::bits("the client's window scale", options + 2, 4)
                    .value(format!("`{}`", hidden.window_scale)),
            ]),
        Field::bytes("echo", at + 6, 4).note("the client's clock"),
    ]
}

fn yes_or_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}
