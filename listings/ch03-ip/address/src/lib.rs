//! IPv4 and IPv6 addresses as text, and the networks that they lie in.
//!
//! An address is a number: `std::net` has the types for it, and this crate reads and writes them.
//!
//! - [`parse`], [`parse_v4`] and [`parse_v6`] read an address; an [`Error`] names the byte of the
//!   text at which it stops being one.
//! - [`Canonical`] writes an address in the one form that RFC 5952 prefers.
//! - [`Prefix`] is a network in CIDR notation (RFC 4632), and [`Table`] finds the longest one that
//!   an address lies in, as a router does.
//! - [`special`] knows what IANA has set aside.
//!
//! ```
//! use ip_address::{Canonical, Prefix, parse};
//!
//! let address = parse("2001:DB8:0:0:8:0800:200C:417A")?;
//! assert_eq!(Canonical(address.ip).to_string(), "2001:db8::8:800:200c:417a");
//! assert!(Prefix::parse("2001:db8::/32")?.contains(address.ip));
//!
//! let error = parse("192.0.2.256").unwrap_err();
//! assert_eq!(error.to_string(), "at byte 8: 256 is more than 255");
//! # Ok::<(), ip_address::Error>(())
//! ```

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod canonical;
mod error;
mod prefix;
pub mod special;
mod table;
mod text;

pub use canonical::Canonical;
pub use error::{Error, Expected, Reason};
pub use prefix::Prefix;
pub use table::Table;
pub use text::{Address, MAX_TEXT_LEN, MAX_ZONE_LEN, parse, parse_v4, parse_v6};
