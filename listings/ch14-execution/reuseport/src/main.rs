//! Four workers on one port. With one accept queue for all, or with one for each: who gets the
//! connections, who is woken for nothing, what does one stuck worker cost, and what becomes of a queue
//! whose worker goes?
//!
//! ```text
//! cargo run -p exec-reuseport
//! ```
//!
//! Look for the worker that gets everything, for the clients that wait although three workers are
//! idle, and for those that are reset although nobody has refused them. Linux only.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod balance;
#[cfg(target_os = "linux")]
mod closing;
#[cfg(target_os = "linux")]
mod stuck;
#[cfg(target_os = "linux")]
mod workers;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "exec-reuseport builds a network of Linux kernels. Run it on Linux: in the book's dev \
         container, or on Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    lab::experiment(env!("CARGO_PKG_NAME"), linux::run)
}

#[cfg(target_os = "linux")]
mod linux {
    use record::Record;

    use crate::workers::Error;
    use crate::{balance, closing, stuck};

    pub fn run() -> Result<(), Error> {
        let mut record = Record::new();
        record.add("balance", balance::tell()?);
        let (latency, tail) = stuck::tell()?;
        record.add("latency", latency);
        record.add("tail", tail);
        record.add("closing", closing::tell()?);
        Ok(record.save()?)
    }
}
