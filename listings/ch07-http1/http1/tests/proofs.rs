//! What the program shows.

use std::sync::OnceLock;

use record::Field;
use testkit::{Run, listing};

/// One run serves all proofs.
fn run() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| listing!().run().succeeds())
}

#[test]
fn it_prints_and_records_what_the_page_shows() {
    run().matches_output();
    run().matches_record();
}

#[test]
fn it_takes_no_arguments() {
    let run = listing!().arg("8080").run();
    assert_eq!(run.status.code(), Some(2));
    assert_eq!(run.stderr, "usage: http1 (it takes no arguments)\n");
    assert!(run.stdout.is_empty());
}

/// The names of fields that have none inside them, from the first byte to the last.
fn leaves(fields: &[Field], at: &mut usize, names: &mut Vec<String>) {
    for field in fields {
        assert_eq!(
            field.bit, *at,
            "{:?} begins where the one before ends",
            field.name
        );
        if field.fields.is_empty() {
            *at += field.bits;
            names.push(field.name.to_string());
        } else {
            leaves(&field.fields, at, names);
            assert_eq!(
                field.bit + field.bits,
                *at,
                "{:?} ends with the last in it",
                field.name
            );
        }
    }
}

#[test]
fn every_byte_of_both_messages_is_part_of_something() {
    for (name, messages_first) in [("request", "`method`"), ("response", "`HTTP-version`")] {
        let wire = run().wire(name);
        let (mut at, mut names) = (0, Vec::new());
        leaves(&wire.fields, &mut at, &mut names);
        assert_eq!(at, wire.bytes.len() * 8);
        assert_eq!(names[0], messages_first);
    }
}

#[test]
fn a_head_is_lines_that_end_in_crlf_and_an_empty_one() {
    for name in ["request", "response"] {
        let bytes = &run().wire(name).bytes;
        let text = std::str::from_utf8(bytes).unwrap();
        let (head, content) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.split("\r\n").count() == 4 && !content.is_empty());
        assert!(!head.replace("\r\n", "").contains(['\r', '\n']));
    }
}

#[test]
fn each_message_of_the_table_ends_as_rfc_9112_says() {
    let rows = &run().table("framing").rows;
    let ends: Vec<&str> = rows.iter().map(|row| row[1].as_str()).collect();
    let expected = [
        "with the head",
        "after 5 bytes",
        "with a chunk of size 0",
        "after 5 bytes",
        "with the head",
        "with the head",
        "with a chunk of size 0",
        "with the connection",
    ];
    assert_eq!(ends, expected);
}

#[test]
fn each_forged_request_is_refused_with_400_at_its_byte() {
    let rows = &run().table("refused").rows;
    assert_eq!(rows.len(), 10);
    for row in rows {
        assert_eq!(row[4], "400", "{row:?}");
        assert!(row[2].parse::<usize>().unwrap() > 30, "{row:?}");
        assert!(row[3].starts_with("`RFC 9112 §"), "{row:?}");
    }
}

#[test]
fn content_is_handed_on_as_it_comes() {
    assert!(run().stdout.contains("the content comes in 5 pieces"));
}
