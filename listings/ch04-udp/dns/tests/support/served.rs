//! What holds for any bytes that a client sends; the proofs and the fuzz target both ask for it.

use std::sync::OnceLock;

use udp_dns::Transport;
use udp_dns::server::{UDP_PAYLOAD_SIZE, answer};
use udp_dns::zone::{EXAMPLE, Zone};
use udp_dns_message::{Flags, Header, MAX_MESSAGE_LEN, Message, Rcode};

fn zone() -> &'static Zone {
    static ZONE: OnceLock<Zone> = OnceLock::new();
    ZONE.get_or_init(|| Zone::parse(EXAMPLE).expect("the zone of the listing"))
}

/// What holds for any bytes that a client sends.
pub fn holds(bytes: &[u8], tcp: bool) {
    let transport = if tcp { Transport::Tcp } else { Transport::Udp };
    let query = Header::parse(bytes)
        .ok()
        .filter(|header| !header.flags.contains(Flags::QR));
    let mut room = [0xa5; MAX_MESSAGE_LEN];
    let answer = answer(zone(), bytes, transport, &mut room);
    assert_eq!(answer.is_some(), query.is_some());
    let (Some(query), Some(answer)) = (query, answer) else {
        return;
    };
    let message = Message::parse(answer).expect("an answer that can be read");
    let header = message.header();
    assert_eq!((header.id, header.opcode), (query.id, query.opcode));
    assert!(header.flags.contains(Flags::QR) && !header.flags.contains(Flags::RA));
    assert_eq!(
        header.flags.contains(Flags::RD),
        query.flags.contains(Flags::RD)
    );
    assert!(tcp || answer.len() <= UDP_PAYLOAD_SIZE.into());
    if let Ok(asked) = Message::parse(bytes) {
        assert_eq!(message.edns().is_some(), asked.edns().is_some());
        if let (Some(own), Some(question)) = (message.question(), asked.question()) {
            assert!(own == question && own.name.eq_case(question.name));
        }
    } else {
        assert!(matches!(header.rcode, Rcode::FORMERR | Rcode::NOTIMP));
    }
}
