//! What the page says of the service, as a reader would run it.

use std::sync::LazyLock;

use testkit::Run;

static RUN: LazyLock<Run> = LazyLock::new(|| {
    // As many as chapter 7's library needs for a connection, and some.
    let listing = testkit::listing!().varying(r"takes \d+ bytes", "takes LEN bytes");
    listing.run().succeeds()
});

/// The lines of a scene.
fn scene(name: &str) -> Vec<&'static str> {
    let lines = RUN.stdout.lines().skip_while(|line| *line != name).skip(1);
    lines.take_while(|line| line.starts_with("  ")).collect()
}

/// Whether these words stand in the lines, in that order.
#[track_caller]
fn assert_told(scene: &[&str], words: &[&str]) {
    let text = scene.join("\n");
    let mut rest = &text[..];
    for word in words {
        let at = rest
            .find(word)
            .unwrap_or_else(|| panic!("{word:?} in {scene:#?}"));
        rest = &rest[at + word.len()..];
    }
}

#[test]
fn it_prints_and_records_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn a_session_takes_less_memory_than_a_request() {
    let words = RUN.stdout.split_whitespace();
    let len: usize = words.filter_map(|word| word.parse().ok()).next().unwrap();
    assert!(len < 256, "{len} bytes");
}

#[test]
fn half_a_request_is_waited_for_and_a_whole_one_answered() {
    let scene = scene("A request in two pieces");
    assert_told(
        &scene,
        &["Read until 10000 ms", "Write 200", "Read until 60000 ms"],
    );
}

#[test]
fn answers_come_in_the_order_of_the_requests_and_a_slow_one_holds_up_the_next() {
    let scene = scene("Three requests at once, of which the second takes 50 ms");
    assert_told(
        &scene,
        &[
            "Write 200",
            "Wait until 50 ms",
            "expired",
            "Write 200",
            "Write 200",
            "Read",
        ],
    );
}

#[test]
fn a_large_answer_is_pointed_at_and_not_copied() {
    assert_told(
        &scene("A large answer"),
        &["bytes, and 1000000 bytes that lie ready"],
    );
}

#[test]
fn a_client_that_does_not_finish_its_request_is_told_so_and_waited_for_before_the_end() {
    let scene = scene("Half a request, and then nothing");
    assert_told(
        &scene,
        &[
            "expired",
            "Write 408",
            "Linger",
            "half_closed",
            "Read",
            "end_of_input",
            "Close",
        ],
    );
}

#[test]
fn what_is_no_request_is_refused() {
    assert_told(&scene("What is no request"), &["Write 400", "Linger"]);
}

#[test]
fn at_the_servers_end_an_answer_is_the_last() {
    let scene = scene("A request while the server is about to end");
    assert_told(&scene, &["Write 200", "Linger", "half_closed", "Close"]);
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = testkit::listing!().arg("fast").run();
    assert_eq!(run.status.code(), Some(2));
    assert!(run.stderr.contains("usage: exec-service"), "{}", run.stderr);
}
