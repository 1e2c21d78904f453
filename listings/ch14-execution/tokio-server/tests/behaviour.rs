//! Every behaviour, on this server.
#![cfg(target_os = "linux")]

exec_behaviour::suite!(exec_behaviour::Kind::Together {
    // A task and its timer come on top of what the connection itself takes.
    idle_connection: Some(4096)
});
