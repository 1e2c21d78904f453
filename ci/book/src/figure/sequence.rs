//! Messages between hosts over time.
//!
//! Time runs downwards. Every instant (a message leaves, a message arrives, a host changes state)
//! has a row of its own, in the order in which it came; so messages that overtake one another
//! cross. Rows are about evenly spaced, the time stands at the left, and a long silence is drawn as
//! a gap in the lifelines with its length.

mod layout;

use std::fmt::Display;

use record::{Event, Fate, Sequence, What};

pub(super) use self::layout::Unit;
use self::layout::{
    LABEL, LINE_HEIGHT, LOOP, Layout, MOST_EVENTS, MOST_HOSTS, NOTE_RISE, Placed, Room, SMALL,
    STATE_MARGINS, fate_class, note,
};
use super::markup::{Attributes, Markup, Tenths};
use super::text;
use super::{Context, open_data_scroll, open_scroll, open_svg, svg_lines};

/// The part of the way that a message makes that is lost, and the mark where it ends.
const LOST_AFTER: f64 = 0.62;
const CROSS: &str = "M-5-5 5 5M-5 5 5-5";

pub(super) fn draw(sequence: &Sequence, context: &Context, out: &mut Markup) {
    let layout = Layout::of(sequence, context);
    let least = layout.width + layout.gutter;
    let noted = layout
        .events
        .iter()
        .any(|placed| note(placed.event).is_some());
    let class = match (noted, layout.lifelines.len() <= 2 && least <= 420.0) {
        (true, true) => "figure-body notes-beside",
        (true, false) => "figure-body notes-below",
        (false, _) => "figure-body",
    };
    out.open("div", &[("class", &class)]);
    open_scroll(context, least, out);
    let style = format!(
        "--least:{}px;--most:{}px;--left:{}px",
        Tenths(layout.width),
        Tenths(layout.widest),
        Tenths(layout.gutter)
    );
    open_svg(
        context,
        &style,
        "sequence",
        layout.height,
        &description(&layout, context),
        out,
    );
    markers(context, out);
    draw_lifelines(&layout, out);
    let mut taken: Vec<Room> = Vec::new();
    for placed in &layout.events {
        if let What::State { host, .. } = placed.event.what {
            let half = text::width(&placed.lines, SMALL) / 2.0 + STATE_MARGINS / 2.0;
            let x = layout.lifelines[host];
            taken.push(Room {
                left: x - half,
                right: x + half,
                top: placed.y - 12.0,
                bottom: placed.y + 12.0,
            });
        }
    }
    let stamps = stamps(&layout);
    for (step, placed) in layout.events.iter().enumerate() {
        open_step(step, placed, out);
        for (y, amount) in stamps
            .iter()
            .filter(|stamp| stamp.0 == step)
            .map(|stamp| &stamp.1)
        {
            out.element(
                "text",
                &[("class", &"time"), ("x", &"-10"), ("y", &Tenths(y + 4.0))],
                amount,
            );
        }
        match placed.event.what {
            What::Message { from, to, fate, .. } if from == to => {
                draw_loop(&layout, placed, from, fate, context, out);
            }
            What::Message { from, to, fate, .. } => {
                let arrow = Arrow::of(&layout, placed, from, to, fate);
                arrow.draw(&layout, fate, context, out);
                taken.extend(arrow.cross(fate));
            }
            What::State { host, .. } => draw_state(&layout, placed, host, out),
        }
        out.close();
    }
    // Labels lie over all arrows, so that no arrow strikes through one.
    for (step, placed) in layout.events.iter().enumerate() {
        if let What::Message { from, to, fate, .. } = placed.event.what
            && from != to
        {
            open_step(step, placed, out);
            let arrow = Arrow::of(&layout, placed, from, to, fate);
            draw_label(&layout, placed, &arrow, &mut taken, out);
            out.close();
        }
    }
    out.close().close();
    if noted {
        draw_notes(&layout, context, out);
    }
    out.close();
}

/// Opens the group of what belongs to one event.
fn open_step(step: usize, placed: &Placed, out: &mut Markup) {
    let class = match placed.event.what {
        What::Message { fate, .. } => format!("message {}", fate_class(fate)),
        What::State { .. } => "state".to_owned(),
    };
    out.open("g", &[("class", &class), ("data-step", &step)]);
}

/// All that is in the drawing, as one line of text for those who do not see it.
fn description(layout: &Layout, context: &Context) -> String {
    let mut text = String::new();
    for placed in layout.events.iter().take(40) {
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(&who(placed.event, layout));
        text.push_str(": ");
        text.push_str(&placed.label.to_plain());
    }
    if layout.events.len() > 40 {
        text.push_str("; …");
    }
    if layout.gutter > 0.0 {
        text.push_str(". ");
        text.push_str(&context.word("figure-not-to-scale"));
    }
    text
}

/// Who takes part in an event: `client → server`.
fn who(event: &Event, layout: &Layout) -> String {
    let name = |host: usize| layout.heads[host].0.to_plain();
    match event.what {
        What::Message { from, to, .. } => format!("{} → {}", name(from), name(to)),
        What::State { host, .. } => name(host),
    }
}

/// The arrowheads, one for each look of an arrow.
fn markers(context: &Context, out: &mut Markup) {
    out.open("defs", &[]);
    for fate in [Fate::Arrived, Fate::Changed, Fate::Duplicated] {
        out.open(
            "marker",
            &[
                ("id", &format!("{}-{}", context.id, fate_class(fate))),
                ("class", &format!("arrowhead {}", fate_class(fate))),
                ("markerWidth", &"9"),
                ("markerHeight", &"8"),
                ("refX", &"8.5"),
                ("refY", &"4"),
                ("orient", &"auto"),
                ("markerUnits", &"userSpaceOnUse"),
            ],
        );
        out.element("path", &[("d", &"M0.5 0.5 8.5 4 0.5 7.5 2.5 4Z")], "");
        out.close();
    }
    out.close();
}

fn draw_lifelines(layout: &Layout, out: &mut Markup) {
    if layout.gutter > 0.0 {
        out.element(
            "text",
            &[
                ("class", &"time unit"),
                ("x", &"-10"),
                ("y", &Tenths(layout.top - 12.0)),
            ],
            layout.unit.name(),
        );
    }
    for ((name, detail), x) in layout.heads.iter().zip(&layout.lifelines) {
        let percent = layout.percent(*x);
        svg_lines(
            "host",
            &percent,
            14.0,
            0.0,
            name,
            std::slice::from_ref(&name.runs),
            out,
        );
        if let Some(detail) = detail {
            svg_lines(
                "detail",
                &percent,
                30.0,
                0.0,
                detail,
                std::slice::from_ref(&detail.runs),
                out,
            );
        }
        let line = |class: &str, from: f64, to: f64, out: &mut Markup| {
            out.element(
                "line",
                &[
                    ("class", &class),
                    ("x1", &percent),
                    ("x2", &percent),
                    ("y1", &Tenths(from)),
                    ("y2", &Tenths(to)),
                ],
                "",
            );
        };
        let mut from = layout.top - 6.0;
        for silence in &layout.silences {
            line("lifeline", from, silence.top, out);
            line("lifeline silent", silence.top, silence.bottom, out);
            from = silence.bottom;
        }
        line("lifeline", from, layout.height, out);
    }
    for silence in &layout.silences {
        out.element(
            "text",
            &[
                ("class", &"silence"),
                ("x", &"50%"),
                (
                    "y",
                    &Tenths(f64::midpoint(silence.top, silence.bottom) + 4.0),
                ),
            ],
            &layout.unit.span(silence.waited_us),
        );
    }
}

/// The times at the left, each with its event and place: a row says nothing where the row before
/// says the same or is too near.
fn stamps(layout: &Layout) -> Vec<(usize, (f64, String))> {
    if layout.gutter == 0.0 {
        return Vec::new();
    }
    let mut rows: Vec<(f64, usize, u64)> = Vec::new();
    for (step, placed) in layout.events.iter().enumerate() {
        rows.push((placed.y, step, placed.event.at_us));
        if let What::Message {
            arrived_us: Some(arrived_us),
            ..
        } = placed.event.what
        {
            rows.push((placed.end_y, step, arrived_us));
        }
    }
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut stamps: Vec<(usize, (f64, String))> = Vec::new();
    for (y, step, time_us) in rows {
        let amount = layout.unit.amount(time_us);
        if stamps
            .last()
            .is_none_or(|(_, (at, before))| *before != amount && y - at >= 13.0)
        {
            stamps.push((step, (y, amount)));
        }
    }
    stamps
}

/// An arrow's ends, in the layout's pixels.
struct Arrow {
    start: (f64, f64),
    end: (f64, f64),
}

impl Arrow {
    fn of(layout: &Layout, placed: &Placed, from: usize, to: usize, fate: Fate) -> Self {
        let (start_x, mut end_x) = (layout.lifelines[from], layout.lifelines[to]);
        if fate == Fate::Lost {
            end_x = start_x + (end_x - start_x) * LOST_AFTER;
        }
        Self {
            start: (start_x, placed.y),
            end: (end_x, placed.end_y),
        }
    }

    fn at(&self, part: f64) -> (f64, f64) {
        (
            self.start.0 + part * (self.end.0 - self.start.0),
            self.start.1 + part * (self.end.1 - self.start.1),
        )
    }

    /// How far it comes down for each pixel across.
    fn slope(&self) -> f64 {
        ((self.end.1 - self.start.1) / (self.end.0 - self.start.0)).abs()
    }

    /// The room of the cross at the end of a message that is lost.
    fn cross(&self, fate: Fate) -> Option<Room> {
        (fate == Fate::Lost).then_some(Room {
            left: self.end.0 - 8.0,
            right: self.end.0 + 8.0,
            top: self.end.1 - 8.0,
            bottom: self.end.1 + 8.0,
        })
    }

    fn draw(&self, layout: &Layout, fate: Fate, context: &Context, out: &mut Markup) {
        let (x1, y1) = (layout.percent(self.start.0), Tenths(self.start.1));
        let (x2, y2) = (layout.percent(self.end.0), Tenths(self.end.1));
        let marker = format!("url(#{}-{})", context.id, fate_class(fate));
        let mut attributes: Vec<(&'static str, &dyn Display)> = vec![
            ("class", &"arrow"),
            ("x1", &x1),
            ("y1", &y1),
            ("x2", &x2),
            ("y2", &y2),
        ];
        if fate != Fate::Lost {
            attributes.push(("marker-end", &marker));
        }
        out.element("line", &attributes, "");
        if fate == Fate::Lost {
            out.open("svg", &[("class", &"at"), ("x", &x2), ("y", &y2)])
                .element("path", &[("class", &"cross"), ("d", &CROSS)], "")
                .close();
        }
        out.element(
            "circle",
            &[
                ("class", &"departure"),
                ("cx", &x1),
                ("cy", &y1),
                ("r", &"2.5"),
            ],
            "",
        );
    }
}

// What speaks against a label's place, beside each square pixel that it shares with another label:
// each point of an arrow under it, and an arrow that is nearer than its own (or the drawing's end).
const STRIKES_OWN: f64 = 3.0;
const STRIKES_OTHER: f64 = 30.0;
const ESTRANGED: f64 = 200.0;

/// A message's label: over the arrow's middle, or nearer to one end, or on the arrow, or under it,
/// where something is in the way.
fn draw_label(
    layout: &Layout,
    placed: &Placed,
    arrow: &Arrow,
    taken: &mut Vec<Room>,
    out: &mut Markup,
) {
    let width = text::width(&placed.lines, LABEL);
    let height = placed.lines.len() as f64 * LINE_HEIGHT;
    let rise = arrow.slope() * width / 2.0;
    let arrows = arrows_near(layout, placed);
    let mut best: Option<(f64, f64, Room)> = None;
    for part in [0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74] {
        let (x, y) = arrow.at(part);
        let x = x.clamp(
            (width / 2.0).min(layout.width / 2.0),
            (layout.width - width / 2.0).max(layout.width / 2.0),
        );
        // Clear of the arrow's higher end first, then lower: a label has a rim that interrupts
        // the arrow.
        for (bottom, reluctance) in [
            (y - 3.0 - rise, 0.0),
            (y - 3.0 - rise * 0.7, 0.0),
            (y - 3.0 - rise * 0.4, 0.0),
            (y + height / 2.0, 4.0),
            (y + 6.0 + rise * 0.5 + height, 30.0),
        ] {
            let room = Room {
                left: x - width / 2.0,
                right: x + width / 2.0,
                top: bottom - height,
                bottom,
            };
            let struck: f64 = arrows
                .iter()
                .filter(|(_, x, y)| room.contains(*x, *y))
                .map(|(own, ..)| if *own { STRIKES_OWN } else { STRIKES_OTHER })
                .sum();
            // A label belongs to the arrow that it is nearest to.
            let distance = |own: bool| {
                arrows
                    .iter()
                    .filter(|point| point.0 == own)
                    .map(|point| (point.1 - x).hypot(point.2 - (bottom - height / 2.0)))
                    .fold(f64::INFINITY, f64::min)
            };
            let estranged = if distance(false) < distance(true) || bottom > layout.height {
                ESTRANGED
            } else {
                0.0
            };
            let cost = taken.iter().map(|other| room.overlap(other)).sum::<f64>()
                + estranged
                + struck
                + reluctance
                + (part - 0.5).abs() * 4.0;
            if best.as_ref().is_none_or(|(least, ..)| cost < *least) {
                best = Some((cost, x, room));
            }
        }
    }
    if let Some((_, x, room)) = best {
        svg_lines(
            "label",
            &layout.percent(x),
            room.top + LINE_HEIGHT - 4.0,
            LINE_HEIGHT,
            &placed.label,
            &placed.lines,
            out,
        );
        taken.push(room);
    }
}

/// Points along all arrows that pass the rows of a message, and whether they are its own.
fn arrows_near(layout: &Layout, placed: &Placed) -> Vec<(bool, f64, f64)> {
    let mut points = Vec::new();
    for other in &layout.events {
        if other.end_y < placed.y - 40.0 || other.y > placed.end_y {
            continue;
        }
        let What::Message { from, to, fate, .. } = other.event.what else {
            continue;
        };
        let arrow = Arrow::of(layout, other, from, to, fate);
        for step in 0..=32_u32 {
            let (x, y) = arrow.at(f64::from(step) / 32.0);
            points.push((std::ptr::eq(other, placed), x, y));
        }
    }
    points
}

/// A message of a host to itself.
fn draw_loop(
    layout: &Layout,
    placed: &Placed,
    host: usize,
    fate: Fate,
    context: &Context,
    out: &mut Markup,
) {
    let height = placed.end_y - placed.y;
    out.open(
        "svg",
        &[
            ("class", &"at"),
            ("x", &layout.percent(layout.lifelines[host])),
            ("y", &Tenths(placed.y)),
        ],
    );
    let path = format!("M0 0H{LOOP}V{}H3", Tenths(height));
    if fate == Fate::Lost {
        out.element("path", &[("class", &"arrow"), ("d", &path)], "");
        out.open(
            "svg",
            &[("class", &"at"), ("x", &"10"), ("y", &Tenths(height))],
        )
        .element("path", &[("class", &"cross"), ("d", &CROSS)], "")
        .close();
    } else {
        let marker = format!("url(#{}-{})", context.id, fate_class(fate));
        let attributes: Attributes = &[("class", &"arrow"), ("d", &path), ("marker-end", &marker)];
        out.element("path", attributes, "");
    }
    let lines = placed.lines.len() as f64;
    svg_lines(
        "label loop",
        &(LOOP + 6.0),
        height / 2.0 + 4.5 - (lines - 1.0) * LINE_HEIGHT / 2.0,
        LINE_HEIGHT,
        &placed.label,
        &placed.lines,
        out,
    );
    out.close();
}

fn draw_state(layout: &Layout, placed: &Placed, host: usize, out: &mut Markup) {
    let width = text::width(&placed.lines, SMALL) + STATE_MARGINS;
    let height = placed.lines.len().max(1) as f64 * 15.0 + 9.0;
    out.open(
        "svg",
        &[
            ("class", &"at"),
            ("x", &layout.percent(layout.lifelines[host])),
            ("y", &Tenths(placed.y)),
        ],
    );
    out.element(
        "rect",
        &[
            ("x", &Tenths(-width / 2.0)),
            ("y", &Tenths(-height / 2.0)),
            ("width", &Tenths(width)),
            ("height", &Tenths(height)),
            ("rx", &"6"),
        ],
        "",
    );
    svg_lines(
        "state-name",
        &"0",
        16.2 - height / 2.0,
        15.0,
        &placed.label,
        &placed.lines,
        out,
    );
    out.close();
}

/// The notes: beside the drawing, each at its event's row, where the page is wide enough;
/// otherwise a list below it. The same list, set by figure.css.
fn draw_notes(layout: &Layout, context: &Context, out: &mut Markup) {
    out.open("ol", &[("class", &"figure-notes")]);
    for (step, placed) in layout.events.iter().enumerate() {
        let Some(note) = note(placed.event) else {
            continue;
        };
        out.open(
            "li",
            &[
                ("data-step", &step),
                ("style", &format!("--y:{}px", Tenths(placed.y - NOTE_RISE))),
            ],
        );
        out.open("span", &[("class", &"note-event")]);
        if layout.gutter > 0.0 {
            out.element(
                "span",
                &[("class", &"time")],
                &layout.unit.span(placed.event.at_us),
            );
            out.text(" ");
        }
        out.open("b", &[]);
        placed.label.html(out);
        out.close().close().text(" ");
        context.label(note).html(out);
        out.close();
    }
    out.close();
}

/// The same facts as a table. The script reads its rows aloud, a step each.
pub(super) fn data(sequence: &Sequence, context: &Context, out: &mut Markup) {
    let layout = Layout::of(sequence, context);
    let timed = layout.gutter > 0.0;
    open_data_scroll(context, out);
    out.open("table", &[]).open("thead", &[]).open("tr", &[]);
    if timed {
        let attributes: Attributes = &[("scope", &"col"), ("class", &"number")];
        out.element("th", attributes, &context.word("figure-time"));
    }
    for head in ["figure-who", "figure-event", "figure-note"] {
        out.element("th", &[("scope", &"col")], &context.word(head));
    }
    out.close().close().open("tbody", &[]);
    for (step, placed) in layout.events.iter().enumerate() {
        out.open("tr", &[("data-step", &step)]);
        if timed {
            out.open("td", &[("class", &"number")]);
            out.text(&layout.unit.amount(placed.event.at_us));
            if let What::Message {
                arrived_us: Some(arrived_us),
                ..
            } = placed.event.what
            {
                out.text(" → ").text(&layout.unit.amount(arrived_us));
            }
            out.text("\u{a0}").text(layout.unit.name()).close();
        }
        out.element("td", &[("class", &"who")], &who(placed.event, &layout));
        out.open("td", &[]);
        placed.label.html(out);
        out.close().open("td", &[]);
        if let Some(note) = note(placed.event) {
            context.label(note).html(out);
        }
        out.close().close();
    }
    out.close().close().close();
    if timed {
        out.element(
            "p",
            &[("class", &"figure-remark")],
            &context.word("figure-not-to-scale"),
        );
    }
}

pub(super) fn texts(sequence: &Sequence) -> Vec<&str> {
    let mut texts: Vec<&str> = Vec::new();
    for host in &sequence.hosts {
        texts.push(&host.name);
        texts.extend(host.detail.as_deref());
    }
    for event in &sequence.events {
        match &event.what {
            What::Message { label, .. } | What::State { label, .. } => texts.push(label),
        }
        texts.extend(note(event));
    }
    texts
}

pub(super) fn problems(sequence: &Sequence) -> Vec<String> {
    let mut problems = Vec::new();
    let hosts = sequence.hosts.len();
    if hosts == 0 {
        problems.push("the sequence has no hosts".to_owned());
    }
    if sequence.events.is_empty() {
        problems.push("the sequence has no events".to_owned());
    }
    if hosts > MOST_HOSTS {
        problems.push(format!("{hosts} hosts; a page shows {MOST_HOSTS}"));
    }
    if sequence.events.len() > MOST_EVENTS {
        problems.push(format!(
            "{} events; a page shows {MOST_EVENTS}",
            sequence.events.len()
        ));
    }
    let mut before_us = 0;
    for (index, event) in sequence.events.iter().enumerate() {
        let named: &[usize] = match &event.what {
            What::Message { from, to, .. } => &[*from, *to],
            What::State { host, .. } => &[*host],
        };
        for host in named.iter().filter(|host| **host >= hosts) {
            problems.push(format!(
                "event {index} names host {host}; there are {hosts}"
            ));
        }
        if event.at_us < before_us {
            problems.push(format!(
                "event {index} is at {} µs, before its predecessor at {before_us} µs",
                event.at_us
            ));
        }
        before_us = event.at_us;
        if let What::Message {
            arrived_us: Some(arrived_us),
            fate,
            ..
        } = event.what
        {
            if arrived_us < event.at_us {
                problems.push(format!("event {index} arrives before it leaves"));
            }
            if fate == Fate::Lost {
                problems.push(format!("event {index} is lost and yet arrives"));
            }
        }
    }
    problems
}
