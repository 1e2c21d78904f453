//! Congestion control at work: how the window opens, what a loss does to it, and how long packets
//! wait in a router's queue meanwhile.
//!
//! ```text
//! cargo run -p tcp-congestion
//! ```
//!
//! Three scenes, each one connection between two real kernels on the lab, with a sender that always
//! has more to send (see `lib.rs`):
//!
//! 1. `slow_start.rs`: a long path with room for everything.
//! 2. `reaction.rs`: the same, and a router that says «too much» once, by a loss or by a mark.
//! 3. `bottleneck.rs`: a narrow link with a queue in front of it, under Reno, CUBIC and BBR.
//!
//! Look for the segments of each round trip, for what is left of the window after a loss, for the
//! shape of its way back, and for the wait in the queue. The congestion control is the scene's, never
//! the machine's default; one that the kernel lacks is named and left out.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod bottleneck;
#[cfg(target_os = "linux")]
mod reaction;
#[cfg(target_os = "linux")]
mod slow_start;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "tcp-congestion watches the Linux kernel's TCP. Run it on Linux: in the book's dev container, \
         or on Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    lab::experiment(env!("CARGO_PKG_NAME"), linux::run)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::panic::resume_unwind;
    use std::thread::{self, ScopedJoinHandle};

    use record::Record;
    use tcp_congestion::{Result, available};

    use crate::{bottleneck, reaction, slow_start};

    const ALGORITHMS: [&str; 3] = ["reno", "cubic", "bbr"];

    // ANCHOR: run
    pub fn run() -> Result<()> {
        let (here, missing): (Vec<_>, Vec<_>) =
            ALGORITHMS.into_iter().partition(|name| available(name));
        let mut record = Record::new();

        slow_start::show(&slow_start::watch()?, &mut record);

        // Each on a network of its own, and with few packets: they do not disturb each other.
        let (reactions, bottlenecks) = thread::scope(|scope| {
            let classic = here.iter().filter(|&&name| name != "bbr");
            let reactions: Vec<_> = [false, true]
                .into_iter()
                .flat_map(|ecn| classic.clone().map(move |&name| (name, ecn)))
                .map(|(name, ecn)| scope.spawn(move || reaction::watch(name, ecn)))
                .collect();
            let bottlenecks: Vec<_> = here
                .iter()
                .map(|&name| scope.spawn(move || bottleneck::watch(name)))
                .collect();
            (all(reactions), all(bottlenecks))
        });
        reaction::show(&reactions?, &mut record);
        bottleneck::show(&bottlenecks?, &mut record);

        for name in missing {
            println!("\nThis kernel has no {name} at hand: try `sudo modprobe tcp_{name}`.");
        }
        record.save()?;
        Ok(())
    }
    // ANCHOR_END: run

    /// What all the threads found, or the first error.
    fn all<T>(threads: Vec<ScopedJoinHandle<'_, Result<T>>>) -> Result<Vec<T>> {
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    }
}
