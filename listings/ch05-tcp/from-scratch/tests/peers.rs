//! Programs that no one here wrote: the kernel's TCP, `curl`, `tshark`.

#![cfg(target_os = "linux")]

#[path = "../src/edge/mod.rs"]
mod edge;
#[path = "../src/edge/tun.rs"]
mod tun;

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::Duration;

use edge::transfer::{self, Case};
use lab::{Host, Lab, Link};
use tcp_from_scratch::driver::{Device, Driver};
use tcp_from_scratch::{Config, Secret, Stack};
use tun::Tun;

const DEADLINE: Duration = Duration::from_secs(60);

/// Every case of the soak, with less: 1 MB each way.
#[test]
fn with_the_kernel_every_byte_arrives_whatever_the_link_does_and_whoever_calls() {
    lab::test(|| {
        for case in transfer::cases() {
            let outcome = transfer::run(case, 1_000_000).unwrap();
            let sent_again = outcome.counters.retransmitted;
            if case.loss_percent == 5 {
                assert!(sent_again > 5, "{case:?}: {outcome:?}");
            }
            if case.loss_percent == 0 && !case.disorder {
                assert_eq!(sent_again, 0, "{case:?}: {outcome:?}");
            }
        }
    });
}

/// Without the options of 1988 and later, as the first TCPs were.
#[test]
fn with_a_kernel_that_offers_no_options_every_byte_arrives_too() {
    lab::test(|| {
        for active in [true, false] {
            let case = Case {
                loss_percent: 2,
                disorder: true,
                active,
                v6: false,
            };
            let plain = |kernel: &Host| {
                for name in ["tcp_sack", "tcp_timestamps", "tcp_window_scaling"] {
                    kernel.sysctl(&format!("net.ipv4.{name}"), 0).unwrap();
                }
            };
            transfer::run_with(case, 500_000, plain).unwrap();
        }
    });
}

#[test]
fn tshark_finds_nothing_wrong_with_our_packets() {
    let Some(tshark) = testkit::peer("tshark") else {
        return;
    };
    lab::test(|| {
        for (v6, ours) in [(false, "ip.src == 10.0.0.1"), (true, "ipv6.src == fd00::1")] {
            let case = Case {
                loss_percent: 2,
                disorder: true,
                active: true,
                v6,
            };
            let name = format!("tcp-from-scratch-{}-{v6}.pcapng", std::process::id());
            let file = std::env::temp_dir().join(name);
            transfer::run_captured(case, 200_000, &file).unwrap();
            let count = |filter: &str| {
                let output = Command::new(&tshark)
                    .args([
                        "-o",
                        "tcp.check_checksum:TRUE",
                        "-o",
                        "ip.check_checksum:TRUE",
                    ])
                    // The text is nobody's protocol: it is not to be put together and read.
                    .args(["-o", "tcp.desegment_tcp_streams:FALSE", "-r"])
                    .arg(&file)
                    .args(["-Y", &format!("{ours} && {filter}")])
                    .args(["-T", "fields", "-e", "frame.number"])
                    .output()
                    .unwrap();
                assert!(
                    output.status.success(),
                    "{}",
                    String::from_utf8_lossy(&output.stderr)
                );
                String::from_utf8(output.stdout).unwrap().lines().count()
            };
            let segments = count("tcp");
            assert!(segments > 150, "{segments} segments of ours");
            // 1: good.
            assert_eq!(
                count("tcp.checksum.status == 1"),
                segments,
                "right checksums"
            );
            assert_eq!(count("_ws.malformed"), 0);
            assert!(count("tcp.analysis.retransmission") > 0);
            fs::remove_file(file).unwrap();
        }
    });
}

const KERNELS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const OURS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// Loses one of fifty packets, repeats and swaps as many, always the same: in both directions.
struct Bad<D> {
    device: D,
    random: u64,
    held: VecDeque<Vec<u8>>,
}

impl<D> Bad<D> {
    fn fate(&mut self) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.random >> 33) % 50
    }
}

impl<D: Device> Device for Bad<D> {
    fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        match self.fate() {
            0 => return Ok(()),
            1 => self.device.send(packet)?,
            2 => {
                self.held.push_back(packet.to_vec());
                return Ok(());
            }
            _ => {}
        }
        self.device.send(packet)?;
        if let Some(held) = self.held.pop_front() {
            self.device.send(&held)?;
        }
        Ok(())
    }

    fn receive(&mut self, within: Duration, take: impl FnOnce(&[u8])) -> io::Result<bool> {
        let lost = self.fate() == 0;
        self.device.receive(within, |packet| {
            if !lost {
                take(packet)
            }
        })
    }
}

fn text() -> Vec<u8> {
    (0..3_000_000_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

/// Runs our TCP on a TUN device of a host, as an HTTP server for one request of `curl`; gives what
/// the request carried.
fn serve_curl(arguments: &[&str], answer: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (_lab, host, _) = Lab::pair(Link::new()).unwrap();
    let tun = match host.run(|| Tun::open("tun0", KERNELS, OURS)) {
        Ok(tun) => tun,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            testkit::skip("may not open /dev/net/tun");
            return None;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            testkit::skip("there is no /dev/net/tun");
            return None;
        }
        Err(error) => panic!("no TUN device: {error}"),
    };
    let device = Bad {
        device: tun,
        random: 1,
        held: VecDeque::new(),
    };
    let config = Config {
        min_rto: Duration::from_millis(200),
        msl: Duration::from_millis(50),
        ..Config::default()
    };
    let mut stack = Stack::new(config, Secret([9; 16]), &[OURS.into()]);
    stack.listen(80, 4).unwrap();
    let mut driver = Driver::new(stack, device);

    let mut curl = host.command("curl");
    curl.args(["--silent", "--show-error", "--max-time", "50"])
        .args(arguments);
    let curl = curl
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let curl = std::thread::spawn(move || curl.wait_with_output());

    let id = driver.until(DEADLINE, |stack| stack.accept(80)).unwrap();
    let (mut request, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    let body = loop {
        let len = driver.receive(id, &mut buffer, DEADLINE).unwrap();
        assert!(len > 0, "curl closes before its request is whole");
        request.extend_from_slice(&buffer[..len]);
        if let Some(body) = whole(&request) {
            break request.split_off(body);
        }
    };
    let head = format!(
        "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n",
        answer.len()
    );
    driver.send_all(id, head.as_bytes(), DEADLINE).unwrap();
    driver.send_all(id, answer, DEADLINE).unwrap();
    driver.stack.release(id).unwrap();
    driver
        .until(DEADLINE, |stack| (stack.ids().count() == 0).then_some(()))
        .unwrap();
    let output = curl.join().unwrap().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some((body, output.stdout))
}

/// Where the body begins, once all of it is there.
fn whole(request: &[u8]) -> Option<usize> {
    let body = request.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&request[..body]).to_lowercase();
    let len = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |len| len.trim().parse().unwrap());
    (request.len() >= body + len).then_some(body)
}

#[test]
fn curl_fetches_a_file_from_our_tcp_over_a_bad_tun() {
    if testkit::peer("curl").is_none() {
        return;
    }
    lab::test(|| {
        let file = text();
        if let Some((_, fetched)) = serve_curl(&["http://192.0.2.2/file"], &file) {
            assert!(
                fetched == file,
                "{} bytes came, not all of them right",
                fetched.len()
            );
        }
    });
}

#[test]
fn curl_sends_a_file_to_our_tcp_over_a_bad_tun() {
    if testkit::peer("curl").is_none() {
        return;
    }
    lab::test(|| {
        let name = format!("tcp-from-scratch-{}-upload", std::process::id());
        let (file, path) = (text(), std::env::temp_dir().join(name));
        fs::write(&path, &file).unwrap();
        let arguments = [
            "-H",
            "Expect:",
            "-T",
            path.to_str().unwrap(),
            "http://192.0.2.2/",
        ];
        let served = serve_curl(&arguments, b"thanks");
        fs::remove_file(&path).unwrap();
        if let Some((sent, answer)) = served {
            assert!(
                sent == file,
                "{} bytes came, not all of them right",
                sent.len()
            );
            assert_eq!(answer, b"thanks");
        }
    });
}

/// Our TCP as the client of a server on the kernel's side of the TUN device.
#[test]
fn our_tcp_fetches_a_file_from_the_kernels_over_a_bad_tun() {
    use std::io::{Read, Write};
    lab::test(|| {
        let (_lab, host, _) = Lab::pair(Link::new()).unwrap();
        let Ok(tun) = host.run(|| Tun::open("tun0", KERNELS, OURS)) else {
            return testkit::skip("may not open /dev/net/tun");
        };
        let listener = host
            .run(|| std::net::TcpListener::bind((KERNELS, 80)))
            .unwrap();
        let serving = host.spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            connection.read_exact(&mut [0; 3]).unwrap();
            connection.write_all(&text()).unwrap();
        });
        let config = Config {
            min_rto: Duration::from_millis(200),
            ..Config::default()
        };
        let mut stack = Stack::new(config, Secret([9; 16]), &[OURS.into()]);
        let now = tcp_from_scratch::Time::ZERO;
        let id = stack.connect(now, (KERNELS, 80).into(), None).unwrap();
        let device = Bad {
            device: tun,
            random: 2,
            held: VecDeque::new(),
        };
        let mut driver = Driver::new(stack, device);
        driver.send_all(id, b"get", DEADLINE).unwrap();
        assert!(
            driver.receive_to_end(id, DEADLINE).unwrap() == text(),
            "a wrong byte"
        );
        serving.join().unwrap();
    });
}
