//! Entity tags, and lists of them (RFC 9110 §8.8.3).

use std::fmt;

use sha2::{Digest as _, Sha256};

/// A version of something, named: two representations of one resource with the same strong tag are the
/// same, byte for byte; with the same weak one they are as good as the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    weak: bool,
    opaque: String,
}

impl Tag {
    // ANCHOR: of
    /// A tag made of bytes: of the content itself, or of what changes with it. It is the beginning of a
    /// hash: nobody can tell the bytes from it, and among fewer than thousands of millions of versions it
    /// is unlikely that two have the same.
    #[must_use]
    pub fn of_bytes(bytes: &[u8], weak: bool) -> Self {
        let hash = Sha256::digest(bytes);
        let opaque = hash.iter().take(8).map(|byte| format!("{byte:02x}"));
        Self {
            weak,
            opaque: opaque.collect(),
        }
    }
    // ANCHOR_END: of

    /// Whether the bytes may have changed without a change of the tag.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        self.weak
    }

    /// What stands between the quotes: 16 hexadecimal digits.
    pub(crate) fn opaque(&self) -> &str {
        &self.opaque
    }

    #[cfg(test)]
    pub(crate) fn literal(opaque: &str, weak: bool) -> Self {
        let opaque = opaque.to_owned();
        Self { weak, opaque }
    }

    fn as_listed(&self) -> Listed<'_> {
        Listed {
            weak: self.weak,
            opaque: self.opaque.as_bytes(),
        }
    }
}

/// As it stands in a field.
impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weak = if self.weak { "W/" } else { "" };
        write!(f, "{weak}\"{}\"", self.opaque)
    }
}

// ANCHOR: compare
/// How two tags are compared (RFC 9110 §8.8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// For If-Match and If-Range, where bytes must be the same: weak tags match nothing.
    Strong,
    /// For If-None-Match, where what is as good as the same will do.
    Weak,
}

/// A tag in a field that somebody has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listed<'a> {
    weak: bool,
    opaque: &'a [u8],
}

impl Listed<'_> {
    fn matches(self, other: Self, by: Comparison) -> bool {
        let strong = !self.weak && !other.weak;
        self.opaque == other.opaque && (strong || by == Comparison::Weak)
    }
}
// ANCHOR_END: compare

/// Whether a single tag, as in If-Range, matches.
#[must_use]
pub fn is(value: &[u8], tag: &Tag, by: Comparison) -> bool {
    read(value).is_some_and(|(listed, rest)| rest.is_empty() && listed.matches(tag.as_listed(), by))
}

/// What a list of tags says of one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// It is in the list; or the list is `*`, and there is one.
    There,
    /// It is not.
    Missing,
    /// It is no list of tags.
    Malformed,
}

/// Looks for the tag of what there is now, if there is something, in the value of If-Match or
/// If-None-Match.
#[must_use]
pub fn find(value: &[u8], current: Option<&Tag>, by: Comparison) -> Listing {
    let mut rest = value.trim_ascii();
    let mut found = rest == b"*" && current.is_some();
    if rest == b"*" {
        rest = b"";
    }
    let is_separator = |byte: &u8| matches!(byte, b' ' | b'\t' | b',');
    while let Some(at) = rest.iter().position(|byte| !is_separator(byte)) {
        let Some((listed, after)) = read(&rest[at..]) else {
            return Listing::Malformed;
        };
        rest = after.trim_ascii_start();
        if !rest.is_empty() && rest[0] != b',' {
            return Listing::Malformed;
        }
        found |= current.is_some_and(|tag| listed.matches(tag.as_listed(), by));
    }
    match found {
        true => Listing::There,
        false => Listing::Missing,
    }
}

/// The tag at the beginning, and what follows it. A comma may stand in a tag; a quote may not, and there
/// are no escapes.
fn read(bytes: &[u8]) -> Option<(Listed<'_>, &[u8])> {
    let (weak, quoted) = match bytes.strip_prefix(b"W/") {
        Some(quoted) => (true, quoted),
        None => (false, bytes),
    };
    let rest = quoted.strip_prefix(b"\"")?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    let opaque = &rest[..end];
    let in_tag = |byte: &u8| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..=0xff);
    opaque
        .iter()
        .all(in_tag)
        .then_some((Listed { weak, opaque }, &rest[end + 1..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tag(opaque: &str) -> Tag {
        Tag::literal(opaque, false)
    }

    fn weak(opaque: &str) -> Tag {
        Tag::literal(opaque, true)
    }

    #[test]
    fn tags_are_compared_as_rfc_9110_table_3_says() {
        for (value, current, strong_match, weak_match) in [
            ("W/\"1\"", weak("1"), false, true),
            ("W/\"1\"", weak("2"), false, false),
            ("W/\"1\"", tag("1"), false, true),
            ("\"1\"", weak("1"), false, true),
            ("\"1\"", tag("1"), true, true),
        ] {
            let value = value.as_bytes();
            assert_eq!(is(value, &current, Comparison::Strong), strong_match);
            assert_eq!(is(value, &current, Comparison::Weak), weak_match);
        }
    }

    #[test]
    fn a_tag_is_found_in_the_rfcs_lists() {
        use Comparison::{Strong, Weak};
        use Listing::{Missing, There};
        for (value, opaque, by, expected) in [
            ("\"xyzzy\"", "xyzzy", Strong, There),
            (
                "\"xyzzy\", \"r2d2xxxx\", \"c3piozzzz\"",
                "c3piozzzz",
                Strong,
                There,
            ),
            (
                "\"xyzzy\", \"r2d2xxxx\", \"c3piozzzz\"",
                "c3po",
                Strong,
                Missing,
            ),
            (
                "W/\"xyzzy\", W/\"r2d2xxxx\", W/\"c3piozzzz\"",
                "r2d2xxxx",
                Weak,
                There,
            ),
            (
                "W/\"xyzzy\", W/\"r2d2xxxx\", W/\"c3piozzzz\"",
                "r2d2xxxx",
                Strong,
                Missing,
            ),
            // What else the grammar allows.
            ("\"a,b\",\"c\"", "c", Strong, There),
            ("\"a,c\",\"b\"", "c", Strong, Missing),
            (" ,, \"a\"\t,,\"b\" ,", "b", Strong, There),
            ("\"\"", "a", Strong, Missing),
            ("", "a", Strong, Missing),
        ] {
            assert_eq!(
                find(value.as_bytes(), Some(&tag(opaque)), by),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn a_star_matches_whatever_there_is() {
        assert_eq!(
            find(b"*", Some(&weak("1")), Comparison::Strong),
            Listing::There
        );
        assert_eq!(find(b"*", None, Comparison::Strong), Listing::Missing);
        assert_eq!(find(b"\"1\"", None, Comparison::Weak), Listing::Missing);
    }

    #[test]
    fn what_is_no_list_is_malformed() {
        for value in [
            "xyzzy",
            "\"xyzzy",
            "w/\"xyzzy\"",
            "W/ \"xyzzy\"",
            "\"a\" \"b\"",
            "\"a\"\"b\"",
            "\"a b\"",
            "*, \"a\"",
            "\"a\", *",
            "*, *",
        ] {
            let found = find(value.as_bytes(), Some(&tag("a")), Comparison::Weak);
            assert_eq!(found, Listing::Malformed, "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_list_or_none(value: Vec<u8>) {
            let _ = find(&value, Some(&tag("a")), Comparison::Weak);
        }

        #[test]
        fn each_member_of_a_list_is_found_and_nothing_else(
            opaques in proptest::collection::vec("[a-z0-9-]{0,4}", 0..6),
            wanted in "[a-z0-9-]{0,4}",
        ) {
            let list: Vec<String> = opaques.iter().map(|each| tag(each).to_string()).collect();
            let list = list.join(", ");
            let expected = if opaques.contains(&wanted) { Listing::There } else { Listing::Missing };
            prop_assert_eq!(find(list.as_bytes(), Some(&tag(&wanted)), Comparison::Strong), expected);
        }
    }
}
