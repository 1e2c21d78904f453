//! Programs on a host, and the certainty that none of them outlives the lab.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, pipe2};

use crate::sys;

/// A process namespace, pid_namespaces(7), in which the lab's programs run. When its first process
/// ends, the kernel kills all others, whatever they have become.
///
/// That first process waits for the end of a pipe whose other end only this process holds. So it
/// ends when the lab is dropped, and also when this process is killed.
pub(crate) struct Nursery {
    namespace: Arc<OwnedFd>,
    first: Pid,
    /// Closed to end the first process.
    lifeline: Option<OwnedFd>,
}

impl Nursery {
    pub(crate) fn new() -> io::Result<Self> {
        // The thread is thrown away, since after this it may start no threads.
        thread::scope(|scope| scope.spawn(Self::found).join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn found() -> io::Result<Self> {
        let (end, lifeline) = pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        unshare(CloneFlags::CLONE_NEWPID)?;
        // SAFETY: the child allocates nothing and takes no lock; see `keep_alive`.
        match unsafe { fork() }? {
            ForkResult::Child => keep_alive(end.as_fd()),
            ForkResult::Parent { child } => Ok(Self {
                namespace: Arc::new(File::open("/proc/thread-self/ns/pid_for_children")?.into()),
                first: child,
                lifeline: Some(lifeline),
            }),
        }
    }

    /// A command that will run in this namespace and the given network.
    pub(crate) fn command(&self, network: Arc<OwnedFd>, program: &str) -> Command {
        let processes = self.namespace.clone();
        let mut command = Command::new(program);
        // SAFETY: between fork and exec there are only system calls.
        unsafe {
            command.pre_exec(move || {
                setns(&network, CloneFlags::CLONE_NEWNET)?;
                // Whoever enters a process namespace stays outside; its children are inside. So one
                // more process is needed, which passes on how the program ended.
                setns(&processes, CloneFlags::CLONE_NEWPID)?;
                if let ForkResult::Parent { child } = fork()? {
                    stand_in_for(child);
                }
                // Killing the process that the caller knows kills the program.
                sys::check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
                Ok(())
            });
        }
        command
    }
}

impl Drop for Nursery {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        // Returns when all processes in the namespace are gone.
        let _ = waitpid(self.first, None);
    }
}

/// The first process: waits for the pipe's end, holds nothing else, and lets the kernel bury those
/// whose parents are gone. Only system calls.
fn keep_alive(end: BorrowedFd) -> ! {
    // SAFETY: system calls on numbers and on a local byte; the process has no other thread, and its
    // copies of descriptors are its own.
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_IGN);
        libc::dup2(end.as_raw_fd(), 0);
        libc::syscall(libc::SYS_close_range, 1, libc::c_uint::MAX, 0);
        let mut byte = 0_u8;
        while libc::read(0, (&raw mut byte).cast(), 1) != 0
            && *libc::__errno_location() == libc::EINTR
        {}
        libc::_exit(0);
    }
}

/// Waits for `child` and ends as it ended. Only system calls.
fn stand_in_for(child: Pid) -> ! {
    // SAFETY: as in `keep_alive`. Closing all descriptors leaves the program's ends of its pipes,
    // and std's notice of a failed exec, to the program alone.
    unsafe {
        libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, 0);
        let mut status = 0;
        while libc::waitpid(child.as_raw(), &raw mut status, 0) < 0
            && *libc::__errno_location() == libc::EINTR
        {}
        if libc::WIFSIGNALED(status) {
            let signal = libc::WTERMSIG(status);
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
        libc::_exit(libc::WEXITSTATUS(status));
    }
}
