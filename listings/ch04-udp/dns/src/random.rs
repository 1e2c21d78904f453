//! Numbers that nobody guesses, and numbers that repeat.

use std::io;

/// Where a [`Lookup`](crate::resolver::Lookup) takes the ID and the case of its letters from.
pub trait Random {
    /// 64 bits.
    ///
    /// # Errors
    ///
    /// When there are none: no query is then sent, for one that can be guessed is worse.
    fn next(&mut self) -> io::Result<u64>;
}

impl<R: Random + ?Sized> Random for &mut R {
    fn next(&mut self) -> io::Result<u64> {
        (**self).next()
    }
}

// ANCHOR: kernel
/// The kernel's generator, which no output gives away (RFC 5452 §9.2 asks for nothing less).
#[derive(Debug, Clone, Copy, Default)]
pub struct Kernel;

impl Random for Kernel {
    fn next(&mut self) -> io::Result<u64> {
        Ok(getrandom::u64()?)
    }
}
// ANCHOR_END: kernel

/// SplitMix64 from a seed, so that a run can be repeated: for experiments, and never for the queries
/// of somebody who has something to lose. Whoever sees one number knows all the others.
#[derive(Debug, Clone)]
pub struct Seeded(pub u64);

impl Seeded {
    /// The next 64 bits.
    pub const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub const fn below(&mut self, end: u64) -> u64 {
        (((self.draw() as u128) * (end as u128)) >> 64) as u64
    }
}

impl Random for Seeded {
    fn next(&mut self) -> io::Result<u64> {
        Ok(self.draw())
    }
}
