//! Messages of all kinds, made at random.

#![allow(dead_code, reason = "no test file uses all of it")]

use proptest::collection::vec;
use proptest::prelude::*;
use udp_dns_message::{
    Class, Edns, EdnsOption, EdnsOptions, Flags, Header, MAX_MESSAGE_LEN, NameBuf, Opcode,
    OptionCode, Question, Rcode, Rdata, Record, Section, Soa, Txt, Type, Writer,
};

/// The parts of a message, each of which stands alone.
#[derive(Debug, Clone)]
pub struct Parts {
    pub header: Header,
    pub edns: Option<EdnsParts>,
    pub questions: Vec<(NameBuf, Type, Class)>,
    pub records: [Vec<RecordParts>; 3],
}

#[derive(Debug, Clone)]
pub struct EdnsParts {
    pub size: u16,
    pub dnssec_ok: bool,
    pub options: Vec<(u16, Vec<u8>)>,
}

#[derive(Debug, Clone)]
pub struct RecordParts {
    pub name: NameBuf,
    pub class: Class,
    pub ttl: u32,
    pub data: Data,
}

#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are a few of them at a time"
)]
pub enum Data {
    A([u8; 4]),
    Aaaa([u8; 16]),
    Cname(NameBuf),
    Ns(NameBuf),
    Ptr(NameBuf),
    Soa(NameBuf, NameBuf, [u32; 5]),
    Mx(u16, NameBuf),
    Srv([u16; 3], NameBuf),
    Txt(Vec<u8>),
    Opaque(u16, Vec<u8>),
}

impl RecordParts {
    pub fn record(&self) -> Record<'_> {
        let rdata = match &self.data {
            Data::A(octets) => Rdata::A((*octets).into()),
            Data::Aaaa(octets) => Rdata::Aaaa((*octets).into()),
            Data::Cname(name) => Rdata::Cname(name.name()),
            Data::Ns(name) => Rdata::Ns(name.name()),
            Data::Ptr(name) => Rdata::Ptr(name.name()),
            Data::Soa(mname, rname, [serial, refresh, retry, expire, minimum]) => Rdata::Soa(Soa {
                mname: mname.name(),
                rname: rname.name(),
                serial: *serial,
                refresh: *refresh,
                retry: *retry,
                expire: *expire,
                minimum: *minimum,
            }),
            Data::Mx(preference, exchange) => Rdata::Mx {
                preference: *preference,
                exchange: exchange.name(),
            },
            Data::Srv([priority, weight, port], target) => Rdata::Srv {
                priority: *priority,
                weight: *weight,
                port: *port,
                target: target.name(),
            },
            Data::Txt(wire) => Rdata::Txt(Txt::new(wire).unwrap()),
            Data::Opaque(rtype, bytes) => Rdata::Opaque {
                rtype: Type(*rtype),
                bytes,
            },
        };
        Record {
            name: self.name.name(),
            class: self.class,
            ttl: self.ttl,
            rdata,
        }
    }
}

impl Parts {
    /// The message.
    pub fn bytes(&self) -> Vec<u8> {
        let mut room = vec![0; MAX_MESSAGE_LEN];
        let mut options = vec![0; MAX_MESSAGE_LEN];
        let edns = self.edns.as_ref().map(|edns| edns.edns(&mut options));
        let mut writer = Writer::new(&mut room, self.header, edns).unwrap();
        for (name, qtype, class) in &self.questions {
            let question = Question {
                name: name.name(),
                qtype: *qtype,
                class: *class,
            };
            writer.question(&question).unwrap();
        }
        for (section, records) in Section::ALL.into_iter().zip(&self.records) {
            for record in records {
                writer.record(section, &record.record()).unwrap();
            }
        }
        writer.finish().to_vec()
    }
}

impl EdnsParts {
    pub fn edns<'r>(&self, room: &'r mut [u8]) -> Edns<'r> {
        let list: Vec<EdnsOption> = self
            .options
            .iter()
            .map(|(code, data)| EdnsOption {
                code: OptionCode(*code),
                data,
            })
            .collect();
        Edns {
            dnssec_ok: self.dnssec_ok,
            options: EdnsOptions::emit(&list, room).unwrap(),
            ..Edns::new(self.size)
        }
    }
}

/// A label of any bytes.
fn label() -> impl Strategy<Value = Vec<u8>> + Clone {
    prop_oneof![
        8 => prop::sample::select(vec!["www", "WWW", "example", "com", "a", "Mail"])
            .prop_map(|label| label.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 1..=63),
    ]
}

/// A name; many have an end in common.
pub fn name() -> impl Strategy<Value = NameBuf> + Clone {
    vec(label(), 0..6).prop_map(|labels| {
        let fits = |labels: &[Vec<u8>]| NameBuf::from_labels(labels.iter().map(Vec::as_slice));
        fits(&labels).unwrap_or_else(|_| fits(&labels[..2]).unwrap())
    })
}

/// A name of letters, digits and hyphens, which everybody shows in the same way.
pub fn host_name() -> impl Strategy<Value = NameBuf> + Clone {
    vec("[a-zA-Z0-9]([a-zA-Z0-9-]{0,20}[a-zA-Z0-9])?", 1..6)
        .prop_map(|labels| NameBuf::from_labels(labels.iter().map(String::as_bytes)).unwrap())
}

fn data(name: impl Strategy<Value = NameBuf> + Clone) -> impl Strategy<Value = Data> {
    let strings = vec(vec(any::<u8>(), 0..40), 1..4).prop_map(|strings| {
        let with_length = |string: &Vec<u8>| [&[string.len() as u8], &string[..]].concat();
        strings.iter().flat_map(with_length).collect()
    });
    prop_oneof![
        any::<[u8; 4]>().prop_map(Data::A),
        any::<[u8; 16]>().prop_map(Data::Aaaa),
        name.clone().prop_map(Data::Cname),
        name.clone().prop_map(Data::Ns),
        name.clone().prop_map(Data::Ptr),
        (name.clone(), name.clone(), any::<[u32; 5]>())
            .prop_map(|(mname, rname, numbers)| Data::Soa(mname, rname, numbers)),
        (any::<u16>(), name.clone()).prop_map(|(number, name)| Data::Mx(number, name)),
        (any::<[u16; 3]>(), name).prop_map(|(numbers, name)| Data::Srv(numbers, name)),
        strings.prop_map(Data::Txt),
        // For private use (RFC 6895 §3.1), beyond those that Windows has taken: nobody looks into it.
        (65_300..65_535_u16, vec(any::<u8>(), 0..40))
            .prop_map(|(rtype, bytes)| Data::Opaque(rtype, bytes)),
    ]
}

fn records(
    name: impl Strategy<Value = NameBuf> + Clone,
) -> impl Strategy<Value = Vec<RecordParts>> {
    let record = (name.clone(), 0..1_u32 << 31, data(name));
    vec(
        record.prop_map(|(name, ttl, data)| RecordParts {
            name,
            class: Class::IN,
            ttl,
            data,
        }),
        0..5,
    )
}

fn header(rcodes: u16) -> impl Strategy<Value = Header> {
    let flags = [
        Flags::QR,
        Flags::AA,
        Flags::TC,
        Flags::RD,
        Flags::RA,
        Flags::AD,
        Flags::CD,
    ];
    let flags = prop::sample::subsequence(flags.to_vec(), 0..=7);
    (any::<u16>(), flags, 0..16_u8, 0..rcodes).prop_map(|(id, flags, opcode, rcode)| Header {
        id,
        flags: flags.into_iter().fold(Flags::NONE, |all, flag| all | flag),
        opcode: Opcode::new(opcode).unwrap(),
        rcode: Rcode::new(rcode).unwrap(),
    })
}

fn edns() -> impl Strategy<Value = EdnsParts> {
    let options = vec((any::<u16>(), vec(any::<u8>(), 0..20)), 0..3);
    (any::<u16>(), any::<bool>(), options).prop_map(|(size, dnssec_ok, options)| EdnsParts {
        size,
        dnssec_ok,
        options,
    })
}

/// A message with such names.
pub fn parts(name: impl Strategy<Value = NameBuf> + Clone + 'static) -> BoxedStrategy<Parts> {
    let question = (name.clone(), any::<u16>().prop_map(Type), Just(Class::IN));
    let sections = [(); 3].map(|()| records(name.clone()));
    let header = prop_oneof![
        (header(1 << 4), Just(None)),
        (header(1 << 12), edns().prop_map(Some)),
    ];
    (header, vec(question, 0..3), sections)
        .prop_map(|((header, edns), questions, records)| Parts {
            header,
            edns,
            questions,
            records,
        })
        .boxed()
}
