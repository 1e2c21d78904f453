//! What the page says of processes and threads, seen in the listing's run.
#![cfg(target_os = "linux")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use testkit::{Run, listing, peer};

/// One run for all proofs: it takes seconds.
static RUN: LazyLock<Run> = LazyLock::new(|| {
    listing!()
        .varying(r"(thread|process) \d+ KiB \d+ KiB \d+ KiB", "$1 N KiB")
        .varying(r"thread \d+", "thread TID")
        .varying(
            r"\d+ faults, a page of \d+ bytes",
            "N faults, a page of N bytes",
        )
        .varying(r"[\d.]+ switches", "N switches")
        .varying(
            r"waited \d+ times, and was made to wait \d+",
            "waited N times, and was made to wait N",
        )
        .deadline(Duration::from_secs(60))
        .run()
        .succeeds()
});

fn rows(table: &str) -> &'static [Vec<String>] {
    &RUN.table(table).rows
}

fn number(cell: &str) -> f64 {
    cell.parse()
        .unwrap_or_else(|_| panic!("{cell:?} is no number"))
}

/// The numbers of the line of the output that begins so.
fn numbers(line: &str) -> Vec<f64> {
    let line = RUN
        .stdout
        .lines()
        .find(|text| text.trim_start().starts_with(line));
    let words = line
        .unwrap_or_else(|| panic!("{}", RUN.stdout))
        .split([' ', ',']);
    words.filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn a_thread_writes_to_the_memory_of_all_and_a_child_to_a_copy() {
    let reads: Vec<&str> = rows("identity").iter().map(|row| row[4].as_str()).collect();
    assert_eq!(reads, ["0", "1", "1", "3"]);
    // The listing compares the addresses, and fails if one differs.
    assert!(RUN.stdout.contains("each finds it at the same address"));
}

#[test]
fn a_thread_has_an_id_of_its_own_in_the_same_process() {
    let [main, thread, child, other] = rows("identity") else {
        panic!("{:?}", rows("identity"));
    };
    assert_eq!(main[1], main[2], "the first thread's id is the process's");
    assert_eq!(thread[1], main[1]);
    assert_ne!(thread[2], main[2]);
    assert_eq!(child[1], child[2]);
    assert!(child[1] != main[1] && other[1] != main[1] && other[1] != child[1]);
}

#[test]
fn a_crash_takes_the_process_along_and_no_other() {
    let after: HashMap<(&str, &str), &str> = rows("crash")
        .iter()
        .map(|row| {
            assert_eq!(row[3], "4", "{row:?}");
            ((row[0].as_str(), row[1].as_str()), row[4].as_str())
        })
        .collect();
    assert_eq!(after.len(), 6);
    for how in ["writes where it may not", "calls `exit()`"] {
        assert_eq!(after[&("threads", how)], "0");
        assert_eq!(after[&("processes", how)], "3");
    }
}

#[test]
fn a_panic_ends_the_thread_alone() {
    let panics: Vec<_> = rows("crash")
        .iter()
        .filter(|row| row[1] == "panics")
        .collect();
    assert_eq!(panics[0][2..], ["goes on without it", "4", "3"]);
    assert_eq!(panics[1][2..], ["exits with `101`", "4", "3"]);
}

#[test]
fn fork_copies_no_page_until_somebody_writes_to_it() {
    let lines = &RUN.series("pages").lines;
    let [shared, own] = [0, 1].map(|line| &lines[line].points);
    assert_eq!(shared.len(), 9);
    // To the page: what the child has written to is its own, the rest is the parent's as well.
    for ((written, shared), (_, own)) in shared.iter().zip(own) {
        assert_eq!(own, written);
        assert_eq!(shared + own, 16.0);
    }
}

#[test]
fn each_page_that_is_copied_costs_a_fault() {
    let numbers = numbers("it writes");
    let [_, _, faults, page] = numbers[..] else {
        panic!("{numbers:?}");
    };
    // And a few for what else the child writes to, such as its stack.
    let pages = f64::from(16 << 20) / page;
    assert!(
        (pages..pages * 1.05).contains(&faults),
        "{faults} for {pages} pages"
    );
}

#[test]
fn a_child_has_the_parents_descriptors_down_to_the_place_in_the_file() {
    assert!(
        RUN.stdout
            .contains("reads 4 bytes from it: the parent goes on at byte 4\n")
    );
}

#[test]
fn a_descriptor_that_is_closed_on_exec_is_not_in_the_next_program() {
    assert!(
        RUN.stdout
            .contains("a program started with exec() does not have it")
    );
}

#[test]
fn a_lock_that_another_thread_held_stays_locked_in_the_child() {
    for line in [
        "that nobody held: it has it\n",
        "and has released in the parent since: it waits, and would for ever\n",
        "the child has 1 thread: nobody in it could release the lock\n",
    ] {
        assert!(RUN.stdout.contains(line), "{line}");
    }
}

#[test]
fn to_fork_takes_longer_the_more_memory_there_is_and_a_thread_does_not() {
    let lines = &RUN.series("creation").lines;
    let [thread, forked, program] = [0, 1, 2].map(|line| {
        let points: Vec<f64> = lines[line].points.iter().map(|(_, us)| *us).collect();
        assert_eq!(points.len(), 5);
        points
    });
    // 128 MiB are 32,768 entries of page tables to copy; a busy machine disturbs by less than that.
    assert!(forked[4] > 3.0 * forked[0], "{forked:?}");
    let grown = |costs: &[f64]| costs[4] - costs[0];
    for (name, other) in [("thread", &thread), ("program", &program)] {
        assert!(other[4] < forked[4], "{name}: {other:?} and {forked:?}");
        assert!(
            grown(other) < grown(&forked) / 2.0,
            "{name}: {other:?} and {forked:?}"
        );
    }
    for (thread, forked) in thread.iter().zip(&forked) {
        assert!(thread < forked, "{thread} and {forked} µs");
    }
}

#[test]
fn a_thread_takes_addresses_and_little_memory() {
    let [thread, process] = rows("memory") else {
        panic!("{:?}", rows("memory"));
    };
    let [addresses, own] = [1, 2].map(|column| number(&thread[column]));
    // Rust gives a thread a stack of 2 MiB. A page or a few of it are there.
    assert!(addresses >= 2048.0, "{thread:?}");
    assert!(own > 0.0 && own <= 64.0, "{thread:?}");
    // A child that does nothing has pages of its own from the start, and all page tables.
    let of_process = number(&process[2]) + number(&process[3]);
    assert!(
        of_process > own + number(&thread[3]),
        "{process:?} and {thread:?}"
    );
}

#[test]
fn who_waits_for_another_is_switched_away_from_each_time() {
    let [alone, threads, processes] = rows("switches") else {
        panic!("{:?}", rows("switches"));
    };
    assert_eq!(number(&alone[3]), 0.0);
    for pair in [threads, processes] {
        let switches = number(&pair[3]);
        assert!((1.8..3.0).contains(&switches), "{pair:?}");
        // Twice the calls, and more than twice the time.
        assert!(
            number(&pair[1]) > 2.0 * number(&alone[1]),
            "{pair:?} and {alone:?}"
        );
    }
}

#[test]
fn who_computes_is_made_to_wait_when_another_wants_the_core() {
    let numbers = numbers("one of them waited");
    let [waited, made_to_wait] = numbers[..] else {
        panic!("{numbers:?}");
    };
    assert!(made_to_wait >= 5.0 && made_to_wait > waited, "{numbers:?}");
}

#[test]
fn strace_sees_one_system_call_for_both_which_says_what_is_shared() {
    let Some(strace) = peer("strace") else { return };
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let mut traced = Command::new(strace)
        .args(["-f", "-qq", "-e", "trace=clone,clone3", "-o"])
        .arg(&trace)
        .arg(env!("CARGO_BIN_EXE_exec-process-thread"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // One of each is enough. The listing ends with the next line that it cannot print.
    let output = BufReader::new(traced.stdout.take().unwrap());
    let seen = output
        .lines()
        .any(|line| line.unwrap().contains("a program started with exec()"));
    assert!(seen);
    traced.wait().unwrap();
    let trace = std::fs::read_to_string(trace).unwrap();
    let all: Vec<&str> = trace
        .lines()
        .filter(|line| line.contains("flags="))
        .collect();
    let kinds = [
        // A thread shares memory and descriptors, and is of the same process.
        "CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD",
        // A child by fork() shares nothing of these.
        "flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD",
        // What is to become another program shares the memory until then.
        "flags=CLONE_VM|CLONE_VFORK",
    ];
    let counts = kinds.map(|kind| all.iter().filter(|line| line.contains(kind)).count());
    assert!(
        counts[0] > 64 && counts[1] > 10 && counts[2] >= 1,
        "{counts:?}"
    );
    assert_eq!(counts.iter().sum::<usize>(), all.len(), "{all:?}");
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = listing!().arg("fast").run();
    assert_eq!(run.status.code(), Some(2));
    assert!(
        run.stderr.contains("usage: exec-process-thread"),
        "{}",
        run.stderr
    );
}
