//! Measured points over two axes.
//!
//! Lines carry their names themselves, and differ in dash and marker as well as in colour. The
//! vertical axis starts at zero; the horizontal one becomes logarithmic only where the points were
//! chosen so (each about twice the last or more, over two decades), and says so.

use record::{Line, Series};

use super::markup::{Markup, Percent, Tenths, number};
use super::text::{self, Words};
use super::{Context, NARROWEST, open_data_scroll, open_scroll, open_svg, svg_lines};

/// More than a page can bear is left out, and [`problems`] says so.
const MOST_LINES: usize = 6;
const MOST_POINTS: usize = 400;

// Sizes in CSS pixels:
const PLOT_HEIGHT: f64 = 240.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 46.0;
const TICK: f64 = 12.0;
const MARKER: f64 = 4.0;
/// Markers of one line keep so far apart where the plot is narrowest, that the dashes between them
/// are to be seen.
const MARKER_DISTANCE: f64 = 30.0;
/// A line of more points has its marker at its end alone: markers would misstate its bends.
const MOST_MARKED: usize = 60;

/// The units of the plot's inner coordinates, stretched to its width.
const STRETCHED: f64 = 1000.0;

/// From values to parts of the axis, 0 to 1.
#[derive(Debug, Clone, Copy)]
struct Scale {
    least: f64,
    most: f64,
    logarithmic: bool,
}

impl Scale {
    fn linear(least: f64, most: f64) -> Self {
        Self {
            least,
            // A single value still needs an axis.
            most: if most > least { most } else { least + 1.0 },
            logarithmic: false,
        }
    }

    fn part(&self, value: f64) -> f64 {
        if self.logarithmic {
            (value / self.least).ln() / (self.most / self.least).ln()
        } else {
            // Halves, so that not even the span of all numbers overflows.
            (value / 2.0 - self.least / 2.0) / (self.most / 2.0 - self.least / 2.0)
        }
    }
}

/// The step of 1, 2 or 5 times a power of ten that divides `span` into about `count` parts.
fn nice_step(span: f64, count: f64) -> f64 {
    let rough = span / count;
    if !rough.is_normal() {
        return 1.0;
    }
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|step| step * power >= rough * 0.999)
        .unwrap_or(10.0)
        * power;
    if step.is_normal() { step } else { 1.0 }
}

/// The axis's scale, wide enough for its last tick where `round_up`, and its ticks.
fn axis(values: &[f64], count: f64, round_up: bool) -> (Scale, Vec<f64>) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !least.is_finite() || !most.is_finite() {
        return (Scale::linear(0.0, 1.0), vec![0.0, 1.0]);
    }
    let from = if least >= 0.0 && (round_up || least <= most * 0.3) {
        0.0
    } else {
        least
    };
    let step = nice_step(if most > from { most - from } else { 1.0 }, count);
    let (mut low, mut high) = (from, most);
    if round_up {
        low = (from / step).floor() * step;
        high = (most / step - 1e-9).ceil() * step;
    }
    let scale = Scale::linear(low, high);
    let mut ticks = Vec::new();
    let first = (low / step - 1e-9).ceil();
    for index in 0..32 {
        let tick = (first + f64::from(index)) * step;
        if tick > scale.most + step * 1e-9 {
            break;
        }
        ticks.push(tick);
    }
    (scale, ticks)
}

/// A logarithmic axis, where the values were chosen for one.
fn logarithmic_axis(values: &[f64]) -> Option<(Scale, Vec<f64>)> {
    let mut sorted: Vec<f64> = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.dedup();
    let (least, most) = (*sorted.first()?, *sorted.last()?);
    let grows = sorted
        .windows(2)
        .filter(|pair| pair[1] >= pair[0] * 1.9)
        .count();
    if sorted.len() < 4
        || least <= 0.0
        || most / least < 100.0
        || 4 * grows < 3 * (sorted.len() - 1)
    {
        return None;
    }
    let scale = Scale {
        least,
        most,
        logarithmic: true,
    };
    // The points themselves make the best ticks, if their names have room.
    let every = sorted.len().div_ceil(7);
    let ticks = sorted.into_iter().rev().step_by(every).collect::<Vec<_>>();
    Some((scale, ticks.into_iter().rev().collect()))
}

/// The points that can be drawn.
fn points(line: &Line) -> impl Iterator<Item = (f64, f64)> {
    line.points
        .iter()
        .copied()
        .filter(|(x, y)| x.is_finite() && y.is_finite())
        .take(MOST_POINTS)
}

pub(super) fn draw(series: &Series, context: &Context, out: &mut Markup) {
    let lines: Vec<Vec<(f64, f64)>> = series
        .lines
        .iter()
        .take(MOST_LINES)
        .map(|line| points(line).collect())
        .collect();
    let all =
        |pick: fn(&(f64, f64)) -> f64| -> Vec<f64> { lines.iter().flatten().map(pick).collect() };
    let xs = all(|point| point.0);
    let (x, x_ticks) = logarithmic_axis(&xs).unwrap_or_else(|| axis(&xs, 5.0, false));
    let (y, y_ticks) = axis(&all(|point| point.1), 5.0, true);

    let y_names: Vec<String> = y_ticks.iter().copied().map(number).collect();
    let gutter = y_names
        .iter()
        .map(|name| tick_width(name))
        .fold(12.0, f64::max)
        + 10.0;
    // The last tick's name stands out over the plot by its half.
    let margin = x_ticks
        .last()
        .map_or(0.0, |tick| tick_width(&number(*tick)) / 2.0);
    let margin = margin.max(MARKER + 4.0);
    // At its narrowest: markers and ticks keep apart there.
    let least = (NARROWEST - gutter - margin).max(200.0);

    out.open("div", &[("class", &"figure-body")]);
    draw_key(series, context, out);
    open_scroll(context, least + gutter + margin, out);
    let style = format!(
        "--least:{}px;--left:{}px;--right:{}px",
        Tenths(least),
        Tenths(gutter),
        Tenths(margin)
    );
    let height = TOP + PLOT_HEIGHT + BOTTOM;
    open_svg(
        context,
        &style,
        "series",
        height,
        &description(series, context),
        out,
    );

    let y_words = context.label_with_unit(&series.y.label, &series.y.unit);
    svg_lines(
        "axis-name y",
        &Tenths(-gutter),
        14.0,
        0.0,
        &y_words,
        std::slice::from_ref(&y_words.runs),
        out,
    );
    for (tick, name) in y_ticks.iter().zip(&y_names) {
        let at = Tenths(TOP + PLOT_HEIGHT * (1.0 - y.part(*tick)));
        let class = if *tick == 0.0 { "grid zero" } else { "grid" };
        out.element(
            "line",
            &[
                ("class", &class),
                ("x1", &"0"),
                ("x2", &"100%"),
                ("y1", &at),
                ("y2", &at),
            ],
            "",
        );
        out.element(
            "text",
            &[
                ("class", &"tick y"),
                ("x", &"-8"),
                ("y", &Tenths(at.0 + 4.0)),
            ],
            name,
        );
    }
    draw_x_ticks(&x, &x_ticks, least, out);
    let mut x_words = context.label_with_unit(&series.x.label, &series.x.unit);
    if x.logarithmic {
        x_words
            .runs
            .extend(Words::plain(&format!(", {}", context.word("figure-logarithmic"))).runs);
    }
    svg_lines(
        "axis-name x",
        &"100%",
        height - 6.0,
        0.0,
        &x_words,
        std::slice::from_ref(&x_words.runs),
        out,
    );

    // Where the points are, in parts of the width and in pixels down.
    let placed: Vec<Vec<(f64, f64)>> = lines
        .iter()
        .map(|line| {
            line.iter()
                .map(|point| (x.part(point.0), TOP + PLOT_HEIGHT * (1.0 - y.part(point.1))))
                .collect()
        })
        .collect();
    draw_lines(&placed, least, out);
    out.close().close().close();
}

fn tick_width(name: &str) -> f64 {
    text::width(&[Words::plain(name).runs], TICK)
}

fn draw_x_ticks(x: &Scale, ticks: &[f64], least: f64, out: &mut Markup) {
    let mut free_from = f64::NEG_INFINITY;
    for tick in ticks {
        let part = x.part(*tick);
        let at = Percent(part);
        out.element(
            "line",
            &[
                ("class", &"tick-mark"),
                ("x1", &at),
                ("x2", &at),
                ("y1", &Tenths(TOP + PLOT_HEIGHT)),
                ("y2", &Tenths(TOP + PLOT_HEIGHT + 5.0)),
            ],
            "",
        );
        // A name without room is left out.
        let name = number(*tick);
        let width = tick_width(&name);
        let left = part * least - width / 2.0;
        if left < free_from {
            continue;
        }
        free_from = left + width + 6.0;
        out.element(
            "text",
            &[
                ("class", &"tick x"),
                ("x", &at),
                ("y", &Tenths(TOP + PLOT_HEIGHT + 19.0)),
            ],
            &name,
        );
    }
}

/// The lines, stretched to the plot's width, and their markers, which keep their shape.
fn draw_lines(placed: &[Vec<(f64, f64)>], least: f64, out: &mut Markup) {
    out.open(
        "svg",
        &[
            ("class", &"stretched"),
            ("width", &"100%"),
            ("height", &Tenths(TOP + PLOT_HEIGHT + BOTTOM)),
            (
                "viewBox",
                &format!("0 0 {STRETCHED} {}", TOP + PLOT_HEIGHT + BOTTOM),
            ),
            ("preserveAspectRatio", &"none"),
        ],
    );
    for (index, line) in placed.iter().enumerate() {
        let points: Vec<String> = line
            .iter()
            .map(|(x, y)| format!("{},{}", Tenths(x * STRETCHED), Tenths(*y)))
            .collect();
        out.element(
            "polyline",
            &[
                ("class", &format!("line c{}", index + 1)),
                ("points", &points.join(" ")),
                ("vector-effect", &"non-scaling-stroke"),
            ],
            "",
        );
    }
    out.close();
    for (index, line) in placed.iter().enumerate() {
        let mut free_to = f64::INFINITY;
        for (at, (x, y)) in line.iter().enumerate().rev() {
            let dense = line.len() > MOST_MARKED && at + 1 < line.len();
            if dense || (x * least > free_to && at > 0) {
                continue;
            }
            free_to = x * least - MARKER_DISTANCE;
            out.open(
                "svg",
                &[("class", &"at"), ("x", &Percent(*x)), ("y", &Tenths(*y))],
            );
            marker(index, out);
            out.close();
        }
    }
}

/// The marker of a line: a shape of its own for each.
fn marker(index: usize, out: &mut Markup) {
    let shape = match index {
        0 => "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z",
        1 => "M-3.6-3.6H3.6V3.6H-3.6Z",
        2 => "M0-4.8 4.6 3.4H-4.6Z",
        3 => "M0-5.2 5.2 0 0 5.2-5.2 0Z",
        4 => "M0 4.8 4.6-3.4H-4.6Z",
        _ => "M-5-1.6H-1.6V-5H1.6V-1.6H5V1.6H1.6V5H-1.6V1.6H-5Z",
    };
    out.element(
        "path",
        &[("class", &format!("marker c{}", index + 1)), ("d", &shape)],
        "",
    );
}

/// Which line is which: its dashes, its marker and its name. Above the plot, where no line or axis
/// is in the way of a name, however long and in whatever language.
fn draw_key(series: &Series, context: &Context, out: &mut Markup) {
    out.open("ul", &[("class", &"key")]);
    for (index, line) in series.lines.iter().take(MOST_LINES).enumerate() {
        out.open("li", &[]);
        out.open(
            "svg",
            &[
                ("viewBox", &"-16 -7 32 14"),
                ("width", &"32"),
                ("height", &"14"),
                ("aria-hidden", &"true"),
            ],
        );
        out.element(
            "path",
            &[
                ("class", &format!("line c{}", index + 1)),
                ("d", &"M-16 0H16"),
            ],
            "",
        );
        marker(index, out);
        out.close();
        out.open("span", &[]);
        context.label(&line.name).html(out);
        out.close().close();
    }
    out.close();
}

fn description(series: &Series, context: &Context) -> String {
    let mut text = format!(
        "{} / {}",
        context
            .label_with_unit(&series.y.label, &series.y.unit)
            .to_plain(),
        context
            .label_with_unit(&series.x.label, &series.x.unit)
            .to_plain()
    );
    for line in series.lines.iter().take(MOST_LINES) {
        text.push_str("; ");
        text.push_str(&context.label(&line.name).to_plain());
        let points: Vec<_> = points(line).collect();
        if let (Some(first), Some(last)) = (points.first(), points.last()) {
            text.push_str(&format!(
                ": ({}, {}) → ({}, {})",
                number(first.0),
                number(first.1),
                number(last.0),
                number(last.1)
            ));
        }
    }
    text
}

/// The points as a table, a row for each x.
pub(super) fn data(series: &Series, context: &Context, out: &mut Markup) {
    let lines: Vec<Vec<(f64, f64)>> = series
        .lines
        .iter()
        .take(MOST_LINES)
        .map(|line| points(line).collect())
        .collect();
    let mut xs: Vec<f64> = lines.iter().flatten().map(|point| point.0).collect();
    xs.sort_by(f64::total_cmp);
    xs.dedup();
    open_data_scroll(context, out);
    out.open("table", &[]).open("thead", &[]).open("tr", &[]);
    let head = |words: &Words, out: &mut Markup| {
        out.open("th", &[("scope", &"col"), ("class", &"number")]);
        words.html(out);
        out.close();
    };
    head(
        &context.label_with_unit(&series.x.label, &series.x.unit),
        out,
    );
    for line in series.lines.iter().take(MOST_LINES) {
        let mut words = context.label(&line.name);
        if !series.y.unit.is_empty() {
            words = context.label_with_unit(&line.name, &series.y.unit);
        }
        head(&words, out);
    }
    out.close().close().open("tbody", &[]);
    for x in xs {
        out.open("tr", &[]);
        out.element("th", &[("scope", &"row"), ("class", &"number")], &number(x));
        for line in &lines {
            let values: Vec<String> = line
                .iter()
                .filter(|point| point.0 == x)
                .map(|point| number(point.1))
                .collect();
            let text = if values.is_empty() {
                "–".to_owned()
            } else {
                values.join("; ")
            };
            out.element("td", &[("class", &"number")], &text);
        }
        out.close();
    }
    out.close().close().close();
}

pub(super) fn texts(series: &Series) -> Vec<&str> {
    let mut texts = vec![
        series.x.label.as_str(),
        &series.x.unit,
        &series.y.label,
        &series.y.unit,
    ];
    texts.extend(series.lines.iter().map(|line| line.name.as_str()));
    texts
}

pub(super) fn problems(series: &Series) -> Vec<String> {
    let mut problems = Vec::new();
    if series.lines.is_empty() {
        problems.push("the series has no lines".to_owned());
    }
    if series.lines.len() > MOST_LINES {
        problems.push(format!(
            "{} lines; a page shows {MOST_LINES}",
            series.lines.len()
        ));
    }
    for line in &series.lines {
        let name = &line.name;
        if line.points.is_empty() {
            problems.push(format!("line {name:?} has no points"));
        }
        if line.points.len() > MOST_POINTS {
            problems.push(format!(
                "line {name:?} has {} points; a page shows {MOST_POINTS}",
                line.points.len()
            ));
        }
        for (index, (x, y)) in line.points.iter().enumerate() {
            if !x.is_finite() || !y.is_finite() {
                problems.push(format!("point {index} of line {name:?} is no number"));
            }
        }
        for (index, pair) in line.points.windows(2).enumerate() {
            if pair[1].0 <= pair[0].0 {
                problems.push(format!(
                    "point {} of line {name:?} is not right of its predecessor",
                    index + 1
                ));
            }
        }
    }
    problems
}
