//! What a server and all processes that it started have used, as `/proc` tells it.
//!
//! A server is started in a process group of its own, so that the processes of a pre-forking one are
//! found by it. Source: proc(5).

use std::fs;
use std::io;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// The processes of a group.
#[derive(Debug, Clone, Copy)]
pub struct Processes {
    group: Pid,
}

/// Two readings give what was used in between.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// In user space and in the kernel, by all threads, ended ones too.
    pub processor: Duration,
    /// How often a thread gave up the processor to wait for something.
    pub waits: u64,
    /// How often one lost it to another that was to run.
    pub preemptions: u64,
}

impl Processes {
    /// Those of the group that the process `leader` was started in.
    pub fn of_group(leader: u32) -> Self {
        Self {
            group: Pid::from_raw(leader.cast_signed()),
        }
    }

    /// What they have used so far.
    pub fn used(&self) -> io::Result<Used> {
        let per_second = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100).unsigned_abs();
        let mut used = Used::default();
        for id in self.ids()? {
            let Some(fields) = stat(id) else { continue };
            // utime, stime, and those of children that have been waited for: with what has ended.
            let ticks: u64 = fields[11..15]
                .iter()
                .map(|&field| field.max(0).unsigned_abs())
                .sum();
            let ended_too = Duration::from_nanos(ticks * 1_000_000_000 / per_second);
            // Of what runs there is a finer count, in nanoseconds.
            let mut running = Duration::ZERO;
            for thread in threads(id)? {
                let schedstat = fs::read_to_string(format!("/proc/{id}/task/{thread}/schedstat"));
                let first = schedstat.as_deref().unwrap_or_default().split(' ').next();
                running += Duration::from_nanos(first.and_then(|ns| ns.parse().ok()).unwrap_or(0));
                // It may have ended meanwhile.
                let Ok(status) = fs::read_to_string(format!("/proc/{id}/task/{thread}/status"))
                else {
                    continue;
                };
                used.waits += number(&status, "voluntary_ctxt_switches:");
                used.preemptions += number(&status, "nonvoluntary_ctxt_switches:");
            }
            used.processor += running.max(ended_too);
        }
        Ok(used)
    }

    /// How many processes and how many threads there are.
    pub fn count(&self) -> io::Result<(usize, usize)> {
        let ids = self.ids()?;
        let mut all = 0;
        for &id in &ids {
            all += threads(id)?.len();
        }
        Ok((ids.len(), all))
    }

    /// The memory that is theirs, in bytes: what they wrote to, and what several of them share once.
    pub fn memory(&self) -> io::Result<u64> {
        let mut kilobytes = 0;
        for id in self.ids()? {
            let Ok(rollup) = fs::read_to_string(format!("/proc/{id}/smaps_rollup")) else {
                continue;
            };
            kilobytes += number(&rollup, "Pss_Anon:") + number(&rollup, "Pss_Shmem:");
        }
        Ok(kilobytes * 1024)
    }

    /// Sends all of them a signal.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(killpg(self.group, signal)?)
    }

    /// Those of the group, and what they have started, which may have groups of its own.
    fn ids(&self) -> io::Result<Vec<u32>> {
        let group = i64::from(self.group.as_raw());
        let entries = fs::read_dir("/proc")?.flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        // A child's parent and group, by the child.
        let mut all: Vec<(u32, i64, i64)> = ids
            .filter_map(|id| stat(id).map(|fields| (id, fields[1], fields[2])))
            .collect();
        let mut found: Vec<u32> = Vec::new();
        loop {
            let is_theirs = |&(_, parent, of): &(u32, i64, i64)| {
                of == group || found.iter().any(|&id| i64::from(id) == parent)
            };
            let (theirs, others): (Vec<_>, Vec<_>) = all.into_iter().partition(is_theirs);
            all = others;
            if theirs.is_empty() {
                return Ok(found);
            }
            found.extend(theirs.into_iter().map(|(id, ..)| id));
        }
    }
}

/// The fields of `/proc/ID/stat` from the state on, which is 0 here; none once the process is gone.
fn stat(id: u32) -> Option<Vec<i64>> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name before them may hold spaces and parentheses.
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<i64> = fields
        .split_ascii_whitespace()
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    (fields.len() > 15).then_some(fields)
}

fn threads(id: u32) -> io::Result<Vec<u32>> {
    match fs::read_dir(format!("/proc/{id}/task")) {
        Ok(threads) => Ok(threads
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The number after a line's label; 0 where there is no such line.
fn number(text: &str, label: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(label));
    let digits = line.and_then(|rest| rest.split_ascii_whitespace().next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
