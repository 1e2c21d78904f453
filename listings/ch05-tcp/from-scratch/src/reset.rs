//! The answer to a segment that is not meant for any connection here (RFC 9293 §3.5.2).

use tcp_segment::{Flags, Header, SeqNumber};

// ANCHOR: reset
/// The reset that `header`'s sender will believe: its number is the one that the segment asks for.
/// None, if that is a reset itself: two ends that reset each other's resets would never stop.
#[must_use]
pub fn answer(header: &Header, text_len: usize) -> Option<Header<'static>> {
    if header.flags.contains(Flags::RST) {
        return None;
    }
    let (source, destination) = (header.destination_port, header.source_port);
    Some(if header.flags.contains(Flags::ACK) {
        // <SEQ=SEG.ACK><CTL=RST>
        Header {
            flags: Flags::RST,
            ..Header::new(source, destination, header.acknowledgment_number)
        }
    } else {
        // <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>
        Header {
            flags: Flags::RST | Flags::ACK,
            acknowledgment_number: header.sequence_number + header.sequence_len(text_len),
            ..Header::new(source, destination, SeqNumber(0))
        }
    })
}
// ANCHOR_END: reset
