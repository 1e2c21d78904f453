//! What the page says about a real frame, its way over a router, and what headers cost.
#![cfg(target_os = "linux")]

#[path = "../src/layers.rs"]
mod layers;

use std::sync::OnceLock;

use layers::Layers;
use layers_ethernet::{Frame, MacAddress};
use record::What;
use testkit::{Program, Run, listing};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";

fn program() -> Program {
    // The kernel chooses the packet's identification, and the checksum follows from it.
    listing!().varying(r"0x[0-9a-f]{4}", "0x····")
}

fn run() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| program().run().succeeds())
}

fn frame() -> &'static [u8] {
    &run().wire("frame").bytes
}

/// A field of the packet on both sides of the router.
fn changed(field: &str) -> (String, String) {
    let table = run().table("changed");
    let row = table.rows.iter().find(|row| row[0] == field);
    let row = row.unwrap_or_else(|| panic!("no row {field}"));
    let value = |cell: &str| cell.trim_matches('`').to_owned();
    (value(&row[1]), value(&row[2]))
}

/// Data and its share in percent, of one stack.
fn line(name: &str) -> &'static [(f64, f64)] {
    let line = run()
        .series("overhead")
        .lines
        .iter()
        .find(|line| line.name == name);
    &line.unwrap_or_else(|| panic!("no line {name}")).points
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
        "usage: layers-capture (it takes no arguments)\n"
    );
    assert_eq!(run.stdout, "");
}

#[test]
fn the_layers_lengths_add_up_to_the_frame() {
    let layers = Layers::of(frame()).unwrap();
    assert_eq!(layers.lens(), [14, 20, 32, 37]);
    assert_eq!(layers.lens().iter().sum::<usize>(), frame().len());
    assert_eq!(layers.data(frame()), REQUEST);
}

#[test]
fn every_byte_of_the_frame_belongs_to_one_field_of_one_layer() {
    let mut next = 0;
    for layer in &run().wire("frame").fields {
        assert_eq!(layer.bit, next, "{}", layer.name);
        for field in &layer.fields {
            assert_eq!(field.bit, next, "{}", field.name);
            next += field.bits;
        }
        next = layer.bit + layer.bits;
    }
    assert_eq!(next, frame().len() * 8);
}

#[test]
fn the_frame_is_for_the_router_and_the_packet_in_it_for_the_server() {
    let destination = Frame::parse(frame()).unwrap().header().destination;
    let (to_router, to_server) = changed("destination MAC address");
    assert_eq!(destination, to_router.parse::<MacAddress>().unwrap());
    assert_ne!(to_router, to_server);
    assert_eq!(frame()[30..34], [198, 51, 100, 7]);
}

#[test]
fn a_router_makes_a_new_frame_with_other_mac_addresses() {
    let (source, destination) = (
        changed("source MAC address"),
        changed("destination MAC address"),
    );
    let all = [&source.0, &source.1, &destination.0, &destination.1];
    for (nth, address) in all.iter().enumerate() {
        address.parse::<MacAddress>().unwrap();
        assert!(
            !all[..nth].contains(address),
            "{address} appears on both sides"
        );
    }
}

#[test]
fn the_ip_addresses_stay_and_the_ttl_loses_one() {
    for field in ["source IP address", "destination IP address"] {
        let (before, after) = changed(field);
        assert_eq!(before, after, "{field}");
    }
    assert_eq!(changed("TTL"), ("64".to_owned(), "63".to_owned()));
}

#[test]
fn the_routers_checksum_follows_from_the_old_one_and_the_word_that_changed() {
    let (before, after) = changed("header checksum");
    let number = |text: &str| u16::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
    let updated = layers_checksum::update(number(&before), 64 << 8 | 6, 63 << 8 | 6);
    assert_eq!(updated, number(&after));
    assert_ne!(before, after);
}

#[test]
fn tcp_and_http_reach_the_server_byte_for_byte() {
    let line = "Ethernet differs, IPv4 differs, TCP is the same, HTTP is the same";
    assert!(run().stdout.lines().any(|printed| printed == line));
}

#[test]
fn the_router_sends_a_frame_of_its_own_when_the_clients_has_arrived() {
    let messages: Vec<_> = run()
        .sequence("path")
        .events
        .iter()
        .filter_map(|event| match &event.what {
            What::Message {
                from,
                to,
                label,
                arrived_us,
                ..
            } => Some((event.at_us, *from, *to, label.clone(), arrived_us.unwrap())),
            What::State { .. } => None,
        })
        .collect();
    let [first, second] = &messages[..] else {
        panic!("{messages:?}")
    };
    assert_eq!([first.1, first.2, second.1, second.2], [0, 1, 1, 2]);
    assert!(second.0 >= first.4 && second.4 > second.0, "{messages:?}");
    let (to_router, to_server) = changed("destination MAC address");
    assert_eq!(first.3, format!("frame for `{to_router}`"));
    assert_eq!(second.3, format!("frame for `{to_server}`"));
}

#[test]
fn tcp_over_ipv4_costs_70_bytes_a_frame_whatever_it_carries() {
    let points = line("TCP over IPv4");
    assert_eq!(points.len(), 10);
    for (data, percent) in points {
        let frame = data / percent * 100.0;
        assert!(
            (frame - data - 70.0).abs() < 1e-6,
            "{data} bytes in {frame}"
        );
    }
}

#[test]
fn ipv6_costs_20_bytes_more_and_udp_24_less() {
    let frames = |name| {
        line(name)
            .iter()
            .map(|(data, percent)| data / percent * 100.0)
    };
    for (v4, v6) in frames("TCP over IPv4").zip(frames("TCP over IPv6")) {
        assert!((v6 - v4 - 20.0).abs() < 1e-6);
    }
    for (udp, tcp) in frames("UDP over IPv4").zip(frames("TCP over IPv4")).skip(2) {
        assert!((tcp - udp - 24.0).abs() < 1e-6);
    }
}

#[test]
fn a_short_frame_is_padded_to_64_bytes() {
    for (data, percent) in &line("UDP over IPv4")[..2] {
        assert!((data / percent * 100.0 - 64.0).abs() < 1e-6, "{data}");
    }
}

#[test]
fn the_share_of_data_grows_with_its_size() {
    for name in [
        "UDP over IPv4",
        "UDP over IPv6",
        "TCP over IPv4",
        "TCP over IPv6",
    ] {
        assert!(
            line(name).is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1),
            "{name}"
        );
        assert!(
            line(name)[0].1 < 2.0 && line(name).last().unwrap().1 > 90.0,
            "{name}"
        );
    }
}

#[test]
fn a_frame_that_ends_early_is_refused_and_the_error_says_where() {
    for len in 0..frame().len() {
        let error = Layers::of(&frame()[..len]).expect_err("a frame that is cut off");
        assert!(error.offset <= len, "{len}: {error}");
    }
}

#[test]
fn no_frame_makes_the_reader_panic() {
    // Every byte of a real frame, in turn, as every number; and cut off anywhere.
    for at in 0..66 {
        for byte in 0..=255 {
            let mut frame = frame().to_vec();
            frame[at] = byte;
            for len in [frame.len(), 67, 60] {
                if let Ok(layers) = Layers::of(&frame[..len]) {
                    assert!(layers.lens().iter().sum::<usize>() <= len);
                }
            }
        }
    }
}
