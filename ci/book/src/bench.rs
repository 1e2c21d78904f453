//! `cargo book bench site`: the site's own measures, beside their bars.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::check;
use crate::project::Project;
use crate::site;

/// Runs of each measurement; the median counts.
const RUNS: usize = 7;

/// How many times over the book is copied to see whether building stays linear.
const COPIES: [usize; 3] = [1, 4, 16];

/// Measures what `what` names and prints it.
///
/// # Errors
///
/// When nothing is called so, or the book does not build.
pub fn bench(project: &Project, what: &str) -> Result<()> {
    match what {
        "site" => site_measures(project),
        other => bail!("there is nothing to measure called `{other}`; there is `site`"),
    }
}

fn site_measures(project: &Project) -> Result<()> {
    let work = project
        .root
        .join(format!("target/book/bench-{}", std::process::id()));
    let out = work.join("out");
    let result = (|| {
        let (time, pages) = median(|| {
            let project = Project::load(&project.root)?;
            Ok(site::build(&project, &out, "https://book.example/")?
                .pages
                .len())
        })?;
        println!("full build, both languages   {time:>8.0?}   bar 1.5 s   ({pages} pages)");
        let (time, findings) = median(|| {
            let project = Project::load(&project.root)?;
            Ok(check::check(&project)?.findings.len())
        })?;
        println!("check, whole book            {time:>8.0?}   bar 2 s     ({findings} findings)");

        let mut first = None;
        for copies in COPIES {
            let root = work.join(format!("x{copies}"));
            copy_book(project, &root, copies)?;
            let (time, pages) = median(|| {
                let project = Project::load(&root)?;
                Ok(site::build(&project, &out, "https://book.example/")?
                    .pages
                    .len())
            })?;
            let each = time / u32::try_from(pages).unwrap_or(u32::MAX);
            let first = *first.get_or_insert(each);
            println!(
                "chapters ×{copies:<2}                 {time:>8.0?}   {each:.2?} a page, {:.2} of ×1   ({pages} pages)",
                each.as_secs_f64() / first.as_secs_f64()
            );
        }
        Ok(())
    })();
    fs::remove_dir_all(&work)?;
    result
}

/// The median time of several runs, and what the last gave.
fn median<T>(mut run: impl FnMut() -> Result<T>) -> Result<(Duration, T)> {
    let mut times = Vec::new();
    let mut value = None;
    for _ in 0..RUNS {
        let begun = Instant::now();
        value = Some(run()?);
        times.push(begun.elapsed());
    }
    times.sort();
    match value {
        Some(value) => Ok((times[times.len() / 2], value)),
        None => bail!("nothing was run"),
    }
}

/// The book with every chapter's folder copied `copies` times over.
fn copy_book(project: &Project, root: &Path, copies: usize) -> Result<()> {
    for part in [
        "book.toml",
        "theme",
        "listings",
        "src",
        "ci/book/styleguide",
    ] {
        copy(&project.root.join(part), &root.join(part))?;
    }
    for language in &project.languages {
        let src = root.join(&language.src);
        let summary = src.join("SUMMARY.md");
        let mut text = String::new();
        for line in fs::read_to_string(&summary)?.lines() {
            text.push_str(line);
            text.push('\n');
            let Some((before, after)) = line.split_once("](ch") else {
                continue;
            };
            for copy in 1..copies {
                // Sub-pages of a copy follow the copy of their overview, which is listed alike.
                let dir = format!("x{copy}-");
                text.push_str(&format!("{before}](ch{dir}{after}\n"));
            }
        }
        fs::write(&summary, text)?;
        for entry in fs::read_dir(&src)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(rest) = name.strip_prefix("ch")
                && entry.path().is_dir()
                && !rest.starts_with('x')
            {
                for n in 1..copies {
                    copy(&entry.path(), &src.join(format!("chx{n}-{rest}")))?;
                }
            }
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)?.flatten() {
            if entry.file_name() != "target" {
                copy(&entry.path(), &to.join(entry.file_name()))?;
            }
        }
    } else if from.is_file() {
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(from, to)?;
    }
    Ok(())
}
