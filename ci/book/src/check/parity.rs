//! The languages have the same pages, and each page the same structure: headings, listings,
//! outputs, figures, proofs, RFCs, tables, code, links and quizzes.

use std::collections::BTreeSet;
use std::path::Path;

use crate::directive::is_inline;
use crate::page::{Page, Section};
use crate::problem::Problem;
use crate::project::Project;
use crate::sync::Texts;

pub fn check(project: &Project, texts: &Texts) -> Vec<Problem> {
    let mut findings = Vec::new();
    for path in texts.paths() {
        let there: Vec<&Page> = project
            .languages
            .iter()
            .filter_map(|language| texts.page(&language.code, path))
            .collect();
        for language in &project.languages {
            if texts.page(&language.code, path).is_none() {
                let other = there.first().map_or("", |page| page.language.as_str());
                findings.push(Problem::new(
                    language.src.join(path),
                    0,
                    format!("is missing; `{other}` has it"),
                    "write it; until then readers see the other language's text",
                ));
            }
        }
        if let Some(page) = there.first().filter(|_| !is_page_name(path)) {
            findings.push(Problem::new(
                &page.file,
                0,
                "has a name that addresses, or mdBook, have another use for",
                "use lower-case ASCII letters, digits and single hyphens, and neither print nor 404",
            ));
        }
        for page in &there {
            findings.extend(headings(page));
        }
        if let Some((first, others)) = there.split_first() {
            for other in others {
                findings.extend(compare(first, other));
            }
        }
    }
    findings
}

/// Every heading has an id of its own, in kebab case.
fn headings(page: &Page) -> Vec<Problem> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for heading in &page.headings {
        let mut problem = |what: String, remedy: &str| {
            findings.push(Problem::new(
                &page.file,
                page.line(heading.at),
                what,
                remedy,
            ));
        };
        if heading.contained {
            problem(
                format!(
                    "heading «{}» stands in a list or a quotation",
                    heading.title.trim()
                ),
                "take it out, or write `**…**`: a heading begins a section of the page",
            );
        }
        match &heading.id {
            None => problem(
                format!("heading «{}» has no id", heading.title.trim()),
                "end its line with `{#kebab-english}`, the same in every language",
            ),
            Some(id) if !is_kebab(id) => problem(
                format!("heading id `{id}` is not in kebab case"),
                "use lower-case ASCII letters, digits and single hyphens",
            ),
            Some(id) => {
                if !seen.insert(id) {
                    problem(
                        format!("heading id `{id}` is used twice on this page"),
                        "give each heading an id of its own",
                    );
                }
            }
        }
    }
    if page.headings.first().is_none_or(|first| first.level != 1) {
        findings.push(Problem::new(
            &page.file,
            1,
            "does not begin with a heading of level 1",
            "begin it with `# Title {#id}`",
        ));
    }
    findings
}

/// Whether a page can be found under its path as it stands, and mdBook makes no other there.
fn is_page_name(path: &str) -> bool {
    let Some(stem) = path.strip_suffix(".md") else {
        return false;
    };
    stem.split('/').all(is_kebab) && !matches!(stem, "print" | "404" | "toc")
}

fn is_kebab(id: &str) -> bool {
    id.split('-').all(|part| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}

/// Two languages' texts of one page.
fn compare(a: &Page, b: &Page) -> Vec<Problem> {
    let ids = |page: &Page| -> Vec<String> {
        page.headings
            .iter()
            .map(|heading| {
                let id = heading.id.as_deref().unwrap_or("no id");
                format!("{} {id}", "#".repeat(usize::from(heading.level)))
            })
            .collect()
    };
    let (ours, theirs) = (ids(a), ids(b));
    if ours != theirs {
        let at = ours.iter().zip(&theirs).take_while(|(x, y)| x == y).count();
        let name = |list: &[String]| {
            list.get(at)
                .map_or("no further heading".to_owned(), |id| format!("`{id}`"))
        };
        let line = b.headings.get(at).map_or(0, |heading| b.line(heading.at));
        return vec![Problem::new(
            &b.file,
            line,
            format!(
                "has {} where `{}` has {}",
                name(&theirs),
                a.language,
                name(&ours)
            ),
            "give both pages the same headings, with the same ids, in the same order",
        )];
    }
    a.sections()
        .iter()
        .zip(b.sections())
        .flat_map(|(ours, theirs)| compare_sections(a, ours, b, &theirs))
        .collect()
}

fn compare_sections(a: &Page, ours: &Section, b: &Page, theirs: &Section) -> Vec<Problem> {
    let mut findings = Vec::new();
    let place = match theirs.id.as_str() {
        "" => "before its first heading".to_owned(),
        id => format!("in section `#{id}`"),
    };
    for (kind, ordered, parts) in [
        ("", true, blocks as Parts),
        ("", false, marks as Parts),
        ("a table of ", true, tables as Parts),
        ("code in ", true, fences as Parts),
        ("a link to ", false, links as Parts),
        ("", true, details as Parts),
    ] {
        let mut ours = parts(a, ours);
        let mut theirs = parts(b, theirs);
        if !ordered {
            // Sentences may take them in another order.
            ours.sort();
            theirs.sort();
        }
        let names = |list: &[(String, usize)]| -> Vec<String> {
            list.iter().map(|(name, _)| name.clone()).collect()
        };
        if names(&ours) == names(&theirs) {
            continue;
        }
        let at = ours
            .iter()
            .zip(&theirs)
            .take_while(|(x, y)| x.0 == y.0)
            .count();
        let name = |list: &[(String, usize)]| {
            list.get(at)
                .map_or("nothing".to_owned(), |(name, _)| format!("{kind}{name}"))
        };
        let line = theirs.get(at).map(|(_, at)| b.line(*at));
        findings.push(Problem::new(
            Path::new(&b.file),
            line.unwrap_or_else(|| b.line(theirs_start(b, &place))),
            format!(
                "has {} {place} where `{}` has {}",
                name(&theirs),
                a.language,
                name(&ours)
            ),
            "give both pages the same structure; only the sentences are each language's own",
        ));
    }
    findings
}

fn theirs_start(page: &Page, place: &str) -> usize {
    page.headings
        .iter()
        .find(|heading| {
            heading
                .id
                .as_ref()
                .is_some_and(|id| place.ends_with(&format!("`#{id}`")))
        })
        .map_or(0, |heading| heading.at)
}

/// The parts of one kind in a section: what each is, and where it stands.
type Parts = fn(&Page, &Section) -> Vec<(String, usize)>;

/// Directives that stand alone: their order is the page's.
fn blocks(page: &Page, section: &Section) -> Vec<(String, usize)> {
    directives(page, section, |name| !is_inline(name))
}

/// Directives within sentences.
fn marks(page: &Page, section: &Section) -> Vec<(String, usize)> {
    directives(page, section, is_inline)
}

fn directives(page: &Page, section: &Section, wanted: fn(&str) -> bool) -> Vec<(String, usize)> {
    page.directives
        .iter()
        .filter(|directive| section.range.contains(&directive.range.start))
        .filter(|directive| wanted(&directive.name))
        .map(|directive| {
            // A figure's caption is each language's own.
            let arguments = directive.arguments.split('"').next().unwrap_or_default();
            (
                format!("`{{{{#{} {}}}}}`", directive.name, arguments.trim()),
                directive.range.start,
            )
        })
        .collect()
}

fn tables(page: &Page, section: &Section) -> Vec<(String, usize)> {
    page.tables
        .iter()
        .filter(|table| section.range.contains(&table.at))
        .map(|table| {
            (
                format!("{} columns and {} rows", table.columns, table.rows),
                table.at,
            )
        })
        .collect()
}

fn fences(page: &Page, section: &Section) -> Vec<(String, usize)> {
    page.fences
        .iter()
        .filter(|fence| section.range.contains(&fence.range.start))
        .map(|fence| (format!("`{}`", fence.language), fence.range.start))
        .collect()
}

fn links(page: &Page, section: &Section) -> Vec<(String, usize)> {
    page.links
        .iter()
        .filter(|link| section.range.contains(&link.at))
        .filter(|link| !in_another_language(&link.to))
        .map(|link| (format!("`{}`", without_language(&link.to)), link.at))
        .collect()
}

/// `CONTRIBUTING.ko.md` is `CONTRIBUTING.md` in another language.
fn without_language(link: &str) -> String {
    let (path, rest) = link.split_once(".md").unwrap_or((link, ""));
    let language = path
        .rsplit_once('.')
        .filter(|(_, code)| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_lowercase()));
    match language {
        Some((stem, _)) if path.len() < link.len() => format!("{stem}.md{rest}"),
        _ => link.to_owned(),
    }
}

/// Encyclopaedias and manuals have a page for each language: such links need not be the same.
fn in_another_language(link: &str) -> bool {
    ["wikipedia.org", "developer.mozilla.org"]
        .iter()
        .any(|host| link.contains(host))
}

fn details(page: &Page, section: &Section) -> Vec<(String, usize)> {
    page.details
        .iter()
        .filter(|at| section.range.contains(at))
        .map(|&at| ("a folded answer".to_owned(), at))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_name_that_needs_no_escape_and_is_its_own() {
        for path in ["index.md", "ch01-basics/ports.md"] {
            assert!(is_page_name(path), "{path}");
        }
        for path in [
            "a b.md",
            "C#.md",
            "ch01/404/..md",
            "404.md",
            "print.md",
            "포트.md",
        ] {
            assert!(!is_page_name(path), "{path}");
        }
    }

    #[test]
    fn a_file_in_another_language_is_the_same_file() {
        for (link, same) in [
            ("x/CONTRIBUTING.ko.md#two", "x/CONTRIBUTING.md#two"),
            ("x/CONTRIBUTING.md", "x/CONTRIBUTING.md"),
            ("https://example.org/", "https://example.org/"),
            ("a.ko.html", "a.ko.html"),
        ] {
            assert_eq!(without_language(link), same);
        }
    }
}
