//! Fields by name and place, and what is wrong with one.

use core::fmt;

/// A field's name and place. Each format lists its own: the list says where a getter reads, what an
/// error names, and what a figure draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// The name of its getter.
    pub name: &'static str,
    /// Its first bit, counted from the most significant bit of the packet's first byte.
    pub bit: usize,
    /// How many bits it takes.
    pub bits: usize,
}

impl Field {
    /// A field of `bits` bits from bit `bit` on.
    #[must_use]
    pub const fn new(name: &'static str, bit: usize, bits: usize) -> Self {
        Self { name, bit, bits }
    }

    /// The byte in which it begins.
    #[must_use]
    pub const fn offset(self) -> usize {
        self.bit / 8
    }

    /// The byte after its last.
    #[must_use]
    pub const fn end(self) -> usize {
        (self.bit + self.bits).div_ceil(8)
    }

    /// This is wrong with it.
    #[must_use]
    pub const fn error(self, reason: Reason) -> Error {
        Error {
            field: self.name,
            offset: self.offset(),
            reason,
        }
    }

    /// It is another than the only value possible.
    #[must_use]
    pub const fn not(self, expected: usize, found: usize) -> Error {
        self.error(Reason::Not { expected, found })
    }

    /// It is less than the format allows.
    #[must_use]
    pub const fn less_than(self, least: usize, found: usize) -> Error {
        self.error(Reason::LessThan { least, found })
    }

    /// It is more than the format allows, or than there is.
    #[must_use]
    pub const fn more_than(self, most: usize, found: usize) -> Error {
        self.error(Reason::MoreThan { most, found })
    }

    /// The bytes end before it does.
    #[must_use]
    pub const fn truncated(self, needed: usize, available: usize) -> Error {
        self.error(Reason::Truncated { needed, available })
    }

    /// Only `available` bytes are there of a header with these fields: the error names the first
    /// of them that is not there as a whole.
    #[must_use]
    pub fn first_truncated(fields: &[Self], available: usize) -> Error {
        let needed = fields.last().map_or(0, |last| last.end());
        let cut = fields.iter().find(|field| field.end() > available);
        cut.unwrap_or(&Self::new("header", 0, 0))
            .truncated(needed, available)
    }
}

/// Why bytes are no packet, or a header cannot be written.
///
/// Compare it in tests, show it to people: `total_len at byte 2 is 1500, more than 60`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    /// The field, by the name of its getter.
    pub field: &'static str,
    /// The field's first byte, counted from the start of the packet. It is what the pointer of an
    /// ICMP Parameter Problem tells the sender (RFC 792, RFC 4443 §3.4).
    pub offset: usize,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The bytes end before the field, or what it begins, does.
    Truncated {
        /// How many bytes the packet must have, in all, to go on.
        needed: usize,
        /// How many there are.
        available: usize,
    },
    /// Only one value is possible.
    Not {
        /// That value.
        expected: usize,
        /// What stands there.
        found: usize,
    },
    /// Less than the format allows.
    LessThan {
        /// The least that it allows.
        least: usize,
        /// What stands there.
        found: usize,
    },
    /// More than the format allows, or than there is.
    MoreThan {
        /// The most that is possible.
        most: usize,
        /// What stands there.
        found: usize,
    },
    /// Not a whole number of the format's units.
    NotMultipleOf {
        /// The unit.
        unit: usize,
        /// What was asked for.
        found: usize,
    },
    /// Some bit under the checksum is not what it was when the packet was sent.
    Checksum {
        /// What belongs there, according to the other bytes.
        computed: u16,
        /// What stands there.
        found: u16,
    },
    /// A header of this kind may not stand at this place.
    Misplaced {
        /// Its kind.
        found: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {} ", self.field, self.offset)?;
        match self.reason {
            Reason::Truncated { needed, available } => {
                write!(f, "is cut off: {available} of {needed} bytes are there")
            }
            Reason::Not { expected, found } => write!(f, "is {found}, not {expected}"),
            Reason::LessThan { least, found } => write!(f, "is {found}, less than {least}"),
            Reason::MoreThan { most, found } => write!(f, "is {found}, more than {most}"),
            Reason::NotMultipleOf { unit, found } => {
                write!(f, "is {found}, not a multiple of {unit}")
            }
            Reason::Checksum { computed, found } => {
                write!(f, "is {found:#06x}, but the bytes give {computed:#06x}")
            }
            Reason::Misplaced { found } => write!(f, "is {found}, which has no place here"),
        }
    }
}

impl core::error::Error for Error {}
