//! Reading and writing real answers against domain and simple-dns, and the longest and most expensive
//! messages.
//!
//! ```text
//! cargo bench -p udp-dns-message
//! ```
//!
//! What counts is the ratio of the medians, theirs to ours. Above 1, ours is faster.

#[path = "../src/captured.rs"]
mod captured;
#[path = "../src/hostile.rs"]
#[expect(dead_code, reason = "the long ones are enough here")]
mod hostile;

use std::hint::black_box;

use domain::base::iana::Rtype;
use domain::base::name::ParsedName;
use domain::base::{MessageBuilder, StaticCompressor};
use domain::rdata::AllRecordData;
use testkit::yardstick::compare;
use udp_dns_message::{MAX_MESSAGE_LEN, Message, Name, Rdata, Record, Section, Writer};

fn main() {
    println!("nanoseconds each, and how many times ours it takes\n");
    for name in ["cname-answer", "mx-answer", "nxdomain-answer", "tcp-answer"] {
        let bytes = captured::find(name).message().unwrap();
        let what = format!("{name}, {} bytes", bytes.len());
        read(&format!("parse and read all records of {what}"), bytes);
        write(&format!("emit with compression: {what}"), bytes);
    }

    let many = addresses(4000);
    read(&format!("{} addresses, {} bytes", 4000, many.len()), &many);
    println!("\nsteps are labels and pointers looked at\n");
    for len in [8192, 16_384, 32_768, MAX_MESSAGE_LEN] {
        for (what, bytes) in [
            ("a chain of pointers", hostile::chain(len)),
            ("the most expensive that is accepted", hostile::costly(len)),
        ] {
            let mut steps = 0;
            let _ = Message::parse_counting(&bytes, &mut steps);
            let per_byte = steps as f64 / bytes.len() as f64;
            let what = format!(
                "{what}, {} bytes: {steps} steps, {per_byte:.1} a byte",
                bytes.len()
            );
            let parse = || Message::parse(black_box(&bytes)).is_ok().into();
            compare(&what, vec![("parse", Box::new(parse))]);
        }
    }
}

/// A number that nobody knows who has not read every record: its type, its time to live, and the length
/// of its owner's name.
fn sum(rtype: u16, ttl: u32, name_len: usize) -> u64 {
    u64::from(rtype) + u64::from(ttl) + name_len as u64
}

fn read(what: &str, bytes: &[u8]) {
    compare(
        what,
        vec![
            ("ours", Box::new(|| ours(black_box(bytes)))),
            ("domain", Box::new(|| domains(black_box(bytes)))),
            ("simple-dns", Box::new(|| simple(black_box(bytes)))),
        ],
    );
}

fn ours(bytes: &[u8]) -> u64 {
    let message = Message::parse(bytes).unwrap();
    let records = Section::ALL
        .into_iter()
        .flat_map(|section| message.records(section));
    let sums = records.map(|record| {
        black_box(&record.rdata);
        sum(record.rtype().0, record.ttl, record.name.wire_len())
    });
    sums.sum()
}

fn domains(bytes: &[u8]) -> u64 {
    let message = domain::base::Message::from_octets(bytes).unwrap();
    message.question().for_each(|question| {
        black_box(question.unwrap());
    });
    let mut all = 0;
    for item in message.iter() {
        let (record, _) = item.unwrap();
        if record.rtype() == Rtype::OPT {
            black_box(
                record
                    .to_any_record::<AllRecordData<_, ParsedName<_>>>()
                    .unwrap(),
            );
            continue;
        }
        let record = record
            .to_any_record::<AllRecordData<_, ParsedName<_>>>()
            .unwrap();
        black_box(record.data());
        let len = record.owner().iter().map(|label| label.len() + 1).sum();
        all += sum(record.rtype().to_int(), record.ttl().as_secs(), len);
    }
    all
}

fn simple(bytes: &[u8]) -> u64 {
    let packet = simple_dns::Packet::parse(bytes).unwrap();
    let sections = [
        &packet.answers,
        &packet.name_servers,
        &packet.additional_records,
    ];
    let records = sections.into_iter().flatten().map(|record| {
        let labels = record.name.get_labels().iter();
        let len = labels.map(|label| label.len() + 1).sum::<usize>() + 1;
        black_box(&record.rdata);
        sum(record.rdata.type_code().into(), record.ttl, len)
    });
    records.sum()
}

/// Writes what has been read before: the parts are there as each library has them.
fn write(what: &str, bytes: &[u8]) {
    let message = Message::parse(bytes).unwrap();
    let of = |section| {
        message
            .records(section)
            .map(move |record| (section, record))
    };
    let parts: Vec<(Section, Record)> = Section::ALL.into_iter().flat_map(of).collect();
    let question = message.question().unwrap();
    let theirs = Theirs::read(bytes);
    let packet = simple_dns::Packet::parse(bytes).unwrap();
    let (mut first, mut second) = ([0; 1232], Vec::with_capacity(1232));
    compare(
        what,
        vec![
            (
                "ours",
                Box::new(|| {
                    let mut writer =
                        Writer::new(&mut first, message.header(), message.edns()).unwrap();
                    writer.question(black_box(&question)).unwrap();
                    for (section, record) in black_box(&parts) {
                        writer.record(*section, record).unwrap();
                    }
                    writer.finish().len() as u64
                }),
            ),
            (
                "domain",
                Box::new(|| {
                    let mut room = std::mem::take(&mut second);
                    room.clear();
                    second = black_box(&theirs).write(StaticCompressor::new(room));
                    second.len() as u64
                }),
            ),
            (
                "simple-dns",
                Box::new(|| {
                    let bytes = black_box(&packet).build_bytes_vec_compressed().unwrap();
                    bytes.len() as u64
                }),
            ),
        ],
    );
}

type ParsedRecord<'a> =
    domain::base::Record<ParsedName<&'a [u8]>, AllRecordData<&'a [u8], ParsedName<&'a [u8]>>>;

/// A message's parts as domain has them.
struct Theirs<'a> {
    header: domain::base::Header,
    question: domain::base::Question<ParsedName<&'a [u8]>>,
    sections: [Vec<ParsedRecord<'a>>; 3],
}

impl<'a> Theirs<'a> {
    fn read(bytes: &'a [u8]) -> Self {
        let message = domain::base::Message::from_octets(bytes).unwrap();
        let sections = [message.answer(), message.authority(), message.additional()];
        let sections = sections.map(|section| {
            let records = section
                .unwrap()
                .map(|record| record.unwrap().to_any_record().unwrap());
            records.collect()
        });
        let question = message.sole_question().unwrap();
        Self {
            header: message.header(),
            question,
            sections,
        }
    }

    fn write(&self, target: StaticCompressor<Vec<u8>>) -> Vec<u8> {
        let [answers, authorities, additionals] = &self.sections;
        let mut builder = MessageBuilder::from_target(target).unwrap();
        *builder.header_mut() = self.header;
        let mut builder = builder.question();
        builder.push(self.question).unwrap();
        let mut builder = builder.answer();
        answers
            .iter()
            .for_each(|record| builder.push(record).unwrap());
        let mut builder = builder.authority();
        authorities
            .iter()
            .for_each(|record| builder.push(record).unwrap());
        let mut builder = builder.additional();
        additionals
            .iter()
            .for_each(|record| builder.push(record).unwrap());
        builder.finish().into_target()
    }
}

/// A long answer, whose names are pointers to the first.
fn addresses(count: u32) -> Vec<u8> {
    let mut room = vec![0; MAX_MESSAGE_LEN];
    let header = udp_dns_message::Header::query(7);
    let mut writer = Writer::new(&mut room, header, None).unwrap();
    let name: udp_dns_message::NameBuf = "a.long.list.example.com".parse().unwrap();
    let owner: Name = name.name();
    for number in 0..count {
        let record = Record {
            name: owner,
            class: udp_dns_message::Class::IN,
            ttl: 300,
            rdata: Rdata::A(number.into()),
        };
        writer.record(Section::Answer, &record).unwrap();
    }
    writer.finish().to_vec()
}
