//! What it costs to learn which of many sockets has something to say.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use record::{Axis, Line, Series};

/// How many sockets are watched.
const WATCHED: [usize; 7] = [10, 100, 1_000, 2_500, 5_000, 7_500, 10_000];

/// From how many on the figure shows them; fewer would all lie at its edge.
const SHOWN: usize = 1_000;

/// Descriptors that the program needs beside those.
const OTHERS: u64 = 64;

/// How often each call is made. What is told is the median: other programs disturb some of
/// them.
const CALLS: usize = 51;

/// Watches silent sockets along with one for which a datagram waits, and takes the time of
/// each call that finds it.
pub fn measure() -> io::Result<Series> {
    println!("One socket of many has something to say. To learn which takes:");
    let at_most = descriptors()?;
    let mut lines = ["`poll`", "`epoll_wait`"].map(|name| Line {
        name: name.to_owned(),
        points: Vec::new(),
    });
    for count in WATCHED {
        if count as u64 + OTHERS > at_most {
            println!(
                "  {count:6} sockets: this process may have {at_most} descriptors only (ulimit -n)"
            );
            continue;
        }
        let sockets = (0..count).map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)));
        let sockets: Vec<UdpSocket> = sockets.collect::<Result<_, _>>()?;
        let speaks = &sockets[count / 2];
        speaks.send_to(b"here", speaks.local_addr()?)?;
        speaks.peek(&mut [0])?;

        let by_poll = median(with_poll(&sockets)?)?;
        let by_epoll = median(with_epoll(&sockets)?)?;
        println!("  {count:6} sockets:  poll {by_poll:>10.1?}   epoll_wait {by_epoll:>10.1?}");
        if count < SHOWN {
            continue;
        }
        for (line, time) in lines.iter_mut().zip([by_poll, by_epoll]) {
            line.points.push((count as f64, time.as_secs_f64() * 1e6));
        }
    }
    Ok(Series {
        x: Axis::new("sockets watched", ""),
        y: Axis::new("time for a call", "µs"),
        lines: lines.into(),
    })
}

// ANCHOR: poll
fn with_poll(sockets: &[UdpSocket]) -> io::Result<impl FnMut() -> io::Result<()>> {
    let watched = sockets
        .iter()
        .map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN));
    let mut watched: Vec<PollFd> = watched.collect();
    Ok(move || {
        // All of them go into the kernel, and all come back: which is it?
        poll(&mut watched, PollTimeout::NONE)?;
        let speaks = watched.iter().position(|one| one.any() == Some(true));
        found(speaks == Some(sockets.len() / 2))
    })
}
// ANCHOR_END: poll

// ANCHOR: epoll
fn with_epoll(sockets: &[UdpSocket]) -> io::Result<impl FnMut() -> io::Result<()>> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    for (number, socket) in (0..).zip(sockets) {
        epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, number))?;
    }
    let mut events = [EpollEvent::empty(); 16];
    Ok(move || {
        // Only the one comes back.
        let told = epoll.wait(&mut events, EpollTimeout::NONE)?;
        found(told == 1 && events[0].data() == sockets.len() as u64 / 2)
    })
}
// ANCHOR_END: epoll

fn found(found: bool) -> io::Result<()> {
    if found {
        Ok(())
    } else {
        Err(io::Error::other("it was another socket"))
    }
}

fn median(mut call: impl FnMut() -> io::Result<()>) -> io::Result<Duration> {
    call()?; // the first one is the only one that finds nothing in the caches
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let start = Instant::now();
        call()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times[CALLS / 2])
}

/// As many descriptors as the administrator allows: in many a shell a process has 1,024
/// unless it asks.
fn descriptors() -> io::Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}
