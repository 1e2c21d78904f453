//! The way into a place where one may build networks without being root.
//!
//! A process that enters a user namespace of its own has all capabilities *in there*
//! (user_namespaces(7)), which suffices for network namespaces and interfaces. It may do so only
//! while it has a single thread.

use std::any::type_name;
use std::ffi::CString;
use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::{env, thread};

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid};

use crate::error::Error;
use crate::sys;

/// Tells the child process of [`test`] the descriptor on which it reports.
const REPORT_VARIABLE: &str = "LAB_TEST_REPORT";

/// The numbers of capabilities(7).
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;

/// The `main` of a program that is one experiment: it takes no arguments, [`enter`]s, and says what
/// went wrong under the program's `name`.
pub fn experiment<E: From<Error> + fmt::Display>(
    name: &str,
    run: impl FnOnce() -> Result<(), E>,
) -> ExitCode {
    if env::args_os().len() > 1 {
        eprintln!("usage: {name} (it takes no arguments)");
        return ExitCode::from(2);
    }
    match enter().map_err(E::from).and_then(|()| run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Makes the process able to build labs: the first line of `main`.
///
/// Where the process has the right already, as root has, there is nothing to enter. Otherwise it
/// enters a user namespace in which the caller is root and which ends with the process.
///
/// Also asks the kernel to let the calling thread run as soon as it is woken, as it does the threads
/// on hosts, so that a busy machine lengthens the times that they measure by less.
///
/// # Errors
///
/// [`Error::Threads`] when the process has more than one thread, and [`Error::Refused`], with cause
/// and remedy, when the machine allows no user namespaces.
pub fn enter() -> Result<(), Error> {
    sys::be_punctual(sys::HOST_SLICE);
    if may_build() {
        return Ok(());
    }
    let threads = sys::threads().unwrap_or(1);
    if threads > 1 {
        return Err(Error::Threads { threads });
    }
    Maps::of_the_caller()
        .enter()
        .map_err(|error| Error::Refused(Refusal::diagnose("enter a user namespace", &error)))
}

fn may_build() -> bool {
    sys::has_capability(CAP_NET_ADMIN) && sys::has_capability(CAP_SYS_ADMIN)
}

/// What stands in the new namespace's `uid_map` and `gid_map`: the caller becomes its root.
struct Maps {
    uid: CString,
    gid: CString,
}

impl Maps {
    fn of_the_caller() -> Self {
        let line = |id: u32| CString::new(format!("0 {id} 1")).expect("digits hold no NUL");
        Self {
            uid: line(Uid::effective().as_raw()),
            gid: line(Gid::effective().as_raw()),
        }
    }

    /// Enters a user namespace. Allocates nothing, so that it may run between fork and exec.
    fn enter(&self) -> io::Result<()> {
        unshare(CloneFlags::CLONE_NEWUSER)?;
        // Without this, `gid_map` is not writable for an ordinary user.
        write_file(c"/proc/self/setgroups", c"deny")?;
        write_file(c"/proc/self/uid_map", &self.uid)?;
        write_file(c"/proc/self/gid_map", &self.gid)
    }
}

/// `fs::write` for the time between fork and exec, when nothing may be allocated.
fn write_file(path: &std::ffi::CStr, text: &std::ffi::CStr) -> io::Result<()> {
    // SAFETY: `path` ends in NUL; the descriptor is new and nobody else's.
    let file = unsafe {
        OwnedFd::from_raw_fd(sys::check(libc::open(
            path.as_ptr(),
            libc::O_WRONLY | libc::O_CLOEXEC,
        ))?)
    };
    nix::unistd::write(&file, text.to_bytes())?;
    Ok(())
}

/// That the machine does not let this process build a lab, why, and what helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    step: &'static str,
    error: String,
    cause: Cause,
}

/// Who refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    NamespacesOff,
    NamespacesUsedUp,
    AppArmor,
    CloneSwitch,
    NotBuiltIn,
    Seccomp,
    NotEntered,
    NoTun,
    TunMode,
    Unknown,
}

/// What the machine says about itself, as far as it bears on namespaces.
#[derive(Debug, Clone, Copy, Default)]
struct Machine {
    apparmor_restricts: bool,
    clone_switched_off: bool,
    no_user_namespaces: bool,
    has_user_namespaces: bool,
    seccomp: bool,
    may_build: bool,
}

impl Machine {
    fn here() -> Self {
        let says = |path: &str, value: &str| {
            fs::read_to_string(path).is_ok_and(|text| text.trim() == value)
        };
        Self {
            apparmor_restricts: says(
                "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
                "1",
            ),
            clone_switched_off: says("/proc/sys/kernel/unprivileged_userns_clone", "0"),
            no_user_namespaces: says("/proc/sys/user/max_user_namespaces", "0"),
            has_user_namespaces: Path::new("/proc/self/ns/user").exists(),
            seccomp: fs::read_to_string("/proc/thread-self/status").is_ok_and(|status| {
                status
                    .lines()
                    .filter_map(|line| line.strip_prefix("Seccomp:"))
                    .any(|mode| mode.trim() != "0")
            }),
            may_build: may_build(),
        }
    }
}

impl Refusal {
    pub(crate) fn diagnose(step: &'static str, error: &io::Error) -> Self {
        Self {
            step,
            error: error.to_string(),
            cause: Cause::of(error.raw_os_error().unwrap_or(0), Machine::here()),
        }
    }

    /// Why `/dev/net/tun` cannot be opened.
    pub(crate) fn of_tun(error: &io::Error) -> Self {
        Self {
            step: "open /dev/net/tun",
            error: error.to_string(),
            cause: match error.raw_os_error() {
                Some(libc::EACCES) => Cause::TunMode,
                // No such file, no such driver, or a container that is not given the device.
                Some(libc::ENOENT | libc::ENODEV | libc::ENXIO | libc::EPERM) => Cause::NoTun,
                _ => Cause::Unknown,
            },
        }
    }
}

impl Cause {
    fn of(errno: i32, machine: Machine) -> Self {
        match errno {
            libc::ENOSPC | libc::EUSERS if machine.no_user_namespaces => Self::NamespacesOff,
            libc::ENOSPC | libc::EUSERS => Self::NamespacesUsedUp,
            _ if !machine.has_user_namespaces => Self::NotBuiltIn,
            libc::EPERM | libc::EACCES if machine.clone_switched_off => Self::CloneSwitch,
            libc::EPERM | libc::EACCES if machine.apparmor_restricts => Self::AppArmor,
            libc::EPERM | libc::EACCES | libc::ENOSYS if machine.seccomp => Self::Seccomp,
            libc::EPERM | libc::EACCES if !machine.may_build => Self::NotEntered,
            _ => Self::Unknown,
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::NamespacesOff => {
                "user namespaces are switched off here (user.max_user_namespaces is 0): run \
                 `sudo sysctl -w user.max_user_namespaces=10000`, or run this as root"
            }
            Self::NamespacesUsedUp => {
                "this user has used up the namespaces it may have: end the programs that hold them, \
                 or raise user.max_user_namespaces and user.max_net_namespaces with `sudo sysctl -w`"
            }
            Self::AppArmor => {
                "AppArmor restricts unprivileged user namespaces here (Ubuntu 23.10 and later): run \
                 `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, or run this as root"
            }
            Self::CloneSwitch => {
                "this kernel forbids user namespaces to ordinary users: run \
                 `sudo sysctl -w kernel.unprivileged_userns_clone=1`, or run this as root"
            }
            Self::NotBuiltIn => {
                "this kernel was built without user namespaces: use one with CONFIG_USER_NS=y, or \
                 run this as root"
            }
            Self::Seccomp => {
                "a seccomp filter forbids it, as containers have one: start the container with \
                 `--cap-add=SYS_ADMIN --cap-add=NET_ADMIN --security-opt seccomp=unconfined`, or use \
                 the book's dev container"
            }
            Self::NotEntered => {
                "the process lacks CAP_SYS_ADMIN and CAP_NET_ADMIN: call `lab::enter()` in the first \
                 line of `main`, or run this as root"
            }
            Self::NoTun => {
                "this process has no TUN device: run `sudo modprobe tun`, or start the container with \
                 `--device /dev/net/tun`"
            }
            Self::TunMode => {
                "this user may not use the TUN device: run `sudo chmod 0666 /dev/net/tun`, or run \
                 this as root"
            }
            Self::Unknown => {
                "the machine does not say why: run this as root, or in a virtual machine"
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, error, cause } = self;
        write!(
            f,
            "the lab was not allowed to {step} ({error}): {}",
            cause.sentence()
        )
    }
}

/// The body of a `#[test]` that needs a lab.
///
/// Runs the calling test once more, in a process of its own that has [entered](enter) before its
/// first thread, and there runs `body`. A panic in `body` fails the test with the same message, so
/// that `#[should_panic(expected = …)]` works, too.
///
/// `body` must be a closure written in the test itself.
///
/// # Panics
///
/// When `body` panics, when its process dies, and when the machine refuses.
pub fn test<F: FnOnce()>(body: F) {
    match env::var(REPORT_VARIABLE) {
        Ok(descriptor) => run_inside(&descriptor, body),
        Err(_) => run_again(&test_name::<F>()),
    }
}

/// The calling test's name as the test harness knows it.
///
/// The harness names a test's thread after the test, unless it runs on the main thread
/// (`--test-threads=1`); there the closure's type bears the name, behind that of the crate.
fn test_name<F>() -> String {
    let thread = thread::current();
    if let Some(name) = thread.name().filter(|&name| name != "main") {
        return name.to_owned();
    }
    let path = type_name::<F>();
    let (_, path) = path.split_once("::").unwrap_or(("", path));
    path.split("::{{closure}}")
        .next()
        .unwrap_or(path)
        .to_owned()
}

/// Inside: runs the body and reports how it ended.
fn run_inside<F: FnOnce()>(descriptor: &str, body: F) {
    let descriptor = descriptor
        .parse()
        .expect("lab::test gives its child a number");
    // SAFETY: the parent opened this descriptor for this purpose, and `test` runs once.
    let mut report = fs::File::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
    sys::be_punctual(sys::HOST_SLICE);
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(()) => report.write_all(b"+").expect("the outer test listens"),
        Err(panic) => {
            let message = panic_message(panic.as_ref());
            let _ = report.write_all(format!("-{message}").as_bytes());
            resume_unwind(panic);
        }
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("the test panicked")
}

/// Outside: starts the same test again, inside, and ends as it ended.
fn run_again(name: &str) {
    let (receive, send) =
        nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).expect("a pipe to the inner test");
    let descriptor = send.as_raw_fd();
    let maps = (!may_build()).then(Maps::of_the_caller);

    let mut command = Command::new(env::current_exe().expect("a test knows its own program"));
    command
        .args([name, "--exact", "--include-ignored", "--nocapture"])
        .env(REPORT_VARIABLE, descriptor.to_string());
    // SAFETY: between fork and exec there are only system calls, on memory that was made before.
    unsafe {
        command.pre_exec(move || {
            // Only this one child inherits its descriptor.
            sys::check(libc::fcntl(descriptor, libc::F_SETFD, 0))?;
            sys::check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
            maps.as_ref().map_or(Ok(()), Maps::enter)
        });
    }
    let output = command.output().unwrap_or_else(|error| {
        panic!("{}", Refusal::diagnose("enter a user namespace", &error));
    });
    drop(send);
    print!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));

    let mut report = String::new();
    fs::File::from(receive)
        .read_to_string(&mut report)
        .expect("the inner test's report is text");
    match report.split_at_checked(1) {
        Some(("+", _)) => assert!(
            output.status.success(),
            "`{name}` ended well inside the lab, and then its process did not: {}",
            output.status
        ),
        Some((_, message)) => panic!("{message}"),
        None => panic!(
            "`{name}` did not run to its end inside the lab ({}); call lab::test with a closure \
             written in the test itself",
            output.status
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDINARY: Machine = Machine {
        apparmor_restricts: false,
        clone_switched_off: false,
        no_user_namespaces: false,
        has_user_namespaces: true,
        seccomp: false,
        may_build: false,
    };

    #[test]
    fn each_refusal_finds_its_cause_and_names_its_remedy() {
        let off = Machine {
            no_user_namespaces: true,
            ..ORDINARY
        };
        let apparmor = Machine {
            apparmor_restricts: true,
            ..ORDINARY
        };
        let switch = Machine {
            clone_switched_off: true,
            ..ORDINARY
        };
        let seccomp = Machine {
            seccomp: true,
            ..ORDINARY
        };
        let old = Machine {
            has_user_namespaces: false,
            ..ORDINARY
        };
        for (errno, machine, cause, remedy) in [
            (
                libc::ENOSPC,
                off,
                Cause::NamespacesOff,
                "user.max_user_namespaces=10000",
            ),
            (
                libc::ENOSPC,
                ORDINARY,
                Cause::NamespacesUsedUp,
                "max_net_namespaces",
            ),
            (
                libc::EPERM,
                apparmor,
                Cause::AppArmor,
                "apparmor_restrict_unprivileged_userns=0",
            ),
            (
                libc::EPERM,
                switch,
                Cause::CloneSwitch,
                "unprivileged_userns_clone=1",
            ),
            (
                libc::EPERM,
                seccomp,
                Cause::Seccomp,
                "--security-opt seccomp=unconfined",
            ),
            (libc::ENOSYS, seccomp, Cause::Seccomp, "--cap-add=NET_ADMIN"),
            (libc::EINVAL, old, Cause::NotBuiltIn, "CONFIG_USER_NS=y"),
            (libc::EPERM, ORDINARY, Cause::NotEntered, "lab::enter()"),
            (libc::EIO, ORDINARY, Cause::Unknown, "virtual machine"),
        ] {
            assert_eq!(Cause::of(errno, machine), cause);
            assert!(cause.sentence().contains(remedy), "{cause:?}: {remedy}");
        }
    }
}
