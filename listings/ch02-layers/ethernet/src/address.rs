//! MAC addresses: 48 bits that name an interface on its link (IEEE 802).

use core::fmt;
use core::str::FromStr;

use crate::error::{Error, Field};

/// The two hexadecimal digits of one byte, and the colon after it.
const DIGITS: usize = 2;
const STEP: usize = DIGITS + 1;

/// An address as it is written: six bytes of two digits, five colons.
const TEXT_LEN: usize = 6 * STEP - 1;

/// The address of an interface, or of a group of them, on one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// All interfaces on the link.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether it is a group's: the lowest bit of the first byte, the first bit on the cable.
    #[must_use]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 0b01 != 0
    }

    /// Whether somebody on the spot made it up, as virtual machines, containers and phones do, and no
    /// manufacturer: the second lowest bit of the first byte.
    #[must_use]
    pub const fn is_locally_administered(self) -> bool {
        self.0[0] & 0b10 != 0
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Reads what `Display` writes, in upper or lower case.
///
/// The error's offset counts characters of the text: the first that is not as it should be.
impl FromStr for MacAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bytes = text.as_bytes();
        let at = |offset: usize| Field::new("mac_address", offset * 8, 8);
        let mut address = [0; 6];
        for (offset, &byte) in bytes.iter().take(TEXT_LEN).enumerate() {
            if offset % STEP == DIGITS {
                if byte != b':' {
                    return Err(at(offset).not(b':'.into(), byte.into()));
                }
                continue;
            }
            let Some(digit) = char::from(byte).to_digit(16) else {
                return Err(at(offset).error(crate::Reason::Misplaced { found: byte.into() }));
            };
            let place = &mut address[offset / STEP];
            *place = *place << 4 | digit as u8;
        }
        match bytes.len() {
            TEXT_LEN => Ok(Self(address)),
            found if found < TEXT_LEN => Err(at(found).truncated(TEXT_LEN, found)),
            found => Err(at(TEXT_LEN).more_than(TEXT_LEN, found)),
        }
    }
}
