//! A server that does not call accept(). How many connections wait for it, what does the next client
//! see, and what becomes of one whose handshake is under way when the queue becomes full?
//!
//! ```text
//! cargo run -p exec-accept-queue
//! ```
//!
//! Look for how many connections a backlog makes room for, for the second that a short pause of the
//! server costs some clients, and for the client that is connected to a server that is not. Linux
//! only.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod fill;
#[cfg(target_os = "linux")]
mod full;
#[cfg(target_os = "linux")]
mod overlap;
#[cfg(target_os = "linux")]
mod stage;
#[cfg(target_os = "linux")]
mod stall;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "exec-accept-queue builds a network of Linux kernels. Run it on Linux: in the book's dev \
         container, or on Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    lab::experiment(env!("CARGO_PKG_NAME"), linux::run)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::thread::{self, JoinHandle};

    use record::Record;

    use crate::full::Then;
    use crate::stage::Error;
    use crate::{fill, full, overlap, stall};

    pub fn run() -> Result<(), Error> {
        let mut record = Record::new();
        // These wait for timers, and the processor does nothing meanwhile.
        let recovers = thread::spawn(|| full::full(Then::AcceptsOne, 0));
        let times_out = thread::spawn(|| full::full(Then::AcceptsNone, 0));
        let aborts = thread::spawn(|| full::full(Then::AcceptsNone, 1));
        let overlaps = [0, 1].map(|abort| (abort, thread::spawn(move || overlap::overlap(abort))));

        record.add("backlogs", fill::nobody_accepts()?);
        let stalled = stall::stall()?;

        let (recovered, timed_out) = (finished(recovers)?, finished(times_out)?);
        full::tell([&recovered, &timed_out, &finished(aborts)?]);
        record.add("recovered", recovered.sequence);
        record.add("timed-out", timed_out.sequence);

        stalled.tell();
        record.add("queue", stalled.queue());
        record.add("visits", stalled.visits());

        let mut outcomes = Vec::new();
        for (abort, running) in overlaps {
            outcomes.push((abort, finished(running)?));
        }
        record.add("overlaps", overlap::tell(&outcomes));
        for ((_, outcome), figure) in outcomes.into_iter().zip(["ignored", "reset"]) {
            record.add(figure, outcome.sequence);
        }

        full::before_accept()?;
        fill::listen_again()?;
        fill::unix_socket()?;
        Ok(record.save()?)
    }

    fn finished<T>(running: JoinHandle<Result<T, Error>>) -> Result<T, Error> {
        running.join().map_err(|_| "an experiment has panicked")?
    }
}
