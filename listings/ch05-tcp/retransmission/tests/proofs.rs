//! What the page claims of retransmission.

#![cfg(target_os = "linux")]

use std::io::{ErrorKind, Read, Write};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use lab::{Link, Verdict};
use socket2::SockRef;
use tcp_ordering::Connection;
use tcp_retransmission::{Outcome, Trial, side_by_side};
use testkit::{Run, listing};

static RUN: LazyLock<Run> = LazyLock::new(|| listing!().run().succeeds());

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// There and back, in every trial that does not say otherwise.
const ROUND_TRIP: Duration = ms(200);

#[test]
fn it_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

/// What the run counted in a row of the table `kinds`.
#[track_caller]
fn kinds(name: &str) -> [u32; 5] {
    let table = RUN.table("kinds");
    let row = table.rows.iter().find(|row| row[0] == name);
    let row = row.unwrap_or_else(|| panic!("no row {name:?}"));
    [1, 2, 3, 4, 5].map(|column| row[column].parse().unwrap())
}

#[test]
fn every_retransmission_has_one_cause() {
    for row in &RUN.table("kinds").rows {
        let [again, fast, probes, timeouts, _] = kinds(&row[0]);
        assert_eq!(again, fast + probes + timeouts, "{row:?}");
    }
}

#[test]
fn nothing_is_sent_again_without_cause() {
    assert_eq!(kinds("loses nothing"), [0; 5]);
}

#[test]
fn ipv4_and_ipv6_are_alike() {
    // The listing compares the counters, and fails where they differ.
    assert!(RUN.stdout.contains("IPv4 and IPv6 alike."));
}

#[test]
fn fast_recovery_sends_a_segment_from_the_middle_again() {
    assert_eq!(kinds("loses the 3rd"), [1, 1, 0, 0, 0]);
}

#[test]
fn a_lost_retransmission_is_noticed_as_well() {
    assert_eq!(kinds("loses the 3rd of 30 twice"), [2, 2, 0, 0, 0]);
}

#[test]
fn a_probe_sends_the_last_segment_again() {
    assert_eq!(kinds("loses the 10th"), [1, 0, 1, 0, 0]);
}

#[test]
fn the_answer_to_a_probe_starts_fast_recovery() {
    assert_eq!(kinds("loses the 8th, 9th and 10th"), [3, 2, 1, 0, 0]);
}

#[test]
fn without_probes_it_is_the_timeout() {
    assert_eq!(kinds("loses the 10th, probes off"), [1, 0, 0, 1, 0]);
}

#[test]
fn reordering_within_a_quarter_of_the_round_trip_is_not_loss() {
    assert_eq!(kinds("lets two overtake the 8th"), [0; 5]);
}

#[test]
fn the_first_time_that_three_overtake_one_it_is_sent_again_and_that_is_undone() {
    assert_eq!(kinds("lets seven overtake the 3rd"), [1, 1, 0, 0, 1]);
}

#[test]
fn once_reordering_was_seen_time_alone_decides() {
    assert_eq!(kinds("lets two, and later seven"), [0; 5]);
}

#[test]
fn a_timeout_that_was_a_mistake_is_undone() {
    assert_eq!(kinds("delays the only one, probes off"), [1, 0, 0, 1, 1]);
}

/// Runs the same trial so many times.
fn repeat(times: usize, trial: &Trial) -> Vec<Outcome> {
    side_by_side(vec![trial.clone(); times]).unwrap()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// `TcpRetransSegs`, and why: fast recovery, probes, timeouts.
fn counts(outcome: &Outcome) -> [i64; 4] {
    [
        "TcpRetransSegs",
        "TcpExtTCPFastRetrans",
        "TcpExtTCPLossProbes",
        "TcpExtTCPTimeouts",
    ]
    .map(|name| outcome.count(name))
}

#[test]
fn twenty_of_twenty_runs_count_the_same() {
    lab::test(|| {
        for (trial, expected) in [
            (Trial::of(10).lose(3), [1, 1, 0, 0]),
            (Trial::of(10).lose(10), [1, 0, 1, 0]),
            (
                Trial::of(10).lose(10).with("tcp_early_retrans", 0),
                [1, 0, 0, 1],
            ),
        ] {
            for outcome in repeat(20, &trial) {
                assert_eq!(counts(&outcome), expected, "{trial:?}");
            }
        }
    });
}

#[test]
fn exactly_the_lost_segment_is_sent_again_whichever_it_is() {
    lab::test(|| {
        for v6 in [false, true] {
            let trials = (1..=10).map(|lost| {
                let trial = Trial::of(10).lose(lost);
                if v6 { trial.over_v6() } else { trial }
            });
            for (lost, outcome) in (1..=10).zip(side_by_side(trials).unwrap()) {
                // By fast recovery; the last, behind which nothing comes, by a probe.
                let expected = if lost < 10 {
                    [1, 1, 0, 0]
                } else {
                    [1, 0, 1, 0]
                };
                assert_eq!(counts(&outcome), expected, "{lost}, v6: {v6}");
                for segment in 1..=10 {
                    let times = outcome.sendings(segment).len();
                    assert_eq!(times, 1 + usize::from(segment == lost), "{lost}, v6: {v6}");
                }
            }
        }
    });
}

#[test]
fn a_timeout_costs_the_window_and_a_probe_does_not() {
    lab::test(|| {
        let probe = Trial::of(10).lose(10);
        let timeout = probe.clone().with("tcp_early_retrans", 0);
        let [probe, timeout] = [probe, timeout].map(|trial| trial.run().unwrap());
        assert!(probe.info[1].snd_cwnd >= probe.info[0].snd_cwnd / 2);
        assert!(timeout.info[1].snd_cwnd <= 3, "{:?}", timeout.info[1]);
    });
}

#[test]
fn counters_tell_a_probe_from_a_timeout_and_time_does_not() {
    lab::test(|| {
        let probe = repeat(5, &Trial::of(1).lose(1));
        let timeout = repeat(5, &Trial::of(1).lose(1).with("tcp_early_retrans", 0));
        assert!(probe.iter().all(|each| counts(each) == [1, 0, 1, 0]));
        assert!(timeout.iter().all(|each| counts(each) == [1, 0, 0, 1]));
        let [probe, timeout] = [probe, timeout]
            .map(|trials| median(trials.iter().map(|each| each.wait(1).unwrap()).collect()));
        // Three round trips, and the grain of the kernel's timers: an eighth.
        for wait in [probe, timeout] {
            assert!(wait > 3 * ROUND_TRIP - ms(10), "{wait:?}");
            assert!(wait < (3 * ROUND_TRIP).mul_f64(1.125) + ms(50), "{wait:?}");
        }
    });
}

#[test]
fn fast_recovery_takes_a_round_trip_and_below_three_a_quarter_more() {
    lab::test(|| {
        for (behind, expected) in [
            (1, ROUND_TRIP + ROUND_TRIP / 4),
            (2, ROUND_TRIP + ROUND_TRIP / 4),
            (3, ROUND_TRIP),
        ] {
            let outcomes = repeat(5, &Trial::of(3 + behind).lose(3));
            assert!(outcomes.iter().all(|each| counts(each) == [1, 1, 0, 0]));
            let wait = median(outcomes.iter().map(|each| each.wait(3).unwrap()).collect());
            assert!(wait >= expected, "{behind}: {wait:?}");
            assert!(wait < expected + ms(40), "{behind}: {wait:?}");
        }
    });
}

#[test]
fn without_sack_only_the_third_duplicate_starts_fast_recovery() {
    lab::test(|| {
        for (behind, expected) in [
            (1, [1, 0, 0, 1]),
            (2, [1, 0, 0, 1]),
            (3, [1, 1, 0, 0]),
            (4, [1, 1, 0, 0]),
        ] {
            let trial = Trial::of(3 + behind).lose(3).with("tcp_sack", 0);
            for outcome in repeat(3, &trial) {
                assert_eq!(counts(&outcome), expected, "{behind}");
            }
        }
    });
}

#[test]
fn a_needless_retransmission_is_reported_and_the_window_restored() {
    lab::test(|| {
        for outcome in repeat(3, &Trial::of(10).late(3, 1, ms(20))) {
            assert_eq!(counts(&outcome), [1, 1, 0, 0]);
            assert_eq!(outcome.count("TcpExtTCPDSACKRecv"), 1);
            // As if nothing had been lost: there is no threshold below which to be careful.
            let [before, .., after] = outcome.info[..] else {
                panic!("two looks at least")
            };
            assert_eq!(after.snd_ssthresh, before.snd_ssthresh);
            assert!(after.snd_cwnd >= before.snd_cwnd);
        }
        let lost = Trial::of(10).lose(3).run().unwrap();
        assert_eq!(lost.count("TcpExtTCPDSACKRecv"), 0);
        assert!(lost.info[1].snd_cwnd < lost.info[0].snd_cwnd);
    });
}

#[test]
fn a_needless_retransmission_does_not_keep_it_from_the_next() {
    lab::test(|| {
        let late = ms(20);
        let trial = Trial::of(10).late(3, 1, late).then(10).late(13, 1, late);
        for outcome in repeat(3, &trial) {
            assert_eq!(counts(&outcome), [2, 2, 0, 0]);
            assert_eq!(outcome.count("TcpExtTCPDSACKRecv"), 2);
            // Only an original that comes late counts, and each time the copy was sent before.
            assert_eq!(outcome.info[2].reord_seen, 0);
        }
    });
}

#[test]
fn the_timeout_is_that_of_rfc_6298_with_200_ms_at_least_for_its_variance() {
    lab::test(|| {
        for round_trip in [20, 60, 200] {
            let outcome = Trial::of(1).one_way(ms(round_trip / 2)).run().unwrap();
            let first = outcome.info[0];
            // After one measurement R: SRTT = R, RTTVAR = R/2.
            assert!(first.rtt >= ms(round_trip), "{first:?}");
            let half = first.rtt.as_secs_f64() / 2.0;
            let error = (first.rttvar.as_secs_f64() - half).abs();
            assert!(error < 0.001, "{first:?}");
            let rule = first.rtt + (4 * first.rttvar).max(ms(200));
            // Rounded up to a tick of the kernel's clock, of 10 ms at most.
            assert!(first.rto >= rule - ms(1), "{first:?}, not {rule:?}");
            assert!(first.rto <= rule + ms(10), "{first:?}, not {rule:?}");
        }
    });
}

#[test]
fn the_timeout_comes_down_as_round_trips_turn_out_alike() {
    lab::test(|| {
        let trial = (0..10).fold(Trial::of(1), |trial, _| trial.then(1));
        let outcome = trial.run().unwrap();
        let (first, last) = (outcome.info[0], outcome.info[11]);
        assert!(last.rttvar < first.rttvar / 2, "{last:?}");
        assert!(last.rto < first.rto, "{last:?}");
        assert!(last.rto > last.rtt + ms(190), "{last:?}");
    });
}

#[test]
fn every_timeout_is_twice_the_one_before() {
    lab::test(|| {
        for v6 in [false, true] {
            let mut trial = Trial::of(1).lose_times(1, 3).one_way(ms(10));
            trial = trial.with("tcp_early_retrans", 0);
            if v6 {
                trial = trial.over_v6();
            }
            let outcomes = repeat(3, &trial);
            let mut expected = ms(220);
            for time in 0..3 {
                let wait = median(
                    outcomes
                        .iter()
                        .map(|each| each.sendings(1))
                        .map(|sent| sent[time + 1] - sent[time])
                        .collect(),
                );
                // A timer comes up to an eighth of its time late, and a tick or two.
                assert!(wait >= expected, "{wait:?}, not {expected:?}");
                assert!(
                    wait < expected.mul_f64(1.125) + ms(30),
                    "{wait:?}, not {expected:?}"
                );
                expected *= 2;
            }
            for outcome in outcomes {
                assert_eq!(counts(&outcome), [3, 0, 0, 3]);
            }
        }
    });
}

/// How long a connection lives on whose other end falls silent, and how often it asks.
fn given_up_after(
    prepare: impl FnOnce(&lab::Host, &lab::Host) -> std::io::Result<()>,
    user_timeout: Option<Duration>,
) -> (Duration, i64) {
    let mut written = false;
    let there = Link::new().delay(ms(10)).rule(move |_, packet| {
        // From the first data on, nothing gets through.
        written |= packet.tcp().is_some_and(|segment| segment.length > 0);
        if written {
            Verdict::Drop
        } else {
            Verdict::Pass
        }
    });
    let back = Link::new().delay(ms(10));
    let mut connection = Connection::open(false, there, back, prepare).unwrap();
    if user_timeout.is_some() {
        SockRef::from(&connection.writer)
            .set_tcp_user_timeout(user_timeout)
            .unwrap();
    }
    let began = Instant::now();
    connection.writer.write_all(b"hello").unwrap();
    let error = connection.writer.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    (
        began.elapsed(),
        connection.client.counters()["TcpRetransSegs"],
    )
}

#[test]
fn the_kernel_gives_up_by_tcp_retries2_or_tcp_user_timeout() {
    lab::test(|| {
        let (waited, times) =
            given_up_after(|client, _| client.sysctl("net.ipv4.tcp_retries2", 3), None);
        // Timeouts of 200, 400, 800 and 1,600 ms would be 3 s; it ends with the first after that.
        assert!(waited >= Duration::from_secs(3), "{waited:?}");
        assert!(waited < Duration::from_secs(6), "{waited:?}");
        // Three by the timeout, and the probe before them.
        assert_eq!(times, 4);

        let second = Duration::from_secs(1);
        let (waited, times) = given_up_after(|_, _| Ok(()), Some(second));
        assert!(waited >= second - ms(20), "{waited:?}");
        assert!(waited < 2 * second, "{waited:?}");
        assert!((1..=3).contains(&times), "{times}");
    });
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = testkit::listing!().arg("fast").run();
    assert_eq!(run.status.code(), Some(2));
    assert!(
        run.stderr.contains("usage: tcp-retransmission"),
        "{}",
        run.stderr
    );
}
