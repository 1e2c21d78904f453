//! The listing's own count of its calls, and `strace`'s.
#![cfg(target_os = "linux")]

use std::process::Command;

use testkit::peer;

/// The number in front of these words of the output.
fn number(text: &str, behind: &str) -> u64 {
    let (before, _) = text.split_once(behind).expect("the words are there");
    let digits = before.rsplit(' ').next().expect("a word");
    digits.replace(',', "").parse().expect("a number")
}

#[test]
fn strace_counts_as_many_calls_as_the_listing_says() {
    let Some(strace) = peer("strace") else { return };
    let summary = tempfile::NamedTempFile::new().unwrap();
    let traced = Command::new(strace)
        .args(["-f", "-c", "-U", "calls,name"])
        .args([
            "-e",
            "trace=sendto,sendmsg,sendmmsg,recvfrom,recvmsg,recvmmsg",
            "-o",
        ])
        .arg(summary.path())
        .arg(env!("CARGO_BIN_EXE_udp-batch"))
        .output()
        .unwrap();
    assert!(traced.status.success(), "{traced:?}");
    let said = String::from_utf8(traced.stdout).unwrap();
    let summary = std::fs::read_to_string(summary.path()).unwrap();
    let counted = |names: [&str; 3]| -> u64 {
        let rows = summary.lines().filter_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let [calls, .., name] = words[..] else {
                return None;
            };
            names
                .contains(&name)
                .then(|| calls.parse::<u64>().expect("a count"))
        });
        rows.sum()
    };
    let in_all = &said[said.find("In all, ").expect("the last line")..];
    assert_eq!(
        counted(["sendto", "sendmsg", "sendmmsg"]),
        number(in_all, " calls to send"),
        "{summary}"
    );
    assert_eq!(
        counted(["recvfrom", "recvmsg", "recvmmsg"]),
        number(in_all, " to receive"),
        "{summary}"
    );
}
