//! What a running lab promises: times, decisions, addresses, captures.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use lab::{
    CaState, Error, Fate, Host, Lab, Link, PCAPNG_VARIABLE, Report, Tcp, TcpState, Verdict,
    tcp_info, undisturbed,
};
use pcap_file::pcapng::PcapNgReader;

const DEADLINE: Duration = Duration::from_secs(10);

fn socket(host: &Host, address: IpAddr, port: u16) -> UdpSocket {
    let socket = host
        .run(|| UdpSocket::bind((address, port)))
        .expect("a host has its addresses");
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

/// One round trip over UDP.
fn round_trip(client: &UdpSocket, server: &UdpSocket) -> Duration {
    let mut byte = [0];
    let started = Instant::now();
    client.send(&[1]).unwrap();
    let (_, from) = server.recv_from(&mut byte).unwrap();
    server.send_to(&byte, from).unwrap();
    client.recv(&mut byte).unwrap();
    started.elapsed()
}

/// Sends `bytes` to port 80 of the server, which reads them all; both ends close.
fn transfer(client: &Host, server: &Host, bytes: &[u8]) -> usize {
    let listener = server.run(|| TcpListener::bind((server.v4(), 80))).unwrap();
    let reading = server.spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        connection.read_to_end(&mut all).unwrap();
        all.len()
    });
    let mut connection = client
        .run(|| TcpStream::connect((server.v4(), 80)))
        .unwrap();
    connection.write_all(bytes).unwrap();
    drop(connection);
    reading.join().unwrap()
}

#[test]
fn a_round_trip_takes_the_links_delays_in_both_versions_of_ip() {
    lab::test(|| {
        let (medians, report) = undisturbed(5, || -> Result<_, Error> {
            let (lab, client, server) = Lab::pair(Link::new().delay(Duration::from_millis(10)))?;
            let pairs: [(IpAddr, IpAddr); 2] = [
                (client.v4().into(), server.v4().into()),
                (client.v6().into(), server.v6().into()),
            ];
            let medians = pairs.map(|(here, there)| {
                let (client, server) = (socket(&client, here, 0), socket(&server, there, 7));
                client.connect((there, 7)).unwrap();
                let mut times: Vec<_> = (0..15).map(|_| round_trip(&client, &server)).collect();
                times.sort();
                times[7]
            });
            Ok((medians, lab.finish()?))
        })
        .unwrap();
        for median in medians {
            assert!(median >= Duration::from_millis(20), "{median:?}");
            // A machine that is busy throughout is late by what its relay says, twice.
            let late = report.mean * 4 + Duration::from_millis(2);
            assert!(
                median < Duration::from_millis(20) + late,
                "{median:?}, {report:?}"
            );
        }
    });
}

#[test]
fn a_rule_that_drops_a_segment_causes_the_same_retransmission_every_time() {
    lab::test(|| {
        let delay = Duration::from_millis(10);
        for _ in 0..20 {
            let mut data = 0;
            let there = Link::new().delay(delay).rule(move |_, packet| {
                let is_data = packet.tcp().is_some_and(|segment| segment.length > 0);
                data += usize::from(is_data);
                if is_data && data == 3 {
                    Verdict::Drop
                } else {
                    Verdict::Pass
                }
            });
            let mut builder = Lab::builder();
            let (a, b) = (builder.host("client"), builder.host("server"));
            builder.link(a, b, there, Link::new().delay(delay));
            let lab = builder.start().unwrap();
            let (client, server) = (lab.host(a), lab.host(b));
            // A machine that pauses for two round trips would have the client probe for a loss at the
            // end. Without that, it may pause for 200 ms.
            client.sysctl("net.ipv4.tcp_early_retrans", 0).unwrap();
            // Ten segments: the first window of RFC 6928.
            assert_eq!(transfer(&client, &server, &[7; 14_000]), 14_000);

            let capture = lab.capture();
            let dropped: Vec<_> = capture
                .crossings()
                .iter()
                .filter(|crossing| crossing.fate == Fate::Dropped)
                .map(|crossing| crossing.number)
                .collect();
            // SYN, ACK, and then the third of the data.
            assert_eq!(dropped, [5], "{}", capture.lines());
            let counters = client.counters();
            assert_eq!(counters["TcpRetransSegs"], 1, "{}", capture.lines());
            assert_eq!(counters["TcpExtTCPTimeouts"], 0, "{}", capture.lines());
        }
    });
}

#[test]
fn chance_loses_the_same_packets_every_time() {
    lab::test(|| {
        let lost: Vec<Vec<u64>> = (0..20)
            .map(|_| {
                let (lab, client, server) = Lab::pair(Link::new().loss(0.1, 42)).unwrap();
                let sink = socket(&server, server.v4().into(), 9);
                let source = socket(&client, client.v4().into(), 0);
                for n in 0..100_u8 {
                    source.send_to(&[n], sink.local_addr().unwrap()).unwrap();
                }
                let capture = lab.capture();
                let lost: Vec<u64> = capture
                    .sent_by("client")
                    .filter(|crossing| crossing.fate == Fate::Lost)
                    .map(|crossing| crossing.number)
                    .collect();
                // A datagram counts when it is read.
                for _ in 0..100 - lost.len() {
                    sink.recv(&mut [0]).unwrap();
                }
                assert_eq!(server.counters()["UdpInDatagrams"], 100 - lost.len() as i64);
                let _: Report = lab.finish().unwrap();
                lost
            })
            .collect();
        assert!(!lost[0].is_empty());
        assert!(lost.iter().all(|each| *each == lost[0]), "{lost:?}");
    });
}

#[test]
fn verdicts_reach_the_receiver() {
    lab::test(|| {
        let link = Link::new().rule(|n, packet| match n {
            1 => Verdict::Reorder(1),
            3 => Verdict::Duplicate,
            4 => {
                let mut other = packet.clone();
                *other.bytes_mut().last_mut().unwrap() = b'X';
                other.repair_checksums();
                Verdict::Rewrite(other)
            }
            5 => Verdict::Drop,
            6 => Verdict::Delay(Duration::from_millis(200)),
            _ => Verdict::Pass,
        });
        let (lab, client, server) = Lab::pair(link).unwrap();
        let sink = socket(&server, server.v6().into(), 9);
        let source = socket(&client, client.v6().into(), 0);
        for byte in b"1234567" {
            source
                .send_to(&[*byte], sink.local_addr().unwrap())
                .unwrap();
        }
        let mut received = Vec::new();
        for _ in 0..7 {
            let mut byte = [0];
            sink.recv(&mut byte).unwrap();
            received.push(byte[0]);
        }
        // The fifth is lost, and the seventh overtakes the sixth, which is held up.
        assert_eq!(received, b"2133X76");
        let fates: Vec<_> = lab.capture().crossings().iter().map(|c| c.fate).collect();
        assert_eq!(
            fates,
            [
                Fate::Passed,
                Fate::Passed,
                Fate::Passed,
                Fate::Copied,
                Fate::Rewritten,
                Fate::Dropped,
                Fate::Passed,
                Fate::Passed,
            ]
        );
    });
}

#[test]
fn a_capture_holds_a_handshake_and_nothing_else() {
    lab::test(|| {
        for v6 in [false, true] {
            let (lab, client, server) = Lab::pair(Link::new()).unwrap();
            let address: IpAddr = if v6 {
                server.v6().into()
            } else {
                server.v4().into()
            };
            let listener = server.run(|| TcpListener::bind((address, 80))).unwrap();
            let connection = client.run(|| TcpStream::connect((address, 80))).unwrap();
            let accepted = listener.accept().unwrap();
            let capture = lab.capture();
            let flags: Vec<u8> = capture
                .crossings()
                .iter()
                .map(|crossing| crossing.tcp().expect("only TCP was used").flags)
                .collect();
            assert_eq!(flags, [Tcp::SYN, Tcp::SYN | Tcp::ACK, Tcp::ACK]);
            let states: Vec<_> = server
                .tcp_states()
                .iter()
                .map(|socket| socket.state)
                .collect();
            assert_eq!(states, [TcpState::Listen, TcpState::Established]);
            drop((connection, accepted));
        }
    });
}

#[test]
fn a_router_forwards_and_answers_what_has_lived_too_long() {
    lab::test(|| {
        let mut builder = Lab::builder();
        let (a, r, b) = (
            builder.host("client"),
            builder.router("router"),
            builder.host("server"),
        );
        builder.link(a, r, Link::new(), Link::new());
        builder.link(r, b, Link::new(), Link::new());
        let lab = builder.start().unwrap();
        let (client, server) = (lab.host(a), lab.host(b));
        assert_eq!(transfer(&client, &server, b"hello"), 5);

        let source = socket(&client, client.v4().into(), 0);
        source.set_ttl(1).unwrap();
        source.send_to(b"x", (server.v4(), 9)).unwrap();
        let lines = lab.capture().lines();
        assert!(
            lines.contains("router > client  ICMP time exceeded"),
            "{lines}"
        );
        assert_eq!(client.counters()["IcmpInTimeExcds"], 1);
    });
}

#[test]
fn a_raw_host_makes_and_takes_packets() {
    lab::test(|| {
        let mut builder = Lab::builder();
        let (a, b) = (builder.host("host"), builder.raw("raw"));
        builder.link(a, b, Link::new(), Link::new());
        let lab = builder.start().unwrap();
        let (host, raw) = (lab.host(a), lab.raw(b));
        let source = socket(&host, host.v4().into(), 5000);
        source.send_to(b"hello", (raw.v4(), 9)).unwrap();
        let packet = raw.receive(DEADLINE).unwrap();
        assert_eq!(packet.payload(), b"hello");

        // The same packet, from there to here.
        let mut answer = packet.clone();
        let bytes = answer.bytes_mut();
        bytes.copy_within(12..16, 16);
        bytes[12..16].copy_from_slice(&raw.v4().octets());
        bytes.copy_within(20..22, 22);
        bytes[20..22].copy_from_slice(&9_u16.to_be_bytes());
        answer.repair_checksums();
        raw.send(answer);
        let mut buffer = [0; 16];
        assert_eq!(
            source.recv_from(&mut buffer).unwrap(),
            (5, (raw.v4(), 9).into())
        );
        drop(lab);
        assert_eq!(raw.receive(DEADLINE), Err(lab::Nothing::EverAgain));
    });
}

#[test]
fn congestion_control_is_the_labs_on_both_ends_and_must_exist() {
    lab::test(|| {
        let mut builder = Lab::builder();
        builder.congestion("vegan");
        let error = builder.start().err().unwrap().to_string();
        assert!(error.contains("no congestion control `vegan`"), "{error}");

        let (lab, client, _server) = Lab::pair(Link::new()).unwrap();
        let routes = client.command("ip").args(["route"]).output();
        if let Ok(routes) = routes {
            let routes = String::from_utf8_lossy(&routes.stdout).into_owned();
            assert!(routes.contains("congctl cubic"), "{routes}");
        }
        drop(lab);
    });
}

#[test]
fn a_run_whose_relay_is_late_is_flagged() {
    lab::test(|| {
        let slow = Link::new().rule(|_, _| {
            std::thread::sleep(Duration::from_millis(3));
            Verdict::Pass
        });
        let (lab, client, server) = Lab::pair(slow).unwrap();
        let (here, there) = (
            socket(&client, client.v4().into(), 0),
            socket(&server, server.v4().into(), 7),
        );
        here.connect((server.v4(), 7)).unwrap();
        round_trip(&here, &there);
        let report = lab.finish().unwrap();
        assert!(report.disturbed());
        assert_eq!((report.arrivals, report.late), (2, 2));
        assert!(report.latest >= Duration::from_millis(3));
    });
}

#[test]
fn a_loss_that_no_link_decided_fails_the_run() {
    lab::test(|| {
        let (all_sent, wait) = std::sync::mpsc::channel::<()>();
        let blocked = Link::new().rule(move |_, _| {
            // Waits for the other end to go, and later no more.
            let _ = wait.recv();
            Verdict::Pass
        });
        let (lab, client, server) = Lab::pair(blocked).unwrap();
        let source = socket(&client, client.v4().into(), 0);
        // More than the relay's ring holds, while the rule waits.
        for _ in 0..10_000 {
            source.send_to(&[1], (server.v4(), 9)).unwrap();
        }
        drop(all_sent);
        let error = lab.finish().unwrap_err().to_string();
        assert!(
            error.contains("of `client` the relay had no room for"),
            "{error}"
        );
    });
}

#[test]
fn what_the_kernel_knows_of_a_connection_agrees_with_the_packets() {
    lab::test(|| {
        const BYTES: u64 = 100_000;
        let delay = Duration::from_millis(10);
        let (lab, client, server) = Lab::pair(Link::new().delay(delay)).unwrap();
        let listener = server.run(|| TcpListener::bind((server.v6(), 80))).unwrap();
        let mut connection = client
            .run(|| TcpStream::connect((server.v6(), 80)))
            .unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        connection.write_all(&vec![1; BYTES as usize]).unwrap();
        accepted.read_exact(&mut vec![0; BYTES as usize]).unwrap();
        connection.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(accepted.read(&mut [0]).unwrap(), 0);

        let sender = tcp_info(&connection).unwrap();
        let receiver = tcp_info(&accepted).unwrap();
        assert_eq!(receiver.state, Some(TcpState::CloseWait));
        // The FIN takes a sequence number, and the kernel counts it.
        assert_eq!(receiver.bytes_received, BYTES + 1);
        assert_eq!((sender.bytes_sent, sender.bytes_retrans), (BYTES, 0));
        assert_eq!(sender.ca_state, CaState::Open);
        assert_eq!((sender.total_retrans, receiver.rcv_ooopack), (0, 0));
        assert!(sender.min_rtt >= 2 * delay, "{sender:?}");
        assert!(sender.rto >= Duration::from_millis(200), "{sender:?}");

        let capture = lab.capture();
        let segments: Vec<Tcp> = capture.sent_by("client").filter_map(|c| c.tcp()).collect();
        let data = |tcp: &&Tcp| tcp.length > 0;
        let with_data = segments.iter().filter(data).count();
        assert_eq!(sender.data_segs_out as usize, with_data);
        let longest = segments.iter().map(|tcp| tcp.length).max().unwrap();
        assert_eq!(sender.snd_mss as usize, longest);
        // Each end tells its shift in its SYN (RFC 7323 §2.2), as the third option's last byte.
        let shift = |name: &str| {
            let syn = capture.sent_by(name).next().unwrap();
            let options = &syn.bytes[40 + 20..];
            let at = options.windows(2).position(|kind| kind == [3, 3]).unwrap();
            options[at + 2]
        };
        assert_eq!(
            (sender.snd_wscale, sender.rcv_wscale),
            (shift("server"), shift("client"))
        );
        assert!(lab::tcp_info(&std::fs::File::open("/dev/null").unwrap()).is_err());
    });
}

#[test]
fn a_variable_names_the_file_for_the_packets() {
    lab::test(|| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("packets.pcapng");
        // SAFETY: no other thread of this process is reading or writing variables.
        unsafe { std::env::set_var(PCAPNG_VARIABLE, &file) };
        for _ in 0..2 {
            let (_lab, client, server) = Lab::pair(Link::new()).unwrap();
            let near = socket(&client, client.v4().into(), 0);
            near.connect((server.v4(), 7)).unwrap();
            round_trip(&near, &socket(&server, server.v4().into(), 7));
        }
        // The second lab's file bears a number.
        for file in [file, directory.path().join("packets-2.pcapng")] {
            let bytes = std::fs::read(&file).unwrap();
            let mut reader = PcapNgReader::new(&bytes[..]).unwrap();
            let mut packets = 0;
            while let Some(block) = reader.next_block() {
                packets += usize::from(block.unwrap().into_enhanced_packet().is_some());
            }
            assert_eq!(packets, 2, "there and back");
        }
    });
}

#[test]
fn what_a_fast_transfer_loses_or_reorders_a_link_has_decided() {
    lab::test(|| {
        let mut builder = Lab::builder();
        let (a, b) = (builder.host("client"), builder.host("server"));
        builder.link(a, b, Link::new(), Link::new());
        builder.snap(0);
        let lab = builder.start().unwrap();
        let (client, server) = (lab.host(a), lab.host(b));
        const BYTES: usize = 256 << 20;
        assert_eq!(transfer(&client, &server, &vec![7; BYTES]), BYTES);
        // It fails if an interface, a queue of the kernel or the relay's ring has lost any.
        let late = server.counters()["TcpExtTCPOFOQueue"];
        let keeps_order = client.read_sysctl("net.core.rps_default_mask").is_ok();
        let report = lab.finish().unwrap();
        assert!(report.arrivals > BYTES as u64 / 1448);
        // Since Linux 6.3, a sender that changes processors does not overtake itself.
        assert!(
            late == 0 || !keeps_order,
            "{late} segments were out of order"
        );
    });
}
