//! The epoll server again, on mio: what does the library do for you, and what does it cost?
//!
//! `cargo run -p exec-mio-server` shows the server at work, and what a request costs it in system
//! calls; compare that with `exec-epoll-server`. `cargo run -p exec-mio-server -- 127.0.0.1:8080`
//! serves until SIGTERM or Ctrl-C.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    exec_service::run(&exec_mio_server::MODEL)
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!(
        "mio would run here, but what surrounds this server needs Linux: its signals, its shared \
         counters. Run it on Linux, in WSL2 or in the dev container."
    );
}
