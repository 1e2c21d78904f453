//! Links each of the glossary's terms to its entry where a page first uses it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};

use super::generated::{term_id, up};
use crate::highlight::escape;
use crate::page::Page;
use crate::project::{Language, Project, Term};

/// The page with the entries.
const GLOSSARY: &str = "glossary.md";

/// What may be joined to a Korean noun: the beginnings of its particles.
const PARTICLES: &str = "은는이가을를의에와과도로으만까부보라나든인면란들마처임일";

/// A place on a page that is to become a link, and the link.
pub type Place = (Range<usize>, String);

/// The first use of each term on a page, as far as the page does not explain the term itself.
pub fn first_uses(project: &Project, language: &Language, page: &Page) -> Vec<Place> {
    let has_glossary = page.directives.iter().any(|one| one.name == "glossary");
    let glossary = project.root.join(&language.src).join(GLOSSARY);
    if has_glossary || !glossary.is_file() {
        return Vec::new();
    }
    let spelled: Vec<(&str, &Term)> = project
        .terms
        .iter()
        .filter(|term| term.place().is_none_or(|(path, _)| path != page.path))
        .flat_map(|term| {
            let spellings = term.spellings(&language.code).into_iter();
            spellings.map(move |spelling| (spelling, term))
        })
        .collect();
    let automaton = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::LeftmostLongest)
        .build(spelled.iter().map(|(spelling, _)| spelling));
    // Only patterns of a size that no table has make it fail.
    let Ok(automaton) = automaton else {
        return Vec::new();
    };
    let mut seen = BTreeSet::new();
    let mut places = Vec::new();
    for part in &page.linkable {
        let text = &page.text[part.clone()];
        for found in automaton.find_iter(text) {
            let (spelling, term) = spelled[found.pattern().as_usize()];
            let range = part.start + found.start()..part.start + found.end();
            let id = term_id(term);
            if !is_used(&page.text, &range, spelling) || seen.contains(&id) {
                continue;
            }
            let mut link = String::new();
            let _ = write!(
                link,
                "<a class=\"term\" href=\"{}glossary.html#{id}\">{}</a>",
                up(&page.path),
                escape(&page.text[range.clone()])
            );
            places.push((range, link));
            seen.insert(id);
        }
    }
    places
}

/// Whether what stands in `range` is the term and not a part of another word, and may be a link.
fn is_used(text: &str, range: &Range<usize>, spelling: &str) -> bool {
    let found = &text[range.clone()];
    // RTT is an abbreviation, and so is MAY; `ice` is not ICE.
    let is_abbreviation = spelling.chars().filter(|c| c.is_ascii_uppercase()).count() > 1;
    if is_abbreviation && found != spelling {
        return false;
    }
    let before = text[..range.start].chars().next_back();
    let after = &text[range.end..];
    let joins = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | '*' | '[' | '\\');
    if before.is_some_and(joins) {
        return false;
    }
    // Emphasis that a particle follows ends at a letter, but not at a tag.
    if after.starts_with(['*', '_', '-', '/']) {
        return false;
    }
    let is_korean = spelling.chars().next_back().is_some_and(is_hangul);
    match after.chars().next() {
        Some(next) if is_korean && is_hangul(next) => PARTICLES.contains(next),
        // One more of them: connections, processes.
        Some('s') if !is_korean => !after[1..].starts_with(char::is_alphanumeric),
        Some('e') if after.starts_with("es") => !after[2..].starts_with(char::is_alphanumeric),
        Some(next) if is_hangul(next) => true,
        Some(next) => !next.is_alphanumeric(),
        None => true,
    }
}

fn is_hangul(c: char) -> bool {
    ('가'..='힣').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(text: &str, spelling: &str) -> bool {
        let low = text.to_ascii_lowercase();
        let at = low.find(&spelling.to_ascii_lowercase()).unwrap();
        is_used(text, &(at..at + spelling.len()), spelling)
    }

    #[test]
    fn a_term_is_a_word_in_any_number_and_case() {
        for text in ["a port", "Ports are", "the port.", "(port)"] {
            assert!(used(text, "port"), "{text}");
        }
        for text in ["export", "portal", "port-less", "**port**", "port_reuse"] {
            assert!(!used(text, "port"), "{text}");
        }
        assert!(used("many processes", "process"));
    }

    #[test]
    fn an_abbreviation_is_spelled_as_it_is() {
        assert!(used("the RTT is", "RTT"));
        assert!(used("one RTT를", "RTT"));
        assert!(!used("on ice", "ICE"));
    }

    #[test]
    fn a_korean_term_takes_particles_and_no_other_syllable() {
        for text in ["연결을 맺고", "그 연결은", "연결(connection)", "연결"] {
            assert!(used(text, "연결"), "{text}");
        }
        for text in ["재연결을", "연결되어", "연결하면", "**연결**은"] {
            assert!(!used(text, "연결"), "{text}");
        }
    }
}
