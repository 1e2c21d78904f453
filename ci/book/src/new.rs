//! `cargo book new chNN-topic/NAME`: a listing's files, ready to be filled.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::project::Project;

/// Makes the files of a new listing and gives its folder and its package's name.
///
/// # Errors
///
/// When the name is malformed or taken, or the files cannot be written.
pub fn new(project: &Project, place: &str) -> Result<(PathBuf, String)> {
    let Some((chapter, name)) = place.split_once('/') else {
        bail!("`{place}` names no listing: write `chNN-topic/NAME`, as in `ch05-tcp/handshake`");
    };
    let topic = chapter
        .strip_prefix("ch")
        .and_then(|rest| rest.split_once('-'))
        .filter(|(number, _)| number.len() == 2 && number.bytes().all(|b| b.is_ascii_digit()))
        .map(|(_, topic)| topic);
    let Some(topic) = topic.filter(|topic| is_kebab(topic)) else {
        bail!("`{chapter}` is no chapter's folder: it reads `chNN-topic`, as in `ch05-tcp`");
    };
    if !is_kebab(name) {
        bail!("`{name}` is no listing's name: lower-case letters, digits and hyphens");
    }
    let package = format!("{topic}-{name}");
    if project.listings.contains_key(&package) {
        bail!("there is a listing `{package}` already");
    }
    let dir = project.root.join("listings").join(chapter).join(name);
    if dir.exists() {
        bail!("{} is there already", dir.display());
    }
    for (file, text) in [
        ("Cargo.toml", MANIFEST),
        ("src/main.rs", MAIN),
        ("tests/proofs.rs", PROOFS),
    ] {
        let path = dir.join(file);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        }
        fs::write(&path, text.replace("NAME", &package))
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok((dir, package))
}

fn is_kebab(text: &str) -> bool {
    !text.is_empty()
        && text.split('-').all(|part| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
}

const MANIFEST: &str = r#"[package]
name = "NAME"
description = "What it shows, in one sentence"
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
repository.workspace = true
publish.workspace = true

[package.metadata.book]
what.ko = "무엇을 보여 주는지 한 문장으로"
needs = []

[dependencies]
record.workspace = true

[dev-dependencies]
testkit.workspace = true

[lints]
workspace = true
"#;

const MAIN: &str = r#"//! What it shows.
//!
//! ```console
//! $ cargo run -p NAME
//! ```
//!
//! What to look for.

use std::io;

use record::{Column, Record, Table};

fn main() -> io::Result<()> {
    // ANCHOR: measure
    let answer = 6 * 7;
    println!("the answer is {answer}");
    // ANCHOR_END: measure

    let mut record = Record::new();
    record.add(
        "answers",
        Table::new([Column::words("question"), Column::number("answer", "")])
            .row(["six times seven".into(), answer.to_string()]),
    );
    record.save()
}
"#;

const PROOFS: &str = r#"//! What the page claims, asserted of a real run.

#[test]
fn the_output_is_what_the_page_prints() {
    testkit::listing!().run().succeeds().matches_output();
}
"#;
