//! What a sum sees and what it does not, what a CRC sees of the same, and how a router mends a sum
//! without adding anything up.
//!
//! ```text
//! cargo run -p layers-checksum
//! ```
//!
//! Look for the damage of which the sum notices none at all; and for how many bytes a router reads to
//! find the checksum of a header whose TTL it has lowered. More than a million damaged messages take
//! about a second.

#![forbid(unsafe_code)]

mod damage;

use std::process::ExitCode;

use layers_checksum::{Sum, update};
use record::{Column, Record, Table};

use damage::Outcome;

/// The IPv4 header of the request that `layers-encapsulation` builds, with zero for a checksum.
const HEADER: [u8; 20] = [
    0x45, 0x00, 0x00, 0x59, 0x1a, 0x2b, 0x40, 0x00, 0x40, 0x06, 0x00, 0x00, 0xc0, 0x00, 0x02, 0x0a,
    0xc6, 0x33, 0x64, 0x07,
];

/// Where the TTL stands, and the word that it is in.
const TTL: usize = 8;

fn main() -> ExitCode {
    if std::env::args_os().len() > 1 {
        eprintln!("usage: layers-checksum (it takes no arguments)");
        return ExitCode::from(2);
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("layers-checksum: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut record = Record::new();
    record.add("sum", add_up());

    println!("\nDamage that was done, and how often nobody would have noticed\n");
    let outcomes = damage::all();
    println!(
        "{:<26}  {:>8}  {:>9}  {:>8}",
        "damage", "tried", "by sum", "by CRC"
    );
    for Outcome {
        kind,
        tried,
        sum_missed,
        crc_missed,
    } in &outcomes
    {
        println!("{kind:<26}  {tried:>8}  {sum_missed:>9}  {crc_missed:>8}");
    }
    record.add("damage", table(&outcomes));

    lower_the_ttl()?;
    record.save()?;
    Ok(())
}

// ANCHOR: add-up
/// Adds up a header on paper: word by word, each carry back in at the bottom.
fn add_up() -> Table {
    println!("An IPv4 header, added up\n\n  word     sum");
    let mut table = Table::new([Column::words("word"), Column::words("sum so far")]);
    let mut sum = 0_u32;
    for word in HEADER.as_chunks::<2>().0 {
        let word = u16::from_be_bytes(*word);
        sum += u32::from(word);
        let carry = sum > 0xffff;
        sum = (sum & 0xffff) + (sum >> 16);
        let note = if carry {
            "  a carry, added at the bottom"
        } else {
            ""
        };
        println!("{word:#06x}  {sum:#06x}{note}");
        table = table.row([format!("`{word:#06x}`"), format!("`{sum:#06x}`")]);
    }
    println!("its complement, the checksum: {:#06x}", !(sum as u16));
    println!(
        "the library's:                {:#06x}",
        Sum::new().bytes(&HEADER).checksum()
    );
    table
}
// ANCHOR_END: add-up

fn table(outcomes: &[Outcome]) -> Table {
    let table = Table::new([
        Column::words("damage"),
        Column::number("tried", ""),
        Column::number("missed by the sum", ""),
        Column::number("missed by the CRC", ""),
    ]);
    outcomes.iter().fold(table, |table, outcome| {
        table.row([
            outcome
                .kind
                .replace("0x0000", "`0x0000`")
                .replace("0xffff", "`0xffff`"),
            outcome.tried.to_string(),
            outcome.sum_missed.to_string(),
            outcome.crc_missed.to_string(),
        ])
    })
}

/// Lowers the TTL until nothing is left of it.
fn lower_the_ttl() -> Result<(), Box<dyn std::error::Error>> {
    println!("\nRouters lower the TTL, one after the other\n");
    println!("TTL  updated  added up again");
    // ANCHOR: lower
    let mut header = HEADER;
    let mut checksum = Sum::new().bytes(&header).checksum();
    while header[TTL] > 0 {
        let old = u16::from_be_bytes([header[TTL], header[TTL + 1]]);
        header[TTL] -= 1;
        let new = u16::from_be_bytes([header[TTL], header[TTL + 1]]);
        checksum = update(checksum, old, new); // of four bytes
        let again = Sum::new().bytes(&header).checksum(); // of twenty
        // ANCHOR_END: lower
        if checksum != again {
            return Err(format!("{checksum:#06x} is not {again:#06x}").into());
        }
        if [63, 62, 1, 0].contains(&header[TTL]) {
            println!("{:>3}   {checksum:#06x}  {again:#06x}", header[TTL]);
        }
    }
    Ok(())
}
