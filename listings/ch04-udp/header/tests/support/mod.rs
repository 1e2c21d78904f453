//! What holds for any bytes; the proofs and the fuzz target both ask for it.

use ip_header::{Addresses, Reason};
use udp_header::{Datagram, HEADER_LEN, fields};

/// Addresses of both versions, out of those for documentation.
pub const ADDRESSES: [Addresses; 2] = [
    Addresses::V4 {
        source: std::net::Ipv4Addr::new(192, 0, 2, 1),
        destination: std::net::Ipv4Addr::new(198, 51, 100, 7),
    },
    Addresses::V6 {
        source: std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
        destination: std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7),
    },
];

/// Panics unless all that the library promises holds for these bytes.
pub fn holds(bytes: &[u8]) {
    let datagram = match Datagram::parse_without_checksum(bytes) {
        Ok(datagram) => datagram,
        Err(error) => {
            assert!(error.to_string().contains(error.field), "{error}");
            match error.reason {
                Reason::Truncated { needed, available } => {
                    assert_eq!((needed, available), (HEADER_LEN, bytes.len()), "{error}");
                    assert!(needed > available, "{error}");
                }
                _ => assert_eq!((error.field, error.offset), ("length", 4), "{error}"),
            }
            for addresses in ADDRESSES {
                assert_eq!(Datagram::parse(bytes, addresses), Err(error));
                let optional = Datagram::parse_with_optional_checksum(bytes, addresses);
                assert_eq!(optional, Err(error));
            }
            return;
        }
    };

    // Header, payload and trailer are all there is.
    let length = usize::from(datagram.length());
    assert_eq!(datagram.as_bytes(), &bytes[..length]);
    assert_eq!(datagram.payload(), &bytes[HEADER_LEN..length]);
    assert_eq!(datagram.trailer(), &bytes[length..]);
    for addresses in ADDRESSES {
        checksum_holds(&datagram, bytes, addresses);
    }
}

/// Only the right checksum is right, or none where none is needed; the error names it; and `emit`
/// writes it.
fn checksum_holds(datagram: &Datagram, bytes: &[u8], addresses: Addresses) {
    let is_v4 = matches!(addresses, Addresses::V4 { .. });
    let parsed = Datagram::parse(bytes, addresses);
    let optional = Datagram::parse_with_optional_checksum(bytes, addresses);
    let length = datagram.as_bytes().len();
    if is_v4 && length > 65_515 {
        assert_eq!(parsed, Err(fields::LENGTH.more_than(65_515, length)));
        assert_eq!(optional, parsed);
        return;
    }
    let computed = datagram.computed_checksum(addresses);
    assert_ne!(computed, 0);
    let wrong = |found| Err(fields::CHECKSUM.error(Reason::Checksum { computed, found }));
    match datagram.checksum() {
        None => {
            let refused = wrong(0);
            assert_eq!(parsed, if is_v4 { Ok(*datagram) } else { refused });
            assert_eq!(optional, Ok(*datagram));
        }
        Some(found) if found == computed => assert_eq!((parsed, optional), (Ok(*datagram), parsed)),
        Some(found) => assert_eq!((parsed, optional), (wrong(found), parsed)),
    }

    let mut anew = datagram.as_bytes().to_vec();
    anew[..HEADER_LEN].fill(0xee);
    datagram.header().emit(&mut anew, addresses).unwrap();
    let mut expected = datagram.as_bytes().to_vec();
    expected[6..8].copy_from_slice(&computed.to_be_bytes());
    assert_eq!(anew, expected, "emitting does not undo parsing");
    assert!(Datagram::parse(&anew, addresses).is_ok());

    let header = datagram.header();
    header.emit_without_checksum(&mut anew).unwrap();
    expected[6..8].fill(0);
    assert_eq!(anew, expected);
}
