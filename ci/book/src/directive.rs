//! Turns a page's Markdown into what mdBook renders: directives become HTML, code gets its
//! colours, stale sections their notice.
//!
//! All HTML that is put in stands on one line (line ends in code as `&#10;`), so that it remains
//! one HTML block wherever it stands, in a list or a quotation too.

mod generated;
mod terms;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;

use pulldown_cmark::Parser;

use crate::figure;
use crate::highlight::{escape, highlight};
use crate::listing::Listing;
use crate::page::{Directive, Page, Section};
use crate::problem::{Problem, nearest};
use crate::project::{Language, Project};
use crate::recording::{BENCH, Kind, RUN};
use crate::sync::{Standing, Texts};

/// The directives there are.
const NAMES: &[&str] = &[
    "listing",
    "output",
    "figure",
    "proof",
    "rfc",
    "before",
    "glossary",
    "bibliography",
    "choice",
    "status",
];

/// What figures that no run recorded are called: `drawn/ch06-tls` is `src/drawn/ch06-tls.json`.
const DRAWN: &str = "drawn/";
pub const DRAWN_FOLDER: &str = "src/drawn";

/// The style guide's samples, which belong to no listing.
const SAMPLES: &str = "styleguide";
pub const SAMPLES_FILE: &str = "ci/book/styleguide/record.json";

/// What a page has become, and what did not resolve.
pub struct Resolved {
    /// Markdown with HTML in it.
    pub text: String,
    /// What did not resolve.
    pub problems: Vec<Problem>,
}

/// Resolves a page in its own language.
pub fn resolve(project: &Project, texts: &Texts, page: &Page) -> Resolved {
    let Some(language) = project.language(&page.language) else {
        return Resolved {
            text: page.text.clone(),
            problems: Vec::new(),
        };
    };
    let mut resolver = Resolver::new(project, texts, language);
    let text = resolver.page(page);
    Resolved {
        text,
        problems: resolver.problems,
    }
}

/// The page that stands where `language` has none: the other language's text under a notice.
pub fn stand_in(project: &Project, texts: &Texts, language: &Language, page: &Page) -> Resolved {
    let mut resolver = Resolver::new(project, texts, language);
    let sections = page.sections();
    let head = sections
        .first()
        .map_or(0..0, |section| section.range.start..section.body);
    let notice = format!(
        "<div class=\"notice notice-missing\" role=\"note\"><p>{}</p></div>",
        escape(&project.word("missing-page", &language.code))
    );
    let body = resolver.part(page, head.end..page.text.len(), "");
    let head = resolver.part(page, head, "");
    Resolved {
        text: format!(
            "{head}\n{notice}\n\n<div lang=\"{}\">\n\n{body}\n\n</div>\n",
            page.language
        ),
        problems: resolver.problems,
    }
}

struct Resolver<'a> {
    project: &'a Project,
    texts: &'a Texts,
    language: &'a Language,
    problems: Vec<Problem>,
    /// The ids given on this page so far.
    ids: BTreeSet<String>,
    /// Where the page first uses a term, and the link to put there.
    terms: Vec<terms::Place>,
    /// Whether it is another page's section that stands in this one.
    borrows: bool,
}

impl<'a> Resolver<'a> {
    fn new(project: &'a Project, texts: &'a Texts, language: &'a Language) -> Self {
        Self {
            project,
            texts,
            language,
            problems: Vec::new(),
            ids: BTreeSet::new(),
            terms: Vec::new(),
            borrows: false,
        }
    }

    fn word(&self, key: &str) -> String {
        escape(&self.project.word(key, &self.language.code))
    }

    /// The whole page, each stale section under its notice.
    fn page(&mut self, page: &Page) -> String {
        self.terms = terms::first_uses(self.project, self.language, page);
        let mut text = String::with_capacity(page.text.len() * 2);
        for section in page.sections() {
            text.push_str(&self.part(page, section.range.start..section.body, ""));
            if let Standing::Stale { behind } = self.texts.standing(page, &section) {
                for (other, same) in self.texts.others(page, &section) {
                    if behind.contains(&other.language) {
                        let newer = self.borrowed(other, &same);
                        let _ = write!(
                            text,
                            "\n<details class=\"notice notice-stale\">\n<summary>{}</summary>\n<div lang=\"{}\">\n\n{newer}\n\n</div>\n</details>\n\n",
                            self.word("stale-section"),
                            other.language,
                        );
                    }
                }
            }
            text.push_str(&self.part(page, section.body..section.range.end, ""));
        }
        text
    }

    /// Another page's section, to stand in this one: with the footnotes and the names of links that
    /// stand elsewhere on its own page, and under labels that this page does not have.
    fn borrowed(&mut self, page: &Page, section: &Section) -> String {
        let body = section.body..section.range.end;
        let mut parts = vec![body];
        let mut at = 0;
        while let Some(part) = parts.get(at).cloned() {
            for note in &page.footnotes {
                let has_it = parts.iter().any(|part| part.contains(&note.start));
                if !has_it && is_marked_in(page, note, &part) {
                    parts.push(note.clone());
                }
            }
            at += 1;
        }
        let labels = format!("{}-{}-", page.language, section.id);
        self.borrows = true;
        let mut texts: Vec<String> = parts
            .into_iter()
            .map(|part| self.part(page, part, &labels))
            .collect();
        self.borrows = false;
        let names = page.link_names.iter();
        texts.extend(names.map(|name| page.text[name.clone()].to_owned()));
        texts.join("\n\n")
    }

    /// A part of a page with its directives and its code resolved. `labels` goes in front of each
    /// footnote's label.
    fn part(&mut self, page: &Page, part: Range<usize>, labels: &str) -> String {
        let mut replacements: Vec<(Range<usize>, String)> = Vec::new();
        for &at in &page.footnote_marks {
            if part.contains(&at) && !labels.is_empty() {
                replacements.push((at..at, labels.to_owned()));
            }
        }
        if page.language == self.language.code {
            let here = self.terms.iter();
            replacements.extend(here.filter(|(at, _)| part.contains(&at.start)).cloned());
        }
        for directive in &page.directives {
            if part.contains(&directive.range.start) {
                let mut html = self.directive(page, directive);
                if !is_inline(&directive.name) {
                    html.push_str(&end_of_html(page, &directive.range));
                }
                replacements.push((directive.range.clone(), html));
            }
        }
        for fence in &page.fences {
            if part.contains(&fence.range.start) {
                // The block's own range may take in its last line's end, which must remain.
                let end = fence.range.start + page.text[fence.range.clone()].trim_end().len();
                // What makes it code in Markdown would make the HTML in its place code too.
                let start = fence.range.start - fence.indentation;
                let mut html = code_block(
                    "",
                    &highlight(&fence.code, &fence.language),
                    &fence.language,
                );
                html.push_str(&end_of_html(page, &(start..end)));
                replacements.push((start..end, html));
            }
        }
        replacements.sort_by_key(|(range, _)| range.start);
        let mut text = String::with_capacity(part.len() * 2);
        let mut at = part.start;
        for (range, html) in replacements {
            // What stands in a directive, such as a footnote's mark in a caption, went with it.
            if range.start < at {
                continue;
            }
            text.push_str(&page.text[at..range.start]);
            text.push_str(&html);
            at = range.end;
        }
        text.push_str(&page.text[at..part.end]);
        text
    }

    fn directive(&mut self, page: &Page, directive: &Directive) -> String {
        let line = page.line(directive.range.start);
        let problem = |what: String, remedy: String| Problem::new(&page.file, line, what, remedy);
        let whole = &page.text[directive.range.clone()];
        let resolved = if !whole.ends_with("}}") {
            Err(problem(
                "a directive is not closed on its line".into(),
                "end it with `}}`".into(),
            ))
        } else if page
            .headings
            .iter()
            .any(|heading| (heading.at..heading.end).contains(&directive.range.start))
        {
            Err(problem(
                format!("`{whole}` stands in a heading, which is a link itself"),
                "take it into the text below".into(),
            ))
        } else if !directive.alone
            && NAMES.contains(&directive.name.as_str())
            && !is_inline(&directive.name)
        {
            Err(problem(
                format!("`{whole}` stands within a line"),
                "give it a line to itself".into(),
            ))
        } else {
            let arguments = directive.arguments.as_str();
            match directive.name.as_str() {
                "listing" => self.listing(arguments, page, line),
                "output" => self.output(arguments, page, line),
                "figure" => self.figure(arguments, page, line),
                "proof" => self.proof(arguments, page, line),
                "rfc" => self.rfc(arguments, page, line),
                "before" => self.before(arguments, page, line),
                "glossary" => Ok(self.glossary(page)),
                "bibliography" => Ok(self.bibliography(page)),
                "choice" => Ok(self.choice(page)),
                "status" => Ok(self.status()),
                other => Err(problem(
                    format!("there is no directive `{other}`"),
                    nearest(other, NAMES.iter().copied(), "directives"),
                )),
            }
        };
        resolved.unwrap_or_else(|problem| {
            self.problems.push(problem);
            escape(whole)
        })
    }

    fn find_listing(&self, name: &str, page: &Page, line: usize) -> Result<&'a Listing, Problem> {
        self.project.listings.get(name).ok_or_else(|| {
            Problem::new(
                &page.file,
                line,
                format!("there is no listing `{name}`"),
                nearest(
                    name,
                    self.project.listings.keys().map(String::as_str),
                    "listings",
                ),
            )
        })
    }

    fn source_url(&self, path: &str) -> String {
        format!("{}/blob/main/{path}", self.project.repository())
    }

    /// `{{#listing NAME}}` and `{{#listing NAME FILE:ANCHOR}}`.
    fn listing(&self, arguments: &str, page: &Page, line: usize) -> Result<String, Problem> {
        let (name, source) = arguments
            .split_once(char::is_whitespace)
            .unwrap_or((arguments, ""));
        let listing = self.find_listing(name, page, line)?;
        if source.is_empty() {
            return Ok(self.card(listing));
        }
        let (path, anchor) = match source.trim().split_once(':') {
            Some((path, anchor)) => (path, Some(anchor)),
            None => (source.trim(), None),
        };
        let excerpt = listing.source(path, anchor, &page.file, line)?;
        let caption = format!(
            "<figcaption><a href=\"{}#L{}-L{}\">{}</a></figcaption>",
            self.source_url(&listing.project_path(path)),
            excerpt.first,
            excerpt.last,
            escape(&listing.project_path(path)),
        );
        let extension = path.rsplit('.').next().unwrap_or_default();
        let language = if extension == "rs" { "rust" } else { extension };
        Ok(code_block(
            &caption,
            &highlight(&excerpt.text, language),
            language,
        ))
    }

    /// What a listing shows, in English where it does not say so in the page's language.
    fn card(&self, listing: &Listing) -> String {
        let (what, lang) = match listing.what_in(&self.language.code) {
            Some(what) => (what, String::new()),
            None => (
                listing.what_in("en").unwrap_or_default(),
                " lang=\"en\"".to_owned(),
            ),
        };
        let mut meta = format!(
            "<a href=\"{}/tree/main/{path}\">{path}</a>",
            self.project.repository(),
            path = escape(&listing.project_path("")),
        );
        if !listing.needs.is_empty() {
            let needs: Vec<String> = listing
                .needs
                .iter()
                .map(|need| {
                    escape(
                        &self
                            .project
                            .word(&format!("needs-{need}"), &self.language.code),
                    )
                })
                .collect();
            let _ = write!(
                meta,
                " · {} {}",
                self.word("listing-needs"),
                needs.join(", ")
            );
        }
        // The page has the same card already: two landmarks cannot have one name.
        let (open, close) = if self.borrows {
            ("div class=\"listing\"".to_owned(), "div")
        } else {
            let label = escape(&listing.name);
            (
                format!("aside class=\"listing\" aria-label=\"{label}\""),
                "aside",
            )
        };
        format!(
            "<{open}><p class=\"listing-what\"{lang}>{what}</p><p class=\"listing-run\"><code>{command}</code></p><p class=\"listing-meta\">{meta}</p></{close}>",
            what = escape(what),
            command = escape(&listing.command(RUN)),
        )
    }

    /// `{{#output NAME}}` and `{{#output NAME bench}}`.
    fn output(&self, arguments: &str, page: &Page, line: usize) -> Result<String, Problem> {
        let (name, kind) = match arguments.split_once(char::is_whitespace) {
            None => (arguments, RUN),
            Some((name, "bench")) => (name, BENCH),
            Some((name, other)) => {
                return Err(Problem::new(
                    &page.file,
                    line,
                    format!("there is no output `{other}` of `{name}`"),
                    "write `{{#output LISTING}}` or `{{#output LISTING bench}}`",
                ));
            }
        };
        let listing = self.find_listing(name, page, line)?;
        let output = listing.output(kind).map_err(|remedy| {
            Problem::new(
                &page.file,
                line,
                format!(
                    "listing `{name}` has no recorded output of `cargo {}`",
                    kind.command
                ),
                remedy,
            )
        })?;
        Ok(format!(
            "<figure class=\"output\"><figcaption><code>{}</code></figcaption><pre tabindex=\"0\"><samp>{}</samp></pre></figure>",
            escape(&listing.command(kind)),
            one_line(&escape(&output)),
        ))
    }

    /// `{{#figure NAME:id "caption"}}`.
    fn figure(&mut self, arguments: &str, page: &Page, line: usize) -> Result<String, Problem> {
        let malformed = || {
            Problem::new(
                &page.file,
                line,
                format!("`{{{{#figure {arguments}}}}}` does not name a figure with a caption"),
                "write `{{#figure LISTING:FIGURE \"caption\"}}`",
            )
        };
        let (target, caption) = arguments
            .split_once(char::is_whitespace)
            .ok_or_else(malformed)?;
        let (name, id) = target.split_once(':').ok_or_else(malformed)?;
        let caption = caption
            .trim()
            .strip_prefix('"')
            .and_then(|caption| caption.strip_suffix('"'))
            .filter(|caption| !caption.is_empty())
            .ok_or_else(malformed)?;
        let by_hand = match name.strip_prefix(DRAWN) {
            Some(stem) => Some(format!("{DRAWN_FOLDER}/{stem}.json")),
            None if name == SAMPLES => Some(SAMPLES_FILE.to_owned()),
            None => None,
        };
        let (record, record_file, source) = if let Some(file) = by_hand {
            let record = record::Record::load(&self.project.root.join(&file))
                .map_err(|error| format!("{file}: {error}"));
            (record, file.clone(), file)
        } else {
            let listing = self.find_listing(name, page, line)?;
            // What the run itself recorded, unless only its benchmark has a figure of this name.
            let has_it = |kind: &Kind| {
                let record = listing.record(*kind);
                record.is_ok_and(|record| record.figures.contains_key(id))
            };
            let kind = listing.recorded().find(has_it).unwrap_or(RUN);
            (
                listing.record(kind),
                listing.project_path(kind.record),
                listing.project_path("src/main.rs"),
            )
        };
        let record = record.map_err(|remedy| {
            Problem::new(
                &page.file,
                line,
                format!("the record of `{name}` cannot be read"),
                remedy,
            )
        })?;
        let figure = record.figures.get(id).ok_or_else(|| {
            Problem::new(
                &page.file,
                line,
                format!("`{name}` has no figure `{id}`"),
                nearest(id, record.figures.keys().map(String::as_str), "figures"),
            )
        })?;
        if let Some(wrong) = figure::problems(figure).into_iter().next() {
            return Err(Problem::new(
                record_file,
                0,
                format!("figure `{id}`: {wrong}"),
                if name.starts_with(DRAWN) {
                    "mend it there".to_owned()
                } else {
                    format!("mend the listing, then run `cargo book record {name}`")
                },
            ));
        }
        let source_url = self.source_url(&source);
        let words = |key: &str| self.project.word(key, &self.language.code);
        let labels = |text: &str| self.language.labels.get(text).cloned();
        let html_id = self.unique_id(&format!("fig-{}-{id}", name.replace('/', "-")));
        Ok(one_line(&figure::draw(
            figure,
            &figure::Context {
                id: &html_id,
                caption_html: &inline_markdown(caption),
                language: &self.language.code,
                words: &words,
                labels: &labels,
                source_url: &source_url,
                listing: name,
                drawn: name.starts_with(DRAWN),
                provenance: record.provenance.as_ref(),
            },
        )))
    }

    /// An id that no other figure of the page has.
    fn unique_id(&mut self, wish: &str) -> String {
        let mut id = wish.to_owned();
        let mut n = 2;
        while !self.ids.insert(id.clone()) {
            id = format!("{wish}-{n}");
            n += 1;
        }
        id
    }

    /// `{{#proof NAME::test}}`.
    fn proof(&self, arguments: &str, page: &Page, line: usize) -> Result<String, Problem> {
        let Some((name, test)) = arguments.split_once("::") else {
            return Err(Problem::new(
                &page.file,
                line,
                format!("`{{{{#proof {arguments}}}}}` does not name a listing's test"),
                "write `{{#proof LISTING::test_name}}`",
            ));
        };
        let listing = match self.project.libraries.get(name) {
            Some(library) => library,
            None => self.find_listing(name, page, line)?,
        };
        let tests = listing.tests();
        let Some(place) = tests.iter().find(|place| place.name == test) else {
            return Err(Problem::new(
                &page.file,
                line,
                format!("listing `{name}` has no test `{test}`"),
                nearest(test, tests.iter().map(|place| place.name.as_str()), "tests"),
            ));
        };
        if place.ignored {
            return Err(Problem::new(
                &page.file,
                line,
                format!("test `{test}` of listing `{name}` is ignored: it proves nothing"),
                "let it run, or name another test",
            ));
        }
        Ok(format!(
            "<a class=\"proof\" href=\"{}#L{}\" title=\"{}\">✓ <span>{}</span></a>",
            self.source_url(&listing.project_path(&place.file)),
            place.line,
            escape(&test.replace('_', " ")),
            self.word("tested"),
        ))
    }

    /// `{{#rfc 9293 3.5}}`, `{{#rfc 9001 A.1}}`, `{{#rfc 793 historic}}`.
    fn rfc(&self, arguments: &str, page: &Page, line: usize) -> Result<String, Problem> {
        let problem = |what: String, remedy: String| Problem::new(&page.file, line, what, remedy);
        let mut parts: Vec<&str> = arguments.split_whitespace().collect();
        let historic = parts.last() == Some(&"historic");
        if historic {
            parts.pop();
        }
        let (number, section) = match parts[..] {
            [number] => (number, None),
            [number, section] => (number, Some(section)),
            _ => ("", None),
        };
        let Ok(number) = number.parse::<u32>() else {
            return Err(problem(
                format!("`{{{{#rfc {arguments}}}}}` does not name an RFC"),
                "write `{{#rfc NUMBER}}` or `{{#rfc NUMBER SECTION}}`".into(),
            ));
        };
        let Some(rfc) = self.project.rfcs.get(&number) else {
            let number = number.to_string();
            let known: Vec<String> = self.project.rfcs.keys().map(u32::to_string).collect();
            return Err(problem(
                format!("RFC {number} is not in src/rfc.toml"),
                format!(
                    "add it with its status from rfc-editor.org; {}",
                    nearest(&number, known.iter().map(String::as_str), "RFCs in it")
                ),
            ));
        };
        if !rfc.obsoleted_by.is_empty() && !historic {
            let successors: Vec<String> = rfc
                .obsoleted_by
                .iter()
                .map(|n| format!("RFC {n}"))
                .collect();
            return Err(problem(
                format!(
                    "RFC {number} is obsolete: {} took its place",
                    successors.join(", ")
                ),
                format!(
                    "cite {}, or mark it: `{{{{#rfc {arguments} historic}}}}`",
                    successors.join(" or ")
                ),
            ));
        }
        let mut href = rfc_url(number);
        let mut label = format!("RFC {number}");
        if let Some(section) = section {
            let appendix = section.starts_with(|c: char| c.is_ascii_uppercase());
            let kind = if appendix { "appendix" } else { "section" };
            let _ = write!(href, "#{kind}-{section}");
            let _ = write!(label, " §{section}");
        }
        Ok(format!(
            "<a class=\"rfc\" href=\"{href}\" title=\"{}\">{label}</a>",
            escape(&rfc.title)
        ))
    }
}

/// Whether a directive stands within a sentence; the others have a line to themselves.
pub fn is_inline(name: &str) -> bool {
    matches!(name, "proof" | "rfc")
}

/// Whether a part of a page has a footnote's mark.
fn is_marked_in(page: &Page, note: &Range<usize>, part: &Range<usize>) -> bool {
    let label = |at: usize| page.text[at..].split(']').next();
    let own = page
        .footnote_marks
        .iter()
        .find(|mark| note.contains(mark))
        .map(|&mark| label(mark));
    page.footnote_marks
        .iter()
        .any(|mark| part.contains(mark) && Some(label(*mark)) == own)
}

/// What ends the block of HTML that takes a range's place, where the page's next line goes on in
/// the same list item or quotation: a blank line there. Markdown takes all lines up to one for HTML.
fn end_of_html(page: &Page, range: &Range<usize>) -> String {
    let line_start = page.text[..range.start].rfind('\n').map_or(0, |at| at + 1);
    let container: String = page.text[line_start..range.start]
        .chars()
        .map(|c| if matches!(c, '>' | '\t') { c } else { ' ' })
        .collect();
    let container = container.trim_end();
    let next = page.text[range.end..].lines().nth(1).unwrap_or_default();
    match next.strip_prefix(container) {
        Some(rest) if !rest.trim().is_empty() => format!("\n{container}"),
        _ => String::new(),
    }
}

/// A block of code as one line of HTML.
fn code_block(caption: &str, highlighted: &str, language: &str) -> String {
    let language = if language.is_empty() {
        "text"
    } else {
        language
    };
    format!(
        "<figure class=\"code\">{caption}<pre tabindex=\"0\"><code class=\"language-{}\">{}</code></pre></figure>",
        escape(language),
        one_line(highlighted),
    )
}

/// Where an RFC is to be read.
fn rfc_url(number: u32) -> String {
    format!("https://www.rfc-editor.org/rfc/rfc{number}")
}

/// A name as part of an id: lower-case letters and digits, the rest as single hyphens.
fn slug(name: &str) -> String {
    name.to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}

/// HTML without line ends in it.
fn one_line(html: &str) -> String {
    html.replace('\n', "&#10;")
}

/// A caption's inline Markdown as HTML.
fn inline_markdown(text: &str) -> String {
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, Parser::new(text));
    html.trim()
        .trim_start_matches("<p>")
        .trim_end_matches("</p>")
        .to_owned()
}
