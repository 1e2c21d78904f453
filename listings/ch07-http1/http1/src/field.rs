//! Field lines: a name, a colon, a value (RFC 9112 §5).

use std::fmt;

use crate::error::{Error, What};
use crate::limits::{Limits, MAX_FIELDS};
use crate::scan;

/// A field that is what the RFC wants: its name a token, its value without control characters and
/// without white space at its ends. So what can be written cannot break the message that bears it
/// (response splitting, RFC 9112 §11.1).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    name: &'a [u8],
    value: &'a [u8],
}

impl<'a> Field<'a> {
    /// A field to be written. White space around the value is not part of it.
    ///
    /// # Errors
    ///
    /// When the name is no token (RFC 9110 §5.6.2), or the value has a control character in it. The
    /// offset counts from the name's first byte, with one byte for the colon.
    pub const fn new(name: &'a [u8], value: &'a [u8]) -> Result<Self, Error> {
        let mut at = 0;
        while at < name.len() {
            if !scan::is_token(name[at]) {
                return Err(Error::new(What::FieldName, at));
            }
            at += 1;
        }
        if name.is_empty() {
            return Err(Error::new(What::FieldName, 0));
        }
        let mut at = 0;
        while at < value.len() {
            if !scan::is_value(value[at]) {
                return Err(Error::new(What::Control, name.len() + 1 + at));
            }
            at += 1;
        }
        let value = scan::trim(value);
        Ok(Self { name, value })
    }

    /// A field that stands in the program's source: `const` makes the compiler check it.
    ///
    /// # Panics
    ///
    /// When [`Field::new`] fails.
    #[must_use]
    pub const fn literal(name: &'a str, value: &'a str) -> Self {
        match Self::new(name.as_bytes(), value.as_bytes()) {
            Ok(field) => field,
            Err(_) => panic!("no field of HTTP"),
        }
    }

    /// Its name as it was written; case means nothing.
    #[must_use]
    pub const fn name(&self) -> &'a [u8] {
        self.name
    }

    /// Its value, without the white space around it. Any byte from 0x80 on may be in it.
    #[must_use]
    pub const fn value(&self) -> &'a [u8] {
        self.value
    }

    /// Whether that is its name, in whatever case.
    #[must_use]
    pub const fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// Appends the field line.
    pub fn emit(&self, to: &mut Vec<u8>) {
        to.reserve(self.name.len() + self.value.len() + 4);
        to.extend_from_slice(self.name);
        to.extend_from_slice(b": ");
        to.extend_from_slice(self.value);
        to.extend_from_slice(b"\r\n");
    }
}

/// `name: value`, with escapes for what is not ASCII.
impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value } = self;
        write!(f, "{}: {}", name.escape_ascii(), value.escape_ascii())
    }
}

/// Where a field stands in a head: four numbers of 16 bits in one word, which is written and read in
/// one go. (As four fields they are written one by one, and a processor that soon reads all of them
/// together must wait until that is done.)
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Slot(u64);

impl Slot {
    /// The places and lengths are below [`MAX_HEAD`](crate::MAX_HEAD).
    #[inline(always)]
    pub(crate) fn new(name_at: usize, name_len: usize, value_at: usize, value_len: usize) -> Self {
        Self(
            name_at as u64
                | (name_len as u64) << 16
                | (value_at as u64) << 32
                | (value_len as u64) << 48,
        )
    }

    #[inline(always)]
    pub(crate) fn name_at(self) -> usize {
        usize::from(self.0 as u16)
    }

    #[inline(always)]
    pub(crate) fn name_len(self) -> usize {
        usize::from((self.0 >> 16) as u16)
    }

    #[inline(always)]
    pub(crate) fn value_at(self) -> usize {
        usize::from((self.0 >> 32) as u16)
    }

    #[inline(always)]
    fn value_len(self) -> usize {
        usize::from((self.0 >> 48) as u16)
    }

    /// Its name, in the bytes that it was found in.
    #[inline]
    pub(crate) fn name(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.name_at()..][..self.name_len()]
    }

    /// Its value, in the bytes that it was found in.
    #[inline]
    pub(crate) fn value(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.value_at()..][..self.value_len()]
    }

    #[inline]
    fn field(self, bytes: &[u8]) -> Field<'_> {
        Field {
            name: self.name(bytes),
            value: self.value(bytes),
        }
    }
}

/// What a parser needs besides the bytes: the limits, and room to note where a head's fields stand.
/// It holds nothing between two calls, so one serves all connections of a thread, and no request
/// costs an allocation.
#[derive(Debug, Clone)]
pub struct Scratch {
    /// The limits that hold for the next bytes.
    pub limits: Limits,
    pub(crate) slots: [Slot; MAX_FIELDS],
}

impl Scratch {
    /// Room for [`MAX_FIELDS`] fields.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            slots: [Slot::default(); MAX_FIELDS],
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new(Limits::DEFAULT)
    }
}

/// The fields of a head or of a trailer section, in their order.
#[derive(Clone, Copy, Default)]
pub struct Fields<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) slots: &'a [Slot],
}

impl<'a> Fields<'a> {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Field<'a>> + use<'a> {
        let bytes = self.bytes;
        self.slots.iter().map(move |slot| slot.field(bytes))
    }

    /// The value of the first field of that name, in whatever case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// The values of all fields of that name. Of most names there may be one only; then a second one
    /// is the application's to refuse.
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let bytes = self.bytes;
        let named = self
            .slots
            .iter()
            .filter(move |slot| slot.name(bytes).eq_ignore_ascii_case(name.as_bytes()));
        named.map(move |slot| slot.value(bytes))
    }

    /// The members of all fields of that name whose value is a list without quoted strings, such as
    /// Connection or Transfer-Encoding (RFC 9110 §5.6.1).
    pub fn list<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.all(name).flat_map(members)
    }
}

/// The members of a list, without those that are empty.
pub(crate) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let members = value.split(|byte| *byte == b',').map(scan::trim);
    members.filter(|member| !member.is_empty())
}

impl fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
