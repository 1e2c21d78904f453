//! The service in worker processes that are forked beforehand, each of which serves one connection at a
//! time.
//!
//! ```text
//! cargo run -p exec-prefork-server                       # a tour
//! cargo run -p exec-prefork-server -- 127.0.0.1:8080     # serves there, until SIGTERM or Ctrl-C
//! ```
//!
//! Kill one of them with `kill -9` while it serves, and see who notices. Linux only.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    exec_service::run(&exec_prefork_server::MODEL)
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "exec-prefork-server waits by calls that only Linux has. Run it on Linux: in the book's dev \
         container, or on Windows in WSL2."
    );
}
