//! What is made of the book's tables and of its pages: links of terms, glossary, bibliography, choice
//! guide, the head of a chapter, figures drawn by hand.

mod common;

use common::Book;

const KO: &str = "src/ko/ch01-basics/ports.md";
const EN: &str = "src/en/ch01-basics/ports.md";

/// A book with a glossary, whose one term is explained on a page of its own.
fn with_glossary(at: &str) -> Book {
    let book = Book::new();
    book.change(
        "src/terms.toml",
        "ko = \"스레드\"\n",
        &format!("ko = \"스레드\"\nat = \"{at}\"\n"),
    );
    for (language, title) in [("ko", "용어집"), ("en", "Glossary")] {
        let page = format!("# {title} {{#glossary}}\n\n{{{{#glossary}}}}\n");
        book.write(&format!("src/{language}/glossary.md"), page);
        let summary = format!("src/{language}/SUMMARY.md");
        let lines = book.read(&summary) + "\n[Glossary](glossary.md)\n";
        book.write(&summary, lines);
    }
    book.sync("glossary.md");
    book
}

fn change_both(book: &Book, from: [&str; 2], to: [&str; 2]) {
    for ((page, from), to) in [KO, EN].into_iter().zip(from).zip(to) {
        book.change(page, from, to);
    }
    book.sync("ch01-basics/ports.md");
}

#[test]
fn a_term_is_a_link_where_a_page_first_uses_it() {
    let book = with_glossary("index.md#book");
    change_both(
        &book,
        ["이것은 사실입니다.", "So it is."],
        [
            "**스레드**는 `스레드`, [스레드](../index.md), 스레드가 스레드입니다.",
            "**Threads** are `thread`, [thread](../index.md), multithreaded, and threads, and a thread.",
        ],
    );
    assert_eq!(book.findings(), Vec::<String>::new());
    book.build();
    let ko = book.page("ko/ch01-basics/ports.html");
    assert!(ko.contains("<strong>스레드</strong>는"), "{ko}");
    assert!(ko.contains(">스레드</a>가 스레드입니다"), "{ko}");
    assert_eq!(ko.matches("class=\"term\"").count(), 1);
    let en = book.page("en/ch01-basics/ports.html");
    let link = "multithreaded, and <a class=\"term\" href=\"../glossary.html#term-thread\">thread</a>s, and a thread.";
    assert!(en.contains(link), "{en}");
}

#[test]
fn a_term_is_no_link_on_the_page_that_explains_it() {
    let book = with_glossary("ch01-basics/ports.md#run");
    change_both(
        &book,
        ["이것은 사실입니다.", "So it is."],
        ["스레드가 있습니다.", "There is a thread."],
    );
    book.build();
    assert!(
        !book
            .page("en/ch01-basics/ports.html")
            .contains("class=\"term\"")
    );
    let glossary = book.page("ko/glossary.html");
    assert!(
        glossary.contains("<a href=\"ch01-basics/ports.html#run\">포트</a>"),
        "{glossary}"
    );
}

#[test]
fn the_search_knows_where_a_term_is_explained_in_every_language() {
    let book = with_glossary("ch01-basics/ports.md#run");
    book.change("src/terms.toml", "avoid =", "also = [\"LWP\"]\navoid =");
    book.build();
    for language in ["ko", "en"] {
        let folder = std::fs::read_dir(book.path(&format!("site/{language}"))).unwrap();
        let index = folder
            .flatten()
            .find(|file| file.file_name().to_string_lossy().starts_with("search-"))
            .unwrap();
        let index = std::fs::read_to_string(index.path()).unwrap();
        for name in ["스레드", "thread", "LWP"] {
            assert!(
                index.contains(&format!("[\"{name}\",1,\"run\"]")),
                "{index}"
            );
        }
    }
}

#[test]
fn a_term_explained_nowhere_is_found() {
    with_glossary("ch02-nowhere/index.md").assert_finding(
        "src/terms.toml:3",
        "no page `ch02-nowhere/index.md` is",
        "name the page and the heading",
    );
    with_glossary("ch01-basics/ports.md#rnu").assert_finding(
        "src/terms.toml:3",
        "has no heading `rnu`; the nearest headings: `run`",
        "name the page and the heading",
    );
}

#[test]
fn a_chapter_says_how_long_it_takes_and_what_to_know_before() {
    let book = Book::new();
    for language in ["ko", "en"] {
        let page = "# Next {#next}\n\nWords.\n\n{{#before ch01-basics}}\n";
        book.write(&format!("src/{language}/ch02-next/index.md"), page);
        let summary = format!("src/{language}/SUMMARY.md");
        let lines = book.read(&summary) + "- [Next](ch02-next/index.md)\n";
        book.write(&summary, lines);
    }
    book.sync("ch02-next/index.md");
    assert_eq!(book.findings(), Vec::<String>::new());
    book.build();
    let page = book.page("en/ch02-next/index.html");
    for part in [
        "reading time: about 1 min · to know before: <a href=\"../ch01-basics/ports.html\">1. Ports</a>",
        "<a rel=\"prev\" href=\"../ch01-basics/ports.html\">1. Ports</a></nav>",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    book.change("src/en/ch02-next/index.md", "ch01-basics}}", "ch01-basic}}");
    book.assert_finding(
        "src/en/ch02-next/index.md:5",
        "there is no chapter `ch01-basic`",
        "the nearest chapters: `ch01-basics`",
    );
}

#[test]
fn the_bibliography_says_what_is_cited_where_and_what_took_its_place() {
    let book = Book::new();
    book.change(
        "listings/ch01-basics/ports/src/main.rs",
        "fn main() {",
        "/// As in RFC 793 and RFC 12345.\nfn main() {",
    );
    for language in ["ko", "en"] {
        let index = format!("src/{language}/index.md");
        let page = book.read(&index) + "\n{{#bibliography}}\n";
        book.write(&index, page);
    }
    book.sync("index.md");
    assert_eq!(book.findings(), Vec::<String>::new());
    book.build();
    let page = book.page("en/index.html");
    for part in [
        "<dt id=\"rfc-9293\">",
        "Transmission Control Protocol (TCP)",
        "replaces <a class=\"rfc\" href=\"https://www.rfc-editor.org/rfc/rfc793\">RFC 793</a>",
        "Cited on: <a href=\"ch01-basics/ports.html\">Ports</a>",
        "<dt id=\"rfc-793\">",
        "replaced by <a class=\"rfc\" href=\"https://www.rfc-editor.org/rfc/rfc9293\">RFC 9293</a>",
        "Cited in the code of: <code>basics-ports</code>",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(!page.contains("12345"), "no RFC of the book's");
}

const CHOICE: &str = r#"
[[question]]
id = "who"
text.en = "Who speaks?"
text.ko = "누가 말하나요?"
[[question.option]]
id = "client"
text.en = "The client"
text.ko = "클라이언트"
[[question.option]]
id = "server"
text.en = "The server"
text.ko = "서버"

[[way]]
name.en = "Asking"
name.ko = "묻기"
at = "ch01-basics/ports.md#run"
use.en = "Often"
use.ko = "자주"
mind.en = "Cost"
mind.ko = "비용"
fits.who = ["client"]

[[way]]
name.en = "Pushing"
name.ko = "밀어 보내기"
at = "index.md"
use.en = "Rarely"
use.ko = "가끔"
mind.en = "State"
mind.ko = "상태"
"#;

fn with_choice(choice: &str) -> Book {
    let book = Book::new();
    book.write("src/choice.toml", choice);
    for language in ["ko", "en"] {
        let index = format!("src/{language}/index.md");
        let page = book.read(&index) + "\n{{#choice}}\n";
        book.write(&index, page);
    }
    book.sync("index.md");
    book
}

#[test]
fn the_choice_guide_is_a_table_and_questions_that_wait_for_a_script() {
    let book = with_choice(CHOICE);
    assert_eq!(book.findings(), Vec::<String>::new());
    book.build();
    let page = book.page("ko/index.html");
    for part in [
        "role=\"group\" aria-label=\"무엇을 고를까요?\" hidden",
        "<legend>누가 말하나요?</legend>",
        "<input type=\"radio\" name=\"choice-who\" value=\"server\"",
        "<tr data-choice-who=\"client\"><th scope=\"row\"><a href=\"ch01-basics/ports.html#run\">묻기</a></th><td>자주</td><td>비용</td></tr>",
        "<tr><th scope=\"row\"><a href=\"index.html\">밀어 보내기</a>",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
}

#[test]
fn a_choice_guide_that_fails_a_reader_is_found() {
    for (from, to, what) in [
        (
            "at = \"index.md\"",
            "at = \"index.md\"\nfits.who = [\"client\"]",
            "no way remains for who = server",
        ),
        (
            "[\"client\"]",
            "[\"clinet\"]",
            "«Asking» fits `clinet` of `who`, which nobody is asked",
        ),
        ("#run", "#walk", "has no heading `walk`"),
        ("use.ko = \"자주\"\n", "", "«Often» is not said in `ko`"),
    ] {
        assert!(CHOICE.contains(from));
        let book = with_choice(&CHOICE.replacen(from, to, 1));
        book.assert_finding("src/choice.toml", what, "");
    }
}

const DRAWN: &str = r#"{"figures":{"sizes":{"kind":"table","columns":[{"label":"format"},{"label":"size","unit":"bytes","number":true}],"rows":[["`XML`","99"]]}}}"#;

#[test]
fn a_figure_drawn_by_hand_says_so() {
    let book = Book::new();
    book.write("src/drawn/ch01-basics.json", DRAWN);
    change_both(
        &book,
        ["basics-ports:sizes"; 2],
        ["drawn/ch01-basics:sizes"; 2],
    );
    assert_eq!(book.findings(), Vec::<String>::new());
    book.build();
    let page = book.page("en/ch01-basics/ports.html");
    for part in [
        "id=\"fig-drawn-ch01-basics-sizes\"",
        "<small class=\"drawn\">Drawn by hand, not from a run.</small>",
        "/blob/main/src/drawn/ch01-basics.json\">ch01-basics.json</a>",
        "XML",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
}

#[test]
fn a_drawing_that_no_page_shows_and_a_word_that_it_lacks_are_found() {
    let book = Book::new();
    book.write(
        "src/drawn/ch01-basics.json",
        DRAWN.replace("format", "kind of thing"),
    );
    book.assert_finding(
        "src/drawn/ch01-basics.json",
        "figure `sizes` is on no page",
        "{{#figure drawn/ch01-basics:sizes",
    );
    book.assert_finding(
        "src/drawn/ch01-basics.json",
        "«kind of thing» has no word in `ko`",
        "src/ko/labels.toml",
    );
}
