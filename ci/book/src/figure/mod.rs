//! Draws a record's figures: inline SVG for what is a drawing, HTML for what is text in columns.
//!
//! Both languages' figures come from one record; nothing here knows a word of either. A drawing is
//! as wide as the page lets it be while its text keeps its size: horizontal positions are
//! percentages, vertical ones and text are pixels. What needs more room than a phone has scrolls
//! inside its own container.

mod markup;
mod sequence;
mod series;
mod states;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod wire;

use std::collections::BTreeSet;

use markup::{Markup, without_tags};
use record::Figure;
use text::Words;

/// The width in CSS pixels that a figure has on the narrowest page that the book supports: 320 px
/// less the page's margins.
const NARROWEST: f64 = 288.0;

/// What a figure needs to know of the page it stands on.
pub struct Context<'a> {
    /// The figure's id, unique on the page: `fig-basics-ports-demultiplexing`.
    pub id: &'a str,
    /// The caption, as HTML.
    pub caption_html: &'a str,
    /// The page's language: `ko`.
    pub language: &'a str,
    /// The book's own words by key.
    pub words: &'a dyn Fn(&str) -> String,
    /// The translation of a record's text by its key, if there is one.
    pub labels: &'a dyn Fn(&str) -> Option<String>,
    /// Where the listing's source is to be read.
    pub source_url: &'a str,
    /// The listing's package name.
    pub listing: &'a str,
    /// Whether the figure was drawn by hand, before there is a run to record it.
    pub drawn: bool,
    /// Where and when the record was made.
    pub provenance: Option<&'a record::Provenance>,
}

impl Context<'_> {
    fn word(&self, key: &str) -> String {
        (self.words)(key)
    }

    /// The book's word under `key` with its `{count}` filled in.
    fn word_with(&self, key: &str, count: &str) -> String {
        self.word(key).replacen("{count}", count, 1)
    }

    fn label(&self, text: &str) -> Words {
        text::translate(text, self.language, self.labels)
    }

    /// An axis's or column's name with its unit: `size (bytes)`.
    fn label_with_unit(&self, label: &str, unit: &str) -> Words {
        let mut words = self.label(label);
        if !unit.is_empty() {
            let unit = self.label(unit);
            words.untranslated |= unit.untranslated;
            words.runs.extend(Words::plain(" (").runs);
            words.runs.extend(unit.runs);
            words.runs.extend(Words::plain(")").runs);
        }
        words
    }

    fn caption_id(&self) -> String {
        format!("{}-caption", self.id)
    }
}

/// Draws one figure: a `<figure>` element without line breaks.
#[must_use]
pub fn draw(figure: &Figure, context: &Context) -> String {
    let mut out = Markup::new();
    let kind = match figure {
        Figure::Sequence(_) => "sequence",
        Figure::Wire(_) => "wire",
        Figure::Series(_) => "series",
        Figure::Table(_) => "table",
        Figure::States(_) => "states",
    };
    let class = format!("figure figure-{kind}");
    match figure {
        // The script that lets a reader step has no words of its own.
        Figure::Sequence(_) | Figure::States(_) => out.open(
            "figure",
            &[
                ("class", &class),
                ("id", &context.id),
                ("data-back", &context.word("figure-back")),
                ("data-forward", &context.word("figure-forward")),
                ("data-all", &context.word("figure-all")),
                ("data-steps", &context.word("figure-steps")),
            ],
        ),
        _ => out.open("figure", &[("class", &class), ("id", &context.id)]),
    };
    out.open("figcaption", &[("id", &context.caption_id())])
        .trusted(context.caption_html);
    if context.drawn {
        out.element(
            "small",
            &[("class", &"drawn")],
            &context.word("figure-drawn"),
        );
    }
    out.close();
    match figure {
        Figure::Sequence(figure) => sequence::draw(figure, context, &mut out),
        Figure::Wire(figure) => wire::draw(figure, context, &mut out),
        Figure::Series(figure) => series::draw(figure, context, &mut out),
        Figure::Table(figure) => table::draw(figure, context, &mut out),
        Figure::States(figure) => states::draw(figure, context, &mut out),
    }
    out.open("details", &[("class", &"figure-data")]);
    out.element(
        "summary",
        &[("id", &format!("{}-data", context.id))],
        &context.word("figure-data"),
    );
    match figure {
        Figure::Sequence(figure) => sequence::data(figure, context, &mut out),
        Figure::Wire(figure) => wire::data(figure, context, &mut out),
        Figure::Series(figure) => series::data(figure, context, &mut out),
        Figure::States(figure) => states::data(figure, context, &mut out),
        // The table is its own data.
        Figure::Table(_) => {}
    }
    provenance(context, &mut out);
    out.finish()
}

/// Where the facts come from: one list under every figure.
fn provenance(context: &Context, out: &mut Markup) {
    out.open("dl", &[("class", &"provenance")]);
    let mut entry = |name: &str, value: &dyn Fn(&mut Markup)| {
        out.open("div", &[]);
        out.element("dt", &[], &context.word(name)).open("dd", &[]);
        value(out);
        out.close().close();
    };
    if let Some(provenance) = context.provenance {
        entry("figure-command", &|out| {
            out.element("code", &[], &provenance.command);
        });
        entry("figure-date", &|out| {
            out.element("time", &[], &provenance.date);
        });
        entry("figure-kernel", &|out| {
            out.text(&provenance.kernel);
        });
        entry("figure-processor", &|out| {
            out.text(&provenance.processor);
        });
    }
    if context.drawn {
        entry("figure-file", &|out| {
            let file = context.source_url.rsplit('/').next().unwrap_or_default();
            out.element("a", &[("href", &context.source_url)], file);
        });
    } else {
        entry("figure-source", &|out| {
            out.element("a", &[("href", &context.source_url)], context.listing);
        });
    }
    out.close();
}

/// Opens a container that scrolls sideways where its content needs more room than there is. The
/// keyboard reaches it only where that can come about.
fn open_scroll(context: &Context, least_width: f64, out: &mut Markup) {
    if least_width > NARROWEST {
        open_scroll_named(&context.caption_id(), out);
    } else {
        out.open("div", &[("class", &"figure-scroll")]);
    }
}

/// Opens the container of a table under «data», which can always overflow.
fn open_data_scroll(context: &Context, out: &mut Markup) {
    // Two regions of a page need two names.
    open_scroll_named(
        &format!("{}-data {}", context.id, context.caption_id()),
        out,
    );
}

fn open_scroll_named(name_ids: &str, out: &mut Markup) {
    out.open(
        "section",
        &[
            ("class", &"figure-scroll"),
            ("tabindex", &"0"),
            ("aria-labelledby", &name_ids),
        ],
    );
}

/// Opens a drawing: title and description for those who do not see it.
fn open_svg(
    context: &Context,
    style: &str,
    class: &str,
    height: f64,
    description: &str,
    out: &mut Markup,
) {
    let (title, desc) = (
        format!("{}-title", context.id),
        format!("{}-desc", context.id),
    );
    out.open(
        "svg",
        &[
            ("class", &class),
            ("role", &"img"),
            ("aria-labelledby", &format!("{title} {desc}")),
            ("width", &"100%"),
            ("height", &markup::Tenths(height)),
            ("style", &style),
        ],
    );
    out.open("title", &[("id", &title)])
        .trusted(&without_tags(context.caption_html))
        .close();
    out.element("desc", &[("id", &desc)], description);
}

/// Writes lines of text one below the other, the first baseline at `y`.
fn svg_lines(
    class: &str,
    x: &dyn std::fmt::Display,
    y: f64,
    line_height: f64,
    words: &Words,
    lines: &[Vec<text::Run>],
    out: &mut Markup,
) {
    let y = markup::Tenths(y);
    if words.untranslated {
        out.open(
            "text",
            &[("class", &class), ("x", x), ("y", &y), ("lang", &"en")],
        );
    } else {
        out.open("text", &[("class", &class), ("x", x), ("y", &y)]);
    }
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            out.open("tspan", &[("x", x), ("dy", &markup::Tenths(line_height))]);
        }
        for run in line {
            if run.code {
                out.element("tspan", &[("class", &"code")], &run.text);
            } else {
                out.text(&run.text);
            }
        }
        if index > 0 {
            out.close();
        }
    }
    out.close();
}

/// Every text of the figure, in the order in which it stands.
fn all_texts(figure: &Figure) -> Vec<&str> {
    match figure {
        Figure::Sequence(figure) => sequence::texts(figure),
        Figure::Wire(figure) => wire::texts(figure),
        Figure::Series(figure) => series::texts(figure),
        Figure::Table(figure) => table::texts(figure),
        Figure::States(figure) => states::texts(figure),
    }
}

/// The keys of every text of the figure that a translator has something to do with, each once, in
/// the order in which they stand.
#[must_use]
pub fn texts(figure: &Figure) -> Vec<String> {
    let mut seen = BTreeSet::new();
    all_texts(figure)
        .into_iter()
        .filter(|text| text::has_prose(text))
        .map(text::key)
        .filter(|key| seen.insert(key.clone()))
        .collect()
}

/// What is wrong with the figure, a sentence each; nothing where it can be drawn faithfully.
#[must_use]
pub fn problems(figure: &Figure) -> Vec<String> {
    let mut problems = match figure {
        Figure::Sequence(figure) => sequence::problems(figure),
        Figure::Wire(figure) => wire::problems(figure),
        Figure::Series(figure) => series::problems(figure),
        Figure::Table(figure) => table::problems(figure),
        Figure::States(figure) => states::problems(figure),
    };
    problems.extend(
        all_texts(figure)
            .into_iter()
            .filter(|text| !text::is_well_formed(text))
            .map(|text| format!("a backtick has no partner: {text:?}")),
    );
    problems
}
