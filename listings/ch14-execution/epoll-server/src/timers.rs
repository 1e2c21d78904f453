//! Deadlines of thousands of connections, without a system call and without a search.
//!
//! A hierarchical timing wheel (Varghese and Lauck, 1987): a deadline that is near lies in
//! a slot one millisecond wide, one that is far in a slot 64, 64², … milliseconds wide, and
//! is looked at again when that slot's time has come. Whoever asks for a ring looks at the
//! clock again in any case, because a deadline that has moved into the future meanwhile (as
//! it does with every request) is not told to the wheel at all. So a ring too early costs
//! one look, and setting, moving and ringing all take the same few instructions, however
//! many deadlines there are.

use std::time::{Duration, Instant};

/// Slots in a level: as many as a word has bits, which say which slots are in use.
const SLOTS: usize = 64;
const SLOT_BITS: u32 = SLOTS.ilog2();

/// Levels: the last one's slots are 64³ ms wide, 4.4 minutes. What is farther away than all
/// of them, 4.6 hours, is looked at that often.
const LEVELS: usize = 4;

/// No index, no slot.
const NONE: u32 = u32::MAX;

/// One entry at most for each index: when to look at it.
#[derive(Debug)]
pub struct Timers {
    start: Instant,
    /// All that was due before has rung. In milliseconds since the start, as all times here.
    now: u64,
    /// For each level, a bit for each slot in use.
    used: [u64; LEVELS],
    /// The first entry of each slot, level by level.
    first: [u32; LEVELS * SLOTS],
    entries: Vec<Entry>,
}

/// Part of a list: that of its slot.
#[derive(Debug, Clone, Copy)]
struct Entry {
    due: u64,
    slot: u32,
    previous: u32,
    next: u32,
}

impl Timers {
    /// None, yet.
    #[must_use]
    pub fn new(start: Instant) -> Self {
        Self {
            start,
            now: 0,
            used: [0; LEVELS],
            first: [NONE; LEVELS * SLOTS],
            entries: Vec::new(),
        }
    }

    // ANCHOR: ring-by
    /// Sees to it that `index` rings at this time or before. Never sooner than it must: if
    /// it does so already, nothing happens.
    pub fn ring_by(&mut self, index: u32, at: Instant) {
        let place = index as usize;
        if place >= self.entries.len() {
            let none = Entry {
                due: 0,
                slot: NONE,
                previous: NONE,
                next: NONE,
            };
            self.entries.resize(place + 1, none);
        }
        let due = self.ticks(at);
        let entry = self.entries[place];
        if entry.slot == NONE {
            self.insert(index, due);
        } else if due < entry.due {
            self.remove(index);
            self.insert(index, due);
        }
    }
    // ANCHOR_END: ring-by

    /// When the next entry is to be looked at.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        let (_, begins) = self.first_slot()?;
        Some(self.start + Duration::from_millis(begins))
    }

    // ANCHOR: ring
    /// Takes out one entry whose slot has come. Its deadline may have moved on meanwhile:
    /// look, and have it ring again.
    pub fn ring(&mut self, now: Instant) -> Option<u32> {
        // A millisecond that has only begun is not over.
        let now = now.saturating_duration_since(self.start).as_millis() as u64;
        match self.first_slot() {
            Some((slot, begins)) if begins <= now => {
                self.now = self.now.max(begins);
                let index = self.first[slot as usize];
                self.remove(index);
                Some(index)
            }
            _ => {
                self.now = self.now.max(now);
                None
            }
        }
    }
    // ANCHOR_END: ring

    /// Milliseconds since the start; a deadline is not over before its millisecond is.
    fn ticks(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.start)
            .as_nanos()
            .div_ceil(1_000_000) as u64
    }

    /// The slot whose time comes first, and that time.
    fn first_slot(&self) -> Option<(u32, u64)> {
        let slots = (0..LEVELS)
            .filter(|&level| self.used[level] != 0)
            .map(|level| {
                let width = level as u32 * SLOT_BITS;
                let current = self.now >> width;
                let ahead = self.used[level]
                    .rotate_right(current as u32 % SLOTS as u32)
                    .trailing_zeros();
                let begins = current + u64::from(ahead);
                let slot = level * SLOTS + begins as usize % SLOTS;
                (slot as u32, begins << width)
            });
        slots.min_by_key(|&(_, begins)| begins)
    }

    // ANCHOR: insert
    fn insert(&mut self, index: u32, due: u64) {
        // The level is that of the highest digit, in base 64, in which the time differs
        // from now.
        let due = due.max(self.now);
        let differs = (due ^ self.now) | (SLOTS as u64 - 1);
        let level = (differs.ilog2() / SLOT_BITS).min(LEVELS as u32 - 1);
        let farthest = (self.now >> (level * SLOT_BITS)) + SLOTS as u64 - 1;
        let digit = (due >> (level * SLOT_BITS)).min(farthest) as u32 % SLOTS as u32;
        let slot = level * SLOTS as u32 + digit;

        let next = self.first[slot as usize];
        self.entries[index as usize] = Entry {
            due,
            slot,
            previous: NONE,
            next,
        };
        if next != NONE {
            self.entries[next as usize].previous = index;
        }
        self.first[slot as usize] = index;
        self.used[level as usize] |= 1 << digit;
    }
    // ANCHOR_END: insert

    fn remove(&mut self, index: u32) {
        let Entry {
            slot,
            previous,
            next,
            ..
        } = self.entries[index as usize];
        if next != NONE {
            self.entries[next as usize].previous = previous;
        }
        if previous != NONE {
            self.entries[previous as usize].next = next;
        } else {
            self.first[slot as usize] = next;
            if next == NONE {
                self.used[slot as usize / SLOTS] &= !(1 << (slot as usize % SLOTS));
            }
        }
        self.entries[index as usize].slot = NONE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// What rings at this time.
    fn rung(timers: &mut Timers, now: Instant) -> Vec<u32> {
        std::iter::from_fn(|| timers.ring(now)).collect()
    }

    #[test]
    fn what_is_due_rings_and_the_rest_does_not() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        assert_eq!(timers.next(), None);
        for (index, ms) in [(0, 5), (1, 3), (2, 5), (3, 63)] {
            timers.ring_by(index, start + ms * MS);
        }
        assert_eq!(timers.next(), Some(start + 3 * MS));
        assert!(rung(&mut timers, start + 2 * MS).is_empty());
        assert_eq!(rung(&mut timers, start + 3 * MS), [1]);
        let mut both = rung(&mut timers, start + 6 * MS);
        both.sort_unstable();
        assert_eq!(both, [0, 2]);
        assert_eq!(timers.next(), Some(start + 63 * MS));
        assert_eq!(rung(&mut timers, start + 63 * MS), [3]);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_part_of_a_millisecond_is_waited_for() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        timers.ring_by(0, start + MS / 10);
        assert!(rung(&mut timers, start + MS * 9 / 10).is_empty());
        assert_eq!(rung(&mut timers, start + MS), [0]);
    }

    #[test]
    fn a_deadline_moves_forward_in_the_wheel_and_not_back() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        timers.ring_by(0, start + 40 * MS);
        timers.ring_by(0, start + 50 * MS);
        assert_eq!(timers.next(), Some(start + 40 * MS));
        timers.ring_by(0, start + 30 * MS);
        assert_eq!(timers.next(), Some(start + 30 * MS));
        assert_eq!(rung(&mut timers, start + 100 * MS), [0]);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn what_was_due_before_now_rings_at_once() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        assert!(rung(&mut timers, start + 1000 * MS).is_empty());
        timers.ring_by(7, start + 10 * MS);
        assert_eq!(rung(&mut timers, start + 1000 * MS), [7]);
    }

    /// Uses the wheel as a worker does: whoever rings too early is put in again.
    #[test]
    fn each_deadline_rings_in_its_millisecond_however_far_it_is() {
        let start = Instant::now();
        // Numbers that look like chance, of every size (Marsaglia's xorshift64).
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let mut any = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut timers = Timers::new(start);
        let mut deadlines = [0_u64; 200];
        let mut now = 0;
        for (index, deadline) in (0..).zip(&mut deadlines) {
            *deadline = any() >> (any() % 28 + 36);
            timers.ring_by(index, start + Duration::from_millis(*deadline));
        }
        let (mut looks, mut rings) = (0, 0);
        while rings < 20_000 {
            let next = timers.next().expect("each is always in the wheel");
            let waits = next.duration_since(start).as_millis() as u64;
            assert!(waits >= now, "the wheel goes back");
            assert!(
                deadlines.iter().all(|deadline| waits <= *deadline),
                "one rings too late"
            );
            // Sometimes somebody is late.
            now = waits + if any() % 16 == 0 { any() % 1000 } else { 0 };
            let at = start + Duration::from_millis(now);
            while let Some(index) = timers.ring(at) {
                looks += 1;
                let deadline = &mut deadlines[index as usize];
                if *deadline <= now {
                    rings += 1;
                    *deadline = now + (any() >> (any() % 28 + 36));
                }
                timers.ring_by(index, start + Duration::from_millis(*deadline));
            }
            let left = deadlines.iter().filter(|deadline| **deadline < now).count();
            assert_eq!(left, 0, "not all that were due have rung");
        }
        assert!(
            looks < rings * LEVELS * 2,
            "{looks} looks for {rings} rings"
        );
    }
}
