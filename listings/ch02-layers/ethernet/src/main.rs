//! Real frames, field by field.
#![forbid(unsafe_code)]

fn main() {}
