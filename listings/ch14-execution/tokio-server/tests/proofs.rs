//! What the page says of the tokio server.
#![cfg(target_os = "linux")]

use std::sync::LazyLock;

use testkit::{Run, listing};

static RUN: LazyLock<Run> = LazyLock::new(|| {
    // How often the runtime waits depends on who is faster.
    let tour = listing!().varying(r" [0-9]\.[0-9]{2}\b", " N");
    tour.run().succeeds()
});

#[test]
fn a_tour_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn a_request_takes_one_wait_one_read_and_one_write() {
    let table = RUN.table("syscalls");
    for call in ["`epoll_wait`", "`recvfrom`", "`sendto`"] {
        let row = table.rows.iter().find(|row| row[0] == call);
        let row = row.unwrap_or_else(|| panic!("no {call} in {table:?}"));
        let [alone, pipelined] = [1, 2].map(|at| row[at].parse::<f64>().unwrap());
        assert!((0.9..1.1).contains(&alone), "{call}: {alone}");
        assert!(pipelined <= 0.1, "{call}: {pipelined}");
    }
    assert_eq!(table.rows.len(), 3, "and nothing else: {table:?}");
}
