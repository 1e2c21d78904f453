//! A server of files and of a small REST resource.
//!
//! ```text
//! cargo run -p http1-server                              # starts it and shows what it answers
//! cargo run -p http1-server -- 127.0.0.1:8080            # serves a sample folder, until Ctrl-C
//! cargo run -p http1-server -- 127.0.0.1:8080 FOLDER     # serves that folder
//! ```
//!
//! Look for the answers without content (304), with a part of it (206), and for the second of two
//! clients that change the same note (412); for how long a client may take its time; and for the request
//! that is under way when the server is told to end. For Unix.

#![forbid(unsafe_code)]

#[cfg(unix)]
mod sample;
#[cfg(unix)]
mod show;
#[cfg(unix)]
mod tour;

#[cfg(not(unix))]
fn main() {
    println!(
        "http1-server waits by calls that Windows has not. Run it on Linux: in the book's dev \
         container, or in WSL2."
    );
}

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    use std::process::ExitCode;

    let Some(options) = Options::parse(std::env::args_os().skip(1)) else {
        eprintln!(
            "usage: http1-server                     shows what it answers\n       \
             http1-server ADDRESS [FOLDER]    serves there, such as on 127.0.0.1:8080"
        );
        return ExitCode::from(2);
    };
    let outcome = match options {
        Options::Tour => tour::run(),
        Options::Serve { address, folder } => serve(address, folder.as_deref()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("http1-server: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the command line asks for.
#[cfg(unix)]
enum Options {
    Tour,
    Serve {
        address: std::net::SocketAddr,
        folder: Option<std::path::PathBuf>,
    },
}

#[cfg(unix)]
impl Options {
    fn parse(mut arguments: impl Iterator<Item = std::ffi::OsString>) -> Option<Self> {
        let Some(address) = arguments.next() else {
            return Some(Self::Tour);
        };
        let address = address.to_str()?.parse().ok()?;
        let folder = arguments.next().map(Into::into);
        arguments
            .next()
            .is_none()
            .then_some(Self::Serve { address, folder })
    }
}

// ANCHOR: serve
/// Serves that folder, or the sample, until it is told to end.
#[cfg(unix)]
fn serve(
    address: std::net::SocketAddr,
    folder: Option<&std::path::Path>,
) -> Result<(), Box<dyn std::error::Error>> {
    use http1_server::server::{Limits, Server, on_signals};
    use http1_server::site::{Folder, Site};

    let sample;
    let path = match folder {
        Some(folder) => folder,
        None => {
            sample = sample::make()?;
            sample.path()
        }
    };
    let folder = Folder::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let site = Site::new(Some(folder));
    let server = Server::bind(address, Limits::default())?;
    on_signals(server.stop())?;
    let url = format!("http://{}", server.address()?);
    println!("listening on {url}");
    println!("Talk to it from another terminal:");
    println!("  curl -i {url}/");
    println!(
        "  curl -i -H 'Content-Type: application/json' -d '{{\"title\":\"milk\"}}' {url}/api/notes"
    );
    println!("SIGTERM or Ctrl-C ends it, once it has answered what it was asked.");
    let totals = server.run(&site)?;
    println!(
        "ended: {} requests on {} connections",
        totals.requests, totals.connections
    );
    Ok(())
}
// ANCHOR_END: serve
