//! `cargo book record` keeps what a successful run left, and nothing of any other.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use book::recording::record_one;
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
    record_one(&project.root, listing, deadline).map_err(|error| format!("{error:#}"))
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
