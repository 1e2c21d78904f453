//! Programs that nobody here wrote.
#![cfg(target_os = "linux")]

exec_behaviour::peers!(exec_behaviour::Kind::Together {
    idle_connection: Some(1024)
});
