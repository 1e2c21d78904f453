//! What an acknowledgment does: it moves SND.UNA, the windows, the timer and the scoreboard.

use tcp_segment::Flags;

use crate::arrives::Segment;
use crate::{Connection, Event, Time};

impl Connection {
    // ANCHOR: acknowledge
    /// SND.UNA - MAX.SND.WND =< SEG.ACK =< SND.NXT: takes note of SEG.ACK, SEG.WND and SACK blocks.
    pub(crate) fn acknowledge(&mut self, now: Time, segment: &Segment) {
        let ack = segment.ack;
        if self.snd.probed && self.snd.nxt < ack {
            self.probe_was_taken();
        }
        let flight_size = self.snd.nxt - self.snd.una;
        let window_was = self.snd.wnd;
        self.update_window(segment);

        let newly_sacked = segment.options.sack.map_or(0, |blocks| {
            let una = self.snd.una.max(ack);
            self.recovery.sack(&blocks, una, self.snd.nxt)
        });
        if self.snd.una < ack {
            self.advance(now, segment, flight_size);
        } else if flight_size > 0 && ack == self.snd.una && self.snd.wnd > 0 {
            // A duplicate (RFC 5681 §2), or one whose SACK blocks are news (RFC 6675 §2).
            let nothing_else = segment.text.is_empty()
                && !segment.flags.intersects(Flags::SYN | Flags::FIN)
                && self.snd.wnd == window_was;
            let duplicate = newly_sacked > 0 || (nothing_else && !self.agreed.sack);
            if duplicate && self.recovery.duplicate(self.snd.una, self.snd.nxt) {
                self.congestion.loss(flight_size);
                self.counters.fast_recoveries += 1;
            }
        }
        if self.snd.wnd == 0 && self.timers.stalled_since.is_some() {
            // The other end is there, it only has no room: wait for as long as it says so
            // (RFC 9293 §3.8.6.1).
            self.timers.stalled_since = Some(now);
        } else if self.snd.una == self.snd.nxt {
            self.timers.stalled_since = None;
        }
    }
    // ANCHOR_END: acknowledge

    // ANCHOR: update-window
    /// SND.WND, unless the segment is older than the one that told it last (RFC 9293 §3.10.7.4).
    fn update_window(&mut self, segment: &Segment) {
        let snd = &mut self.snd;
        let newer = snd.wl1 < segment.seq || (snd.wl1 == segment.seq && snd.wl2 <= segment.ack);
        if segment.ack < snd.una || !newer {
            return;
        }
        if snd.wnd == 0 && segment.wnd > 0 && snd.una == snd.nxt {
            // It has opened: no more probes.
            self.timers.retransmission = None;
            self.timers.window_probes = 0;
            self.due.probe = false;
        }
        snd.wnd = segment.wnd;
        snd.max_wnd = snd.max_wnd.max(segment.wnd);
        (snd.wl1, snd.wl2) = (segment.seq, segment.ack);
    }
    // ANCHOR_END: update-window

    // ANCHOR: advance
    /// SND.UNA < SEG.ACK: something is acknowledged for the first time.
    fn advance(&mut self, now: Time, segment: &Segment, flight_size: u32) {
        let bytes = segment.ack - self.snd.una;
        let in_full_use = self.window_is_in_full_use(flight_size);
        self.snd.una = segment.ack;
        self.snd.probed = false;
        // A FIN has no place in the buffer, nor a SYN.
        let text = self.text_end().min(segment.ack) - self.snd.text_at;
        self.snd.text.consume(text as usize);
        self.snd.text_at += text;
        if self.user_waits_for_room && text > 0 {
            self.user_waits_for_room = false;
            self.events.add(Event::Writable);
        }
        if self.snd.up.is_some_and(|up| up <= segment.ack) {
            self.snd.up = None;
        }
        self.measure_round_trip(now, segment);

        let recovered = self.recovery.advanced(self.snd.una, bytes);
        let flight_size = self.snd.nxt - self.snd.una;
        if recovered {
            self.congestion.recovered(flight_size);
        } else if in_full_use && !self.in_fast_recovery() {
            self.congestion.acknowledged(bytes);
        }

        // Start the timer anew, or stop it (RFC 6298 §5.2, §5.3).
        let outstanding = flight_size > 0;
        self.timers.retransmission = outstanding.then(|| now + self.rto.current());
        self.timers.stalled_since = outstanding.then_some(now);
        self.timers.window_probes = 0;
    }
    // ANCHOR_END: advance

    /// Whether more would have been sent, had the window been larger. Else its size is untested, and
    /// it must not grow on (RFC 7661 §4.4.1 has the reasons).
    fn window_is_in_full_use(&self, flight_size: u32) -> bool {
        flight_size.saturating_add(self.agreed.smss()) > self.congestion.cwnd
    }

    // ANCHOR: round-trip
    /// A segment that was sent only once tells the round trip (Karn's algorithm, RFC 6298 §3); or
    /// its timestamp does, even if it was sent twice (RFC 7323 §4).
    fn measure_round_trip(&mut self, now: Time, segment: &Segment) {
        let measured = match self.timers.timing {
            Some((behind, sent_at)) if behind <= segment.ack => {
                self.timers.timing = None;
                Some(now - sent_at)
            }
            Some(_) => None,
            None => segment
                .options
                .timestamps
                .filter(|_| self.agreed.timestamps)
                .and_then(|(_, echo)| self.timestamps.round_trip(echo, now)),
        };
        if let Some(round_trip) = measured {
            self.rto.measured(round_trip);
        }
    }
    // ANCHOR_END: round-trip
}
