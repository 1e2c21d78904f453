//! What happens because nothing happened (RFC 9293 §3.10.8).

use std::time::Duration;

use crate::config::{KEEP_ALIVE_PROBES, RETRANSMISSIONS_BEFORE_ADVICE};
use crate::{Connection, Event, Reason, State, Time};

/// Between one keep-alive that went unanswered and the next.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(75);

impl Connection {
    // ANCHOR: next-timeout
    /// When to call [`transmit`](Self::transmit) again, if nothing arrives before.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Time> {
        let timers = [
            self.timers.retransmission,
            self.timers.delayed_ack,
            self.timers.end,
            self.gives_up_at(),
            self.keep_alive_at(),
        ];
        timers.into_iter().flatten().min()
    }
    // ANCHOR_END: next-timeout

    /// Does what is due.
    pub(crate) fn time_passes(&mut self, now: Time) {
        let is_due = |time: Option<Time>| time.is_some_and(|time| time <= now);
        if is_due(self.timers.end) {
            return self.end(Reason::Finished);
        }
        if is_due(self.gives_up_at()) {
            return self.end(Reason::TimedOut);
        }
        if self.orphaned && self.state == State::FinWait2 && self.timers.end.is_none() {
            self.timers.end = Some(now + self.config.orphan_timeout);
        }
        if is_due(self.timers.delayed_ack) {
            self.timers.delayed_ack = None;
            self.due.ack = true;
        }
        if is_due(self.timers.retransmission) {
            self.timers.retransmission = None;
            self.retransmission_timeout();
        }
        if is_due(self.keep_alive_at()) {
            self.timers.keep_alives += 1;
            if self.timers.keep_alives > KEEP_ALIVE_PROBES {
                return self.end(Reason::TimedOut);
            }
            self.due.keep_alive = true;
        }
    }

    // ANCHOR: retransmission-timeout
    /// RETRANSMISSION TIMEOUT: what stands first goes out again, and the next wait is twice as long
    /// (RFC 6298 §5.4 to §5.6). While the window is closed, the timer is for probes.
    fn retransmission_timeout(&mut self) {
        let snd = &self.snd;
        let flight_size = snd.nxt - snd.una;
        if snd.una == snd.iss {
            self.due.syn = true;
            self.back_off();
        } else if flight_size > 0 && snd.wnd > 0 {
            let first = self.recovery.timeout(snd.una, snd.nxt);
            self.congestion.timeout(flight_size, first);
            self.back_off();
        } else if flight_size > 0 || snd.wnd == 0 {
            self.due.probe = true;
            self.timers.window_probes += 1;
        } else {
            self.due.override_sws = true;
            self.timers.window_probes += 1;
        }
    }

    fn back_off(&mut self) {
        self.rto.back_off();
        self.counters.timeouts += 1;
        if self.rto.backoff() == RETRANSMISSIONS_BEFORE_ADVICE {
            self.events.add(Event::Unresponsive);
        }
    }

    /// Nothing more can be sent now. If something is under way, or something waits for a window, a
    /// timer must run; nothing else would ever wake us.
    pub(crate) fn arm_retransmission(&mut self, now: Time) {
        let snd = &self.snd;
        let outstanding = snd.nxt != snd.una;
        let fin_waits = self.closing && snd.fin.is_none();
        let waits = self.state.is_synchronized() && (self.text_end() != snd.nxt || fin_waits);
        let wait = if outstanding {
            self.rto.current()
        } else if waits && snd.fin.is_none() {
            self.rto.backed_off_by(self.timers.window_probes)
        } else {
            self.timers.retransmission = None;
            return;
        };
        self.timers.retransmission.get_or_insert(now + wait);
    }
    // ANCHOR_END: retransmission-timeout

    /// The USER TIMEOUT, if anything is waited for.
    fn gives_up_at(&self) -> Option<Time> {
        let timeout = match self.state {
            State::SynSent | State::SynReceived => self.config.syn_timeout,
            _ => self.config.user_timeout,
        };
        self.timers.stalled_since.map(|since| since + timeout)
    }

    /// Only while nothing is under way, and nothing has come for long (RFC 9293 §3.8.4).
    fn keep_alive_at(&self) -> Option<Time> {
        let after = self.config.keep_alive?;
        let idle = self.snd.nxt == self.snd.una && self.text_end() == self.snd.nxt;
        let applies = matches!(self.state, State::Established | State::CloseWait);
        let wait = after + KEEP_ALIVE_INTERVAL * self.timers.keep_alives;
        (idle && applies).then(|| self.timers.last_heard + wait)
    }
}
