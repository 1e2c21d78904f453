//! How many half-open connections a listener has room for.

use record::{Axis, Column, Line, Series, Table};

use crate::flood::{Error, Regime, Stage};

/// How many SYNs the attacker sends: more than any of the listeners has room for.
const SYNS: u32 = 300;

// ANCHOR: regimes
const fn regime(backlog: u32, cookies: u8, max_syn_backlog: u32, somaxconn: u32) -> Regime {
    Regime {
        backlog,
        cookies,
        max_syn_backlog,
        somaxconn,
    }
}

/// `listen()`, `tcp_syncookies`, `tcp_max_syn_backlog`, `somaxconn`. The first tells whether
/// this kernel is from before 2025.
const REGIMES: [Regime; 11] = [
    regime(0, 0, 4096, 4096),
    regime(1, 0, 4096, 4096),
    regime(64, 0, 4096, 4096),
    regime(256, 0, 4096, 4096),
    regime(256, 0, 128, 4096),
    regime(256, 0, 40, 4096),
    regime(256, 0, 4096, 16),
    regime(64, 1, 4096, 4096),
    regime(256, 1, 128, 4096),
    regime(256, 1, 4096, 16),
    regime(64, 2, 4096, 4096),
];
// ANCHOR_END: regimes

/// Floods one server in each of the regimes.
pub fn limits() -> Result<Table, Error> {
    println!("1. An attacker sends {SYNS} SYNs and acknowledges nothing\n");
    println!(
        "listen()  tcp_syncookies  tcp_max_syn_backlog  somaxconn  room  half-open  cookies  \
         dropped"
    );
    let mut table = Table::new([
        Column::words("`listen()`"),
        Column::words("`tcp_syncookies`"),
        Column::words("`tcp_max_syn_backlog`"),
        Column::words("`somaxconn`"),
        Column::number("room", ""),
        Column::number("half-open", ""),
        Column::number("cookies", ""),
        Column::number("dropped", ""),
    ]);
    let mut extra = None;
    for regime in REGIMES {
        let taken = Stage::open(regime)?.flood(SYNS)?;
        let room = regime.room(*extra.get_or_insert(taken.half_open));
        let set = [
            regime.backlog,
            regime.cookies.into(),
            regime.max_syn_backlog,
            regime.somaxconn,
        ];
        let found = [room, taken.half_open, taken.cookies, taken.dropped];
        println!(
            "{:>8}  {:>14}  {:>19}  {:>9}  {:>4}  {:>9}  {:>7}  {:>7}",
            set[0], set[1], set[2], set[3], found[0], found[1], found[2], found[3]
        );
        let set = set.map(|number| format!("`{number}`"));
        table = table.row(
            set.into_iter()
                .chain(found.map(|number| number.to_string())),
        );
    }
    Ok(table)
}

/// Up to how many SYNs the plot goes, and how many are sent at a time.
const PLOTTED: u32 = 100;
const STEP: u32 = 4;

/// How the SYN queue fills.
pub fn fill() -> Result<Series, Error> {
    let lines = [
        ("`listen(64)`", regime(64, 1, 4096, 4096)),
        (
            "`listen(64)`, `tcp_syncookies=0`, `tcp_max_syn_backlog=40`",
            regime(64, 0, 40, 4096),
        ),
        ("`listen(16)`", regime(16, 1, 4096, 4096)),
        (
            "`listen(64)`, `tcp_syncookies=2`",
            regime(64, 2, 4096, 4096),
        ),
    ];
    let line = |(name, regime): (&str, Regime)| -> Result<Line, Error> {
        let mut stage = Stage::open(regime)?;
        let mut points = vec![(0.0, 0.0)];
        for sent in (STEP..=PLOTTED).step_by(STEP as usize) {
            points.push((sent.into(), stage.flood(STEP)?.half_open.into()));
        }
        Ok(Line {
            name: name.to_owned(),
            points,
        })
    };
    Ok(Series {
        x: Axis::new("SYNs sent", ""),
        y: Axis::new("half-open connections", ""),
        lines: lines.into_iter().map(line).collect::<Result<_, _>>()?,
    })
}
