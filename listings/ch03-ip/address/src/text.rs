//! From text to an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::error::{Error, Expected, Reason};

/// The longest zone, in bytes: what Linux allows an interface's name (`IFNAMSIZ` less the NUL).
pub const MAX_ZONE_LEN: usize = 15;

/// The longest text that is read, in bytes: eight groups of four with an IPv4 address in place of
/// the last two (45 bytes), `%` and a zone, `/` and a length of three digits.
pub const MAX_TEXT_LEN: usize = 45 + 1 + MAX_ZONE_LEN + 1 + 3;

/// An address as people write it: of either family, and in IPv6 perhaps with its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address<'a> {
    /// The address.
    pub ip: IpAddr,
    /// What stands behind `%`: the interface, by name or number, on whose link the address means
    /// something (RFC 4007 §11). `fe80::1` alone is as many addresses as the host has links.
    pub zone: Option<&'a str>,
}

/// Reads an address of either family, and an IPv6 address's zone.
///
/// # Errors
///
/// The first byte at which `text` stops being one.
pub fn parse(text: &str) -> Result<Address<'_>, Error> {
    whole(text, Cursor::address)
}

/// Reads an IPv4 address: four decimal numbers with dots between them, as `std::net` has them and
/// RFC 6943 §3.1.1 calls strict. `inet_aton` takes much more (`127.1`, `0x7f000001`, `0177.0.0.1`),
/// and two programs that disagree about the text of an address disagree about who may come in.
///
/// # Errors
///
/// The first byte at which `text` stops being one.
pub fn parse_v4(text: &str) -> Result<Ipv4Addr, Error> {
    whole(text, Cursor::v4)
}

/// Reads an IPv6 address in any form of RFC 4291 §2.2, without a zone.
///
/// # Errors
///
/// The first byte at which `text` stops being one.
pub fn parse_v6(text: &str) -> Result<Ipv6Addr, Error> {
    whole(text, Cursor::v6)
}

/// Reads all of a text: what `read` reads, and nothing behind it.
fn whole<'a, T>(
    text: &'a str,
    read: impl FnOnce(&mut Cursor<'a>) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut cursor = Cursor::new(text)?;
    let value = read(&mut cursor)?;
    cursor.end()?;
    Ok(value)
}

// ANCHOR: cursor
/// A text, and how much of it has been read. What is left always begins with a whole character.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}
// ANCHOR_END: cursor

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Result<Self, Error> {
        match text.len() {
            ..=MAX_TEXT_LEN => Ok(Self { text, at: 0 }),
            _ => Err(Error {
                at: MAX_TEXT_LEN,
                reason: Reason::TextTooLong { most: MAX_TEXT_LEN },
            }),
        }
    }

    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// Nothing may follow.
    pub(crate) fn end(&self) -> Result<(), Error> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.missing(Expected::End)),
        }
    }

    /// Takes this byte, if it is the next.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// This was to come, and does not.
    pub(crate) fn missing(&self, expected: Expected) -> Error {
        self.error(match self.text[self.at..].chars().next() {
            Some(found) => Reason::Unexpected { found, expected },
            None => Reason::Ends(expected),
        })
    }

    // ANCHOR: address
    fn address(&mut self) -> Result<Address<'a>, Error> {
        let ip = self.ip()?;
        let zoned = ip.is_ipv6() && self.take(b'%');
        let zone = zoned.then(|| self.zone()).transpose()?;
        Ok(Address { ip, zone })
    }

    /// An address of either family. What stands behind its first digits decides which one the text
    /// means, and whose errors it gets.
    pub(crate) fn ip(&mut self) -> Result<IpAddr, Error> {
        let rest = &self.text.as_bytes()[self.at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_hexdigit());
        match (rest.first(), rest.get(digits.count())) {
            (_, Some(b':')) => self.v6().map(IpAddr::from),
            (Some(first), _) if first.is_ascii_digit() => self.v4().map(IpAddr::from),
            (Some(first), _) if first.is_ascii_hexdigit() => self.v6().map(IpAddr::from),
            _ => Err(self.missing(Expected::Address)),
        }
    }

    /// An interface's name or number. What a name cannot have ends it.
    fn zone(&mut self) -> Result<&'a str, Error> {
        let rest = &self.text[self.at..];
        let ends = |c: char| "/%:".contains(c) || c.is_whitespace() || c.is_control();
        let zone = &rest[..rest.find(ends).unwrap_or(rest.len())];
        match zone.len() {
            0 => Err(self.missing(Expected::Zone)),
            1..=MAX_ZONE_LEN => {
                self.at += zone.len();
                Ok(zone)
            }
            _ => Err(self.error(Reason::ZoneTooLong { most: MAX_ZONE_LEN })),
        }
    }
    // ANCHOR_END: address

    // ANCHOR: v4
    fn v4(&mut self) -> Result<Ipv4Addr, Error> {
        let mut octets = [0; 4];
        for (at, octet) in octets.iter_mut().enumerate() {
            if at > 0 && !self.take(b'.') {
                return Err(self.missing(Expected::Dot));
            }
            *octet = self.decimal(u8::MAX.into())? as u8; // 255 at most
        }
        Ok(octets.into())
    }
    // ANCHOR_END: v4

    // ANCHOR: decimal
    /// A decimal number up to `most`, which has three digits. 0 begins no other number.
    pub(crate) fn decimal(&mut self, most: u32) -> Result<u32, Error> {
        const MOST_DIGITS: usize = 3;
        let start = self.at;
        let mut number = 0;
        while let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(10)) {
            match self.at - start {
                1 if number == 0 => return Err(Self::wrong(start, Reason::LeadingZero)),
                MOST_DIGITS => break,
                _ => number = number * 10 + digit,
            }
            self.at += 1;
        }
        if self.at == start {
            return Err(self.missing(Expected::Digit));
        }
        if number > most {
            let found = number;
            return Err(Self::wrong(start, Reason::TooLarge { found, most }));
        }
        if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.error(Reason::TooManyDigits { most: MOST_DIGITS }));
        }
        Ok(number)
    }
    // ANCHOR_END: decimal

    // ANCHOR: v6
    /// Eight groups of 16 bits (RFC 4291 §2.2): fewer with `::`, once, in place of one zero or
    /// more, and with an IPv4 address in place of the last two.
    fn v6(&mut self) -> Result<Ipv6Addr, Error> {
        let mut groups = [0; 8];
        let mut count = 0;
        let mut gap = self.double_colon().then_some(0); // how many groups stand in front of `::`
        let mut may_end = gap.is_some(); // behind `::`, but not behind a single colon
        if gap.is_none() && self.take(b':') {
            return Err(self.missing(Expected::Colon));
        }
        loop {
            let start = self.at;
            // `::` keeps a place for itself.
            let room = 8 - count - usize::from(gap.is_some());
            if room == 0 && self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                return Err(Self::wrong(start, Reason::TooManyGroups));
            }
            let Some(group) = self.group()? else {
                match may_end {
                    true => break,
                    false => return Err(self.missing(Expected::Group)),
                }
            };
            if self.peek() == Some(b'.') {
                if gap.is_none() && room > 2 {
                    return Err(self.missing(Expected::Colon));
                }
                if room < 2 {
                    return Err(Self::wrong(start, Reason::TooManyGroups));
                }
                self.at = start; // these were decimal digits
                let [a, b, c, d] = self.v4()?.octets();
                groups[count] = u16::from_be_bytes([a, b]);
                groups[count + 1] = u16::from_be_bytes([c, d]);
                count += 2;
                break;
            }
            groups[count] = group;
            count += 1;

            let colon = self.at;
            if self.double_colon() {
                if gap.is_some() {
                    return Err(Self::wrong(colon, Reason::SecondDoubleColon));
                }
                if count == 8 {
                    return Err(Self::wrong(colon, Reason::TooManyGroups));
                }
                gap = Some(count);
                may_end = true;
            } else if self.take(b':') {
                if room == 1 {
                    return Err(Self::wrong(colon, Reason::TooManyGroups));
                }
                may_end = false;
            } else {
                break;
            }
        }
        match gap {
            Some(gap) => groups[gap..].rotate_right(8 - count),
            None if count < 8 => return Err(self.missing(Expected::Colon)),
            None => {}
        }
        Ok(groups.into())
    }
    // ANCHOR_END: v6

    /// One to four hexadecimal digits; nothing, if there is none.
    fn group(&mut self) -> Result<Option<u16>, Error> {
        const MOST_DIGITS: usize = 4;
        let start = self.at;
        let mut value = 0;
        while let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16)) {
            if self.at - start == MOST_DIGITS {
                return Err(self.error(Reason::TooManyDigits { most: MOST_DIGITS }));
            }
            value = value << 4 | digit as u16; // 15 at most
            self.at += 1;
        }
        Ok((self.at > start).then_some(value))
    }

    fn double_colon(&mut self) -> bool {
        let found = self.text[self.at..].starts_with("::");
        self.at += 2 * usize::from(found);
        found
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn error(&self, reason: Reason) -> Error {
        Self::wrong(self.at, reason)
    }

    const fn wrong(at: usize, reason: Reason) -> Error {
        Error { at, reason }
    }
}
