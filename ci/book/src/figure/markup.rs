//! A writer of markup that cannot forget to escape or to close.

use std::fmt::{Display, Write as _};

/// Markup as it grows: the text so far, and the elements that are still open.
#[derive(Debug, Default)]
pub struct Markup {
    text: String,
    open: Vec<&'static str>,
}

/// The attributes of one element: names of ours, values from anywhere.
pub type Attributes<'a> = &'a [(&'static str, &'a dyn Display)];

impl Markup {
    /// Markup without any element.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens an element; what follows stands inside it until [`Markup::close`].
    pub fn open(&mut self, name: &'static str, attributes: Attributes) -> &mut Self {
        self.text.push('<');
        self.text.push_str(name);
        for (attribute, value) in attributes {
            self.text.push(' ');
            self.text.push_str(attribute);
            self.text.push_str("=\"");
            escape_into(&mut self.text, &value.to_string());
            self.text.push('"');
        }
        self.text.push('>');
        self.open.push(name);
        self
    }

    /// Closes the innermost open element.
    pub fn close(&mut self) -> &mut Self {
        if let Some(name) = self.open.pop() {
            self.text.push_str("</");
            self.text.push_str(name);
            self.text.push('>');
        }
        self
    }

    /// Writes text, escaped.
    pub fn text(&mut self, text: &str) -> &mut Self {
        escape_into(&mut self.text, text);
        self
    }

    /// Writes an element that holds nothing but `text`.
    ///
    /// An empty one is closed by an end tag as well: `<line />` is an element's end to an SVG
    /// parser only.
    pub fn element(&mut self, name: &'static str, attributes: Attributes, text: &str) -> &mut Self {
        self.open(name, attributes).text(text).close()
    }

    /// Writes markup that the book itself made, such as a caption. Only its line breaks are
    /// replaced, since an empty line would end the figure for a Markdown parser.
    pub fn trusted(&mut self, html: &str) -> &mut Self {
        self.text.extend(
            html.chars()
                .map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c }),
        );
        self
    }

    /// The markup, with every element closed.
    #[must_use]
    pub fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.text
    }
}

/// Escapes for element content and for attribute values in double quotes alike. Line breaks become
/// spaces; other control characters, which HTML forbids, are dropped.
fn escape_into(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\r' | '\t' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
}

/// A length in CSS pixels or a percentage's number, to a tenth: the same text on every machine.
#[derive(Debug, Clone, Copy)]
pub struct Tenths(pub f64);

impl Display for Tenths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tenths = (self.0 * 10.0).round() / 10.0;
        // Neither "-0" nor "NaN" is a length.
        let tenths = if tenths.is_finite() && tenths != 0.0 {
            tenths
        } else {
            0.0
        };
        write!(f, "{tenths}")
    }
}

/// A percentage of the drawing's width.
#[derive(Debug, Clone, Copy)]
pub struct Percent(pub f64);

impl Display for Percent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hundredths = (self.0 * 10_000.0).round() / 100.0;
        let hundredths = if hundredths.is_finite() && hundredths != 0.0 {
            hundredths
        } else {
            0.0
        };
        write!(f, "{hundredths}%")
    }
}

/// The text of a piece of HTML, still escaped: its tags are left out.
#[must_use]
pub fn without_tags(html: &str) -> String {
    let mut text = String::new();
    let mut in_tag = false;
    for c in html.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => in_tag = false,
            '>' => text.push_str("&gt;"),
            c if !in_tag => text.push(c),
            _ => {}
        }
    }
    text
}

/// A number as readers of both languages write it: `12,345.6`.
#[must_use]
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e15).contains(&size) {
        return format!("{value:.3e}");
    }
    let decimals = if size >= 1_000.0 {
        1
    } else if size >= 1.0 {
        3
    } else {
        6
    };
    let mut digits = format!("{value:.decimals$}");
    if digits.contains('.') {
        digits.truncate(digits.trim_end_matches('0').trim_end_matches('.').len());
    }
    if digits == "-0" {
        digits.remove(0);
    }
    grouped(&digits)
}

/// The same decimal number with thousands separators: `12345.6` as `12,345.6`. What is no decimal
/// number stays as it is.
#[must_use]
pub fn grouped(digits: &str) -> String {
    let unsigned = digits.trim_start_matches(['-', '+', '−']);
    let (whole, rest) = match unsigned.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (unsigned, None),
    };
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !rest.is_none_or(plain) {
        return digits.to_owned();
    }
    let mut out = String::new();
    if digits.starts_with(['-', '−']) {
        out.push('−');
    } else if digits.starts_with('+') {
        out.push('+');
    }
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = rest {
        let _ = write!(out, ".{fraction}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text_in_content_and_in_attributes() {
        let mut markup = Markup::new();
        markup
            .open("p", &[("title", &"\"><script>'&")])
            .text("</p><script>\u{0}a\n\nb");
        assert_eq!(
            markup.finish(),
            "<p title=\"&quot;&gt;&lt;script&gt;&#39;&amp;\">&lt;/p&gt;&lt;script&gt;a  b</p>"
        );
    }

    #[test]
    fn what_is_open_is_closed_in_the_end_and_never_more() {
        let mut markup = Markup::new();
        markup.open("a", &[]).open("b", &[]).close().close().close();
        markup.open("c", &[]);
        assert_eq!(markup.finish(), "<a><b></b></a><c></c>");
    }

    #[test]
    fn numbers_get_thousands_separators_and_lose_idle_zeros() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (0.1 + 0.2, "0.3"),
            (999.0, "999"),
            (1_000.0, "1,000"),
            (1_234_567.89, "1,234,567.9"),
            (-12_345.0, "−12,345"),
            (2.5e20, "2.500e20"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!(grouped("1048576"), "1,048,576");
        assert_eq!(grouped("65 535"), "65 535");
        assert_eq!(grouped("1.2.3"), "1.2.3");
        assert_eq!(grouped(""), "");
    }

    #[test]
    fn lengths_are_short_and_always_numbers() {
        assert_eq!(Tenths(12.349_9).to_string(), "12.3");
        assert_eq!(Tenths(-0.01).to_string(), "0");
        assert_eq!(Tenths(f64::NAN).to_string(), "0");
        assert_eq!(Percent(1.0 / 3.0).to_string(), "33.33%");
        assert_eq!(Percent(f64::INFINITY).to_string(), "0%");
    }

    #[test]
    fn tags_of_a_caption_do_not_reach_its_plain_text() {
        assert_eq!(
            without_tags("a <code class=\"x\">b</code> &lt; c > d"),
            "a b &lt; c &gt; d"
        );
    }
}
