//! A traceroute over a chain of routers, and what the routers do to the TTL.
//!
//! ```text
//! cargo run -p ip-ttl
//! ```
//!
//! A client, four routers that are Linux kernels, and a server. Look for how far a packet gets with
//! each TTL, for what stands in its TTL and header checksum on each link, for the router that forwards
//! and does not answer, and for how many of twenty unreachable ports the server tells of. Linux only.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "ip-ttl builds a network of Linux kernels. Run it on Linux: in the book's dev container, or \
         on Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
mod chain;
#[cfg(target_os = "linux")]
mod far;
#[cfg(target_os = "linux")]
mod traceroute;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    lab::experiment(env!("CARGO_PKG_NAME"), linux::run)
}

#[cfg(target_os = "linux")]
mod linux {
    use record::Record;

    use crate::chain::{Chain, Family, Result, Silence};
    use crate::far;
    use crate::traceroute::{Answer, MAX_HOPS, Route};

    pub fn run() -> Result<()> {
        let mut record = Record::new();
        for family in [Family::V4, Family::V6] {
            println!("How far a packet gets, {family}\n");
            far::each_ttl(family, &mut record)?;
            println!("\nTraceroute, {family}\n");
            trace(&Chain::start(Silence::Nobody)?, family)?;
            println!("\nRouter 3 forwards, and does not answer\n");
            trace(&Chain::start(Silence::Router(3))?, family)?;
            println!();
        }
        println!("Twenty datagrams at once to ports that nobody has\n");
        for family in [Family::V4, Family::V6] {
            far::rate_limit(family)?;
        }
        Ok(record.save()?)
    }

    // ANCHOR: trace
    /// Prints the way from the client to the server.
    fn trace(chain: &Chain, family: Family) -> Result<()> {
        let destination = family.address(&chain.server);
        println!("to {destination}, {MAX_HOPS} hops at most");
        let mut route = Route::new(&chain.client, family, destination)?;
        for hop in &mut route {
            let hop = hop?;
            print!("{:>2}", hop.ttl);
            match hop.answers.iter().flatten().next() {
                Some(Answer { from, .. }) => print!("  {:<9} {from:<11}", chain.name(*from)),
                None => print!("  {:<21}", ""),
            }
            for answer in hop.answers {
                match answer {
                    Some(Answer { after, .. }) => print!("  {:.3} ms", after.as_secs_f64() * 1e3),
                    None => print!("  *"),
                }
            }
            println!();
        }
        let end = match route.arrived() {
            true => "the destination says that nobody has the port: that was the last hop",
            false => "the destination did not answer",
        };
        println!("{end}");
        Ok(())
    }
    // ANCHOR_END: trace
}
