//! Addresses as text, as numbers, as members of networks, and on a socket that listens for both
//! families.
//!
//! ```text
//! cargo run -p ip-address
//! ```
//!
//! Look for the byte that each bad text is refused for; for the address that lies in three networks
//! and belongs to the longest; and for the name under which an IPv4 client appears on an IPv6 socket.

#![forbid(unsafe_code)]

mod dual_stack;

use std::error::Error;
use std::net::IpAddr;
use std::process::ExitCode;

use ip_address::{Canonical, Prefix, Table, parse, special};
use record::{Cell, Column, Field, Record, Wire};

fn main() -> ExitCode {
    if std::env::args_os().len() > 1 {
        eprintln!("usage: ip-address (it takes no arguments)");
        return ExitCode::from(2);
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ip-address: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut record = Record::new();
    println!("What is read, and how it is written again\n");
    for text in GOOD {
        let address = parse(text)?;
        let zone = address.zone.map(|zone| format!("%{zone}"));
        let (ip, zone) = (Canonical(address.ip), zone.unwrap_or_default());
        println!("  {text:<39}  {ip}{zone}");
    }

    println!("\nWhat is refused, and at which byte\n");
    BAD.iter().for_each(|text| refuse(text));

    println!("\nHow many there are\n");
    sizes()?;
    println!("\nNetworks\n");
    networks()?;
    record.add("ipv6", parts_of_ipv6()?);
    println!("\nThe longest match\n");
    routes()?;
    println!("\nWhat is set aside\n");
    set_aside()?;

    println!("\nOne socket for both families\n");
    record.add("dual-stack", dual_stack()?);
    Ok(record.save()?)
}

/// Texts of addresses, in one of the many forms of each.
const GOOD: [&str; 9] = [
    "192.168.0.1",
    "2001:0db8:0000:0000:0000:0000:0000:0001",
    "2001:DB8:0:0:8:800:200C:417A",
    "0:0:1:0:0:0:1:0",
    "1:0:0:2:2:0:0:1",
    "1:2:3:4:5:6:7::",
    "::",
    "::FFFF:C000:0207",
    "fe80::1%eth0",
];

/// Texts that are none, or that one program takes for an address and another does not.
const BAD: [&str; 14] = [
    "192.168.0",
    "192.168.0.256",
    "192.168.0.01",
    "192.168.0.0x1",
    "192.168.0.1/24",
    "127.1",
    "2001:db8:1",
    "2001:db8::1::2",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4::5:6:7:8",
    "2001:db8::12345",
    "2001:db8:::1",
    "::192.168.1",
    "fe80::1%",
];

// ANCHOR: refuse
/// Shows a text with a mark below the byte at which it stops being an address.
fn refuse(text: &str) {
    match parse(text) {
        Ok(address) => println!("  {text} is {}", Canonical(address.ip)),
        Err(error) => println!("  {text}\n  {:>1$} {error}", "^", error.at + 1),
    }
}
// ANCHOR_END: refuse

fn sizes() -> Result<(), Box<dyn Error>> {
    for (name, text) in [("IPv4", "0.0.0.0/0"), ("one IPv6 /64", "2001:db8::/64")] {
        let size = Prefix::parse(text)?.size().ok_or("more than fit")?;
        println!("  {name:<14} {}", grouped(size));
    }
    // One more than the largest number of 128 bits.
    println!("  {:<14} {} + 1", "IPv6", grouped(u128::MAX));
    Ok(())
}

// ANCHOR: networks
fn networks() -> Result<(), Box<dyn Error>> {
    for (address, len) in [
        ("192.0.2.130", 26),
        ("192.0.2.130", 31),
        ("2001:db8:0:1::8a2e", 64),
    ] {
        let ip = parse(address)?.ip;
        let network = Prefix::of(ip, len).ok_or("no such length")?;
        let last = Canonical(network.last());
        let size = network.size().map_or_else(|| "2^128".to_owned(), grouped);
        println!("  {address} with {len} bits lies in {network}");
        println!(
            "    {} to {last}, {size} addresses",
            Canonical(network.network())
        );
        match network.broadcast() {
            Some(all) => println!("    all hosts: {all}"),
            None => println!("    no broadcast address"),
        }
    }
    println!("  192.0.2.130/26 is no network:");
    if let Err(error) = Prefix::parse("192.0.2.130/26") {
        println!("    {error}");
    }
    Ok(())
}
// ANCHOR_END: networks

/// An address of IPv6 as it is usually divided.
fn parts_of_ipv6() -> Result<Wire, Box<dyn Error>> {
    let text = "2001:db8:0:1::8a2e";
    let IpAddr::V6(ip) = parse(text)?.ip else {
        return Err("no IPv6 address".into());
    };
    let part = |len| Prefix::of(ip.into(), len).map(|prefix| format!("`{prefix}`"));
    let (site, subnet) = (part(48), part(64));
    Ok(Wire {
        bytes: ip.octets().to_vec(),
        fields: vec![
            Field::bytes("global routing prefix", 0, 6)
                .value(site.ok_or("no such length")?)
                .note("what the rest of the world routes by"),
            Field::bytes("subnet `ID`", 6, 2)
                .value(subnet.ok_or("no such length")?)
                .note("which of the site's links"),
            Field::bytes("interface `ID`", 8, 8)
                .value("`::8a2e`")
                .note("which interface on that link"),
        ],
    })
}

// ANCHOR: routes
fn routes() -> Result<(), Box<dyn Error>> {
    let mut table = Table::new();
    for (network, way) in [
        ("0.0.0.0/0", "to the provider"),
        ("10.0.0.0/8", "to the data centre"),
        ("10.1.0.0/16", "to the other rack"),
        ("10.1.2.0/24", "on this link"),
        ("::/0", "to the provider"),
    ] {
        table.insert(Prefix::parse(network)?, way);
    }
    for address in [
        "10.1.2.3",
        "10.1.200.3",
        "10.200.0.1",
        "192.0.2.1",
        "2001:db8::1",
    ] {
        let (network, way) = table.longest_match(parse(address)?.ip).ok_or("no way")?;
        println!("  {address:<12} {:<12} {way}", network.to_string());
    }
    Ok(())
}
// ANCHOR_END: routes

fn set_aside() -> Result<(), Box<dyn Error>> {
    for address in [
        "192.168.0.1",
        "100.64.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "192.0.2.7",
        "192.0.0.9",
        "8.8.8.8",
        "::1",
        "::ffff:10.0.0.1",
        "fd00::1",
        "2001:db8::1",
        "64:ff9b::c000:207",
        "2606:4700::1111",
    ] {
        let ip = parse(address)?.ip;
        match special::of(ip) {
            Some(range) => {
                let reach = match range.globally_reachable {
                    Some(true) => "global",
                    Some(false) => "not global",
                    None => "it depends",
                };
                println!(
                    "  {address:<18} {:<17} {:<10}  {}",
                    range.prefix, reach, range.name
                );
            }
            None => println!("  {address:<18} {:<17} global", "-"),
        }
    }
    println!(
        "  ({} lines of IANA's for IPv4, {} for IPv6)",
        special::V4.len(),
        special::V6.len()
    );
    Ok(())
}

fn dual_stack() -> Result<record::Table, Box<dyn Error>> {
    let mut table = record::Table::new([
        Column::words("the socket listens on"),
        Column::words("`IPV6_V6ONLY`"),
        Column::words("a client of `127.0.0.1`"),
        Column::words("a client of `::1`"),
    ]);
    let words = |peer: &Result<IpAddr, std::io::Error>| match peer {
        Ok(ip) => format!("appears as `{}`", Canonical(*ip)),
        Err(_) => "is refused".to_owned(),
    };
    for (listen, only_v6) in dual_stack::SOCKETS {
        let [v4, v6] = dual_stack::who_comes_in(listen, only_v6)?;
        let option = match only_v6 {
            Some(set) => u8::from(set).to_string(),
            None => "-".to_owned(),
        };
        println!("  on {listen}, IPV6_V6ONLY {option}");
        for (client, peer) in [("127.0.0.1", &v4), ("::1", &v6)] {
            println!(
                "    a client of {client:<9} {}",
                words(peer).replace('`', "")
            );
        }
        let row = [
            format!("`{listen}`"),
            format!("`{option}`"),
            words(&v4),
            words(&v6),
        ];
        table = table.row(row.map(Cell::from));
    }
    let default = dual_stack::default_of_the_system()?;
    println!(
        "  Without a word from the program, IPV6_V6ONLY is {}.",
        u8::from(default)
    );
    for only_v6 in [false, true] {
        let both = dual_stack::both_on_one_port(only_v6)?;
        let outcome = if both {
            "both listen"
        } else {
            "the second is refused: in use"
        };
        println!(
            "  :: with {} and 0.0.0.0 on the same port: {outcome}",
            u8::from(only_v6)
        );
    }

    // ANCHOR: rule
    // What a program that compares text, or the wrong numbers, does not see.
    let allowed = Prefix::parse("127.0.0.0/8")?;
    let [seen, _] = dual_stack::who_comes_in("::", Some(false))?;
    let seen = seen?;
    println!(
        "  {} in {allowed}: {}",
        Canonical(seen),
        allowed.contains(seen)
    );
    let plain = seen.to_canonical();
    println!(
        "  {} in {allowed}: {}",
        Canonical(plain),
        allowed.contains(plain)
    );
    // ANCHOR_END: rule
    Ok(table)
}

/// `1,234,567`.
fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
