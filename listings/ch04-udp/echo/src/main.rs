//! A server that sends every datagram back, and clients that find out what a datagram is.
//!
//! ```text
//! cargo run -p udp-echo                      # server and clients, in one program
//! cargo run -p udp-echo -- 127.0.0.1:7007    # the server alone: talk to it with `nc -u 127.0.0.1 7007`
//! ```
//!
//! Look for what becomes of a datagram that is longer than the reader's buffer, for whom a connected
//! socket no longer hears, and for *which* call says that nobody is there: never the one that was to
//! blame.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "udp-echo shows how Linux reports errors of UDP. Run it on Linux: in the book's dev \
         container, or on Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
mod scenes;
#[cfg(target_os = "linux")]
mod server;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use std::process::ExitCode;

    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match &arguments[..] {
        [] => scenes::tell(),
        [address] => match address.parse() {
            Ok(address) => server::serve(address),
            Err(_) => return usage(),
        },
        _ => return usage(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("udp-echo: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(target_os = "linux")]
fn usage() -> std::process::ExitCode {
    eprintln!(
        "usage: udp-echo            server and clients, in one program\n       \
         udp-echo ADDRESS    the server alone, such as 127.0.0.1:7007"
    );
    std::process::ExitCode::from(2)
}
