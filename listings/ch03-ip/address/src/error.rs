//! Where a text stops being an address, and why.

use std::fmt;

use crate::prefix::Prefix;

/// Why a text is no address, or no network.
///
/// Compare it in tests, show it to people: `at byte 8: 256 is more than 255`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    /// The byte of the text, counted from 0, at which it goes wrong: the first of a number that is
    /// too large, or a byte that has no place there. It is the text's length when the text ends too
    /// early.
    pub at: usize,
    /// What is wrong.
    pub reason: Reason,
}

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The text ends where this was still to come.
    Ends(Expected),
    /// Something else stands where this was to come.
    Unexpected {
        /// What stands there.
        found: char,
        /// What was to come.
        expected: Expected,
    },
    /// More digits than the number may have.
    TooManyDigits {
        /// How many it may have.
        most: usize,
    },
    /// A number larger than its place holds.
    TooLarge {
        /// The number.
        found: u32,
        /// The largest that there may be.
        most: u32,
    },
    /// A decimal number that begins with 0 and goes on: some programs would read it as octal.
    LeadingZero,
    /// A ninth group, or `::` where it would stand for no group at all.
    TooManyGroups,
    /// A second `::`. Which of them stood for how many zeros, could not be told.
    SecondDoubleColon,
    /// A zone with more bytes than an interface's name has.
    ZoneTooLong {
        /// How many it may have.
        most: usize,
    },
    /// A text longer than any address.
    TextTooLong {
        /// How many bytes it may have.
        most: usize,
    },
    /// The address has bits set beyond the prefix, so it is a host in a network, and no network.
    HostBits {
        /// The network in which it lies.
        network: Prefix,
    },
}

/// What was to come in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// An IPv4 address or an IPv6 address.
    Address,
    /// A decimal digit.
    Digit,
    /// The dot between two numbers of an IPv4 address.
    Dot,
    /// A group of hexadecimal digits, or one colon more.
    Group,
    /// The colon between two groups.
    Colon,
    /// A zone's name or number.
    Zone,
    /// The slash in front of a prefix's length.
    Slash,
    /// Nothing: the text is complete.
    End,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "an address",
            Self::Digit => "a decimal digit",
            Self::Dot => "a dot",
            Self::Group => "a group of hexadecimal digits",
            Self::Colon => "a colon",
            Self::Zone => "a zone",
            Self::Slash => "a slash and the length of a prefix",
            Self::End => "the end",
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: ", self.at)?;
        match self.reason {
            Reason::Ends(expected) => write!(f, "the text ends, and {expected} is missing"),
            Reason::Unexpected { found, expected } => write!(f, "{found:?} instead of {expected}"),
            Reason::TooManyDigits { most } => write!(f, "a digit too many, after {most}"),
            Reason::TooLarge { found, most } => write!(f, "{found} is more than {most}"),
            Reason::LeadingZero => f.write_str("a leading zero, which some would read as octal"),
            Reason::TooManyGroups => f.write_str("a group too many: the address has 128 bits"),
            Reason::SecondDoubleColon => f.write_str("a second `::`"),
            Reason::ZoneTooLong { most } => write!(f, "a zone longer than {most} bytes"),
            Reason::TextTooLong { most } => write!(f, "a text longer than {most} bytes"),
            Reason::HostBits { network } => {
                write!(f, "bits of a host are set; the network is {network}")
            }
        }
    }
}

impl std::error::Error for Error {}
