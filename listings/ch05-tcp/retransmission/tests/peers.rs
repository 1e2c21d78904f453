//! What other programs make of the same connections.

#![cfg(target_os = "linux")]

use std::path::Path;
use std::time::Duration;

use pcap_file::DataLink;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use tcp_retransmission::{Outcome, Trial};
use testkit::{Program, peer};

const CLIENT: usize = 0;
const SERVER: usize = 1;

/// Writes what `tcpdump` on one of the hosts would have written.
fn capture_at(host: usize, outcome: &Outcome, path: &Path) {
    let mut seen: Vec<_> = outcome
        .capture
        .crossings()
        .iter()
        .filter_map(|crossing| {
            let at = if crossing.from == host {
                Some(crossing.sent)
            } else {
                crossing.arrived
            };
            at.map(|at| (at, crossing))
        })
        .collect();
    seen.sort_by_key(|(at, _)| *at);
    let header = PcapHeader {
        datalink: DataLink::RAW,
        ..PcapHeader::default()
    };
    let file = std::fs::File::create(path).unwrap();
    let mut writer = PcapWriter::with_header(file, header).unwrap();
    for (at, crossing) in seen {
        let packet = PcapPacket::new(at, crossing.length as u32, &crossing.bytes);
        writer.write_packet(&packet).unwrap();
    }
}

/// What `tshark` says of each segment with data that it finds remarkable, by its number in the
/// stream, as captured on one of the hosts.
fn remarks(tshark: &Path, host: usize, outcome: &Outcome) -> Vec<(u32, String)> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trial.pcap");
    capture_at(host, outcome, &path);
    let run = Program::new(tshark)
        .arg("-r")
        .arg(&path)
        .args(["-Y", "tcp.analysis.flags && tcp.len > 0"])
        .args(["-T", "fields", "-e", "tcp.seq", "-e", "_ws.expert.message"])
        .run()
        .succeeds();
    run.stdout
        .lines()
        .map(|line| {
            let (sequence, remark) = line.split_once('\t').unwrap();
            (sequence.parse().unwrap(), remark.to_owned())
        })
        .collect()
}

#[test]
fn tshark_calls_a_fast_retransmission_so_only_at_the_sender() {
    let Some(tshark) = peer("tshark") else { return };
    lab::test(|| {
        let outcome = Trial::of(10).lose(3).run().unwrap();
        let at_client = remarks(&tshark, CLIENT, &outcome);
        let [(2001, remark)] = &at_client[..] else {
            panic!("{at_client:?}");
        };
        assert!(remark.contains("fast retransmission"), "{remark}");

        let at_server = remarks(&tshark, SERVER, &outcome);
        let again = at_server.iter().find(|(sequence, _)| *sequence == 2001);
        let (_, remark) = again.unwrap();
        assert!(!remark.contains("fast"), "{remark}");
    });
}

#[test]
fn tshark_has_one_name_for_a_probe_and_a_timeout() {
    let Some(tshark) = peer("tshark") else { return };
    lab::test(|| {
        let probe = Trial::of(10).lose(10);
        let timeout = probe.clone().with("tcp_early_retrans", 0);
        let [probe, timeout] = [probe, timeout].map(|trial| trial.run().unwrap());
        assert_eq!(probe.count("TcpExtTCPLossProbes"), 1);
        assert_eq!(timeout.count("TcpExtTCPTimeouts"), 1);
        let probe = remarks(&tshark, CLIENT, &probe);
        assert_eq!(probe, remarks(&tshark, CLIENT, &timeout));
        assert_eq!(probe.len(), 1);
        assert!(probe[0].1.contains("retransmission"), "{probe:?}");
    });
}

#[test]
fn tshark_may_call_a_segment_retransmitted_that_was_sent_once() {
    let Some(tshark) = peer("tshark") else { return };
    lab::test(|| {
        let late = Duration::from_millis(10);
        // Where nobody disturbs it, the segment comes 10 ms behind those that overtook it. tshark
        // draws the line at 20 ms.
        for _ in 0..10 {
            let outcome = Trial::of(10).late(8, 1, late).run().unwrap();
            assert_eq!(outcome.sendings(8).len(), 1);
            let arrival = |segment: u32| {
                let first_byte = (segment - 1) * 1000 + 1;
                let mut segments = outcome.segments.iter();
                let arrived =
                    segments.find(|each| each.has_data() && each.bytes.start == first_byte);
                arrived.unwrap().arrived.unwrap()
            };
            if arrival(8) - arrival(10) > Duration::from_millis(18) {
                continue;
            }
            assert!(remarks(&tshark, CLIENT, &outcome).is_empty());
            let at_server = remarks(&tshark, SERVER, &outcome);
            let (_, remark) = at_server
                .iter()
                .find(|(number, _)| *number == 7001)
                .unwrap();
            assert!(remark.contains("fast retransmission"), "{remark}");
            return;
        }
        panic!("the machine is too busy to be 10 ms late");
    });
}

#[test]
fn tshark_sees_that_a_retransmission_was_needless_only_at_the_receiver() {
    let Some(tshark) = peer("tshark") else { return };
    lab::test(|| {
        let trial = Trial::of(1).late(1, 1, Duration::from_millis(500));
        let outcome = trial.run().unwrap();
        assert_eq!(outcome.sendings(1).len(), 2);
        let [at_client, at_server] = [CLIENT, SERVER].map(|host| remarks(&tshark, host, &outcome));
        assert!(!at_client[0].1.contains("spurious"), "{at_client:?}");
        assert!(at_server[0].1.contains("spurious"), "{at_server:?}");
    });
}
