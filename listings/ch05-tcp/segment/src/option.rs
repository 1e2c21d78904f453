//! Options: what a segment says beyond the fixed header (RFC 9293 §3.1, §3.2).

use core::fmt;

use ip_header::{Error, Field, Reason};

use crate::fields::OPTIONS;
use crate::{HEADER_LEN, MAX_HEADER_LEN, SeqNumber};

/// Room for options, in bytes: what the longest header has behind the fixed part.
pub const MAX_OPTIONS_LEN: usize = MAX_HEADER_LEN - HEADER_LEN;

/// A list of options with the padding after it: whole units of 4 bytes, 40 bytes at most.
///
/// A header with a broken list is still a header: who receives one can say so to its sender
/// (RFC 9293 §3.1 suggests a reset). So the list is judged while it is read, option by option.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Options<'a>(&'a [u8]);

impl<'a> Options<'a> {
    /// No options.
    pub const NONE: Self = Self(&[]);

    /// Options that a header can hold.
    ///
    /// # Errors
    ///
    /// When there are more than 40 bytes, or no whole number of 4 bytes (pad them with zeros, «End
    /// of Option List»).
    pub const fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        let found = bytes.len();
        if found > MAX_OPTIONS_LEN {
            return Err(OPTIONS.more_than(MAX_OPTIONS_LEN, found));
        }
        if !found.is_multiple_of(4) {
            return Err(OPTIONS.error(Reason::NotMultipleOf { unit: 4, found }));
        }
        Ok(Self(bytes))
    }

    /// Bytes that have been cut out of a header.
    pub(crate) const fn from_wire(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Writes `list` to the front of `room`, as it is, and fills up the last 4 bytes with zeros,
    /// which mean «End of Option List» and padding.
    ///
    /// ```
    /// use tcp_segment::{Options, TcpOption};
    ///
    /// let mut room = [0; 40];
    /// let list = [TcpOption::MaximumSegmentSize(1460), TcpOption::WindowScale(7)];
    /// let options = Options::emit(&list, &mut room)?;
    /// assert_eq!(options.as_bytes(), [2, 4, 0x05, 0xb4, 3, 3, 7, 0]);
    /// # Ok::<(), ip_header::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the list is longer than 40 bytes.
    #[inline]
    pub fn emit(list: &[TcpOption], room: &'a mut [u8; MAX_OPTIONS_LEN]) -> Result<Self, Error> {
        let mut rest = &mut room[..];
        for option in list {
            let Some(behind) = option.emit(rest) else {
                let len = list.iter().map(TcpOption::wire_len).sum();
                return Err(OPTIONS.more_than(MAX_OPTIONS_LEN, len));
            };
            rest = behind;
        }
        let padding = rest.len() % 4;
        for place in rest.iter_mut().take(padding) {
            *place = kind::END_OF_LIST;
        }
        let padded = MAX_OPTIONS_LEN - (rest.len() - padding);
        Ok(Self(&room[..padded]))
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The options one after the other.
    #[must_use]
    pub const fn iter(self) -> Iter<'a> {
        Iter {
            rest: self.0,
            offset: HEADER_LEN,
        }
    }
}

impl<'a> IntoIterator for Options<'a> {
    type Item = Result<TcpOption<'a>, Error>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The options, as far as they can be read.
impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

// ANCHOR: option
/// One option. IANA's «TCP Option Kind Numbers» lists all; these are the ones in daily use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TcpOption<'a> {
    /// End of Option List: what follows in the header is padding (RFC 9293 §3.2).
    EndOfList,
    /// No-Operation: fills up, so that the next option begins where its sender likes (RFC 9293 §3.2).
    NoOperation,
    /// How many bytes of data and TCP options the sender of this SYN can receive in one segment
    /// (RFC 9293 §3.2, RFC 6691).
    MaximumSegmentSize(u16),
    /// By how many bits the windows that the sender of this SYN announces are to be shifted
    /// (RFC 7323 §2.2). More than 14 count as 14 (RFC 7323 §2.3).
    WindowScale(u8),
    /// The sender of this SYN can make use of SACK blocks (RFC 2018 §2).
    SackPermitted,
    /// What has arrived beyond the acknowledgment number (RFC 2018 §3).
    Sack(SackBlocks),
    /// A clock's value and the last one heard from the other side (RFC 7323 §3.2).
    Timestamps {
        /// TSval: the sender's clock.
        value: u32,
        /// TSecr: the value being echoed; it counts only with ACK.
        echo_reply: u32,
    },
    /// How long the sender waits for an acknowledgment before it gives up (RFC 5482).
    UserTimeout(UserTimeout),
    /// TCP Fast Open: a cookie, or, empty, the wish for one (RFC 7413 §4.1.1).
    FastOpen(Cookie<'a>),
    /// One of any other kind, to be passed over (RFC 9293 §3.1).
    Other(Other<'a>),
}
// ANCHOR_END: option

/// Kinds, as IANA lists them.
mod kind {
    pub const END_OF_LIST: u8 = 0;
    pub const NO_OPERATION: u8 = 1;
    pub const MAXIMUM_SEGMENT_SIZE: u8 = 2;
    pub const WINDOW_SCALE: u8 = 3;
    pub const SACK_PERMITTED: u8 = 4;
    pub const SACK: u8 = 5;
    pub const TIMESTAMPS: u8 = 8;
    pub const USER_TIMEOUT: u8 = 28;
    pub const FAST_OPEN: u8 = 34;
}

impl TcpOption<'_> {
    /// The option's kind, its first byte.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::EndOfList => kind::END_OF_LIST,
            Self::NoOperation => kind::NO_OPERATION,
            Self::MaximumSegmentSize(_) => kind::MAXIMUM_SEGMENT_SIZE,
            Self::WindowScale(_) => kind::WINDOW_SCALE,
            Self::SackPermitted => kind::SACK_PERMITTED,
            Self::Sack(_) => kind::SACK,
            Self::Timestamps { .. } => kind::TIMESTAMPS,
            Self::UserTimeout(_) => kind::USER_TIMEOUT,
            Self::FastOpen(_) => kind::FAST_OPEN,
            Self::Other(other) => other.kind,
        }
    }

    /// Its name, as IANA has it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::EndOfList => "end_of_option_list",
            Self::NoOperation => "no_operation",
            Self::MaximumSegmentSize(_) => "maximum_segment_size",
            Self::WindowScale(_) => "window_scale",
            Self::SackPermitted => "sack_permitted",
            Self::Sack(_) => "sack",
            Self::Timestamps { .. } => "timestamps",
            Self::UserTimeout(_) => "user_timeout",
            Self::FastOpen(_) => "fast_open_cookie",
            Self::Other(_) => "other",
        }
    }

    /// How many bytes it takes, kind and length included.
    #[must_use]
    pub const fn wire_len(&self) -> usize {
        match self {
            Self::EndOfList | Self::NoOperation => 1,
            Self::MaximumSegmentSize(_) | Self::UserTimeout(_) => 4,
            Self::WindowScale(_) => 3,
            Self::SackPermitted => 2,
            Self::Sack(blocks) => 2 + 8 * blocks.count as usize,
            Self::Timestamps { .. } => 10,
            Self::FastOpen(cookie) => 2 + cookie.0.len(),
            Self::Other(other) => 2 + other.data.len(),
        }
    }

    /// Writes it to the front of `room`, and gives what is left, if it fits.
    #[inline]
    fn emit<'r>(&self, room: &'r mut [u8]) -> Option<&'r mut [u8]> {
        let kind = self.kind();
        let len = self.wire_len() as u8; // 40 at most, or it does not fit
        match *self {
            Self::EndOfList | Self::NoOperation => put(room, [kind]),
            Self::SackPermitted => put(room, [kind, len]),
            Self::WindowScale(shift) => put(room, [kind, len, shift]),
            Self::MaximumSegmentSize(number) | Self::UserTimeout(UserTimeout(number)) => {
                let [a, b] = number.to_be_bytes();
                put(room, [kind, len, a, b])
            }
            Self::Timestamps { value, echo_reply } => {
                let room = put(room, [kind, len])?;
                put(room, pair(value, echo_reply))
            }
            Self::Sack(ref blocks) => {
                let mut room = put(room, [kind, len])?;
                for block in blocks.as_slice() {
                    room = put(room, pair(block.left.0, block.right.0))?;
                }
                Some(room)
            }
            Self::FastOpen(Cookie(data)) | Self::Other(Other { data, .. }) => {
                let (place, behind) = put(room, [kind, len])?.split_at_mut_checked(data.len())?;
                place.copy_from_slice(data);
                Some(behind)
            }
        }
    }
}

/// Writes `bytes` to the front of `room`, and gives what is left, if they fit.
#[inline]
fn put<const N: usize>(room: &mut [u8], bytes: [u8; N]) -> Option<&mut [u8]> {
    let (place, behind) = room.split_first_chunk_mut()?;
    *place = bytes;
    Some(behind)
}

/// Two numbers of 32 bits, one after the other.
#[inline]
const fn pair(first: u32, second: u32) -> [u8; 8] {
    ((first as u64) << 32 | second as u64).to_be_bytes()
}

// ANCHOR: iter
/// The walk from one option to the next. It ends behind «End of Option List», and with the header.
///
/// An option whose length is not one of its kind's comes as an error, and the walk goes on behind
/// it. Where a length says no place to go on at, below 2 or beyond the header, the walk ends with
/// the error.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    rest: &'a [u8],
    /// Where `rest` begins, counted from the start of the segment.
    offset: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Result<TcpOption<'a>, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (&kind, behind) = self.rest.split_first()?;
        match kind {
            kind::END_OF_LIST => {
                self.rest = &[];
                Some(Ok(TcpOption::EndOfList))
            }
            kind::NO_OPERATION => {
                self.rest = behind;
                self.offset += 1;
                Some(Ok(TcpOption::NoOperation))
            }
            _ => Some(self.with_length(kind)),
        }
    }
}

impl<'a> Iter<'a> {
    /// An option of two bytes or more: kind, length, data.
    #[inline]
    fn with_length(&mut self, kind: u8) -> Result<TcpOption<'a>, Error> {
        let place = Field::new("option_length", (self.offset + 1) * 8, 8);
        let rest = core::mem::take(&mut self.rest);
        let available = rest.len();
        let Some(&len) = rest.get(1) else {
            return Err(place.truncated(self.offset + 2, self.offset + available));
        };
        let len = usize::from(len);
        if len < 2 {
            return Err(place.less_than(2, len));
        }
        let Some((option, rest)) = rest.split_at_checked(len) else {
            return Err(place.more_than(available, len));
        };
        self.rest = rest;
        self.offset += len;
        read(kind, &option[2..], place)
    }
}
// ANCHOR_END: iter

/// What the data behind kind and length say; `place` is that of the length.
#[inline]
fn read<'a>(kind: u8, data: &'a [u8], place: Field) -> Result<TcpOption<'a>, Error> {
    let wrong = |expected: usize| Err(place.not(expected, 2 + data.len()));
    Ok(match kind {
        kind::MAXIMUM_SEGMENT_SIZE => match *data {
            [a, b] => TcpOption::MaximumSegmentSize(u16::from_be_bytes([a, b])),
            _ => return wrong(4),
        },
        kind::WINDOW_SCALE => match *data {
            [shift] => TcpOption::WindowScale(shift),
            _ => return wrong(3),
        },
        kind::SACK_PERMITTED => match data {
            [] => TcpOption::SackPermitted,
            _ => return wrong(2),
        },
        kind::SACK => match SackBlocks::from_wire(data) {
            Some(blocks) => TcpOption::Sack(blocks),
            None => return wrong(2 + 8 * (data.len() / 8).clamp(1, SackBlocks::MAX)),
        },
        kind::TIMESTAMPS => match *data {
            [a, b, c, d, e, f, g, h] => TcpOption::Timestamps {
                value: u32::from_be_bytes([a, b, c, d]),
                echo_reply: u32::from_be_bytes([e, f, g, h]),
            },
            _ => return wrong(10),
        },
        kind::USER_TIMEOUT => match *data {
            [a, b] => TcpOption::UserTimeout(UserTimeout(u16::from_be_bytes([a, b]))),
            _ => return wrong(4),
        },
        kind::FAST_OPEN => match Cookie::new(data) {
            Some(cookie) => TcpOption::FastOpen(cookie),
            None => return wrong(2 + (data.len() & !1).clamp(4, Cookie::MAX_LEN)),
        },
        _ => TcpOption::Other(Other { kind, data }),
    })
}

/// A run of bytes that has arrived, beyond the acknowledgment number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SackBlock {
    /// Left Edge: the first byte of the run.
    pub left: SeqNumber,
    /// Right Edge: the byte after its last.
    pub right: SeqNumber,
}

/// One to four of them: more do not fit beside kind and length, and beside timestamps only three
/// (RFC 2018 §3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SackBlocks {
    /// Those from `count` on are zero, so that equal lists are equal.
    blocks: [SackBlock; Self::MAX],
    count: u8,
}

impl SackBlocks {
    /// How many there can be.
    pub const MAX: usize = 4;

    /// The blocks, the first of which holds the segment that made the receiver send them
    /// (RFC 2018 §4); if there are one to four.
    #[must_use]
    pub fn new(list: &[SackBlock]) -> Option<Self> {
        let mut blocks = [SackBlock::default(); Self::MAX];
        blocks.get_mut(..list.len())?.copy_from_slice(list);
        (!list.is_empty()).then_some(Self {
            blocks,
            count: list.len() as u8,
        })
    }

    fn from_wire(data: &[u8]) -> Option<Self> {
        let (pairs, rest) = data.as_chunks::<8>();
        if pairs.is_empty() || pairs.len() > Self::MAX || !rest.is_empty() {
            return None;
        }
        let mut blocks = [SackBlock::default(); Self::MAX];
        for (block, &[a, b, c, d, e, f, g, h]) in blocks.iter_mut().zip(pairs) {
            block.left = SeqNumber(u32::from_be_bytes([a, b, c, d]));
            block.right = SeqNumber(u32::from_be_bytes([e, f, g, h]));
        }
        Some(Self {
            blocks,
            count: pairs.len() as u8,
        })
    }

    /// The blocks, in the order in which they stand.
    #[must_use]
    pub fn as_slice(&self) -> &[SackBlock] {
        &self.blocks[..usize::from(self.count)]
    }
}

impl fmt::Debug for SackBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

/// How long to wait for an acknowledgment: 15 bits, of seconds or of minutes (RFC 5482).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UserTimeout(u16);

impl UserTimeout {
    /// The bit that makes minutes of seconds.
    const GRANULARITY: u16 = 1 << 15;

    /// So many seconds, if they fit into 15 bits.
    #[must_use]
    pub const fn from_seconds(seconds: u16) -> Option<Self> {
        if seconds < Self::GRANULARITY {
            Some(Self(seconds))
        } else {
            None
        }
    }

    /// So many minutes, if they fit into 15 bits.
    #[must_use]
    pub const fn from_minutes(minutes: u16) -> Option<Self> {
        if minutes < Self::GRANULARITY {
            Some(Self(minutes | Self::GRANULARITY))
        } else {
            None
        }
    }

    /// Whether it counts minutes, and how many of its unit.
    #[must_use]
    pub const fn parts(self) -> (bool, u16) {
        (self.0 & Self::GRANULARITY != 0, self.0 & !Self::GRANULARITY)
    }

    /// The time.
    #[must_use]
    pub const fn duration(self) -> core::time::Duration {
        let (minutes, count) = self.parts();
        let seconds = if minutes {
            60 * count as u64
        } else {
            count as u64
        };
        core::time::Duration::from_secs(seconds)
    }
}

/// What a server gives a client, by which it later knows its address (RFC 7413 §4.1.1): 4 to 16
/// bytes, an even number; empty where a client asks for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cookie<'a>(&'a [u8]);

impl<'a> Cookie<'a> {
    /// The longest, in bytes.
    pub const MAX_LEN: usize = 16;

    /// The wish for a cookie.
    pub const REQUEST: Self = Self(&[]);

    /// A cookie, if it has a length that one may have.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Option<Self> {
        match bytes.len() {
            0 | 4 | 6 | 8 | 10 | 12 | 14 | 16 => Some(Self(bytes)),
            _ => None,
        }
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

/// An option that has no name here, such as TCP-AO (29, RFC 5925) or Multipath TCP (30, RFC 8684).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Other<'a> {
    kind: u8,
    data: &'a [u8],
}

impl<'a> Other<'a> {
    /// An option of a kind that has no name here.
    #[must_use]
    pub const fn new(kind: u8, data: &'a [u8]) -> Option<Self> {
        match kind {
            kind::END_OF_LIST
            | kind::NO_OPERATION
            | kind::MAXIMUM_SEGMENT_SIZE
            | kind::WINDOW_SCALE
            | kind::SACK_PERMITTED
            | kind::SACK
            | kind::TIMESTAMPS
            | kind::USER_TIMEOUT
            | kind::FAST_OPEN => None,
            _ => Some(Self { kind, data }),
        }
    }

    /// Its first byte.
    #[must_use]
    pub const fn kind(self) -> u8 {
        self.kind
    }

    /// What follows kind and length.
    #[must_use]
    pub const fn data(self) -> &'a [u8] {
        self.data
    }
}
