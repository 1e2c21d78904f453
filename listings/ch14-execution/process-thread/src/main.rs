//! A thread and a child process side by side: memory, identity, what a crash takes along, what each
//! costs, and what `fork()` copies and does not.
//!
//! ```text
//! cargo run -p exec-process-thread
//! ```
//!
//! Look for who sees whose writes, for how many workers answer after one of them has crashed, and for
//! what grows with the memory of the process that forks. Linux only: it reads `/proc`.

#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
mod copies;
#[cfg(target_os = "linux")]
mod costs;
#[cfg(target_os = "linux")]
mod crash;
#[cfg(target_os = "linux")]
mod identity;
#[cfg(target_os = "linux")]
mod locks;
#[cfg(target_os = "linux")]
mod pages;
#[cfg(target_os = "linux")]
mod switches;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "exec-process-thread reads what Linux says of processes in /proc. Run it on Linux: in the \
         book's dev container, or on Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    if std::env::args().len() > 1 {
        eprintln!("usage: exec-process-thread (it takes no arguments)");
        return std::process::ExitCode::from(2);
    }
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("exec-process-thread: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// Anything that can go wrong, to be said once and end the program.
#[cfg(target_os = "linux")]
type Error = Box<dyn std::error::Error + Send + Sync>;

/// Each part leaves the process as it found it: with one thread and without children.
#[cfg(target_os = "linux")]
fn run() -> Result<(), Error> {
    let mut record = record::Record::new();
    let memory = costs::memory()?; // first, while this process is small
    record.add("identity", identity::compare()?);
    record.add("crash", crash::compare()?);
    record.add("pages", copies::pages()?);
    copies::descriptors()?;
    locks::inherited()?;
    record.add("creation", costs::creation()?);
    record.add("memory", costs::tell(memory));
    record.add("switches", switches::compare()?);
    record.save()?;
    Ok(())
}
