//! Any bytes, as a client might send them, whole and one by one: all that `tests/support` asks for
//! must hold, and httparse must find the same heads.
//!
//! ```text
//! mkdir -p target/fuzz && cargo +nightly fuzz run requests target/fuzz fuzz/corpus/requests
//! ```
//!
//! in this package's folder (`cargo install cargo-fuzz`). New finds go to `target/fuzz`; what is
//! worth keeping becomes a case in `tests/corpus`, which the tests replay without a fuzzer.

#![no_main]

#[path = "../../tests/support/mod.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    support::requests_hold(bytes, 0..bytes.len());
    support::heads_agree(bytes);
});
