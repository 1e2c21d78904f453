//! What the page says about tunnels in UDP and in TCP, measured again.
#![cfg(target_os = "linux")]

use std::sync::LazyLock;

use tcp_meltdown::outage;
use tcp_meltdown::trial::{self, Conditions, Outcome};
use tcp_meltdown::tunnel::Carrier;
use tcp_meltdown::vpn::{Kernels, RATE, ROUND_TRIP};
use testkit::{DEADLINE, Program, Run, alone, listing};

/// Loss by chance makes a different number of everything in every run, since which packets are lost
/// depends on how many there were before.
fn program() -> Program {
    listing!()
        .deadline(DEADLINE * 2)
        .varying(r"\d+\.\d Mbit/s", "RATE")
        .varying(
            r"(?m)(pings alone|one connection too) (UDP|TCP) .*$",
            "$1 $2 PINGS",
        )
        .varying(r"(?m)^(\s+(?:UDP|TCP) TIME) \d+ \d+$", "$1 COPIES")
        .varying(
            r"(?m)((?:as they are|timestamps) (?:UDP|TCP)) \d+$",
            "$1 SEGMENTS",
        )
}

/// One run for all proofs.
static RUN: LazyLock<Run> = LazyLock::new(|| {
    let _alone = alone();
    program().run().succeeds()
});

/// Goodput in Mbit/s, by loss in percent.
fn goodput(line: &str) -> Vec<(f64, f64)> {
    let lines = &RUN.series("goodput").lines;
    let line = lines.iter().find(|each| each.name == line);
    line.expect("a line of that name").points.clone()
}

/// The numbers of a row from a column on.
fn row(table: &str, [name, tunnel]: [&str; 2], from: usize) -> Vec<f64> {
    let rows = &RUN.table(table).rows;
    let tunnel = format!("`{tunnel}`");
    let row = rows.iter().find(|row| row[0] == name && row[1] == tunnel);
    let row = row.expect("a row of that name");
    row[from..]
        .iter()
        .map(|cell| cell.parse().expect("a number"))
        .collect()
}

fn conditions(carrier: Carrier, connections: usize) -> Conditions {
    Conditions {
        carrier,
        kernels: Kernels::Today,
        loss: 0.02,
        seed: 11,
        connections,
        outage: false,
    }
}

fn outcome(conditions: Conditions) -> Outcome {
    trial::run(conditions).unwrap().0
}

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn without_loss_both_tunnels_bring_as_much() {
    let most = RATE as f64 / 1e6;
    for connections in ["1` connection", "4` connections"] {
        let [udp, tcp] = ["UDP", "TCP"].map(|carrier| {
            let (loss, rate) = goodput(&format!("{carrier} tunnel, `{connections}"))[0];
            assert_eq!(loss, 0.0);
            rate
        });
        assert!(udp < most && tcp < most, "{udp}, {tcp}");
        // On a quiet machine within a twentieth of each other.
        assert!((0.5..2.0).contains(&(tcp / udp)), "{udp}, {tcp}");
    }
}

#[test]
fn the_goodput_of_one_connection_does_not_collapse_in_a_tcp_tunnel() {
    let udp = goodput("UDP tunnel, `1` connection");
    let tcp = goodput("TCP tunnel, `1` connection");
    for ((loss, udp), (_, tcp)) in udp.into_iter().zip(tcp) {
        // Two runs of the same tunnel may differ by a factor of two: they are short, and few
        // packets are lost in each.
        let ratio = tcp / udp;
        assert!((0.33..4.0).contains(&ratio), "{loss} %: {ratio}");
    }
}

#[test]
fn four_connections_in_a_udp_tunnel_recover_each_by_itself_and_in_a_tcp_tunnel_together() {
    let udp = goodput("UDP tunnel, `4` connections");
    let tcp = goodput("TCP tunnel, `4` connections");
    for ((loss, udp), (_, tcp)) in udp.into_iter().zip(tcp) {
        if loss >= 2.0 {
            assert!(udp > tcp * 1.5, "{loss} %: {udp}, {tcp}");
        }
    }
}

#[test]
fn in_a_tcp_tunnel_four_connections_get_no_more_than_one() {
    let one = goodput("TCP tunnel, `1` connection");
    let four = goodput("TCP tunnel, `4` connections");
    let sum = |points: Vec<(f64, f64)>| -> f64 { points.iter().map(|(_, rate)| rate).sum() };
    let (one, four) = (sum(one), sum(four));
    assert!(four < one * 1.5, "{one}, {four}");
}

#[test]
fn a_busy_tcp_tunnel_makes_the_median_ping_take_five_times_as_long_or_more() {
    let [udp, tcp] = ["UDP", "TCP"].map(|tunnel| row("pings", ["one connection too", tunnel], 2));
    assert!(tcp[0] > udp[0] * 5.0, "{udp:?}, {tcp:?}");
    assert!(tcp[1] > udp[1] * 2.5, "{udp:?}, {tcp:?}");
}

#[test]
fn what_waits_in_a_busy_tcp_tunnel_is_in_the_sender_and_not_on_the_way() {
    let inside = row("pings", ["one connection too", "TCP"], 6)[0];
    let on_the_way = RATE as f64 / 8.0 * ROUND_TRIP.as_secs_f64() / 1024.0;
    assert!(inside > on_the_way * 1.5, "{inside} KiB, {on_the_way} KiB");
    let inside = row("pings", ["one connection too", "UDP"], 6)[0];
    assert!(inside < on_the_way, "{inside} KiB, {on_the_way} KiB");
}

#[test]
fn a_quiet_tcp_tunnel_loses_no_ping_and_delays_many_by_a_round_trip() {
    let _alone = alone();
    lab::test(|| {
        let tcp = outcome(conditions(Carrier::Tcp, 0)).pings;
        // One that was lost close to the end is repaired after it.
        assert!(tcp.lost == 0 && tcp.waiting <= 2, "{tcp:?}");
        let late = ROUND_TRIP + ROUND_TRIP / 2;
        let delayed = tcp.times.iter().filter(|&&time| time > late).count();
        assert!(delayed >= 5, "{:?}", tcp.times);
        assert!(tcp.percentile(99) > ROUND_TRIP * 2, "{:?}", tcp.times);
    });
}

#[test]
fn a_quiet_udp_tunnel_loses_pings_and_delays_none() {
    let _alone = alone();
    lab::test(|| {
        // A busy machine delays some, but not in every run.
        let runs = [(); 3].map(|()| outcome(conditions(Carrier::Udp, 0)).pings);
        assert!(runs.iter().all(|pings| pings.lost > 0));
        let most = runs.map(|pings| pings.percentile(90));
        assert!(
            most.iter().min() < Some(&(ROUND_TRIP + ROUND_TRIP / 2)),
            "{most:?}"
        );
    });
}

#[test]
fn inside_a_tcp_tunnel_the_kernels_repeat_next_to_nothing() {
    let _alone = alone();
    lab::test(|| {
        let [udp, tcp] = [Carrier::Udp, Carrier::Tcp].map(|it| outcome(conditions(it, 4)));
        assert!(udp.repeated >= 10, "{}", udp.repeated);
        // Where the queue of the tunnel's device is full, it loses packets like any other.
        let lost = tcp.overflowed;
        assert!(tcp.repeated <= 5 + lost, "{}, {lost} lost", tcp.repeated);
    });
}

#[test]
fn what_is_repeated_into_a_tcp_tunnel_arrives_as_often_as_it_was_sent() {
    let _alone = alone();
    lab::test(|| {
        let (udp, _) = outage::run(Carrier::Udp).unwrap();
        assert!(udp.sent >= 2, "{udp:?}");
        assert_eq!(udp.arrived, 1, "{udp:?}");
        let (tcp, _) = outage::run(Carrier::Tcp).unwrap();
        assert!(tcp.sent >= 2, "{tcp:?}");
        assert_eq!(tcp.arrived, tcp.sent, "{tcp:?}");
    });
}

#[test]
fn a_timeout_inside_repeats_one_segment_today_and_a_window_without_f_rto_and_timestamps() {
    let today = row("repeats", ["as they are", "TCP"], 2);
    let then = row("repeats", ["without `F-RTO` and timestamps", "TCP"], 2);
    assert!(today[0] <= 5.0, "{today:?}");
    assert!(then[0] >= 20.0, "{then:?}");
    // The tunnel itself had lost none of them.
    assert_eq!((today[1], then[1]), (0.0, 0.0));
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = testkit::listing!().arg("fast").run();
    assert_eq!(run.status.code(), Some(2));
    assert!(run.stderr.contains("usage: tcp-meltdown"), "{}", run.stderr);
}
