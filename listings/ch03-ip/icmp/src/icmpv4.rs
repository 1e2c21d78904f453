//! ICMP over IPv4 (RFC 792).

use core::fmt;
use core::net::Ipv4Addr;

use layers_checksum::Sum;
use layers_ethernet::error::{Error, Field, Reason};
use layers_ethernet::field::{array, put, word};

use crate::{Echo, HEADER_LEN, Quoted, original_datagram};

// ANCHOR: fields
/// Where each field stands (RFC 792). What the last four bytes are differs from type to type.
#[expect(missing_docs, reason = "the RFCs' own names; `Header` explains them")]
pub mod fields {
    use layers_ethernet::error::Field;

    pub const TYPE: Field = Field::new("type", 0, 8);
    pub const CODE: Field = Field::new("code", 8, 8);
    pub const CHECKSUM: Field = Field::new("checksum", 16, 16);
    /// «Rest of Header».
    pub const REST: Field = Field::new("rest", 32, 32);

    /// Of Echo and Echo Reply.
    pub const IDENTIFIER: Field = Field::new("identifier", 32, 16);
    pub const SEQUENCE: Field = Field::new("sequence", 48, 16);
    /// Of Parameter Problem.
    pub const POINTER: Field = Field::new("pointer", 32, 8);
    /// Of Destination Unreachable, Time Exceeded and Parameter Problem (RFC 4884 §4).
    pub const LENGTH: Field = Field::new("length", 40, 8);
    /// Of Destination Unreachable (RFC 1191 §4).
    pub const NEXT_HOP_MTU: Field = Field::new("next_hop_mtu", 48, 16);
    /// Of Redirect.
    pub const GATEWAY: Field = Field::new("gateway", 32, 32);

    /// Those that all types have.
    pub const ALL: [Field; 4] = [TYPE, CODE, CHECKSUM, REST];
}
// ANCHOR_END: fields

use fields::{ALL, CHECKSUM, CODE, LENGTH, REST, TYPE};

/// In which units `length` counts (RFC 4884 §4): 4 bytes.
const LENGTH_UNIT: usize = 4;

/// What a message is (IANA's «ICMP Parameters»).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Type(pub u8);

#[expect(missing_docs, reason = "IANA's own names")]
impl Type {
    pub const ECHO_REPLY: Self = Self(0);
    pub const DESTINATION_UNREACHABLE: Self = Self(3);
    /// Must not be sent any more (RFC 6633 §3).
    pub const SOURCE_QUENCH: Self = Self(4);
    pub const REDIRECT: Self = Self(5);
    pub const ECHO: Self = Self(8);
    pub const ROUTER_ADVERTISEMENT: Self = Self(9);
    pub const ROUTER_SOLICITATION: Self = Self(10);
    pub const TIME_EXCEEDED: Self = Self(11);
    pub const PARAMETER_PROBLEM: Self = Self(12);
    pub const TIMESTAMP: Self = Self(13);
    pub const TIMESTAMP_REPLY: Self = Self(14);

    /// Whether it is about a packet, which it quotes. No such message may be sent about another
    /// (RFC 1122 §3.2.2).
    #[must_use]
    pub const fn is_error(self) -> bool {
        matches!(
            self,
            Self::DESTINATION_UNREACHABLE
                | Self::SOURCE_QUENCH
                | Self::REDIRECT
                | Self::TIME_EXCEEDED
                | Self::PARAMETER_PROBLEM
        )
    }

    /// Whether it has a `length` (RFC 4884 §4.6), and so may have an extension.
    const fn has_length(self) -> bool {
        matches!(
            self,
            Self::DESTINATION_UNREACHABLE | Self::TIME_EXCEEDED | Self::PARAMETER_PROBLEM
        )
    }
}

/// The name, or the number where it is none of those above.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match *self {
            Self::ECHO_REPLY => "Echo Reply",
            Self::DESTINATION_UNREACHABLE => "Destination Unreachable",
            Self::SOURCE_QUENCH => "Source Quench",
            Self::REDIRECT => "Redirect",
            Self::ECHO => "Echo",
            Self::ROUTER_ADVERTISEMENT => "Router Advertisement",
            Self::ROUTER_SOLICITATION => "Router Solicitation",
            Self::TIME_EXCEEDED => "Time Exceeded",
            Self::PARAMETER_PROBLEM => "Parameter Problem",
            Self::TIMESTAMP => "Timestamp",
            Self::TIMESTAMP_REPLY => "Timestamp Reply",
            Self(number) => return number.fmt(f),
        })
    }
}

/// Why a destination cannot be reached (RFC 792; RFC 1122 §3.2.2.1; RFC 1812 §5.2.7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Unreachable(pub u8);

impl Unreachable {
    /// A router knows no way to the network.
    pub const NETWORK: Self = Self(0);
    /// The last router does not find the host.
    pub const HOST: Self = Self(1);
    /// The host does not have the protocol.
    pub const PROTOCOL: Self = Self(2);
    /// Nobody has the port.
    pub const PORT: Self = Self(3);
    /// The packet is too big for the next link and must not be cut (RFC 1191 §4).
    pub const FRAGMENTATION_NEEDED: Self = Self(4);
    /// A filter does not let it pass.
    pub const PROHIBITED: Self = Self(13);
}

/// Which time was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeExceeded(pub u8);

impl TimeExceeded {
    /// The TTL was used up on the way.
    pub const IN_TRANSIT: Self = Self(0);
    /// Not all fragments have come in time.
    pub const REASSEMBLY: Self = Self(1);
}

// ANCHOR: header
/// A header as a plain enum: what a sender chooses. The checksum follows from the message. What an
/// RFC calls unused is written as zero and not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// Answers an [`Echo`](Self::Echo) with its own payload.
    EchoReply(Echo),
    /// The packet that is quoted will not arrive.
    DestinationUnreachable {
        /// Why not.
        code: Unreachable,
        /// `length`: how many words of 4 bytes the quoted packet has, if an extension follows it;
        /// 0 if all that there is is the packet (RFC 4884 §4.1).
        quoted_words: u8,
        /// With [`Unreachable::FRAGMENTATION_NEEDED`]: how many bytes a packet may have for the
        /// next link. From a router that does not know RFC 1191, zero, as in all other messages.
        next_hop_mtu: u16,
    },
    /// Asks for an [`EchoReply`](Self::EchoReply).
    Echo(Echo),
    /// The packet that is quoted was dropped since it, or its fragments, took too long.
    TimeExceeded {
        /// Which.
        code: TimeExceeded,
        /// As above.
        quoted_words: u8,
    },
    /// The header of the packet that is quoted makes no sense.
    ParameterProblem {
        /// 0: the pointer says where. 1: an option is missing (RFC 1122 §3.2.2.5).
        code: u8,
        /// The first byte that makes no sense, counted from the start of the packet, as the
        /// `offset` of an [`Error`] is.
        pointer: u8,
        /// As above.
        quoted_words: u8,
    },
    /// Another router on the same link is nearer to the destination.
    Redirect {
        /// For which packets: 0 network, 1 host, 2 and 3 the same for a type of service.
        code: u8,
        /// The other router.
        gateway: Ipv4Addr,
    },
    /// Any other type, or an echo with a code.
    Other {
        /// The type.
        kind: Type,
        /// The code.
        code: u8,
        /// The four bytes behind the checksum.
        rest: [u8; 4],
    },
}
// ANCHOR_END: header

impl Header {
    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> Type {
        match self {
            Self::EchoReply(_) => Type::ECHO_REPLY,
            Self::DestinationUnreachable { .. } => Type::DESTINATION_UNREACHABLE,
            Self::Echo(_) => Type::ECHO,
            Self::TimeExceeded { .. } => Type::TIME_EXCEEDED,
            Self::ParameterProblem { .. } => Type::PARAMETER_PROBLEM,
            Self::Redirect { .. } => Type::REDIRECT,
            Self::Other { kind, .. } => *kind,
        }
    }

    /// The code, and the four bytes behind the checksum.
    const fn code_and_rest(&self) -> (u8, [u8; 4]) {
        match *self {
            Self::Echo(echo) | Self::EchoReply(echo) => (0, echo.to_wire()),
            Self::DestinationUnreachable {
                code,
                quoted_words,
                next_hop_mtu,
            } => {
                let [high, low] = next_hop_mtu.to_be_bytes();
                (code.0, [0, quoted_words, high, low])
            }
            Self::TimeExceeded { code, quoted_words } => (code.0, [0, quoted_words, 0, 0]),
            Self::ParameterProblem {
                code,
                pointer,
                quoted_words,
            } => (code, [pointer, quoted_words, 0, 0]),
            Self::Redirect { code, gateway } => (code, gateway.octets()),
            Self::Other { code, rest, .. } => (code, rest),
        }
    }

    // ANCHOR: emit
    /// Writes the header to the front of `message`, which is as long as the message shall be, and
    /// whose payload is there already, since the checksum covers it. Gives the payload.
    ///
    /// # Errors
    ///
    /// When the header does not fit into `message`. Then nothing has been written.
    #[inline]
    pub fn emit<'m>(&self, message: &'m mut [u8]) -> Result<&'m mut [u8], Error> {
        let available = message.len();
        let Some((front, payload)) = message.split_first_chunk_mut::<HEADER_LEN>() else {
            return Err(Field::first_truncated(&ALL, available));
        };
        let (code, rest) = self.code_and_rest();
        let fixed = &mut [0; HEADER_LEN];
        fixed[TYPE.offset()] = self.kind().0;
        fixed[CODE.offset()] = code;
        put(fixed, REST, rest);
        let sum = Sum::new().bytes(fixed).bytes(payload);
        put(fixed, CHECKSUM, sum.checksum().to_be_bytes());
        *front = *fixed;
        Ok(payload)
    }
    // ANCHOR_END: emit
}

/// A message: bytes that [`Message::parse`] has checked. No getter fails or panics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    bytes: &'a [u8],
    fixed: &'a [u8; HEADER_LEN],
    payload: &'a [u8],
}

impl<'a> Message<'a> {
    // ANCHOR: parse
    /// Checks a message: all that an IPv4 packet of protocol 1 carries.
    ///
    /// # Errors
    ///
    /// In this order: fewer bytes than a header has; another checksum than the bytes give; a
    /// `length` beyond the bytes.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let Some((fixed, payload)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(Field::first_truncated(&ALL, bytes.len()));
        };
        if !Sum::new().bytes(bytes).is_valid() {
            let (before, after) = bytes.split_at(CHECKSUM.offset());
            let sum = Sum::new().bytes(before).bytes(&after[2..]);
            return Err(CHECKSUM.error(Reason::Checksum {
                computed: sum.checksum(),
                found: word(fixed, CHECKSUM),
            }));
        }
        let message = Self {
            bytes,
            fixed,
            payload,
        };
        let words = usize::from(message.quoted_words());
        if words * LENGTH_UNIT > payload.len() {
            return Err(LENGTH.more_than(payload.len() / LENGTH_UNIT, words));
        }
        Ok(message)
    }
    // ANCHOR_END: parse

    /// The header's fields, as the sender chose them.
    #[must_use]
    #[inline]
    pub fn header(&self) -> Header {
        let code = self.code();
        let rest: [u8; 4] = array(self.fixed, REST);
        let [first, quoted_words, high, low] = rest;
        match self.kind() {
            Type::ECHO_REPLY if code == 0 => Header::EchoReply(Echo::from_wire(rest)),
            Type::DESTINATION_UNREACHABLE => Header::DestinationUnreachable {
                code: Unreachable(code),
                quoted_words,
                next_hop_mtu: u16::from_be_bytes([high, low]),
            },
            Type::ECHO if code == 0 => Header::Echo(Echo::from_wire(rest)),
            Type::TIME_EXCEEDED => Header::TimeExceeded {
                code: TimeExceeded(code),
                quoted_words,
            },
            Type::PARAMETER_PROBLEM => Header::ParameterProblem {
                code,
                pointer: first,
                quoted_words,
            },
            Type::REDIRECT => Header::Redirect {
                code,
                gateway: rest.into(),
            },
            kind => Header::Other { kind, code, rest },
        }
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> Type {
        Type(self.fixed[TYPE.offset()])
    }

    /// What it means depends on the type.
    #[must_use]
    pub const fn code(&self) -> u8 {
        self.fixed[CODE.offset()]
    }

    /// The checksum of the whole message. It is right.
    #[must_use]
    pub fn checksum(&self) -> u16 {
        word(self.fixed, CHECKSUM)
    }

    /// `length`, of the types that have it.
    const fn quoted_words(&self) -> u8 {
        if self.kind().has_length() {
            self.fixed[LENGTH.offset()]
        } else {
            0
        }
    }

    /// What follows the header: an echo's data, an error's quoted packet.
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The whole message.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The packet that an error is about; none in other messages.
    #[must_use]
    #[inline]
    pub fn quoted(&self) -> Option<Result<Quoted<'a>, Error>> {
        let length = usize::from(self.quoted_words()) * LENGTH_UNIT;
        let is_error = self.kind().is_error();
        is_error.then(|| Quoted::parse(original_datagram(self.payload, length)))
    }

    /// The extension behind the quoted packet (RFC 4884 §7), unread; empty if `length` tells of none.
    #[must_use]
    pub fn extension(&self) -> &'a [u8] {
        match usize::from(self.quoted_words()) * LENGTH_UNIT {
            0 => &[],
            length => self.payload.get(length..).unwrap_or(&[]),
        }
    }
}
