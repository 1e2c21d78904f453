//! What to send, and when (RFC 9293 §3.8): new text as the windows allow, lost text again, probes,
//! acknowledgments.

use tcp_segment::option::{MAX_OPTIONS_LEN, SackBlocks};
use tcp_segment::{Flags, Header, Options, SeqNumber};

use crate::options::{self, sack_blocks_at_most};
use crate::ranges::Range;
use crate::recovery::Phase;
use crate::{Connection, State, Time};

/// A segment with text or FIN that is to be sent.
#[derive(Debug, Clone, Copy)]
struct Plan {
    seq: SeqNumber,
    /// Bytes of text.
    len: u32,
    fin: bool,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    New,
    Again { rescue: bool },
    Probe,
}

impl Connection {
    // ANCHOR: transmit
    /// Writes the next segment to the front of `buffer`, and says how long it is; `None` when there
    /// is nothing to send before something arrives, the user calls, or it is
    /// [`next_timeout`](Self::next_timeout).
    ///
    /// # Panics
    ///
    /// When `buffer` is shorter than the MTU that the connection was configured with.
    pub fn transmit(&mut self, now: Time, buffer: &mut [u8]) -> Option<usize> {
        self.time_passes(now);
        if std::mem::take(&mut self.due.reset) {
            // <SEQ=SND.NXT><CTL=RST>
            let reset = self.header(self.snd.nxt, Flags::RST);
            return Some(self.emit(reset, 0, buffer));
        }
        if self.state == State::Closed {
            return None;
        }
        if std::mem::take(&mut self.due.syn) {
            return Some(self.emit_syn(now, buffer));
        }
        if let Some(plan) = self.next_text(now) {
            return Some(self.emit_text(now, plan, buffer));
        }
        if std::mem::take(&mut self.due.keep_alive) {
            return Some(self.emit_ack(now, self.snd.nxt - 1, buffer));
        }
        if self.due.ack || self.due.duplicate_acks > 0 {
            self.due.duplicate_acks = self.due.duplicate_acks.saturating_sub(1);
            return Some(self.emit_ack(now, self.snd.nxt, buffer));
        }
        self.arm_retransmission(now);
        None
    }
    // ANCHOR_END: transmit

    // ANCHOR: next-text
    /// Which text to send next: a probe, what is lost, or what is new.
    fn next_text(&mut self, now: Time) -> Option<Plan> {
        if matches!(
            self.state,
            State::SynSent | State::SynReceived | State::TimeWait
        ) {
            return None;
        }
        if std::mem::take(&mut self.due.probe) {
            return self.probe();
        }
        let syn_is_open = self.snd.una == self.snd.iss;
        let in_flight = self.recovery.in_flight(self.snd.una, self.snd.nxt);
        let new = self.new_text();
        if !syn_is_open
            && let Some(again) = self
                .recovery
                .next(self.snd.una, self.snd.nxt, new.is_some())
        {
            let rescue = again.rescue;
            let plan = self.plan(again.range, Kind::Again { rescue });
            let len = plan.len + u32::from(plan.fin);
            if self.recovery.allows(len, in_flight, self.congestion.cwnd) {
                return Some(plan);
            }
            return None;
        }
        let new = new?;
        if self.snd.nxt == self.snd.una && now - self.timers.last_sent > self.rto.current() {
            self.congestion.idle();
        }
        let fits = in_flight.saturating_add(new.len) <= self.congestion.cwnd;
        fits.then_some(new)
    }

    /// New text, or the FIN, as far as the other end's window takes it and it is worth a segment:
    /// the sender's part of silly window avoidance, and Nagle (RFC 9293 §3.8.6.2.1, §3.7.4).
    fn new_text(&self) -> Option<Plan> {
        if self.snd.fin.is_some() {
            return None;
        }
        // D and U of the RFC: what waits, and what the window takes.
        let queued = self.text_end() - self.snd.nxt;
        let edge = self.snd.una + self.snd.wnd;
        let usable = if self.snd.nxt < edge {
            edge - self.snd.nxt
        } else {
            0
        };
        let mss = self.room_for_text();
        let len = queued.min(usable).min(mss);
        let last = self.closing && len == queued;
        let fin = last && len < usable;
        if len == 0 && !fin {
            return None;
        }
        let idle = self.snd.nxt == self.snd.una;
        let nagle_lets_it = idle || last || !self.config.nagle;
        let worth_it = len == mss
            || (nagle_lets_it && (len == queued || len >= self.snd.max_wnd / 2))
            || self.due.override_sws;
        worth_it.then_some(Plan {
            seq: self.snd.nxt,
            len,
            fin,
            kind: Kind::New,
        })
    }
    // ANCHOR_END: next-text

    /// A segment of what has been sent before, from the start of `range` on.
    fn plan(&self, range: Range, kind: Kind) -> Plan {
        let text_end = self.text_end().min(range.right);
        let text = if range.left < text_end {
            text_end - range.left
        } else {
            0
        };
        let len = text.min(self.room_for_text());
        Plan {
            seq: range.left,
            len,
            fin: self.snd.fin == Some(range.left + len) && len < range.len(),
            kind,
        }
    }

    // ANCHOR: probe
    /// One byte, or the FIN, though the window is closed: its acknowledgment tells the window
    /// (RFC 9293 §3.8.6.1).
    fn probe(&mut self) -> Option<Plan> {
        let first = Range {
            left: self.snd.una,
            right: self.snd.una + 1,
        };
        let mut plan = self.plan(first, Kind::Probe);
        if self.snd.una == self.snd.nxt {
            plan.fin = plan.len == 0 && self.closing;
        }
        (plan.len > 0 || plan.fin).then_some(plan)
    }

    /// The other end has taken the probe: it has been sent.
    pub(crate) fn probe_was_taken(&mut self) {
        if self.snd.nxt == self.text_end() {
            self.fin_was_sent(self.snd.nxt);
        }
        self.snd.nxt += 1;
        self.snd.probed = false;
    }
    // ANCHOR_END: probe

    fn fin_was_sent(&mut self, fin: SeqNumber) {
        self.snd.fin = Some(fin);
        if self.state == State::CloseWait {
            self.enter(State::LastAck);
        }
    }

    // ANCHOR: emit-text
    fn emit_text(&mut self, now: Time, plan: Plan, buffer: &mut [u8]) -> usize {
        debug_assert!(plan.len > 0 || plan.fin, "a segment must get us further");
        let end = plan.seq + plan.len;
        let mut flags = Flags::ACK;
        if plan.fin {
            flags |= Flags::FIN;
        }
        if plan.len > 0 && end == self.text_end() {
            flags |= Flags::PSH; // the user has sent no more (RFC 9293 §3.9.1.2)
        }
        let mut room = [0; MAX_OPTIONS_LEN];
        let header = Header {
            options: self.options(now, &mut room),
            ..self.header(plan.seq, flags)
        };
        let header_len = header.header_len();
        let text = &mut buffer[header_len..][..plan.len as usize];
        self.snd
            .text
            .read((plan.seq - self.snd.text_at) as usize, text);
        let len = self.emit(header, plan.len as usize, buffer);
        self.text_was_sent(now, plan);
        self.ack_was_sent();
        len
    }

    /// Keeps the books: numbers, timer, and what is being timed.
    fn text_was_sent(&mut self, now: Time, plan: Plan) {
        let end = plan.seq + plan.len + u32::from(plan.fin);
        self.timers.last_sent = now;
        self.timers.stalled_since.get_or_insert(now);
        match plan.kind {
            Kind::New => {
                if plan.fin {
                    self.fin_was_sent(plan.seq + plan.len);
                }
                if self.snd.nxt == self.snd.una {
                    self.timers.retransmission = None; // it was for probes
                }
                self.snd.nxt = end;
                self.snd.probed = false;
                self.due.override_sws = false;
                if self.recovery.phase() == Phase::Open {
                    self.timers.timing.get_or_insert((end, now));
                }
            }
            Kind::Again { rescue } => {
                let range = Range {
                    left: plan.seq,
                    right: end,
                };
                self.recovery.sent_again(range, rescue);
                self.counters.retransmitted += 1;
                // Karn: an acknowledgment now might be for either (RFC 6298 §3).
                self.timers.timing = None;
            }
            Kind::Probe => {
                self.snd.probed = self.snd.nxt == self.snd.una;
                self.counters.window_probes += 1;
                self.timers.timing = None;
                let wait = self.rto.backed_off_by(self.timers.window_probes);
                self.timers.retransmission = Some(now + wait);
            }
        }
        // Start the timer, if it does not run (RFC 6298 §5.1).
        let rto = self.rto.current();
        self.timers.retransmission.get_or_insert(now + rto);
    }
    // ANCHOR_END: emit-text

    // ANCHOR: emit-syn
    /// A SYN, or with ACK the answer to one.
    fn emit_syn(&mut self, now: Time, buffer: &mut [u8]) -> usize {
        let answers = self.state != State::SynSent;
        let timestamps = self.agreed.timestamps.then(|| {
            let echo = if answers { self.timestamps.recent } else { 0 };
            (self.timestamps.value(now), echo)
        });
        let window_scale = self.agreed.window_scale;
        let mut room = [0; MAX_OPTIONS_LEN];
        let options = self.agreed.emit_syn(window_scale, timestamps, &mut room);
        let free = self.rcv.text.capacity().min(usize::from(u16::MAX));
        let flags = if answers {
            Flags::SYN | Flags::ACK
        } else {
            Flags::SYN
        };
        let header = Header {
            window: free as u16,
            options,
            ..self.header(self.snd.iss, flags)
        };
        let len = self.emit(header, 0, buffer);

        let again = self.snd.nxt != self.snd.iss;
        if again {
            self.syn_was_lost |= self.rto.backoff() > 0;
            self.timers.timing = None;
        } else {
            self.snd.nxt = self.snd.iss + 1;
            self.timers.timing = Some((self.snd.nxt, now));
        }
        self.timers.last_sent = now;
        self.timers.stalled_since.get_or_insert(now);
        self.timers.retransmission = Some(now + self.rto.current());
        if answers {
            self.ack_was_sent();
        }
        len
    }
    // ANCHOR_END: emit-syn

    fn emit_ack(&mut self, now: Time, seq: SeqNumber, buffer: &mut [u8]) -> usize {
        let mut room = [0; MAX_OPTIONS_LEN];
        let header = Header {
            options: self.options(now, &mut room),
            ..self.header(seq, Flags::ACK)
        };
        let len = self.emit(header, 0, buffer);
        self.ack_was_sent();
        len
    }

    /// Every segment says what has arrived, so none is needed only for that.
    fn ack_was_sent(&mut self) {
        self.due.ack = false;
        self.timers.delayed_ack = None;
        self.rcv.last_ack_sent = self.rcv.nxt;
        self.rcv.unacknowledged = 0;
    }

    /// A header with our ports; with ACK, also with what we have received and room for more.
    fn header(&mut self, seq: SeqNumber, mut flags: Flags) -> Header<'static> {
        let mut header = Header::new(self.tuple.local.port(), self.tuple.remote.port(), seq);
        if flags.contains(Flags::ACK) {
            header.acknowledgment_number = self.rcv.nxt;
        }
        if flags.contains(Flags::ACK) && !flags.contains(Flags::SYN) {
            header.window = self.window();
        }
        if let Some(up) = self.snd.up
            && seq < up
            && flags.contains(Flags::ACK)
        {
            flags |= Flags::URG;
            header.urgent_pointer = (up - seq).min(u32::from(u16::MAX)) as u16;
        }
        header.flags = flags;
        header
    }

    fn options<'r>(&self, now: Time, room: &'r mut [u8; MAX_OPTIONS_LEN]) -> Options<'r> {
        let Self {
            agreed, timestamps, ..
        } = self;
        let timestamps = agreed
            .timestamps
            .then(|| (self.timestamps.value(now), timestamps.recent));
        options::emit(timestamps, self.sack_blocks(), room)
    }

    fn sack_blocks(&self) -> Option<SackBlocks> {
        let most = sack_blocks_at_most(self.agreed.timestamps);
        let worth = self.agreed.sack && self.rcv.text.has_gap() && self.snd.una != self.snd.iss;
        worth.then(|| self.rcv.text.sack_blocks(most)).flatten()
    }

    /// Eff.snd.MSS, beside the options that the next segment has.
    fn room_for_text(&self) -> u32 {
        let sack = self
            .sack_blocks()
            .map_or(0, |blocks| 4 + 8 * blocks.as_slice().len());
        let beside_timestamps = self.agreed.smss();
        beside_timestamps.saturating_sub(sack as u32).max(1)
    }

    fn emit(&mut self, header: Header, text_len: usize, buffer: &mut [u8]) -> usize {
        let len = header.header_len() + text_len;
        header
            .emit(&mut buffer[..len], self.addresses)
            .expect("a segment of ours fits into a packet");
        self.counters.segments_sent += 1;
        len
    }

    // ANCHOR: window
    /// The window that the next segment announces. Its edge moves on when that is worth it: by half
    /// the buffer, or by a segment (RFC 9293 §3.8.6.2.2).
    fn window(&mut self) -> u16 {
        let shift = self.agreed.receive_shift;
        let offered = self.rcv.edge - self.rcv.nxt;
        let most = u32::from(u16::MAX) << shift;
        let free = (self.rcv.text.free() as u32).min(most) >> shift << shift;
        if free >= offered.saturating_add(self.worth_announcing()) {
            self.rcv.edge = self.rcv.nxt + free;
        }
        ((self.rcv.edge - self.rcv.nxt) >> shift).min(u32::from(u16::MAX)) as u16
    }

    fn worth_announcing(&self) -> u32 {
        let half = self.rcv.text.capacity() as u32 / 2;
        half.min(self.agreed.smss()).max(1)
    }

    /// The user has read: says so to the other end, if that might be waiting for it.
    pub(crate) fn announce_room(&mut self) {
        let offered = self.rcv.edge - self.rcv.nxt;
        let more = (self.rcv.text.free() as u32).saturating_sub(offered);
        let waits = offered < 2 * self.agreed.smss() && more >= self.worth_announcing();
        let half = self.rcv.text.capacity() as u32 / 2;
        if self.state.may_receive_text() && (waits || more >= half.max(1)) {
            self.due.ack = true;
        }
    }
    // ANCHOR_END: window

    pub(crate) fn in_fast_recovery(&self) -> bool {
        matches!(self.recovery.phase(), Phase::FastRecovery { .. })
    }
}
