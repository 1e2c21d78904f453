//! What an increment costs, alone and in company.

use std::hint;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use record::{Column, Table};

use crate::counters::{self, Counter as _, FetchAdd};

/// How many threads there are: alone, and in company.
const THREADS: [usize; 2] = [1, 2];

/// How many increments are timed in one try, by all threads together.
const INCREMENTS: usize = 100_000;

/// How many tries count; of them the median does.
const TRIES: usize = 15;

/// For what share of a try each thread must have had a core for it to count: else they were not in
/// company, but took turns.
const AT_IT: f64 = 0.9;

/// For how long there are new tries, if others want the machine as well; and for how long if none has
/// counted yet.
const BUDGET: Duration = Duration::from_millis(400);
const LAST: Duration = Duration::from_secs(4);

/// The processor time of this thread so far, where the system tells it.
fn cpu_time() -> Option<Duration> {
    #[cfg(unix)]
    return nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID)
        .ok()
        .map(Duration::from);
    #[cfg(not(unix))]
    None
}

/// When a thread began and ended, and for how long it had a core in between.
struct Span {
    began: Instant,
    ended: Instant,
    core: Option<Duration>,
}

/// One try: nanoseconds for each increment, from the first thread that begins to the last that ends,
/// and for what share of that time the one that had a core for the shortest time had one.
fn try_once(threads: usize, add: impl Fn(usize) + Sync) -> (f64, f64) {
    let ready = AtomicUsize::new(0);
    let spans: Vec<Span> = thread::scope(|scope| {
        let (ready, add) = (&ready, &add);
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    ready.fetch_add(1, Ordering::Relaxed);
                    while ready.load(Ordering::Relaxed) < threads {
                        // To sleep until all are here would take longer than the increments.
                        hint::spin_loop();
                    }
                    let (began, before) = (Instant::now(), cpu_time());
                    for _ in 0..INCREMENTS / threads {
                        add(thread);
                    }
                    let (ended, after) = (Instant::now(), cpu_time());
                    let core = before.zip(after).map(|(before, after)| after - before);
                    Span { began, ended, core }
                })
            })
            .collect();
        let joined = running.into_iter().map(|thread| thread.join());
        joined
            .map(|span| span.expect("it does not panic"))
            .collect()
    });
    let began = spans.iter().map(|span| span.began).min();
    let ended = spans.iter().map(|span| span.ended).max();
    let (began, ended) = began.zip(ended).expect("a thread");
    let whole = (ended - began).as_secs_f64();
    let core = spans
        .iter()
        .map(|span| span.core.unwrap_or(span.ended - span.began))
        .min()
        .unwrap_or_default();
    (whole * 1e9 / INCREMENTS as f64, core.as_secs_f64() / whole)
}

/// The median of the tries that count; if none does, of all.
fn ns_each<F: Fn(usize) + Sync>(threads: usize, new: impl Fn() -> F) -> f64 {
    let started = Instant::now();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let (mut counting, mut all) = (Vec::new(), Vec::new());
    while counting.len() < TRIES {
        let budget = if counting.is_empty() { LAST } else { BUDGET };
        if started.elapsed() > budget {
            break;
        }
        let (ns, at_it) = try_once(threads, new());
        all.push(ns);
        if at_it >= AT_IT || cores < threads {
            counting.push(ns);
        }
    }
    if counting.is_empty() {
        counting = all;
    }
    counting.sort_by(f64::total_cmp);
    counting[counting.len() / 2]
}

/// What an increment costs by kind of counter, alone and in company.
pub fn of_counters() -> Table {
    println!("An increment takes, by all threads together, median of {TRIES} tries:");
    println!("  {:16}  {:>9}  {:>9}", "", "1 thread", "2 threads");
    let mut table = Table::new([
        Column::words("counter"),
        Column::number("1 thread", "ns"),
        Column::number("2 threads", "ns"),
    ]);
    let mut row = |name: &str, ns: [f64; 2]| {
        let [one, two] = ns.map(|ns| format!("{ns:.1}"));
        println!("  {name:16}  {one:>6} ns  {two:>6} ns");
        table.rows.push(vec![name.to_owned(), one, two]);
    };
    for (name, new) in counters::all() {
        let counter = || {
            let counter = new();
            move |_| counter.add()
        };
        row(name, THREADS.map(|threads| ns_each(threads, counter)));
    }
    let one_for_each = || {
        let counters: [Apart; 2] = Default::default();
        move |thread: usize| counters[thread].0.add()
    };
    row(
        "one for each",
        THREADS.map(|threads| ns_each(threads, one_for_each)),
    );
    println!();
    table
}

// ANCHOR: lines
/// Two counters side by side, in one cache line.
#[derive(Default)]
#[repr(align(128))]
struct Together([FetchAdd; 2]);

/// A counter with a cache line to itself: 64 bytes on most processors, 128 on some, and others fetch
/// lines in pairs.
#[derive(Default)]
#[repr(align(128))]
struct Apart(FetchAdd);
// ANCHOR_END: lines

/// Two threads, each with a counter of its own.
pub fn of_a_shared_line() -> Table {
    println!("Two threads, and each increments");
    let mut table = Table::new([
        Column::words("each increments"),
        Column::number("an increment", "ns"),
    ]);
    let mut row = |name: &str, ns: f64| {
        println!("  {name:42}  {ns:>5.1} ns");
        let cells = [name.to_owned(), format!("{ns:.1}")];
        table.rows.push(cells.into());
    };
    row(
        "the same counter",
        ns_each(2, || {
            let counter = FetchAdd::default();
            move |_| counter.add()
        }),
    );
    row(
        "a counter of its own, in the same line",
        ns_each(2, || {
            let together = Together::default();
            move |thread: usize| together.0[thread].add()
        }),
    );
    row(
        "a counter of its own, in a line of its own",
        ns_each(2, || {
            let apart: [Apart; 2] = Default::default();
            move |thread: usize| apart[thread].0.add()
        }),
    );
    println!();
    table
}
