//! The resolver with the kernel's sockets on a network that works against it.
#![cfg(target_os = "linux")]

#[path = "../src/attacker.rs"]
mod attacker;
#[path = "support/names.rs"]
mod names;
#[path = "support/path.rs"]
mod path;

use names::NAMES;
use path::ask_a_thousand;

#[test]
fn a_thousand_names_over_real_sockets_are_right_through_loss_copies_delay_and_forgeries() {
    lab::test(|| {
        let seen = ask_a_thousand(1).unwrap();
        assert_eq!(seen.wrong, Vec::<String>::new());
        assert!(seen.forged > 5 * NAMES, "{seen:?}");
        assert!(seen.timeouts > NAMES / 10, "{seen:?}");
        // Two of five forgeries find no socket; the program itself refuses the other three.
        assert!(seen.no_socket > 2 * NAMES as i64, "{seen:?}");
        assert!(seen.refused["wrong ID"] > NAMES, "{seen:?}");
        assert!(seen.refused["wrong question"] > NAMES / 2, "{seen:?}");
        assert!(seen.refused["wrong case"] > 10, "{seen:?}");
        // A connected socket does not let them through.
        assert!(!seen.refused.contains_key("wrong source"), "{seen:?}");
        assert!(seen.longest.as_secs() <= 30, "{seen:?}");
    });
}
