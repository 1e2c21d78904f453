//! Processes of ours, from outside: what they are asked, where they stop, and that they are killed.

use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use crate::worker::Options;

/// How long a process may take for its next line: more than all that it waits for itself, since the
/// machine may be busy.
const DEADLINE: Duration = Duration::from_secs(30);

/// A worker or a bank. Dropping it kills it.
pub struct Process {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

/// How far a request came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The worker was killed at this step.
    Killed(String),
    /// It was answered like this before the worker came that far.
    Answered(Told),
}

/// What a worker says to a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Told {
    /// HTTP's status code.
    pub status: u16,
    /// Whether it had been said before.
    pub replayed: bool,
    /// The body.
    pub body: String,
}

impl Process {
    /// Opens the bank whose ledger this file is. The program is this package's.
    ///
    /// # Errors
    ///
    /// When it does not start and listen.
    pub fn bank(
        program: &Path,
        ledger: &Path,
        address: SocketAddr,
        step: bool,
    ) -> io::Result<(Self, SocketAddr)> {
        let mut command = Command::new(program);
        command.arg("bank").arg(ledger).arg(address.to_string());
        command.args(step.then_some("--step"));
        let bank = Self::start(command)?;
        let line = bank.line()?;
        let address = line.rsplit(' ').next().and_then(|word| word.parse().ok());
        Ok((bank, address.ok_or_else(|| unexpected(&line))?))
    }

    /// Starts a worker and waits until it can take requests.
    ///
    /// # Errors
    ///
    /// When it does not start, or cannot open its database.
    pub fn worker(
        program: &Path,
        database: &str,
        bank: SocketAddr,
        options: Options,
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(["worker", database]).arg(bank.to_string());
        command.args(["--later", &options.later_s.to_string()]);
        command.args(options.step.then_some("--step"));
        command.args(options.one_transaction.then_some("--one-transaction"));
        let worker = Self::start(command)?;
        match worker.line()?.as_str() {
            "ready" => Ok(worker),
            line => Err(unexpected(line)),
        }
    }

    fn start(mut command: Command) -> io::Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = mpsc::channel();
        // Ends with the process, or when nobody is left to receive.
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            child,
            input,
            lines,
        })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to its standard input.
    ///
    /// # Errors
    ///
    /// When it reads no more.
    pub fn send(&mut self, line: &str) -> io::Result<()> {
        self.input.write_all(format!("{line}\n").as_bytes())
    }

    /// The next line of its standard output.
    ///
    /// # Errors
    ///
    /// When none comes, because it has ended or takes too long.
    pub fn line(&self) -> io::Result<String> {
        self.lines.recv_timeout(DEADLINE).map_err(|error| {
            let what = format!("process {} said nothing: {error}", self.child.id());
            io::Error::new(io::ErrorKind::TimedOut, what)
        })
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    ///
    /// When none comes.
    pub fn ask(&mut self, request: &str) -> io::Result<Told> {
        match self.ask_and_kill(request, |_| false)? {
            End::Answered(told) => Ok(told),
            End::Killed(step) => Err(unexpected(&step)),
        }
    }

    // ANCHOR: ask
    /// Sends a request, and kills the worker with SIGKILL at the step for which `kill` says so.
    ///
    /// # Errors
    ///
    /// When neither a step nor an answer comes.
    pub fn ask_and_kill(
        &mut self,
        request: &str,
        mut kill: impl FnMut(&str) -> bool,
    ) -> io::Result<End> {
        self.send(request)?;
        loop {
            let line = self.line()?;
            let Some(step) = line.strip_prefix("at ") else {
                return Ok(End::Answered(told(&line)?));
            };
            if kill(step) {
                self.kill()?;
                return Ok(End::Killed(step.to_owned()));
            }
            self.send("go on")?;
        }
    }
    // ANCHOR_END: ask

    /// The answer to a request that was sent before.
    ///
    /// # Errors
    ///
    /// When none comes.
    pub fn answer(&self) -> io::Result<Told> {
        told(&self.line()?)
    }

    /// Kills it, which it cannot notice, and waits until it is gone.
    ///
    /// # Errors
    ///
    /// When the system cannot.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill(); // it may have ended
    }
}

/// `STATUS fresh|replayed BODY`.
fn told(line: &str) -> io::Result<Told> {
    let mut words = line.splitn(3, ' ');
    let (status, replayed, body) = (words.next(), words.next(), words.next());
    let status = status.and_then(|word| word.parse().ok());
    match (status, replayed, body) {
        (Some(status), Some(replayed @ ("fresh" | "replayed")), Some(body)) => Ok(Told {
            status,
            replayed: replayed == "replayed",
            body: body.to_owned(),
        }),
        _ => Err(unexpected(line)),
    }
}

fn unexpected(line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("it said «{line}»"))
}
