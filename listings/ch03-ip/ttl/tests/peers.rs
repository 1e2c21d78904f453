//! What programs that no one here wrote find on the same chain of routers, and what must not disturb
//! ours.

#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "the listing uses the rest")]
#[path = "../src/chain.rs"]
mod chain;
#[allow(dead_code, reason = "the listing uses the rest")]
#[path = "../src/traceroute.rs"]
mod traceroute;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use chain::{Chain, Family, Silence};
use testkit::{Program, listing, peer};
use traceroute::Route;

/// Who answers for each hop; nobody where it is silent.
fn ours(chain: &Chain, family: Family) -> Vec<Option<IpAddr>> {
    let mut route = Route::new(&chain.client, family, family.address(&chain.server)).unwrap();
    let hops: Vec<_> = (&mut route).map(Result::unwrap).collect();
    assert!(route.arrived());
    hops.iter()
        .map(|hop| {
            hop.answers
                .iter()
                .flatten()
                .next()
                .map(|answer| answer.from)
        })
        .collect()
}

/// What the real `traceroute` prints, in the same form.
fn theirs(chain: &Chain, family: Family, program: &str) -> Vec<Option<IpAddr>> {
    let option = match family {
        Family::V4 => "-4",
        Family::V6 => "-6",
    };
    let output = chain
        .client
        .command(program)
        .args([option, "-n", "-w", "1", "-m", "8"])
        .arg(family.address(&chain.server).to_string())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let lines = text.lines().skip(1);
    lines
        .map(|line| {
            let mut words = line.split_whitespace().skip(1);
            words.find_map(|word| word.parse().ok())
        })
        .collect()
}

#[test]
fn traceroute_finds_the_same_routers() {
    let Some(program) = peer("traceroute") else {
        return;
    };
    let program = program.display().to_string();
    lab::test(|| {
        for silence in [Silence::Nobody, Silence::Router(3)] {
            for family in [Family::V4, Family::V6] {
                let chain = Chain::start(silence).unwrap();
                let theirs = theirs(&chain, family, &program);
                // The kernels tell the same host six times at once and then once a second: on a
                // chain of its own, ours meets kernels that have not spoken yet.
                let chain = Chain::start(silence).unwrap();
                let ours = ours(&chain, family);
                assert_eq!(ours, theirs, "{family}, {silence:?}");
                let silent = ours.iter().position(Option::is_none);
                assert_eq!(silent, (silence != Silence::Nobody).then_some(2));
                assert_eq!(ours.len(), chain::ROUTERS + 1);
            }
        }
    });
}

#[test]
fn an_answer_to_another_program_is_none_to_ours() {
    lab::test(|| {
        let chain = Chain::start(Silence::Nobody).unwrap();
        let server = chain.server.v4();
        let route = Route::new(&chain.client, Family::V4, server.into());
        let mut route = route.unwrap();

        // Another socket, to the port of our first probe, but with another TTL: router 2 answers, and
        // the message waits in the raw socket's buffer before ours is sent.
        let from = SocketAddr::new(chain.client.v4().into(), 0);
        let other = chain.client.run(|| UdpSocket::bind(from)).unwrap();
        other.set_ttl(2).unwrap();
        other.send_to(b"other", (server, 33_434)).unwrap();
        let came = || {
            let capture = chain.lab.capture();
            let mut to_client = capture.sent_by("router 1");
            to_client.any(|crossing| crossing.to == 0 && crossing.arrived.is_some())
        };
        let at_latest = Instant::now() + Duration::from_secs(10);
        while !came() {
            assert!(Instant::now() < at_latest, "router 2 did not answer");
            std::thread::sleep(Duration::from_millis(1));
        }

        let hops: Vec<_> = (&mut route).map(Result::unwrap).collect();
        let first = hops[0].answers.map(|answer| answer.unwrap().from);
        assert_eq!(first, [IpAddr::from(chain.routers[0].v4()); 3]);
        assert_eq!(hops.len(), chain::ROUTERS + 1);
    });
}

#[test]
fn tshark_finds_every_ttl_and_no_wrong_checksum_in_the_captured_packets() {
    let Some(tshark) = peer("tshark") else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ttl.pcapng");
    let _run = listing!().env(lab::PCAPNG_VARIABLE, &file).run().succeeds();
    let ask = |filter: &str, field: &str| -> Vec<String> {
        let run = Program::new(&tshark)
            .arg("-r")
            .arg(&file)
            .args([
                "-o",
                "ip.check_checksum:TRUE",
                "-o",
                "udp.check_checksum:TRUE",
            ])
            .args([
                "-Y",
                filter,
                "-T",
                "fields",
                "-E",
                "occurrence=f",
                "-e",
                field,
            ])
            .run()
            .succeeds();
        run.stdout.lines().map(str::to_owned).collect()
    };
    // The first lab: datagrams that leave with 1, 2, 3, 4, 5.
    let mut ttls = ask("udp && !icmp", "ip.ttl");
    ttls.sort();
    assert_eq!(ttls.concat(), "111112222333445");
    let mut answers = ask("icmp.type == 11", "ip.ttl");
    answers.sort();
    assert_eq!(answers.join(" "), "61 62 62 63 63 63 64 64 64 64");
    let wrong = "ip.checksum.status != 1 || udp.checksum.status == 0 || icmp.checksum.status == 0";
    assert_eq!(ask(wrong, "frame.number"), [""; 0]);
}
