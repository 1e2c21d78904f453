//! The search index: what the reader's browser searches in.
//!
//! One file a language, made of whole pages. `theme/search.js` decodes it into the index of
//! MiniSearch, which ranks; its opening comment is the format's specification, and the tokeniser
//! here and the one there must agree to the letter.

use std::collections::BTreeMap;

use serde_json::json;

/// A page, as the search sees it.
pub struct Document<'a> {
    /// Where it is, relative to the language's root, such as `ch01-basics/ports.html`.
    pub path: String,
    /// The page's title, as its `h1` says it.
    pub title: &'a str,
    /// The title of the chapter that it belongs to; empty for pages outside of chapters.
    pub chapter: &'a str,
    /// Its other headings.
    pub headings: Vec<&'a str>,
    /// Its text, blocks separated by line breaks, in Unicode's composed form (NFC).
    pub text: &'a str,
}

/// A term of the glossary, and the page that explains it: what a reader who types just that looks for.
pub struct Explained {
    /// A spelling of it, in any language.
    pub term: String,
    /// The page's place among the documents.
    pub page: usize,
    /// The heading's id there; empty for the whole page.
    pub heading: String,
}

/// The version of the format. `theme/search.js` refuses any other.
const VERSION: u32 = 2;
/// Longer words are hashes and dumps; nobody searches for them, and they would fill the index.
const WORD_MAX: usize = 32;
/// Longer numbers are sequence numbers and times, different in each run.
const NUMBER_MAX: usize = 8;
/// The last symbol of a page number.
const LAST: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ!#$%&'()?@";
/// The symbols before the last.
const MORE: &[u8; 14] = b"[]^_`{|}~<>,./";
/// What a term's prefix length is written in.
const PREFIX: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// How often and where a page has a term.
#[derive(Default, Clone, Copy)]
struct Posting {
    title: bool,
    heading: bool,
    body: u32,
}

/// The index file of `documents`: JSON, a few kilobytes a page.
pub fn index(documents: &[Document], explained: &[Explained]) -> String {
    let mut terms: BTreeMap<String, BTreeMap<usize, Posting>> = BTreeMap::new();
    for (page, document) in documents.iter().enumerate() {
        let mut posting = |term: String, add: fn(&mut Posting)| {
            add(terms.entry(term).or_default().entry(page).or_default());
        };
        for term in tokens(document.title) {
            posting(term, |at| at.title = true);
        }
        for term in document.headings.iter().flat_map(|heading| tokens(heading)) {
            posting(term, |at| at.heading = true);
        }
        for term in tokens(document.text) {
            posting(term, |at| at.body += 1);
        }
    }
    let pages: Vec<_> = documents
        .iter()
        .map(|page| json!([page.path, page.title, page.chapter]))
        .collect();
    let explained: Vec<_> = explained
        .iter()
        .map(|one| json!([compose(&one.term), one.page, one.heading]))
        .collect();
    json!({ "v": VERSION, "pages": pages, "explained": explained, "terms": encode(&terms) })
        .to_string()
}

/// Writes terms and postings as `theme/search.js` reads them.
fn encode(terms: &BTreeMap<String, BTreeMap<usize, Posting>>) -> String {
    let mut out = String::new();
    let mut before = "";
    for (term, pages) in terms {
        let shared = before
            .chars()
            .zip(term.chars())
            .take_while(|(a, b)| a == b)
            .count();
        out.push(char::from(PREFIX[shared]));
        out.extend(term.chars().skip(shared));
        let mut next = 0;
        for (&page, posting) in pages {
            if posting.title {
                out.push('*');
            }
            if posting.heading {
                out.push('+');
            }
            match posting.body {
                0 => out.push('-'),
                1 => {}
                2..=3 => out.push(':'),
                4..=7 => out.push(';'),
                _ => out.push('='),
            }
            number(page - next, &mut out);
            next = page + 1;
        }
        before = term;
    }
    out
}

/// Writes a number: its last digit to base 36, the ones before it to base 14.
fn number(value: usize, out: &mut String) {
    let mut high = value / LAST.len();
    let mut digits = Vec::new();
    while high > 0 {
        digits.push(MORE[high % MORE.len()]);
        high /= MORE.len();
    }
    out.extend(digits.iter().rev().map(|&digit| char::from(digit)));
    out.push(char::from(LAST[value % LAST.len()]));
}

/// A text's terms, in its order: words of letters and digits in lower case, and for scripts
/// that inflect or do not put spaces between words (Hangul, kana, Han) every two neighbouring
/// characters, so that 연결 is found in 연결을 and 셰이크 in 핸드셰이크.
pub fn tokens(text: &str) -> Vec<String> {
    let text = compose(text).to_lowercase();
    let mut terms = Vec::new();
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        let kind = kind(first);
        let end = rest.find(|c| self::kind(c) != kind).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        rest = after;
        match kind {
            Kind::Between => {}
            Kind::Paired => {
                let run: Vec<char> = run.chars().collect();
                if let [only] = run[..] {
                    terms.push(only.to_string());
                }
                terms.extend(run.windows(2).map(|pair| pair.iter().collect::<String>()));
            }
            Kind::Word => {
                let length = run.chars().count();
                let number = run.chars().all(|c| c.is_ascii_digit());
                if length <= if number { NUMBER_MAX } else { WORD_MAX } {
                    terms.push(run.to_string());
                }
            }
        }
    }
    terms
}

#[derive(PartialEq, Clone, Copy)]
enum Kind {
    /// Part of a word that is one term.
    Word,
    /// Of a script whose neighbouring characters are terms.
    Paired,
    /// Spaces, punctuation, symbols.
    Between,
}

fn kind(c: char) -> Kind {
    match c {
        '\u{3040}'..='\u{30ff}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7a3}' => {
            if c.is_alphabetic() {
                Kind::Paired
            } else {
                Kind::Between
            }
        }
        _ if c.is_alphanumeric() => Kind::Word,
        _ => Kind::Between,
    }
}

/// Puts Hangul written in single letters (as macOS writes file names) into syllables, as NFC
/// does: Unicode's chapter 3.12. The rest of a text is taken as it is.
fn compose(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let mut c = c;
        if let ('\u{1100}'..='\u{1112}', Some(vowel @ '\u{1161}'..='\u{1175}')) =
            (c, chars.peek().copied())
        {
            chars.next();
            let syllable = ((c as u32 - 0x1100) * 21 + (vowel as u32 - 0x1161)) * 28 + 0xac00;
            c = char::from_u32(syllable).unwrap_or(c);
        }
        let open = ('\u{ac00}'..='\u{d7a3}').contains(&c) && (c as u32 - 0xac00).is_multiple_of(28);
        if let (true, Some(end @ '\u{11a8}'..='\u{11c2}')) = (open, chars.peek().copied()) {
            chars.next();
            c = char::from_u32(c as u32 + end as u32 - 0x11a7).unwrap_or(c);
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn page<'a>(path: &str, title: &'a str, headings: &[&'a str], text: &'a str) -> Document<'a> {
        let headings = headings.to_vec();
        Document {
            path: path.to_owned(),
            title,
            chapter: "1장",
            headings,
            text,
        }
    }

    fn terms_of(documents: &[Document]) -> String {
        let file: serde_json::Value = serde_json::from_str(&index(documents, &[])).unwrap();
        file["terms"].as_str().unwrap().to_string()
    }

    #[test]
    fn hangul_becomes_pairs_of_syllables() {
        assert_eq!(tokens("연결을 끊는다"), ["연결", "결을", "끊는", "는다"]);
        assert_eq!(tokens("이 창"), ["이", "창"]);
    }

    #[test]
    fn scripts_are_told_apart_within_a_word() {
        assert_eq!(
            tokens("TCP를 3-way 핸드셰이크"),
            ["tcp", "를", "3", "way", "핸드", "드셰", "셰이", "이크"]
        );
        assert_eq!(tokens("連接する"), ["連接", "接す", "する"]);
    }

    #[test]
    fn names_are_split_at_their_signs_and_numbers_kept() {
        assert_eq!(
            tokens("SO_REUSEPORT io_uring 127.0.0.1:8080"),
            [
                "so",
                "reuseport",
                "io",
                "uring",
                "127",
                "0",
                "0",
                "1",
                "8080"
            ]
        );
        assert_eq!(tokens("HTTP/2 über"), ["http", "2", "über"]);
    }

    #[test]
    fn dumps_and_long_numbers_are_left_out() {
        assert_eq!(
            tokens(&format!(
                "{} {} 12345678 123456789",
                "a".repeat(32),
                "b".repeat(33)
            )),
            [&*"a".repeat(32), "12345678"]
        );
    }

    #[test]
    fn single_letters_of_hangul_are_put_together() {
        assert_eq!(
            tokens("\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}"),
            tokens("한글")
        );
        assert_eq!(compose("\u{1100}"), "\u{1100}");
    }

    #[test]
    fn terms_are_front_coded_and_pages_counted_from_the_last() {
        let documents = [
            page("a.html", "", &[], "port ports"),
            page("b.html", "", &[], "port"),
            page("c.html", "", &[], "ports"),
        ];
        assert_eq!(terms_of(&documents), "0portAA4sAB");
    }

    #[test]
    fn a_posting_says_where_and_how_often() {
        let often = "x ".repeat(9);
        let documents = [
            page("a.html", "x", &["x"], "x"),
            page("b.html", "", &["x"], ""),
            page("c.html", "", &[], "x x x x"),
            page("d.html", "", &[], &often),
        ];
        assert_eq!(terms_of(&documents), "0x*+A+-A;A=A");
    }

    #[test]
    fn page_numbers_past_the_last_symbol_take_more() {
        let written = |value| {
            let mut out = String::new();
            number(value, &mut out);
            out
        };
        assert_eq!(
            (written(0), written(35), written(36), written(36 * 14)),
            ("A".into(), "@".into(), "]A".into(), "][A".into())
        );
    }

    #[test]
    fn no_symbol_has_two_meanings() {
        let mut seen: BTreeSet<u8> = BTreeSet::new();
        for &symbol in LAST.iter().chain(MORE).chain(b"*+-:;=").chain(PREFIX) {
            assert!(seen.insert(symbol), "{} is used twice", char::from(symbol));
            assert!(symbol.is_ascii_graphic() && symbol != b'"' && symbol != b'\\');
        }
    }
}
