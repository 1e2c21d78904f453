//! The third scene: the buffer grows with the congestion window, unless the program has set it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use exec_receive_buffer::{Result, grouped, memory, plotted_ms, set_deadline, unsent};
use lab::{Lab, Link, Report, tcp_info, undisturbed};
use record::{Axis, Column, Line, Record, Series, Table};
use socket2::SockRef;

/// How often an experiment is repeated if the machine was too busy for it.
const TRIES: usize = 3;

/// The way there, and the way back.
const DELAY: Duration = Duration::from_millis(20);

/// What is sent.
const BYTES: usize = 3 << 20;

/// What the client hands over with one `send()`.
const PIECE: usize = 16 << 10;

/// What a program asks for that sets its buffer: 128 KiB, once the kernel has doubled it.
const SET: usize = 65_536;

/// How often the client's kernel is asked: four times in a round trip.
const SAMPLED_EVERY: Duration = Duration::from_millis(10);

/// How late the lab may carry a packet: what is looked at takes round trips.
const TOLERANCE: Duration = Duration::from_millis(20);

struct Sample {
    at: Duration,
    buffer: usize,
    /// The congestion window, in bytes.
    congestion_window: usize,
    /// What was written and not sent yet.
    unsent: usize,
}

struct Transfer {
    took: Duration,
    samples: Vec<Sample>,
}

pub fn show(record: &mut Record) -> Result<()> {
    println!(
        "{} bytes over {} ms of round trip, to a server with room for all of it:",
        grouped(BYTES),
        (2 * DELAY).as_millis()
    );
    let mut table = Table::new([
        Column::words("the client's send buffer"),
        Column::number("at first", "bytes"),
        Column::number("at last", "bytes"),
        Column::number("transfer", "ms"),
        Column::number("speed", "Mbit/s"),
    ]);
    let mut transfers = Vec::new();
    for (name, set) in [("left alone", None), ("`SO_SNDBUF` set", Some(SET))] {
        let (transfer, _) = undisturbed(TRIES, || watch(set))?;
        let [first, .., last] = &transfer.samples[..] else {
            unreachable!("a transfer takes round trips")
        };
        let took_ms = transfer.took.as_secs_f64() * 1e3;
        let speed = BYTES as f64 * 8e-3 / took_ms;
        println!(
            "  {:16} {:>7} bytes at first, {:>9} at last",
            format!("{}:", name.replace('`', "")),
            grouped(first.buffer),
            grouped(last.buffer)
        );
        println!("  {:16} {took_ms:.0} ms, {speed:.1} Mbit/s", "");
        table = table.row([
            name.to_owned(),
            first.buffer.to_string(),
            last.buffer.to_string(),
            format!("{took_ms:.0}"),
            format!("{speed:.1}"),
        ]);
        transfers.push(transfer);
    }
    println!();
    record.add("autotuning", table);
    record.add("growth", transfers[0].growth());
    Ok(())
}

fn watch(set: Option<usize>) -> Result<(Transfer, Report)> {
    let mut builder = Lab::builder();
    let places = [builder.host("client"), builder.host("server")];
    let way = Link::new().delay(DELAY);
    builder.link(places[0], places[1], way.clone(), way);
    builder.congestion("reno"); // doubles its window each round trip, and takes no delay for a sign
    builder.tolerance(TOLERANCE);
    let lab = builder.start()?;
    let [client, server] = places.map(|place| lab.host(place));
    // The receiver's buffer has room for everything from the start: it shall not be the limit.
    server.sysctl("net.ipv4.tcp_rmem", "4096 6291456 6291456")?;

    // ANCHOR: watch
    let listener = server.run(|| TcpListener::bind((server.v4(), 80)))?;
    let sender = client.run(|| TcpStream::connect((server.v4(), 80)))?;
    let (mut receiver, _) = listener.accept()?;
    if let Some(bytes) = set {
        SockRef::from(&sender).set_send_buffer_size(bytes)?;
    }
    // What Nagle's algorithm holds back has room in it for the next `send()`, whatever the limit.
    sender.set_nodelay(true)?;

    for end in [&sender, &receiver] {
        set_deadline(end)?;
    }

    let started = Instant::now();
    let sending = {
        let mut sender = sender.try_clone()?;
        client.spawn(move || -> io::Result<()> {
            for _ in 0..BYTES / PIECE {
                sender.write_all(&[b'd'; PIECE])?;
            }
            sender.shutdown(Shutdown::Write)
        })
    };
    let reading = server.spawn(move || -> io::Result<Duration> {
        while receiver.read(&mut [0; 1 << 16])? > 0 {}
        Ok(started.elapsed())
    });
    let mut samples = Vec::new();
    for tick in 1.. {
        let info = tcp_info(&sender)?;
        samples.push(Sample {
            at: started.elapsed(),
            buffer: memory(&sender)?.send_buffer,
            congestion_window: (info.snd_cwnd * info.snd_mss) as usize,
            unsent: unsent(&sender)?,
        });
        if reading.is_finished() {
            break;
        }
        thread::sleep((SAMPLED_EVERY * tick).saturating_sub(started.elapsed()));
    }
    // ANCHOR_END: watch
    sending.join().expect("the sender does not panic")?;
    let took = reading.join().expect("the reader does not panic")?;
    drop(sender);
    Ok((Transfer { took, samples }, lab.finish()?))
}

impl Transfer {
    fn growth(&self) -> Series {
        let line = |name: &str, bytes: fn(&Sample) -> usize| Line {
            name: name.to_owned(),
            points: self
                .samples
                .iter()
                .map(|it| (plotted_ms(it.at), bytes(it) as f64 / 1e3))
                .collect(),
        };
        Series {
            x: Axis::new("time", "ms"),
            y: Axis::new("size", "kB"),
            lines: vec![
                line("send buffer", |it| it.buffer),
                line("congestion window", |it| it.congestion_window),
                line("unsent", |it| it.unsent),
            ],
        }
    }
}
