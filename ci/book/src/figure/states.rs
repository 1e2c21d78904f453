//! The states of a protocol, with the ways that a run took through them lit.
//!
//! The record says where each state stands. Every transition that the protocol allows is a thin
//! arrow; over those that were taken lies a thick one of the walker's colour with the step's number,
//! which the list beside the drawing explains. The drawing keeps its size and scrolls where there is
//! less room, since boxes and curves cannot be squeezed as a sequence can.

use record::{State, States, Transition};

use super::markup::{Markup, Tenths};
use super::sequence::Unit;
use super::{Context, open_data_scroll, open_scroll, open_svg, svg_lines, text};

/// More than a reader can follow; [`problems`] says so.
const MOST_STATES: usize = 24;
const MOST_TRANSITIONS: usize = 60;
const MOST_WALKS: usize = 4;
const MOST_STEPS: usize = 40;
/// How far to the right and down a state may stand.
const MOST_COLUMNS: f64 = 5.0;
const MOST_ROWS: f64 = 12.0;

/// The grid and the boxes on it, in CSS pixels.
const COLUMN: f64 = 150.0;
const ROW: f64 = 72.0;
const BOX_HEIGHT: f64 = 28.0;
const NAME: f64 = 12.0;
/// A box's margins left and right of its name.
const MARGINS: f64 = 16.0;
/// How far a way stays clear of the box at its end.
const CLEAR: f64 = 4.0;
/// How far apart two arrows lie that join the same two states.
const APART: f64 = 7.0;
/// A bent way's widest part and a number's circle stay inside the drawing.
const RIM: f64 = 14.0;
const NUMBER_RADIUS: f64 = 8.5;

/// A point of the drawing, in pixels.
#[derive(Debug, Clone, Copy)]
struct Point {
    x: f64,
    y: f64,
}

impl Point {
    fn plus(self, direction: Self, by: f64) -> Self {
        Self {
            x: self.x + direction.x * by,
            y: self.y + direction.y * by,
        }
    }
}

/// The box of a state.
#[derive(Debug, Clone, Copy)]
struct Frame {
    middle: Point,
    half_width: f64,
}

impl Frame {
    fn of(state: &State, left: f64, context: &Context) -> Self {
        let words = context.label(&state.name);
        let width = text::width(&words.wrap(NAME, f64::MAX), NAME) + MARGINS;
        Self {
            middle: Point {
                x: left + state.column * COLUMN,
                y: RIM + BOX_HEIGHT / 2.0 + state.row * ROW,
            },
            half_width: width / 2.0,
        }
    }

    /// Where the straight line from `outside` to `inside`, which is in the box or at its rim, comes
    /// to the box, and a little before.
    fn border(&self, outside: Point, inside: Point) -> Point {
        let (dx, dy) = (inside.x - outside.x, inside.y - outside.y);
        let reach = |from: f64, by: f64, middle: f64, half: f64| {
            if by == 0.0 {
                return 0.0;
            }
            ((middle - half * by.signum()) - from) / by
        };
        let part = reach(outside.x, dx, self.middle.x, self.half_width + CLEAR)
            .max(reach(
                outside.y,
                dy,
                self.middle.y,
                BOX_HEIGHT / 2.0 + CLEAR,
            ))
            .clamp(0.0, 1.0);
        Point {
            x: outside.x + dx * part,
            y: outside.y + dy * part,
        }
    }
}

/// The way of one arrow: a quadratic curve, which is straight where nothing is to be gone around.
#[derive(Debug, Clone, Copy)]
struct Way {
    start: Point,
    control: Point,
    end: Point,
}

impl Way {
    /// `aside` moves the whole arrow to the right of someone who walks along it.
    fn of(transition: &Transition, frames: &[Frame], aside: f64) -> Self {
        let (from, to) = (&frames[transition.from], &frames[transition.to]);
        let (dx, dy) = (to.middle.x - from.middle.x, to.middle.y - from.middle.y);
        let length = dx.hypot(dy).max(1.0);
        let right = Point {
            x: -dy / length,
            y: dx / length,
        };
        let from_middle = from.middle.plus(right, aside);
        let to_middle = to.middle.plus(right, aside);
        let middle = Point {
            x: f64::midpoint(from_middle.x, to_middle.x),
            y: f64::midpoint(from_middle.y, to_middle.y),
        };
        // The curve comes half as far as its control point.
        let control = middle.plus(right, 2.0 * transition.bend * COLUMN);
        Self {
            start: from.border(control, from_middle),
            control,
            end: to.border(control, to_middle),
        }
    }

    fn path(&self) -> String {
        format!(
            "M{} {}Q{} {} {} {}",
            Tenths(self.start.x),
            Tenths(self.start.y),
            Tenths(self.control.x),
            Tenths(self.control.y),
            Tenths(self.end.x),
            Tenths(self.end.y)
        )
    }

    fn at(&self, part: f64) -> Point {
        let rest = 1.0 - part;
        let (a, b, c) = (rest * rest, 2.0 * rest * part, part * part);
        Point {
            x: a * self.start.x + b * self.control.x + c * self.end.x,
            y: a * self.start.y + b * self.control.y + c * self.end.y,
        }
    }
}

/// One transition that was taken.
struct Taken<'a> {
    walk: usize,
    at_us: u64,
    index: usize,
    transition: &'a Transition,
}

/// Steps of all walks in the order of time; of two at the same time, the first walk's comes first.
fn taken(states: &States) -> Vec<Taken<'_>> {
    let mut all: Vec<Taken> = Vec::new();
    for (walk, of) in states.walks.iter().take(MOST_WALKS).enumerate() {
        for step in of.steps.iter().take(MOST_STEPS) {
            if let Some(transition) = drawable(states).nth(step.transition).flatten() {
                all.push(Taken {
                    walk,
                    at_us: step.at_us,
                    index: step.transition,
                    transition,
                });
            }
        }
    }
    all.sort_by_key(|step| step.at_us);
    all
}

/// The transitions by their index; `None` for one that names a state that is not there.
fn drawable(states: &States) -> impl Iterator<Item = Option<&Transition>> {
    let there = states.states.len().min(MOST_STATES);
    let transitions = states.transitions.iter().take(MOST_TRANSITIONS);
    transitions.map(move |way| (way.from < there && way.to < there).then_some(way))
}

fn unit(steps: &[Taken]) -> Unit {
    Unit::of(steps.iter().map(|step| step.at_us).max().unwrap_or(0))
}

/// How far a transition's arrow stands aside, so that its opposite has room.
fn aside(states: &States, way: &Transition) -> f64 {
    let opposite = |other: &Transition| (other.from, other.to) == (way.to, way.from);
    if way.bend == 0.0 && states.transitions.iter().any(opposite) {
        -APART
    } else {
        0.0
    }
}

pub(super) fn draw(states: &States, context: &Context, out: &mut Markup) {
    let frames = frames(states, context);
    let right = |frame: &Frame| frame.middle.x + frame.half_width;
    let bottom = |frame: &Frame| frame.middle.y + BOX_HEIGHT / 2.0;
    let mut width = frames.iter().map(right).fold(0.0, f64::max) + RIM;
    for way in drawable(states).flatten() {
        let way = Way::of(way, &frames, aside(states, way));
        width = width.max(way.at(0.5).x + RIM);
    }
    let height = frames.iter().map(bottom).fold(0.0, f64::max) + RIM;
    let steps = taken(states);
    out.open("div", &[("class", &"figure-body")]);
    open_scroll(context, width, out);
    let style = format!("--least:{0}px;--most:{0}px", Tenths(width));
    let description = description(states, &steps, context);
    open_svg(context, &style, "states", height, &description, out);
    markers(states, context, out);
    for way in drawable(states).flatten() {
        let path = Way::of(way, &frames, aside(states, way)).path();
        let marker = format!("url(#{}-allowed)", context.id);
        out.element(
            "path",
            &[("class", &"allowed"), ("d", &path), ("marker-end", &marker)],
            "",
        );
    }
    for (state, frame) in states.states.iter().zip(&frames) {
        draw_state(state, frame, context, out);
    }
    for (number, step) in steps.iter().enumerate() {
        draw_step(states, &steps, number, step, &frames, context, out);
    }
    out.close().close();
    draw_list(states, &steps, context, out);
    out.close();
}

fn frames(states: &States, context: &Context) -> Vec<Frame> {
    let shown = || states.states.iter().take(MOST_STATES);
    let leftmost = shown()
        .map(|state| {
            let frame = Frame::of(state, 0.0, context);
            frame.middle.x - frame.half_width
        })
        .fold(f64::INFINITY, f64::min);
    // A way that bends out to the left needs room as well.
    let at_origin: Vec<Frame> = shown()
        .map(|state| Frame::of(state, 0.0, context))
        .collect();
    let left = drawable(states)
        .flatten()
        .map(|way| Way::of(way, &at_origin, aside(states, way)).at(0.5).x)
        .fold(leftmost, f64::min);
    let left = if left.is_finite() { RIM - left } else { RIM };
    shown()
        .map(|state| Frame::of(state, left, context))
        .collect()
}

fn markers(states: &States, context: &Context, out: &mut Markup) {
    out.open("defs", &[]);
    let mut marker = |name: &str, class: &str| {
        out.open(
            "marker",
            &[
                ("id", &format!("{}-{name}", context.id)),
                ("class", &format!("arrowhead {class}")),
                ("markerWidth", &"9"),
                ("markerHeight", &"8"),
                ("refX", &"8"),
                ("refY", &"4"),
                ("orient", &"auto"),
                ("markerUnits", &"userSpaceOnUse"),
            ],
        );
        out.element("path", &[("d", &"M0.5 0.5 8.5 4 0.5 7.5 2.5 4Z")], "");
        out.close();
    };
    marker("allowed", "allowed");
    for walk in 0..states.walks.len().min(MOST_WALKS) {
        marker(&format!("walk{walk}"), &colour(walk));
    }
    out.close();
}

/// The class of a walk's colour.
fn colour(walk: usize) -> String {
    format!("c{}", walk + 1)
}

fn draw_state(state: &State, frame: &Frame, context: &Context, out: &mut Markup) {
    let words = context.label(&state.name);
    out.open("g", &[("class", &"state")]);
    out.element(
        "rect",
        &[
            ("x", &Tenths(frame.middle.x - frame.half_width)),
            ("y", &Tenths(frame.middle.y - BOX_HEIGHT / 2.0)),
            ("width", &Tenths(frame.half_width * 2.0)),
            ("height", &Tenths(BOX_HEIGHT)),
            ("rx", &"6"),
        ],
        "",
    );
    svg_lines(
        "state-name",
        &Tenths(frame.middle.x),
        frame.middle.y + 4.2,
        0.0,
        &words,
        std::slice::from_ref(&words.runs),
        out,
    );
    out.close();
}

/// The arrow of a step with its number. Where several steps take one transition, their arrows lie
/// side by side and their numbers one behind the other.
fn draw_step(
    states: &States,
    steps: &[Taken],
    number: usize,
    step: &Taken,
    frames: &[Frame],
    context: &Context,
    out: &mut Markup,
) {
    let same: Vec<usize> = (0..steps.len())
        .filter(|&other| steps[other].index == step.index)
        .collect();
    let rank = same.iter().position(|&other| other == number).unwrap_or(0) as f64;
    let many = same.len() as f64;
    let beside = (rank - (many - 1.0) / 2.0) * APART;
    let way = Way::of(
        step.transition,
        frames,
        aside(states, step.transition) + beside,
    );
    let class = format!("step {}", colour(step.walk));
    out.open("g", &[("class", &class), ("data-step", &number)]);
    out.element(
        "path",
        &[
            ("class", &"taken"),
            ("d", &way.path()),
            (
                "marker-end",
                &format!("url(#{}-walk{})", context.id, step.walk),
            ),
        ],
        "",
    );
    let at = way.at((rank + 1.0) / (many + 1.0));
    out.element(
        "circle",
        &[
            ("cx", &Tenths(at.x)),
            ("cy", &Tenths(at.y)),
            ("r", &NUMBER_RADIUS),
        ],
        "",
    );
    out.element(
        "text",
        &[
            ("class", &"number"),
            ("x", &Tenths(at.x)),
            ("y", &Tenths(at.y + 4.0)),
        ],
        &(number + 1).to_string(),
    );
    out.close();
}

/// What each number in the drawing stands for.
fn draw_list(states: &States, steps: &[Taken], context: &Context, out: &mut Markup) {
    out.open("ol", &[("class", &"walk")]);
    let unit = unit(steps);
    for (number, step) in steps.iter().enumerate() {
        out.open(
            "li",
            &[("class", &colour(step.walk)), ("data-step", &number)],
        );
        out.element("span", &[("class", &"number")], &(number + 1).to_string());
        out.open("span", &[]);
        out.element("span", &[("class", &"time")], &unit.span(step.at_us));
        out.text(" ").open("b", &[]);
        context.label(&states.walks[step.walk].name).html(out);
        out.close().text(" ");
        from_to(states, step.transition, context, out);
        out.text(" · ");
        context.label(&step.transition.label).html(out);
        out.close().close();
    }
    out.close();
}

/// `SYN-SENT → ESTABLISHED`; a line does not end inside a state's name.
fn from_to(states: &States, way: &Transition, context: &Context, out: &mut Markup) {
    let name = |index: usize, out: &mut Markup| {
        out.open("span", &[("class", &"place")]);
        context.label(&states.states[index].name).html(out);
        out.close();
    };
    name(way.from, out);
    out.text(" → ");
    name(way.to, out);
}

/// The walks, as one line of text for those who do not see them.
fn description(states: &States, steps: &[Taken], context: &Context) -> String {
    let name = |index: usize| context.label(&states.states[index].name).to_plain();
    steps
        .iter()
        .map(|step| {
            let who = context.label(&states.walks[step.walk].name).to_plain();
            let way = step.transition;
            format!("{who}: {} → {}", name(way.from), name(way.to))
        })
        .collect::<Vec<_>>()
        .join("; ")
}

/// The steps as a table, whose rows the script reads aloud, and the transitions not taken below.
pub(super) fn data(states: &States, context: &Context, out: &mut Markup) {
    let steps = taken(states);
    let unit = unit(&steps);
    open_data_scroll(context, out);
    out.open("table", &[]).open("thead", &[]).open("tr", &[]);
    out.element(
        "th",
        &[("scope", &"col"), ("class", &"number")],
        &context.word("figure-time"),
    );
    for head in ["figure-who", "figure-transition", "figure-event"] {
        out.element("th", &[("scope", &"col")], &context.word(head));
    }
    out.close().close().open("tbody", &[]);
    for (number, step) in steps.iter().enumerate() {
        out.open("tr", &[("data-step", &number)]);
        out.element("td", &[("class", &"number")], &unit.span(step.at_us));
        out.open("td", &[("class", &"who")]);
        context.label(&states.walks[step.walk].name).html(out);
        out.close().open("td", &[]);
        from_to(states, step.transition, context, out);
        out.close().open("td", &[]);
        context.label(&step.transition.label).html(out);
        out.close().close();
    }
    for (index, way) in drawable(states).enumerate() {
        let Some(way) = way.filter(|_| steps.iter().all(|step| step.index != index)) else {
            continue;
        };
        out.open("tr", &[]);
        out.element("td", &[("class", &"number")], "–");
        out.element("td", &[("class", &"who")], &context.word("figure-nobody"));
        out.open("td", &[]);
        from_to(states, way, context, out);
        out.close().open("td", &[]);
        context.label(&way.label).html(out);
        out.close().close();
    }
    out.close().close().close();
}

pub(super) fn texts(states: &States) -> Vec<&str> {
    let names = states.states.iter().map(|state| &state.name);
    let labels = states.transitions.iter().map(|way| &way.label);
    let walks = states.walks.iter().map(|walk| &walk.name);
    let all = names.chain(labels).chain(walks);
    all.map(String::as_str).collect()
}

pub(super) fn problems(states: &States) -> Vec<String> {
    let mut problems = Vec::new();
    let there = states.states.len();
    if there == 0 {
        problems.push("the diagram has no states".to_owned());
    }
    for (count, what, most) in [
        (there, "states", MOST_STATES),
        (states.transitions.len(), "transitions", MOST_TRANSITIONS),
        (states.walks.len(), "walks", MOST_WALKS),
    ] {
        if count > most {
            problems.push(format!("{count} {what}; a page shows {most}"));
        }
    }
    for (index, state) in states.states.iter().enumerate() {
        let inside = |at: f64, most: f64| (0.0..=most).contains(&at);
        if !inside(state.column, MOST_COLUMNS) || !inside(state.row, MOST_ROWS) {
            problems.push(format!(
                "state {index} stands at column {}, row {}; there are {MOST_COLUMNS} and {MOST_ROWS}",
                state.column, state.row
            ));
        }
    }
    for (index, way) in states.transitions.iter().enumerate() {
        for state in [way.from, way.to].into_iter().filter(|at| *at >= there) {
            problems.push(format!(
                "transition {index} names state {state}; there are {there}"
            ));
        }
        if way.from == way.to {
            problems.push(format!("transition {index} leads nowhere"));
        }
        if way.bend.is_nan() || way.bend.abs() > MOST_COLUMNS {
            problems.push(format!(
                "transition {index} bends by {} columns, more than {MOST_COLUMNS}",
                way.bend
            ));
        }
    }
    for (index, walk) in states.walks.iter().enumerate() {
        problems.extend(walk_problems(states, index, walk));
    }
    problems
}

fn walk_problems(states: &States, index: usize, walk: &record::Walk) -> Vec<String> {
    let mut problems = Vec::new();
    if walk.steps.is_empty() || walk.steps.len() > MOST_STEPS {
        problems.push(format!(
            "walk {index} has {} steps; a page shows 1 to {MOST_STEPS}",
            walk.steps.len()
        ));
    }
    let mut before: Option<(u64, usize)> = None;
    for (number, step) in walk.steps.iter().enumerate() {
        let Some(way) = states.transitions.get(step.transition) else {
            problems.push(format!(
                "step {number} of walk {index} takes transition {}; there are {}",
                step.transition,
                states.transitions.len()
            ));
            continue;
        };
        if let Some((at_us, state)) = before {
            if step.at_us < at_us {
                problems.push(format!(
                    "step {number} of walk {index} is earlier than the one before"
                ));
            }
            let name = |at: usize| states.states.get(at).map(|state| &state.name);
            if name(state) != name(way.from) {
                problems.push(format!(
                    "step {number} of walk {index} begins where the one before has not ended"
                ));
            }
        }
        before = Some((step.at_us, way.to));
    }
    problems
}
