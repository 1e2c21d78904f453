//! A client that comes while the queue is full, and data that comes before it is accepted.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use exec_syn_queue::diag::State;
use exec_syn_queue::wait_until;
use lab::{Capture, Report, Tcp, undisturbed};
use nix::errno::Errno;
use record::{Sequence, What};

use crate::stage::{Client, Error, SOON, Settings, Stage, outcome};

/// How long a packet is under way.
const ONE_WAY: Duration = Duration::from_millis(10);

/// How often an experiment is made if the machine was too busy for its times.
const TRIES: usize = 2;

/// How a client fares that finds the queue full.
pub struct Full {
    /// What connect() says, and after what time.
    pub error: Option<Errno>,
    pub after: Duration,
    pub sequence: Sequence,
}

/// What the server does once it has dropped the client's SYN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    AcceptsOne,
    AcceptsNone,
}

/// With `net.ipv4.tcp_abort_on_overflow` so set.
pub fn full(then: Then, abort: u8) -> Result<Full, Error> {
    Ok(undisturbed(TRIES, || try_once(then, abort))?.0)
}

fn try_once(then: Then, abort: u8) -> Result<(Full, Report), Error> {
    // ANCHOR: full
    let stage = Stage::open(Settings {
        backlog: 0,
        abort,
        one_way: ONE_WAY,
        ..Settings::default()
    })?;
    let _waits = stage.connect()?;
    stage.waits_for(1)?; // there is room for no more

    let called = Instant::now();
    let Client::Waits(client) = stage.connect()? else {
        return Err("there should have been no room".into());
    };
    let accepted = match then {
        Then::AcceptsOne => Some((stage.listener.accept()?, called.elapsed())),
        Then::AcceptsNone => None,
    };
    wait_until("connect() comes to an end", || outcome(&client, SOON))?;
    let (error, after) = (client.take_error()?, called.elapsed());
    // ANCHOR_END: full
    let error = error.map(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()));
    let accepted = accepted.map(|(_, at)| at);
    if error.is_none() {
        stage.waits_for(1)?; // the ACK has arrived
    }
    let port = client.local_addr()?.port();
    let full = Full {
        sequence: sequence(&stage.lab.capture(), port, accepted, (error, after)),
        error,
        after,
    };
    Ok((full, stage.lab.finish()?))
}

/// Tells how the three clients fared.
pub fn tell(all: [&Full; 3]) {
    println!("\n2. A SYN comes to a full queue\n");
    let what = [
        "the server accepts one at once",
        "it accepts none",
        "the same, tcp_abort_on_overflow=1",
    ];
    for (what, full) in what.into_iter().zip(all) {
        let says = match full.error {
            Some(error) => format!("{error:?}"),
            None => "connected".to_owned(),
        };
        let ms = full.after.as_secs_f64() * 1e3;
        println!("{what:34} connect(): {says} after {ms:.0} ms");
    }
}

/// The client's packets, and what became of them.
fn sequence(
    capture: &Capture,
    port: u16,
    accepted: Option<Duration>,
    (error, after): (Option<Errno>, Duration),
) -> Sequence {
    let us = |time: Duration| time.as_micros() as u64;
    let all = capture.sequence();
    let mut sequence = Sequence {
        hosts: all.hosts,
        events: Vec::new(),
    };
    let (client, server) = (0, 1);
    sequence.state(0, server, "accept queue full", None);
    let accepted = accepted.map(us);
    if let Some(at) = accepted {
        sequence.state(at, server, "`accept()`", Some("there is room again"));
    }
    let mut start = None;
    for (crossing, mut event) in capture.crossings().iter().zip(all.events) {
        let Some(tcp) = crossing.tcp() else { continue };
        if ![tcp.source_port, tcp.destination_port].contains(&port) {
            continue;
        }
        let start = *start.get_or_insert(event.at_us);
        event.at_us -= start;
        let What::Message { arrived_us, .. } = &mut event.what else {
            continue;
        };
        *arrived_us = arrived_us.map(|arrived| arrived - start);
        let arrived = *arrived_us;
        sequence.events.push(event);
        match arrived {
            Some(at) if tcp.flags == Tcp::SYN && accepted.is_none_or(|room| at < room) => {
                sequence.state(at, server, "dropped", None);
            }
            Some(at) if tcp.flags == Tcp::SYN | Tcp::ACK => {
                sequence.state(at, client, "`ESTABLISHED`", None);
            }
            Some(at) if tcp.flags == Tcp::ACK => {
                sequence.state(at, server, "`ESTABLISHED`", None);
                break;
            }
            _ => {}
        }
    }
    if let Some(error) = error {
        sequence.state(us(after), client, format!("`{error:?}`"), None);
    }
    sequence.events.sort_by_key(|event| event.at_us);
    sequence
}

/// How much the client sends before anybody accepts it.
const BYTES: usize = 1000;

/// Sends to a server that has not called accept().
pub fn before_accept() -> Result<(), Error> {
    println!("\n5. {BYTES} bytes to a server that has not called accept()\n");
    // ANCHOR: before
    let stage = Stage::open(Settings::default())?;
    let Client::Connected(mut client) = stage.connect()? else {
        return Err("there should have been room".into());
    };
    client.write_all(&[b'.'; BYTES])?;
    let mut waiting = None;
    wait_until("the bytes have arrived", || {
        let connections = stage.diag.sockets(&[State::Established])?;
        waiting = connections.first().copied();
        Ok(waiting.is_some_and(|connection| connection.recv_q as usize == BYTES))
    })?;
    let acknowledged = lab::tcp_info(&client)?.unacked == 0;

    let (mut connection, _) = stage.listener.accept()?;
    let mut buffer = [0; 2 * BYTES];
    let read = connection.read(&mut buffer)?;
    // ANCHOR_END: before
    let (queue, waiting) = (stage.queue()?, waiting.ok_or("a connection waits")?);
    println!("State   Recv-Q  Send-Q");
    println!("ESTAB   {:>6}  {:>6}", waiting.recv_q, waiting.send_q);
    println!("acknowledged: {}", if acknowledged { "yes" } else { "no" });
    println!(
        "the first read() after accept(): {read} bytes; {} wait now",
        queue.length
    );
    Ok(())
}
