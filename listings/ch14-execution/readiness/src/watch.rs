//! What epoll does not watch, and what it watches longer than one would think.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::told::connection;

/// Files, and what poll says instead.
pub fn what_cannot_be_watched() -> io::Result<()> {
    println!("epoll_ctl(EPOLL_CTL_ADD) of what is always ready, or never:");
    // ANCHOR: files
    let program = std::env::current_exe()?;
    for (what, path) in [
        ("a regular file", program.as_path()),
        ("a directory", program.parent().unwrap_or("/".as_ref())),
        ("/dev/null", "/dev/null".as_ref()),
    ] {
        let file = File::open(path)?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let added = epoll.add(&file, EpollEvent::new(EpollFlags::EPOLLIN, 0));
        let mut asked = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut asked, PollTimeout::ZERO)?;
        // ANCHOR_END: files
        let said = match added {
            Ok(()) => "it is watched".to_owned(),
            Err(error) => format!("{error:?}"),
        };
        let by_poll = if ready > 0 { "ready" } else { "not ready" };
        println!("  {what:16}{said:8}poll() says: {by_poll}");
    }
    println!();
    Ok(())
}

/// A descriptor that is closed, of a connection that is not.
pub fn closed_and_still_told() -> io::Result<()> {
    // ANCHOR: closed
    let (mut client, server) = connection()?;
    let number = server.as_raw_fd();
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&server, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;

    let same = server.try_clone()?; // dup(2)
    drop(server); // close(2)
    client.write_all(b"still there?")?;
    let mut events = [EpollEvent::empty()];
    let told = epoll.wait(&mut events, EpollTimeout::from(1000_u16))?;
    // ANCHOR_END: closed
    if told == 0 || events[0].data() != number as u64 {
        return Err(io::Error::other(
            "nothing was told of the closed descriptor",
        ));
    }
    println!(
        "A descriptor is duplicated and then closed, and bytes arrive: epoll tells of the closed one."
    );
    drop(same);
    let told = epoll.wait(&mut events, EpollTimeout::ZERO)?;
    println!(
        "  When the duplicate is closed as well, it tells of {}.\n",
        if told == 0 { "nothing" } else { "it" }
    );
    Ok(())
}
