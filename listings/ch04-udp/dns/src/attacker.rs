//! Somebody who forges answers, and gets one thing wrong in each.

use std::net::Ipv4Addr;

use lab::Packet;
use udp_dns::random::Seeded;
use udp_dns_message::{
    Error, Flags, Header, MAX_NAME_LEN, Message, NameBuf, Question, Rdata, Record, Section, Writer,
};

/// Where the attacker would like to lead everybody.
pub const POISON: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 66);

// ANCHOR: wrong
/// What is wrong with a forged answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It goes to another port than the query came from.
    Port,
    /// It comes from the attacker's own address.
    Source,
    /// Its ID.
    Id,
    /// It answers something that was not asked.
    Question,
    /// The letters of its question have another case.
    Case,
}
// ANCHOR_END: wrong

/// Bytes of the IPv4 and UDP headers of the packets here, which have no options.
const HEADERS: usize = 20 + 8;

// ANCHOR: forge
/// An answer to a query, of which the attacker has seen everything, right but for one thing.
pub fn forge(
    query: &Packet,
    wrong: Wrong,
    own: Ipv4Addr,
    random: &mut Seeded,
) -> Result<Packet, Error> {
    let asked = Message::parse(query.payload())?;
    let mut header = Header {
        flags: Flags::QR | Flags::AA,
        ..asked.header()
    };
    if wrong == Wrong::Id {
        header.id ^= 1 + random.below(0xffff) as u16; // never the same
    }
    let mut buffer = [0; 12 + 2 * (MAX_NAME_LEN + 14)];
    let mut writer = Writer::new(&mut buffer, header, None)?;
    if let Some(question) = asked.question() {
        let name = match wrong {
            Wrong::Question => "other.example.com".parse()?,
            Wrong::Case => flipped(&question.name.to_buf()),
            _ => question.name.to_buf(),
        };
        let name = name.name();
        writer.question(&Question { name, ..question })?;
        let record = Record {
            name,
            class: question.class,
            ttl: 86_400,
            rdata: Rdata::A(POISON),
        };
        writer.record(Section::Answer, &record)?;
    }
    Ok(packet(query, wrong, own, writer.finish()))
}

/// The same letters with the case of the first one changed.
fn flipped(name: &NameBuf) -> NameBuf {
    let mut first = true;
    name.map_case(|at| name.as_wire()[at].is_ascii_uppercase() != std::mem::take(&mut first))
}

/// The way back: addresses and ports in each other's place.
fn packet(query: &Packet, wrong: Wrong, own: Ipv4Addr, message: &[u8]) -> Packet {
    let bytes = query.bytes();
    let (source, destination) = (&bytes[12..16], &bytes[16..20]);
    let (source_port, destination_port) = (&bytes[20..22], &bytes[22..24]);
    let mut back = [&bytes[..HEADERS], message].concat();
    back[12..16].copy_from_slice(destination);
    back[16..20].copy_from_slice(source);
    back[20..22].copy_from_slice(destination_port);
    back[22..24].copy_from_slice(source_port);
    match wrong {
        Wrong::Source => back[12..16].copy_from_slice(&own.octets()),
        Wrong::Port => back[23] ^= 1,
        _ => {}
    }
    let (len, udp_len) = (back.len() as u16, (back.len() - 20) as u16);
    back[2..4].copy_from_slice(&len.to_be_bytes());
    back[24..26].copy_from_slice(&udp_len.to_be_bytes());
    let mut packet = Packet::new(&back);
    packet.repair_checksums();
    packet
}
// ANCHOR_END: forge
