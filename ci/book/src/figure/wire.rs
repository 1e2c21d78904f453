//! Bytes with named fields.
//!
//! HTML, not SVG: a row of bytes must break where a phone's page ends, and a list of fields is a
//! list. Under each byte lie the strips of the fields that it belongs to, one row of strips for
//! each level of nesting; a field's number ties its strip to its line in the list, so colour is
//! never all there is.

use record::{Field, Wire};

use super::Context;
use super::markup::{Markup, grouped};

/// More fields or bytes than a page can bear are left out, and [`problems`] says so.
const MOST_FIELDS: usize = 200;
const MOST_BYTES_SHOWN: usize = 512;
/// Levels of nesting that have strips; the list shows all.
const MOST_DEPTH: usize = 3;
/// Levels of nesting at all.
const DEEPEST: usize = 16;
/// Bytes in a row where the page is wide; half as many where it is narrow.
const ROW: usize = 16;
/// A field of more bytes than this loses its middle.
const LONG_FIELD: usize = 5 * ROW;
const COLORS: usize = 6;

/// A field with its place in the tree.
struct Numbered<'a> {
    field: &'a Field,
    /// Its place among all fields, from 1 on.
    number: usize,
    depth: usize,
    color: usize,
}

/// All fields in reading order, each after the one that it lies in.
fn flatten(wire: &Wire) -> Vec<Numbered<'_>> {
    fn walk<'a>(fields: &'a [Field], parent: usize, depth: usize, out: &mut Vec<Numbered<'a>>) {
        let mut color = parent;
        for field in fields {
            if out.len() == MOST_FIELDS {
                return;
            }
            // Not its neighbour's, nor that of the field that it lies in.
            color = color % COLORS + 1;
            if color == parent {
                color = color % COLORS + 1;
            }
            out.push(Numbered {
                field,
                number: out.len() + 1,
                depth,
                color,
            });
            if depth + 1 < DEEPEST {
                walk(&field.fields, color, depth + 1, out);
            }
        }
    }
    let mut out = Vec::new();
    walk(&wire.fields, 0, 0, &mut out);
    out
}

impl Numbered<'_> {
    fn end(&self) -> usize {
        self.field.bit.saturating_add(self.field.bits)
    }

    fn covers(&self, bit: usize) -> bool {
        (self.field.bit..self.end()).contains(&bit)
    }

    fn first_byte(&self) -> usize {
        self.field.bit / 8
    }

    /// The byte after the last.
    fn end_byte(&self) -> usize {
        self.end().div_ceil(8)
    }

    fn is_whole_bytes(&self) -> bool {
        self.field.bit.is_multiple_of(8) && self.field.bits.is_multiple_of(8)
    }
}

/// The runs of bytes that are shown; between two of them lies what is left out.
fn shown(wire: &Wire, fields: &[Numbered]) -> Vec<std::ops::Range<usize>> {
    let total = wire.bytes.len();
    let mut runs = Vec::new();
    let mut from = 0;
    for leaf in fields.iter().filter(|field| field.field.fields.is_empty()) {
        let (start, end) = (leaf.first_byte(), leaf.end_byte().min(total));
        if start < from || end <= start || end - start <= LONG_FIELD {
            continue;
        }
        // Whole rows are left out, so that offsets stay in their columns.
        let keep_to = (start + ROW).next_multiple_of(ROW);
        let resume = (end - 1) / ROW * ROW;
        if resume >= keep_to + 2 * ROW {
            runs.push(from..keep_to);
            from = resume;
        }
    }
    runs.push(from..total);
    let mut left = MOST_BYTES_SHOWN;
    runs.retain_mut(|run| {
        run.end = run.end.min(run.start + left);
        left -= run.len();
        run.start < run.end
    });
    runs
}

pub(super) fn draw(wire: &Wire, context: &Context, out: &mut Markup) {
    let fields = flatten(wire);
    let depth = fields
        .iter()
        .map(|field| field.depth + 1)
        .max()
        .unwrap_or(0)
        .min(MOST_DEPTH);
    out.open("div", &[("class", &"figure-body")]);
    out.open("div", &[("class", &format!("bytes depth-{depth}"))]);
    let runs = shown(wire, &fields);
    let mut after = 0;
    for run in &runs {
        if run.start > after {
            left_out(context, run.start - after, out);
        }
        for at in run.clone() {
            if (at - run.start).is_multiple_of(ROW / 2) {
                let half = if (at - run.start).is_multiple_of(ROW) {
                    "offset"
                } else {
                    "offset half"
                };
                out.element("span", &[("class", &half)], &format!("{at:04x}"));
            }
            draw_byte(wire.bytes[at], at, depth, &fields, out);
        }
        after = run.end;
    }
    if wire.bytes.len() > after {
        left_out(context, wire.bytes.len() - after, out);
    }
    out.close();
    draw_fields(wire, context, &fields, out);
    out.close();
}

fn left_out(context: &Context, bytes: usize, out: &mut Markup) {
    out.open("span", &[("class", &"left-out")]);
    out.text("⋯ ").text(&size(context, bytes * 8));
    out.close();
}

/// A byte and, under it, its part of each strip.
fn draw_byte(byte: u8, at: usize, depth: usize, fields: &[Numbered], out: &mut Markup) {
    let of_byte: Vec<(usize, &Numbered)> = fields
        .iter()
        .enumerate()
        .filter(|(_, field)| field.first_byte() <= at && at < field.end_byte())
        .collect();
    let names: Vec<String> = of_byte.iter().map(|(index, _)| index.to_string()).collect();
    out.open(
        "span",
        &[("class", &"byte"), ("data-field", &names.join(" "))],
    );
    out.text(&format!("{byte:02x}"));
    for level in 0..depth {
        out.open("span", &[("class", &"strip")]);
        let owner = |bit: usize| {
            of_byte
                .iter()
                .find(|(_, field)| field.depth == level && field.covers(at * 8 + bit))
        };
        let mut bit = 0;
        while bit < 8 {
            let field = owner(bit);
            let index = field.map(|(index, _)| *index);
            let mut bits = 1;
            while bit + bits < 8 && owner(bit + bits).map(|(index, _)| *index) == index {
                bits += 1;
            }
            segment(field.copied(), at * 8 + bit, bits, out);
            bit += bits;
        }
        out.close();
    }
    out.close();
}

fn segment(field: Option<(usize, &Numbered)>, bit: usize, bits: usize, out: &mut Markup) {
    let style = format!("--bits:{bits}");
    let Some((index, field)) = field else {
        out.element("span", &[("style", &style)], "");
        return;
    };
    let begins = field.field.bit == bit;
    let ends = field.end() == bit + bits;
    let class = format!(
        "c{}{}{}",
        field.color,
        if begins { " begins" } else { "" },
        if ends { " ends" } else { "" }
    );
    out.open(
        "span",
        &[("class", &class), ("style", &style), ("data-field", &index)],
    );
    // A number needs the room of four bits.
    if begins && bits >= 4 {
        // The list says it to those who do not see it.
        out.element(
            "span",
            &[("aria-hidden", &"true")],
            &field.number.to_string(),
        );
    }
    out.close();
}

fn draw_fields(wire: &Wire, context: &Context, fields: &[Numbered], out: &mut Markup) {
    let mut depth = 0;
    out.open("ol", &[("class", &"fields")]);
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            if field.depth > depth {
                out.open("ol", &[]);
            } else {
                out.close();
                for _ in field.depth..depth {
                    out.close().close();
                }
            }
        }
        depth = field.depth;
        out.open("li", &[]);
        out.open(
            "div",
            &[
                ("class", &format!("field c{}", field.color)),
                ("data-field", &index),
            ],
        );
        out.element("span", &[("class", &"number")], &field.number.to_string());
        out.text(" ").open("span", &[("class", &"name")]);
        context.label(&field.field.name).html(out);
        out.close().text(" ");
        out.open("span", &[("class", &"where")]);
        out.text(&place(field))
            .text(" · ")
            .text(&size(context, field.field.bits));
        out.close();
        out.text(" ").open("span", &[("class", &"says")]);
        if let Some(value) = &field.field.value {
            out.open("span", &[("class", &"value")]);
            context.label(value).html(out);
            out.close().text(" ");
        }
        if let Some(bits) = bits(wire, field) {
            out.element("code", &[("class", &"bits")], &bits).text(" ");
        }
        if let Some(note) = &field.field.note {
            out.open("span", &[("class", &"note")]);
            context.label(note).html(out);
            out.close();
        }
        out.close().close();
    }
    if !fields.is_empty() {
        out.close();
        for _ in 0..depth {
            out.close().close();
        }
    }
    out.close();
}

/// The offsets of the field's bytes: `12` or `12–15`.
fn place(field: &Numbered) -> String {
    let (first, end) = (field.first_byte(), field.end_byte());
    if end <= first + 1 {
        grouped(&first.to_string())
    } else {
        format!(
            "{}–{}",
            grouped(&first.to_string()),
            grouped(&(end - 1).to_string())
        )
    }
}

fn size(context: &Context, bits: usize) -> String {
    let (one, many, count) = if bits.is_multiple_of(8) {
        ("figure-one-byte", "figure-bytes", bits / 8)
    } else {
        ("figure-one-bit", "figure-bits", bits)
    };
    let key = if count == 1 { one } else { many };
    context.word_with(key, &grouped(&count.to_string()))
}

/// The bits of a field that is not whole bytes, its neighbours' as dots: `0100 ····`.
fn bits(wire: &Wire, field: &Numbered) -> Option<String> {
    let (first, end) = (field.first_byte(), field.end_byte());
    if field.is_whole_bytes() || end - first > 4 || end > wire.bytes.len() {
        return None;
    }
    let mut text = String::new();
    for bit in first * 8..end * 8 {
        if bit > first * 8 && bit.is_multiple_of(4) {
            text.push(' ');
        }
        text.push(if !field.covers(bit) {
            '·'
        } else if wire.bytes[bit / 8] >> (7 - bit % 8) & 1 == 1 {
            '1'
        } else {
            '0'
        });
    }
    Some(text)
}

/// The bytes as text to copy.
pub(super) fn data(wire: &Wire, context: &Context, out: &mut Markup) {
    let hex: Vec<String> = wire
        .bytes
        .iter()
        .take(2 * MOST_BYTES_SHOWN)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    out.open("p", &[("class", &"figure-hex")]);
    out.element("span", &[], &size(context, wire.bytes.len() * 8))
        .text(" ");
    out.element("code", &[], &hex.join(" "));
    if wire.bytes.len() > hex.len() {
        out.text(" …");
    }
    out.close();
}

pub(super) fn texts(wire: &Wire) -> Vec<&str> {
    fn walk<'a>(fields: &'a [Field], depth: usize, out: &mut Vec<&'a str>) {
        for field in fields {
            out.push(&field.name);
            out.extend(field.value.as_deref());
            out.extend(field.note.as_deref());
            if depth + 1 < DEEPEST {
                walk(&field.fields, depth + 1, out);
            }
        }
    }
    let mut out = Vec::new();
    walk(&wire.fields, 0, &mut out);
    out
}

pub(super) fn problems(wire: &Wire) -> Vec<String> {
    fn walk(
        fields: &[Field],
        inside: std::ops::Range<usize>,
        of: &str,
        depth: usize,
        problems: &mut Vec<String>,
    ) {
        let mut at = inside.start;
        for field in fields {
            let name = &field.name;
            let end = field.bit.saturating_add(field.bits);
            if field.bits == 0 {
                problems.push(format!("field {name:?} has no bits"));
            }
            if field.bit < at {
                problems.push(format!(
                    "field {name:?} starts at bit {}; {of} is taken up to bit {at}",
                    field.bit
                ));
            }
            if end > inside.end {
                problems.push(format!(
                    "field {name:?} ends at bit {end}; {of} ends at bit {}",
                    inside.end
                ));
            }
            // Only the outermost fields have to leave no gap.
            if depth == 0 && field.bit > at {
                problems.push(format!("bits {at} to {} belong to no field", field.bit - 1));
            }
            at = at.max(end);
            if !field.fields.is_empty() {
                if depth + 1 < DEEPEST {
                    walk(
                        &field.fields,
                        field.bit..end,
                        &format!("field {name:?}"),
                        depth + 1,
                        problems,
                    );
                } else {
                    problems.push(format!("field {name:?} holds more than {DEEPEST} levels"));
                }
            }
        }
        if depth == 0 && at < inside.end {
            problems.push(format!(
                "bits {at} to {} belong to no field",
                inside.end - 1
            ));
        }
    }
    let mut problems = Vec::new();
    if wire.bytes.is_empty() {
        problems.push("the wire has no bytes".to_owned());
    }
    walk(
        &wire.fields,
        0..wire.bytes.len() * 8,
        "the message",
        0,
        &mut problems,
    );
    let fields = flatten(wire);
    if fields.len() == MOST_FIELDS {
        problems.push(format!("a page shows fewer than {MOST_FIELDS} fields"));
    }
    let shown: usize = shown(wire, &fields).iter().map(std::ops::Range::len).sum();
    if shown >= MOST_BYTES_SHOWN {
        problems.push(format!(
            "a page shows fewer than {MOST_BYTES_SHOWN} bytes, the middles of long fields left out"
        ));
    }
    problems
}
