//! A stub resolver that loss, duplicates and forged answers do not mislead, and the small server
//! that it asks.
//!
//! ```text
//! cargo run -p udp-dns                                      a tour, on a network of its own
//! cargo run -p udp-dns -- 127.0.0.1:5353                    the server, for `dig` to ask
//! cargo run -p udp-dns -- ask 127.0.0.1:5353 www.example.com AAAA
//! ```
//!
//! In the tour, look for the ID and the letters of a query that is repeated, and for what each forged
//! answer has wrong. Linux only.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod arithmetic;
#[cfg(target_os = "linux")]
mod attacker;
#[cfg(target_os = "linux")]
mod tour;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "udp-dns builds a network of Linux kernels. Run it on Linux: in the book's dev container, \
         or on Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use std::process::ExitCode;

    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        [] => return lab::experiment(env!("CARGO_PKG_NAME"), tour::run),
        ["ask", server, name] => linux::ask(server, name, "A"),
        ["ask", server, name, qtype] => linux::ask(server, name, qtype),
        [address] => linux::serve(address),
        _ => Err(linux::Error::Usage),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(linux::Error::Usage) => {
            eprintln!(
                "usage: udp-dns (the tour), udp-dns ADDRESS:PORT (the server), or \
                 udp-dns ask SERVER[:PORT] NAME [TYPE]"
            );
            ExitCode::from(2)
        }
        Err(linux::Error::Failed(what)) => {
            eprintln!("udp-dns: {what}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::net::{IpAddr, SocketAddr};

    use udp_dns::client::{Event, resolve};
    use udp_dns::random::Kernel;
    use udp_dns::resolver::{Answer, Config};
    use udp_dns::server::Server;
    use udp_dns::zone::Zone;
    use udp_dns_message::{NameBuf, Type};

    use crate::tour;

    pub enum Error {
        Usage,
        Failed(String),
    }

    /// The port of DNS.
    const PORT: u16 = 53;

    /// Serves the listing's zone.
    pub fn serve(address: &str) -> Result<(), Error> {
        let address: SocketAddr = address.parse().map_err(|_| Error::Usage)?;
        let failed = |error: String| Error::Failed(format!("{address}: {error}"));
        let zone = Zone::parse(tour::ZONE).map_err(|error| failed(error.to_string()))?;
        let server = Server::start(zone, address).map_err(|error| failed(error.to_string()))?;
        let (ip, port) = (server.address().ip(), server.address().port());
        println!("serving example.com on {}", server.address());
        println!("ask it: dig @{ip} -p {port} www.example.com");
        server.wait();
        Ok(())
    }

    /// Asks a server.
    pub fn ask(server: &str, name: &str, qtype: &str) -> Result<(), Error> {
        let with_port = server.parse::<SocketAddr>();
        let server = with_port
            .or_else(|_| server.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT)))
            .map_err(|_| Error::Usage)?;
        let failed =
            |what: &str, error: &dyn std::fmt::Display| Error::Failed(format!("{what}: {error}"));
        let name_read: NameBuf = name.parse().map_err(|error| failed(name, &error))?;
        let qtype: Type = qtype.parse().map_err(|error| failed(qtype, &error))?;
        let config = Config::new([server]);
        let watch = |event: Event| eprintln!("; {}", tour::in_words(&event));
        let answer = resolve(name_read, qtype, config, Kernel, watch)
            .map_err(|failure| failed(name, &failure))?;
        print!("{}", tour::records(&answer));
        match answer {
            Answer::Found(_) => Ok(()),
            Answer::NoSuchName { .. } => Err(failed(name, &"there is no such name")),
            Answer::NoData { .. } => Err(failed(name, &"the name has no such records")),
        }
    }
}
