//! What holds for any answers, in any order; the proofs and the fuzz target both ask for it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use udp_dns::Transport;
use udp_dns::random::Seeded;
use udp_dns::resolver::{Config, Lookup, MAX_REFUSED, Query, Step};
use udp_dns_message::{HEADER_LEN, Message, NameBuf, Type};

/// RFC 1035 §4.1.1.
const FORMERR: u8 = 1;
const NOTIMP: u8 = 4;

/// Reads `bytes` as what happens to a lookup: each time a byte that says what, two of length, and as
/// many of data. Panics unless all that the resolver promises holds.
pub fn hold(bytes: &[u8]) {
    let servers: Vec<SocketAddr> = (1..=2)
        .map(|last| (Ipv4Addr::new(192, 0, 2, last), 53).into())
        .collect();
    let config = Config::new(servers);
    let (total, attempts) = (config.total, config.attempts);
    let name: NameBuf = "www.example.com".parse().unwrap();
    let mut lookup = Lookup::new(name, Type::A, config, Seeded(1));
    let (mut now, mut rest) = (Duration::ZERO, bytes);
    let (mut waiting, mut refused): (Option<Query>, usize) = (None, 0);
    loop {
        assert!(lookup.attempts() <= attempts);
        assert!(now <= total);
        let until = match lookup.poll(now) {
            Step::Done(result) => {
                // It stays so.
                assert_eq!(lookup.poll(now), Step::Done(result));
                return;
            }
            Step::Send { query, until } => {
                assert!(until > now);
                (waiting, refused) = (Some(query), 0);
                continue;
            }
            Step::Wait(until) => until,
        };
        let query = waiting.as_ref().expect("waits for an answer to a query");
        let Some((what, data)) = next(&mut rest) else {
            now = until; // silence
            continue;
        };
        let mut from = query.server;
        let message = match what % 8 {
            0 => {
                now = until;
                continue;
            }
            1 => {
                lookup.unreachable();
                continue;
            }
            2 => data.to_vec(),
            3 => {
                from.set_port(54);
                about(query, data)
            }
            4 => {
                let mut message = about(query, data);
                message[0] ^= 1;
                message
            }
            5 => {
                let mut message = about(query, data);
                message[HEADER_LEN + 1] ^= 0x20; // the case of the first letter
                message
            }
            _ => about(query, data),
        };
        match lookup.received(from, &message) {
            Ok(_) => assert!(is_answer(query, from, &message), "{query:?} {message:?}"),
            Err(_) => refused += 1,
        }
        assert!(refused <= MAX_REFUSED, "another guess at the same port");
    }
}

/// The next event, if one is left.
fn next<'b>(rest: &mut &'b [u8]) -> Option<(u8, &'b [u8])> {
    let ([what, high, low], after) = rest.split_first_chunk::<3>()?;
    let len = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
    let (data, after) = after.split_at(len);
    *rest = after;
    Some((*what, data))
}

/// A message that has the query's ID and question: flags and counts from the data's first bytes, and
/// the rest as records.
fn about(query: &Query, data: &[u8]) -> Vec<u8> {
    let mut fixed = [0x80, 0, 0, 0, 0];
    let (given, records) = data.split_at(data.len().min(fixed.len()));
    fixed[..given.len()].copy_from_slice(given);
    let [flags, more, answers, authorities, additionals] = fixed;
    let mut message = query.id.to_be_bytes().to_vec();
    message.extend([flags | 0x80, more, 0, 1]);
    for count in [answers, authorities, additionals] {
        message.extend([0, count % 32]);
    }
    let question = HEADER_LEN..HEADER_LEN + query.name.as_wire().len() + 4;
    message.extend(&query.bytes[question]);
    message.extend(records);
    message
}

/// What RFC 5452 §9.1 asks for, written a second time: from the bytes.
fn is_answer(query: &Query, from: SocketAddr, message: &[u8]) -> bool {
    let question = HEADER_LEN..HEADER_LEN + query.name.as_wire().len() + 4;
    let same_id = message[..2] == query.bytes[..2];
    let says_so = message[2] & 0xf8 == 0x80; // QR, and the opcode of a query
    let asked = match &message[4..6] {
        [0, 1] => {
            let (theirs, ours) = (&message[question.clone()], &query.bytes[question]);
            match query.transport {
                Transport::Udp => theirs == ours,
                Transport::Tcp => theirs.eq_ignore_ascii_case(ours),
            }
        }
        [0, 0] => matches!(message[3] & 0xf, FORMERR | NOTIMP),
        _ => false,
    };
    from == query.server && same_id && says_so && asked && Message::parse(message).is_ok()
}
