//! Programs that nobody here wrote, on this server.
#![cfg(target_os = "linux")]

exec_behaviour::peers!(exec_behaviour::Kind::OneAtATime);
