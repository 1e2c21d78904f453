//! What the tools of every Linux machine say of the same connection.

#![cfg(target_os = "linux")]

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use lab::{Host, Link, Verdict, tcp_info};
use tcp_ordering::{Connection, SEGMENT, data, wait_until};
use testkit::peer;

/// Four segments, of which the second never arrives.
fn with_a_gap() -> Connection {
    let one_way = Duration::from_millis(100);
    let mut number = 0;
    let there = Link::new().delay(one_way).rule(move |_, packet| {
        number += u32::from(packet.tcp().is_some_and(|segment| segment.length > 0));
        // Neither it nor what the client sends again gets through: the gap stays.
        if number == 2 || number > 4 {
            Verdict::Drop
        } else {
            Verdict::Pass
        }
    });
    let back = Link::new().delay(one_way);
    let mut connection = Connection::open(false, there, back, |_, _| Ok(())).unwrap();
    connection.writer.write_all(&data(4 * SEGMENT)).unwrap();
    wait_until("the client knows of the two behind the gap", || {
        Ok(tcp_info(&connection.writer)?.sacked == 2)
    })
    .unwrap();
    connection
}

/// What a program prints on a host.
fn output(host: &Host, program: &Path, arguments: &[&str]) -> String {
    let output = host
        .command(program.to_str().expect("a path in UTF-8"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn ss_shows_the_gap_from_both_ends() {
    let Some(ss) = peer("ss") else { return };
    lab::test(|| {
        let connection = with_a_gap();
        let client = output(&connection.client, &ss, &["-tin"]);
        assert!(client.contains(" sacked:2 "), "{client}");
        let server = output(&connection.server, &ss, &["-tin"]);
        assert!(server.contains(" rcv_ooopack:2 "), "{server}");
    });
}

#[test]
fn nstat_counts_the_segments_in_the_queue() {
    let Some(nstat) = peer("nstat") else { return };
    lab::test(|| {
        let connection = with_a_gap();
        // `s`: it shall not keep a history, which would be the machine's.
        let text = output(&connection.server, &nstat, &["-asz", "TcpExtTCPOFOQueue"]);
        let line = text
            .lines()
            .find(|line| line.starts_with("TcpExtTCPOFOQueue"));
        let count = line.and_then(|line| line.split_whitespace().nth(1));
        assert_eq!(count, Some("2"), "{text}");
    });
}
