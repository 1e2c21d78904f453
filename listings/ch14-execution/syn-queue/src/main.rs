//! An attacker sends SYNs and never acknowledges. How many half-open connections does a listener
//! keep, for how long, and what becomes of a client that means it?
//!
//! ```text
//! cargo run -p exec-syn-queue
//! ```
//!
//! Look for the number that each backlog leads to, for what SYN cookies change, and for when the
//! entries go. That takes seven seconds; all else happens meanwhile. Linux only.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod client;
#[cfg(target_os = "linux")]
mod cookie;
#[cfg(target_os = "linux")]
mod flood;
#[cfg(target_os = "linux")]
mod limits;
#[cfg(target_os = "linux")]
mod stay;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "exec-syn-queue builds a network of Linux kernels. Run it on Linux: in the book's dev \
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

    use crate::client::{self, TRIALS};
    use crate::flood::Error;
    use crate::{cookie, limits, stay};

    pub fn run() -> Result<(), Error> {
        let mut record = Record::new();
        // These wait for timers, and the processor does nothing meanwhile.
        let staying = thread::spawn(stay::stay);
        let trials = TRIALS.map(|trial| (trial, thread::spawn(move || trial.run())));

        record.add("limits", limits::limits()?);
        record.add("fill", limits::fill()?);

        println!("\n2. A client that means it\n");
        let mut outcomes = Vec::new();
        for (trial, running) in trials {
            outcomes.push((trial, finished(running)?));
        }
        record.add("client", client::tell(&outcomes));
        let [_, (_, dropped), (_, cookie), ..] = &outcomes[..] else {
            unreachable!("there are five trials");
        };
        record.add("dropped", dropped.sequence.clone());
        record.add("cookie", cookie.sequence.clone());
        record.add("cookie-segment", cookie::tell(cookie)?);

        println!("\n3. How long an entry stays\n");
        record.add("stay", finished(staying)?.tell());
        Ok(record.save()?)
    }

    fn finished<T>(running: JoinHandle<Result<T, Error>>) -> Result<T, Error> {
        running.join().map_err(|_| "an experiment has panicked")?
    }
}
