//! The third scene: a narrow link with a queue in front of it.

use std::time::Duration;

use lab::{Fate, Link, Verdict};
use record::{Axis, Column, Line, Record, Series, Table};
use tcp_congestion::{Experiment, Flow, Result, STEP, at_hundredth, seconds, title};

// ANCHOR: bottleneck
/// What the link carries, in bits a second.
const RATE: u64 = 10_000_000;

/// The way there, and the way back. In 20 ms the link carries 25,000 bytes, nearly 17 packets.
const DELAY: Duration = Duration::from_millis(10);

/// Bytes that may wait in front of the link, which take it 80 ms: four times what the way itself
/// takes, and no more than what home routers have.
const QUEUE: usize = 100_000;

/// The packet that the link loses although there is room, as a radio link does.
const LOST: u64 = 4_000;

const WATCHED: Duration = Duration::from_secs(7);

/// When the start is over, be it slow start or what BBR has in its place.
const STARTED: Duration = Duration::from_secs(1);

/// A connection through the bottleneck.
pub struct Bottleneck {
    congestion: &'static str,
    flow: Flow,
}

pub fn watch(congestion: &'static str) -> Result<Bottleneck> {
    let narrow = Link::new().rate(RATE).queue(QUEUE).delay(DELAY);
    let experiment = Experiment {
        congestion,
        there: narrow.rule(|number, _| match number {
            LOST => Verdict::Drop,
            _ => Verdict::Pass,
        }),
        back: Link::new().delay(DELAY),
        ecn: false,
    };
    let flow = experiment.run(|sample| sample.at >= WATCHED)?;
    Ok(Bottleneck { congestion, flow })
}
// ANCHOR_END: bottleneck

pub fn show(bottlenecks: &[Bottleneck], record: &mut Record) {
    println!(
        "\nBottleneck: 10 Mbit/s, 20 ms there and back, 100,000 bytes of queue, one accidental \
         loss:\n"
    );
    let mut table = Table::new([
        Column::words("algorithm"),
        Column::number("kept", "×"),
        Column::number("goodput", "Mbit/s"),
        Column::number("median wait", "ms"),
        Column::number("95 % wait", "ms"),
        Column::number("round trip", "ms"),
        Column::number("overflowed", ""),
    ]);
    for Bottleneck { congestion, flow } in bottlenecks {
        // ANCHOR: figures
        let cuts = flow.cuts();
        let settled = cuts.iter().filter(|cut| cut.at > STARTED);
        let kept = at_hundredth(settled.map(|cut| cut.kept()).collect(), 50);
        let waits: Vec<f64> = flow
            .waits(RATE)
            .iter()
            .map(|(_, wait)| wait.as_secs_f64() * 1e3)
            .collect();
        let [median, p95] = [50, 95].map(|hundredths| at_hundredth(waits.clone(), hundredths));
        let overflowed = flow
            .data()
            .filter(|data| data.fate == Fate::Overflowed)
            .count();
        // ANCHOR_END: figures
        let round_trips = flow.samples.iter().map(|sample| sample.info.rtt);
        let round_trip = at_hundredth(round_trips.map(|rtt| rtt.as_secs_f64() * 1e3).collect(), 50);
        let goodput = flow.goodput() / 1e6;
        println!(
            "  {congestion:<6} keeps {kept:.1} of its window after a loss; goodput {goodput:.1} \
             Mbit/s; lost in the queue: {overflowed}\n         \
             wait in the queue: median {median:.1} ms, 95 of 100 below {p95:.1} ms"
        );
        table = table.row([
            title(congestion),
            format!("{kept:.2}"),
            format!("{goodput:.1}"),
            format!("{median:.1}"),
            format!("{p95:.1}"),
            format!("{round_trip:.1}"),
            overflowed.to_string(),
        ]);
    }
    record.add("bottleneck", table);
    record.add(
        "windows",
        Series {
            x: Axis::new("since `connect()`", "s"),
            y: Axis::new("congestion window", "segments"),
            lines: lines(bottlenecks, |flow| flow.window(STEP)),
        },
    );
    record.add(
        "waits",
        Series {
            x: Axis::new("since `connect()`", "s"),
            y: Axis::new("wait in the queue", "ms"),
            lines: lines(bottlenecks, waits),
        },
    );
}

fn lines(bottlenecks: &[Bottleneck], points: impl Fn(&Flow) -> Vec<(f64, f64)>) -> Vec<Line> {
    let line = |Bottleneck { congestion, flow }: &_| Line {
        name: title(congestion),
        points: points(flow),
    };
    bottlenecks.iter().map(line).collect()
}

/// The median wait of the packets that were sent from one point of the plot to the next.
fn waits(flow: &Flow) -> Vec<(f64, f64)> {
    let step_of = |sent: Duration| sent.as_nanos() / STEP.as_nanos();
    let waits = flow.waits(RATE);
    waits
        .chunk_by(|(one, _), (next, _)| step_of(*one) == step_of(*next))
        .map(|step| {
            let at = STEP * step_of(step[0].0) as u32;
            let waits = step.iter().map(|(_, wait)| wait.as_secs_f64() * 1e3);
            let median = at_hundredth(waits.collect(), 50);
            (seconds(at), (median * 10.0).round() / 10.0)
        })
        .collect()
}
