//! One thread, thousands of connections: who tells it which of them has something to say?
//!
//! `cargo run -p exec-epoll-server` shows the server at work, and what a request costs it in system
//! calls. `cargo run -p exec-epoll-server -- 127.0.0.1:8080` serves until SIGTERM or Ctrl-C.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    exec_service::run(&exec_epoll_server::MODEL)
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("epoll is part of Linux: run this on Linux, in WSL2 or in the dev container.");
}
