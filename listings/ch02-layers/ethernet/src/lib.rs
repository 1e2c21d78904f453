//! Ethernet frames, read and written; and what all wire formats of this book share: fields by name and
//! place, and errors that say which field is wrong.

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod error;
pub mod field;

pub use error::{Error, Field, Reason};
