//! A process with a group of its own, and what it has printed so far.

use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often to look whether a process that has closed its output has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// A process that was started; dropping it kills its group.
#[derive(Debug)]
pub struct Running {
    child: Child,
    ended: bool,
    ears: Arc<Ears>,
}

/// What has been heard of a process, and the bell that rings when there is more.
#[derive(Debug, Default)]
struct Ears {
    heard: Mutex<Heard>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Heard {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// How many of the two have not come to their end.
    open: usize,
}

impl Running {
    /// Starts the command, whose standard streams must all be piped, as the leader of a new group.
    pub fn start(mut command: Command, input: Vec<u8>) -> io::Result<Self> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let ears = Arc::new(Ears::default());
        ears.lock().open = 2;

        let mut stdin = child.stdin.take().expect("a piped standard input");
        let stdout = child.stdout.take().expect("a piped standard output");
        let stderr = child.stderr.take().expect("a piped standard error");
        thread::spawn({
            let ears = Arc::clone(&ears);
            move || ears.listen(stdout, |heard| &mut heard.stdout)
        });
        thread::spawn({
            let ears = Arc::clone(&ears);
            move || ears.listen(stderr, |heard| &mut heard.stderr)
        });
        // A program may end without having read its input: that is its own affair.
        thread::spawn(move || drop(stdin.write_all(&input)));

        Ok(Self {
            child,
            ended: false,
            ears,
        })
    }

    /// The process id, which is its group's as well.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the output has come to its end and the process to its own, or gives up.
    pub fn wait(&mut self, at_latest: Instant) -> Option<ExitStatus> {
        self.ears
            .wait_until(at_latest, |heard| (heard.open == 0).then_some(()))?;
        loop {
            if let Some(status) = self
                .child
                .try_wait()
                .expect("a child that can be waited for")
            {
                // What it left behind without its output, it left to us.
                self.kill_group();
                self.ended = true;
                return Some(status);
            }
            if Instant::now() >= at_latest {
                return None;
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Waits for a whole line of standard output in which `find` finds something; gives up at the
    /// deadline or at the end of the output.
    pub fn wait_for_line<T>(
        &mut self,
        at_latest: Instant,
        find: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        self.ears
            .wait_until(at_latest, |heard| {
                let text = String::from_utf8_lossy(&heard.stdout);
                let found = text
                    .split_inclusive('\n')
                    .filter(|line| line.ends_with('\n'))
                    .find_map(|line| find(line.trim_end()));
                match (found, heard.open) {
                    (Some(found), _) => Some(Some(found)),
                    (None, 0) => Some(None),
                    (None, _) => None,
                }
            })
            .flatten()
    }

    /// Kills the whole group, and waits for the end of what it prints.
    pub fn kill(&mut self) {
        if self.ended {
            return;
        }
        self.kill_group();
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.ended = true;
        let at_latest = Instant::now() + Duration::from_secs(5);
        self.ears
            .wait_until(at_latest, |heard| (heard.open == 0).then_some(()));
    }

    /// Kills what bears the leader's id as its group. No other group can: the leader has not been
    /// waited for, or was a moment ago, and ids are given out in turn. Errors mean that there is no
    /// one left to kill.
    fn kill_group(&self) {
        #[cfg(unix)]
        if let Ok(group) = i32::try_from(self.child.id()) {
            use nix::sys::signal::{Signal, killpg};
            let _ = killpg(nix::unistd::Pid::from_raw(group), Signal::SIGKILL);
        }
    }

    /// Standard output and standard error so far.
    pub fn output(&self) -> (String, String) {
        let heard = self.ears.lock();
        (
            String::from_utf8_lossy(&heard.stdout).into_owned(),
            String::from_utf8_lossy(&heard.stderr).into_owned(),
        )
    }

    /// The same, for a message.
    pub fn heard(&self) -> String {
        let (stdout, stderr) = self.output();
        quoted(&stdout, &stderr)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Ears {
    /// A test that panicked while it held the lock has left nothing half done.
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, mut pipe: impl Read, to: fn(&mut Heard) -> &mut Vec<u8>) {
        let mut bytes = [0; 4096];
        loop {
            let length = match pipe.read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(length) => length,
                Err(_) => 0,
            };
            let mut heard = self.lock();
            to(&mut heard).extend_from_slice(&bytes[..length]);
            if length == 0 {
                heard.open -= 1;
            }
            self.more.notify_all();
            if length == 0 {
                return;
            }
        }
    }

    fn wait_until<T>(&self, at_latest: Instant, done: impl Fn(&Heard) -> Option<T>) -> Option<T> {
        let mut heard = self.lock();
        loop {
            if let Some(value) = done(&heard) {
                return Some(value);
            }
            let left = at_latest.checked_duration_since(Instant::now())?;
            heard = self
                .more
                .wait_timeout(heard, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// Both outputs, each under its name, for a message.
pub fn quoted(stdout: &str, stderr: &str) -> String {
    let part = |name: &str, text: &str| match text.trim_end() {
        "" => format!("It printed nothing to {name}.\n"),
        text => format!("It printed to {name}:\n{text}\n"),
    };
    part("standard output", stdout) + &part("standard error", stderr)
}
