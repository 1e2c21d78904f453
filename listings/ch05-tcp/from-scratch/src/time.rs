//! Time as the caller tells it.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time: microseconds since a moment of the caller's choosing.
///
/// The core reads no clock. Whoever drives it passes the time in, and it must not run backwards: in
/// production that is a monotonic clock, in a test a number that the test adds to.
///
/// ```
/// use std::time::Duration;
/// use tcp_from_scratch::Time;
///
/// let later = Time::ZERO + Duration::from_millis(200);
/// assert_eq!(later - Time::ZERO, Duration::from_micros(200_000));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    /// The moment of the caller's choosing.
    pub const ZERO: Self = Self(0);

    /// So many microseconds after [`ZERO`](Self::ZERO).
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// So many milliseconds after [`ZERO`](Self::ZERO).
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Microseconds since [`ZERO`](Self::ZERO).
    #[must_use]
    pub const fn micros(self) -> u64 {
        self.0
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

/// How long after `earlier` it is; nothing, if it is before.
impl Sub for Time {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}
