//! What the page says of the lab, asked of the program that it shows.
#![cfg(target_os = "linux")]

use std::sync::LazyLock;

use record::What;
use testkit::{Run, listing};

static RUN: LazyLock<Run> = LazyLock::new(|| {
    listing!()
        .varying(r"[\d.]+ Gbit/s$", "SPEED")
        .run()
        .succeeds()
});

/// When each message of a figure was sent and arrived, in microseconds.
fn times(figure: &str) -> Vec<(u64, Option<u64>)> {
    RUN.sequence(figure)
        .events
        .iter()
        .map(|event| match &event.what {
            What::Message { arrived_us, .. } => (event.at_us, *arrived_us),
            What::State { .. } => panic!("there are no states"),
        })
        .collect()
}

#[test]
fn it_prints_and_records_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn a_packet_takes_its_link_s_delay_on_top_of_what_loopback_takes() {
    let times = times("delay");
    assert_eq!(times.len(), 2);
    for (sent, arrived) in times {
        assert!(arrived.unwrap() - sent >= 25_000);
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
    let times = times("queue");
    let under_way: Vec<Option<u64>> = times
        .iter()
        .map(|(sent, arrived)| arrived.map(|arrived| arrived - sent))
        .collect();
    assert_eq!(under_way.len(), 10);
    let (taken, refused) = under_way.split_at(6);
    assert!(refused.iter().all(Option::is_none));
    // 1,500 bytes at 1 Mbit/s take 12 ms. The ten were sent at once, within less than that.
    for (before, time) in taken.iter().enumerate() {
        let time = time.unwrap();
        let expected = 12_000 * (before as u64 + 1);
        assert!(time > expected - 12_000, "{time} of {expected}");
        assert!(times[before].0 < 12_000);
    }
}
