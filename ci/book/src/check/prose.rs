//! Traps in prose: emphasis that does not close, quotes that turn the wrong way, spellings that
//! the term table rejects, RFCs named without their directive.

use std::ops::Range;
use std::path::Path;

use super::line_of;
use crate::page::Page;
use crate::problem::Problem;
use crate::project::Project;
use crate::sync::Texts;

pub fn check(project: &Project, texts: &Texts) -> Vec<Problem> {
    let mut findings = Vec::new();
    if project
        .config
        .html_config()
        .is_some_and(|html| html.smart_punctuation)
    {
        findings.push(Problem::new(
            "book.toml",
            0,
            "smart-punctuation is on: it turns the closing quote before a Korean particle the wrong way",
            "set `smart-punctuation = false` under [output.html]",
        ));
    }
    let rejected = rejected_spellings(project);
    for page in texts.pages.values().flat_map(|pages| pages.values()) {
        findings.extend(emphasis(page));
        findings.extend(rfcs(page));
        if page.language == "ko" {
            findings.extend(quotes(page));
            findings.extend(spellings(page, &rejected));
        }
    }
    for file in [
        "src/ko/SUMMARY.md",
        "src/ko/labels.toml",
        "theme/words.toml",
    ] {
        findings.extend(spellings_of_file(project, Path::new(file), &rejected));
    }
    for listing in project.listings.values() {
        if let Some(what) = listing.what.get("ko") {
            for (wrong, right) in &rejected {
                if what.contains(wrong.as_str()) {
                    findings.push(wrong_spelling(
                        Path::new(&listing.project_path("Cargo.toml")),
                        0,
                        wrong,
                        right,
                    ));
                }
            }
        }
    }
    findings
}

/// A sign of emphasis that Markdown left as it stands: most often emphasis that does not close
/// because a particle follows a bracket, a code span or, after `_` always, the word.
fn emphasis(page: &Page) -> Vec<Problem> {
    let mut findings = Vec::new();
    let mut last_line = 0;
    for range in &page.prose {
        if page.text[..range.start].ends_with('\\') {
            continue;
        }
        let text = &page.text[range.clone()];
        if text.contains('`') {
            findings.push(Problem::new(
                &page.file,
                page.line(range.start),
                "a backtick is printed as it stands: a line of HTML knows no Markdown",
                "write `<code>…</code>` there",
            ));
        }
        let sign = if text.contains('*') {
            "an asterisk"
        } else if has_doubled_tilde(page, range) {
            "`~~`"
        } else if has_edge_underscore(page, range) {
            "an underscore"
        } else {
            continue;
        };
        let line = page.line(range.start);
        if line != last_line {
            findings.push(Problem::new(
                &page.file,
                line,
                format!("{sign} is printed as it stands: emphasis does not open or close here"),
                "put the particle inside, reorder, or write `<strong>…</strong>`; a backslash before the sign prints it",
            ));
        }
        last_line = line;
    }
    findings
}

/// Whether there is a tilde beside another: one alone is a range's, as in 1~3. The parser gives each
/// on its own.
fn has_doubled_tilde(page: &Page, range: &Range<usize>) -> bool {
    page.text[range.clone()].match_indices('~').any(|(at, _)| {
        let at = range.start + at;
        page.text[..at].ends_with('~') || page.text[at + 1..].starts_with('~')
    })
}

/// Whether an underscore stands at a word's edge, as one of emphasis does and one of `snd_una` not.
fn has_edge_underscore(page: &Page, range: &Range<usize>) -> bool {
    let is_inner = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    page.text[range.clone()].match_indices('_').any(|(at, _)| {
        let at = range.start + at;
        !is_inner(page.text[..at].chars().next_back())
            || !is_inner(page.text[at + 1..].chars().next())
    })
}

/// `“인용”을`: a curly quote beside Hangul is more often than not a wrongly turned one.
fn quotes(page: &Page) -> Vec<Problem> {
    let mut findings = Vec::new();
    for range in &page.prose {
        let text = &page.text[range.clone()];
        let characters: Vec<(usize, char)> = text.char_indices().collect();
        for (i, &(at, c)) in characters.iter().enumerate() {
            if !matches!(c, '“' | '”' | '‘' | '’') {
                continue;
            }
            let before = i.checked_sub(1).map(|i| characters[i].1);
            let after = characters.get(i + 1).map(|&(_, c)| c);
            if [before, after].into_iter().flatten().any(is_hangul) {
                findings.push(Problem::new(
                    &page.file,
                    page.line(range.start + at),
                    format!("a curly quote `{c}` stands beside Hangul"),
                    "write straight quotes, or « »",
                ));
            }
        }
    }
    findings
}

fn is_hangul(c: char) -> bool {
    matches!(c, '가'..='힣' | 'ㄱ'..='ㅣ')
}

/// Each rejected spelling with the right one.
fn rejected_spellings(project: &Project) -> Vec<(String, String)> {
    project
        .terms
        .iter()
        .flat_map(|term| {
            let right = term.names.get("ko").cloned().unwrap_or_default();
            term.avoid
                .iter()
                .map(move |wrong| (wrong.clone(), right.clone()))
        })
        .collect()
}

fn spellings(page: &Page, rejected: &[(String, String)]) -> Vec<Problem> {
    let captions = page.directives.iter().map(|directive| &directive.range);
    let mut findings = Vec::new();
    for range in page.prose.iter().chain(captions) {
        let text = &page.text[range.clone()];
        for (wrong, right) in rejected {
            if let Some(at) = text.find(wrong.as_str()) {
                findings.push(wrong_spelling(
                    &page.file,
                    page.line(range.start + at),
                    wrong,
                    right,
                ));
            }
        }
    }
    findings
}

fn spellings_of_file(
    project: &Project,
    file: &Path,
    rejected: &[(String, String)],
) -> Vec<Problem> {
    let Ok(text) = std::fs::read_to_string(project.root.join(file)) else {
        return Vec::new();
    };
    rejected
        .iter()
        .filter(|(wrong, _)| text.contains(wrong.as_str()))
        .map(|(wrong, right)| wrong_spelling(file, line_of(&text, wrong), wrong, right))
        .collect()
}

fn wrong_spelling(file: &Path, line: usize, wrong: &str, right: &str) -> Problem {
    Problem::new(
        file,
        line,
        format!("`{wrong}` is not how the term table spells it"),
        format!("write `{right}` (src/terms.toml)"),
    )
}

/// An RFC named in plain text has no link, and nothing tells when it becomes obsolete.
fn rfcs(page: &Page) -> Vec<Problem> {
    let mut findings = Vec::new();
    for range in &page.prose {
        let text = &page.text[range.clone()];
        for (at, name) in text.match_indices("RFC") {
            let number: String = text[at + name.len()..]
                .trim_start_matches([' ', '\u{a0}', '-'])
                .chars()
                .take_while(char::is_ascii_digit)
                .collect();
            let place = range.start + at;
            let in_directive = page
                .directives
                .iter()
                .any(|directive| directive.range.contains(&place));
            let in_heading = page
                .headings
                .iter()
                .any(|heading| (heading.at..heading.end).contains(&place));
            if !number.is_empty() && !in_directive {
                findings.push(Problem::new(
                    &page.file,
                    page.line(place),
                    format!("RFC {number} is named in plain text"),
                    if in_heading {
                        format!("name what it is about, and write `{{{{#rfc {number}}}}}` below")
                    } else {
                        format!("write `{{{{#rfc {number}}}}}`, or `{{{{#rfc {number} SECTION}}}}`")
                    },
                ));
            }
        }
    }
    findings
}
