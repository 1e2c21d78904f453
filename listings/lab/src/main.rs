//! What the lab does: a delay, a loss, a queue, and how well it keeps what it promises.
//!
//! ```text
//! cargo run -p lab
//! ```
//!
//! Each part builds a network of two hosts, does something on it, and takes it down again. With
//! `LAB_PCAPNG=FILE` the packets of each are left to Wireshark.
//!
//! Look for the time that a packet takes on loopback and on a link; for which datagrams are lost,
//! twice; for the queue that makes each packet wait longer than the one before, and then is full.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod measure;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "The lab builds networks out of Linux's namespaces. Run it on Linux: in the book's dev \
         container, or on Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    lab::experiment(env!("CARGO_PKG_NAME"), linux::run)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::error::Error;
    use std::net::UdpSocket;
    use std::time::Duration;

    use lab::{Capture, Fate, Lab, Link, Report, undisturbed};
    use record::{Axis, Cell, Column, Line, Record, Series, Table};

    use crate::measure::{round_trip, round_trip_errors, set_up, throughput};

    type Outcome<T = ()> = Result<T, Box<dyn Error>>;

    /// How often a part is repeated whose times a busy machine would spoil.
    const TRIES: usize = 5;

    pub(crate) fn run() -> Outcome {
        let mut record = Record::new();
        delay(&mut record)?;
        loss()?;
        queue(&mut record)?;
        promises(&mut record)?;
        record.save()?;
        Ok(())
    }

    fn delay(record: &mut Record) -> Outcome {
        println!("A delay");
        let here = UdpSocket::bind("127.0.0.1:0")?;
        let there = UdpSocket::bind("127.0.0.1:0")?;
        here.connect(there.local_addr()?)?;
        println!(
            "  a round trip on loopback: {:.0?}",
            round_trip(&here, &there)?
        );

        let ((elapsed, capture), _) = undisturbed(TRIES, over_a_link)?;
        println!("  over 25 ms each way:      {elapsed:.1?}");
        print!("{}", indented(&capture.lines()));
        record.add("delay", capture.sequence());
        Ok(())
    }

    // ANCHOR: delay
    fn over_a_link() -> Outcome<((Duration, Capture), Report)> {
        let link = Link::new().delay(Duration::from_millis(25));
        let (lab, client, server) = Lab::pair(link)?;
        let here = client.run(|| UdpSocket::bind((client.v4(), 0)))?;
        let there = server.run(|| UdpSocket::bind((server.v4(), 7)))?;
        here.connect(there.local_addr()?)?;
        let elapsed = round_trip(&here, &there)?;
        Ok(((elapsed, lab.capture()), lab.finish()?))
    }
    // ANCHOR_END: delay

    fn loss() -> Outcome {
        println!("\nA loss of 20 %, by chance: which of 20 datagrams");
        for (seed, name) in [(7, "seed 7"), (7, "again "), (8, "seed 8")] {
            println!("  {name}: {:?}", lost(seed)?);
        }
        Ok(())
    }

    // ANCHOR: loss
    fn lost(seed: u64) -> Outcome<Vec<u64>> {
        let (lab, client, server) = Lab::pair(Link::new().loss(0.2, seed))?;
        let socket = client.run(|| UdpSocket::bind((client.v4(), 0)))?;
        let sink = server.run(|| UdpSocket::bind((server.v4(), 9)))?;
        for _ in 0..20 {
            socket.send_to(b"?", sink.local_addr()?)?;
        }
        let capture = lab.capture();
        let lost = capture.sent_by("client").filter(|it| it.fate == Fate::Lost);
        Ok(lost.map(|it| it.number).collect())
    }
    // ANCHOR_END: loss

    fn queue(record: &mut Record) -> Outcome {
        println!("\nA queue: 9,000 bytes before 1 Mbit/s, and ten packets of 1,500 bytes at once");
        let (capture, _) = undisturbed(TRIES, through_a_queue)?;
        let (mut taken, mut lost) = (Vec::new(), Vec::new());
        for packet in capture.crossings() {
            let (number, waits) = (packet.number, packet.queue_bytes);
            let point = (number as f64, waits as f64);
            match packet.arrived {
                Some(_) => taken.push(point),
                None => lost.push(point),
            }
            match packet.arrived {
                Some(arrived) => println!(
                    "  packet {number:>2} finds {waits:>4} bytes, under way for {:>5.1} ms",
                    (arrived - packet.sent).as_secs_f64() * 1e3
                ),
                None => println!("  packet {number:>2} finds {waits:>4} bytes, and no room"),
            }
        }
        let line = |name: &str, points| Line {
            name: name.to_owned(),
            points,
        };
        let queue = Series {
            x: Axis::new("packet", ""),
            y: Axis::new("waiting when it comes", "bytes"),
            lines: vec![line("taken", taken), line("lost", lost)],
        };
        record.add("queue", queue);
        Ok(())
    }

    // ANCHOR: queue
    fn through_a_queue() -> Outcome<(Capture, Report)> {
        let link = Link::new().rate(1_000_000).queue(9_000);
        let (lab, client, server) = Lab::pair(link)?;
        let socket = client.run(|| UdpSocket::bind((client.v4(), 0)))?;
        let sink = server.run(|| UdpSocket::bind((server.v4(), 9)))?;
        // With 28 bytes of headers, 1,500 a packet.
        for _ in 0..10 {
            socket.send_to(&[0; 1472], sink.local_addr()?)?;
        }
        for _ in 0..6 {
            sink.recv(&mut [0; 1472])?;
        }
        Ok((lab.capture(), lab.finish()?))
    }
    // ANCHOR_END: queue

    const LABS: usize = 20;
    const ROUND_TRIPS: usize = 40;
    const BYTES: usize = 128 << 20;

    fn promises(record: &mut Record) -> Outcome {
        let (up, gone) = set_up(LABS)?;
        let (errors, _) = undisturbed(2, || round_trip_errors(ROUND_TRIPS))?;
        // The relay is late, with all that it has to carry; what counts is that nothing is missing.
        let (gigabits, _, _) = throughput(BYTES)?;
        let ms = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
        println!("\nWhat is promised, and what was measured here");
        let mut table = Table::new([
            Column::words("what"),
            Column::words("promised"),
            Column::words("measured"),
        ]);
        for (what, promised, measured) in [
            ("two hosts up, 95 of 100", "≤ 50 ms", ms(part(&up, 95))),
            ("two hosts gone, 95 of 100", "≤ 100 ms", ms(part(&gone, 95))),
            (
                "error of a round trip, median",
                "< 0.5 ms",
                ms(part(&errors, 50)),
            ),
            (
                "error of a round trip, 95 of 100",
                "< 1 ms",
                ms(part(&errors, 95)),
            ),
            (
                "TCP in packets of 1,500 bytes",
                "≥ 1 Gbit/s",
                format!("{gigabits:.1} Gbit/s"),
            ),
            ("packets lost without a decision", "0", "0".to_owned()),
        ] {
            println!("  {what:<33} {promised:>10}  {measured:>11}");
            let verbatim = |text: &str| format!("`{text}`");
            table = table.row([Cell::from(what), verbatim(promised), verbatim(&measured)]);
        }
        record.add("promises", table);
        Ok(())
    }

    /// The value that so many hundredths do not exceed.
    fn part(times: &[Duration], hundredths: usize) -> Duration {
        let mut times = times.to_vec();
        times.sort();
        times[(times.len() * hundredths).div_ceil(100) - 1]
    }

    fn indented(lines: &str) -> String {
        lines.lines().map(|line| format!("  {line}\n")).collect()
    }
}
