//! A real request in its frames: on the way to the router, and behind it.
//!
//! ```text
//! cargo run -p layers-capture
//! ```
//!
//! A client, a router and a server: a real connection over real kernels' TCP. A packet socket on each
//! host gives the frames, Ethernet header included.
//!
//! Look for which layer each byte belongs to, for what the router has changed, and for how much of a
//! frame is data when there is little to send. Linux only.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod figure;
#[cfg(target_os = "linux")]
mod layers;
#[cfg(target_os = "linux")]
mod neighbor;
#[cfg(target_os = "linux")]
mod overhead;
#[cfg(target_os = "linux")]
mod path;
#[cfg(target_os = "linux")]
mod sniffer;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "layers-capture builds a network of Linux kernels. Run it on Linux: in the book's dev \
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

    use crate::{overhead, path};

    pub type Error = Box<dyn std::error::Error + Send + Sync>;

    pub fn run() -> Result<(), Error> {
        let mut record = Record::new();
        let request = path::one_request()?;
        request.tell()?;
        record.add("frame", request.figure()?);
        record.add("path", request.sequence()?);
        record.add("changed", request.table()?);

        let overhead = overhead::measure()?;
        overhead.tell();
        record.add("overhead", overhead.series());
        record.save()?;
        Ok(())
    }
}
