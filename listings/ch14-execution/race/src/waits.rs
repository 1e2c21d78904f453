//! What it costs to wait for somebody who takes his time.

use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use record::{Column, Table};

use crate::latch::Latch;

/// For how long the holder sleeps, as it would if the kernel gave its core to others.
const HOLDS: Duration = Duration::from_millis(50);

/// The processor time of all threads so far.
fn cpu_time() -> nix::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let us = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(us.cast_unsigned()))
}

/// How much processor time goes by while one thread holds something and sleeps, and another waits.
fn costs(hold: impl Fn(&dyn Fn()) + Sync) -> nix::Result<Duration> {
    // ANCHOR: waits
    let held = Barrier::new(2);
    let start = cpu_time()?;
    thread::scope(|scope| {
        scope.spawn(|| {
            hold(&|| {
                held.wait();
                thread::sleep(HOLDS);
            });
        });
        held.wait();
        hold(&|| ()); // waits
    });
    Ok(cpu_time()? - start)
    // ANCHOR_END: waits
}

pub fn compare() -> nix::Result<Table> {
    let mutex = Mutex::new(());
    let by_mutex = costs(|work| {
        let _guard = mutex.lock();
        work();
    })?;
    let latch = Latch::<()>::default();
    let by_latch = costs(|work| {
        let _held = latch.hold();
        work();
    })?;
    println!(
        "To wait for a holder that sleeps for {} ms takes of processor time:",
        HOLDS.as_millis()
    );
    let mut table = Table::new([
        Column::words("waits for"),
        Column::number("processor time", "ms"),
    ]);
    for (name, time) in [("mutex", by_mutex), ("latch", by_latch)] {
        let ms = format!("{:.1}", time.as_secs_f64() * 1e3);
        println!("  {name}  {ms:>5} ms");
        table = table.row([name.to_owned(), ms]);
    }
    Ok(table)
}
