//! The tools that the page names, on the handshakes that it shows.
#![cfg(target_os = "linux")]

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lab::{Lab, Link, Tcp, Verdict};
use testkit::{Program, peer, wait_for};

const ONE_WAY: Duration = Duration::from_millis(25);

/// The fields of the packets that `filter` lets through, one line a packet.
fn tshark(program: &Path, file: &Path, filter: &str, fields: &[&str]) -> Vec<String> {
    let fields = fields.iter().flat_map(|field| ["-e", field]);
    let run = Program::new(program)
        .args(["-r", file.to_str().unwrap(), "-Y", filter, "-T", "fields"])
        .args(fields)
        .run()
        .succeeds();
    run.stdout.lines().map(str::to_owned).collect()
}

/// A handshake of which so many SYNs are lost, as a file.
fn handshake(lost: u64, file: &Path) -> u32 {
    let there = Link::new().delay(ONE_WAY).rule(move |n, _| {
        if n <= lost {
            Verdict::Drop
        } else {
            Verdict::Pass
        }
    });
    let mut builder = Lab::builder();
    let (client, server) = (builder.host("client"), builder.host("server"));
    builder.link(client, server, there, Link::new().delay(ONE_WAY));
    let lab = builder.start().unwrap();
    let (client, server) = (lab.host(client), lab.host(server));
    let address = SocketAddr::from((server.v4(), 80));
    let listener = server.run(|| TcpListener::bind(address)).unwrap();
    let connection = client.run(|| TcpStream::connect(address)).unwrap();
    let accepted = listener.accept().unwrap();
    let capture = lab.capture();
    capture.write_pcapng(file, "").unwrap();
    drop((connection, accepted));
    capture.crossings()[0].tcp().unwrap().sequence
}

#[test]
fn tshark_shows_relative_numbers_and_keeps_the_real_ones() {
    let Some(program) = peer("tshark") else {
        return;
    };
    lab::test(move || {
        let file = tempfile::NamedTempFile::new().unwrap();
        let initial = handshake(0, file.path());
        let numbers = tshark(&program, file.path(), "tcp", &["tcp.seq", "tcp.seq_raw"]);
        assert_eq!(numbers[0], format!("0\t{initial}"));
        assert!(numbers[1].starts_with("0\t"), "{numbers:?}");
        assert_eq!(numbers[2], format!("1\t{}", initial.wrapping_add(1)));
    });
}

#[test]
fn tshark_finds_the_handshakes_round_trip() {
    let Some(program) = peer("tshark") else {
        return;
    };
    lab::test(move || {
        let file = tempfile::NamedTempFile::new().unwrap();
        handshake(0, file.path());
        let fields = ["tcp.analysis.initial_rtt"];
        let found = tshark(&program, file.path(), "tcp.analysis.initial_rtt", &fields);
        let seconds: f64 = found[0].parse().unwrap();
        assert!((0.05..0.5).contains(&seconds), "{seconds}");
    });
}

#[test]
fn tshark_finds_the_syns_that_were_sent_again() {
    let Some(program) = peer("tshark") else {
        return;
    };
    lab::test(move || {
        let file = tempfile::NamedTempFile::new().unwrap();
        handshake(1, file.path());
        let count = |filter| tshark(&program, file.path(), filter, &["frame.number"]).len();
        assert_eq!(count("tcp.flags.syn == 1 && tcp.flags.ack == 0"), 2);
        let again = "tcp.flags.syn == 1 && tcp.analysis.retransmission";
        assert_eq!(count(again), 1);
    });
}

#[test]
fn ss_and_nstat_see_a_syn_that_is_sent_again() {
    let (Some(ss), Some(nstat)) = (peer("ss"), peer("nstat")) else {
        return;
    };
    lab::test(move || {
        let silence = Link::new().loss(1.0, 0);
        let (lab, client, server) = Lab::pair(silence).unwrap();
        let address = SocketAddr::from((server.v4(), 80));
        let connecting =
            client.spawn(move || TcpStream::connect_timeout(&address, Duration::from_secs(5)));
        let sent = || {
            let capture = lab.capture();
            let segments = capture.crossings().iter().filter_map(|each| each.tcp());
            segments.filter(|tcp| tcp.has(Tcp::SYN)).count()
        };
        wait_for("a second SYN", || (sent() >= 2).then_some(()));
        let said = |program: &Path, arguments: &[&str]| {
            let program = program.to_str().unwrap();
            let mut command: Command = client.command(program);
            let output = command.args(arguments).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let sockets = said(&ss, &["-Htno", "state", "syn-sent"]);
        assert!(sockets.contains(&address.to_string()), "{sockets}");
        assert!(sockets.contains("timer:(on,"), "{sockets}");
        let counters = said(&nstat, &["-asz", "TcpExtTCPSynRetrans", "TcpActiveOpens"]);
        let count = |name: &str| -> u32 {
            let line = counters.lines().find(|line| line.starts_with(name));
            let line = line.unwrap_or_else(|| panic!("{counters}"));
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        assert_eq!(count("TcpActiveOpens"), 1);
        assert!(count("TcpExtTCPSynRetrans") >= 1);
        let error = connecting.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    });
}
