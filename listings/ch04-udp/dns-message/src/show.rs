//! A message as it is shown: a line of text and a part of a figure for each field.

use record::{Field, Wire};
use udp_dns_message::{
    Edns, Flags, HEADER_LEN, Message, Name, Question, Rdata, Record, Section, Type, fields,
};

/// What stands in front of the message in the bytes that are shown.
pub struct Front {
    pub len: usize,
    pub fields: Vec<Field>,
}

/// Prints a message's fields, and gives its figure. `bytes` are the message and what is in front.
pub fn message(bytes: &[u8], front: Option<Front>, message: &Message) -> Wire {
    let at = front.as_ref().map_or(0, |front| front.len);
    let mut parts = front.map_or_else(Vec::new, |front| front.fields);
    parts.push(header(message));
    parts.extend(
        message
            .questions()
            .map(|each| question(&each, message.as_bytes())),
    );
    for section in Section::ALL {
        let records = message.records(section);
        parts.extend(records.map(|each| record(section, &each, message.as_bytes())));
    }
    if let Some(edns) = message.edns() {
        parts.push(opt(&edns, message));
    }
    if at > 0 {
        // What stands in front has its place already.
        let own = parts
            .iter()
            .position(|part| part.name == HEADER)
            .unwrap_or(0);
        parts[own..].iter_mut().for_each(|part| shift(part, at * 8));
    }
    println!("byte  bytes                      field             value");
    parts.iter().for_each(|part| print(bytes, part));
    Wire {
        bytes: bytes.to_vec(),
        fields: parts,
    }
}

const HEADER: &str = "DNS header";

fn shift(field: &mut Field, bits: usize) {
    field.bit += bits;
    field.fields.iter_mut().for_each(|inner| shift(inner, bits));
}

fn verbatim(text: impl ToString) -> String {
    format!("`{}`", text.to_string())
}

/// A field of whole bytes that says this.
fn bytes(name: &str, at: usize, len: usize, value: impl ToString) -> Field {
    Field::bytes(verbatim(name), at, len).value(verbatim(value))
}

fn header(message: &Message) -> Field {
    let header = message.header();
    let [.., high, low] = *message.as_bytes().first_chunk::<4>().expect("a header");
    let word = u16::from_be_bytes([high, low]);
    let count = |field: ip_header::Field| {
        let at = field.offset();
        u16::from_be_bytes([message.as_bytes()[at], message.as_bytes()[at + 1]])
    };
    let flags = fields::ALL
        .into_iter()
        .filter(|field| (16..32).contains(&field.bit));
    let flags = flags.map(|field| {
        let number = word >> (32 - field.bit - field.bits) & ((1 << field.bits) - 1);
        let value = match field {
            fields::OPCODE => header.opcode.to_string(),
            fields::RCODE => header.rcode.to_string(),
            _ => number.to_string(),
        };
        Field::bits(verbatim(field.name), field.bit, field.bits).value(verbatim(value))
    });
    let all = format!("{} {} {}", header.opcode, header.flags, header.rcode);
    let mut parts = vec![
        bytes("id", 0, 2, format!("{:#06x}", header.id)).note("the answer bears the same"),
        match header.flags.contains(Flags::TC) {
            // Once, where one of them is the point, each bit has a line of its own.
            true => bytes("flags", 2, 2, all).fields(flags),
            false => bytes("flags", 2, 2, all).note("one bit each, opcode and rcode four"),
        },
    ];
    let notes = [
        "questions",
        "answers",
        "authorities",
        "additional records, `OPT` included",
    ];
    let counts = [
        fields::QDCOUNT,
        fields::ANCOUNT,
        fields::NSCOUNT,
        fields::ARCOUNT,
    ];
    parts.extend(
        counts
            .into_iter()
            .zip(notes)
            .map(|(field, note)| bytes(field.name, field.offset(), 2, count(field)).note(note)),
    );
    Field::bytes(HEADER, 0, HEADER_LEN).fields(parts)
}

// ANCHOR: name
/// A name with its labels, and the pointer that may be its end.
fn name(field: &str, name: Name, message: &[u8]) -> Field {
    let (start, len) = (name.offset(), name.encoded_len());
    let mut parts = Vec::new();
    let mut at = start;
    let mut rest = Some(name);
    while at < start + len {
        match message[at] {
            0 => {
                parts.push(bytes("root", at, 1, "0"));
                at += 1;
            }
            pointer @ 0xc0.. => {
                let target = usize::from(pointer & 0x3f) << 8 | usize::from(message[at + 1]);
                let there = rest.map_or_else(String::new, |rest| rest.to_string());
                let value = format!("`{target}`");
                let pointer = Field::bytes("`pointer`", at, 2).value(value);
                parts.push(pointer.note(format!("to `{there}`")));
                at += 2;
            }
            label => {
                let label = usize::from(label);
                let text = message[at + 1..][..label].escape_ascii();
                parts.push(bytes("label", at, 1 + label, format!("{label} {text}")));
                at += 1 + label;
                rest = rest.and_then(Name::parent);
            }
        }
    }
    bytes(field, start, len, name).fields(parts)
}
// ANCHOR_END: name

fn question(question: &Question, message: &[u8]) -> Field {
    let Question {
        name: qname,
        qtype,
        class,
    } = question;
    let at = qname.offset();
    let behind = at + qname.encoded_len();
    let parts = [
        name("qname", *qname, message),
        number("qtype", behind, qtype.0, qtype),
        number("qclass", behind + 2, class.0, class),
    ];
    Field::bytes("question", at, behind + 4 - at)
        .value(verbatim(format!("{qname} {qtype}")))
        .fields(parts)
}

/// A number of 16 bits that has a name.
fn number(field: &str, at: usize, number: u16, name: impl ToString) -> Field {
    bytes(field, at, 2, number).note(verbatim(name))
}

fn record(section: Section, record: &Record, message: &[u8]) -> Field {
    let at = record.name.offset();
    let behind = at + record.name.encoded_len();
    let len = u16::from_be_bytes([message[behind + 8], message[behind + 9]]);
    let (data, len) = (behind + 10, usize::from(len));
    let rtype = record.rtype();
    let rdata = Field::bytes("`rdata`", data, len).value(verbatim(record.rdata));
    let parts = match record.rdata {
        Rdata::Cname(target) | Rdata::Ns(target) | Rdata::Ptr(target) => {
            vec![name("name", target, message)]
        }
        Rdata::Mx {
            preference,
            exchange,
        } => vec![
            bytes("preference", data, 2, preference),
            name("exchange", exchange, message),
        ],
        _ => vec![],
    };
    let parts = [
        name("name", record.name, message),
        number("type", behind, rtype.0, rtype),
        number("class", behind + 2, record.class.0, record.class),
        bytes("ttl", behind + 4, 4, record.ttl).note("seconds for which it may be kept"),
        bytes("rdlength", behind + 8, 2, len).note("bytes of data"),
        rdata.fields(parts),
    ];
    let what = match section {
        Section::Answer => "answer",
        Section::Authority => "authority",
        Section::Additional => "additional record",
    };
    Field::bytes(what, at, data + len - at)
        .value(verbatim(format!("{} {rtype}", record.name)))
        .fields(parts)
}

/// OPT, which stands last in all that is shown here.
fn opt(edns: &Edns, message: &Message) -> Field {
    let len = edns.wire_len();
    let at = message.as_bytes().len() - len;
    let rcode = message.as_bytes()[at + 5];
    let size = bytes("class", at + 3, 2, edns.udp_payload_size);
    let ttl = bytes(
        "ttl",
        at + 5,
        4,
        u32::from(rcode) << 24 | u32::from(edns.version) << 16,
    )
    .fields([
        bytes("extended_rcode", at + 5, 1, rcode),
        bytes("version", at + 6, 1, edns.version),
        Field::bits("`do`", (at + 7) * 8, 1).value(verbatim(u8::from(edns.dnssec_ok))),
        Field::bits("`z`", (at + 7) * 8 + 1, 15).value("`0`"),
    ]);
    let mut parts = vec![
        bytes("name", at, 1, "."),
        number("type", at + 1, Type::OPT.0, Type::OPT),
        size.note("the longest answer that may come in one datagram, in bytes"),
        ttl,
        bytes("rdlength", at + 9, 2, len - 11).note("bytes of options"),
    ];
    let mut place = at + 11;
    for option in edns.options.iter() {
        let len = option.data.len();
        let hex: String = option
            .data
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let fields = [
            number("option_code", place, option.code.0, option.code),
            bytes("option_length", place + 2, 2, len),
            bytes("option_data", place + 4, len, hex),
        ];
        parts.push(Field::bytes("option", place, 4 + len).fields(fields));
        place += 4 + len;
    }
    Field::bytes("`OPT`", at, len).value("EDNS").fields(parts)
}

/// A line for each part, and one for each of its fields.
fn print(bytes: &[u8], part: &Field) {
    let text = |text: &str| text.replace('`', "");
    let value = |field: &Field| field.value.as_deref().map(text).unwrap_or_default();
    println!(
        "{}",
        format!("{:33}{} {}", "", text(&part.name), value(part)).trim_end()
    );
    for field in &part.fields {
        let leads = match pointer(field) {
            Some((labels, target)) => format!("  ({labels}→ byte {target})"),
            None => String::new(),
        };
        let (at, digits) = (field.bit / 8, digits(bytes, field));
        let (name, value) = (text(&field.name), value(field));
        println!("{at:>4}  {digits:<25}  {name:<16}  {value}{leads}");
    }
}

/// Where a field that is a name, or ends with one, leads, and the labels in front of that.
fn pointer(field: &Field) -> Option<(String, String)> {
    let last = field.fields.last()?;
    if last.name != "`pointer`" {
        return pointer(last);
    }
    let labels = &field.fields[..field.fields.len() - 1];
    let labels = labels.iter().filter_map(|label| label.value.as_deref());
    let labels: String = labels.map(|label| label.replace('`', "") + " ").collect();
    let target = last.value.as_deref()?.replace('`', "");
    Some((labels, target))
}

/// A field's bytes in hexadecimal, eight at most.
fn digits(bytes: &[u8], field: &Field) -> String {
    const MOST: usize = 8;
    let (at, len) = (field.bit / 8, field.bits / 8);
    let digits = bytes[at..at + len].iter().take(MOST);
    let mut digits: Vec<String> = digits.map(|byte| format!("{byte:02x}")).collect();
    if len > MOST {
        digits[MOST - 1] = "…".into();
    }
    digits.join(" ")
}
