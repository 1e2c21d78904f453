//! Frames of the kind called Ethernet II, which carry IP (RFC 894, RFC 2464 §3), with the tag of
//! IEEE 802.1Q where there is one.

use core::fmt;

use crate::address::MacAddress;
use crate::crc;
use crate::error::{Error, Field, Reason};
use crate::field::{array, put, word};

/// The header without a tag, in bytes.
pub const HEADER_LEN: usize = 14;

/// What a tag adds to the header, in bytes.
pub const TAG_LEN: usize = 4;

/// The frame check sequence behind the payload, in bytes.
pub const FCS_LEN: usize = 4;

/// The least payload of a frame on a cable, in bytes; what is shorter is padded. (With 14 bytes of
/// header and 4 of trailer it makes 64, which once took as long to send as a collision took to notice.)
pub const MIN_PAYLOAD_LEN: usize = 46;

/// The most payload of a frame, in bytes, unless the link's machines have agreed on «jumbo» frames.
pub const MAX_PAYLOAD_LEN: usize = 1_500;

// ANCHOR: fields
/// Where each field stands.
#[expect(missing_docs, reason = "IEEE 802's own names; `Header` explains them")]
pub mod fields {
    use crate::error::Field;

    pub const DESTINATION: Field = Field::new("destination", 0, 48);
    pub const SOURCE: Field = Field::new("source", 48, 48);
    pub const ETHER_TYPE: Field = Field::new("ether_type", 96, 16);

    /// All of them, in their order, where there is no tag.
    pub const ALL: [Field; 3] = [DESTINATION, SOURCE, ETHER_TYPE];

    // The tag's own EtherType stands where the other would be.
    pub const TAG_TYPE: Field = Field::new("tag_type", 96, 16);
    pub const PRIORITY: Field = Field::new("priority", 112, 3);
    pub const DROP_ELIGIBLE: Field = Field::new("drop_eligible", 115, 1);
    pub const VLAN: Field = Field::new("vlan", 116, 12);
    pub const TAGGED_ETHER_TYPE: Field = Field::new("ether_type", 128, 16);

    /// All of them, in their order, where there is a tag.
    pub const ALL_TAGGED: [Field; 7] = [
        DESTINATION,
        SOURCE,
        TAG_TYPE,
        PRIORITY,
        DROP_ELIGIBLE,
        VLAN,
        TAGGED_ETHER_TYPE,
    ];

    /// The trailer, which begins at byte `at`.
    #[must_use]
    pub const fn frame_check_sequence(at: usize) -> Field {
        Field::new("frame_check_sequence", at * 8, 32)
    }
}
// ANCHOR_END: fields

use fields::{
    ALL, ALL_TAGGED, DESTINATION, ETHER_TYPE, PRIORITY, SOURCE, TAG_TYPE, TAGGED_ETHER_TYPE,
};

/// What the payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EtherType(pub u16);

#[expect(missing_docs, reason = "IANA's own names («IEEE 802 Numbers»)")]
impl EtherType {
    pub const IPV4: Self = Self(0x0800);
    pub const ARP: Self = Self(0x0806);
    /// A tag follows, and then the EtherType proper.
    pub const VLAN: Self = Self(0x8100);
    pub const IPV6: Self = Self(0x86dd);

    /// The least there is. A smaller number is a length, of a frame of another kind (IEEE 802.3
    /// §3.2.6).
    pub const LEAST: Self = Self(0x0600);
}

/// The name, or the number where it is none of those above.
impl fmt::Display for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match *self {
            Self::IPV4 => "IPv4",
            Self::ARP => "ARP",
            Self::VLAN => "VLAN",
            Self::IPV6 => "IPv6",
            Self(number) => return write!(f, "{number:#06x}"),
        })
    }
}

/// Priority Code Point, 3 bits: which frames a switch sends first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Priority(u8);

impl Priority {
    /// The priority, if it fits into 3 bits.
    #[must_use]
    pub const fn new(value: u8) -> Option<Self> {
        if value < 8 { Some(Self(value)) } else { None }
    }

    /// The 3 bits, as a number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// VLAN Identifier, 12 bits: to which of the networks that share the cable the frame belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct VlanId(u16);

impl VlanId {
    /// The identifier, if it fits into 12 bits. (0 means no network, a priority alone; 0xfff is
    /// reserved.)
    #[must_use]
    pub const fn new(value: u16) -> Option<Self> {
        if value < 1 << 12 {
            Some(Self(value))
        } else {
            None
        }
    }

    /// The 12 bits, as a number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// Four bytes that a switch puts into a frame, so that the next one knows to which virtual network it
/// belongs (IEEE 802.1Q).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Tag {
    /// Which frames go first.
    pub priority: Priority,
    /// Whether it may be dropped before others.
    pub drop_eligible: bool,
    /// The virtual network.
    pub vlan: VlanId,
}

impl Tag {
    const fn from_wire(bits: u16) -> Self {
        Self {
            priority: Priority((bits >> 13) as u8),
            drop_eligible: bits & 0x1000 != 0,
            vlan: VlanId(bits & 0x0fff),
        }
    }

    const fn to_wire(self) -> u16 {
        (self.priority.0 as u16) << 13 | (self.drop_eligible as u16) << 12 | self.vlan.0
    }
}

/// A header as a plain struct.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// The interface on this link, or the group of them, that the frame is for.
    pub destination: MacAddress,
    /// The interface on this link that sent it.
    pub source: MacAddress,
    /// The virtual network, if the frame says one.
    pub tag: Option<Tag>,
    /// What the payload is.
    pub ether_type: EtherType,
}

/// A frame: bytes that [`Frame::parse`] has checked. No getter fails or panics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    bytes: &'a [u8],
    fixed: &'a [u8; HEADER_LEN],
    /// What stands behind the tag's own type: the tag, and the type proper.
    tag: Option<&'a [u8; TAG_LEN]>,
    payload: &'a [u8],
}

impl<'a> Frame<'a> {
    // ANCHOR: parse
    /// Checks a frame as captures have it: without its check sequence, which the card takes off.
    ///
    /// The frame does not say how long its payload is. Bytes with which a short one was padded are
    /// part of it here, and the layer above knows better.
    ///
    /// # Errors
    ///
    /// Fewer bytes than the header has; an `ether_type` that is a length, of a frame of another kind.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let available = bytes.len();
        let Some((fixed, payload)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(Field::first_truncated(&ALL, available));
        };
        let ether_type = EtherType(word(fixed, ETHER_TYPE));
        if ether_type != EtherType::VLAN {
            ether_type.check(ETHER_TYPE)?;
            return Ok(Self {
                bytes,
                fixed,
                tag: None,
                payload,
            });
        }

        let Some((tag, payload)) = payload.split_first_chunk::<TAG_LEN>() else {
            return Err(Field::first_truncated(&ALL_TAGGED, available));
        };
        tagged_type(tag).check(TAGGED_ETHER_TYPE)?;
        Ok(Self {
            bytes,
            fixed,
            tag: Some(tag),
            payload,
        })
    }

    /// Checks a frame as it is on the cable, with the check sequence at its end.
    ///
    /// # Errors
    ///
    /// Those of [`crc::open`], before any field is looked at, and those of [`Frame::parse`].
    pub fn parse_with_fcs(bytes: &'a [u8]) -> Result<Self, Error> {
        Self::parse(crc::open(bytes)?)
    }
    // ANCHOR_END: parse

    /// The header's fields.
    #[must_use]
    #[inline]
    pub fn header(&self) -> Header {
        Header {
            destination: MacAddress(array(self.fixed, DESTINATION)),
            source: MacAddress(array(self.fixed, SOURCE)),
            tag: self
                .tag
                .map(|&[high, low, ..]| Tag::from_wire(u16::from_be_bytes([high, low]))),
            ether_type: match self.tag {
                None => EtherType(word(self.fixed, ETHER_TYPE)),
                Some(tag) => tagged_type(tag),
            },
        }
    }

    /// What the frame carries, and the padding behind it if there is some.
    #[must_use]
    #[inline]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The frame without its check sequence.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// The type proper of a tagged frame.
const fn tagged_type(&[_, _, high, low]: &[u8; TAG_LEN]) -> EtherType {
    EtherType(u16::from_be_bytes([high, low]))
}

impl EtherType {
    /// That it is not a length.
    #[inline]
    fn check(self, field: Field) -> Result<(), Error> {
        if self < Self::LEAST {
            return Err(field.less_than(Self::LEAST.0.into(), self.0.into()));
        }
        Ok(())
    }
}

impl Header {
    /// How many bytes [`emit`](Self::emit) writes: 14, or 18 with a tag.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        match self.tag {
            None => HEADER_LEN,
            Some(_) => HEADER_LEN + TAG_LEN,
        }
    }

    // ANCHOR: emit
    /// Writes the header to the front of `frame` and gives the part behind it, which stays as it is.
    /// The check sequence is another matter ([`crc::seal`]).
    ///
    /// # Errors
    ///
    /// When the header does not fit into `frame`, when `ether_type` is a length, or when it announces
    /// a tag and there is none. Then nothing has been written.
    #[inline]
    pub fn emit<'f>(&self, frame: &'f mut [u8]) -> Result<&'f mut [u8], Error> {
        let available = frame.len();
        let Some(tag) = self.tag else {
            self.ether_type.check(ETHER_TYPE)?;
            if self.ether_type == EtherType::VLAN {
                let found = EtherType::VLAN.0.into();
                return Err(ETHER_TYPE.error(Reason::Misplaced { found }));
            }
            let Some((fixed, payload)) = frame.split_first_chunk_mut::<HEADER_LEN>() else {
                return Err(Field::first_truncated(&ALL, available));
            };
            put(fixed, DESTINATION, self.destination.0);
            put(fixed, SOURCE, self.source.0);
            put(fixed, ETHER_TYPE, self.ether_type.0.to_be_bytes());
            return Ok(payload);
        };

        self.ether_type.check(TAGGED_ETHER_TYPE)?;
        let Some((fixed, payload)) = frame.split_first_chunk_mut::<{ HEADER_LEN + TAG_LEN }>()
        else {
            return Err(Field::first_truncated(&ALL_TAGGED, available));
        };
        put(fixed, DESTINATION, self.destination.0);
        put(fixed, SOURCE, self.source.0);
        put(fixed, TAG_TYPE, EtherType::VLAN.0.to_be_bytes());
        put(fixed, PRIORITY, tag.to_wire().to_be_bytes());
        put(fixed, TAGGED_ETHER_TYPE, self.ether_type.0.to_be_bytes());
        Ok(payload)
    }
    // ANCHOR_END: emit
}
