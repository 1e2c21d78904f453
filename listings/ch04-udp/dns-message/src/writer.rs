//! Writing a message: into a buffer whose length is the limit, names compressed.

use ip_header::{Error, Reason};

use crate::codes::{Flags, Rcode};
use crate::edns::Edns;
use crate::fields::{ANCOUNT, ARCOUNT, ID, NSCOUNT, QDCOUNT, QR, RCODE};
use crate::message::{Header, Question, Record, Section};
use crate::name::{Labels, MAX_LABELS, Name, POINTER, POINTER_REACH, place};
use crate::rdata::{Rdata, Soa};
use crate::{HEADER_LEN, MAX_MESSAGE_LEN, MESSAGE};

// ANCHOR: writer
/// Writes a message to the front of a buffer, as much as it takes. What does not fit is not written:
/// the writer is then as it was, so one can leave off, or mark the message as truncated.
///
/// ```
/// use udp_dns_message::{Class, Flags, Header, Message, NameBuf, Rdata, Record, Section, Writer};
///
/// let name: NameBuf = "www.example.com".parse()?;
/// let address = Record {
///     name: name.name(),
///     class: Class::IN,
///     ttl: 300,
///     rdata: Rdata::A([192, 0, 2, 1].into()),
/// };
/// let mut buffer = [0; 80];
/// let header = Header { flags: Flags::QR, ..Header::query(7) };
/// let mut answer = Writer::new(&mut buffer, header, None)?;
/// answer.record(Section::Answer, &address)?; // 12 + 17 + 14 bytes
/// answer.record(Section::Answer, &address)?; // 16: the name is a pointer
/// answer.record(Section::Answer, &address)?;
/// assert!(answer.record(Section::Answer, &address).is_err());
/// answer.truncated();
///
/// let message = Message::parse(answer.finish())?;
/// assert_eq!((message.answers().count(), message.as_bytes().len()), (3, 75));
/// assert_eq!(message.header().flags, Flags::QR | Flags::TC);
/// # Ok::<(), ip_header::Error>(())
/// ```
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut [u8],
    at: usize,
    /// Where the room for OPT begins.
    limit: usize,
    header: Header,
    edns: Option<Edns<'b>>,
    /// Of questions, answers, authorities and additional records.
    counts: [u16; 4],
    suffixes: Suffixes,
}
// ANCHOR_END: writer

/// What to go back to.
#[derive(Clone, Copy)]
struct Mark {
    at: usize,
    counts: [u16; 4],
}

impl<'b> Writer<'b> {
    /// A message with this header, and an OPT with `edns` at its end, for which room is kept from
    /// the start. The limit is the length of the buffer, but no more than a message can have.
    ///
    /// # Errors
    ///
    /// When header and OPT do not fit; when the rcode takes more than four bits and there is no OPT
    /// to bear the others.
    pub fn new(
        buffer: &'b mut [u8],
        header: Header,
        edns: Option<Edns<'b>>,
    ) -> Result<Self, Error> {
        let rcode = header.rcode.number();
        if edns.is_none() && rcode > 0xf {
            return Err(RCODE.more_than(0xf, rcode.into()));
        }
        let opt_len = edns.map_or(0, |edns| edns.wire_len());
        let room = buffer.len().min(MAX_MESSAGE_LEN);
        let needed = HEADER_LEN + opt_len;
        if needed > room {
            return Err(MESSAGE.truncated(needed, room));
        }
        Ok(Self {
            buffer,
            at: HEADER_LEN,
            limit: room - opt_len,
            header,
            edns,
            counts: [0; 4],
            suffixes: Suffixes::new(),
        })
    }

    /// Adds a question.
    ///
    /// # Errors
    ///
    /// When it does not fit, and when records have been written before.
    pub fn question(&mut self, question: &Question) -> Result<(), Error> {
        self.all_or_nothing(0, |writer| {
            writer.name(question.name, true)?;
            writer.put(question.qtype.0.to_be_bytes())?;
            writer.put(question.class.0.to_be_bytes())
        })
    }

    /// Adds a record.
    ///
    /// # Errors
    ///
    /// When it does not fit, and when there are records of a later section. OPT is refused: it goes
    /// where the writer is made.
    pub fn record(&mut self, section: Section, record: &Record) -> Result<(), Error> {
        self.all_or_nothing(1 + section as usize, |writer| writer.write(record))
    }

    /// Adds records that belong together, all or none of them: half a set of records would be taken
    /// for the whole (RFC 2181 §9).
    ///
    /// # Errors
    ///
    /// Those of [`record`](Self::record).
    pub fn rrset<'r>(
        &mut self,
        section: Section,
        records: impl IntoIterator<Item = Record<'r>>,
    ) -> Result<(), Error> {
        let mark = self.mark();
        for record in records {
            if let Err(error) = self.record(section, &record) {
                self.go_back(mark);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Sets these flags, besides those that are set.
    pub const fn set_flags(&mut self, flags: Flags) {
        self.header.flags = Flags::from_word(self.header.flags.bits() | flags.bits());
    }

    /// Sets TC: there is more, ask over TCP.
    pub const fn truncated(&mut self) {
        self.set_flags(Flags::TC);
    }

    /// Sets what became of the question.
    ///
    /// # Errors
    ///
    /// When the rcode takes more than four bits and there is no OPT to bear the others.
    pub const fn set_rcode(&mut self, rcode: Rcode) -> Result<(), Error> {
        if self.edns.is_none() && rcode.number() > 0xf {
            return Err(RCODE.more_than(0xf, rcode.number() as usize));
        }
        self.header.rcode = rcode;
        Ok(())
    }

    /// How many bytes are left for questions and records.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.limit - self.at
    }

    // ANCHOR: finish
    /// Writes OPT, header and counts, and gives the message.
    #[must_use]
    pub fn finish(mut self) -> &'b [u8] {
        let Header {
            id,
            flags,
            opcode,
            rcode,
        } = self.header;
        if let Some(edns) = self.edns {
            let extended_rcode = (rcode.number() >> 4) as u8; // 12 bits, less 4
            let (record, options) = (edns.record(extended_rcode), edns.options.as_bytes());
            for part in [&record[..], options] {
                self.buffer[self.at..][..part.len()].copy_from_slice(part);
                self.at += part.len();
            }
            self.counts[3] += 1;
        }
        let word = flags.bits() | u16::from(opcode.number()) << 11 | (rcode.number() & 0xf);
        let [questions, answers, authorities, additionals] = self.counts;
        for (field, number) in [
            (ID, id),
            (QR, word),
            (QDCOUNT, questions),
            (ANCOUNT, answers),
            (NSCOUNT, authorities),
            (ARCOUNT, additionals),
        ] {
            self.buffer[field.offset()..][..2].copy_from_slice(&number.to_be_bytes());
        }
        &self.buffer[..self.at]
    }
    // ANCHOR_END: finish

    const fn mark(&self) -> Mark {
        Mark {
            at: self.at,
            counts: self.counts,
        }
    }

    fn go_back(&mut self, mark: Mark) {
        (self.at, self.counts) = (mark.at, mark.counts);
        self.suffixes.forget_from(mark.at);
    }

    /// Writes one more member of a section, or leaves all as it was.
    #[inline]
    fn all_or_nothing(
        &mut self,
        section: usize,
        write: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if let Some(later) = (section + 1..4).find(|later| self.counts[*later] > 0) {
            return Err(place("section", self.at).more_than(section, later));
        }
        let mark = self.mark();
        let written = write(self);
        match written {
            // A member takes five bytes at least, so 16 bits hold the count.
            Ok(()) => self.counts[section] += 1,
            Err(_) => self.go_back(mark),
        }
        written
    }

    fn write(&mut self, record: &Record) -> Result<(), Error> {
        let rtype = record.rtype();
        if rtype == crate::Type::OPT {
            let found = usize::from(rtype.0);
            return Err(place("type", self.at).error(Reason::Misplaced { found }));
        }
        self.name(record.name, true)?;
        let [t0, t1] = rtype.0.to_be_bytes();
        let [c0, c1] = record.class.0.to_be_bytes();
        let [a, b, c, d] = record.ttl.to_be_bytes();
        self.put([t0, t1, c0, c1, a, b, c, d, 0, 0])?;
        let start = self.at;
        self.rdata(&record.rdata)?;
        // It fits into a message, so it fits into 16 bits.
        let len = (self.at - start) as u16;
        self.buffer[start - 2..start].copy_from_slice(&len.to_be_bytes());
        Ok(())
    }

    /// Names are compressed in those types that RFC 1035 defined: anybody knows that these have
    /// names, and where. In later types they must not be (RFC 3597 §4).
    #[inline]
    fn rdata(&mut self, rdata: &Rdata) -> Result<(), Error> {
        match *rdata {
            Rdata::A(address) => self.put(address.octets()),
            Rdata::Aaaa(address) => self.put(address.octets()),
            Rdata::Cname(name) | Rdata::Ns(name) | Rdata::Ptr(name) => self.name(name, true),
            Rdata::Soa(Soa {
                mname,
                rname,
                serial,
                refresh,
                retry,
                expire,
                minimum,
            }) => {
                self.name(mname, true)?;
                self.name(rname, true)?;
                for number in [serial, refresh, retry, expire, minimum] {
                    self.put(number.to_be_bytes())?;
                }
                Ok(())
            }
            Rdata::Mx {
                preference,
                exchange,
            } => {
                self.put(preference.to_be_bytes())?;
                self.name(exchange, true)
            }
            Rdata::Txt(txt) => self.bytes(txt.as_bytes()),
            Rdata::Srv {
                priority,
                weight,
                port,
                target,
            } => {
                for number in [priority, weight, port] {
                    self.put(number.to_be_bytes())?;
                }
                self.name(target, false)
            }
            Rdata::Opaque { bytes, .. } => self.bytes(bytes),
        }
    }

    // ANCHOR: writer-name
    /// Writes labels until the rest of the name stands somewhere already, and then a pointer to
    /// there. Case does not matter: the rest takes that of its first occurrence.
    fn name(&mut self, name: Name, compress: bool) -> Result<(), Error> {
        let mut hashes = [0; MAX_LABELS];
        Suffixes::hashes(name, &mut hashes);
        let start = self.at;
        let mut rest = name.labels();
        for hash in hashes {
            // Only names that are complete: behind this one's end stands what was there before.
            let written = &self.buffer[..start];
            if compress && let Some(target) = self.suffixes.find(written, rest.clone(), hash) {
                return self.put((u16::from(POINTER) << 8 | target).to_be_bytes());
            }
            let at = self.at;
            let Some(label) = rest.next() else {
                break;
            };
            self.put([label.len() as u8])?; // 63 at most
            self.bytes(label)?;
            self.suffixes.remember(at, hash);
        }
        self.put([0])
    }
    // ANCHOR_END: writer-name

    #[inline]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) -> Result<(), Error> {
        self.bytes(&bytes)
    }

    #[inline]
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let end = self.at + bytes.len();
        let Some(room) = self.buffer[..self.limit].get_mut(self.at..end) else {
            let kept = self.edns.map_or(0, |edns| edns.wire_len());
            return Err(place("message", self.at).truncated(end + kept, self.limit + kept));
        };
        room.copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }
}

// ANCHOR: suffixes
/// The names in the message, and what each ends with, by hash: a pointer can lead to any of them.
/// There is room for some only; what finds none is not compressed, and that is all.
#[derive(Debug)]
struct Suffixes {
    /// Hash and place; the place 0 is the header's, so it means none.
    slots: [(u16, u16); Self::SLOTS],
}

impl Suffixes {
    /// Enough for the names of a usual message; a power of two.
    const SLOTS: usize = 128;

    /// How many slots from its own on a suffix can be in. A bound on the work, too.
    const PROBES: usize = 4;

    const fn new() -> Self {
        Self {
            slots: [(0, 0); Self::SLOTS],
        }
    }

    /// The hashes of all that the name ends with but the root: first the whole name's.
    #[inline]
    fn hashes(name: Name, list: &mut [u16; MAX_LABELS]) {
        let mut count = 0;
        for (place, label) in list.iter_mut().zip(name.labels()) {
            *place = label.iter().fold(label.len() as u16, |hash, byte| {
                hash.wrapping_mul(31)
                    .wrapping_add(byte.to_ascii_lowercase().into())
            });
            count += 1;
        }
        // From the right, so that an ending has the same hash in every name.
        let mut behind = 0;
        for place in list[..count].iter_mut().rev() {
            behind = place.wrapping_add(u16::wrapping_mul(behind, 0x9e37));
            *place = behind;
        }
    }

    fn probes(hash: u16) -> impl Iterator<Item = usize> {
        (0..Self::PROBES).map(move |probe| (usize::from(hash) + probe) % Self::SLOTS)
    }

    /// Where these labels stand in the message, and no others behind them. The root alone is nowhere:
    /// it is shorter than a pointer.
    #[inline]
    fn find(&self, message: &[u8], labels: Labels, hash: u16) -> Option<u16> {
        for slot in Self::probes(hash) {
            let (its, at) = self.slots[slot];
            if at == 0 {
                // Nothing was ever put behind a place that is free.
                return None;
            }
            let place = usize::from(at);
            if its == hash
                && place < message.len()
                && Name::new(message, place).labels().same(labels.clone())
            {
                return Some(at);
            }
        }
        None
    }

    /// A name stands at this place; who asks for one with this hash shall look there.
    fn remember(&mut self, at: usize, hash: u16) {
        if at < POINTER_REACH
            && let Some(slot) = Self::probes(hash).find(|slot| self.slots[*slot].1 == 0)
        {
            self.slots[slot] = (hash, at as u16); // 14 bits
        }
    }

    /// Nothing stands from this place on any more.
    fn forget_from(&mut self, at: usize) {
        for slot in &mut self.slots {
            if usize::from(slot.1) >= at {
                *slot = (0, 0);
            }
        }
    }
}
// ANCHOR_END: suffixes
