//! What the page says about one request on its way down the layers and up again.

#[path = "../src/peel.rs"]
mod peel;
#[path = "../src/wrap.rs"]
mod wrap;

use std::sync::OnceLock;

use layers_checksum::Sum;
use layers_ethernet::{FCS_LEN, Frame, crc};
use testkit::{Run, listing};

use peel::{Peeled, peel};
use wrap::REQUEST;

fn run() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| listing!().run().succeeds())
}

/// The frame that the listing built.
fn frame() -> &'static [u8] {
    &run().wire("frame").bytes
}

#[test]
fn the_listing_prints_and_records_what_the_page_shows() {
    run().matches_output();
    run().matches_record();
}

#[test]
fn an_argument_is_answered_with_the_usage() {
    let run = listing!().arg("x").run();
    assert_eq!(run.status.code(), Some(2));
    assert_eq!(
        run.stderr,
        "usage: layers-encapsulation (it takes no arguments)\n"
    );
    assert_eq!(run.stdout, "");
}

#[test]
fn thirty_seven_bytes_travel_in_a_frame_of_107() {
    assert_eq!(REQUEST.len(), 37);
    assert_eq!(frame().len(), 107);
    let added: Vec<usize> = run()
        .wire("frame")
        .fields
        .iter()
        .map(|field| field.bits / 8)
        .collect();
    assert_eq!(added, [14, 20, 32, 37, 4]);
}

#[test]
fn the_frame_is_the_one_that_the_overview_peels() {
    let hex = "00005e0053fe00005e0053010800450000591a2b40004006342fc000020ac6336407\
               9cb00050859d044adf1adfa7801801f6be4300000101080a0a5f3ce39106c378\
               474554202f20485454502f312e310d0a486f73743a206578616d706c652e636f6d0d0a0d0aefcc91a5";
    let digits: String = frame().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digits, hex);
}

#[test]
fn the_fields_of_the_figure_cover_every_bit_once() {
    let wire = run().wire("frame");
    let mut next = 0;
    for layer in &wire.fields {
        assert_eq!(layer.bit, next, "{}", layer.name);
        for field in &layer.fields {
            assert_eq!(field.bit, next, "{}", field.name);
            next += field.bits;
        }
        assert_eq!(layer.bit + layer.bits, next, "{}", layer.name);
    }
    assert_eq!(next, wire.bytes.len() * 8);
}

#[test]
fn every_checksum_verifies() {
    let covered = crc::open(frame()).expect("the check sequence is right");
    let packet = Frame::parse(covered).unwrap().payload();
    assert!(Sum::new().bytes(&packet[..20]).is_valid());
    let pseudo_header = Sum::new().bytes(&packet[12..20]).bytes(&[0, 6, 0, 69]);
    assert!(pseudo_header.bytes(&packet[20..]).is_valid());
}

#[test]
fn the_payload_survives() {
    let Ok(Peeled {
        packet,
        segment,
        data,
    }) = peel(frame())
    else {
        panic!("the frame is as it was built");
    };
    assert_eq!((packet.len(), segment.len(), data), (89, 69, REQUEST));
}

#[test]
fn padding_behind_the_packet_is_left_out() {
    let packet = wrap::in_ipv4(&wrap::in_tcp(b"x"));
    let padded = wrap::in_ethernet(&[&packet[..], &[0; 6]].concat()).unwrap();
    assert_eq!(
        peel(&padded).ok().map(|peeled| peeled.data),
        Some(&b"x"[..])
    );
}

#[test]
fn tcp_has_no_length_of_its_own() {
    for len in [0, 1, 2, 1_448] {
        let data = vec![b'x'; len];
        let frame = wrap::in_ethernet(&wrap::in_ipv4(&wrap::in_tcp(&data))).unwrap();
        assert_eq!(frame.len(), len + 70);
        assert_eq!(peel(&frame).ok().map(|peeled| peeled.data), Some(&data[..]));
    }
}

/// Which layer notices, or `None`.
fn who_notices(frame: &[u8]) -> Option<&'static str> {
    peel(frame).err().map(|refusal| refusal.layer)
}

fn flipped(bit: usize) -> Vec<u8> {
    let mut frame = frame().to_vec();
    frame[bit / 8] ^= 0x80 >> (bit % 8);
    frame
}

#[test]
fn a_bit_that_flips_on_the_cable_is_noticed_by_ethernet() {
    for bit in 0..frame().len() * 8 {
        assert_eq!(who_notices(&flipped(bit)), Some("Ethernet"), "bit {bit}");
    }
    assert!(
        run()
            .stdout
            .contains("on the cable     856 bits: Ethernet 856, IPv4 0, TCP 0, nobody 0")
    );
}

#[test]
fn a_bit_that_flips_inside_a_router_is_noticed_by_ip_or_tcp_and_in_a_mac_address_by_nobody() {
    for bit in 0..(frame().len() - FCS_LEN) * 8 {
        let mut frame = flipped(bit);
        crc::seal(&mut frame).unwrap();
        let expected = match bit / 8 {
            0..12 => None,
            12..14 => Some("Ethernet"),
            14..34 => Some("IPv4"),
            _ => Some("TCP"),
        };
        assert_eq!(who_notices(&frame), expected, "bit {bit}");
    }
    assert!(
        run()
            .stdout
            .contains("inside a router  824 bits: Ethernet 16, IPv4 160, TCP 552, nobody 96")
    );
}

#[test]
fn a_frame_that_ends_early_is_refused_and_the_error_names_field_and_place() {
    let whole = frame().len() - FCS_LEN;
    for len in 0..whole {
        let mut cut = frame()[..len + FCS_LEN].to_vec();
        crc::seal(&mut cut).unwrap();
        let refusal = peel(&cut).err().expect("a frame that is cut off");
        let expected = match len {
            0..14 => "Ethernet",
            _ => "IPv4", // whose total length says how much there must be
        };
        assert_eq!(refusal.layer, expected, "{len} bytes");
        assert!(refusal.error.to_string().contains(refusal.error.field));
    }
}

#[test]
fn a_segment_for_another_host_is_refused_by_tcp() {
    let mut packet = wrap::in_ipv4(&wrap::in_tcp(REQUEST));
    packet[19] ^= 1; // the destination, and then a header checksum that is right again
    packet[10..12].fill(0);
    let checksum = Sum::new().bytes(&packet[..20]).checksum();
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    let frame = wrap::in_ethernet(&packet).unwrap();
    let refusal = peel(&frame).err().expect("the wrong host");
    assert_eq!((refusal.layer, refusal.error.field), ("TCP", "checksum"));
    assert!(
        refusal
            .to_string()
            .starts_with("TCP: checksum at byte 16 is "),
        "{refusal}"
    );
}
