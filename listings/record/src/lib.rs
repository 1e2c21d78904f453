//! What a run of a listing leaves behind for the book's figures.
//!
//! A listing describes what it saw as one of five kinds of [`Figure`]: a [`Sequence`] of messages
//! between hosts, the [`Wire`] bytes of a message with its fields named, a [`Series`] of measured
//! points, a [`Table`], or the [`States`] that a protocol's ends went through. It collects them in a [`Record`] and calls [`Record::save`], which
//! writes nothing unless `cargo book record` asked for it. So a listing runs the same for a reader
//! as for the book.
//!
//! ```
//! use record::{Cell, Column, Record, Table};
//!
//! let sizes = Table::new([Column::words("format"), Column::number("size", "bytes")])
//!     .row([Cell::from("`JSON`"), Cell::from("58")]);
//! let mut record = Record::new();
//! record.add("sizes", sizes);
//! record.save().expect("the record is written");
//! ```
//!
//! # Text
//!
//! Every text in a record is English prose in which what stands between backticks is verbatim:
//! ``"`SYN`"``, ``"the service on port `8080`"``. The book translates the prose around the verbatim
//! parts, which is looked up as `the service on port {}` in `src/LANGUAGE/labels.toml`, and never
//! the verbatim parts. What differs from run to run (a port, a count) belongs between backticks.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The environment variable by which `cargo book record` names the file to write.
pub const RECORD_VARIABLE: &str = "BOOK_RECORD";

/// A figure's text: English, verbatim parts between backticks (see the crate's documentation).
pub type Text = String;

/// All figures of one run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Where and when the run took place; `cargo book record` fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    /// The figures by the name under which pages ask for them.
    pub figures: BTreeMap<String, Figure>,
}

/// Where and when a run took place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The command that a reader types to see the same.
    pub command: String,
    /// The day of the run, `YYYY-MM-DD`, UTC.
    pub date: String,
    /// Operating system and release, as `uname -sr` prints them.
    pub kernel: String,
    /// The processor's model name and the number of its cores in use.
    pub processor: String,
}

/// One figure, of one of five kinds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Figure {
    /// Messages between hosts over time.
    Sequence(Sequence),
    /// Bytes with named fields.
    Wire(Wire),
    /// Measured points.
    Series(Series),
    /// Rows and columns.
    Table(Table),
    /// States, and the ways through them.
    States(States),
}

/// Messages between hosts over time, and what the hosts went through meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequence {
    /// From left to right. Events name a host by its place in this list.
    pub hosts: Vec<Host>,
    /// In the order in which they took place.
    pub events: Vec<Event>,
}

/// A host, process or socket: one lifeline of a [`Sequence`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// What it is called.
    pub name: Text,
    /// A second, smaller line, such as its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Text>,
}

/// Something that took place in a [`Sequence`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Microseconds since the sequence's first event.
    pub at_us: u64,
    /// What took place.
    #[serde(flatten)]
    pub what: What,
}

/// What took place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    /// A message left a host; when, is the event's own time.
    Message {
        /// Index of the sender in [`Sequence::hosts`].
        from: usize,
        /// Index of the receiver in [`Sequence::hosts`].
        to: usize,
        /// What stands on the arrow.
        label: Text,
        /// A sentence on what the message is for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Text>,
        /// When it arrived, in microseconds since the sequence's first event, where that was seen.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        arrived_us: Option<u64>,
        /// What became of it.
        #[serde(default)]
        fate: Fate,
    },
    /// A host came into a state.
    State {
        /// Index of the host in [`Sequence::hosts`].
        host: usize,
        /// The state's name.
        label: Text,
        /// A sentence on what brought it there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Text>,
    },
}

/// What became of a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It arrived as it was sent.
    #[default]
    Arrived,
    /// It never arrived.
    Lost,
    /// It arrived, and what arrived is not what was sent.
    Changed,
    /// It is a second copy of a message that had been sent once.
    Duplicated,
}

impl Sequence {
    /// A sequence without hosts or events.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a lifeline to the right of those there are, and gives its index.
    pub fn host(&mut self, name: impl Into<Text>, detail: Option<&str>) -> usize {
        self.hosts.push(Host {
            name: name.into(),
            detail: detail.map(Text::from),
        });
        self.hosts.len() - 1
    }

    /// Adds a message that arrived.
    pub fn message(
        &mut self,
        at_us: u64,
        from: usize,
        to: usize,
        label: impl Into<Text>,
        note: Option<&str>,
    ) {
        self.events.push(Event {
            at_us,
            what: What::Message {
                from,
                to,
                label: label.into(),
                note: note.map(Text::from),
                arrived_us: None,
                fate: Fate::Arrived,
            },
        });
    }

    /// Adds a host's coming into a state.
    pub fn state(&mut self, at_us: u64, host: usize, label: impl Into<Text>, note: Option<&str>) {
        self.events.push(Event {
            at_us,
            what: What::State {
                host,
                label: label.into(),
                note: note.map(Text::from),
            },
        });
    }
}

/// The bytes of a message, every one of them assigned to a field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wire {
    /// The bytes, two hexadecimal digits each.
    #[serde(with = "hex")]
    pub bytes: Vec<u8>,
    /// The outermost fields, in the order in which they stand.
    pub fields: Vec<Field>,
}

/// A named run of bits of a [`Wire`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// The specification's own name for it.
    pub name: Text,
    /// The first bit, counted from the first byte's most significant bit.
    pub bit: usize,
    /// How many bits it takes.
    pub bits: usize,
    /// What the bits say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Text>,
    /// A sentence on what that means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Text>,
    /// The fields inside this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
}

impl Field {
    /// A field of whole bytes: `len` bytes from byte `at` on.
    #[must_use]
    pub fn bytes(name: impl Into<Text>, at: usize, len: usize) -> Self {
        Self::bits(name, at * 8, len * 8)
    }

    /// A field of `bits` bits from bit `bit` on.
    #[must_use]
    pub fn bits(name: impl Into<Text>, bit: usize, bits: usize) -> Self {
        Self {
            name: name.into(),
            bit,
            bits,
            value: None,
            note: None,
            fields: Vec::new(),
        }
    }

    /// The same field with what its bits say.
    #[must_use]
    pub fn value(mut self, value: impl Into<Text>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// The same field with a sentence on what its value means.
    #[must_use]
    pub fn note(mut self, note: impl Into<Text>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// The same field with the fields inside it.
    #[must_use]
    pub fn fields(mut self, fields: impl IntoIterator<Item = Field>) -> Self {
        self.fields = fields.into_iter().collect();
        self
    }
}

/// Measured points, one line or more over the same axes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// What is varied.
    pub x: Axis,
    /// What is measured.
    pub y: Axis,
    /// One line or more.
    pub lines: Vec<Line>,
}

/// One axis of a [`Series`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// What it counts or measures.
    pub label: Text,
    /// In which unit: `bytes`, `ms`; empty for a plain count.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: Text,
}

impl Axis {
    /// An axis; `unit` is empty for a plain count.
    #[must_use]
    pub fn new(label: impl Into<Text>, unit: impl Into<Text>) -> Self {
        Self {
            label: label.into(),
            unit: unit.into(),
        }
    }
}

/// One line of a [`Series`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// What the line stands for.
    pub name: Text,
    /// The points, ascending in x.
    pub points: Vec<(f64, f64)>,
}

/// Rows and columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The columns' heads; the first column names its row.
    pub columns: Vec<Column>,
    /// As many cells as there are columns, each.
    pub rows: Vec<Vec<Cell>>,
}

/// One cell of a [`Table`].
pub type Cell = Text;

/// The head of one column of a [`Table`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// What stands in it.
    pub label: Text,
    /// The unit of its numbers, if it holds numbers that have one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: Text,
    /// Whether its cells are numbers, to be set flush right and never translated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub number: bool,
}

impl Column {
    /// A column of words.
    #[must_use]
    pub fn words(label: impl Into<Text>) -> Self {
        Self {
            label: label.into(),
            unit: Text::new(),
            number: false,
        }
    }

    /// A column of numbers; `unit` is empty for a plain count.
    #[must_use]
    pub fn number(label: impl Into<Text>, unit: impl Into<Text>) -> Self {
        Self {
            label: label.into(),
            unit: unit.into(),
            number: true,
        }
    }
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self {
            columns: columns.into_iter().collect(),
            rows: Vec::new(),
        }
    }

    /// The same table with one more row.
    ///
    /// # Panics
    ///
    /// When the row has not as many cells as the table has columns.
    #[must_use]
    pub fn row(mut self, cells: impl IntoIterator<Item = Cell>) -> Self {
        let cells: Vec<Cell> = cells.into_iter().collect();
        assert_eq!(
            cells.len(),
            self.columns.len(),
            "a row has one cell for each column"
        );
        self.rows.push(cells);
        self
    }
}

/// The states of a protocol, the transitions between them, and which of these a run took.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct States {
    /// Transitions name a state by its place in this list.
    pub states: Vec<State>,
    /// Those that the protocol allows, be they taken or not.
    pub transitions: Vec<Transition>,
    /// Who took which of them.
    pub walks: Vec<Walk>,
}

/// One state of [`States`], and its place in the drawing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// What it is called. Two places of a drawing may show one state.
    pub name: Text,
    /// How far to the right, in columns; the leftmost is 0.
    pub column: f64,
    /// How far down, in rows; the topmost is 0.
    pub row: f64,
}

/// A way from one state to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transition {
    /// Index of the state before in [`States::states`].
    pub from: usize,
    /// Index of the state after in [`States::states`].
    pub to: usize,
    /// What brings it about, and what is done.
    pub label: Text,
    /// How far its middle bends from the straight line, in columns: to the right as seen by someone
    /// who walks along it if positive, to the left if negative.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bend: f64,
}

fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

/// The transitions that one end of a connection took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Walk {
    /// Who took them.
    pub name: Text,
    /// In the order in which they were taken; each begins where the one before has ended.
    pub steps: Vec<Step>,
}

/// One transition of a [`Walk`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Microseconds since the first step of all walks.
    pub at_us: u64,
    /// Index in [`States::transitions`].
    pub transition: usize,
}

impl States {
    /// A diagram without states.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a state at a place of the drawing, and gives its index.
    pub fn state(&mut self, name: impl Into<Text>, column: f64, row: f64) -> usize {
        self.states.push(State {
            name: name.into(),
            column,
            row,
        });
        self.states.len() - 1
    }

    /// Adds a straight transition, and gives its index.
    pub fn transition(&mut self, from: usize, to: usize, label: impl Into<Text>) -> usize {
        self.bent_transition(from, to, label, 0.0)
    }

    /// Adds a transition that goes around what is in its way ([`Transition::bend`]), and gives its
    /// index.
    pub fn bent_transition(
        &mut self,
        from: usize,
        to: usize,
        label: impl Into<Text>,
        bend: f64,
    ) -> usize {
        self.transitions.push(Transition {
            from,
            to,
            label: label.into(),
            bend,
        });
        self.transitions.len() - 1
    }

    /// Adds what one end went through: when, and by which transition.
    pub fn walk(&mut self, name: impl Into<Text>, steps: impl IntoIterator<Item = Step>) {
        self.walks.push(Walk {
            name: name.into(),
            steps: steps.into_iter().collect(),
        });
    }
}

macro_rules! figure_from {
    ($($kind:ident),*) => {$(
        impl From<$kind> for Figure {
            fn from(figure: $kind) -> Self {
                Self::$kind(figure)
            }
        }
    )*};
}
figure_from!(Sequence, Wire, Series, Table, States);

impl Record {
    /// A record without figures.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a figure under the name by which pages ask for it, such as `exchange`.
    ///
    /// # Panics
    ///
    /// When there is a figure of that name already.
    pub fn add(&mut self, name: &str, figure: impl Into<Figure>) {
        let before = self.figures.insert(name.to_owned(), figure.into());
        assert!(before.is_none(), "two figures are called `{name}`");
    }

    /// Writes the record to the file that [`RECORD_VARIABLE`] names; does nothing without it.
    ///
    /// # Errors
    ///
    /// When that file cannot be written.
    pub fn save(&self) -> io::Result<()> {
        match std::env::var_os(RECORD_VARIABLE) {
            Some(path) => std::fs::write(path, self.to_json()),
            None => Ok(()),
        }
    }

    /// Reads a `record.json`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or holds no record.
    pub fn load(path: &Path) -> io::Result<Self> {
        serde_json::from_slice(&std::fs::read(path)?)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// The text of a `record.json`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut json =
            serde_json::to_string_pretty(self).expect("a record holds nothing that JSON does not");
        json.push('\n');
        json
    }
}

/// Bytes as pairs of hexadecimal digits.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        serializer.serialize_str(&digits)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let digits = String::deserialize(deserializer)?;
        // `from_str_radix` alone would take a sign for a digit.
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) || digits.len() % 2 != 0 {
            return Err(de::Error::custom("not pairs of hexadecimal digits"));
        }
        (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).map_err(de::Error::custom))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_of_each() -> Record {
        let mut sequence = Sequence::new();
        let client = sequence.host("client", Some("`127.0.0.1:40112`"));
        let server = sequence.host("server", None);
        sequence.message(0, client, server, "`SYN`", Some("asks"));
        sequence.state(12, server, "`SYN-RECV`", None);

        let wire = Wire {
            bytes: vec![0x08, 0xff],
            fields: vec![
                Field::bytes("tag", 0, 1)
                    .value("`1`")
                    .fields([Field::bits("wire type", 5, 3).note("a varint")]),
                Field::bytes("value", 1, 1),
            ],
        };
        let series = Series {
            x: Axis::new("sends", ""),
            y: Axis::new("accepted", "bytes"),
            lines: vec![Line {
                name: "`TCP`".into(),
                points: vec![(1.0, 2.5), (2.0, 5.0)],
            }],
        };
        let table = Table::new([Column::words("format"), Column::number("size", "bytes")])
            .row(["`JSON`".into(), "58".into()]);

        let mut record = Record::new();
        record.add("sequence", sequence);
        record.add("wire", wire);
        record.add("series", series);
        record.add("table", table);
        let mut states = States::new();
        let (closed, listen) = (
            states.state("`CLOSED`", 1.0, 0.0),
            states.state("`LISTEN`", 1.0, 1.0),
        );
        let opened = states.transition(closed, listen, "`listen()`");
        states.bent_transition(listen, closed, "`close()`", 0.25);
        let step = Step {
            at_us: 7,
            transition: opened,
        };
        states.walk("server", [step]);
        record.add("states", states);
        record
    }

    #[test]
    fn every_kind_of_figure_survives_being_written_and_read() {
        let record = one_of_each();
        assert_eq!(
            serde_json::from_str::<Record>(&record.to_json()).unwrap(),
            record
        );
    }

    #[test]
    fn bytes_that_are_not_hexadecimal_are_refused() {
        for bytes in ["0", "0g", "é0", "+f"] {
            let json =
                format!(r#"{{"figures":{{"w":{{"kind":"wire","bytes":"{bytes}","fields":[]}}}}}}"#);
            assert!(serde_json::from_str::<Record>(&json).is_err(), "{bytes}");
        }
    }

    #[test]
    #[should_panic(expected = "two figures are called `a`")]
    fn a_figure_does_not_take_anothers_place() {
        let mut record = Record::new();
        record.add("a", Table::new([]));
        record.add("a", Table::new([]));
    }
}
