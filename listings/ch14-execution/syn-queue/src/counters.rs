//! What the kernel has counted: the file behind `nstat`, kept open.
//!
//! [`lab::Host::counters`] reads all counters, in a thread on the host. An experiment that asks a
//! thousand times a second would then measure that.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek};
use std::sync::{Mutex, PoisonError};

/// The `TcpExt` counters of a network namespace.
#[derive(Debug)]
pub struct Counters(Mutex<File>);

impl Counters {
    /// Opens those of the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// When there is no proc(5).
    pub fn open() -> io::Result<Self> {
        Ok(Self(Mutex::new(File::open(
            "/proc/thread-self/net/netstat",
        )?)))
    }

    /// One of them, by the name that `nstat` has for it without the `TcpExt`.
    ///
    /// # Errors
    ///
    /// When the kernel has none of that name.
    pub fn get(&self, name: &str) -> io::Result<u32> {
        let mut text = String::new();
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.rewind()?;
        file.read_to_string(&mut text)?;
        find(&text, name).ok_or_else(|| io::Error::new(ErrorKind::NotFound, format!("no {name}")))
    }
}

/// A line of names, and a line of values, each behind `TcpExt:`.
fn find(text: &str, name: &str) -> Option<u32> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut pairs = names.split_whitespace().zip(values.split_whitespace());
    let (_, value) = pairs.find(|(other, _)| *other == name)?;
    value.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_found_by_its_name() {
        let text = "TcpExt: A ListenDrops B\nTcpExt: 1 23 4\nIpExt: ListenDrops\nIpExt: 9\n";
        assert_eq!(find(text, "ListenDrops"), Some(23));
        assert_eq!(find(text, "Listen"), None);
        assert_eq!(find("", "A"), None);
        let counters = Counters::open().unwrap();
        counters.get("ListenDrops").unwrap();
        let error = counters.get("ListenDrop").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
