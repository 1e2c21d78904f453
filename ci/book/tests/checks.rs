//! Each check fails where it should, says where, and says what to do.

mod common;

use common::Book;

const KO: &str = "src/ko/ch01-basics/ports.md";
const EN: &str = "src/en/ch01-basics/ports.md";

#[test]
fn the_small_book_has_no_finding() {
    assert_eq!(Book::new().findings(), Vec::<String>::new());
}

// What does not resolve.

#[test]
fn an_unknown_listing_is_found_with_the_nearest_name() {
    let book = Book::new();
    book.change(KO, "{{#listing basics-ports}}", "{{#listing basics-prots}}");
    book.assert_finding(
        &format!("{KO}:5"),
        "there is no listing `basics-prots`",
        "the nearest listings: `basics-ports`",
    );
}

#[test]
fn an_unknown_anchor_is_found_with_the_nearest_name() {
    let book = Book::new();
    book.change(EN, "src/main.rs:bind", "src/main.rs:bnid");
    book.assert_finding(
        &format!("{EN}:9"),
        "`listings/ch01-basics/ports/src/main.rs` has no anchor `bnid`",
        "the nearest anchors: `bind`",
    );
}

#[test]
fn an_unknown_source_file_is_found_with_the_nearest_name() {
    let book = Book::new();
    book.change(EN, "src/main.rs:bind", "src/mian.rs:bind");
    book.assert_finding(
        &format!("{EN}:9"),
        "listing `basics-ports` has no file `src/mian.rs`",
        "the nearest files: `src/main.rs`",
    );
}

#[test]
fn an_unknown_proof_is_found_with_the_nearest_name() {
    let book = Book::new();
    book.change(KO, "::a_port_is_taken_once", "::a_port_is_taken_twice");
    book.assert_finding(
        &format!("{KO}:15"),
        "listing `basics-ports` has no test `a_port_is_taken_twice`",
        "the nearest tests: `a_port_is_taken_once`",
    );
}

#[test]
fn an_unknown_figure_is_found_with_the_nearest_name() {
    let book = Book::new();
    book.change(KO, "basics-ports:sizes", "basics-ports:size");
    book.assert_finding(
        &format!("{KO}:13"),
        "`basics-ports` has no figure `size`",
        "the nearest figures: `sizes`",
    );
}

#[test]
fn an_unknown_rfc_is_found_and_says_where_to_add_it() {
    let book = Book::new();
    book.change(KO, "{{#rfc 9293 3.5}}", "{{#rfc 9999}}");
    book.assert_finding(
        &format!("{KO}:3"),
        "RFC 9999 is not in src/rfc.toml",
        "add it with its status",
    );
}

#[test]
fn an_obsolete_rfc_is_found_unless_it_is_marked_historic() {
    let book = Book::new();
    for page in [KO, EN] {
        book.change(page, "{{#rfc 9293 3.5}}", "{{#rfc 793 3.5}}");
    }
    book.assert_finding(
        &format!("{KO}:3"),
        "RFC 793 is obsolete: RFC 9293 took its place",
        "{{#rfc 793 3.5 historic}}",
    );
    for page in [KO, EN] {
        book.change(page, "{{#rfc 793 3.5}}", "{{#rfc 793 3.5 historic}}");
    }
    book.sync("ch01-basics/ports.md");
    assert_eq!(book.findings(), Vec::<String>::new());
}

#[test]
fn an_rfc_in_plain_text_is_found() {
    let book = Book::new();
    book.change(EN, "So it is.", "So says RFC 793.");
    book.assert_finding(
        &format!("{EN}:15"),
        "RFC 793 is named in plain text",
        "write `{{#rfc 793}}`",
    );
}

#[test]
fn an_unknown_directive_is_found_with_the_nearest_name() {
    let book = Book::new();
    book.change(KO, "{{#output", "{{#outptu");
    book.assert_finding(
        &format!("{KO}:11"),
        "there is no directive `outptu`",
        "the nearest directives: `output`",
    );
}

#[test]
fn malformed_directives_say_how_to_write_them() {
    for (from, to, remedy) in [
        (
            "{{#figure basics-ports:sizes \"Sizes\"}}",
            "{{#figure basics-ports:sizes}}",
            "write `{{#figure LISTING:FIGURE \"caption\"}}`",
        ),
        (
            "{{#proof basics-ports::a_port_is_taken_once}}",
            "{{#proof basics-ports}}",
            "write `{{#proof LISTING::test_name}}`",
        ),
        (
            "{{#rfc 9293 3.5}}",
            "{{#rfc TCP}}",
            "write `{{#rfc NUMBER}}`",
        ),
        (
            "{{#output basics-ports}}",
            "{{#output basics-ports",
            "end it with `}}`",
        ),
        (
            "{{#output basics-ports}}",
            "See {{#output basics-ports}}",
            "give it a line to itself",
        ),
    ] {
        let book = Book::new();
        book.change(EN, from, to);
        let findings = book.findings();
        assert!(
            findings
                .iter()
                .any(|finding| finding.starts_with(EN) && finding.contains(remedy)),
            "{to}: {findings:?}"
        );
    }
}

#[test]
fn a_record_that_cannot_be_drawn_is_found() {
    let book = Book::new();
    let record = "listings/ch01-basics/ports/record.json";
    book.change(record, "[\"`JSON`\",\"58\"]", "[\"`JSON`\"]");
    book.assert_finding(record, "figure `sizes`", "cargo book record basics-ports");
}

// The languages side by side.

#[test]
fn a_page_in_one_language_only_is_found() {
    let book = Book::new();
    book.remove(EN);
    book.assert_finding(EN, "is missing; `ko` has it", "write it");
}

#[test]
fn a_page_that_one_summary_does_not_list_is_found() {
    let book = Book::new();
    book.write("src/en/SUMMARY.md", "[Book](index.md)\n");
    book.assert_finding(
        "src/en/SUMMARY.md",
        "does not list `ch01-basics/ports.md`",
        "list it at the same place",
    );
}

#[test]
fn a_heading_without_an_id_is_found() {
    let book = Book::new();
    book.change(KO, "## 실행 {#run}", "## 실행");
    book.assert_finding(
        &format!("{KO}:7"),
        "heading «실행» has no id",
        "{#kebab-english}",
    );
}

#[test]
fn a_heading_id_twice_or_not_in_kebab_case_is_found() {
    let book = Book::new();
    book.change(KO, "{#run}", "{#ports}");
    book.assert_finding(&format!("{KO}:7"), "used twice", "an id of its own");
    book.change(KO, "## 실행 {#ports}", "## 실행 {#Run_it}");
    book.assert_finding(&format!("{KO}:7"), "not in kebab case", "lower-case");
}

#[test]
fn different_headings_are_found() {
    let book = Book::new();
    book.change(EN, "{#run}", "{#runs}");
    book.assert_finding(
        &format!("{EN}:7"),
        "has `## runs` where `ko` has `## run`",
        "the same headings",
    );
}

#[test]
fn a_difference_in_structure_is_found_in_its_section() {
    for (part, instead, what) in [
        (
            "{{#output basics-ports}}\n\n",
            "",
            "where `ko` has `{{#output basics-ports}}`",
        ),
        (
            " {{#proof basics-ports::a_port_is_taken_once}}",
            "",
            "where `ko` has `{{#proof basics-ports::a_port_is_taken_once}}`",
        ),
        (
            "| 1 | 2 |",
            "| 1 | 2 |\n| 3 | 4 |",
            "a table of 2 columns and 2 rows",
        ),
        (
            "[term](../index.md#book)",
            "term",
            "where `ko` has a link to `../index.md#book`",
        ),
        (
            "So it is.",
            "So it is.\n\n```rust\nlet a;\n```\n",
            "code in `rust`",
        ),
        (
            "</details>",
            "</details>\n<details><summary>x</summary>y</details>",
            "a folded answer",
        ),
    ] {
        let book = Book::new();
        book.change(EN, part, instead);
        let findings = book.findings();
        assert!(
            findings.iter().any(|finding| finding.starts_with(EN)
                && finding.contains("in section `#run`")
                && finding.contains(what)),
            "{what}: {findings:?}"
        );
    }
}

#[test]
fn a_section_changed_on_one_side_is_stale_on_the_other_until_it_is_synced() {
    let book = Book::new();
    book.change(EN, "So it is.", "So it is, measured.");
    book.assert_finding(
        &format!("{KO}:7"),
        "section `#run` is stale: its text in `en` has changed",
        "cargo book sync ch01-basics/ports.md",
    );
    book.sync("ch01-basics/ports.md");
    assert_eq!(book.findings(), Vec::<String>::new());
}

// Links.

#[test]
fn a_link_to_a_page_that_is_not_there_is_found_with_the_nearest() {
    let book = Book::new();
    book.change(KO, "../index.md#book", "../indx.md");
    book.assert_finding(
        &format!("{KO}:15"),
        "links to `../indx.html`, which is not there",
        "`ko/index.html`",
    );
}

#[test]
fn a_link_to_a_fragment_that_is_not_there_is_found_with_the_nearest() {
    let book = Book::new();
    book.change(KO, "../index.md#book", "../index.md#boook");
    book.assert_finding(&format!("{KO}:15"), "a page that has no `#boook`", "`book`");
}

#[test]
fn a_picture_that_is_not_there_is_found() {
    let book = Book::new();
    book.change(EN, "So it is.", "<img src=\"none.png\" alt=\"none\">");
    book.assert_finding(
        &format!("{EN}:15"),
        "links to `none.png`, which is not there",
        "the nearest",
    );
}

#[test]
fn html_that_does_not_close_is_found() {
    let book = Book::new();
    book.change(EN, "So it is.", "So <b>it is.");
    book.assert_finding(
        &format!("{EN}:15"),
        "unclosed HTML tag `<b>`",
        "close what is opened",
    );
}

// Listings.

#[test]
fn a_package_beside_the_chapters_is_a_listing_where_it_says_what_it_shows() {
    let book = Book::new();
    let manifest = "[package]\nname = \"lab\"\ndescription = \"A network\"\n";
    book.write("listings/lab/Cargo.toml", manifest);
    assert_eq!(book.findings(), Vec::<String>::new());
    let told = format!("{manifest}[package.metadata.book]\nwhat.ko = \"망\"\n");
    book.write("listings/lab/Cargo.toml", told);
    book.assert_finding(
        "listings/lab/Cargo.toml",
        "listing `lab` is on no page of `en`",
        "put `{{#listing lab}}` on a page in src/en",
    );
}

#[test]
fn a_listing_that_is_on_no_page_is_found() {
    let book = Book::new();
    book.change(EN, "{{#listing basics-ports}}\n", "");
    book.assert_finding(
        "listings/ch01-basics/ports/Cargo.toml",
        "listing `basics-ports` is on no page of `en`",
        "{{#listing basics-ports}}",
    );
}

#[test]
fn a_listing_may_await_its_page_until_it_has_one() {
    let book = Book::new();
    let manifest = "listings/ch01-basics/ports/Cargo.toml";
    book.change(manifest, "what.ko", "awaits-page = true\nwhat.ko");
    book.assert_finding(
        manifest,
        "listing `basics-ports` awaits a page and is on one of `ko`",
        "take `awaits-page` out",
    );
    let ahead = "listings/ch03-ip/header";
    book.write(
        &format!("{ahead}/Cargo.toml"),
        book.read(manifest).replace("basics-ports", "ip-header"),
    );
    book.write(
        &format!("{ahead}/tests/proofs.rs"),
        "#[test]\nfn a_claim() {}\n",
    );
    book.write(&format!("{ahead}/output.txt"), "read\n");
    book.change(manifest, "awaits-page = true\n", "");
    assert_eq!(book.findings(), Vec::<String>::new());
}

#[test]
fn a_listing_without_output_tests_or_description_is_found() {
    let book = Book::new();
    book.remove("listings/ch01-basics/ports/output.txt");
    book.write("listings/ch01-basics/ports/tests/proofs.rs", "");
    book.change(
        "listings/ch01-basics/ports/Cargo.toml",
        "what.ko = \"한 주소의 두 서비스\"",
        "needs = [\"io-uring\"]",
    );
    book.assert_finding(
        "listings/ch01-basics/ports/output.txt",
        "is missing",
        "cargo book record basics-ports",
    );
    book.assert_finding(
        "listings/ch01-basics/ports/tests/proofs.rs",
        "has no test",
        "assert there",
    );
    book.assert_finding(
        "listings/ch01-basics/ports/Cargo.toml",
        "does not say in `ko` what it shows",
        "what.ko",
    );
    book.assert_finding(
        "listings/ch01-basics/ports/Cargo.toml",
        "needs `io-uring`, which `cargo book doctor` does not know",
        "`io_uring`",
    );
}

#[test]
fn a_figures_text_that_is_not_translated_is_found_and_so_is_one_too_many() {
    let book = Book::new();
    book.change("src/ko/labels.toml", "\"format\" =", "\"formats\" =");
    book.assert_finding(
        "listings/ch01-basics/ports/record.json",
        "«format» has no word in `ko`",
        "src/ko/labels.toml",
    );
    book.assert_finding(
        "src/ko/labels.toml:1",
        "no figure says «formats»",
        "take it out",
    );
}

#[test]
fn a_chapter_folder_without_pages_is_found() {
    let book = Book::new();
    std::fs::rename(
        book.path("listings/ch01-basics"),
        book.path("listings/ch01-basic"),
    )
    .unwrap();
    book.assert_finding(
        "listings/ch01-basic/ports/Cargo.toml",
        "stands in `ch01-basic`, which is no chapter's folder",
        "one name",
    );
}

// Prose and tables.

#[test]
fn emphasis_that_does_not_close_before_a_particle_is_found() {
    let book = Book::new();
    book.change(KO, "이것은", "**연결(connection)**을 봅니다. 이것은");
    book.assert_finding(
        &format!("{KO}:15"),
        "an asterisk is printed as it stands",
        "put the particle inside",
    );
}

#[test]
fn curly_quotes_beside_hangul_and_smart_punctuation_are_found() {
    let book = Book::new();
    book.change(KO, "이것은", "“연결“을 봅니다. 이것은");
    book.assert_finding(
        &format!("{KO}:15"),
        "a curly quote `“` stands beside Hangul",
        "straight quotes",
    );
    book.change(
        "book.toml",
        "smart-punctuation = false",
        "smart-punctuation = true",
    );
    book.assert_finding("book.toml", "smart-punctuation is on", "= false");
}

#[test]
fn a_spelling_that_the_term_table_rejects_is_found_in_prose_captions_and_labels() {
    let book = Book::new();
    book.change(KO, "이것은", "쓰레드는");
    book.change(KO, "\"크기\"", "\"쓰레드 크기\"");
    book.change("src/ko/labels.toml", "형식", "쓰레드");
    for place in [
        &format!("{KO}:15"),
        &format!("{KO}:13"),
        "src/ko/labels.toml:1",
    ] {
        book.assert_finding(
            place,
            "`쓰레드` is not how the term table spells it",
            "`스레드`",
        );
    }
    let book = Book::new();
    book.change(KO, "이것은", "`쓰레드`는 코드이고 이것은");
    book.sync("ch01-basics/ports.md");
    assert_eq!(book.findings(), Vec::<String>::new());
}

#[test]
fn a_term_or_a_word_that_lacks_a_language_is_found() {
    let book = Book::new();
    book.change("src/terms.toml", "what.ko = \"실행의 한 흐름.\"\n", "");
    book.assert_finding("src/terms.toml:3", "has no definition in `ko`", "what.ko");
    let words = book.read("theme/words.toml");
    book.write(
        "theme/words.toml",
        format!("{words}\n[novel]\nen = \"novel\"\n"),
    );
    book.assert_finding(
        "theme/words.toml",
        "`novel` has no word in `ko`",
        "under [novel]",
    );
}

#[test]
fn a_word_that_the_site_shows_and_no_language_has_is_found() {
    let book = Book::new();
    book.change("theme/words.toml", "[tested]", "[testet]");
    book.assert_finding(
        "theme/words.toml",
        "has no word `tested`, which the site shows",
        "add [tested]",
    );
}

#[test]
fn an_rfc_that_points_outside_of_the_table_is_found() {
    let book = Book::new();
    book.change(
        "src/rfc.toml",
        "obsoleted-by = [9293]",
        "obsoleted-by = [9999]",
    );
    book.assert_finding(
        "src/rfc.toml:2",
        "points to RFC 9999, which is not in the table",
        "add [rfc.9999]",
    );
}

#[test]
fn a_page_that_is_not_utf_8_is_found_at_its_line() {
    let book = Book::new();
    // EUC-KR for 연결.
    book.write(KO, b"# \xBF\xAC\xB0\xE1 {#ports}\n");
    book.assert_finding(
        &format!("{KO}:1"),
        "is not UTF-8",
        "iconv -f EUC-KR -t UTF-8",
    );
}

#[test]
fn a_directive_in_a_heading_is_found() {
    let book = Book::new();
    book.change(EN, "## Run it", "## Run {{#rfc 9293}}");
    book.assert_finding(
        &format!("{EN}:7"),
        "`{{#rfc 9293}}` stands in a heading",
        "take it into the text below",
    );
}

#[test]
fn an_rfc_is_found_however_it_is_written_and_in_the_words_of_html() {
    for (from, to, line) in [
        ("So it is.", "So says RFC793.", 15),
        ("So it is.", "So says RFC\u{a0}793.", 15),
        ("<summary>Question", "<summary>Does RFC 793 say so?", 22),
    ] {
        let book = Book::new();
        book.change(EN, from, to);
        book.assert_finding(&format!("{EN}:{line}"), "RFC 793 is named", "{{#rfc 793}}");
    }
    let book = Book::new();
    book.change(EN, "## Run it", "## RFC 793");
    book.assert_finding(&format!("{EN}:7"), "RFC 793 is named", "below");
}

#[test]
fn an_anchor_that_is_not_closed_is_told_from_one_that_is_not_there() {
    let book = Book::new();
    let main = "listings/ch01-basics/ports/src/main.rs";
    book.change(main, "ANCHOR_END: bind", "ANCHOR_END: bnid");
    book.assert_finding(
        &format!("{EN}:9"),
        "anchor `bind` of `listings/ch01-basics/ports/src/main.rs` is not closed",
        "`ANCHOR_END: bind`",
    );
}

#[test]
fn a_proof_that_does_not_run_is_found() {
    let book = Book::new();
    let proofs = "listings/ch01-basics/ports/tests/proofs.rs";
    book.change(proofs, "#[test]", "#[test]\n#[ignore = \"slow\"]");
    book.assert_finding(
        &format!("{EN}:15"),
        "test `a_port_is_taken_once` of listing `basics-ports` is ignored",
        "let it run",
    );
    book.assert_finding(proofs, "has no test", "assert there");
}

#[test]
fn a_link_that_leads_out_of_the_site_is_found() {
    // From `/book/ko/ch01-basics/` both lead to the host's own root.
    for link in ["/index.html", "../../../index.html"] {
        let book = Book::new();
        book.change(EN, "So it is.", &format!("So [it]({link}) is."));
        book.assert_finding(
            &format!("{EN}:15"),
            &format!("links to `{link}`, which leads out of the site"),
            "from this page",
        );
    }
}

#[test]
fn a_page_whose_name_is_no_address_is_found() {
    let book = Book::new();
    book.write("src/ko/C#.md", "# C# {#c}\n");
    book.assert_finding("src/ko/C#.md", "has a name", "lower-case ASCII letters");
}

#[test]
fn underscores_and_tildes_that_do_not_close_are_found_and_names_are_not() {
    for wrong in ["_강조_를", "~~취소(cancel)~~를"] {
        let book = Book::new();
        book.change(KO, "이것은", &format!("{wrong} 봅니다. 이것은"));
        book.assert_finding(&format!("{KO}:15"), "is printed as it stands", "reorder");
    }
    let book = Book::new();
    book.change(KO, "이것은", "snd_una, \\_이것\\_, _이것_. 이것은");
    let findings = book.findings().join("\n");
    assert!(!findings.contains("is printed as it stands"), "{findings}");
}

#[test]
fn a_conflict_in_the_lock_file_is_found_at_its_line() {
    let book = Book::new();
    let lock = book.read("src/sync.lock");
    book.write("src/sync.lock", format!("{lock}<<<<<<< HEAD\n"));
    book.assert_finding(
        &format!("src/sync.lock:{}", lock.lines().count() + 1),
        "`<<<<<<< HEAD`",
        "settle the merge",
    );
}

#[test]
fn a_source_outside_of_its_listing_is_found() {
    for path in ["../../../book.toml", "/etc/hostname"] {
        let book = Book::new();
        book.change(EN, "src/main.rs:bind", path);
        book.assert_finding(
            &format!("{EN}:9"),
            &format!("`{path}` leads out of listing `basics-ports`"),
            "one of its own files",
        );
    }
}

#[test]
fn a_heading_in_a_list_or_a_quotation_is_found() {
    for sign in ["- ", "> "] {
        let book = Book::new();
        book.change(
            EN,
            "So it is.",
            &format!("So it is.\n\n{sign}## Not here {{#x}}\n"),
        );
        book.assert_finding(
            &format!("{EN}:17"),
            "heading «Not here» stands in a list or a quotation",
            "take it out",
        );
    }
}

#[test]
fn a_backtick_in_a_line_of_html_is_found() {
    let book = Book::new();
    book.change(
        EN,
        "<summary>Question</summary>",
        "<summary>What is `SYN`?</summary>",
    );
    book.assert_finding(
        &format!("{EN}:22"),
        "a backtick is printed as it stands",
        "write `<code>…</code>`",
    );
}
