//! Any bytes, as what befalls a connection: all that `tests/support/any.rs` asks for must hold.
//!
//! ```text
//! mkdir -p target/fuzz && cargo +nightly fuzz run streams target/fuzz fuzz/corpus/streams
//! ```
//!
//! in this package's folder (`cargo install cargo-fuzz`). New finds go to `target/fuzz`; what is worth
//! keeping moves to `fuzz/corpus/streams`, which the tests replay without a fuzzer.

#![no_main]

#[path = "../../tests/support/any.rs"]
mod any;
#[path = "../../tests/support/mod.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| any::streams(bytes));
