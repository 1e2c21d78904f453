//! What tshark says of the frame that was built by hand.

use testkit::{Program, listing, peer};

/// The fields that it is asked for, and what must stand there.
const FIELDS: [(&str, &str); 27] = [
    ("frame.protocols", "eth:ethertype:ip:tcp:http"),
    ("frame.len", "107"),
    ("eth.dst", "00:00:5e:00:53:fe"),
    ("eth.src", "00:00:5e:00:53:01"),
    ("eth.type", "0x0800"),
    ("eth.fcs", "0xefcc91a5"),
    ("eth.fcs.status", "1"), // good
    ("ip.version", "4"),
    ("ip.hdr_len", "20"),
    ("ip.len", "89"),
    ("ip.id", "0x1a2b"),
    ("ip.flags.df", "1"),
    ("ip.ttl", "64"),
    ("ip.proto", "6"),
    ("ip.checksum.status", "1"),
    ("ip.src", "192.0.2.10"),
    ("ip.dst", "198.51.100.7"),
    ("tcp.srcport", "40112"),
    ("tcp.dstport", "80"),
    ("tcp.seq_raw", "2241659978"),
    ("tcp.ack_raw", "3743080359"),
    ("tcp.hdr_len", "32"),
    ("tcp.window_size_value", "502"),
    ("tcp.checksum.status", "1"),
    ("tcp.len", "37"),
    ("http.request.method", "GET"),
    ("http.host", "example.com"),
];

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
fn tshark_names_the_same_layers_and_fields_and_finds_every_check_right() {
    let Some(tshark) = peer("tshark") else { return };
    let listing = listing!().run().succeeds();
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
        .args(["-o", "eth.fcs:Always", "-o", "eth.check_fcs:TRUE"])
        .args(FIELDS.iter().flat_map(|(field, _)| ["-e", field]))
        .input(pcap(&listing.wire("frame").bytes))
        .run()
        .succeeds();
    let values: Vec<&str> = run.stdout.trim_end_matches('\n').split('|').collect();
    assert_eq!(values.len(), FIELDS.len(), "{}{}", run.stdout, run.stderr);
    for ((field, expected), value) in FIELDS.iter().zip(values) {
        assert_eq!(value, *expected, "{field}");
    }
}
