//! What a build writes, and what it does when it cannot.

mod common;

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use common::Book;

const KO: &str = "src/ko/ch01-basics/ports.md";
const EN: &str = "src/en/ch01-basics/ports.md";

#[test]
fn a_site_has_a_chooser_and_every_page_in_every_language() {
    let book = Book::new();
    let site = book.build();
    let mut pages: Vec<String> = site
        .pages
        .iter()
        .map(|page| format!("{}/{}", page.language, page.path))
        .collect();
    pages.sort();
    assert_eq!(
        pages,
        [
            "en/404.html",
            "en/ch01-basics/ports.html",
            "en/index.html",
            "en/print.html",
            "ko/404.html",
            "ko/ch01-basics/ports.html",
            "ko/index.html",
            "ko/print.html",
        ]
    );
    let chooser = book.page("index.html");
    for part in [
        "href=\"ko/index.html\"",
        "href=\"en/index.html\"",
        "['ko', 'en']",
    ] {
        assert!(chooser.contains(part), "{part}: {chooser}");
    }
    let sitemap = book.page("sitemap.xml");
    assert_eq!(sitemap.matches("<loc>").count(), 4);
    assert!(sitemap.contains("<loc>https://book.example/book/ko/</loc>"));
    assert!(!book.path("site/ko/highlight.js").exists());
}

#[test]
fn a_page_knows_its_language_its_address_and_the_other_languages() {
    let book = Book::new();
    book.build();
    let page = book.page("en/ch01-basics/ports.html");
    for part in [
        "<html lang=\"en\"",
        "<link rel=\"canonical\" href=\"https://book.example/book/en/ch01-basics/ports.html\">",
        "hreflang=\"ko\" href=\"https://book.example/book/ko/ch01-basics/ports.html\">",
        "hreflang=\"x-default\"",
        "<meta property=\"og:image\" content=\"https://book.example/book/en/card.png\">",
        "<meta name=\"description\" content=\"A port is a room&#39;s number. RFC 9293 §3.5\">",
        "href=\"../../ko/ch01-basics/ports.html\" hreflang=\"ko\" lang=\"ko\"",
        "aria-current=\"page\"",
        "<a rel=\"prev\" href=\"../index.html\">",
        "<a href=\"#run\">Run it</a>",
    ] {
        assert!(
            page.contains(part) || page.contains(&part.replace("&#39;", "'")),
            "{part}\n{page}"
        );
    }
    assert!(!page.contains("<!--site:"), "{page}");
}

#[test]
fn directives_become_cards_code_output_figures_and_marks() {
    let book = Book::new();
    book.build();
    let page = book.page("ko/ch01-basics/ports.html");
    for part in [
        "한 주소의 두 서비스",
        "<code>cargo run -p basics-ports</code>",
        "https://example.org/book/blob/main/listings/ch01-basics/ports/src/main.rs#L3-L3",
        "<span class=\"m\">println!</span>",
        "<samp>bound</samp>",
        "id=\"fig-basics-ports-sizes\"",
        "형식",
        "class=\"proof\" href=\"https://example.org/book/blob/main/listings/ch01-basics/ports/tests/proofs.rs#L2\"",
        "href=\"https://www.rfc-editor.org/rfc/rfc9293#section-3.5\"",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
}

#[test]
fn a_missing_page_shows_the_other_languages_text_under_a_notice() {
    let book = Book::new();
    book.remove(EN);
    book.build();
    let page = book.page("en/ch01-basics/ports.html");
    assert!(page.contains("notice-missing"), "{page}");
    assert!(page.contains("<div lang=\"ko\">"), "{page}");
    assert!(page.contains("포트는 방 번호와 같습니다."), "{page}");
}

#[test]
fn a_page_that_one_summary_lacks_is_there_in_that_language_too() {
    let book = Book::new();
    book.write("src/en/SUMMARY.md", "[Book](index.md)\n");
    book.remove(EN);
    book.build();
    assert!(
        book.page("en/ch01-basics/ports.html")
            .contains("notice-missing")
    );
}

#[test]
fn a_folder_with_a_summary_is_a_language() {
    let book = Book::new();
    book.write("src/ja/SUMMARY.md", "[本](index.md)\n");
    book.write("src/ja/index.md", "# 本 {#book}\n\nこんにちは。\n");
    book.build();
    assert!(book.page("ja/index.html").contains("こんにちは。"));
    assert!(
        book.page("ja/ch01-basics/ports.html")
            .contains("notice-missing")
    );
    assert!(book.page("index.html").contains("href=\"ja/index.html\""));
    assert!(
        book.page("ko/index.html")
            .contains("href=\"../ja/index.html\" hreflang=\"ja\"")
    );
    book.assert_finding(
        "theme/words.toml",
        "`skip` has no word in `ja`",
        "under [skip]",
    );
}

#[test]
fn contents_that_the_site_cannot_show_are_refused() {
    for (contents, why) in [
        (
            "- [A](index.md)\n  - [B](b.md)\n    - [C](c.md)\n",
            "src/ko/SUMMARY.md: a page stands below a chapter's page",
        ),
        (
            "# Part\n\n- [A](index.md)\n\n# Another\n\n- [B](b.md)\n",
            "src/ko/SUMMARY.md: the contents have no parts",
        ),
    ] {
        let book = Book::new();
        book.write("src/ko/SUMMARY.md", contents);
        let error = book.build_error();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_stale_section_shows_a_notice_and_the_newer_text() {
    let book = Book::new();
    book.change(EN, "So it is.", "So it is, measured anew.");
    book.build();
    let page = book.page("ko/ch01-basics/ports.html");
    assert_eq!(page.matches("notice-stale").count(), 1, "{page}");
    assert!(page.contains("So it is, measured anew."), "{page}");
    assert!(
        !book
            .page("en/ch01-basics/ports.html")
            .contains("notice-stale")
    );
}

#[test]
fn a_page_outside_of_the_contents_is_built_but_not_listed() {
    let book = Book::new();
    for language in ["ko", "en"] {
        book.write(
            &format!("src/{language}/styleguide.md"),
            "# Styles {#styles}\n\nwombat\n",
        );
    }
    book.build();
    assert!(book.page("ko/styleguide.html").contains("wombat"));
    assert!(!book.page("ko/print.html").contains("wombat"));
    assert!(!book.page("sitemap.xml").contains("styleguide"));
    assert!(!book.page("ko/index.html").contains("styleguide"));
}

#[test]
fn every_problem_of_every_page_is_reported_at_once() {
    let book = Book::new();
    book.change(KO, "{{#listing basics-ports}}", "{{#listing a}}");
    book.change(EN, "{{#output basics-ports}}", "{{#output b}}");
    let error = book.build_error();
    assert!(
        error.contains(&format!("{KO}:5: there is no listing `a`")),
        "{error}"
    );
    assert!(
        error.contains(&format!("{EN}:11: there is no listing `b`")),
        "{error}"
    );
}

#[test]
fn a_failed_build_leaves_the_last_good_site_and_nothing_else() {
    let book = Book::new();
    book.build();
    let before = book.page("ko/index.html");
    book.change(KO, "{{#listing basics-ports}}", "{{#listing a}}");
    book.build_error();
    assert_eq!(book.page("ko/index.html"), before);
    let mut left: Vec<String> = fs::read_dir(book.root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    left.sort();
    assert_eq!(
        left,
        [
            "Cargo.toml",
            "book.toml",
            "listings",
            "site",
            "src",
            "target",
            "theme"
        ]
    );
}

#[test]
fn a_folder_with_other_files_is_not_replaced() {
    let book = Book::new();
    book.write("site/precious.txt", "precious");
    let error = book.build_error();
    assert!(
        error.contains("holds files that `cargo book build` did not make"),
        "{error}"
    );
    assert!(error.contains("--out DIR"), "{error}");
    assert_eq!(book.read("site/precious.txt"), "precious");
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_folder_that_cannot_be_written_is_refused_with_the_remedy() {
    let book = Book::new();
    // No user may make folders there, root neither.
    let out = std::path::Path::new("/proc/book/site");
    let Err(error) = book::site::build(&book.project(), out, "https://book.example/") else {
        panic!("the book was built in /proc");
    };
    let error = format!("{error:#}");
    assert!(error.contains("cannot make /proc/book"), "{error}");
    assert!(error.contains("--out DIR"), "{error}");
}

#[test]
fn alerts_have_titles_in_the_pages_language() {
    let book = Book::new();
    for page in [KO, EN] {
        let text = book.read(page);
        book.write(page, format!("{text}\n> [!WARNING]\n> !\n"));
    }
    book.build();
    assert!(
        book.page("en/ch01-basics/ports.html")
            .contains("</svg>Warning</p>")
    );
    let page = book.page("ko/ch01-basics/ports.html");
    assert!(page.contains("</svg>주의</p>"), "{page}");
}

#[test]
fn tables_say_what_their_heads_head_and_an_empty_corner_heads_nothing() {
    let book = Book::new();
    for page in [KO, EN] {
        let text = book.read(page);
        book.write(page, format!("{text}\n| | c |\n|---|---|\n| 1 | 2 |\n"));
    }
    book.build();
    let page = book.page("ko/ch01-basics/ports.html");
    assert!(page.contains("<td></td><th scope=\"col\">c</th>"), "{page}");
    assert!(!page.contains("<th></th>"), "{page}");
}

#[test]
fn code_in_a_list_and_in_a_quotation_stays_there() {
    let book = Book::new();
    book.write(
        "src/en/index.md",
        "# Book {#book}\n\n- one\n\n  ```rust\n  let a = 1;\n\n  let b = 2;\n  ```\n- two\n\n> ```text\n> quoted\n>\n> more\n> ```\n> end\n",
    );
    book.build();
    let page = book.page("en/index.html");
    let list = &page[page.find("<ul>\n<li>").unwrap()..];
    let list = &list[..list.find("</ul>").unwrap()];
    assert!(list.contains("<span class=\"k\">let</span> a"), "{list}");
    assert!(list.contains("\n\n"), "{list}");
    assert!(list.contains("two"), "{list}");
    let quotation = &page[page.find("<blockquote>").unwrap()..];
    assert!(quotation.contains("quoted\n\nmore"), "{quotation}");
}

#[test]
fn plain_mdbook_gets_the_same_pages_through_the_preprocessor() {
    let book = Book::new();
    let input = serde_json::json!([
        {
            "root": book.root(),
            "config": {"book": {"title": "책", "language": "ko", "src": "src/ko", "authors": []}},
            "renderer": "html",
            "mdbook_version": "0.5.4",
        },
        {"items": [{"Chapter": {
            "name": "Ports", "content": book.read(KO), "number": null, "sub_items": [],
            "path": "ch01-basics/ports.md", "source_path": "ch01-basics/ports.md", "parent_names": [],
        }}]},
    ]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_book"))
        .arg("preprocess")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.to_string().as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let output = String::from_utf8(output.stdout).unwrap();
    assert!(output.contains("listing-run"), "{output}");
    assert!(!output.contains("{{#listing"), "{output}");
    // The theme that mdBook renders with has its words filled in.
    let index = book.read("target/book/theme/index.hbs");
    assert!(!index.contains("{{word"), "{index}");
    assert!(index.contains("{{#toc}}"), "{index}");
}

#[test]
fn markdown_right_after_code_or_a_directive_is_still_markdown() {
    let book = Book::new();
    book.write(
        "src/en/index.md",
        "# Book {#book}\n\n```rust\nlet a = 1;\n```\nthe *first*\n\n{{#output basics-ports}}\nthe *second*\n\n- ```text\n  x\n  ```\n  the *third*\n- next\n\n> {{#output basics-ports}}\n> the *fourth*\n\n> ```text\n> x\n> ```\nthe *fifth*\n",
    );
    book.build();
    let page = book.page("en/index.html");
    for word in ["first", "second", "third", "fourth", "fifth"] {
        assert!(
            page.contains(&format!("<p>the <em>{word}</em>")),
            "{word}: {page}"
        );
    }
}

#[test]
fn indented_code_is_code_and_not_html_shown_as_code() {
    let book = Book::new();
    book.write(
        "src/en/index.md",
        "# Book {#book}\n\n    one <x>\n      two\n\n- item\n\n      three\n\n\ttabbed\n",
    );
    book.build();
    let page = book.page("en/index.html");
    assert!(page.contains(">one &lt;x&gt;\n  two</code>"), "{page}");
    assert!(page.contains(">three</code>"), "{page}");
    assert!(!page.contains("&lt;figure"), "{page}");
}

#[test]
fn a_stale_section_brings_its_footnotes_and_the_names_of_its_links() {
    const SECTIONS: &str = "\
# Book {#book}

## One {#one}

Noted[^n], and [there](ch01-basics/ports.md).

[^n]: a note

## Two {#two}

More[^m].

[^m]: another[^l]

[^l]: the last
";
    let book = Book::new();
    book.write("src/ko/index.md", SECTIONS);
    book.write("src/en/index.md", SECTIONS);
    book.sync("index.md");
    let newer = SECTIONS
        .replace(
            "Noted",
            "{{#figure basics-ports:sizes \"Sizes[^n]\"}}\n\nNoted anew[^m]",
        )
        .replace("[there](ch01-basics/ports.md)", "[there][r]");
    let newer = format!("{newer}\n[r]: ch01-basics/ports.md\n");
    book.write("src/en/index.md", newer);
    book.build();
    let page = book.page("ko/index.html");
    for part in [
        // Noted here and there: the labels are told apart.
        "id=\"footnote-n\"",
        "id=\"footnote-en-one-n\"",
        // From another section, and from that one's footnote.
        "id=\"footnote-en-one-m\"",
        "id=\"footnote-en-one-l\"",
        "<a href=\"ch01-basics/ports.html\">there</a>",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_change_nothing() {
    let book = Book::new();
    book.write("listings/ch01-basics/ports/output.txt", "one\ntwo\n");
    book.build();
    let before = book.page("en/ch01-basics/ports.html");
    for file in [
        EN,
        "src/en/SUMMARY.md",
        "listings/ch01-basics/ports/output.txt",
        "listings/ch01-basics/ports/src/main.rs",
    ] {
        book.write(file, book.read(file).replace('\n', "\r\n"));
    }
    for file in [EN, "src/en/SUMMARY.md"] {
        book.write(file, format!("\u{feff}{}", book.read(file)));
    }
    book.build();
    assert_eq!(book.page("en/ch01-basics/ports.html"), before);
    assert_eq!(book.findings(), Vec::<String>::new());
}

#[cfg(unix)]
#[test]
fn what_editors_keep_beside_pages_is_no_page_and_is_not_published() {
    let book = Book::new();
    // Emacs' lock on a page that is being edited leads nowhere.
    std::os::unix::fs::symlink("someone@host.1", book.path("src/ko/.#index.md")).unwrap();
    for file in [".index.md.swp", "#index.md#", "index.md~", ".DS_Store"] {
        book.write(&format!("src/ko/{file}"), "x");
    }
    book.write("src/ko/picture.svg", "<svg/>");
    book.build();
    let mut files: Vec<String> = fs::read_dir(book.path("site/ko"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("index") || name.contains("DS_") || name.contains("svg"))
        .filter(|name| !name.starts_with("favicon"))
        .collect();
    files.sort();
    assert_eq!(files, ["index.html", "picture.svg"]);
}

#[test]
fn what_a_killed_build_of_the_same_process_id_left_is_not_published() {
    let book = Book::new();
    book.build();
    let id = std::process::id();
    book.write(&format!(".site.new-{id}/ko/junk.html"), "junk");
    book.write(&format!(".site.old-{id}/ko/junk.html"), "junk");
    book.write(&format!("target/book/work-{id}/ko/theme/junk.css"), "junk");
    book.build();
    for file in ["site/ko/junk.html", "site/ko/theme/junk.css"] {
        assert!(!book.path(file).exists(), "{file}");
    }
}

#[cfg(unix)]
#[test]
fn an_output_folder_behind_a_link_is_replaced_where_it_is() {
    let book = Book::new();
    fs::create_dir_all(book.path("elsewhere/there")).unwrap();
    std::os::unix::fs::symlink(book.path("elsewhere/there"), book.path("site")).unwrap();
    book.build();
    book.build();
    assert!(book.path("site").is_symlink());
    assert!(book.path("elsewhere/there/ko/index.html").is_file());
}
