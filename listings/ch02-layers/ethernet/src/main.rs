//! A captured Ethernet frame, field by field; built anew; with its check sequence and a tag; and
//! damaged bit by bit.
//!
//! ```text
//! cargo run -p layers-ethernet
//! ```
//!
//! The frame is the request that `layers-capture` has captured. `lib.rs` reads and writes it.
//!
//! Look for what the header does not say (how long the frame is); for the four bytes at its end that no
//! capture shows; and for what a switch adds on a cable that several networks share.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use layers_ethernet::{Error, FCS_LEN, Field, Frame, Header, Priority, Tag, VlanId, crc, fields};
use record::{Record, Wire};

/// A frame of `layers-capture`, as the packet socket gave it.
const CAPTURED: &[u8] = include_bytes!("../fuzz/corpus/parse/captured-request");

/// What a switch would write into it.
const VLAN: u16 = 100;
const PRIORITY: u8 = 3;

fn main() -> ExitCode {
    if std::env::args_os().len() > 1 {
        eprintln!("usage: layers-ethernet (it takes no arguments)");
        return ExitCode::from(2);
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("layers-ethernet: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let frame = Frame::parse(CAPTURED)?;
    println!("A captured frame of {} bytes\n", CAPTURED.len());
    show(&rows(&frame.header()));
    println!(
        "payload: {} bytes, {}\n",
        frame.payload().len(),
        frame.header().ether_type
    );

    // ANCHOR: again
    let mut again = vec![0; CAPTURED.len() + FCS_LEN];
    frame.header().emit(&mut again)?[..frame.payload().len()].copy_from_slice(frame.payload());
    if again[..CAPTURED.len()] != *CAPTURED {
        return Err("the frame that was built anew is another".into());
    }
    crc::seal(&mut again)?;
    // ANCHOR_END: again
    println!(
        "Built anew from these values, all {} bytes are the same.",
        CAPTURED.len()
    );
    let fcs: String = again[CAPTURED.len()..]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    println!(
        "What the card adds: {fcs}, which makes {} bytes.",
        again.len()
    );
    println!(
        "{} of {} flipped bits are noticed.\n",
        noticed(&again),
        again.len() * 8
    );

    // ANCHOR: tag
    let tagged_header = Header {
        tag: Some(Tag {
            priority: Priority::new(PRIORITY).ok_or("a priority has 3 bits")?,
            drop_eligible: false,
            vlan: VlanId::new(VLAN).ok_or("a VLAN's number has 12 bits")?,
        }),
        ..frame.header()
    };
    let mut tagged = vec![0; tagged_header.header_len() + frame.payload().len() + FCS_LEN];
    tagged_header.emit(&mut tagged)?[..frame.payload().len()].copy_from_slice(frame.payload());
    crc::seal(&mut tagged)?;
    // ANCHOR_END: tag
    println!(
        "Tagged by a switch: {} bytes, and another check sequence\n",
        tagged.len()
    );
    show(&rows(&Frame::parse_with_fcs(&tagged)?.header()));

    let mut record = Record::new();
    record.add(
        "tagged",
        figure(&tagged, &tagged_header, frame.payload().len()),
    );
    record.save()?;
    Ok(())
}

/// One field as it is shown: its place, its value, and what the value means.
struct Row {
    field: Field,
    value: String,
    note: &'static str,
}

// ANCHOR: rows
fn rows(header: &Header) -> Vec<Row> {
    let row = |field: Field, value: String, note| Row { field, value, note };
    let mut rows = vec![
        row(
            fields::DESTINATION,
            header.destination.to_string(),
            "the router's interface, not the server's",
        ),
        row(
            fields::SOURCE,
            header.source.to_string(),
            "the client's interface",
        ),
    ];
    let ether_type = format!("{:#06x}", header.ether_type.0);
    let what_follows = "an IPv4 packet follows";
    let Some(tag) = header.tag else {
        rows.push(row(fields::ETHER_TYPE, ether_type, what_follows));
        return rows;
    };
    rows.extend([
        row(
            fields::TAG_TYPE,
            "0x8100".to_owned(),
            "a tag follows, and then the type proper",
        ),
        row(
            fields::PRIORITY,
            tag.priority.get().to_string(),
            "which frames a switch sends first",
        ),
        row(
            fields::DROP_ELIGIBLE,
            u8::from(tag.drop_eligible).to_string(),
            "whether it may be dropped before others",
        ),
        row(
            fields::VLAN,
            tag.vlan.get().to_string(),
            "which of the networks that share the cable",
        ),
        row(fields::TAGGED_ETHER_TYPE, ether_type, what_follows),
    ]);
    rows
}
// ANCHOR_END: rows

fn show(rows: &[Row]) {
    println!("byte  bits  field          value              note");
    for Row { field, value, note } in rows {
        println!(
            "{:>4}  {:>4}  {:<13}  {value:<17}  {note}",
            field.offset(),
            field.bits,
            field.name
        );
    }
}

// ANCHOR: noticed
/// Flips every bit of the frame in turn, and counts how often the receiver's card would notice.
fn noticed(frame: &[u8]) -> usize {
    let flipped = |bit: usize| {
        let mut frame = frame.to_vec();
        frame[bit / 8] ^= 0x80 >> (bit % 8);
        frame
    };
    let caught = |frame: &Vec<u8>| -> bool {
        let opened: Result<&[u8], Error> = crc::open(frame);
        opened.is_err()
    };
    (0..frame.len() * 8).map(flipped).filter(caught).count()
}
// ANCHOR_END: noticed

fn figure(frame: &[u8], header: &Header, payload_len: usize) -> Wire {
    let field = |row: &Row| {
        record::Field::bits(
            format!("`{}`", row.field.name),
            row.field.bit,
            row.field.bits,
        )
        .value(format!("`{}`", row.value))
        .note(row.note)
    };
    let rows = rows(header);
    let (payload, fcs) = (header.header_len(), header.header_len() + payload_len);
    let digits: String = frame[fcs..]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let check = record::Field::bytes("`frame_check_sequence`", fcs, FCS_LEN)
        .value(format!("`{digits}`"))
        .note("a CRC over all of it; the network card adds and checks it, and captures seldom have it");
    Wire {
        bytes: frame.to_vec(),
        fields: rows
            .iter()
            .map(field)
            .chain([
                record::Field::bytes("IP packet", payload, payload_len),
                check,
            ])
            .collect(),
    }
}
