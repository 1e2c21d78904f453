//! Any bytes, as a client might send them, in pieces whose lengths the first eight bytes say, over
//! and over.
//!
//! ```text
//! mkdir -p target/fuzz && cargo +nightly fuzz run connection target/fuzz fuzz/corpus/connection
//! ```

#![no_main]

#[path = "../../tests/support/mod.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((lengths, bytes)) = bytes.split_first_chunk::<8>() else {
        return;
    };
    let mut end = 0;
    let ends = lengths.iter().cycle().map_while(|length| {
        end += 1 + usize::from(*length);
        (end < bytes.len()).then_some(end)
    });
    support::requests_hold(bytes, ends);
});
