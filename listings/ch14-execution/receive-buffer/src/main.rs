//! Bytes that a program has not read yet: where they wait and how many fit, whom they hold up and
//! for how long, and what `SO_RCVBUF` changes.
//!
//! ```text
//! cargo run -p exec-receive-buffer
//! ```
//!
//! Six scenes, on the lab:
//!
//! 1. `size.rs`: what `SO_RCVBUF` gives to who asks for how much.
//! 2. `full.rs`: nobody reads. How many bytes fit, what the kernel books for them, who waits and who
//!    loses.
//! 3. `look.rs`: what a program can learn of its buffer without reading.
//! 4. `backend.rs`: a backend that reads slowly, and its client.
//! 5. `autotuning.rs`: the buffer grows for a program that reads fast, unless it was set.
//! 6. `scale.rs`: why a buffer has to be set before the handshake.
//!
//! Look for the difference between bytes of data and bytes of memory, for who is told that the backend
//! is slow, and for what a fixed buffer costs on a long way. Linux only.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod autotuning;
#[cfg(target_os = "linux")]
mod backend;
#[cfg(target_os = "linux")]
mod full;
#[cfg(target_os = "linux")]
mod look;
#[cfg(target_os = "linux")]
mod scale;
#[cfg(target_os = "linux")]
mod size;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "exec-receive-buffer asks Linux kernels about their buffers. Run it on Linux: in the book's \
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
    full::show(&mut record)?;
    look::show()?;
    backend::show(&mut record)?;
    autotuning::show(&mut record)?;
    scale::show(&mut record)?;
    record.save()?;
    Ok(())
}
