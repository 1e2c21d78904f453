//! What tshark says of the same packets: the kernels' reports and our queries.
#![cfg(target_os = "linux")]

use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use ip_header::Packet;
use lab::{Capture, Crossing, Lab, Link};
use socket2::SockRef;
use testkit::{Program, peer};
use udp_multicast::query::Timing;
use udp_multicast::{Report, Switch};

const DEADLINE: Duration = Duration::from_secs(10);
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 192, 0, 7);
const CHANNEL: Ipv4Addr = Ipv4Addr::new(232, 1, 1, 1);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 7);
const ETH0: u32 = 2;

/// A host that joins, answers queries and leaves, in both versions of IP.
fn talk() -> Capture {
    let mut builder = Lab::builder();
    builder.multicast();
    let host = builder.host("host");
    let addresses = vec![vec![[10, 0, 0, 1].into(), "fd00::1".parse().unwrap()]];
    let timing = Timing {
        interval: Duration::from_millis(200),
        response: Duration::from_millis(100),
        robustness: 2,
    };
    let querier = (Ipv4Addr::new(10, 0, 0, 254), "fe80::fe".parse().unwrap());
    let node = Switch::new(addresses).asking(querier.0, querier.1, timing);
    let members = node.members();
    let switch = builder.node("switch", node);
    builder.link(host, switch, Link::new(), Link::new());
    let lab = builder.start().unwrap();
    let host = lab.host(host);
    let v4 = host
        .run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 7000)))
        .unwrap();
    let v6 = host
        .run(|| UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 7001)))
        .unwrap();
    v4.join_multicast_v4(&GROUP, &host.v4()).unwrap();
    let source = Ipv4Addr::new(10, 0, 0, 9);
    SockRef::from(&v4)
        .join_ssm_v4(&source, &CHANNEL, &host.v4())
        .unwrap();
    v6.join_multicast_v6(&GROUP_V6, ETH0).unwrap();
    let wait = |so: &dyn Fn() -> bool| {
        let deadline = Instant::now() + DEADLINE;
        while !so() {
            assert!(
                Instant::now() < deadline,
                "in vain: {}",
                lab.capture().lines()
            );
            thread::sleep(Duration::from_millis(1));
        }
    };
    wait(&|| members.joined(0, GROUP.into()) && members.joined(0, GROUP_V6.into()));
    // Until it has answered a query in each version: IS_EX.
    let answered = |v6: bool| {
        let capture = lab.capture();
        capture.sent_by("host").any(|crossing| {
            (crossing.bytes[0] >> 4 == 6) == v6
                && records(crossing).iter().any(|it| it.starts_with("2 "))
        })
    };
    wait(&|| answered(false) && answered(true));
    v4.leave_multicast_v4(&GROUP, &host.v4()).unwrap();
    v6.leave_multicast_v6(&GROUP_V6, ETH0).unwrap();
    wait(&|| !members.joined(0, GROUP.into()) && !members.joined(0, GROUP_V6.into()));
    let capture = lab.capture();
    assert_eq!(members.refused(), 0);
    let _ = lab.finish().unwrap();
    capture
}

/// Each record: its kind, group and sources.
fn records(crossing: &Crossing) -> Vec<String> {
    let packet = Packet::parse(&crossing.bytes).unwrap();
    let Some(report) = Report::of(&packet).unwrap() else {
        return Vec::new();
    };
    let records = report.records().map(|record| {
        let sources: Vec<_> = record.sources().map(|source| source.to_string()).collect();
        format!(
            "{} {} {}",
            record.record_type,
            record.group,
            sources.join(" ")
        )
    });
    records.collect()
}

/// What tshark gives for these fields, one line for each packet that has the first.
fn tshark(program: &std::path::Path, file: &str, fields: &[&str]) -> Vec<Vec<String>> {
    let mut run = Program::new(program).args([
        "-r",
        file,
        "-T",
        "fields",
        "-E",
        "separator=;",
        "-E",
        "aggregator= ",
        "-Y",
        fields[0],
    ]);
    for field in fields {
        run = run.args(["-e", field]);
    }
    let run = run.run().succeeds();
    let lines = run.stdout.lines();
    lines
        .map(|line| line.split(';').map(str::to_owned).collect())
        .collect()
}

#[test]
fn tshark_reads_the_same_in_the_kernels_reports_and_what_was_meant_in_our_queries() {
    let Some(program) = peer("tshark") else {
        return;
    };
    lab::test(|| {
        let capture = talk();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("groups.pcapng");
        capture.write_pcapng(&file, "").unwrap();
        let file = file.to_str().unwrap();

        for (v6, names) in [
            (
                false,
                [
                    "igmp.record_type",
                    "igmp.maddr",
                    "igmp.saddr",
                    "igmp.checksum.status",
                ],
            ),
            (
                true,
                [
                    "icmpv6.mldr.mar.record_type",
                    "icmpv6.mldr.mar.multicast_address",
                    "icmpv6.mldr.mar.source_address",
                    "icmpv6.checksum.status",
                ],
            ),
        ] {
            let theirs = tshark(&program, file, &names);
            let ours: Vec<Vec<String>> = capture
                .sent_by("host")
                .filter(|crossing| (crossing.bytes[0] >> 4 == 6) == v6)
                .map(records)
                .filter(|records| !records.is_empty())
                .collect();
            assert_eq!(theirs.len(), ours.len(), "{theirs:?}\n{ours:?}");
            assert!(ours.len() >= 3, "joined, answered, left: {ours:?}");
            for (theirs, ours) in theirs.iter().zip(&ours) {
                let part = |at: usize| -> Vec<&str> {
                    ours.iter()
                        .map(|record| record.splitn(3, ' ').nth(at).unwrap())
                        .collect()
                };
                assert_eq!(theirs[0], part(0).join(" "));
                assert_eq!(theirs[1], part(1).join(" "));
                assert_eq!(theirs[2], part(2).join(" ").trim());
                assert_eq!(theirs[3], "1", "the checksum is right");
            }
        }

        // Query, checksum, response time in tenths of a second and in milliseconds, robustness.
        let v4 = tshark(
            &program,
            file,
            &[
                "igmp.max_resp",
                "igmp.checksum.status",
                "igmp.qrv",
                "igmp.maddr",
                "ip.dst",
            ],
        );
        assert!(!v4.is_empty());
        for query in v4 {
            assert_eq!(query, ["1", "1", "2", "0.0.0.0", "224.0.0.1"]);
        }
        let v6 = tshark(
            &program,
            file,
            &[
                "icmpv6.mld.maximum_response_code",
                "icmpv6.checksum.status",
                "icmpv6.mld.flag.qrv",
                "ipv6.dst",
            ],
        );
        assert!(!v6.is_empty());
        for query in v6 {
            assert_eq!(query, ["100", "1", "2", "ff02::1"]);
        }
        // Nothing that tshark would complain of.
        let warned = Program::new(&program)
            .args([
                "-r",
                file,
                "-Y",
                "_ws.malformed || _ws.expert.severity >= warning",
            ])
            .run()
            .succeeds();
        assert_eq!(warned.stdout, "");
    });
}
