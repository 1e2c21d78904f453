//! One listening socket, several waiting threads: who wakes up for one connection?

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

/// How many wait.
const THREADS: usize = 4;

/// How long they wait; who is woken, is so at once.
const WAIT_MS: u8 = 200;

/// From the moment before a thread calls `epoll_wait` until it sleeps in there, generously.
const TO_FALL_ASLEEP: Duration = Duration::from_millis(50);

/// Lets a connection arrive for threads that all watch the same listening socket.
pub fn wake() -> io::Result<()> {
    println!("{THREADS} threads wait for one listening socket. One connection arrives:");
    for (how, flags) in [
        ("EPOLLIN", EpollFlags::EPOLLIN),
        (
            "EPOLLIN | EPOLLEXCLUSIVE",
            EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE,
        ),
    ] {
        println!("  {how:26}{} woken", woken(flags)?);
    }
    println!();
    Ok(())
}

// ANCHOR: herd
fn woken(flags: EpollFlags) -> io::Result<usize> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let all_are_here = Barrier::new(THREADS + 1);
    let wait = || -> io::Result<usize> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let added = epoll.add(&listener, EpollEvent::new(flags, 0));
        all_are_here.wait();
        added?;
        Ok(epoll.wait(&mut [EpollEvent::empty()], WAIT_MS)?)
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(wait)).collect();
        all_are_here.wait();
        thread::sleep(TO_FALL_ASLEEP);
        let client = TcpStream::connect(listener.local_addr()?);
        let woken = threads.into_iter().map(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
        });
        let woken = woken.sum();
        client.and(woken)
    })
}
// ANCHOR_END: herd
