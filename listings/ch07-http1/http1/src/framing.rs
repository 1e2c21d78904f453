//! Where a message ends (RFC 9112 §6), and whether another may follow (§9.3).

use crate::error::{Error, What};
use crate::field::{Slot, members};
use crate::scan;
use crate::{Limits, Version};

/// What a section of fields belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Response,
    Trailers,
}

/// How a message's content is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// So many bytes.
    Length(u64),
    /// In chunks, each of which says its size.
    Chunked,
    /// All that comes until the server closes the connection. Responses only.
    UntilClose,
}

/// What the codings in Transfer-Encoding come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    /// No such field.
    None,
    /// Chunked alone.
    Chunked,
    /// Others and then chunked.
    OthersThenChunked,
    /// Others, and not chunked in the end.
    Others,
}

/// What a head's fields have said so far about framing and connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Notes {
    length: Option<u64>,
    length_at: u16,
    coding: Coding,
    coding_at: u16,
    pub(crate) host: Option<Slot>,
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    pub(crate) upgrade: bool,
    expect: Option<Expect>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Continue,
    Other { at: u16 },
}

impl Notes {
    /// Nothing said.
    pub(crate) const NEW: Self = Self {
        length: None,
        length_at: 0,
        coding: Coding::None,
        coding_at: 0,
        host: None,
        close: false,
        keep_alive: false,
        upgrade: false,
        expect: None,
    };

    /// Looks at a field, if it may be one of those that matter here.
    ///
    /// # Errors
    ///
    /// Those that need no other field to be seen.
    #[inline(always)]
    pub(crate) fn note(&mut self, slot: Slot, bytes: &[u8], kind: Kind) -> Result<(), Error> {
        // Few other names have both length and first letter of one of these.
        match (slot.name_len(), bytes[slot.name_at()] | 0x20) {
            (4, b'h') | (6, b'e') | (10 | 14, b'c') | (17, b't') => self.look(slot, bytes, kind),
            _ => Ok(()),
        }
    }

    fn look(&mut self, slot: Slot, bytes: &[u8], kind: Kind) -> Result<(), Error> {
        let (name, value) = (slot.name(bytes), slot.value(bytes));
        let matters = match name.len() {
            4 => scan::is(name, b"host") && kind != Kind::Response,
            6 => scan::is(name, b"expect") && kind == Kind::Request,
            10 => scan::is(name, b"connection") && kind != Kind::Trailers,
            14 => scan::is(name, b"content-length"),
            _ => scan::is(name, b"transfer-encoding"),
        };
        match name.len() {
            _ if !matters => {}
            _ if kind == Kind::Trailers => {
                return Err(Error::new(What::TrailerField, slot.name_at()));
            }
            4 => self.host(slot, bytes)?,
            6 => self.expect(slot, value),
            10 => self.connection(value),
            14 => self.length(slot, value)?,
            _ => self.coding(slot, value)?,
        }
        Ok(())
    }

    fn host(&mut self, slot: Slot, bytes: &[u8]) -> Result<(), Error> {
        if self.host.is_some() {
            return Err(Error::new(What::HostTwice, slot.name_at()));
        }
        let value = slot.value(bytes);
        // What follows the value ends a plain name, too.
        let plain = scan::plain_host_end(&bytes[slot.value_at()..]);
        let fine = match plain.and_then(|len| value.split_at_checked(len)) {
            Some((_, [])) => true,
            Some(([_, ..], [b':', port @ ..])) => is_port(port),
            _ => value.is_empty() || is_authority(value),
        };
        if !fine {
            return Err(Error::new(What::HostInvalid, slot.value_at()));
        }
        self.host = Some(slot);
        Ok(())
    }

    /// `Expect` has one member that means anything (RFC 9110 §10.1.1).
    fn expect(&mut self, slot: Slot, value: &[u8]) {
        for member in members(value) {
            if !member.eq_ignore_ascii_case(b"100-continue") {
                self.expect = Some(Expect::Other {
                    at: slot.value_at() as u16,
                });
            } else if self.expect.is_none() {
                self.expect = Some(Expect::Continue);
            }
        }
    }

    fn connection(&mut self, value: &[u8]) {
        if scan::is(value, b"keep-alive") {
            self.keep_alive = true; // alone, as nearly always
            return;
        }
        for option in members(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            self.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }

    /// A second one is refused even if it says the same, and so is a list of equal numbers, which
    /// the RFC would let pass: who sends that has been handed on by someone who does not look.
    fn length(&mut self, slot: Slot, value: &[u8]) -> Result<(), Error> {
        if self.length.is_some() {
            return Err(Error::new(What::LengthTwice, slot.name_at()));
        }
        // Digits alone: no sign, no space, no list.
        let odd = value.iter().position(|byte| !byte.is_ascii_digit());
        if let Some(at) = odd.or(value.is_empty().then_some(0)) {
            return Err(Error::new(What::LengthInvalid, slot.value_at() + at));
        }
        let length = value.iter().try_fold(0_u64, |length, digit| {
            length.checked_mul(10)?.checked_add((digit - b'0').into())
        });
        let too_long = Error::new(What::BodyTooLong, slot.value_at());
        let length = length.ok_or(too_long)?;
        self.length = Some(length);
        self.length_at = slot.value_at() as u16;
        Ok(())
    }

    /// Several fields are one list. A member that is empty is refused, though the RFC would have it
    /// ignored: that, too, is what one recipient overlooks and the next one does not.
    fn coding(&mut self, slot: Slot, value: &[u8]) -> Result<(), Error> {
        let error = |what| Err(Error::new(what, slot.value_at()));
        self.coding_at = slot.value_at() as u16;
        for member in value.split(|byte| *byte == b',').map(scan::trim) {
            let name_len = member
                .iter()
                .take_while(|byte| scan::is_token(**byte))
                .count();
            let (name, parameters) = member.split_at(name_len);
            let chunked = name.eq_ignore_ascii_case(b"chunked");
            let parameters = scan::trim(parameters);
            if name.is_empty() || !parameters.is_empty() && (chunked || parameters[0] != b';') {
                return error(What::CodingInvalid);
            }
            self.coding = match (self.coding, chunked) {
                (Coding::None, true) => Coding::Chunked,
                (Coding::Others, true) => Coding::OthersThenChunked,
                (Coding::None | Coding::Others, false) => Coding::Others,
                (Coding::Chunked | Coding::OthersThenChunked, _) => {
                    return error(What::CodingNotLast);
                }
            };
        }
        Ok(())
    }

    // ANCHOR: framing
    /// How the content is delimited of a message that may have some (RFC 9112 §6.3).
    #[inline(always)]
    pub(crate) fn framing(
        &self,
        kind: Kind,
        version: Version,
        limits: &Limits,
    ) -> Result<Framing, Error> {
        match (self.coding, self.length) {
            (Coding::None, Some(length)) if length > limits.body => {
                Err(Error::new(What::BodyTooLong, self.length_at.into()))
            }
            (Coding::None, Some(length)) => Ok(Framing::Length(length)),
            (Coding::None, None) if kind == Kind::Response => Ok(Framing::UntilClose),
            (Coding::None, None) => Ok(Framing::Empty),
            (coding, length) => self.coded(coding, length.is_some(), kind, version),
        }
    }

    /// The same with Transfer-Encoding.
    fn coded(
        &self,
        coding: Coding,
        has_length: bool,
        kind: Kind,
        version: Version,
    ) -> Result<Framing, Error> {
        if version == Version::Http10 {
            return self.at_coding(What::CodingInHttp10);
        }
        if has_length {
            return self.at_coding(What::LengthAndCoding);
        }
        match coding {
            Coding::None | Coding::Chunked => Ok(Framing::Chunked),
            Coding::Others if kind == Kind::Request => self.at_coding(What::CodingNotLast),
            Coding::Others | Coding::OthersThenChunked => self.at_coding(What::CodingUnknown),
        }
    }

    // ANCHOR_END: framing

    fn at_coding<T>(&self, what: What) -> Result<T, Error> {
        Err(Error::new(what, self.coding_at.into()))
    }

    /// The number in Content-Length, whether there is content or not.
    pub(crate) fn content_length(&self) -> Option<u64> {
        self.length
    }

    /// Whether another message may follow this one (RFC 9112 §9.3).
    #[inline]
    pub(crate) fn is_persistent(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }

    /// Whether the client waits for 100 (Continue). One of HTTP/1.0 cannot (RFC 9110 §10.1.1).
    #[inline]
    pub(crate) fn expects_continue(&self, version: Version) -> Result<bool, Error> {
        match self.expect {
            Some(Expect::Other { at }) if version == Version::Http11 => {
                Err(Error::new(What::Expectation, at.into()))
            }
            Some(Expect::Continue) => Ok(version == Version::Http11),
            _ => Ok(false),
        }
    }
}

/// Whether this is `uri-host [ ":" port ]` with a host that is not empty (RFC 3986 §3.2.2).
#[inline]
pub(crate) fn is_authority(text: &[u8]) -> bool {
    let host_len = match text {
        [b'[', rest @ ..] => match rest.iter().position(|byte| *byte == b']') {
            Some(len) if len > 0 && rest[..len].iter().all(|byte| is_in_brackets(*byte)) => len + 2,
            _ => return false,
        },
        _ => {
            let name = text.iter().take_while(|byte| scan::is_name_of_host(**byte));
            name.count()
        }
    };
    match &text[host_len..] {
        _ if host_len == 0 => false,
        [] => true,
        [b':', port @ ..] => is_port(port),
        _ => false,
    }
}

/// An IPv6 address, or what a later version would have (RFC 3986 §3.2.2).
fn is_in_brackets(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'.' | b'-' | b'_' | b'~')
}

/// Up to 65535; an empty one is the scheme's own.
fn is_port(port: &[u8]) -> bool {
    // Numbers of five digits are in the order of their digits.
    port.iter().all(u8::is_ascii_digit) && (port.len() < 5 || port.len() == 5 && port <= b"65535")
}
