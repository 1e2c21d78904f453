//! One link that loses packets, and two ways to carry a network over it: in UDP, and in TCP.
//!
//! ```text
//! cargo run -p tcp-meltdown
//! ```
//!
//! `tunnel.rs` is a small VPN: what an inner host sends is carried by outer hosts. `trial.rs` lets
//! connections inside it send as much as they can, with a ping every 10 ms, and `outage.rs` sends one
//! request while the link is down. Congestion control is Reno, inside and outside.
//!
//! Look at the goodput of one connection, where the two tunnels hardly differ; at that of four; at
//! the pings; and at what the inner kernels repeat though the tunnel has lost nothing. Linux only.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "tcp-meltdown builds networks of Linux kernels. Run it on Linux: in the book's dev \
         container, or on Windows in WSL2."
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

    use record::{Axis, Column, Line, Record, Series, Table};
    use tcp_meltdown::outage::{self, Outage};
    use tcp_meltdown::trial::{self, Conditions, DURATION, Outcome, Pings};
    use tcp_meltdown::tunnel::Carrier::{self, Tcp, Udp};
    use tcp_meltdown::vpn::{Kernels, RATE, ROUND_TRIP, Result};

    /// Packets lost on the outer link, in hundredths.
    const LOSSES: [f64; 4] = [0.0, 1.0, 2.0, 5.0];

    /// The loss at which the rest is measured.
    const LOSS: f64 = 2.0;

    /// Which packets are lost: none of the first, so that no tunnel has to open its connection twice.
    const SEED: u64 = 11;

    const CARRIERS: [Carrier; 2] = [Udp, Tcp];

    pub fn run() -> Result<()> {
        println!(
            "A tunnel over a link of {} Mbit/s and a round trip of {ROUND_TRIP:?}, {DURATION:?} each.\n\
             Reno, inside and outside.",
            RATE / 1_000_000
        );
        let mut record = Record::new();

        // Trials run side by side, as many as a core or two can carry.
        let usual = |carrier, loss, connections| Conditions {
            carrier,
            kernels: Kernels::Today,
            loss: loss / 100.0,
            seed: SEED,
            connections,
            outage: false,
        };
        let grid = |loss| {
            [(Udp, 1), (Tcp, 1), (Udp, 4), (Tcp, 4)]
                .map(|(carrier, connections)| usual(carrier, loss, connections))
        };
        let quiet = CARRIERS.map(|carrier| usual(carrier, LOSS, 0));
        let broken = [Kernels::Today, Kernels::Then].map(|kernels| {
            CARRIERS.map(|carrier| Conditions {
                kernels,
                outage: true,
                ..usual(carrier, 1.0, 1)
            })
        });
        let none = all(&grid(LOSSES[0]))?;
        let one = all(&[&grid(LOSSES[1])[..], &quiet].concat())?;
        let (two, requests) = thread::scope(|scope| {
            let requests = CARRIERS.map(|carrier| scope.spawn(move || outage::run(carrier)));
            let two = all(&grid(LOSSES[2]));
            (two, requests.map(|run| run.join().expect("no run panics")))
        });
        let two = two?;
        let five = all(&[&grid(LOSSES[3])[..], &broken.concat()].concat())?;

        goodput(&mut record, &[&none, &one, &two, &five]);
        pings(&mut record, &one[4..], &two[..2]);
        let [udp, tcp] = requests;
        one_request(&mut record, [udp?.0, tcp?.0]);
        repeats(&mut record, &five[4..]);
        Ok(record.save()?)
    }

    /// Runs trials side by side.
    fn all(conditions: &[Conditions]) -> Result<Vec<Outcome>> {
        thread::scope(|scope| {
            let runs: Vec<_> = conditions
                .iter()
                .map(|&each| scope.spawn(move || trial::run(each)))
                .collect();
            runs.into_iter()
                .map(|run| Ok(run.join().expect("no trial panics")?.0))
                .collect()
        })
    }

    fn goodput(record: &mut Record, trials: &[&Vec<Outcome>]) {
        println!("\n1. What arrives, by the packets that the link loses\n");
        println!("          one connection inside        four connections inside");
        println!("   loss   UDP tunnel     TCP tunnel    UDP tunnel     TCP tunnel");
        let mut lines = [
            "UDP tunnel, `1` connection",
            "TCP tunnel, `1` connection",
            "UDP tunnel, `4` connections",
            "TCP tunnel, `4` connections",
        ]
        .map(|name| Line {
            name: name.to_owned(),
            points: Vec::new(),
        });
        for (loss, outcomes) in LOSSES.into_iter().zip(trials) {
            let [a, b, c, d] = [0, 1, 2, 3].map(|at| outcomes[at].goodput);
            println!(
                "   {loss:2} %  {a:5.1} Mbit/s  {b:5.1} Mbit/s  {c:5.1} Mbit/s  {d:5.1} Mbit/s"
            );
            for (line, goodput) in lines.iter_mut().zip([a, b, c, d]) {
                line.points.push((loss, hundredths(goodput)));
            }
        }
        record.add(
            "goodput",
            Series {
                x: Axis::new("packets lost", "%"),
                y: Axis::new("goodput", "Mbit/s"),
                lines: lines.into(),
            },
        );
    }

    fn pings(record: &mut Record, quiet: &[Outcome], busy: &[Outcome]) {
        println!("\n2. Pings through the tunnel at {LOSS} % loss\n");
        println!(
            "   inside               tunnel      median       99 %   lost   not back at the end"
        );
        let mut table = Table::new([
            Column::words("inside the tunnel"),
            Column::words("tunnel"),
            Column::number("median", "ms"),
            Column::number("`99 %`", "ms"),
            Column::number("lost", ""),
            Column::number("not back at the end", ""),
            Column::number("most bytes inside", "KiB"),
        ]);
        for (inside, figure, outcomes) in [
            ("pings alone", "quiet", quiet),
            ("one connection too", "busy", busy),
        ] {
            let mut lines = Vec::new();
            for (name, outcome) in ["UDP", "TCP"].into_iter().zip(outcomes) {
                let pings = &outcome.pings;
                let [median, most] = [50, 99].map(|share| ms(pings.percentile(share)));
                let (lost, waiting) = (pings.lost, pings.waiting);
                println!(
                    "   {inside:18}   {name}     {median:6.1} ms  {most:6.1} ms  {lost:4}  {waiting:4}"
                );
                table = table.clone().row([
                    inside.to_owned(),
                    format!("`{name}`"),
                    format!("{median:.0}"),
                    format!("{most:.0}"),
                    lost.to_string(),
                    waiting.to_string(),
                    (outcome.most_inside / 1024).to_string(),
                ]);
                lines.push(Line {
                    name: format!("{name} tunnel"),
                    points: distribution(pings),
                });
            }
            record.add(
                figure,
                Series {
                    x: Axis::new("share of the pings", "%"),
                    y: Axis::new("back after at most", "ms"),
                    lines,
                },
            );
        }
        record.add("pings", table);
    }

    fn distribution(pings: &Pings) -> Vec<(f64, f64)> {
        (0..=100)
            .step_by(5)
            .map(|share| (share as f64, ms(pings.percentile(share)).round()))
            .collect()
    }

    fn one_request(record: &mut Record, outages: [Outage; 2]) {
        println!(
            "\n3. One request, sent while the link is down for {:?}\n",
            outage::DOWN
        );
        println!("   tunnel   answered after   copies sent   copies arrived");
        let mut table = Table::new([
            Column::words("tunnel"),
            Column::number("answered after", "ms"),
            Column::number("copies sent", ""),
            Column::number("copies arrived", ""),
        ]);
        for (tunnel, outage) in ["UDP", "TCP"].into_iter().zip(outages) {
            let after = ms(outage.answered_after);
            let (sent, arrived) = (outage.sent, outage.arrived);
            println!("   {tunnel:6} {after:13.1} ms  {sent:12}  {arrived:15}");
            table = table.row([
                format!("`{tunnel}`"),
                format!("{after:.0}"),
                sent.to_string(),
                arrived.to_string(),
            ]);
        }
        record.add("request", table);
    }

    fn repeats(record: &mut Record, outcomes: &[Outcome]) {
        println!(
            "\n4. One connection at 1 % loss, and the link is down for {:?}\n",
            trial::DOWN.end - trial::DOWN.start
        );
        println!("   inner and outer kernels     tunnel   segments sent again");
        let mut table = Table::new([
            Column::words("kernels"),
            Column::words("tunnel"),
            Column::number("sent again", "segments"),
            Column::number("lost in the tunnel's device", ""),
            Column::number("goodput", "Mbit/s"),
        ]);
        let rows = [
            ("as they are", "as they are"),
            (
                "without F-RTO, timestamps",
                "without `F-RTO` and timestamps",
            ),
        ];
        let rows = rows
            .into_iter()
            .flat_map(|row| ["UDP", "TCP"].map(|tunnel| (row, tunnel)));
        for (((kernels, in_figure), tunnel), outcome) in rows.zip(outcomes) {
            println!("   {kernels:26}  {tunnel:6}  {:19}", outcome.repeated);
            table = table.row([
                in_figure.to_owned(),
                format!("`{tunnel}`"),
                outcome.repeated.to_string(),
                outcome.overflowed.to_string(),
                format!("{:.1}", outcome.goodput),
            ]);
        }
        record.add("repeats", table);
    }

    fn ms(time: Duration) -> f64 {
        time.as_secs_f64() * 1e3
    }

    fn hundredths(value: f64) -> f64 {
        (value * 100.0).round() / 100.0
    }
}
