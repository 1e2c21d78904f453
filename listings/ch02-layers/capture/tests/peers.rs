//! What tshark says of the frame that was captured.
#![cfg(target_os = "linux")]

use testkit::{Program, listing, peer};

/// A capture file of one Ethernet frame (draft-ietf-opsawg-pcap).
fn pcap(frame: &[u8]) -> Vec<u8> {
    let len = frame.len() as u32;
    let header = [0xa1b2_c3d4, 0x0002_0004, 0, 0, 65_535, 1, 0, 0, len, len];
    let mut file: Vec<u8> = header
        .iter()
        .flat_map(|word: &u32| word.to_be_bytes())
        .collect();
    file.extend(frame);
    file
}

#[test]
fn tshark_finds_the_same_layers_of_the_same_lengths_and_every_checksum_right() {
    let Some(tshark) = peer("tshark") else { return };
    let listing = listing!().run().succeeds();
    let fields = [
        ("frame.protocols", "eth:ethertype:ip:tcp:http"),
        ("frame.len", "103"),
        ("ip.hdr_len", "20"),
        ("ip.checksum.status", "1"), // good
        ("tcp.hdr_len", "32"),
        ("tcp.checksum.status", "1"),
        ("tcp.len", "37"),
        ("http.host", "example.com"),
    ];
    let run = Program::new(tshark)
        .args([
            "-n",
            "-r",
            "-",
            "-T",
            "fields",
            "-E",
            "separator=|",
            "-E",
            "occurrence=f",
        ])
        .args([
            "-o",
            "ip.check_checksum:TRUE",
            "-o",
            "tcp.check_checksum:TRUE",
        ])
        .args(fields.iter().flat_map(|(field, _)| ["-e", field]))
        .input(pcap(&listing.wire("frame").bytes))
        .run()
        .succeeds();
    let values: Vec<&str> = run.stdout.trim_end_matches('\n').split('|').collect();
    assert_eq!(values, fields.map(|(_, value)| value), "{}", run.stderr);
}
