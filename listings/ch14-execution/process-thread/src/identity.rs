//! One variable, and those who write to it.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::unistd::{getpid, gettid};
use record::{Column, Table};

use crate::Error;
use crate::child::fork;
use crate::pages::Pages;

// ANCHOR: variable
/// What the thread sets to 1, and the child to 2.
static VARIABLE: AtomicU32 = AtomicU32::new(0);
// ANCHOR_END: variable

/// Who somebody is, and where the variable is for them.
#[derive(Clone, Copy)]
struct Who {
    process: u32,
    thread: u32,
    address: u64,
}

impl Who {
    fn am_i(variable: &AtomicU32) -> Self {
        Self {
            process: getpid().as_raw().cast_unsigned(),
            thread: gettid().as_raw().cast_unsigned(),
            address: variable.as_ptr().addr() as u64,
        }
    }

    fn tell(self, pipe: &mut PipeWriter) -> io::Result<()> {
        pipe.write_all(&self.process.to_ne_bytes())?;
        pipe.write_all(&self.thread.to_ne_bytes())?;
        pipe.write_all(&self.address.to_ne_bytes())
    }

    fn hear(pipe: &mut PipeReader) -> io::Result<Self> {
        let (mut process, mut thread, mut address) = ([0; 4], [0; 4], [0; 8]);
        pipe.read_exact(&mut process)?;
        pipe.read_exact(&mut thread)?;
        pipe.read_exact(&mut address)?;
        Ok(Self {
            process: u32::from_ne_bytes(process),
            thread: u32::from_ne_bytes(thread),
            address: u64::from_ne_bytes(address),
        })
    }
}

// ANCHOR: thread
fn thread_writes(value: u32) -> Result<Who, Error> {
    let writes = move || {
        VARIABLE.store(value, Ordering::Relaxed);
        Who::am_i(&VARIABLE)
    };
    Ok(thread::spawn(writes).join().map_err(|_| "it panicked")?)
}
// ANCHOR_END: thread

// ANCHOR: child
fn child_writes(variable: &AtomicU32, value: u32) -> Result<Who, Error> {
    let (mut reader, mut writer) = io::pipe()?;
    let writes = || {
        variable.store(value, Ordering::Relaxed);
        // It cannot leave it in a variable: this is how a process tells another.
        u8::from(Who::am_i(variable).tell(&mut writer).is_err())
    };
    // SAFETY: the thread before has ended, so that this process has one.
    let child = unsafe { fork(writes) }?;
    let who = Who::hear(&mut reader)?;
    child.wait()?;
    Ok(who)
}
// ANCHOR_END: child

pub fn compare() -> Result<Table, Error> {
    println!("One variable, and who writes to it:");
    let mut table = Table::new([
        Column::words("who"),
        Column::words("process"),
        Column::words("thread"),
        Column::number("writes", ""),
        Column::number("the main thread reads", ""),
    ]);
    let shared = Pages::shared_number()?;
    let shared = shared.number();
    let mut moved = false;
    let mut row = |name: &str, writes: &str, who: Who, variable: &AtomicU32| {
        moved |= who.address != Who::am_i(variable).address;
        let Who {
            process, thread, ..
        } = who;
        let read = variable.load(Ordering::Relaxed);
        println!(
            "  {name:25}  process {process}, thread {thread}, \
             writes {writes}, and the main thread reads {read}"
        );
        let [process, thread] = [process, thread].map(|id| format!("`{id}`"));
        let read = read.to_string();
        table
            .rows
            .push(vec![name.into(), process, thread, writes.into(), read]);
    };
    row("main thread", "-", Who::am_i(&VARIABLE), &VARIABLE);
    row("a thread", "1", thread_writes(1)?, &VARIABLE);
    row("a child", "2", child_writes(&VARIABLE, 2)?, &VARIABLE);
    let who = child_writes(shared, 3)?;
    row("a child, in shared memory", "3", who, shared);
    if moved {
        return Err("a variable is at another address in a child".into());
    }
    println!("  each finds it at the same address\n");
    Ok(table)
}
