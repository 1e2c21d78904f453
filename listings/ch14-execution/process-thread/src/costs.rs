//! What a thread and a process cost: time to create, memory to have.

use std::io::{self, Read, Write};
use std::num::NonZero;
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::unistd::{Pid, getpid, pause};
use record::{Axis, Column, Line, Series, Table};

use crate::Error;
use crate::child::fork;
use crate::pages::Pages;

/// How often each is created; the median counts.
const TIMES: usize = 61;

/// What the creating process has written to, in MiB.
const PARENTS_MIB: [usize; 5] = [0, 16, 32, 64, 128];

// ANCHOR: cpu
/// The processor time of this process so far, and of its children that have ended. Other than the
/// time on the wall it does not count what others do meanwhile.
fn cpu_time() -> Result<Duration, Error> {
    let mut us = 0;
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        let usage = getrusage(who)?;
        us += usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    }
    Ok(Duration::from_micros(us.cast_unsigned()))
}
// ANCHOR_END: cpu

fn median(mut create: impl FnMut() -> Result<(), Error>) -> Result<Duration, Error> {
    let mut times = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let start = cpu_time()?;
        create()?;
        times.push(cpu_time()? - start);
    }
    times.sort();
    Ok(times[TIMES / 2])
}

// ANCHOR: creation
fn thread_and_join() -> Result<(), Error> {
    Ok(thread::spawn(|| ()).join().map_err(|_| "it panicked")?)
}

fn fork_and_wait() -> Result<(), Error> {
    // SAFETY: this process has one thread.
    let child = unsafe { fork(|| 0) }?;
    child.wait()?;
    Ok(())
}

fn program_and_wait() -> Result<(), Error> {
    // By posix_spawn(): a child that shares the parent's memory until it has become another program.
    Command::new("true").stdin(Stdio::null()).status()?;
    Ok(())
}
// ANCHOR_END: creation

/// The median cost of each, in processes of several sizes.
pub fn creation() -> Result<Series, Error> {
    println!("Processor time to create one that does nothing and to end it, median of {TIMES}:");
    println!(
        "  {:>18}  {:>10}  {:>10}  {:>15}",
        "memory written to", "thread", "fork()", "another program"
    );
    let mut points = [const { Vec::new() }; 3];
    for mib in PARENTS_MIB {
        let pages = match NonZero::new(mib << 20) {
            Some(bytes) => {
                let mut pages = Pages::new(bytes)?;
                pages.write(0..bytes.get())?;
                Some(pages)
            }
            None => None,
        };
        let times = [
            median(thread_and_join)?,
            median(fork_and_wait)?,
            median(program_and_wait)?,
        ];
        drop(pages);
        let [thread, forked, program] = times.map(|time| time.as_secs_f64() * 1e6);
        println!("  {mib:>14} MiB  {thread:>7.0} µs  {forked:>7.0} µs  {program:>12.0} µs");
        for (points, us) in points.iter_mut().zip([thread, forked, program]) {
            points.push((mib as f64, us));
        }
    }
    println!();
    let [thread, forked, program] = points;
    let line = |name: &str, points| Line {
        name: name.to_owned(),
        points,
    };
    Ok(Series {
        x: Axis::new("memory of the process that creates it", "MiB"),
        y: Axis::new("processor time to create and end it", "µs"),
        lines: vec![
            line("a thread", thread),
            line("a process by `fork()`", forked),
            line("another program", program),
        ],
    })
}

/// How many there are when memory is measured.
const MANY: usize = 64;

/// The number behind a name in a file of `/proc/PID`, in KiB.
fn kib(process: Pid, file: &str, name: &str) -> Result<u64, Error> {
    let text = std::fs::read_to_string(format!("/proc/{process}/{file}"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let value = value.and_then(|value| value.trim_start_matches(':').trim().strip_suffix(" kB"));
    let value = value.ok_or_else(|| format!("no {name} in /proc/{process}/{file}"))?;
    Ok(value.trim().parse()?)
}

/// What a process takes, or one more thread in it, in KiB.
#[derive(Clone, Copy)]
pub struct Takes {
    /// Addresses, of which most mean no memory yet.
    addresses: u64,
    /// Pages that nobody else has.
    own: u64,
    /// Page tables, which say where the pages are.
    tables: u64,
}

impl Takes {
    fn now(process: Pid) -> Result<Self, Error> {
        Ok(Self {
            addresses: kib(process, "status", "VmSize")?,
            own: kib(process, "smaps_rollup", "Private_Dirty")?,
            tables: kib(process, "status", "VmPTE")?,
        })
    }
}

// ANCHOR: memory
fn a_thread_takes() -> Result<Takes, Error> {
    let both = || Arc::new(Barrier::new(MANY + 1));
    let (start, end) = (both(), both());
    let before = Takes::now(getpid())?;
    let threads: Vec<_> = (0..MANY)
        .map(|_| {
            let (start, end) = (start.clone(), end.clone());
            thread::spawn(move || {
                start.wait();
                end.wait();
            })
        })
        .collect();
    start.wait(); // now all of them run, and wait
    let with = Takes::now(getpid())?;
    end.wait();
    for thread in threads {
        thread.join().map_err(|_| "it panicked")?;
    }
    let each = |with: u64, before: u64| with.saturating_sub(before) / MANY as u64;
    Ok(Takes {
        addresses: each(with.addresses, before.addresses),
        own: each(with.own, before.own),
        tables: each(with.tables, before.tables),
    })
}

fn a_child_takes() -> Result<Takes, Error> {
    let (mut reports, mut report) = io::pipe()?;
    let waits = || {
        let told = report.write_all(b".");
        pause(); // until it is killed
        u8::from(told.is_err())
    };
    // SAFETY: this process has one thread.
    let child = unsafe { fork(waits) }?;
    reports.read_exact(&mut [0])?;
    Takes::now(child.pid())
}
// ANCHOR_END: memory

/// What one more thread takes, and one more process.
pub fn memory() -> Result<[(&'static str, Takes); 2], Error> {
    // The process first: threads leave addresses behind that malloc keeps for the next ones.
    let process = a_child_takes()?;
    Ok([("thread", a_thread_takes()?), ("process", process)])
}

pub fn tell(memory: [(&'static str, Takes); 2]) -> Table {
    println!("One more takes, while it does nothing:");
    println!(
        "  {:9}  {:>12}  {:>11}  {:>11}",
        "", "of addresses", "of memory", "page tables"
    );
    let mut table = Table::new([
        Column::words("one more"),
        Column::number("addresses", "KiB"),
        Column::number("memory of its own", "KiB"),
        Column::number("page tables", "KiB"),
    ]);
    for (name, takes) in memory {
        let Takes {
            addresses,
            own,
            tables,
        } = takes;
        println!("  {name:9}  {addresses:>8} KiB  {own:>7} KiB  {tables:>7} KiB");
        table = table.row([
            name.to_owned(),
            addresses.to_string(),
            own.to_string(),
            tables.to_string(),
        ]);
    }
    println!();
    table
}
