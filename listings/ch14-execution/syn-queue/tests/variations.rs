//! The SYN queue under other conditions than the listing's, and what is harder to see.
#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "the listing uses what these tests do not")]
#[path = "../src/flood.rs"]
mod flood;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use exec_syn_queue::{DEADLINE, wait_until};
use flood::{PORT, Regime, Stage, packet};
use ip_header::{Addresses, Protocol, ipv6};
use lab::{Lab, Link, Packet, Tcp, Verdict};
use socket2::{Domain, Socket, Type};
use tcp_segment::{Flags, Header, SeqNumber};

/// What a kernel adds to the backlog, as this one does it.
fn extra() -> u32 {
    let regime = Regime {
        backlog: 0,
        cookies: 0,
        ..Regime::USUAL
    };
    let extra = Stage::open(regime).unwrap().flood(3).unwrap().half_open;
    assert!(extra <= 1, "{extra}");
    extra
}

/// The first SYN ACK that reaches the attacker: from whom it is, and to whom.
fn syn_ack(stage: &Stage) -> (Ipv4Addr, Tcp) {
    let packet = stage.attacker.receive(DEADLINE).expect("a SYN ACK");
    let segment = packet.tcp().expect("a segment");
    assert!(segment.has(Tcp::SYN | Tcp::ACK), "{packet:?}");
    let Some(IpAddr::V4(to)) = packet.destination() else {
        panic!("{packet:?}");
    };
    (to, segment)
}

/// What a stranger answers to a SYN ACK.
fn answer(stage: &Stage, (stranger, syn_ack): (Ipv4Addr, Tcp), flags: Flags, ack: u32) -> Packet {
    let header = Header {
        flags,
        window: u16::MAX,
        acknowledgment_number: SeqNumber(ack),
        ..Header::new(
            syn_ack.destination_port,
            PORT,
            SeqNumber(syn_ack.acknowledgment),
        )
    };
    packet(stranger, stage.server.v4(), &header).unwrap()
}

#[test]
fn each_listener_has_a_queue_of_its_own() {
    lab::test(|| {
        let regime = Regime {
            backlog: 8,
            cookies: 0,
            ..Regime::USUAL
        };
        let mut stage = Stage::open(regime).unwrap();
        let address = SocketAddr::from((stage.server.interfaces()[1].v4, 81));
        let other = stage.server.run(|| TcpListener::bind(address)).unwrap();
        assert_eq!(stage.flood(64).unwrap().half_open, 8 + extra());
        stage.client.run(|| TcpStream::connect(address)).unwrap();
        other.accept().unwrap();
    });
}

#[test]
fn the_queue_is_as_long_over_ipv6() {
    lab::test(|| {
        let mut builder = Lab::builder();
        let (server, attacker) = (builder.host("server"), builder.raw("attacker"));
        builder.link(server, attacker, Link::new(), Link::new());
        let lab = builder.start().unwrap();
        let (server, attacker) = (lab.host(server), lab.raw(attacker));
        for (cookies, sent) in [(0, "ListenDrops"), (1, "SyncookiesSent")] {
            server.sysctl("net.ipv4.tcp_syncookies", cookies).unwrap();
            let port = 8000 + cookies;
            let listener = server.run(|| Socket::new(Domain::IPV6, Type::STREAM, None).unwrap());
            listener
                .bind(&SocketAddr::from((server.v6(), port)).into())
                .unwrap();
            listener.listen(20).unwrap();
            for number in 0..60_u16 {
                let source = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number + 1);
                attacker.send(syn_v6(source, server.v6(), port));
            }
            let diag = server.run(exec_syn_queue::diag::Diag::open).unwrap();
            let half_open = || {
                let entries = diag.sockets(&[exec_syn_queue::diag::State::SynReceived]);
                let entries = entries.unwrap().into_iter();
                entries.filter(|entry| entry.local.port() == port).count() as i64
            };
            wait_until("all are decided about", || {
                let others = server.counters()[&format!("TcpExt{sent}")];
                Ok(half_open() + others == 60)
            })
            .unwrap();
            assert_eq!(half_open(), 20 + i64::from(extra()));
        }
    });
}

fn syn_v6(source: Ipv6Addr, destination: Ipv6Addr, port: u16) -> Packet {
    let mut bytes = [0; 40 + 20];
    let header = Header {
        flags: Flags::SYN,
        window: u16::MAX,
        ..Header::new(4000, port, SeqNumber(7))
    };
    let ip = ipv6::Header::new(Protocol::TCP, source, destination);
    let addresses = Addresses::V6 {
        source,
        destination,
    };
    header
        .emit(ip.emit(&mut bytes).unwrap(), addresses)
        .unwrap();
    Packet::new(&bytes)
}

#[test]
fn a_reset_frees_the_entrys_place() {
    lab::test(|| {
        let regime = Regime {
            backlog: 4,
            cookies: 0,
            ..Regime::USUAL
        };
        let mut stage = Stage::open(regime).unwrap();
        let full = stage.flood(20).unwrap().half_open;
        // As a host does that has sent no SYN: hence addresses that nobody has.
        let (stranger, syn_ack) = syn_ack(&stage);
        let reset = answer(&stage, (stranger, syn_ack), Flags::RST, 0);
        stage.attacker.send(reset);
        wait_until("the entry is gone", || Ok(stage.half_open()? == full - 1)).unwrap();
        assert_eq!(stage.counters.get("EmbryonicRsts").unwrap(), 1);
    });
}

#[test]
fn an_entry_stays_until_the_last_syn_ack_has_had_its_time() {
    lab::test(|| {
        // The first waits one second, and each that follows twice as long as the one before.
        for (retries, seconds) in [(0, 1.0), (1, 3.0)] {
            let mut stage = Stage::open(Regime::USUAL).unwrap();
            stage
                .server
                .sysctl("net.ipv4.tcp_synack_retries", retries)
                .unwrap();
            let began = Instant::now();
            stage.flood(1).unwrap();
            wait_until("the entry is gone", || Ok(stage.half_open()? == 0)).unwrap();
            let stayed = began.elapsed().as_secs_f64();
            let late = seconds / 8.0 + 0.7;
            assert!((seconds..seconds + late).contains(&stayed), "{stayed} s");
            let sent = stage.lab.capture();
            assert_eq!(sent.sent_by("server").count(), 1 + retries);
        }
    });
}

#[test]
fn the_last_quarter_of_tcp_max_syn_backlog_is_for_clients_that_the_server_knows() {
    lab::test(|| {
        let regime = Regime {
            cookies: 0,
            max_syn_backlog: 40,
            ..Regime::USUAL
        };
        for known in [false, true] {
            let mut stage = Stage::open(regime).unwrap();
            let address = stage.address();
            if known {
                // A kernel remembers the round-trip time of a connection that has ended well.
                stage
                    .server
                    .sysctl("net.ipv4.tcp_no_metrics_save", 0)
                    .unwrap();
                let mut before = stage.client.run(|| TcpStream::connect(address)).unwrap();
                let (mut accepted, _) = stage.listener.accept().unwrap();
                before.write_all(b"hello").unwrap();
                accepted.read_exact(&mut [0; 5]).unwrap();
                accepted.write_all(b"world").unwrap();
                before.read_exact(&mut [0; 5]).unwrap();
                drop(before);
                assert_eq!(accepted.read(&mut [0]).unwrap(), 0);
                drop(accepted);
                let gone = || {
                    let states = [
                        exec_syn_queue::diag::State::Established,
                        exec_syn_queue::diag::State::CloseWait,
                    ];
                    Ok(stage.diag.sockets(&states)?.is_empty()
                        && !stage.server.tcp_states().iter().any(|socket| {
                            socket.state == lab::TcpState::LastAck
                                || socket.state == lab::TcpState::CloseWait
                        }))
                };
                wait_until("the connection is gone", gone).unwrap();
            }
            assert_eq!(stage.flood(64).unwrap().half_open, 31);
            let drops = stage.counters.get("ListenDrops").unwrap();
            // Nothing but this counter tells of strangers who were turned away here.
            assert_eq!(
                (drops, stage.counters.get("TCPReqQFullDrop").unwrap()),
                (33, 0)
            );

            let patience = Duration::from_millis(600); // less than until the SYN is sent again
            let connected = stage
                .client
                .run(|| TcpStream::connect_timeout(&address, patience));
            assert_eq!(connected.is_ok(), known, "{connected:?}");
            assert_eq!(
                stage.counters.get("ListenDrops").unwrap() - drops,
                u32::from(!known)
            );
        }
    });
}

#[test]
fn a_connection_is_made_of_the_cookie_alone() {
    lab::test(|| {
        let regime = Regime {
            cookies: 2,
            ..Regime::USUAL
        };
        let mut stage = Stage::open(regime).unwrap();
        let taken = stage.flood(1).unwrap();
        assert_eq!((taken.half_open, taken.cookies), (0, 1));
        let (stranger, syn_ack) = syn_ack(&stage);
        let cookie = syn_ack.sequence;

        // One that was guessed is answered with a reset.
        let wrong = cookie.wrapping_add(2);
        stage
            .attacker
            .send(answer(&stage, (stranger, syn_ack), Flags::ACK, wrong));
        let reset = stage.attacker.receive(DEADLINE).unwrap();
        assert!(reset.tcp().unwrap().has(Tcp::RST), "{reset:?}");
        assert_eq!(stage.counters.get("SyncookiesFailed").unwrap(), 1);

        let right = cookie.wrapping_add(1);
        stage
            .attacker
            .send(answer(&stage, (stranger, syn_ack), Flags::ACK, right));
        let (_, from) = stage.listener.accept().unwrap();
        assert_eq!(from.ip(), IpAddr::from(stranger));
        assert_eq!(stage.counters.get("SyncookiesRecv").unwrap(), 1);
    });
}

#[test]
fn after_a_cookie_a_lost_ack_is_made_good_by_the_clients_data_and_by_nothing_else() {
    lab::test(|| {
        let regime = Regime {
            cookies: 2,
            ..Regime::USUAL
        };
        let lost = Arc::new(AtomicBool::new(false));
        let seen = lost.clone();
        let link = Link::new().rule(move |_, packet| {
            let ack = packet
                .tcp()
                .is_some_and(|tcp| tcp.flags == Tcp::ACK && tcp.length == 0);
            match ack && !seen.swap(true, Ordering::Relaxed) {
                true => Verdict::Drop,
                false => Verdict::Pass,
            }
        });
        let stage = Stage::with_link(regime, link).unwrap();
        let address = stage.address();
        let mut client = stage.client.run(|| TcpStream::connect(address)).unwrap();
        wait_until("the ACK is lost", || Ok(lost.load(Ordering::Relaxed))).unwrap();

        // The server has nothing that it could send again. A client that waits for it to speak
        // first waits for ever; here, longer than until a SYN ACK is sent again.
        client
            .set_read_timeout(Some(Duration::from_millis(1500)))
            .unwrap();
        client.read(&mut [0]).unwrap_err();
        let syn_acks = stage.lab.capture().sent_by("server").count();
        assert_eq!(syn_acks, 1);
        assert!(stage.diag.listener(PORT).unwrap().recv_q == 0);

        client.write_all(b"hello").unwrap();
        let (mut accepted, _) = stage.listener.accept().unwrap();
        let mut heard = [0; 5];
        accepted.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"hello");
    });
}
