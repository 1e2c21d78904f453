//! What tests wait for: a thing that is about to be so, and each other.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::DEADLINE;

/// From one look to the next.
const INTERVAL: Duration = Duration::from_millis(1);

/// Gives what `look` finds, as soon as it finds something.
///
/// ```
/// let file = tempfile::NamedTempFile::new().unwrap();
/// testkit::wait_for("the file", || file.path().exists().then_some(()));
/// ```
///
/// # Panics
///
/// When it has found nothing within [`DEADLINE`]; the message names `what` was waited for.
#[track_caller]
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_until(Instant::now() + DEADLINE, what, look)
}

#[track_caller]
fn wait_until<T>(at_latest: Instant, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < at_latest, "waited in vain for {what}");
        thread::sleep(INTERVAL);
    }
}

/// Waits until no other test of this file is alone, and keeps the others waiting until it is dropped.
///
/// Measurements that run side by side are a load for each other. Tests that do not ask take no notice.
#[must_use = "the turn ends when this is dropped"]
pub fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // A test that failed has left nothing behind that the next would mind.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn what_is_found_late_is_given() {
        let mut looks = 0;
        let found = wait_for("the third look", || {
            looks += 1;
            (looks == 3).then_some("found")
        });
        assert_eq!((found, looks), ("found", 3));
    }

    #[test]
    #[should_panic(expected = "waited in vain for a miracle")]
    fn what_is_never_found_is_named() {
        wait_until(Instant::now(), "a miracle", || None::<()>);
    }

    #[test]
    fn a_turn_keeps_others_waiting_and_ends_with_a_panic() {
        let turn = alone();
        let other = thread::spawn(|| {
            let _turn = alone();
            Instant::now()
        });
        thread::sleep(20 * INTERVAL);
        let ended = Instant::now();
        drop(turn);
        assert!(other.join().expect("no panic") >= ended);

        let failed = catch_unwind(|| {
            let _turn = alone();
            panic!("a test that fails");
        });
        assert!(failed.is_err());
        drop(alone());
    }
}
