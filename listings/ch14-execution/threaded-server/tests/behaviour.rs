//! Every behaviour, on this server.
#![cfg(target_os = "linux")]

exec_behaviour::suite!(exec_behaviour::Kind::Together {
    idle_connection: None
});
