//! What the page claims of order.

#![cfg(target_os = "linux")]

use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use lab::{Host, Link, Packet, Verdict, tcp_info};
use tcp_ordering::{Closed, Connection, SEGMENT, data, exchange, wait_until};
use testkit::{Run, listing};

static RUN: LazyLock<Run> = LazyLock::new(|| listing!().run().succeeds());

#[test]
fn it_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

/// The lines of the run that begin with this word, without it.
fn lines(word: &str) -> Vec<&'static str> {
    let lines = RUN.stdout.lines();
    lines
        .filter_map(|line| line.trim().strip_prefix(word))
        .map(str::trim)
        .collect()
}

#[test]
fn sequence_numbers_count_bytes_and_one_each_for_syn_and_fin() {
    let rows = &RUN.table("numbers").rows;
    let numbers: Vec<[u32; 3]> = rows
        .iter()
        .map(|row| [1, 2, 3].map(|column| row[column].parse().unwrap()))
        .collect();
    let mut expected = 0;
    for (row, [sequence, length, next]) in rows.iter().zip(&numbers) {
        let takes = if row[0] == "data" { *length } else { 1 };
        assert_eq!((*sequence, *next), (expected, sequence + takes), "{row:?}");
        expected = *next;
    }
    assert_eq!([&rows[0][0], &rows[rows.len() - 1][0]], ["`SYN`", "`FIN`"]);
    assert_eq!(expected, 1 + 100 + 1 + 2500 + 1);
    assert!(
        RUN.stdout
            .contains(&format!("last acknowledgment is {expected}."))
    );
}

#[test]
fn one_write_may_be_many_segments_and_many_writes_one() {
    let data = RUN
        .table("numbers")
        .rows
        .iter()
        .filter(|row| row[0] == "data");
    let lengths: Vec<&str> = data.map(|row| row[2].as_str()).collect();
    assert_eq!(lengths, ["100", "1", "1000", "1000", "500"]);
    assert!(RUN.stdout.contains("One read() gave it 2601 bytes."));
    assert!(RUN.stdout.contains("segments of [10, 90] bytes"));
}

#[test]
fn one_write_may_be_many_reads() {
    assert_eq!(
        lines("read() gave"),
        ["1000 bytes, then nothing, then 3000 bytes. All in order: yes."]
    );
}

#[test]
fn what_comes_ahead_of_its_turn_waits_and_is_acknowledged_selectively() {
    assert_eq!(
        lines("arrived"),
        ["1..1001  2001..3001  3001..4001  1001..2001"]
    );
    assert_eq!(
        lines("acknowledged"),
        [
            "ACK 1001",
            "ACK 1001, SACK 2001..3001",
            "ACK 1001, SACK 2001..4001",
            "ACK 4001"
        ]
    );
    assert!(RUN.stdout.contains("out-of-order queue: TCPOFOQueue 2."));
    assert!(RUN.stdout.contains("reordering: yes. It sent again: 0."));
}

#[test]
fn copies_are_read_once_and_reported() {
    for line in [
        "6 segments arrived, 3000 bytes were read. The same bytes: yes.",
        "The server dropped and reported the copies: TCPDSACKOldSent 3.",
        "The client took note: TCPDSACKRecv 3. It sent again: 0.",
    ] {
        assert!(RUN.stdout.contains(line), "no line {line:?}");
    }
}

#[test]
fn ipv4_and_ipv6_are_alike() {
    // The listing compares all that it prints, and fails where they differ.
    assert!(RUN.stdout.ends_with("Over IPv4 and over IPv6 alike.\n"));
}

/// A link that does to the client's segments with data, numbered from 1 on, what `verdict` says.
fn link(one_way: u64, mut verdict: impl FnMut(u64) -> Verdict + Send + 'static) -> Link {
    let mut number = 0;
    let one_way = Duration::from_millis(one_way);
    Link::new().delay(one_way).rule(move |_, packet: &Packet| {
        if packet.tcp().is_none_or(|segment| segment.length == 0) {
            return Verdict::Pass;
        }
        number += 1;
        verdict(number)
    })
}

/// One write of so many segments over `there`, read when all of it has been acknowledged.
fn transfer(
    v6: bool,
    segments: usize,
    there: Link,
    one_way: u64,
    prepare: impl FnOnce(&Host, &Host) -> io::Result<()>,
) -> Closed {
    let back = Link::new().delay(Duration::from_millis(one_way));
    let mut connection = Connection::open(v6, there, back, prepare).unwrap();
    let written = data(segments * SEGMENT);
    connection.writer.write_all(&written).unwrap();
    connection.all_is_acknowledged().unwrap();
    let closed = connection.close().unwrap();
    assert_eq!(closed.rest, written);
    closed
}

/// What the server's acknowledgments say: how far, and what else.
fn acknowledged(closed: &Closed) -> Vec<(u32, Vec<Range<u32>>)> {
    exchange(&closed.segments)
        .filter(|segment| !segment.has_data())
        .map(|segment| (segment.ack.unwrap(), segment.sack.clone()))
        .collect()
}

#[test]
fn bytes_are_read_in_order_whatever_happens_to_the_segments() {
    lab::test(|| {
        thread::scope(|scope| {
            for seed in 1..=4 {
                scope.spawn(move || any_order(seed));
            }
        });
    });
}

/// Nearly every segment takes another time, some are copied and some lost.
fn any_order(seed: u64) {
    let there = link(10, move |number| {
        let dice = (number + seed * 1000).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        match dice % 16 {
            0 => Verdict::Drop,
            1 => Verdict::Duplicate,
            late => Verdict::Delay(Duration::from_millis(late)),
        }
    });
    let back = Link::new().delay(Duration::from_millis(10));
    let connection = Connection::open(seed.is_multiple_of(2), there, back, |_, _| Ok(())).unwrap();
    let written = data(300 * SEGMENT);
    let mut read = vec![0; written.len()];
    thread::scope(|scope| {
        scope.spawn(|| (&connection.writer).write_all(&written).unwrap());
        (&connection.reader).read_exact(&mut read).unwrap();
    });
    assert!(
        read == written,
        "seed {seed}: not the bytes that were written"
    );
    let closed = connection.close().unwrap();
    assert!(closed.rest.is_empty(), "seed {seed}: there was more");
    assert!(closed.server["TcpExtTCPOFOQueue"] > 0);
    assert!(closed.client["TcpRetransSegs"] > 0);
}

#[test]
fn two_gaps_make_two_blocks_and_the_latest_stands_first() {
    lab::test(|| {
        for v6 in [false, true] {
            let there = link(200, |number| match number {
                2 | 4 => Verdict::Delay(Duration::from_millis(60)),
                _ => Verdict::Pass,
            });
            let closed = transfer(v6, 5, there, 200, |_, _| Ok(()));
            let (first, second) = (2001..3001, 4001..5001);
            assert_eq!(
                acknowledged(&closed),
                [
                    (1001, vec![]),
                    (1001, vec![first.clone()]),
                    (1001, vec![second.clone(), first]),
                    (3001, vec![second]),
                    (5001, vec![]),
                ]
            );
        }
    });
}

#[test]
fn without_sack_an_acknowledgment_tells_only_how_far() {
    lab::test(|| {
        let there = link(200, |number| match number {
            2 => Verdict::Delay(Duration::from_millis(60)),
            _ => Verdict::Pass,
        });
        let closed = transfer(false, 4, there, 200, |client, _| {
            client.sysctl("net.ipv4.tcp_sack", 0)
        });
        let told = acknowledged(&closed);
        assert_eq!(told, [1001, 1001, 1001, 4001].map(|ack| (ack, vec![])));
        // The server keeps what came ahead of its turn all the same.
        assert_eq!(closed.server["TcpExtTCPOFOQueue"], 2);
        assert_eq!(closed.client["TcpRetransSegs"], 0);
    });
}

#[test]
fn a_duplicate_is_dropped_whether_or_not_it_is_reported() {
    lab::test(|| {
        for dsack in [0, 1] {
            let closed = transfer(
                false,
                3,
                link(10, |_| Verdict::Duplicate),
                10,
                |_, server| server.sysctl("net.ipv4.tcp_dsack", dsack),
            );
            let reported = closed.segments.iter().filter(|s| s.duplicate().is_some());
            assert_eq!(reported.count(), 3 * dsack as usize);
        }
    });
}

#[test]
fn a_lost_acknowledgment_costs_nothing_if_a_later_one_arrives() {
    lab::test(|| {
        let mut number = 0;
        let one_way = Duration::from_millis(100);
        let back = Link::new().delay(one_way).rule(move |_, packet| {
            let is_syn = packet
                .tcp()
                .is_some_and(|segment| segment.has(lab::Tcp::SYN));
            number += u32::from(!is_syn);
            if (1..=5).contains(&number) {
                Verdict::Drop
            } else {
                Verdict::Pass
            }
        });
        let there = Link::new().delay(one_way);
        let mut connection = Connection::open(false, there, back, |_, _| Ok(())).unwrap();
        connection.writer.write_all(&data(10 * SEGMENT)).unwrap();
        connection.all_is_acknowledged().unwrap();
        let closed = connection.close().unwrap();
        let lost = exchange(&closed.segments).filter(|segment| !segment.fate.arrives());
        assert_eq!(lost.filter(|segment| !segment.has_data()).count(), 5);
        assert_eq!(closed.client["TcpRetransSegs"], 0);
    });
}

#[test]
fn the_sender_sees_what_is_selectively_acknowledged() {
    lab::test(|| {
        let there = link(200, |number| match number {
            2 => Verdict::Delay(Duration::from_millis(60)),
            _ => Verdict::Pass,
        });
        let back = Link::new().delay(Duration::from_millis(200));
        let mut connection = Connection::open(false, there, back, |_, _| Ok(())).unwrap();
        connection.writer.write_all(&data(4 * SEGMENT)).unwrap();
        wait_until("the client knows of two", || {
            let info = tcp_info(&connection.writer)?;
            assert!(info.unacked > 0, "all was acknowledged before");
            Ok(info.sacked == 2)
        })
        .unwrap();
        // Of four segments, the first is acknowledged and no longer counted.
        assert_eq!(tcp_info(&connection.writer).unwrap().unacked, 3);
        connection.all_is_acknowledged().unwrap();
        let closed = connection.close().unwrap();
        assert_eq!(closed.client["TcpRetransSegs"], 0);
    });
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = testkit::listing!().arg("fast").run();
    assert_eq!(run.status.code(), Some(2));
    assert!(run.stderr.contains("usage: tcp-ordering"), "{}", run.stderr);
}
