//! `fork()` while another thread holds a lock.

use std::io::{self, Read, Write};
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::wait::WaitStatus;

use crate::Error;
use crate::child::fork;

/// The lock that one thread holds while the other forks.
static LOCK: Mutex<()> = Mutex::new(());

/// How long the child gets for what takes a microsecond if nobody holds the lock.
const PATIENCE: Duration = Duration::from_millis(300);

/// How long a busy machine may take for that.
const DEADLINE: Duration = Duration::from_secs(20);

/// Forks, has the child take the lock, and gives how many threads the child has and whether it got it.
fn child_takes_the_lock(held: bool) -> Result<(usize, bool), Error> {
    // ANCHOR: lock
    let (has_it, had) = mpsc::channel();
    let (done, release) = mpsc::channel::<()>();
    let holder = thread::spawn(move || {
        let guard = held.then(|| LOCK.lock());
        let told = has_it.send(());
        let _ = release.recv(); // until the sender is dropped
        drop(guard);
        told
    });
    had.recv()?;
    let (mut tries, mut try_) = io::pipe()?;
    let takes = || {
        let told = try_.write_all(b".");
        drop(LOCK.lock());
        u8::from(told.is_err())
    };
    // SAFETY: there is another thread. The child makes a system call and takes a lock of std's, which
    // is an atomic and a system call and allocates nothing; that it may wait for ever is what is to be
    // seen.
    let mut child = unsafe { fork(takes) }?;
    drop(done);
    holder.join().map_err(|_| "it panicked")??;
    drop(LOCK.lock()); // in the parent it is free again
    tries.read_exact(&mut [0])?;
    let threads = child.threads().unwrap_or(0);
    let ended = child.wait_for(if held { PATIENCE } else { DEADLINE })?;
    // ANCHOR_END: lock
    match ended {
        Some(WaitStatus::Exited(_, 0)) => Ok((threads, true)),
        None if child.sleeps()? => Ok((threads, false)),
        ended => Err(format!("the child has not waited for the lock: {ended:?}").into()),
    }
}

pub fn inherited() -> Result<(), Error> {
    println!("A process with two threads forks, and the child takes a lock:");
    let (_, got) = child_takes_the_lock(false)?;
    println!(
        "  that nobody held: {}",
        if got { "it has it" } else { "it waits" }
    );
    let (threads, got) = child_takes_the_lock(true)?;
    println!(
        "  that the other thread held, and has released in the parent since: {}",
        if got {
            "it has it"
        } else {
            "it waits, and would for ever"
        }
    );
    println!("  the child has {threads} thread: nobody in it could release the lock\n");
    Ok(())
}
