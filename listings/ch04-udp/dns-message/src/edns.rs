//! EDNS(0): what the sender of a message can do, in a record that is none (RFC 6891).

use core::fmt;

use ip_header::Error;

use crate::codes::OptionCode;
use crate::name::place;

/// The bit of the first byte of flags that has a meaning (RFC 3225 §3).
const DNSSEC_OK: u8 = 0x80;

/// Smaller sizes count as this one: so much anybody can take (RFC 6891 §6.2.3).
pub const MIN_UDP_PAYLOAD_SIZE: u16 = 512;

/// Code and length of an option, in bytes.
const OPTION_HEADER_LEN: usize = 4;

/// The record without options, in bytes: the root's name, type, class, TTL, RDLENGTH.
const OPT_LEN: usize = 11;

// ANCHOR: edns
/// What an OPT says of its sender. It wears a record's clothes: the size stands where others have a
/// class, the version and the bit where they have a TTL (RFC 6891 §6.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns<'a> {
    /// How long a message the sender can receive in one datagram, in bytes. Less than 512 counts as
    /// 512.
    pub udp_payload_size: u16,
    /// 0; a server that does not know another says BADVERS.
    pub version: u8,
    /// DO: the sender wants signatures (RFC 3225).
    pub dnssec_ok: bool,
    /// The rest.
    pub options: EdnsOptions<'a>,
}
// ANCHOR_END: edns

impl Edns<'_> {
    /// Version 0, without options.
    #[must_use]
    pub const fn new(udp_payload_size: u16) -> Self {
        Self {
            udp_payload_size,
            version: 0,
            dnssec_ok: false,
            options: EdnsOptions::NONE,
        }
    }

    /// How many bytes it takes in a message.
    #[must_use]
    pub const fn wire_len(&self) -> usize {
        OPT_LEN + self.options.as_bytes().len()
    }

    /// The record's bytes in front of the options.
    pub(crate) fn record(&self, extended_rcode: u8) -> [u8; OPT_LEN] {
        let [size_high, size_low] = self.udp_payload_size.to_be_bytes();
        let flags = if self.dnssec_ok { DNSSEC_OK } else { 0 };
        // 65,535 at most: `EdnsOptions` are no longer.
        let [len_high, len_low] = (self.options.as_bytes().len() as u16).to_be_bytes();
        [
            0,
            0,
            crate::Type::OPT.0 as u8, // 41
            size_high,
            size_low,
            extended_rcode,
            self.version,
            flags,
            0,
            len_high,
            len_low,
        ]
    }
}

impl<'a> Edns<'a> {
    /// What the parts of a record say; `at` is where its data begin.
    pub(crate) fn read(
        class: u16,
        version: u8,
        flags: u8,
        rdata: &'a [u8],
        at: usize,
    ) -> Result<Self, Error> {
        // What another version has there is not known: the answer is BADVERS, not FORMERR.
        let options = match version {
            0 => EdnsOptions::check(rdata, at)?,
            _ => EdnsOptions::NONE,
        };
        Ok(Self {
            udp_payload_size: class,
            version,
            dnssec_ok: flags & DNSSEC_OK != 0,
            options,
        })
    }
}

/// A list of options, checked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct EdnsOptions<'a>(&'a [u8]);

/// An option (RFC 6891 §6.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdnsOption<'a> {
    /// What it is.
    pub code: OptionCode,
    /// What it says.
    pub data: &'a [u8],
}

impl<'a> EdnsOptions<'a> {
    /// No options.
    pub const NONE: Self = Self(&[]);

    fn check(bytes: &'a [u8], at: usize) -> Result<Self, Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let at = at + bytes.len() - rest.len();
            let Some((header, behind)) = rest.split_first_chunk::<OPTION_HEADER_LEN>() else {
                return Err(place("option", at).more_than(rest.len(), OPTION_HEADER_LEN));
            };
            let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
            let Some((_, behind)) = behind.split_at_checked(len) else {
                return Err(place("option_length", at + 2).more_than(behind.len(), len));
            };
            rest = behind;
        }
        Ok(Self(bytes))
    }

    /// Writes `list` to the front of `room`.
    ///
    /// # Errors
    ///
    /// When they do not fit there, or into a record.
    pub fn emit(list: &[EdnsOption], room: &'a mut [u8]) -> Result<Self, Error> {
        let most = room.len().min(usize::from(u16::MAX));
        let mut at = 0;
        for EdnsOption { code, data } in list {
            let end = at + OPTION_HEADER_LEN + data.len();
            if end > most {
                return Err(place("options", at).more_than(most, end));
            }
            room[at..][..2].copy_from_slice(&code.0.to_be_bytes());
            // It fits: the list is no longer.
            room[at + 2..][..2].copy_from_slice(&(data.len() as u16).to_be_bytes());
            room[at + OPTION_HEADER_LEN..end].copy_from_slice(data);
            at = end;
        }
        Ok(Self(&room[..at]))
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The options, one after the other.
    pub fn iter(self) -> impl Iterator<Item = EdnsOption<'a>> + Clone {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let (&[a, b, c, d], behind) = rest.split_first_chunk::<OPTION_HEADER_LEN>()?;
            let (data, behind) =
                behind.split_at_checked(usize::from(u16::from_be_bytes([c, d])))?;
            rest = behind;
            let code = OptionCode(u16::from_be_bytes([a, b]));
            Some(EdnsOption { code, data })
        })
    }
}

impl fmt::Debug for EdnsOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
