//! What holds for any bytes; the proofs and the fuzz target both ask for it.

use ip_header::{Addresses, Error, Reason};
use tcp_segment::option::MAX_OPTIONS_LEN;
use tcp_segment::{Flags, HEADER_LEN, Header, Options, Segment, TcpOption, fields};

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
    let segment = match Segment::parse_without_checksum(bytes) {
        Ok(segment) => segment,
        Err(error) => {
            says_where(error, bytes.len());
            for addresses in ADDRESSES {
                assert_eq!(Segment::parse(bytes, addresses), Err(error));
            }
            return;
        }
    };

    let header = segment.header();
    let header_len = header.header_len();
    assert_eq!(header_len, usize::from(segment.data_offset()) * 4);
    assert_eq!(segment.as_bytes(), bytes);
    assert_eq!(segment.payload(), &bytes[header_len..]);
    assert_eq!(header.options.as_bytes(), &bytes[HEADER_LEN..header_len]);
    let numbers = [Flags::SYN, Flags::FIN].map(|flag| header.flags.contains(flag));
    let numbers = numbers.into_iter().filter(|takes_one| *takes_one).count();
    assert_eq!(
        segment.sequence_len() as usize,
        segment.payload().len() + numbers
    );
    options_hold(header);
    for addresses in ADDRESSES {
        checksum_holds(&segment, addresses);
    }
}

/// An error names a field, and a place that is there.
fn says_where(error: Error, len: usize) {
    assert!(error.to_string().contains(error.field), "{error}");
    match error.reason {
        Reason::Truncated { needed, available } => {
            assert_eq!(available, len, "{error}");
            assert!(needed > available, "{error}");
        }
        _ => assert!(error.offset < len, "{error}"),
    }
}

/// The walk through the options ends, says what is wrong in the right place, and what it gives can
/// be written again.
fn options_hold(header: Header) {
    let header_len = header.header_len();
    let mut list: Vec<TcpOption> = Vec::new();
    let mut ended = 0;
    let mut walk = header.options.iter();
    for step in walk.by_ref().take(MAX_OPTIONS_LEN + 1) {
        assert_ne!(ended, 1, "something comes behind the end");
        match step {
            Ok(option) => {
                ended += usize::from(option == TcpOption::EndOfList);
                list.push(option);
            }
            Err(error) => {
                says_where(error, header_len);
                assert!(error.offset > HEADER_LEN, "{error}");
                // An option of a wrong length has a length nevertheless, and is passed over.
                return passes_over(header);
            }
        }
    }
    assert_eq!(walk.next(), None, "{list:?}");
    let len: usize = list.iter().map(TcpOption::wire_len).sum();
    let mut room = [0xee; MAX_OPTIONS_LEN];
    let anew = Options::emit(&list, &mut room).unwrap();
    assert_eq!(&anew.as_bytes()[..len], &header.options.as_bytes()[..len]);
    if ended == 0 {
        assert_eq!(anew, header.options, "emitting does not undo reading");
    }
}

/// However many options are wrong, the walk goes forward and ends.
fn passes_over(header: Header) {
    let mut last = HEADER_LEN;
    let mut steps = 0;
    for step in header.options {
        steps += 1;
        if let Err(error) = step {
            assert!(error.offset > last, "{error} comes behind byte {last}");
            last = error.offset;
        }
    }
    assert!(steps <= MAX_OPTIONS_LEN, "{steps} steps");
}

/// Only the right checksum is right, the error names it, and `emit` writes it.
fn checksum_holds(segment: &Segment, addresses: Addresses) {
    let bytes = segment.as_bytes();
    let (found, computed) = (segment.checksum(), segment.computed_checksum(addresses));
    // Zero has two forms in one's complement; both are right (RFC 1624 §5).
    let right = found == computed || (found == 0xffff && computed == 0);
    let parsed = Segment::parse(bytes, addresses);
    if right {
        assert_eq!(parsed, Ok(*segment));
    } else {
        let expected = fields::CHECKSUM.error(Reason::Checksum { computed, found });
        assert_eq!(parsed, Err(expected));
    }

    let mut anew = bytes.to_vec();
    anew[..segment.header().header_len()].fill(0xee);
    segment.header().emit(&mut anew, addresses).unwrap();
    let mut mended = bytes.to_vec();
    mended[16..18].copy_from_slice(&computed.to_be_bytes());
    assert_eq!(anew, mended, "emitting does not undo parsing");
    let parsed = Segment::parse(&anew, addresses).expect("the checksum is right");
    assert_eq!(parsed.header(), segment.header());
}
