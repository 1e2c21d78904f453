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
const ROUND: Duration = Duration::from_millis(300);

/// How often calibration tries: the fastest try is the one that nothing came between.
const TRIES: usize = 20;

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
    /// How often a worker gave up the core, to wait.
    waits: u64,
    /// How often one lost the core to another that was to run.
    preemptions: u64,
}

// ANCHOR: work
/// Has so many workers do job after job for a round.
fn work(kind: Kind, rounds: u64, workers: usize) -> io::Result<(Done, Duration)> {
    let (start, stop) = (Barrier::new(workers + 1), AtomicBool::new(false));
    thread::scope(|scope| {
        let worker = || -> io::Result<Done> {
            start.wait();
            let before = switches()?;
            let mut jobs = 0;
            while !stop.load(Ordering::Relaxed) {
                job(kind, rounds);
                jobs += 1;
            }
            let after = switches()?;
            Ok(Done {
                jobs,
                waits: after.0 - before.0,
                preemptions: after.1 - before.1,
            })
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        start.wait();
        let begun = Instant::now();
        thread::sleep(ROUND);
        stop.store(true, Ordering::Relaxed);
        let mut all = Done::default();
        for thread in threads {
            let done = thread.join().expect("a worker does not panic")?;
            all.jobs += done.jobs;
            all.waits += done.waits;
            all.preemptions += done.preemptions;
        }
        // Each worker ended the job that it had begun.
        Ok((all, begun.elapsed()))
    })
}
// ANCHOR_END: work

/// How often this thread gave up its core, and how often it lost it. Source: proc(5).
fn switches() -> io::Result<(u64, u64)> {
    let status = fs::read_to_string("/proc/thread-self/status")?;
    let number = |label| {
        let line = status.lines().find_map(|line| line.strip_prefix(label));
        line.and_then(|number| number.trim().parse().ok())
            .ok_or_else(|| io::Error::other("/proc/thread-self/status counts no switches"))
    };
    Ok((
        number("voluntary_ctxt_switches:")?,
        number("nonvoluntary_ctxt_switches:")?,
    ))
}

/// Has more and more workers do both kinds of jobs, and tells what they got done.
pub fn tell(cores: usize) -> io::Result<(Series, Table)> {
    let rounds = calibrate();
    println!(
        "Threads that do jobs, on {cores} cores. A job computes for {} ms; the second kind then waits for {}.\n",
        COMPUTE.as_millis(),
        WAIT.as_millis()
    );
    println!(
        "{:<13}{:>20}{:>20}{:>16}{:>13}",
        "workers", "jobs/s, computing", "preemptions/job", "jobs/s, waiting", "waits/job"
    );
    let mut table = Table::new([
        Column::number("Workers", ""),
        Column::number("Jobs that compute", "1/s"),
        Column::number("Preemptions for a job", ""),
        Column::number("Jobs that wait", "1/s"),
        Column::number("Waits for a job", ""),
    ]);
    let (mut computing, mut waiting) = (Vec::new(), Vec::new());
    for workers in [1, cores, 2 * cores, 4 * cores, 8 * cores] {
        let (computed, computed_in) = work(Kind::Computes, rounds, workers)?;
        let (waited, waited_in) = work(Kind::Waits, rounds, workers)?;
        let each = |count: u64, done: Done| count as f64 / done.jobs as f64;
        let rate = |done: Done, time: Duration| done.jobs as f64 / time.as_secs_f64();
        let row = [
            workers.to_string(),
            format!("{:.0}", rate(computed, computed_in)),
            format!("{:.2}", each(computed.preemptions, computed)),
            format!("{:.0}", rate(waited, waited_in)),
            format!("{:.2}", each(waited.waits, waited)),
        ];
        println!(
            "{:<13}{:>20}{:>20}{:>16}{:>13}",
            row[0], row[1], row[2], row[3], row[4]
        );
        table = table.row(row);
        computing.push((workers as f64, rate(computed, computed_in).round()));
        waiting.push((workers as f64, rate(waited, waited_in).round()));
    }
    println!();
    let series = Series {
        x: Axis::new("workers", ""),
        y: Axis::new("jobs in a second", ""),
        lines: vec![
            Line {
                name: "1 ms of computing".into(),
                points: computing,
            },
            Line {
                name: "1 ms of computing, 4 ms of waiting".into(),
                points: waiting,
            },
        ],
    };
    Ok((series, table))
}
