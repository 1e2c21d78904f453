//! Any bytes, read as what happens to a lookup: all that `tests/support/answers.rs` asks for must
//! hold.
//!
//! ```text
//! mkdir -p target/fuzz && cargo +nightly fuzz run answers target/fuzz fuzz/corpus/answers
//! ```
//!
//! in this package's folder (`cargo install cargo-fuzz`). New finds go to `target/fuzz`; what is
//! worth keeping moves to `fuzz/corpus/answers`, which the proofs replay without a fuzzer.

#![no_main]

#[path = "../../tests/support/answers.rs"]
mod answers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| answers::hold(bytes));
