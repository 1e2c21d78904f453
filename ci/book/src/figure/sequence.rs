//! Messages between hosts over time.
//!
//! Time runs downwards. Every instant (a message leaves, a message arrives, a host changes state)
//! has a row of its own, in the order in which it came; so messages that overtake one another
//! cross. Rows are about evenly spaced, the time stands at the left, and a long silence is drawn as
//! a gap in the lifelines with its length.

use std::fmt::Display;

use record::{Event, Fate, Sequence, What};

use super::markup::{Attributes, Markup, Percent, Tenths, grouped, number};
use super::text::{self, Run, Words};
use super::{Context, open_data_scroll, open_scroll, open_svg, svg_lines};

/// More events than a page can bear are left out, and [`problems`] says so.
const MOST_EVENTS: usize = 200;
const MOST_HOSTS: usize = 12;

// Sizes in CSS pixels. Text and lines:
const LABEL: f64 = 13.0;
const LINE_HEIGHT: f64 = 17.0;
const SMALL: f64 = 12.0;
/// The column of notes beside the drawing, as wide as figure.css makes it.
const NOTE: f64 = 14.0;
const NOTE_WIDTH: f64 = 248.0;
const NOTE_LINE_HEIGHT: f64 = 21.0;
/// Between two lifelines: the least, and the most that labels can ask for.
const PITCH: f64 = 128.0;
const WIDEST_PITCH: f64 = 260.0;
/// A label may stand out over the lifelines by so much altogether.
const OVERHANG: f64 = 4.0;
/// The drawing stops growing at so much between two lifelines.
const ROOMY_PITCH: f64 = 320.0;
/// A loop from a host to itself.
const LOOP: f64 = 26.0;
const LOOP_LABEL: f64 = 120.0;

/// The part of the way that a message makes that is lost.
const LOST_AFTER: f64 = 0.62;
/// The mark where it ends.
const CROSS: &str = "M-5-5 5 5M-5 5 5-5";
/// How far such a message comes down.
const LOST_DROP: f64 = 14.0;

/// A silence, in which nothing was under way, is drawn as such where it is this part of the whole
/// time or more, and so many times as long as the usual wait.
const LONG_SILENCE: f64 = 0.2;
const UNUSUAL_SILENCE: f64 = 5.0;

/// An instant that has a row.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Instant {
    time_us: u64,
    event: usize,
    arrival: bool,
}

/// A message or state, placed.
struct Placed<'a> {
    event: &'a Event,
    /// Where it begins and where it ends; the same for a state.
    y: f64,
    end_y: f64,
    label: Words,
    lines: Vec<Vec<Run>>,
}

/// A label's or box's room, to keep others out of it.
#[derive(Debug, Clone, Copy)]
struct Room {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Room {
    fn overlap(&self, other: &Self) -> f64 {
        let width = self.right.min(other.right) - self.left.max(other.left);
        let height = self.bottom.min(other.bottom) - self.top.max(other.top);
        width.max(0.0) * height.max(0.0)
    }

    fn contains(&self, x: f64, y: f64) -> bool {
        (self.left - 3.0..self.right + 3.0).contains(&x)
            && (self.top..self.bottom + 1.0).contains(&y)
    }
}

/// The whole drawing in pixels at its least width, without the column of times.
struct Layout<'a> {
    heads: Vec<(Words, Option<Words>)>,
    events: Vec<Placed<'a>>,
    /// The lifelines' distances from the left edge.
    lifelines: Vec<f64>,
    /// The silences: from, to, how long in microseconds.
    silences: Vec<(f64, f64, u64)>,
    unit: Unit,
    gutter: f64,
    width: f64,
    widest: f64,
    top: f64,
    height: f64,
}

/// The unit that suits all times of one figure.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Unit {
    Microseconds,
    Milliseconds,
    Seconds,
}

impl Unit {
    fn of(longest_us: u64) -> Self {
        match longest_us {
            0..10_000 => Self::Microseconds,
            10_000..100_000_000 => Self::Milliseconds,
            _ => Self::Seconds,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Microseconds => "µs",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
        }
    }

    fn amount(self, time_us: u64) -> String {
        match self {
            Self::Microseconds => number(time_us as f64),
            Self::Milliseconds => grouped(&format!("{:.1}", time_us as f64 / 1e3)),
            Self::Seconds => grouped(&format!("{:.2}", time_us as f64 / 1e6)),
        }
    }

    fn span(self, time_us: u64) -> String {
        format!("{}\u{a0}{}", self.amount(time_us), self.name())
    }
}

/// The events that are drawn: not too many, and only between hosts that there are.
fn drawable(sequence: &Sequence) -> Vec<&Event> {
    let hosts = sequence.hosts.len().min(MOST_HOSTS);
    sequence
        .events
        .iter()
        .filter(|event| match event.what {
            What::Message { from, to, .. } => from < hosts && to < hosts,
            What::State { host, .. } => host < hosts,
        })
        .take(MOST_EVENTS)
        .collect()
}

fn note(event: &Event) -> Option<&str> {
    match &event.what {
        What::Message { note, .. } | What::State { note, .. } => note.as_deref(),
    }
}

fn fate_word(fate: Fate) -> Option<&'static str> {
    match fate {
        Fate::Arrived => None,
        Fate::Lost => Some("figure-lost"),
        Fate::Changed => Some("figure-changed"),
        Fate::Duplicated => Some("figure-duplicated"),
    }
}

fn fate_class(fate: Fate) -> &'static str {
    match fate {
        Fate::Arrived => "arrived",
        Fate::Lost => "lost",
        Fate::Changed => "changed",
        Fate::Duplicated => "duplicated",
    }
}

/// What stands on the arrow or in the box: the label, and the message's fate if it had one.
fn event_label(event: &Event, context: &Context) -> Words {
    match &event.what {
        What::Message { label, fate, .. } => {
            let mut words = context.label(label);
            if let Some(word) = fate_word(*fate) {
                words
                    .runs
                    .extend(Words::plain(&format!(" ({})", context.word(word))).runs);
            }
            words
        }
        What::State { label, .. } => context.label(label),
    }
}

/// The rows' instants in order. Those of one time keep the order of the record.
fn instants(events: &[&Event]) -> Vec<Instant> {
    let mut instants = Vec::new();
    for (index, event) in events.iter().enumerate() {
        instants.push(Instant {
            time_us: event.at_us,
            event: index,
            arrival: false,
        });
        if let What::Message {
            arrived_us: Some(arrived_us),
            ..
        } = event.what
        {
            instants.push(Instant {
                time_us: arrived_us.max(event.at_us),
                event: index,
                arrival: true,
            });
        }
    }
    instants.sort_by_key(|instant| (instant.time_us, instant.event, instant.arrival));
    instants
}

/// The median of the times between two instants that are not one.
fn usual_wait_us(instants: &[Instant]) -> u64 {
    let mut waits: Vec<u64> = instants
        .windows(2)
        .map(|pair| pair[1].time_us - pair[0].time_us)
        .filter(|wait| *wait > 0)
        .collect();
    waits.sort_unstable();
    // Of two, the shorter.
    waits
        .get(waits.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or(0)
}

impl<'a> Layout<'a> {
    fn of(sequence: &'a Sequence, context: &Context) -> Self {
        let events = drawable(sequence);
        let hosts = sequence.hosts.len().clamp(1, MOST_HOSTS);
        let heads: Vec<(Words, Option<Words>)> = sequence
            .hosts
            .iter()
            .take(MOST_HOSTS)
            .map(|host| {
                let detail = host.detail.as_ref().map(|detail| context.label(detail));
                (context.label(&host.name), detail)
            })
            .collect();
        let labels: Vec<Words> = events
            .iter()
            .map(|event| event_label(event, context))
            .collect();

        // Across: labels of messages push lifelines apart, heads and states push the edges out.
        let state_width = |words: &Words| text::width(&words.wrap(SMALL, PITCH), SMALL) + 18.0;
        let half_width = |host: usize| {
            let head = heads.get(host).map_or(0.0, |(name, detail)| {
                let whole = |words: &Words, size| text::width(&words.wrap(size, f64::MAX), size);
                let name = whole(name, 14.0) * 1.06;
                name.max(detail.as_ref().map_or(0.0, |detail| whole(detail, 11.0)))
            });
            let states = events
                .iter()
                .zip(&labels)
                .filter(
                    |(event, _)| matches!(event.what, What::State { host: at, .. } if at == host),
                )
                .map(|(_, label)| state_width(label))
                .fold(0.0, f64::max);
            head.max(states) / 2.0
        };
        let wrap_width = |pitch: f64, event: &Event| match event.what {
            What::Message { from, to, .. } if from == to => LOOP_LABEL,
            What::Message { from, to, .. } => pitch * from.abs_diff(to) as f64 + OVERHANG - 16.0,
            What::State { .. } => PITCH,
        };
        let mut pitch = PITCH;
        let too_tight = |pitch: f64| {
            let lines_too_many = events.iter().zip(&labels).any(|(event, label)| {
                let width = wrap_width(pitch, event);
                let lines = label.wrap(LABEL, width);
                lines.len() > 2 || text::width(&lines, LABEL) > width
            });
            let heads_touch =
                (1..hosts).any(|host| half_width(host - 1) + half_width(host) + 12.0 > pitch);
            lines_too_many || heads_touch
        };
        while pitch < WIDEST_PITCH && too_tight(pitch) {
            pitch += 12.0;
        }
        let has_loop = |host: usize| {
            events.iter().any(
                |event| matches!(event.what, What::Message { from, to, .. } if from == to && to == host),
            )
        };
        let left = half_width(0).max(22.0) + 2.0;
        let mut right = half_width(hosts - 1).max(22.0) + 2.0;
        if has_loop(hosts - 1) {
            right = right.max(LOOP + LOOP_LABEL + 8.0);
        }
        let lifelines: Vec<f64> = (0..hosts).map(|host| left + pitch * host as f64).collect();
        let width = lifelines[hosts - 1] + right;
        let widest = left + right + ROOMY_PITCH * (hosts - 1) as f64;

        // Down: a row for each instant.
        let instants = instants(&events);
        let usual_us = usual_wait_us(&instants);
        let last_us = instants.last().map_or(0, |instant| instant.time_us);
        let unit = Unit::of(last_us);
        let gutter = if last_us == 0 {
            0.0
        } else {
            let widest = Words::plain(&unit.amount(last_us));
            text::width(&[widest.runs], 11.5).max(18.0) + 12.0
        };
        let detailed = heads.iter().any(|(_, detail)| detail.is_some());
        let top = if detailed { 44.0 } else { 28.0 };
        let mut placed: Vec<Placed> = events
            .iter()
            .zip(labels)
            .map(|(event, label)| {
                let size = if matches!(event.what, What::State { .. }) {
                    SMALL
                } else {
                    LABEL
                };
                let lines = label.wrap(size, wrap_width(pitch, event));
                Placed {
                    event,
                    y: 0.0,
                    end_y: 0.0,
                    label,
                    lines,
                }
            })
            .collect();
        let mut silences = Vec::new();
        let mut y = top;
        let mut below = 4.0;
        let mut note_end = 0.0;
        let mut under_way = 0_usize;
        let mut before: Option<Instant> = None;
        for instant in &instants {
            let (above, next_below) = room(&placed[instant.event], instant.arrival);
            let mut step = below + above;
            // A message whose way was seen comes down visibly, and those under way together keep
            // their labels' height apart.
            if instant.arrival
                && (under_way > 1 || before.is_some_and(|before| before.event == instant.event))
            {
                step = step.max(26.0);
            } else if !instant.arrival && under_way > 0 {
                step += 14.0;
            }
            if let Some(before) = before {
                let waited = instant.time_us - before.time_us;
                let long = waited as f64 >= LONG_SILENCE * last_us as f64
                    && waited as f64 >= UNUSUAL_SILENCE * usual_us as f64;
                if under_way == 0 && long && waited > 0 {
                    let from = y + below + 4.0;
                    silences.push((from, from + 28.0, waited));
                    step += 40.0;
                }
            }
            y += step;
            if !instant.arrival
                && let Some(note) = note(placed[instant.event].event)
            {
                y = y.max(note_end + 12.0);
                let lines = context.label(note).wrap(NOTE, NOTE_WIDTH).len();
                let height = lines as f64 * NOTE_LINE_HEIGHT;
                note_end = y - 14.0 + height;
            }
            let event = &mut placed[instant.event];
            if !instant.arrival {
                event.y = y;
            }
            event.end_y = y;
            if let What::Message {
                arrived_us,
                fate,
                from,
                to,
                ..
            } = event.event.what
            {
                if arrived_us.is_some() {
                    under_way = if instant.arrival {
                        under_way - 1
                    } else {
                        under_way + 1
                    };
                } else if fate == Fate::Lost {
                    event.end_y = y + LOST_DROP;
                } else if from == to {
                    event.end_y = y + 16.0;
                }
            }
            below = next_below;
            before = Some(*instant);
        }
        let height = (y + below + 12.0).max(note_end + 8.0);
        Self {
            heads,
            events: placed,
            lifelines,
            silences,
            unit,
            gutter,
            width,
            widest,
            top,
            height,
        }
    }

    fn percent(&self, x: f64) -> Percent {
        Percent(x / self.width)
    }
}

/// How much an instant needs above and below its row.
fn room(placed: &Placed, arrival: bool) -> (f64, f64) {
    let lines = placed.lines.len().max(1) as f64;
    match (&placed.event.what, arrival) {
        (What::State { .. }, _) => {
            let half = (lines * 15.0 + 9.0) / 2.0;
            (half + 5.0, half + 5.0)
        }
        (What::Message { from, to, .. }, false) if from == to => (
            lines * LINE_HEIGHT / 2.0 + 4.0,
            20.0 + lines * LINE_HEIGHT / 2.0,
        ),
        (
            What::Message {
                fate: Fate::Lost, ..
            },
            false,
        ) => (lines * LINE_HEIGHT + 10.0, LOST_DROP + 10.0),
        (What::Message { .. }, false) => (lines * LINE_HEIGHT + 10.0, 8.0),
        (What::Message { .. }, true) => (14.0, 8.0),
    }
}

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
            let half = text::width(&placed.lines, SMALL) / 2.0 + 9.0;
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
        for (top, bottom, _) in &layout.silences {
            line("lifeline", from, *top, out);
            line("lifeline silent", *top, *bottom, out);
            from = *bottom;
        }
        line("lifeline", from, layout.height, out);
    }
    for (top, bottom, waited_us) in &layout.silences {
        out.element(
            "text",
            &[
                ("class", &"silence"),
                ("x", &"50%"),
                ("y", &Tenths(f64::midpoint(*top, *bottom) + 4.0)),
            ],
            &layout.unit.span(*waited_us),
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
    let width = text::width(&placed.lines, SMALL) + 18.0;
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
                ("style", &format!("--y:{}px", Tenths(placed.y - 14.0))),
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
