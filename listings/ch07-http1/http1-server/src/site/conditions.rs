//! Requests that depend on what there is (RFC 9110 §13).

use http1::Method;

use super::date;
use super::range::{self, Selection};
use super::tag::{self, Comparison, Listing, Tag};

/// How long after its last change a version can still be one of several that bear the same time, in
/// seconds: FAT counts in steps of two, and most others much finer. Until then its date is none to rely
/// on, and a tag that is made of times is weak.
pub const SETTLES_AFTER: i64 = 2;

/// What tells one version of a resource from another.
#[derive(Debug, Clone, Copy)]
pub struct Validators<'a> {
    /// Its entity tag.
    pub tag: &'a Tag,
    /// The second of its last change, counted from 1970; not every resource knows it.
    pub modified: Option<i64>,
}

/// What the preconditions of a request say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// To do what was asked for.
    Perform,
    /// That the client has what it asks for: 304.
    NotModified,
    /// That things are not as the client thinks: 412.
    Failed,
}

/// The fields of a request that make it conditional or ask for a part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    if_match: Option<Vec<u8>>,
    if_unmodified_since: Option<Vec<u8>>,
    if_none_match: Option<Vec<u8>>,
    if_modified_since: Option<Vec<u8>>,
    if_range: Option<Vec<u8>>,
    range: Option<Vec<u8>>,
}

impl Conditions {
    /// Takes note of a field, if it is one of these. Several of one name are one list (RFC 9110 §5.3);
    /// where there may be no list, it will not be understood.
    pub fn note(&mut self, name: &[u8], value: &[u8]) {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        let noted = match () {
            () if is("if-match") => &mut self.if_match,
            () if is("if-unmodified-since") => &mut self.if_unmodified_since,
            () if is("if-none-match") => &mut self.if_none_match,
            () if is("if-modified-since") => &mut self.if_modified_since,
            () if is("if-range") => &mut self.if_range,
            () if is("range") => &mut self.range,
            () => return,
        };
        match noted {
            Some(values) => {
                values.extend_from_slice(b", ");
                values.extend_from_slice(value);
            }
            None => *noted = Some(value.to_vec()),
        }
    }

    /// Whether there is a precondition at all.
    #[must_use]
    pub fn has_preconditions(&self) -> bool {
        self.if_match.is_some()
            || self.if_unmodified_since.is_some()
            || self.if_none_match.is_some()
            || self.if_modified_since.is_some()
    }

    /// Whether it asks for a part of exactly one version, of which it has another part already.
    #[must_use]
    pub fn has_if_range(&self) -> bool {
        self.if_range.is_some()
    }

    // ANCHOR: evaluate
    /// Evaluates the preconditions in the order that all servers have in common (RFC 9110 §13.2.2).
    /// `current` is what there is, if there is something; `now` is in seconds from 1970.
    ///
    /// Do so behind all other checks, and right before doing what was asked for: a request that would
    /// fail anyhow fails for its own reason (RFC 9110 §13.2.1).
    #[must_use]
    pub fn evaluate(
        &self,
        method: Method<'_>,
        current: Option<Validators<'_>>,
        now: i64,
    ) -> Verdict {
        let tag = current.map(|current| current.tag);
        let modified = current.and_then(|current| current.modified);
        let reads = matches!(method, Method::Get | Method::Head);
        // A date that is none is ignored, as is any for something that has none.
        let compared = |value: &Option<Vec<u8>>| {
            let then = date::parse(value.as_ref()?, now)?;
            Some(modified? <= then)
        };

        // 1 and 2: «only if it is still what I have seen».
        if let Some(value) = &self.if_match {
            if tag::find(value, tag, Comparison::Strong) != Listing::There {
                return Verdict::Failed;
            }
        } else if compared(&self.if_unmodified_since) == Some(false) {
            return Verdict::Failed;
        }

        // 3 and 4: «only if I have not got it yet».
        if let Some(value) = &self.if_none_match {
            match tag::find(value, tag, Comparison::Weak) {
                Listing::Missing => {}
                // Who reads gets all of it; who writes has wanted to be careful.
                Listing::Malformed if reads => {}
                Listing::There if reads => return Verdict::NotModified,
                Listing::There | Listing::Malformed => return Verdict::Failed,
            }
        } else if reads && compared(&self.if_modified_since) == Some(true) {
            return Verdict::NotModified;
        }
        Verdict::Perform
    }
    // ANCHOR_END: evaluate

    // ANCHOR: range
    /// Says what is to be sent of a representation which is `len` bytes long, once its preconditions
    /// have held: step 5 of RFC 9110 §13.2.2, and §14.2.
    #[must_use]
    pub fn select(
        &self,
        method: Method<'_>,
        current: Validators<'_>,
        len: u64,
        now: i64,
    ) -> Selection {
        match &self.range {
            Some(range) if method == Method::Get && self.is_in_range(current, now) => {
                range::select(range, len)
            }
            _ => Selection::Whole,
        }
    }

    /// Whether If-Range, if there is one, names exactly the version that there is. A client may send a
    /// date only if it has seen a Date that was a second later (RFC 9110 §8.8.2.2); of what has changed
    /// in this moment, no date says which version is meant.
    fn is_in_range(&self, current: Validators<'_>, now: i64) -> bool {
        let Some(value) = &self.if_range else {
            return true;
        };
        match value.iter().take(3).any(|byte| *byte == b'"') {
            true => tag::is(value, current.tag, Comparison::Strong),
            false => current.modified.is_some_and(|modified| {
                date::parse(value, now) == Some(modified) && modified + SETTLES_AFTER <= now
            }),
        }
    }
    // ANCHOR_END: range
}

#[cfg(test)]
mod tests {
    use super::super::range::Part;
    use super::*;

    /// RFC 9110's own moment, and two that are a minute before and behind it.
    const THEN: i64 = 784_111_777;
    const EARLIER: &str = "Sun, 06 Nov 1994 08:48:37 GMT";
    const AT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:50:37 GMT";
    const NOW: i64 = THEN + 3600;

    fn conditions(fields: &[(&str, &str)]) -> Conditions {
        let mut conditions = Conditions::default();
        for (name, value) in fields {
            conditions.note(name.as_bytes(), value.as_bytes());
        }
        conditions
    }

    fn verdict(method: Method<'_>, fields: &[(&str, &str)]) -> Verdict {
        let tag = Tag::literal("now", false);
        let current = Validators {
            tag: &tag,
            modified: Some(THEN),
        };
        conditions(fields).evaluate(method, Some(current), NOW)
    }

    fn of_nothing(method: Method<'_>, fields: &[(&str, &str)]) -> Verdict {
        conditions(fields).evaluate(method, None, NOW)
    }

    #[test]
    fn each_precondition_alone_says_what_its_section_says() {
        use Method::{Get, Head, Put};
        use Verdict::{Failed, NotModified, Perform};
        for (name, value, get, put) in [
            ("If-Match", "\"now\"", Perform, Perform),
            ("If-Match", "\"then\"", Failed, Failed),
            ("If-Match", "W/\"now\"", Failed, Failed),
            ("If-Match", "*", Perform, Perform),
            ("If-Match", "now", Failed, Failed),
            ("If-None-Match", "\"now\"", NotModified, Failed),
            ("If-None-Match", "W/\"now\"", NotModified, Failed),
            ("If-None-Match", "\"then\"", Perform, Perform),
            ("If-None-Match", "*", NotModified, Failed),
            ("If-None-Match", "now", Perform, Failed),
            ("If-Modified-Since", EARLIER, Perform, Perform),
            ("If-Modified-Since", AT, NotModified, Perform),
            ("If-Modified-Since", LATER, NotModified, Perform),
            ("If-Modified-Since", "yesterday", Perform, Perform),
            ("If-Unmodified-Since", EARLIER, Failed, Failed),
            ("If-Unmodified-Since", AT, Perform, Perform),
            ("If-Unmodified-Since", LATER, Perform, Perform),
            ("If-Unmodified-Since", "yesterday", Perform, Perform),
        ] {
            let fields = [(name, value)];
            assert_eq!(verdict(Get, &fields), get, "GET {name}: {value}");
            assert_eq!(verdict(Head, &fields), get, "HEAD {name}: {value}");
            assert_eq!(verdict(Put, &fields), put, "PUT {name}: {value}");
        }
    }

    #[test]
    fn tags_go_before_dates() {
        use Verdict::{Failed, NotModified, Perform};
        let get = |fields: &[(&str, &str)]| verdict(Method::Get, fields);
        let tag_says_yes = [("If-Match", "\"now\""), ("If-Unmodified-Since", EARLIER)];
        assert_eq!(get(&tag_says_yes), Perform);
        let tag_says_new = [("If-None-Match", "\"then\""), ("If-Modified-Since", LATER)];
        assert_eq!(get(&tag_says_new), Perform);
        let tag_says_old = [("If-None-Match", "\"now\""), ("If-Modified-Since", EARLIER)];
        assert_eq!(get(&tag_says_old), NotModified);
        // What guards against loss goes before what spares a transfer.
        let both = [("If-None-Match", "\"now\""), ("If-Match", "\"then\"")];
        assert_eq!(get(&both), Failed);
        let both = [("If-None-Match", "\"now\""), ("If-Match", "\"now\"")];
        assert_eq!(get(&both), NotModified);
    }

    #[test]
    fn where_there_is_nothing_only_if_match_fails() {
        assert_eq!(
            of_nothing(Method::Put, &[("If-Match", "*")]),
            Verdict::Failed
        );
        assert_eq!(
            of_nothing(Method::Put, &[("If-Match", "\"now\"")]),
            Verdict::Failed
        );
        assert_eq!(
            of_nothing(Method::Put, &[("If-None-Match", "*")]),
            Verdict::Perform
        );
        assert_eq!(
            of_nothing(Method::Put, &[("If-Unmodified-Since", EARLIER)]),
            Verdict::Perform
        );
    }

    #[test]
    fn several_lines_of_tags_are_one_list_and_two_dates_are_none() {
        let tags = [("If-Match", "\"then\""), ("if-match", "\"now\"")];
        assert_eq!(verdict(Method::Put, &tags), Verdict::Perform);
        let dates = [("If-Modified-Since", LATER), ("If-Modified-Since", LATER)];
        assert_eq!(verdict(Method::Get, &dates), Verdict::Perform);
    }

    #[test]
    fn if_range_selects_a_part_of_exactly_that_version() {
        let select = |weak, modified, now, fields: &[(&str, &str)]| {
            let tag = Tag::literal("now", weak);
            let current = Validators {
                tag: &tag,
                modified,
            };
            conditions(fields).select(Method::Get, current, 100, now)
        };
        let range = ("Range", "bytes=0-9");
        let part = Selection::Parts(vec![Part { first: 0, last: 9 }]);
        for (if_range, expected) in [
            ("\"now\"", &part),
            ("\"then\"", &Selection::Whole),
            ("W/\"now\"", &Selection::Whole),
            ("\"then\", \"now\"", &Selection::Whole),
            (AT, &part),
            (LATER, &Selection::Whole),
            (EARLIER, &Selection::Whole),
            ("yesterday", &Selection::Whole),
        ] {
            let fields = [range, ("If-Range", if_range)];
            assert_eq!(
                select(false, Some(THEN), NOW, &fields),
                *expected,
                "{if_range}"
            );
        }
        let (by_tag, by_date) = (("If-Range", "\"now\""), ("If-Range", AT));
        // A weak tag is no promise about bytes.
        assert_eq!(
            select(true, Some(THEN), NOW, &[range, by_tag]),
            Selection::Whole
        );
        // Of this second, no date is.
        assert_eq!(
            select(false, Some(THEN), THEN, &[range, by_date]),
            Selection::Whole
        );
        assert_eq!(
            select(false, None, NOW, &[range, by_date]),
            Selection::Whole
        );
        assert_eq!(select(false, Some(THEN), NOW, &[by_tag]), Selection::Whole);
    }

    #[test]
    fn only_get_knows_ranges() {
        let tag = Tag::literal("now", false);
        let current = Validators {
            tag: &tag,
            modified: None,
        };
        for method in [Method::Head, Method::Post, Method::Put] {
            let selection = conditions(&[("Range", "bytes=0-9")]).select(method, current, 100, NOW);
            assert_eq!(selection, Selection::Whole, "{method}");
        }
    }
}
