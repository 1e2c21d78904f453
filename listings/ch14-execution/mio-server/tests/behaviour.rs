//! Every behaviour, on this server.
#![cfg(target_os = "linux")]

exec_behaviour::suite!(exec_behaviour::Kind::Together {
    // The bar that this chapter sets itself.
    idle_connection: Some(1024)
});
