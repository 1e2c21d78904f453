//! What the page says of best effort and of the path's MTU, seen in the listing's run.
#![cfg(target_os = "linux")]

use std::path::PathBuf;
use std::sync::LazyLock;

use record::{Fate, What};
use testkit::{Program, Run, listing, peer};

/// One run for all proofs.
static RUN: LazyLock<Run> =
    LazyLock::new(|| listing!().env("LAB_PCAPNG", packets_of(1)).run().succeeds());

/// The experiments, in their order: each has a lab of its own.
const MISFORTUNES: usize = 1;
const FULL_QUEUE: usize = 2;
const TOLD_V4: usize = 3;
const TOLD_V6: usize = 4;
const BLACK_HOLE: usize = 5;
const CUT_BY_ROUTER: usize = 6;
const PIECE_LOST: usize = 7;
const CUT_BY_SOURCE: usize = 8;

/// Where the run writes the packets of its labs.
fn packets_of(lab: usize) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    match lab {
        1 => folder.join("best-effort.pcapng"),
        other => folder.join(format!("best-effort-{other}.pcapng")),
    }
}

/// The part of the output below a heading.
fn part(heading: &str) -> &'static str {
    let text = &RUN.stdout;
    let from = text
        .find(&format!("{heading}\n\n"))
        .unwrap_or_else(|| panic!("{heading}: {text}"));
    let part = &text[from + heading.len() + 2..];
    part.split("\n\n").next().unwrap()
}

/// The rest of the line that begins with this, or of the one below it.
fn line<'a>(part: &'a str, begin: &str) -> &'a str {
    let mut lines = part.lines().map(str::trim);
    let found = lines.find_map(|line| line.strip_prefix(begin));
    let rest = found
        .unwrap_or_else(|| panic!("no {begin:?} in {part}"))
        .trim();
    if rest.is_empty() {
        lines.next().unwrap().trim()
    } else {
        rest
    }
}

fn numbers(list: &str) -> Vec<u64> {
    list.split(' ')
        .map(|number| number.parse().unwrap())
        .collect()
}

const LINK: &str = "A link that loses, reorders and duplicates";
const QUEUE: &str = "A queue that is full";
const TOO_BIG: &str = "Too big for the second link";
const HOLE: &str = "Nobody may tell: a black hole";
const PIECES: &str = "In pieces";

/// Who sends, who is to receive, what it is, and what became of it.
fn messages(figure: &str) -> Vec<(usize, usize, String, Fate)> {
    let events = &RUN.sequence(figure).events;
    let messages = events.iter().filter_map(|event| match &event.what {
        What::Message {
            from,
            to,
            label,
            fate,
            ..
        } => Some((*from, *to, label.replace('`', ""), *fate)),
        What::State { .. } => None,
    });
    messages.collect()
}

/// The same, of packets that all arrived.
fn arrived(figure: &str) -> Vec<(usize, usize, String)> {
    let messages = messages(figure).into_iter();
    let arrived = messages.map(|(from, to, label, fate)| {
        assert_eq!(fate, Fate::Arrived, "{label}");
        (from, to, label)
    });
    arrived.collect()
}

fn states(figure: &str) -> Vec<(usize, String)> {
    let events = &RUN.sequence(figure).events;
    let states = events.iter().filter_map(|event| match &event.what {
        What::State { host, label, .. } => Some((*host, label.replace('`', ""))),
        What::Message { .. } => None,
    });
    states.collect()
}

fn owned<const N: usize>(list: [(usize, usize, &str); N]) -> Vec<(usize, usize, String)> {
    list.map(|(from, to, label)| (from, to, label.to_owned()))
        .to_vec()
}

const CLIENT: usize = 0;
const ROUTER: usize = 1;
const SERVER: usize = 2;

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = listing!().arg("--loss").run();
    assert_eq!(run.status.code(), Some(2));
    assert_eq!(
        run.stderr,
        "usage: ip-best-effort (it takes no arguments)\n"
    );
}

#[test]
fn what_the_program_reads_is_what_the_link_let_through_in_the_same_order() {
    let part = part(LINK);
    let read = numbers(line(part, "the server's program read"));
    assert_eq!(read, numbers(line(part, "it let through:")));

    // And that is what was sent, less what the capture has as lost, and once more what it has as
    // duplicated.
    let (lost, twice) = (
        numbers(line(part, "the link lost:")),
        numbers(line(part, "it duplicated:")),
    );
    let mut expected: Vec<u64> = (1..=40).filter(|number| !lost.contains(number)).collect();
    expected.extend(&twice);
    expected.sort_unstable();
    let mut sorted = read.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    assert!(!lost.is_empty() && !twice.is_empty() && !read.is_sorted());

    // The figures say the same.
    let lines = &RUN.series("arrivals").lines;
    let drawn: Vec<u64> = lines[1]
        .points
        .iter()
        .map(|(_, number)| *number as u64)
        .collect();
    assert_eq!(drawn, read);
    for (from, _, label, fate) in messages("link") {
        let number = label.parse().unwrap();
        assert_eq!(from, CLIENT);
        assert_eq!(fate == Fate::Lost, lost.contains(&number), "{number}");
        assert!(
            fate != Fate::Duplicated || twice.contains(&number),
            "{number}"
        );
    }
}

#[test]
fn an_overtaken_packet_arrives_after_a_larger_number_and_whole() {
    let part = part(LINK);
    let read = numbers(line(part, "the server's program read"));
    let late = numbers(line(part, "others overtook:"));
    assert!(!late.is_empty());
    for number in late {
        let place = read.iter().position(|read| *read == number).unwrap();
        assert!(
            read[..place].iter().any(|before| *before > number),
            "{number}"
        );
    }
}

/// Neither an error, nor a packet that comes back, nor a counter.
fn nothing_was_told(part: &str, sent: u64) {
    assert_eq!(line(part, "errors of send()"), "0");
    assert_eq!(line(part, "error pending on the socket"), "none");
    assert_eq!(line(part, "datagrams sent, it counts"), sent.to_string());
    assert_eq!(line(part, "packets that came back"), "0");
    assert_eq!(line(part, "ICMP messages"), "0");
}

#[test]
fn nothing_tells_the_sender_what_was_lost_on_the_link() {
    nothing_was_told(part(LINK), 40);
}

#[test]
fn a_full_queue_drops_what_does_not_fit_and_tells_nobody() {
    let part = part(QUEUE);
    // Six times 1,000 bytes have room.
    assert_eq!(
        numbers(line(part, "the server's program read")),
        [1, 2, 3, 4, 5, 6]
    );
    assert_eq!(line(part, "found the queue full:"), "14");
    nothing_was_told(part, 20);
}

#[test]
fn a_packet_too_big_with_df_is_dropped_and_the_router_says_what_would_fit() {
    assert_eq!(
        arrived("path-mtu"),
        owned([
            (CLIENT, ROUTER, "1500 bytes, DF"),
            (ROUTER, CLIENT, "ICMP: fragmentation needed, at most 1400"),
            (CLIENT, ROUTER, "1400 bytes, DF"),
            (ROUTER, SERVER, "1400 bytes, DF"),
        ])
    );
    let states = states("path-mtu");
    assert_eq!(states[0], (ROUTER, "does not fit".to_owned()));
    assert_eq!(states[1], (CLIENT, "path MTU: 1400".to_owned()));
    assert_eq!(states.len(), 2);
}

#[test]
fn an_ipv6_router_says_the_same_as_packet_too_big() {
    assert_eq!(
        arrived("path-mtu-v6"),
        owned([
            (CLIENT, ROUTER, "1500 bytes"),
            (ROUTER, CLIENT, "ICMPv6: packet too big, at most 1400"),
            (CLIENT, ROUTER, "1400 bytes"),
            (ROUTER, SERVER, "1400 bytes"),
        ])
    );
}

#[test]
fn the_kernel_remembers_the_paths_mtu_and_refuses_what_is_larger_by_itself() {
    let part = part(TOO_BIG);
    let families: Vec<&str> = part.split("IPv6,").collect();
    for (family, full, fitting) in [(families[0], 1472, 1372), (families[1], 1452, 1352)] {
        let mtus: Vec<&str> = family
            .lines()
            .filter_map(|line| line.trim().strip_prefix("path MTU"))
            .collect();
        assert_eq!(
            mtus.iter().map(|mtu| mtu.trim()).collect::<Vec<_>>(),
            ["1500", "1400"]
        );
        let sends: Vec<&str> = family
            .lines()
            .filter_map(|line| line.trim().strip_prefix("send() of "))
            .collect();
        let sends: Vec<String> = sends
            .iter()
            .map(|send| send.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            sends,
            [
                format!("{full} bytes done"),
                format!("{full} bytes EMSGSIZE: message too long"),
                format!("{fitting} bytes done"),
            ]
        );
        assert_eq!(
            line(family, "error pending on the socket"),
            "EMSGSIZE: message too long"
        );
        assert_eq!(
            line(family, "the server's program reads"),
            format!("{fitting} bytes, the same")
        );
    }
}

#[test]
fn without_the_icmp_message_large_packets_vanish_and_small_ones_arrive() {
    let part = part(HOLE);
    assert!(
        part.contains("the first that arrives is the small one"),
        "{part}"
    );
    assert_eq!(line(part, "error pending on the socket"), "none");
    assert_eq!(line(part, "path MTU, as the kernel thinks"), "1500");
}

#[test]
fn an_ipv4_router_cuts_a_packet_without_df_and_the_destination_puts_it_together() {
    assert_eq!(
        arrived("router-cuts"),
        owned([
            (CLIENT, ROUTER, "1500 bytes"),
            (ROUTER, SERVER, "piece: bytes 0 to 1375"),
            (ROUTER, SERVER, "piece: bytes 1376 to 1479"),
        ])
    );
    assert_eq!(1376 % 8, 0, "offsets count units of 8 bytes");
    let part = part(PIECES);
    assert!(part.contains(
        "the server's program reads 1472 bytes, the same\n  the server's kernel made 1 packet of 2 \
         pieces\nThe same, and"
    ));
}

#[test]
fn one_lost_piece_loses_the_whole_packet_and_only_then_the_destination_may_tell() {
    let lost: Vec<_> = messages("piece-lost")
        .into_iter()
        .filter(|(.., fate)| *fate == Fate::Lost)
        .collect();
    let piece = "piece: bytes 1376 to 1479".to_owned();
    assert_eq!(lost, [(ROUTER, SERVER, piece, Fate::Lost)]);
    let told = messages("piece-lost")
        .into_iter()
        .filter(|(from, ..)| *from == SERVER);
    let told: Vec<_> = told.map(|(_, to, label, _)| (to, label)).collect();
    assert_eq!(
        told,
        [(ROUTER, "ICMP: time exceeded in reassembly".to_owned())]
    );
    let part = part(PIECES);
    assert!(
        part.contains(
            "the first that the server's program reads is the one that was sent after it"
        )
    );
    assert!(part.contains("1 piece came, 0 packets made, 1 given up"));
    assert!(part.contains("error pending on the client's socket: none"));
}

#[test]
fn in_ipv6_the_source_cuts_and_the_router_passes_the_pieces_on() {
    let messages = arrived("source-cuts");
    let [first, second] = ["piece: bytes 0 to 1351", "piece: bytes 1352 to 1459"];
    assert_eq!(messages[0], (CLIENT, ROUTER, "1500 bytes".to_owned()));
    let by_source = messages.iter().filter(|(from, ..)| *from == CLIENT).skip(1);
    let by_source: Vec<_> = by_source.map(|(_, _, label)| label.as_str()).collect();
    assert_eq!(by_source, [first, second]);
    let by_router = messages
        .iter()
        .filter(|(from, to, _)| (*from, *to) == (ROUTER, SERVER));
    let by_router: Vec<_> = by_router.map(|(_, _, label)| label.as_str()).collect();
    assert_eq!(by_router, [first, second]);
    assert!(RUN.stdout.ends_with(
        "the server's program reads 1452 bytes, the same\n  the server's kernel made 1 packet of 2 \
         pieces\n"
    ));
}

/// What tshark says of the packets of a lab that fit a filter: a field of each.
fn tshark(lab: usize, filter: &str, field: &str) -> Option<Vec<String>> {
    let tshark = peer("tshark")?;
    LazyLock::force(&RUN);
    // Reassembled packets would be counted once more.
    let run = Program::new(tshark)
        .arg("-r")
        .arg(packets_of(lab))
        .args(["-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE"])
        .args([
            "-Y",
            filter,
            "-T",
            "fields",
            "-E",
            "occurrence=f",
            "-e",
            field,
        ])
        .run()
        .succeeds();
    Some(run.stdout.lines().map(str::to_owned).collect())
}

#[test]
fn tshark_reads_the_same_messages_and_pieces_in_the_captured_packets() {
    let cases: [(usize, &str, &str, &[&str]); 9] = [
        (
            TOLD_V4,
            "icmp.type == 3 && icmp.code == 4",
            "icmp.mtu",
            &["1400"],
        ),
        (TOLD_V6, "icmpv6.type == 2", "icmpv6.mtu", &["1400"]),
        // On each link once; and nothing of the kind elsewhere.
        (PIECE_LOST, "icmp.type == 11", "icmp.code", &["1", "1"]),
        (MISFORTUNES, "icmp || icmpv6", "frame.len", &[]),
        (FULL_QUEUE, "icmp || icmpv6", "frame.len", &[]),
        (BLACK_HOLE, "icmp", "icmp.code", &["4", "4", "4"]),
        (
            CUT_BY_ROUTER,
            "ip.flags.mf == 1 || ip.frag_offset > 0",
            "ip.len",
            &["1396", "124"],
        ),
        (
            CUT_BY_SOURCE,
            "ipv6.fraghdr",
            "ipv6.plen",
            &["1360", "116", "1360", "116"],
        ),
        (
            CUT_BY_SOURCE,
            "ipv6.fraghdr",
            "ipv6.fraghdr.offset",
            &["0", "169", "0", "169"],
        ),
    ];
    for (lab, filter, field, expected) in cases {
        let Some(found) = tshark(lab, filter, field) else {
            return;
        };
        let mut found: Vec<&str> = found.iter().map(String::as_str).collect();
        let mut expected = expected.to_vec();
        // Two links' packets may stand in either order.
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "lab {lab}: {filter}");
    }
}
