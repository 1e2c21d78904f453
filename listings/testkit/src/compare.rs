//! What a run gave against what is kept of an earlier one.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::LazyLock;

use record::{Figure, Record, What};
use regex::Regex;

/// What varies from run to run in every listing, and what stands in its place.
static VARYING: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        // Ports that the kernel chose. Those that a listing chose, such as 80, have fewer digits.
        (r"(\d+\.\d+\.\d+\.\d+|\]|localhost):\d{4,5}\b", "$1:PORT"),
        (r"\b([Pp]orts?) \d{4,5}\b", "$1 PORT"),
        (r"\b(pid|process) \d+\b", "$1 PID"),
        (r"\b\d[\d,]*(\.\d+)? ?(ns|µs|us|ms|s|seconds)\b", "TIME"),
        // A number that is shorter this time is aligned by more spaces.
        (r"(?m)^[ \t]+TIME", "TIME"),
        (r"(\S) {2,}", "$1 "),
        // Git may have checked the file out with other line ends than it was recorded with.
        (r"(?m)[ \t\r]+$", ""),
    ]
    .map(|(pattern, with)| (Regex::new(pattern).expect("a regular expression"), with))
    .into()
});

static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:\d+\.\d+\.\d+\.\d+|\[[0-9a-fA-F:.]+\]):\d+").expect("a regular expression")
});

static NUMBER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\d+").expect("a regular expression"));

/// Masks what must vary between two runs of the same program: ports of four or five digits after
/// an address or the word *port*, ids after *process* or *pid*, and durations. Several spaces
/// inside a line count as one, and none before a duration at its start.
#[must_use]
pub fn normalise(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, with) in VARYING.iter() {
        text = pattern.replace_all(&text, *with).into_owned();
    }
    text
}

/// The first socket address in a line.
pub fn address_in(line: &str) -> Option<SocketAddr> {
    ADDRESS.find(line)?.as_str().parse().ok()
}

/// All of a record that must stay the same from run to run, one fact a line.
pub fn shape(record: &Record) -> String {
    let mut lines = String::new();
    for (name, figure) in &record.figures {
        match figure {
            Figure::Sequence(sequence) => {
                line(&mut lines, &format!("{name}: sequence"));
                for host in &sequence.hosts {
                    line(&mut lines, &format!("  host {}", masked(&host.name)));
                }
                for event in &sequence.events {
                    line(&mut lines, &format!("  {}", event_shape(&event.what)));
                }
            }
            Figure::Wire(wire) => {
                line(&mut lines, &format!("{name}: wire"));
                for field in &wire.fields {
                    field_shape(&mut lines, field, 1);
                }
            }
            Figure::Series(series) => {
                line(&mut lines, &format!("{name}: series"));
                for (axis, at) in [(&series.x, "x"), (&series.y, "y")] {
                    line(&mut lines, &format!("  {at} {} {}", axis.label, axis.unit));
                }
                for each in &series.lines {
                    let empty = if each.points.is_empty() {
                        " without points"
                    } else {
                        ""
                    };
                    line(&mut lines, &format!("  line {}{empty}", masked(&each.name)));
                }
            }
            Figure::Table(table) => {
                line(&mut lines, &format!("{name}: table"));
                for column in &table.columns {
                    line(
                        &mut lines,
                        &format!("  column {} {}", column.label, column.unit),
                    );
                }
                for row in &table.rows {
                    line(
                        &mut lines,
                        &format!("  row {}", masked(row.first().map_or("", String::as_str))),
                    );
                }
            }
            Figure::States(states) => {
                line(&mut lines, &format!("{name}: states"));
                for state in &states.states {
                    line(&mut lines, &format!("  state {}", masked(&state.name)));
                }
                let way = |index: usize| match states.transitions.get(index) {
                    Some(way) => format!("{} to {}: {}", way.from, way.to, masked(&way.label)),
                    None => "to nowhere".to_owned(),
                };
                for index in 0..states.transitions.len() {
                    line(&mut lines, &format!("  transition {}", way(index)));
                }
                for walk in &states.walks {
                    line(&mut lines, &format!("  walk of {}", masked(&walk.name)));
                    for step in &walk.steps {
                        line(&mut lines, &format!("    {}", way(step.transition)));
                    }
                }
            }
        }
    }
    lines
}

fn line(lines: &mut String, text: &str) {
    lines.push_str(text.trim_end());
    lines.push('\n');
}

fn event_shape(what: &What) -> String {
    match what {
        What::Message {
            from,
            to,
            label,
            fate,
            ..
        } => format!("message {from} to {to}: {} ({fate:?})", masked(label)),
        What::State { host, label, .. } => format!("state of {host}: {}", masked(label)),
    }
}

fn field_shape(lines: &mut String, field: &record::Field, depth: usize) {
    let indent = "  ".repeat(depth);
    let name = masked(&field.name);
    line(lines, &format!("{indent}field {name}, {} bits", field.bits));
    for inner in &field.fields {
        field_shape(lines, inner, depth + 1);
    }
}

/// A text whose verbatim parts, between backticks, may hold other numbers in the next run.
fn masked(text: &str) -> String {
    text.split('`')
        .enumerate()
        .map(|(at, part)| match at % 2 {
            0 => part.to_owned(),
            _ => format!("`{}`", NUMBER.replace_all(part, "N")),
        })
        .collect()
}

/// Panics with the lines in which `now` differs from `kept`, if any, and says how to renew them.
#[track_caller]
pub fn assert_same(complaint: &str, kept: &str, now: &str, listing: &str) {
    assert!(
        kept.trim_end() == now.trim_end(),
        "{complaint}:\n\n{}\n(- what is kept, + this run; what may vary is masked)\n\
         If this run is right, renew the files: cargo book record {listing}\n",
        difference(kept.trim_end(), now.trim_end())
    );
}

/// The lines that only one side has, with their numbers.
fn difference(kept: &str, now: &str) -> String {
    let kept: Vec<&str> = kept.lines().collect();
    let now: Vec<&str> = now.lines().collect();

    // common[i][j]: how many lines the ends of both sides, from i and from j on, have in common.
    let mut common = vec![vec![0_usize; now.len() + 1]; kept.len() + 1];
    for i in (0..kept.len()).rev() {
        for j in (0..now.len()).rev() {
            common[i][j] = if kept[i] == now[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }

    let (mut i, mut j, mut text) = (0, 0, String::new());
    while i < kept.len() || j < now.len() {
        let kept_is_alone =
            j == now.len() || i < kept.len() && common[i + 1][j] >= common[i][j + 1];
        if i < kept.len() && j < now.len() && kept[i] == now[j] {
            (i, j) = (i + 1, j + 1);
        } else if kept_is_alone {
            let _ = writeln!(text, "  line {:>3} - {}", i + 1, kept[i]);
            i += 1;
        } else {
            let _ = writeln!(text, "  line {:>3} + {}", j + 1, now[j]);
            j += 1;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_vary_is_masked_and_nothing_else() {
        for (text, expected) in [
            ("on 127.0.0.1:43211,", "on 127.0.0.1:PORT,"),
            ("[::1]:9000", "[::1]:PORT"),
            ("at 127.0.0.1:80", "at 127.0.0.1:80"),
            ("port 40001 of 127.0.0.1", "port PORT of 127.0.0.1"),
            ("port 80 and ports 0–65535", "port 80 and ports 0–65535"),
            ("answers  OK 12    41 µs", "answers OK 12 TIME"),
            ("after 1.02 s (1,024.5 ms)", "after TIME (TIME)"),
            ("process 812 is the client", "process PID is the client"),
            ("200 bytes, 3 sends", "200 bytes, 3 sends"),
            (
                "   12 µs  client\n 1012 µs  server",
                "TIME client\nTIME server",
            ),
            ("    indented   twice  ", "    indented twice"),
            ("from Windows \r\nor not\n", "from Windows\nor not\n"),
        ] {
            assert_eq!(normalise(text), expected);
        }
    }

    #[test]
    fn a_difference_is_shown_with_its_lines() {
        assert_eq!(
            difference("a\nb\nc\nd", "a\nB\nc\nd\ne"),
            "  line   2 - b\n  line   2 + B\n  line   5 + e\n"
        );
        assert_eq!(difference("", "a"), "  line   1 + a\n");
        assert_eq!(difference("same", "same"), "");
    }

    #[test]
    fn an_address_is_found_wherever_it_stands_in_a_line() {
        assert_eq!(
            address_in("listening on 127.0.0.1:4100, stop with Ctrl-C"),
            Some(([127, 0, 0, 1], 4100).into())
        );
        assert_eq!(
            address_in("http://[::1]:4100/").map(|address| address.port()),
            Some(4100)
        );
        assert_eq!(address_in("the time is 12:30"), None);
    }

    #[test]
    fn verbatim_numbers_may_vary_in_a_record_and_words_may_not() {
        assert_eq!(masked("port `40001` of 3"), "port `N` of 3");
        assert_eq!(masked("`SYN-SENT`"), "`SYN-SENT`");
    }
}
