//! Responses: `HTTP/1.1 200 OK` and fields (RFC 9112 §4).

use std::fmt;
use std::ops::Range;

use crate::error::{Error, What};
use crate::field::{Fields, Scratch};
use crate::framing::{Framing, Kind, Notes};
use crate::head::{Complete, Head, Start};
use crate::limits::Limits;
use crate::{Method, Status, Version};

/// What a client must know of its request to read the response (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Asked {
    /// HEAD: the response has no content, whatever its fields say.
    Head,
    /// CONNECT: if it succeeds, a tunnel follows.
    Connect,
    /// Anything else.
    #[default]
    Other,
}

impl From<Method<'_>> for Asked {
    fn from(method: Method<'_>) -> Self {
        match method {
            Method::Head => Self::Head,
            Method::Connect => Self::Connect,
            _ => Self::Other,
        }
    }
}

/// Where the parts of a status line are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StatusLine {
    version: Version,
    status: Status,
    reason_len: u16,
}

/// `HTTP/1.1 200 `: the reason phrase follows, which may be empty.
const REASON_AT: usize = 13;

impl Start for StatusLine {
    const KIND: Kind = Kind::Response;
    const EMPTY_LINES: u16 = 0;
    const TOO_LONG: What = What::StatusLineTooLong;
    const KNOWN: Option<Self> = None;

    #[inline(always)]
    fn parse(bytes: &[u8], line: Range<usize>) -> Result<Self, Error> {
        let at = line.start;
        let line = &bytes[line];
        let error = |offset| Err(Error::new(What::StatusLine, at + offset));
        let Some((version, rest)) = line.split_first_chunk::<8>() else {
            return error(0);
        };
        let version = Version::parse(version, at)?;
        // The space behind the status is left out by some servers that have no reason phrase; others
        // have read it so for decades.
        let (digits, reason) = match rest {
            [b' ', a, b, c] => ([a, b, c], &b""[..]),
            [b' ', a, b, c, b' ', reason @ ..] => ([a, b, c], reason),
            _ => return error(8),
        };
        let mut code = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return error(9);
            }
            code = code * 10 + u16::from(digit - b'0');
        }
        let Some(status) = Status::new(code) else {
            return error(9);
        };
        Ok(Self {
            version,
            status,
            reason_len: reason.len() as u16,
        })
    }
}

/// A response's head: a view on bytes that were checked. No getter fails or panics.
#[derive(Clone, Copy)]
pub struct Response<'a> {
    version: Version,
    status: Status,
    reason_len: u16,
    fields: Fields<'a>,
    framing: Framing,
    content_length: Option<u64>,
    persistent: bool,
}

impl<'a> Response<'a> {
    /// Reads the head of a response at the beginning of `bytes`. `None`: it is not complete yet.
    ///
    /// # Errors
    ///
    /// When it is no response, when others could take it for a different one, or when it goes beyond
    /// a limit: see [`What`].
    #[inline]
    pub fn parse(
        bytes: &'a [u8],
        asked: Asked,
        scratch: &'a mut Scratch,
    ) -> Result<Option<Self>, Error> {
        Self::resume(&mut { Head::NEW }, bytes, asked, scratch)
    }

    /// The same, going on where it stopped.
    #[inline(always)]
    pub(crate) fn resume(
        head: &mut Head<StatusLine>,
        bytes: &'a [u8],
        asked: Asked,
        scratch: &'a mut Scratch,
    ) -> Result<Option<Self>, Error> {
        let limits = scratch.limits;
        match head.read(bytes, limits.head, scratch)? {
            Some(complete) => Self::complete(complete, &head.notes, asked, &limits).map(Some),
            None => Ok(None),
        }
    }

    #[inline(always)]
    fn complete(
        head: Complete<'a, StatusLine>,
        notes: &Notes,
        asked: Asked,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let Complete { start, fields } = head;
        let StatusLine {
            version,
            status,
            reason_len,
        } = start;
        let tunnel = asked == Asked::Connect && status.is_success();
        let framing = match asked == Asked::Head || status.is_empty() || tunnel {
            true => Framing::Empty,
            false => notes.framing(Kind::Response, version, limits)?,
        };
        Ok(Self {
            version,
            status,
            reason_len,
            fields,
            framing,
            content_length: notes.content_length(),
            persistent: notes.is_persistent(version) && framing != Framing::UntilClose,
        })
    }

    /// The server's version of HTTP.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// What became of the request.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }

    /// The same in words, for people. Empty more often than not.
    #[must_use]
    pub fn reason(&self) -> &'a [u8] {
        match self.reason_len {
            0 => b"",
            len => &self.fields.bytes[REASON_AT..][..len.into()],
        }
    }

    /// The fields, in their order, those of framing included.
    #[must_use]
    pub const fn fields(&self) -> Fields<'a> {
        self.fields
    }

    /// Whether content follows, and how it is delimited.
    #[must_use]
    pub const fn framing(&self) -> Framing {
        self.framing
    }

    /// The number in Content-Length. In a response to HEAD, and in 304, no such content follows.
    #[must_use]
    pub const fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// Whether the server lets the connection be used again (RFC 9112 §9.3).
    #[must_use]
    pub const fn is_persistent(&self) -> bool {
        self.persistent
    }

    /// How many bytes the head takes, the empty line included.
    #[must_use]
    pub const fn head_len(&self) -> usize {
        self.fields.bytes.len()
    }
}

impl fmt::Debug for Response<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("version", &self.version)
            .field("status", &self.status)
            .field("fields", &self.fields)
            .field("framing", &self.framing)
            .finish_non_exhaustive()
    }
}
