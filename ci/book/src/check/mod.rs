//! `cargo book check`: what is wrong in the book, each with its file, its line and what to do.

mod links;
mod listings;
mod parity;
mod prose;
mod tables;

use std::path::Path;

use anyhow::Result;

use crate::problem::{Problem, Problems};
use crate::project::Project;
use crate::site;
use crate::site::folder::Folder;
use crate::summary::Summary;
use crate::sync::Texts;

/// What a check found.
pub struct Report {
    /// How many pages were looked at, all languages together.
    pub pages: usize,
    /// What is wrong, by file and line.
    pub findings: Vec<Problem>,
}

/// Checks the whole book.
///
/// # Errors
///
/// When the book's files cannot be read at all. What is wrong in them is in the report.
pub fn check(project: &Project) -> Result<Report> {
    let mut findings = Vec::new();
    let mut pages = 0;

    let out = Folder::named(
        project
            .root
            .join(format!("target/book/check-{}", std::process::id())),
    );
    match site::build(project, &out.0, &site::default_base_url(project)) {
        Ok(site) => findings.extend(links::check(project, &site, &out.0)),
        Err(error) => match error.downcast::<Problems>() {
            Ok(Problems(problems)) => findings.extend(problems),
            Err(error) => return Err(error),
        },
    }
    drop(out);

    // A page that is not UTF-8 keeps the others from being compared with it.
    if let Ok(texts) = Texts::load(project) {
        pages = texts.pages.values().map(|pages| pages.len()).sum();
        findings.extend(summaries(project)?);
        findings.extend(parity::check(project, &texts));
        findings.extend(texts.problems());
        findings.extend(prose::check(project, &texts));
        findings.extend(listings::check(project, &texts));
        findings.extend(tables::check(project, &texts));
    }
    findings.extend(project.missing_words());

    findings.sort();
    findings.dedup();
    Ok(Report { pages, findings })
}

fn summaries(project: &Project) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for language in &project.languages {
        let own = Summary::load(project, language)?;
        for other in &project.languages {
            if other.code != language.code {
                let theirs = Summary::load(project, other)?;
                problems.extend(own.problems(language, &theirs, &other.code));
            }
        }
    }
    Ok(problems)
}

/// The line, counted from 1, of the first place where `text` has `part`; 0 if it has it nowhere.
fn line_of(text: &str, part: &str) -> usize {
    text.find(part)
        .map_or(0, |at| text[..at].matches('\n').count() + 1)
}

/// The same for a file, 0 too if it cannot be read.
fn line_in(file: &Path, part: &str) -> usize {
    std::fs::read_to_string(file).map_or(0, |text| line_of(&text, part))
}
