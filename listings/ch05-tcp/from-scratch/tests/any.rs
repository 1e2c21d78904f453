//! What the fuzzer found worth keeping, replayed; and random bytes.

#[path = "support/any.rs"]
mod any;
mod support;

use std::fs;
use std::path::Path;

use proptest::prelude::*;

fn replay(name: &str, holds: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let mut files = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        println!("{}", path.display());
        holds(&fs::read(path).unwrap());
        files += 1;
    }
    assert!(files > 0);
}

#[test]
fn a_peer_that_sends_anything_gets_nowhere_as_the_fuzzer_found_it() {
    replay("segments", any::segments);
}

#[test]
fn two_ends_over_any_channel_finish_as_the_fuzzer_found_it() {
    replay("streams", any::streams);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn a_peer_that_sends_anything_gets_nowhere(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        any::segments(&bytes);
    }

    #[test]
    fn two_ends_over_any_channel_finish(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        any::streams(&bytes);
    }
}
