//! What the experiments show: sequences as figures, and tables as text.

use std::fmt::Write as _;
use std::time::Duration;

use lab::Fate;
use record::{Event, Sequence, Table, What};

use crate::{Segment, exchange};

/// A figure of the [`exchange`], whose time begins with the first data. On the arrows stand the bytes
/// that a segment carries, or what it acknowledges.
#[must_use]
pub fn sequence(segments: &[Segment]) -> Sequence {
    let mut sequence = Sequence::new();
    sequence.host("client", None);
    sequence.host("server", None);
    let began = exchange(segments)
        .next()
        .map_or(Duration::ZERO, |first| first.sent);
    let mut sent = Vec::new();
    for segment in exchange(segments) {
        let is_copy = segment.fate == Fate::Copied;
        let again = segment.has_data() && !is_copy && sent.contains(&segment.bytes.start);
        sent.push(segment.bytes.start);
        let microseconds = |at: Duration| (at - began).as_micros() as u64;
        sequence.events.push(Event {
            at_us: microseconds(segment.sent),
            what: What::Message {
                from: segment.from,
                to: segment.to,
                label: segment.label(),
                note: again.then(|| "sent again".to_owned()),
                arrived_us: segment.arrived.map(microseconds),
                fate: segment.fate.into(),
            },
        });
    }
    sequence
}

/// A table's columns side by side. Units stand behind the numbers, so that what is measured can be
/// told from what is counted.
#[must_use]
pub fn text(table: &Table) -> String {
    let plain = |text: &str| text.replace('`', "");
    let mut lines = vec![String::new(); 1 + table.rows.len()];
    for (place, column) in table.columns.iter().enumerate() {
        let head = plain(&column.label);
        let cells = table.rows.iter().map(|row| match &row[place] {
            cell if cell.is_empty() || column.unit.is_empty() => plain(cell),
            cell => format!("{} {}", plain(cell), column.unit),
        });
        let cells: Vec<String> = [head].into_iter().chain(cells).collect();
        let width = cells.iter().map(|cell| cell.chars().count()).max();
        let width = width.unwrap_or_default() + 2;
        for (line, cell) in lines.iter_mut().zip(cells) {
            if column.number {
                let _ = write!(line, "{cell:>width$}");
            } else {
                let _ = write!(line, "  {cell:<0$}", width - 2);
            }
        }
    }
    lines
        .iter()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}
