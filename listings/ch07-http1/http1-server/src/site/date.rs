//! HTTP's dates, read (RFC 9110 §5.6.7). They are written by [`http1::Date`].

/// From Monday on, as 1970 began on a Thursday, which is number 3.
const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// How many letters of a day's name stand in two of the three formats.
const SHORT: usize = 3;

/// The mean length of a year, in seconds.
const YEAR: i64 = 31_556_952;

// ANCHOR: parse
/// The second that a date names, counted from 1970, in whichever of the three formats that a recipient
/// must understand. `None` if it is none, or names a day that there was not.
///
/// `now`, counted alike, tells the century of a year that is written with two digits: such a date is
/// never more than 50 years ahead.
#[must_use]
pub fn parse(text: &[u8], now: i64) -> Option<i64> {
    fixed(text)
        .or_else(|| rfc850(text, now))
        .or_else(|| asctime(text))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the only format that is still written.
fn fixed(text: &[u8]) -> Option<i64> {
    let mut text = Text(text);
    let weekday = text.day(SHORT)?;
    text.literal(", ")?;
    let day = text.digits(2)?;
    text.literal(" ")?;
    let month = text.month()?;
    text.literal(" ")?;
    let year = text.digits(4)?;
    text.literal(" ")?;
    let second = text.time()?;
    text.literal(" GMT")?;
    text.end(moment(weekday, (year, month, day), second)?)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850(text: &[u8], now: i64) -> Option<i64> {
    let mut text = Text(text);
    let weekday = text.day(usize::MAX)?;
    text.literal(", ")?;
    let day = text.digits(2)?;
    text.literal("-")?;
    let month = text.month()?;
    text.literal("-")?;
    let in_century = text.digits(2)?;
    text.literal(" ")?;
    let second = text.time()?;
    text.literal(" GMT")?;
    // At the turn of a year it may be the one next to it, which is little beside fifty.
    let this_year = 1970 + now.div_euclid(YEAR);
    let mut year = this_year - this_year.rem_euclid(100) + in_century;
    if year > this_year + 50 {
        year -= 100;
    }
    text.end(moment(weekday, (year, month, day), second)?)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &[u8]) -> Option<i64> {
    let mut text = Text(text);
    let weekday = text.day(SHORT)?;
    text.literal(" ")?;
    let month = text.month()?;
    text.literal(" ")?;
    let day = match text.literal(" ") {
        Some(()) => text.digits(1)?,
        None => text.digits(2)?,
    };
    text.literal(" ")?;
    let second = text.time()?;
    text.literal(" ")?;
    let year = text.digits(4)?;
    text.end(moment(weekday, (year, month, day), second)?)
}
// ANCHOR_END: parse

/// What is left of a date.
struct Text<'a>(&'a [u8]);

impl Text<'_> {
    fn literal(&mut self, literal: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(literal.as_bytes())?;
        Some(())
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let mut number = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return None;
            }
            number = number * 10 + i64::from(digit - b'0');
        }
        self.0 = rest;
        Some(number)
    }

    /// A name of a day, cut off after so many letters: its number from Monday on.
    fn day(&mut self, letters: usize) -> Option<i64> {
        self.one_of(&DAYS.map(|day| &day[..letters.min(day.len())]))
    }

    fn month(&mut self) -> Option<i64> {
        self.one_of(&MONTHS).map(|month| month + 1)
    }

    fn one_of(&mut self, words: &[&str]) -> Option<i64> {
        let at = words
            .iter()
            .position(|word| self.0.starts_with(word.as_bytes()))?;
        self.literal(words[at])?;
        i64::try_from(at).ok()
    }

    /// `08:49:37`, as seconds. There may be a second 60 at a day's end, when one is inserted.
    fn time(&mut self) -> Option<i64> {
        let hour = self.digits(2)?;
        self.literal(":")?;
        let minute = self.digits(2)?;
        self.literal(":")?;
        let second = self.digits(2)?;
        (hour < 24 && minute < 60 && second <= 60).then_some((hour * 60 + minute) * 60 + second)
    }

    /// The date, if nothing follows it.
    fn end(self, moment: i64) -> Option<i64> {
        self.0.is_empty().then_some(moment)
    }
}

/// The moment, if there was that day and it was that day of the week.
fn moment(weekday: i64, (year, month, day): (i64, i64, i64), second: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    // Howard Hinnant's `days_from_civil`: the year begins in March, so that the leap day is its last.
    let (from_march, year_from_march) = match month {
        1 | 2 => (month + 9, year - 1),
        _ => (month - 3, year),
    };
    let (era, of_era) = (
        year_from_march.div_euclid(400),
        year_from_march.rem_euclid(400),
    );
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    let day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    ((1..=days_in_month).contains(&day) && (days + 3).rem_euclid(7) == weekday)
        .then_some(days * 86_400 + second)
}

#[cfg(test)]
mod tests {
    use http1::Date;
    use proptest::prelude::*;

    use super::*;

    /// 2026.
    const NOW: i64 = 1_800_000_000 - 1_000_000;

    #[test]
    fn all_three_formats_name_the_moment_of_the_rfcs_examples() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text.as_bytes(), NOW), Some(784_111_777), "{text}");
        }
    }

    #[test]
    fn a_year_of_two_digits_is_at_most_fifty_years_ahead() {
        // 6 November 2070 is a Thursday; 1994's was a Sunday, and 2094's would be a Saturday.
        assert!(parse(b"Thursday, 06-Nov-70 08:49:37 GMT", NOW).is_some_and(|then| then > NOW));
        assert_eq!(parse(b"Saturday, 06-Nov-94 08:49:37 GMT", NOW), None);
        // In 2050, on the other hand, 94 is 44 years ahead.
        let later = NOW + 24 * YEAR;
        assert!(parse(b"Saturday, 06-Nov-94 08:49:37 GMT", later).is_some_and(|then| then > later));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "now",
            "784111777",
            "Mon, 06 Nov 1994 08:49:37 GMT", // it was a Sunday
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "sun, 06 nov 1994 08:49:37 gmt", // case matters
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:00 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
            "Wed, 29 Feb 1995 08:49:37 GMT",
            "Mon, 00 Jan 1996 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "Sun, +6 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse(text.as_bytes(), NOW), None, "{text}");
        }
    }

    #[test]
    fn a_second_that_was_inserted_is_the_next_minutes_first() {
        let inserted = parse(b"Sat, 31 Dec 2016 23:59:60 GMT", NOW);
        assert_eq!(inserted, parse(b"Sun, 01 Jan 2017 00:00:00 GMT", NOW));
        assert!(inserted.is_some());
    }

    #[test]
    fn dates_before_1970_are_dates() {
        assert_eq!(parse(b"Wed, 31 Dec 1969 23:59:59 GMT", NOW), Some(-1));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in 0_u64..=253_402_300_799) {
            let written = Date::from_unix(seconds);
            prop_assert_eq!(parse(written.as_bytes(), NOW), i64::try_from(seconds).ok());
        }

        #[test]
        fn any_bytes_are_a_date_or_none(bytes: Vec<u8>, now: i32) {
            let _ = parse(&bytes, now.into());
        }

        /// Dates with one byte changed are the interesting ones.
        #[test]
        fn a_changed_byte_does_no_harm(at in 0_usize..29, byte: u8, format in 0_usize..3) {
            let mut text = [
                "Sun, 06 Nov 1994 08:49:37 GMT",
                "Sunday, 06-Nov-94 08:49:37 GMT",
                "Sun Nov  6 08:49:37 1994",
            ][format].as_bytes().to_vec();
            let at = at % text.len();
            text[at] = byte;
            if let Some(seconds) = parse(&text, NOW) {
                prop_assert!((-70_000_000_000..=253_402_300_800).contains(&seconds));
            }
        }
    }
}
