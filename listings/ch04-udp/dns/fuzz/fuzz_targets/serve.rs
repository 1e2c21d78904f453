//! Any bytes, as a query: all that `tests/support/served.rs` asks for must hold. The last bit of the
//! first byte says whether they came over TCP.
//!
//! ```text
//! mkdir -p target/serve && cargo +nightly fuzz run serve target/serve fuzz/corpus/serve
//! ```

#![no_main]

#[path = "../../tests/support/served.rs"]
mod served;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some((transport, query)) = bytes.split_first() {
        served::holds(query, transport & 1 == 1);
    }
});
