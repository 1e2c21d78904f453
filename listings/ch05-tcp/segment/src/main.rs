//! Real TCP segments, taken apart field by field, built anew, and damaged.
//!
//! ```text
//! cargo run -p tcp-segment
//! ```
//!
//! The program makes a small network of its own, which needs no root, and lets two kernels talk
//! over it; `network.rs` says about what. Every segment that crosses the link is read by `lib.rs`,
//! and built anew from what was read.
//!
//! Look for how long the header is in each segment, for what a SYN and a FIN do to the sequence
//! numbers, and for the damage that the checksum does not notice.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "tcp-segment lets two kernels of Linux talk over the book's lab. Run it on Linux: in the \
         book's dev container, or on Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
mod network;

#[cfg(target_os = "linux")]
mod show;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    lab::experiment(env!("CARGO_PKG_NAME"), linux::run)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::error::Error;

    use ip_header::Addresses;
    use record::{Column, Record, Table};
    use tcp_segment::option::MAX_OPTIONS_LEN;
    use tcp_segment::{Flags, Options, Segment, TcpOption};

    use crate::network::{self, Captured, payment, sack_blocks};
    use crate::show;

    pub fn run() -> Result<(), Box<dyn Error>> {
        let captured = network::segments()?;
        let mut segments = Vec::new();
        for Captured { addresses, bytes } in &captured {
            let segment = Segment::parse(bytes, *addresses)?;
            same_again(&segment, *addresses)?;
            segments.push(segment);
        }
        let mut record = Record::new();

        println!("The client asks for a connection\n");
        record.add("syn", show::segment(&find(ASKS, &segments)?));
        println!("\nIt pays\n");
        let data = find(DATA, &segments)?;
        record.add("data", show::segment(&data));
        println!("\nThree payments are missing at the server\n");
        record.add("sack", show::segment(&find(THREE_GAPS, &segments)?));

        println!("\nOne segment of each kind\n");
        record.add("kinds", kinds(&segments)?);
        let count = segments.len();
        println!("\nAll {count} segments were read, and built anew byte for byte.");

        let addresses = captured[0].addresses;
        println!("\nOne bit flips on the way: each bit in turn\n");
        flip_each(&data, addresses);
        flip_addresses(&data, addresses);
        println!("\nTwo bits flip: each pair in turn\n");
        flip_pairs(&data, addresses);
        println!("\nTwo words change places\n");
        swap(&data, addresses)?;
        Ok(record.save()?)
    }

    // ANCHOR: same-again
    /// Writes the segment anew, its options one by one, and compares.
    fn same_again(segment: &Segment, addresses: Addresses) -> Result<(), Box<dyn Error>> {
        let mut header = segment.header();
        let list: Vec<TcpOption> = header.options.iter().collect::<Result<_, _>>()?;
        let mut room = [0; MAX_OPTIONS_LEN];
        header.options = Options::emit(&list, &mut room)?;

        let mut anew = vec![0; header.header_len()];
        anew.extend(segment.payload());
        header.emit(&mut anew, addresses)?;
        if segment.checksum() == 0xffff {
            anew[16..18].fill(0xff); // the other form of zero, which Linux sends
        }
        match anew == segment.as_bytes() {
            true => Ok(()),
            false => Err("the segment that was built anew is another".into()),
        }
    }
    // ANCHOR_END: same-again

    /// A name, and which segments bear it.
    type Kind = (&'static str, fn(&Segment) -> bool);

    const ASKS: Kind = ("asks for a connection", |segment| {
        flags(segment) == Flags::SYN
    });
    const DATA: Kind = ("pays", |segment| segment.payload() == payment(0).as_bytes());
    const THREE_GAPS: Kind = ("says that there are three gaps", |segment| {
        gaps(segment) == 3
    });

    const KINDS: [Kind; 11] = [
        ASKS,
        ("agrees", |segment| {
            flags(segment) == Flags::SYN | Flags::ACK
        }),
        ("acknowledges", |segment| {
            flags(segment) == Flags::ACK && gaps(segment) == 0
        }),
        DATA,
        ("says that there is a gap", |segment| gaps(segment) == 1),
        ("says that there are two gaps", |segment| gaps(segment) == 2),
        THREE_GAPS,
        ("sends an urgent byte", |segment| {
            flags(segment).contains(Flags::URG)
        }),
        ("has finished", |segment| {
            flags(segment).contains(Flags::FIN)
        }),
        ("asks, and offers ECN", |segment| {
            flags(segment).contains(Flags::CWR)
        }),
        ("refuses", |segment| flags(segment).contains(Flags::RST)),
    ];

    fn flags(segment: &Segment) -> Flags {
        segment.header().flags
    }

    fn gaps(segment: &Segment) -> usize {
        sack_blocks(segment).unwrap_or(0)
    }

    fn find<'a>((name, is): Kind, segments: &[Segment<'a>]) -> Result<Segment<'a>, String> {
        let found = segments.iter().find(|segment| is(segment));
        found.copied().ok_or_else(|| format!("no segment {name}"))
    }

    /// Prints the first segment of each kind, and gives the table.
    fn kinds(segments: &[Segment]) -> Result<Table, Box<dyn Error>> {
        println!(
            "{:<30}  {:<13}  {:>6}  {:>4}  {:>7}",
            "", "flags", "header", "data", "numbers"
        );
        let mut table = Table::new([
            Column::words("segment"),
            Column::words("flags"),
            Column::number("header", "bytes"),
            Column::number("data", "bytes"),
            Column::number("sequence numbers that it takes", ""),
        ]);
        for kind in KINDS {
            let segment = find(kind, segments)?;
            let flags = flags(&segment).to_string();
            let header = segment.header().header_len();
            let (data, numbers) = (segment.payload().len(), segment.sequence_len());
            println!(
                "{:<30}  {flags:<13}  {header:>6}  {data:>4}  {numbers:>7}",
                kind.0
            );
            let [header, data, numbers] =
                [header, data, numbers as usize].map(|number| number.to_string());
            table = table.row([kind.0.into(), format!("`{flags}`"), header, data, numbers]);
        }
        Ok(table)
    }

    /// Flips every bit of the addresses that the segment's packet bears, as a router might, and
    /// counts how often the segment gives it away.
    fn flip_addresses(segment: &Segment, addresses: Addresses) {
        let Addresses::V4 {
            source,
            destination,
        } = addresses
        else {
            unreachable!("the payments travel over IPv4");
        };
        let both = u64::from(source.to_bits()) << 32 | u64::from(destination.to_bits());
        let noticed = (0..64).filter(|bit| {
            let flipped = both ^ 1 << bit;
            let wrong = Addresses::V4 {
                source: ((flipped >> 32) as u32).into(),
                destination: (flipped as u32).into(),
            };
            Segment::parse(segment.as_bytes(), wrong).is_err()
        });
        let noticed = noticed.count();
        println!("the addresses  {noticed} of 64 noticed, by the checksum of the segment");
    }

    // ANCHOR: flip
    /// Flips every bit of the segment in turn, and counts which field gives each damage away.
    fn flip_each(segment: &Segment, addresses: Addresses) {
        let bytes = segment.as_bytes();
        let mut caught: Vec<(&str, usize)> = Vec::new();
        for bit in 0..bytes.len() * 8 {
            let damaged = flip(bytes, [bit]);
            let Err(error) = Segment::parse(&damaged, addresses) else {
                continue;
            };
            match caught.iter_mut().find(|(field, _)| *field == error.field) {
                Some((_, times)) => *times += 1,
                None => caught.push((error.field, 1)),
            }
        }
        let all: usize = caught.iter().map(|(_, times)| times).sum();
        let by: Vec<String> = caught
            .iter()
            .map(|(field, times)| format!("{field} {times}"))
            .collect();
        let bits = bytes.len() * 8;
        println!("the segment    {all} of {bits} noticed: {}", by.join(", "));
    }

    /// Flips every two bits of the segment in turn, and counts those pairs that nobody notices.
    fn flip_pairs(segment: &Segment, addresses: Addresses) {
        let bytes = segment.as_bytes();
        let bits = bytes.len() * 8;
        let pairs = (0..bits).flat_map(|first| (0..first).map(move |second| [first, second]));
        let unnoticed = pairs
            .clone()
            .filter(|pair| Segment::parse(&flip(bytes, *pair), addresses).is_ok())
            .count();
        let pairs = pairs.count();
        let percent = 100.0 * unnoticed as f64 / pairs as f64;
        println!("{unnoticed} of {pairs} not noticed, {percent:.1} %");
    }

    fn flip<const N: usize>(bytes: &[u8], bits: [usize; N]) -> Vec<u8> {
        let mut flipped = bytes.to_vec();
        for bit in bits {
            flipped[bit / 8] ^= 0x80 >> (bit % 8);
        }
        flipped
    }
    // ANCHOR_END: flip

    /// Lets the two names in a payment, which are words of 16 bits each, change places.
    fn swap(segment: &Segment, addresses: Addresses) -> Result<(), Box<dyn Error>> {
        // ANCHOR: swap
        let mut bytes = segment.as_bytes().to_vec();
        let at = segment.header().header_len(); // of «Al», 8 bytes before «Bo»
        for byte in [at, at + 1] {
            bytes.swap(byte, byte + 8);
        }
        let swapped = Segment::parse(&bytes, addresses)?;
        // ANCHOR_END: swap
        let [before, after] = [segment, &swapped].map(|segment| {
            let text = segment.payload().trim_ascii();
            format!("{} ({:#06x})", text.escape_ascii(), segment.checksum())
        });
        println!("{before} became");
        println!("{after}, and nobody noticed.");
        Ok(())
    }
}
