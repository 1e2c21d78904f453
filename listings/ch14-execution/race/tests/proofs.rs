//! What the page says of races, seen in the listing's run and in what the compiler makes of programs.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::time::Duration;

use record::What;
use testkit::{Run, listing};

/// One run for all proofs: it takes seconds.
static RUN: LazyLock<Run> = LazyLock::new(|| {
    listing!()
        .varying(
            r"(load, then store|one instruction) counted \d+, lost [\d.]+ %",
            "$1 counted N, lost N %",
        )
        .deadline(Duration::from_secs(60))
        .run()
        .succeeds()
});

/// A cell of a table, by the row's name.
fn cell(table: &str, row: &str, column: usize) -> f64 {
    let rows = &RUN.table(table).rows;
    let row = rows.iter().find(|cells| cells[0] == row);
    let cell = &row.unwrap_or_else(|| panic!("{rows:?}"))[column];
    cell.parse()
        .unwrap_or_else(|_| panic!("{cell:?} is no number"))
}

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn two_increments_make_one_if_both_read_before_either_writes() {
    let events = &RUN.sequence("interleaving").events;
    let labels: Vec<&str> = events
        .iter()
        .map(|event| match &event.what {
            What::Message { label, .. } | What::State { label, .. } => label.as_str(),
        })
        .collect();
    assert_eq!(
        labels,
        ["reads `0`", "reads `0`", "writes `1`", "writes `1`", "`1`"]
    );
    assert!(
        RUN.stdout
            .contains("two increments, and the counter is at 1\n")
    );
}

#[test]
fn without_a_lock_updates_are_lost_though_each_access_is_atomic() {
    let [increments, counted] = [1, 2].map(|column| cell("lost", "load, then store", column));
    assert_eq!(increments, 2_000_000.0);
    assert!(counted < increments, "{counted}");
    // But no more than all of one thread's and all but the last of the other's.
    assert!(counted >= 2.0, "{counted}");
}

#[test]
fn one_instruction_that_adds_to_memory_loses_updates_as_well() {
    let [increments, counted] = [1, 2].map(|column| cell("lost", "one instruction", column));
    assert!(counted < increments, "{counted}");
}

#[test]
fn an_atomic_increment_a_mutex_and_a_latch_lose_none() {
    for counter in ["fetch_add", "mutex", "latch"] {
        let [increments, counted] = [1, 2].map(|column| cell("lost", counter, column));
        assert_eq!(counted, increments, "{counter}");
    }
}

#[test]
fn correct_counters_cost_more_than_the_wrong_one_and_most_in_company() {
    let wrong = cell("costs", "load, then store", 1);
    for counter in ["fetch_add", "mutex", "latch"] {
        let [alone, in_company] = [1, 2].map(|column| cell("costs", counter, column));
        assert!(alone > wrong, "{counter}: {alone} and {wrong} ns");
        // Two threads do not do it twice as fast, which is what one for each does. They need two
        // cores at once for that, and some machines have one to spare.
        assert!(
            in_company > alone * 0.7,
            "{counter}: {alone} and {in_company} ns"
        );
    }
    let [alone, in_company] = [1, 2].map(|column| cell("costs", "one for each", column));
    assert!(in_company < alone * 1.5, "{alone} and {in_company} ns");
}

#[test]
fn counters_in_one_line_cost_as_much_as_one_counter() {
    let cost = |row: &str| cell("lines", row, 1);
    let together = cost("a counter of its own, in the same line");
    let apart = cost("a counter of its own, in a line of its own");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores < 2 {
        return testkit::skip("two threads share a line only if they run on two cores");
    }
    assert!(together > 1.3 * apart, "{together} and {apart} ns");
}

#[test]
fn who_waits_for_a_latch_burns_the_time_and_who_waits_for_a_mutex_sleeps() {
    let [mutex, latch] = ["mutex", "latch"].map(|name| cell("waits", name, 1));
    // The holder sleeps for 50 ms. Others may want the core of the one that waits.
    assert!(latch > 5.0, "{latch} ms");
    assert!(mutex < latch / 4.0, "{mutex} and {latch} ms");
}

/// Has a program in `tests/programs` compiled, and gives what the compiler says and the file it wrote.
fn compile(program: &str, arguments: &[&str]) -> (Output, Option<String>) {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("output");
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/programs")
        .join(program);
    let said = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition", "2024"])
        .args(arguments)
        .arg("-o")
        .arg(&output)
        .arg(source)
        .output()
        .expect("the compiler that has compiled this test");
    (said, std::fs::read_to_string(output).ok())
}

#[test]
fn rust_refuses_a_counter_without_a_lock() {
    let (said, _) = compile("refused.rs", &["--emit=metadata"]);
    assert!(!said.status.success());
    let errors = String::from_utf8_lossy(&said.stderr);
    assert!(
        errors.contains("error[E0499]: cannot borrow `count` as mutable"),
        "{errors}"
    );
}

#[test]
fn the_compiler_may_make_one_addition_of_a_million() {
    let arguments = ["--crate-type=lib", "-O", "--emit=llvm-ir"];
    let (said, code) = compile("undefined.rs", &arguments);
    assert!(
        said.status.success(),
        "{}",
        String::from_utf8_lossy(&said.stderr)
    );
    let code = code.expect("a file");
    let (_, function) = code.split_once("define ").expect("the function");
    let (function, _) = function.split_once("\n}").expect("its end");
    // Read once, add a million, write once: no loop, and no other thread in between.
    let count = |what: &str| function.matches(what).count();
    assert!(function.contains(", 1000000\n"), "{function}");
    assert_eq!(
        (count(" load "), count(" add "), count("store ")),
        (1, 1, 1),
        "{function}"
    );
    assert_eq!(count("br "), 0, "{function}");
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = listing!().arg("fast").run();
    assert_eq!(run.status.code(), Some(2));
    assert!(run.stderr.contains("usage: exec-race"), "{}", run.stderr);
}
