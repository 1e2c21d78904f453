//! Any bytes as a date, a list of tags, a range and a path.
//!
//! ```text
//! mkdir -p target/fuzz && cargo +nightly fuzz run fields target/fuzz fuzz/corpus/fields
//! ```
//!
//! in this package's folder (`cargo install cargo-fuzz`).

#![no_main]

use http1::Date;
use http1_server::site::date;
use http1_server::site::path::Path;
use http1_server::site::range::{self, MAX_RANGES, Selection};
use http1_server::site::tag::{self, Comparison, Listing, Tag};

/// 2026.
const NOW: i64 = 1_795_000_000;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(seconds) = date::parse(bytes, NOW) {
        if let Ok(seconds) = u64::try_from(seconds) {
            let written = Date::from_unix(seconds);
            assert_eq!(
                date::parse(written.as_bytes(), NOW),
                i64::try_from(seconds).ok()
            );
        }
    }

    let current = Tag::of_bytes(b"now", false);
    let strong = tag::find(bytes, Some(&current), Comparison::Strong);
    let weak = tag::find(bytes, Some(&current), Comparison::Weak);
    // What is the same is as good as the same.
    assert!(strong != Listing::There || weak == Listing::There);
    assert_eq!(strong == Listing::Malformed, weak == Listing::Malformed);
    if tag::is(bytes, &current, Comparison::Strong) {
        assert_eq!(strong, Listing::There);
    }
    assert_ne!(tag::find(bytes, None, Comparison::Weak), Listing::There);

    for len in [0, 1, 1234, u64::MAX] {
        if let Selection::Parts(parts) = range::select(bytes, len) {
            assert!(!parts.is_empty() && parts.len() <= MAX_RANGES);
            let mut all: Vec<_> = parts.iter().map(|part| (part.first, part.last)).collect();
            all.sort_unstable();
            assert!(all.iter().all(|(first, last)| first <= last && *last < len));
            assert!(all.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }

    if let Ok(path) = Path::parse(bytes) {
        for segment in &path.segments {
            assert!(!segment.is_empty() && !segment.starts_with('.'));
            assert!(!segment.contains(['/', '\\', '\0']));
        }
    }
});
