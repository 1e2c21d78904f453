//! ICMP messages of both families, as the kernels of a small network send them, taken apart.
//!
//! ```text
//! cargo run -p ip-icmp
//! ```
//!
//! A client and a server with a router between them, and a second link that carries packets of 1,400
//! bytes at most. The client asks for an echo, sends to a port that nobody has, sends with a TTL that
//! ends at the router, and sends more than the second link carries. Look for what the four messages
//! have in common, and for how much of the packet each of them quotes. Linux only.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "ip-icmp builds a network of Linux kernels. Run it on Linux: in the book's dev container, or \
         on Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
mod provoke;
#[cfg(target_os = "linux")]
mod show;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    lab::experiment(env!("CARGO_PKG_NAME"), linux::run)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::error::Error;

    use record::Record;

    use crate::provoke::{Family, Network};
    use crate::show;

    pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

    pub fn run() -> Result<()> {
        let mut record = Record::new();
        for family in [Family::V4, Family::V6] {
            let network = Network::start()?;
            // ANCHOR: provoke
            network.echo(family)?;
            network.send_to_a_closed_port(family)?;
            network.send_with_one_hop(family)?;
            network.send_too_much(family)?;
            let messages = network.messages()?;
            // ANCHOR_END: provoke
            println!("{}", family.heading());
            for (what, packet) in &messages {
                println!("\n{what}\n");
                let figure = show::message(packet)?;
                record.add(
                    &format!("{what}-{}", family.name()).replace(' ', "-"),
                    figure,
                );
            }
            if family == Family::V4 {
                println!();
            }
        }
        Ok(record.save()?)
    }
}
