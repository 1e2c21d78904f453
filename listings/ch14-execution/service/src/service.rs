//! What one worker needs for all of its connections.

use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http1::{Date, Scratch};

use crate::Limits;
use crate::limits::MAX_ECHO_LEN;
use crate::stats::{Counters, Stats, Syscall};

// ANCHOR: service
/// The service as one worker offers it: what its sessions have in common. It is lent to each of them
/// while something happens there.
#[derive(Debug)]
pub struct Service {
    pub(crate) limits: Limits,
    /// Where a request's fields are noted while it is looked at.
    pub(crate) scratch: Scratch,
    /// A request's body, as far as it has come.
    pub(crate) body: Vec<u8>,
    /// The time of day, as answers tell it.
    pub(crate) date: Date,
    date_until: Instant,
    /// Whether every answer is its connection's last.
    pub(crate) closes: bool,
    stats: Stats,
    worker: usize,
}
// ANCHOR_END: service

impl Service {
    /// The service for a worker of those that `stats` counts.
    #[must_use]
    pub fn new(limits: Limits, stats: Stats, worker: usize, now: Instant) -> Self {
        let limits_of_messages = http1::Limits {
            body: MAX_ECHO_LEN as u64,
            ..http1::Limits::DEFAULT
        };
        let mut service = Self {
            limits,
            scratch: Scratch::new(limits_of_messages),
            body: Vec::new(),
            date: Date::from_unix(0),
            date_until: now,
            closes: false,
            stats,
            worker,
        };
        service.tell_time(now, SystemTime::now());
        service
    }

    /// How long a connection may take for what.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What this worker counts.
    #[inline]
    #[must_use]
    pub fn counters(&self) -> &Counters {
        self.stats.worker(self.worker)
    }

    /// A system call was made.
    #[inline]
    pub fn count(&self, call: Syscall) {
        self.counters().count(call);
    }

    /// To be called whenever the worker wakes up: once a second, it looks at the clock.
    #[inline]
    pub fn tick(&mut self, now: Instant) {
        if now >= self.date_until {
            self.tell_time(now, SystemTime::now());
        }
    }

    /// What time of day it is.
    pub fn tell_time(&mut self, now: Instant, time: SystemTime) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.date = Date::from_unix(since.as_secs());
        let into_the_second = Duration::from_nanos(since.subsec_nanos().into());
        self.date_until = now + Duration::from_secs(1) - into_the_second;
    }

    /// Makes every answer from now on its connection's last, or no longer: when the server is to end,
    /// or when others wait for a worker that serves one at a time.
    pub fn close_after_answers(&mut self, close: bool) {
        self.closes = close;
    }

    /// The answer to `/stats`.
    pub(crate) fn stats(&self) -> String {
        let mut json = String::new();
        let worker = (self.worker, std::process::id());
        write!(json, "{}", self.stats.as_told_by(worker)).expect("a string takes all");
        json
    }
}
