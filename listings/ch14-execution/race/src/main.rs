//! A counter that two threads increment: updates that are lost, why, and what it costs to keep them.
//!
//! ```text
//! cargo run -p exec-race
//! ```
//!
//! Look for how two increments make one, for how many of a million are lost when nobody arranges it,
//! and for what the cure costs alone and in company. A counter for which two threads simply write
//! `count += 1` does not stand here: see `tests/programs`.

mod costs;
mod counters;
mod latch;
mod lost;
#[cfg(unix)]
mod waits;

fn main() -> std::process::ExitCode {
    if std::env::args().len() > 1 {
        eprintln!("usage: exec-race (it takes no arguments)");
        return std::process::ExitCode::from(2);
    }
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("exec-race: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut record = record::Record::new();
    record.add("interleaving", lost::arranged());
    record.add("lost", lost::by_chance());
    record.add("costs", costs::of_counters());
    record.add("lines", costs::of_a_shared_line());
    #[cfg(unix)]
    record.add("waits", waits::compare()?);
    record.save()?;
    Ok(())
}
