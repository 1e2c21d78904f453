//! What a sum sees, and what it does not.
#![forbid(unsafe_code)]

fn main() {}
