//! The order of the book's pages, from every language's `SUMMARY.md`.

use std::fs;

use anyhow::{Context, Result, bail};
use mdbook_summary::{Link, SummaryItem, parse_summary};

use crate::problem::Problem;
use crate::project::{Language, Project};

/// A language's pages in order: chapters, each with its pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The top level.
    pub entries: Vec<Entry>,
}

/// Chapters, and the pages of each.
const LEVELS: usize = 2;

/// One line of a `SUMMARY.md`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The page's name in the contents.
    pub name: String,
    /// Its path below the language's folder.
    pub path: String,
    /// Its number, as in 5.2; empty for pages before and after the chapters.
    pub number: Vec<u32>,
    /// The pages below it.
    pub pages: Vec<Entry>,
}

impl Entry {
    /// Its path on the site, below the language's folder.
    pub fn html_path(&self) -> String {
        html_path(&self.path)
    }
}

/// Where a page is found on the site, below its language's folder.
pub fn html_path(path: &str) -> String {
    match path.strip_suffix(".md") {
        Some(stem) => format!("{stem}.html"),
        None => path.to_owned(),
    }
}

impl Summary {
    /// Reads a language's `SUMMARY.md`.
    ///
    /// # Errors
    ///
    /// When it cannot be read or parsed.
    pub fn load(project: &Project, language: &Language) -> Result<Self> {
        let file = language.src.join("SUMMARY.md");
        let text = fs::read_to_string(project.root.join(&file))
            .with_context(|| format!("reading {}", file.display()))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let summary = parse_summary(text).with_context(|| format!("parsing {}", file.display()))?;
        let numbered = summary.numbered_chapters.iter();
        if numbered.clone().any(|item| depth(item) > LEVELS) {
            bail!(
                "{}: a page stands below a chapter's page; the contents have {LEVELS} levels, so list it beside the other pages of its chapter",
                file.display()
            );
        }
        if numbered
            .clone()
            .any(|item| matches!(item, SummaryItem::PartTitle(_)))
        {
            bail!(
                "{}: the contents have no parts, only chapters: take the part's title out",
                file.display()
            );
        }
        let items = summary
            .prefix_chapters
            .iter()
            .chain(&summary.numbered_chapters)
            .chain(&summary.suffix_chapters);
        Ok(Self {
            entries: entries(items),
        })
    }

    /// Every page, in reading order.
    pub fn pages(&self) -> Vec<&Entry> {
        fn walk<'a>(entries: &'a [Entry], pages: &mut Vec<&'a Entry>) {
            for entry in entries {
                pages.push(entry);
                walk(&entry.pages, pages);
            }
        }
        let mut pages = Vec::new();
        walk(&self.entries, &mut pages);
        pages
    }

    /// Takes in the pages that another language has and this one lacks, each after the page that
    /// it follows there.
    pub fn fill_from(&mut self, other: &Self) {
        fill(&mut self.entries, &other.entries);
    }

    /// A problem for every page that `other` lists and this one does not, and for pages in
    /// another order.
    pub fn problems(&self, language: &Language, other: &Self, other_code: &str) -> Vec<Problem> {
        let file = language.src.join("SUMMARY.md");
        let own: Vec<String> = self
            .pages()
            .iter()
            .map(|entry| entry.path.clone())
            .collect();
        let theirs: Vec<String> = other
            .pages()
            .iter()
            .map(|entry| entry.path.clone())
            .collect();
        let mut problems: Vec<Problem> = theirs
            .iter()
            .filter(|path| !own.contains(path))
            .map(|path| {
                Problem::new(
                    &file,
                    0,
                    format!("does not list `{path}`, which `{other_code}` lists"),
                    "list it at the same place",
                )
            })
            .collect();
        let shared: Vec<&String> = own.iter().filter(|path| theirs.contains(path)).collect();
        let order: Vec<&String> = theirs.iter().filter(|path| own.contains(path)).collect();
        if let Some((here, there)) = shared.iter().zip(&order).find(|(a, b)| a != b) {
            problems.push(Problem::new(
                &file,
                0,
                format!("lists `{here}` where `{other_code}` lists `{there}`"),
                "list the pages in one order in every language",
            ));
        }
        problems
    }
}

fn fill(own: &mut Vec<Entry>, theirs: &[Entry]) {
    let mut after = 0;
    for entry in theirs {
        if let Some(at) = own.iter().position(|mine| mine.path == entry.path) {
            fill(&mut own[at].pages, &entry.pages);
            after = at + 1;
        } else {
            own.insert(after, entry.clone());
            after += 1;
        }
    }
}

/// How many levels an item has, its own among them.
fn depth(item: &SummaryItem) -> usize {
    match item {
        SummaryItem::Link(link) => 1 + link.nested_items.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn entries<'a>(items: impl IntoIterator<Item = &'a SummaryItem>) -> Vec<Entry> {
    items
        .into_iter()
        .filter_map(|item| match item {
            SummaryItem::Link(Link {
                name,
                location: Some(location),
                number,
                nested_items,
                ..
            }) => Some(Entry {
                name: name.clone(),
                path: location.to_string_lossy().replace('\\', "/"),
                number: number.as_ref().map(|n| n.to_vec()).unwrap_or_default(),
                pages: entries(nested_items),
            }),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, pages: Vec<Entry>) -> Entry {
        Entry {
            name: path.to_uppercase(),
            path: path.to_owned(),
            number: Vec::new(),
            pages,
        }
    }

    #[test]
    fn a_page_that_is_missing_comes_in_after_the_page_that_it_follows() {
        let mut own = Summary {
            entries: vec![entry("a", vec![entry("a/2", vec![])]), entry("c", vec![])],
        };
        let other = Summary {
            entries: vec![
                entry("a", vec![entry("a/1", vec![]), entry("a/2", vec![])]),
                entry("b", vec![]),
                entry("c", vec![]),
            ],
        };
        own.fill_from(&other);
        let paths: Vec<&str> = own.pages().iter().map(|e| e.path.as_str()).collect();
        assert_eq!(paths, ["a", "a/1", "a/2", "b", "c"]);
    }
}
