//! What every server must do.
#![cfg(target_os = "linux")]

exec_behaviour::suite!(exec_behaviour::Kind::Together {
    idle_connection: Some(1024)
});
