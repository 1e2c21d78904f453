//! Captures as files: pcapng (draft-ietf-opsawg-pcapng), sections 4.1 to 4.3 and 4.7.

use std::collections::BTreeMap;

use crate::capture::Capture;
use crate::link::Fate;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const DECRYPTION_SECRETS: u32 = 10;
/// The secrets are a TLS key log.
const TLS_KEY_LOG: u32 = 0x544c_534b;
/// Packets begin with their IP header.
const LINKTYPE_RAW: u16 = 101;

const OPTION_COMMENT: u16 = 1;
const OPTION_INTERFACE_NAME: u16 = 2;
const OPTION_TIME_RESOLUTION: u16 = 9;

/// A file of little-endian blocks, each framed by its length on both sides.
#[derive(Default)]
struct File(Vec<u8>);

impl File {
    fn block(&mut self, kind: u32, fill: impl FnOnce(&mut Vec<u8>)) {
        let mut body = Vec::new();
        fill(&mut body);
        pad(&mut body);
        let length = (body.len() as u32 + 12).to_le_bytes();
        self.0.extend_from_slice(&kind.to_le_bytes());
        self.0.extend_from_slice(&length);
        self.0.extend_from_slice(&body);
        self.0.extend_from_slice(&length);
    }
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn option(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    body.extend_from_slice(&kind.to_le_bytes());
    body.extend_from_slice(&(value.len() as u16).to_le_bytes());
    body.extend_from_slice(value);
    pad(body);
}

fn end_of_options(body: &mut Vec<u8>) {
    option(body, 0, &[]);
}

/// The capture's bytes; each direction of a link is an interface, named after its ends.
pub(crate) fn file(capture: &Capture, key_log: &str) -> Vec<u8> {
    let mut file = File::default();
    file.block(SECTION_HEADER, |body| {
        body.extend_from_slice(&BYTE_ORDER_MAGIC.to_le_bytes());
        // Version 1.0, and a section of unknown length.
        body.extend_from_slice(&[1, 0, 0, 0]);
        body.extend_from_slice(&u64::MAX.to_le_bytes());
    });
    let mut interfaces = BTreeMap::new();
    for crossing in capture.crossings() {
        let next = interfaces.len() as u32;
        interfaces
            .entry((crossing.from, crossing.to))
            .or_insert_with(|| {
                let name = format!(
                    "{} > {}",
                    capture.name(crossing.from),
                    capture.name(crossing.to)
                );
                file.block(INTERFACE_DESCRIPTION, |body| {
                    body.extend_from_slice(&LINKTYPE_RAW.to_le_bytes());
                    // Reserved, and no limit on a packet's length.
                    body.extend_from_slice(&[0; 6]);
                    option(body, OPTION_INTERFACE_NAME, name.as_bytes());
                    // Times are in units of 10 to the minus 9 seconds.
                    option(body, OPTION_TIME_RESOLUTION, &[9]);
                    end_of_options(body);
                });
                next
            });
    }
    if !key_log.is_empty() {
        file.block(DECRYPTION_SECRETS, |body| {
            body.extend_from_slice(&TLS_KEY_LOG.to_le_bytes());
            body.extend_from_slice(&(key_log.len() as u32).to_le_bytes());
            body.extend_from_slice(key_log.as_bytes());
        });
    }
    for crossing in capture.crossings() {
        let time = capture.started_realtime_ns + crossing.sent.as_nanos() as u64;
        let comment = match crossing.fate {
            Fate::Passed => None,
            Fate::Copied => Some("a copy that the lab made"),
            Fate::Rewritten => Some("arrived with other bytes"),
            Fate::Lost => Some("lost by chance"),
            Fate::Dropped => Some("dropped by a rule"),
            Fate::Overflowed => Some("dropped by a full queue"),
        };
        file.block(ENHANCED_PACKET, |body| {
            for field in [
                interfaces[&(crossing.from, crossing.to)],
                (time >> 32) as u32,
                time as u32,
                crossing.bytes.len() as u32,
                crossing.length as u32,
            ] {
                body.extend_from_slice(&field.to_le_bytes());
            }
            body.extend_from_slice(&crossing.bytes);
            pad(body);
            if let Some(comment) = comment {
                option(body, OPTION_COMMENT, comment.as_bytes());
                end_of_options(body);
            }
        });
    }
    file.0
}

#[cfg(test)]
mod tests {
    use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
    use pcap_file::pcapng::{Block, PcapNgReader};

    #[test]
    fn another_reader_finds_the_packets_their_times_and_their_fates() {
        let capture = crate::capture::tests::two_segments();
        let bytes = capture.pcapng("CLIENT_RANDOM 00 11\n");
        let mut reader = PcapNgReader::new(&bytes[..]).unwrap();
        let mut packets = Vec::new();
        while let Some(block) = reader.next_block() {
            if let Block::EnhancedPacket(packet) = block.unwrap() {
                let comment = packet.options.iter().find_map(|option| match option {
                    EnhancedPacketOption::Comment(comment) => Some(comment.to_string()),
                    _ => None,
                });
                packets.push((packet.data.to_vec(), packet.original_len, comment));
            }
        }
        assert_eq!(reader.interfaces().len(), 1);
        let sent: Vec<_> = capture
            .crossings()
            .iter()
            .map(|crossing| (crossing.bytes.to_vec(), crossing.length as u32))
            .collect();
        assert_eq!(
            packets,
            [
                (sent[0].0.clone(), sent[0].1, None),
                (
                    sent[1].0.clone(),
                    sent[1].1,
                    Some("dropped by a rule".to_owned())
                ),
            ]
        );
    }
}
