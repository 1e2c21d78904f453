//! What is made of the book's tables and of the pages themselves: the glossary, the bibliography,
//! the choice guide, what to know before a chapter, the state of the translations.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{Resolver, rfc_url, slug};
use crate::highlight::escape;
use crate::page::Page;
use crate::problem::{Problem, nearest};
use crate::project::{Term, Way};
use crate::summary::{Entry, Summary, html_path};
use crate::sync::{Progress, Texts};

/// How many words of a language with spaces are read in a minute, and how many Hangul syllables.
const WORDS_A_MINUTE: usize = 220;
const SYLLABLES_A_MINUTE: usize = 500;
/// How long code, an output or a figure is looked at, in seconds.
const LOOKED_AT: usize = 20;

impl Resolver<'_> {
    /// `{{#before ch03-ip ch05-tcp}}`: how long a chapter's page takes to read, the chapters before
    /// and after it, and those that it builds on.
    pub(super) fn before(
        &self,
        arguments: &str,
        page: &Page,
        line: usize,
    ) -> Result<String, Problem> {
        let summary = Summary::load(self.project, self.language).unwrap_or_default();
        let chapters: Vec<&Entry> = summary
            .entries
            .iter()
            .filter(|entry| !entry.number.is_empty())
            .collect();
        let up = up(&page.path);
        let link = |chapter: &Entry, rel: &str| {
            format!(
                "<a{rel} href=\"{up}{}\">{}. {}</a>",
                escape(&chapter.html_path()),
                chapter.number[0],
                escape(&chapter.name)
            )
        };
        let mut known = Vec::new();
        for folder in arguments.split_whitespace() {
            let Some(chapter) = chapters
                .iter()
                .find(|chapter| chapter.path.split('/').next() == Some(folder))
            else {
                let folders = chapters.iter().filter_map(|one| one.path.split('/').next());
                return Err(Problem::new(
                    &page.file,
                    line,
                    format!("there is no chapter `{folder}`"),
                    nearest(folder, folders, "chapters"),
                ));
            };
            known.push(link(chapter, ""));
        }
        let Some(own) = chapters.iter().position(|one| one.path == page.path) else {
            return Err(Problem::new(
                &page.file,
                line,
                "`before` stands on a page that begins no chapter".to_owned(),
                "take it to the chapter's `index.md`",
            ));
        };
        let minutes = self
            .word("before-time")
            .replace("{minutes}", &minutes(page).to_string());
        let know = if known.is_empty() {
            self.word("before-nothing")
        } else {
            format!("{} {}", self.word("before-know"), known.join(", "))
        };
        let mut html = format!(
            "<div class=\"before\"><p>{minutes} · {know}</p><nav class=\"turn\" aria-label=\"{}\">",
            self.word("before-chapters")
        );
        let turns = [
            (own.checked_sub(1), " rel=\"prev\""),
            (Some(own + 1), " rel=\"next\""),
        ];
        for (at, rel) in turns {
            if let Some(chapter) = at.and_then(|at| chapters.get(at)) {
                html.push_str(&link(chapter, rel));
            }
        }
        html.push_str("</nav></div>");
        Ok(html)
    }

    /// `{{#glossary}}`: the term table, in the order of the reader's language.
    pub(super) fn glossary(&self, page: &Page) -> String {
        let language = &self.language.code;
        let up = up(&page.path);
        let mut terms: Vec<(&str, &Term)> = self
            .project
            .terms
            .iter()
            .filter_map(|term| Some((term.names.get(language)?.as_str(), term)))
            .collect();
        terms.sort_by_key(|(name, _)| name.to_lowercase());
        let mut html = String::from("<dl class=\"glossary\">");
        for (name, term) in terms {
            let _ = write!(html, "<dt id=\"{}\">{}", term_id(term), escape(name));
            for (other, their_name) in &term.names {
                if their_name != name {
                    let _ = write!(
                        html,
                        " <span lang=\"{other}\">{}</span>",
                        escape(their_name)
                    );
                }
            }
            let what = term.what.get(language).map_or("", String::as_str);
            let _ = write!(html, "</dt><dd>{}", escape(what));
            if let Some(note) = term.note.get(language) {
                let _ = write!(html, " <small>{}</small>", escape(note));
            }
            if let Some((path, id)) = term.place() {
                let id = if id.is_empty() {
                    String::new()
                } else {
                    format!("#{id}")
                };
                let _ = write!(
                    html,
                    " <a href=\"{up}{}{id}\">{}</a>",
                    escape(&html_path(path)),
                    escape(self.title(path))
                );
            }
            html.push_str("</dd>");
        }
        html.push_str("</dl>");
        html
    }

    /// `{{#bibliography}}`: every RFC that a page or a listing cites, with what the RFC Editor says of
    /// it, and where it is cited.
    pub(super) fn bibliography(&self, page: &Page) -> String {
        let up = up(&page.path);
        let mut pages: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for path in self.reading_order() {
            let Some(page) = self.texts.page(&self.language.code, &path) else {
                continue;
            };
            let cited: BTreeSet<u32> = page
                .directives
                .iter()
                .filter(|directive| directive.name == "rfc")
                .filter_map(|directive| directive.arguments.split_whitespace().next()?.parse().ok())
                .collect();
            for number in cited {
                pages.entry(number).or_default().push(path.clone());
            }
        }
        let mut listings: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
        for listing in self.project.listings.values() {
            for &number in listing.cites() {
                if self.project.rfcs.contains_key(&number) {
                    listings.entry(number).or_default().push(&listing.name);
                }
            }
        }
        let mut replaces: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (&number, rfc) in &self.project.rfcs {
            for &successor in &rfc.obsoleted_by {
                replaces.entry(successor).or_default().push(number);
            }
        }
        let cited: BTreeSet<u32> = pages.keys().chain(listings.keys()).copied().collect();
        let mut html = String::from("<dl class=\"bibliography\">");
        for number in cited {
            let Some(rfc) = self.project.rfcs.get(&number) else {
                continue;
            };
            let _ = write!(
                html,
                "<dt id=\"rfc-{number}\"><a class=\"rfc\" href=\"{}\">RFC {number}</a> <cite lang=\"en\">{}</cite></dt><dd><p><span lang=\"en\">{}</span>, <time>{}</time>",
                rfc_url(number),
                escape(&rfc.title),
                escape(&rfc.status),
                escape(&rfc.date)
            );
            let numbers = |list: &[u32]| {
                let names: Vec<String> = list
                    .iter()
                    .map(|other| {
                        format!(
                            "<a class=\"rfc\" href=\"{}\">RFC {other}</a>",
                            rfc_url(*other)
                        )
                    })
                    .collect();
                names.join(", ")
            };
            if let Some(older) = replaces.get(&number) {
                let _ = write!(html, " · {} {}", self.word("rfc-replaces"), numbers(older));
            }
            if !rfc.obsoleted_by.is_empty() {
                let _ = write!(
                    html,
                    " · <strong>{} {}</strong>",
                    self.word("rfc-replaced-by"),
                    numbers(&rfc.obsoleted_by)
                );
            }
            html.push_str("</p>");
            if let Some(pages) = pages.get(&number) {
                let links: Vec<String> = pages
                    .iter()
                    .map(|path| {
                        format!(
                            "<a href=\"{up}{}\">{}</a>",
                            escape(&html_path(path)),
                            escape(self.title(path))
                        )
                    })
                    .collect();
                let _ = write!(
                    html,
                    "<p>{} {}</p>",
                    self.word("rfc-pages"),
                    links.join(", ")
                );
            }
            if let Some(listings) = listings.get(&number) {
                let names: Vec<String> = listings
                    .iter()
                    .map(|name| format!("<code>{}</code>", escape(name)))
                    .collect();
                let _ = write!(
                    html,
                    "<p>{} {}</p>",
                    self.word("rfc-listings"),
                    names.join(", ")
                );
            }
            html.push_str("</dd>");
        }
        html.push_str("</dl>");
        html
    }

    /// `{{#choice}}`: the choice guide. The table is for all; with JavaScript the questions above it
    /// put out of sight what the answers rule out.
    pub(super) fn choice(&self, page: &Page) -> String {
        let choice = &self.project.choice;
        let up = up(&page.path);
        let say = |texts: &BTreeMap<String, String>| {
            let text = texts.get(&self.language.code).or_else(|| texts.get("en"));
            escape(text.map_or("", String::as_str))
        };
        let mut html = format!(
            "<div class=\"choice\"><div class=\"questions\" role=\"group\" aria-label=\"{}\" hidden>",
            self.word("choice")
        );
        for question in &choice.question {
            let _ = write!(
                html,
                "<fieldset><legend>{}</legend>{}",
                say(&question.text),
                answer(&question.id, "", &self.word("choice-any"), true)
            );
            for option in &question.option {
                html.push_str(&answer(&question.id, &option.id, &say(&option.text), false));
            }
            html.push_str("</fieldset>");
        }
        let _ = write!(
            html,
            "<p><output data-remain=\"{}\"></output> <button type=\"button\">{}</button></p></div>",
            self.word("choice-remain"),
            self.word("choice-reset")
        );
        let _ = write!(
            html,
            "<div class=\"table-wrapper\"><table><thead><tr><th scope=\"col\">{}</th><th scope=\"col\">{}</th><th scope=\"col\">{}</th></tr></thead><tbody>",
            self.word("choice-way"),
            self.word("choice-use"),
            self.word("choice-mind")
        );
        for way in &choice.way {
            let _ = write!(
                html,
                "<tr{}><th scope=\"row\"><a href=\"{up}{}\">{}</a></th><td>{}</td><td>{}</td></tr>",
                fits(way),
                escape(&way.at.replacen(".md", ".html", 1)),
                say(&way.name),
                say(&way.when),
                say(&way.mind)
            );
        }
        html.push_str("</tbody></table></div></div>");
        html
    }

    /// A page's title in the reader's language, or in another where it has none.
    fn title(&self, path: &str) -> &str {
        title(self.texts, &self.language.code, path)
    }

    /// The pages that any language lists, in the order of the first that does.
    fn reading_order(&self) -> Vec<String> {
        let mut paths: Vec<String> = Vec::new();
        for language in &self.project.languages {
            // A summary that cannot be read has stopped the build before a page is resolved.
            let Ok(summary) = Summary::load(self.project, language) else {
                continue;
            };
            for entry in summary.pages() {
                if !paths.contains(&entry.path) {
                    paths.push(entry.path.clone());
                }
            }
        }
        paths
    }

    /// `{{#status}}`: every page in every language.
    pub(super) fn status(&self) -> String {
        let languages = &self.project.languages;
        let mut html = format!(
            "<div class=\"table-wrapper\"><table class=\"status\"><thead><tr><th scope=\"col\">{}</th>",
            self.word("status-page")
        );
        for language in languages {
            let _ = write!(
                html,
                "<th scope=\"col\" lang=\"{code}\">{}</th>",
                escape(&self.project.word("language-name", &language.code)),
                code = language.code,
            );
        }
        html.push_str("</tr></thead><tbody>");
        for path in self.reading_order() {
            let title = languages
                .iter()
                .filter(|language| language.code == self.language.code)
                .chain(languages)
                .find_map(|language| self.texts.page(&language.code, &path))
                .map(Page::title)
                .unwrap_or_default();
            let _ = write!(
                html,
                "<tr><th scope=\"row\"><a href=\"{}\">{}</a></th>",
                escape(&path),
                escape(title)
            );
            for language in languages {
                let (class, word) = match self.texts.progress(&language.code, &path) {
                    Progress::Missing => ("missing", self.word("status-missing")),
                    Progress::Stale(sections) => (
                        "stale",
                        self.word("status-stale")
                            .replace("{count}", &sections.to_string()),
                    ),
                    Progress::Unreviewed => ("unreviewed", self.word("status-unreviewed")),
                    Progress::InStep => ("fresh", self.word("status-fresh")),
                };
                let _ = write!(html, "<td class=\"status-{class}\">{word}</td>");
            }
            html.push_str("</tr>");
        }
        html.push_str("</tbody></table></div>");
        html
    }
}

/// A page's title in a language, or in another that has the page.
fn title<'a>(texts: &'a Texts, language: &str, path: &str) -> &'a str {
    texts
        .page(language, path)
        .or_else(|| texts.pages.values().find_map(|pages| pages.get(path)))
        .map_or("", Page::title)
}

/// A term's id in the glossary.
pub fn term_id(term: &Term) -> String {
    let name = term.names.get("en").or_else(|| term.names.values().next());
    format!("term-{}", slug(name.map_or("", String::as_str)))
}

/// What leads from a page to its language's root.
pub fn up(path: &str) -> String {
    "../".repeat(path.matches('/').count())
}

/// How long a page takes to read, in minutes.
fn minutes(page: &Page) -> usize {
    let (mut words, mut syllables) = (0, 0);
    for part in &page.prose {
        for word in page.text[part.clone()].split_whitespace() {
            let hangul = word.chars().filter(|c| ('가'..='힣').contains(c)).count();
            syllables += hangul;
            words += usize::from(hangul == 0);
        }
    }
    let shown = page
        .directives
        .iter()
        .filter(|directive| matches!(directive.name.as_str(), "listing" | "output" | "figure"))
        .count()
        + page.fences.len();
    let seconds =
        words * 60 / WORDS_A_MINUTE + syllables * 60 / SYLLABLES_A_MINUTE + shown * LOOKED_AT;
    seconds.div_ceil(60).max(1)
}

/// One answer to a question of the choice guide.
fn answer(question: &str, id: &str, text: &str, chosen: bool) -> String {
    format!(
        "<label><input type=\"radio\" name=\"choice-{}\" value=\"{}\"{}> {text}</label>",
        escape(question),
        escape(id),
        if chosen { " checked" } else { "" }
    )
}

/// With which answers a way remains, for the script to read.
fn fits(way: &Way) -> String {
    way.fits
        .iter()
        .fold(String::new(), |mut out, (question, answers)| {
            let _ = write!(
                out,
                " data-choice-{}=\"{}\"",
                escape(question),
                escape(&answers.join(" "))
            );
            out
        })
}
