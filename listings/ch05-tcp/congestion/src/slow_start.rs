//! The first scene: how fast a new connection gets going where nothing is in its way.

use std::time::Duration;

use lab::Link;
use record::{Axis, Column, Line, Record, Series, Table};
use tcp_congestion::{Experiment, Flow, Result};

// ANCHOR: slow-start
/// The way there, and the way back.
const DELAY: Duration = Duration::from_millis(50);

/// How many round trips' segments are waited for, and how many that are: 10 + 20 + 40 + … + 320.
const ROUNDS: usize = 6;
const SEGMENTS: u32 = 630;

/// Nothing is lost and nothing has to wait: only the sender's own window holds it back.
pub fn watch() -> Result<Flow> {
    let experiment = Experiment {
        congestion: "reno",
        there: Link::new().delay(DELAY),
        back: Link::new().delay(DELAY),
        ecn: false,
    };
    experiment.run(|sample| sample.info.data_segs_out >= SEGMENTS)
}
// ANCHOR_END: slow-start

pub fn show(flow: &Flow, record: &mut Record) {
    let mut rounds = flow.rounds(DELAY);
    rounds.truncate(ROUNDS);

    println!("Slow start (reno), 100 ms there and back, room for everything:\n");
    let numbers: Vec<_> = (1..=rounds.len())
        .map(|number| format!("{number:>5}"))
        .collect();
    let sizes: Vec<_> = rounds
        .iter()
        .map(|round| format!("{:>5}", round.len()))
        .collect();
    println!("  round trip {}", numbers.concat());
    println!("  segments   {}", sizes.concat());

    let mut table = Table::new([
        Column::number("round", ""),
        Column::number("segments sent", ""),
        Column::number("sent so far", "kB"),
    ]);
    let mut stairs = Vec::new();
    let (mut segments, mut bytes) = (0, 0);
    for (number, round) in (1..).zip(&rounds) {
        for crossing in round {
            segments += 1;
            bytes += crossing.tcp().map_or(0, |tcp| tcp.length);
            // The foot and the head of a step: what lies between is a straight line.
            if segments == 1 || segments == round.len() {
                let at_us = flow.since_connect(crossing).as_micros();
                stairs.push((at_us as f64 / 1e3, bytes as f64 / 1e3));
            }
        }
        table = table.row([
            number.to_string(),
            segments.to_string(),
            format!("{:.0}", bytes as f64 / 1e3),
        ]);
        segments = 0;
    }
    record.add("rounds", table);
    record.add(
        "slow-start",
        Series {
            x: Axis::new("since `connect()`", "ms"),
            y: Axis::new("data sent", "kB"),
            lines: vec![Line {
                name: "Reno".to_owned(),
                points: stairs,
            }],
        },
    );
}
