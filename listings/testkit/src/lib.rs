//! How a test runs a listing as a reader would, and finds the programs it talks to.
//!
//! ```no_run
//! # macro_rules! listing { () => { testkit::Program::new("x") } }
//! // in a listing's tests/proofs.rs: `use testkit::listing;`
//! let run = listing!().run().succeeds();
//! run.matches_output(); // what the page prints is what it prints
//! run.matches_record(); // what the figures are drawn from is what it records
//! assert!(run.stdout.contains("OK 12"));
//! ```
//!
//! - A [`Program`] is what is to be run: a listing ([`listing!`]) or a peer ([`peer`]), with its
//!   arguments, environment, input and deadline.
//! - [`Program::run`] waits for its end and gives a [`Run`]; [`Program::serve`] reads the address
//!   that a server prints and gives a [`Server`], which ends when it is dropped.
//! - Every program gets a process group of its own, all of which is killed at the deadline or when
//!   the test lets go of it, so that no test waits for ever and none leaves a process behind.
//! - [`wait_for`] waits for what is about to be so, [`alone`] for other tests, and a benchmark has its
//!   frame in [`yardstick`].

#![forbid(unsafe_code)]

mod compare;
mod peers;
mod process;
mod wait;
pub mod yardstick;

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use record::{Figure, Record};
use regex::Regex;

pub use compare::normalise;
pub use peers::{peer, skip};
use process::Running;
pub use wait::{alone, wait_for};

/// How long a program may take unless [`Program::deadline`] says otherwise. A listing has ten
/// seconds; the rest is for a machine that is busy with other tests.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The listing whose package the calling test belongs to, as a [`Program`].
///
/// Its binary must bear the package's name, as it does where there is a `src/main.rs`.
#[macro_export]
macro_rules! listing {
    () => {
        $crate::Program::listing(
            env!("CARGO_PKG_NAME"),
            env!("CARGO_MANIFEST_DIR"),
            env!(concat!("CARGO_BIN_EXE_", env!("CARGO_PKG_NAME"))),
        )
    };
}

/// A program to run: which, how, and for how long at most.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    input: Vec<u8>,
    deadline: Duration,
    package: Option<Package>,
}

/// What a listing's run is compared with.
#[derive(Debug, Clone)]
struct Package {
    name: String,
    directory: PathBuf,
    /// What varies from run to run in this listing alone, and what stands in its place.
    varying: Vec<(Regex, String)>,
}

impl Program {
    /// Any program: a name that the system looks up, or a path.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            input: Vec::new(),
            deadline: DEADLINE,
            package: None,
        }
    }

    /// A listing's binary; [`listing!`] knows the three arguments.
    #[must_use]
    pub fn listing(name: &str, directory: &str, binary: &str) -> Self {
        Self {
            package: Some(Package {
                name: name.to_owned(),
                directory: directory.into(),
                varying: Vec::new(),
            }),
            ..Self::new(binary)
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = A>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// What the program reads from its standard input, which then ends. Without it there is none.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Within what time [`Program::run`] must end, or [`Program::serve`] name its address.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Names what varies in this listing's output beyond what [`normalise`] knows: every match of
    /// `pattern` becomes `instead` on both sides before they are compared.
    ///
    /// # Panics
    ///
    /// When the pattern is no regular expression, or the program no listing.
    #[must_use]
    pub fn varying(mut self, pattern: &str, instead: &str) -> Self {
        let pattern = Regex::new(pattern).expect("a regular expression");
        self.package
            .as_mut()
            .expect("only a listing has an output.txt")
            .varying
            .push((pattern, instead.to_owned()));
        self
    }

    /// Runs the program to its end.
    ///
    /// # Panics
    ///
    /// When it cannot be started, or has not ended at the deadline: then all of its process group
    /// is killed, and the message says what it had printed so far. A program has not ended while a
    /// child that it left behind holds its output open.
    pub fn run(&self) -> Run {
        let record = tempfile::NamedTempFile::new().expect("a temporary file for the record");
        let at_latest = Instant::now() + self.deadline;
        let mut running = self.start(Some(record.path()));
        let Some(status) = running.wait(at_latest) else {
            running.kill();
            panic!(
                "{self} did not end within {:?} and was killed.\n{}",
                self.deadline,
                running.heard()
            );
        };
        let (stdout, stderr) = running.output();
        Run {
            program: self.clone(),
            status,
            stdout,
            stderr,
            record: match record.as_file().metadata() {
                Ok(file) if file.len() > 0 => {
                    Some(Record::load(record.path()).expect("a record that can be read"))
                }
                _ => None,
            },
        }
    }

    /// Starts a server, and reads the first address that it prints to its standard output.
    ///
    /// # Panics
    ///
    /// When it cannot be started, or prints no address before it ends or the deadline is reached;
    /// the message says what it printed instead.
    #[must_use]
    pub fn serve(&self) -> Server {
        let at_latest = Instant::now() + self.deadline;
        let mut running = self.start(None);
        let Some(address) = running.wait_for_line(at_latest, compare::address_in) else {
            running.kill();
            panic!(
                "{self} printed no address within {:?}.\n{}",
                self.deadline,
                running.heard()
            );
        };
        Server {
            program: self.clone(),
            running,
            address,
        }
    }

    fn start(&self, record: Option<&Path>) -> Running {
        let mut command = Command::new(&self.path);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env_remove(record::RECORD_VARIABLE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(path) = record {
            command.env(record::RECORD_VARIABLE, path);
        }
        Running::start(command, self.input.clone())
            .unwrap_or_else(|error| panic!("{self} cannot be started: {error}"))
    }
}

/// As one would type it: `cargo run -p NAME -- ARGUMENTS` for a listing.
impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`")?;
        match &self.package {
            Some(package) => write!(f, "cargo run -p {}", package.name)?,
            None => write!(f, "{}", self.path.display())?,
        }
        if self.package.is_some() && !self.arguments.is_empty() {
            write!(f, " --")?;
        }
        for argument in &self.arguments {
            write!(f, " {}", argument.display())?;
        }
        write!(f, "`")
    }
}

/// A program that has ended.
#[derive(Debug)]
#[must_use = "a run proves nothing until something is asserted about it"]
pub struct Run {
    program: Program,
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
    record: Option<Record>,
}

impl Run {
    /// The same run, if it ended well.
    ///
    /// # Panics
    ///
    /// When it did not; the message holds all that it printed.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        assert!(
            self.status.success(),
            "{} failed ({}).\n{}",
            self.program,
            self.status,
            process::quoted(&self.stdout, &self.stderr)
        );
        self
    }

    /// Compares what was printed with the package's `output.txt`, line by line, after masking on
    /// both sides what must vary ([`normalise`], [`Program::varying`]).
    ///
    /// # Panics
    ///
    /// When they differ: the message shows the lines and says how to renew the file.
    #[track_caller]
    pub fn matches_output(&self) {
        let package = self.package();
        let path = package.directory.join("output.txt");
        let kept = std::fs::read_to_string(&path).unwrap_or_else(|error| {
            panic!(
                "{}: {error}\nWrite it with: cargo book record {}",
                path.display(),
                package.name
            )
        });
        let mask = |text: &str| {
            let text = normalise(text);
            package.varying.iter().fold(text, |text, (pattern, with)| {
                pattern.replace_all(&text, with.as_str()).into_owned()
            })
        };
        compare::assert_same(
            &format!("{} no longer prints what output.txt says", self.program),
            &mask(&kept),
            &mask(&self.stdout),
            &package.name,
        );
    }

    /// Compares the figures that this run recorded with those in the package's `record.json`: the
    /// same names and kinds, and each of the same shape (hosts, order of events, fields, axes,
    /// columns, rows). Measured values may differ.
    ///
    /// # Panics
    ///
    /// When they differ: the message shows where and says how to renew the file.
    #[track_caller]
    pub fn matches_record(&self) {
        let package = self.package();
        let path = package.directory.join("record.json");
        let kept = Record::load(&path).unwrap_or_else(|error| {
            panic!(
                "{}: {error}\nWrite it with: cargo book record {}",
                path.display(),
                package.name
            )
        });
        compare::assert_same(
            &format!(
                "{} no longer records the figures of record.json",
                self.program
            ),
            &compare::shape(&kept),
            &compare::shape(self.record()),
            &package.name,
        );
    }

    /// What the run left behind for figures.
    ///
    /// # Panics
    ///
    /// When it left nothing.
    #[must_use]
    #[track_caller]
    pub fn record(&self) -> &Record {
        self.record
            .as_ref()
            .unwrap_or_else(|| panic!("{} recorded nothing", self.program))
    }

    /// The sequence of that name.
    ///
    /// # Panics
    ///
    /// When there is none; so do the four that follow.
    #[must_use]
    #[track_caller]
    pub fn sequence(&self, name: &str) -> &record::Sequence {
        match self.figure(name) {
            Figure::Sequence(sequence) => sequence,
            _ => panic!("{} records `{name}`, but not as a sequence", self.program),
        }
    }

    /// The wire figure of that name.
    #[must_use]
    #[track_caller]
    pub fn wire(&self, name: &str) -> &record::Wire {
        match self.figure(name) {
            Figure::Wire(wire) => wire,
            _ => panic!("{} records `{name}`, but not as wire", self.program),
        }
    }

    /// The series of that name.
    #[must_use]
    #[track_caller]
    pub fn series(&self, name: &str) -> &record::Series {
        match self.figure(name) {
            Figure::Series(series) => series,
            _ => panic!("{} records `{name}`, but not as a series", self.program),
        }
    }

    /// The table of that name.
    #[must_use]
    #[track_caller]
    pub fn table(&self, name: &str) -> &record::Table {
        match self.figure(name) {
            Figure::Table(table) => table,
            _ => panic!("{} records `{name}`, but not as a table", self.program),
        }
    }

    /// The diagram of states of that name.
    #[must_use]
    #[track_caller]
    pub fn states(&self, name: &str) -> &record::States {
        match self.figure(name) {
            Figure::States(states) => states,
            _ => panic!("{} records `{name}`, but not as states", self.program),
        }
    }

    #[track_caller]
    fn figure(&self, name: &str) -> &Figure {
        self.record()
            .figures
            .get(name)
            .unwrap_or_else(|| panic!("{} records no `{name}`", self.program))
    }

    #[track_caller]
    fn package(&self) -> &Package {
        self.program
            .package
            .as_ref()
            .unwrap_or_else(|| panic!("{} is no listing", self.program))
    }
}

/// A server that runs. Dropping it ends it, with all of its process group.
#[derive(Debug)]
pub struct Server {
    program: Program,
    running: Running,
    address: SocketAddr,
}

impl Server {
    /// The address that it printed.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.running.id()
    }

    /// Waits for a line of its standard output that contains `text`, and gives the line.
    ///
    /// # Panics
    ///
    /// When no such line has come within the program's deadline, counted from now.
    #[must_use]
    #[track_caller]
    pub fn line_with(&mut self, text: &str) -> String {
        let at_latest = Instant::now() + self.program.deadline;
        let found = self.running.wait_for_line(at_latest, |line| {
            line.contains(text).then(|| line.to_owned())
        });
        found.unwrap_or_else(|| {
            panic!(
                "{} printed no line with {text:?}.\n{}",
                self.program,
                self.running.heard()
            )
        })
    }
}
