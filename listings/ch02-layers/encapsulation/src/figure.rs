//! The frame as the book draws it: each byte in its field, each field in its layer.

use layers_ethernet::{FCS_LEN, Frame, HEADER_LEN, fields as ethernet};
use record::{Field, Wire};

use crate::wrap::{CLIENT, CLIENT_MAC, ROUTER_MAC, SERVER};

const IPV4: usize = HEADER_LEN;
const TCP: usize = IPV4 + 20;
const HTTP: usize = TCP + 32;

/// The figure of the frame that `wrap` builds.
pub fn of(frame: &[u8]) -> Wire {
    let fcs = frame.len() - FCS_LEN;
    Wire {
        bytes: frame.to_vec(),
        fields: vec![
            Field::bytes("Ethernet header", 0, HEADER_LEN)
                .note("for this link only; the next router throws it away")
                .fields(ethernet_header(frame)),
            Field::bytes("IPv4 header", IPV4, TCP - IPV4)
                .note("from host to host")
                .fields(ipv4_header(frame)),
            Field::bytes("TCP header", TCP, HTTP - TCP)
                .note("from program to program")
                .fields(tcp_header(frame)),
            Field::bytes("HTTP request", HTTP, fcs - HTTP)
                .note("what the program wrote")
                .fields(http_request(&frame[..fcs])),
            Field::bytes("Ethernet trailer", fcs, FCS_LEN)
                .note("goes with the Ethernet header")
                .fields([Field::bytes("`frame_check_sequence`", fcs, FCS_LEN)
                    .value(hex(&frame[fcs..]))
                    .note(
                        "a CRC over all of it; the network card adds and checks it, and captures \
                         seldom have it",
                    )]),
        ],
    }
}

fn verbatim(value: impl std::fmt::Display) -> String {
    format!("`{value}`")
}

fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    verbatim(digits)
}

/// The number of `N` bytes at `at`.
fn number(frame: &[u8], at: usize, len: usize) -> u64 {
    let bytes = &frame[at..at + len];
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn ethernet_header(frame: &[u8]) -> Vec<Field> {
    let ether_type = Frame::parse(frame).map_or(0, |frame| frame.header().ether_type.0);
    let field =
        |field: layers_ethernet::Field| Field::bits(verbatim(field.name), field.bit, field.bits);
    vec![
        field(ethernet::DESTINATION)
            .value(verbatim(ROUTER_MAC))
            .note("the router's interface, not the server's"),
        field(ethernet::SOURCE)
            .value(verbatim(CLIENT_MAC))
            .note("the client's interface"),
        field(ethernet::ETHER_TYPE)
            .value(verbatim(format!("{ether_type:#06x}")))
            .note("an IPv4 packet follows"),
    ]
}

fn ipv4_header(frame: &[u8]) -> Vec<Field> {
    let bits = |name: &str, bit: usize, bits: usize| Field::bits(name, IPV4 * 8 + bit, bits);
    let read = |at: usize, len: usize| number(frame, IPV4 + at, len);
    vec![
        bits("`version`", 0, 4).value(verbatim(read(0, 1) >> 4)),
        bits("`ihl`", 4, 4)
            .value(verbatim(read(0, 1) & 0x0f))
            .note("times 4 bytes: where the payload begins"),
        bits("`dscp`, `ecn`", 8, 8).value(verbatim(read(1, 1))),
        bits("`total_len`", 16, 16)
            .value(verbatim(read(2, 2)))
            .note("header and payload, in bytes"),
        bits("`identification`", 32, 16).value(verbatim(format!("{:#06x}", read(4, 2)))),
        bits("`flags`, `fragment_offset`", 48, 16)
            .value("`DF`, `0`")
            .note("no router may fragment the packet"),
        bits("`ttl`", 64, 8)
            .value(verbatim(read(8, 1)))
            .note("how many routers may still forward it"),
        bits("`protocol`", 72, 8)
            .value(verbatim(read(9, 1)))
            .note("a TCP segment follows"),
        bits("`header_checksum`", 80, 16)
            .value(verbatim(format!("{:#06x}", read(10, 2))))
            .note("over the header alone"),
        bits("`source`", 96, 32)
            .value(verbatim(CLIENT))
            .note("the client's address"),
        bits("`destination`", 128, 32)
            .value(verbatim(SERVER))
            .note("the server's address"),
    ]
}

fn tcp_header(frame: &[u8]) -> Vec<Field> {
    let bits = |name: &str, bit: usize, bits: usize| Field::bits(name, TCP * 8 + bit, bits);
    let read = |at: usize, len: usize| number(frame, TCP + at, len);
    vec![
        bits("`source_port`", 0, 16)
            .value(verbatim(read(0, 2)))
            .note("the sender's"),
        bits("`destination_port`", 16, 16)
            .value(verbatim(read(2, 2)))
            .note("the receiver's"),
        bits("`sequence_number`", 32, 32)
            .value(verbatim(read(4, 4)))
            .note("the number of the first byte of data"),
        bits("`acknowledgment_number`", 64, 32)
            .value(verbatim(read(8, 4)))
            .note("the next byte that the sender expects"),
        bits("`data_offset`", 96, 4)
            .value(verbatim(read(12, 1) >> 4))
            .note("times 4 bytes: where the data begins"),
        bits("`reserved`", 100, 4).value(verbatim(read(12, 1) & 0x0f)),
        bits("`flags`", 104, 8)
            .value("`PSH, ACK`")
            .note("one bit each"),
        bits("`window`", 112, 16)
            .value(verbatim(read(14, 2)))
            .note("how many bytes the sender can take, before scaling"),
        bits("`checksum`", 128, 16)
            .value(verbatim(format!("{:#06x}", read(16, 2))))
            .note("over the addresses, the header and the data"),
        bits("`urgent_pointer`", 144, 16).value(verbatim(read(18, 2))),
        bits("`options`", 160, 96).note("two fillers, and timestamps"),
    ]
}

/// The request's lines. The frame ends with it.
fn http_request(frame: &[u8]) -> Vec<Field> {
    let mut at = HTTP;
    let lines = frame[HTTP..].split_inclusive(|byte| *byte == b'\n');
    lines
        .zip(["request line", "`Host`", "empty line"])
        .map(|(line, name)| {
            let field = Field::bytes(name, at, line.len()).value(verbatim(line.escape_ascii()));
            at += line.len();
            match name {
                "empty line" => field.note("ends the header section"),
                _ => field,
            }
        })
        .collect()
}
