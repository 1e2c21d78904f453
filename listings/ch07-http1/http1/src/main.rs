//! A request, taken apart.
//!
//! ```text
//! cargo run -p http1
//! ```

#![forbid(unsafe_code)]

use std::process::ExitCode;

use http1::{Request, Scratch};

fn main() -> ExitCode {
    if std::env::args().len() > 1 {
        eprintln!("usage: http1 (it takes no arguments)");
        return ExitCode::from(2);
    }
    let mut scratch = Scratch::default();
    match Request::parse(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", &mut scratch) {
        Ok(request) => println!("{request:?}"),
        Err(error) => println!("{error}"),
    }
    ExitCode::SUCCESS
}
