//! `cargo book record` keeps what a successful run left, and nothing of any other.

mod common;

use std::time::Duration;

use book::recording::record_one;
use common::Book;

const DIR: &str = "listings/ch01-basics/ports";
const DEADLINE: Duration = Duration::from_secs(60);

fn record(book: &Book, deadline: Duration) -> Result<(), String> {
    let project = book.project();
    record_one(&project.root, &project.listings["basics-ports"], deadline)
        .map_err(|error| format!("{error:#}"))
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
    let book = Book::new();
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
    assert_eq!(provenance.command, "cargo run -p basics-ports");
    assert_eq!(provenance.date.len(), "2026-11-22".len());
    assert!(!provenance.kernel.is_empty() && !provenance.processor.is_empty());
}

#[test]
fn a_listing_that_panics_leaves_the_files_as_they_were() {
    let book = Book::new();
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
    let book = Book::new();
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

#[test]
fn a_listing_that_does_not_build_leaves_the_files_as_they_were() {
    let book = Book::new();
    let before = state(&book);
    book.change(&format!("{DIR}/src/main.rs"), "println!", "printn!");
    let error = record(&book, DEADLINE).unwrap_err();
    assert!(error.contains("it does not build"), "{error}");
    assert_eq!(state(&book), before);
}

#[test]
fn a_record_that_cannot_be_read_leaves_the_files_as_they_were() {
    let book = Book::new();
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
