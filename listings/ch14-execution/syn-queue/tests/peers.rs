//! The same queue as `ss` and `nstat` show it.
#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "the listing uses what these tests do not")]
#[path = "../src/flood.rs"]
mod flood;

use flood::{Regime, Stage};
use testkit::peer;

/// What a program prints on the server.
fn output(stage: &Stage, program: &std::path::Path, arguments: &[&str]) -> String {
    let mut command = stage.server.command(program.to_str().unwrap());
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn flooded(cookies: u8) -> Stage {
    let regime = Regime {
        backlog: 20,
        cookies,
        ..Regime::USUAL
    };
    let mut stage = Stage::open(regime).unwrap();
    stage.flood(64).unwrap();
    stage
}

#[test]
fn ss_lists_the_half_open_connections_and_its_recv_q_does_not_count_them() {
    lab::test(|| {
        let Some(ss) = peer("ss") else { return };
        let stage = flooded(1);
        let half_open = output(&stage, &ss, &["-Htn", "state", "syn-recv"]);
        let lines = half_open.lines().count();
        assert_eq!(lines, stage.half_open().unwrap() as usize);
        assert!(lines >= 20, "{half_open}");

        let listening = output(&stage, &ss, &["-Hltn"]);
        let words: Vec<&str> = listening.split_whitespace().collect();
        assert_eq!(words[..3], ["LISTEN", "0", "20"], "{listening}");
    });
}

#[test]
fn nstat_tells_whether_syns_were_dropped_or_answered_with_cookies() {
    lab::test(|| {
        let Some(nstat) = peer("nstat") else { return };
        for cookies in [0, 1] {
            let stage = flooded(cookies);
            let rest = 64 - stage.half_open().unwrap();
            let text = output(&stage, &nstat, &["-asz"]);
            let count = |name: &str| {
                let mut lines = text.lines().map(str::split_whitespace);
                let line = lines.find_map(|mut words| {
                    (words.next() == Some(name)).then(|| words.next().unwrap().to_owned())
                });
                line.unwrap_or_else(|| panic!("{name} is not in {text}"))
                    .parse::<u32>()
                    .unwrap()
            };
            let (dropped, answered) = if cookies == 0 { (rest, 0) } else { (0, rest) };
            assert_eq!(count("TcpExtTCPReqQFullDrop"), dropped);
            assert_eq!(count("TcpExtListenDrops"), dropped);
            assert_eq!(count("TcpExtTCPReqQFullDoCookies"), answered);
            assert_eq!(count("TcpExtSyncookiesSent"), answered);
        }
    });
}
