//! The first part of a message: a start line, field lines, an empty line (RFC 9112 §2.1).

use std::ops::Range;

use crate::error::{Error, What};
use crate::field::{Fields, Scratch, Slot};
use crate::framing::{Kind, Notes};
use crate::limits::{MAX_FIELDS, MAX_HEAD};
use crate::scan::{self, Stops};

/// What a section of lines begins with.
pub(crate) trait Start: Copy {
    /// What its section belongs to.
    const KIND: Kind;
    /// How many empty lines in front of it are passed over.
    const EMPTY_LINES: u16;
    /// What is wrong if its line is too long.
    const TOO_LONG: What;
    /// What is known before a byte has been read.
    const KNOWN: Option<Self>;

    /// Reads the line that these bytes of the message are. What follows it is there, too, so that
    /// more bytes can be looked at together than a short line has.
    fn parse(bytes: &[u8], line: Range<usize>) -> Result<Self, Error>;
}

/// A trailer section has no line of its own in front (RFC 9112 §7.1.2).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trailers;

impl Start for Trailers {
    const KIND: Kind = Kind::Trailers;
    const EMPTY_LINES: u16 = 0;
    const TOO_LONG: What = What::FieldTooLong;
    const KNOWN: Option<Self> = Some(Self);

    fn parse(_: &[u8], _: Range<usize>) -> Result<Self, Error> {
        Ok(Self)
    }
}

/// How far a head has been read.
///
/// The bytes of an unfinished head stay where they are, and the next call gets them again with what
/// has come since. Each line is judged once, when its end is there, and a call looks at nothing in
/// front of the bytes that are new but the rest of a block; so a client that sends single bytes costs
/// in proportion to its bytes. Only the places of the fields are not kept: a head that came in pieces
/// is read once more when it is complete, to note them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<S> {
    start: Option<S>,
    /// What the fields have said so far.
    pub(crate) notes: Notes,
    /// Where the line begins that is not complete yet.
    line: u16,
    /// How far this line has been searched for its end.
    checked: u16,
    fields: u16,
    empty_lines: u16,
}

/// A head that is complete.
pub(crate) struct Complete<'a, S> {
    pub(crate) start: S,
    /// Over all bytes of the head, the empty line included.
    pub(crate) fields: Fields<'a>,
}

impl<S: Start> Head<S> {
    /// Nothing read.
    pub(crate) const NEW: Self = Self {
        start: S::KNOWN,
        notes: Notes::NEW,
        line: 0,
        checked: 0,
        fields: 0,
        empty_lines: 0,
    };

    /// Whether not a byte has been looked at.
    pub(crate) fn is_new(&self) -> bool {
        self.checked == 0
    }

    /// Goes on, and gives the head once it is complete. `bytes` begin with the head's first byte;
    /// `most` is how long it may be.
    #[inline(always)]
    pub(crate) fn read<'a>(
        &mut self,
        bytes: &'a [u8],
        most: usize,
        scratch: &'a mut Scratch,
    ) -> Result<Option<Complete<'a, S>>, Error> {
        let resumed = !self.is_new();
        let most = most.min(MAX_HEAD);
        let more = bytes.len() < most;
        let seen = if more { bytes } else { &bytes[..most] };
        let Some(mut found) = self.lines(seen, more, scratch)? else {
            return Ok(None);
        };
        if resumed {
            *self = Self::NEW;
            let Some(again) = self.lines(seen, more, scratch)? else {
                return Ok(None);
            };
            found = again;
        }
        let (start, fields, len) = found;
        Ok(Some(Complete {
            start,
            fields: Fields {
                bytes: &bytes[..len],
                slots: &scratch.slots[..fields],
            },
        }))
    }

    // ANCHOR: lines
    /// Reads lines up to the empty one. Gives the first, the number of fields, and the length of all.
    /// `more`: others may follow the bytes.
    #[inline(always)]
    fn lines(
        &mut self,
        bytes: &[u8],
        more: bool,
        scratch: &mut Scratch,
    ) -> Result<Option<(S, usize, usize)>, Error> {
        let Scratch { limits, slots } = scratch;
        let mut lines = Lines {
            bytes,
            more,
            stops: Stops::new(bytes, self.checked.into()),
            line: self.line.into(),
        };
        let start = match self.start {
            Some(start) => start,
            None => loop {
                let line = lines.line;
                match lines.next(limits.start_line, S::TOO_LONG)? {
                    None => return Ok(self.pause(bytes, line, None, 0)),
                    Some(end) if end > line => break S::parse(bytes, line..end)?,
                    Some(_) if self.empty_lines == S::EMPTY_LINES => {
                        return Err(Error::new(What::EmptyLine, line));
                    }
                    Some(_) => self.empty_lines += 1,
                }
            },
        };

        let slots = &mut slots[..limits.fields.min(MAX_FIELDS)];
        let mut number = usize::from(self.fields);
        loop {
            let line = lines.line;
            let Some(end) = lines.next(limits.field_line, What::FieldTooLong)? else {
                return Ok(self.pause(bytes, line, Some(start), number));
            };
            if end == line {
                return Ok(Some((start, number, lines.line)));
            }
            let slot = field_line(bytes, line, end)?;
            let Some(place) = slots.get_mut(number) else {
                return Err(Error::new(What::TooManyFields, line));
            };
            *place = slot;
            number += 1;
            self.notes.note(slot, bytes, S::KIND)?;
        }
    }

    // ANCHOR_END: lines

    /// Notes how far it has come, when the bytes have ended.
    #[cold]
    fn pause<T>(
        &mut self,
        bytes: &[u8],
        line: usize,
        start: Option<S>,
        fields: usize,
    ) -> Option<T> {
        self.start = start;
        self.fields = fields as u16;
        self.line = line as u16;
        // A CR at the very end is looked at again, together with what follows it.
        let cr = usize::from(bytes.ends_with(b"\r"));
        self.checked = (bytes.len() - cr).max(line) as u16;
        None
    }
}

/// Finds where lines end, and judges what no line may have in it.
struct Lines<'a> {
    /// As many as all lines may have together, at most.
    bytes: &'a [u8],
    /// Whether there may be more than these.
    more: bool,
    stops: Stops<'a>,
    /// Where the next line begins.
    line: usize,
}

impl Lines<'_> {
    /// Where the next line ends, if that is among the bytes; it may have `limit` bytes.
    ///
    /// What is too long is so from a certain byte on, and what is wrong is wrong at a certain byte.
    /// The first such byte counts, however the bytes arrive.
    #[inline(always)]
    fn next(&mut self, limit: usize, too_long: What) -> Result<Option<usize>, Error> {
        let line = self.line;
        loop {
            let at = self.stops.next().unwrap_or(self.bytes.len());
            if self.bytes.get(at..at + 2) == Some(b"\r\n") && at - line <= limit {
                self.stops.next(); // the LF
                self.line = at + 2;
                return Ok(Some(at));
            }
            if !self.bytes.get(at).is_some_and(|byte| scan::is_value(*byte)) {
                if at - line > limit {
                    return Err(Error::new(too_long, line + limit));
                }
                return no_end(self.bytes, at, self.more);
            }
        }
    }
}

/// Why a line does not end before byte `at`, or not well there.
#[cold]
fn no_end(bytes: &[u8], at: usize, more: bool) -> Result<Option<usize>, Error> {
    let what = match &bytes[at..] {
        [] | b"\r" if more => return Ok(None),
        [] | b"\r" => return Err(Error::new(What::TooLong, bytes.len())),
        [b'\r', ..] => What::BareCr,
        [b'\n', ..] => What::BareLf,
        _ => What::Control,
    };
    Err(Error::new(what, at))
}

/// Reads a field line that is not empty and has no control character in it but HTAB.
#[inline(always)]
fn field_line(bytes: &[u8], line: usize, end: usize) -> Result<Slot, Error> {
    let name_len = match scan::word_end(&bytes[line..]) {
        Some(len) if bytes[line + len] == b':' && len > 0 => len,
        _ => odd_name(&bytes[line..end], line)?,
    };
    // One space in front, none behind: nearly all are written so.
    let colon = line + name_len;
    let mut value = colon + 1 + usize::from(bytes[colon + 1] == b' ');
    let mut behind = end;
    if bytes[value] <= b' ' || bytes[end - 1] <= b' ' {
        let trimmed = scan::trim(&bytes[colon + 1..end]);
        let spaces = bytes[colon + 1..end].iter();
        value = colon + 1 + spaces.take_while(|byte| scan::is_space(**byte)).count();
        behind = value + trimmed.len();
    }
    Ok(Slot::new(line, name_len, value, behind - value))
}

/// The length of a name that is longer than most or made of other characters, or that is none.
#[inline(never)]
fn odd_name(line: &[u8], at: usize) -> Result<usize, Error> {
    let len = scan::token_end(line);
    match line.get(len) {
        Some(b':') if len > 0 => Ok(len),
        _ => Err(no_name(line, len, at)),
    }
}

/// What is wrong with a line that begins with a token of so many bytes, but not with a name.
#[cold]
fn no_name(line: &[u8], len: usize, at: usize) -> Error {
    let what = match &line[len..] {
        _ if scan::is_space(line[0]) => What::ObsFold,
        [] => What::NoColon,
        rest @ [b' ' | b'\t', ..] if scan::trim(rest).starts_with(b":") => What::SpaceBeforeColon,
        _ => What::FieldName,
    };
    Error::new(what, at + len)
}
