//! Ethernet frames, read and written; and what all wire formats of this book share: fields by name and
//! place, and errors that say which field is wrong.
//!
//! [`Frame::parse`] is the view, [`Header`] the plain struct, [`Header::emit`] writes it: the shape of
//! every wire format of the book, which chapter 3 describes.
//!
//! ```
//! use layers_ethernet::{EtherType, Frame, Header, MacAddress, crc};
//!
//! let header = Header {
//!     destination: MacAddress::BROADCAST,
//!     source: "02:00:5e:10:00:01".parse()?,
//!     tag: None,
//!     ether_type: EtherType::ARP,
//! };
//! let mut bytes = [0; 14 + 28 + 4];
//! header.emit(&mut bytes)?;
//! crc::seal(&mut bytes)?; // what the network card does
//!
//! let frame = Frame::parse_with_fcs(&bytes)?;
//! assert_eq!((frame.header(), frame.payload().len()), (header, 28));
//!
//! bytes[20] ^= 1;
//! let error = Frame::parse_with_fcs(&bytes).unwrap_err();
//! assert_eq!((error.field, error.offset), ("frame_check_sequence", 42));
//! # Ok::<(), layers_ethernet::Error>(())
//! ```

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod address;
pub mod crc;
pub mod error;
pub mod field;
mod frame;

pub use address::MacAddress;
pub use error::{Error, Field, Reason};
pub use frame::{
    EtherType, FCS_LEN, Frame, HEADER_LEN, Header, MAX_PAYLOAD_LEN, MIN_PAYLOAD_LEN, Priority,
    TAG_LEN, Tag, VlanId, fields,
};
