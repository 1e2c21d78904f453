//! A counter without a lock, as the compiler lets it pass: with a promise that is not kept. The test
//! sees what becomes of it, and nobody runs it.

use std::cell::UnsafeCell;

// ANCHOR: undefined
/// A counter that says of itself that threads may share it.
pub struct Promise(UnsafeCell<u64>);

// SAFETY: none. Two threads may call `count()` at once, and then write to the same memory unordered.
unsafe impl Sync for Promise {}

#[inline(never)]
pub fn count(counter: &Promise) {
    for _ in 0..1_000_000 {
        // SAFETY: none, see above: undefined behaviour as soon as two threads are here.
        unsafe { *counter.0.get() += 1 };
    }
}
// ANCHOR_END: undefined
