//! Five ways to add one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::latch::Latch;

/// A counter that threads share.
pub trait Counter: Send + Sync {
    /// Adds one.
    fn add(&self);

    /// How much there is, when nobody adds any more.
    fn count(&self) -> u64;
}

// ANCHOR: load-store
/// Reads, adds, writes. Each read and each write is whole, but others come in between.
#[derive(Default)]
pub struct LoadStore(AtomicU64);

impl Counter for LoadStore {
    fn add(&self) {
        let count = self.0.load(Ordering::Relaxed);
        self.0.store(count + 1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
// ANCHOR_END: load-store

// ANCHOR: one-instruction
/// Adds to memory in one instruction, where the processor has one: it reads and writes just so.
#[derive(Default)]
pub struct OneInstruction(AtomicU64);

impl Counter for OneInstruction {
    #[cfg(target_arch = "x86_64")]
    fn add(&self) {
        // SAFETY: does to the number what a relaxed load and a relaxed store do, and to nothing else.
        unsafe {
            std::arch::asm!(
                "add qword ptr [{count}], 1",
                count = in(reg) self.0.as_ptr(),
                options(nostack),
            );
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn add(&self) {
        let count = self.0.load(Ordering::Relaxed);
        self.0.store(count + 1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
// ANCHOR_END: one-instruction

// ANCHOR: fetch-add
/// The processor keeps the cache line to itself from the read to the write.
#[derive(Default)]
pub struct FetchAdd(AtomicU64);

impl Counter for FetchAdd {
    fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
// ANCHOR_END: fetch-add

// ANCHOR: locks
/// One at a time; who has to wait sleeps.
#[derive(Default)]
pub struct Locked(Mutex<u64>);

impl Counter for Locked {
    fn add(&self) {
        *self.0.lock().expect("nobody panics meanwhile") += 1;
    }

    fn count(&self) -> u64 {
        *self.0.lock().expect("nobody panics meanwhile")
    }
}

/// One at a time; who has to wait asks again and again.
#[derive(Default)]
pub struct Latched(Latch<u64>);

impl Counter for Latched {
    fn add(&self) {
        *self.0.hold() += 1;
    }

    fn count(&self) -> u64 {
        *self.0.hold()
    }
}
// ANCHOR_END: locks

/// Makes a counter.
pub type New = Box<dyn Fn() -> Box<dyn Counter>>;

/// A new counter of each kind, and what it is called.
pub fn all() -> [(&'static str, New); 5] {
    fn of<C: Counter + Default + 'static>() -> New {
        Box::new(|| Box::new(C::default()))
    }
    [
        ("load, then store", of::<LoadStore>()),
        ("one instruction", of::<OneInstruction>()),
        ("fetch_add", of::<FetchAdd>()),
        ("mutex", of::<Locked>()),
        ("latch", of::<Latched>()),
    ]
}
