//! Every listing is whole, stands in every language, and its figures speak that language.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::directive::DRAWN_FOLDER;
use crate::doctor;
use crate::figure;
use crate::listing::Listing;
use crate::problem::{Problem, nearest};
use crate::project::Project;
use crate::sync::Texts;

pub fn check(project: &Project, texts: &Texts) -> Vec<Problem> {
    let mut findings = Vec::new();
    for listing in project.listings.values() {
        findings.extend(whole(listing));
        for language in &project.languages {
            if listing.what_in(&language.code).is_none() {
                let key = match language.code.as_str() {
                    "en" => "description".to_owned(),
                    code => format!("what.{code}"),
                };
                findings.push(Problem::new(
                    listing.project_path("Cargo.toml"),
                    0,
                    format!(
                        "listing `{}` does not say in `{}` what it shows",
                        listing.name, language.code
                    ),
                    format!("add `{key} = \"…\"`"),
                ));
            }
            let shown = texts.pages.get(&language.code).is_some_and(|pages| {
                pages.values().any(|page| {
                    page.directives.iter().any(|directive| {
                        directive.name == "listing" && directive.arguments == listing.name
                    })
                })
            });
            if listing.awaits_page {
                if shown {
                    findings.push(Problem::new(
                        listing.project_path("Cargo.toml"),
                        0,
                        format!(
                            "listing `{}` awaits a page and is on one of `{}`",
                            listing.name, language.code
                        ),
                        "take `awaits-page` out",
                    ));
                }
                continue;
            }
            if !shown {
                findings.push(Problem::new(
                    listing.project_path("Cargo.toml"),
                    0,
                    format!(
                        "listing `{}` is on no page of `{}`",
                        listing.name, language.code
                    ),
                    format!(
                        "put `{{{{#listing {}}}}}` on a page in {}",
                        listing.name,
                        language
                            .src
                            .join(listing.chapter.as_deref().unwrap_or_default())
                            .display()
                    ),
                ));
            }
            if let Some(chapter) = &listing.chapter
                && !project.root.join(&language.src).join(chapter).is_dir()
            {
                findings.push(Problem::new(
                    listing.project_path("Cargo.toml"),
                    0,
                    format!(
                        "stands in `{chapter}`, which is no chapter's folder in {}",
                        language.src.display()
                    ),
                    "give the chapter one name in src and in listings",
                ));
            }
        }
    }
    findings.extend(unused_drawings(project, texts));
    findings.extend(labels(project, texts));
    findings
}

/// The figures that were drawn by hand, by their files. One that cannot be read has stopped the
/// page that shows it.
fn drawn(project: &Project) -> Vec<(String, record::Record)> {
    let Ok(folder) = std::fs::read_dir(project.root.join(DRAWN_FOLDER)) else {
        return Vec::new();
    };
    folder
        .flatten()
        .filter_map(|entry| {
            let record = record::Record::load(&entry.path()).ok()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            Some((format!("{DRAWN_FOLDER}/{name}"), record))
        })
        .collect()
}

/// A drawing that no page shows is a leftover.
fn unused_drawings(project: &Project, texts: &Texts) -> Vec<Problem> {
    let shown: BTreeSet<&str> = texts
        .pages
        .values()
        .flat_map(|pages| pages.values())
        .flat_map(|page| &page.directives)
        .filter(|directive| directive.name == "figure")
        .filter_map(|directive| directive.arguments.split_whitespace().next())
        .collect();
    let mut findings = Vec::new();
    for (file, record) in drawn(project) {
        let name = file.trim_start_matches("src/").trim_end_matches(".json");
        for id in record.figures.keys() {
            if !shown.contains(format!("{name}:{id}").as_str()) {
                findings.push(Problem::new(
                    &file,
                    0,
                    format!("figure `{id}` is on no page"),
                    format!("show it by `{{{{#figure {name}:{id} \"caption\"}}}}`, or take it out"),
                ));
            }
        }
    }
    findings
}

/// What every listing has.
fn whole(listing: &Listing) -> Vec<Problem> {
    let mut findings = Vec::new();
    let mut missing = |file: &str, what: &str, remedy: String| {
        findings.push(Problem::new(
            listing.project_path(file),
            0,
            what.to_owned(),
            remedy,
        ));
    };
    if !listing.path("output.txt").is_file() {
        missing(
            "output.txt",
            "is missing",
            format!("run `cargo book record {}`", listing.name),
        );
    }
    if listing.tests().iter().all(|test| test.ignored) {
        missing(
            "tests/proofs.rs",
            "has no test",
            "assert there what the page claims".to_owned(),
        );
    }
    let known = doctor::names();
    for need in &listing.needs {
        if !known.contains(&need.as_str()) {
            missing(
                "Cargo.toml",
                &format!("needs `{need}`, which `cargo book doctor` does not know"),
                nearest(need, known.iter().copied(), "needs"),
            );
        }
    }
    findings
}

/// Each text of a figure is translated for each language other than English, and no other is.
fn labels(project: &Project, texts: &Texts) -> Vec<Problem> {
    // The text, and where it comes from.
    let mut needed: BTreeMap<String, String> = BTreeMap::new();
    let mut add = |record: &record::Record, file: &str| {
        for figure in record.figures.values() {
            for text in figure::texts(figure) {
                needed.entry(text).or_insert_with(|| file.to_owned());
            }
        }
    };
    for listing in project.listings.values() {
        for kind in listing.recorded() {
            if let Ok(record) = listing.record(kind) {
                add(&record, &listing.project_path(kind.record));
            }
        }
    }
    if let Ok(record) = record::Record::load(&project.root.join(crate::directive::SAMPLES_FILE)) {
        add(&record, crate::directive::SAMPLES_FILE);
    }
    for (file, record) in drawn(project) {
        add(&record, &file);
    }
    // Texts matter for languages that have pages at all.
    let written: BTreeSet<&str> = texts.pages.keys().map(String::as_str).collect();
    let mut findings = Vec::new();
    for language in &project.languages {
        if language.code == "en" || !written.contains(language.code.as_str()) {
            continue;
        }
        let file = language.src.join("labels.toml");
        for (text, from) in &needed {
            if !language.labels.contains_key(text) {
                findings.push(Problem::new(
                    Path::new(from),
                    0,
                    format!("«{text}» has no word in `{}`", language.code),
                    format!("add `{text:?} = \"…\"` to {}", file.display()),
                ));
            }
        }
        for (text, word) in &language.labels {
            let line = super::line_in(&project.root.join(&file), text);
            if !needed.contains_key(text) {
                findings.push(Problem::new(
                    &file,
                    line,
                    format!("no figure says «{text}»"),
                    "take it out, or write it as the record has it",
                ));
            }
            if word.matches("{}").count() != text.matches("{}").count() {
                findings.push(Problem::new(
                    &file,
                    line,
                    format!("«{word}» has not as many `{{}}` as «{text}»"),
                    "keep one `{}` for each verbatim part",
                ));
            }
        }
    }
    findings
}
