//! The messages that this listing shows: dig asked unbound and dnsmasq on the lab, and the packets
//! were kept in `captures`. Here they are asked again, and say the same.
//!
//! ```text
//! DNS_CAPTURES=write cargo test -p udp-dns-message --test captures
//! ```
//!
//! keeps what they say now.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ip_header::{Packet, Protocol};
use lab::{Host, Lab, Link};
use testkit::{peer, wait_for};
use udp_dns_message::{Message, Section, frame};

/// Makes the test keep what it captured.
const WRITE_VARIABLE: &str = "DNS_CAPTURES";

/// Where dig's packets come from, and where they go.
const CLIENT: [u8; 4] = [192, 0, 2, 7];
const SERVER: [u8; 4] = [192, 0, 2, 53];

/// What dig asks unbound, which has `example.com.zone`.
///
/// The numbers that dig would choose at random are given, so that a run is like another.
const OF_UNBOUND: [(&str, &[&str]); 10] = [
    ("a", &["example.com", "A"]),
    ("aaaa", &["example.com", "AAAA", "+cookie=0123456789abcdef"]),
    ("mx", &["example.com", "MX"]),
    ("cname", &["WWW.example.com", "A", "+noedns"]),
    ("srv", &["_imaps._tcp.example.com", "SRV"]),
    ("https", &["web.example.com", "HTTPS"]),
    ("nxdomain", &["nope.example.com", "A"]),
    ("refused", &["example.org", "A", "+dnssec"]),
    (
        "truncated",
        &["long.example.com", "TXT", "+bufsize=512", "+ignore"],
    ),
    ("tcp", &["long.example.com", "TXT", "+tcp"]),
];

/// What dig asks dnsmasq, which was told the same by its command line.
const OF_DNSMASQ: [(&str, &[&str]); 4] = [
    ("dnsmasq-cname", &["www.example.com", "AAAA"]),
    ("dnsmasq-srv", &["_imaps._tcp.example.com", "SRV"]),
    ("dnsmasq-txt", &["example.com", "TXT", "+noedns"]),
    ("dnsmasq-ptr", &["-x", "192.0.2.81"]),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")
}

fn unbound(directory: &Path) -> Vec<String> {
    let conf = format!(
        "server:\n interface: 0.0.0.0\n access-control: 0.0.0.0/0 allow\n do-daemonize: no\n \
         chroot: \"\"\n username: \"\"\n directory: \"{directory}\"\n pidfile: \"\"\n \
         use-syslog: no\n rrset-roundrobin: no\n minimal-responses: no\n \
         module-config: \"iterator\"\n local-zone: \"org.\" refuse\nremote-control:\n control-enable: no\nauth-zone:\n \
         name: example.com\n zonefile: \"{zone}\"\n for-upstream: no\n",
        directory = directory.display(),
        zone = folder().join("example.com.zone").display(),
    );
    let file = directory.join("unbound.conf");
    fs::write(&file, conf).unwrap();
    ["-d", "-c", file.to_str().unwrap()]
        .map(str::to_owned)
        .into()
}

fn dnsmasq() -> Vec<String> {
    let arguments = [
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--pid-file",
        "--no-resolv",
        "--no-hosts",
        "--user=root",
        "--group=root",
        "--log-facility=-",
        "--local-ttl=300",
        "--local=/example.com/",
        "--host-record=web.example.com,192.0.2.81,2001:db8::81",
        "--cname=www.example.com,web.example.com",
        "--txt-record=example.com,v=spf1 mx -all,two strings",
        "--srv-host=_imaps._tcp.example.com,mail.example.com,993,0,1",
    ];
    arguments.map(str::to_owned).into()
}

/// A program that is ended with the test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a server, and waits until it listens.
fn start(server: &Host, program: &Path, arguments: &[String]) -> Started {
    let mut command: Command = server.command(program.to_str().unwrap());
    command
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let started = Started(command.spawn().unwrap());
    wait_for("the server's socket at port 53", || {
        server.proc_net("udp").contains(":0035 ").then_some(())
    });
    started
}

/// The packets that dig's questions and the server's answers travelled in, by name.
fn exchanges(
    program: &Path,
    arguments: &[String],
    questions: &[(&str, &[&str])],
) -> BTreeMap<String, Vec<u8>> {
    let dig = peer("dig").expect("looked for before");
    let mut builder = Lab::builder();
    let [client, server] = ["client", "server"].map(|name| builder.host(name));
    builder.addresses(client, CLIENT.into(), "2001:db8::7".parse().unwrap());
    builder.addresses(server, SERVER.into(), "2001:db8::53".parse().unwrap());
    builder.link(client, server, Link::new(), Link::new());
    let lab = builder.start().unwrap();
    let [client, server] = [client, server].map(|place| lab.host(place));
    let started = start(&server, program, arguments);

    let mut packets = BTreeMap::new();
    for (at, (name, question)) in questions.iter().enumerate() {
        let seen = lab.capture().crossings().len();
        let output = client
            .command(dig.to_str().unwrap())
            .args(["-b", &format!("192.0.2.7#{}", 40_000 + at), "@192.0.2.53"])
            .args([
                "+tries=1",
                "+time=5",
                "+nocookie",
                &format!("+qid={}", 0x1200 + at),
            ])
            .args(*question)
            .env("HOME", "/nonexistent")
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
        for crossing in &lab.capture().crossings()[seen..] {
            if message(&crossing.bytes).is_some() {
                let by = if crossing.udp().is_some_and(|udp| udp.source_port == 53)
                    || crossing.tcp().is_some_and(|tcp| tcp.source_port == 53)
                {
                    "answer"
                } else {
                    "query"
                };
                packets.insert(format!("{name}-{by}"), crossing.bytes.to_vec());
            }
        }
    }
    drop(started);
    let _ = lab.finish().unwrap();
    packets
}

/// The message that a packet carries.
fn message(packet: &[u8]) -> Option<&[u8]> {
    let upper = Packet::parse(packet).ok()?.upper_layer().ok()?;
    match upper.protocol {
        Protocol::UDP => upper.bytes.get(8..),
        Protocol::TCP => {
            let header_len = usize::from(upper.bytes.get(12)? >> 4) * 4;
            frame::take(upper.bytes.get(header_len..)?).map(|(message, _)| message)
        }
        _ => None,
    }
}

/// What a message says, in words: all but the order of records.
fn says(packet: &[u8]) -> Vec<String> {
    let message = Message::parse(message(packet).expect("a message")).expect("a right one");
    let mut lines = vec![
        format!("{:?}", message.header()),
        format!("{:?}", message.edns()),
    ];
    lines.extend(message.questions().map(|question| question.to_string()));
    for section in Section::ALL {
        let mut records: Vec<String> = message
            .records(section)
            .map(|record| format!("{section:?} {record}"))
            .collect();
        records.sort();
        lines.extend(records);
    }
    lines
}

fn check(captured: &BTreeMap<String, Vec<u8>>, questions: &[(&str, &[&str])]) {
    assert_eq!(captured.len(), questions.len() * 2);
    for (name, packet) in captured {
        let file = folder().join(name).with_extension("packet");
        if std::env::var_os(WRITE_VARIABLE).is_some() {
            fs::write(&file, packet).unwrap();
            let corpus = folder().join("../fuzz/corpus/parse");
            let bytes = message(packet).unwrap();
            fs::write(corpus.join(format!("captured-{name}")), bytes).unwrap();
        }
        let kept = fs::read(&file).unwrap();
        assert_eq!(says(packet), says(&kept), "{name}");
    }
}

#[test]
fn dig_and_unbound_say_what_was_captured() {
    let (Some(unbound_path), Some(_)) = (peer("unbound"), peer("dig")) else {
        return;
    };
    lab::test(|| {
        let directory = tempfile::tempdir().unwrap();
        let arguments = unbound(directory.path());
        check(
            &exchanges(&unbound_path, &arguments, &OF_UNBOUND),
            &OF_UNBOUND,
        );
    });
}

#[test]
fn dig_and_dnsmasq_say_what_was_captured() {
    let (Some(dnsmasq_path), Some(_)) = (peer("dnsmasq"), peer("dig")) else {
        return;
    };
    lab::test(|| {
        check(
            &exchanges(&dnsmasq_path, &dnsmasq(), &OF_DNSMASQ),
            &OF_DNSMASQ,
        );
    });
}
