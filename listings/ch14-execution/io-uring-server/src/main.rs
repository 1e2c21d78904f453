//! The service on io_uring: the kernel does what the server asks of it, and the server reaps the results.
//!
//! ```text
//! cargo run -p exec-io-uring-server                       # a tour
//! cargo run -p exec-io-uring-server -- 127.0.0.1:8080     # serves there, until SIGTERM or Ctrl-C
//! ```
//!
//! Look for how many system calls a request takes. Linux only.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    exec_service::run(&exec_io_uring_server::MODEL)
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "exec-io-uring-server stands on what only Linux has. Run it on Linux: in the book's dev \
         container, or on Windows in WSL2."
    );
}
