//! A reader stops reading. Its kernel closes the window, the sender's kernel stops and asks from time
//! to time, the sender's program is told to wait; and when the reader goes on, all goes on.
//!
//! ```text
//! cargo run -p tcp-flow-control
//! ```
//!
//! Look for how much `write()` takes though nobody reads, for the probes' times, and for what happens
//! when the one segment is lost that would open the window again. Linux only.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod transfer;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "tcp-flow-control builds a network of Linux kernels. Run it on Linux: in the book's dev \
         container, or on Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    lab::experiment(env!("CARGO_PKG_NAME"), linux::run)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::time::Duration;

    use lab::{Link, Packet, Report, Verdict, tcp_info, undisturbed};
    use record::{Axis, Column, Event, Fate, Line, Record, Sequence, Series, Table, What};
    use socket2::SockRef;

    use crate::transfer::{Error, Segment, Settings, Transfer, grouped, segments, wait_until};

    /// How often an experiment is repeated if the machine was too busy for it.
    const TRIES: usize = 3;

    /// What the client sends in the first two experiments, in bytes.
    const BYTES: usize = 300_000;

    /// What the client asks for as its send buffer. By default the kernel would let it grow.
    const SEND_BUFFER: usize = 65_536;

    /// After how many unsuccessful probes the server's program reads again.
    const PROBES: i64 = 3;

    pub fn run() -> Result<(), Error> {
        let mut record = Record::new();
        let (stop, _) = undisturbed(TRIES, reader_stops)?;
        stop.tell();
        record.add("window", stop.series());
        record.add("stop", stop.sequence());
        update_lost()?;
        record.add("bytes", byte_by_byte()?);
        record.add("windows", windows()?);
        record.save()?;
        Ok(())
    }

    /// What was seen while the reader did not read, and after.
    struct Stop {
        /// How many bytes `write()` took, how many of them the server's kernel had, and how many the
        /// client's had not sent.
        taken: usize,
        delivered: u64,
        unsent: u32,
        /// The kernels' counters, by name.
        counters: Vec<(&'static str, &'static str, i64)>,
        busy: Duration,
        window_closed: Duration,
        scale: u8,
        segments: Vec<Segment>,
    }

    fn reader_stops() -> Result<(Stop, Report), Error> {
        // ANCHOR: stop
        let mut transfer = Transfer::open(Settings {
            send_buffer: Some(SEND_BUFFER),
            ..Settings::default()
        })?;
        // A kernel answers what is outside its window twice a second at most. Not here: each
        // probe is to have its answer.
        let limit = "net.ipv4.tcp_invalid_ratelimit";
        transfer.server.sysctl(limit, 0)?;

        transfer.fill(BYTES)?; // and nobody reads
        let (taken, info) = (transfer.written, tcp_info(&transfer.sender)?);
        // ANCHOR_END: stop

        // ANCHOR: resume
        wait_until("the probes are sent and answered", || {
            let sent = transfer.client.counters()["TcpExtTCPWinProbe"];
            Ok(sent == PROBES && tcp_info(&transfer.sender)?.probes == 0)
        })?;
        transfer.complete(BYTES, BYTES)?; // reads again, and checks every byte
        // ANCHOR_END: resume

        let end = tcp_info(&transfer.sender)?;
        let mut counters = Vec::new();
        for (host, name) in [
            ("client", "TCPWinProbe"),
            ("server", "TCPToZeroWindowAdv"),
            ("server", "TCPWantZeroWindowAdv"),
            ("server", "TCPFromZeroWindowAdv"),
        ] {
            let end = match host {
                "client" => &transfer.client,
                _ => &transfer.server,
            };
            counters.push((host, name, end.counters()[&format!("TcpExt{name}")]));
        }
        let stop = Stop {
            taken,
            delivered: info.bytes_acked - 1, // the SYN counts as one
            unsent: info.notsent_bytes,
            counters,
            busy: end.busy_time,
            window_closed: end.rwnd_limited,
            scale: end.snd_wscale,
            segments: segments(&transfer.lab.capture(), end.snd_wscale),
        };
        Ok((stop, transfer.lab.finish()?))
    }

    impl Stop {
        /// The first segment with window 0.
        fn closed(&self) -> usize {
            let mut all = self.segments.iter();
            all.position(|segment| segment.closes())
                .expect("the window was closed")
        }

        /// The first segment after it with another window.
        fn opened(&self) -> usize {
            let after = &self.segments[self.closed()..];
            let opens = |segment: &Segment| !segment.from_client && segment.window > 0;
            self.closed()
                + after
                    .iter()
                    .position(opens)
                    .expect("the window was opened again")
        }

        /// What the client sent in between. Its segments without data ask, those with data fill what
        /// was left of the window.
        fn probes(&self) -> impl Iterator<Item = &Segment> {
            let between = &self.segments[self.closed()..self.opened()];
            between.iter().filter(|segment| segment.from_client)
        }

        fn tell(&self) {
            let in_bytes = |bytes: u64| format!("{} bytes", grouped(bytes));
            println!("The server's program does not read, and the client's writes:");
            println!(
                "  write() takes {}, and then it would block.",
                in_bytes(self.taken as u64)
            );
            println!(
                "  {} are in the server's receive buffer,",
                in_bytes(self.delivered)
            );
            println!(
                "  {} in the client's send buffer.",
                in_bytes(self.unsent.into())
            );
            let closed = &self.segments[self.closed()];
            let before = self.segments[..self.closed()]
                .iter()
                .filter(|segment| !segment.from_client);
            let widest = before
                .map(|segment| segment.window)
                .max()
                .unwrap_or_default();
            println!(
                "The server's window, counted in units of {}:",
                in_bytes(1 << self.scale)
            );
            println!("  {} at its widest, and then 0", in_bytes(widest));
            for probe in self.probes() {
                let after_ms = (probe.sent - closed.sent).as_secs_f64() * 1e3;
                println!("  after {after_ms:6.1} ms the client asks: still 0");
            }
            let opened = self.segments[self.opened()].window;
            println!("The server's program reads:");
            println!(
                "  the window is {} again, and all {} arrive",
                in_bytes(opened),
                in_bytes(BYTES as u64)
            );
            println!("What the kernels counted:");
            for (host, name, count) in &self.counters {
                println!("  {host}  {name:21} {count}");
            }
            let ms = |time: Duration| time.as_secs_f64() * 1e3;
            let (busy, waited) = (ms(self.busy), ms(self.window_closed));
            println!(
                "  client  busy for {busy:.0} ms, {waited:.0} ms of it because of the window\n"
            );
        }

        // ANCHOR: series
        /// The window as the client knows it, and how much of what it sent is unacknowledged,
        /// up to the moment at which the window is closed.
        fn series(&self) -> Series {
            let data = self.segments.iter().find(|segment| segment.tcp.length > 0);
            let start = data.map_or(Duration::ZERO, |segment| segment.sent);
            let mut window = Steps::default();
            let mut in_flight = Steps::default();
            let (mut sent, mut acknowledged) = (None, None);
            let seen = self.as_the_client_sees_them();
            for (at, segment) in seen.into_iter().skip_while(|(at, _)| *at < start) {
                let tcp = &segment.tcp;
                if segment.from_client {
                    sent = Some(tcp.sequence.wrapping_add(tcp.length as u32));
                    acknowledged.get_or_insert(tcp.sequence);
                } else {
                    acknowledged = Some(tcp.acknowledgment);
                    window.to(at - start, segment.window);
                }
                if let (Some(sent), Some(acknowledged)) = (sent, acknowledged) {
                    in_flight.to(at - start, u64::from(u32::wrapping_sub(sent, acknowledged)));
                }
                if segment.closes() {
                    break;
                }
            }
            Series {
                x: Axis::new("time", "ms"),
                y: Axis::new("bytes", ""),
                lines: vec![
                    window.line("the server's window"),
                    in_flight.line("in flight"),
                ],
            }
        }
        // ANCHOR_END: series

        /// When the client sent them, or they reached it.
        fn as_the_client_sees_them(&self) -> Vec<(Duration, &Segment)> {
            let mut seen: Vec<_> = self
                .segments
                .iter()
                .filter_map(|segment| {
                    let at = if segment.from_client {
                        Some(segment.sent)
                    } else {
                        segment.arrived
                    };
                    Some((at?, segment))
                })
                .collect();
            seen.sort_by_key(|(at, _)| *at);
            seen
        }

        /// From the last data before the window closed to the first after it opened.
        fn sequence(&self) -> Sequence {
            let data = |segment: &&Segment| segment.from_client && segment.tcp.length > 0;
            let (before, after) = self.segments.split_at(self.closed());
            let last_before = before.iter().rfind(data);
            let opened = self.opened() - self.closed();
            let until = after[opened..].iter().position(|segment| data(&segment));
            let told = after.iter().take(opened + until.unwrap_or_default() + 1);

            let start = last_before.map_or(after[0].sent, |segment| segment.sent);
            let us = |time: Duration| time.saturating_sub(start).as_micros() as u64;
            let mut sequence = Sequence::new();
            let client = sequence.host("client", None);
            let server = sequence.host("server", None);
            sequence.state(0, server, "does not read", None);
            for segment in last_before.into_iter().chain(told) {
                if segment.sent == after[opened].sent {
                    sequence.state(us(segment.sent), server, "reads", None);
                }
                let (label, note) = segment.in_words();
                let (from, to) = match segment.from_client {
                    true => (client, server),
                    false => (server, client),
                };
                sequence.events.push(Event {
                    at_us: us(segment.sent),
                    what: What::Message {
                        from,
                        to,
                        label,
                        note: note.map(str::to_owned),
                        arrived_us: segment.arrived.map(us),
                        fate: Fate::Arrived,
                    },
                });
            }
            sequence
        }
    }

    impl Segment {
        /// Whether it tells the client to stop.
        fn closes(&self) -> bool {
            !self.from_client && self.window == 0
        }

        fn in_words(&self) -> (String, Option<&'static str>) {
            match (self.from_client, self.tcp.length, self.window) {
                (true, 0, _) => ("probe".to_owned(), Some("without data, with an old number")),
                (true, length, _) => (format!("`{length}` bytes"), None),
                (false, _, window) => (format!("window `{window}`"), None),
            }
        }
    }

    /// A line of a plot that stays where it is until it changes: microseconds and values.
    #[derive(Default)]
    struct Steps(Vec<(u64, u64)>);

    impl Steps {
        fn to(&mut self, at: Duration, value: u64) {
            let at = at.as_micros() as u64;
            match self.0.last_mut() {
                Some((last_at, last)) if *last_at >= at => *last = value,
                Some(&mut (last_at, last)) => {
                    if last_at + 1 < at {
                        self.0.push((at - 1, last));
                    }
                    self.0.push((at, value));
                }
                None => self.0.push((at, value)),
            }
        }

        fn line(self, name: &str) -> Line {
            Line {
                name: name.to_owned(),
                points: self
                    .0
                    .into_iter()
                    .map(|(us, value)| (us as f64 / 1e3, value as f64))
                    .collect(),
            }
        }
    }

    // ANCHOR: lose
    /// Loses the first segment that opens the window after it was closed.
    fn lose_the_update() -> impl FnMut(u64, &Packet) -> Verdict + Send {
        let (mut closed, mut lost) = (false, false);
        move |_, packet| {
            let window = packet.tcp().map_or(0, |segment| segment.window);
            closed |= window == 0;
            if closed && window > 0 && !lost {
                lost = true;
                return Verdict::Drop;
            }
            Verdict::Pass
        }
    }
    // ANCHOR_END: lose

    fn update_lost() -> Result<(), Error> {
        let mut transfer = Transfer::open(Settings {
            send_buffer: Some(SEND_BUFFER),
            back: Some(Link::new().rule(lose_the_update())),
            ..Settings::default()
        })?;
        transfer.fill(BYTES)?;
        transfer.complete(BYTES, BYTES)?;

        let scale = tcp_info(&transfer.sender)?.snd_wscale;
        let segments = segments(&transfer.lab.capture(), scale);
        let lost = segments
            .iter()
            .position(|segment| segment.arrived.is_none());
        let lost = lost.ok_or("no segment was lost")?;
        let (update, after) = (&segments[lost], &segments[lost + 1..]);
        let [probe, answer, ..] = after else {
            return Err("nothing came after the lost segment".into());
        };
        let waited = (probe.sent - update.sent).as_secs_f64() * 1e3;
        println!("The same again, but the network loses the segment that opens the window:");
        println!(
            "  for {waited:.1} ms nothing is sent. Then the client asks once more, and is told:"
        );
        let (window, all) = (grouped(answer.window), grouped(BYTES as u64));
        println!("  the window is {window} bytes again, and all {all} bytes arrive\n");
        Ok(())
    }

    /// What the server asks for as its receive buffer.
    const RECEIVE_BUFFER: usize = 32_768;

    /// What the client sends to the reader of single bytes.
    const BYTES_ONE_BY_ONE: usize = 100_000;

    fn byte_by_byte() -> Result<Table, Error> {
        // ANCHOR: byte
        let mut transfer = Transfer::open(Settings {
            receive_buffer: Some(RECEIVE_BUFFER),
            ..Settings::default()
        })?;
        transfer.fill(BYTES_ONE_BY_ONE)?;
        transfer.complete(BYTES_ONE_BY_ONE, 1)?; // one byte with each read()
        // ANCHOR_END: byte

        let mss = tcp_info(&transfer.sender)?.snd_mss;
        let segments = segments(
            &transfer.lab.capture(),
            tcp_info(&transfer.sender)?.snd_wscale,
        );
        let closed = segments.iter().position(Segment::closes);
        let after = &segments[closed.ok_or("the window was never closed")?..];
        let windows = after.iter().filter(|segment| !segment.from_client);
        let narrowest = windows
            .map(|segment| segment.window)
            .filter(|&window| window > 0)
            .min();
        let mut data: Vec<usize> = after
            .iter()
            .filter(|segment| segment.from_client)
            .map(|segment| segment.tcp.length)
            .filter(|&length| length > 0)
            .collect();
        data.pop(); // what is left in the end may be short
        let shortest = data.iter().min().copied().unwrap_or_default();
        let narrowest = narrowest.unwrap_or_default();
        println!("The server's program reads on, one byte with each read():");
        println!(
            "  the narrowest window but 0 is {} bytes wide,",
            grouped(narrowest)
        );
        println!(
            "  the shortest segment but the last {} bytes long\n",
            grouped(shortest as u64)
        );
        Ok(Table::new([
            Column::words("after the window was closed"),
            Column::number("size", "bytes"),
        ])
        .row(["each `read()`".to_owned(), "1".to_owned()])
        .row(["narrowest window".to_owned(), narrowest.to_string()])
        .row(["shortest segment".to_owned(), shortest.to_string()])
        .row(["largest possible segment".to_owned(), mss.to_string()]))
    }

    /// What the client sends to measure how fast it may.
    const BULK: usize = 1 << 20;

    /// How long a segment is under way meanwhile.
    const FAR: Duration = Duration::from_millis(20);

    /// The same transfer to three kinds of receive buffers.
    fn windows() -> Result<Table, Error> {
        println!(
            "1 MiB over {} ms of round trip, to a reader that reads:",
            FAR.as_millis() * 2
        );
        let mut table = Table::new([
            Column::words("the server's receive buffer"),
            Column::number("largest window", "bytes"),
            Column::number("window ÷ round trip", "Mbit/s"),
            Column::number("measured speed", "Mbit/s"),
        ]);
        let kinds = [
            ("`SO_RCVBUF` set", Some(RECEIVE_BUFFER), false),
            ("no window scaling", None, true),
            ("as it comes", None, false),
        ];
        for (name, receive_buffer, no_scaling) in kinds {
            let (bulk, _) = undisturbed(TRIES, || Bulk::measure(receive_buffer, no_scaling))?;
            let mbit_s = |bytes: u64, time: Duration| bytes as f64 * 8e-6 / time.as_secs_f64();
            let limit = mbit_s(bulk.widest, bulk.round_trip);
            let measured = mbit_s(BULK as u64, bulk.took);
            let typed = name.replace('`', "");
            println!(
                "  {typed:17}  {:>9} bytes of window: {limit:5.1} Mbit/s possible, \
                 {measured:4.1} measured",
                grouped(bulk.widest)
            );
            if let Some(asked) = receive_buffer {
                let [asked, set] = [asked, bulk.buffer].map(|bytes| grouped(bytes as u64));
                println!("  {:17}  asked for {asked} bytes, set to {set} bytes", "");
            }
            table = table.row([
                name.to_owned(),
                bulk.widest.to_string(),
                format!("{limit:.1}"),
                format!("{measured:.1}"),
            ]);
        }
        Ok(table)
    }

    /// What a transfer of [`BULK`] bytes took.
    struct Bulk {
        /// From the first data to its last acknowledgment.
        took: Duration,
        round_trip: Duration,
        /// The largest window meanwhile.
        widest: u64,
        /// The server's receive buffer, as `SO_RCVBUF` says it in the end.
        buffer: usize,
    }

    impl Bulk {
        fn measure(
            receive_buffer: Option<usize>,
            no_scaling: bool,
        ) -> Result<(Self, Report), Error> {
            // ANCHOR: windows
            let mut transfer = Transfer::open(Settings {
                receive_buffer,
                no_scaling,
                delay: Some(FAR),
                ..Settings::default()
            })?;
            transfer.complete(BULK, BULK)?;
            // ANCHOR_END: windows

            let info = tcp_info(&transfer.sender)?;
            let segments = segments(&transfer.lab.capture(), info.snd_wscale);
            let first = segments.iter().find(|segment| segment.tcp.length > 0);
            let back = segments.iter().filter(|segment| !segment.from_client);
            let last = back.clone().filter_map(|segment| segment.arrived).max();
            let took = last.zip(first).map(|(last, first)| last - first.sent);
            let bulk = Self {
                took: took.ok_or("nothing was sent")?,
                round_trip: info.min_rtt,
                widest: back.map(|segment| segment.window).max().unwrap_or_default(),
                buffer: SockRef::from(&transfer.receiver).recv_buffer_size()?,
            };
            Ok((bulk, transfer.lab.finish()?))
        }
    }
}
