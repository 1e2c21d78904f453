//! A page as its author wrote it: headings, sections, directives, tables, links.
//!
//! The checks and the preprocessor share this one reading of the Markdown, so that what a check
//! takes for code, a heading or a directive is what the reader will see as one.

use std::ops::Range;
use std::path::PathBuf;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// What a footnote's mark begins with, its label following.
const FOOTNOTE_MARK: &str = "[^";

/// One page of one language.
#[derive(Debug, Clone)]
pub struct Page {
    /// The language's code, such as `ko`.
    pub language: String,
    /// Its path below the language's folder, the same in every language.
    pub path: String,
    /// Its file, relative to the project's root.
    pub file: PathBuf,
    /// The Markdown.
    pub text: String,
    /// The headings, in order.
    pub headings: Vec<Heading>,
    /// The `{{#…}}` directives, in order.
    pub directives: Vec<Directive>,
    /// The code blocks, in order.
    pub fences: Vec<Fence>,
    /// The tables, in order.
    pub tables: Vec<Table>,
    /// The links and images, in order.
    pub links: Vec<Link>,
    /// The marks of footnotes, in sentences and before the notes themselves: where each one's label
    /// begins.
    pub footnote_marks: Vec<usize>,
    /// The footnotes.
    pub footnotes: Vec<Range<usize>>,
    /// The lines that say where a link by name, `[text][name]`, leads.
    pub link_names: Vec<Range<usize>>,
    /// Where each `<details` stands.
    pub details: Vec<usize>,
    /// What is prose: text that is neither code nor a tag, with its place.
    pub prose: Vec<Range<usize>>,
    /// The prose in which a link may stand: neither in a heading nor in a link.
    pub linkable: Vec<Range<usize>>,
    /// Where each line begins.
    lines: Vec<usize>,
}

/// A heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// 1 to 6.
    pub level: u8,
    /// The explicit id, from `{#id}`.
    pub id: Option<String>,
    /// The heading's words.
    pub title: String,
    /// Where its line begins in the page.
    pub at: usize,
    /// Where its line ends, the line's end included.
    pub end: usize,
    /// Whether it stands in a list or a quotation, where no section can begin.
    pub contained: bool,
}

/// A `{{#name arguments}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// Such as `listing`.
    pub name: String,
    /// What follows the name, trimmed.
    pub arguments: String,
    /// Where it stands in the page.
    pub range: Range<usize>,
    /// Whether it has its line to itself.
    pub alone: bool,
}

/// A block of code, between fences or indented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The word after the fence, such as `rust`; empty for indented code.
    pub language: String,
    /// The code.
    pub code: String,
    /// Where the block stands in the page, fences included.
    pub range: Range<usize>,
    /// How many bytes of white space before it make it code; none where fences do.
    pub indentation: usize,
}

/// A table's size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// How many columns.
    pub columns: usize,
    /// How many rows, the head not counted.
    pub rows: usize,
    /// Where it stands.
    pub at: usize,
}

/// A link or an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// As written.
    pub to: String,
    /// Where it stands.
    pub at: usize,
}

/// A heading with what follows it, up to the next heading: what two languages keep in step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The heading's id; empty for what stands before the first heading.
    pub id: String,
    /// Where it stands in the page.
    pub range: Range<usize>,
    /// Where its text begins, after the heading.
    pub body: usize,
}

impl Page {
    /// Reads a page.
    pub fn parse(
        language: &str,
        path: impl Into<String>,
        file: impl Into<PathBuf>,
        text: impl Into<String>,
    ) -> Self {
        let text: String = text.into();
        let mut page = Self {
            language: language.to_owned(),
            path: path.into(),
            file: file.into(),
            lines: std::iter::once(0)
                .chain(text.match_indices('\n').map(|(at, _)| at + 1))
                .collect(),
            text: String::new(),
            headings: Vec::new(),
            directives: Vec::new(),
            fences: Vec::new(),
            tables: Vec::new(),
            links: Vec::new(),
            footnote_marks: Vec::new(),
            footnotes: Vec::new(),
            link_names: Vec::new(),
            details: Vec::new(),
            prose: Vec::new(),
            linkable: Vec::new(),
        };
        let code = page.read_markdown(&text);
        page.read_directives(&text, &code);
        let linkable = std::mem::take(&mut page.linkable);
        let directives = || page.directives.iter().map(|one| &one.range);
        page.linkable = linkable
            .into_iter()
            .flat_map(|part| without(part, directives()))
            .collect();
        page.text = text;
        page
    }

    /// The line, counted from 1, of a place in the page.
    pub fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|&start| start <= at)
    }

    /// The page's title: the words of its first heading.
    pub fn title(&self) -> &str {
        self.headings
            .first()
            .map(|heading| heading.title.as_str())
            .unwrap_or_default()
    }

    /// The page's sections, in order; together they are the whole page.
    pub fn sections(&self) -> Vec<Section> {
        let mut sections = Vec::new();
        let first = self
            .headings
            .first()
            .map_or(self.text.len(), |heading| heading.at);
        if !self.text[..first].trim().is_empty() {
            sections.push(Section {
                id: String::new(),
                range: 0..first,
                body: 0,
            });
        }
        for (i, heading) in self.headings.iter().enumerate() {
            let end = self
                .headings
                .get(i + 1)
                .map_or(self.text.len(), |next| next.at);
            sections.push(Section {
                id: heading.id.clone().unwrap_or_default(),
                range: heading.at..end,
                body: heading.end,
            });
        }
        sections
    }

    /// Fills in all that the Markdown parser sees; gives the places of code and of comments.
    fn read_markdown(&mut self, text: &str) -> Vec<Range<usize>> {
        let mut code: Vec<Range<usize>> = Vec::new();
        let mut heading: Option<Heading> = None;
        let mut fence: Option<Fence> = None;
        let mut in_comment = false;
        let mut in_links = 0_usize;
        let mut containers = 0_usize;
        let parser = Parser::new_ext(text, options());
        self.link_names = parser
            .reference_definitions()
            .iter()
            .map(|(_, definition)| definition.span.clone())
            .collect();
        for (event, range) in parser.into_offset_iter() {
            match event {
                Event::Start(Tag::Heading { level, id, .. }) => {
                    heading = Some(Heading {
                        level: level_number(level),
                        id: id.map(|id| id.into_string()),
                        title: String::new(),
                        at: range.start,
                        end: range.end,
                        contained: containers > 0,
                    });
                }
                Event::End(TagEnd::Heading(_)) => self.headings.extend(heading.take()),
                Event::Start(Tag::CodeBlock(kind)) => {
                    let (language, indentation) = match kind {
                        CodeBlockKind::Fenced(info) => {
                            let language = info.split([' ', '\t', ',']).next();
                            (language.unwrap_or_default().to_owned(), 0)
                        }
                        CodeBlockKind::Indented => (String::new(), indentation(text, range.start)),
                    };
                    code.push(range.clone());
                    fence = Some(Fence {
                        language,
                        code: String::new(),
                        range,
                        indentation,
                    });
                }
                Event::End(TagEnd::CodeBlock) => self.fences.extend(fence.take()),
                Event::Text(words) => {
                    if let Some(fence) = &mut fence {
                        fence.code.push_str(&words);
                    } else {
                        if heading.is_none() && in_links == 0 {
                            self.linkable.push(range.clone());
                        }
                        self.prose.push(range);
                    }
                    if let Some(heading) = &mut heading {
                        heading.title.push_str(&words);
                    }
                }
                Event::Code(words) => {
                    if let Some(heading) = &mut heading {
                        heading.title.push_str(&words);
                    }
                    code.push(range);
                }
                Event::Html(html) | Event::InlineHtml(html) => {
                    // A comment is a note to authors: nothing in it is asked for.
                    if in_comment || html.contains("<!--") {
                        let begin = html.find("<!--").filter(|_| !in_comment).unwrap_or(0);
                        let end = html.rfind("-->").map_or(html.len(), |at| at + 3);
                        in_comment = !html[begin..].contains("-->");
                        code.push(range.start + begin..range.start + end.max(begin));
                        continue;
                    }
                    let (opened, closed) = (html.matches("<a "), html.matches("</a>"));
                    in_links = (in_links + opened.count()).saturating_sub(closed.count());
                    for (at, _) in html.match_indices("<details") {
                        self.details.push(range.start + at);
                    }
                    let words = words_of(&html);
                    let words = words
                        .into_iter()
                        .map(|part| range.start + part.start..range.start + part.end);
                    self.prose.extend(words);
                }
                Event::Start(Tag::Item | Tag::BlockQuote(_)) => containers += 1,
                Event::End(TagEnd::Item | TagEnd::BlockQuote(_)) => containers -= 1,
                Event::FootnoteReference(_) => {
                    self.footnote_marks.push(range.start + FOOTNOTE_MARK.len());
                }
                Event::Start(Tag::FootnoteDefinition(_)) => {
                    self.footnote_marks.push(range.start + FOOTNOTE_MARK.len());
                    self.footnotes.push(range);
                }
                Event::Start(Tag::Table(columns)) => self.tables.push(Table {
                    columns: columns.len(),
                    rows: 0,
                    at: range.start,
                }),
                Event::End(TagEnd::TableRow) => {
                    if let Some(table) = self.tables.last_mut() {
                        table.rows += 1;
                    }
                }
                // mdBook makes a link of a definition list's term.
                Event::Start(Tag::DefinitionListTitle) => in_links += 1,
                Event::End(TagEnd::Link | TagEnd::Image | TagEnd::DefinitionListTitle) => {
                    in_links -= 1;
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    in_links += 1;
                    self.links.push(Link {
                        to: dest_url.into_string(),
                        at: range.start,
                    });
                }
                _ => {}
            }
        }
        code
    }

    fn read_directives(&mut self, text: &str, code: &[Range<usize>]) {
        let mut from = 0;
        while let Some(found) = text[from..].find("{{#") {
            let start = from + found;
            from = start + 3;
            if code
                .iter()
                .any(|range| range.contains(&start) && !range.is_empty())
            {
                continue;
            }
            let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
            // A directive ends on its line; one that does not is left for the resolver to report.
            let end = text[start..line_end]
                .find("}}")
                .map_or(line_end, |at| start + at + 2);
            let inside = text[start + 3..end].trim_end_matches("}}").trim();
            let (name, arguments) = inside
                .split_once(char::is_whitespace)
                .unwrap_or((inside, ""));
            let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
            let before = text[line_start..start]
                .trim_start_matches([' ', '>', '\t'])
                .trim();
            self.directives.push(Directive {
                name: name.to_owned(),
                arguments: arguments.trim().to_owned(),
                range: start..end,
                alone: before.is_empty() && text[end..line_end].trim().is_empty(),
            });
            from = end;
        }
    }
}

/// The Markdown extensions that mdBook switches on.
fn options() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_DEFINITION_LIST
        | Options::ENABLE_GFM
}

/// The words between the tags of a line of HTML, such as a quiz's `<summary>`. A line that holds
/// code or a comment, or a tag's beginning or end alone, gives none.
fn words_of(html: &str) -> Vec<Range<usize>> {
    const NO_PROSE: [&str; 8] = [
        "<!--", "-->", "<code", "<pre", "<kbd", "<samp", "<script", "<style",
    ];
    let mut words = Vec::new();
    if NO_PROSE.iter().any(|tag| html.contains(tag))
        || html.matches('<').count() != html.matches('>').count()
    {
        return words;
    }
    let mut at = 0;
    while let Some(tag) = html[at..].find('<') {
        words.push(at..at + tag);
        let Some(end) = html[at + tag..].find('>') else {
            return words;
        };
        at += tag + end + 1;
    }
    words.push(at..html.len());
    words.retain(|part| !html[part.clone()].trim().is_empty());
    words
}

/// How much of the white space before `at` makes indented code: a tab, or at most four spaces.
fn indentation(text: &str, at: usize) -> usize {
    let before = &text.as_bytes()[..at];
    match before.last() {
        Some(b'\t') => 1,
        _ => before
            .iter()
            .rev()
            .take(4)
            .take_while(|&&byte| byte == b' ')
            .count(),
    }
}

/// What remains of a range without others, which are in order.
fn without<'a>(
    mut range: Range<usize>,
    others: impl Iterator<Item = &'a Range<usize>>,
) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    for other in others.filter(|other| other.start < range.end) {
        if other.end > range.start {
            parts.push(range.start..other.start.max(range.start));
            range.start = other.end.min(range.end);
        }
    }
    parts.push(range);
    parts.retain(|part| !part.is_empty());
    parts
}

fn level_number(level: HeadingLevel) -> u8 {
    level as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Page {
        Page::parse("ko", "index.md", "src/ko/index.md", text)
    }

    #[test]
    fn headings_have_their_words_level_and_id() {
        let page = page("# 통신 기초 {#basics}\n\ntext\n\n## `SYN` 큐\n");
        assert_eq!(page.title(), "통신 기초");
        assert_eq!(page.headings[0].id.as_deref(), Some("basics"));
        assert_eq!(page.headings[1].title, "SYN 큐");
        assert_eq!(
            (page.headings[1].level, page.headings[1].id.clone()),
            (2, None)
        );
    }

    #[test]
    fn directives_in_code_and_in_comments_are_no_directives() {
        let page = page(
            "{{#listing a}}\n\n<!-- {{#listing x}}\n\n{{#listing y}} -->\n<!-- z --> {{#rfc 1}}\n\n`{{#listing b}}`\n\n```text\n{{#listing c}}\n```\n\nsee {{#rfc 9293 3.5}}.\n",
        );
        let found: Vec<_> = page
            .directives
            .iter()
            .map(|d| (d.name.as_str(), d.arguments.as_str(), d.alone))
            .collect();
        assert_eq!(
            found,
            [
                ("listing", "a", true),
                ("rfc", "1", false),
                ("rfc", "9293 3.5", false)
            ]
        );
        assert_eq!(page.line(page.directives[2].range.start), 14);
    }

    #[test]
    fn sections_add_up_to_the_page() {
        let text = "before\n\n# A {#a}\n\none\n\n## B {#b}\n\ntwo\n";
        let page = page(text);
        let sections = page.sections();
        let whole: String = sections
            .iter()
            .map(|section| &text[section.range.clone()])
            .collect();
        assert_eq!(whole, text);
        assert_eq!(
            sections.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(),
            ["", "a", "b"]
        );
        assert_eq!(&text[sections[2].body..sections[2].range.end], "\ntwo\n");
    }

    #[test]
    fn tables_links_and_details_are_counted() {
        let page = page(
            "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n\n[x](y.md) ![z](z.svg)\n\n<details>\n<summary>Q</summary>\n\nA\n\n</details>\n",
        );
        assert_eq!((page.tables[0].columns, page.tables[0].rows), (2, 2));
        assert_eq!(
            page.links.iter().map(|l| l.to.as_str()).collect::<Vec<_>>(),
            ["y.md", "z.svg"]
        );
        assert_eq!(page.details.len(), 1);
    }

    #[test]
    fn a_link_may_stand_in_prose_but_not_in_a_heading_or_a_link() {
        let page =
            page("# a {#a}\n\nb [c](c.md) <a href=\"d\">d</a> `e` **f** {{#rfc 1}} g\n\nh\n: i\n");
        let linkable = page.linkable.iter();
        let linkable: String = linkable.map(|part| &page.text[part.clone()]).collect();
        assert_eq!(linkable, "b    f  gi");
    }

    #[test]
    fn the_words_between_tags_are_prose_and_what_is_in_tags_is_not() {
        let page = page(
            "<details>\n<summary>a <b title=\"t\">b</b> c</summary>\n\nd <i>e</i> `f`\n\n</details>\n\n<!-- g -->\n",
        );
        let prose: Vec<&str> = page
            .prose
            .iter()
            .map(|part| &page.text[part.clone()])
            .collect();
        assert_eq!(prose, ["a ", "b", " c", "d ", "e", " "]);
    }
}
