//! Twenty games over UDP and over TCP, each with other packets lost.
//!
//! ```text
//! cargo bench -p udp-freshness
//! ```
//!
//! Half a minute each, ten at the same time: 60 updates a second, 2 % of the packets lost in each
//! direction, 40 ms of round trip. What counts is the age that 99 of 100 frames do not exceed,
//! UDP's against TCP's on a link that loses alike; the median of twenty ratios is held against the
//! bar.

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("The lab needs Linux.");
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), udp_freshness::Error> {
    lab::enter()?;
    linux::run()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::thread;
    use std::time::Duration;

    use lab::undisturbed;
    use record::{Axis, Line, Record, Series};
    use udp_freshness::{Ages, Error, Game, Settings, UPDATES_A_SECOND, play};

    /// How often a game is played again if the machine was too busy for it.
    const TRIES: usize = 2;

    const SEEDS: u64 = 20;

    /// How many games are played at the same time. A network has next to nothing to do.
    const AT_ONCE: usize = 10;

    /// UDP's age at most, as a share of TCP's.
    const BAR: f64 = 0.5;

    pub fn run() -> Result<(), Error> {
        println!("60 updates a second for 30 s, 2 % lost each way, a round trip of 40 ms");
        println!("age of the newest state in half of the frames, and in 99 of 100 frames\n");
        println!("seed      UDP                   TCP              99 of 100: UDP ÷ TCP");
        let seeds: Vec<u64> = (1..=SEEDS).collect();
        let mut lines = ["TCP", "UDP"].map(|name| Line {
            name: name.to_owned(),
            points: Vec::new(),
        });
        let (mut ratios, mut disturbed) = (Vec::new(), 0);
        for seeds in seeds.chunks(AT_ONCE) {
            let games: Vec<_> = thread::scope(|scope| {
                let games: Vec<_> = seeds
                    .iter()
                    .map(|&seed| scope.spawn(move || game(seed)))
                    .collect();
                games
                    .into_iter()
                    .map(|game| game.join().expect("no panic"))
                    .collect()
            });
            for (&seed, game) in seeds.iter().zip(games) {
                let (game, was_disturbed) = game?;
                disturbed += usize::from(was_disturbed);
                let [udp, tcp] = [&game.udp, &game.tcp].map(Ages::of);
                let ms = |ages: &Ages, share| ages.percentile(share).as_secs_f64() * 1e3;
                let ratio = ms(&udp, 0.99) / ms(&tcp, 0.99);
                println!(
                    "{seed:4} {:6.1} ms {:6.1} ms   {:6.1} ms {:6.1} ms   {ratio:.2}",
                    ms(&udp, 0.5),
                    ms(&udp, 0.99),
                    ms(&tcp, 0.5),
                    ms(&tcp, 0.99)
                );
                for (line, ages) in lines.iter_mut().zip([&tcp, &udp]) {
                    line.points.push((seed as f64, ms(ages, 0.99).round()));
                }
                ratios.push(ratio);
            }
        }
        let ratio = median(ratios);
        let [udp, tcp] = [1, 0]
            .map(|line: usize| median(lines[line].points.iter().map(|point| point.1).collect()));
        let verdict = if ratio <= BAR { "reached" } else { "missed" };
        println!("\nmedians of the 99 of 100: UDP {udp:.0} ms, TCP {tcp:.0} ms");
        println!("median of the ratios: {ratio:.2}   bar ≤ {BAR}: {verdict}");
        println!("games that the machine disturbed: {disturbed}");
        let mut record = Record::new();
        record.add(
            "seeds",
            Series {
                x: Axis::new("seed", ""),
                y: Axis::new("age of the newest state, `p99`", "ms"),
                lines: lines.into(),
            },
        );
        Ok(record.save()?)
    }

    fn game(seed: u64) -> Result<(Game, bool), Error> {
        let settings = Settings {
            loss: 0.02,
            seed,
            round_trip: Duration::from_millis(40),
            updates: 30 * UPDATES_A_SECOND,
        };
        let (game, report) = undisturbed(TRIES, || play(settings))?;
        Ok((game, report.disturbed()))
    }

    /// The mean of the two in the middle, or the one.
    fn median(mut values: Vec<f64>) -> f64 {
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() % 2 {
            0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        }
    }
}
