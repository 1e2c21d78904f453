//! testkit, tried on small programs of the shell.
#![cfg(unix)]

use std::panic::{UnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use testkit::Program;

fn shell(script: &str) -> Program {
    Program::new("sh").arg("-c").arg(script)
}

/// What a failing assertion says.
fn complaint<T>(of: impl FnOnce() -> T + UnwindSafe) -> String {
    let Err(panic) = catch_unwind(of) else {
        panic!("nothing was complained of");
    };
    *panic.downcast::<String>().expect("a message")
}

/// Whether a process runs; one that is dead but not yet waited for does not.
fn runs(id: &str) -> bool {
    let stat = Program::new("ps").args(["-o", "stat=", "-p", id]).run();
    !stat.stdout.trim().is_empty() && !stat.stdout.trim().starts_with('Z')
}

#[test]
fn a_run_holds_both_outputs_and_the_status() {
    let run = shell("echo out; echo err >&2; read line; echo $line $WORD; exit 3")
        .env("WORD", "there")
        .input("hello\n")
        .run();
    assert_eq!(run.stdout, "out\nhello there\n");
    assert_eq!(run.stderr, "err\n");
    assert_eq!(run.status.code(), Some(3));
}

#[test]
fn a_program_that_hangs_is_killed_at_the_deadline_with_its_children() {
    let start = Instant::now();
    let said = complaint(|| {
        shell("sleep 600 & echo child $!; wait")
            .deadline(Duration::from_millis(500))
            .run()
    });
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(said.contains("did not end within 500ms"), "{said}");
    let child = said
        .lines()
        .find_map(|line| line.strip_prefix("child "))
        .expect("what was printed so far");
    let at_latest = Instant::now() + Duration::from_secs(10);
    while runs(child) {
        assert!(Instant::now() < at_latest, "{child} is still there");
    }
}

#[test]
fn a_program_that_leaves_a_child_behind_has_not_ended() {
    let said = complaint(|| {
        shell("sleep 600 &")
            .deadline(Duration::from_millis(500))
            .run()
    });
    assert!(said.contains("did not end"), "{said}");
}

#[test]
fn what_a_program_leaves_behind_in_silence_is_ended_with_it() {
    let run = shell("sleep 600 >/dev/null 2>&1 & echo $!").run();
    let child = run.succeeds().stdout.trim().to_owned();
    let at_latest = Instant::now() + Duration::from_secs(10);
    while runs(&child) {
        assert!(Instant::now() < at_latest, "{child} is still there");
    }
}

#[test]
fn a_failing_program_is_shown_with_all_that_it_printed() {
    let said = complaint(|| {
        shell("echo one step; echo \"thread 'main' panicked\" >&2; exit 101")
            .run()
            .succeeds()
    });
    assert!(said.contains("exit status: 101"), "{said}");
    assert!(said.contains("one step"), "{said}");
    assert!(said.contains("thread 'main' panicked"), "{said}");
}

#[test]
fn a_server_ends_with_the_test_that_started_it() {
    let mut server =
        shell("echo ready on 127.0.0.1:4321; echo second line; exec sleep 600").serve();
    assert_eq!(server.address(), ([127, 0, 0, 1], 4321).into());
    assert_eq!(server.line_with("second"), "second line");
    let id = server.id().to_string();
    assert!(runs(&id));
    drop(server);
    assert!(!runs(&id));
}

#[test]
fn a_server_that_ends_without_an_address_is_not_waited_for() {
    let start = Instant::now();
    let said = complaint(|| shell("echo address in use >&2; exit 1").serve());
    assert!(said.contains("address in use"), "{said}");
    assert!(start.elapsed() < testkit::DEADLINE);
}

/// A package whose program is the shell, with these files.
fn listing(script: &str, output: &str, record: &str) -> (tempfile::TempDir, Program) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("output.txt"), output).unwrap();
    std::fs::write(directory.path().join("record.json"), record).unwrap();
    let program = Program::listing("a-listing", directory.path().to_str().unwrap(), "sh")
        .arg("-c")
        .arg(script);
    (directory, program)
}

#[test]
fn other_output_is_reported_with_its_line_and_the_command_that_renews_it() {
    let (_directory, program) = listing(
        "echo on 127.0.0.1:40001; echo OK 13",
        "on 127.0.0.1:40002\nOK 12\n",
        "",
    );
    let run = program.run().succeeds();
    let said = complaint(|| run.matches_output());
    assert!(said.contains("line   2 - OK 12"), "{said}");
    assert!(said.contains("line   2 + OK 13"), "{said}");
    assert!(said.contains("cargo book record a-listing"), "{said}");
    assert!(!said.contains("PORT"), "{said}");
}

#[test]
fn output_that_differs_only_in_what_varies_matches() {
    let (_directory, program) = listing(
        "echo 12 tries on 127.0.0.1:40001",
        "9 tries on 127.0.0.1:50002\n",
        "",
    );
    program
        .varying(r"\d+ tries", "N tries")
        .run()
        .matches_output();
}

#[test]
fn a_series_that_lost_its_points_is_reported() {
    let series = r#"{"figures":{"s":{"kind":"series","x":{"label":"x"},"y":{"label":"y"},
        "lines":[{"name":"l","points":[[1.0,2.0]]}]}}}"#;
    let now = series.replace("[1.0,2.0]", "");
    let (_directory, program) = listing(&format!("printf '%s' '{now}' > $BOOK_RECORD"), "", series);
    let run = program.run().succeeds();
    let said = complaint(|| run.matches_record());
    assert!(said.contains("+   line l without points"), "{said}");
}

const TABLE: &str = r#"{"figures":{"sizes":{"kind":"table",
    "columns":[{"label":"format"}],"rows":[["`JSON`"]]}}}"#;

#[test]
fn a_record_of_another_shape_is_reported() {
    let now = TABLE.replace("JSON", "XML");
    let (_directory, program) = listing(&format!("printf '%s' '{now}' > $BOOK_RECORD"), "", TABLE);
    let run = program.run().succeeds();
    assert_eq!(run.table("sizes").rows, [["`XML`"]]);
    let said = complaint(|| run.matches_record());
    assert!(said.contains("-   row `JSON`"), "{said}");
    assert!(said.contains("+   row `XML`"), "{said}");
}

#[test]
fn a_record_of_the_same_shape_matches() {
    let (_directory, program) =
        listing(&format!("printf '%s' '{TABLE}' > $BOOK_RECORD"), "", TABLE);
    program.run().succeeds().matches_record();
}
