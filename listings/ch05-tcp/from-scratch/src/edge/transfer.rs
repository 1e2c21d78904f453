//! Much text, both ways at once, between our TCP and the kernel's.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use lab::{Host, Lab, Link, Raw, Verdict};
use tcp_from_scratch::driver::Driver;
use tcp_from_scratch::{Config, ConnectionId, Counters, Secret, Stack, State};

use super::raw::RawDevice;

/// How long the slowest may take before it counts as hung.
const DEADLINE: Duration = Duration::from_secs(1200);

const PORT: u16 = 7000;

/// One line of the matrix.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub loss_percent: u8,
    /// Two of a hundred packets are overtaken by three others, two come twice.
    pub disorder: bool,
    /// We call, the kernel listens; or the other way round.
    pub active: bool,
    pub v6: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    pub took: Duration,
    pub counters: Counters,
}

/// All cases.
pub fn cases() -> impl Iterator<Item = Case> {
    [0, 1, 5].into_iter().flat_map(|loss_percent| {
        [false, true].into_iter().flat_map(move |disorder| {
            [true, false].into_iter().map(move |active| Case {
                loss_percent,
                disorder,
                active,
                // Each version in half of them.
                v6: disorder != active,
            })
        })
    })
}

/// The byte at a place of the stream, in one of its directions. No run of it occurs twice nearby.
fn byte(at: usize, salt: u64) -> u8 {
    let z = (at as u64 / 8 + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (z ^ (z >> 29)).to_le_bytes()[at % 8]
}

fn fill(at: usize, salt: u64, bytes: &mut [u8]) {
    for (place, at) in bytes.iter_mut().zip(at..) {
        *place = byte(at, salt);
    }
}

const OURS: u64 = 1 << 40;
const THE_KERNELS: u64 = 1 << 41;

fn link(case: Case, seed: u64) -> Link {
    let mut random = seed;
    let link = Link::new()
        .delay(Duration::from_micros(200))
        .loss(f64::from(case.loss_percent) / 100.0, seed);
    if !case.disorder {
        return link;
    }
    link.rule(move |_, _| {
        // Numerical Recipes' generator: the same sequence in every run.
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        match random >> 33 {
            n if n % 50 == 0 => Verdict::Reorder(3),
            n if n % 50 == 1 => Verdict::Duplicate,
            _ => Verdict::Pass,
        }
    })
}

/// Runs a case: so many bytes each way at once.
pub fn run(case: Case, bytes: usize) -> Result<Outcome, Box<dyn Error>> {
    run_with(case, bytes, |_| ())
}

/// The same, after `prepare` has done something to the kernel's host.
pub fn run_with(
    case: Case,
    bytes: usize,
    prepare: impl FnOnce(&Host),
) -> Result<Outcome, Box<dyn Error>> {
    let (lab, raw, kernel) = lab(case, 0)?;
    prepare(&kernel);
    let outcome = run_in(raw, &kernel, case, bytes)?;
    drop(lab);
    Ok(outcome)
}

/// The same, and writes all packets to a file for Wireshark.
pub fn run_captured(case: Case, bytes: usize, file: &Path) -> Result<Outcome, Box<dyn Error>> {
    let (lab, raw, kernel) = lab(case, usize::MAX)?;
    let outcome = run_in(raw, &kernel, case, bytes)?;
    lab.capture().write_pcapng(file, "")?;
    Ok(outcome)
}

fn lab(case: Case, snap: usize) -> Result<(Lab, Raw, Host), Box<dyn Error>> {
    let mut builder = Lab::builder();
    let (ours, theirs) = (builder.raw("ours"), builder.host("kernel"));
    builder.link(ours, theirs, link(case, 11), link(case, 12));
    builder.congestion("reno");
    builder.snap(snap);
    let lab = builder.start()?;
    let (raw, kernel) = (lab.raw(ours), lab.host(theirs));
    Ok((lab, raw, kernel))
}

fn run_in(raw: Raw, kernel: &Host, case: Case, bytes: usize) -> Result<Outcome, Box<dyn Error>> {
    let (us, them): (IpAddr, IpAddr) = match case.v6 {
        true => (raw.v6().into(), kernel.v6().into()),
        false => (raw.v4().into(), kernel.v4().into()),
    };
    let config = Config {
        min_rto: Duration::from_millis(200), // as the kernel's
        msl: Duration::from_millis(200),
        ..Config::default()
    };
    let mut stack = Stack::new(config, Secret([3; 16]), &[us]);
    let began = Instant::now();
    let peer;
    let mut driver;
    let id;
    if case.active {
        let listener = kernel.run(|| TcpListener::bind((them, PORT)))?;
        peer = kernel.spawn(move || talk(&listener.accept()?.0, bytes));
        id = stack.connect(tcp_from_scratch::Time::ZERO, (them, PORT).into(), None)?;
        driver = Driver::new(stack, RawDevice::new(raw));
        // A CLOSE before that would call it off (RFC 9293 §3.10.4).
        driver.until(DEADLINE, |stack| {
            let status = stack.status(id).ok()?;
            (status.state == State::Established).then_some(())
        })?;
    } else {
        stack.listen(PORT, 1)?;
        peer = spawn_caller(kernel, (us, PORT).into(), bytes);
        driver = Driver::new(stack, RawDevice::new(raw));
        id = driver.until(DEADLINE, |stack| stack.accept(PORT))?;
    }
    exchange(&mut driver, id, bytes)?;
    // The close, up to the end of TIME-WAIT if it is ours.
    driver.until(DEADLINE, |stack| {
        stack
            .status(id)
            .is_ok_and(|status| status.state == State::Closed)
            .then_some(())
    })?;
    peer.join().expect("the kernel's side does not panic")?;
    let took = began.elapsed();
    let counters = driver.stack.status(id)?.counters;
    Ok(Outcome { took, counters })
}

fn spawn_caller(
    kernel: &Host,
    to: SocketAddr,
    bytes: usize,
) -> thread::JoinHandle<std::io::Result<()>> {
    kernel.spawn(move || talk(&TcpStream::connect(to)?, bytes))
}

/// The kernel's side: writes and reads at once, and compares.
fn talk(connection: &TcpStream, bytes: usize) -> std::io::Result<()> {
    thread::scope(|scope| {
        let writer = scope.spawn(move || {
            let mut connection = connection;
            let mut block = vec![0; 1 << 16];
            for at in (0..bytes).step_by(1 << 16) {
                let block = &mut block[..(bytes - at).min(1 << 16)];
                fill(at, THE_KERNELS, block);
                connection.write_all(block)?;
            }
            connection.shutdown(Shutdown::Write)
        });
        let (mut connection, mut at) = (connection, 0);
        let (mut block, mut expected) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        loop {
            let len = connection.read(&mut block)?;
            if len == 0 {
                break;
            }
            fill(at, OURS, &mut expected[..len]);
            assert!(
                block[..len] == expected[..len],
                "a wrong byte at the kernel, near {at}"
            );
            at += len;
        }
        assert_eq!(at, bytes, "bytes at the kernel");
        writer.join().expect("the writer does not panic")
    })
}

/// Our side: the same in one thread.
fn exchange(
    driver: &mut Driver<RawDevice>,
    id: ConnectionId,
    bytes: usize,
) -> Result<(), Box<dyn Error>> {
    let mut block = vec![0; 1 << 16];
    let (mut sent, mut filled, mut received) = (0, 0..0, 0);
    let mut incoming = vec![0; 1 << 16];
    let mut expected = vec![0; 1 << 16];
    driver.until(DEADLINE, |stack| {
        loop {
            if filled.is_empty() && sent < bytes {
                filled = 0..(bytes - sent).min(1 << 16);
                fill(sent, OURS, &mut block[filled.clone()]);
                sent += filled.len();
            }
            match stack.send(id, &block[filled.clone()]) {
                Ok(taken) if taken > 0 => filled.start += taken,
                _ => break,
            }
        }
        if sent == bytes && filled.is_empty() {
            let _ = stack.close(id); // an error from the second time on
        }
        loop {
            match stack.receive(id, &mut incoming) {
                Ok(0) => return (sent == bytes && filled.is_empty()).then_some(Ok(())),
                Ok(len) => {
                    fill(received, THE_KERNELS, &mut expected[..len]);
                    assert!(
                        incoming[..len] == expected[..len],
                        "a wrong byte near {received}"
                    );
                    received += len;
                }
                Err(tcp_from_scratch::Error::WouldBlock) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    })??;
    assert_eq!(received, bytes, "bytes at our side");
    Ok(())
}
