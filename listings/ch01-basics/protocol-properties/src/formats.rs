//! Data format: the same order as text and as binary.

use std::io;

use prost::Message;
use prost::bytes::Buf;
use prost::encoding::{WireType, decode_key, decode_varint};
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
    let item = |name: &str, count| Item { name: name.to_owned(), count };
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

    println!("JSON      {:>3} bytes  {json}", json.len());
    println!("XML       {:>3} bytes  {xml}", xml.len());
    println!("Protobuf  {:>3} bytes  {}", protobuf.len(), hex(&protobuf));
    println!("All three give the same order back.");

    let sizes = Table::new([Column::words("format"), Column::number("size", "bytes")])
        .row(["`JSON`".into(), json.len().to_string()])
        .row(["`XML`".into(), xml.len().to_string()])
        .row(["`Protobuf`".into(), protobuf.len().to_string()]);
    let fields = fields_of(&protobuf, 0, ORDER)?;
    Ok((sizes, Wire { bytes: protobuf, fields }))
}

/// Bytes as pairs of hexadecimal digits, some of them at the end left out.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A message's fields: number, name, and, where the value is a message, its own fields.
type Schema = &'static [(u32, &'static str, Option<&'static [(u32, &'static str)]>)];

const ORDER: Schema = &[
    (1, "id", None),
    (2, "customer", None),
    (3, "items", Some(&[(1, "name"), (2, "count")])),
    (4, "paid", None),
];
