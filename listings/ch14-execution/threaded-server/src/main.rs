//! The service in a pool of threads, one for each connection.
//!
//! ```text
//! cargo run -p exec-threaded-server                       # a tour
//! cargo run -p exec-threaded-server -- 127.0.0.1:8080     # serves there, until SIGTERM or Ctrl-C
//! ```
//!
//! Look for how many system calls a request takes. Linux only.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    exec_service::run(&exec_threaded_server::MODEL)
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "exec-threaded-server waits by calls that only Linux has. Run it on Linux: in the book's dev \
         container, or on Windows in WSL2."
    );
}
