//! A connection whose handshake is under way when the queue becomes full.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use exec_syn_queue::diag::{Diag, Socket, State};
use exec_syn_queue::wait_until;
use lab::{Capture, Link, Report, Tcp, Verdict, tcp_info};
use nix::errno::Errno;
use record::{Column, Sequence, Table, What};

use crate::stage::{Client, Error, Settings, Stage};

/// How long a packet is under way.
const ONE_WAY: Duration = Duration::from_millis(10);

/// How often the experiment is made again if the other client was too slow.
const TRIES: usize = 3;

/// What became of it.
pub struct Overlap {
    /// What the two kernels say of the connection once its ACK has met the full queue.
    pub client: Option<State>,
    pub server: Option<State>,
    /// What the client's program learns in the end.
    pub ending: String,
    /// How often a segment of it has met a full queue.
    pub overflows: u32,
    /// How often the server has sent its SYN ACK again.
    pub resent: u8,
    pub sequence: Sequence,
}

// ANCHOR: hold
/// Holds back the next ACK that ends a handshake, until two packets have overtaken it: another
/// client's SYN and ACK.
fn hold_an_ack(armed: Arc<AtomicBool>) -> Link {
    Link::new().rule(move |_, packet| {
        let mut segment = packet.tcp();
        let ack = segment.take_if(|tcp| tcp.flags == Tcp::ACK && tcp.length == 0);
        match ack.is_some() && armed.swap(false, Ordering::Relaxed) {
            true => Verdict::Reorder(2),
            false => Verdict::Pass,
        }
    })
}
// ANCHOR_END: hold

/// With `net.ipv4.tcp_abort_on_overflow` so set.
pub fn overlap(abort: u8) -> Result<Overlap, Error> {
    for _ in 1..TRIES {
        if let Some((overlap, report)) = try_once(abort)?
            && !report.disturbed()
        {
            return Ok(overlap);
        }
    }
    let overlap = try_once(abort)?.map(|(overlap, _)| overlap);
    overlap.ok_or_else(|| "this machine is too busy for two clients at once".into())
}

/// A connection of which the client's end stands and the server's does not.
pub struct Meeting {
    pub stage: Stage,
    /// Whose ACK has met the full queue, and who has taken the last place.
    pub late: TcpStream,
    pub faster: TcpStream,
    /// What the two kernels say of the late one then.
    pub client: Option<Socket>,
    pub server: Option<Socket>,
    _first: TcpStream,
}

/// Nothing where the faster client was not there in time.
pub fn meeting(abort: u8, cookies: u8) -> Result<Option<Meeting>, Error> {
    // ANCHOR: overlap
    let armed = Arc::new(AtomicBool::new(false));
    let stage = Stage::open(Settings {
        backlog: 1,
        abort,
        cookies,
        one_way: ONE_WAY,
        there: hold_an_ack(armed.clone()),
        ..Settings::default()
    })?;
    let first = connected(&stage)?;
    stage.waits_for(1)?; // there is room for one more
    armed.store(true, Ordering::Relaxed);
    let late = connected(&stage)?; // its SYN is answered, and its ACK is held back
    let client = state(&stage.client.run(Diag::open)?, late.local_addr()?)?;
    let Client::Connected(faster) = stage.connect()? else {
        return Ok(None); // came too late to take the last place
    };
    wait_until("the ACK has come, too", || {
        Ok(stage.queue()?.length == 2 && stage.drops()? > 0)
    })?;
    let server = state(&stage.diag, late.local_addr()?)?;
    // ANCHOR_END: overlap
    let in_time = server.is_none_or(|socket| socket.state != State::Established);
    Ok(in_time.then_some(Meeting {
        stage,
        late,
        faster,
        client,
        server,
        _first: first,
    }))
}

fn try_once(abort: u8) -> Result<Option<(Overlap, Report)>, Error> {
    let Some(meeting) = meeting(abort, 1)? else {
        return Ok(None);
    };
    let Meeting {
        stage,
        mut late,
        faster,
        client,
        server,
        ..
    } = meeting;
    // ANCHOR: ending
    let (mut resent, mut accepted, mut open) = (0, None, Vec::new());
    let ending = if abort == 0 {
        let overflows = |count| wait_until("it is dropped", || Ok(stage.overflows()? >= count));
        wait_until("the SYN ACK is sent again", || {
            let entry = state(&stage.diag, late.local_addr()?)?;
            resent = entry.map_or(0, |entry| entry.retransmits);
            Ok(resent > 0)
        })?;
        overflows(2)?; // the client's ACK of that
        let wrote = Instant::now();
        late.write_all(b"hello")?; // it is connected, is it not?
        overflows(3)?;
        open.push(stage.listener.accept()?); // there is room again
        accepted = Some(wrote.elapsed());
        open.push(stage.listener.accept()?);
        let (mut connection, from) = stage.listener.accept()?;
        let mut heard = [0; 5];
        connection.read_exact(&mut heard)?;
        open.push((connection, from));
        wait_until("the client knows", || Ok(tcp_info(&late)?.unacked == 0))?;
        if tcp_info(&late)?.total_retrans != 1 {
            return Ok(None); // the accept() came too late for the story
        }
        format!("`{}` arrives", String::from_utf8_lossy(&heard))
    } else {
        late.set_nonblocking(false)?;
        match late.read_exact(&mut [0]) {
            Err(error) => format!("`{:?}`", Errno::from_raw(error.raw_os_error().unwrap_or(0))),
            Ok(()) => "data".to_owned(),
        }
    };
    // ANCHOR_END: ending
    let ports = [late.local_addr()?.port(), faster.local_addr()?.port()];
    let overlap = Overlap {
        client: client.map(|socket| socket.state),
        server: server.map(|socket| socket.state),
        ending,
        overflows: stage.overflows()?,
        resent,
        sequence: sequence(&stage.lab.capture(), ports, accepted),
    };
    Ok(Some((overlap, stage.lab.finish()?)))
}

/// The connection with this address of the client, at whichever end is asked.
pub fn state(diag: &Diag, client: SocketAddr) -> io::Result<Option<Socket>> {
    let sockets = diag.sockets(&[State::Established, State::SynReceived])?;
    let is_it = |socket: &Socket| [socket.local, socket.remote].contains(&client);
    Ok(sockets.into_iter().find(is_it))
}

fn connected(stage: &Stage) -> Result<TcpStream, Error> {
    match stage.connect()? {
        Client::Connected(stream) => Ok(stream),
        Client::Waits(_) => Err("there should have been room".into()),
    }
}

/// The packets of the late client's connection, and when the other's has filled the queue. `accepted`
/// is when there was room again, counted from when the late client wrote.
fn sequence(capture: &Capture, [late, faster]: [u16; 2], accepted: Option<Duration>) -> Sequence {
    let mut sequence = Sequence::new();
    let client = sequence.host("client", None);
    let server = sequence.host("server", None);
    let (mut start, mut room) = (None, None);
    // What happens at the same time is told in the order of these numbers.
    let mut states = Vec::new();
    for (crossing, mut event) in capture.crossings().iter().zip(capture.sequence().events) {
        let What::Message {
            from,
            to,
            arrived_us,
            ..
        } = &mut event.what
        else {
            continue;
        };
        let (Some(tcp), Some(arrived)) = (crossing.tcp(), *arrived_us) else {
            continue;
        };
        let ack = tcp.flags == Tcp::ACK && tcp.length == 0;
        if ack && tcp.source_port == faster {
            let start = start.unwrap_or_default();
            states.push((arrived - start, 0, server, "accept queue full"));
        }
        if !is_of(&tcp, late) {
            continue;
        }
        let start = *start.get_or_insert(event.at_us);
        event.at_us -= start;
        let arrived = arrived - start;
        *arrived_us = Some(arrived);
        let from_client = tcp.source_port == late;
        (*from, *to) = if from_client {
            (client, server)
        } else {
            (server, client)
        };
        if tcp.length > 0 && room.is_none() {
            room = accepted.map(|after| event.at_us + after.as_micros() as u64);
        }
        sequence.events.push(event);
        if tcp.has(Tcp::SYN | Tcp::ACK) {
            states.push((arrived, 1, client, "`ESTABLISHED`"));
        } else if tcp.has(Tcp::RST) {
            states.push((arrived, 1, client, "`ECONNRESET`"));
        } else if room.is_some_and(|room| arrived >= room) {
            states.push((arrived, 1, server, "`ESTABLISHED`"));
        } else if ack && accepted.is_some() {
            states.push((arrived, 1, server, "`ACK` dropped"));
        }
    }
    states.extend(room.map(|at| (at, 1, server, "`accept()`")));
    states.sort_unstable();
    let mut told = HashSet::new();
    for (at, _, host, label) in states {
        if told.insert((host, label)) {
            sequence.state(at, host, label, None); // the first time only
        }
    }
    sequence.events.sort_by_key(|event| event.at_us);
    sequence
}

/// Whether a segment is of the connection of this client's port.
fn is_of(tcp: &Tcp, port: u16) -> bool {
    [tcp.source_port, tcp.destination_port].contains(&port)
}

/// Tells what became of the two.
pub fn tell(overlaps: &[(u8, Overlap)]) -> Table {
    println!("\n4. The queue becomes full while a handshake is under way\n");
    let mut table = Table::new([
        Column::words("`tcp_abort_on_overflow`"),
        Column::words("the client"),
        Column::words("the server"),
        Column::words("in the end"),
        Column::number("segments that met a full queue", ""),
        Column::number("SYN ACKs sent again", ""),
    ]);
    let name = |state: Option<State>| match state {
        Some(State::Established) => "`ESTABLISHED`",
        Some(State::SynReceived) => "`SYN-RECV`",
        _ => "nothing",
    };
    for (abort, overlap) in overlaps {
        let [client, server] = [overlap.client, overlap.server].map(name);
        println!("tcp_abort_on_overflow={abort}");
        println!(
            "    its ACK has come: the client is {}, the server {}",
            client.replace('`', ""),
            server.replace('`', "")
        );
        println!(
            "    segments dropped: {}, SYN ACKs sent again: {}; in the end: {}",
            overlap.overflows,
            overlap.resent,
            overlap.ending.replace('`', "")
        );
        table = table.row([
            format!("`{abort}`"),
            client.to_owned(),
            server.to_owned(),
            overlap.ending.clone(),
            overlap.overflows.to_string(),
            overlap.resent.to_string(),
        ]);
    }
    table
}
