//! What the page says of the tokio server.
#![cfg(target_os = "linux")]

#[test]
fn a_tour_prints_what_the_page_shows() {
    let run = testkit::listing!().run().succeeds();
    run.matches_output();
    run.matches_record();
}
