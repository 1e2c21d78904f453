//! DNS messages, read and written (RFC 1035 §4).
//!
//! The shape is that of all wire formats of this book, see [`ip_header`]: [`Message::parse`] gives a
//! view that borrows the bytes and whose getters cannot fail, [`Header`], [`Question`], [`Record`]
//! and [`Edns`] are plain structs, and an [`Error`] names field and place.
//!
//! Two things are new. A message is a list of records, each as long as it says, so `parse` walks
//! through all of them once and the getters walk again. And names are compressed: a [`Name`] may go
//! on at another place in the message. Each jump leads backwards, so the walk along a name ends; and
//! their number is limited, so that the work on a message grows with its length and no faster.
//!
//! ```
//! use udp_dns_message::{Class, Edns, Header, Message, NameBuf, Question, Type, Writer};
//!
//! let name: NameBuf = "www.example.com".parse()?;
//! let mut buffer = [0; 512];
//! let mut query = Writer::new(&mut buffer, Header::query(7), Some(Edns::new(1232)))?;
//! query.question(&Question {
//!     name: name.name(),
//!     qtype: Type::AAAA,
//!     class: Class::IN,
//! })?;
//! let bytes = query.finish();
//!
//! let message = Message::parse(bytes)?;
//! assert_eq!(message.question().unwrap().to_string(), "www.example.com. IN AAAA");
//! assert_eq!(message.edns().unwrap().udp_payload_size, 1232);
//!
//! let error = Message::parse(&bytes[..20]).unwrap_err();
//! assert_eq!(error.to_string(), "label at byte 16 is cut off: 20 of 24 bytes are there");
//! # Ok::<(), ip_header::Error>(())
//! ```

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod codes;
mod edns;
pub mod frame;
mod message;
mod name;
mod rdata;
mod writer;

use ip_header::Field;

pub use codes::{Class, Flags, Opcode, OptionCode, Rcode, Type, UnknownType};
pub use edns::{Edns, EdnsOption, EdnsOptions, MIN_UDP_PAYLOAD_SIZE};
pub use ip_header::{Error, Reason};
pub use message::{Header, Message, Question, Questions, Record, Records, Section};
pub use name::{Labels, MAX_LABEL_LEN, MAX_LABELS, MAX_NAME_LEN, MAX_POINTERS, Name, NameBuf};
pub use rdata::{Rdata, Soa, Strings, Txt};
pub use writer::Writer;

/// The header, in bytes.
pub const HEADER_LEN: usize = 12;

/// The longest message, in bytes: over TCP its length has two of them (RFC 1035 §4.2.2), and no UDP
/// datagram is longer.
pub const MAX_MESSAGE_LEN: usize = 65_535;

// ANCHOR: fields
/// Where each field of the header stands (RFC 1035 §4.1.1, RFC 4035 §3 for AD and CD).
#[expect(
    missing_docs,
    reason = "the RFC's own names; `Header` and `Flags` explain them"
)]
pub mod fields {
    use ip_header::Field;

    pub const ID: Field = Field::new("id", 0, 16);
    pub const QR: Field = Field::new("qr", 16, 1);
    pub const OPCODE: Field = Field::new("opcode", 17, 4);
    pub const AA: Field = Field::new("aa", 21, 1);
    pub const TC: Field = Field::new("tc", 22, 1);
    pub const RD: Field = Field::new("rd", 23, 1);
    pub const RA: Field = Field::new("ra", 24, 1);
    pub const Z: Field = Field::new("z", 25, 1);
    pub const AD: Field = Field::new("ad", 26, 1);
    pub const CD: Field = Field::new("cd", 27, 1);
    pub const RCODE: Field = Field::new("rcode", 28, 4);
    pub const QDCOUNT: Field = Field::new("qdcount", 32, 16);
    pub const ANCOUNT: Field = Field::new("ancount", 48, 16);
    pub const NSCOUNT: Field = Field::new("nscount", 64, 16);
    pub const ARCOUNT: Field = Field::new("arcount", 80, 16);

    /// All of them, in their order.
    pub const ALL: [Field; 15] = [
        ID, QR, OPCODE, AA, TC, RD, RA, Z, AD, CD, RCODE, QDCOUNT, ANCOUNT, NSCOUNT, ARCOUNT,
    ];
}
// ANCHOR_END: fields

/// The message as a whole.
const MESSAGE: Field = Field::new("message", 0, 0);
