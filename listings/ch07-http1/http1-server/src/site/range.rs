//! Which bytes somebody wants (RFC 9110 §14).

/// How many ranges a request may name. Programs that show documents a page at a time name a few; from
/// here on the answer is the whole.
pub const MAX_RANGES: usize = 16;

/// How many ranges of a request may overlap others: what needs more of them is broken or means harm
/// (RFC 9110 §14.2).
const MAX_OVERLAPPING: usize = 2;

/// What a part of an answer costs beside its bytes, about (RFC 9110 §15.3.7.2): two ranges that are no
/// farther apart go as one.
const PART_OVERHEAD: u64 = 80;

/// What was asked for, before it is known how many bytes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spec {
    /// From a byte on, up to another one or to the end.
    From { first: u64, last: u64 },
    /// So many bytes, the last ones.
    Last(u64),
}

/// A part of something: both its first and its last byte belong to it, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The first byte's place.
    pub first: u64,
    /// The last byte's place.
    pub last: u64,
}

impl Part {
    /// How many bytes it has: one at least.
    #[must_use]
    pub fn count(self) -> u64 {
        self.last - self.first + 1
    }

    fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    fn is_near(self, other: Self) -> bool {
        self.first <= other.last.saturating_add(PART_OVERHEAD)
            && other.first <= self.last.saturating_add(PART_OVERHEAD)
    }
}

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All of it, as if no range had been asked for.
    Whole,
    /// These parts: at least one.
    Parts(Vec<Part>),
    /// None: there is nothing where the ranges point to (416).
    Unsatisfiable,
}

// ANCHOR: select
/// Reads the value of a Range field and says what it selects of something that is `len` bytes long.
///
/// A field that is not understood is ignored, as are one with too many ranges or overlapping ones, and
/// any that is about nothing.
#[must_use]
pub fn select(value: &[u8], len: u64) -> Selection {
    let Some(specs) = parse(value).filter(|_| len > 0) else {
        return Selection::Whole;
    };
    let parts: Vec<Part> = specs.into_iter().filter_map(|spec| of(spec, len)).collect();
    let overlaps_another = |at: &usize| {
        let mut others = parts.iter().enumerate().filter(|(other, _)| other != at);
        others.any(|(_, other)| parts[*at].overlaps(*other))
    };
    if parts.is_empty() {
        Selection::Unsatisfiable
    } else if (0..parts.len()).filter(overlaps_another).count() > MAX_OVERLAPPING {
        Selection::Whole
    } else {
        Selection::Parts(joined(parts))
    }
}

/// The range, if it points to something. A last byte beyond the end is the last that there is.
fn of(spec: Spec, len: u64) -> Option<Part> {
    match spec {
        Spec::From { first, last } => (first < len).then(|| Part {
            first,
            last: last.min(len - 1),
        }),
        Spec::Last(count) => (count > 0).then(|| Part {
            first: len.saturating_sub(count),
            last: len - 1,
        }),
    }
}

/// Joins parts that overlap or lie close together, and leaves the others in the order in which they
/// were asked for.
fn joined(parts: Vec<Part>) -> Vec<Part> {
    let mut apart: Vec<Part> = Vec::new();
    for mut part in parts {
        let mut place = apart.len(); // in the order of the request
        // What was far from both its neighbours may be near to what they have become.
        while let Some(at) = apart.iter().position(|other| part.is_near(*other)) {
            let other = apart.remove(at);
            part.first = part.first.min(other.first);
            part.last = part.last.max(other.last);
            place = place.min(at);
        }
        apart.insert(place, part);
    }
    apart
}
// ANCHOR_END: select

/// The ranges of a Range field, if its unit is bytes, each is one, and they are not too many.
fn parse(value: &[u8]) -> Option<Vec<Spec>> {
    let at = value.iter().position(|byte| *byte == b'=')?;
    let (unit, set) = (&value[..at], &value[at + 1..]);
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let mut specs = Vec::new();
    for member in set.split(|byte| *byte == b',') {
        let member = member.trim_ascii();
        if member.is_empty() {
            continue; // a list may have such members (RFC 9110 §5.6.1.2)
        }
        if specs.len() == MAX_RANGES {
            return None;
        }
        specs.push(spec(member)?);
    }
    (!specs.is_empty()).then_some(specs)
}

fn spec(member: &[u8]) -> Option<Spec> {
    let at = member.iter().position(|byte| *byte == b'-')?;
    let (first, last) = (&member[..at], &member[at + 1..]);
    if first.is_empty() {
        return number(last).map(Spec::Last);
    }
    let first = number(first)?;
    let last = match last {
        b"" => u64::MAX,
        last => number(last)?,
    };
    (first <= last).then_some(Spec::From { first, last })
}

/// A decimal number. One that is beyond all lengths means the greatest.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |number: u64, digit: &u8| {
        number
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    };
    Some(digits.iter().fold(0, add))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(ranges: &[(u64, u64)]) -> Selection {
        let part = |&(first, last): &(u64, u64)| Part { first, last };
        Selection::Parts(ranges.iter().map(part).collect())
    }

    #[test]
    fn the_rfcs_examples_select_what_it_says() {
        for (value, expected) in [
            ("bytes=0-499", &[(0, 499)][..]),
            ("bytes=500-999", &[(500, 999)]),
            ("bytes=-500", &[(9500, 9999)]),
            ("bytes=9500-", &[(9500, 9999)]),
            ("bytes=0-0,-1", &[(0, 0), (9999, 9999)]),
            (
                "bytes= 0-999, 4500-5499, -1000",
                &[(0, 999), (4500, 5499), (9000, 9999)],
            ),
            // «Other valid (but not canonical) specifications of the second 500 bytes».
            ("bytes=500-600,601-999", &[(500, 999)]),
            ("bytes=500-700,601-999", &[(500, 999)]),
        ] {
            assert_eq!(select(value.as_bytes(), 10_000), parts(expected), "{value}");
        }
    }

    #[test]
    fn a_range_ends_where_the_representation_ends() {
        assert_eq!(select(b"bytes=500-2000", 1234), parts(&[(500, 1233)]));
        assert_eq!(select(b"bytes=-5000", 1234), parts(&[(0, 1233)]));
        assert_eq!(
            select(b"bytes=1-99999999999999999999999999999999999999", 1234),
            parts(&[(1, 1233)])
        );
    }

    #[test]
    fn a_range_behind_the_end_is_unsatisfiable_unless_there_is_another() {
        for value in [
            "bytes=1234-",
            "bytes=5000-6000",
            "bytes=-0",
            "bytes=1234-,-0",
            "bytes=99999999999999999999-",
        ] {
            assert_eq!(
                select(value.as_bytes(), 1234),
                Selection::Unsatisfiable,
                "{value}"
            );
        }
        assert_eq!(select(b"bytes=5000-,0-9", 1234), parts(&[(0, 9)]));
    }

    #[test]
    fn what_is_not_understood_selects_the_whole() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=0",
            "bytes=5-4",
            "bytes=+1-2",
            "bytes=0x0-1",
            "bytes=0-1;2-3",
            "bytes=0-1, x",
            "bytes = 0-1",
            "bytes=0 - 1",
            "bytes=0-1, bytes=2-3",
            "lines=0-1",
            "bytes=--1",
        ] {
            assert_eq!(select(value.as_bytes(), 1234), Selection::Whole, "{value}");
        }
    }

    #[test]
    fn a_unit_is_known_in_any_case_and_empty_members_are_none() {
        assert_eq!(
            select(b"Bytes=,0-1,,\t-1 ,", 1234),
            parts(&[(0, 1), (1233, 1233)])
        );
    }

    #[test]
    fn of_nothing_there_is_only_the_whole() {
        for value in ["bytes=0-", "bytes=-1", "bytes=5-"] {
            assert_eq!(select(value.as_bytes(), 0), Selection::Whole);
        }
    }

    #[test]
    fn more_ranges_than_a_viewer_needs_or_many_that_overlap_select_the_whole() {
        let many = |count: u64| {
            let specs: Vec<String> = (0..count).map(|at| format!("{0}-{0}", at * 200)).collect();
            format!("bytes={}", specs.join(","))
        };
        let len = 1_000_000;
        let at_most = MAX_RANGES as u64;
        assert!(matches!(
            select(many(at_most).as_bytes(), len),
            Selection::Parts(parts) if parts.len() == MAX_RANGES
        ));
        assert_eq!(select(many(at_most + 1).as_bytes(), len), Selection::Whole);
        // «Apache Killer», CVE-2011-3192, asked for a thousand like these.
        assert_eq!(select(b"bytes=0-,5-0,5-1,5-2", len), Selection::Whole);
        assert_eq!(select(b"bytes=0-,5-7,5-8,5-9", len), Selection::Whole);
    }

    #[test]
    fn parts_keep_the_order_of_the_request_and_neighbours_are_joined() {
        assert_eq!(
            select(b"bytes=5000-5999,0-9", 10_000),
            parts(&[(5000, 5999), (0, 9)])
        );
        assert_eq!(
            select(b"bytes=0-99,150-199,5000-5099", 10_000),
            parts(&[(0, 199), (5000, 5099)])
        );
        // The third brings the first two together.
        assert_eq!(
            select(b"bytes=0-99,300-399,150-250", 10_000),
            parts(&[(0, 399)])
        );
    }

    proptest! {
        #[test]
        fn any_bytes_select_something(value: Vec<u8>, len: u64) {
            let _ = select(&value, len);
        }

        /// Byte by byte: what is sent is what was asked for, and little else.
        #[test]
        fn what_is_selected_holds_every_byte_that_was_asked_for(
            ranges in proptest::collection::vec((0_u64..3000, 0_u64..400), 1..8),
            len in 1_u64..3000,
        ) {
            let specs: Vec<String> = ranges
                .iter()
                .map(|(first, more)| format!("{first}-{}", first + more))
                .collect();
            let value = format!("bytes={}", specs.join(","));
            let asked = |at: u64| ranges.iter().any(|(first, more)| (*first..=first + more).contains(&at));
            match select(value.as_bytes(), len) {
                Selection::Whole => {}
                Selection::Unsatisfiable => prop_assert!(!(0..len).any(asked)),
                Selection::Parts(parts) => {
                    let sent = |at: u64| parts.iter().any(|part| (part.first..=part.last).contains(&at));
                    prop_assert!((0..len).all(|at| !asked(at) || sent(at)));
                    for (at, part) in parts.iter().enumerate() {
                        prop_assert!(part.first <= part.last && part.last < len);
                        prop_assert!(asked(part.first) && asked(part.last));
                        prop_assert!(parts[at + 1..].iter().all(|other| !part.is_near(*other)));
                    }
                }
            }
        }
    }
}
