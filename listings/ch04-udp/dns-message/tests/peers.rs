//! What programs that no one here wrote say of the same messages.

#[path = "../src/captured.rs"]
#[expect(dead_code, reason = "the messages are enough here")]
mod captured;
#[path = "../src/hostile.rs"]
#[expect(dead_code, reason = "the broken ones are enough here")]
mod hostile;
mod strategies;

use std::path::{Path, PathBuf};

use ip_header::{Protocol, ipv4};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use strategies::{host_name, name, parts};
use testkit::{Program, peer};
use udp_dns_message::{Message, Name, Opcode, Rdata, Section, Txt, Type};

/// How many messages each peer is asked about, besides those that were captured.
const MESSAGES: usize = 300;

/// The messages that were captured.
fn captured() -> Vec<Vec<u8>> {
    let messages = captured::ALL
        .iter()
        .map(|captured| captured.message().unwrap().to_vec());
    messages.collect()
}

/// The same messages in every run: a test that is right once is right again.
fn made(parts: impl Strategy<Value = strategies::Parts>) -> Vec<Vec<u8>> {
    let mut runner = TestRunner::deterministic();
    let messages = (0..MESSAGES).map(|_| parts.new_tree(&mut runner).unwrap().current());
    messages.map(|parts| parts.bytes()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A packet from a server's port that carries a message.
fn packet(message: &[u8]) -> Vec<u8> {
    let len = 8 + message.len();
    let mut packet = vec![0; ipv4::HEADER_LEN + len];
    let header = ipv4::Header::new(Protocol::UDP, [192, 0, 2, 53].into(), [192, 0, 2, 7].into());
    let udp = header.emit(&mut packet).unwrap();
    udp[..2].copy_from_slice(&53_u16.to_be_bytes());
    udp[2..4].copy_from_slice(&40_000_u16.to_be_bytes());
    udp[4..6].copy_from_slice(&(len as u16).to_be_bytes());
    udp[8..].copy_from_slice(message); // and no checksum
    packet
}

/// A capture file of raw IP packets.
fn pcap(packets: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut file = Vec::new();
    for number in [0xa1b2_c3d4_u32, 4 << 16 | 2, 0, 0, 65_535, 101] {
        file.extend(number.to_be_bytes());
    }
    for packet in packets {
        let len = packet.len() as u32;
        for number in [0, 0, len, len] {
            file.extend(number.to_be_bytes());
        }
        file.extend(packet);
    }
    file
}

/// What tshark shows of a message, in the order of [`tshark_line`].
const TSHARK_FIELDS: &[&str] = &[
    "dns.id",
    "dns.flags",
    "dns.count.queries",
    "dns.count.answers",
    "dns.count.auth_rr",
    "dns.count.add_rr",
    "dns.qry.name",
    "dns.qry.type",
    "dns.qry.class",
    "dns.resp.name",
    "dns.resp.type",
    "dns.resp.class",
    "dns.resp.ttl",
    "dns.a",
    "dns.aaaa",
    "dns.cname",
    "dns.ns",
    "dns.ptr.domain_name",
    "dns.soa.mname",
    "dns.soa.rname",
    "dns.soa.serial_number",
    "dns.soa.refresh_interval",
    "dns.soa.retry_interval",
    "dns.soa.expire_limit",
    "dns.soa.minimum_ttl",
    "dns.mx.preference",
    "dns.mx.mail_exchange",
    "dns.srv.priority",
    "dns.srv.weight",
    "dns.srv.port",
    "dns.srv.target",
    "dns.txt.length",
    "dns.rr.udp_payload_size",
    "dns.resp.ext_rcode",
    "dns.resp.edns0_version",
    "dns.resp.z.do",
    "dns.opt.code",
    "dns.opt.len",
];

/// What we read, in tshark's words.
fn tshark_line(bytes: &[u8]) -> String {
    let message = Message::parse(bytes).unwrap();
    let header = message.header();
    let mut lists: Vec<Vec<String>> = vec![Vec::new(); TSHARK_FIELDS.len()];
    let mut add = |field: &str, value: &dyn ToString| {
        let at = TSHARK_FIELDS.iter().position(|each| *each == field);
        lists[at.expect("a field")].push(value.to_string());
    };
    let shown = |name: Name| match name.is_root() {
        true => "<Root>".to_owned(),
        false => name.to_string().trim_end_matches('.').to_owned(),
    };
    add("dns.id", &format!("{:#06x}", header.id));
    let opcode = u16::from(header.opcode.number()) << 11;
    let flags = header.flags.bits() | opcode | (header.rcode.number() & 0xf);
    add("dns.flags", &format!("{flags:#06x}"));
    add("dns.count.queries", &message.questions().count());
    add("dns.count.answers", &message.answers().count());
    add("dns.count.auth_rr", &message.authorities().count());
    let additionals = message.additionals().count() + usize::from(message.edns().is_some());
    add("dns.count.add_rr", &additionals);
    for question in message.questions() {
        add("dns.qry.name", &shown(question.name));
        add("dns.qry.type", &question.qtype.0);
        add("dns.qry.class", &format!("{:#06x}", question.class.0));
    }
    for record in Section::ALL
        .into_iter()
        .flat_map(|section| message.records(section))
    {
        // The owner of SRV it takes apart, into service and protocol, though there may be none.
        if record.rtype() != Type::SRV {
            add("dns.resp.name", &shown(record.name));
        }
        add("dns.resp.type", &record.rtype().0);
        add("dns.resp.class", &format!("{:#06x}", record.class.0));
        add("dns.resp.ttl", &record.ttl);
        match record.rdata {
            Rdata::A(address) => add("dns.a", &address),
            Rdata::Aaaa(address) => add("dns.aaaa", &address),
            Rdata::Cname(name) => add("dns.cname", &shown(name)),
            Rdata::Ns(name) => add("dns.ns", &shown(name)),
            Rdata::Ptr(name) => add("dns.ptr.domain_name", &shown(name)),
            Rdata::Soa(soa) => {
                add("dns.soa.mname", &shown(soa.mname));
                add("dns.soa.rname", &shown(soa.rname));
                add("dns.soa.serial_number", &soa.serial);
                add("dns.soa.refresh_interval", &soa.refresh);
                add("dns.soa.retry_interval", &soa.retry);
                add("dns.soa.expire_limit", &soa.expire);
                add("dns.soa.minimum_ttl", &soa.minimum);
            }
            Rdata::Mx {
                preference,
                exchange,
            } => {
                add("dns.mx.preference", &preference);
                add("dns.mx.mail_exchange", &shown(exchange));
            }
            Rdata::Srv {
                priority,
                weight,
                port,
                target,
            } => {
                add("dns.srv.priority", &priority);
                add("dns.srv.weight", &weight);
                add("dns.srv.port", &port);
                add("dns.srv.target", &shown(target));
            }
            Rdata::Txt(txt) => txt
                .strings()
                .for_each(|string| add("dns.txt.length", &string.len())),
            Rdata::Opaque { .. } => {}
        }
    }
    if let Some(edns) = message.edns() {
        add("dns.resp.name", &"<Root>");
        add("dns.resp.type", &Type::OPT.0);
        add("dns.rr.udp_payload_size", &edns.udp_payload_size);
        add(
            "dns.resp.ext_rcode",
            &format!("{:#04x}", header.rcode.number() >> 4),
        );
        add("dns.resp.edns0_version", &edns.version);
        add("dns.resp.z.do", &u8::from(edns.dnssec_ok));
        for option in edns.options.iter() {
            add("dns.opt.code", &option.code.0);
            add("dns.opt.len", &option.data.len());
        }
    }
    let columns = lists.into_iter().map(|list| list.join(","));
    columns.collect::<Vec<_>>().join("|")
}

#[test]
fn tshark_reads_the_same_field_by_field() {
    let Some(tshark) = peer("tshark") else { return };
    let mut messages = captured();
    // Another operation has other fields, and names are shown in another way unless they are hosts'.
    let questions = parts(host_name()).prop_map(|mut parts| {
        parts.header.opcode = Opcode::QUERY;
        for (_, qtype, _) in &mut parts.questions {
            *qtype = Type::A;
        }
        // To tshark a code of the IANA's list is an option of that kind, and looked into.
        if let Some(edns) = &mut parts.edns {
            edns.options
                .iter_mut()
                .for_each(|(code, _)| *code |= 0x8000);
        }
        parts
    });
    messages.extend(made(questions));
    let fields = TSHARK_FIELDS.iter().flat_map(|field| ["-e", *field]);
    let run = Program::new(tshark)
        .args(["-n", "-r", "-", "-T", "fields", "-E", "separator=|"])
        .args(["-E", "occurrence=a", "-E", "aggregator=,"])
        .args(fields)
        .input(pcap(messages.iter().map(|message| packet(message))))
        .run()
        .succeeds();
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines.len(), messages.len(), "{}", run.stderr);
    for (line, message) in lines.iter().zip(&messages) {
        let fields = TSHARK_FIELDS.join("|");
        assert_eq!(*line, tshark_line(message), "{fields}\n{}", hex(message));
    }
}

/// The interpreter that `ci/peers` has installed dnspython for.
fn python() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let python = root.join("target/peers/venv/bin/python");
    let has = python.is_file()
        && Program::new(&python)
            .args(["-c", "import dns"])
            .run()
            .status
            .success();
    if !has {
        testkit::skip("needs dnspython (ci/peers installs it)");
    }
    has.then_some(python)
}

/// What dnspython reads in each message, or that it refuses it.
fn dnspython(python: PathBuf, messages: &[Vec<u8>]) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/dnspython_reads.py");
    let lines: Vec<String> = messages.iter().map(|message| hex(message)).collect();
    let run = Program::new(python)
        .arg(script)
        .input(lines.join("\n"))
        .run()
        .succeeds();
    let answers: Vec<String> = run.stdout.lines().map(str::to_owned).collect();
    assert_eq!(answers.len(), messages.len(), "{}", run.stderr);
    answers
}

/// What we read, in the script's words.
fn dnspython_line(bytes: &[u8]) -> String {
    let message = Message::parse(bytes).unwrap();
    let header = message.header();
    let mut parts = vec![
        header.id.to_string(),
        header.opcode.number().to_string(),
        header.rcode.number().to_string(),
        header.flags.bits().to_string(),
    ];
    parts.extend(message.questions().map(|question| {
        format!(
            "{} {} {}",
            question.name, question.class.0, question.qtype.0
        )
    }));
    for section in Section::ALL {
        parts.push("--".into());
        parts.extend(message.records(section).map(|record| {
            let (class, rtype) = (record.class.0, record.rtype().0);
            format!(
                "{} {} {class} {rtype} {}",
                record.name, record.ttl, record.rdata
            )
        }));
    }
    if let Some(edns) = message.edns() {
        let (size, version) = (edns.udp_payload_size, edns.version);
        parts.push(format!("edns {size} {version} {}", edns.dnssec_ok));
        let options = edns.options.iter();
        parts.extend(options.map(|option| format!("{} {}", option.code.0, hex(option.data))));
    }
    parts.join("|")
}

#[test]
fn dnspython_reads_the_same() {
    let Some(python) = python() else { return };
    let mut messages = captured();
    messages.extend(made(parts(name()).prop_map(|mut parts| {
        parts.header.opcode = Opcode::QUERY;
        // In a private range, or dnspython looks into the option.
        if let Some(edns) = &mut parts.edns {
            edns.options
                .iter_mut()
                .for_each(|(code, _)| *code |= 0xff00);
        }
        parts
    })));
    let read = dnspython(python, &messages);
    for (theirs, message) in read.iter().zip(&messages) {
        assert_eq!(*theirs, dnspython_line(message), "{}", hex(message));
    }
}

#[test]
fn dnspython_refuses_what_we_refuse_but_for_a_pointer_into_the_header() {
    let Some(python) = python() else { return };
    let (names, messages): (Vec<_>, Vec<_>) = hostile::broken().into_iter().unzip();
    let accepted: Vec<&str> = dnspython(python, &messages)
        .iter()
        .zip(names)
        .filter(|(theirs, _)| *theirs != "refused")
        .map(|(_, name)| name)
        .collect();
    assert_eq!(accepted, ["a pointer into the header"]);
}

#[test]
fn txt_is_shown_as_others_read_it() {
    let wire = b"\x04a\"\\\x00\x00\x01\xff";
    let txt = Txt::new(wire).unwrap();
    assert_eq!(txt.to_string(), r#""a\"\\\000" "" "\255""#);
}
