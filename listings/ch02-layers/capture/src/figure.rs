//! The captured frame as the book draws it: each byte in its field, each field in its layer.

use std::fmt::Display;
use std::net::Ipv4Addr;

use layers_ethernet::MacAddress;
use record::{Field, Wire};

use crate::layers::Layers;

/// One header's fields, read as they are listed.
struct Reader<'a> {
    bytes: &'a [u8],
    fields: Vec<Field>,
    bit: usize,
}

impl<'a> Reader<'a> {
    /// From byte `at` of the frame on.
    fn new(bytes: &'a [u8], at: usize) -> Self {
        Self {
            bytes,
            fields: Vec::new(),
            bit: at * 8,
        }
    }

    /// The next field, of `bits` bits, and its number in words.
    fn field<D: Display>(mut self, name: &str, bits: usize, show: impl Fn(u64) -> D) -> Self {
        let number = (self.bit..self.bit + bits).fold(0, |number, bit| {
            number << 1 | u64::from(self.bytes[bit / 8] >> (7 - bit % 8) & 1)
        });
        let field = Field::bits(name, self.bit, bits).value(format!("`{}`", show(number)));
        self.fields.push(field);
        self.bit += bits;
        self
    }

    /// What the last field means.
    fn note(mut self, note: &str) -> Self {
        if let Some(last) = self.fields.pop() {
            self.fields.push(last.note(note));
        }
        self
    }
}

fn mac(number: u64) -> MacAddress {
    let [_, _, address @ ..] = number.to_be_bytes();
    MacAddress(address)
}

fn hex(number: u64) -> String {
    format!("{number:#06x}")
}

fn ipv4(number: u64) -> Ipv4Addr {
    Ipv4Addr::from_bits(number as u32)
}

/// A frame of TCP over IPv4.
pub fn of(frame: &[u8], layers: Layers) -> Wire {
    let number = |number: u64| number;
    let ethernet = Reader::new(frame, 0)
        .field("`destination`", 48, mac)
        .note("the router's interface, not the server's")
        .field("`source`", 48, mac)
        .note("the client's interface")
        .field("`ether_type`", 16, hex)
        .note("an IPv4 packet follows");
    let ip = Reader::new(frame, layers.packet)
        .field("`version`", 4, number)
        .field("`ihl`", 4, number)
        .note("times 4 bytes: where the payload begins")
        .field("`dscp`, `ecn`", 8, number)
        .field("`total_len`", 16, number)
        .note("header and payload, in bytes")
        .field("`identification`", 16, hex)
        .field("`flags`, `fragment_offset`", 16, hex)
        .field("`ttl`", 8, number)
        .note("how many routers may still forward it")
        .field("`protocol`", 8, number)
        .note("a TCP segment follows")
        .field("`header_checksum`", 16, hex)
        .note("over the header alone")
        .field("`source`", 32, ipv4)
        .note("the client's address")
        .field("`destination`", 32, ipv4)
        .note("the server's address");
    let tcp = Reader::new(frame, layers.transport)
        .field("`source_port`", 16, number)
        .note("the sender's")
        .field("`destination_port`", 16, number)
        .note("the receiver's")
        .field("`sequence_number`", 32, number)
        .note("the number of the first byte of data")
        .field("`acknowledgment_number`", 32, number)
        .note("the next byte that the sender expects")
        .field("`data_offset`", 4, number)
        .note("times 4 bytes: where the data begins")
        .field("`reserved`", 4, number)
        .field("`flags`", 8, |flags| format!("{flags:#04x}"))
        .note("one bit each")
        .field("`window`", 16, number)
        .note("how many bytes the sender can take, before scaling")
        .field("`checksum`", 16, hex)
        .note("over the addresses, the header and the data")
        .field("`urgent_pointer`", 16, number);
    let options = Field::bits("`options`", tcp.bit, layers.data * 8 - tcp.bit)
        .note("two fillers, and timestamps");
    let tcp = tcp.fields.into_iter().chain([options]);
    let data = layers.data(frame);
    let [ethernet_len, ip_len, tcp_len, data_len] = layers.lens();
    Wire {
        bytes: frame.to_vec(),
        fields: vec![
            Field::bytes("Ethernet header", 0, ethernet_len)
                .note("for this link only; the next router throws it away")
                .fields(ethernet.fields),
            Field::bytes("IPv4 header", layers.packet, ip_len)
                .note("from host to host")
                .fields(ip.fields),
            Field::bytes("TCP header", layers.transport, tcp_len)
                .note("from program to program")
                .fields(tcp),
            Field::bytes("HTTP request", layers.data, data_len)
                .note("what the program wrote")
                .value(format!("`{}`", data.escape_ascii())),
        ],
    }
}
