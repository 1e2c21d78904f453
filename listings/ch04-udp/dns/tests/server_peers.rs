//! Programs that no one here wrote ask the listing's server: dig (BIND), kdig (Knot DNS) and drill
//! (ldns), over UDP and TCP, with EDNS and without.

#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use testkit::{Program, Server, peer};

/// What is asked for, and the records that the answer has: those of `example.com.zone`.
const QUESTIONS: &[(&str, &str, &[&str])] = &[
    ("example.com", "A", &["example.com. 300 IN A 192.0.2.80"]),
    (
        "example.com",
        "AAAA",
        &["example.com. 300 IN AAAA 2001:db8::80"],
    ),
    (
        "example.com",
        "NS",
        &[
            "example.com. 300 IN NS ns1.example.com.",
            "example.com. 300 IN NS ns2.example.com.",
        ],
    ),
    (
        "example.com",
        "SOA",
        &[
            "example.com. 300 IN SOA ns1.example.com. hostmaster.example.com. \
           2026112301 7200 3600 1209600 60",
        ],
    ),
    (
        "example.com",
        "MX",
        &["example.com. 300 IN MX 10 mail.example.com."],
    ),
    (
        "example.com",
        "TXT",
        &[r#"example.com. 300 IN TXT "v=spf1 mx -all" "two strings""#],
    ),
    (
        "www.example.com",
        "A",
        &[
            "www.example.com. 300 IN CNAME web.example.com.",
            "web.example.com. 300 IN CNAME host1.web.example.com.",
            "host1.web.example.com. 300 IN A 192.0.2.81",
        ],
    ),
    (
        "_imaps._tcp.example.com",
        "SRV",
        &["_imaps._tcp.example.com. 300 IN SRV 0 1 993 mail.example.com."],
    ),
    (
        "any.wild.example.com",
        "A",
        &["any.wild.example.com. 300 IN A 192.0.2.99"],
    ),
    ("mail.example.com", "AAAA", &[]),
    ("nope.example.com", "A", &[]),
];

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| testkit::listing!().arg("127.0.0.1:0").serve())
}

/// One of the three programs, and how it is told things.
struct Client {
    name: &'static str,
    /// In front of all.
    first: fn(u16) -> Vec<String>,
    tcp: &'static [&'static str],
    plain: &'static [&'static str],
    /// No EDNS, and TCP for what is truncated.
    fallback: &'static [&'static str],
    /// A size of EDNS that takes all of `longer`.
    large: &'static [&'static str],
}

const CLIENTS: [Client; 3] = [
    Client {
        name: "dig",
        first: |port| words(&format!("@127.0.0.1 -p {port} +tries=1 +time=5 +nocookie")),
        tcp: &["+tcp"],
        plain: &["+noedns"],
        fallback: &["+noedns"],
        large: &["+bufsize=4096"],
    },
    Client {
        name: "kdig",
        first: |port| words(&format!("@127.0.0.1 -p {port} +retry=0 +time=5")),
        tcp: &["+tcp"],
        plain: &["+noedns"],
        fallback: &["+noedns"],
        large: &["+bufsize=4096"],
    },
    Client {
        name: "drill",
        first: |port| words(&format!("@127.0.0.1 -p {port}")),
        tcp: &["-t"],
        plain: &[],
        fallback: &["-a"],
        large: &["-b", "4096"],
    },
];

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

impl Client {
    fn path(&self) -> Option<PathBuf> {
        peer(self.name)
    }

    /// What it prints when it is told to ask.
    fn prints(&self, path: &Path, options: &[&str], question: &[&str]) -> String {
        let run = Program::new(path)
            .args((self.first)(server().address().port()))
            .args(options)
            .args(question)
            .env("HOME", "/nonexistent")
            .run()
            .succeeds();
        run.stdout
    }

    /// The records of the answer section that it prints.
    fn answers(&self, path: &Path, options: &[&str], name: &str, qtype: &str) -> Vec<String> {
        let printed = self.prints(path, options, &[name, qtype]);
        let section = printed
            .split(";; ANSWER SECTION:")
            .nth(1)
            .unwrap_or_default();
        let lines = section.lines().skip(1);
        let lines = lines.take_while(|line| !line.is_empty() && !line.starts_with(';'));
        lines.map(|line| words(line).join(" ")).collect()
    }
}

/// Asks everything over one transport, with one kind of EDNS.
fn all_say_what_the_zone_says(options: fn(&Client) -> Vec<&str>) {
    for client in &CLIENTS {
        let Some(path) = client.path() else { continue };
        for (name, qtype, records) in QUESTIONS {
            let answers = client.answers(&path, &options(client), name, qtype);
            assert_eq!(answers, *records, "{} {name} {qtype}", client.name);
        }
    }
}

#[test]
fn dig_kdig_and_drill_print_what_the_zone_says_over_udp() {
    all_say_what_the_zone_says(|client| client.plain.to_vec());
}

#[test]
fn dig_kdig_and_drill_print_what_the_zone_says_with_edns() {
    all_say_what_the_zone_says(|client| client.large.to_vec());
}

#[test]
fn dig_kdig_and_drill_print_what_the_zone_says_over_tcp() {
    all_say_what_the_zone_says(|client| client.tcp.to_vec());
}

#[test]
fn dig_kdig_and_drill_ask_again_over_tcp_when_an_answer_was_truncated() {
    for client in &CLIENTS {
        let Some(path) = client.path() else { continue };
        for (name, records) in [("long", 3), ("longer", 6)] {
            let name = format!("{name}.example.com");
            let answers = client.answers(&path, client.fallback, &name, "TXT");
            assert_eq!(answers.len(), records, "{} {name}", client.name);
        }
    }
    // That it was over TCP, dig says.
    let dig = &CLIENTS[0];
    let Some(path) = dig.path() else { return };
    let printed = dig.prints(&path, &["+noedns"], &["long.example.com", "TXT"]);
    assert!(
        printed.contains(";; Truncated, retrying in TCP mode."),
        "{printed}"
    );
    assert!(printed.contains("(TCP)"), "{printed}");
    // With EDNS the shorter of the two fits into a datagram.
    let printed = dig.prints(&path, &["+bufsize=1232"], &["long.example.com", "TXT"]);
    assert!(!printed.contains("TCP"), "{printed}");
}

#[test]
fn dig_and_kdig_send_several_questions_over_one_connection() {
    for client in &CLIENTS[..2] {
        let Some(path) = client.path() else { continue };
        let options = ["+tcp", "+keepopen"];
        let question = [
            "www.example.com",
            "A",
            "mail.example.com",
            "A",
            "longer.example.com",
            "TXT",
        ];
        let printed = client.prints(&path, &options, &question);
        for record in ["192.0.2.81", "192.0.2.25", "\"6 "] {
            assert!(printed.contains(record), "{}: {printed}", client.name);
        }
        assert!(
            !printed.contains("timed out") && !printed.contains("error"),
            "{printed}"
        );
    }
}

/// That dig's answer has this status and these flags.
#[track_caller]
fn dig_sees(question: &[&str], status: &str, flags: &str) -> Option<String> {
    let dig = &CLIENTS[0];
    let path = dig.path()?;
    let printed = dig.prints(&path, &["+norecurse"], question);
    assert!(printed.contains(&format!("status: {status},")), "{printed}");
    assert!(printed.contains(&format!("flags: {flags};")), "{printed}");
    assert!(
        !printed.contains("WARNING") && !printed.contains("malformed"),
        "{printed}"
    );
    Some(printed)
}

#[test]
fn dig_sees_the_right_status() {
    dig_sees(&["nope.example.com"], "NXDOMAIN", "qr aa");
    dig_sees(&["example.org"], "REFUSED", "qr");
    dig_sees(&["version.bind", "CH", "TXT"], "REFUSED", "qr");
    dig_sees(&["example.com", "+opcode=status"], "NOTIMP", "qr");
    dig_sees(&["example.com", "+header-only"], "FORMERR", "qr");
    dig_sees(
        &["long.example.com", "TXT", "+ignore", "+noedns"],
        "NOERROR",
        "qr aa tc",
    );
    let badvers = ["example.com", "+edns=7", "+noednsnegotiation"];
    if let Some(printed) = dig_sees(&badvers, "BADVERS", "qr") {
        assert!(printed.contains("EDNS: version: 0"), "{printed}");
    }
    if let Some(printed) = dig_sees(&["www.child.example.com"], "NOERROR", "qr") {
        let referral = words(&printed).join(" ");
        assert!(referral.contains("child.example.com. 300 IN NS ns.child.example.com."));
        assert!(referral.contains("ns.child.example.com. 300 IN A 192.0.2.153"));
    }
    // The negotiation: dig tries again with the version that the server knows.
    if let Some(printed) = dig_sees(&["example.com", "+edns=7"], "NOERROR", "qr aa") {
        assert!(printed.contains("192.0.2.80"), "{printed}");
    }
}
