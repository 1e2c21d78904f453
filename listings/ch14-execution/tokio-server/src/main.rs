//! The service on tokio: a task for each connection, and on every core a runtime of one thread.
//!
//! ```text
//! cargo run -p exec-tokio-server                       # a tour
//! cargo run -p exec-tokio-server -- 127.0.0.1:8080     # serves there, until SIGTERM or Ctrl-C
//! ```
//!
//! Look for how many system calls a request takes. Linux only.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    exec_service::run(&exec_tokio_server::MODEL)
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "exec-tokio-server shares a port among its workers as only Linux does. Run it on Linux: in the book's dev \
         container, or on Windows in WSL2."
    );
}
