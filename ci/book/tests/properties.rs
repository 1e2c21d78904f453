//! Whatever stands in a page, the tool reads it, resolves it or says what is wrong. It does not
//! panic, and loses nothing.

mod common;

use std::sync::OnceLock;

use book::directive::resolve;
use book::highlight::highlight;
use book::html;
use book::page::Page;
use book::project::Project;
use book::sync::Texts;
use common::Book;
use proptest::prelude::*;

/// Pieces of pages, whole and broken, to be strung together.
fn text() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("# 제목 {#a}\n".to_owned()),
        Just("## B {#a".to_owned()),
        Just("{{#listing basics-ports}}".to_owned()),
        Just("{{#listing basics-ports src/main.rs:bind}}".to_owned()),
        Just("{{#figure basics-ports:sizes \"".to_owned()),
        Just("{{#proof basics-ports::".to_owned()),
        Just("{{#rfc 9293 3.5 historic}}".to_owned()),
        Just("{{#".to_owned()),
        Just("}}".to_owned()),
        Just("```rust\n".to_owned()),
        Just("> ".to_owned()),
        Just("- ".to_owned()),
        Just("| a | b |\n|---|---|\n".to_owned()),
        Just("<details class=\"quiz\">\n".to_owned()),
        Just("</".to_owned()),
        Just("**연결(connection)**을".to_owned()),
        Just("[^n]".to_owned()),
        Just("\n\n[^n]: ".to_owned()),
        Just("    ".to_owned()),
        Just("\t".to_owned()),
        Just("\r\n".to_owned()),
        Just("\n\n".to_owned()),
        "\\PC{0,12}",
    ];
    prop::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat())
}

fn project() -> &'static (Book, Project, Texts) {
    static PROJECT: OnceLock<(Book, Project, Texts)> = OnceLock::new();
    PROJECT.get_or_init(|| {
        let book = Book::new();
        let project = book.project();
        let texts = Texts::load(&project).unwrap();
        (book, project, texts)
    })
}

proptest! {
    #[test]
    fn a_pages_sections_are_the_whole_page(text in text()) {
        let page = Page::parse("ko", "a.md", "src/ko/a.md", text.as_str());
        let whole: String = page
            .sections()
            .iter()
            .map(|section| &text[section.range.clone()])
            .collect();
        prop_assert_eq!(whole.trim(), text.trim());
    }

    #[test]
    fn a_page_resolves_or_says_at_which_line_it_does_not(text in text()) {
        let (_, project, texts) = project();
        let page = Page::parse("ko", "a.md", "src/ko/a.md", text.as_str());
        let lines = text.matches('\n').count() + 1;
        for problem in resolve(project, texts, &page).problems {
            prop_assert!((1..=lines).contains(&problem.line), "{}", problem);
        }
    }

    #[test]
    fn any_html_is_read(html in "(<[a-z!/]{0,3}|[a-z\"'= >&;]|<main>|<script>|<h2 id=a>|\\PC){0,80}") {
        html::read(&html);
    }

    #[test]
    fn colours_change_no_character(code in "\\PC{0,200}", language in "rust|toml|json|console|http|text") {
        let coloured = highlight(&code, &language);
        let main = format!("<main><pre>{coloured}</pre></main>");
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        prop_assert_eq!(html::read(&main).text, squeezed(&code));
    }
}
