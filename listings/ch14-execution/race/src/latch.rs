//! A latch: a lock for the shortest of times, on which one waits by asking again.

use std::cell::UnsafeCell;
use std::hint;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};

// ANCHOR: latch
/// Lets one thread at a time to a value.
#[derive(Debug, Default)]
pub struct Latch<T> {
    held: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: a shared latch gives out the value to one thread at a time, as a thread would hand it to
// another; so `Send` is what it takes.
unsafe impl<T: Send> Sync for Latch<T> {}

impl<T> Latch<T> {
    /// Waits until nobody has it, without sleeping.
    pub fn hold(&self) -> Held<'_, T> {
        // Acquire: what its last holder wrote is seen from here on.
        while self.held.swap(true, Ordering::Acquire) {
            // Reading leaves the cache line where it is. Only a swap fetches it.
            while self.held.load(Ordering::Relaxed) {
                hint::spin_loop();
            }
        }
        Held(self)
    }
}

/// The value, until this is dropped.
pub struct Held<'a, T>(&'a Latch<T>);

impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        // Release: what this holder wrote is seen by the next.
        self.0.held.store(false, Ordering::Release);
    }
}
// ANCHOR_END: latch

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: whoever has this holds the latch, and nobody else does.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and this is the only reference to the holder.
        unsafe { &mut *self.0.value.get() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::mpsc;
    use std::thread;

    #[test]
    fn one_at_a_time_holds_it() {
        let latch = Latch::<(u64, u64)>::default();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50_000 {
                        let mut held = latch.hold();
                        let both = &mut *held;
                        assert_eq!(both.0, both.1);
                        both.0 += 1;
                        both.1 += 1;
                    }
                });
            }
        });
        assert_eq!(*latch.hold(), (200_000, 200_000));
    }

    #[test]
    fn who_comes_second_waits_until_the_first_lets_go() {
        let latch = Latch::<u64>::default();
        let (sender, receiver) = mpsc::channel();
        let held = latch.hold();
        thread::scope(|scope| {
            let latch = &latch;
            scope.spawn(move || sender.send(*latch.hold()).unwrap());
            assert_eq!(receiver.try_recv(), Err(mpsc::TryRecvError::Empty));
            let mut held = held;
            *held = 2;
            drop(held);
            assert_eq!(receiver.recv(), Ok(2));
        });
    }

    #[test]
    fn a_holder_that_panics_lets_go() {
        let latch = Latch::<u64>::default();
        let panics = || {
            let _held = latch.hold();
            // Not a panic of its own, whose message would be in the way.
            std::panic::resume_unwind(Box::new(()));
        };
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        *latch.hold() += 1;
        assert_eq!(*latch.hold(), 1);
    }
}
