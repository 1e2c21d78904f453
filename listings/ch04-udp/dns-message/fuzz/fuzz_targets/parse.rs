//! Any bytes, read as a message: all that `tests/support` asks for must hold.
//!
//! ```text
//! mkdir -p target/fuzz && cargo +nightly fuzz run parse target/fuzz fuzz/corpus/parse
//! ```
//!
//! in this package's folder (`cargo install cargo-fuzz`). New finds go to `target/fuzz`; what is
//! worth keeping moves to `fuzz/corpus/parse`, which the proofs replay without a fuzzer.

#![no_main]

#[path = "../../tests/support/mod.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| support::holds(bytes));
