//! Rows and columns.

use record::Table;

use super::markup::{Markup, grouped};
use super::{Context, open_scroll, text};

/// More rows than a page can bear are left out, and [`problems`] says so.
const MOST_ROWS: usize = 500;
const MOST_COLUMNS: usize = 24;

/// The size of the cells' text and what stands between two columns, in CSS pixels.
const TEXT: f64 = 14.0;
const GAP: f64 = 24.0;
/// Words wrap, but a column of words narrower than this is no pleasure to read.
const NARROW_COLUMN: f64 = 96.0;

pub(super) fn draw(table: &Table, context: &Context, out: &mut Markup) {
    open_scroll(context, least_width(table, context), out);
    out.open("table", &[]).open("thead", &[]).open("tr", &[]);
    for column in table.columns.iter().take(MOST_COLUMNS) {
        let class = if column.number { "number" } else { "words" };
        out.open("th", &[("scope", &"col"), ("class", &class)]);
        context.label(&column.label).html(out);
        if !column.unit.is_empty() {
            out.text(" ").open("span", &[("class", &"unit")]);
            context.label(&column.unit).html(out);
            out.close();
        }
        out.close();
    }
    out.close().close().open("tbody", &[]);
    for row in table.rows.iter().take(MOST_ROWS) {
        out.open("tr", &[]);
        for (index, (cell, column)) in row
            .iter()
            .zip(&table.columns)
            .take(MOST_COLUMNS)
            .enumerate()
        {
            let class = if column.number { "number" } else { "words" };
            if index == 0 {
                out.open("th", &[("scope", &"row"), ("class", &class)]);
            } else {
                out.open("td", &[("class", &class)]);
            }
            if column.number {
                out.text(&grouped(&cell.replace('`', "")));
            } else {
                context.label(cell).html(out);
            }
            out.close();
        }
        out.close();
    }
    out.close().close().close();
}

/// How narrow the table can become before it overflows.
fn least_width(table: &Table, context: &Context) -> f64 {
    table
        .columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let cells = table
                .rows
                .iter()
                .filter_map(|row| row.get(index))
                .chain([&column.label]);
            let widest = cells
                .map(|cell| {
                    let words = context.label(cell);
                    // Lines of no width: a word each.
                    let limit = if column.number { f64::MAX } else { 0.0 };
                    text::width(&words.wrap(TEXT, limit), TEXT)
                })
                .fold(0.0, f64::max);
            let least = if column.number { 0.0 } else { NARROW_COLUMN };
            widest.max(least) + GAP
        })
        .sum()
}

pub(super) fn texts(table: &Table) -> Vec<&str> {
    let mut texts: Vec<&str> = Vec::new();
    for column in &table.columns {
        texts.extend([column.label.as_str(), column.unit.as_str()]);
    }
    for row in &table.rows {
        for (cell, column) in row.iter().zip(&table.columns) {
            if !column.number {
                texts.push(cell);
            }
        }
    }
    texts
}

pub(super) fn problems(table: &Table) -> Vec<String> {
    let mut problems = Vec::new();
    let columns = table.columns.len();
    if columns == 0 {
        problems.push("the table has no columns".to_owned());
    }
    if table.rows.is_empty() {
        problems.push("the table has no rows".to_owned());
    }
    if columns > MOST_COLUMNS {
        problems.push(format!("{columns} columns; a page shows {MOST_COLUMNS}"));
    }
    if table.rows.len() > MOST_ROWS {
        problems.push(format!(
            "{} rows; a page shows {MOST_ROWS}",
            table.rows.len()
        ));
    }
    for (index, row) in table.rows.iter().enumerate() {
        if row.len() != columns {
            problems.push(format!(
                "row {index} has {} cells; there are {columns} columns",
                row.len()
            ));
        }
    }
    problems
}
