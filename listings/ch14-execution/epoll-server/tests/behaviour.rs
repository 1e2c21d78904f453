//! The epoll server does what every server of this chapter does, for ten thousand clients at a time.
#![cfg(target_os = "linux")]

/// User-space memory that an idle connection may cost, in bytes: the bar that this chapter sets itself.
const IDLE_CONNECTION: usize = 1024;

exec_behaviour::suite!(exec_behaviour::Kind::Together {
    idle_connection: Some(IDLE_CONNECTION)
});
