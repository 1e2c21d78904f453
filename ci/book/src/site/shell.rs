//! What a page has around its text: the other languages, the contents, the way to the next page,
//! and the words for search engines.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::highlight::escape;
use crate::html::Contents;
use crate::project::{Language, Project};
use crate::summary::{Entry, Summary};

/// How long a description may be, in characters: what search engines show.
const DESCRIPTION_MOST: usize = 160;

/// The picture that stands for the book where a page is shared, in each language's folder.
pub const CARD: &str = "card.png";

/// The titles that mdBook gives to alerts, with the words that take their place.
const ALERTS: [(&str, &str); 5] = [
    ("Note", "note"),
    ("Tip", "tip"),
    ("Important", "important"),
    ("Warning", "warning"),
    ("Caution", "caution"),
];

/// One page among the others.
pub struct Place<'a> {
    /// Its entry; the print page and the 404 page have one of their own making.
    pub entry: &'a Entry,
    /// What it holds.
    pub contents: &'a Contents,
    /// Whether it is in the contents: the style guide, the print page and the 404 page are not.
    pub listed: bool,
}

/// Fills in the pages of one language.
pub struct Shell<'a> {
    project: &'a Project,
    language: &'a Language,
    summary: &'a Summary,
    order: Vec<&'a Entry>,
    base_url: &'a str,
    search_name: &'a str,
}

impl<'a> Shell<'a> {
    /// For the pages of `summary`, published at `base_url`, with the search index of that name.
    pub fn new(
        project: &'a Project,
        language: &'a Language,
        summary: &'a Summary,
        base_url: &'a str,
        search_name: &'a str,
    ) -> Self {
        Self {
            project,
            language,
            summary,
            order: summary.pages(),
            base_url,
            search_name,
        }
    }

    fn word(&self, key: &str) -> String {
        escape(&self.project.word(key, &self.language.code))
    }

    /// Puts in what mdBook does not know.
    pub fn fill(&self, html: &str, place: &Place) -> String {
        let path = place.entry.html_path();
        let up = "../".repeat(path.matches('/').count());
        let mut html = fill_comments(html, |name| match name {
            "head" => Some(self.head(place, &path)),
            "languages" => Some(self.languages(&path, &up)),
            "nav" => Some(self.chapters(place, &up)),
            "pager" => Some(self.pager(place, &up)),
            "onpage" => Some(self.on_page(place)),
            _ => None,
        });
        html = html.replacen(
            &format!("data-search=\"{up}search.json\""),
            &format!("data-search=\"{up}{}\"", self.search_name),
            1,
        );
        // Markdown's tables have their heads on top only; an empty corner heads nothing.
        html = html
            .replace("<th></th>", "<td></td>")
            .replace("<th>", "<th scope=\"col\">")
            .replace("<th style=", "<th scope=\"col\" style=");
        for (title, key) in ALERTS {
            let word = self.word(key);
            if word != title {
                html = html.replace(&format!("</svg>{title}</p>"), &format!("</svg>{word}</p>"));
            }
        }
        html
    }

    /// `<link>`s and `<meta>`s for search engines and for who shares the page.
    fn head(&self, place: &Place, path: &str) -> String {
        let description = description(place.contents)
            .unwrap_or_else(|| self.project.word("book-description", &self.language.code));
        let description = escape(&description);
        let mut head = format!("<meta name=\"description\" content=\"{description}\">");
        if !place.listed {
            return head;
        }
        let own_url = page_url(self.base_url, &self.language.code, path);
        let _ = write!(head, "\n<link rel=\"canonical\" href=\"{own_url}\">");
        let languages = self.project.languages.iter().map(|other| &other.code);
        let alternates = languages
            .map(|code| (code.as_str(), code.as_str()))
            .chain([("x-default", self.widest_language())]);
        for (name, code) in alternates {
            let url = page_url(self.base_url, code, path);
            let _ = write!(
                head,
                "\n<link rel=\"alternate\" hreflang=\"{name}\" href=\"{url}\">"
            );
        }
        for (property, content) in [
            ("type", "article"),
            ("site_name", &self.word("book-title")),
            ("title", &escape(&place.entry.name)),
            ("description", &description),
            ("url", &own_url),
            ("locale", &self.word("locale")),
        ] {
            let _ = write!(
                head,
                "\n<meta property=\"og:{property}\" content=\"{content}\">"
            );
        }
        if card(self.project, self.language).is_some() {
            let url = page_url(self.base_url, &self.language.code, CARD);
            let _ = write!(
                head,
                "\n<meta property=\"og:image\" content=\"{url}\">\
                 \n<meta name=\"twitter:card\" content=\"summary_large_image\">"
            );
        }
        head
    }

    /// The language that a reader of none of the book's languages is most likely to read.
    fn widest_language(&self) -> &str {
        let english = self.project.language("en");
        english.map_or(&self.project.languages[0].code, |language| &language.code)
    }

    fn languages(&self, path: &str, up: &str) -> String {
        self.project
            .languages
            .iter()
            .filter(|other| other.code != self.language.code)
            .map(|other| {
                format!(
                    "<a class=\"language\" href=\"{up}../{code}/{path}\" hreflang=\"{code}\" lang=\"{code}\" rel=\"alternate\">{}</a>",
                    escape(&self.project.word("language-name", &other.code)),
                    code = other.code,
                )
            })
            .collect()
    }

    /// All chapters; the pages of the current one.
    fn chapters(&self, place: &Place, up: &str) -> String {
        let mut html = String::from("<ol class=\"toc\">");
        for entry in &self.summary.entries {
            let open = entry.path == place.entry.path
                || entry.pages.iter().any(|page| page.path == place.entry.path);
            let class = match (entry.number.is_empty(), open) {
                (true, _) => "",
                (false, false) => " class=\"chapter\"",
                (false, true) => " class=\"chapter open\"",
            };
            let _ = write!(html, "<li{class}>{}", link(entry, place, up));
            if open && !entry.pages.is_empty() {
                html.push_str("<ol>");
                for page in &entry.pages {
                    let _ = write!(html, "<li>{}</li>", link(page, place, up));
                }
                html.push_str("</ol>");
            }
            html.push_str("</li>");
        }
        html.push_str("</ol>");
        html
    }

    fn pager(&self, place: &Place, up: &str) -> String {
        let Some(at) = self
            .order
            .iter()
            .position(|entry| entry.path == place.entry.path)
        else {
            return String::new();
        };
        let previous = at.checked_sub(1).and_then(|before| self.order.get(before));
        let next = self.order.get(at + 1);
        let mut html = format!(
            "<nav class=\"pager\" aria-label=\"{}\">",
            self.word("pager")
        );
        for (rel, key, entry) in [("prev", "previous", previous), ("next", "next", next)] {
            if let Some(entry) = entry {
                let _ = write!(
                    html,
                    "<a rel=\"{rel}\" href=\"{up}{}\"><span>{}</span> {}</a>",
                    entry.html_path(),
                    self.word(key),
                    escape(&entry.name)
                );
            }
        }
        html.push_str("</nav>");
        html
    }

    fn on_page(&self, place: &Place) -> String {
        let mut items = String::new();
        for heading in &place.contents.headings {
            if heading.level == 2 && !heading.id.is_empty() {
                let _ = write!(
                    items,
                    "<li><a href=\"#{}\">{}</a></li>",
                    escape(&heading.id),
                    escape(&heading.text)
                );
            }
        }
        if items.is_empty() {
            return items;
        }
        format!(
            "<nav class=\"onpage\" aria-label=\"{}\"><ol>{items}</ol></nav>",
            self.word("on-this-page")
        )
    }
}

/// The file of a language's picture, if it has one.
pub fn card(project: &Project, language: &Language) -> Option<PathBuf> {
    let file = project
        .root
        .join(format!("theme/card-{}.png", language.code));
    file.is_file().then_some(file)
}

/// A page's address, an overview's without its `index.html`.
pub fn page_url(base_url: &str, language: &str, path: &str) -> String {
    let path = path.strip_suffix("index.html").unwrap_or(path);
    format!("{base_url}{language}/{path}")
}

/// A line of the contents.
fn link(entry: &Entry, place: &Place, up: &str) -> String {
    let current = if entry.path == place.entry.path {
        " aria-current=\"page\""
    } else {
        ""
    };
    let number = match entry.number[..] {
        [chapter] => format!("<span class=\"number\">{chapter}</span> "),
        _ => String::new(),
    };
    format!(
        "<a href=\"{up}{}\"{current}>{number}{}</a>",
        entry.html_path(),
        escape(&entry.name)
    )
}

/// The page's first paragraph, cut at a word.
fn description(contents: &Contents) -> Option<String> {
    let text = contents.first_paragraph.as_str();
    if text.is_empty() {
        return None;
    }
    if text.chars().count() <= DESCRIPTION_MOST {
        return Some(text.to_owned());
    }
    let cut: String = text.chars().take(DESCRIPTION_MOST - 1).collect();
    let cut = cut.rsplit_once(' ').map_or(cut.as_str(), |(cut, _)| cut);
    Some(format!("{}…", cut.trim_end_matches([',', '.', ':', ';'])))
}

/// Replaces each `<!--site:NAME-->` by what `with` gives for it.
fn fill_comments(html: &str, with: impl Fn(&str) -> Option<String>) -> String {
    const OPEN: &str = "<!--site:";
    let mut filled = String::with_capacity(html.len() + 4096);
    let mut rest = html;
    while let Some(at) = rest.find(OPEN) {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let name = rest[OPEN.len()..].split("-->").next().unwrap_or_default();
        match with(name) {
            Some(text) => {
                filled.push_str(&text);
                rest = &rest[OPEN.len() + name.len() + "-->".len()..];
            }
            None => {
                filled.push_str(OPEN);
                rest = &rest[OPEN.len()..];
            }
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_of_the_site_are_filled_and_others_stay() {
        let html = "<!--site:nav--><p><!-- note --><!--site:else--></p>";
        let filled = fill_comments(html, |name| (name == "nav").then(|| "NAV".to_owned()));
        assert_eq!(filled, "NAV<p><!-- note --><!--site:else--></p>");
    }

    #[test]
    fn a_description_is_cut_at_a_word() {
        let contents = Contents {
            first_paragraph: "연결은 두 프로세스 사이의 약속입니다. ".repeat(20),
            ..Contents::default()
        };
        let description = description(&contents).unwrap();
        assert!(description.chars().count() <= DESCRIPTION_MOST);
        assert!(description.ends_with('…'), "{description}");
    }
}
