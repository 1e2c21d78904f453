//! What holds for any bytes; the proofs and the fuzz target both ask for it.

use ip_header::{Packet, Reason, ipv4, ipv6};

/// Panics unless all that the library promises holds for these bytes.
pub fn holds(bytes: &[u8]) {
    let packet = match Packet::parse(bytes) {
        Ok(packet) => packet,
        Err(error) => {
            assert!(error.to_string().contains(error.field), "{error}");
            match error.reason {
                Reason::Truncated { needed, available } => {
                    assert_eq!(available, bytes.len(), "{error}");
                    assert!(needed > available, "{error}");
                }
                _ => assert!(error.offset < bytes.len(), "{error}"),
            }
            return;
        }
    };

    let (whole, header_len, anew) = match packet {
        Packet::V4(view) => {
            assert_eq!(usize::from(view.total_len()), view.as_bytes().len());
            assert_eq!(view.header().header_len(), usize::from(view.ihl()) * 4);
            assert!(view.header().header_len() <= ipv4::MAX_HEADER_LEN);
            let mut anew = view.as_bytes().to_vec();
            let payload = view.header().emit(&mut anew).unwrap();
            assert_eq!(payload, view.payload());
            // Zero has two forms in one's complement. Both are right (RFC 1624 §5), `emit` writes
            // the one that RFC 791 computes.
            if view.header_checksum() == 0xffff {
                assert_eq!(anew[10..12], [0, 0]);
                anew[10..12].fill(0xff);
            }
            (view.as_bytes(), view.header().header_len(), anew)
        }
        Packet::V6(view) => {
            assert_eq!(usize::from(view.payload_len()), view.payload().len());
            // The limit, and the error that says so.
            let most = ipv6::MAX_EXTENSIONS + 1;
            assert!(view.extensions().take(most + 1).count() <= most);
            for extension in view.extensions().flatten() {
                assert!(view.as_bytes()[extension.offset..].starts_with(extension.bytes));
            }
            let mut anew = view.as_bytes().to_vec();
            let payload = view.header().emit(&mut anew).unwrap();
            assert_eq!(payload, view.payload());
            (view.as_bytes(), ipv6::HEADER_LEN, anew)
        }
    };
    assert!(bytes.starts_with(whole));
    assert_eq!(anew, whole, "emitting does not undo parsing");
    match packet.upper_layer() {
        Ok(upper) => {
            assert!(upper.offset >= header_len);
            assert_eq!(upper.bytes, &whole[upper.offset..]);
        }
        Err(error) => assert!(error.offset >= 6 && error.offset <= whole.len(), "{error}"),
    }
}
