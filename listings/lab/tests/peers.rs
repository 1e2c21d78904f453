//! What other programs make of what the lab writes.
#![cfg(target_os = "linux")]

use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;

use lab::{Lab, Link, Verdict};

/// A file with three datagrams, of which the second was dropped, and a key.
fn write_file(path: &Path) {
    let link = Link::new().rule(|n, _| match n {
        2 => Verdict::Drop,
        _ => Verdict::Pass,
    });
    let (lab, client, server) = Lab::pair(link).unwrap();
    let sink = server.run(|| UdpSocket::bind((server.v6(), 9))).unwrap();
    let source = client.run(|| UdpSocket::bind((client.v6(), 5000))).unwrap();
    for length in [1, 2, 3] {
        source
            .send_to(&[7; 3][..length], sink.local_addr().unwrap())
            .unwrap();
    }
    let key = format!("CLIENT_RANDOM {} {}\n", "11".repeat(32), "22".repeat(48));
    lab.capture().write_pcapng(path, &key).unwrap();
}

fn output(program: &Path, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(program)
        .args(arguments)
        .arg(file)
        // Whatever is set up on this machine is none of the test's business.
        .env("HOME", "/nonexistent")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn tshark_reads_the_packets_the_comments_and_the_keys() {
    let (Some(tshark), Some(capinfos)) = (testkit::peer("tshark"), testkit::peer("capinfos"))
    else {
        return;
    };
    lab::test(|| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("packets.pcapng");
        write_file(&file);
        let fields = [
            "-T",
            "fields",
            "-E",
            "separator=,",
            "-o",
            "udp.check_checksum:TRUE",
            "-e",
            "frame.interface_name",
            "-e",
            "ipv6.src",
            "-e",
            "udp.srcport",
            "-e",
            "udp.length",
            "-e",
            "udp.checksum.status",
            "-e",
            "frame.comment",
            "-r",
        ];
        assert_eq!(
            output(&tshark, &fields, &file),
            "client > server,fd00::1,5000,9,1,\n\
             client > server,fd00::1,5000,10,1,dropped by a rule\n\
             client > server,fd00::1,5000,11,1,\n"
        );
        let told = output(&capinfos, &[], &file);
        assert!(
            told.contains("Number of decryption secrets in file: 1"),
            "{told}"
        );
    });
}
