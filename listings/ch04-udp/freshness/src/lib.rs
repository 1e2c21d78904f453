//! A game world's updates over UDP and over TCP, and how old the newest one is that has come.

#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod age;
mod game;
mod world;

pub use age::{Ages, FRAMES_A_SECOND};
pub use game::{
    Arrival, Error, Game, PERIOD, Played, Received, Settings, UPDATES_A_SECOND, overtaken, play,
};
pub use world::{SIZE, Taken, Update, World};
