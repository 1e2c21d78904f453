//! The retransmission timeout (RFC 6298): how long to wait before text counts as lost.

use std::time::Duration;

use crate::Config;

/// G, the granularity of [`Time`](crate::Time).
const CLOCK_GRANULARITY: Duration = Duration::from_micros(1);

/// RTO when text is first sent after a SYN had to be sent twice (RFC 6298 §5.7).
const AFTER_A_LOST_SYN: Duration = Duration::from_secs(3);

// ANCHOR: rto
/// What is known about the round trip, and the timeout that follows from it.
#[derive(Debug, Clone)]
pub(crate) struct RetransmissionTimeout {
    /// SRTT and RTTVAR, once there has been a measurement.
    smoothed: Option<(Duration, Duration)>,
    rto: Duration,
    /// How often it has been doubled since the last measurement (RFC 6298 §5.5).
    backoff: u32,
    min: Duration,
    max: Duration,
}

impl RetransmissionTimeout {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            smoothed: None,
            rto: config.initial_rto,
            backoff: 0,
            min: config.min_rto,
            max: config.max_rto,
        }
    }

    /// A round trip of a segment that was sent only once has been measured (RFC 6298 §2.2, §2.3).
    pub(crate) fn measured(&mut self, r: Duration) {
        let (srtt, rttvar) = match self.smoothed {
            None => (r, r / 2),
            Some((srtt, rttvar)) => {
                // RTTVAR <- 3/4 * RTTVAR + 1/4 * |SRTT - R'|, SRTT <- 7/8 * SRTT + 1/8 * R'
                let rttvar = rttvar * 3 / 4 + srtt.abs_diff(r) / 4;
                (srtt * 7 / 8 + r / 8, rttvar)
            }
        };
        self.smoothed = Some((srtt, rttvar));
        self.rto = srtt + CLOCK_GRANULARITY.max(rttvar * 4);
        self.backoff = 0;
    }

    /// The timeout now.
    pub(crate) fn current(&self) -> Duration {
        let rto = self.rto.max(self.min);
        rto.saturating_mul(1 << self.backoff.min(16)).min(self.max)
    }

    /// The timer has expired: wait twice as long the next time (RFC 6298 §5.5).
    pub(crate) fn back_off(&mut self) {
        self.backoff += 1;
    }
    // ANCHOR_END: rto

    /// A connection stands whose SYN had to be sent again (RFC 6298 §5.7).
    pub(crate) fn syn_was_lost(&mut self) {
        if self.smoothed.is_none() {
            self.rto = self.rto.max(AFTER_A_LOST_SYN);
            self.backoff = 0;
        }
    }

    /// How often it has been doubled.
    pub(crate) fn backoff(&self) -> u32 {
        self.backoff
    }

    /// The same wait, doubled `times` over: for probes of a closed window.
    pub(crate) fn backed_off_by(&self, times: u32) -> Duration {
        let rto = self.rto.max(self.min);
        rto.saturating_mul(1 << times.min(16)).min(self.max)
    }

    /// SRTT, if there has been a measurement.
    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.smoothed.map(|(srtt, _)| srtt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn rto() -> RetransmissionTimeout {
        RetransmissionTimeout::new(&Config {
            min_rto: MS(200),
            ..Config::default()
        })
    }

    #[test]
    fn the_rules_of_rfc_6298_are_followed() {
        let mut rto = rto();
        assert_eq!(rto.current(), MS(1000)); // 2.1
        rto.measured(MS(100));
        assert_eq!(rto.current(), MS(100 + 4 * 50)); // 2.2
        rto.measured(MS(180)); // RTTVAR 37.5 + 20, SRTT 87.5 + 22.5: 2.3
        assert_eq!(rto.current(), MS(110) + 4 * Duration::from_micros(57_500));
        for _ in 0..100 {
            rto.measured(MS(10));
        }
        assert_eq!(rto.current(), MS(200)); // 2.4
    }

    #[test]
    fn each_timeout_doubles_it_up_to_the_most_and_a_measurement_ends_that() {
        let mut rto = rto();
        rto.measured(MS(100));
        for expected in [
            300, 600, 1200, 2400, 4800, 9600, 19_200, 38_400, 60_000, 60_000,
        ] {
            assert_eq!(rto.current(), MS(expected));
            rto.back_off();
        }
        rto.measured(MS(100));
        assert!(rto.current() < MS(300));
    }

    #[test]
    fn after_a_lost_syn_it_is_three_seconds() {
        let mut rto = rto();
        rto.back_off();
        rto.syn_was_lost();
        assert_eq!(rto.current(), MS(3000));
    }
}
