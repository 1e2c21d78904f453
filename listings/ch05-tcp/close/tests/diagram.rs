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

#[test]
fn closing_takes_a_fin_in_each_direction() {
    // Whoever goes from ESTABLISHED to the end has sent a FIN and received one, whatever the way.
    fn ways(from: State, sent: bool, received: bool, ends: &mut Vec<(bool, bool)>) {
        for arrow in TRANSITIONS.iter().filter(|arrow| arrow.from == from) {
            let sent = sent || arrow.action.contains("snd FIN");
            let received = received || arrow.event.starts_with("rcv FIN");
            if arrow.to == State::Closed {
                ends.push((sent, received));
            } else {
                ways(arrow.to, sent, received, ends);
            }
        }
    }
    let mut ends = Vec::new();
    ways(State::Established, false, false, &mut ends);
    assert_eq!(ends, [(true, true); 4]);
}

#[test]
fn every_arrow_of_the_drawing_ends_at_a_place() {
    let drawing = diagram();
    for arrow in &drawing.transitions {
        assert!(arrow.from < drawing.states.len() && arrow.to < drawing.states.len());
        assert_ne!(arrow.from, arrow.to);
    }
}
