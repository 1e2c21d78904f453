//! What the page says about the properties of protocols, counted.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::LazyLock;

use record::{Field, Line};
use testkit::{Program, Run, listing, peer};

/// What is sent in all while no one reads: 200 times 1,000 bytes.
const SENT: f64 = 200_000.0;

static RUN: LazyLock<Run> = LazyLock::new(|| {
    listing!()
        // How much finds room is the kernel's affair; that it is less than all, is a proof's.
        .varying(
            r"[\d,]+ bytes accepted, then \d+ sends",
            "N bytes accepted, then N sends",
        )
        .varying(
            r"\d+ messages kept and \d+ lost",
            "N messages kept and N lost",
        )
        .varying(r"counts \d+ dropped", "counts N dropped")
        .varying(
            r"the algorithm here is \w+",
            "the algorithm here is one of many",
        )
        .run()
        .succeeds()
});

/// The run's line that contains a text.
#[track_caller]
fn line_with(text: &str) -> &'static str {
    let mut lines = RUN.stdout.lines();
    lines
        .find(|line| line.contains(text))
        .unwrap_or_else(|| panic!("no line with {text:?} in\n{}", RUN.stdout))
}

/// The line after the one that contains a text.
#[track_caller]
fn line_after(text: &str) -> &'static str {
    let mut lines = RUN.stdout.lines().skip_while(|line| !line.contains(text));
    lines
        .nth(1)
        .unwrap_or_else(|| panic!("nothing after {text:?} in\n{}", RUN.stdout))
}

fn property(name: &str) -> [&'static str; 2] {
    let mut rows = RUN.table("properties").rows.iter();
    let row = rows
        .find(|row| row[0] == name)
        .expect("a property of that name");
    [&row[1], &row[2]]
}

fn backpressure(name: &str) -> &'static [(f64, f64)] {
    let lines: &[Line] = &RUN.series("backpressure").lines;
    let line = lines.iter().find(|line| line.name == name);
    &line.expect("a line of that name").points
}

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn protobuf_takes_a_third_of_jsons_bytes_and_a_fifth_of_xmls() {
    let rows = &RUN.table("formats").rows;
    let sizes: Vec<(&str, usize)> = rows
        .iter()
        .map(|row| (row[0].as_str(), row[1].parse().unwrap()))
        .collect();
    assert_eq!(sizes, [("`JSON`", 105), ("`XML`", 168), ("`Protobuf`", 33)]);
    assert_eq!(RUN.wire("protobuf").bytes.len(), 33);
    assert_eq!(line_after("JSON, 105 bytes").len(), 105);
    assert_eq!(line_after("XML, 168 bytes").len(), 168);
}

#[test]
fn every_bit_of_the_protobuf_encoding_belongs_to_one_field() {
    fn covers(fields: &[Field], from: usize, to: usize) {
        let mut at = from;
        for field in fields {
            assert_eq!(field.bit, at, "{field:?}");
            at += field.bits;
            if !field.fields.is_empty() {
                covers(&field.fields, field.bit, at);
            }
        }
        assert_eq!(at, to, "{fields:?}");
    }
    let wire = RUN.wire("protobuf");
    covers(&wire.fields, 0, wire.bytes.len() * 8);
}

#[test]
fn protoc_reads_the_same_fields() {
    let Some(protoc) = peer("protoc") else { return };
    let run = Program::new(protoc)
        .arg("--decode_raw")
        .input(RUN.wire("protobuf").bytes.clone())
        .run()
        .succeeds();
    let expected = "1: 150\n2: \"\\353\\257\\274\\354\\247\\200\"\n\
                    3 {\n  1: \"tea\"\n  2: 2\n}\n3 {\n  1: \"cups\"\n  2: 300\n}\n4: 1\n";
    assert_eq!(run.stdout, expected);
}

#[test]
fn python_reads_the_same_order_from_the_json_and_the_xml() {
    let Some(python) = peer("python3") else {
        return;
    };
    let script = "
import json, sys, xml.etree.ElementTree as xml
order = json.loads(sys.argv[1])
root = xml.fromstring(sys.argv[2])
text = lambda element, name: element.find(name).text
print(order == {
    'id': int(text(root, 'id')),
    'customer': text(root, 'customer'),
    'items': [{'name': text(item, 'name'), 'count': int(text(item, 'count'))}
              for item in root.findall('items')],
    'paid': text(root, 'paid') == 'true',
})";
    let run = Program::new(python)
        .args(["-c", script, line_after("JSON, "), line_after("XML, ")])
        .run()
        .succeeds();
    assert_eq!(run.stdout.trim(), "True");
}

#[test]
fn two_sends_are_two_datagrams_and_run_together_in_a_stream() {
    assert_eq!(
        property("two sends arrive as"),
        ["`10` bytes in one read", "`2` messages, one a read"]
    );
}

#[test]
fn a_hundred_sends_are_a_hundred_datagrams() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_read_timeout(Some(testkit::DEADLINE)).unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut room = [0; 1000];
    for number in 0..100_u8 {
        let message = vec![number; usize::from(number)];
        sender
            .send_to(&message, receiver.local_addr().unwrap())
            .unwrap();
    }
    for number in 0..100_u8 {
        let length = receiver.recv(&mut room).unwrap();
        assert_eq!(room[..length], vec![number; usize::from(number)]);
    }
}

#[test]
fn a_hundred_writes_can_be_one_read_or_a_thousand() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    sender.set_nodelay(true).unwrap();
    let (mut receiver, _) = listener.accept().unwrap();
    receiver.set_read_timeout(Some(testkit::DEADLINE)).unwrap();

    let mut room = [0; 2000];
    for byte_each_read in [false, true] {
        for _ in 0..100 {
            sender.write_all(b"ten bytes.").unwrap();
        }
        testkit::wait_for("all 1,000 bytes", || {
            (receiver.peek(&mut room).unwrap() == 1000).then_some(())
        });
        if byte_each_read {
            for place in 0..1000 {
                assert_eq!(receiver.read(&mut room[..1]).unwrap(), 1);
                assert_eq!(room[0], b"ten bytes."[place % 10]);
            }
        } else {
            assert_eq!(receiver.read(&mut room).unwrap(), 1000);
        }
    }
}

#[test]
fn what_finds_no_room_is_lost_from_a_datagram_and_kept_in_a_stream() {
    let reads = RUN.stdout.split("room for 3").nth(1).unwrap();
    for line in [
        "UDP  first read: \"hel\"",
        "UDP  second read: \"wor\"",
        "TCP  first read: \"hel\"",
        "TCP  second read: \"low\"",
    ] {
        assert!(reads.contains(line), "{line} is not in {reads}");
    }
}

#[test]
fn both_ends_send_at_once_over_tcp_and_over_udp() {
    assert_eq!(property("both ends send at once"), ["yes", "yes"]);
    assert!(line_with("TCP  the client read").contains("\"pong\", the server \"ping\""));
    assert!(line_with("UDP  the client read").contains("\"pong\", the server \"ping\""));
}

#[test]
fn a_server_that_starts_anew_breaks_tcps_connection_and_udps_client_does_not_notice() {
    assert_eq!(
        property("after the server starts anew"),
        ["answers on a new connection", "answers on the same socket"]
    );
}

#[test]
fn tcp_makes_a_sender_wait_for_its_reader_and_loses_nothing() {
    let accepted = backpressure("`TCP`: accepted, and later read");
    assert_eq!(accepted.len(), 200);
    let (_, most) = accepted[199];
    assert!(most > 0.0 && most < SENT / 2.0, "{most} bytes found room");
    assert_eq!(
        accepted[100].1, most,
        "the second half of the sends added nothing"
    );
    assert!(accepted.is_sorted_by_key(|(_, bytes)| *bytes));
    assert!(line_with("the sender goes on").contains("200,000 of 200,000 bytes"));
    assert_eq!(
        property("when no one reads")[0],
        "the sender waits, nothing is lost"
    );
}

#[test]
fn udp_accepts_every_send_drops_most_and_tells_no_one() {
    let accepted = backpressure("`UDP`: accepted");
    let kept = backpressure("`UDP`: later read");
    assert_eq!(accepted[199], (200.0, SENT), "every send was accepted");
    let read = kept[199].1 / 1000.0;
    assert!((1.0..100.0).contains(&read), "{read} messages were kept");
    let lost = 200.0 - read;
    assert_eq!(
        line_with("messages kept").trim(),
        format!("the receiver finds {read} messages kept and {lost} lost")
    );
    assert_eq!(
        property("when no one reads")[1],
        format!("`{lost}` of `200` messages are lost, no one is told")
    );
}

#[test]
#[cfg(target_os = "linux")]
fn the_receivers_kernel_has_dropped_exactly_what_is_missing() {
    let number = |line: &str, before: &str| -> u32 {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words
            .iter()
            .position(|word| word.trim_matches(';') == before);
        words[at.unwrap() - 1].parse().unwrap()
    };
    let lost = number(line_with("messages kept"), "lost");
    assert_eq!(number(line_with("kernel counts"), "dropped"), lost);
}

#[test]
fn congestion_control_is_tcps_and_not_udps() {
    let [tcp, udp] = property("congestion control");
    assert!(tcp.len() > 2, "an algorithm has a name: {tcp}");
    assert_eq!(udp, "none");
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = listing!().arg("json").run();
    assert_eq!(run.status.code(), Some(2));
    assert!(run.stderr.starts_with("usage: "), "{}", run.stderr);
}
