//! The states of a TCP connection, and what leads from one to another: RFC 9293 §3.3.2, Figure 5.

#![forbid(unsafe_code)]

use std::fmt;

#[cfg(target_os = "linux")]
pub mod diag;

// ANCHOR: states
/// The eleven states. CLOSED is the one of which nothing is kept: there is no entry for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the RFC's own names")]
pub enum State {
    Closed,
    Listen,
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
}
// ANCHOR_END: states

impl State {
    /// All of them, in the order of the RFC's text.
    pub const ALL: [Self; 11] = [
        Self::Closed,
        Self::Listen,
        Self::SynSent,
        Self::SynReceived,
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
    ];
}

/// As RFC 9293 spells it.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Closed => "CLOSED",
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
        })
    }
}

/// One arrow of the diagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// Where it leads from.
    pub from: State,
    /// Where it leads to.
    pub to: State,
    /// What has to happen: a call of the user, a segment, a timeout. The RFC's words.
    pub event: &'static str,
    /// What TCP does then; empty for nothing.
    pub action: &'static str,
}

const fn arrow(from: State, to: State, event: &'static str, action: &'static str) -> Transition {
    Transition {
        from,
        to,
        event,
        action,
    }
}

// ANCHOR: transitions
/// The arrows of Figure 5, and at the end the one that its note 2 adds. Note 3 is left out here as
/// it is there: a reset leads from any state to CLOSED.
pub const TRANSITIONS: [Transition; 21] = {
    use State::*;
    [
        arrow(Closed, Listen, "passive OPEN", "create TCB"),
        arrow(Closed, SynSent, "active OPEN", "create TCB, snd SYN"),
        arrow(Listen, Closed, "CLOSE", "delete TCB"),
        arrow(Listen, SynSent, "SEND", "snd SYN"),
        arrow(Listen, SynReceived, "rcv SYN", "snd SYN,ACK"),
        arrow(SynSent, Closed, "CLOSE", "delete TCB"),
        arrow(SynSent, SynReceived, "rcv SYN", "snd SYN,ACK"),
        arrow(SynSent, Established, "rcv SYN,ACK", "snd ACK"),
        arrow(SynReceived, Listen, "rcv RST", ""),
        arrow(SynReceived, Established, "rcv ACK of SYN", ""),
        arrow(SynReceived, FinWait1, "CLOSE", "snd FIN"),
        arrow(Established, FinWait1, "CLOSE", "snd FIN"),
        arrow(Established, CloseWait, "rcv FIN", "snd ACK"),
        arrow(FinWait1, FinWait2, "rcv ACK of FIN", ""),
        arrow(FinWait1, Closing, "rcv FIN", "snd ACK"),
        arrow(FinWait2, TimeWait, "rcv FIN", "snd ACK"),
        arrow(CloseWait, LastAck, "CLOSE", "snd FIN"),
        arrow(Closing, TimeWait, "rcv ACK of FIN", ""),
        arrow(LastAck, Closed, "rcv ACK of FIN", ""),
        arrow(TimeWait, Closed, "Timeout=2MSL", "delete TCB"),
        arrow(FinWait1, TimeWait, "rcv FIN, ACK of FIN", "snd ACK"),
    ]
};
// ANCHOR_END: transitions

/// The place in [`TRANSITIONS`] of the arrow between two states, if the diagram has one.
#[must_use]
pub fn transition(from: State, to: State) -> Option<usize> {
    TRANSITIONS
        .iter()
        .position(|arrow| arrow.from == from && arrow.to == to)
}

/// Where each state stands in the drawing, as in Figure 5: columns and rows. CLOSED stands twice.
const PLACES: [(State, f64, f64); 12] = [
    (State::Closed, 1.0, 0.0),
    (State::Listen, 1.0, 1.0),
    (State::SynSent, 2.0, 2.0),
    (State::SynReceived, 0.0, 2.0),
    (State::Established, 1.0, 3.0),
    (State::FinWait1, 0.0, 4.0),
    (State::FinWait2, 0.0, 5.0),
    (State::CloseWait, 2.0, 4.0),
    (State::Closing, 1.0, 5.0),
    (State::LastAck, 2.0, 5.0),
    (State::TimeWait, 1.0, 6.0),
    (State::Closed, 2.0, 6.0),
];

/// The diagram, drawn: its transitions are those of [`TRANSITIONS`], in the same order.
#[must_use]
pub fn diagram() -> record::States {
    let mut drawing = record::States::new();
    for (state, column, row) in PLACES {
        drawing.state(format!("`{state}`"), column, row);
    }
    for arrow in TRANSITIONS {
        let place = |state| {
            let mut places = PLACES.iter();
            places
                .position(|(placed, ..)| *placed == state)
                .expect("each state has a place")
        };
        let to = match (arrow.from, arrow.to) {
            (State::LastAck | State::TimeWait, State::Closed) => PLACES.len() - 1,
            (_, to) => place(to),
        };
        let label = match arrow.action {
            "" => format!("`{}`", arrow.event),
            action => format!("`{} / {action}`", arrow.event),
        };
        drawing.bent_transition(place(arrow.from), to, label, bend(arrow.from, arrow.to));
    }
    drawing
}

/// How far an arrow goes around what stands in its way.
fn bend(from: State, to: State) -> f64 {
    match (from, to) {
        (State::Closed, State::Listen) | (State::Listen, State::Closed) => 0.15,
        (State::Closed, State::SynSent) => -0.4,
        (State::SynSent, State::Closed) => -0.1,
        (State::Listen, State::SynReceived) | (State::SynReceived, State::Listen) => 0.15,
        _ => 0.0,
    }
}
