//! What must hold whatever comes: for the fuzzer, and for the tests that replay its finds.

use std::net::SocketAddr;
use std::time::Duration;

use tcp_from_scratch::harness::{Harness, Taken};
use tcp_from_scratch::{Config, ConnectionId, Reason};
use tcp_segment::option::MAX_OPTIONS_LEN;
use tcp_segment::{Flags, Header, Options, SeqNumber, TcpOption};

use crate::support::{Channel, Opening, Plan, Random, run};

/// Bytes as numbers, and zeros behind their end.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        byte
    }

    fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn bit(&mut self) -> bool {
        self.byte() & 1 == 1
    }
}

fn config(script: &mut Script) -> Config {
    let bits = script.byte();
    let buffers = [1, 100, 5000, 70_000];
    Config {
        mtu: [100, 600, 1500, 9000][usize::from(bits & 3)],
        send_buffer: buffers[usize::from(bits >> 2 & 3)],
        receive_buffer: buffers[usize::from(bits >> 4 & 3)],
        nagle: bits & 64 == 0,
        timestamps: script.bit(),
        sack: bits & 128 == 0,
        keep_alive: script.bit().then_some(Duration::from_secs(7200)),
        ..Config::default()
    }
}

const PEER: &str = "192.0.2.9:4000";

/// A peer that sends anything at all to a connection in any state, with any pauses, while the user
/// does anything: no panic, no storm of answers, no more memory than was agreed on, and when the
/// peer falls silent and the user lets go, it ends.
pub fn segments(bytes: &[u8]) {
    let mut script = Script(bytes);
    let config = config(&mut script);
    let mut scene = Scene {
        harness: Harness::with(config, "192.0.2.1".parse().unwrap()),
        config,
        id: None,
        seen: Taken {
            to: PEER.parse().unwrap(),
            port: 80,
            seq: SeqNumber(0),
            ack: SeqNumber(0),
            flags: Flags::NONE,
            window: 0,
            urgent_pointer: 0,
            text: Vec::new(),
            options: Vec::new(),
        },
    };
    scene.harness.stack().listen(80, 2).unwrap();
    if script.bit() {
        let now = scene.harness.now();
        scene.id = scene.harness.stack().connect(now, scene.seen.to, None).ok();
    }
    while !script.0.is_empty() {
        scene.step(&mut script);
        scene.check();
    }
    scene.ends();
}

struct Scene {
    harness: Harness,
    config: Config,
    id: Option<ConnectionId>,
    /// The last segment that came from us.
    seen: Taken,
}

impl Scene {
    fn step(&mut self, script: &mut Script) {
        match script.byte() % 16 {
            0..=8 => self.put(script),
            9 => self
                .harness
                .pass(Duration::from_micros(1 << (script.byte() % 34))),
            10 => {
                self.harness.pass_to_timeout();
            }
            11 => self.with(
                |harness, id, len| {
                    let _ = harness.stack().send(id, &vec![7; len]);
                },
                script.word(),
            ),
            12 => self.with(
                |harness, id, len| {
                    let _ = harness.stack().receive(id, &mut vec![0; len]);
                },
                script.word(),
            ),
            13 => self.with(
                |harness, id, what| {
                    let stack = harness.stack();
                    let _ = match what {
                        0 => stack.abort(id),
                        1..=100 => stack.with(id, |connection| connection.urgent()),
                        _ => stack.close(id),
                    };
                },
                script.byte().into(),
            ),
            14 => {
                let len = usize::from(script.byte()).min(script.0.len());
                let (packet, rest) = script.0.split_at(len);
                self.harness.put_packet(packet);
                script.0 = rest;
            }
            _ => while self.harness.stack().event().is_some() {},
        }
    }

    fn with(&mut self, work: impl FnOnce(&mut Harness, ConnectionId, usize), number: u16) {
        self.id = self.id.or_else(|| self.harness.stack().accept(80));
        if let Some(id) = self.id {
            work(&mut self.harness, id, number.into());
        }
    }

    /// A segment whose numbers are near those that count, or anywhere.
    fn put(&mut self, script: &mut Script) {
        let near = |number: SeqNumber, script: &mut Script| match script.byte() {
            0..=99 => number,
            byte @ 100..=179 => number + u32::from(byte - 100),
            byte @ 180..=219 => number - u32::from(byte - 180),
            220..=249 => number + u32::from(script.word()),
            _ => SeqNumber(u32::from(script.word()) << 16 | u32::from(script.word())),
        };
        let flags = match script.byte() {
            byte @ 0..=63 => Flags::from_bits(byte.into()).unwrap(),
            64..=79 => Flags::SYN,
            80..=95 => Flags::SYN | Flags::ACK,
            96..=119 => Flags::FIN | Flags::ACK,
            _ => Flags::ACK,
        };
        let peer: SocketAddr = PEER.parse().unwrap();
        let seq = near(self.seen.ack, script);
        let sent = self.seen.seq + self.seen.text.len() as u32;
        let syn_or_fin = self.seen.flags.intersects(Flags::SYN | Flags::FIN);
        let ack = near(sent + u32::from(syn_or_fin), script);
        let text = vec![7; [0, 0, 1, 10, 1000][usize::from(script.byte() % 5)]];
        let mut room = [0; MAX_OPTIONS_LEN];
        let mss = TcpOption::MaximumSegmentSize(script.word());
        let timestamps = TcpOption::Timestamps {
            value: script.byte().into(),
            echo_reply: self.seen.seq.0,
        };
        let list = match script.byte() % 6 {
            0 => vec![
                mss,
                TcpOption::SackPermitted,
                TcpOption::WindowScale(script.byte()),
            ],
            1 => vec![
                mss,
                TcpOption::SackPermitted,
                timestamps,
                TcpOption::WindowScale(7),
            ],
            2 => vec![timestamps],
            3 => {
                let left = near(self.seen.seq, script);
                let block = tcp_segment::option::SackBlock {
                    left,
                    right: near(left, script),
                };
                let blocks = tcp_segment::option::SackBlocks::new(&[block]).unwrap();
                vec![TcpOption::Sack(blocks)]
            }
            _ => vec![],
        };
        let header = Header {
            flags,
            acknowledgment_number: ack,
            window: script.word(),
            urgent_pointer: script.byte().into(),
            options: Options::emit(&list, &mut room).unwrap(),
            ..Header::new(peer.port(), self.seen.port, seq)
        };
        self.harness.put(peer, &header, &text);
    }

    fn check(&mut self) {
        let mut answers = 0;
        while let Some(packet) = self.harness.take_packet() {
            assert!(
                packet.len() <= usize::from(self.config.mtu),
                "a packet beyond the MTU"
            );
            self.seen = tcp_from_scratch::harness::read(&packet);
            answers += 1;
            // The largest buffer in the smallest segments.
            assert!(answers < 5000, "a storm of answers");
        }
        let ids: Vec<ConnectionId> = self.harness.stack().ids().collect();
        assert!(ids.len() <= self.config.connections);
        for id in ids {
            let status = self.harness.stack().status(id).unwrap();
            assert!(status.readable <= self.config.receive_buffer);
            assert!(status.unacknowledged <= self.config.send_buffer);
            assert!(status.receive_window as usize <= self.config.receive_buffer.max(65_535));
        }
    }

    /// The peer is silent, the user lets go: nothing is left.
    fn ends(&mut self) {
        let _ = self.harness.stack().unlisten(80);
        let ids: Vec<ConnectionId> = self.harness.stack().ids().collect();
        for id in ids {
            let _ = self.harness.stack().release(id);
        }
        for _ in 0..10_000 {
            self.check();
            if self.harness.stack().ids().count() == 0 {
                return;
            }
            assert!(self.harness.pass_to_timeout(), "no timer runs");
        }
        panic!("it does not end: {:?}", self.harness.stack());
    }
}

/// Two of our stacks, and a channel whose every decision the bytes make: the text arrives, both ends
/// know that it is over.
pub fn streams(bytes: &[u8]) {
    let mut script = Script(bytes);
    let mut plan = || {
        let config = config(&mut script);
        let config = Config {
            user_timeout: Duration::from_secs(24 * 3600),
            syn_timeout: Duration::from_secs(24 * 3600),
            // Where every acknowledgment of the last FIN is lost until TIME-WAIT is over, its sender
            // is reset and never learns that all has arrived. No TCP can do better; here TIME-WAIT
            // lasts longer than any such streak.
            msl: Duration::from_secs(12 * 3600),
            ..config
        };
        let smallest = config.send_buffer.min(config.receive_buffer);
        let len = usize::from(script.word()).min(smallest * 400);
        let text = (0..len).map(|at| (at ^ at >> 8) as u8).collect();
        Plan {
            read_at_once: 1 + usize::from(script.word()),
            read_every: Duration::from_millis(u64::from(script.byte() / 64)),
            ..Plan::new(config, text)
        }
    };
    let plans = [plan(), plan()];
    // A window of one byte on the other side takes a round trip for each: not too many of them.
    let smallest = plans
        .iter()
        .map(|plan| plan.config.receive_buffer)
        .min()
        .unwrap_or(1);
    let plans = plans.map(|mut plan| {
        plan.text.truncate(smallest * 400);
        plan
    });
    let opening = if script.bit() {
        Opening::Simultaneous
    } else {
        Opening::Usual
    };
    let channel = Channel {
        delay: Duration::from_micros(u64::from(script.word())),
        loss: u16::from(script.byte()),
        duplication: u16::from(script.byte()),
        reordering: u16::from(script.byte()),
    };
    let texts = [plans[0].text.clone(), plans[1].text.clone()];
    let outcome = run(plans, channel, Random::new(1, script.0), opening);
    assert!(outcome.received[0] == texts[1] && outcome.received[1] == texts[0]);
    assert_eq!(
        outcome.reasons,
        [Some(Reason::Finished); 2],
        "{:?} {:?}",
        outcome.paths,
        outcome.took
    );
}
