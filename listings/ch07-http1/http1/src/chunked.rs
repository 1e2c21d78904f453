//! The chunked transfer coding (RFC 9112 §7.1).

use crate::error::{Error, What};
use crate::field::{Fields, Scratch};
use crate::head::{Head, Trailers};
use crate::{Limits, scan};

/// The longest size that a chunk can have in hexadecimal digits, so that it fits in 64 bits. More
/// digits are refused even if they are zeros: who needs them?
pub const MAX_SIZE_DIGITS: u8 = 16;

/// What a [`Decoder`] has found.
#[derive(Debug, Clone, Copy)]
pub enum Piece<'a> {
    /// Nothing: it needs more bytes.
    More,
    /// Content.
    Data(&'a [u8]),
    /// The end of the body, with the fields of its trailer section, if it has any. They must be kept
    /// apart from those of the head (RFC 9112 §7.1.2).
    End(Fields<'a>),
}

/// Takes the chunks off a body.
///
/// It keeps no bytes: content is handed on as it comes, and sizes are read digit by digit. Only a
/// trailer section must be there as a whole.
#[derive(Debug, Clone, Copy)]
pub struct Decoder {
    state: State,
    /// Of the current chunk: its size as far as it has been read, then what is left of it.
    left: u64,
    /// Content so far, this chunk included.
    content: u64,
    /// Bytes of extensions so far.
    extensions: u32,
}

/// What comes next.
#[derive(Debug, Clone, Copy)]
enum State {
    /// A digit of the size, of which so many have been read, or what may follow them.
    Size { digits: u8 },
    /// What goes on in a chunk extension, or the CR behind it.
    Extension(Extension),
    /// The LF behind size and extensions.
    SizeLf,
    /// Content.
    Data,
    /// The CR behind it.
    DataCr,
    /// The LF behind that.
    DataLf,
    /// The fields behind the last chunk, and an empty line.
    Trailers(Head<Trailers>),
    /// Nothing: the body has ended.
    Over,
}

/// Where in chunk extensions one is (RFC 9112 §7.1.1):
/// `chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extension {
    /// Behind white space that stands before a semicolon.
    BeforeSemicolon,
    /// Behind a semicolon.
    BeforeName,
    /// Within a name.
    Name,
    /// Behind white space that stands behind a name: `=` or a semicolon must follow.
    BehindName,
    /// Behind `=`.
    BeforeValue,
    /// Within a value without quotes.
    Value,
    /// Within quotes.
    Quoted,
    /// Behind a backslash within quotes.
    Escaped,
    /// Behind closing quotes.
    BehindQuotes,
}

impl Extension {
    /// Where one is behind this byte, if it may stand here.
    fn next(self, byte: u8) -> Option<Self> {
        let (space, token) = (scan::is_space(byte), scan::is_token(byte));
        match self {
            Self::Quoted => match byte {
                b'"' => Some(Self::BehindQuotes),
                b'\\' => Some(Self::Escaped),
                _ => scan::is_value(byte).then_some(Self::Quoted),
            },
            Self::Escaped => scan::is_value(byte).then_some(Self::Quoted),
            Self::BeforeName | Self::BeforeValue if space => Some(self),
            Self::BeforeName | Self::Name if token => Some(Self::Name),
            Self::BeforeValue if byte == b'"' => Some(Self::Quoted),
            Self::BeforeValue | Self::Value if token => Some(Self::Value),
            Self::BeforeName | Self::BeforeValue => None,
            Self::Name | Self::BehindName if byte == b'=' => Some(Self::BeforeValue),
            Self::Name | Self::BehindName if space => Some(Self::BehindName),
            _ if byte == b';' => Some(Self::BeforeName),
            _ if space => Some(Self::BeforeSemicolon),
            _ => None,
        }
    }

    /// Whether the line may end here.
    fn may_end(self) -> bool {
        matches!(self, Self::Name | Self::Value | Self::BehindQuotes)
    }
}

impl Decoder {
    /// At a body's beginning.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::Size { digits: 0 },
            left: 0,
            content: 0,
            extensions: 0,
        }
    }

    /// Reads the next piece at the beginning of `bytes`, and says how many of them it has dealt
    /// with: those must not be given again.
    ///
    /// # Errors
    ///
    /// When this is no chunked coding, or when it goes beyond a limit. The offset counts from the
    /// beginning of `bytes`.
    pub fn next<'a>(
        &mut self,
        bytes: &'a [u8],
        scratch: &'a mut Scratch,
    ) -> Result<(usize, Piece<'a>), Error> {
        let mut used = 0;
        loop {
            match &mut self.state {
                State::Data => {
                    let rest = &bytes[used..];
                    if rest.is_empty() {
                        return Ok((used, Piece::More));
                    }
                    let len =
                        usize::try_from(self.left).map_or(rest.len(), |left| left.min(rest.len()));
                    self.left -= len as u64;
                    if self.left == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok((used + len, Piece::Data(&rest[..len])));
                }
                State::Trailers(head) => {
                    let most = scratch.limits.trailers;
                    let read = head.read(&bytes[used..], most, scratch);
                    return match read.map_err(|error| error.behind(used as u64))? {
                        None => Ok((used, Piece::More)),
                        Some(complete) => {
                            self.state = State::Over;
                            let fields = complete.fields;
                            Ok((used + fields.bytes.len(), Piece::End(fields)))
                        }
                    };
                }
                State::Over => return Ok((used, Piece::More)),
                _ => {
                    let Some(byte) = bytes.get(used) else {
                        return Ok((used, Piece::More));
                    };
                    self.step(*byte, &scratch.limits)
                        .map_err(|what| Error::new(what, used))?;
                    used += 1;
                }
            }
        }
    }

    // ANCHOR: step
    /// Reads one byte of what is not content.
    fn step(&mut self, byte: u8, limits: &Limits) -> Result<(), What> {
        self.state = match self.state {
            State::Size { digits } => match (char::from(byte).to_digit(16), byte) {
                (Some(_), _) if digits == MAX_SIZE_DIGITS => return Err(What::ChunkSize),
                (Some(digit), _) => {
                    self.left = self.left << 4 | u64::from(digit);
                    State::Size { digits: digits + 1 }
                }
                _ if digits == 0 => return Err(What::ChunkSize),
                (None, b'\r') => State::SizeLf,
                (None, b';' | b' ' | b'\t') => {
                    self.extension(Extension::BeforeSemicolon, byte, limits)?
                }
                _ => return Err(What::ChunkSize),
            },
            State::Extension(extension) if byte == b'\r' && extension.may_end() => State::SizeLf,
            State::Extension(extension) => self.extension(extension, byte, limits)?,
            State::SizeLf if byte == b'\n' => {
                self.content = self.content.saturating_add(self.left);
                if self.content > limits.body {
                    return Err(What::BodyTooLong);
                }
                match self.left {
                    0 => State::Trailers(Head::NEW),
                    _ => State::Data,
                }
            }
            State::SizeLf => return Err(What::BareCr),
            State::DataCr if byte == b'\r' => State::DataLf,
            State::DataLf if byte == b'\n' => State::Size { digits: 0 },
            State::DataCr | State::DataLf => return Err(What::ChunkEnd),
            State::Data | State::Trailers(_) | State::Over => self.state, // not read here
        };
        Ok(())
    }

    // ANCHOR_END: step

    fn extension(&mut self, at: Extension, byte: u8, limits: &Limits) -> Result<State, What> {
        self.extensions += 1;
        if self.extensions as usize > limits.chunk_extensions {
            return Err(What::ChunkExtensionsTooLong);
        }
        let next = at.next(byte).ok_or(What::ChunkExtension)?;
        Ok(State::Extension(next))
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

/// The most bytes that [`head`] gives: 16 digits and CRLF.
pub const MAX_HEAD: usize = MAX_SIZE_DIGITS as usize + 2;

/// What ends a chunk of content.
pub const END: &[u8] = b"\r\n";

/// What a chunk of so many bytes, at least one, begins with; they follow, and [`END`]. Gives the
/// part of `room` that it has written to.
///
/// # Panics
///
/// When `size` is 0: a chunk of that size is the last one.
pub fn head(size: u64, room: &mut [u8; MAX_HEAD]) -> &[u8] {
    assert!(size > 0, "an empty chunk ends the body");
    let mut at = MAX_HEAD - 2;
    room[at..].copy_from_slice(b"\r\n");
    let mut left = size;
    while left > 0 {
        at -= 1;
        room[at] = b"0123456789abcdef"[(left & 15) as usize];
        left >>= 4;
    }
    &room[at..]
}
