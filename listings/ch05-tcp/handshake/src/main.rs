//! How a TCP connection is opened: three segments, what they say, how long they take, and what it
//! costs when one of them is lost.
//!
//! ```text
//! cargo run -p tcp-handshake
//! ```
//!
//! Two hosts, each with a kernel's own TCP, are joined by a link that takes 25 ms in each direction
//! and loses what this program tells it to. All packets are captured.
//!
//! Look for who is ESTABLISHED first, and for what the server's program has done until then; for the
//! numbers that each side starts to count at; and for the losses that cost a second, and the one
//! that costs nothing.
//!
//! The losses are made good after a second and more, so the program runs for about four. With
//! `LAB_PCAPNG=FILE` it leaves its packets to Wireshark.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "tcp-handshake builds a network out of Linux's namespaces. Run it on Linux: in the book's \
         dev container, or on Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
mod losses;
#[cfg(target_os = "linux")]
mod open;
#[cfg(target_os = "linux")]
mod show;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    lab::experiment(env!("CARGO_PKG_NAME"), linux::run)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::error::Error;
    use std::thread::{self, JoinHandle};
    use std::time::Duration;

    use lab::{Host, Lab, Report, undisturbed};
    use record::Record;

    use crate::losses::{ATTEMPTS, TRIALS};
    use crate::{open, show};

    pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

    /// How long a packet is under way; there and back it is twice that.
    pub const ONE_WAY: Duration = Duration::from_millis(25);

    /// HTTP's.
    pub const PORT: u16 = 80;

    /// How often a measurement is made at most, if the machine is too busy: what takes a tenth of a
    /// second, and what takes seconds.
    const TRIES: usize = 10;
    const LONG_TRIES: usize = 2;

    pub fn run() -> Result<()> {
        let mut record = Record::new();

        println!("1. Three segments, {} ms one way\n", ONE_WAY.as_millis());
        let (opened, report) = undisturbed(TRIES, open::open)?;
        let mut disturbed = report.disturbed();
        show::segments(&opened.capture)?;
        show::moments(&opened);
        record.add("handshake", show::sequence(&opened));
        record.add("options", show::options(&opened.capture)?);

        // These wait for timers of a second and more, and the processor does nothing meanwhile: all
        // at once.
        let trials = start_all(TRIALS);
        let attempts = start_all(ATTEMPTS);

        println!(
            "\n2. How long it takes: medians of {} connections\n",
            open::CONNECTIONS
        );
        let (timed, report) = undisturbed(LONG_TRIES, open::timed)?;
        disturbed |= report.disturbed();
        record.add("times", show::times(&timed));

        println!("\n3. Segments are lost\n");
        let outcomes = finish_all(trials, &mut disturbed)?;
        record.add("losses", show::losses(&outcomes));
        for (trial, outcome) in outcomes {
            if let Some((figure, messages)) = trial.figure {
                record.add(figure, show::first(messages, &outcome.capture));
            }
        }

        println!("\n4. Nobody answers, or somebody says no\n");
        let endings = finish_all(attempts, &mut disturbed)?;
        record.add("no-answer", show::endings(&endings));
        for (attempt, ending) in endings {
            if let Some(figure) = attempt.figure {
                record.add(figure, ending.capture.sequence());
            }
        }
        if disturbed {
            eprintln!("\nThis machine was busy, and some of the times are too long. Try again.");
        }
        Ok(record.save()?)
    }

    /// Something to be tried on a network of its own.
    pub trait Experiment: Copy + Send + 'static {
        /// What it found.
        type Found: Send + 'static;

        fn network(self) -> Result<(Lab, Host, Host)>;
        fn run(self, network: (Lab, Host, Host)) -> Result<(Self::Found, Report)>;
    }

    /// Experiments that are running.
    type Running<E, const N: usize> = [(E, JoinHandle<Result<(Found<E>, Report)>>); N];
    type Found<E> = <E as Experiment>::Found;

    /// Makes all networks, and then runs all experiments at once; each once more, on a new network, if
    /// the machine was too busy.
    fn start_all<E: Experiment, const N: usize>(experiments: [E; N]) -> Running<E, N> {
        let ready = experiments.map(|experiment| (experiment, experiment.network()));
        ready.map(|(experiment, network)| {
            let mut network = Some(network);
            let running = thread::spawn(move || {
                undisturbed(LONG_TRIES, || {
                    let network = network.take().unwrap_or_else(|| experiment.network());
                    experiment.run(network?)
                })
            });
            (experiment, running)
        })
    }

    fn finish_all<E: Experiment, const N: usize>(
        running: Running<E, N>,
        disturbed: &mut bool,
    ) -> Result<Vec<(E, Found<E>)>> {
        let mut all = Vec::new();
        for (experiment, running) in running {
            let (found, report) = finished(running)?;
            *disturbed |= report.disturbed();
            all.push((experiment, found));
        }
        Ok(all)
    }

    pub fn finished<T>(running: JoinHandle<Result<T>>) -> Result<T> {
        running.join().map_err(|_| "an experiment has panicked")?
    }
}
