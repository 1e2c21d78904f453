//! Whether times that the lab makes are times that an experiment can count in, on an idle machine and
//! on a busy one. (In a file of its own, so that no other test runs at the same time.)
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lab::{Lab, Link};

const RUNS: usize = 20;

/// These tests take turns.
static ALONE: Mutex<()> = Mutex::new(());

/// How many round trips a connection and an answer take over 25 ms each way, and whether the relay
/// says that it was late.
fn count_round_trips() -> (f64, bool) {
    let delay = Duration::from_millis(25);
    let (lab, client, server) = Lab::pair(Link::new().delay(delay)).unwrap();
    let listener = server.run(|| TcpListener::bind((server.v4(), 80))).unwrap();
    let answering = server.spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        connection.read_exact(&mut [0]).unwrap();
        connection.write_all(b"!").unwrap();
    });
    let elapsed = client.run(|| {
        let started = Instant::now();
        let mut connection = TcpStream::connect((server.v4(), 80)).unwrap();
        connection.write_all(b"?").unwrap();
        connection.read_exact(&mut [0]).unwrap();
        started.elapsed()
    });
    answering.join().unwrap();
    let round_trips = elapsed.as_secs_f64() / (2.0 * delay.as_secs_f64());
    (round_trips, lab.finish().unwrap().disturbed())
}

/// The median of [`RUNS`] runs is two round trips, give or take 5 %. A disturbed run is flagged by the
/// relay itself, and does not count.
fn assert_two_round_trips() {
    let (mut counts, mut runs) = (Vec::new(), 0);
    while counts.len() < RUNS && runs < 2 * RUNS {
        let (count, disturbed) = count_round_trips();
        runs += 1;
        counts.extend((!disturbed).then_some(count));
    }
    if counts.len() < RUNS / 4 {
        // Nothing was claimed of such a machine, and nothing wrongly.
        eprintln!("{} of {runs} runs were disturbed", runs - counts.len());
        return;
    }
    counts.sort_by(f64::total_cmp);
    let median = counts[counts.len() / 2];
    assert!((2.0..2.1).contains(&median), "{median} of {counts:?}");
}

#[test]
fn round_trips_are_counted_within_five_percent() {
    let _alone = ALONE.lock();
    lab::test(|| {
        assert_two_round_trips();
    });
}

#[test]
fn round_trips_are_counted_within_five_percent_beside_a_busy_loop_on_each_processor() {
    let _alone = ALONE.lock();
    lab::test(|| {
        let done = AtomicBool::new(false);
        let outcome = thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().unwrap().get() {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            let outcome = catch_unwind(assert_two_round_trips);
            done.store(true, Ordering::Relaxed);
            outcome
        });
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
}
