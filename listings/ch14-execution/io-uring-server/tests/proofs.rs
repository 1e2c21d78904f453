//! What the page says of the io_uring server.
#![cfg(target_os = "linux")]

use std::fs;

use exec_service::client::Client;
use testkit::listing;

#[test]
fn a_tour_prints_what_the_page_shows() {
    // How many completions one call brings depends on who is faster.
    let run = listing!()
        .varying(r" [0-9]\.[0-9]{2}\b", " N")
        .run()
        .succeeds();
    run.matches_output();
    run.matches_record();
}

#[test]
fn alone_a_request_takes_two_calls_and_sixteen_take_hardly_more() {
    let run = listing!().run().succeeds();
    let table = run.table("syscalls");
    assert_eq!(
        table.rows.len(),
        1,
        "there is only one system call: {table:?}"
    );
    let [alone, pipelined] = [1, 2].map(|at| table.rows[0][at].parse::<f64>().unwrap());
    assert!(
        alone <= 2.1 && pipelined <= 2.5 / 16.0,
        "{alone}, {pipelined}"
    );
}

#[test]
fn connections_are_not_in_the_table_of_the_process() {
    let server = listing!().args(["127.0.0.1:0", "--workers", "1"]).serve();
    let open = || {
        fs::read_dir(format!("/proc/{}/fd", server.id()))
            .unwrap()
            .count()
    };
    let mut first = Client::connect(server.address()).unwrap();
    first.get("/").unwrap();
    let before = open();
    let more: Vec<Client> = (0..50)
        .map(|_| {
            let mut client = Client::connect(server.address()).unwrap();
            assert_eq!(client.get("/").unwrap().status, 200);
            client
        })
        .collect();
    let stats = first.get("/stats").unwrap();
    assert!(
        String::from_utf8_lossy(&stats.body).contains("\"open\": 51"),
        "{stats:?}"
    );
    assert_eq!(open(), before);
    drop(more);
}
