//! What the page says about updates over UDP and over TCP, seen in the listing's run.
#![cfg(target_os = "linux")]

use std::sync::LazyLock;
use std::time::Duration;

use testkit::{Run, alone, listing};
use udp_freshness::{Ages, Arrival, FRAMES_A_SECOND, PERIOD, Received};

/// One run for all proofs. A busy machine repeats it.
static RUN: LazyLock<Run> = LazyLock::new(|| {
    let _alone = alone();
    listing!()
        // How often TCP sends again, and how much comes late, is for two kernels' clocks to say.
        .varying(r"( \d %) TCP [\d ]+", "$1 TCP SOME")
        .deadline(Duration::from_secs(90))
        .run()
        .succeeds()
});

/// The row of the table `updates` for this loss: packets lost, sent again, updates missing, late,
/// segments that are not one update.
fn row(percent: &str, over: &str) -> [usize; 5] {
    let rows = &RUN.table("updates").rows;
    let row = rows.iter().find(|row| row[0] == percent && row[1] == over);
    let row = row.expect("a row for it");
    [2, 3, 4, 5, 6].map(|column: usize| row[column].parse().expect("a number"))
}

/// The age by loss in the figure `loss`.
fn ages(name: &str) -> Vec<f64> {
    let lines = &RUN.series("loss").lines;
    let line = lines.iter().find(|line| line.name == name);
    let points = &line.expect("a line of that name").points;
    assert_eq!(points.len(), 3);
    points.iter().map(|point| point.1).collect()
}

const LOSSES: [&str; 3] = ["1", "2", "5"];

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
    assert_eq!(RUN.stderr, "");
}

#[test]
fn one_frame_in_a_hundred_shows_an_older_state_over_tcp_than_over_udp() {
    let (udp, tcp) = (ages("UDP, `p99`"), ages("TCP, `p99`"));
    for (udp, tcp) in udp.iter().zip(&tcp) {
        assert!(udp < tcp, "UDP {udp} ms, TCP {tcp} ms");
    }
}

#[test]
fn no_state_is_younger_than_the_way_takes() {
    for name in ["UDP, median", "TCP, median"] {
        assert!(
            ages(name).iter().all(|&age| age >= 20.0),
            "{:?}",
            ages(name)
        );
    }
    for line in &RUN.series("age").lines {
        assert!(line.points.iter().all(|&(_, age)| age >= 20.0));
        // Two seconds of frames, each with an age.
        assert!(line.points.len() >= 2 * FRAMES_A_SECOND as usize - 1);
    }
}

#[test]
fn udp_loses_as_many_updates_as_the_link_loses_packets() {
    for percent in LOSSES {
        let [lost, again, missing, _, _] = row(percent, "UDP");
        assert!(lost > 0);
        assert_eq!((again, missing), (0, lost), "at {percent} %");
    }
}

#[test]
fn tcp_loses_no_update_and_delivers_some_late() {
    for percent in LOSSES {
        let [lost, again, missing, late, _] = row(percent, "TCP");
        assert!(lost > 0 && again >= lost, "{lost} lost, {again} sent again");
        assert_eq!(missing, 0, "at {percent} %");
        // Behind each gap stands at least what was sent while the other end could not know yet.
        assert!(late > row(percent, "UDP")[3], "at {percent} %");
        assert!(late > lost, "{late} late, {lost} lost");
    }
}

#[test]
fn losses_shrink_the_window_until_updates_wait_at_tcps_sender_too() {
    // With room in the window each segment is one update, and UDP never waits for room.
    for percent in LOSSES {
        assert_eq!(row(percent, "UDP")[4], 0);
    }
    assert!(row("5", "TCP")[4] > 0, "{}", RUN.stdout);
}

#[test]
fn what_was_overtaken_and_what_came_twice_is_dropped_by_its_number() {
    // Of 60, every tenth is overtaken by the two behind it: six. The 7th and every fifteenth from
    // there come twice: four.
    let said = "60 updates sent, 64 came, 54 were newer than all before them,\n   10 were old, or copies, and dropped\n";
    assert!(RUN.stdout.contains(said), "{}", RUN.stdout);
}

#[test]
fn most_frames_are_as_fresh_over_tcp_where_little_is_lost() {
    // At 1 % there is a loss every 1.7 seconds, and one in ten frames stands behind it.
    let share = |line: usize| {
        let points = &RUN.series("share").lines[line].points;
        assert!(points.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
        assert_eq!(points.last().map(|point| point.1), Some(100.0));
        points
            .iter()
            .find(|point| point.1 >= 50.0)
            .map(|point| point.0)
    };
    let (tcp, udp) = (share(0).expect("half"), share(1).expect("half"));
    let period_ms = PERIOD.as_secs_f64() * 1e3;
    assert!(
        (tcp - udp).abs() < period_ms,
        "half of the frames: TCP {tcp} ms, UDP {udp} ms"
    );
}

#[test]
fn a_frame_shows_the_newest_of_what_had_come() {
    let at = |number, made, at| Arrival {
        number,
        made: Duration::from_millis(made),
        at: Duration::from_millis(at),
    };
    let received = Received {
        made: (0..=60).map(|number| PERIOD * number).collect(),
        taken: vec![
            at(0, 0, 20),
            at(18, 300, 320),
            at(30, 500, 700),
            at(31, 510, 700),
        ],
        old: 0,
        sent: 61,
        lost: 0,
        retransmitted: 0,
        resized: 0,
    };
    let ages = Ages::of(&received);
    assert_eq!(
        ages.frames[0],
        (Duration::from_millis(250), Duration::from_millis(250))
    );
    for &(now, age) in &ages.frames {
        let newest = match now.as_millis() {
            0..320 => 0,
            320..700 => 300,
            _ => 510,
        };
        assert_eq!(now - age, Duration::from_millis(newest), "at {now:?}");
    }
    let oldest = ages.frames.iter().map(|frame| frame.1).max();
    assert_eq!(Some(ages.percentile(1.0)), oldest);
    assert_eq!(ages.share_within(ages.percentile(1.0)), 1.0);
    assert_eq!(received.late(Duration::from_millis(40)), 2);
}

#[test]
fn arguments_are_refused_with_the_usage() {
    let run = listing!().arg("now").run();
    assert_eq!(run.status.code(), Some(2));
    assert_eq!(run.stdout, "");
    assert_eq!(run.stderr, "usage: udp-freshness (it takes no arguments)\n");
}
