//! The second scene: what one loss, or one mark, does to the window, and how the window comes back.

use std::time::Duration;

use lab::{Link, Packet, Verdict};
use record::{Axis, Column, Line, Record, Series, Table};
use tcp_congestion::{Cut, Experiment, Flow, Result, STEP, title};

// ANCHOR: reaction
/// The way there, and the way back.
const DELAY: Duration = Duration::from_millis(100);

/// The packet that meets the router at its limit: behind a SYN, an ACK and two round trips' 10 + 20
/// segments, the first of the third round trip, of which the window is 40 segments.
const STRUCK: u64 = 33;

/// Time enough for both algorithms to get back to where they were, and to go on from there.
const WATCHED: Duration = Duration::from_secs(7);

/// A connection that was told once that it sends too much.
pub struct Reaction {
    congestion: &'static str,
    ecn: bool,
    flow: Flow,
    cut: Cut,
}

pub fn watch(congestion: &'static str, ecn: bool) -> Result<Reaction> {
    let wide = Link::new().delay(DELAY);
    let experiment = Experiment {
        congestion,
        there: wide.rule(|number, packet| match number {
            STRUCK => too_much(packet),
            _ => Verdict::Pass,
        }),
        back: Link::new().delay(DELAY),
        ecn,
    };
    let flow = experiment.run(|sample| sample.at >= WATCHED)?;
    let cuts = flow.cuts();
    let cut = *cuts.first().ok_or("the window was not seen to be cut")?;
    Ok(Reaction {
        congestion,
        ecn,
        flow,
        cut,
    })
}

/// What a router does that has too much to do (RFC 3168 §5): it marks a packet whose sender
/// understands marks, and loses any other.
fn too_much(packet: &Packet) -> Verdict {
    const ECN: u8 = 0b11; // the last two bits of the second byte: 00 is «not ECN-capable»
    if packet.bytes()[1] & ECN == 0 {
        return Verdict::Drop;
    }
    let mut marked = packet.clone();
    marked.bytes_mut()[1] |= ECN; // 11: «congestion experienced»
    marked.repair_checksums();
    Verdict::Rewrite(marked)
}
// ANCHOR_END: reaction

// ANCHOR: curve
/// CUBIC's window so long after the end of recovery, in segments (RFC 9438 §4.2).
fn cubic(cut: &Cut, since_over: Duration) -> f64 {
    const C: f64 = 0.4;
    let w_max = f64::from(cut.before);
    let k = ((w_max - f64::from(cut.after)) / C).cbrt();
    C * (since_over.as_secs_f64() - k).powi(3) + w_max
}
// ANCHOR_END: curve

pub fn show(reactions: &[Reaction], record: &mut Record) {
    println!("\nOne packet too many, 200 ms there and back, otherwise room for everything:\n");
    let mut table = Table::new([
        Column::words("algorithm"),
        Column::words("packet"),
        Column::number("window before", ""),
        Column::number("window after", ""),
        Column::number("sent again", ""),
        Column::number("back after", "s"),
    ]);
    for reaction in reactions {
        let Cut { before, after, .. } = reaction.cut;
        let name = reaction.congestion;
        let fate = if reaction.ecn { "marked" } else { "dropped" };
        let sent_again = reaction.flow.last().info.total_retrans;
        let back = reaction.back().map_or_else(
            || "–".to_owned(),
            |back| format!("{:.1}", back.as_secs_f64()),
        );
        println!(
            "  {name:<6} {fate:<7} window {before} → {after} segments, sent again: {sent_again}, \
             as large as before after {back} s"
        );
        table = table.row([
            title(name),
            fate.to_owned(),
            before.to_string(),
            after.to_string(),
            sent_again.to_string(),
            back,
        ]);
    }
    record.add("reactions", table);

    let mut lines = Vec::new();
    for reaction in reactions.iter().filter(|reaction| !reaction.ecn) {
        let window = reaction.flow.window(STEP);
        let curve = (reaction.congestion == "cubic").then(|| Line {
            name: "the curve of `RFC 9438`".to_owned(),
            points: reaction.curve(&window),
        });
        lines.push(Line {
            name: title(reaction.congestion),
            points: window,
        });
        lines.extend(curve);
    }
    record.add(
        "reaction",
        Series {
            x: Axis::new("since `connect()`", "s"),
            y: Axis::new("congestion window", "segments"),
            lines,
        },
    );
}

impl Reaction {
    /// How long it took from the cut until the window was as large as before.
    fn back(&self) -> Option<Duration> {
        let mut later = self.flow.samples.iter();
        let back = later
            .find(|sample| sample.at > self.cut.over && sample.info.snd_cwnd >= self.cut.before)?;
        Some(back.at - self.cut.at)
    }

    /// The curve at the points of a plot of the window, from the end of recovery on.
    fn curve(&self, window: &[(f64, f64)]) -> Vec<(f64, f64)> {
        let over_s = self.cut.over.as_secs_f64();
        let later = window.iter().filter(|(at_s, _)| *at_s >= over_s);
        later
            .map(|&(at_s, _)| {
                let segments = cubic(&self.cut, Duration::from_secs_f64(at_s - over_s));
                (at_s, (segments * 10.0).round() / 10.0)
            })
            .collect()
    }
}
