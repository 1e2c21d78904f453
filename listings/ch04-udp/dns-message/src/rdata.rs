//! What records say: the data of those types that are read here, and any other's as bytes.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

use ip_header::Error;

use crate::codes::{Class, Type};
use crate::message::Reader;
use crate::name::{Name, place};

// ANCHOR: rdata
/// The data of a record. Addresses and SRV are bound to the class IN; of another class, of another
/// type, or in an update without data, they are [`Opaque`](Self::Opaque) (RFC 3597 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rdata<'a> {
    /// An IPv4 address (RFC 1035 §3.4.1).
    A(Ipv4Addr),
    /// An IPv6 address (RFC 3596 §2.2).
    Aaaa(Ipv6Addr),
    /// The name under which to look instead (RFC 1035 §3.3.1).
    Cname(Name<'a>),
    /// A name server (RFC 1035 §3.3.11).
    Ns(Name<'a>),
    /// Some other name (RFC 1035 §3.3.12).
    Ptr(Name<'a>),
    /// The start of a zone (RFC 1035 §3.3.13).
    Soa(Soa<'a>),
    /// Who accepts mail (RFC 1035 §3.3.9).
    Mx {
        /// The lower, the sooner it is asked.
        preference: u16,
        /// The host.
        exchange: Name<'a>,
    },
    /// Strings (RFC 1035 §3.3.14).
    Txt(Txt<'a>),
    /// Where a service is (RFC 2782).
    Srv {
        /// The lower, the sooner it is asked.
        priority: u16,
        /// Its share among those of one priority.
        weight: u16,
        /// The port.
        port: u16,
        /// The host.
        target: Name<'a>,
    },
    /// Bytes, of which only the type is known. They are sent as they are; a name in them can have no
    /// pointer (RFC 3597 §4).
    Opaque {
        /// Of this type.
        rtype: Type,
        /// 65,535 at most.
        bytes: &'a [u8],
    },
}
// ANCHOR_END: rdata

/// The start of a zone of authority (RFC 1035 §3.3.13). Times are in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Soa<'a> {
    /// The server that has the original.
    pub mname: Name<'a>,
    /// The mailbox of who cares for it: the first label is what stands before the `@`.
    pub rname: Name<'a>,
    /// Which edition of the zone.
    pub serial: u32,
    /// How often a secondary server asks for a new one.
    pub refresh: u32,
    /// How soon it asks again if that fails.
    pub retry: u32,
    /// How long it goes on answering without having reached the primary.
    pub expire: u32,
    /// How long it may be remembered that something is not there (RFC 2308 §4).
    pub minimum: u32,
}

impl<'a> Rdata<'a> {
    /// The type of a record with such data.
    #[must_use]
    pub const fn rtype(&self) -> Type {
        match self {
            Self::A(_) => Type::A,
            Self::Aaaa(_) => Type::AAAA,
            Self::Cname(_) => Type::CNAME,
            Self::Ns(_) => Type::NS,
            Self::Ptr(_) => Type::PTR,
            Self::Soa(_) => Type::SOA,
            Self::Mx { .. } => Type::MX,
            Self::Txt(_) => Type::TXT,
            Self::Srv { .. } => Type::SRV,
            Self::Opaque { rtype, .. } => *rtype,
        }
    }

    /// Reads data from where `reader` is to `end`, and all of them.
    #[inline]
    pub(crate) fn read<const MODE: bool>(
        reader: &mut Reader<'a, MODE>,
        rtype: Type,
        class: Class,
        end: usize,
    ) -> Result<Self, Error> {
        let start = reader.at();
        let len = end - start;
        let rdlength = place("rdlength", start - 2);
        let internet = class == Class::IN;
        let rdata = match rtype {
            _ if class == Class::ANY || class == Class::NONE => Self::Opaque {
                rtype,
                bytes: reader.until(end),
            },
            Type::A if internet => match reader.until(end) {
                &[a, b, c, d] => Self::A([a, b, c, d].into()),
                _ => return Err(rdlength.not(4, len)),
            },
            Type::AAAA if internet => match reader.until(end).as_array::<16>() {
                Some(octets) => Self::Aaaa((*octets).into()),
                _ => return Err(rdlength.not(16, len)),
            },
            Type::CNAME => Self::Cname(reader.name(end)?),
            Type::NS => Self::Ns(reader.name(end)?),
            Type::PTR => Self::Ptr(reader.name(end)?),
            Type::SOA => {
                let (mname, rname) = (reader.name(end)?, reader.name(end)?);
                let names = reader.at() - start;
                let Some(numbers) = reader.until(end).as_array::<20>() else {
                    return Err(rdlength.not(names + 20, len));
                };
                let [serial, refresh, retry, expire, minimum] = words(numbers);
                Self::Soa(Soa {
                    mname,
                    rname,
                    serial,
                    refresh,
                    retry,
                    expire,
                    minimum,
                })
            }
            Type::MX => {
                let [preference] = reader.words(end)?;
                Self::Mx {
                    preference,
                    exchange: reader.name(end)?,
                }
            }
            Type::TXT => Self::Txt(Txt::check(reader.until(end), start)?),
            Type::SRV if internet => {
                let [priority, weight, port] = reader.words(end)?;
                Self::Srv {
                    priority,
                    weight,
                    port,
                    target: reader.name(end)?,
                }
            }
            _ => Self::Opaque {
                rtype,
                bytes: reader.until(end),
            },
        };
        match reader.at() == end {
            true => Ok(rdata),
            false => Err(rdlength.not(reader.at() - start, len)),
        }
    }
}

/// Numbers of 32 bits, one after the other.
fn words(bytes: &[u8; 20]) -> [u32; 5] {
    let mut words = [0; 5];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    words
}

/// As in a zone file (RFC 1035 §5.1, RFC 3597 §5).
impl fmt::Display for Rdata<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(address) => write!(f, "{address}"),
            Self::Aaaa(address) => write!(f, "{address}"),
            Self::Cname(name) | Self::Ns(name) | Self::Ptr(name) => write!(f, "{name}"),
            Self::Soa(soa) => write!(
                f,
                "{} {} {} {} {} {} {}",
                soa.mname, soa.rname, soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum
            ),
            Self::Mx {
                preference,
                exchange,
            } => write!(f, "{preference} {exchange}"),
            Self::Txt(txt) => write!(f, "{txt}"),
            Self::Srv {
                priority,
                weight,
                port,
                target,
            } => write!(f, "{priority} {weight} {port} {target}"),
            Self::Opaque { bytes, .. } => {
                write!(f, "\\# {}", bytes.len())?;
                for (at, byte) in bytes.iter().enumerate() {
                    write!(f, "{}{byte:02x}", if at == 0 { " " } else { "" })?;
                }
                Ok(())
            }
        }
    }
}

/// Strings of up to 255 bytes, each with its length in front; at least one (RFC 1035 §3.3.14).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Txt<'a>(&'a [u8]);

impl<'a> Txt<'a> {
    /// Strings in their form on the wire.
    ///
    /// # Errors
    ///
    /// When there is none, or one is longer than the rest.
    pub fn new(wire: &'a [u8]) -> Result<Self, Error> {
        Self::check(wire, 0)
    }

    /// The same, `at` being where the bytes begin in their message.
    fn check(wire: &'a [u8], at: usize) -> Result<Self, Error> {
        if wire.is_empty() {
            return Err(place("string", at).less_than(1, 0));
        }
        let mut rest = wire;
        while let Some((&len, behind)) = rest.split_first() {
            let at = at + wire.len() - rest.len();
            let Some((_, behind)) = behind.split_at_checked(usize::from(len)) else {
                return Err(place("string", at).more_than(behind.len(), usize::from(len)));
            };
            rest = behind;
        }
        Ok(Self(wire))
    }

    /// The bytes, lengths and all.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The strings.
    #[must_use]
    pub const fn strings(self) -> Strings<'a> {
        Strings(self.0)
    }
}

/// The strings of a TXT record.
#[derive(Debug, Clone)]
pub struct Strings<'a>(&'a [u8]);

impl<'a> Iterator for Strings<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (&len, rest) = self.0.split_first()?;
        let (string, rest) = rest.split_at_checked(usize::from(len))?;
        self.0 = rest;
        Some(string)
    }
}

/// Each string in quotes, with `\` in front of a quote and of itself, and bytes that have no sign
/// as `\DDD`.
impl fmt::Display for Txt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for string in self.strings() {
            write!(f, "{between}\"")?;
            for &byte in string {
                match byte {
                    b'"' | b'\\' => write!(f, "\\{}", char::from(byte))?,
                    b' '..=b'~' => write!(f, "{}", char::from(byte))?,
                    _ => write!(f, "\\{byte:03}")?,
                }
            }
            f.write_str("\"")?;
            between = " ";
        }
        Ok(())
    }
}

impl fmt::Debug for Txt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Txt({self})")
    }
}
