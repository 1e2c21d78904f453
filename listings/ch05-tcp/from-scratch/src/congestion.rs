//! Congestion control: how much may be under way at once (RFC 5681, known as Reno; RFC 6928).

/// IW of RFC 6928 §2, in bytes.
const INITIAL_WINDOW: u32 = 14_600;

// ANCHOR: congestion
/// The congestion window and what moves it. All in bytes.
#[derive(Debug, Clone)]
pub(crate) struct Congestion {
    pub(crate) cwnd: u32,
    /// Below it, slow start; from it on, congestion avoidance. «Arbitrarily high» at first.
    pub(crate) ssthresh: u32,
    /// Bytes acknowledged since the window last grew in congestion avoidance.
    acknowledged: u32,
    smss: u32,
}

impl Congestion {
    pub(crate) fn new(smss: u32) -> Self {
        Self {
            cwnd: Self::initial_window(smss),
            ssthresh: u32::MAX,
            acknowledged: 0,
            smss,
        }
    }

    /// IW = min (10*SMSS, max (2*SMSS, 14600)) (RFC 6928 §2).
    fn initial_window(smss: u32) -> u32 {
        (10 * smss).min(INITIAL_WINDOW.max(2 * smss))
    }

    /// `bytes` of new text have been acknowledged while the window was in full use: slow start, or
    /// congestion avoidance (RFC 5681 §3.1).
    pub(crate) fn acknowledged(&mut self, bytes: u32) {
        if self.cwnd < self.ssthresh {
            // cwnd += min (N, SMSS)
            self.cwnd = self.cwnd.saturating_add(bytes.min(self.smss));
            return;
        }
        // A segment more for each window's worth of acknowledged bytes: one per round trip.
        self.acknowledged = self.acknowledged.saturating_add(bytes);
        if self.acknowledged >= self.cwnd {
            self.acknowledged -= self.cwnd;
            self.cwnd = self.cwnd.saturating_add(self.smss);
        }
    }

    /// A segment is lost, but others arrive: go on at half the speed (RFC 5681 §3.2, RFC 6675 §5).
    pub(crate) fn loss(&mut self, flight_size: u32) {
        self.halve(flight_size);
        self.cwnd = self.ssthresh;
    }

    /// Nothing has arrived for a whole RTO: start over (RFC 5681 §3.1). Only the first timeout of a
    /// segment says something about the speed at which it was sent.
    pub(crate) fn timeout(&mut self, flight_size: u32, first: bool) {
        if first {
            self.halve(flight_size);
        }
        self.cwnd = self.smss;
    }

    /// ssthresh = max (FlightSize / 2, 2*SMSS) (RFC 5681 §3.1, equation 4).
    fn halve(&mut self, flight_size: u32) {
        self.ssthresh = (flight_size / 2).max(2 * self.smss);
        self.acknowledged = 0;
    }
    // ANCHOR_END: congestion

    /// All that was lost has arrived; what is under way may be so little that the whole window
    /// would go out in one burst (RFC 6582 §3.2, step 3, first way).
    pub(crate) fn recovered(&mut self, flight_size: u32) {
        self.cwnd = self.ssthresh.min(flight_size.max(self.smss) + self.smss);
    }

    /// The SYN or its answer was lost: begin with one segment (RFC 5681 §3.1).
    pub(crate) fn syn_was_lost(&mut self) {
        self.cwnd = self.smss;
    }

    /// Nothing was sent for an RTO: what the network took then, it may not take now (RFC 5681 §4.1).
    pub(crate) fn idle(&mut self) {
        self.cwnd = self.cwnd.min(Self::initial_window(self.smss));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMSS: u32 = 1000;

    #[test]
    fn the_initial_window_is_ten_segments_of_usual_size() {
        for (smss, expected) in [(536, 5360), (1460, 14_600), (4000, 14_600), (9000, 18_000)] {
            assert_eq!(Congestion::new(smss).cwnd, expected);
        }
    }

    #[test]
    fn slow_start_doubles_and_avoidance_adds_one_segment_a_round_trip() {
        let mut congestion = Congestion::new(SMSS);
        congestion.ssthresh = 20_000;
        for _ in 0..10 {
            congestion.acknowledged(SMSS);
        }
        assert_eq!(congestion.cwnd, 20_000);
        for _ in 0..20 {
            congestion.acknowledged(SMSS);
        }
        assert_eq!(congestion.cwnd, 21_000);
        congestion.acknowledged(20_999);
        assert_eq!(congestion.cwnd, 21_000);
        congestion.acknowledged(1);
        assert_eq!(congestion.cwnd, 22_000);
    }

    #[test]
    fn one_acknowledgment_of_much_is_worth_one_segment_in_slow_start() {
        let mut congestion = Congestion::new(SMSS);
        congestion.acknowledged(9000);
        assert_eq!(congestion.cwnd, 11_000);
    }

    #[test]
    fn a_loss_halves_and_a_timeout_starts_over() {
        let mut congestion = Congestion::new(SMSS);
        congestion.loss(30_000);
        assert_eq!((congestion.cwnd, congestion.ssthresh), (15_000, 15_000));
        congestion.timeout(12_000, true);
        assert_eq!((congestion.cwnd, congestion.ssthresh), (1000, 6000));
        congestion.timeout(1000, false);
        assert_eq!((congestion.cwnd, congestion.ssthresh), (1000, 6000));
        congestion.loss(1000);
        assert_eq!(congestion.ssthresh, 2000);
    }
}
