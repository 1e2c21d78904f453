//! What the page says of the number of workers.
#![cfg(target_os = "linux")]

use std::sync::OnceLock;

use testkit::{Run, listing};

/// What is measured depends on what else the machine does. Rules must hold in one of so many runs.
const RUNS: usize = 8;

/// The runs so far: a second one is only made when a rule did not hold in the first.
static TAKEN: [OnceLock<Run>; RUNS] = [const { OnceLock::new() }; RUNS];

fn first() -> &'static Run {
    TAKEN[0].get_or_init(|| listing!().run().succeeds())
}

/// Has a rule looked at in one run after the other until it holds.
///
/// The rule gives what it has measured if it does not hold.
fn holds(rule: impl Fn(&Run) -> Result<(), String>) {
    let mut measured = Vec::new();
    for taken in &TAKEN {
        match rule(taken.get_or_init(|| listing!().run().succeeds())) {
            Ok(()) => return,
            Err(not) => measured.push(not),
        }
    }
    panic!("in none of {RUNS} runs: {}", measured.join("; "));
}

/// A column of a table, from top to bottom.
fn column(run: &Run, table: &str, label: &str) -> Vec<f64> {
    let table = run.table(table);
    let at = table.columns.iter().position(|one| one.label == label);
    let at = at.unwrap_or_else(|| panic!("no column {label}"));
    let rows = table.rows.iter();
    rows.map(|row| row[at].parse().unwrap()).collect()
}

fn rule(holds: bool, measured: impl std::fmt::Debug) -> Result<(), String> {
    if holds {
        Ok(())
    } else {
        Err(format!("{measured:?}"))
    }
}

#[test]
fn a_run_prints_what_the_page_shows() {
    let number = r" *[0-9]+(\.[0-9]+)?";
    first().matches_record();
    listing!()
        .varying(number, " N")
        .run()
        .succeeds()
        .matches_output();
}

/// Rows are for 1 worker, and 1, 2, 4 and 8 times the cores.
#[test]
fn jobs_that_compute_gain_nothing_from_more_workers_than_cores() {
    holds(|run| {
        let rates = column(run, "switches", "Compute");
        rule(rates[4] < 1.3 * rates[1], rates)
    });
}

#[test]
fn with_more_workers_than_cores_each_job_takes_longer() {
    holds(|run| {
        let times = column(run, "switches", "A job takes");
        rule(times[4] > 5.0 * times[1], times)
    });
}

#[test]
fn workers_that_compute_take_the_core_from_each_other_when_there_are_too_many() {
    holds(|run| {
        let preemptions = column(run, "switches", "Preemptions");
        rule(
            preemptions[4] > 0.1 && preemptions[4] > 1.5 * preemptions[0],
            preemptions,
        )
    });
}

#[test]
fn jobs_that_wait_gain_from_more_workers_than_cores() {
    holds(|run| {
        let rates = column(run, "switches", "Compute and wait");
        rule(rates[3] > 2.0 * rates[1], rates)
    });
}

/// Rows are for 1, 2, 4, 8 and 16 processes, and for one worker with epoll.
#[test]
fn eight_workers_that_wait_do_five_times_the_work_of_one_whatever_the_cores() {
    holds(|run| {
        let rates = column(run, "waiting", "Answers");
        rule(rates[3] > 5.0 * rates[0], rates)
    });
}

#[test]
fn answers_in_a_second_times_the_time_of_one_are_as_many_as_there_are_workers() {
    holds(|run| {
        let workers = column(run, "waiting", "Workers");
        let at_a_time = column(run, "waiting", "Rate × time");
        let near =
            |(workers, at_a_time): (&f64, &f64)| (0.6..1.01).contains(&(at_a_time / workers));
        rule(workers.iter().zip(&at_a_time).take(4).all(near), at_a_time)
    });
}

#[test]
fn one_worker_waits_for_all_clients_at_once_when_it_has_an_event_loop() {
    holds(|run| {
        let rates = column(run, "waiting", "Answers");
        rule(rates[5] > 10.0 * rates[0], rates)
    });
}

/// Rows are for 1, 2, 4 and 8 workers on one core.
#[test]
fn eight_workers_on_one_core_switch_more_often_for_a_request_than_one() {
    holds(|run| {
        let switches = column(run, "ready", "Context switches for a request");
        rule(switches[3] > 2.0 * switches[0], switches)
    });
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    for wrong in [&["8"][..], &["serve"], &["serve", "exec-no-server"]] {
        let run = listing!().args(wrong).run();
        assert_eq!(run.status.code(), Some(2), "{wrong:?}");
        assert_eq!(
            run.stderr,
            "usage: exec-core-count (it takes no arguments)\n"
        );
    }
}
