//! Names: in a message, where they may be compressed; on their own; as text.

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::str::FromStr;

use ip_header::{Error, Field, Reason};

/// The longest name on the wire, in bytes, its labels' lengths and the root's zero included
/// (RFC 1035 §2.3.4).
pub const MAX_NAME_LEN: usize = 255;

/// The longest label, in bytes: the two upper bits of its length mark a pointer (RFC 1035 §2.3.4).
pub const MAX_LABEL_LEN: usize = 63;

/// How many labels a name can have, the root not counted: each takes two bytes at least.
pub const MAX_LABELS: usize = (MAX_NAME_LEN - 1) / 2;

/// How many pointers a name can make use of: one behind each label, and one before the first. More
/// would lead from pointer to pointer. The limit bounds the work on a name, and so on a message.
pub const MAX_POINTERS: usize = MAX_LABELS + 1;

/// The two upper bits of a pointer (RFC 1035 §4.1.4).
pub(crate) const POINTER: u8 = 0b1100_0000;

/// How far a pointer reaches: it has 14 bits for the place.
pub(crate) const POINTER_REACH: usize = 1 << 14;

/// A field of unknown length at this place.
pub(crate) const fn place(name: &'static str, at: usize) -> Field {
    Field::new(name, at * 8, 0)
}

// ANCHOR: name
/// A name, somewhere in bytes that have been checked. Each label has its length in front; the
/// last may be followed by a pointer to where the name goes on.
///
/// Names are equal when their labels are, in whatever case (RFC 4343 §3); the case is kept.
#[derive(Clone, Copy)]
pub struct Name<'a> {
    /// The message, for a pointer counts from its first byte.
    bytes: &'a [u8],
    at: usize,
}
// ANCHOR_END: name

impl<'a> Name<'a> {
    /// The root: the name without labels.
    pub const ROOT: Self = Self { bytes: &[0], at: 0 };

    /// The name at a place that has been checked.
    pub(crate) const fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// Its labels, from the left; the root is none.
    #[must_use]
    #[inline]
    pub const fn labels(self) -> Labels<'a> {
        Labels {
            bytes: self.bytes,
            at: self.at,
        }
    }

    /// Whether it has no label.
    #[must_use]
    pub fn is_root(self) -> bool {
        self.labels().next().is_none()
    }

    /// How many bytes it takes without compression: 1 to 255.
    #[must_use]
    pub fn wire_len(self) -> usize {
        self.labels().map(|label| 1 + label.len()).sum::<usize>() + 1
    }

    /// How many bytes it takes where it stands; a pointer is the last two of them.
    #[must_use]
    pub fn encoded_len(self) -> usize {
        let mut len = 0;
        loop {
            match self.bytes.get(self.at + len) {
                Some(&label @ 1..POINTER) => len += 1 + usize::from(label),
                Some(0) => return len + 1,
                _ => return len + 2,
            }
        }
    }

    /// Its first byte, counted from the start of its message.
    #[must_use]
    pub const fn offset(self) -> usize {
        self.at
    }

    /// The name without its first label; `None` for the root.
    #[must_use]
    pub fn parent(self) -> Option<Self> {
        let mut labels = self.labels();
        labels.next()?;
        Some(Self::new(self.bytes, labels.at))
    }

    /// Whether it is `ancestor` or ends with it: `www.example.com` is at or below `com`.
    #[must_use]
    pub fn is_at_or_below(self, ancestor: Name<'_>) -> bool {
        let (own, its) = (self.labels().count(), ancestor.labels().count());
        let Some(more) = own.checked_sub(its) else {
            return false;
        };
        let mut labels = self.labels();
        // `nth` would take one too many where there are none to skip.
        for _ in 0..more {
            labels.next();
        }
        labels.same(ancestor.labels())
    }

    /// Whether all letters are the same in case too. A server sends the question back as it came;
    /// who mixes the case of the letters at random can tell a true answer from a guessed one.
    #[must_use]
    pub fn eq_case(self, other: Name<'_>) -> bool {
        self.labels().eq(other.labels())
    }

    /// A copy that stands alone.
    #[must_use]
    pub fn to_buf(self) -> NameBuf {
        let mut buf = NameBuf::root();
        for label in self.labels() {
            // It fits: that has been checked.
            let _ = buf.push(label, self.at);
        }
        buf
    }
}

/// The labels of a name, from the left. A pointer leads on without being seen.
#[derive(Debug, Clone)]
pub struct Labels<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Labels<'_> {
    /// Whether both have as many labels, and each two are the same in whatever case.
    #[inline]
    pub(crate) fn same(mut self, mut other: Labels<'_>) -> bool {
        loop {
            match (self.next(), other.next()) {
                (None, None) => return true,
                (Some(a), Some(b)) if a.eq_ignore_ascii_case(b) => {}
                _ => return false,
            }
        }
    }
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let (&len, rest) = self.bytes.get(self.at..)?.split_first()?;
            match len {
                0 => return None,
                1..POINTER => {
                    let label = rest.get(..usize::from(len))?;
                    self.at += 1 + label.len();
                    return Some(label);
                }
                _ => self.at = pointer(len, *rest.first()?),
            }
        }
    }
}

/// Where a pointer leads.
#[inline]
pub(crate) const fn pointer(first: u8, second: u8) -> usize {
    ((first & !POINTER) as usize) << 8 | second as usize
}

impl PartialEq<Name<'_>> for Name<'_> {
    #[inline]
    fn eq(&self, other: &Name<'_>) -> bool {
        self.labels().same(other.labels())
    }
}

impl Eq for Name<'_> {}

impl Hash for Name<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for label in self.labels() {
            state.write_u8(label.len() as u8); // 63 at most
            for byte in label {
                state.write_u8(byte.to_ascii_lowercase());
            }
        }
        state.write_u8(0);
    }
}

/// The canonical order (RFC 4034 §6.1): by the last label, then by the one before, and so on. A
/// name stands before all that are below it.
impl Ord for Name<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut own, mut its) = ([&[][..]; MAX_LABELS], [&[][..]; MAX_LABELS]);
        let [own, its] = [(self, &mut own), (other, &mut its)].map(|(name, list)| {
            let mut count = 0;
            for (place, label) in list.iter_mut().zip(name.labels()) {
                *place = label;
                count += 1;
            }
            &list[..count]
        });
        let lower = |label: &&[u8]| NameKey::new(label);
        own.iter().rev().map(lower).cmp(its.iter().rev().map(lower))
    }
}

impl PartialOrd for Name<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A label, ordered without regard to case.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct NameKey {
    bytes: [u8; MAX_LABEL_LEN],
    len: usize,
}

impl NameKey {
    fn new(label: &[u8]) -> Self {
        let mut bytes = [0; MAX_LABEL_LEN];
        for (place, byte) in bytes.iter_mut().zip(label) {
            *place = byte.to_ascii_lowercase();
        }
        Self {
            bytes,
            len: label.len(),
        }
    }
}

/// As text, with a dot behind each label and what is no letter, digit, `-` or `_` as in a zone
/// file: a dot within a label as `\.`, a byte that has no sign as `\DDD` (RFC 1035 §5.1).
impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;

        if self.is_root() {
            return f.write_char('.');
        }
        for label in self.labels() {
            for &byte in label {
                match byte {
                    b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => {
                        write!(f, "\\{}", char::from(byte))?;
                    }
                    b'!'..=b'~' => f.write_char(char::from(byte))?,
                    _ => write!(f, "\\{byte:03}")?,
                }
            }
            f.write_char('.')?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

/// A name that stands alone: 255 bytes of its own, on the stack.
///
/// ```
/// use udp_dns_message::NameBuf;
///
/// let name: NameBuf = r"a\.b.\101xample.com".parse()?;
/// let labels: Vec<_> = name.name().labels().collect();
/// assert_eq!(labels, [&b"a.b"[..], b"example", b"com"]);
/// assert_eq!(name.to_string(), r"a\.b.example.com.");
/// assert_eq!(name, "A\\.B.Example.COM.".parse()?);
///
/// let error = "www..example".parse::<NameBuf>().unwrap_err();
/// assert_eq!(error.to_string(), "label at byte 4 is 0, less than 1");
/// # Ok::<(), ip_header::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct NameBuf {
    bytes: [u8; MAX_NAME_LEN],
    /// The root's zero included.
    len: u8,
}

impl NameBuf {
    /// The root.
    #[must_use]
    pub const fn root() -> Self {
        Self {
            bytes: [0; MAX_NAME_LEN],
            len: 1,
        }
    }

    /// A name of these labels, from the left, the root not among them.
    ///
    /// # Errors
    ///
    /// When a label is empty or longer than 63 bytes, or the name is longer than 255.
    pub fn from_labels<'l>(labels: impl IntoIterator<Item = &'l [u8]>) -> Result<Self, Error> {
        let mut buf = Self::root();
        for label in labels {
            let at = usize::from(buf.len) - 1;
            buf.push(label, at)?;
        }
        Ok(buf)
    }

    /// A name as it stands on the wire without compression, and nothing else.
    ///
    /// # Errors
    ///
    /// Those of a name in a message, and when it has a pointer or something behind it.
    pub fn from_wire(bytes: &[u8]) -> Result<Self, Error> {
        let mut buf = Self::root();
        let mut rest = bytes;
        loop {
            let at = bytes.len() - rest.len();
            let Some((&len, behind)) = rest.split_first() else {
                return Err(place("name", 0).truncated(at + 1, bytes.len()));
            };
            if len == 0 {
                return match behind {
                    [] => Ok(buf),
                    _ => Err(place("name", at + 1).more_than(at + 1, bytes.len())),
                };
            }
            let len = usize::from(len);
            if len > MAX_LABEL_LEN {
                return Err(place("label", at).more_than(MAX_LABEL_LEN, len));
            }
            let Some((label, behind)) = behind.split_at_checked(len) else {
                return Err(place("label", at).truncated(at + 1 + len, bytes.len()));
            };
            buf.push(label, at)?;
            rest = behind;
        }
    }

    /// Adds a label on the right, in front of the root; `at` is for the error.
    fn push(&mut self, label: &[u8], at: usize) -> Result<(), Error> {
        if label.is_empty() {
            return Err(place("label", at).less_than(1, 0));
        }
        if label.len() > MAX_LABEL_LEN {
            return Err(place("label", at).more_than(MAX_LABEL_LEN, label.len()));
        }
        let old = usize::from(self.len);
        let new = old + 1 + label.len();
        if new > MAX_NAME_LEN {
            return Err(place("name", 0).more_than(MAX_NAME_LEN, new));
        }
        self.bytes[old - 1] = label.len() as u8; // 63 at most
        self.bytes[old..new - 1].copy_from_slice(label);
        self.bytes[new - 1] = 0;
        self.len = new as u8; // 255 at most
        Ok(())
    }

    /// The name, to be compared, shown, or written.
    #[must_use]
    pub const fn name(&self) -> Name<'_> {
        Name::new(&self.bytes, 0)
    }

    /// Its bytes on the wire.
    #[must_use]
    pub fn as_wire(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The same name with each ASCII letter in the case that `upper` wants for it, given its place
    /// among the name's bytes.
    #[must_use]
    pub fn map_case(&self, mut upper: impl FnMut(usize) -> bool) -> Self {
        let mut mapped = *self;
        // The lengths of labels are 63 at most, below any letter.
        for (at, byte) in mapped.bytes.iter_mut().enumerate() {
            if byte.is_ascii_alphabetic() {
                *byte = match upper(at) {
                    true => byte.to_ascii_uppercase(),
                    false => byte.to_ascii_lowercase(),
                };
            }
        }
        mapped
    }
}

impl PartialEq for NameBuf {
    fn eq(&self, other: &Self) -> bool {
        self.as_wire().eq_ignore_ascii_case(other.as_wire())
    }
}

impl Eq for NameBuf {}

impl Hash for NameBuf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl Ord for NameBuf {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name().cmp(&other.name())
    }
}

impl PartialOrd for NameBuf {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for NameBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name().fmt(f)
    }
}

impl fmt::Debug for NameBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NameBuf({self})")
    }
}

// ANCHOR: text
/// Text with a dot between the labels, and one at the end or not: the name is complete either way.
/// `\.` is a dot within a label, `\DDD` the byte of that decimal number.
///
/// An error's offset is the place in the text. Letters beyond ASCII are refused: a name that has
/// some is sent in another form (RFC 5890 §2.3.2.1), which is not made here.
impl FromStr for NameBuf {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut buf = Self::root();
        if text == "." {
            return Ok(buf);
        }
        let text = text.as_bytes();
        let mut label = [0; MAX_LABEL_LEN];
        let (mut len, mut start, mut at) = (0, 0, 0);
        loop {
            let byte = match text.get(at) {
                None | Some(b'.') => {
                    buf.push(&label[..len], start)?;
                    (len, start, at) = (0, at + 1, at + 1);
                    if at >= text.len() {
                        return Ok(buf);
                    }
                    continue;
                }
                Some(b'\\') => {
                    let (byte, taken) = unescape(text, at)?;
                    at += taken;
                    byte
                }
                Some(byte @ b'!'..=b'~') => {
                    at += 1;
                    *byte
                }
                Some(&found) => {
                    return Err(place("label", at).error(Reason::Misplaced {
                        found: usize::from(found),
                    }));
                }
            };
            let Some(place_of_byte) = label.get_mut(len) else {
                return Err(place("label", start).more_than(MAX_LABEL_LEN, len + 1));
            };
            *place_of_byte = byte;
            len += 1;
        }
    }
}

/// The byte that the backslash at this place and what follows stand for, and how many they are.
fn unescape(text: &[u8], at: usize) -> Result<(u8, usize), Error> {
    let escape = place("escape", at);
    match text[at + 1..] {
        [] => Err(escape.truncated(at + 2, text.len())),
        [first, ..] if !first.is_ascii_digit() => match first {
            b'!'..=b'~' => Ok((first, 2)),
            _ => Err(escape.error(Reason::Misplaced {
                found: usize::from(first),
            })),
        },
        [a, b, c, ..] => {
            let mut number = 0;
            for digit in [a, b, c] {
                if !digit.is_ascii_digit() {
                    return Err(escape.error(Reason::Misplaced {
                        found: usize::from(digit),
                    }));
                }
                number = number * 10 + usize::from(digit - b'0');
            }
            match u8::try_from(number) {
                Ok(byte) => Ok((byte, 4)),
                Err(_) => Err(escape.more_than(usize::from(u8::MAX), number)),
            }
        }
        _ => Err(escape.truncated(at + 4, text.len())),
    }
}
// ANCHOR_END: text
