//! What a machine that forbids labs is met with: a sentence with the cause and the remedy.
//!
//! Each case makes a process of its own that the kernel forbids something, as such a machine would,
//! and has it enter.
#![cfg(target_os = "linux")]

use std::env;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_dumpable;
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};

/// Set for the process that is to be refused.
const REFUSED: &str = "LAB_TEST_REFUSED";

/// Runs the calling test again, as an ordinary user for whom `forbid` was done, and gives what
/// `inside` prints there.
fn refused(name: &str, forbid: fn() -> io::Result<()>, inside: fn()) -> String {
    if env::var_os(REFUSED).is_some() {
        inside();
        std::process::exit(0);
    }
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(REFUSED, "1");
    // SAFETY: `forbid` and `drop_capabilities` make system calls only.
    unsafe {
        command.pre_exec(move || {
            forbid()?;
            drop_capabilities()
        });
    }
    let output = command.output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn enter_and_print() {
    println!("{}", lab::enter().unwrap_err());
}

fn enter_alone_and_print() {
    alone(enter_and_print);
}

/// Runs `inside` in a process with a single thread: the test harness has two.
fn alone(inside: impl FnOnce()) {
    // SAFETY: glibc and musl leave a child's allocator usable, and nobody holds the standard
    // output: the harness's other thread waits for this one.
    match unsafe { libc::fork() } {
        0 => {
            // The harness's other threads are not here, should one have held a lock.
            // SAFETY: a number.
            unsafe { libc::alarm(20) };
            // A panic prints its message, and must not become the harness's.
            let _ = catch_unwind(AssertUnwindSafe(inside));
            // SAFETY: a number.
            unsafe { libc::_exit(0) }
        }
        child => {
            // SAFETY: a child of this process, and no wish to know how it ended.
            unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        }
    }
}

/// Runs `hide` where it changes what is mounted for this thread alone, and gives what a host then
/// says to the wish for a TUN interface.
fn tun_refused(hide: fn() -> nix::Result<()>) -> String {
    let (_lab, client, _server) = lab::Lab::pair(lab::Link::new()).unwrap();
    let ask = || {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
        hide().unwrap();
        client
            .tun("tun0", client.v4(), Ipv4Addr::new(10, 9, 0, 2), 1400)
            .unwrap_err()
            .to_string()
    };
    std::thread::scope(|scope| scope.spawn(ask).join().unwrap())
}

#[test]
fn a_machine_without_a_tun_device_is_named() {
    lab::test(|| {
        let message = tun_refused(|| match Path::new("/dev/net").exists() {
            true => mount(
                None::<&str>,
                "/dev/net",
                Some("tmpfs"),
                MsFlags::empty(),
                None::<&str>,
            ),
            false => Ok(()),
        });
        assert!(message.contains("open /dev/net/tun"), "{message}");
        assert!(message.contains("sudo modprobe tun"), "{message}");
    });
}

#[test]
fn a_tun_device_that_this_user_may_not_open_is_named() {
    /// Puts in its place, whether it is there or not, a file that only root may open.
    fn hide() -> nix::Result<()> {
        let tmpfs = Some("tmpfs");
        mount(None::<&str>, "/dev", tmpfs, MsFlags::empty(), None::<&str>)?;
        fs::create_dir("/dev/net").unwrap();
        File::create_new("/dev/net/tun").unwrap();
        mount(
            Some("/etc/shadow"),
            "/dev/net/tun",
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )
    }
    let (mut receive, mut send) = io::pipe().unwrap();
    alone(|| {
        become_nobody();
        let message = match lab::enter() {
            Ok(()) => tun_refused(hide),
            Err(error) => error.to_string(),
        };
        let _ = send.write_all(message.as_bytes());
    });
    drop(send);
    let mut message = String::new();
    receive.read_to_string(&mut message).unwrap();
    assert!(message.contains("Permission denied"), "{message}");
    assert!(
        message.contains("sudo chmod 0666 /dev/net/tun"),
        "{message}"
    );
}

/// Makes root a user whom root's files are closed to; others are that already.
fn become_nobody() {
    const NOBODY: u32 = 65_534;
    if !Uid::effective().is_root() {
        return;
    }
    setgroups(&[]).unwrap();
    setgid(Gid::from_raw(NOBODY)).unwrap();
    setuid(Uid::from_raw(NOBODY)).unwrap();
    // Otherwise its files in /proc are root's, and it cannot enter a namespace.
    set_dumpable(true).unwrap();
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Makes root an ordinary user: exec must not give the capabilities back.
fn drop_capabilities() -> io::Result<()> {
    const SECBIT_NOROOT: libc::c_ulong = 1;
    // SAFETY: PR_SET_SECUREBITS takes a number. A user who is ordinary already may not, and need not.
    unsafe { libc::prctl(libc::PR_SET_SECUREBITS, SECBIT_NOROOT) };
    Ok(())
}

#[test]
fn a_process_with_threads_is_told_to_enter_first() {
    let printed = refused(
        "a_process_with_threads_is_told_to_enter_first",
        || Ok(()),
        || {
            let (sender, receiver) = std::sync::mpsc::channel::<()>();
            let thread = std::thread::spawn(move || receiver.recv());
            enter_and_print();
            drop(sender);
            let _ = thread.join();
        },
    );
    assert!(
        printed.contains("threads already: call `lab::enter()`"),
        "{printed}"
    );
}

#[test]
fn a_filter_that_forbids_namespaces_is_named() {
    /// Answers unshare(2) with EPERM, as the default filters of container engines do.
    fn forbid() -> io::Result<()> {
        const LOAD_NUMBER: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
        const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
        const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
        let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
        let mut steps = [
            step(LOAD_NUMBER, 0, 0, 0),
            step(JUMP_IF_EQUAL, 0, 1, libc::SYS_unshare as u32),
            step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
            step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let program = libc::sock_fprog {
            len: steps.len() as u16,
            filter: steps.as_mut_ptr(),
        };
        // SAFETY: the first call takes numbers, the second a program that outlives it.
        unsafe {
            check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).into())?;
            check(
                libc::prctl(
                    libc::PR_SET_SECCOMP,
                    libc::SECCOMP_MODE_FILTER,
                    &raw const program,
                )
                .into(),
            )
        }
    }
    let printed = refused(
        "a_filter_that_forbids_namespaces_is_named",
        forbid,
        enter_alone_and_print,
    );
    assert!(printed.contains("a seccomp filter forbids it"), "{printed}");
    assert!(printed.contains("--cap-add=SYS_ADMIN"), "{printed}");
}

#[test]
fn a_machine_whose_user_namespaces_are_off_is_named() {
    /// In a user namespace of its own, a process may set how many there may be below it.
    fn forbid() -> io::Result<()> {
        fn write(path: &std::ffi::CStr, text: &[u8]) -> io::Result<()> {
            // SAFETY: the path ends in NUL, and pointer and length describe `text`.
            unsafe {
                let file = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
                check(file.into())?;
                check(libc::write(file, text.as_ptr().cast(), text.len()) as libc::c_long)
            }
        }
        // SAFETY: a number.
        check(unsafe { libc::unshare(libc::CLONE_NEWUSER) }.into())?;
        write(c"/proc/sys/user/max_user_namespaces", b"0")
    }
    let printed = refused(
        "a_machine_whose_user_namespaces_are_off_is_named",
        forbid,
        enter_alone_and_print,
    );
    assert!(
        printed.contains("user.max_user_namespaces is 0"),
        "{printed}"
    );
    assert!(printed.contains("sudo sysctl -w"), "{printed}");
}

#[test]
fn a_lab_without_entering_is_told_to_enter() {
    let printed = refused(
        "a_lab_without_entering_is_told_to_enter",
        || Ok(()),
        || match lab::Lab::pair(lab::Link::new()) {
            Ok(_) => panic!("an ordinary user may not"),
            Err(error) => println!("{error}"),
        },
    );
    assert!(
        printed.contains("call `lab::enter()` in the first line"),
        "{printed}"
    );
}
