//! A message as it came: its parts, checked once and walked through as often as one likes.

use core::fmt;

use ip_header::field::word;
use ip_header::{Error, Field, Reason};

use crate::codes::{Class, Flags, Opcode, Rcode, Type};
use crate::edns::Edns;
use crate::fields::{ALL, ANCOUNT, ARCOUNT, ID, NSCOUNT, QDCOUNT, QR};
use crate::name::{MAX_LABEL_LEN, MAX_NAME_LEN, MAX_POINTERS, Name, POINTER, place, pointer};
use crate::rdata::Rdata;
use crate::{HEADER_LEN, MAX_MESSAGE_LEN, MESSAGE};

// ANCHOR: header
/// A header as a plain struct: what its sender chose. The four counts follow from the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Chosen at random by who asks, and sent back by who answers.
    pub id: u16,
    /// The single bits.
    pub flags: Flags,
    /// What the sender wants.
    pub opcode: Opcode,
    /// What became of it.
    pub rcode: Rcode,
}
// ANCHOR_END: header

impl Header {
    /// A question that wishes for recursion.
    #[must_use]
    pub const fn query(id: u16) -> Self {
        Self {
            id,
            flags: Flags::RD,
            opcode: Opcode::QUERY,
            rcode: Rcode::NOERROR,
        }
    }

    /// The header alone, of a message whose rest may be broken: who answers FORMERR needs it. Of the
    /// rcode only the lower four bits are in the header.
    ///
    /// # Errors
    ///
    /// When there are fewer than 12 bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let Some((fixed, _)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(Field::first_truncated(&ALL, bytes.len()));
        };
        Ok(Self::read(fixed))
    }

    fn read(fixed: &[u8; HEADER_LEN]) -> Self {
        let flags = word(fixed, QR);
        Self {
            id: word(fixed, ID),
            flags: Flags::from_word(flags),
            opcode: Opcode((flags >> 11) as u8 & 0xf),
            rcode: Rcode(flags & 0xf),
        }
    }
}

/// One of the three sections that consist of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// What was asked for.
    Answer,
    /// Who has the authority: NS or SOA records.
    Authority,
    /// What might be asked for next.
    Additional,
}

impl Section {
    /// All of them, in their order.
    pub const ALL: [Self; 3] = [Self::Answer, Self::Authority, Self::Additional];
}

// ANCHOR: message
/// A message: bytes that [`Message::parse`] has checked. No getter fails or panics.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    fixed: &'a [u8; HEADER_LEN],
    /// Where answers, authority and additional records begin.
    sections: [usize; 3],
    opt: Option<Opt<'a>>,
}
// ANCHOR_END: message

impl<'a> Message<'a> {
    // ANCHOR: parse
    /// Checks a message, which is all of `bytes`: every name, every record, the data of those types
    /// that [`Rdata`] knows, the options of EDNS.
    ///
    /// # Errors
    ///
    /// Where something is cut off, longer than the part that holds it, or longer than allowed; where
    /// a pointer does not lead backwards; where an OPT stands that may not; where something follows.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        Self::parse_counting(bytes, &mut 0)
    }

    /// The same, and adds to `steps` how many labels and pointers it has looked at. This is what could
    /// grow faster than a message; a proof counts it, for a clock is no witness.
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse).
    #[inline]
    pub fn parse_counting(bytes: &'a [u8], steps: &mut usize) -> Result<Self, Error> {
        let mut reader = Reader::<CHECK>::new(bytes, HEADER_LEN);
        let message = Self::read(&mut reader);
        *steps += reader.steps;
        message
    }

    fn read(reader: &mut Reader<'a, CHECK>) -> Result<Self, Error> {
        let bytes = reader.bytes;
        let Some((fixed, _)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(Field::first_truncated(&ALL, bytes.len()));
        };
        if bytes.len() > MAX_MESSAGE_LEN {
            return Err(MESSAGE.more_than(MAX_MESSAGE_LEN, bytes.len()));
        }
        for _ in 0..word(fixed, QDCOUNT) {
            reader.question()?;
        }
        let (mut sections, mut opt) = ([0; 3], None);
        for (section, count) in Section::ALL.into_iter().zip([ANCOUNT, NSCOUNT, ARCOUNT]) {
            sections[section as usize] = reader.at;
            for _ in 0..word(fixed, count) {
                let Entry::Opt(found) = reader.entry()? else {
                    continue;
                };
                // One at most, and only there (RFC 6891 §6.1.1).
                if section != Section::Additional || opt.is_some() {
                    let reason = Reason::Misplaced {
                        found: usize::from(Type::OPT.0),
                    };
                    return Err(place("type", found.at + 1).error(reason));
                }
                opt = Some(found);
            }
        }
        if reader.at < bytes.len() {
            return Err(place("message", reader.at).more_than(reader.at, bytes.len()));
        }
        Ok(Self {
            bytes,
            fixed,
            sections,
            opt,
        })
    }
    // ANCHOR_END: parse

    /// The header's fields, as the sender chose them; the rcode with the upper bits that OPT has.
    #[must_use]
    pub fn header(&self) -> Header {
        let mut header = Header::read(self.fixed);
        if let Some(opt) = &self.opt {
            header.rcode.0 |= u16::from(opt.extended_rcode) << 4;
        }
        header
    }

    /// The question, if there is one and no other: more than one has never come into use
    /// (RFC 9619).
    #[must_use]
    pub fn question(&self) -> Option<Question<'a>> {
        let mut questions = self.questions();
        let question = questions.next()?;
        questions.next().is_none().then_some(question)
    }

    /// The questions.
    #[must_use]
    pub fn questions(&self) -> Questions<'a> {
        Questions {
            reader: Reader::new(self.bytes, HEADER_LEN),
            left: word(self.fixed, QDCOUNT),
        }
    }

    /// The records of one section. OPT is none of them: it speaks of the message, see
    /// [`edns`](Self::edns).
    #[must_use]
    pub fn records(&self, section: Section) -> Records<'a> {
        let count = [ANCOUNT, NSCOUNT, ARCOUNT][section as usize];
        Records {
            reader: Reader::new(self.bytes, self.sections[section as usize]),
            left: word(self.fixed, count),
        }
    }

    /// What was asked for.
    #[must_use]
    pub fn answers(&self) -> Records<'a> {
        self.records(Section::Answer)
    }

    /// Who has the authority.
    #[must_use]
    pub fn authorities(&self) -> Records<'a> {
        self.records(Section::Authority)
    }

    /// What might be asked for next.
    #[must_use]
    pub fn additionals(&self) -> Records<'a> {
        self.records(Section::Additional)
    }

    /// What the sender says of itself in an OPT (RFC 6891).
    #[must_use]
    pub fn edns(&self) -> Option<Edns<'a>> {
        self.opt.map(|opt| opt.edns)
    }

    /// The whole message.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// A question (RFC 1035 §4.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    /// QNAME: of what.
    pub name: Name<'a>,
    /// QTYPE: which records.
    pub qtype: Type,
    /// QCLASS: of which network.
    pub class: Class,
}

impl fmt::Display for Question<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.class, self.qtype)
    }
}

// ANCHOR: record
/// A record (RFC 1035 §4.1.3). Type and RDLENGTH follow from its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// NAME: of what, its owner.
    pub name: Name<'a>,
    /// CLASS: of which network.
    pub class: Class,
    /// TTL: for how many seconds it may be kept. A number above 2³¹ − 1 is read as 0
    /// (RFC 2181 §8).
    pub ttl: u32,
    /// RDATA: what it says.
    pub rdata: Rdata<'a>,
}
// ANCHOR_END: record

impl Record<'_> {
    /// TYPE: what kind of record.
    #[must_use]
    pub const fn rtype(&self) -> Type {
        self.rdata.rtype()
    }
}

/// As in a zone file (RFC 1035 §5.1).
impl fmt::Display for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            class,
            ttl,
            rdata,
        } = self;
        write!(f, "{name} {ttl} {class} {} {rdata}", self.rtype())
    }
}

/// The walk from one question to the next.
#[derive(Debug, Clone)]
pub struct Questions<'a> {
    reader: Reader<'a, TRUST>,
    left: u16,
}

impl<'a> Iterator for Questions<'a> {
    type Item = Question<'a>;

    #[inline]
    fn next(&mut self) -> Option<Question<'a>> {
        self.left = self.left.checked_sub(1)?;
        self.reader.question().ok()
    }
}

/// The walk from one record to the next.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    reader: Reader<'a, TRUST>,
    left: u16,
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    #[inline]
    fn next(&mut self) -> Option<Record<'a>> {
        loop {
            self.left = self.left.checked_sub(1)?;
            if let Entry::Record(record) = self.reader.entry().ok()? {
                return Some(record);
            }
        }
    }
}

/// What stands in a section of records.
enum Entry<'a> {
    Record(Record<'a>),
    Opt(Opt<'a>),
}

/// What an OPT says, of the sender and of the message.
#[derive(Debug, Clone, Copy)]
struct Opt<'a> {
    edns: Edns<'a>,
    extended_rcode: u8,
    /// Its first byte.
    at: usize,
}

/// For a [`Reader`]: the bytes are from outside.
const CHECK: bool = true;

/// For a [`Reader`]: the names have been checked; it is enough to find their ends.
const TRUST: bool = false;

/// Reads from some place in a message on.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a, const MODE: bool> {
    bytes: &'a [u8],
    at: usize,
    steps: usize,
}

/// The fixed part of a record behind its name: the fields and their lengths.
const RECORD_FIELDS: [(&str, usize); 4] = [("type", 2), ("class", 2), ("ttl", 4), ("rdlength", 2)];

/// That of a question.
const QUESTION_FIELDS: [(&str, usize); 2] = [("qtype", 2), ("qclass", 2)];

impl<'a, const MODE: bool> Reader<'a, MODE> {
    const fn new(bytes: &'a [u8], at: usize) -> Self {
        Self {
            bytes,
            at,
            steps: 0,
        }
    }

    /// The next `N` bytes, which are these fields.
    #[inline]
    fn array<const N: usize>(
        &mut self,
        fields: &[(&'static str, usize)],
    ) -> Result<[u8; N], Error> {
        let rest = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<N>);
        let Some(array) = rest else {
            let (needed, available) = (self.at + N, self.bytes.len());
            let mut at = self.at;
            for &(name, len) in fields {
                if at + len > available {
                    return Err(place(name, at).truncated(needed, available));
                }
                at += len;
            }
            return Err(MESSAGE.truncated(needed, available));
        };
        self.at += N;
        Ok(*array)
    }

    fn question(&mut self) -> Result<Question<'a>, Error> {
        let name = self.name(self.bytes.len())?;
        let [a, b, c, d] = self.array(&QUESTION_FIELDS)?;
        Ok(Question {
            name,
            qtype: Type(u16::from_be_bytes([a, b])),
            class: Class(u16::from_be_bytes([c, d])),
        })
    }

    // ANCHOR: entry
    #[inline]
    fn entry(&mut self) -> Result<Entry<'a>, Error> {
        let at = self.at;
        let name = self.name(self.bytes.len())?;
        let [t0, t1, c0, c1, ttl @ .., l0, l1] = self.array::<10>(&RECORD_FIELDS)?;
        let rtype = Type(u16::from_be_bytes([t0, t1]));
        let class = u16::from_be_bytes([c0, c1]);
        let end = self.at + usize::from(u16::from_be_bytes([l0, l1]));
        let Some(rdata) = self.bytes.get(self.at..end) else {
            return Err(place("rdata", self.at).truncated(end, self.bytes.len()));
        };
        if rtype == Type::OPT {
            // Its name is the root's; its class and TTL mean something else (RFC 6891 §6.1.2).
            if let Some(label) = name.labels().next() {
                return Err(place("name", at).not(0, label.len()));
            }
            let [extended_rcode, version, flags, _] = ttl;
            let edns = Edns::read(class, version, flags, rdata, self.at)?;
            self.at = end;
            return Ok(Entry::Opt(Opt {
                edns,
                extended_rcode,
                at,
            }));
        }
        let class = Class(class);
        let rdata = Rdata::read(self, rtype, class, end)?;
        let ttl = u32::from_be_bytes(ttl);
        Ok(Entry::Record(Record {
            name,
            class,
            ttl: if ttl > MAX_TTL { 0 } else { ttl },
            rdata,
        }))
    }
    // ANCHOR_END: entry

    /// Numbers of 16 bits, one after the other, in data that go on to `end`.
    #[inline]
    pub(crate) fn words<const N: usize>(&mut self, end: usize) -> Result<[u16; N], Error> {
        let (start, needed) = (self.at, self.at + 2 * N);
        if needed > end {
            return Err(place("rdlength", start - 2).less_than(2 * N + 1, end - start));
        }
        let (pairs, _) = self.until(needed).as_chunks::<2>();
        let mut words = [0; N];
        for (word, pair) in words.iter_mut().zip(pairs) {
            *word = u16::from_be_bytes(*pair);
        }
        Ok(words)
    }

    /// Where the next byte is read.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// The bytes up to `end`.
    pub(crate) fn until(&mut self, end: usize) -> &'a [u8] {
        let bytes = self.bytes.get(self.at..end).unwrap_or(&[]);
        self.at = end;
        bytes
    }

    // ANCHOR: reader-name
    /// The name that begins here and whose own bytes end before `limit`.
    ///
    /// A pointer leads to before the run of labels that it ends, and the run there ends before that
    /// one begins. So each run lies before the last, and the walk comes to an end.
    #[inline]
    pub(crate) fn name(&mut self, limit: usize) -> Result<Name<'a>, Error> {
        let name = Name::new(self.bytes, self.at);
        if MODE == TRUST {
            self.at += name.encoded_len();
            return Ok(name);
        }
        let start = self.at;
        let (mut run, mut limit) = (start, limit);
        let (mut len, mut pointers) = (1, 0); // the root's zero is one byte
        let mut at = start;
        let mut end = None;
        loop {
            self.steps += 1;
            match self
                .byte(at, limit)
                .ok_or_else(|| self.cut("name", run, at + 1, limit))?
            {
                0 => {
                    self.at = end.unwrap_or(at + 1);
                    return Ok(name);
                }
                label @ 1..POINTER => {
                    let label = usize::from(label);
                    if label > MAX_LABEL_LEN {
                        return Err(place("label", at).more_than(MAX_LABEL_LEN, label));
                    }
                    let next = at + 1 + label;
                    if next > limit {
                        return Err(self.cut("label", at, next, limit));
                    }
                    len += 1 + label;
                    if len > MAX_NAME_LEN {
                        return Err(place("name", start).more_than(MAX_NAME_LEN, len));
                    }
                    at = next;
                }
                first => {
                    let second = self.byte(at + 1, limit);
                    let second = second.ok_or_else(|| self.cut("pointer", at, at + 2, limit))?;
                    let target = pointer(first, second);
                    if target >= run {
                        return Err(place("pointer", at).more_than(run - 1, target));
                    }
                    if target < HEADER_LEN {
                        return Err(place("pointer", at).less_than(HEADER_LEN, target));
                    }
                    pointers += 1;
                    if pointers > MAX_POINTERS {
                        return Err(place("pointers", start).more_than(MAX_POINTERS, pointers));
                    }
                    end = end.or(Some(at + 2));
                    (limit, run, at) = (run, target, target);
                }
            }
        }
    }
    // ANCHOR_END: reader-name

    #[inline]
    fn byte(&self, at: usize, limit: usize) -> Option<u8> {
        if at < limit {
            self.bytes.get(at).copied()
        } else {
            None
        }
    }

    /// What begins at `at` would have to go on to `needed`, beyond the message or the part of it
    /// that ends at `limit`.
    #[cold]
    fn cut(&self, field: &'static str, at: usize, needed: usize, limit: usize) -> Error {
        if limit == self.bytes.len() {
            place(field, at).truncated(needed, limit)
        } else {
            place(field, at).more_than(limit - at, needed - at)
        }
    }
}

/// The longest time to live, in seconds (RFC 2181 §8).
const MAX_TTL: u32 = (1 << 31) - 1;
