//! Readiness: what the kernel tells a program about its sockets, how often, and at what
//! price.
//!
//! ```text
//! cargo run -p exec-readiness
//! ```
//!
//! The same connection is watched by two epoll instances, one level-triggered and one
//! edge-triggered, while bytes arrive and are read. Then epoll is asked to watch what it
//! cannot, four threads' worth of epoll instances watch one listening socket, and thousands
//! of silent sockets are watched along with one that has something to say.
//!
//! Look for silence where bytes are waiting; for a descriptor that speaks after its end;
//! and for which of two numbers grows.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod cost;
#[cfg(target_os = "linux")]
mod herd;
#[cfg(target_os = "linux")]
mod told;
#[cfg(target_os = "linux")]
mod watch;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "exec-readiness shows epoll, which is part of Linux: run it in the dev container or in WSL2."
    );
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    if std::env::args_os().len() > 1 {
        eprintln!("usage: exec-readiness (it takes no arguments)");
        return std::process::ExitCode::from(2);
    }
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("exec-readiness: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(target_os = "linux")]
fn run() -> std::io::Result<()> {
    let mut record = record::Record::new();
    record.add("reading", told::reading()?);
    record.add("writing", told::writing()?);
    told::urgent()?;
    watch::what_cannot_be_watched()?;
    watch::closed_and_still_told()?;
    herd::wake()?;
    record.add("cost", cost::measure()?);
    record.save()
}
