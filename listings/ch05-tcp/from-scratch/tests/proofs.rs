//! What the page claims, as a reader sees it.

#![cfg(target_os = "linux")]

use std::sync::OnceLock;

use record::{Fate, What};
use testkit::{Run, listing};

/// All tests look at one run.
fn run() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| {
        listing!()
            // The kernel's windows depend on its memory; how often something is sent again, on the
            // moment.
            .varying(r", win \d+", "")
            .varying(r" *\d+ sent again *TIME", " sent again")
            .run()
            .succeeds()
    })
}

/// The messages of the figure: who sent it, its label, its note, what became of it.
fn messages() -> Vec<(usize, &'static str, &'static str, Fate)> {
    let messages = run()
        .sequence("life")
        .events
        .iter()
        .map(|event| match &event.what {
            What::Message {
                from,
                label,
                note,
                fate,
                ..
            } => (*from, label.as_str(), note.as_deref().unwrap_or(""), *fate),
            What::State { .. } => panic!("there are no states"),
        });
    messages.collect()
}

const OURS: usize = 0;
const KERNELS: usize = 1;

#[test]
fn it_prints_what_the_page_shows() {
    run().matches_output();
    run().matches_record();
}

#[test]
fn our_tcp_and_the_kernels_shake_hands() {
    let labels: Vec<_> = messages()[..3]
        .iter()
        .map(|(from, label, ..)| (*from, *label))
        .collect();
    assert_eq!(
        labels,
        [(OURS, "`SYN`"), (KERNELS, "`SYN ACK`"), (OURS, "`ACK`")]
    );
}

#[test]
fn the_lost_segment_is_sent_again_without_a_timeout() {
    let lost: Vec<_> = messages()
        .into_iter()
        .filter(|message| message.3 == Fate::Lost)
        .collect();
    assert_eq!(lost.len(), 1);
    assert!(lost[0].2.starts_with("`seq 2897,"), "{lost:?}");
    let again = messages()
        .into_iter()
        .filter(|message| message.0 == OURS && message.2.starts_with("`seq 2897,"));
    assert_eq!(again.count(), 2);
    assert!(run().stdout.contains("Timeouts: 0. Fast recoveries: 1."));
}

#[test]
fn the_kernel_has_got_every_byte_and_answers() {
    assert!(run().stdout.contains("The kernel answers: \"all there\""));
}

#[test]
fn our_end_goes_from_syn_sent_to_closed_by_way_of_time_wait() {
    let path = "Our states: SYN-SENT → ESTABLISHED → FIN-WAIT-1 → FIN-WAIT-2 → TIME-WAIT → CLOSED";
    assert!(run().stdout.contains(path));
}

#[test]
fn every_transfer_arrives_whole_in_both_roles() {
    let rows = &run().table("transfers").rows;
    assert_eq!(rows.len(), 6);
    assert_eq!(run().stdout.matches("all right").count(), 6);
    // Where nothing is lost, nothing is sent again; where one of twenty is, a lot is.
    let sent_again: Vec<u32> = rows.iter().map(|row| row[3].parse().unwrap()).collect();
    assert!(sent_again[4] > 5 && sent_again[5] > 5, "{sent_again:?}");
}
