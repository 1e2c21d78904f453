//! Four ways to move datagrams between two sockets, and what each costs.

#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod bundle;
mod cost;
mod pair;
mod stream;
mod way;

pub use bundle::{Limits, Reads, bundle, limits};
pub use cost::{Cost, empty_call, measure, median};
pub use pair::{BUFFER, Calls, Error, Got, LENGTH, MOST_IN_A_BUNDLE, Pair, probe, received};
pub use stream::{Streamed, WINDOW, stream};
pub use way::Way;
