//! What the page says about messages, and what holds for every one.

#[path = "../src/captured.rs"]
mod captured;
#[path = "../src/hostile.rs"]
mod hostile;
mod strategies;
mod support;

use std::collections::HashSet;
use std::sync::OnceLock;

use proptest::prelude::*;
use strategies::{name, parts};
use support::{holds, steps_at_most, write};
use testkit::Run;
use udp_dns_message::{
    Class, Edns, EdnsOption, EdnsOptions, Error, Flags, HEADER_LEN, Header, MAX_LABELS,
    MAX_MESSAGE_LEN, MAX_POINTERS, Message, Name, NameBuf, OptionCode, Question, Rcode, Rdata,
    Reason, Record, Section, Txt, Type, Writer, frame,
};

fn run() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| testkit::listing!().run().succeeds())
}

fn buf(text: &str) -> NameBuf {
    text.parse().unwrap()
}

fn message(name: &str) -> Message<'static> {
    Message::parse(captured::find(name).message().unwrap()).unwrap()
}

fn error(bytes: &[u8]) -> Error {
    holds(bytes);
    Message::parse(bytes).unwrap_err()
}

fn misplaced(field: &'static str, offset: usize, found: usize) -> Error {
    let reason = Reason::Misplaced { found };
    Error {
        field,
        offset,
        reason,
    }
}

fn more_than(field: &'static str, offset: usize, most: usize, found: usize) -> Error {
    let reason = Reason::MoreThan { most, found };
    Error {
        field,
        offset,
        reason,
    }
}

#[test]
fn the_output_is_what_the_page_prints() {
    run().matches_output();
    run().matches_record();
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = testkit::listing!().arg("what").run();
    assert_eq!(run.status.code(), Some(2));
    let usage = "usage: udp-dns-message (it takes no arguments)\n";
    assert_eq!(run.stderr, usage);
}

// What was captured.

#[test]
fn what_was_captured_is_read_and_written_anew_and_says_the_same() {
    for captured in captured::ALL {
        let bytes = captured.message().unwrap();
        holds(bytes);
        let message = Message::parse(bytes).unwrap();
        let mut room = [0; MAX_MESSAGE_LEN];
        let anew = write(&message, &mut room).unwrap();
        // Who compresses in the same way writes the same; nobody here compresses better.
        assert!(anew.len() <= bytes.len(), "{}", captured.name);
        // A query has a single name, so there is one way to write it.
        if captured.name.ends_with("-query") {
            assert_eq!(anew, bytes, "{}", captured.name);
        }
    }
}

#[test]
fn a_query_says_in_opt_how_long_an_answer_may_be() {
    let query = message("a-query");
    assert_eq!(query.edns(), Some(Edns::new(1232)));
    assert_eq!(query.question().unwrap().to_string(), "example.com. IN A");
    assert_eq!(query.header().flags, Flags::RD | Flags::AD);
    // It is counted among the additional records, but is none of them.
    assert_eq!(query.additionals().count(), 0);
    assert_eq!(query.as_bytes()[10..12], [0, 1]);
}

#[test]
fn the_answer_keeps_the_case_of_the_question() {
    let answer = message("cname-answer");
    let question = answer.question().unwrap().name;
    assert_eq!(question.to_string(), "WWW.example.com.");
    assert_eq!(question, buf("www.example.com").name());
    assert!(!question.eq_case(buf("www.example.com").name()));
    assert!(question.eq_case(message("cname-query").question().unwrap().name));
}

#[test]
fn compression_saves_more_than_a_third_of_the_answer_about_mail() {
    let answer = message("mx-answer");
    let (len, saved) = (answer.as_bytes().len(), uncompressed(&answer));
    assert!(len * 3 < saved * 2, "{len} of {saved} bytes");
}

/// How long a message would be without pointers.
fn uncompressed(message: &Message) -> usize {
    let saved = |name: Name| name.wire_len() - name.encoded_len();
    let mut len = message.as_bytes().len();
    len += message
        .questions()
        .map(|each| saved(each.name))
        .sum::<usize>();
    for section in Section::ALL {
        for record in message.records(section) {
            len += saved(record.name);
            len += match record.rdata {
                Rdata::Cname(name) | Rdata::Ns(name) | Rdata::Ptr(name) => saved(name),
                Rdata::Mx { exchange, .. } => saved(exchange),
                Rdata::Soa(soa) => saved(soa.mname) + saved(soa.rname),
                Rdata::Srv { target, .. } => saved(target),
                _ => 0,
            };
        }
    }
    len
}

#[test]
fn a_truncated_answer_says_so_and_has_no_part_of_what_did_not_fit() {
    let (cut, whole) = (message("truncated-answer"), message("tcp-answer"));
    assert!(cut.header().flags.contains(Flags::TC));
    assert!(!whole.header().flags.contains(Flags::TC));
    assert_eq!((cut.answers().count(), whole.answers().count()), (0, 3));
    assert!(cut.as_bytes().len() <= 512 && whole.as_bytes().len() > 512);

    // Ours as well: written for 512 bytes, TC and no answer; for 1,232, all of it.
    let mut lines = run().stdout.lines();
    let line = lines
        .find(|line| line.starts_with("at most  512 bytes"))
        .unwrap();
    assert!(line.ends_with("answers 0, truncated (TC)"), "{line}");
    let line = lines.next().unwrap();
    assert!(line.starts_with("at most 1232 bytes"), "{line}");
    assert!(line.ends_with("answers 3, complete"), "{line}");
}

#[test]
fn a_name_that_does_not_exist_comes_with_the_start_of_authority() {
    let answer = message("nxdomain-answer");
    assert_eq!(answer.header().rcode, Rcode::NXDOMAIN);
    assert_eq!(answer.answers().count(), 0);
    let soa = answer.authorities().next().unwrap();
    let text = "example.com. 300 IN SOA ns1.example.com. hostmaster.example.com. \
                2026112301 7200 3600 1209600 300";
    assert_eq!(soa.to_string(), text);
}

#[test]
fn a_type_that_is_not_known_here_stays_bytes() {
    // HTTPS (RFC 9460): priority 1, the root, alpn = h3, h2.
    let answer = message("https-answer").answers().next().unwrap();
    assert_eq!(answer.rtype(), Type::HTTPS);
    let text = "\\# 13 0001000001000602683302683 2";
    assert_eq!(
        answer.rdata.to_string(),
        text.replace(' ', "").replacen("\\#13", "\\# 13 ", 1)
    );
}

// Names.

#[test]
fn the_example_of_rfc_1035_is_written_as_it_stands_there() {
    // F.ISI.ARPA, FOO.F.ISI.ARPA, ARPA and the root (RFC 1035 §4.1.4), at other places.
    let names = ["F.ISI.ARPA", "FOO.F.ISI.ARPA", "ARPA", "."].map(buf);
    let mut room = [0; 512];
    let mut writer = Writer::new(&mut room, Header::query(0), None).unwrap();
    for name in &names {
        let question = Question {
            name: name.name(),
            qtype: Type::A,
            class: Class::IN,
        };
        writer.question(&question).unwrap();
    }
    let bytes = writer.finish();
    let expected = [
        b"\x01F\x03ISI\x04ARPA\0\0\x01\0\x01".as_slice(), // at 12
        b"\x03FOO\xc0\x0c\0\x01\0\x01",                   // at 28: FOO, and what stands at 12
        b"\xc0\x12\0\x01\0\x01",                          // what stands at 18
        b"\0\0\x01\0\x01",
    ];
    assert_eq!(bytes[HEADER_LEN..], expected.concat());
    let read = Message::parse(bytes).unwrap();
    assert!(read.questions().map(|each| each.name.to_buf()).eq(names));
}

#[test]
fn a_pointer_leads_backwards_or_is_refused() {
    // A name at 12, and a pointer at 21 to each place that there is.
    let mut bytes = hostile::header(2);
    bytes.extend(*b"\x03www\0\0\x01\0\x01\xc0\0\0\x01\0\x01");
    for target in 0..1_u16 << 14 {
        bytes[21..23].copy_from_slice(&(0xc000 | target).to_be_bytes());
        let parsed = Message::parse(&bytes);
        let target = usize::from(target);
        match target {
            0..12 => {
                let reason = Reason::LessThan {
                    least: 12,
                    found: target,
                };
                let error = parsed.unwrap_err();
                assert_eq!(
                    (error.field, error.offset, error.reason),
                    ("pointer", 21, reason)
                );
            }
            21.. => assert_eq!(parsed.unwrap_err(), more_than("pointer", 21, 20, target)),
            _ => {
                // Whatever it reads there, it reads in front of the pointer.
                if let Ok(message) = parsed {
                    let last = message.questions().last().unwrap();
                    assert!(target + last.name.wire_len() <= 21, "{target}");
                }
            }
        }
        holds(&bytes);
    }
    bytes[21..23].copy_from_slice(b"\xc0\x0c");
    let names = Message::parse(&bytes)
        .unwrap()
        .questions()
        .map(|each| each.name.to_string());
    assert_eq!(names.collect::<Vec<_>>(), ["www.", "www."]);
}

#[test]
fn what_a_pointer_leads_to_ends_before_the_pointer_s_own_name_begins() {
    // The pointer leads to the last byte of the first question, a 1. As a label it would be a byte
    // of the pointer itself, and the name would go on behind that.
    let mut bytes = hostile::header(2);
    bytes.extend(*b"\x03www\0\0\x01\0\x01\xc0\x14\0\x01\0\x01");
    assert_eq!(error(&bytes), more_than("label", 20, 1, 2));
    // A name that ends there is none that goes on here.
    bytes[20] = 0;
    assert!(Message::parse(&bytes).is_ok());
}

#[test]
fn a_loop_is_refused_where_it_closes() {
    assert_eq!(
        error(&hostile::question(b"\xc0\x0c")),
        more_than("pointer", 12, 11, 12)
    );
    let closed = more_than("pointer", 16, 11, 12);
    assert_eq!(error(&hostile::question(b"\x03www\xc0\x0c")), closed);
    // Two pointers that lead to each other: the first of them leads forwards.
    let mut two = hostile::header(2);
    two.extend(*b"\xc0\x12\0\x01\0\x01\xc0\x0c\0\x01\0\x01");
    assert_eq!(error(&two), more_than("pointer", 12, 11, 18));
}

#[test]
fn as_many_pointers_as_labels_can_use_are_followed_and_no_more() {
    let chain = |names: usize| hostile::chain(HEADER_LEN + 6 * names);
    // The first name has no pointer, the second one, …
    let most = chain(1 + MAX_POINTERS);
    assert_eq!(
        Message::parse(&most).unwrap().questions().count(),
        1 + MAX_POINTERS
    );
    let one_more = chain(2 + MAX_POINTERS);
    let refused = error(&one_more);
    assert_eq!(
        (refused.field, refused.offset),
        ("pointers", one_more.len() - 7 + 1)
    );
}

#[test]
fn no_name_is_longer_than_255_bytes_however_it_is_put_together() {
    let label = |len: usize| vec![b'a'; len];
    let name = |lens: [usize; 4]| NameBuf::from_labels(lens.map(label).iter().map(Vec::as_slice));
    let longest = name([63, 63, 63, 61]).unwrap();
    assert_eq!(longest.name().wire_len(), 255);
    let too_long = name([63, 63, 63, 62]).unwrap_err();
    assert_eq!(too_long, more_than("name", 0, 255, 256));
    // In one piece, and by way of a pointer.
    assert!(Message::parse(&hostile::question(longest.as_wire())).is_ok());
    let mut two = hostile::header(2);
    two.extend(longest.as_wire());
    two.extend(*b"\0\x01\0\x01\x01b\xc0\x0c\0\x01\0\x01");
    let at = HEADER_LEN + 255 + 4;
    assert_eq!(error(&two), more_than("name", at, 255, 257));
}

#[test]
fn a_label_has_63_bytes_at_most_and_other_kinds_of_label_are_refused() {
    for kind in 64..192 {
        let name = [vec![kind], vec![b'a'; 255]].concat();
        let refused = error(&hostile::question(&name));
        assert_eq!(refused, more_than("label", 12, 63, kind.into()));
    }
    let most = [vec![63], vec![b'a'; 63], vec![0]].concat();
    assert!(Message::parse(&hostile::question(&most)).is_ok());
}

#[test]
fn names_are_equal_in_any_case_and_only_in_ascii() {
    let (lower, upper) = (buf("www.example.com"), buf("WWW.eXample.COM"));
    assert_eq!(lower, upper);
    assert_eq!(HashSet::from([lower, upper]).len(), 1);
    assert!(!lower.name().eq_case(upper.name()));
    // 0xe4 and 0xc4 are ä and Ä in Latin-1, which DNS does not know (RFC 4343 §2).
    assert_ne!(buf(r"\228"), buf(r"\196"));
    // `[` is `{` but for the bit in which letters differ by case.
    assert_ne!(buf("["), buf("{"));
    assert_ne!(buf("www.example"), buf("www.example.com"));
    assert_ne!(buf("wwwexample.com"), buf("www.example.com"));
}

#[test]
fn names_have_the_order_of_rfc_4034() {
    // RFC 4034 §6.1.
    let names = [
        "example",
        "a.example",
        "yljkjljk.a.example",
        "Z.a.example",
        "zABC.a.EXAMPLE",
        "z.example",
        r"\001.z.example",
        "*.z.example",
        r"\200.z.example",
    ];
    let names = names.map(buf);
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    assert!(NameBuf::root() < names[0]);
}

#[test]
fn a_name_is_below_its_ancestors_and_no_others() {
    let name = buf("www.Example.com");
    for ancestor in ["www.example.com", "example.COM", "com", "."] {
        assert!(
            name.name().is_at_or_below(buf(ancestor).name()),
            "{ancestor}"
        );
    }
    for other in [
        "a.www.example.com",
        "ample.com",
        "www.example",
        "org",
        "example",
    ] {
        assert!(!name.name().is_at_or_below(buf(other).name()), "{other}");
    }
    let parents = std::iter::successors(Some(name.name()), |name| name.parent());
    let parents: Vec<String> = parents.map(|name| name.to_string()).collect();
    assert_eq!(parents, ["www.Example.com.", "Example.com.", "com.", "."]);
}

#[test]
fn text_is_read_with_its_escapes_and_an_error_says_where() {
    assert_eq!(buf(r"a\.b.c").as_wire(), b"\x03a.b\x01c\0");
    assert_eq!(buf(r"\000\255.").as_wire(), b"\x02\0\xff\0");
    assert_eq!(buf(r"\\").to_string(), r"\\.");
    assert_eq!(buf(".").as_wire(), b"\0");
    let wrong = |text: &str| text.parse::<NameBuf>().unwrap_err().to_string();
    let long = "a".repeat(64);
    for (text, error) in [
        ("", "label at byte 0 is 0, less than 1"),
        (".com", "label at byte 0 is 0, less than 1"),
        ("www..com", "label at byte 4 is 0, less than 1"),
        ("a b", "label at byte 1 is 32, which has no place here"),
        ("w\u{e4}", "label at byte 1 is 195, which has no place here"),
        (
            r"a.\25",
            "escape at byte 2 is cut off: 5 of 6 bytes are there",
        ),
        (r"a.\256", "escape at byte 2 is 256, more than 255"),
        (
            r"a.\2x6",
            "escape at byte 2 is 120, which has no place here",
        ),
        (
            "a.\\",
            "escape at byte 2 is cut off: 3 of 4 bytes are there",
        ),
        (&format!("a.{long}"), "label at byte 2 is 64, more than 63"),
        (&"abc.".repeat(64), "name at byte 0 is 257, more than 255"),
    ] {
        assert_eq!(wrong(text), error, "{text}");
    }
}

#[test]
fn the_case_of_letters_can_be_chosen_and_nothing_else_changes() {
    let name = buf(r"w3-w.\200x.com");
    let upper = name.map_case(|_| true);
    assert_eq!(upper.to_string(), r"W3-W.\200X.COM.");
    assert_eq!(upper, name);
    let mixed = name.map_case(|at| at % 2 == 1);
    assert_eq!(
        (mixed, mixed.map_case(|_| false).to_string()),
        (name, name.to_string())
    );
}

// Broken messages.

#[test]
fn every_broken_message_is_refused_by_field_and_place() {
    let table = run().table("broken");
    let broken = hostile::broken();
    assert_eq!(table.rows.len(), broken.len());
    for ((_, bytes), row) in broken.iter().zip(&table.rows) {
        assert_eq!(row[2], format!("`{}`", error(bytes)));
    }
    let wrong = |what: &str| {
        let (_, bytes) = broken.iter().find(|(name, _)| *name == what).unwrap();
        error(bytes).to_string()
    };
    assert_eq!(
        wrong("a pointer to itself"),
        "pointer at byte 12 is 12, more than 11"
    );
    assert_eq!(
        wrong("a label of 64 bytes"),
        "label at byte 12 is 64, more than 63"
    );
    assert_eq!(
        wrong("a name of 256 bytes"),
        "name at byte 12 is 256, more than 255"
    );
    assert_eq!(
        wrong("five bytes for an address"),
        "rdlength at byte 21 is 5, not 4"
    );
    assert_eq!(
        wrong("OPT twice"),
        "type at byte 24 is 41, which has no place here"
    );
}

#[test]
fn a_message_that_ends_anywhere_is_cut_off_at_a_field() {
    for captured in captured::ALL {
        let bytes = captured.message().unwrap();
        for len in 0..bytes.len() {
            let error = error(&bytes[..len]);
            let Reason::Truncated { needed, available } = error.reason else {
                panic!("{}, {len} bytes: {error}", captured.name);
            };
            assert!(
                available == len && needed > len && needed <= bytes.len(),
                "{error}"
            );
            assert!(error.offset <= len, "{error}");
        }
    }
}

#[test]
fn a_message_with_any_bit_flipped_or_any_byte_replaced_is_read_or_refused() {
    for captured in captured::ALL {
        let mut bytes = captured.message().unwrap().to_vec();
        for at in 0..bytes.len() {
            let was = bytes[at];
            for bit in 0..8 {
                bytes[at] = was ^ 1 << bit;
                holds(&bytes);
            }
            for other in [0, 0x3f, 0x40, 0xc0, 0xff] {
                bytes[at] = other;
                holds(&bytes);
            }
            bytes[at] = was;
        }
    }
}

#[test]
fn what_follows_the_last_record_is_refused() {
    let bytes = [message("mx-answer").as_bytes(), &[0]].concat();
    assert_eq!(error(&bytes), more_than("message", 121, 121, 122));
    // Another count, and it would be the beginning of something.
    let longest = vec![0; MAX_MESSAGE_LEN + 1];
    assert_eq!(error(&longest), more_than("message", 0, 65_535, 65_536));
}

#[test]
fn a_record_has_exactly_the_data_that_its_type_has() {
    let with = |rtype: u8, data: &[u8]| {
        let mut bytes = hostile::header(0);
        bytes[7] = 1;
        bytes.extend([0, 0, rtype, 0, 1, 0, 0, 0, 9, 0, data.len() as u8]);
        bytes.extend(data);
        Message::parse(&bytes)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    for (rtype, data, wrong) in [
        (1, &[0; 4][..], ""),
        (1, &[0; 3], "rdlength at byte 21 is 3, not 4"),
        (28, &[0; 16], ""),
        (28, &[0; 4], "rdlength at byte 21 is 4, not 16"),
        (5, b"\x01a\0", ""),
        (5, b"\x01a\0x", "rdlength at byte 21 is 4, not 3"),
        (15, b"\0\x0a\0", ""),
        (15, b"\0", "rdlength at byte 21 is 1, less than 3"),
        (33, b"\0\0\0\0\0\0\0", ""),
        (33, b"\0\0\0\0\0\0\0\0", "rdlength at byte 21 is 8, not 7"),
        (6, &[0; 22], ""),
        (6, &[0; 21], "rdlength at byte 21 is 21, not 22"),
        (16, b"\x02ab\0", ""),
        (16, b"", "string at byte 23 is 0, less than 1"),
        (16, b"\x02ab\x02c", "string at byte 26 is 2, more than 1"),
        (99, b"whatever", ""),
    ] {
        let parsed = with(rtype, data);
        let said = parsed.err().unwrap_or_default();
        assert_eq!(said, wrong, "type {rtype}, {data:?}");
    }
    // A name does not end beyond its record, though the message goes on.
    let mut bytes = hostile::header(0);
    bytes[7] = 2;
    for _ in 0..2 {
        bytes.extend(*b"\0\0\x05\0\x01\0\0\0\x09\0\x03\x02ab");
    }
    assert_eq!(error(&bytes), more_than("name", 23, 3, 4));
}

#[test]
fn an_address_is_one_in_the_internet_only_and_nothing_is_read_in_an_update() {
    let with = |class: u8, data: &[u8]| {
        let mut bytes = hostile::header(0);
        bytes[7] = 1;
        bytes.extend([0, 0, 1, 0, class, 0, 0, 0, 0, 0, data.len() as u8]);
        bytes.extend(data);
        let message = Message::parse(&bytes).unwrap();
        message.answers().next().unwrap().rdata.to_string()
    };
    assert_eq!(with(1, &[192, 0, 2, 1]), "192.0.2.1");
    assert_eq!(with(3, b"\x01a\0\x01"), "\\# 4 01610001"); // an address of Chaosnet
    assert_eq!(with(255, b""), "\\# 0"); // delete a set of records (RFC 2136 §2.5.2)
}

// The work.

/// Names with no pointer, one, … up to the most, each with its end; and the pointers of the next.
const CHAIN_UNTIL_REFUSED: usize = (1 + MAX_POINTERS) * (2 + MAX_POINTERS) / 2 + 1 + MAX_POINTERS;

#[test]
fn work_grows_with_the_length_of_a_message_and_no_faster() {
    let steps = |bytes: &[u8]| {
        let mut steps = 0;
        let parsed = Message::parse_counting(bytes, &mut steps);
        (parsed.is_ok(), steps)
    };
    for len in [4096, 8192, 16_384, 32_768, MAX_MESSAGE_LEN] {
        let costly = hostile::costly(len);
        assert!(costly.len().abs_diff(len) < 8);
        let (accepted, count) = steps(&costly);
        assert!(accepted && count <= steps_at_most(len), "{count}");
        // It is nearly the worst that there can be, so the bound is no idle one.
        assert!(
            len < 32_768 || count * 10 > steps_at_most(len) * 9,
            "{count}"
        );
        // Twice as long is at most twice as much, but for the names at the beginning.
        let (_, half) = steps(&hostile::costly(len / 2));
        assert!(count < half * 3, "{half} and {count} steps");
        // And the chain of pointers is refused as soon as it is too long, whatever its length.
        let (accepted, count) = steps(&hostile::chain(len));
        assert!(!accepted && count == CHAIN_UNTIL_REFUSED, "{count}");
    }
    assert!(steps_at_most(MAX_MESSAGE_LEN) < 2_800_000);
}

#[test]
fn who_does_not_count_pointers_works_a_hundred_times_as_much() {
    let work = run().series("work");
    let line = |name: &str| {
        let line = work.lines.iter().find(|line| line.name == name).unwrap();
        line.points.last().unwrap().1
    };
    let followed = line("a chain of pointers, followed to its end");
    assert!(followed > 100.0 * line("the chain, refused"));
    assert!(followed > 9.0 * line("the most expensive message that is accepted"));
}

#[test]
fn messages_of_64_kib_of_every_kind_are_read_or_refused() {
    let len = MAX_MESSAGE_LEN;
    let repeated = |pattern: &[u8], counts: [u16; 4]| -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34, 0, 0];
        bytes.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
        bytes.extend(pattern.iter().cycle().take(len - HEADER_LEN));
        bytes
    };
    let most = u16::MAX;
    let record = b"\xc0\x0c\0\x02\0\x01\0\0\0\0\0\x02\xc0\x0c";
    for bytes in [
        vec![0; len],
        vec![0xff; len],
        repeated(&[0xc0, 0x0c], [most; 4]),
        repeated(b"\x01a", [1, 0, 0, 0]),
        repeated(&[63], [most, 0, 0, 0]),
        repeated(b"\0\0\x01\0\x01", [13_104, 0, 0, 0]),
        repeated(b"\0\0\x02\0\x01\0\0\0\0\0\x01\0", [0, 5460, 0, 0]),
        repeated(record, [0, most, most, most]),
        repeated(b"\0\0\x29\xff\xff\0\0\0\0\0\0", [0, 0, 0, most]),
        hostile::chain(len),
        hostile::costly(len),
    ] {
        holds(&bytes);
    }
    // One record that fills the message.
    let mut bytes = hostile::header(0);
    bytes[7] = 1;
    let data = len - HEADER_LEN - 11;
    bytes.extend([0, 0, 99, 0, 1, 0, 0, 0, 0]);
    bytes.extend((data as u16).to_be_bytes());
    bytes.resize(len, 7);
    holds(&bytes);
    assert_eq!(Message::parse(&bytes).unwrap().answers().count(), 1);
}

// EDNS.

#[test]
fn opt_is_laid_out_as_rfc_6891_says() {
    let mut options = [0; 12];
    let cookie = EdnsOption {
        code: OptionCode::COOKIE,
        data: &[1, 35, 69, 103, 137, 171, 205, 239],
    };
    let edns = Edns {
        dnssec_ok: true,
        options: EdnsOptions::emit(&[cookie], &mut options).unwrap(),
        ..Edns::new(1232)
    };
    let header = Header {
        rcode: Rcode::BADVERS,
        ..Header::query(0x1234)
    };
    let mut room = [0; 512];
    let bytes = Writer::new(&mut room, header, Some(edns)).unwrap().finish();
    let expected = b"\x12\x34\x01\x00\0\0\0\0\0\0\0\x01\
        \0\0\x29\x04\xd0\x01\0\x80\0\0\x0c\0\x0a\0\x08\x01\x23\x45\x67\x89\xab\xcd\xef";
    assert_eq!(bytes, expected);
    let read = Message::parse(bytes).unwrap();
    assert_eq!((read.header(), read.edns()), (header, Some(edns)));
    assert!(read.edns().unwrap().options.iter().eq([cookie]));
    holds(bytes);
}

#[test]
fn opt_stands_once_and_among_the_additional_records_only() {
    let opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
    let with = |counts: [u8; 3], name: &[u8]| {
        let mut bytes = hostile::header(0);
        [bytes[7], bytes[9], bytes[11]] = counts;
        bytes.extend(name);
        bytes.extend(&opt[1..]);
        bytes
    };
    assert!(
        Message::parse(&with([0, 0, 1], &[0]))
            .unwrap()
            .edns()
            .is_some()
    );
    for counts in [[1, 0, 0], [0, 1, 0]] {
        assert_eq!(error(&with(counts, &[0])), misplaced("type", 13, 41));
    }
    let twice = [with([0, 0, 2], &[0]), opt.to_vec()].concat();
    assert_eq!(error(&twice), misplaced("type", 24, 41));
    let named = error(&with([0, 0, 1], b"\x01a\0"));
    assert_eq!(named.to_string(), "name at byte 12 is 1, not 0");
}

#[test]
fn options_of_an_unknown_version_are_not_judged() {
    let mut bytes = hostile::header(0);
    bytes[11] = 1;
    bytes.extend([0, 0, 41, 4, 208, 0, 1, 0, 0, 0, 3, 1, 2, 3]);
    let edns = Message::parse(&bytes).unwrap().edns().unwrap();
    assert_eq!((edns.version, edns.options), (1, EdnsOptions::NONE));
    // In version 0 three bytes are no option.
    bytes[18] = 0;
    assert_eq!(error(&bytes), more_than("option", 23, 3, 4));
}

// Writing.

#[test]
fn what_does_not_fit_leaves_the_writer_as_it_was() {
    let name = buf("a.long.name.example.com");
    let (short, long) = (vec![1, b'x'], [vec![250], vec![b'x'; 250]].concat());
    let record = |wire| Record {
        name: name.name(),
        class: Class::IN,
        ttl: 1,
        rdata: Rdata::Txt(Txt::new(wire).unwrap()),
    };
    // Whatever the limit: the same as if the long record had never been tried.
    for limit in HEADER_LEN..320 {
        let (mut tried, mut other) = (vec![0xa5; limit], vec![0; limit]);
        let [with, without] = [(&mut tried, true), (&mut other, false)].map(|(room, with)| {
            let mut writer = Writer::new(room, Header::query(7), None).unwrap();
            let mut fits = Vec::new();
            if with {
                let refused = writer.record(Section::Answer, &record(&long));
                if refused.is_ok() {
                    return None;
                }
            }
            fits.push(writer.record(Section::Answer, &record(&short)).is_ok());
            fits.push(writer.record(Section::Answer, &record(&short)).is_ok());
            let bytes = writer.finish();
            holds(bytes);
            Some((fits, bytes.to_vec()))
        });
        if with.is_some() {
            assert_eq!(with, without, "{limit}");
        }
    }
}

#[test]
fn a_set_of_records_is_written_whole_or_not_at_all() {
    let name = buf("example.com");
    let record = |last| Record {
        name: name.name(),
        class: Class::IN,
        ttl: 1,
        rdata: Rdata::A([192, 0, 2, last].into()),
    };
    // Header, one name of 13 bytes and 14 more, then 16 each.
    let mut room = [0; 12 + 27 + 16 * 2 + 15];
    let mut writer = Writer::new(&mut room, Header::query(7), None).unwrap();
    assert!(writer.rrset(Section::Answer, (0..4).map(record)).is_err());
    assert_eq!(writer.room(), room_behind_header());
    assert!(writer.rrset(Section::Answer, (0..3).map(record)).is_ok());
    writer.truncated();
    let message = Message::parse(writer.finish()).unwrap();
    assert_eq!(message.answers().count(), 3);
    assert!(message.header().flags.contains(Flags::TC));
}

const fn room_behind_header() -> usize {
    27 + 16 * 2 + 15
}

#[test]
fn room_for_opt_is_kept_from_the_start() {
    let edns = Edns::new(1232);
    let mut room = [0; HEADER_LEN + 11 + 5];
    let mut writer = Writer::new(&mut room, Header::query(7), Some(edns)).unwrap();
    let root = Question {
        name: Name::ROOT,
        qtype: Type::NS,
        class: Class::IN,
    };
    writer.question(&root).unwrap();
    let full = writer.question(&root).unwrap_err();
    let reason = Reason::Truncated {
        needed: 29,
        available: 28,
    };
    assert_eq!(
        (full.field, full.offset, full.reason),
        ("message", 17, reason)
    );
    let bytes = writer.finish();
    assert_eq!(
        (bytes.len(), Message::parse(bytes).unwrap().edns()),
        (28, Some(edns))
    );
    let mut small = [0; HEADER_LEN + 10];
    assert!(Writer::new(&mut small, Header::query(7), Some(edns)).is_err());
}

#[test]
fn what_cannot_be_said_is_refused_when_it_is_written() {
    let mut room = [0; 512];
    let badvers = Header {
        rcode: Rcode::BADVERS,
        ..Header::query(7)
    };
    let without_opt = Writer::new(&mut room, badvers, None).unwrap_err();
    assert_eq!(
        without_opt.to_string(),
        "rcode at byte 3 is 16, more than 15"
    );
    let mut writer = Writer::new(&mut room, Header::query(7), None).unwrap();
    assert!(writer.set_rcode(Rcode::BADVERS).is_err());
    let record = |rdata| Record {
        name: Name::ROOT,
        class: Class::IN,
        ttl: 1,
        rdata,
    };
    let opt = record(Rdata::Opaque {
        rtype: Type::OPT,
        bytes: &[],
    });
    assert_eq!(
        writer.record(Section::Additional, &opt),
        Err(misplaced("type", 12, 41))
    );
    let address = record(Rdata::A([192, 0, 2, 1].into()));
    writer.record(Section::Authority, &address).unwrap();
    let late = writer.record(Section::Answer, &address).unwrap_err();
    assert_eq!(late.field, "section");
    writer.record(Section::Authority, &address).unwrap();
    let message = Message::parse(writer.finish()).unwrap();
    assert_eq!(
        (message.answers().count(), message.authorities().count()),
        (0, 2)
    );
}

#[test]
fn the_target_of_srv_is_read_with_a_pointer_and_written_without() {
    let name = buf("mail.example.com");
    let srv = Record {
        name: name.name(),
        class: Class::IN,
        ttl: 1,
        rdata: Rdata::Srv {
            priority: 0,
            weight: 1,
            port: 993,
            target: name.name(),
        },
    };
    let mut room = [0; 512];
    let mut writer = Writer::new(&mut room, Header::query(7), None).unwrap();
    writer.record(Section::Answer, &srv).unwrap();
    let bytes = writer.finish().to_vec();
    assert_eq!(bytes.len(), HEADER_LEN + 18 + 10 + 6 + 18);
    // Its first specification wanted a pointer, and there are servers that follow it (RFC 3597 §4).
    let mut compressed = bytes[..bytes.len() - 18].to_vec();
    compressed.extend([0xc0, 12]);
    compressed[HEADER_LEN + 18 + 9] = 8;
    let read = Message::parse(&compressed).unwrap();
    assert_eq!(read.answers().next(), Some(srv));
}

/// A record of the root with these data, of a type for private use.
fn opaque(bytes: &[u8]) -> Record<'_> {
    let rtype = Type(65_400);
    Record {
        name: Name::ROOT,
        class: Class::IN,
        ttl: 1,
        rdata: Rdata::Opaque { rtype, bytes },
    }
}

fn address(name: &NameBuf) -> Record<'_> {
    Record {
        name: name.name(),
        class: Class::IN,
        ttl: 1,
        rdata: Rdata::A([192, 0, 2, 1].into()),
    }
}

#[test]
fn no_pointer_leads_beyond_its_14_bits() {
    let mut room = vec![0; MAX_MESSAGE_LEN];
    let mut writer = Writer::new(&mut room, Header::query(7), None).unwrap();
    let (near, far) = (buf("near.example"), buf("far.example"));
    // One name that a pointer reaches, and one that it does not.
    writer.record(Section::Answer, &address(&near)).unwrap();
    let long = vec![0; 1 << 14];
    writer.record(Section::Answer, &opaque(&long)).unwrap();
    for name in [&far, &far, &near] {
        writer.record(Section::Answer, &address(name)).unwrap();
    }
    let message = Message::parse(writer.finish()).unwrap();
    let names: Vec<Name> = message.answers().map(|record| record.name).collect();
    let root = NameBuf::root();
    assert_eq!(names, [&near, &root, &far, &far, &near].map(NameBuf::name));
    // «far» and a pointer to «example», twice; and «near» as a pointer.
    let lens = names.iter().map(|name| name.encoded_len());
    assert_eq!(lens.collect::<Vec<_>>(), [14, 1, 6, 6, 2]);
}

#[test]
fn no_pointer_leads_to_what_was_taken_back() {
    let (gone, name) = (buf("tenletters.a.example"), buf("a.example"));
    let mut room = [0; 200];
    let mut writer = Writer::new(&mut room, Header::query(7), None).unwrap();
    let long = [[250].as_slice(), &[b'x'; 250]].concat();
    let record = Record {
        rdata: Rdata::Txt(Txt::new(&long).unwrap()),
        ..address(&gone)
    };
    // It does not fit; «a.example» stood at byte 23 for a moment, where the next record's data begin.
    writer.record(Section::Answer, &record).unwrap_err();
    writer
        .record(Section::Answer, &opaque(name.as_wire()))
        .unwrap();
    writer.record(Section::Answer, &address(&name)).unwrap();
    let message = Message::parse(writer.finish()).unwrap();
    let written = message.answers().last().unwrap().name;
    assert_eq!(written.encoded_len(), written.wire_len());
}

#[test]
fn a_time_to_live_that_is_too_long_is_none() {
    let ttl = |bytes: [u8; 4]| {
        let mut message = hostile::header(0);
        message[7] = 1;
        message.extend([0, 0, 1, 0, 1]);
        message.extend(bytes);
        message.extend([0, 4, 192, 0, 2, 1]);
        Message::parse(&message)
            .unwrap()
            .answers()
            .next()
            .unwrap()
            .ttl
    };
    // RFC 2181 §8.
    assert_eq!(ttl([0x7f, 0xff, 0xff, 0xff]), (1 << 31) - 1);
    assert_eq!(ttl([0x80, 0, 0, 0]), 0);
    assert_eq!(ttl([0xff; 4]), 0);
}

#[test]
fn old_bytes_in_the_buffer_do_no_harm() {
    // Each is a pointer to itself: whoever looked there would go round for ever.
    let mut room: Vec<u8> = (0..600_u16)
        .flat_map(|pair| (0xc000 | (2 * pair)).to_be_bytes())
        .collect();
    // «llc» has the hash 0, so that all these endings have the same: one is looked for where the
    // longer one, which is being written, has nothing behind it yet.
    let names = ["llc.llc.llc.llc", "llc.llc", "a.llc.llc", "llc"].map(buf);
    let mut writer = Writer::new(&mut room, Header::query(7), None).unwrap();
    for name in &names {
        let question = Question {
            name: name.name(),
            qtype: Type::A,
            class: Class::IN,
        };
        writer.question(&question).unwrap();
    }
    let message = Message::parse(writer.finish()).unwrap();
    assert!(message.questions().map(|each| each.name.to_buf()).eq(names));
}

#[test]
fn a_stream_is_cut_into_messages_wherever_it_breaks() {
    let messages = [b"one".to_vec(), vec![], vec![7; 300]];
    let mut stream = Vec::new();
    for message in &messages {
        stream.extend(frame::prefix(message.len()).unwrap());
        stream.extend(message);
    }
    for broken_at in 0..=stream.len() {
        let mut rest = &stream[..broken_at];
        let mut taken = Vec::new();
        while let Some((message, behind)) = frame::take(rest) {
            taken.push(message.to_vec());
            rest = behind;
        }
        assert!(messages.starts_with(&taken), "{broken_at}");
        assert!(rest.len() < 302);
        if broken_at == stream.len() {
            assert_eq!(taken, messages);
        }
    }
    assert_eq!(frame::prefix(MAX_MESSAGE_LEN + 1), None);
}

#[test]
fn everything_the_fuzzer_kept_holds() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/parse");
    let mut count = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        holds(&std::fs::read(file.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > captured::ALL.len(), "{count}");
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_read(parts in parts(name())) {
        let bytes = parts.bytes();
        holds(&bytes);
        let message = Message::parse(&bytes).unwrap();
        prop_assert_eq!(message.header(), parts.header);
        let mut room = vec![0; MAX_MESSAGE_LEN];
        let edns = parts.edns.as_ref().map(|edns| edns.edns(&mut room));
        prop_assert_eq!(message.edns(), edns);
        let questions = parts.questions.iter().map(|(name, qtype, class)| Question {
            name: name.name(),
            qtype: *qtype,
            class: *class,
        });
        prop_assert!(message.questions().eq(questions));
        for (section, records) in Section::ALL.into_iter().zip(&parts.records) {
            let records = records.iter().map(|record| record.record());
            prop_assert!(message.records(section).eq(records));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        holds(&bytes);
    }

    #[test]
    fn a_right_message_with_some_bytes_changed_is_read_or_refused(
        parts in parts(name()),
        changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..8),
    ) {
        let mut bytes = parts.bytes();
        for (at, byte) in changes {
            let len = bytes.len();
            bytes[at.index(len)] = byte;
        }
        holds(&bytes);
    }

    #[test]
    fn a_name_is_read_from_its_own_text(name in name()) {
        let again: NameBuf = name.to_string().parse().unwrap();
        prop_assert!(again.name().eq_case(name.name()));
        prop_assert!(name.name().labels().count() <= MAX_LABELS);
    }

    #[test]
    fn any_text_is_a_name_or_an_error_in_it(text in r"([a-c.\\0-9]|\\[0-2][0-9]{2}|.){0,40}") {
        match text.parse::<NameBuf>() {
            Ok(name) => prop_assert_eq!(name.to_string().parse(), Ok(name)),
            Err(error) => prop_assert!(error.offset <= text.len(), "{}", error),
        }
    }
}
