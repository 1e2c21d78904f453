//! What the page says of the lab, asked of the program that it shows.
#![cfg(target_os = "linux")]

use std::sync::LazyLock;

use record::What;
use testkit::{Run, listing};

static RUN: LazyLock<Run> = LazyLock::new(|| {
    listing!()
        .varying(r"(?m)[\d.]+ Gbit/s$", "SPEED")
        .run()
        .succeeds()
});

#[test]
fn it_prints_and_records_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn a_packet_takes_its_link_s_delay_on_top_of_what_loopback_takes() {
    let delay = RUN.sequence("delay");
    assert_eq!(delay.events.len(), 2);
    for event in &delay.events {
        match &event.what {
            What::Message { arrived_us, .. } => {
                assert!(arrived_us.unwrap() - event.at_us >= 25_000);
            }
            What::State { .. } => panic!("there are no states"),
        }
    }
}

#[test]
fn one_seed_loses_the_same_packets_again_and_another_seed_loses_others() {
    let lost = |name: &str| {
        let line = RUN
            .stdout
            .lines()
            .find_map(|line| line.trim().strip_prefix(name));
        line.unwrap_or_else(|| panic!("no `{name}`")).to_owned()
    };
    let (first, again, other) = (lost("seed 7:"), lost("again :"), lost("seed 8:"));
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert!(first.contains(','), "{first}");
}

#[test]
fn each_packet_waits_for_those_before_it_until_the_queue_is_full() {
    let lines: Vec<&str> = RUN
        .stdout
        .lines()
        .filter(|line| line.trim_start().starts_with("packet "))
        .collect();
    assert_eq!(lines.len(), 10);
    let (taken, lost) = lines.split_at(6);
    assert!(lost.iter().all(|line| line.ends_with("and no room")));
    // 1,500 bytes at 1 Mbit/s take 12 ms. The ten were sent within less than that.
    for (before, line) in taken.iter().enumerate() {
        let words: Vec<&str> = line.split_whitespace().rev().take(2).collect();
        let ms: f64 = words[1].parse().unwrap();
        assert!(ms > 12.0 * before as f64, "{line}");
        assert!(
            line.contains(&format!(" {} bytes", 1500 * before)),
            "{line}"
        );
    }
    let queue = RUN.series("queue");
    let points: Vec<usize> = queue.lines.iter().map(|line| line.points.len()).collect();
    assert_eq!(points, [6, 4]);
}
