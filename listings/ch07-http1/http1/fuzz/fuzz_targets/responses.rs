//! Any bytes, as a server might send them in answer to one or two requests, whole and in pieces. The
//! first byte says what the requests were, the second how long the pieces are.
//!
//! ```text
//! mkdir -p target/fuzz && cargo +nightly fuzz run responses target/fuzz fuzz/corpus/responses
//! ```

#![no_main]

#[path = "../../tests/support/mod.rs"]
mod support;

use http1::Asked;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let [kinds, piece, bytes @ ..] = bytes else {
        return;
    };
    let kind = |bits: u8| match bits & 3 {
        0 => Asked::Head,
        1 => Asked::Connect,
        _ => Asked::Other,
    };
    let asked = [kind(*kinds), kind(kinds >> 2)];
    let asked = &asked[..1 + usize::from(kinds >> 4 & 1)];
    let ends = (0..bytes.len()).step_by(1 + usize::from(*piece));
    support::responses_hold(bytes, ends, asked);
});
