//! Where packets come from and go to, and what is carried in the lab. The listing, its tests, its
//! yardstick and the soak share it; each uses a part.

#![allow(dead_code, reason = "each program uses its part")]

pub mod raw;
pub mod transfer;
