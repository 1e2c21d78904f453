//! One HTTP request on its way down the layers and up again.
//!
//! ```text
//! cargo run -p layers-encapsulation
//! ```
//!
//! `wrap.rs` builds the frame, byte by byte, as a kernel and a network card would; `peel.rs` takes it
//! apart as theirs on the other side do.
//!
//! Look for how much each layer adds; for what tells a receiver what comes next; and for who notices a
//! bit that flips, on the cable and inside a router.

#![forbid(unsafe_code)]

mod figure;
mod peel;
mod wrap;

use std::error::Error;
use std::process::ExitCode;

use layers_ethernet::{FCS_LEN, HEADER_LEN, crc};
use record::Record;

use peel::peel;
use wrap::{CLIENT, CLIENT_MAC, CLIENT_PORT, REQUEST, ROUTER_MAC, SERVER, SERVER_PORT};

fn main() -> ExitCode {
    if std::env::args_os().len() > 1 {
        eprintln!("usage: layers-encapsulation (it takes no arguments)");
        return ExitCode::from(2);
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("layers-encapsulation: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    // ANCHOR: down
    let segment = wrap::in_tcp(REQUEST);
    let packet = wrap::in_ipv4(&segment);
    let frame = wrap::in_ethernet(&packet)?;
    // ANCHOR_END: down
    tell_down(&segment, &packet, &frame);
    tell_up(&frame)?;
    tell_damage(&frame);

    let mut record = Record::new();
    record.add("frame", figure::of(&frame));
    record.save()?;
    Ok(())
}

fn tell_down(segment: &[u8], packet: &[u8], frame: &[u8]) {
    println!("Down: each layer wraps what it is given\n");
    println!("layer     adds  total  to whom");
    let row = |layer: &str, adds: &str, whole: &[u8], to: String| {
        println!("{layer:<8}  {adds:>4}  {:>5}  {to}", whole.len());
    };
    let added = |whole: &[u8], part: &[u8]| (whole.len() - part.len()).to_string();
    let trailer = format!("{HEADER_LEN}+{FCS_LEN}");
    row(
        "HTTP",
        &REQUEST.len().to_string(),
        REQUEST,
        "example.com".to_owned(),
    );
    row(
        "TCP",
        &added(segment, REQUEST),
        segment,
        format!("port {SERVER_PORT}, from {CLIENT_PORT}"),
    );
    row(
        "IPv4",
        &added(packet, segment),
        packet,
        format!("{SERVER}, from {CLIENT}"),
    );
    row(
        "Ethernet",
        &trailer,
        frame,
        format!("{ROUTER_MAC}, from {CLIENT_MAC}"),
    );

    println!("\nThe frame, in the order in which it leaves\n");
    let headers = frame.len() - FCS_LEN - REQUEST.len();
    let ends = [
        ("Ethernet", HEADER_LEN),
        ("IPv4", headers + REQUEST.len() - segment.len()),
        ("TCP", headers),
        ("HTTP", headers + REQUEST.len()),
        ("Ethernet", frame.len()),
    ];
    let mut begin = 0;
    for (layer, end) in ends {
        for (nth, line) in frame[begin..end].chunks(16).enumerate() {
            let digits: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            let layer = if nth == 0 { layer } else { "" };
            println!("{:>4}  {layer:<8}  {}", begin + nth * 16, digits.join(" "));
        }
        begin = end;
    }
}

fn tell_up(frame: &[u8]) -> Result<(), Box<dyn Error>> {
    // ANCHOR: up
    let peeled = peel(frame)?;
    if peeled.data != REQUEST {
        return Err("what came out is not what went in".into());
    }
    // ANCHOR_END: up
    println!("\nUp: each layer checks, takes off its own, and knows what comes next\n");
    let row = |layer: &str, check: &str, next: &str, left: &[u8]| {
        println!(
            "{layer:<8}  {check:<28}  {next:<18}  {:>2} left",
            left.len()
        );
    };
    row(
        "Ethernet",
        "check sequence of 32 bits",
        "ether_type 0x0800",
        peeled.packet,
    );
    row(
        "IPv4",
        "checksum over the header",
        "protocol 6",
        peeled.segment,
    );
    row(
        "TCP",
        "checksum over all, addresses",
        "port 80",
        peeled.data,
    );
    println!("HTTP      {}", peeled.data.escape_ascii());
    Ok(())
}

// ANCHOR: damage
/// Flips every bit of the frame in turn, and counts who notices.
fn tell_damage(frame: &[u8]) {
    println!("\nOne bit flips: each of the frame in turn, and who notices\n");
    let bits = 0..frame.len() * 8;
    let on_the_cable = bits.map(|bit| flipped(frame, bit));
    tell_who_notices("on the cable", on_the_cable);

    // A router checks the frame that comes, and makes a new one, whose check sequence is right
    // whatever became of the bytes in between.
    let bits = 0..(frame.len() - FCS_LEN) * 8;
    let in_a_router = bits.map(|bit| {
        let mut frame = flipped(frame, bit);
        crc::seal(&mut frame).expect("a frame is longer than its check sequence");
        frame
    });
    tell_who_notices("inside a router", in_a_router);
}
// ANCHOR_END: damage

fn flipped(frame: &[u8], bit: usize) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[bit / 8] ^= 0x80 >> (bit % 8);
    frame
}

fn tell_who_notices(place: &str, frames: impl Iterator<Item = Vec<u8>>) {
    let layers = ["Ethernet", "IPv4", "TCP", "nobody"];
    let mut counts = [0; 4];
    for frame in frames {
        let by = peel(&frame).map_or_else(|refusal| refusal.layer, |_| "nobody");
        counts[layers
            .iter()
            .position(|layer| *layer == by)
            .expect("one of the layers")] += 1;
    }
    let all: usize = counts.iter().sum();
    let each: Vec<String> = layers
        .iter()
        .zip(counts)
        .map(|(layer, count)| format!("{layer} {count}"))
        .collect();
    println!("{place:<15}  {all} bits: {}", each.join(", "));
}
