//! The timestamp clock, and old duplicates that it unmasks (RFC 7323 §4, §5).

use std::time::Duration;

use crate::Time;

/// How long TS.Recent may stand before it says nothing any more: 24 days (RFC 7323 §5.5).
const TOO_LONG_IDLE: Duration = Duration::from_secs(24 * 24 * 3600);

// ANCHOR: timestamps
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timestamps {
    /// Where our clock started.
    offset: u32,
    /// TS.Recent, the last value heard in order, and when.
    pub(crate) recent: u32,
    recent_at: Time,
}

impl Timestamps {
    pub(crate) fn new(offset: u32) -> Self {
        Self {
            offset,
            recent: 0,
            recent_at: Time::ZERO,
        }
    }

    /// Our clock, which ticks each millisecond (RFC 7323 §5.4 wants 1 ms to 1 s).
    pub(crate) fn value(&self, now: Time) -> u32 {
        self.offset.wrapping_add((now.micros() / 1000) as u32)
    }

    /// PAWS: a segment with an older value than TS.Recent is a duplicate from long ago, even if its
    /// sequence number fits again (RFC 7323 §5.3, R1).
    pub(crate) fn is_old(&self, value: u32, now: Time) -> bool {
        (value.wrapping_sub(self.recent) as i32) < 0 && now - self.recent_at < TOO_LONG_IDLE
    }

    /// A segment in order has told its clock.
    pub(crate) fn heard(&mut self, value: u32, now: Time) {
        (self.recent, self.recent_at) = (value, now);
    }

    /// The round trip of the segment whose clock `echo` is (RTTM, RFC 7323 §4), if it can be.
    pub(crate) fn round_trip(&self, echo: u32, now: Time) -> Option<Duration> {
        let ticks = self.value(now).wrapping_sub(echo);
        (ticks < 1 << 31).then(|| Duration::from_millis(ticks.into()))
    }
}
// ANCHOR_END: timestamps

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_is_what_was_heard_before_unless_nothing_was_heard_for_24_days() {
        let mut timestamps = Timestamps::new(7);
        let now = Time::from_millis(1);
        timestamps.heard(u32::MAX, now);
        assert!(timestamps.is_old(u32::MAX - 1, now));
        assert!(!timestamps.is_old(u32::MAX, now) && !timestamps.is_old(3, now));
        assert!(!timestamps.is_old(u32::MAX - 1, now + TOO_LONG_IDLE));
    }

    #[test]
    fn a_round_trip_is_counted_across_the_clocks_end_and_not_from_the_future() {
        let timestamps = Timestamps::new(u32::MAX);
        let now = Time::from_millis(5);
        assert_eq!(
            timestamps.round_trip(u32::MAX, now),
            Some(Duration::from_millis(5))
        );
        assert_eq!(timestamps.round_trip(timestamps.value(now) + 1, now), None);
    }
}
