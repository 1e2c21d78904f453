//! Two stacks through a channel that loses, reorders and repeats: every byte arrives, and the
//! connection ends. In virtual time.

mod support;

use std::time::Duration;

use proptest::prelude::*;
use support::{Channel, Opening, Outcome, Plan, Random};
use tcp_from_scratch::{Config, Reason, State};

const MS: fn(u64) -> Duration = Duration::from_millis;

fn run(plans: [Plan; 2], channel: Channel, seed: u64, opening: Opening) -> Outcome {
    support::run(plans, channel, Random::new(seed, &[]), opening)
}

fn text(len: usize, salt: u8) -> Vec<u8> {
    (0..len)
        .map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8 ^ salt)
        .collect()
}

/// What was sent has arrived, both ways, and both ends know that it is over.
#[track_caller]
fn arrived(outcome: &Outcome, texts: [&[u8]; 2]) {
    assert!(
        outcome.received[0] == texts[1],
        "the first end did not get the second's text"
    );
    assert!(
        outcome.received[1] == texts[0],
        "the second end did not get the first's text"
    );
    assert_eq!(
        outcome.reasons,
        [Some(Reason::Finished); 2],
        "{:?}",
        outcome.paths
    );
}

fn config() -> impl Strategy<Value = Config> {
    (
        (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()),
        prop_oneof![Just(1500_u16), 100..2000_u16],
        prop_oneof![Just(512 << 10), 1..100_000_usize],
        prop_oneof![Just(512 << 10), 1..100_000_usize],
    )
        .prop_map(
            |((timestamps, sack, window_scaling, nagle), mtu, send, receive)| Config {
                timestamps,
                sack,
                window_scaling,
                nagle,
                mtu,
                send_buffer: send,
                receive_buffer: receive,
                // Whoever loses three of ten packets needs patience.
                user_timeout: Duration::from_secs(3 * 3600),
                syn_timeout: Duration::from_secs(3 * 3600),
                msl: Duration::from_secs(3 * 3600),
                ..Config::default()
            },
        )
}

fn plan() -> impl Strategy<Value = Plan> {
    (
        config(),
        prop_oneof![0..3000_usize, 0..60_000_usize],
        any::<u8>(),
        prop_oneof![Just(usize::MAX), 1..5000_usize],
        prop_oneof![Just(0), Just(0), 1..300_u64],
    )
        .prop_map(|(config, len, salt, read_at_once, every)| Plan {
            config,
            text: text(len, salt),
            // Not so slow that a day does not suffice.
            read_at_once: read_at_once.max(len / 500),
            read_every: MS(every),
        })
}

fn channel() -> impl Strategy<Value = Channel> {
    (0..200_u64, 0..300_u16, 0..300_u16, 0..300_u16).prop_map(
        |(delay, loss, duplication, reordering)| Channel {
            delay: Duration::from_micros(delay * delay * 5),
            loss,
            duplication,
            reordering,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_channel_does_every_byte_arrives_and_both_ends_finish(
        plans in [plan(), plan()],
        channel in channel(),
        seed in any::<u64>(),
        simultaneous in any::<bool>(),
    ) {
        let opening = if simultaneous { Opening::Simultaneous } else { Opening::Usual };
        let texts = [plans[0].text.clone(), plans[1].text.clone()];
        let outcome = run(plans, channel, seed, opening);
        arrived(&outcome, [&texts[0], &texts[1]]);
        for path in &outcome.paths {
            for step in path.windows(2) {
                prop_assert!(is_an_arrow(step[0], step[1]), "{:?}", path);
            }
        }
    }
}

fn big(config: Config, channel: Channel) -> Outcome {
    let (there, back) = (text(4 << 20, 1), text(1 << 20, 2));
    let plans = [
        Plan::new(config, there.clone()),
        Plan::new(config, back.clone()),
    ];
    let outcome = run(plans, channel, 7, Opening::Usual);
    arrived(&outcome, [&there, &back]);
    outcome
}

#[test]
fn a_clean_channel_needs_no_retransmission() {
    let channel = Channel {
        delay: MS(10),
        loss: 0,
        duplication: 0,
        reordering: 0,
    };
    let outcome = big(Config::default(), channel);
    for counters in outcome.counters {
        assert_eq!((counters.retransmitted, counters.timeouts), (0, 0));
        assert_eq!((counters.unacceptable, counters.out_of_order), (0, 0));
    }
}

#[test]
fn the_one_who_closes_first_is_left_with_time_wait() {
    use State::{
        CloseWait, Closed, Established, FinWait1, FinWait2, LastAck, SynReceived, SynSent, TimeWait,
    };
    let channel = Channel {
        delay: MS(10),
        loss: 0,
        duplication: 0,
        reordering: 0,
    };
    let plans = [
        Plan::new(Config::default(), text(10, 0)),
        Plan::new(Config::default(), text(500_000, 0)),
    ];
    let outcome = run(plans, channel, 1, Opening::Usual);
    assert_eq!(
        outcome.paths[0],
        [SynSent, Established, FinWait1, FinWait2, TimeWait, Closed]
    );
    assert_eq!(
        outcome.paths[1],
        [SynReceived, Established, CloseWait, LastAck, Closed]
    );
    let twice_msl = 2 * Config::default().msl;
    assert!(outcome.took > twice_msl && outcome.took < twice_msl + Duration::from_secs(3));
}

#[test]
fn both_may_open_and_close_at_once() {
    use State::{Closed, Closing, Established, FinWait1, SynReceived, SynSent, TimeWait};
    let channel = Channel {
        delay: MS(10),
        loss: 0,
        duplication: 0,
        reordering: 0,
    };
    let plans = [(); 2].map(|()| Plan::new(Config::default(), text(10, 0)));
    let outcome = run(plans, channel, 1, Opening::Simultaneous);
    arrived(&outcome, [&text(10, 0); 2]);
    let path = [
        SynSent,
        SynReceived,
        Established,
        FinWait1,
        Closing,
        TimeWait,
        Closed,
    ];
    assert_eq!(outcome.paths, [path, path]);
}

/// RFC 9293, Figure 5, as the page on closing draws it.
fn is_an_arrow(from: State, to: State) -> bool {
    let place = |state: State| {
        let mut all = tcp_close::State::ALL.into_iter();
        all.find(|other| other.to_string() == state.to_string())
            .unwrap()
    };
    tcp_close::transition(place(from), place(to)).is_some()
}
