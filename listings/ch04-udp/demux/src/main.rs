//! One host, many UDP sockets: which of them gets a datagram?
//!
//! ```text
//! cargo run -p udp-demux
//! ```
//!
//! Three programs wait on three ports, and thousands of datagrams are sorted among them. Then several
//! sockets wait on *one* port: look for the order in which the kernel prefers them, for the flows that
//! stay with one socket of a group, and for those that are moved when another socket closes.
//!
//! Everything takes place on loopback, so that nothing is lost on the way. Linux only: other systems
//! sort by other rules.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "udp-demux shows how Linux chooses among sockets. Run it on Linux: in the book's dev \
         container, or on Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
mod group;
#[cfg(target_os = "linux")]
mod mailbox;
#[cfg(target_os = "linux")]
mod ports;
#[cfg(target_os = "linux")]
mod specific;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use std::process::ExitCode;

    if std::env::args().len() > 1 {
        eprintln!("usage: udp-demux (it takes no arguments)");
        return ExitCode::from(2);
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("udp-demux: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(target_os = "linux")]
fn run() -> std::io::Result<()> {
    let loopback = mailbox::Loopback::enter()?;
    let mut record = record::Record::new();
    println!("1. Three programs, three ports\n");
    record.add("ports", ports::tell(&loopback)?);
    println!("\n2. Several sockets, one port: who comes first?\n");
    record.add("specific", specific::tell(&loopback)?);
    println!("\n3. Four sockets that share a port\n");
    record.add("group", group::tell(&loopback)?);
    record.save()
}
