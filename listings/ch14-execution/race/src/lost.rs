//! Updates that are lost: arranged, and by chance.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use record::{Column, Sequence, Table};

use crate::counters::{self, Counter};

/// How many threads increment.
const THREADS: u64 = 2;

/// How often each does.
const EACH: u64 = 1_000_000;

/// For how long it is tried again if nothing is lost. Two threads lose nothing unless they run at the same
/// moment or one is interrupted between its read and its write; where only one core is free, that takes
/// some tries.
const BUDGET: Duration = Duration::from_millis(500);

/// What a thread has done.
enum Did {
    Read(u64),
    Wrote(u64),
}

/// Two threads increment, and both read before either writes.
pub fn arranged() -> Sequence {
    // ANCHOR: arranged
    let counter = AtomicU64::new(0);
    let both_have_read = Barrier::new(2);
    let (does, done) = mpsc::channel();
    let increment = |thread: usize| {
        let (counter, both_have_read, does) = (&counter, &both_have_read, does.clone());
        move || {
            let count = counter.load(Ordering::Relaxed);
            does.send((thread, Did::Read(count), Instant::now()))
                .expect("a receiver");
            both_have_read.wait();
            counter.store(count + 1, Ordering::Relaxed);
            does.send((thread, Did::Wrote(count + 1), Instant::now()))
                .expect("a receiver");
        }
    };
    thread::scope(|scope| {
        scope.spawn(increment(0));
        scope.spawn(increment(1));
    });
    // ANCHOR_END: arranged
    drop(does);
    let count = counter.into_inner();

    println!("Two threads increment a counter, and both read before either writes:");
    let mut sequence = Sequence::new();
    let threads = [
        sequence.host("thread A", None),
        sequence.host("thread B", None),
    ];
    let memory = sequence.host("counter", None);
    let mut events: Vec<(usize, Did, Instant)> = done.into_iter().collect();
    // Reads before writes is what was arranged; who is the first of each is chance, and not told.
    events.sort_by_key(|(thread, did, _)| (matches!(did, Did::Wrote(_)), *thread));
    let start = events
        .iter()
        .map(|(.., at)| *at)
        .min()
        .expect("four events");
    let mut latest = 0;
    for (thread, did, at) in events {
        latest = latest.max((at - start).as_micros() as u64);
        let name = ["A", "B"][thread];
        let (from, to, label) = match did {
            Did::Read(count) => (memory, threads[thread], format!("reads `{count}`")),
            Did::Wrote(count) => (threads[thread], memory, format!("writes `{count}`")),
        };
        println!("  {name} {}", label.replace('`', ""));
        sequence.message(latest, from, to, label, None);
    }
    sequence.state(
        latest,
        memory,
        format!("`{count}`"),
        Some("Two increments, and one is left."),
    );
    println!("  two increments, and the counter is at {count}\n");
    sequence
}

/// How much is counted if each thread increments as fast as it can.
fn race(counter: &dyn Counter) -> u64 {
    // ANCHOR: race
    let start = Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                start.wait();
                for _ in 0..EACH {
                    counter.add();
                }
            });
        }
    });
    counter.count()
    // ANCHOR_END: race
}

/// The same with each kind of counter, a million times each, as it comes.
pub fn by_chance() -> Table {
    let all = THREADS * EACH;
    println!("{THREADS} threads increment {EACH} times each, as fast as they can:");
    let mut table = Table::new([
        Column::words("counter"),
        Column::number("increments", ""),
        Column::number("counted", ""),
        Column::number("share lost", "%"),
    ]);
    for (name, new) in counters::all() {
        let started = Instant::now();
        let mut counted = race(&*new());
        while counted == all && started.elapsed() < BUDGET {
            counted = race(&*new());
        }
        let lost = (all - counted) as f64 * 100.0 / all as f64;
        println!("  {name:16}  counted {counted:>7}, lost {lost:>4.1} %");
        table = table.row([
            name.to_owned(),
            all.to_string(),
            counted.to_string(),
            format!("{lost:.1}"),
        ]);
    }
    println!();
    table
}
