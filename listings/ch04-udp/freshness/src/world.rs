//! An update, as bytes, and the receiver's rule for which ones count.

use std::time::Duration;

/// Bytes of an update: its number, when it was made, and where sixty things of the world are. It
/// fits into one packet of any network, as a datagram and as a segment.
pub const SIZE: usize = NUMBER + MADE + THINGS * PLACE;

const NUMBER: usize = 4;
const MADE: usize = 8;
const THINGS: usize = 60;
const PLACE: usize = 16;

/// The state of the world at one moment: all of it, so that none needs an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update {
    /// Counts up by one, and begins again at 0 after `u32::MAX`.
    pub number: u32,
    /// When it was made, in nanoseconds since the game began.
    pub made_ns: u64,
}

impl Update {
    /// When it was made, since the game began.
    #[must_use]
    pub fn made(&self) -> Duration {
        Duration::from_nanos(self.made_ns)
    }

    /// As it is sent.
    #[must_use]
    pub fn emit(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[..NUMBER].copy_from_slice(&self.number.to_be_bytes());
        bytes[NUMBER..][..MADE].copy_from_slice(&self.made_ns.to_be_bytes());
        for (thing, place) in bytes[NUMBER + MADE..].chunks_exact_mut(PLACE).enumerate() {
            // They all walk in circles: enough for bytes that change from update to update.
            let angle = (thing as f64) + f64::from(self.number) / 60.0;
            place[..8].copy_from_slice(&angle.cos().to_be_bytes());
            place[8..].copy_from_slice(&angle.sin().to_be_bytes());
        }
        bytes
    }

    /// From what was received, if that is as long as an update.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; SIZE] = bytes.try_into().ok()?;
        let (number, rest) = bytes.split_first_chunk()?;
        Some(Self {
            number: u32::from_be_bytes(*number),
            made_ns: u64::from_be_bytes(*rest.first_chunk()?),
        })
    }
}

// ANCHOR: world
/// The world as the receiver knows it: the newest update, and nothing before it.
#[derive(Debug, Default)]
pub struct World {
    newest: Option<u32>,
}

/// What became of an update that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is the newest, and the world is now as it says.
    Newer,
    /// A newer one, or the same, had come before it: dropped.
    Old,
}

impl World {
    /// Takes an update if it is newer than the one before.
    pub fn take(&mut self, update: &Update) -> Taken {
        if self
            .newest
            .is_some_and(|newest| !is_newer(update.number, newest))
        {
            return Taken::Old;
        }
        self.newest = Some(update.number);
        Taken::Newer
    }
}

/// Whether `number` comes after `other`, though numbers begin again: the way from the one to the
/// other is less than half of all numbers (RFC 1982).
fn is_newer(number: u32, other: u32) -> bool {
    (number.wrapping_sub(other) as i32) > 0
}
// ANCHOR_END: world

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(numbers: &[u32]) -> Vec<Taken> {
        let mut world = World::default();
        let update = |&number| Update { number, made_ns: 0 };
        numbers.iter().map(|n| world.take(&update(n))).collect()
    }

    #[test]
    fn what_comes_after_a_newer_one_is_dropped_and_so_is_a_copy() {
        use Taken::{Newer, Old};
        assert_eq!(
            taken(&[7, 8, 8, 10, 9, 11]),
            [Newer, Newer, Old, Newer, Old, Newer]
        );
    }

    #[test]
    fn numbers_that_begin_again_are_newer() {
        use Taken::{Newer, Old};
        assert_eq!(
            taken(&[u32::MAX - 1, 0, u32::MAX, 1]),
            [Newer, Newer, Old, Newer]
        );
        assert!(!is_newer(5, 5 + (1 << 31)) && !is_newer(5 + (1 << 31), 5));
    }

    #[test]
    fn an_update_is_read_as_it_was_written_and_other_lengths_are_none() {
        let update = Update {
            number: 0x0102_0304,
            made_ns: u64::MAX,
        };
        let bytes = update.emit();
        assert_eq!(Update::parse(&bytes), Some(update));
        assert_eq!(Update::parse(&bytes[1..]), None);
        assert_eq!(Update::parse(&[&bytes[..], &[0]].concat()), None);
        assert_eq!(Update::parse(&[]), None);
    }
}
