//! What the tool says.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Prints a line. That its reader has gone, as `| head` goes, is no failure of what is being done.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}
