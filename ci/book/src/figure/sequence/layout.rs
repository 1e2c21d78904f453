//! Where the parts of a sequence stand.

use record::{Event, Fate, Sequence, What};

use super::super::Context;
use super::super::markup::{Percent, grouped, number};
use super::super::text::{self, Run, Words};

/// More events than a page can bear are left out, and `problems` says so.
pub(super) const MOST_EVENTS: usize = 200;
pub(super) const MOST_HOSTS: usize = 12;

// Sizes in CSS pixels. Text and lines:
pub(super) const LABEL: f64 = 13.0;
pub(super) const LINE_HEIGHT: f64 = 17.0;
pub(super) const SMALL: f64 = 12.0;
/// The column of notes beside the drawing, as wide as figure.css makes it, and how far a note's
/// first line stands over its event's row.
const NOTE: f64 = 14.0;
const NOTE_WIDTH: f64 = 248.0;
const NOTE_LINE_HEIGHT: f64 = 21.0;
pub(super) const NOTE_RISE: f64 = 14.0;
/// Between two lifelines: the least, and the most that labels can ask for.
const PITCH: f64 = 128.0;
const WIDEST_PITCH: f64 = 260.0;
/// The drawing stops growing at so much between two lifelines.
const ROOMY_PITCH: f64 = 320.0;
/// What a label leaves free of the way between its lifelines, and a state's name of its box.
const LABEL_MARGINS: f64 = 12.0;
pub(super) const STATE_MARGINS: f64 = 18.0;
/// A loop from a host to itself.
pub(super) const LOOP: f64 = 26.0;
const LOOP_HEIGHT: f64 = 16.0;
const LOOP_LABEL: f64 = 120.0;
/// How far a message comes down that is lost.
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
pub(super) struct Placed<'a> {
    pub(super) event: &'a Event,
    /// Where it begins and where it ends; the same for a state.
    pub(super) y: f64,
    pub(super) end_y: f64,
    pub(super) label: Words,
    pub(super) lines: Vec<Vec<Run>>,
}

/// A label's or box's room, to keep others out of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl Room {
    pub(super) fn overlap(&self, other: &Self) -> f64 {
        let width = self.right.min(other.right) - self.left.max(other.left);
        let height = self.bottom.min(other.bottom) - self.top.max(other.top);
        width.max(0.0) * height.max(0.0)
    }

    pub(super) fn contains(&self, x: f64, y: f64) -> bool {
        (self.left - 3.0..self.right + 3.0).contains(&x)
            && (self.top..self.bottom + 1.0).contains(&y)
    }
}

/// A host's name and its second line.
pub(super) type Head = (Words, Option<Words>);

/// A gap in the lifelines, for a time in which nothing was under way.
#[derive(Debug)]
pub(super) struct Silence {
    pub(super) top: f64,
    pub(super) bottom: f64,
    pub(super) waited_us: u64,
}

/// The whole drawing in pixels at its least width, without the column of times.
pub(super) struct Layout<'a> {
    pub(super) heads: Vec<Head>,
    pub(super) events: Vec<Placed<'a>>,
    /// The lifelines' distances from the left edge.
    pub(super) lifelines: Vec<f64>,
    pub(super) silences: Vec<Silence>,
    pub(super) unit: Unit,
    pub(super) gutter: f64,
    pub(super) width: f64,
    pub(super) widest: f64,
    pub(super) top: f64,
    pub(super) height: f64,
}

/// The unit that suits all times of one figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::figure) enum Unit {
    Microseconds,
    Milliseconds,
    Seconds,
}

impl Unit {
    pub(in crate::figure) fn of(longest_us: u64) -> Self {
        match longest_us {
            0..10_000 => Self::Microseconds,
            10_000..100_000_000 => Self::Milliseconds,
            _ => Self::Seconds,
        }
    }

    pub(in crate::figure) fn name(self) -> &'static str {
        match self {
            Self::Microseconds => "µs",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
        }
    }

    pub(in crate::figure) fn amount(self, time_us: u64) -> String {
        match self {
            Self::Microseconds => number(time_us as f64),
            Self::Milliseconds => grouped(&format!("{:.1}", time_us as f64 / 1e3)),
            Self::Seconds => grouped(&format!("{:.2}", time_us as f64 / 1e6)),
        }
    }

    pub(in crate::figure) fn span(self, time_us: u64) -> String {
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

pub(super) fn note(event: &Event) -> Option<&str> {
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

pub(super) fn fate_class(fate: Fate) -> &'static str {
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

/// Where things stand from left to right.
struct Across {
    lifelines: Vec<f64>,
    pitch: f64,
    width: f64,
    widest: f64,
}

impl Across {
    /// Labels of messages push lifelines apart, heads and states push the edges out.
    fn of(heads: &[Head], events: &[&Event], labels: &[Words]) -> Self {
        let hosts = heads.len().max(1);
        let half_widths: Vec<f64> = (0..hosts)
            .map(|host| half_width(host, heads, events, labels))
            .collect();
        let too_tight = |pitch: f64| {
            let labels_wrap = events.iter().zip(labels).any(|(event, label)| {
                let width = wrap_width(pitch, event);
                let lines = label.wrap(LABEL, width);
                lines.len() > 2 || text::width(&lines, LABEL) > width
            });
            let heads_touch = half_widths
                .windows(2)
                .any(|pair| pair[0] + pair[1] + 12.0 > pitch);
            labels_wrap || heads_touch
        };
        let mut pitch = PITCH;
        while pitch < WIDEST_PITCH && too_tight(pitch) {
            pitch += 12.0;
        }
        let loops_at_the_edge = events.iter().any(|event| {
            matches!(event.what, What::Message { from, to, .. } if from == to && to == hosts - 1)
        });
        let left = half_widths[0].max(22.0) + 2.0;
        let mut right = half_widths[hosts - 1].max(22.0) + 2.0;
        if loops_at_the_edge {
            right = right.max(LOOP + LOOP_LABEL + 8.0);
        }
        let lifelines: Vec<f64> = (0..hosts).map(|host| left + pitch * host as f64).collect();
        Self {
            width: lifelines[hosts - 1] + right,
            widest: left + right + ROOMY_PITCH * (hosts - 1) as f64,
            lifelines,
            pitch,
        }
    }
}

/// Half of what stands centred on a lifeline: its head, its states.
fn half_width(host: usize, heads: &[Head], events: &[&Event], labels: &[Words]) -> f64 {
    let head = heads.get(host).map_or(0.0, |(name, detail)| {
        let whole = |words: &Words, size| text::width(&words.wrap(size, f64::MAX), size);
        // Bold.
        let name = whole(name, 14.0) * 1.06;
        name.max(detail.as_ref().map_or(0.0, |detail| whole(detail, 11.0)))
    });
    let states = events
        .iter()
        .zip(labels)
        .filter(|(event, _)| matches!(event.what, What::State { host: at, .. } if at == host))
        .map(|(event, label)| {
            text::width(&label.wrap(SMALL, wrap_width(PITCH, event)), SMALL) + STATE_MARGINS
        })
        .fold(0.0, f64::max);
    head.max(states) / 2.0
}

/// How wide an event's label may become.
fn wrap_width(pitch: f64, event: &Event) -> f64 {
    match event.what {
        What::Message { from, to, .. } if from == to => LOOP_LABEL,
        What::Message { from, to, .. } => pitch * from.abs_diff(to) as f64 - LABEL_MARGINS,
        What::State { .. } => PITCH,
    }
}

/// Where things stand from top to bottom.
#[derive(Debug, Default)]
struct Down {
    silences: Vec<Silence>,
    height: f64,
}

impl Down {
    /// Gives each event its place, a row for each instant.
    fn of(events: &mut [Placed], instants: &[Instant], top: f64, context: &Context) -> Self {
        let usual_us = usual_wait_us(instants);
        let last_us = instants.last().map_or(0, |instant| instant.time_us);
        let mut silences = Vec::new();
        let mut y = top;
        let mut below = 4.0;
        let mut note_end = 0.0;
        let mut under_way = 0_usize;
        let mut before: Option<Instant> = None;
        for instant in instants {
            let (above, next_below) = room(&events[instant.event], instant.arrival);
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
            let waited_us = before.map_or(0, |before| instant.time_us - before.time_us);
            let long = waited_us as f64 >= LONG_SILENCE * last_us as f64
                && waited_us as f64 >= UNUSUAL_SILENCE * usual_us as f64;
            if under_way == 0 && long && waited_us > 0 {
                silences.push(Silence {
                    top: y + below + 4.0,
                    bottom: y + below + 32.0,
                    waited_us,
                });
                step += 40.0;
            }
            y += step;
            let event = &mut events[instant.event];
            if !instant.arrival {
                if let Some(note) = note(event.event) {
                    // The notes beside the drawing do not run into one another.
                    y = y.max(note_end + 12.0);
                    let lines = context.label(note).wrap(NOTE, NOTE_WIDTH).len();
                    note_end = y - NOTE_RISE + lines as f64 * NOTE_LINE_HEIGHT;
                }
                event.y = y;
            }
            event.end_y = y + drop_without_arrival(event.event);
            if has_arrival(event.event) {
                under_way = if instant.arrival {
                    under_way - 1
                } else {
                    under_way + 1
                };
            }
            below = next_below;
            before = Some(*instant);
        }
        Self {
            silences,
            height: (y + below + 12.0).max(note_end + 8.0),
        }
    }
}

fn has_arrival(event: &Event) -> bool {
    matches!(
        event.what,
        What::Message {
            arrived_us: Some(_),
            ..
        }
    )
}

/// How far an event's end lies below its beginning, if its arrival has no row of its own.
fn drop_without_arrival(event: &Event) -> f64 {
    match event.what {
        _ if has_arrival(event) => 0.0,
        What::Message {
            fate: Fate::Lost, ..
        } => LOST_DROP,
        What::Message { from, to, .. } if from == to => LOOP_HEIGHT,
        _ => 0.0,
    }
}

impl<'a> Layout<'a> {
    pub(super) fn of(sequence: &'a Sequence, context: &Context) -> Self {
        let heads: Vec<Head> = sequence
            .hosts
            .iter()
            .take(MOST_HOSTS)
            .map(|host| {
                let detail = host.detail.as_ref().map(|detail| context.label(detail));
                (context.label(&host.name), detail)
            })
            .collect();
        let events = drawable(sequence);
        let labels: Vec<Words> = events
            .iter()
            .map(|event| event_label(event, context))
            .collect();
        let across = Across::of(&heads, &events, &labels);
        let instants = instants(&events);
        let mut events: Vec<Placed> = events
            .into_iter()
            .zip(labels)
            .map(|(event, label)| {
                let size = match event.what {
                    What::State { .. } => SMALL,
                    What::Message { .. } => LABEL,
                };
                Placed {
                    event,
                    y: 0.0,
                    end_y: 0.0,
                    lines: label.wrap(size, wrap_width(across.pitch, event)),
                    label,
                }
            })
            .collect();
        let detailed = heads.iter().any(|(_, detail)| detail.is_some());
        let top = if detailed { 44.0 } else { 28.0 };
        let down = Down::of(&mut events, &instants, top, context);
        let last_us = instants.last().map_or(0, |instant| instant.time_us);
        let unit = Unit::of(last_us);
        let gutter = if last_us == 0 {
            0.0
        } else {
            let widest = Words::plain(&unit.amount(last_us));
            text::width(&[widest.runs], 11.5).max(18.0) + 12.0
        };
        Self {
            heads,
            events,
            lifelines: across.lifelines,
            silences: down.silences,
            unit,
            gutter,
            width: across.width,
            widest: across.widest,
            top,
            height: down.height,
        }
    }

    pub(super) fn percent(&self, x: f64) -> Percent {
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
