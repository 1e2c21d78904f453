//! What TCP costs beyond the bytes: a handshake for each connection, waiting behind a lost segment,
//! slow start, and a sender and a receiver that wait for each other.
//!
//! ```text
//! cargo run -p tcp-costs
//! ```
//!
//! Each cost has a module, and a network of its own: a client and a server whose kernels speak TCP
//! with Reno and otherwise Linux's defaults, over a link that takes a known time and any amount.
//!
//! Look for how each cost grows with the round trip, which no bandwidth shortens, and for what makes
//! it go away: a connection that is kept, and one write in place of two. Linux only.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "tcp-costs builds a network of Linux kernels. Run it on Linux: in the book's dev container, \
         or on Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    lab::experiment(env!("CARGO_PKG_NAME"), linux::run)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::time::Duration;

    use lab::{Capture, Tcp, undisturbed};
    use record::{Axis, Column, Line, Record, Sequence, Series, Table};
    use tcp_costs::head_of_line::{self, Chunk, Connections, GAP, STREAMS};
    use tcp_costs::nagle::{self, Writes};
    use tcp_costs::network::{Result, median, ms, part};
    use tcp_costs::reuse::{self, EACH, SHARED};
    use tcp_costs::slow_start::{self, ANSWER, INITIAL_WINDOW};

    /// How often a measurement is repeated if the machine was too busy for it.
    const TRIES: usize = 3;

    pub fn run() -> Result<()> {
        println!("What TCP costs, with Reno and otherwise Linux's defaults.");
        let mut record = Record::new();
        handshakes(&mut record)?;
        one_lost_segment(&mut record)?;
        slow_starts(&mut record)?;
        two_writes(&mut record)?;
        Ok(record.save()?)
    }

    fn handshakes(record: &mut Record) -> Result<()> {
        const ROUND_TRIP: Duration = Duration::from_millis(20);
        const REQUESTS: usize = 11;
        println!("\n1. A handshake before each request, or before the first alone");
        println!("   {REQUESTS} requests, a round trip of {ROUND_TRIP:?}\n");
        let (reuse, _) = undisturbed(TRIES, || reuse::measure(ROUND_TRIP, REQUESTS))?;

        println!("   connection        median  round trips  segments  left in TIME-WAIT");
        let mut table = Table::new([
            Column::words("connection"),
            Column::number("median", "ms"),
            Column::number("round trips", ""),
            Column::number("segments of all requests", ""),
            Column::number("left in `TIME-WAIT`", ""),
        ]);
        for (name, requests) in [
            ("new for each", &reuse.each),
            ("one for all", &reuse.shared),
        ] {
            let median = ms(median(&requests.times));
            let round_trips = (median / ms(ROUND_TRIP)).round();
            let (segments, time_wait) = (requests.segments, requests.time_wait);
            println!(
                "   {name:13} {median:7.1} ms  {round_trips:11}  {segments:8}  {time_wait:17}"
            );
            table = table.row([
                name.to_owned(),
                format!("{median:.1}"),
                round_trips.to_string(),
                segments.to_string(),
                time_wait.to_string(),
            ]);
        }
        record.add("reuse", table);
        record.add("each", requests_of(&reuse.capture, EACH, 1));
        record.add("shared", requests_of(&reuse.capture, SHARED, 3));
        Ok(())
    }

    /// The handshake of the first connection to a port, and the first requests and answers. Of the
    /// segments behind the handshake only those with data: whether an acknowledgment travels alone
    /// depends on who is faster.
    fn requests_of(capture: &Capture, port: u16, requests: usize) -> Sequence {
        let crossings = capture.crossings();
        let segments: Vec<(usize, Tcp)> = crossings
            .iter()
            .enumerate()
            .filter_map(|(index, crossing)| Some((index, crossing.tcp()?)))
            .filter(|(_, segment)| [segment.source_port, segment.destination_port].contains(&port))
            .collect();
        let (handshake, later) = segments.split_at(3);
        let data = later.iter().filter(|(_, segment)| segment.length > 0);
        let wanted: Vec<usize> = handshake
            .iter()
            .chain(data.take(2 * requests))
            .map(|&(index, _)| index)
            .collect();
        part(capture, |index| wanted.contains(&index))
    }

    fn one_lost_segment(record: &mut Record) -> Result<()> {
        const ROUND_TRIP: Duration = Duration::from_millis(40);
        /// A chunk of the first stream, with some of every stream before and behind it.
        const LOST: usize = 6;
        println!("\n2. One lost segment, and who waits for it");
        println!(
            "   {STREAMS} streams, a chunk every {GAP:?}, a round trip of {ROUND_TRIP:?}; a chunk of A is lost\n"
        );
        println!("   the longest wait of           A           B           C");
        let mut table = Table::new([
            Column::words("carried by"),
            Column::number("stream `A`", "ms"),
            Column::number("stream `B`", "ms"),
            Column::number("stream `C`", "ms"),
        ]);
        for (figure, name, connections) in [
            ("one", "one connection", Connections::One),
            ("one-each", "one connection each", Connections::OneEach),
        ] {
            let (chunks, _) = undisturbed(TRIES, || {
                head_of_line::measure(connections, ROUND_TRIP, LOST)
            })?;
            let [a, b, c] = head_of_line::longest_waits(&chunks, ROUND_TRIP).map(ms);
            println!("   {name:20} {a:7.1} ms  {b:7.1} ms  {c:7.1} ms");
            let waits = [a, b, c].map(|wait| format!("{wait:.1}"));
            table = table.row([name.to_owned()].into_iter().chain(waits));
            record.add(figure, waits_of(&chunks));
        }
        record.add("waits", table);
        Ok(())
    }

    /// What the streams are called.
    const NAMES: [&str; STREAMS] = ["A", "B", "C"];

    /// When the chunks could be read, by stream, and when they had come.
    fn waits_of(chunks: &[Chunk]) -> Series {
        let line = |name: String, stream: Option<usize>, after: fn(&Chunk) -> Duration| Line {
            name,
            points: chunks
                .iter()
                .enumerate()
                .filter(|(number, _)| stream.is_none_or(|it| it == head_of_line::stream(*number)))
                .map(|(_, chunk)| (tenths(ms(chunk.sent)), tenths(ms(after(chunk)))))
                .collect(),
        };
        let mut lines: Vec<Line> = (0..STREAMS)
            .map(|stream| {
                let name = format!("stream `{}` can be read", NAMES[stream]);
                line(name, Some(stream), |chunk| chunk.readable_after)
            })
            .collect();
        let arrived = "the bytes are there".to_owned();
        lines.push(line(arrived, None, |chunk| chunk.arrived_after));
        Series {
            x: Axis::new("chunk sent", "ms"),
            y: Axis::new("after that", "ms"),
            lines,
        }
    }

    fn slow_starts(record: &mut Record) -> Result<()> {
        const ROUND_TRIPS: [Duration; 4] = [
            Duration::from_millis(10),
            Duration::from_millis(20),
            Duration::from_millis(50),
            Duration::from_millis(100),
        ];
        /// So many retransmission timeouts that no window of this size outlives them.
        const IDLE: Duration = Duration::from_millis(1_800);
        let growths = ROUND_TRIPS
            .iter()
            .map(|&round_trip| Ok(undisturbed(TRIES, || slow_start::measure(round_trip, 2))?.0))
            .collect::<Result<Vec<_>>>()?;
        let segments = ANSWER.div_ceil(growths[0].segment_bytes);
        let predicted = slow_start::predicted_flights(segments);

        println!(
            "\n3. Slow start: an answer of {} KiB, {segments} segments",
            ANSWER >> 10
        );
        println!(
            "   The window begins with {INITIAL_WINDOW} segments and doubles: {} flights, {}\n",
            predicted.len(),
            joined(&predicted)
        );
        println!("   round trip   predicted  new connection  flights  the same again");
        let mut lines =
            ["predicted", "new connection", "the same connection again"].map(|name| Line {
                name: name.to_owned(),
                points: Vec::new(),
            });
        for growth in &growths {
            let round_trip = ms(growth.round_trip);
            let [cold, warm] = &growth.fetches[..] else {
                unreachable!("two answers were fetched");
            };
            let times = [
                round_trip * predicted.len() as f64,
                ms(cold.took),
                ms(warm.took),
            ];
            println!(
                "   {round_trip:7} ms  {:7} ms  {:11.1} ms  {:7}  {:11.1} ms",
                times[0],
                times[1],
                cold.flights.len(),
                times[2]
            );
            for (line, time) in lines.iter_mut().zip(times) {
                line.points.push((round_trip, tenths(time)));
            }
        }
        record.add(
            "slow-start",
            Series {
                x: Axis::new("round trip", "ms"),
                y: Axis::new("time for the answer", "ms"),
                lines: lines.into(),
            },
        );
        let mut table = Table::new([
            Column::number("flight", ""),
            Column::number("predicted", "segments"),
            Column::number("sent", "segments"),
        ]);
        let sent = &growths[ROUND_TRIPS.len() - 1].fetches[0].flights;
        for at in 0..predicted.len().max(sent.len()) {
            let cell = |flights: &[usize]| flights.get(at).map_or("–".into(), usize::to_string);
            table = table.row([(at + 1).to_string(), cell(&predicted), cell(sent)]);
        }
        record.add("flights", table);

        let round_trip = ROUND_TRIPS[1];
        let (idle, _) = undisturbed(TRIES, || slow_start::rest(round_trip, IDLE))?;
        println!("\n   At a round trip of {round_trip:?}                      time  flights");
        let mut table = Table::new([
            Column::words("the same again"),
            Column::number("time for the answer", "ms"),
            Column::number("flights", ""),
        ]);
        for (name, in_figure, fetch) in [
            ("the same again", "at once", &idle.before),
            ("after 1.8 s of rest", "after `1.8 s` of rest", &idle.after),
            (
                "and tcp_slow_start_after_idle=0",
                "after `1.8 s` of rest, `tcp_slow_start_after_idle=0`",
                &idle.after_without,
            ),
        ] {
            let (took, flights) = (ms(fetch.took), fetch.flights.len());
            println!("   {name:32} {took:10.1} ms  {flights:7}");
            table = table.row([
                in_figure.to_owned(),
                format!("{took:.1}"),
                flights.to_string(),
            ]);
        }
        record.add("idle", table);
        Ok(())
    }

    fn two_writes(record: &mut Record) -> Result<()> {
        const ROUND_TRIP: Duration = Duration::from_millis(2);
        const REQUESTS: usize = 9;
        println!("\n4. A request's head and body, and two algorithms that wait for each other");
        println!("   {REQUESTS} requests, a round trip of {ROUND_TRIP:?}\n");
        println!("   the client writes             median");
        let mut table = Table::new([
            Column::words("the client writes"),
            Column::number("median", "ms"),
        ]);
        for (name, in_figure, writes) in [
            ("head, body", "head, body", Writes::Two),
            (
                "head, body, TCP_NODELAY",
                "head, body, with `TCP_NODELAY`",
                Writes::TwoWithoutDelay,
            ),
            (
                "head and body at once",
                "head and body at once",
                Writes::One,
            ),
        ] {
            let ((times, capture), _) =
                undisturbed(TRIES, || nagle::measure(ROUND_TRIP, writes, REQUESTS))?;
            let median = ms(median(&times));
            println!("   {name:25} {median:7.1} ms");
            table = table.row([in_figure.to_owned(), format!("{median:.1}")]);
            if writes == Writes::Two {
                record.add("nagle", nagle::exchange(&capture, 3));
            }
        }
        record.add("writes", table);
        Ok(())
    }

    fn tenths(value: f64) -> f64 {
        (value * 10.0).round() / 10.0
    }

    fn joined(flights: &[usize]) -> String {
        let words: Vec<String> = flights.iter().map(usize::to_string).collect();
        words.join(" + ")
    }
}
