//! Context switches: what one costs, and who asks for it.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::unistd::Pid;
use record::{Column, Table};

use crate::Error;
use crate::child::fork;

/// How often a byte goes back and forth in one measurement.
const ROUNDS: u32 = 500;

/// How many measurements there are, if they do not take longer than [`BUDGET`]; the median counts.
const MEASUREMENTS: usize = 31;

/// Where others want the core as well, each turn may take milliseconds.
const BUDGET: Duration = Duration::from_secs(1);

/// The byte that is handed over, and the one that ends it.
const TURN: u8 = b'.';
const END: u8 = b'!';

/// For how long two threads compute on one core.
const COMPUTES: Duration = Duration::from_millis(200);

/// Keeps this thread, and all that it starts, on one of the cores that it may use; gives those that
/// it may use otherwise.
fn stay_on_one_core() -> Result<CpuSet, Error> {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this)?;
    let first = (0..CpuSet::count()).find(|&cpu| allowed.is_set(cpu) == Ok(true));
    let mut one = CpuSet::new();
    one.set(first.ok_or("no core is allowed")?)?;
    sched_setaffinity(this, &one)?;
    Ok(allowed)
}

/// Two who take turns: the pipes on which they hand over a byte.
struct Turns {
    mine: PipeReader,
    theirs: PipeWriter,
}

impl Turns {
    fn pair() -> io::Result<(Self, Self)> {
        let ((a, to_a), (b, to_b)) = (io::pipe()?, io::pipe()?);
        Ok((
            Self {
                mine: a,
                theirs: to_b,
            },
            Self {
                mine: b,
                theirs: to_a,
            },
        ))
    }

    // ANCHOR: turns
    /// Hands over and waits until it is its turn again, so many times.
    fn begin(&mut self, rounds: u32) -> io::Result<()> {
        for _ in 0..rounds {
            self.theirs.write_all(&[TURN])?;
            self.mine.read_exact(&mut [0])?;
        }
        Ok(())
    }

    /// Waits for its turn and hands back, until the other one ends it.
    fn follow(&mut self) -> io::Result<()> {
        let mut turn = [0];
        loop {
            self.mine.read_exact(&mut turn)?;
            if turn == [END] {
                return Ok(());
            }
            self.theirs.write_all(&turn)?;
        }
    }
    // ANCHOR_END: turns
}

/// What a round took, and how often the kernel switched away from the one who began.
struct Round {
    time: Duration,
    switches: f64,
}

fn usage() -> Result<Usage, Error> {
    Ok(getrusage(UsageWho::RUSAGE_THREAD)?)
}

fn measure(turns: &mut Turns) -> Result<Round, Error> {
    turns.begin(ROUNDS)?; // so that both are there
    let (started, before) = (Instant::now(), usage()?);
    let mut times = Vec::with_capacity(MEASUREMENTS);
    while times.len() < MEASUREMENTS && started.elapsed() < BUDGET {
        let start = Instant::now();
        turns.begin(ROUNDS)?;
        times.push(start.elapsed() / ROUNDS);
    }
    // It waits for its turn, or is made to as soon as it has handed over.
    let (before, after) = (both(&before), both(&usage()?));
    times.sort();
    Ok(Round {
        time: times[times.len() / 2],
        switches: (after - before) as f64 / (f64::from(ROUNDS) * times.len() as f64),
    })
}

fn both(usage: &Usage) -> i64 {
    usage.voluntary_context_switches() + usage.involuntary_context_switches()
}

/// One who hands over to itself: the same calls without a switch.
fn alone() -> Result<Round, Error> {
    let (mine, theirs) = io::pipe()?;
    measure(&mut Turns { mine, theirs })
}

fn two_threads() -> Result<Round, Error> {
    let (mut one, mut two) = Turns::pair()?;
    let other = thread::spawn(move || two.follow());
    let round = measure(&mut one);
    one.theirs.write_all(&[END])?;
    other.join().map_err(|_| "it panicked")??;
    round
}

fn two_processes() -> Result<Round, Error> {
    let (mut one, mut two) = Turns::pair()?;
    // SAFETY: this process has one thread.
    let child = unsafe { fork(|| u8::from(two.follow().is_err())) }?;
    let round = measure(&mut one);
    one.theirs.write_all(&[END])?;
    child.wait()?;
    round
}

/// Two threads that only compute, on one core: how often one was made to wait.
fn two_that_compute() -> Result<(i64, i64), Error> {
    let computes = || {
        let start = Instant::now();
        let before = usage()?;
        while start.elapsed() < COMPUTES {
            std::hint::spin_loop();
        }
        let after = usage()?;
        Ok::<_, Error>((
            after.voluntary_context_switches() - before.voluntary_context_switches(),
            after.involuntary_context_switches() - before.involuntary_context_switches(),
        ))
    };
    let other = thread::spawn(computes);
    let switches = computes()?;
    other.join().map_err(|_| "it panicked")??;
    Ok(switches)
}

pub fn compare() -> Result<Table, Error> {
    let allowed = stay_on_one_core()?;
    let kinds = [
        ("one thread, alone", alone()?),
        ("two threads", two_threads()?),
        ("two processes", two_processes()?),
    ];
    let (waited, made_to_wait) = two_that_compute()?;
    sched_setaffinity(Pid::from_raw(0), &allowed)?;

    let ns = |time: Duration| time.as_nanos();
    let base = kinds[0].1.time;
    println!(
        "A byte goes back and forth on one core, median of {MEASUREMENTS} times {ROUNDS} rounds:"
    );
    let mut table = Table::new([
        Column::words("who"),
        Column::number("a round", "ns"),
        Column::number("system calls", ""),
        Column::number("switches", ""),
        Column::number("each switch", "ns"),
    ]);
    for (number, (name, round)) in kinds.iter().enumerate() {
        // Each writes and reads once, and so does one alone. Each is switched away from once.
        let (calls, sides) = if number == 0 { (2, 0.0) } else { (4, 2.0) };
        let switches = round.switches * sides;
        let each = match number {
            0 => "-".to_owned(),
            _ => ns(round.time.saturating_sub(base * 2) / 2).to_string(),
        };
        println!(
            "  {name:17}  {:>5} ns a round, of {calls} calls and {switches:.1} switches, {each:>4} ns each",
            ns(round.time)
        );
        table = table.row([
            (*name).to_owned(),
            ns(round.time).to_string(),
            calls.to_string(),
            format!("{switches:.1}"),
            each,
        ]);
    }
    println!(
        "Two threads compute on one core, for {} ms:",
        COMPUTES.as_millis()
    );
    println!("  one of them waited {waited} times, and was made to wait {made_to_wait} times");
    Ok(table)
}
