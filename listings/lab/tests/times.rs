//! Whether times that the lab makes are times that an experiment can count in, on an idle machine and
//! on a busy one. (In a file of its own, so that no other test runs at the same time.)
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lab::{Lab, Link, TOLERANCE};
use testkit::{alone, skip};

/// Of how many runs that were not disturbed the median is taken.
const RUNS: usize = 20;

/// How long to wait for them. With nothing else to do, a machine has them in three seconds; so this is
/// patience for one that disturbs nineteen runs of twenty.
const PATIENCE: Duration = Duration::from_secs(60);

/// From one host to the other.
const DELAY: Duration = Duration::from_millis(25);

/// How many round trips a connection and an answer take, and whether the relay says that it was late.
fn count_round_trips() -> (f64, bool) {
    let (lab, client, server) = Lab::pair(Link::new().delay(DELAY)).unwrap();
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
    let capture = lab.capture();
    let latest = capture
        .crossings()
        .iter()
        .filter_map(|crossing| Some(crossing.arrived? - crossing.sent - DELAY))
        .max();
    let report = lab.finish().unwrap();
    // The four packets of the count have arrived; what follows them may be late as well.
    assert!(latest.unwrap() <= report.latest, "{latest:?}, {report:?}");
    assert_eq!(report.disturbed(), report.latest > TOLERANCE, "{report:?}");
    let round_trips = elapsed.as_secs_f64() / (2.0 * DELAY.as_secs_f64());
    assert!(round_trips >= 2.0, "{round_trips} is too early: {report:?}");
    (round_trips, report.disturbed())
}

/// The median of [`RUNS`] runs is two round trips, give or take 5 %. A run that the relay itself flags
/// as disturbed does not count. Where nearly all are, the times mean nothing: the test is skipped, and
/// fails where none may be.
fn assert_two_round_trips() {
    let (mut counts, mut runs) = (Vec::new(), 0);
    let begun = Instant::now();
    while counts.len() < RUNS && begun.elapsed() < PATIENCE {
        let (count, disturbed) = count_round_trips();
        runs += 1;
        counts.extend((!disturbed).then_some(count));
    }
    if counts.len() < RUNS {
        let disturbed = runs - counts.len();
        skip(&format!(
            "needs a calmer machine: {disturbed} of {runs} runs were disturbed"
        ));
        return;
    }
    counts.sort_by(f64::total_cmp);
    let median = counts[counts.len() / 2];
    assert!((2.0..2.1).contains(&median), "{median} of {counts:?}");
}

#[test]
fn round_trips_are_counted_within_five_percent() {
    let _alone = alone();
    lab::test(|| {
        assert_two_round_trips();
    });
}

#[test]
fn round_trips_are_counted_within_five_percent_beside_a_busy_loop_on_each_processor() {
    let _alone = alone();
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
