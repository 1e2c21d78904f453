//! SEGMENT ARRIVES (RFC 9293 §3.10.7.3 and §3.10.7.4), step by step as the RFC has it.
//!
//! Where RFC 9293 leaves the choice, RFC 5961 is followed: resets and SYNs in the window are
//! challenged, acknowledgments of what is too old are not believed.

use tcp_segment::{Flags, Header, SeqNumber};

use crate::config::{CHALLENGE_ACK_PERIOD, CHALLENGE_ACKS_AT_MOST, DUPLICATE_ACKS_AT_MOST};
use crate::options::Arrived;
use crate::{Connection, Event, Reason, State, Time, reset};

/// An arriving segment, with the RFC's names: SEG.SEQ, SEG.ACK, SEG.LEN, SEG.WND, SEG.UP.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment<'a> {
    /// Of the first byte of `text`, once what is old has been trimmed off.
    pub(crate) seq: SeqNumber,
    /// As the segment had it.
    first: SeqNumber,
    pub(crate) ack: SeqNumber,
    /// In bytes: scaled.
    pub(crate) wnd: u32,
    pub(crate) up: u16,
    pub(crate) flags: Flags,
    pub(crate) text: &'a [u8],
    pub(crate) options: Arrived,
}

impl Segment<'_> {
    pub(crate) fn has(&self, flags: Flags) -> bool {
        self.flags.contains(flags)
    }

    fn len(&self) -> u32 {
        self.text.len() as u32 + u32::from(self.has(Flags::SYN)) + u32::from(self.has(Flags::FIN))
    }
}

impl Connection {
    // ANCHOR: arrives
    /// A segment has arrived, whose checksum is right and whose ports are this connection's. Gives
    /// the reset that answers it, where it is not meant for this connection; all other answers
    /// come from [`transmit`](Self::transmit).
    ///
    /// Let all segments arrive that have arrived before you ask for the answers: so one
    /// acknowledgment does for several (RFC 9293 §3.10.7.4 demands it).
    #[must_use = "a reset is to be sent"]
    pub fn arrives(&mut self, now: Time, header: &Header, text: &[u8]) -> Option<Header<'static>> {
        self.counters.segments_received += 1;
        let segment = Segment {
            seq: header.sequence_number,
            first: header.sequence_number,
            ack: header.acknowledgment_number,
            wnd: header.window_bytes(self.agreed.send_shift),
            up: header.urgent_pointer,
            flags: header.flags,
            text,
            options: Arrived::read(header),
        };
        match self.state {
            State::Closed | State::Listen => reset::answer(header, text.len()),
            State::SynSent => self.arrives_in_syn_sent(now, header, &segment),
            _ => self.arrives_in_other_states(now, header, segment),
        }
    }
    // ANCHOR_END: arrives

    // ANCHOR: syn-sent
    /// RFC 9293 §3.10.7.3.
    fn arrives_in_syn_sent(
        &mut self,
        now: Time,
        header: &Header,
        segment: &Segment,
    ) -> Option<Header<'static>> {
        // First, check the ACK bit.
        let acknowledges = segment.has(Flags::ACK);
        let acceptable = self.snd.una < segment.ack && segment.ack <= self.snd.nxt;
        if acknowledges && !acceptable {
            return reset::answer(header, segment.text.len());
        }
        // Second, check the RST bit.
        if segment.has(Flags::RST) {
            if acknowledges {
                self.end(Reason::Refused);
            }
            return None;
        }
        // Fourth, check the SYN bit.
        if !segment.has(Flags::SYN) {
            return None;
        }
        self.timers.last_heard = now;
        self.synchronize(now, header, &segment.options);
        self.keep_for_later(header, segment.text);
        if acknowledges {
            self.acknowledge(now, segment);
            self.establish();
            self.due.ack = true;
            self.release_kept();
            // Text and FIN have been taken, as far as there is room.
            let rest = Segment {
                flags: segment.flags.without(Flags::FIN),
                ..*segment
            };
            self.urgent_and_fin(now, &rest);
        } else {
            // Both ends have opened at once.
            self.enter(State::SynReceived);
            self.due.syn = true;
        }
        None
    }
    // ANCHOR_END: syn-sent

    /// RFC 9293 §3.10.7.4.
    fn arrives_in_other_states(
        &mut self,
        now: Time,
        header: &Header,
        mut segment: Segment,
    ) -> Option<Header<'static>> {
        // First, check sequence number; before that, whether the segment is older than it looks.
        if !self.passes_timestamps(now, &segment) || !self.passes_sequence(now, &mut segment) {
            return None;
        }
        self.timers.last_heard = now;
        self.timers.keep_alives = 0;
        self.note_timestamp(now, &segment);

        // Second, check the RST bit.
        if segment.has(Flags::RST) {
            self.reset_arrives(now, &segment);
            return None;
        }
        // Third, check security: there is none.
        // Fourth, check the SYN bit.
        if segment.has(Flags::SYN) {
            if self.state == State::SynReceived && self.passive {
                self.end(Reason::Reset); // back to LISTEN
            } else {
                self.challenge(now);
            }
            return None;
        }
        // Fifth, check the ACK field.
        if !segment.has(Flags::ACK) {
            return None;
        }
        if !self.ack_is_acceptable(segment.ack) {
            if self.state == State::SynReceived {
                return reset::answer(header, segment.text.len());
            }
            self.challenge(now);
            return None;
        }
        self.ack_arrives(now, &segment);
        // If that has established the connection, text of the SYN may be what this brings again.
        self.trim(&mut segment);
        // Sixth, seventh and eighth.
        self.text_arrives(now, &segment);
        self.urgent_and_fin(now, &segment);
        None
    }

    // ANCHOR: timestamps
    /// RFC 7323 §3.2 and §5.3, R1. A reset may lack timestamps.
    fn passes_timestamps(&mut self, now: Time, segment: &Segment) -> bool {
        if !self.agreed.timestamps || segment.has(Flags::RST) {
            return true;
        }
        match segment.options.timestamps {
            // Promised in every segment: silently dropped.
            None => false,
            Some((value, _)) if self.timestamps.is_old(value, now) => {
                self.not_acceptable(now, segment);
                false
            }
            Some(_) => true,
        }
    }

    /// RFC 7323 §5.3, R3: only what lies at the edge or before it tells the time to echo.
    fn note_timestamp(&mut self, now: Time, segment: &Segment) {
        if let Some((value, _)) = segment.options.timestamps
            && self.agreed.timestamps
            && segment.first <= self.rcv.last_ack_sent
            && !self.timestamps.is_old(value, now)
        {
            self.timestamps.heard(value, now);
        }
    }
    // ANCHOR_END: timestamps

    // ANCHOR: sequence
    /// First, check sequence number: whether the segment lies in the window. If so, it is trimmed
    /// to what is new, so that it begins at RCV.NXT or beyond a gap.
    fn passes_sequence(&mut self, now: Time, segment: &mut Segment) -> bool {
        let (nxt, wnd) = (self.rcv.nxt, self.rcv.edge - self.rcv.nxt);
        let (seq, len) = (segment.seq, segment.len());
        let acceptable = match (len, wnd) {
            (0, 0) => seq == nxt,
            (0, _) => seq.is_within(nxt, wnd),
            (_, 0) => false,
            // Its first or its last byte, or, which the RFC's table leaves out, all of the window.
            _ => {
                seq.is_within(nxt, wnd)
                    || (seq + (len - 1)).is_within(nxt, wnd)
                    || nxt.is_within(seq, len)
            }
        };
        if acceptable {
            // One with SYN goes no further than the fourth step.
            if !segment.has(Flags::SYN) {
                self.trim(segment);
            }
            return true;
        }
        // «Special allowance should be made to accept valid ACKs, URGs, and RSTs» while the window
        // is zero: two ends with full buffers would never hear each other otherwise.
        if wnd == 0 && seq == nxt && !segment.has(Flags::SYN) {
            self.due.ack |= !segment.has(Flags::RST);
            segment.text = &[];
            segment.flags = segment.flags.without(Flags::FIN);
            return true;
        }
        // Both ends have opened at once, and this is the answer to our SYN (RFC 9293 appendix A.2).
        if self.state == State::SynReceived
            && !self.passive
            && segment.has(Flags::SYN | Flags::ACK)
            && seq == self.rcv.irs
            && segment.ack == self.snd.nxt
        {
            segment.flags = segment.flags.without(Flags::SYN);
            segment.seq += 1;
            self.trim(segment);
            self.due.ack = true;
            return true;
        }
        if !segment.has(Flags::RST) {
            self.not_acceptable(now, segment);
        }
        false
    }

    /// Cuts off what is old, and what lies beyond the window.
    fn trim(&self, segment: &mut Segment) {
        if segment.seq < self.rcv.nxt {
            let old = (self.rcv.nxt - segment.seq) as usize;
            segment.text = &segment.text[segment.text.len().min(old)..];
            segment.seq = self.rcv.nxt;
        }
        let room = (self.rcv.edge - segment.seq) as usize;
        if segment.len() as usize > room {
            segment.text = &segment.text[..segment.text.len().min(room)];
            segment.flags = segment.flags.without(Flags::FIN);
        }
    }

    /// «If an incoming segment is not acceptable, an acknowledgment should be sent in reply.» To one
    /// with text or FIN always: its sender waits for it. To others not without end: two ends that
    /// disagree would acknowledge each other's acknowledgments for ever.
    fn not_acceptable(&mut self, now: Time, segment: &Segment) {
        self.counters.unacceptable += 1;
        if self.state == State::TimeWait && segment.has(Flags::FIN) {
            self.start_time_wait(now);
        }
        if segment.has(Flags::SYN) || segment.len() == 0 {
            self.challenge(now);
        } else {
            self.due.ack = true;
        }
    }
    // ANCHOR_END: sequence

    // ANCHOR: challenge
    /// An ACK that makes the other end prove that it knows the numbers (RFC 5961 §3 to §5), unless
    /// there have been too many (§7).
    fn challenge(&mut self, now: Time) {
        let (since, count) = &mut self.challenges;
        if *count == 0 || now - *since >= CHALLENGE_ACK_PERIOD {
            (*since, *count) = (now, 0);
        }
        if *count < CHALLENGE_ACKS_AT_MOST {
            *count += 1;
            self.counters.challenge_acks += 1;
            self.due.ack = true;
        } else {
            self.counters.challenge_acks_saved += 1;
        }
    }

    /// Second step: a reset in the window. Only one that knows exactly what comes next is believed
    /// (RFC 5961 §3).
    fn reset_arrives(&mut self, now: Time, segment: &Segment) {
        if segment.first != self.rcv.nxt {
            self.challenge(now);
            return;
        }
        self.end(match self.state {
            State::SynReceived if !self.passive => Reason::Refused,
            State::TimeWait => Reason::Finished,
            // The other end has all that we sent, only it no longer knows us.
            State::Closing | State::LastAck if self.snd.text.len() == 0 => Reason::Finished,
            _ => Reason::Reset,
        });
    }
    // ANCHOR_END: challenge

    // ANCHOR: ack
    /// Fifth step: whether SEG.ACK can be. What is older than the largest window was never under way
    /// together with what is sent now (RFC 5961 §5).
    fn ack_is_acceptable(&self, ack: SeqNumber) -> bool {
        let snd = &self.snd;
        let sent_up_to = snd.nxt + u32::from(snd.probed);
        if self.state == State::SynReceived {
            return snd.una < ack && ack <= sent_up_to;
        }
        snd.una - snd.max_wnd <= ack && ack <= sent_up_to
    }

    fn ack_arrives(&mut self, now: Time, segment: &Segment) {
        let syn_was_open = self.snd.una == self.snd.iss;
        if self.state == State::SynReceived {
            self.snd.wnd = segment.wnd;
            self.snd.max_wnd = self.snd.max_wnd.max(segment.wnd);
            (self.snd.wl1, self.snd.wl2) = (segment.seq, segment.ack);
            self.establish();
        }
        self.acknowledge(now, segment);
        if syn_was_open && self.snd.una != self.snd.iss {
            self.release_kept();
        }
        let fin_is_acknowledged = self.snd.fin.is_some_and(|fin| fin < self.snd.una);
        match self.state {
            State::FinWait1 if fin_is_acknowledged => self.enter(State::FinWait2),
            State::Closing if fin_is_acknowledged => {
                self.enter(State::TimeWait);
                self.start_time_wait(now);
            }
            State::LastAck if fin_is_acknowledged => self.end(Reason::Finished),
            _ => {}
        }
    }
    // ANCHOR_END: ack

    // ANCHOR: text
    /// Seventh step: the segment text.
    fn text_arrives(&mut self, now: Time, segment: &Segment) {
        // Behind a FIN there is nothing.
        let room = self.rcv.fin.map_or(usize::MAX, |fin| {
            if segment.seq < fin {
                (fin - segment.seq) as usize
            } else {
                0
            }
        });
        let text = &segment.text[..segment.text.len().min(room)];
        if text.is_empty() || !self.state.may_receive_text() {
            return;
        }
        if self.orphaned {
            // Text that nobody will read: its sender must not think it arrived (RFC 9293 §3.6.1).
            self.abort();
            return;
        }
        let had_gap = self.rcv.text.has_gap();
        let advance = self.rcv.text.take(self.rcv.nxt, segment.seq, text);
        if advance == 0 {
            // Beyond a gap: the other end learns of it at once (RFC 5681 §4.2).
            self.counters.out_of_order += 1;
            self.due.duplicate_acks = (self.due.duplicate_acks + 1).min(DUPLICATE_ACKS_AT_MOST);
            return;
        }
        self.rcv.nxt += advance;
        self.rcv.unacknowledged += advance;
        self.events.add(Event::Readable);
        self.due.duplicate_acks = 0;
        if had_gap || self.rcv.unacknowledged >= 2 * self.agreed.smss() {
            // A gap is filled, or it is the second full segment (RFC 5681 §4.2, RFC 9293 §3.8.6.3).
            self.due.ack = true;
        } else if self.timers.delayed_ack.is_none() {
            self.timers.delayed_ack = Some(now + self.config.delayed_ack);
        }
    }
    // ANCHOR_END: text

    /// Text that came with the SYN can be read now.
    fn release_kept(&mut self) {
        let advance = self.rcv.text.release(self.rcv.nxt);
        if advance > 0 {
            self.rcv.nxt += advance;
            self.rcv.unacknowledged += advance;
            self.due.ack = true;
            self.events.add(Event::Readable);
        }
    }

    // ANCHOR: fin
    /// Sixth step, check the URG bit, and eighth, check the FIN bit.
    fn urgent_and_fin(&mut self, now: Time, segment: &Segment) {
        if segment.has(Flags::URG) && self.state.may_receive_text() {
            let up = segment.first + u32::from(segment.up);
            let read = self.rcv.nxt - self.rcv.text.len() as u32;
            if read < up && self.rcv.up.is_none_or(|known| known < up || known < read) {
                self.rcv.up = Some(up);
                self.events.add(Event::Urgent);
            }
        }
        if segment.has(Flags::FIN) && self.rcv.fin.is_none() {
            self.rcv.fin = Some(segment.seq + segment.text.len() as u32);
        }
        // It counts when all text before it is there.
        if self.rcv.fin != Some(self.rcv.nxt) {
            self.due.ack |= segment.has(Flags::FIN);
            return;
        }
        let after = match self.state {
            State::Established => State::CloseWait,
            // With our FIN acknowledged it were FIN-WAIT-2 by now.
            State::FinWait1 => State::Closing,
            State::FinWait2 => State::TimeWait,
            _ => return,
        };
        self.rcv.nxt += 1;
        self.rcv.edge = self.rcv.edge.max(self.rcv.nxt);
        self.due.ack = true;
        self.due.duplicate_acks = 0;
        self.events.add(Event::Closing);
        self.enter(after);
        if after == State::TimeWait {
            self.start_time_wait(now);
        }
    }

    /// «Start the time-wait timer, turn off the other timers.»
    pub(crate) fn start_time_wait(&mut self, now: Time) {
        self.timers.end = Some(now + 2 * self.config.msl);
        self.timers.retransmission = None;
        self.timers.stalled_since = None;
        self.snd.text = Default::default();
        self.rcv.text.retire();
    }
    // ANCHOR_END: fin
}
