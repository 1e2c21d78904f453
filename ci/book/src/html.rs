//! Reads rendered HTML: the ids that links may point at, the links, the headings, the text.

use std::cell::RefCell;

use html5ever::TokenizerResult;
use html5ever::tendril::ByteTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

/// What a rendered page holds.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Every id, and every name that a link may point at.
    pub ids: Vec<String>,
    /// Every `href` and `src`.
    pub links: Vec<String>,
    /// The headings inside `<main>`.
    pub headings: Vec<Heading>,
    /// The text inside `<main>`, headings included, words parted by spaces.
    pub text: String,
    /// The text of the first paragraph inside `<main>` that stands in no box.
    pub first_paragraph: String,
}

/// A rendered heading.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Heading {
    /// 1 to 6.
    pub level: u8,
    /// Its id; empty if it has none.
    pub id: String,
    /// Its words.
    pub text: String,
}

/// Reads a page.
pub fn read(html: &str) -> Contents {
    let queue = BufferQueue::default();
    let bytes: ByteTendril = html.as_bytes().into();
    if let Ok(text) = bytes.try_reinterpret() {
        queue.push_back(text);
    }
    let tokenizer = Tokenizer::new(Reader::default(), TokenizerOpts::default());
    while let TokenizerResult::Script(()) = tokenizer.feed(&queue) {}
    tokenizer.end();
    let mut state = tokenizer.sink.state.into_inner();
    state.contents.text = squeeze(&state.contents.text);
    state.contents.first_paragraph = squeeze(&state.contents.first_paragraph);
    for heading in &mut state.contents.headings {
        heading.text = squeeze(&heading.text);
    }
    state.contents
}

/// The byte that the two hexadecimal digits after a `%` stand for, if they are such.
pub fn percent_encoded(after: &[u8]) -> Option<u8> {
    let digits = after
        .get(..2)
        .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[derive(Default)]
struct Reader {
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    contents: Contents,
    in_main: bool,
    in_heading: bool,
    /// How deep inside elements whose text is not the page's own.
    in_box: usize,
    in_first_paragraph: bool,
    /// Inside `<svg>`, `<script>` or `<style>`.
    hidden: usize,
}

/// Elements whose paragraphs are not the page's first.
const BOXES: &[&str] = &[
    "aside",
    "figure",
    "details",
    "blockquote",
    "table",
    "li",
    "dd",
];

/// Elements whose text is no prose.
const HIDDEN: &[&str] = &["svg", "script", "style", "template"];

/// Elements that do not part the words around them.
const INLINE: &[&str] = &[
    "a", "abbr", "b", "code", "em", "i", "kbd", "mark", "samp", "small", "span", "strong", "sub",
    "sup", "tspan", "wbr",
];

impl TokenSink for Reader {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut state = self.state.borrow_mut();
        match token {
            Token::TagToken(tag) => state.tag(&tag),
            Token::CharacterTokens(text) => {
                state.text(&text);
                TokenSinkResult::Continue
            }
            _ => TokenSinkResult::Continue,
        }
    }
}

impl State {
    fn tag(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name: &str = &tag.name;
        let opens = tag.kind == TagKind::StartTag;
        if opens {
            for attribute in &tag.attrs {
                let value = attribute.value.to_string();
                match &*attribute.name.local {
                    "id" => self.contents.ids.push(value),
                    // `<base>` says where links count from, and leads nowhere itself.
                    "href" | "src" if name != "base" => self.contents.links.push(value),
                    _ => {}
                }
            }
        }
        let depth = |counter: &mut usize| {
            if opens && !tag.self_closing {
                *counter += 1;
            } else if !opens {
                *counter = counter.saturating_sub(1);
            }
        };
        if HIDDEN.contains(&name) {
            depth(&mut self.hidden);
        }
        if BOXES.contains(&name) {
            depth(&mut self.in_box);
        }
        match name {
            "main" => self.in_main = opens,
            "p" if self.in_main && self.in_box == 0 => {
                self.in_first_paragraph = opens && self.contents.first_paragraph.is_empty();
            }
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" if self.in_main => {
                self.in_heading = opens;
                if opens {
                    let id = tag
                        .attrs
                        .iter()
                        .find(|attribute| &*attribute.name.local == "id")
                        .map(|attribute| attribute.value.to_string())
                        .unwrap_or_default();
                    self.contents.headings.push(Heading {
                        level: name.as_bytes()[1] - b'0',
                        id,
                        text: String::new(),
                    });
                }
            }
            _ => {}
        }
        if !INLINE.contains(&name) {
            self.contents.text.push(' ');
        }
        match name {
            "script" if opens => TokenSinkResult::RawData(RawKind::ScriptData),
            "style" if opens => TokenSinkResult::RawData(RawKind::Rawtext),
            "title" | "textarea" if opens => TokenSinkResult::RawData(RawKind::Rcdata),
            _ => TokenSinkResult::Continue,
        }
    }

    fn text(&mut self, text: &str) {
        if !self.in_main || self.hidden > 0 {
            return;
        }
        self.contents.text.push_str(text);
        if self.in_heading
            && let Some(heading) = self.contents.headings.last_mut()
        {
            heading.text.push_str(text);
        }
        if self.in_first_paragraph {
            self.contents.first_paragraph.push_str(text);
        }
    }
}

/// Runs of white space become one space.
fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_gives_its_ids_links_headings_and_text() {
        let contents = read(
            "<title>no <b></title><nav><a href=\"x.html\">nav</a></nav><main>\
             <h1 id=\"a\"><a href=\"#a\">통신 <code>SYN</code> 큐</a></h1>\
             <aside><p>box</p></aside><p>First &amp; <em>fore</em>most.</p><p>Second.</p>\
             <svg><title>hidden</title><text id=\"t\">hidden</text></svg>\
             <script>var a = '<p id=\"no\">';</script></main><p>after</p>",
        );
        assert_eq!(contents.ids, ["a", "t"]);
        assert_eq!(contents.links, ["x.html", "#a"]);
        assert_eq!(contents.headings[0].text, "통신 SYN 큐");
        assert_eq!(contents.first_paragraph, "First & foremost.");
        assert_eq!(contents.text, "통신 SYN 큐 box First & foremost. Second.");
    }

    #[test]
    fn broken_html_is_read_as_far_as_it_goes() {
        assert_eq!(read("<main><p>one<h2 id=b>two").headings[0].id, "b");
        assert_eq!(read("").text, "");
    }
}
