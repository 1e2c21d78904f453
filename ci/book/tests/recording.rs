//! `cargo book record` keeps what a successful run left, and nothing of any other. So does
//! `cargo book bench`.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use book::recording::{BENCH, RUN, record_one};
use common::Book;

const DIR: &str = "listings/ch01-basics/ports";
const DEADLINE: Duration = Duration::from_secs(60);

/// A book whose listing has a name of its own: with `CARGO_TARGET_DIR` set, cargo builds the
/// listings of all these books into one folder, and takes those of one name for one.
fn book() -> Book {
    static BOOKS: AtomicUsize = AtomicUsize::new(0);
    let name = format!("recorded-{}", BOOKS.fetch_add(1, Ordering::Relaxed));
    let book = Book::new();
    book.change(&format!("{DIR}/Cargo.toml"), "basics-ports", &name);
    book
}

fn record(book: &Book, deadline: Duration) -> Result<(), String> {
    let project = book.project();
    let listing = project.listings.values().next().unwrap();
    record_one(&project.root, listing, RUN, deadline).map_err(|error| format!("{error:#}"))
}

/// What the listing's folder holds, with the texts of what recording may change.
fn state(book: &Book) -> (Vec<String>, String, String) {
    let mut files: Vec<String> = std::fs::read_dir(book.path(DIR))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    files.sort();
    (
        files,
        book.read(&format!("{DIR}/output.txt")),
        book.read(&format!("{DIR}/record.json")),
    )
}

#[test]
fn a_run_leaves_its_output_and_its_record_with_provenance() {
    let book = book();
    book.change(&format!("{DIR}/src/main.rs"), "\"bound\"", "\"bound anew\"");
    record(&book, DEADLINE).unwrap();
    let (files, output, json) = state(&book);
    assert_eq!(
        files,
        ["Cargo.toml", "output.txt", "record.json", "src", "tests"]
    );
    assert_eq!(output, "bound anew\n");
    let record: record::Record = serde_json::from_str(&json).unwrap();
    let provenance = record.provenance.unwrap();
    assert!(
        provenance.command.starts_with("cargo run -p recorded-"),
        "{provenance:?}"
    );
    assert_eq!(provenance.date.len(), "2026-11-22".len());
    assert!(!provenance.kernel.is_empty() && !provenance.processor.is_empty());
}

#[test]
fn a_listing_that_panics_leaves_the_files_as_they_were() {
    let book = book();
    let before = state(&book);
    book.change(
        &format!("{DIR}/src/main.rs"),
        "println!(\"bound\");",
        "println!(\"half\"); panic!(\"on purpose\");",
    );
    let error = record(&book, DEADLINE).unwrap_err();
    assert!(error.contains("it failed: exit status: 101"), "{error}");
    assert_eq!(state(&book), before);
}

#[test]
fn a_listing_that_hangs_is_ended_at_the_deadline_and_leaves_the_files_as_they_were() {
    let book = book();
    let before = state(&book);
    book.change(
        &format!("{DIR}/src/main.rs"),
        "println!(\"bound\");",
        "loop { std::thread::park(); }",
    );
    let error = record(&book, Duration::from_secs(2)).unwrap_err();
    assert!(
        error.contains("ran longer than 2 s and was ended"),
        "{error}"
    );
    assert_eq!(state(&book), before);
}

#[cfg(unix)]
#[test]
fn a_listing_that_leaves_a_process_behind_is_ended_at_the_deadline_with_it() {
    let book = book();
    let before = state(&book);
    book.change(
        &format!("{DIR}/src/main.rs"),
        "println!(\"bound\");",
        "std::process::Command::new(\"sleep\").arg(\"600\").spawn().unwrap();",
    );
    let error = record(&book, Duration::from_secs(2)).unwrap_err();
    assert!(error.contains("a process that it left behind"), "{error}");
    assert_eq!(state(&book), before);
}

#[test]
fn a_listing_that_prints_without_end_is_ended() {
    let book = book();
    let before = state(&book);
    book.change(
        &format!("{DIR}/src/main.rs"),
        "println!(\"bound\");",
        "loop { println!(\"again and again\"); }",
    );
    let error = record(&book, DEADLINE).unwrap_err();
    assert!(error.contains("printed more than 1048576 bytes"), "{error}");
    assert_eq!(state(&book), before);
}

#[test]
fn figures_that_a_run_no_longer_records_are_not_kept_in_silence() {
    let book = book();
    let before = state(&book);
    book.change(&format!("{DIR}/src/main.rs"), "BOOK_RECORD", "BOOK_OTHER");
    let error = record(&book, DEADLINE).unwrap_err();
    assert!(error.contains("delete its record.json"), "{error}");
    assert_eq!(state(&book), before);
    book.remove(&format!("{DIR}/record.json"));
    record(&book, DEADLINE).unwrap();
}

#[test]
fn a_listing_that_does_not_build_leaves_the_files_as_they_were() {
    let book = book();
    let before = state(&book);
    book.change(&format!("{DIR}/src/main.rs"), "println!", "printn!");
    let error = record(&book, DEADLINE).unwrap_err();
    assert!(error.contains("it does not build"), "{error}");
    assert_eq!(state(&book), before);
}

#[test]
fn a_record_that_cannot_be_read_leaves_the_files_as_they_were() {
    let book = book();
    let before = state(&book);
    book.change(
        &format!("{DIR}/src/main.rs"),
        "r#\"{\"figures\"",
        "r#\"{\"figure\"",
    );
    let error = record(&book, DEADLINE).unwrap_err();
    assert!(error.contains("its record cannot be read"), "{error}");
    assert_eq!(state(&book), before);
}

#[test]
fn an_unknown_listing_is_refused_with_the_nearest_name() {
    let book = Book::new();
    let error = book::recording::record(&book.project(), &["basics-prots".into()]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no listing `basics-prots`: the nearest listings: `basics-ports`"
    );
}

/// Gives the listing a benchmark.
fn with_bench(main: &str) -> Book {
    let book = book();
    let manifest = book.read(&format!("{DIR}/Cargo.toml"));
    let bench = "\n[[bench]]\nname = \"yardstick\"\nharness = false\n";
    book.write(&format!("{DIR}/Cargo.toml"), &(manifest + bench));
    book.write(&format!("{DIR}/benches/yardstick.rs"), main);
    book
}

fn bench(book: &Book) -> Result<(), String> {
    let project = book.project();
    let name = project.listings.keys().next().unwrap();
    book::bench::bench(&project, name).map_err(|error| format!("{error:#}"))
}

const MEASURES: &str = r###"
fn main() {
    println!("twice as fast");
    let path = std::env::var_os("BOOK_RECORD").unwrap();
    let record = r##"{"figures":{"ratio":{"kind":"table","columns":[{"label":"format"}],"rows":[["`JSON`"]]}}}"##;
    std::fs::write(path, record).unwrap();
}
"###;

#[test]
fn what_a_benchmark_saves_stands_beside_the_run_and_can_be_shown() {
    let book = with_bench(MEASURES);
    let before = state(&book);
    bench(&book).unwrap();
    let (files, output, record) = state(&book);
    assert_eq!(
        (output, record),
        (before.1, before.2),
        "the run's own files"
    );
    assert!(files.contains(&"bench.json".to_owned()), "{files:?}");
    assert_eq!(book.read(&format!("{DIR}/bench.txt")), "twice as fast\n");
    let project = book.project();
    let listing = project.listings.values().next().unwrap();
    let record = listing.record(BENCH).unwrap();
    let command = record.provenance.unwrap().command;
    assert_eq!(command, format!("cargo bench -p {}", listing.name));
    let kinds = listing.recorded().map(|kind| kind.record);
    assert_eq!(kinds.collect::<Vec<_>>(), ["record.json", "bench.json"]);
}

#[test]
fn a_benchmark_that_saves_nothing_leaves_no_file() {
    let book = with_bench("fn main() { println!(\"as fast\"); }");
    let before = state(&book).0;
    bench(&book).unwrap();
    assert_eq!(state(&book).0, before);
}

#[test]
fn a_benchmark_that_fails_leaves_what_was_measured_before() {
    let book = with_bench(MEASURES);
    bench(&book).unwrap();
    let before = book.read(&format!("{DIR}/bench.txt"));
    book.change(
        &format!("{DIR}/benches/yardstick.rs"),
        "println!(\"twice as fast\");",
        "println!(\"half\"); panic!(\"on purpose\");",
    );
    let error = bench(&book).unwrap_err();
    assert!(error.contains("was not kept"), "{error}");
    assert_eq!(book.read(&format!("{DIR}/bench.txt")), before);
}
