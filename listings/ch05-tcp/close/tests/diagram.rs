//! The diagram by itself.

use std::collections::HashSet;

use tcp_close::{State, TRANSITIONS, diagram, transition};

/// All states that can be reached from one.
fn reached(from: State) -> HashSet<State> {
    let mut reached = HashSet::from([from]);
    loop {
        let before = reached.len();
        for arrow in TRANSITIONS {
            if reached.contains(&arrow.from) {
                reached.insert(arrow.to);
            }
        }
        if reached.len() == before {
            return reached;
        }
    }
}

#[test]
fn every_state_can_be_reached_and_leads_to_the_end() {
    for state in State::ALL {
        assert!(reached(State::Closed).contains(&state), "{state}");
        assert!(reached(state).contains(&State::Closed), "{state}");
    }
}

#[test]
fn between_two_states_there_is_one_arrow_at_most() {
    let pairs: HashSet<_> = TRANSITIONS.map(|arrow| (arrow.from, arrow.to)).into();
    assert_eq!(pairs.len(), TRANSITIONS.len());
    let [from, to] = [State::FinWait1, State::TimeWait];
    let place = transition(from, to).unwrap();
    assert_eq!((TRANSITIONS[place].from, TRANSITIONS[place].to), (from, to));
    assert_eq!(transition(State::Established, State::TimeWait), None);
}

/// A way from ESTABLISHED to the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Way {
    sent_fin: bool,
    received_fin: bool,
    sent_first: bool,
    in_time_wait: bool,
}

impl Way {
    fn all(self, from: State, ways: &mut Vec<Self>) {
        for arrow in TRANSITIONS.iter().filter(|arrow| arrow.from == from) {
            let sends = arrow.action.contains("snd FIN");
            let way = Self {
                sent_fin: self.sent_fin || sends,
                received_fin: self.received_fin || arrow.event.starts_with("rcv FIN"),
                sent_first: self.sent_first || sends && !self.received_fin,
                in_time_wait: self.in_time_wait || arrow.to == State::TimeWait,
            };
            if arrow.to == State::Closed {
                ways.push(way);
            } else {
                way.all(arrow.to, ways);
            }
        }
    }

    fn to_the_end() -> Vec<Self> {
        let mut ways = Vec::new();
        Self::default().all(State::Established, &mut ways);
        assert_eq!(ways.len(), 4);
        ways
    }
}

#[test]
fn closing_takes_a_fin_in_each_direction() {
    for way in Way::to_the_end() {
        assert!(way.sent_fin && way.received_fin, "{way:?}");
    }
}

#[test]
fn who_sends_a_fin_before_it_has_one_passes_through_time_wait_and_nobody_else_does() {
    for way in Way::to_the_end() {
        assert_eq!(way.in_time_wait, way.sent_first, "{way:?}");
    }
}

#[test]
fn every_arrow_of_the_drawing_ends_at_a_place() {
    let drawing = diagram();
    for arrow in &drawing.transitions {
        assert!(arrow.from < drawing.states.len() && arrow.to < drawing.states.len());
        assert_ne!(arrow.from, arrow.to);
    }
}
