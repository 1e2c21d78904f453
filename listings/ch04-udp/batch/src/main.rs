//! The same datagrams with one call each, with many a call, and in bundles that the kernel cuts and
//! puts together again.
//!
//! ```text
//! cargo run -p udp-batch
//! ```
//!
//! Look for how many calls each way takes, and for how little fewer calls alone change: compare
//! with what an empty call costs. Then for what a bundle is to a receiver that does not expect one.
//! All on loopback, and nothing is lost: a batch is received before the next one is sent. Linux
//! only.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "udp-batch needs sendmmsg, GSO and GRO. Run it on Linux: in the book's dev container, or on \
         Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use std::process::ExitCode;

    if std::env::args_os().len() > 1 {
        eprintln!("usage: udp-batch (it takes no arguments)");
        return ExitCode::from(2);
    }
    match linux::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("udp-batch: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::time::Duration;

    use record::{Axis, Line, Record, Series};
    use udp_batch::{
        Calls, Cost, Error, Got, LENGTH, MOST_IN_A_BUNDLE, Way, bundle, empty_call, limits,
        measure, median,
    };

    /// How often each measurement is made. They take turns; the medians count.
    const ROUNDS: usize = 11;

    /// Datagrams of a batch, where their number does not vary.
    const BATCH: usize = 32;

    /// About how many datagrams a measurement moves.
    const DATAGRAMS: usize = 512;

    /// The sizes of the plot. A bundle cannot be the largest.
    const SIZES: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];

    pub fn run() -> Result<(), Error> {
        let mut record = Record::new();
        let mut calls = Calls::default();
        // Whoever knows no bundles takes part with the first two.
        let (ways, missing): (Vec<Way>, Option<Error>) = match bundle(Way::Coalesced, 2, 1, 2) {
            Ok(reads) => {
                calls += reads.calls;
                (Way::ALL.into(), None)
            }
            Err(missing @ Error::Missing { .. }) => {
                ([Way::Single, Way::Batched].into(), Some(missing))
            }
            Err(error) => return Err(error),
        };
        calls += costs(&ways)?;
        calls += sizes(&ways, &mut record)?;
        match missing {
            None => {
                calls += bundles()?;
                calls += refusals()?;
            }
            Some(missing) => println!("\n{missing}."),
        }
        println!(
            "\nIn all, {} calls to send and {} to receive.",
            grouped(calls.send),
            grouped(calls.receive)
        );
        Ok(record.save()?)
    }

    /// What each way costs, once a round.
    fn turns(contestants: &[(Way, usize)]) -> Result<(Vec<Vec<Cost>>, Calls), Error> {
        let mut costs = vec![Vec::new(); contestants.len()];
        let mut calls = Calls::default();
        for _ in 0..ROUNDS {
            for (&(way, batch), costs) in contestants.iter().zip(&mut costs) {
                let cost = measure(way, batch, DATAGRAMS / batch)?;
                calls += cost.calls;
                costs.push(cost);
            }
        }
        Ok((costs, calls))
    }

    fn costs(ways: &[Way]) -> Result<Calls, Error> {
        println!(
            "1. The same {} datagrams of {} bytes, in batches of {BATCH}\n",
            grouped(DATAGRAMS),
            grouped(LENGTH)
        );
        println!("                       calls to         for each datagram");
        println!("                        send  receive     send  receive  together");
        let contestants: Vec<_> = ways.iter().map(|&way| (way, BATCH)).collect();
        let (costs, calls) = turns(&contestants)?;
        for (way, costs) in ways.iter().zip(&costs) {
            let Calls { send, receive } = costs[0].calls;
            // Of all batches the one in the middle: one during which something else ran does no
            // harm.
            let middle = |times: fn(&Cost) -> &Vec<Duration>| {
                let batches = costs.iter().flat_map(times);
                median(
                    batches
                        .map(|time| time.as_secs_f64() * 1e9 / BATCH as f64)
                        .collect(),
                )
            };
            let (sending, receiving) =
                (middle(|cost| &cost.sending), middle(|cost| &cost.receiving));
            let together = sending + receiving;
            println!(
                "   {way:<18} {:>6}  {:>7}  {sending:4.0} ns  {receiving:4.0} ns   {together:4.0} ns",
                grouped(send),
                grouped(receive)
            );
        }
        let empty = median((0..101).map(|_| empty_call().as_secs_f64() * 1e9).collect());
        println!("\n   A system call that does nothing takes {empty:.0} ns.");
        Ok(calls)
    }

    fn sizes(ways: &[Way], record: &mut Record) -> Result<Calls, Error> {
        println!("\n2. The size of the batch, and processor time for each datagram\n");
        let sizes = |way: Way| {
            SIZES.map(|size| {
                if way.segments() {
                    MOST_IN_A_BUNDLE.min(size)
                } else {
                    size
                }
            })
        };
        let contestants: Vec<_> = ways
            .iter()
            .flat_map(|&way| sizes(way).map(|size| (way, size)))
            .collect();
        let (costs, calls) = turns(&contestants)?;
        let points: Vec<_> = contestants
            .iter()
            .zip(&costs)
            .map(|(&(_, size), costs)| {
                (
                    size as f64,
                    median(costs.iter().map(Cost::each_ns).collect()).round(),
                )
            })
            .collect();
        let lines = ways
            .iter()
            .zip(points.chunks(SIZES.len()))
            .map(|(way, points)| Line {
                name: way.in_figure().to_owned(),
                points: points.to_vec(),
            });
        let lines: Vec<Line> = lines.collect();

        let names: String = ways.iter().map(|way| format!("  {way:>10}")).collect();
        println!("   batch{names}");
        for (row, size) in SIZES.iter().enumerate() {
            let cells = ways.iter().zip(&lines).map(|(way, line)| {
                let width = way.to_string().len().max(10) - 1;
                format!("{:>width$} ns", line.points[row].1)
            });
            println!("   {size:5}{}", cells.collect::<String>());
        }
        if ways.iter().any(|way| way.segments()) {
            println!("   A bundle ends at {MOST_IN_A_BUNDLE}, which stands in the last line.");
        }
        record.add(
            "size",
            Series {
                x: Axis::new("datagrams in a batch", ""),
                y: Axis::new("processor time for each", "ns"),
                lines,
            },
        );
        Ok(calls)
    }

    fn bundles() -> Result<Calls, Error> {
        const BUNDLE: usize = 3_000;
        println!(
            "\n3. One call sends {} bytes, to be cut after every {}\n",
            grouped(BUNDLE),
            grouped(LENGTH)
        );
        let mut calls = Calls::default();
        for (way, room) in [
            (Way::Segmented, BUNDLE),
            (Way::Coalesced, BUNDLE),
            (Way::Coalesced, 1_800),
            (Way::Coalesced, LENGTH),
        ] {
            let reads = bundle(way, BUNDLE, LENGTH, room)?;
            calls += reads.calls;
            if !reads.in_order {
                return Err(Error::Wrong("other bytes came than were sent".to_owned()));
            }
            let gro = if way == Way::Coalesced {
                "GRO"
            } else {
                "no GRO"
            };
            let has = format!("{gro}, room for {}", grouped(room));
            let got: Vec<_> = reads.got.iter().map(in_words).collect();
            let mut got = got.join(" + ");
            let missing = BUNDLE - reads.got.iter().map(|got| got.length).sum::<usize>();
            if missing > 0 {
                got += &format!("; {} are lost", grouped(missing));
            }
            println!("   {has:24}{got}");
        }
        Ok(calls)
    }

    fn in_words(got: &Got) -> String {
        let mut words = grouped(got.length);
        if let Some(segment) = got.segment {
            words += &format!(" in segments of {}", grouped(segment));
        }
        if got.truncated {
            words += " (MSG_TRUNC)";
        }
        words
    }

    fn refusals() -> Result<Calls, Error> {
        let limits = limits()?;
        println!("\n4. What the kernel refuses\n");
        let (segments, bytes) = (limits.most_segments, limits.most_bytes);
        println!(
            "   a bundle of at most {segments} datagrams; {} are {}",
            segments + 1,
            limits.one_more
        );
        println!(
            "   a bundle of at most {} bytes; {} are {}",
            grouped(bytes),
            grouped(bytes + 1),
            limits.one_more_byte
        );
        let [of, sent, queued] = limits.at_once;
        println!(
            "   of {} datagrams sendmmsg sends {}",
            grouped(of),
            grouped(sent)
        );
        println!(
            "   and {} of them find room in the receive buffer",
            grouped(queued)
        );
        let (first, then) = limits.third_too_long;
        println!("   of 4 with a third that is too long sendmmsg sends {first}; again: {then}");
        Ok(limits.calls)
    }

    /// With a comma between the thousands.
    fn grouped(number: usize) -> String {
        let digits = number.to_string();
        let head = digits.len() % 3;
        let mut groups = Vec::new();
        if head > 0 {
            groups.push(&digits[..head]);
        }
        let mut at = head;
        while at < digits.len() {
            groups.push(&digits[at..at + 3]);
            at += 3;
        }
        groups.join(",")
    }
}
