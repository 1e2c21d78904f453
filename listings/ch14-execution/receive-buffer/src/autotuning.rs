//! The fifth scene: the buffer grows for a program that reads fast, unless the program has set it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use exec_receive_buffer::{Result, grouped, memory, plotted_ms, receive_space, set_deadline};
use lab::{Lab, Link, Report, tcp_info, undisturbed};
use record::{Axis, Column, Line, Record, Series, Table};
use socket2::{Domain, Socket, Type};

/// How often an experiment is repeated if the machine was too busy for it.
const TRIES: usize = 3;

// ANCHOR: way
/// The way there, and the way back: as far as from Europe's west to its east.
const DELAY: Duration = Duration::from_millis(20);

/// What is sent.
const BYTES: usize = 3 << 20;

/// What a program asks for that means well: 128 KiB, once the kernel has doubled it.
const SET: usize = 65_536;
// ANCHOR_END: way

/// How often the server's kernel is asked: four times in a round trip.
const SAMPLED_EVERY: Duration = Duration::from_millis(10);

/// How late the lab may carry a packet: what is looked at takes round trips.
const TOLERANCE: Duration = Duration::from_millis(20);

struct Sample {
    at: Duration,
    buffer: usize,
    window: u32,
    space: usize,
}

struct Transfer {
    took: Duration,
    samples: Vec<Sample>,
}

pub fn show(record: &mut Record) -> Result<()> {
    println!(
        "{} bytes over {} ms of round trip, to a program that reads as fast as it can:",
        grouped(BYTES),
        (2 * DELAY).as_millis()
    );
    let mut table = Table::new([
        Column::words("the server's receive buffer"),
        Column::number("at first", "bytes"),
        Column::number("at last", "bytes"),
        Column::number("largest window", "bytes"),
        Column::number("transfer", "ms"),
        Column::number("speed", "Mbit/s"),
    ]);
    let mut transfers = Vec::new();
    for (name, set) in [("left alone", None), ("`SO_RCVBUF` set", Some(SET))] {
        let (transfer, _) = undisturbed(TRIES, || watch(set))?;
        let (first, last, widest) = transfer.sizes();
        let speed = BYTES as f64 * 8e-6 / transfer.took.as_secs_f64();
        println!(
            "  {:16} {:>7} bytes at first, {:>9} at last; window up to {:>9}",
            format!("{}:", name.replace('`', "")),
            grouped(first),
            grouped(last),
            grouped(widest)
        );
        println!(
            "  {:16} {:.0} ms, {speed:.1} Mbit/s",
            "",
            transfer.took.as_secs_f64() * 1e3
        );
        table = table.row([
            name.to_owned(),
            first.to_string(),
            last.to_string(),
            widest.to_string(),
            format!("{:.0}", transfer.took.as_secs_f64() * 1e3),
            format!("{speed:.1}"),
        ]);
        transfers.push(transfer);
    }
    println!();
    record.add("autotuning", table);
    record.add("growth", growth(&transfers[0], &transfers[1]));
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
    // The sender's buffer has room for everything from the start: it shall not be the limit.
    client.sysctl("net.ipv4.tcp_wmem", "4096 4194304 4194304")?;

    let address = SocketAddr::from((server.v4(), 80));
    let listener = server.run(|| Socket::new(Domain::IPV4, Type::STREAM, None))?;
    if let Some(bytes) = set {
        listener.set_recv_buffer_size(bytes)?;
    }
    listener.bind(&address.into())?;
    listener.listen(1)?;
    let mut sender = client.run(|| TcpStream::connect(address))?;
    let (receiver, _) = TcpListener::from(listener).accept()?;
    for end in [&sender, &receiver] {
        set_deadline(end)?;
    }

    // ANCHOR: watch
    let started = Instant::now();
    let sending = client.spawn(move || -> io::Result<()> {
        sender.write_all(&vec![b'd'; BYTES])?;
        sender.shutdown(Shutdown::Write)
    });
    let reading = {
        let mut receiver = receiver.try_clone()?;
        server.spawn(move || -> io::Result<Duration> {
            while receiver.read(&mut [0; 1 << 16])? > 0 {}
            Ok(started.elapsed())
        })
    };
    let mut samples = Vec::new();
    for tick in 1.. {
        samples.push(Sample {
            at: started.elapsed(),
            buffer: memory(&receiver)?.receive_buffer,
            window: tcp_info(&receiver)?.rcv_wnd,
            space: receive_space(&receiver)?,
        });
        if reading.is_finished() {
            break;
        }
        thread::sleep((SAMPLED_EVERY * tick).saturating_sub(started.elapsed()));
    }
    // ANCHOR_END: watch
    sending.join().expect("the sender does not panic")?;
    let took = reading.join().expect("the reader does not panic")?;
    drop(receiver);
    Ok((Transfer { took, samples }, lab.finish()?))
}

impl Transfer {
    /// The buffer at first and at last, and the largest window in between.
    fn sizes(&self) -> (usize, usize, usize) {
        let [first, .., last] = &self.samples[..] else {
            unreachable!("a transfer takes round trips")
        };
        let windows = self.samples.iter().map(|sample| sample.window);
        let widest = windows.max().unwrap_or_default();
        (first.buffer, last.buffer, widest as usize)
    }

    fn line(&self, name: &str, until: Duration, kilobytes: impl Fn(&Sample) -> f64) -> Line {
        let samples = self.samples.iter().filter(|sample| sample.at <= until);
        Line {
            name: name.to_owned(),
            points: samples
                .map(|sample| (plotted_ms(sample.at), kilobytes(sample)))
                .collect(),
        }
    }
}

/// As long as the faster of the two takes: after that nothing happens.
fn growth(alone: &Transfer, set: &Transfer) -> Series {
    let until = alone.took.min(set.took);
    Series {
        x: Axis::new("time", "ms"),
        y: Axis::new("size", "kB"),
        lines: vec![
            alone.line("buffer, left alone", until, |it| it.buffer as f64 / 1e3),
            alone.line("window, left alone", until, |it| f64::from(it.window) / 1e3),
            alone.line("read in a round trip", until, |it| it.space as f64 / 1e3),
            set.line("window, `SO_RCVBUF` set", until, |it| {
                f64::from(it.window) / 1e3
            }),
        ],
    }
}
