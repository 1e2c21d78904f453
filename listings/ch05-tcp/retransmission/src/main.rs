//! What TCP sends again, when, and how it knows.
//!
//! ```text
//! cargo run -p tcp-retransmission
//! ```
//!
//! The link loses one segment, or some, or none and only makes one late. What the sender did about
//! it stands in its kernel's counters, the same that `nstat -az` shows on any Linux.
//!
//! Look for the rows in which a segment was sent again although none was lost, and for the time
//! that each kind of evidence takes.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "tcp-retransmission runs on a network that it makes of Linux namespaces. Run it on Linux: \
         in the book's dev container, or on Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    lab::experiment(env!("CARGO_PKG_NAME"), linux::run)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::thread;
    use std::time::Duration;

    use lab::TcpInfo;
    use record::{Column, Record, Table};
    use tcp_ordering::{Result, sequence, text};
    use tcp_retransmission::{Outcome, Trial, side_by_side};

    const NO_PANIC: &str = "no trial panics";

    /// What a part of the run prints, and the figures that it draws.
    type Part = Result<(String, Record)>;

    pub fn run() -> Result<()> {
        let parts = thread::scope(|scope| {
            [kinds, figures, evidence, timeout, backoff]
                .map(|part| scope.spawn(part))
                .map(|part| part.join().expect(NO_PANIC))
        });
        let mut record = Record::new();
        for part in parts {
            let (text, figures) = part?;
            print!("{text}");
            record.figures.extend(figures.figures);
        }
        Ok(record.save()?)
    }

    // ANCHOR: counters
    /// What tells why segments were sent again, and last how often that was a mistake that
    /// the client could undo.
    const COUNTERS: [(&str, &[&str]); 5] = [
        ("RetransSegs", &["TcpRetransSegs"]),
        ("FastRetrans", &["TcpExtTCPFastRetrans"]),
        ("LossProbes", &["TcpExtTCPLossProbes"]),
        ("Timeouts", &["TcpExtTCPTimeouts"]),
        (
            "Undo",
            &[
                "TcpExtTCPFullUndo",
                "TcpExtTCPPartialUndo",
                "TcpExtTCPDSACKUndo",
                "TcpExtTCPLossUndo",
            ],
        ),
    ];

    fn counts(outcome: &Outcome) -> [i64; COUNTERS.len()] {
        COUNTERS.map(|(_, names)| names.iter().map(|name| outcome.count(name)).sum())
    }
    // ANCHOR_END: counters

    // ANCHOR: kinds
    /// By how much a segment is late that others overtake: less than a quarter of the round
    /// trip.
    const LATE: Duration = Duration::from_millis(20);

    /// Later than the retransmission timeout, which is three round trips of 200 ms at first.
    const TOO_LATE: Duration = Duration::from_millis(600);

    /// If a retransmission is answered faster than any segment before, the answer may be to
    /// the original, and RACK makes nothing of it (RFC 8985 §6.2). On a link whose delay
    /// never changes that would be a toss-up.
    const NOT_THE_FASTEST: Duration = Duration::from_millis(5);

    fn trials() -> [(&'static str, Trial); 10] {
        let ten = || Trial::of(10);
        let tail = ten().lose(8).lose(9).lose(10).late(10, 2, NOT_THE_FASTEST);
        let swap_two_then_seven = ten().late(8, 1, LATE).then(10).late(13, 1, LATE);
        [
            ("loses nothing", ten()),
            ("loses the 3rd", ten().lose(3)),
            ("loses the 3rd of 30 twice", Trial::of(30).lose_times(3, 2)),
            ("loses the 10th", ten().lose(10)),
            ("loses the 8th, 9th and 10th", tail),
            (
                "loses the 10th, probes off",
                ten().lose(10).with("tcp_early_retrans", 0),
            ),
            ("lets two overtake the 8th", ten().late(8, 1, LATE)),
            ("lets seven overtake the 3rd", ten().late(3, 1, LATE)),
            ("lets two, and later seven", swap_two_then_seven),
            (
                "delays the only one, probes off",
                Trial::of(1)
                    .late(1, 1, TOO_LATE)
                    .with("tcp_early_retrans", 0),
            ),
        ]
    }
    // ANCHOR_END: kinds

    fn kinds() -> Part {
        let (names, v4): (Vec<_>, Vec<_>) = trials().into_iter().unzip();
        let v6 = v4.clone().into_iter().map(Trial::over_v6);
        let outcomes = side_by_side(v4.into_iter().chain(v6))?;
        let (v4, v6) = outcomes.split_at(names.len());

        let heads = COUNTERS.map(|(name, _)| Column::number(format!("`{name}`"), ""));
        let mut table = Table::new([Column::words("the link")].into_iter().chain(heads));
        for ((name, v4), v6) in names.iter().zip(v4).zip(v6) {
            let [v4, v6] = [v4, v6].map(counts);
            if v4 != v6 {
                return Err(format!("{name}: {v4:?} over IPv4, but {v6:?} over IPv6").into());
            }
            let counts = v4.map(|count| count.to_string());
            table = table.row([(*name).to_owned()].into_iter().chain(counts));
        }
        Ok(part(
            "Ten segments, sent at once; 200 ms there and back; IPv4 and IPv6 alike.",
            "kinds",
            table,
        ))
    }

    // ANCHOR: figures
    /// Three of these stories once more, with fewer segments: small enough to be drawn.
    fn figures() -> Part {
        let stories = [
            ("fast", Trial::of(6).lose(3)),
            (
                "probe",
                Trial::of(4).lose(3).lose(4).late(4, 2, NOT_THE_FASTEST),
            ),
            ("spurious", Trial::of(5).late(2, 1, LATE)),
        ];
        let (names, trials): (Vec<_>, Vec<_>) = stories.into_iter().unzip();
        let mut record = Record::new();
        for (name, outcome) in names.iter().zip(side_by_side(trials)?) {
            record.add(name, sequence(&outcome.segments));
        }
        Ok((String::new(), record))
    }
    // ANCHOR_END: figures

    // ANCHOR: evidence
    /// The third segment is lost, and one, two or three come behind it.
    fn evidence() -> Part {
        let cases = [true, false].map(|sack| [1, 2, 3].map(|behind| (sack, behind)));
        let cases = cases.as_flattened();
        let trials = cases.iter().map(|(sack, behind)| {
            let trial = Trial::of(3 + behind).lose(3);
            trial.with("tcp_sack", u32::from(*sack))
        });
        let outcomes = side_by_side(trials)?;
        // ANCHOR_END: evidence

        let mut table = Table::new([
            Column::words("`SACK`"),
            Column::number("segments behind it", ""),
            Column::number("sent again after", "ms"),
            Column::words("counted as"),
        ]);
        for ((sack, behind), outcome) in cases.iter().zip(&outcomes) {
            let why = COUNTERS[1..4]
                .iter()
                .filter(|(_, names)| outcome.count(names[0]) > 0);
            let why: Vec<&str> = why.map(|(name, _)| *name).collect();
            table = table.row([
                if *sack { "on" } else { "off" }.to_owned(),
                behind.to_string(),
                outcome.wait(3).map(ms).unwrap_or_default(),
                format!("`{}`", why.join(" ")),
            ]);
        }
        Ok(part(
            "The 3rd is lost, and few come behind it.",
            "evidence",
            table,
        ))
    }

    // ANCHOR: timeout
    /// What the timeout is made of: after the handshake, and after ten writes of a round trip
    /// each.
    fn timeout() -> Part {
        let one_ways = [10, 100].map(Duration::from_millis);
        let ten_writes = (1..10).fold(Trial::of(1), |trial, _| trial.then(1));
        let trials = one_ways.map(|one_way| ten_writes.clone().one_way(one_way));
        let outcomes = side_by_side(trials)?;
        // ANCHOR_END: timeout

        let mut table = Table::new([
            Column::words("round trip"),
            Column::words("measured"),
            Column::number("`srtt`", "ms"),
            Column::number("`rttvar`", "ms"),
            Column::number("`srtt + 4*rttvar`", "ms"),
            Column::number("`rto`", "ms"),
        ]);
        for (one_way, outcome) in one_ways.iter().zip(&outcomes) {
            for (times, info) in [("once", 0), ("eleven times", 10)] {
                let TcpInfo {
                    rtt, rttvar, rto, ..
                } = outcome.info[info];
                let [srtt, rttvar, sum, rto] = [rtt, rttvar, rtt + 4 * rttvar, rto].map(ms);
                let round_trip = format!("`{} ms`", 2 * one_way.as_millis());
                table = table.row([round_trip, times.to_owned(), srtt, rttvar, sum, rto]);
            }
        }
        Ok(part(
            "The retransmission timeout of a connection that loses nothing.",
            "timeout",
            table,
        ))
    }

    // ANCHOR: backoff
    /// A segment that is alone, and that the link loses four times.
    fn backoff() -> Part {
        let outcome = Trial::of(1)
            .lose_times(1, 4)
            .one_way(Duration::from_millis(10))
            .with("tcp_early_retrans", 0)
            .run()?;
        let sent = outcome.sendings(1);
        // ANCHOR_END: backoff

        let mut table = Table::new([
            Column::number("sending", ""),
            Column::number("wait", "ms"),
            Column::number("times the one before", ""),
        ]);
        let mut before: Option<Duration> = None;
        for (sending, pair) in (2..).zip(sent.windows(2)) {
            let wait = pair[1] - pair[0];
            let factor = before.map(|before| wait.as_secs_f64() / before.as_secs_f64());
            let factor = factor.map(|factor| format!("{factor:.0}"));
            table = table.row([
                sending.to_string(),
                ms(wait),
                factor.unwrap_or("–".to_owned()),
            ]);
            before = Some(wait);
        }
        Ok(part(
            "One segment, alone, is lost four times; probes off.",
            "backoff",
            table,
        ))
    }

    fn ms(time: Duration) -> String {
        format!("{:.1}", time.as_secs_f64() * 1e3)
    }

    /// A table as text under its title, and as a figure.
    fn part(title: &str, name: &str, table: Table) -> (String, Record) {
        let text = format!("{title}\n\n{}\n", text(&table));
        let mut record = Record::new();
        record.add(name, table);
        (text, record)
    }
}
