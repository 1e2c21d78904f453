//! The epoll server under programs that know nothing of this book.
#![cfg(target_os = "linux")]

exec_behaviour::peers!(exec_behaviour::Kind::Together {
    idle_connection: None
});
