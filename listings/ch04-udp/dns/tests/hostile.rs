//! The resolver on a network that works against it: a thousand names, and not one wrong answer.
#![cfg(target_os = "linux")]

#[path = "support/names.rs"]
mod names;
#[path = "support/network.rs"]
mod network;

use std::sync::LazyLock;

use names::{NAMES, Truth, thousand};
use network::{Faults, HOSTILE, Network, SERVERS, Tally};

/// All names with each of ten seeds.
static TALLIES: LazyLock<Vec<Tally>> =
    LazyLock::new(|| (1..=10).map(|seed| all_names(HOSTILE, seed)).collect());

/// Asks for all names, one after the other; each must have its right answer.
fn all_names(faults: Faults, seed: u64) -> Tally {
    let (zone, known) = thousand();
    let mut network = Network::new(&zone, faults, seed);
    for (number, known) in known.into_iter().enumerate() {
        let result = network.resolve(known.name, known.qtype, number % SERVERS.len());
        let claimed = Truth::of(&result);
        assert_eq!(claimed, Ok(known.truth), "{} with seed {seed}", known.name);
    }
    network.tally
}

#[test]
fn a_thousand_names_are_right_though_a_tenth_of_everything_is_lost_repeated_late_and_forged_answers_come_first()
 {
    for tally in TALLIES.iter() {
        // It was hostile indeed.
        assert!(tally.lost > NAMES / 10, "{tally:?}");
        let forged: usize = tally.forged.values().sum();
        assert!(forged > 4 * NAMES, "{tally:?}");
        assert_eq!(tally.forged.len(), 12, "every kind: {tally:?}");
        assert!(tally.queries > NAMES, "{tally:?}");
    }
}

#[test]
fn no_forged_answer_is_accepted() {
    for tally in TALLIES.iter() {
        assert_eq!(tally.accepted_forged, 0);
        let forged: usize = tally.forged.values().sum();
        let left = forged - tally.refused_forged - tally.no_socket_forged;
        assert!(
            left < 20,
            "all but the last ones arrived: {left}, {tally:?}"
        );
        assert!(tally.refused_forged > NAMES, "{tally:?}");
        for reason in [
            "wrong ID",
            "wrong source",
            "wrong question",
            "wrong case",
            "malformed",
        ] {
            assert!(tally.refused[reason] > 0, "{reason}: {tally:?}");
        }
    }
}

#[test]
fn time_and_queries_are_bounded_whatever_the_network_does() {
    // The bound on time is asserted by the network for every name; here nothing ever arrives.
    let (zone, known) = thousand();
    let dead = Faults {
        loss: 1.0,
        ..HOSTILE
    };
    let mut network = Network::new(&zone, dead, 1);
    let known = &known[0];
    let result = network.resolve(known.name, known.qtype, 0);
    assert!(result.is_err(), "{result:?}");
    assert!(network.tally.most_queries <= 10, "{:?}", network.tally);
    assert!(network.tally.longest.as_secs() <= 30, "{:?}", network.tally);
}

#[test]
fn on_a_good_network_a_name_takes_one_query_and_its_round_trip() {
    let good = Faults {
        loss: 0.0,
        duplicates: 0.0,
        reordered: 0.0,
        forged: 0,
    };
    let (zone, known) = thousand();
    let mut network = Network::new(&zone, good, 1);
    let plain = known
        .iter()
        .filter(|known| known.qtype != udp_dns_message::Type::TXT);
    let mut names = 0;
    for known in plain {
        let result = network.resolve(known.name, known.qtype, 0);
        assert_eq!(Truth::of(&result), Ok(known.truth.clone()));
        names += 1;
    }
    assert_eq!(network.tally.queries, names);
    assert_eq!(network.tally.longest.as_millis(), 40);
}
