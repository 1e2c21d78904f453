//! Bytes that `send()` has taken and nobody has received: how many it takes, when it takes more, how
//! long the newest waits behind the oldest, and what becomes of them when an end closes or dies.
//!
//! ```text
//! cargo run -p exec-send-buffer
//! ```
//!
//! Six scenes, on the lab:
//!
//! 1. `size.rs`: how many bytes `send()` takes for how large a buffer.
//! 2. `writable.rs`: when `send()` takes more, and when poll(2) says so.
//! 3. `autotuning.rs`: the buffer grows with the congestion window, unless it was set.
//! 4. `low_water.rs`: how long a new message waits behind the old ones, and `TCP_NOTSENT_LOWAT`.
//! 5. `lost.rs`: `send()` has returned, and the receiver is killed.
//! 6. `closing.rs`: the sender closes, or ends, before all is sent.
//!
//! Look for how much is unsent when `send()` has long returned, for what a large buffer costs the
//! newest message, and for who is told that bytes were lost. Linux only.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod autotuning;
#[cfg(target_os = "linux")]
mod closing;
#[cfg(target_os = "linux")]
mod lost;
#[cfg(target_os = "linux")]
mod low_water;
#[cfg(target_os = "linux")]
mod size;
#[cfg(target_os = "linux")]
mod writable;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "exec-send-buffer asks Linux kernels about their buffers. Run it on Linux: in the book's \
         dev container, or on Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    lab::experiment(env!("CARGO_PKG_NAME"), run)
}

#[cfg(target_os = "linux")]
fn run() -> exec_receive_buffer::Result<()> {
    let mut record = record::Record::new();
    size::show(&mut record)?;
    writable::show(&mut record)?;
    autotuning::show(&mut record)?;
    low_water::show(&mut record)?;
    lost::show(&mut record)?;
    closing::show(&mut record)?;
    record.save()?;
    Ok(())
}
