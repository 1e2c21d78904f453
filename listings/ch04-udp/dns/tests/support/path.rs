//! A thousand names over real sockets, on a path that loses, repeats, delays, and has an attacker.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use lab::{Lab, Link, Packet, Verdict};
use udp_dns::Transport;
use udp_dns::client::{Event, resolve};
use udp_dns::random::Seeded;
use udp_dns::resolver::Config;
use udp_dns::server::Server;

use crate::attacker::{Wrong, forge};
use crate::names::{Known, Truth, thousand};

/// Of each datagram, each way.
const LOSS: f64 = 0.1;

/// From either end to the router.
const DELAY: Duration = Duration::from_millis(1);

/// How much later every tenth answer is: with the next query under way.
const LATE: Duration = Duration::from_millis(60);

/// The resolver knows that the round trip is 4 ms.
const FIRST_TIMEOUT: Duration = Duration::from_millis(50);

/// Queries for one name at most. At 19 % loss one name in 100 million needs more.
const ATTEMPTS: usize = 12;

/// How many names are asked for at a time.
const RESOLVERS: usize = 8;

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Names with another answer than the right one.
    pub wrong: Vec<String>,
    pub queries: usize,
    pub over_tcp: usize,
    /// Messages that were refused, by reason.
    pub refused: BTreeMap<&'static str, usize>,
    pub timeouts: usize,
    /// How many answers were forged.
    pub forged: usize,
    /// How many datagrams found no socket at the resolver's host.
    pub no_socket: i64,
    /// The longest that one name took, and all of them.
    pub longest: Duration,
    pub took: Duration,
}

/// Asks for all names, several at a time.
pub fn ask_a_thousand(seed: u64) -> Result<Seen, Box<dyn std::error::Error + Send + Sync>> {
    let (zone, known) = thousand();
    let (tell, told) = mpsc::channel();
    let mut network = Lab::builder();
    let resolver = network.host("resolver");
    let server = network.host("server");
    let attacker = network.raw("attacker");
    let router = network.router("router");
    let there = Link::new().delay(DELAY).loss(LOSS, seed);
    let back = Link::new().delay(DELAY).loss(LOSS, seed + 1);
    let there = there.rule(move |_, packet: &Packet| {
        if packet.udp().is_some() {
            let _ = tell.send(packet.clone());
        }
        Verdict::Pass
    });
    let mut random = Seeded(seed);
    let back = back.rule(
        move |_, packet: &Packet| match packet.udp().map(|_| random.below(10)) {
            Some(0) => Verdict::Duplicate,
            Some(1) => Verdict::Delay(LATE),
            _ => Verdict::Pass,
        },
    );
    let plain = || Link::new().delay(DELAY);
    network.link(resolver, router, there, Link::new().delay(DELAY));
    network.link(router, server, plain(), back);
    network.link(attacker, router, Link::new(), Link::new());
    network.snap(0);
    let lab = network.start()?;

    let raw = lab.raw(attacker);
    let forger = thread::spawn(move || {
        let (mut random, mut forged) = (Seeded(seed), 0);
        for query in told {
            for wrong in [
                Wrong::Port,
                Wrong::Source,
                Wrong::Id,
                Wrong::Id,
                Wrong::Question,
            ] {
                if let Ok(answer) = forge(&query, wrong, raw.v4(), &mut random) {
                    raw.send(answer);
                    forged += 1;
                }
            }
            // It makes for TCP: not every time, so that the others have their chance.
            if random.below(20) == 0
                && let Ok(answer) = forge(&query, Wrong::Case, raw.v4(), &mut random)
            {
                raw.send(answer);
                forged += 1;
            }
        }
        forged
    });

    let (resolver, server) = (lab.host(resolver), lab.host(server));
    let address = SocketAddr::from((server.v4(), 53));
    let running = server.run(|| Server::start(zone, address))?;
    let before = resolver.counters()["UdpNoPorts"];
    let (next, seen) = (AtomicUsize::new(0), Mutex::new(Seen::default()));
    let started = Instant::now();
    resolver.run(|| {
        thread::scope(|scope| {
            for number in 0..RESOLVERS {
                let mut random = Seeded(seed ^ (number as u64) << 32);
                let (next, seen, known) = (&next, &seen, &known);
                scope.spawn(move || {
                    while let Some(known) = known.get(next.fetch_add(1, Ordering::Relaxed)) {
                        ask(known, address, &mut random, seen);
                    }
                });
            }
        });
    });
    let mut seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    seen.took = started.elapsed();
    seen.no_socket = resolver.counters()["UdpNoPorts"] - before;
    drop(running);
    let _ = lab.finish()?; // the times do not count: the relay may have been late
    seen.forged = forger.join().map_err(|_| "the attacker panicked")?;
    Ok(seen)
}

fn ask(known: &Known, server: SocketAddr, random: &mut Seeded, seen: &Mutex<Seen>) {
    let config = Config {
        first_timeout: FIRST_TIMEOUT,
        attempts: ATTEMPTS,
        ..Config::new([server])
    };
    let mut own = Seen::default();
    let started = Instant::now();
    let watch = |event: Event| match event {
        Event::Sent(query) => {
            own.queries += 1;
            own.over_tcp += usize::from(query.transport == Transport::Tcp);
        }
        Event::TimedOut => own.timeouts += 1,
        Event::Refused(refusal) => *own.refused.entry(refusal.name()).or_default() += 1,
        _ => {}
    };
    let result = resolve(known.name, known.qtype, config, random, watch);
    let took = started.elapsed();
    let claimed = Truth::of(&result);
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    if claimed.as_ref() != Ok(&known.truth) {
        seen.wrong.push(format!("{}: {claimed:?}", known.name));
    }
    seen.queries += own.queries;
    seen.over_tcp += own.over_tcp;
    seen.timeouts += own.timeouts;
    for (reason, count) in own.refused {
        *seen.refused.entry(reason).or_default() += count;
    }
    seen.longest = seen.longest.max(took);
}
