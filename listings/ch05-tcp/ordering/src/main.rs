//! The link swaps segments and copies them. The program reads every byte in order, once.
//!
//! ```text
//! cargo run -p tcp-ordering
//! ```
//!
//! Look for what one write becomes: how many segments, how many reads; for what the server holds
//! while the program can read nothing; and for what its acknowledgments say meanwhile.
//!
//! Every experiment runs over IPv4 and over IPv6, and the two must tell the same story.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "tcp-ordering runs on a network that it makes of Linux namespaces. Run it on Linux: in the \
         book's dev container, or on Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    lab::experiment(env!("CARGO_PKG_NAME"), linux::run)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{ErrorKind, Read, Write};
    use std::ops::Range;
    use std::thread;
    use std::time::Duration;

    use lab::{Link, Packet, Report, Verdict, tcp_info};
    use record::{Column, Figure, Record, Table};
    use tcp_ordering::{
        Connection, Result, SEGMENT, Segment, data, exchange, sequence, text, wait_until,
    };

    /// How often an experiment is tried on a machine that is too busy.
    const TRIES: usize = 8;

    /// The places of the two hosts in a capture.
    const CLIENT: usize = 0;
    const SERVER: usize = 1;

    /// What an experiment tells and, under a name, draws.
    type Story = (String, Vec<(&'static str, Figure)>);

    pub fn run() -> Result<()> {
        let stories = thread::scope(|scope| {
            [numbers, gathered, swapped, copied]
                .map(|experiment| scope.spawn(move || over_both(experiment)))
                .map(|story| story.join().expect("no experiment panics"))
        });
        let mut record = Record::new();
        for story in stories {
            let (text, figures) = story?;
            println!("{text}");
            for (name, figure) in figures {
                record.add(name, figure);
            }
        }
        println!("Over IPv4 and over IPv6 alike.");
        Ok(record.save()?)
    }

    /// Runs an experiment over IPv4 and over IPv6. Gives the first story if the second is the same.
    fn over_both(experiment: impl Fn(bool) -> Result<(Story, Report)> + Sync) -> Result<Story> {
        let over = |v6| lab::undisturbed(TRIES, || experiment(v6));
        let (v4, v6) = thread::scope(|scope| {
            let v6 = scope.spawn(|| over(true));
            (over(false), v6.join().expect("no experiment panics"))
        });
        let ((v4, _), (v6, _)) = (v4?, v6?);
        if v4.0 != v6.0 {
            return Err(format!("over IPv4:\n{}\nbut over IPv6:\n{}", v4.0, v6.0).into());
        }
        Ok(v4)
    }

    // ANCHOR: numbers
    /// Three writes of different sizes. What number does each segment have?
    fn numbers(v6: bool) -> Result<(Story, Report)> {
        let link = Link::new().delay(Duration::from_millis(100));
        let mut connection = Connection::open(v6, link.clone(), link, |client, _| {
            // Otherwise the kernel may gather small writes while the device is busy.
            client.sysctl("net.ipv4.tcp_autocorking", 0)
        })?;
        connection.writer.set_nodelay(true)?;
        for size in [100, 1, 2500] {
            connection.writer.write_all(&data(size))?;
        }
        let mut buffer = vec![0; 8192];
        wait_until("all bytes can be read", || {
            Ok(connection.reader.peek(&mut buffer)? == 100 + 1 + 2500)
        })?;
        let read = connection.reader.read(&mut buffer)?;
        let closed = connection.close()?;
        // ANCHOR_END: numbers

        let mut table = Table::new([
            Column::words("segment"),
            Column::number("sequence number", ""),
            Column::number("bytes of data", ""),
            Column::number("the next number", ""),
        ]);
        for segment in closed.segments.iter().filter(|each| each.from == CLIENT) {
            let (name, takes) = match segment {
                syn if syn.is_syn() => ("`SYN`", 1),
                fin if fin.is_fin() => ("`FIN`", 1),
                data if data.has_data() => ("data", 0),
                _ => continue,
            };
            let Range { start, end } = segment.bytes;
            table = table.row([
                name.to_owned(),
                start.to_string(),
                (end - start).to_string(),
                (end + takes).to_string(),
            ]);
        }
        let by_server = closed.segments.iter().filter(|each| each.from == SERVER);
        let last = by_server.filter_map(|each| each.ack).max();
        let story = format!(
            "Three writes, of 100, 1 and 2500 bytes. The client's segments:\n{}\
             The server's last acknowledgment is {}. One read() gave it {read} bytes.\n",
            text(&table),
            last.unwrap_or_default()
        );
        Ok(((story, vec![("numbers", table.into())]), closed.report))
    }

    // ANCHOR: gathered
    /// Ten small writes, one after the other. What becomes of those that come while the
    /// first is under way?
    fn gathered(v6: bool) -> Result<(Story, Report)> {
        let link = Link::new().delay(Duration::from_millis(100));
        let mut connection = Connection::open(v6, link.clone(), link, |_, _| Ok(()))?;
        for _ in 0..10 {
            connection.writer.write_all(&data(10))?;
        }
        connection.all_is_acknowledged()?;
        let closed = connection.close()?;
        // ANCHOR_END: gathered

        let sizes: Vec<usize> = with_data(&closed.segments)
            .map(|segment| segment.bytes.len())
            .collect();
        let story = format!("Ten writes of 10 bytes each: segments of {sizes:?} bytes.\n");
        Ok(((story, Vec::new()), closed.report))
    }

    // ANCHOR: swapped
    const ONE_WAY: Duration = Duration::from_millis(200);

    /// By how much a segment is late that others overtake: less than the quarter of a round
    /// trip after which the client would send it again.
    const LATE: Duration = Duration::from_millis(60);

    /// One write; the link lets two of its four segments overtake another. What can be
    /// read, and when?
    fn swapped(v6: bool) -> Result<(Story, Report)> {
        let there = link(ONE_WAY, |segment| match segment {
            2 => Verdict::Delay(LATE),
            _ => Verdict::Pass,
        });
        let back = Link::new().delay(ONE_WAY);
        let mut connection = Connection::open(v6, there, back, |_, _| Ok(()))?;
        let written = data(4 * SEGMENT);
        connection.writer.write_all(&written)?;

        wait_until("two have overtaken one", || {
            Ok(tcp_info(&connection.reader)?.rcv_ooopack == 2)
        })?;
        let mut buffer = vec![0; 8192];
        let first = connection.reader.read(&mut buffer)?;
        connection.reader.set_nonblocking(true)?;
        let more = connection.reader.read(&mut buffer[first..]);
        connection.reader.set_nonblocking(false)?;
        let then = connection.reader.read(&mut buffer[first..])?;
        // ANCHOR_END: swapped
        let more = match more {
            Err(error) if error.kind() == ErrorKind::WouldBlock => "nothing".to_owned(),
            more => format!("{} bytes", more?),
        };
        let in_order = yes(buffer[..first + then] == written);
        connection.all_is_acknowledged()?;
        let seen = tcp_info(&connection.writer)?.reord_seen;
        let closed = connection.close()?;

        let mut arrived: Vec<&Segment> = with_data(&closed.segments).collect();
        let sent = ranges(arrived.iter().map(|segment| &segment.bytes));
        arrived.sort_by_key(|segment| segment.arrived);
        let arrived = ranges(arrived.iter().map(|segment| &segment.bytes));
        let mut story = format!(
            "One write of {} bytes; the link is late with the second of four segments:\n  \
             sent          {sent}\n  \
             arrived       {arrived}\n",
            written.len()
        );
        for segment in exchange(&closed.segments).filter(|each| each.from == SERVER) {
            story += &format!("  acknowledged  {}\n", segment.label().replace('`', ""));
        }
        story += &format!(
            "Two segments waited in the server's out-of-order queue: TCPOFOQueue {}.\n\
             read() gave {first} bytes, then {more}, then {then} bytes. All in order: {in_order}.\n\
             The client saw reordering: {}. It sent again: {}.\n",
            closed.server["TcpExtTCPOFOQueue"],
            yes(seen > 0),
            closed.client["TcpRetransSegs"],
        );
        let figure = sequence(&closed.segments).into();
        Ok(((story, vec![("swapped", figure)]), closed.report))
    }

    // ANCHOR: copied
    /// One write; the link delivers each of its three segments twice. What is read?
    fn copied(v6: bool) -> Result<(Story, Report)> {
        let one_way = Duration::from_millis(100);
        let there = link(one_way, |_| Verdict::Duplicate);
        let back = Link::new().delay(one_way);
        let mut connection = Connection::open(v6, there, back, |_, _| Ok(()))?;
        let written = data(3 * SEGMENT);
        connection.writer.write_all(&written)?;
        connection.all_is_acknowledged()?;
        let closed = connection.close()?;
        // ANCHOR_END: copied

        let story = format!(
            "One write of {} bytes; the link delivers each segment twice:\n\
             {} segments arrived, {} bytes were read. The same bytes: {}.\n\
             The server dropped and reported the copies: TCPDSACKOldSent {}.\n\
             The client took note: TCPDSACKRecv {}. It sent again: {}.\n",
            written.len(),
            with_data(&closed.segments).count(),
            closed.rest.len(),
            yes(closed.rest == written),
            closed.server["TcpExtTCPDSACKOldSent"],
            closed.client["TcpExtTCPDSACKRecv"],
            closed.client["TcpRetransSegs"],
        );
        let figure = sequence(&closed.segments).into();
        Ok(((story, vec![("copied", figure)]), closed.report))
    }

    // ANCHOR: link
    /// A link that asks `verdict` about each segment with data, numbered from 1 on.
    fn link(one_way: Duration, verdict: impl Fn(u32) -> Verdict + Send + 'static) -> Link {
        let mut number = 0;
        Link::new().delay(one_way).rule(move |_, packet: &Packet| {
            if packet.tcp().is_none_or(|header| header.length == 0) {
                return Verdict::Pass;
            }
            number += 1;
            verdict(number)
        })
    }
    // ANCHOR_END: link

    fn with_data(segments: &[Segment]) -> impl Iterator<Item = &Segment> {
        segments.iter().filter(|segment| segment.has_data())
    }

    fn ranges<'a>(ranges: impl IntoIterator<Item = &'a Range<u32>>) -> String {
        let words = ranges.into_iter().map(|range| format!("{range:?}"));
        words.collect::<Vec<_>>().join("  ")
    }

    fn yes(it_is: bool) -> &'static str {
        if it_is { "yes" } else { "no" }
    }
}
