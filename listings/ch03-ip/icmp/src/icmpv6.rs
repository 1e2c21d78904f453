//! ICMP over IPv6 (RFC 4443).
//!
//! Unlike ICMP over IPv4 it is not only for errors and echoes: neighbours and routers find each other
//! by it (RFC 4861), and hosts join groups (RFC 2710, RFC 9777). Those are known here by their types.
//! Its checksum covers the addresses, as UDP's does.

use core::fmt;

use ip_header::{Addresses, Protocol};
use layers_checksum::Sum;
use layers_ethernet::error::{Error, Field, Reason};
use layers_ethernet::field::{array, put, word};

use crate::{Echo, HEADER_LEN, Quoted, original_datagram};

/// Where each field stands (RFC 4443 §2.1). What the last four bytes are differs from type to type.
#[expect(missing_docs, reason = "the RFCs' own names; `Header` explains them")]
pub mod fields {
    use layers_ethernet::error::Field;

    pub const TYPE: Field = Field::new("type", 0, 8);
    pub const CODE: Field = Field::new("code", 8, 8);
    pub const CHECKSUM: Field = Field::new("checksum", 16, 16);
    /// The first four bytes of the «message body».
    pub const REST: Field = Field::new("rest", 32, 32);

    /// Of Echo Request and Echo Reply.
    pub const IDENTIFIER: Field = Field::new("identifier", 32, 16);
    pub const SEQUENCE: Field = Field::new("sequence", 48, 16);
    /// Of Packet Too Big.
    pub const MTU: Field = Field::new("mtu", 32, 32);
    /// Of Parameter Problem.
    pub const POINTER: Field = Field::new("pointer", 32, 32);
    /// Of Destination Unreachable and Time Exceeded (RFC 4884 §4).
    pub const LENGTH: Field = Field::new("length", 32, 8);

    /// Those that all types have.
    pub const ALL: [Field; 4] = [TYPE, CODE, CHECKSUM, REST];
}

use fields::{ALL, CHECKSUM, CODE, LENGTH, REST, TYPE};

/// In which units `length` counts (RFC 4884 §4): 8 bytes.
const LENGTH_UNIT: usize = 8;

/// What a message is (IANA's «ICMPv6 Parameters»).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Type(pub u8);

#[expect(missing_docs, reason = "IANA's own names")]
impl Type {
    pub const DESTINATION_UNREACHABLE: Self = Self(1);
    pub const PACKET_TOO_BIG: Self = Self(2);
    pub const TIME_EXCEEDED: Self = Self(3);
    pub const PARAMETER_PROBLEM: Self = Self(4);
    pub const ECHO_REQUEST: Self = Self(128);
    pub const ECHO_REPLY: Self = Self(129);
    pub const MULTICAST_LISTENER_QUERY: Self = Self(130);
    pub const MULTICAST_LISTENER_REPORT: Self = Self(131);
    pub const MULTICAST_LISTENER_DONE: Self = Self(132);
    pub const ROUTER_SOLICITATION: Self = Self(133);
    pub const ROUTER_ADVERTISEMENT: Self = Self(134);
    pub const NEIGHBOR_SOLICITATION: Self = Self(135);
    pub const NEIGHBOR_ADVERTISEMENT: Self = Self(136);
    pub const REDIRECT: Self = Self(137);
    pub const MULTICAST_LISTENER_REPORT_V2: Self = Self(143);

    /// Whether it is about a packet, which it quotes: the highest bit tells, for types that are not
    /// yet invented, too (RFC 4443 §2.1). No such message may be sent about another (§2.4).
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0 < 128
    }

    /// Whether it has a `length` (RFC 4884 §4.6), and so may have an extension.
    const fn has_length(self) -> bool {
        matches!(self, Self::DESTINATION_UNREACHABLE | Self::TIME_EXCEEDED)
    }
}

/// The name, or the number where it is none of those above.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match *self {
            Self::DESTINATION_UNREACHABLE => "Destination Unreachable",
            Self::PACKET_TOO_BIG => "Packet Too Big",
            Self::TIME_EXCEEDED => "Time Exceeded",
            Self::PARAMETER_PROBLEM => "Parameter Problem",
            Self::ECHO_REQUEST => "Echo Request",
            Self::ECHO_REPLY => "Echo Reply",
            Self::MULTICAST_LISTENER_QUERY => "Multicast Listener Query",
            Self::MULTICAST_LISTENER_REPORT => "Multicast Listener Report",
            Self::MULTICAST_LISTENER_DONE => "Multicast Listener Done",
            Self::ROUTER_SOLICITATION => "Router Solicitation",
            Self::ROUTER_ADVERTISEMENT => "Router Advertisement",
            Self::NEIGHBOR_SOLICITATION => "Neighbor Solicitation",
            Self::NEIGHBOR_ADVERTISEMENT => "Neighbor Advertisement",
            Self::REDIRECT => "Redirect",
            Self::MULTICAST_LISTENER_REPORT_V2 => "Version 2 Multicast Listener Report",
            Self(number) => return number.fmt(f),
        })
    }
}

/// Why a destination cannot be reached (RFC 4443 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Unreachable(pub u8);

impl Unreachable {
    /// A router knows no way.
    pub const NO_ROUTE: Self = Self(0);
    /// A filter does not let it pass.
    pub const PROHIBITED: Self = Self(1);
    /// The last router does not find the host.
    pub const ADDRESS: Self = Self(3);
    /// Nobody has the port.
    pub const PORT: Self = Self(4);
}

/// Which time was exceeded (RFC 4443 §3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeExceeded(pub u8);

impl TimeExceeded {
    /// The hop limit was used up on the way.
    pub const IN_TRANSIT: Self = Self(0);
    /// Not all fragments have come in time.
    pub const REASSEMBLY: Self = Self(1);
}

/// A header as a plain enum: what a sender chooses. The checksum follows from the message and the
/// addresses. What the RFC calls unused is written as zero and not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// The packet that is quoted will not arrive.
    DestinationUnreachable {
        /// Why not.
        code: Unreachable,
        /// `length`: how many words of 8 bytes the quoted packet has, if an extension follows it;
        /// 0 if all that there is is the packet (RFC 4884 §4.4).
        quoted_words: u8,
    },
    /// The packet that is quoted does not fit into the next link.
    PacketTooBig {
        /// How many bytes a packet may have there.
        mtu: u32,
    },
    /// The packet that is quoted was dropped since it, or its fragments, took too long.
    TimeExceeded {
        /// Which.
        code: TimeExceeded,
        /// As above.
        quoted_words: u8,
    },
    /// A header of the packet that is quoted makes no sense.
    ParameterProblem {
        /// 0: a field; 1: a next header; 2: an option that must be known (RFC 4443 §3.4).
        code: u8,
        /// The first byte that makes no sense, counted from the start of the packet; it may lie
        /// behind what is quoted.
        pointer: u32,
    },
    /// Asks for an [`EchoReply`](Self::EchoReply).
    EchoRequest(Echo),
    /// Answers an [`EchoRequest`](Self::EchoRequest) with its own payload.
    EchoReply(Echo),
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

impl Header {
    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> Type {
        match self {
            Self::DestinationUnreachable { .. } => Type::DESTINATION_UNREACHABLE,
            Self::PacketTooBig { .. } => Type::PACKET_TOO_BIG,
            Self::TimeExceeded { .. } => Type::TIME_EXCEEDED,
            Self::ParameterProblem { .. } => Type::PARAMETER_PROBLEM,
            Self::EchoRequest(_) => Type::ECHO_REQUEST,
            Self::EchoReply(_) => Type::ECHO_REPLY,
            Self::Other { kind, .. } => *kind,
        }
    }

    /// The code, and the four bytes behind the checksum.
    const fn code_and_rest(&self) -> (u8, [u8; 4]) {
        match *self {
            Self::DestinationUnreachable { code, quoted_words } => {
                (code.0, [quoted_words, 0, 0, 0])
            }
            Self::PacketTooBig { mtu } => (0, mtu.to_be_bytes()),
            Self::TimeExceeded { code, quoted_words } => (code.0, [quoted_words, 0, 0, 0]),
            Self::ParameterProblem { code, pointer } => (code, pointer.to_be_bytes()),
            Self::EchoRequest(echo) | Self::EchoReply(echo) => (0, echo.to_wire()),
            Self::Other { code, rest, .. } => (code, rest),
        }
    }

    /// Writes the header to the front of `message`, which is as long as the message shall be, and
    /// whose payload is there already, since the checksum covers it, and the addresses of the packet
    /// that will carry it. Gives the payload.
    ///
    /// # Errors
    ///
    /// When the header does not fit into `message`. Then nothing has been written.
    #[inline]
    pub fn emit<'m>(
        &self,
        addresses: Addresses,
        message: &'m mut [u8],
    ) -> Result<&'m mut [u8], Error> {
        let pseudo_header = pseudo_header(addresses, message);
        let available = message.len();
        let Some((front, payload)) = message.split_first_chunk_mut::<HEADER_LEN>() else {
            return Err(Field::first_truncated(&ALL, available));
        };
        let (code, rest) = self.code_and_rest();
        let fixed = &mut [0; HEADER_LEN];
        fixed[TYPE.offset()] = self.kind().0;
        fixed[CODE.offset()] = code;
        put(fixed, REST, rest);
        let sum = pseudo_header.bytes(fixed).bytes(payload);
        put(fixed, CHECKSUM, sum.checksum().to_be_bytes());
        *front = *fixed;
        Ok(payload)
    }
}

/// The sum that the checksum begins with (RFC 4443 §2.3).
fn pseudo_header(addresses: Addresses, message: &[u8]) -> Sum {
    // An IPv6 packet carries less than 4 GiB; beyond, the sum would be of no message.
    addresses.pseudo_header(Protocol::ICMPV6, message.len() as u32)
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
    /// Checks a message: all that an IPv6 packet between these addresses has for the upper layer.
    ///
    /// # Errors
    ///
    /// In this order: fewer bytes than a header has; another checksum than the bytes and addresses
    /// give; a `length` beyond the bytes.
    #[inline]
    pub fn parse(addresses: Addresses, bytes: &'a [u8]) -> Result<Self, Error> {
        let Some((fixed, payload)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(Field::first_truncated(&ALL, bytes.len()));
        };
        let pseudo_header = pseudo_header(addresses, bytes);
        if !pseudo_header.bytes(bytes).is_valid() {
            let (before, after) = bytes.split_at(CHECKSUM.offset());
            let sum = pseudo_header.bytes(before).bytes(&after[2..]);
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
        match self.kind() {
            Type::DESTINATION_UNREACHABLE => Header::DestinationUnreachable {
                code: Unreachable(code),
                quoted_words: rest[0],
            },
            Type::PACKET_TOO_BIG => Header::PacketTooBig {
                mtu: u32::from_be_bytes(rest),
            },
            Type::TIME_EXCEEDED => Header::TimeExceeded {
                code: TimeExceeded(code),
                quoted_words: rest[0],
            },
            Type::PARAMETER_PROBLEM => Header::ParameterProblem {
                code,
                pointer: u32::from_be_bytes(rest),
            },
            Type::ECHO_REQUEST if code == 0 => Header::EchoRequest(Echo::from_wire(rest)),
            Type::ECHO_REPLY if code == 0 => Header::EchoReply(Echo::from_wire(rest)),
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

    /// The checksum of the whole message and the addresses. It is right.
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
