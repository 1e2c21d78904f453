//! A zone: the part of the tree of names that one server knows all about.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use udp_dns_message::{Name, NameBuf, Rdata, Soa, Txt, Type};

/// The zone that the listing's server has, as a zone file.
pub const EXAMPLE: &str = include_str!("example.com.zone");

/// The longest string of a TXT record, in bytes: its length has one byte (RFC 1035 §3.3.14).
const MAX_STRING_LEN: usize = 255;

/// A zone, complete and consistent: [`Zone::parse`] has checked it.
#[derive(Debug, Clone)]
pub struct Zone {
    apex: NameBuf,
    /// In the canonical order: a name stands in front of all that are below it.
    nodes: BTreeMap<NameBuf, Vec<Entry>>,
}

/// A record, but for its name and class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// For how many seconds it may be kept.
    pub ttl: u32,
    /// What it says.
    pub data: Data,
}

/// The data of a record, which stand alone: in a message they would borrow from it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "`Rdata` explains them")]
#[expect(clippy::large_enum_variant, reason = "a zone has one SOA")]
pub enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Cname(NameBuf),
    Ns(NameBuf),
    Ptr(NameBuf),
    Soa {
        mname: NameBuf,
        rname: NameBuf,
        /// Serial, refresh, retry, expire, minimum.
        numbers: [u32; 5],
    },
    Mx {
        preference: u16,
        exchange: NameBuf,
    },
    Txt(Vec<u8>),
    Srv {
        priority: u16,
        weight: u16,
        port: u16,
        target: NameBuf,
    },
}

impl Data {
    /// As a message has it.
    #[must_use]
    pub fn rdata(&self) -> Rdata<'_> {
        match self {
            Self::A(address) => Rdata::A(*address),
            Self::Aaaa(address) => Rdata::Aaaa(*address),
            Self::Cname(name) => Rdata::Cname(name.name()),
            Self::Ns(name) => Rdata::Ns(name.name()),
            Self::Ptr(name) => Rdata::Ptr(name.name()),
            Self::Soa {
                mname,
                rname,
                numbers: [serial, refresh, retry, expire, minimum],
            } => Rdata::Soa(Soa {
                mname: mname.name(),
                rname: rname.name(),
                serial: *serial,
                refresh: *refresh,
                retry: *retry,
                expire: *expire,
                minimum: *minimum,
            }),
            Self::Mx {
                preference,
                exchange,
            } => Rdata::Mx {
                preference: *preference,
                exchange: exchange.name(),
            },
            Self::Txt(strings) => Rdata::Txt(Txt::new(strings).expect("strings that were parsed")),
            Self::Srv {
                priority,
                weight,
                port,
                target,
            } => Rdata::Srv {
                priority: *priority,
                weight: *weight,
                port: *port,
                target: target.name(),
            },
        }
    }

    /// The type of such a record.
    #[must_use]
    pub fn rtype(&self) -> Type {
        self.rdata().rtype()
    }

    /// The name of the host whose addresses are asked for next.
    #[must_use]
    pub fn host(&self) -> Option<Name<'_>> {
        match self {
            Self::Ns(name) => Some(name.name()),
            Self::Mx { exchange, .. } => Some(exchange.name()),
            Self::Srv { target, .. } => Some(target.name()),
            _ => None,
        }
    }
}

/// What a zone's text has wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneError {
    /// The line, from 1 on; the last where something is missing.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for ZoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for ZoneError {}

// ANCHOR: find
/// What a zone knows of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'z> {
    /// It is not in this zone.
    Outside,
    /// These servers know: the name at which their part of the tree begins, and their NS records.
    Delegated(&'z NameBuf, &'z [Entry]),
    /// The records of this name. There are none at a name that only has names below it.
    Node(&'z [Entry]),
    /// The records of a wildcard that stands for this name (RFC 4592).
    Wildcard(&'z [Entry]),
    /// There is no such name.
    Nothing,
}
// ANCHOR_END: find

impl Zone {
    /// Reads a zone file, a part of whose language is understood (RFC 1035 §5.1): `$ORIGIN` and
    /// `$TTL`, a record on a line, comments, quoted strings, `@`, names relative to the origin; the
    /// types that [`Data`] has.
    ///
    /// # Errors
    ///
    /// What cannot be read, by line; records outside the zone; no SOA, or no NS beside it; something
    /// beside a CNAME (RFC 2181 §10.1).
    pub fn parse(text: &str) -> Result<Self, ZoneError> {
        let mut reader = Reader::default();
        let mut lines = 0;
        for (line, number) in text.lines().zip(1..) {
            lines = number;
            reader
                .line(line)
                .map_err(|what| ZoneError { line: number, what })?;
        }
        reader
            .finish()
            .map_err(|what| ZoneError { line: lines, what })
    }

    /// The zone's own name: where it begins.
    #[must_use]
    pub fn apex(&self) -> Name<'_> {
        self.apex.name()
    }

    /// The start of authority.
    #[must_use]
    pub fn soa(&self) -> &Entry {
        let apex = self.nodes[&self.apex].iter();
        let mut soa = apex.filter(|entry| entry.data.rtype() == Type::SOA);
        soa.next().expect("that has been checked")
    }

    // ANCHOR: lookup
    /// What there is at `name` (RFC 1034 §4.3.2, RFC 4592 §3.3.1).
    #[must_use]
    pub fn find(&self, name: Name) -> Found<'_> {
        if !name.is_at_or_below(self.apex.name()) {
            return Found::Outside;
        }
        // From the name up to the apex, so that the last is the highest.
        let path = std::iter::successors(Some(name), |name| name.parent());
        let depth = name.labels().count() - self.apex.name().labels().count();
        let path: Vec<NameBuf> = path.take(depth + 1).map(Name::to_buf).collect();

        let below_apex = path[..depth].iter().rev();
        for cut in below_apex.filter_map(|name| self.nodes.get_key_value(name)) {
            let (name, entries) = cut;
            if entries.iter().any(|entry| entry.data.rtype() == Type::NS) {
                return Found::Delegated(name, entries);
            }
        }
        if let Some(entries) = self.nodes.get(&path[0]) {
            return Found::Node(entries);
        }
        // The closest name above that exists: only a wildcard directly below it may speak.
        let encloser = path.iter().find(|name| self.nodes.contains_key(*name));
        let wildcard = encloser.and_then(|encloser| below(b"*", encloser.name()));
        match wildcard.and_then(|wildcard| self.nodes.get(&wildcard)) {
            Some(entries) => Found::Wildcard(entries),
            None => Found::Nothing,
        }
    }
    // ANCHOR_END: lookup

    /// The addresses of a host of this zone, or of one beyond a cut that has them as glue.
    pub fn addresses(&self, host: Name) -> impl Iterator<Item = &Entry> {
        let entries = self.nodes.get(&host.to_buf()).into_iter().flatten();
        entries.filter(|entry| matches!(entry.data, Data::A(_) | Data::Aaaa(_)))
    }
}

/// The name with this label in front of `parent`, if it is not too long.
fn below(label: &[u8], parent: Name) -> Option<NameBuf> {
    NameBuf::from_labels(std::iter::once(label).chain(parent.labels())).ok()
}

/// What has been read so far.
#[derive(Default)]
struct Reader {
    origin: Option<NameBuf>,
    ttl: Option<u32>,
    owner: Option<NameBuf>,
    apex: Option<NameBuf>,
    nodes: BTreeMap<NameBuf, Vec<Entry>>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let words = split(line)?;
        let words: Vec<&Word> = words.iter().collect();
        match words.as_slice() {
            [] => Ok(()),
            [first, name] if first.is("$ORIGIN") => {
                self.origin = Some(self.name(name)?);
                Ok(())
            }
            [first, ttl] if first.is("$TTL") => {
                self.ttl = Some(number(ttl)?);
                Ok(())
            }
            // A line that begins with a space goes on with the name of the line before.
            words if line.starts_with([' ', '\t']) => self.record(words),
            [owner, words @ ..] => {
                self.owner = Some(self.name(owner)?);
                self.record(words)
            }
        }
    }

    /// TTL and class are optional, type and data are not.
    fn record(&mut self, words: &[&Word]) -> Result<(), String> {
        let mut words = words;
        let mut ttl = self.ttl;
        while let [first, rest @ ..] = words {
            if first.text.bytes().all(|byte| byte.is_ascii_digit()) {
                ttl = Some(number(first)?);
            } else if !first.is("IN") {
                break;
            }
            words = rest;
        }
        let [rtype, data @ ..] = words else {
            return Err("a record has a type".into());
        };
        let data = self.data(&rtype.text, data)?;
        let owner = self.owner.ok_or("whose record is this?")?;
        let ttl = ttl.ok_or("a record has a TTL, or there is a $TTL above")?;
        if let Data::Soa { .. } = data {
            if self.apex.is_some() {
                return Err("a zone has one SOA".into());
            }
            self.apex = Some(owner);
        }
        let Some(apex) = self.apex else {
            return Err("a zone begins with its SOA".into());
        };
        if !owner.name().is_at_or_below(apex.name()) {
            return Err(format!("{owner} is not in the zone {apex}"));
        }
        self.add(owner, apex, Entry { ttl, data })
    }

    fn add(&mut self, owner: NameBuf, apex: NameBuf, entry: Entry) -> Result<(), String> {
        // The names between this one and the apex exist, too, though without records (RFC 4592 §2.2.2).
        let above = std::iter::successors(owner.name().parent(), |name| name.parent());
        for name in above.take_while(|name| name.is_at_or_below(apex.name())) {
            self.nodes.entry(name.to_buf()).or_default();
        }
        let entries = self.nodes.entry(owner).or_default();
        let rtype = entry.data.rtype();
        if let Some(other) = entries.iter().find(|other| other.data.rtype() == rtype)
            && other.ttl != entry.ttl
        {
            return Err(format!(
                "the records {owner} {rtype} have one TTL (RFC 2181 §5.2)"
            ));
        }
        if entries.contains(&entry) {
            return Err(format!("{owner} {rtype} stands here twice"));
        }
        let cname = |entry: &Entry| entry.data.rtype() == Type::CNAME;
        if !entries.is_empty() && (cname(&entry) || entries.iter().any(cname)) {
            return Err(format!("{owner} has a CNAME, so it has nothing else"));
        }
        entries.push(entry);
        // Sets of records stand together.
        entries.sort_by_key(|entry| entry.data.rtype());
        Ok(())
    }

    fn data(&self, rtype: &str, words: &[&Word]) -> Result<Data, String> {
        let rtype: Type = rtype.parse().map_err(|error| format!("{rtype}: {error}"))?;
        let host = |text: &Word| self.name(text);
        Ok(match (rtype, words) {
            (Type::A, [address]) => Data::A(parsed(address)?),
            (Type::AAAA, [address]) => Data::Aaaa(parsed(address)?),
            (Type::CNAME, [name]) => Data::Cname(host(name)?),
            (Type::NS, [name]) => Data::Ns(host(name)?),
            (Type::PTR, [name]) => Data::Ptr(host(name)?),
            (Type::MX, [preference, name]) => Data::Mx {
                preference: parsed(preference)?,
                exchange: host(name)?,
            },
            (Type::SRV, [priority, weight, port, name]) => Data::Srv {
                priority: parsed(priority)?,
                weight: parsed(weight)?,
                port: parsed(port)?,
                target: host(name)?,
            },
            (Type::SOA, [mname, rname, numbers @ ..]) => {
                let numbers: Result<Vec<u32>, String> =
                    numbers.iter().map(|word| number(word)).collect();
                Data::Soa {
                    mname: host(mname)?,
                    rname: host(rname)?,
                    numbers: numbers?.try_into().map_err(|_| "an SOA has five numbers")?,
                }
            }
            (Type::TXT, [_, ..]) => {
                let mut strings = Vec::new();
                for Word { text, .. } in words {
                    if text.len() > MAX_STRING_LEN {
                        return Err(format!("a string has {MAX_STRING_LEN} bytes at most"));
                    }
                    strings.push(text.len() as u8);
                    strings.extend(text.bytes());
                }
                Data::Txt(strings)
            }
            _ => return Err(format!("these are no data of {rtype}")),
        })
    }

    /// A name; without a dot at the end, the origin follows.
    fn name(&self, word: &Word) -> Result<NameBuf, String> {
        let origin = || self.origin.ok_or("there is no $ORIGIN above");
        let text = word.text.as_str();
        if text == "@" {
            return Ok(origin()?);
        }
        let name: NameBuf = text.parse().map_err(|error| format!("{text}: {error}"))?;
        if ends_with_dot(text) {
            return Ok(name);
        }
        let origin = origin()?;
        let labels = name.name().labels().chain(origin.name().labels());
        NameBuf::from_labels(labels).map_err(|error| format!("{text}: {error}"))
    }

    fn finish(self) -> Result<Zone, String> {
        let apex = self.apex.ok_or("there is no SOA")?;
        let at_apex = &self.nodes[&apex];
        if !at_apex.iter().any(|entry| entry.data.rtype() == Type::NS) {
            return Err(format!("{apex} has no NS"));
        }
        Ok(Zone {
            apex,
            nodes: self.nodes,
        })
    }
}

/// Whether the last dot is one between labels, and none that belongs to a label.
fn ends_with_dot(text: &str) -> bool {
    text.strip_suffix('.').is_some_and(|front| {
        let backslashes = front.len() - front.trim_end_matches('\\').len();
        backslashes.is_multiple_of(2)
    })
}

/// A word of a line, without the quotes that it may have had.
struct Word {
    text: String,
    quoted: bool,
}

impl Word {
    fn is(&self, keyword: &str) -> bool {
        !self.quoted && self.text.eq_ignore_ascii_case(keyword)
    }
}

/// The words of a line, up to a comment.
fn split(line: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let (text, behind, quoted) = match first {
            ';' => break,
            '"' => {
                let (text, behind) = rest[1..].split_once('"').ok_or("a quote is missing")?;
                (text, behind, true)
            }
            _ => {
                let end = rest.find([' ', '\t', ';', '"']).unwrap_or(rest.len());
                (&rest[..end], &rest[end..], false)
            }
        };
        words.push(Word {
            text: text.to_owned(),
            quoted,
        });
        rest = behind.trim_start();
    }
    Ok(words)
}

fn parsed<T: std::str::FromStr<Err: fmt::Display>>(word: &Word) -> Result<T, String> {
    let text = &word.text;
    text.parse().map_err(|error| format!("{text}: {error}"))
}

/// A number of seconds, or another of 32 bits.
fn number(word: &Word) -> Result<u32, String> {
    parsed(word)
}
