//! What the page says about batches and bundles, on real sockets. Counts, never times.
#![cfg(target_os = "linux")]

use std::sync::LazyLock;

use nix::errno::Errno;
use testkit::{Run, listing};
use udp_batch::{
    Calls, Got, LENGTH, Limits, MOST_IN_A_BUNDLE, Reads, Way, bundle, limits, measure, stream,
};

static RUN: LazyLock<Run> = LazyLock::new(|| {
    listing!()
        // 64 or 128, by the kernel's version.
        .varying(
            r"at most \d+ datagrams; \d+ are",
            "at most MANY datagrams; MORE are",
        )
        // What an entry of the queue takes differs.
        .varying(r"and \d+ of them find", "and SOME of them find")
        .varying(
            r"In all, [\d,]+ calls to send and [\d,]+ to",
            "In all, MANY calls to send and MORE to",
        )
        .run()
        .succeeds()
});

static LIMITS: LazyLock<Limits> = LazyLock::new(|| limits().expect("a kernel with GSO"));

/// What calls gave, each as one whole datagram or a bundle of datagrams, all of which fitted.
fn got(reads: &Reads) -> Vec<(usize, Option<usize>)> {
    assert!(reads.in_order);
    assert!(reads.got.iter().all(|got| !got.truncated));
    reads
        .got
        .iter()
        .map(|got| (got.length, got.segment))
        .collect()
}

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
    assert_eq!(RUN.stderr, "");
}

#[test]
fn each_way_takes_exactly_the_calls_that_it_should() {
    // `measure` checks of each datagram that it comes once, whole and in order.
    const BATCH: usize = 32;
    const BATCHES: usize = 10;
    let of = |send, receive| Calls { send, receive };
    for (way, calls) in [
        (Way::Single, of(BATCH * BATCHES, BATCH * BATCHES)),
        (Way::Batched, of(BATCHES, BATCHES)),
        (Way::Segmented, of(BATCHES, BATCH * BATCHES)),
        (Way::Coalesced, of(BATCHES, BATCHES)),
    ] {
        let cost = measure(way, BATCH, BATCHES).unwrap();
        assert_eq!(
            (cost.datagrams, cost.calls),
            (BATCH * BATCHES, calls),
            "{way}"
        );
    }
}

#[test]
fn a_batch_may_have_any_size_and_a_bundle_any_that_fits() {
    for batch in [1, 2, 3, 7, 31, MOST_IN_A_BUNDLE] {
        for way in Way::ALL {
            assert_eq!(
                measure(way, batch, 3).unwrap().datagrams,
                3 * batch,
                "{way}, {batch}"
            );
        }
    }
    assert_eq!(
        measure(Way::Batched, 64, 3).unwrap().calls,
        Calls {
            send: 3,
            receive: 3
        }
    );
    // One more is too long for a bundle.
    let error = measure(Way::Coalesced, MOST_IN_A_BUNDLE + 1, 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        std::io::Error::from(Errno::EMSGSIZE).to_string()
    );
}

#[test]
fn a_receiver_that_paces_the_sender_gets_every_datagram_in_order() {
    const BATCH: usize = 32;
    const BATCHES: usize = 200;
    for way in Way::ALL {
        let streamed = stream(way, BATCH, BATCHES).unwrap();
        assert_eq!(streamed.datagrams, BATCH * BATCHES, "{way}");
        let Calls { send, receive } = streamed.calls;
        assert_eq!(
            send,
            if way == Way::Single {
                BATCH * BATCHES
            } else {
                BATCHES
            }
        );
        // A call takes what is there, which may be less than a batch, and never more.
        let each = matches!(way, Way::Single | Way::Segmented);
        assert!((BATCHES..=BATCH * BATCHES).contains(&receive));
        assert!(!each || receive == BATCH * BATCHES, "{way}");
    }
}

#[test]
fn the_kernel_cuts_a_bundle_into_datagrams_and_the_last_may_be_shorter() {
    let reads = bundle(Way::Segmented, 3_000, LENGTH, 3_000).unwrap();
    assert_eq!(got(&reads), [(1_200, None), (1_200, None), (600, None)]);
    assert_eq!(reads.calls.send, 1);
    // What fits exactly has no shorter one, and what is no longer than a segment is one datagram.
    let reads = bundle(Way::Segmented, 2_400, LENGTH, 3_000).unwrap();
    assert_eq!(got(&reads), [(1_200, None), (1_200, None)]);
    let reads = bundle(Way::Segmented, 600, LENGTH, 3_000).unwrap();
    assert_eq!(got(&reads), [(600, None)]);
    // The size is the call's.
    let reads = bundle(Way::Segmented, 3_000, 1_000, 3_000).unwrap();
    assert_eq!(got(&reads), [(1_000, None); 3]);
}

#[test]
fn a_receiver_with_gro_gets_the_bundle_whole_and_its_segment_size() {
    let reads = bundle(Way::Coalesced, 3_000, LENGTH, 3_000).unwrap();
    assert_eq!(got(&reads), [(3_000, Some(1_200))]);
    let reads = bundle(Way::Coalesced, 64 * 100, 100, 1 << 16).unwrap();
    assert_eq!(got(&reads), [(6_400, Some(100))]);
    // One datagram is no bundle, and comes without the note.
    let reads = bundle(Way::Coalesced, 600, LENGTH, 3_000).unwrap();
    assert_eq!(got(&reads), [(600, None)]);
}

#[test]
fn a_receiver_with_gro_and_too_little_room_loses_the_rest_of_the_bundle() {
    for room in [1, LENGTH, 1_800, 2_999] {
        let reads = bundle(Way::Coalesced, 3_000, LENGTH, room).unwrap();
        let cut = Got {
            length: room,
            segment: Some(LENGTH),
            truncated: true,
        };
        assert!(reads.in_order);
        assert_eq!(reads.got, [cut], "with room for {room}");
    }
    // Without GRO the same room is enough for a datagram, so nothing is lost.
    let reads = bundle(Way::Segmented, 3_000, LENGTH, LENGTH).unwrap();
    assert_eq!(got(&reads), [(1_200, None), (1_200, None), (600, None)]);
}

#[test]
fn more_segments_than_the_kernel_allows_are_refused_with_einval() {
    // 64 at first, 128 since.
    assert!([64, 128].contains(&LIMITS.most_segments), "{LIMITS:?}");
    assert_eq!(LIMITS.one_more, Errno::EINVAL);
}

#[test]
fn more_bytes_than_a_datagram_may_have_are_refused_with_emsgsize() {
    // 65,535 bytes of IPv4 packet, 20 of its header and 8 of UDP's.
    assert_eq!(LIMITS.most_bytes, 65_535 - 20 - 8);
    assert_eq!(LIMITS.one_more_byte, Errno::EMSGSIZE);
    assert_eq!(MOST_IN_A_BUNDLE, LIMITS.most_bytes / LENGTH);
}

#[test]
fn sendmmsg_takes_1024_at_most_and_says_how_many() {
    let [of, sent, queued] = LIMITS.at_once;
    assert_eq!((of, sent), (1_100, 1_024));
    // All of them were sent. What found no room at the receiver is lost, as ever.
    assert!(queued > 0 && queued <= sent);
}

#[test]
fn sendmmsg_stops_before_the_datagram_that_fails_and_hides_the_error() {
    assert_eq!(LIMITS.third_too_long, (2, Errno::EMSGSIZE));
}

#[test]
fn the_plot_has_every_size_and_a_bundle_ends_at_54() {
    let lines = &RUN.series("size").lines;
    assert_eq!(lines.len(), Way::ALL.len());
    for (line, last) in lines.iter().zip([64.0, 64.0, 54.0, 54.0]) {
        let sizes: Vec<_> = line.points.iter().map(|point| point.0).collect();
        assert_eq!(
            sizes,
            [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, last],
            "{}",
            line.name
        );
    }
}

#[test]
fn arguments_are_refused_with_the_usage() {
    let run = listing!().arg("64").run();
    assert_eq!(run.status.code(), Some(2));
    assert_eq!(run.stdout, "");
    assert_eq!(run.stderr, "usage: udp-batch (it takes no arguments)\n");
}
