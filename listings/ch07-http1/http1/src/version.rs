//! Versions of HTTP/1 (RFC 9112 §2.3).

use std::fmt;

use crate::error::{Error, What};

/// Which rules a message follows. A later 1.x counts as 1.1 (RFC 9110 §6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// Connections end with the response unless both sides say otherwise; no chunks; no need of a
    /// Host field.
    Http10,
    /// RFC 9112.
    Http11,
}

impl Version {
    /// Reads `HTTP/`, a digit, a point, a digit.
    #[inline]
    pub(crate) fn parse(text: &[u8; 8], at: usize) -> Result<Self, Error> {
        match text {
            _ if text == b"HTTP/1.1" => Ok(Self::Http11),
            _ if text == b"HTTP/1.0" => Ok(Self::Http10),
            _ => Self::odd(text, at),
        }
    }

    #[cold]
    fn odd(text: &[u8; 8], at: usize) -> Result<Self, Error> {
        match text {
            b"HTTP/1.2" | b"HTTP/1.3" | b"HTTP/1.4" | b"HTTP/1.5" => Ok(Self::Http11),
            b"HTTP/1.6" | b"HTTP/1.7" | b"HTTP/1.8" | b"HTTP/1.9" => Ok(Self::Http11),
            [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
                Err(Error::new(What::VersionNotSupported, at))
            }
            _ => Err(Error::new(What::Version, at)),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
        })
    }
}
