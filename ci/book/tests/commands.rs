//! The commands as a reader types them.

mod common;

use std::process::{Command, Output, Stdio};

use common::Book;

fn run(book: &Book, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_book"))
        .args(arguments)
        .current_dir(book.root())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn check_ends_with_its_count_and_fails_when_it_finds_something() {
    let book = Book::new();
    let output = run(&book, &["check"]);
    assert!(output.status.success());
    assert_eq!(text(&output.stdout), "check: 4 pages, 0 findings\n");

    book.change("src/en/index.md", "Hello.", "Hello, RFC 793.");
    let output = run(&book, &["check"]);
    assert!(!output.status.success());
    let said = text(&output.stdout);
    assert!(
        said.contains("src/en/index.md:3: RFC 793 is named in plain text\n    → write"),
        "{said}"
    );
    assert!(said.ends_with("findings\n"), "{said}");
}

#[test]
fn build_writes_where_it_is_told_for_the_address_it_is_told() {
    let book = Book::new();
    let output = run(
        &book,
        &[
            "build",
            "--out",
            "public",
            "--base-url",
            "https://else.example/b",
        ],
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(
        book.read("public/sitemap.xml")
            .contains("<loc>https://else.example/b/ko/</loc>")
    );
    assert!(
        book.read("public/ko/404.html")
            .contains("<base href=\"/b/ko/\">")
    );
}

#[test]
fn a_command_outside_of_a_book_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_book"))
        .arg("check")
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert_eq!(
        text(&output.stderr),
        "no book.toml here or above: run this inside the book's folder\n"
    );
}

#[test]
fn a_command_works_from_a_folder_below() {
    let book = Book::new();
    let output = Command::new(env!("CARGO_BIN_EXE_book"))
        .arg("check")
        .current_dir(book.path("src/ko"))
        .output()
        .unwrap();
    assert!(output.status.success());
}

#[test]
fn the_site_stands_in_the_books_folder_from_wherever_it_is_built() {
    let book = Book::new();
    let status = Command::new(env!("CARGO_BIN_EXE_book"))
        .arg("build")
        .current_dir(book.path("src/ko"))
        .status()
        .unwrap();
    assert!(status.success());
    assert!(book.path("target/site/ko/index.html").is_file());
    assert!(!book.path("src/ko/target").exists());
}

#[test]
fn list_names_each_listing_with_its_command() {
    let output = run(&Book::new(), &["list"]);
    assert_eq!(
        text(&output.stdout),
        "ch01-basics\n  cargo run -p basics-ports\n      Two services on one address\n"
    );
}

#[test]
fn list_puts_what_belongs_to_all_chapters_first() {
    let book = Book::new();
    book.write(
        "listings/lab/Cargo.toml",
        "[package]\nname = \"lab\"\ndescription = \"A network\"\n[package.metadata.book]\n",
    );
    assert_eq!(
        text(&run(&book, &["list"]).stdout),
        "for all chapters\n  cargo run -p lab\n      A network\n\n\
         ch01-basics\n  cargo run -p basics-ports\n      Two services on one address\n"
    );
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let book = Book::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_book"))
        .arg("list")
        .current_dir(book.root())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn doctor_names_every_ability_and_the_remedy_for_each_that_is_missing() {
    let book = Book::new();
    book.change(
        "listings/ch01-basics/ports/Cargo.toml",
        "what.ko",
        "needs = [\"tun\"]\nwhat.ko",
    );
    // A machine on which nothing can be found.
    let output = Command::new(env!("CARGO_BIN_EXE_book"))
        .arg("doctor")
        .current_dir(book.root())
        .env("PATH", "")
        .output()
        .unwrap();
    let said = text(&output.stdout);
    for ability in book::doctor::names() {
        assert!(said.contains(ability), "{ability}: {said}");
    }
    assert!(
        said.contains("✗ user-namespaces  `unshare` cannot be run"),
        "{said}"
    );
    assert!(said.contains("→ run `ci/peers`"), "{said}");
    let missing = said.matches('✗').count();
    assert_eq!(said.matches("    → ").count(), missing, "{said}");
}

#[test]
fn new_makes_a_listing_that_the_book_knows() {
    let book = Book::new();
    let output = run(&book, &["new", "ch01-basics/four-tuple"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("cargo book record basics-four-tuple"));
    let project = book.project();
    let listing = &project.listings["basics-four-tuple"];
    assert_eq!(
        listing.tests()[0].name,
        "the_output_is_what_the_page_prints"
    );
    for file in ["src/main.rs", "tests/proofs.rs", "Cargo.toml"] {
        let text = book.read(&format!("listings/ch01-basics/four-tuple/{file}"));
        assert!(!text.contains("NAME"), "{file}: {text}");
    }
}

#[test]
fn new_refuses_names_that_are_malformed_or_taken() {
    let book = Book::new();
    for (place, why) in [
        ("ports", "write `chNN-topic/NAME`"),
        ("basics/ports", "`basics` is no chapter's folder"),
        ("ch1-basics/ports", "`ch1-basics` is no chapter's folder"),
        ("ch01-basics/Ports", "`Ports` is no listing's name"),
        ("ch01-basics/../../x", "is no listing's name"),
        (
            "ch01-basics/ports",
            "there is a listing `basics-ports` already",
        ),
    ] {
        let output = run(&book, &["new", place]);
        assert!(!output.status.success(), "{place}");
        let said = text(&output.stderr);
        assert!(said.contains(why), "{place}: {said}");
    }
}

#[test]
fn sync_brings_a_page_in_step_and_refuses_one_that_is_not_there() {
    let book = Book::new();
    book.change("src/en/index.md", "Hello.", "Hello, reader.");
    assert!(!run(&book, &["check"]).status.success());
    let output = run(&book, &["sync", "index.md"]);
    assert_eq!(text(&output.stdout), "index.md: 2 sections in step\n");
    assert!(run(&book, &["check"]).status.success());

    let output = run(&book, &["sync", "indx.md"]);
    assert!(!output.status.success());
    assert_eq!(
        text(&output.stderr),
        "there is no page `indx.md`: the nearest pages: `index.md`, `ch01-basics/ports.md`\n"
    );
}

#[test]
fn wrong_words_give_the_usage() {
    let output = run(&Book::new(), &["serv"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("serve"),
        "{}",
        text(&output.stderr)
    );
}

#[cfg(unix)]
#[test]
fn bench_runs_the_yardsticks_of_a_listing_and_of_a_chapter() {
    let book = Book::new();
    // Cargo's own part is not this test's: what it is asked to do stands in a file.
    let asked = book.path("asked");
    book.write("listings/ch01-basics/ports/benches/yardstick.rs", "");
    let bench = |what: &str, cargo: &str| {
        Command::new(env!("CARGO_BIN_EXE_book"))
            .args(["bench", what])
            .env("CARGO", book.path(cargo))
            .current_dir(book.root())
            .output()
            .unwrap()
    };
    for (name, end) in [("cargo-well", "exit 0"), ("cargo-ill", "exit 3")] {
        let script = format!("#!/bin/sh\necho \"$@\" >> {}\n{end}\n", asked.display());
        book.write(name, script);
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(book.path(name), executable).unwrap();
    }
    for what in ["basics-ports", "ch01", "ch01-basics"] {
        let output = bench(what, "cargo-well");
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let (builds, runs) = (
        "bench --no-run --bench * --quiet --package basics-ports\n",
        "bench --quiet --package basics-ports --bench *\n",
    );
    assert_eq!(book.read("asked"), format!("{builds}{runs}").repeat(3));
    let output = bench("ch01", "cargo-ill");
    assert!(!output.status.success());
    let complaint = text(&output.stderr);
    assert!(
        complaint.contains("`cargo bench -p basics-ports` was not kept: it does not build"),
        "{complaint}"
    );
}

#[test]
fn bench_says_what_there_is_to_measure() {
    let book = Book::new();
    for (what, complaint) in [
        (
            "basics-ports",
            "listing `basics-ports` measures nothing: it has no `benches`",
        ),
        (
            "ch01",
            "no listing of `ch01` measures anything: none has `benches`",
        ),
        (
            "speed",
            "there is nothing to measure called `speed`; there is `site`, `cold`",
        ),
    ] {
        let output = run(&book, &["bench", what]);
        assert!(!output.status.success(), "{what}");
        let said = text(&output.stderr);
        assert!(said.contains(complaint), "{said}");
    }
}
