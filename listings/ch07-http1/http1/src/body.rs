//! Content, taken off the wire and put on it.

use crate::chunked::{self, Decoder, Piece};
use crate::error::{Error, What};
use crate::field::{Field, Fields, Scratch};
use crate::framing::Framing;

/// Takes the framing off the content that comes in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Receiver {
    Length(u64),
    Chunked(Decoder),
    UntilClose { content: u64 },
}

impl Receiver {
    pub(crate) fn new(framing: Framing) -> Self {
        match framing {
            Framing::Empty => Self::Length(0),
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Decoder::new()),
            Framing::UntilClose => Self::UntilClose { content: 0 },
        }
    }

    #[inline]
    pub(crate) fn next<'a>(
        &mut self,
        bytes: &'a [u8],
        scratch: &'a mut Scratch,
    ) -> Result<(usize, Piece<'a>), Error> {
        match self {
            Self::Length(0) => Ok((0, Piece::End(Fields::default()))),
            Self::Chunked(decoder) => decoder.next(bytes, scratch),
            _ if bytes.is_empty() => Ok((0, Piece::More)),
            Self::Length(left) => {
                let len = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= len as u64;
                Ok((len, Piece::Data(&bytes[..len])))
            }
            Self::UntilClose { content } => {
                let room = scratch.limits.body.saturating_sub(*content);
                *content += bytes.len() as u64;
                match bytes.len() as u64 <= room {
                    true => Ok((bytes.len(), Piece::Data(bytes))),
                    false => Err(Error::new(What::BodyTooLong, room as usize)),
                }
            }
        }
    }

    /// Whether the end of the connection is the end of the content.
    pub(crate) fn ends_with_connection(&self) -> bool {
        matches!(self, Self::UntilClose { .. })
    }
}

/// How long the content is that one is about to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// So many bytes. Of a response to HEAD, 204 and 304, none of them is sent.
    Known(u64),
    /// That will be seen. It goes in chunks, or, to a client of HTTP/1.0, until the connection ends.
    Unknown,
}

/// What the caller has asked of a connection that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misuse {
    /// There is no message to be sent now: no request to answer, or an answer that has begun, or
    /// none whose content could go on.
    OutOfTurn,
    /// Content-Length, Transfer-Encoding and Connection are the connection's own to write.
    FramingField,
    /// More content than was announced, or less at its end.
    WrongLength,
    /// Content that the caller sends itself cannot be chunked for it, and trailers need chunks.
    NotChunked,
    /// A request without Host, or with more than one.
    Host,
    /// As many requests wait for their responses as the connection can remember.
    TooManyRequests,
}

impl std::fmt::Display for Misuse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::OutOfTurn => "it is not the turn of this message",
            Self::FramingField => "a field that the connection writes itself",
            Self::WrongLength => "more or less content than was announced",
            Self::NotChunked => "this needs, or does not allow, chunks",
            Self::Host => "a request needs one Host field",
            Self::TooManyRequests => "too many requests wait for their responses",
        })
    }
}

impl std::error::Error for Misuse {}

/// Puts the framing on the content that goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    /// So many bytes are left.
    Length(u64),
    /// The same, of which none is sent: the response says how long it would be.
    Withheld(u64),
    /// Any number of bytes, of which none is sent.
    WithheldUnknown,
    Chunked,
    UntilClose,
}

impl Sender {
    /// Sends a part of the content: appends it with its framing.
    pub(crate) fn data(&mut self, data: &[u8], to: &mut Vec<u8>) -> Result<(), Misuse> {
        match self {
            Self::Length(_) | Self::Withheld(_) => {
                self.count(data.len() as u64)?;
                if let Self::Length(_) = self {
                    to.extend_from_slice(data);
                }
            }
            Self::Chunked if !data.is_empty() => {
                to.extend_from_slice(chunked::head(
                    data.len() as u64,
                    &mut [0; chunked::MAX_HEAD],
                ));
                to.extend_from_slice(data);
                to.extend_from_slice(chunked::END);
            }
            Self::UntilClose => to.extend_from_slice(data),
            Self::Chunked | Self::WithheldUnknown => {}
        }
        Ok(())
    }

    /// Counts a part of the content that the caller sends itself.
    pub(crate) fn count(&mut self, len: u64) -> Result<(), Misuse> {
        match self {
            Self::Length(left) | Self::Withheld(left) => {
                *left = left.checked_sub(len).ok_or(Misuse::WrongLength)?;
                Ok(())
            }
            Self::Chunked => Err(Misuse::NotChunked),
            Self::UntilClose | Self::WithheldUnknown => Ok(()),
        }
    }

    /// Whether there is content to be sent, rather than only announced.
    pub(crate) fn is_sent(&self) -> bool {
        !matches!(self, Self::Withheld(_) | Self::WithheldUnknown)
    }

    /// Ends the content.
    pub(crate) fn end(&mut self, trailers: &[Field<'_>], to: &mut Vec<u8>) -> Result<(), Misuse> {
        match self {
            Self::Chunked => {
                to.extend_from_slice(b"0\r\n");
                for field in trailers {
                    field.emit(to);
                }
                to.extend_from_slice(b"\r\n");
                Ok(())
            }
            Self::WithheldUnknown => Ok(()),
            _ if !trailers.is_empty() => Err(Misuse::NotChunked),
            Self::Length(1..) => Err(Misuse::WrongLength),
            // A response to HEAD may leave all of it out.
            Self::Length(0) | Self::Withheld(_) | Self::UntilClose => Ok(()),
        }
    }
}

/// Appends a number in decimal.
#[inline]
pub(crate) fn decimal(number: u64, to: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut left = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    to.extend_from_slice(&digits[at..]);
}

/// Whether the connection writes fields of that name itself.
pub(crate) fn is_framing(name: &[u8]) -> bool {
    match name.len() {
        10 => name.eq_ignore_ascii_case(b"connection"),
        14 => name.eq_ignore_ascii_case(b"content-length"),
        17 => name.eq_ignore_ascii_case(b"transfer-encoding"),
        _ => false,
    }
}
