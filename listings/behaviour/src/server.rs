//! A server under test: started, asked, told to end, and looked at from outside.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use exec_service::client::{Answer, Client};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tcp_close::diag::Diag;
use testkit::Program;

use crate::Subject;

/// Within what time whatever is waited for must have come about.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// How often to look whether it has.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// A server that runs. Dropping it ends it, and all of its processes.
#[derive(Debug)]
pub struct Server {
    running: testkit::Server,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts it on a port of the kernel's choice.
    #[must_use]
    pub fn start(subject: &Subject, arguments: &[&str]) -> Self {
        let program = Program::new(subject.binary).arg("127.0.0.1:0");
        Self::of(&program.args(arguments))
    }

    /// Starts it with so many descriptors to be had.
    #[must_use]
    pub fn start_with_descriptors(
        subject: &Subject,
        descriptors: usize,
        arguments: &[&str],
    ) -> Self {
        let script = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
        let program = Program::new("sh").args(["-c", &script, subject.binary, "127.0.0.1:0"]);
        Self::of(&program.args(arguments))
    }

    /// Starts the program, which must be such a server or run one.
    #[must_use]
    pub fn of(program: &Program) -> Self {
        let running = program.serve();
        let address = running.address();
        Self { running, address }
    }

    /// A new connection to it.
    #[must_use]
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(self.address).expect("the server listens")
    }

    /// The answer to one request on a connection of its own.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.client().get(path).expect("an answer")
    }

    /// What it says about itself.
    #[must_use]
    #[track_caller]
    pub fn stats(&self) -> Value {
        let answer = self.get("/stats");
        serde_json::from_slice(&answer.body).expect("JSON")
    }

    /// How many connections it has beside the one that asks.
    #[must_use]
    #[track_caller]
    pub fn open(&self) -> u64 {
        let open = self.stats()["connections"]["open"].as_u64();
        open.expect("a number") - 1
    }

    /// The process that was started, which the signals are for.
    #[must_use]
    pub fn process(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.running.id()).expect("a process id"))
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        kill(self.process(), Signal::SIGTERM).expect("a process that runs");
    }

    /// Waits until it says that it has ended well, and gives the requests and connections that it
    /// has counted.
    #[track_caller]
    pub fn ended(&mut self) -> (u64, u64) {
        let line = self.running.line_with("ended: ");
        let numbers: Vec<u64> = line
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        let [requests, connections] = numbers[..] else {
            panic!("{line}")
        };
        eventually("its process to end", || {
            let stat =
                fs::read_to_string(format!("/proc/{}/stat", self.process())).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        });
        assert!(
            self.processes().is_empty(),
            "processes are left: {:?}",
            self.processes()
        );
        (requests, connections)
    }

    /// Its processes that run.
    #[must_use]
    pub fn processes(&self) -> Vec<i32> {
        let group = self.process().as_raw().to_string();
        let Ok(all) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        all.filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let process = name.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{name}/stat")).ok()?;
            let mut fields = stat.rsplit_once(") ")?.1.split(' ');
            (fields.next()? != "Z" && fields.nth(1)? == group).then_some(process)
        })
        .collect()
    }

    /// How much memory its processes take, in bytes; what they share is counted once.
    #[must_use]
    pub fn memory(&self) -> usize {
        let of = |process: i32| -> Option<usize> {
            let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
            let line = text.lines().find(|line| line.starts_with("Pss:"))?;
            line.split_whitespace().nth(1)?.parse::<usize>().ok()
        };
        self.processes().into_iter().filter_map(of).sum::<usize>() * 1024
    }

    /// How long its processes have computed so far.
    #[must_use]
    pub fn processor_time(&self) -> Duration {
        /// In which `/proc` counts, on every architecture that Linux runs on today.
        const TICKS_PER_SECOND: u64 = 100;
        let of = |process: i32| -> Option<u64> {
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
            let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
            Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
        };
        let ticks: u64 = self.processes().into_iter().filter_map(of).sum();
        Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
    }
}

/// Waits until it is so.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let at_latest = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < at_latest, "waited in vain for {what}");
        thread::sleep(LOOK_AGAIN);
    }
}

/// Waits until the other end's program has read all that was sent on this connection.
#[track_caller]
pub fn until_read(stream: &TcpStream) {
    let diag = Diag::open().expect("a kernel that can be asked for its sockets");
    let ends = || -> io::Result<_> { Ok((stream.peer_addr()?, stream.local_addr()?)) };
    let (there, here) = ends().expect("a connection");
    eventually("the server to read", || {
        let end = diag.find(there, here).expect("an answer");
        end.is_none_or(|end| end.unread == 0)
    });
}
