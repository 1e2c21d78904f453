//! How benchmarks compare: contestants for the same work, in turns.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Turns of each contestant.
const ROUNDS: usize = 101;

/// How long about one turn of the first contestant lasts.
const TURN: Duration = Duration::from_millis(2);

/// A name, and the work, done once. Its number says that the work was done: all that compete give
/// the same.
pub type Contestant<'a> = (&'a str, Box<dyn FnMut() -> u64 + 'a>);

/// Prints what the contestants need for `what`: the median in nanoseconds, and how many times as long
/// as the first.
///
/// They take turns, so that a machine that slows down slows all of them down; what counts is the
/// ratio. Above 1, the first is faster.
///
/// # Panics
///
/// When there are none, or when one gives another number than the first.
pub fn compare(what: &str, mut contestants: Vec<Contestant>) {
    let expected = contestants.first_mut().expect("a contestant at least").1();
    for (name, run) in &mut contestants {
        assert_eq!(run(), expected, "{name} gives another result in: {what}");
    }
    let begun = Instant::now();
    let mut times = 0_u32;
    while begun.elapsed() < TURN {
        black_box(contestants[0].1());
        times += 1;
    }

    let mut turns = vec![Vec::new(); contestants.len()];
    for _ in 0..ROUNDS {
        for ((_, run), turns) in contestants.iter_mut().zip(&mut turns) {
            let begun = Instant::now();
            for _ in 0..times {
                black_box(run());
            }
            turns.push(begun.elapsed().as_secs_f64() * 1e9 / f64::from(times));
        }
    }
    println!("{what}");
    let medians: Vec<f64> = turns.iter_mut().map(|turns| median(turns)).collect();
    let longest = contestants.iter().map(|(name, _)| name.chars().count());
    let width = longest.max().unwrap_or_default().max(12);
    for ((name, _), median) in contestants.iter().zip(&medians) {
        println!(
            "  {name:<width$} {median:>10.1} ns   × {:.2}",
            median / medians[0]
        );
    }
}

fn median(turns: &mut [f64]) -> f64 {
    turns.sort_by(f64::total_cmp);
    turns[turns.len() / 2]
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn each_has_as_many_turns_as_the_first() {
        let (ours, theirs) = (Cell::new(0_u32), Cell::new(0_u32));
        let count = |times: &Cell<u32>| times.set(times.get() + 1);
        compare(
            "counting",
            vec![
                (
                    "ours",
                    Box::new(|| {
                        count(&ours);
                        7
                    }),
                ),
                (
                    "theirs",
                    Box::new(|| {
                        count(&theirs);
                        7
                    }),
                ),
            ],
        );
        // Both were asked what they give, ours twice, and ours how often it can in one turn.
        assert_eq!((theirs.get() - 1) % ROUNDS as u32, 0);
        let turn = (theirs.get() - 1) / ROUNDS as u32;
        assert_eq!(ours.get(), theirs.get() + 1 + turn);
    }

    #[test]
    #[should_panic(expected = "theirs gives another result in: nothing")]
    fn who_does_not_do_the_same_is_named() {
        let work = |number: u64| Box::new(move || number);
        compare("nothing", vec![("ours", work(1)), ("theirs", work(2))]);
    }

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert_eq!(median(&mut [9.0, 1.0, 2.0]), 2.0);
    }
}
