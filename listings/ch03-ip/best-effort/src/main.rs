//! Packets over a link that loses, reorders and duplicates them, and packets that are too big for a
//! link on their way.
//!
//! ```text
//! cargo run -p ip-best-effort
//! ```
//!
//! Look for what the sender is told of all that goes wrong on the first link; for the one message that
//! says how big a packet may be; and for who cuts a packet in pieces, in IPv4 and in IPv6. Linux only.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "ip-best-effort builds a network of Linux kernels. Run it on Linux: in the book's dev \
         container, or on Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
mod crossing;
#[cfg(target_os = "linux")]
mod options;
#[cfg(target_os = "linux")]
mod path_mtu;
#[cfg(target_os = "linux")]
mod show;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    lab::experiment(env!("CARGO_PKG_NAME"), linux::run)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::error::Error;
    use std::io;
    use std::net::UdpSocket;
    use std::thread;
    use std::time::{Duration, Instant};

    use record::Record;

    use crate::{crossing, path_mtu};

    pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

    /// How long to wait for what should be there after some milliseconds.
    pub const DEADLINE: Duration = Duration::from_secs(10);

    pub fn run() -> Result<()> {
        let mut record = Record::new();
        println!("A link that loses, reorders and duplicates\n");
        crossing::misfortunes(&mut record)?;
        println!("\nA queue that is full\n");
        crossing::full_queue()?;
        println!("\nToo big for the second link\n");
        path_mtu::told(&mut record)?;
        println!("\nNobody may tell: a black hole\n");
        path_mtu::black_hole()?;
        println!("\nIn pieces\n");
        path_mtu::cut_by_the_router(&mut record)?;
        path_mtu::one_piece_lost(&mut record)?;
        path_mtu::cut_by_the_source(&mut record)?;
        record.save()?;
        Ok(())
    }

    /// Waits until `look` finds something.
    pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let at_latest = Instant::now() + DEADLINE;
        loop {
            if let Some(found) = look()? {
                return Ok(found);
            }
            if Instant::now() > at_latest {
                return Err(format!("waited in vain for {what}").into());
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The next datagram, which is on its way.
    pub fn next(receiver: &UdpSocket) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; 65_536];
        receiver.set_read_timeout(Some(DEADLINE))?;
        let length = receiver.recv(&mut buffer)?;
        buffer.truncate(length);
        Ok(buffer)
    }
}
