//! Data format: the same order as text and as binary.

use std::io;

use prost::Message;
use record::{Column, Field, Table, Wire};
use serde::{Deserialize, Serialize};

// ANCHOR: order
/// An order, described once for all three formats. Protobuf sends the numbers (`tag`) where the
/// others send the names.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
struct Order {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    customer: String,
    #[prost(message, repeated, tag = "3")]
    items: Vec<Item>,
    #[prost(bool, tag = "4")]
    paid: bool,
}

#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
struct Item {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint32, tag = "2")]
    count: u32,
}

fn order() -> Order {
    let item = |name: &str, count| Item {
        name: name.to_owned(),
        count,
    };
    Order {
        id: 150,
        customer: "민지".to_owned(),
        items: vec![item("tea", 2), item("cups", 300)],
        paid: true,
    }
}
// ANCHOR_END: order

/// Writes the order in each format, reads it back, and takes the Protobuf bytes apart.
pub fn compare() -> io::Result<(Table, Wire)> {
    let order = order();

    // ANCHOR: encode
    let json = serde_json::to_string(&order)?;
    let xml = quick_xml::se::to_string(&order).map_err(io::Error::other)?;
    let protobuf = order.encode_to_vec();
    // ANCHOR_END: encode

    // ANCHOR: decode
    let read_back = [
        serde_json::from_str(&json)?,
        quick_xml::de::from_str(&xml).map_err(io::Error::other)?,
        Order::decode(&protobuf[..]).map_err(io::Error::other)?,
    ];
    // ANCHOR_END: decode
    if read_back.iter().any(|read| *read != order) {
        return Err(io::Error::other("a format did not give back the order"));
    }

    println!("JSON, {} bytes:\n{json}\n", json.len());
    println!("XML, {} bytes:\n{xml}\n", xml.len());
    println!(
        "Protobuf, {} bytes (in hexadecimal):\n{}\n",
        protobuf.len(),
        hex(&protobuf)
    );
    println!("All three give the same order back.");

    let sizes = Table::new([Column::words("format"), Column::number("size", "bytes")])
        .row(["`JSON`".into(), json.len().to_string()])
        .row(["`XML`".into(), xml.len().to_string()])
        .row(["`Protobuf`".into(), protobuf.len().to_string()]);
    let fields = fields_of(&protobuf, 0, ORDER)?;
    Ok((
        sizes,
        Wire {
            bytes: protobuf,
            fields,
        },
    ))
}

/// Bytes as pairs of hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the bytes do not say: a field's name, and whether its value is a message with fields.
struct Named {
    number: u64,
    name: &'static str,
    fields: &'static [Named],
}

const fn named(number: u64, name: &'static str, fields: &'static [Named]) -> Named {
    Named {
        number,
        name,
        fields,
    }
}

const ORDER: &[Named] = &[
    named(1, "id", &[]),
    named(2, "customer", &[]),
    named(3, "items", &[named(1, "name", &[]), named(2, "count", &[])]),
    named(4, "paid", &[]),
];

/// Takes Protobuf bytes apart, for the figure; `at` is where in the whole message they begin. Each
/// field is a tag and a value, and the tag's last three bits say how long the value is.
fn fields_of(bytes: &[u8], at: usize, names: &[Named]) -> io::Result<Vec<Field>> {
    let broken = || io::Error::other("not the Protobuf encoding of an order");
    let (mut fields, mut from) = (Vec::new(), 0);
    while from < bytes.len() {
        let (tag, tag_len) = varint(&bytes[from..]).ok_or_else(broken)?;
        let (number, wire_type) = (tag >> 3, tag & 0b111);
        let named = names.iter().find(|named| named.number == number);
        let named = named.ok_or_else(broken)?;

        let value_from = from + tag_len;
        let (first, first_len) = varint(&bytes[value_from..]).ok_or_else(broken)?;
        let mut parts = vec![tag_field(at + from, number, wire_type)];
        let end = match wire_type {
            0 => {
                let value = Field::bytes("value", at + value_from, first_len);
                parts.push(value.value(format!("`{first}`")).note(match first_len {
                    1 => "a varint of one byte",
                    _ => "a varint: seven bits a byte, the lowest first; a leading 1 says that more follow",
                }));
                value_from + first_len
            }
            2 => {
                let length = Field::bytes("length", at + value_from, first_len);
                parts.push(
                    length
                        .value(format!("`{first}`"))
                        .note("how many bytes the value has"),
                );
                let start = value_from + first_len;
                let end = start + usize::try_from(first).map_err(|_| broken())?;
                let inside = bytes.get(start..end).ok_or_else(broken)?;
                let value = Field::bytes("value", at + start, inside.len());
                parts.push(if named.fields.is_empty() {
                    value
                        .value(format!("`{}`", String::from_utf8_lossy(inside)))
                        .note("text in UTF-8")
                } else {
                    let inner = fields_of(inside, at + start, named.fields)?;
                    value.note("a message inside the message").fields(inner)
                });
                end
            }
            _ => return Err(broken()),
        };
        let whole = Field::bytes(format!("`{}`", named.name), at + from, end - from);
        fields.push(whole.fields(parts));
        from = end;
    }
    Ok(fields)
}

/// The tag in front of a value: here always one byte, as field numbers below 16 have. The first
/// one shows its bits; the others are made alike.
fn tag_field(at: usize, number: u64, wire_type: u64) -> Field {
    let follows = match wire_type {
        0 => "a varint follows",
        _ => "a length follows, and as many bytes",
    };
    let tag = Field::bytes("tag", at, 1).value(format!("field `{number}`"));
    if at > 0 {
        return tag.note(follows);
    }
    tag.fields([
        Field::bits("more", 0, 1)
            .value("`0`")
            .note("the tag ends with this byte"),
        Field::bits("field number", 1, 4)
            .value(format!("`{number}`"))
            .note("stands for the field's name"),
        Field::bits("wire type", 5, 3)
            .value(format!("`{wire_type}`"))
            .note(follows),
    ])
}

/// A number of variable length and how many bytes it took: seven bits a byte, the lowest first,
/// and the first bit of each byte says whether another follows.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0;
    for (index, byte) in bytes.iter().enumerate().take(9) {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, index + 1));
        }
    }
    None
}
