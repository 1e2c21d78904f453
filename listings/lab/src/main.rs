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

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "The lab builds networks out of Linux's namespaces. Run it on Linux: in the book's dev \
         container, or on Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    if std::env::args().len() > 1 {
        eprintln!("usage: lab (it takes no arguments)");
        return std::process::ExitCode::from(2);
    }
    match linux::run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::error::Error;
    use std::io::{self, Read, Write};
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::time::{Duration, Instant};

    use lab::{Capture, Fate, Host, Lab, Link, Report, undisturbed};
    use record::{Axis, Cell, Column, Line, Record, Series, Table};

    type Outcome<T = ()> = Result<T, Box<dyn Error>>;

    /// How often a part is repeated whose times a busy machine would spoil.
    const TRIES: usize = 5;

    pub(crate) fn run() -> Outcome {
        lab::enter()?;
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

    // ANCHOR: round-trip
    fn round_trip(here: &UdpSocket, there: &UdpSocket) -> io::Result<Duration> {
        let mut buffer = [0; 16];
        let started = Instant::now();
        here.send(b"hello")?;
        let (length, from) = there.recv_from(&mut buffer)?;
        there.send_to(&buffer[..length], from)?;
        here.recv(&mut buffer)?;
        Ok(started.elapsed())
    }
    // ANCHOR_END: round-trip

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
        let (up, gone) = set_up()?;
        let (errors, _) = undisturbed(2, round_trip_errors)?;
        let gigabits = throughput()?;
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

    /// How long labs take to be there, and to be gone, interfaces and all.
    fn set_up() -> Outcome<(Vec<Duration>, Vec<Duration>)> {
        let (mut up, mut gone) = (Vec::new(), Vec::new());
        for _ in 0..LABS {
            let started = Instant::now();
            let (lab, client, server) = Lab::pair(Link::new())?;
            up.push(started.elapsed());
            // A thread on each host keeps its namespace and sees the interface go.
            let watches = [client, server].map(|host| host.spawn(until_the_interface_is_gone));
            let started = Instant::now();
            drop(lab);
            for watch in watches {
                watch.join().expect("a watch does not panic")?;
            }
            gone.push(started.elapsed());
        }
        Ok((up, gone))
    }

    fn until_the_interface_is_gone() -> io::Result<()> {
        while std::fs::read_to_string("/proc/thread-self/net/dev")?.contains("eth0") {
            std::thread::sleep(Duration::from_micros(100));
        }
        Ok(())
    }

    /// By how much round trips over 25 ms each way miss 50 ms.
    fn round_trip_errors() -> Outcome<(Vec<Duration>, Report)> {
        let delay = Duration::from_millis(25);
        let (lab, client, server) = Lab::pair(Link::new().delay(delay))?;
        let here = client.run(|| UdpSocket::bind((client.v4(), 0)))?;
        let there = server.run(|| UdpSocket::bind((server.v4(), 7)))?;
        here.connect(there.local_addr()?)?;
        let errors = (0..ROUND_TRIPS)
            .map(|_| Ok(round_trip(&here, &there)?.abs_diff(2 * delay)))
            .collect::<io::Result<_>>()?;
        Ok((errors, lab.finish()?))
    }

    /// How fast TCP is without a delay. An error if a packet was lost that no link had decided to
    /// lose.
    fn throughput() -> Outcome<f64> {
        let mut builder = Lab::builder();
        let (a, b) = (builder.host("client"), builder.host("server"));
        builder.link(a, b, Link::new(), Link::new());
        builder.snap(0);
        let lab = builder.start()?;
        let gigabits = transfer(&lab.host(a), &lab.host(b))?;
        // Late it is, with all that it has to carry; what counts is that nothing is missing.
        let _ = lab.finish()?;
        Ok(gigabits)
    }

    fn transfer(client: &Host, server: &Host) -> io::Result<f64> {
        let listener = server.run(|| TcpListener::bind((server.v4(), 80)))?;
        let reading = server.spawn(move || -> io::Result<()> {
            let (mut connection, _) = listener.accept()?;
            let mut buffer = vec![0; 1 << 18];
            while connection.read(&mut buffer)? > 0 {}
            Ok(())
        });
        let mut connection = client.run(|| TcpStream::connect((server.v4(), 80)))?;
        let block = vec![7; 1 << 18];
        let started = Instant::now();
        for _ in 0..BYTES / block.len() {
            connection.write_all(&block)?;
        }
        drop(connection);
        reading.join().expect("the reader does not panic")?;
        Ok(BYTES as f64 * 8.0 / started.elapsed().as_secs_f64() / 1e9)
    }

    fn indented(lines: &str) -> String {
        lines.lines().map(|line| format!("  {line}\n")).collect()
    }
}
