//! Workers without a network: threads, each of which does job after job for a while.

use std::fs;
use std::hint::black_box;
use std::io;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use record::{Axis, Column, Line, Series, Table};

/// What a job computes takes about so long, on a core that has nothing else to do.
const COMPUTE: Duration = Duration::from_millis(1);

/// How long a job waits, if it does: for a database, say.
const WAIT: Duration = Duration::from_millis(4);

/// How long each number of workers is at work.
const ROUND: Duration = Duration::from_millis(120);

/// How often. The round in which most was done counts: what other programs do can only take from it.
const ROUNDS: usize = 3;

/// How often calibration tries: the fastest try is the one that nothing came between.
const TRIES: usize = 100;

// ANCHOR: kinds
/// What a job is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// It computes.
    Computes,
    /// It computes, then waits four times as long.
    Waits,
}

/// Computes something that takes `rounds` steps, each of which needs the one before.
fn compute(rounds: u64) {
    let mut state = 1_u64;
    for _ in 0..rounds {
        // xorshift64: nothing that a compiler could take a short cut through.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    black_box(state);
}

fn job(kind: Kind, rounds: u64) {
    compute(rounds);
    if let Kind::Waits = kind {
        thread::sleep(WAIT);
    }
}
// ANCHOR_END: kinds

/// How many rounds take as long as [`COMPUTE`].
fn calibrate() -> u64 {
    let mut rounds = 1_000;
    loop {
        let times = (0..TRIES).map(|_| {
            let begun = Instant::now();
            compute(black_box(rounds));
            begun.elapsed()
        });
        let fastest = times.min().unwrap_or_default();
        if fastest >= COMPUTE / 4 {
            return (rounds as f64 * COMPUTE.as_secs_f64() / fastest.as_secs_f64()) as u64;
        }
        rounds *= 2;
    }
}

/// What some workers got done in a round.
#[derive(Debug, Clone, Copy, Default)]
struct Done {
    jobs: u64,
    /// How often a worker lost its core to another that was to run.
    preemptions: u64,
    elapsed: Duration,
}

impl Done {
    /// Jobs in a second.
    fn rate(self) -> f64 {
        self.jobs as f64 / self.elapsed.as_secs_f64()
    }

    /// How long a job took, in milliseconds, when so many workers did one after the other.
    fn job_ms(self, workers: usize) -> f64 {
        workers as f64 / self.rate() * 1e3
    }
}

// ANCHOR: work
/// Has so many workers do job after job for a round.
fn work(kind: Kind, rounds: u64, workers: usize) -> io::Result<Done> {
    let (start, stop) = (Barrier::new(workers + 1), AtomicBool::new(false));
    thread::scope(|scope| {
        let worker = || -> io::Result<(Instant, u64, u64)> {
            start.wait();
            let begun = Instant::now();
            let before = preemptions();
            let mut jobs = 0;
            while !stop.load(Ordering::Relaxed) {
                job(kind, rounds);
                jobs += 1;
            }
            Ok((begun, jobs, preemptions()? - before?))
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        start.wait();
        // They may have been at work for a while when this thread gets a core again.
        let mut first = Instant::now();
        thread::sleep(ROUND);
        stop.store(true, Ordering::Relaxed);
        let mut all = Done::default();
        for thread in threads {
            let (begun, jobs, preemptions) = thread.join().expect("a worker does not panic")?;
            first = first.min(begun);
            all.jobs += jobs;
            all.preemptions += preemptions;
        }
        // Each worker has ended the job that it had begun.
        all.elapsed = first.elapsed();
        Ok(all)
    })
}
// ANCHOR_END: work

/// The best of some rounds.
fn best(kind: Kind, rounds: u64, workers: usize) -> io::Result<Done> {
    let mut best = work(kind, rounds, workers)?;
    for _ in 1..ROUNDS {
        let done = work(kind, rounds, workers)?;
        if done.rate() > best.rate() {
            best = done;
        }
    }
    Ok(best)
}

/// How often this thread lost its core to another, so far. Source: proc(5).
fn preemptions() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/thread-self/status")?;
    let mut lines = status.lines();
    let number = lines.find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"));
    let number = number.and_then(|number| number.trim().parse().ok());
    number.ok_or_else(|| io::Error::other("/proc/thread-self/status counts no preemptions"))
}

/// Has more and more workers do both kinds of jobs, and tells what they got done.
pub fn tell(cores: usize) -> io::Result<(Series, Table)> {
    let rounds = calibrate();
    println!(
        "Threads do jobs on {cores} cores. A job computes for {} ms; one of the second kind then waits for {}.\n",
        COMPUTE.as_millis(),
        WAIT.as_millis()
    );
    println!(
        "{:<9}{:>28}{:>34}",
        "", "they compute", "they compute and wait"
    );
    println!(
        "{:<9}{:>8}{:>9}{:>17}{:>20}{:>14}",
        "workers", "jobs/s", "ms/job", "preemptions/job", "jobs/s", "ms/job"
    );
    let mut table = Table::new([
        Column::number("Workers", ""),
        Column::number("Compute", "1/s"),
        Column::number("A job takes", "ms"),
        Column::number("Preemptions", ""),
        Column::number("Compute and wait", "1/s"),
        Column::number("One takes", "ms"),
    ]);
    let (mut computing, mut waiting) = (Vec::new(), Vec::new());
    for workers in [1, cores, 2 * cores, 4 * cores, 8 * cores] {
        let computed = best(Kind::Computes, rounds, workers)?;
        let waited = best(Kind::Waits, rounds, workers)?;
        let preemptions = computed.preemptions as f64 / computed.jobs as f64;
        let row = [
            workers.to_string(),
            format!("{:.0}", computed.rate()),
            format!("{:.1}", computed.job_ms(workers)),
            format!("{preemptions:.2}"),
            format!("{:.0}", waited.rate()),
            format!("{:.1}", waited.job_ms(workers)),
        ];
        println!(
            "{:<9}{:>8}{:>9}{:>17}{:>20}{:>14}",
            row[0], row[1], row[2], row[3], row[4], row[5]
        );
        table = table.row(row);
        computing.push((workers as f64, computed.rate().round()));
        waiting.push((workers as f64, waited.rate().round()));
    }
    println!();
    let line = |name: &str, points| Line {
        name: name.into(),
        points,
    };
    let series = Series {
        x: Axis::new("workers", ""),
        y: Axis::new("jobs in a second", ""),
        lines: vec![
            line("they compute", computing),
            line("they compute and wait", waiting),
        ],
    };
    Ok((series, table))
}
