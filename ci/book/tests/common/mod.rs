//! A small book in a folder of its own, right in everything, for tests to break.

#![allow(dead_code, reason = "not every test file uses all of it")]

use std::fs;
use std::path::{Path, PathBuf};

use book::check;
use book::project::Project;
use book::site::{self, Site};
use book::sync::Texts;
use tempfile::TempDir;

/// The small book.
pub struct Book {
    dir: TempDir,
}

const PAGE_KO: &str = "\
# 포트 {#ports}

포트는 방 번호와 같습니다. {{#rfc 9293 3.5}}

{{#listing basics-ports}}

## 실행 {#run}

{{#listing basics-ports src/main.rs:bind}}

{{#output basics-ports}}

{{#figure basics-ports:sizes \"크기\"}}

이것은 사실입니다. {{#proof basics-ports::a_port_is_taken_once}} [용어](../index.md#book)를 보세요.

| 가 | 나 |
|---|---|
| 1 | 2 |

<details class=\"quiz\">
<summary>질문</summary>

답

</details>
";

const PAGE_EN: &str = "\
# Ports {#ports}

A port is a room's number. {{#rfc 9293 3.5}}

{{#listing basics-ports}}

## Run it {#run}

{{#listing basics-ports src/main.rs:bind}}

{{#output basics-ports}}

{{#figure basics-ports:sizes \"Sizes\"}}

So it is. {{#proof basics-ports::a_port_is_taken_once}} See the [term](../index.md#book).

| a | b |
|---|---|
| 1 | 2 |

<details class=\"quiz\">
<summary>Question</summary>

Answer

</details>
";

const MAIN: &str = "\
fn main() {
    // ANCHOR: bind
    println!(\"bound\");
    // ANCHOR_END: bind
    if let Some(path) = std::env::var_os(\"BOOK_RECORD\") {
        std::fs::write(path, RECORD).unwrap();
    }
}

const RECORD: &str = r#\"{\"figures\":{\"sizes\":{\"kind\":\"table\",\"columns\":[{\"label\":\"format\"},{\"label\":\"size\",\"unit\":\"bytes\",\"number\":true}],\"rows\":[[\"`JSON`\",\"58\"]]}}}\"#;
";

const RECORD: &str = r#"{"figures":{"sizes":{"kind":"table","columns":[{"label":"format"},{"label":"size","unit":"bytes","number":true}],"rows":[["`JSON`","58"]]}}}"#;

impl Book {
    /// A book of two languages, one chapter and one listing, reviewed and without a finding.
    pub fn new() -> Self {
        let book = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        book.write("book.toml", BOOK_TOML);
        book.write(
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"listings/ch01-basics/ports\"]\n",
        );
        for (language, page) in [("ko", PAGE_KO), ("en", PAGE_EN)] {
            book.write(
                &format!("src/{language}/SUMMARY.md"),
                "[Book](index.md)\n\n- [Ports](ch01-basics/ports.md)\n",
            );
            book.write(&format!("src/{language}/ch01-basics/ports.md"), page);
        }
        book.write("src/ko/index.md", "# 책 {#book}\n\n안녕하세요.\n");
        book.write("src/en/index.md", "# Book {#book}\n\nHello.\n");
        book.write(
            "src/ko/labels.toml",
            "\"format\" = \"형식\"\n\"size\" = \"크기\"\n\"bytes\" = \"바이트\"\n",
        );
        book.write("src/terms.toml", TERMS);
        book.write("src/rfc.toml", RFCS);
        let listing = "listings/ch01-basics/ports";
        book.write(&format!("{listing}/Cargo.toml"), MANIFEST);
        book.write(&format!("{listing}/src/main.rs"), MAIN);
        book.write(
            &format!("{listing}/tests/proofs.rs"),
            "#[test]\nfn a_port_is_taken_once() {}\n",
        );
        book.write(&format!("{listing}/output.txt"), "bound\n");
        book.write(&format!("{listing}/record.json"), RECORD);
        let theme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../theme");
        copy(&theme, &book.root().join("theme"));
        book.sync("index.md");
        book.sync("ch01-basics/ports.md");
        book
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.root().join(file)
    }

    pub fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap()
    }

    /// Changes part of a file; the part must be there.
    pub fn change(&self, file: &str, from: &str, to: &str) {
        let text = self.read(file);
        assert!(text.contains(from), "{file} has no {from:?}");
        self.write(file, text.replace(from, to));
    }

    pub fn remove(&self, file: &str) {
        fs::remove_file(self.path(file)).unwrap();
    }

    pub fn project(&self) -> Project {
        Project::load(self.root()).unwrap()
    }

    pub fn sync(&self, page: &str) {
        let project = self.project();
        Texts::load(&project)
            .unwrap()
            .sync(&project.root, page)
            .unwrap();
    }

    /// Builds into `site` and gives what was built.
    pub fn build(&self) -> Site {
        site::build(
            &self.project(),
            &self.path("site"),
            "https://book.example/book/",
        )
        .unwrap()
    }

    /// Why the book does not build.
    pub fn build_error(&self) -> String {
        match site::build(&self.project(), &self.path("site"), "https://book.example/") {
            Ok(_) => panic!("the book builds"),
            Err(error) => format!("{error:#}"),
        }
    }

    /// A built page.
    pub fn page(&self, path: &str) -> String {
        self.read(&format!("site/{path}"))
    }

    /// Everything that `check` finds, as it prints it.
    pub fn findings(&self) -> Vec<String> {
        check::check(&self.project())
            .unwrap()
            .findings
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// Asserts that `check` finds this, at this place, and says what to do.
    #[track_caller]
    pub fn assert_finding(&self, place: &str, what: &str, remedy: &str) {
        let findings = self.findings();
        let found = findings.iter().any(|finding| {
            finding.starts_with(&format!("{place}: "))
                && finding.contains(what)
                && finding
                    .split("→ ")
                    .nth(1)
                    .is_some_and(|rest| rest.contains(remedy))
        });
        assert!(
            found,
            "nothing at {place} says «{what}» and «{remedy}»:\n{}",
            findings.join("\n")
        );
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
}

const BOOK_TOML: &str = r#"
[book]
title = "책"
language = "ko"
src = "src/ko"

[build]
use-default-preprocessors = false

[preprocessor.book]
command = "cargo book preprocess"
base-url = "https://book.example/book/"

[output.html]
theme = "target/book/theme"
additional-css = ["theme/book.css", "theme/figure.css"]
additional-js = ["theme/book.js", "theme/figure.js", "theme/search.js", "theme/vendor/minisearch.js"]
hash-files = true
smart-punctuation = false
git-repository-url = "https://example.org/book"

[output.html.playground]
runnable = false
copyable = false
"#;

const TERMS: &str = r#"
[[term]]
en = "thread"
ko = "스레드"
avoid = ["쓰레드"]
what.en = "A line of execution."
what.ko = "실행의 한 흐름."
"#;

const RFCS: &str = r#"
[rfc.793]
title = "Transmission Control Protocol"
date = "1981-09"
status = "Internet Standard"
obsoleted-by = [9293]

[rfc.9293]
title = "Transmission Control Protocol (TCP)"
date = "2022-08"
status = "Internet Standard"
"#;

const MANIFEST: &str = r#"
[package]
name = "basics-ports"
description = "Two services on one address"
version = "0.1.0"
edition = "2024"

[package.metadata.book]
what.ko = "한 주소의 두 서비스"
"#;
