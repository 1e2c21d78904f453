//! Any bytes, read as a report: all that `tests/support` asks for must hold.
//!
//! ```text
//! mkdir -p target/fuzz && cargo +nightly fuzz run reports target/fuzz fuzz/corpus/reports
//! ```
//!
//! in this package's folder (`cargo install cargo-fuzz`). New finds go to `target/fuzz`; what is
//! worth keeping moves to `fuzz/corpus/reports`, which the tests replay without a fuzzer.

#![no_main]

#[path = "../../tests/support/mod.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| support::holds(bytes));
