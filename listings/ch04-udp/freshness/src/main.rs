//! A game's server tells the state of its world 60 times a second, over UDP and over TCP at the
//! same time, on links that lose the same packets. How old is what the player sees?
//!
//! ```text
//! cargo run -p udp-freshness
//! ```
//!
//! Look for the age that one frame in a hundred exceeds, for how many updates UDP never delivers,
//! and for how many TCP delivers late. Then for updates that are overtaken on the way. Linux only.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "udp-freshness builds a network of Linux kernels. Run it on Linux: in the book's dev \
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

    use lab::undisturbed;
    use record::{Axis, Column, Line, Record, Series, Table};
    use udp_freshness::{
        Ages, Error, FRAMES_A_SECOND, Game, Received, SIZE, Settings, UPDATES_A_SECOND, overtaken,
        play,
    };

    /// How often an experiment is repeated if the machine was too busy for it.
    const TRIES: usize = 2;

    // ANCHOR: settings
    const ROUND_TRIP: Duration = Duration::from_millis(40);

    /// Four seconds of play.
    const UPDATES: u32 = 4 * UPDATES_A_SECOND;

    /// The shares of packets that are lost, in percent. The one in the middle is drawn.
    const LOSSES: [u32; 3] = [1, 2, 5];

    /// Which packets are lost.
    const SEED: u64 = 4;

    /// Updates of the game whose updates are overtaken.
    const OVERTAKEN: u32 = UPDATES_A_SECOND;
    // ANCHOR_END: settings

    /// How much of the game is drawn, in seconds.
    const DRAWN: f64 = 2.0;

    pub fn run() -> Result<(), Error> {
        println!(
            "{UPDATES_A_SECOND} updates a second of {SIZE} bytes, {UPDATES} in all; a round trip of \
             {} ms; TCP with\nCUBIC and TCP_NODELAY; {FRAMES_A_SECOND} frames a second\n",
            ROUND_TRIP.as_millis()
        );
        // All at the same time: each on networks of its own, which do next to nothing.
        let (games, overtaken) = thread::scope(|scope| {
            let games = LOSSES.map(|percent| {
                let settings = Settings {
                    loss: f64::from(percent) / 100.0,
                    seed: SEED,
                    round_trip: ROUND_TRIP,
                    updates: UPDATES,
                };
                scope.spawn(move || undisturbed(TRIES, || play(settings)))
            });
            let overtaken = scope.spawn(|| undisturbed(TRIES, || overtaken(ROUND_TRIP, OVERTAKEN)));
            let games: Result<Vec<_>, Error> = games
                .into_iter()
                .map(|game| Ok(game.join().expect("no panic")?.0))
                .collect();
            let overtaken = overtaken.join().expect("no panic");
            Ok::<_, Error>((games?, overtaken?.0))
        })?;

        let mut record = Record::new();
        record.add("loss", tell_ages(&games));
        record.add("updates", tell_updates(&games));
        let drawn = &games[LOSSES.len() / 2];
        record.add("age", age(drawn));
        record.add("share", share(drawn));
        tell_overtaken(&overtaken);
        Ok(record.save()?)
    }

    fn tell_ages(games: &[Game]) -> Series {
        println!("1. How old the newest state is\n");
        println!("   lost  over  half of the frames  99 in 100     the oldest");
        let mut lines =
            ["UDP, median", "UDP, `p99`", "TCP, median", "TCP, `p99`"].map(|name| Line {
                name: name.to_owned(),
                points: Vec::new(),
            });
        for (percent, game) in LOSSES.iter().zip(games) {
            for (over, received, first) in [("UDP", &game.udp, 0), ("TCP", &game.tcp, 2)] {
                let ages = Ages::of(received);
                let [half, most, oldest] = [0.5, 0.99, 1.0].map(|share| ms(ages.percentile(share)));
                println!(
                    "   {percent:2} %  {over}        {half:6.1} ms      {most:6.1} ms      {oldest:6.1} ms"
                );
                let at = f64::from(*percent);
                lines[first].points.push((at, tenths(half)));
                lines[first + 1].points.push((at, tenths(most)));
            }
        }
        Series {
            x: Axis::new("packets lost", "%"),
            y: Axis::new("age of the newest state", "ms"),
            lines: lines.into(),
        }
    }

    fn tell_updates(games: &[Game]) -> Table {
        println!("\n2. What became of the {UPDATES} updates\n");
        println!("                packets   sent  updates  more than a  segments that");
        println!("   lost  over      lost  again  missing  period late  are no update");
        let mut table = Table::new([
            Column::number("packets lost, in percent", ""),
            Column::words("over"),
            Column::number("packets lost", ""),
            Column::number("segments sent again", ""),
            Column::number("updates missing", ""),
            Column::number("updates more than a period late", ""),
            Column::number("segments that are not one update", ""),
        ]);
        for (percent, game) in LOSSES.iter().zip(games) {
            for (over, received) in [("UDP", &game.udp), ("TCP", &game.tcp)] {
                let (lost, again) = (received.lost, received.retransmitted);
                let missing = UPDATES as usize - received.taken.len();
                let late = received.late(ROUND_TRIP);
                let resized = received.resized;
                println!(
                    "   {percent:2} %  {over}   {lost:7}  {again:5}  {missing:7}  {late:11}  {resized:13}"
                );
                table = table.row([
                    percent.to_string(),
                    over.to_owned(),
                    lost.to_string(),
                    again.to_string(),
                    missing.to_string(),
                    late.to_string(),
                    resized.to_string(),
                ]);
            }
        }
        table
    }

    /// A part of the game, around the frame with the oldest state that TCP had.
    fn age(game: &Game) -> Series {
        let (udp, tcp) = (Ages::of(&game.udp), Ages::of(&game.tcp));
        let oldest = tcp.frames.iter().max_by_key(|(_, age)| *age);
        let [begin, oldest, end] = [tcp.frames.first(), oldest, tcp.frames.last()]
            .map(|frame| frame.map_or(0.0, |(at, _)| at.as_secs_f64()));
        let begin = (oldest - DRAWN / 2.0).min(end - DRAWN).max(begin);
        let line = |name: &str, ages: &Ages| Line {
            name: name.to_owned(),
            points: ages
                .frames
                .iter()
                .map(|(at, age)| (at.as_secs_f64(), ms(*age)))
                .filter(|(at, _)| (begin..=begin + DRAWN).contains(at))
                .map(|(at, age)| ((at * 1e4).round() / 1e4, tenths(age)))
                .collect(),
        };
        Series {
            x: Axis::new("time of play", "s"),
            y: Axis::new("age of the newest state", "ms"),
            lines: vec![line("TCP", &tcp), line("UDP", &udp)],
        }
    }

    /// Which share of the frames showed a state that was not older.
    fn share(game: &Game) -> Series {
        let (udp, tcp) = (Ages::of(&game.udp), Ages::of(&game.tcp));
        let oldest = ms(tcp.percentile(1.0).max(udp.percentile(1.0))).ceil() as u64;
        let youngest = ROUND_TRIP.as_millis() as u64 / 2;
        let line = |name: &str, ages: &Ages| Line {
            name: name.to_owned(),
            points: (youngest..=oldest)
                .map(|age_ms| {
                    let share = ages.share_within(Duration::from_millis(age_ms));
                    (age_ms as f64, tenths(share * 100.0))
                })
                .collect(),
        };
        Series {
            x: Axis::new("age of the newest state", "ms"),
            y: Axis::new("frames that show it or a newer one", "%"),
            lines: vec![line("TCP", &tcp), line("UDP", &udp)],
        }
    }

    fn tell_overtaken(received: &Received) {
        let (sent, taken, old) = (received.made.len(), received.taken.len(), received.old);
        println!(
            "\n3. UDP on a link that loses nothing, lets some be overtaken and carries others twice\n"
        );
        println!(
            "   {sent} updates sent, {} came, {taken} were newer than all before them,",
            taken + old
        );
        println!("   {old} were old, or copies, and dropped");
    }

    fn ms(time: Duration) -> f64 {
        time.as_secs_f64() * 1e3
    }

    fn tenths(value: f64) -> f64 {
        (value * 10.0).round() / 10.0
    }
}
