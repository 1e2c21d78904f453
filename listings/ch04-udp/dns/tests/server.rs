//! What the authoritative server answers, whatever it is asked, and how its sockets bear their
//! clients.

#![cfg(target_os = "linux")]

#[path = "support/served.rs"]
mod served;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use testkit::wait_for;
use udp_dns::Transport;
use udp_dns::server::{IDLE, MAX_CONNECTIONS, Server, UDP_PAYLOAD_SIZE, answer};
use udp_dns::zone::{EXAMPLE, Zone};
use udp_dns_message::{
    Class, Edns, Flags, HEADER_LEN, Header, MAX_MESSAGE_LEN, Message, NameBuf, Opcode, Question,
    Rcode, Section, Type, Writer, frame,
};

/// How long a test waits for the server.
const DEADLINE: Duration = Duration::from_secs(20);

fn zone() -> Zone {
    Zone::parse(EXAMPLE).unwrap()
}

/// A query, with EDNS if a size is given.
fn query(name: &str, qtype: Type, size: Option<u16>) -> Vec<u8> {
    query_with(
        Header::query(0x1234),
        name,
        qtype,
        Class::IN,
        size.map(Edns::new),
    )
}

fn query_with(
    header: Header,
    name: &str,
    qtype: Type,
    class: Class,
    edns: Option<Edns>,
) -> Vec<u8> {
    let mut room = [0; 512];
    let mut writer = Writer::new(&mut room, header, edns).unwrap();
    let name: NameBuf = name.parse().unwrap();
    let question = Question {
        name: name.name(),
        qtype,
        class,
    };
    writer.question(&question).unwrap();
    writer.finish().to_vec()
}

fn answered(query: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let mut room = [0xa5; MAX_MESSAGE_LEN];
    answer(&zone(), query, transport, &mut room).map(<[u8]>::to_vec)
}

/// What an answer says: flags and rcode, then all records by section, as text.
#[derive(Debug, PartialEq)]
struct Said {
    flags: Flags,
    rcode: Rcode,
    sections: [Vec<String>; 3],
}

fn said(bytes: &[u8]) -> Said {
    let message = Message::parse(bytes).unwrap();
    let sections = Section::ALL.map(|section| {
        let records = message.records(section).map(|record| record.to_string());
        records.collect()
    });
    Said {
        flags: message.header().flags,
        rcode: message.header().rcode,
        sections,
    }
}

fn ask(name: &str, qtype: Type) -> Said {
    said(&answered(&query(name, qtype, Some(4096)), Transport::Udp).unwrap())
}

const SOA: &str = "example.com. 60 IN SOA ns1.example.com. hostmaster.example.com. \
                   2026112301 7200 3600 1209600 60";

const AUTHORITATIVE: [Flags; 3] = [Flags::QR, Flags::AA, Flags::RD];

fn flags(all: &[Flags]) -> Flags {
    all.iter().fold(Flags::NONE, |all, flag| all | *flag)
}

/// Asserts an authoritative answer with these records, and no others but additional ones.
fn answers(name: &str, qtype: Type, records: &[&str]) {
    let said = ask(name, qtype);
    assert_eq!(said.rcode, Rcode::NOERROR, "{name} {qtype}");
    assert_eq!(said.flags, flags(&AUTHORITATIVE), "{name} {qtype}");
    assert_eq!(said.sections[0], records, "{name} {qtype}");
    assert_eq!(said.sections[1], [""; 0], "{name} {qtype}");
}

/// Asserts an authoritative «no», after these records.
fn denies(name: &str, qtype: Type, rcode: Rcode, records: &[&str]) {
    let said = ask(name, qtype);
    assert_eq!(
        (said.rcode, said.flags),
        (rcode, flags(&AUTHORITATIVE)),
        "{name} {qtype}"
    );
    assert_eq!(said.sections[0], records, "{name} {qtype}");
    assert_eq!(said.sections[1], [SOA], "{name} {qtype}");
    assert_eq!(said.sections[2], [""; 0], "{name} {qtype}");
}

// What the zone has.

#[test]
fn a_name_s_records_are_answered_by_type() {
    answers(
        "example.com",
        Type::A,
        &["example.com. 300 IN A 192.0.2.80"],
    );
    answers(
        "example.com",
        Type::AAAA,
        &["example.com. 300 IN AAAA 2001:db8::80"],
    );
    answers(
        "example.com",
        Type::MX,
        &["example.com. 300 IN MX 10 mail.example.com."],
    );
    let txt = r#"example.com. 300 IN TXT "v=spf1 mx -all" "two strings""#;
    answers("example.com", Type::TXT, &[txt]);
    let servers = [
        "example.com. 300 IN NS ns1.example.com.",
        "example.com. 300 IN NS ns2.example.com.",
    ];
    answers("example.com", Type::NS, &servers);
    let srv = "_imaps._tcp.example.com. 300 IN SRV 0 1 993 mail.example.com.";
    answers("_imaps._tcp.example.com", Type::SRV, &[srv]);
    // The SOA as an answer has its own TTL; only a «no» has the shorter one.
    answers(
        "example.com",
        Type::SOA,
        &[&SOA.replace(" 60 IN", " 300 IN")],
    );
}

#[test]
fn the_addresses_of_the_hosts_in_an_answer_come_along() {
    let said = ask("example.com", Type::MX);
    assert_eq!(said.sections[2], ["mail.example.com. 300 IN A 192.0.2.25"]);
    let addresses = [
        "ns1.example.com. 300 IN A 192.0.2.53",
        "ns1.example.com. 300 IN AAAA 2001:db8::53",
        "ns2.example.com. 300 IN A 198.51.100.53",
    ];
    assert_eq!(ask("example.com", Type::NS).sections[2], addresses);
}

#[test]
fn a_chain_of_aliases_is_followed_to_its_end() {
    let chain = [
        "www.example.com. 300 IN CNAME web.example.com.",
        "web.example.com. 300 IN CNAME host1.web.example.com.",
    ];
    let with = |last| [chain[0], chain[1], last];
    let address = "host1.web.example.com. 300 IN A 192.0.2.81";
    answers("www.example.com", Type::A, &with(address));
    answers("www.example.com", Type::CNAME, &chain[..1]);
    // Out of the zone: who asks goes on by itself.
    let alias = "elsewhere.example.com. 300 IN CNAME www.example.org.";
    answers("elsewhere.example.com", Type::A, &[alias]);
    // To a name without such records, and to none at all: the «no» is about the last of the chain.
    denies("www.example.com", Type::MX, Rcode::NOERROR, &chain);
    let alias = "nowhere.example.com. 300 IN CNAME missing.example.com.";
    denies("nowhere.example.com", Type::A, Rcode::NXDOMAIN, &[alias]);
}

#[test]
fn a_loop_of_aliases_is_shown_once_and_left() {
    let round = [
        "loop.example.com. 300 IN CNAME loop2.example.com.",
        "loop2.example.com. 300 IN CNAME loop.example.com.",
    ];
    answers("loop.example.com", Type::A, &round);
    // A chain that is too long is followed a part of the way.
    let mut text =
        String::from("$ORIGIN example.\n$TTL 1\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nc30 A 192.0.2.1\n");
    (0..30).for_each(|n| text += &format!("c{n} CNAME c{}\n", n + 1));
    let zone = Zone::parse(&text).unwrap();
    let mut room = [0; MAX_MESSAGE_LEN];
    let query = query("c0.example", Type::A, None);
    let bytes = answer(&zone, &query, Transport::Udp, &mut room).unwrap();
    assert_eq!(said(bytes).sections[0].len(), 8);
}

#[test]
fn a_wildcard_speaks_for_names_that_are_not_there() {
    for name in [
        "a.wild.example.com",
        "b.a.wild.example.com",
        "*.wild.example.com",
    ] {
        answers(name, Type::A, &[&format!("{name}. 300 IN A 192.0.2.99")]);
    }
    denies("a.wild.example.com", Type::AAAA, Rcode::NOERROR, &[]);
    // Not for one that is there, not below it, and not for the name above itself (RFC 4592 §2.2.1).
    answers(
        "known.wild.example.com",
        Type::A,
        &["known.wild.example.com. 300 IN A 192.0.2.98"],
    );
    denies("known.wild.example.com", Type::TXT, Rcode::NOERROR, &[]);
    denies("a.known.wild.example.com", Type::A, Rcode::NXDOMAIN, &[]);
    denies("wild.example.com", Type::A, Rcode::NOERROR, &[]);
}

#[test]
fn nothing_is_said_with_the_start_of_authority_and_for_how_long() {
    denies("nope.example.com", Type::A, Rcode::NXDOMAIN, &[]);
    denies("a.b.nope.example.com", Type::A, Rcode::NXDOMAIN, &[]);
    denies("mail.example.com", Type::AAAA, Rcode::NOERROR, &[]);
    // A name that has only names below it exists.
    denies("empty.example.com", Type::A, Rcode::NOERROR, &[]);
    denies("_tcp.example.com", Type::SRV, Rcode::NOERROR, &[]);
}

#[test]
fn who_else_knows_is_named_with_glue_and_without_authority() {
    let referral = Said {
        flags: flags(&[Flags::QR, Flags::RD]),
        rcode: Rcode::NOERROR,
        sections: [
            vec![],
            vec!["child.example.com. 300 IN NS ns.child.example.com.".into()],
            vec!["ns.child.example.com. 300 IN A 192.0.2.153".into()],
        ],
    };
    for name in ["child", "www.child", "a.b.c.child", "ns.child"] {
        assert_eq!(
            ask(&format!("{name}.example.com"), Type::A),
            referral,
            "{name}"
        );
    }
    assert_eq!(ask("child.example.com", Type::NS), referral);
    // The upper zone speaks of the lower one's keys itself.
    denies("child.example.com", Type::DS, Rcode::NOERROR, &[]);
}

#[test]
fn any_gets_one_set_of_records() {
    answers(
        "example.com",
        Type::ANY,
        &["example.com. 300 IN A 192.0.2.80"],
    );
    let alias = "www.example.com. 300 IN CNAME web.example.com.";
    answers("www.example.com", Type::ANY, &[alias]);
    denies("empty.example.com", Type::ANY, Rcode::NOERROR, &[]);
}

// What it does not answer, and what it answers to that.

/// Asserts that a query gets this rcode and no record, whatever it came over.
fn refuses(query: &[u8], rcode: Rcode) {
    for transport in [Transport::Udp, Transport::Tcp] {
        let bytes = answered(query, transport).unwrap();
        let said = said(&bytes);
        assert_eq!(said.rcode, rcode);
        assert_eq!(said.sections.concat(), [""; 0]);
        assert!(!said.flags.contains(Flags::AA));
        assert_eq!(bytes[..2], query[..2], "the ID");
    }
}

#[test]
fn what_is_not_in_the_zone_is_refused() {
    for name in [
        "example.org",
        "com",
        ".",
        "www.example.com.example.net",
        "notexample.com",
    ] {
        refuses(&query(name, Type::A, Some(1232)), Rcode::REFUSED);
    }
    let chaos = query_with(Header::query(1), "version.bind", Type::TXT, Class::CH, None);
    refuses(&chaos, Rcode::REFUSED);
    let any = query_with(Header::query(1), "example.com", Type::A, Class::ANY, None);
    refuses(&any, Rcode::REFUSED);
    // The whole zone is not for everybody.
    refuses(&query("example.com", Type::AXFR, None), Rcode::REFUSED);
    refuses(&query("example.com", Type::IXFR, None), Rcode::REFUSED);
}

#[test]
fn what_is_broken_is_answered_with_formerr_from_the_header_on() {
    let whole = query("example.com", Type::A, Some(1232));
    for len in 0..HEADER_LEN {
        assert_eq!(answered(&whole[..len], Transport::Udp), None, "{len}");
    }
    for len in HEADER_LEN..whole.len() {
        refuses(&whole[..len], Rcode::FORMERR);
    }
    refuses(&[&whole[..], &[0]].concat(), Rcode::FORMERR);
    // No question, and two (RFC 9619).
    let mut none = whole[..HEADER_LEN].to_vec();
    none[4..].fill(0);
    refuses(&none, Rcode::FORMERR);
    let mut two = query("example.com", Type::A, None);
    two.extend_from_within(HEADER_LEN..);
    two[5] = 2;
    refuses(&two, Rcode::FORMERR);
}

#[test]
fn another_operation_is_not_implemented() {
    for number in 1..16 {
        let header = Header {
            opcode: Opcode::new(number).unwrap(),
            ..Header::query(7)
        };
        let query = query_with(header, "example.com", Type::SOA, Class::IN, None);
        refuses(&query, Rcode::NOTIMP);
        let answer = answered(&query, Transport::Udp).unwrap();
        assert_eq!(Header::parse(&answer).unwrap().opcode, header.opcode);
        // Even if what follows the header is none of what a query has.
        refuses(&[&query[..HEADER_LEN], &[0xff; 40]].concat(), Rcode::NOTIMP);
    }
}

#[test]
fn an_unknown_version_of_edns_is_answered_with_badvers_and_the_known_one() {
    let edns = Edns {
        version: 1,
        ..Edns::new(4096)
    };
    let query = query_with(
        Header::query(7),
        "example.com",
        Type::A,
        Class::IN,
        Some(edns),
    );
    refuses(&query, Rcode::BADVERS);
    let answer = answered(&query, Transport::Udp).unwrap();
    let said = Message::parse(&answer).unwrap().edns().unwrap();
    assert_eq!((said.version, said.udp_payload_size), (0, UDP_PAYLOAD_SIZE));
}

#[test]
fn an_answer_is_never_answered() {
    let header = Header {
        flags: Flags::QR | Flags::RD,
        ..Header::query(7)
    };
    let query = query_with(header, "example.com", Type::A, Class::IN, None);
    for transport in [Transport::Udp, Transport::Tcp] {
        assert_eq!(answered(&query, transport), None);
    }
    let own = answered(&crate::query("example.com", Type::A, None), Transport::Udp).unwrap();
    assert_eq!(answered(&own, Transport::Udp), None);
}

#[test]
fn the_answer_has_the_question_s_own_letters_flags_and_opt() {
    let header = Header {
        flags: Flags::NONE,
        ..Header::query(0xbeef)
    };
    let edns = Edns {
        dnssec_ok: true,
        ..Edns::new(1000)
    };
    let query = query_with(header, "eXaMpLe.CoM", Type::A, Class::IN, Some(edns));
    let bytes = answered(&query, Transport::Udp).unwrap();
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.header().id, 0xbeef);
    assert_eq!(message.header().flags, Flags::QR | Flags::AA);
    assert_eq!(message.question().unwrap().name.to_string(), "eXaMpLe.CoM.");
    assert!(message.edns().unwrap().dnssec_ok);
    // Without OPT, none.
    let plain = answered(&crate::query("example.com", Type::A, None), Transport::Udp).unwrap();
    assert_eq!(Message::parse(&plain).unwrap().edns(), None);
}

// How long answers are.

#[test]
fn a_datagram_is_as_long_as_the_client_takes_and_no_longer_than_ours_are() {
    for size in [None].into_iter().chain((0..=5000).step_by(50).map(Some)) {
        let limit = size.map_or(512, |size: u16| {
            usize::from(size.clamp(512, UDP_PAYLOAD_SIZE))
        });
        for (name, len) in [("long", 3), ("longer", 6), ("example", 0)] {
            let query = query(&format!("{name}.example.com"), Type::TXT, size);
            let bytes = answered(&query, Transport::Udp).unwrap();
            assert!(bytes.len() <= limit, "{size:?}: {} bytes", bytes.len());
            // All of the set or nothing, and TC if nothing.
            let said = said(&bytes);
            let found = said.sections[0].len();
            let truncated = said.flags.contains(Flags::TC);
            assert!(
                found == len && !truncated || found == 0 && truncated,
                "{said:?}"
            );

            let whole = answered(&query, Transport::Tcp).unwrap();
            assert_eq!(self::said(&whole).sections[0].len(), len);
            // What fits is not left out.
            assert_eq!(truncated, whole.len() > limit, "{size:?}");
        }
    }
}

#[test]
fn additional_records_are_left_out_without_a_word_and_glue_is_not() {
    let mut text = String::from("$ORIGIN example.\n$TTL 1\n@ SOA ns h 1 2 3 4 5\n@ NS ns\n");
    for n in 0..20 {
        text += &format!("@ MX {n} m{n}\nm{n} A 192.0.2.{n}\n");
        text += &format!("sub NS n{n}.sub\nn{n}.sub AAAA 2001:db8::{n}\n");
    }
    let zone = Zone::parse(&text).unwrap();
    let mut room = [0; MAX_MESSAGE_LEN];
    let mut ask = |name, qtype| {
        let query = query(name, qtype, None);
        said(answer(&zone, &query, Transport::Udp, &mut room).unwrap())
    };
    let mail = ask("example", Type::MX);
    assert_eq!(mail.sections[0].len(), 20);
    assert!(mail.sections[2].len() < 20 && !mail.flags.contains(Flags::TC));
    let referral = ask("www.sub.example", Type::A);
    assert_eq!(referral.sections[1].len(), 20);
    assert!(referral.sections[2].len() < 20 && referral.flags.contains(Flags::TC));
}

// The zone's text.

#[test]
fn a_zone_that_is_wrong_is_refused_by_line() {
    let wrong = |text: &str| Zone::parse(text).unwrap_err().to_string();
    let zone = "$ORIGIN example.\n$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\n";
    assert!(Zone::parse(zone).is_ok());
    for (line, what) in [
        (
            "a A 192.0.2.256",
            "line 5: 192.0.2.256: invalid IPv4 address syntax",
        ),
        ("a B 1", "line 5: B: no type of this name is known"),
        ("a", "line 5: a record has a type"),
        ("a MX 10", "line 5: these are no data of MX"),
        ("a TXT \"b", "line 5: a quote is missing"),
        (
            "b..c A 192.0.2.1",
            "line 5: b..c: label at byte 2 is 0, less than 1",
        ),
        (
            "a.example.com. A 192.0.2.1",
            "line 5: a.example.com. is not in the zone example.",
        ),
        ("@ SOA ns h 1 2 3 4 5", "line 5: a zone has one SOA"),
        ("@ NS ns", "line 5: example. NS stands here twice"),
        (
            "@ CNAME b",
            "line 5: example. has a CNAME, so it has nothing else",
        ),
        (
            "@ 61 NS ns2",
            "line 5: the records example. NS have one TTL (RFC 2181 §5.2)",
        ),
    ] {
        assert_eq!(wrong(&format!("{zone}{line}\n")), what);
    }
    assert_eq!(wrong(""), "line 0: there is no SOA");
    let soa = "$ORIGIN example.\n@ 60 SOA ns h 1 2 3 4 5\n";
    assert_eq!(wrong(soa), "line 2: example. has no NS");
    assert_eq!(wrong("a A 192.0.2.1"), "line 1: there is no $ORIGIN above");
}

proptest! {
    #[test]
    fn any_text_is_a_zone_or_an_error(text in "([a-z@$. \t;\"\\\\0-9]|\nA|SOA|NS|CNAME|\n){0,80}") {
        if let Err(error) = Zone::parse(&text) {
            prop_assert!(error.line <= text.lines().count());
        }
    }

    #[test]
    fn any_bytes_are_answered_as_a_server_may(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        tcp in any::<bool>(),
    ) {
        served::holds(&bytes, tcp);
    }

    #[test]
    fn a_query_with_some_bytes_changed_is_answered_as_a_server_may(
        name in prop::sample::select(vec!["www", "a.wild", "long", "child", "loop", "nope"]),
        size in prop::option::of(any::<u16>()),
        changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..4),
        tcp in any::<bool>(),
    ) {
        let mut bytes = query(&format!("{name}.example.com"), Type::TXT, size);
        for (at, byte) in changes {
            let len = bytes.len();
            bytes[at.index(len)] = byte;
        }
        served::holds(&bytes, tcp);
    }
}

#[test]
fn every_query_that_the_fuzzer_kept_is_answered_as_a_server_may() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/serve");
    let mut count = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let (transport, query) = bytes.split_first().unwrap();
        served::holds(query, transport & 1 == 1);
        count += 1;
    }
    assert!(count > 10, "{count}");
}

// The sockets.

fn server() -> Server {
    Server::start(zone(), SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap()
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&frame::prefix(message.len()).unwrap()[..], message].concat()
}

fn read_message(stream: &mut TcpStream) -> Vec<u8> {
    let mut prefix = [0; frame::PREFIX_LEN];
    stream.read_exact(&mut prefix).unwrap();
    let mut message = vec![0; u16::from_be_bytes(prefix).into()];
    stream.read_exact(&mut message).unwrap();
    message
}

/// Whether the server closes the connection, and sends nothing before.
fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0; 1]), Ok(0))
        || stream.take_error().unwrap().is_some()
        || matches!(stream.read(&mut [0; 1]), Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset)
}

#[test]
fn questions_one_behind_the_other_are_answered_in_their_order() {
    let server = server();
    let mut stream = connect(&server);
    let ids = 0..200_u16;
    let all: Vec<u8> = ids
        .clone()
        .flat_map(|id| {
            let name = ["www", "long", "longer", "nope"][usize::from(id % 4)];
            let name = format!("{name}.example.com");
            framed(&query_with(
                Header::query(id),
                &name,
                Type::TXT,
                Class::IN,
                None,
            ))
        })
        .collect();
    let mut writing = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || writing.write_all(&all).unwrap());
        for id in ids {
            let answer = read_message(&mut stream);
            assert_eq!(Header::parse(&answer).unwrap().id, id);
        }
    });
}

#[test]
fn a_question_that_comes_byte_by_byte_is_answered_when_it_is_whole() {
    let server = server();
    let mut stream = connect(&server);
    let query = query("longer.example.com", Type::TXT, None);
    for byte in framed(&query) {
        stream.write_all(&[byte]).unwrap();
    }
    let answer = read_message(&mut stream);
    assert_eq!(said(&answer).sections[0].len(), 6);
    assert!(answer.len() > usize::from(UDP_PAYLOAD_SIZE));
}

#[test]
fn a_connection_that_is_silent_is_closed_after_a_while() {
    let server = server();
    let begun = Instant::now(); // before the server's own clock of this connection can begin
    let mut stream = connect(&server);
    stream
        .write_all(&framed(&query("example.com", Type::A, None)))
        .unwrap();
    read_message(&mut stream);
    // Half a message makes no difference.
    stream.write_all(&[0, 40, 1, 2, 3]).unwrap();
    assert!(is_closed(&mut stream));
    assert!(begun.elapsed() >= IDLE, "{:?}", begun.elapsed());
}

#[test]
fn a_question_that_never_becomes_whole_does_not_keep_a_connection() {
    let server = server();
    let begun = Instant::now(); // before the server's own clock of this connection can begin
    let mut stream = connect(&server);
    stream.set_read_timeout(Some(IDLE / 10)).unwrap();
    // A byte every half second: silent for so long it never is.
    while begun.elapsed() < DEADLINE {
        let sent = stream.write_all(&[1]);
        let closed = match stream.read(&mut [0; 1]) {
            Ok(len) => len == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        };
        if sent.is_err() || closed {
            return assert!(begun.elapsed() >= IDLE);
        }
    }
    panic!("open for {DEADLINE:?}");
}

#[test]
fn more_connections_than_there_are_places_for_are_closed_at_once() {
    let server = server();
    let served = |stream: &mut TcpStream| {
        let asked = stream.write_all(&framed(&query("example.com", Type::A, None)));
        asked.is_ok() && matches!(stream.read(&mut [0; 512]), Ok(1..))
    };
    let mut streams: Vec<TcpStream> = (0..MAX_CONNECTIONS).map(|_| connect(&server)).collect();
    assert!(streams.iter_mut().all(served));
    assert!(is_closed(&mut connect(&server)));
    // UDP is not concerned, and the place of one that leaves is free again.
    let socket = client(&server);
    assert!(asked(&socket, &query("example.com", Type::A, None)).is_some());
    streams.pop();
    wait_for("a free place", || {
        served(&mut connect(&server)).then_some(())
    });
    assert!(streams.iter_mut().all(served));
}

fn client(server: &Server) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.connect(server.address()).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

fn asked(socket: &UdpSocket, query: &[u8]) -> Option<Vec<u8>> {
    socket.send(query).unwrap();
    let mut room = [0; MAX_MESSAGE_LEN];
    let len = socket.recv(&mut room).ok()?;
    Some(room[..len].to_vec())
}

#[test]
fn rubbish_gets_no_answer_and_does_not_disturb_the_next_question() {
    let server = server();
    let socket = client(&server);
    let question = query("example.com", Type::A, None);
    for rubbish in [
        &[][..],
        &[0xff; 11],
        &[0xff; 1200],
        &[0x80; 40],
        &vec![0x80; 60_000],
    ] {
        socket.send(rubbish).unwrap();
        // The first that comes back is the answer to what is a question.
        let answer = asked(&socket, &question).unwrap();
        assert_eq!(said(&answer).rcode, Rcode::NOERROR);
    }
    // Over a connection it ends that connection, and no other.
    let mut other = connect(&server);
    for rubbish in [vec![0, 0], framed(&[0xff; 40]), vec![0, 1, 7]] {
        let mut stream = connect(&server);
        stream.write_all(&rubbish).unwrap();
        assert!(is_closed(&mut stream), "{rubbish:02x?}");
        other.write_all(&framed(&question)).unwrap();
        assert_eq!(said(&read_message(&mut other)).rcode, Rcode::NOERROR);
    }
}

#[test]
fn a_server_that_is_dropped_closes_its_connections_and_frees_its_port() {
    let server = server();
    let address = server.address();
    let mut stream = connect(&server);
    stream
        .write_all(&framed(&query("example.com", Type::A, None)))
        .unwrap();
    read_message(&mut stream);
    drop(server);
    assert!(is_closed(&mut stream));
    drop(stream);
    let again = wait_for("the port", || Server::start(zone(), address).ok());
    assert_eq!(again.address(), address);
}
