//! Numbers with names: what IANA's «Domain Name System (DNS) Parameters» list.

use core::fmt;
use core::ops::{BitOr, BitOrAssign};
use core::str::FromStr;

/// Gives each number its name, and shows it by that.
macro_rules! names {
    ($type:ident, $else:literal, { $($(#[$doc:meta])* $name:ident = $number:literal,)* }) => {
        impl $type {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// Its name, if it has one here.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => write!(f, concat!($else, "{}"), self.0),
                }
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

/// What a record holds, or a question asks for (RFC 1035 §3.2.2, §3.2.3).
///
/// ```
/// use udp_dns_message::Type;
///
/// assert_eq!(Type::AAAA.to_string(), "AAAA");
/// assert_eq!(Type(731).to_string(), "TYPE731"); // RFC 3597 §5
/// assert_eq!("type28".parse(), Ok(Type::AAAA));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Type(pub u16);

names!(Type, "TYPE", {
    /// An IPv4 address.
    A = 1,
    /// A name server of the zone.
    NS = 2,
    /// Another name, under which all the rest is to be found.
    CNAME = 5,
    /// Start of a zone of authority: the zone's serial number and its times.
    SOA = 6,
    /// Another name, to which nothing else is bound; mostly a host's name, found by its address.
    PTR = 12,
    /// A host that accepts mail for the name.
    MX = 15,
    /// Strings.
    TXT = 16,
    /// An IPv6 address (RFC 3596).
    AAAA = 28,
    /// Where a service is (RFC 2782).
    SRV = 33,
    /// No record: what the sender can do (RFC 6891).
    OPT = 41,
    /// A signer's digest of a key (RFC 4034 §5).
    DS = 43,
    /// A signature (RFC 4034 §3).
    RRSIG = 46,
    /// The next name there is (RFC 4034 §4).
    NSEC = 47,
    /// A key (RFC 4034 §2).
    DNSKEY = 48,
    /// How to reach a service (RFC 9460).
    SVCB = 64,
    /// How to reach a web server (RFC 9460 §9).
    HTTPS = 65,
    /// A signature of a message by a shared secret (RFC 8945).
    TSIG = 250,
    /// In a question: changes of a zone (RFC 1995).
    IXFR = 251,
    /// In a question: the whole zone (RFC 5936).
    AXFR = 252,
    /// In a question: whatever there is (RFC 8482).
    ANY = 255,
    /// Who may sign certificates for the name (RFC 8659).
    CAA = 257,
});

/// No type has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownType;

impl fmt::Display for UnknownType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no type of this name is known")
    }
}

impl core::error::Error for UnknownType {}

/// The name, or `TYPE` and the number (RFC 3597 §5); case does not matter.
impl FromStr for Type {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        if let Some(("", number)) = split_ignore_case(text, "TYPE")
            && number.bytes().all(|byte| byte.is_ascii_digit())
        {
            return number.parse().map(Self).map_err(|_| UnknownType);
        }
        let named = |number: &u16| {
            let name = Self(*number).name();
            name.is_some_and(|name| name.eq_ignore_ascii_case(text))
        };
        // The highest number with a name here is CAA's.
        let found = (0..=Self::CAA.0).find(named);
        found.map(Self).ok_or(UnknownType)
    }
}

/// What stands behind `prefix`, if `text` begins with it in any case.
fn split_ignore_case<'a>(text: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    let (front, rest) = text.split_at_checked(prefix.len())?;
    front.eq_ignore_ascii_case(prefix).then_some(("", rest))
}

/// Of which network a record speaks; it is always [`IN`](Self::IN), but for a server's questions
/// about itself ([`CH`](Self::CH)) and for updates (RFC 1035 §3.2.4, RFC 2136 §2.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Class(pub u16);

names!(Class, "CLASS", {
    /// The Internet.
    IN = 1,
    /// Chaosnet, a network of the 1970s. Its class has lived on: `version.bind CH TXT`.
    CH = 3,
    /// Hesiod.
    HS = 4,
    /// In an update: none (RFC 2136 §2.4).
    NONE = 254,
    /// In a question or an update: any (RFC 1035 §3.2.5).
    ANY = 255,
});

/// What the sender wants of the receiver: 4 bits (RFC 1035 §4.1.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opcode(pub(crate) u8);

names!(Opcode, "OPCODE", {
    /// An answer to a question.
    QUERY = 0,
    /// Obsolete (RFC 3425).
    IQUERY = 1,
    /// The server's state; nobody has said what that is.
    STATUS = 2,
    /// The zone has changed (RFC 1996).
    NOTIFY = 4,
    /// Change the zone (RFC 2136).
    UPDATE = 5,
    /// A dialogue over one connection (RFC 8490).
    DSO = 6,
});

impl Opcode {
    /// This number, if 4 bits hold it.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < 16 {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// What became of the question: 4 bits in the header (RFC 1035 §4.1.1), and 8 more above them if
/// the message has an OPT (RFC 6891 §6.1.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rcode(pub(crate) u16);

names!(Rcode, "RCODE", {
    /// It has been answered; perhaps with nothing.
    NOERROR = 0,
    /// The server did not understand the message.
    FORMERR = 1,
    /// Something went wrong at the server.
    SERVFAIL = 2,
    /// The name does not exist.
    NXDOMAIN = 3,
    /// The server does not know how to do this.
    NOTIMP = 4,
    /// The server does not want to.
    REFUSED = 5,
    /// An update's name exists, but should not (RFC 2136 §2.2).
    YXDOMAIN = 6,
    /// An update's records exist, but should not.
    YXRRSET = 7,
    /// An update's records should exist, but do not.
    NXRRSET = 8,
    /// The server is not authoritative for the zone.
    NOTAUTH = 9,
    /// A name is not in the zone.
    NOTZONE = 10,
    /// The server does not know this version of EDNS (RFC 6891 §6.1.3).
    BADVERS = 16,
    /// The cookie is missing or wrong (RFC 7873 §8).
    BADCOOKIE = 23,
});

impl Rcode {
    /// This number, if 12 bits hold it.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if number < 1 << 12 {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// What an option of EDNS is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OptionCode(pub u16);

names!(OptionCode, "OPTION", {
    /// The name server's identity (RFC 5001).
    NSID = 3,
    /// For whom the sender asks (RFC 7871).
    CLIENT_SUBNET = 8,
    /// A token against answers from the wrong address (RFC 7873).
    COOKIE = 10,
    /// How long a connection may idle (RFC 7828).
    TCP_KEEPALIVE = 11,
    /// Nothing, but it makes messages equally long (RFC 7830).
    PADDING = 12,
    /// Why something went wrong, more precisely (RFC 8914).
    EXTENDED_ERROR = 15,
});

/// The single bits of the header (RFC 1035 §4.1.1, RFC 4035 §3).
///
/// ```
/// use udp_dns_message::Flags;
///
/// let flags = Flags::QR | Flags::RD | Flags::RA;
/// assert!(flags.contains(Flags::QR) && !flags.contains(Flags::TC));
/// assert_eq!(flags.to_string(), "QR RD RA");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(u16);

impl Flags {
    /// None at all.
    pub const NONE: Self = Self(0);
    /// Response: this is an answer.
    pub const QR: Self = Self(0x8000);
    /// Authoritative Answer: from one who has the zone.
    pub const AA: Self = Self(0x0400);
    /// Truncated: there is more, ask over TCP.
    pub const TC: Self = Self(0x0200);
    /// Recursion Desired: please ask others.
    pub const RD: Self = Self(0x0100);
    /// Recursion Available: the server does ask others.
    pub const RA: Self = Self(0x0080);
    /// Authentic Data: the server has checked the signatures (RFC 4035 §3.2.3).
    pub const AD: Self = Self(0x0020);
    /// Checking Disabled: do not check the signatures (RFC 4035 §3.2.2).
    pub const CD: Self = Self(0x0010);

    /// All of them, and the bit between RA and AD, which has no name.
    const ALL: u16 = 0x87f0;

    const NAMES: [(Self, &str); 7] = [
        (Self::QR, "QR"),
        (Self::AA, "AA"),
        (Self::TC, "TC"),
        (Self::RD, "RD"),
        (Self::RA, "RA"),
        (Self::AD, "AD"),
        (Self::CD, "CD"),
    ];

    /// Those of a header's second word, opcode and rcode taken away. The reserved bit is kept as
    /// it came.
    pub(crate) const fn from_word(word: u16) -> Self {
        Self(word & Self::ALL)
    }

    /// The bits, at their place in the header's second word.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether all of `flags` are set.
    #[must_use]
    #[inline]
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// The same without `flags`.
    #[must_use]
    #[inline]
    pub const fn without(self, flags: Self) -> Self {
        Self(self.0 & !flags.0)
    }
}

impl BitOr for Flags {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    #[inline]
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

/// The names, as in `QR RD RA`; the reserved bit as `Z`; `none` where none is set.
impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = *self;
        let mut between = "";
        for (flag, name) in Self::NAMES {
            if self.contains(flag) {
                write!(f, "{between}{name}")?;
                between = " ";
                rest = rest.without(flag);
            }
        }
        match rest {
            Self::NONE if between.is_empty() => f.write_str("none"),
            Self::NONE => Ok(()),
            _ => write!(f, "{between}Z"),
        }
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flags({self})")
    }
}
