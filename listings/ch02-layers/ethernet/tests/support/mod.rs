//! What holds for any bytes; the proofs and the fuzz target both ask for it.

use layers_ethernet::{EtherType, FCS_LEN, Frame, HEADER_LEN, MacAddress, Reason, TAG_LEN, crc};

/// Panics unless all that the library promises holds for these bytes.
pub fn holds(bytes: &[u8]) {
    check_sequence(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        address(text);
    }

    let frame = match Frame::parse(bytes) {
        Ok(frame) => frame,
        Err(error) => {
            assert!(error.to_string().contains(error.field), "{error}");
            match error.reason {
                Reason::Truncated { needed, available } => {
                    assert_eq!(available, bytes.len(), "{error}");
                    assert!(needed > available, "{error}");
                    assert!(
                        needed == HEADER_LEN || needed == HEADER_LEN + TAG_LEN,
                        "{error}"
                    );
                }
                Reason::LessThan {
                    least: 0x600,
                    found,
                } => {
                    let stands = [bytes[error.offset], bytes[error.offset + 1]];
                    assert_eq!(usize::from(u16::from_be_bytes(stands)), found, "{error}");
                }
                _ => panic!("{error}"),
            }
            return;
        }
    };
    let header = frame.header();
    assert_eq!(frame.as_bytes(), bytes);
    assert!(header.ether_type >= EtherType::LEAST);
    assert_eq!(header.header_len() + frame.payload().len(), bytes.len());
    let mut anew = vec![0xa5; bytes.len()];
    let payload = header
        .emit(&mut anew)
        .expect("what was read can be written");
    payload.copy_from_slice(frame.payload());
    assert_eq!(anew, bytes, "emitting does not undo parsing");
}

fn check_sequence(bytes: &[u8]) {
    assert_eq!(crc::crc32(bytes), bit_by_bit(bytes));
    let mut sealed = [bytes, &[0; FCS_LEN]].concat();
    crc::seal(&mut sealed).expect("there is room");
    assert_eq!(crc::open(&sealed), Ok(bytes));
    if let Err(error) = crc::open(bytes) {
        assert_eq!(error.field, "frame_check_sequence");
        assert_eq!(error.offset, bytes.len().saturating_sub(FCS_LEN));
    }
}

/// The division as one does it on paper.
fn bit_by_bit(bytes: &[u8]) -> u32 {
    let mut remainder = u32::MAX;
    for byte in bytes {
        remainder ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = remainder & 1;
            remainder = (remainder >> 1) ^ (carry * 0xedb8_8320);
        }
    }
    !remainder
}

fn address(text: &str) {
    match text.parse::<MacAddress>() {
        Ok(address) => assert_eq!(address.to_string(), text.to_ascii_lowercase()),
        Err(error) => assert!(error.offset <= text.len() && error.offset <= 17, "{error}"),
    }
}
