//! Real UDP datagrams, taken apart, built anew, and judged.
//!
//! ```text
//! cargo run -p udp-header
//! ```
//!
//! The program makes a small network of its own, which needs no root. Two kernels send each other
//! datagrams over IPv4 and over IPv6; `lib.rs` reads them and builds them anew. Then somebody without
//! a kernel writes datagrams by hand, right and wrong ones, and a kernel receives them.
//!
//! Look for the bytes that are summed up and never sent, for the two meanings that a zero could have
//! had in the checksum's place, and for the one datagram of which the two versions of IP think
//! differently.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "udp-header lets two kernels of Linux talk over the book's lab. Run it on Linux: in the \
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
    use udp_header::{Datagram, HEADER_LEN};

    use crate::network::{Captured, Choice, Network, header};
    use crate::show;

    /// What most of the datagrams carry.
    const MESSAGE: &[u8] = b"hello, UDP";

    pub fn run() -> Result<(), Box<dyn Error>> {
        let network = Network::start()?;
        let mut record = Record::new();

        let [v4, v6] = network.exchange(MESSAGE)?;
        println!("1. A datagram over IPv4, and what its checksum goes over\n");
        record.add("ipv4", show::sum(&read(&v4)?, v4.addresses));
        println!("\n2. The same over IPv6\n");
        record.add("ipv6", show::sum(&read(&v6)?, v6.addresses));
        println!("\nBuilt anew from the two ports, both are the same byte for byte.");

        println!("\n3. One bit flips on the way: each bit in turn\n");
        for (version, captured) in [("IPv4", &v4), ("IPv6", &v6)] {
            flip_each(version, captured);
        }

        println!("\n4. Zero in the checksum's place\n");
        zeros(&network, &v4)?;

        println!("\n5. Written by hand: what becomes of it?\n");
        record.add("judged", judged(&network)?);
        let [v4, v6] = network.checksum_errors();
        println!("\nrefused by the kernel for their checksum: {v4} over IPv4, {v6} over IPv6");
        network.finish()?;
        Ok(record.save()?)
    }

    // ANCHOR: same-again
    /// Reads a datagram, builds it anew, and compares.
    fn read(captured: &Captured) -> Result<Datagram<'_>, Box<dyn Error>> {
        let Captured { addresses, bytes } = captured;
        let datagram = Datagram::parse(bytes, *addresses)?;
        let mut anew = vec![0; HEADER_LEN];
        anew.extend(datagram.payload());
        datagram.header().emit(&mut anew, *addresses)?;
        match anew == *bytes {
            true => Ok(datagram),
            false => Err("the datagram that was built anew is another".into()),
        }
    }
    // ANCHOR_END: same-again

    // ANCHOR: flip
    /// Flips every bit of the addresses and of the datagram in turn, and counts which field gives
    /// each damage away.
    fn flip_each(version: &str, captured: &Captured) {
        let Captured { addresses, bytes } = captured;
        let mut caught: Vec<(&str, usize)> = Vec::new();
        let mut note = |error: ip_header::Error| match caught
            .iter_mut()
            .find(|(field, _)| *field == error.field)
        {
            Some((_, times)) => *times += 1,
            None => caught.push((error.field, 1)),
        };
        let bits = bytes.len() * 8;
        for bit in 0..bits {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 0x80 >> (bit % 8);
            if let Err(error) = Datagram::parse(&damaged, *addresses) {
                note(error);
            }
        }
        let elsewhere = with_one_bit_flipped(*addresses);
        for wrong in &elsewhere {
            if let Err(error) = Datagram::parse(bytes, *wrong) {
                note(error);
            }
        }
        let all: usize = caught.iter().map(|(_, times)| times).sum();
        let by: Vec<String> = caught
            .iter()
            .map(|(field, times)| format!("{field} {times}"))
            .collect();
        let of = bits + elsewhere.len();
        println!(
            "{version}  {all} of {of} noticed, {} of them in the addresses: {}",
            elsewhere.len(),
            by.join(", ")
        );
    }
    // ANCHOR_END: flip

    /// All pairs of addresses that differ from these by one bit.
    fn with_one_bit_flipped(addresses: Addresses) -> Vec<Addresses> {
        match addresses {
            Addresses::V4 {
                source: from,
                destination: to,
            } => {
                let flips = (0..32).map(|bit| 1 << bit);
                flips
                    .flat_map(|flip: u32| {
                        [(flip, 0), (0, flip)].map(|(first, second)| Addresses::V4 {
                            source: (from.to_bits() ^ first).into(),
                            destination: (to.to_bits() ^ second).into(),
                        })
                    })
                    .collect()
            }
            Addresses::V6 {
                source: from,
                destination: to,
            } => {
                let flips = (0..128).map(|bit| 1 << bit);
                flips
                    .flat_map(|flip: u128| {
                        [(flip, 0), (0, flip)].map(|(first, second)| Addresses::V6 {
                            source: (from.to_bits() ^ first).into(),
                            destination: (to.to_bits() ^ second).into(),
                        })
                    })
                    .collect()
            }
        }
    }

    // ANCHOR: zeros
    /// No checksum, and one that comes out as zero.
    fn zeros(network: &Network, ordinary: &Captured) -> Result<(), Box<dyn Error>> {
        let none = network.without_checksum(MESSAGE)?;
        let none = Datagram::parse(&none.bytes, none.addresses)?;
        println!("a sender that was told to leave it out  {}", wire(&none));

        // Two bytes behind the message bring the sum of all the rest to all ones: the checksum of
        // the message with two zeros in their place.
        let mut bytes = vec![0; HEADER_LEN];
        bytes.extend([MESSAGE, &[0, 0]].concat());
        let ordinary = Datagram::parse(&ordinary.bytes, ordinary.addresses)
            .map(|datagram| (datagram.header(), ordinary.addresses))?;
        let (header, addresses) = ordinary;
        header.emit(&mut bytes, addresses)?;
        let makes_zero = Datagram::parse(&bytes, addresses)?.checksum();
        let makes_zero = makes_zero.unwrap_or_default().to_be_bytes();
        let [zero, _] = network.exchange(&[MESSAGE, &makes_zero].concat())?;
        let zero = read(&zero)?;
        println!("a checksum that comes out as zero       {}", wire(&zero));
        Ok(())
    }
    // ANCHOR_END: zeros

    fn wire(datagram: &Datagram) -> String {
        let [.., high, low] = datagram.as_bytes()[..HEADER_LEN] else {
            unreachable!("a datagram has a header");
        };
        let meaning = match datagram.checksum() {
            Some(_) => "there is one",
            None => "there is none",
        };
        format!("{high:02x} {low:02x} on the wire: {meaning}")
    }

    /// What is written by hand: a name, and what it does to a datagram that is right.
    type Flaw = (&'static str, fn(&mut Vec<u8>), Choice);

    // ANCHOR: flaws
    const FLAWS: [Flaw; 8] = [
        ("nothing is wrong", |_| {}, Choice::AsTheVersionDemands),
        (
            "a bit of the data flipped",
            |bytes| bytes[9] ^= 1,
            Choice::AsTheVersionDemands,
        ),
        (
            "no checksum",
            |bytes| bytes[6..8].fill(0),
            Choice::AsTheVersionDemands,
        ),
        (
            "no checksum, and the receiver allows it",
            |bytes| bytes[6..8].fill(0),
            Choice::ChecksumOptional,
        ),
        (
            "four bytes behind the datagram",
            |bytes| bytes.extend(*b"tail"),
            Choice::AsTheVersionDemands,
        ),
        (
            "length 7",
            |bytes| bytes[5] = 7,
            Choice::AsTheVersionDemands,
        ),
        (
            "a length beyond the packet",
            |bytes| bytes[5] += 1,
            Choice::AsTheVersionDemands,
        ),
        (
            "only half a header",
            |bytes| bytes.truncate(4),
            Choice::AsTheVersionDemands,
        ),
    ];
    // ANCHOR_END: flaws

    /// Lets the library and a kernel judge each datagram over each family; gives the table.
    fn judged(network: &Network) -> Result<Table, Box<dyn Error>> {
        let mut table = Table::new([
            Column::words("datagram"),
            Column::words("over"),
            Column::words("the library"),
            Column::words("the kernel"),
        ]);
        println!("{:<41}{:<6}{:<25}the library", "", "over", "the kernel");
        for (name, flaw, choice) in FLAWS {
            for (version, addresses) in ["IPv4", "IPv6"]
                .into_iter()
                .zip(network.writers_addresses())
            {
                let mut bytes = [&[0; HEADER_LEN], MESSAGE].concat();
                header().emit(&mut bytes, addresses)?;
                flaw(&mut bytes);
                let parse = match choice {
                    Choice::AsTheVersionDemands => Datagram::parse,
                    Choice::ChecksumOptional => Datagram::parse_with_optional_checksum,
                };
                let ours = parse(&bytes, addresses).map(|datagram| datagram.payload().to_vec());
                let kernel = network.deliver(&bytes, addresses, choice)?;
                if ours.as_ref().ok() != kernel.as_ref() {
                    return Err(format!("{name} over {version}: {ours:?}, but {kernel:?}").into());
                }
                let said = match &ours {
                    Ok(data) => format!("reads «{}»", data.escape_ascii()),
                    Err(error) => error.to_string(),
                };
                let did = match kernel {
                    Some(data) => format!("hands over «{}»", data.escape_ascii()),
                    None => "drops it".to_owned(),
                };
                println!("{name:<41}{version:<6}{did:<25}{said}");
                let ours = match ours {
                    Ok(_) => "reads it",
                    Err(_) => "refuses it",
                };
                let kernel = match did.starts_with("hands") {
                    true => "hands it over",
                    false => "drops it",
                };
                table = table.row([name, &format!("`{version}`"), ours, kernel].map(str::to_owned));
            }
        }
        Ok(table)
    }
}
