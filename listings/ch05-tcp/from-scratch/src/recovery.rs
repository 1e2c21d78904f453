//! Loss recovery: what is lost, what is still under way, what to send again (RFC 6675; RFC 6582
//! where the other end knows no SACK).
//!
//! Both RFCs answer one question: how many bytes are in the network now? With SACK they can be
//! counted. Without, each duplicate ACK stands for one segment that has left the network, which is
//! what RFC 6582 says when it «inflates» the window by a segment. So both fit into one count,
//! [`Recovery::in_flight`], and cwnd stays what it is.

use tcp_segment::SeqNumber;
use tcp_segment::option::SackBlocks;

use crate::ranges::{Range, Ranges};

/// DupThresh: so many duplicate ACKs, or SACKed segments beyond, tell of a loss (RFC 5681 §3.2).
const DUP_THRESH: u32 = 3;

/// Limited transmit: so many duplicate ACKs, before it is clear what they mean, let new segments out
/// (RFC 5681 §3.2, step 1).
const LIMITED_TRANSMIT: u32 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing is known to be lost.
    Open,
    /// Something is lost, other segments arrive: until `recover` is acknowledged.
    FastRecovery { recover: SeqNumber },
    /// Nothing arrived for an RTO, so all up to `recover` counts as lost until it is acknowledged.
    Timeout { recover: SeqNumber },
}

/// What is to be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Again {
    pub(crate) range: Range,
    /// It is the one segment more that goes out at the end (NextSeg, rule 4).
    pub(crate) rescue: bool,
}

// ANCHOR: recovery
/// The scoreboard (RFC 6675 §3), and what duplicate ACKs say.
#[derive(Debug)]
pub(crate) struct Recovery {
    sack: bool,
    smss: u32,
    phase: Phase,
    /// What the other end has reported beyond a gap.
    sacked: Ranges,
    /// Duplicate ACKs since SND.UNA last advanced; what stands for `sacked` where there is no SACK.
    duplicates: u32,
    /// HighRxt: what is before it, unless SACKed, has been sent again in this phase.
    high_rxt: SeqNumber,
    /// What is before it, unless SACKed, is lost, whatever the SACKed bytes beyond say.
    lost_before: SeqNumber,
    /// The highest number sent when the last recovery began (RFC 6582 §3.2): duplicate ACKs of what
    /// that recovery itself repeated must not start another.
    recover: SeqNumber,
    /// RescueRxt.
    rescue: Option<SeqNumber>,
    /// The first segment of a recovery goes out whatever the window says.
    first_is_due: bool,
    /// SND.UNA at the last timeout.
    timed_out_at: Option<SeqNumber>,
}
// ANCHOR_END: recovery

/// Sent, not acknowledged, not SACKed.
struct Hole {
    range: Range,
    runs_above: u32,
    bytes_above: u32,
}

impl Recovery {
    pub(crate) fn new(iss: SeqNumber) -> Self {
        Self {
            sack: false,
            smss: 1,
            phase: Phase::Open,
            sacked: Ranges::default(),
            duplicates: 0,
            high_rxt: iss,
            lost_before: iss,
            recover: iss,
            rescue: None,
            first_is_due: false,
            timed_out_at: None,
        }
    }

    /// The handshake has agreed on this.
    pub(crate) fn agreed(&mut self, sack: bool, smss: u32) {
        (self.sack, self.smss) = (sack, smss);
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    fn holes(&self, una: SeqNumber, nxt: SeqNumber) -> impl Iterator<Item = Hole> + '_ {
        let runs = self.sacked.as_slice();
        let mut bytes_above: u32 = runs.iter().map(|run| run.len()).sum();
        (0..=runs.len()).map(move |at| {
            let before = at.checked_sub(1).map(|at| runs[at]);
            bytes_above -= before.map_or(0, Range::len);
            Hole {
                range: Range {
                    left: before.map_or(una, |run| run.right),
                    right: runs.get(at).map_or(nxt, |run| run.left),
                },
                runs_above: (runs.len() - at) as u32,
                bytes_above,
            }
        })
    }

    // ANCHOR: is-lost
    /// Up to where a hole is lost: all of it, if enough has been SACKed beyond (IsLost, RFC 6675
    /// §4).
    fn lost_up_to(&self, hole: &Hole) -> SeqNumber {
        let Range { left, right } = hole.range;
        let too_much_above = hole.bytes_above > (DUP_THRESH - 1) * self.smss;
        if hole.runs_above >= DUP_THRESH || too_much_above {
            right
        } else {
            self.lost_before.max(left).min(right)
        }
    }

    /// Pipe: how many bytes are in the network (SetPipe, RFC 6675 §4): those sent and not lost, and
    /// those sent again.
    pub(crate) fn in_flight(&self, una: SeqNumber, nxt: SeqNumber) -> u32 {
        let mut pipe = 0;
        for hole in self.holes(una, nxt) {
            let Range { left, right } = hole.range;
            pipe += right - self.lost_up_to(&hole);
            if self.phase != Phase::Open {
                pipe += self.high_rxt.max(left).min(right) - left;
            }
        }
        let left_the_network = match self.phase {
            _ if self.sack => 0,
            Phase::Open => self.duplicates.min(LIMITED_TRANSMIT),
            _ => self.duplicates,
        };
        pipe.saturating_sub(left_the_network * self.smss)
    }
    // ANCHOR_END: is-lost

    // ANCHOR: next-seg
    /// NextSeg (RFC 6675 §4) as far as it is about sending again; `new_text` says whether there is
    /// new text that could go out instead.
    pub(crate) fn next(&self, una: SeqNumber, nxt: SeqNumber, new_text: bool) -> Option<Again> {
        if self.phase == Phase::Open {
            return None;
        }
        let again = |left, right| Again {
            range: Range { left, right },
            rescue: false,
        };
        // Rule 1: the first that is lost.
        for hole in self.holes(una, nxt) {
            let (left, right) = (self.high_rxt.max(hole.range.left), self.lost_up_to(&hole));
            if left < right {
                return Some(again(left, right));
            }
        }
        // Rule 2: new text.
        if new_text || !self.sack || !matches!(self.phase, Phase::FastRecovery { .. }) {
            return None;
        }
        // Rule 3: the first below something SACKed, though it may yet arrive.
        for hole in self.holes(una, nxt).filter(|hole| hole.runs_above > 0) {
            let left = self.high_rxt.max(hole.range.left);
            if left < hole.range.right {
                return Some(again(left, hole.range.right));
            }
        }
        // Rule 4: once in a recovery, the last that was sent, in case the end was lost.
        let last = self.holes(una, nxt).last()?.range;
        let may_rescue = self.rescue.is_none_or(|rescue| una > rescue);
        (may_rescue && last.left < last.right).then(|| Again {
            range: Range {
                left: last.right - last.len().min(self.smss),
                right: last.right,
            },
            rescue: true,
        })
    }
    // ANCHOR_END: next-seg

    /// Whether a segment of this size may go out: the window has room for it, or it is the first of
    /// a recovery.
    pub(crate) fn allows(&self, len: u32, in_flight: u32, cwnd: u32) -> bool {
        self.first_is_due || in_flight.saturating_add(len) <= cwnd
    }

    /// A segment has been sent again.
    pub(crate) fn sent_again(&mut self, sent: Range, rescue: bool) {
        self.first_is_due = false;
        match self.phase {
            Phase::FastRecovery { recover } if rescue => self.rescue = Some(recover),
            _ => self.high_rxt = self.high_rxt.max(sent.right),
        }
    }

    /// Takes note of SACK blocks, and says how many bytes they newly report. Blocks that speak of
    /// what was never sent, or is acknowledged, say nothing.
    pub(crate) fn sack(&mut self, blocks: &SackBlocks, una: SeqNumber, nxt: SeqNumber) -> u32 {
        let mut new = 0;
        for block in blocks.as_slice() {
            let (left, right) = (block.left, block.right);
            // Counted from SND.UNA: numbers from anywhere may each be less than the next, in a circle.
            let (from, to) = (left - una, right - una);
            if self.sack && 0 < from && from < to && to <= nxt - una {
                new += self.sacked.insert(Range { left, right }).unwrap_or(0);
            }
        }
        new
    }

    // ANCHOR: duplicate
    /// A duplicate ACK has arrived. Says whether it shows that something is lost, so that fast
    /// recovery begins.
    pub(crate) fn duplicate(&mut self, una: SeqNumber, nxt: SeqNumber) -> bool {
        if matches!(self.phase, Phase::Timeout { .. }) {
            return false;
        }
        let segments_out = (nxt - una).div_ceil(self.smss);
        self.duplicates = (self.duplicates + 1).min(segments_out);
        if self.phase != Phase::Open {
            return false;
        }
        let enough = self.duplicates >= DUP_THRESH && (self.sack || una > self.recover);
        let first_is_lost = |hole: Hole| self.lost_up_to(&hole) > una;
        if !enough && !self.holes(una, nxt).next().is_some_and(first_is_lost) {
            return false;
        }
        self.phase = Phase::FastRecovery { recover: nxt };
        (self.recover, self.rescue) = (nxt, None);
        self.first_is_lost(una);
        true
    }

    /// What stands at SND.UNA is lost: it goes out again now.
    fn first_is_lost(&mut self, una: SeqNumber) {
        self.high_rxt = una;
        self.lost_before = una + self.smss;
        self.first_is_due = true;
    }
    // ANCHOR_END: duplicate

    // ANCHOR: advanced
    /// SND.UNA has advanced by `bytes`. Says whether that ends fast recovery.
    pub(crate) fn advanced(&mut self, una: SeqNumber, bytes: u32) -> bool {
        self.sacked.remove_below(una);
        self.high_rxt = self.high_rxt.max(una);
        self.lost_before = self.lost_before.max(una);
        // Not to be left behind by half the number space.
        self.recover = self.recover.max(una - 1);
        self.timed_out_at = None;
        match self.phase {
            Phase::FastRecovery { recover } if una < recover => {
                if !self.sack {
                    // A partial acknowledgment: the next gap begins here (RFC 6582 §3.2, step 3).
                    let segments = bytes / self.smss;
                    self.duplicates = (self.duplicates + segments.min(1)).saturating_sub(segments);
                    self.first_is_lost(una);
                }
                false
            }
            Phase::Timeout { recover } if una < recover => false,
            phase => {
                self.phase = Phase::Open;
                self.duplicates = 0;
                self.lost_before = una;
                self.first_is_due = false;
                matches!(phase, Phase::FastRecovery { .. })
            }
        }
    }
    // ANCHOR_END: advanced

    /// The retransmission timer has expired: all that is not SACKed counts as lost (RFC 6675 §5.1).
    /// Says whether this is the first timeout of what stands at `una`.
    pub(crate) fn timeout(&mut self, una: SeqNumber, nxt: SeqNumber) -> bool {
        let first = self.timed_out_at != Some(una);
        let reneged = self
            .sacked
            .as_slice()
            .first()
            .is_some_and(|run| run.left == una);
        if !first || reneged {
            // The receiver may drop what it has SACKed (RFC 2018 §8): believe it no longer.
            self.sacked.clear();
        }
        self.timed_out_at = Some(una);
        self.phase = Phase::Timeout { recover: nxt };
        self.duplicates = 0;
        self.recover = nxt;
        self.high_rxt = una;
        self.lost_before = nxt;
        self.first_is_due = true;
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tcp_segment::option::SackBlock;

    const SMSS: u32 = 100;
    const UNA: SeqNumber = SeqNumber(1000);

    fn recovery(sack: bool) -> Recovery {
        let mut recovery = Recovery::new(UNA - 1);
        recovery.agreed(sack, SMSS);
        recovery
    }

    fn blocks(list: &[(u32, u32)]) -> SackBlocks {
        let block = |&(left, right): &(u32, u32)| SackBlock {
            left: UNA + left,
            right: UNA + right,
        };
        SackBlocks::new(&list.iter().map(block).collect::<Vec<_>>()).unwrap()
    }

    fn next(recovery: &Recovery, una: u32, nxt: u32) -> Option<(u32, u32)> {
        let again = recovery.next(UNA + una, UNA + nxt, true)?;
        Some((again.range.left - UNA, again.range.right - UNA))
    }

    #[test]
    fn with_sack_each_hole_is_filled_once_and_the_pipe_is_what_is_in_the_network() {
        let (mut recovery, nxt) = (recovery(true), UNA + 1000);
        for end in [300, 400] {
            recovery.sack(&blocks(&[(200, end)]), UNA, nxt);
            assert!(!recovery.duplicate(UNA, nxt));
        }
        recovery.sack(&blocks(&[(500, 600), (200, 400)]), UNA, nxt);
        assert!(recovery.duplicate(UNA, nxt));
        // [0, 200) is lost, [400, 500) and [600, 1000) not yet.
        assert_eq!(recovery.in_flight(UNA, nxt), 500);
        assert_eq!(next(&recovery, 0, 1000), Some((0, 200)));
        recovery.sent_again(
            Range {
                left: UNA,
                right: UNA + 200,
            },
            false,
        );
        assert_eq!(recovery.in_flight(UNA, nxt), 700);
        assert_eq!(next(&recovery, 0, 1000), None);
        recovery.sack(&blocks(&[(500, 800)]), UNA, nxt);
        assert_eq!(next(&recovery, 0, 1000), Some((400, 500)));
        assert!(!recovery.advanced(UNA + 400, 400));
        assert!(recovery.advanced(nxt, 600));
        assert_eq!(recovery.in_flight(nxt, nxt), 0);
    }

    #[test]
    fn without_new_text_what_is_below_something_sacked_goes_out_too_and_then_the_end() {
        let (mut recovery, nxt) = (recovery(true), UNA + 600);
        recovery.sack(&blocks(&[(100, 200), (300, 500)]), UNA, nxt);
        assert!(recovery.duplicate(UNA, nxt));
        recovery.sent_again(
            Range {
                left: UNA,
                right: UNA + 100,
            },
            false,
        );
        let again = recovery.next(UNA, nxt, false).unwrap();
        assert_eq!((again.range.left - UNA, again.rescue), (200, false));
        recovery.sent_again(again.range, again.rescue);
        let again = recovery.next(UNA, nxt, false).unwrap();
        assert_eq!((again.range.left - UNA, again.rescue), (500, true));
        recovery.sent_again(again.range, again.rescue);
        assert_eq!(recovery.next(UNA, nxt, false), None);
    }

    #[test]
    fn without_sack_the_third_duplicate_begins_and_each_partial_acknowledgment_goes_on() {
        let (mut recovery, nxt) = (recovery(false), UNA + 1000);
        assert!(!recovery.duplicate(UNA, nxt) && !recovery.duplicate(UNA, nxt));
        assert_eq!(recovery.in_flight(UNA, nxt), 800); // limited transmit
        assert!(recovery.duplicate(UNA, nxt));
        assert_eq!(next(&recovery, 0, 1000), Some((0, 100)));
        recovery.sent_again(
            Range {
                left: UNA,
                right: UNA + 100,
            },
            false,
        );
        assert_eq!(recovery.in_flight(UNA, nxt), 700);
        assert_eq!(next(&recovery, 0, 1000), None);
        assert!(!recovery.advanced(UNA + 300, 300));
        assert_eq!(next(&recovery, 300, 1000), Some((300, 400)));
        recovery.sent_again(
            Range {
                left: UNA + 300,
                right: UNA + 400,
            },
            false,
        );
        assert_eq!(recovery.in_flight(UNA + 300, nxt), 600);
        assert!(recovery.advanced(nxt, 700));
        // Duplicates of what was sent twice do not start another.
        for _ in 0..5 {
            assert!(!recovery.duplicate(nxt, nxt + 500));
        }
    }

    #[test]
    fn after_a_timeout_all_but_the_sacked_goes_out_again() {
        let (mut recovery, nxt) = (recovery(true), UNA + 500);
        recovery.sack(&blocks(&[(200, 300)]), UNA, nxt);
        assert!(recovery.timeout(UNA, nxt));
        assert_eq!(recovery.in_flight(UNA, nxt), 0);
        assert_eq!(next(&recovery, 0, 500), Some((0, 200)));
        recovery.sent_again(
            Range {
                left: UNA,
                right: UNA + 200,
            },
            false,
        );
        assert_eq!(next(&recovery, 0, 500), Some((300, 500)));
        assert_eq!(recovery.in_flight(UNA, nxt), 200);
        // A second one: the receiver may have dropped what it SACKed.
        assert!(!recovery.timeout(UNA, nxt));
        assert_eq!(next(&recovery, 0, 500), Some((0, 500)));
    }

    #[test]
    fn blocks_that_cannot_be_are_not_believed() {
        let (mut recovery, nxt) = (recovery(true), UNA + 500);
        let around = (1 << 30, 3 << 30); // each a quarter of all numbers or more from the next
        for (left, right) in [
            (0, 100),
            (400, 600),
            (300, 200),
            (600, 700),
            (200, 200),
            around,
        ] {
            assert_eq!(recovery.sack(&blocks(&[(left, right)]), UNA, nxt), 0);
        }
    }
}
