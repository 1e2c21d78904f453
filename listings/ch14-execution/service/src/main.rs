//! The service without a server: bytes and times go in by hand, and what a server would have to do is
//! printed instead of done.
//!
//! ```text
//! cargo run -p exec-service
//! ```
//!
//! Look for what is to be done next: it differs with what has come, and with how much time has passed.

#![forbid(unsafe_code)]

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use exec_service::client::get;
use exec_service::{Limits, Output, Service, Session, Stats, Step};
use record::{Record, Sequence};

fn main() -> ExitCode {
    if std::env::args().len() > 1 {
        eprintln!("usage: exec-service (it takes no arguments)");
        return ExitCode::from(2);
    }
    match show() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("exec-service: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A server that has no socket, but a connection all the same.
struct Stage {
    service: Service,
    session: Session,
    output: Output,
    start: Instant,
    now: Instant,
    sequence: Sequence,
}

impl Stage {
    fn open(scene: &str) -> io::Result<Self> {
        println!("{scene}");
        let now = Instant::now();
        let stats = Stats::new("exec-service", 1)?;
        let mut service = Service::new(Limits::default(), stats, 0, now);
        // The moment that RFC 9110 takes for its examples.
        let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        service.tell_time(now, moment);
        let session = Session::new(&service, now);
        let mut sequence = Sequence::new();
        sequence.host("server", None);
        sequence.host("session", None);
        let output = Output::default();
        Ok(Self {
            service,
            session,
            output,
            start: now,
            now,
            sequence,
        })
    }

    // ANCHOR: server
    /// Does what a server does with bytes that it has read: gives them to the session, and writes, or
    /// waits, until the session would have it read on.
    fn receive(&mut self, bytes: &str) {
        let step = self.session.receive(
            &mut self.service,
            bytes.as_bytes(),
            self.now,
            &mut self.output,
        );
        self.tell("receive", &shortened(bytes), step);
        self.go_on(step);
    }

    fn go_on(&mut self, mut step: Step) {
        loop {
            let (service, output) = (&mut self.service, &mut self.output);
            let done;
            (done, step) = match step {
                Step::Write => {
                    let written: usize = output.slices().iter().map(|slice| slice.len()).sum();
                    output.advance(written);
                    ("flushed", self.session.flushed(service, self.now, output))
                }
                Step::Wait => {
                    self.now = self.session.deadline();
                    ("expired", self.session.expired(service, self.now, output))
                }
                Step::Linger => ("half_closed", self.session.half_closed(service, self.now)),
                Step::Read | Step::Close => return,
            };
            self.tell(done, "", step);
        }
    }
    // ANCHOR_END: server

    /// Lets time pass until the session's deadline.
    fn be_silent(&mut self) {
        self.now = self.session.deadline();
        let step = self
            .session
            .expired(&mut self.service, self.now, &mut self.output);
        self.tell("expired", "", step);
        self.go_on(step);
    }

    fn hang_up(&mut self) {
        let step = self
            .session
            .end_of_input(&mut self.service, self.now, &mut self.output);
        self.tell("end_of_input", "", step);
        self.go_on(step);
    }

    /// Prints a call and what it has brought, and notes both.
    fn tell(&mut self, call: &str, argument: &str, step: Step) {
        let ms = |time: Instant| (time - self.start).as_millis();
        let until = ms(self.session.deadline());
        let next = match step {
            Step::Write => format!("`Write` {}", self.to_be_written()),
            Step::Read | Step::Wait => format!("`{step:?}` until `{until}` ms"),
            Step::Linger | Step::Close => format!("`{step:?}`"),
        };
        let shown = next.replace('`', "");
        println!("  {:>6} ms  {call:12} {argument:38} {shown}", ms(self.now));
        let at_us = (self.now - self.start).as_micros() as u64;
        let separator = if argument.is_empty() { "" } else { " " };
        let label = format!("`{call}{separator}{argument}`");
        self.sequence.message(at_us, 0, 1, label, None);
        self.sequence.message(at_us, 1, 0, next, None);
    }

    /// The output, in few words: the status of each answer, and how much there is.
    fn to_be_written(&self) -> String {
        let text = String::from_utf8_lossy(self.output.bytes());
        let statuses = text
            .split("HTTP/1.1 ")
            .skip(1)
            .filter_map(|answer| answer.get(..3));
        let statuses: Vec<&str> = statuses.collect();
        let mut words = format!("`{}`, `{}` bytes", statuses.join(", "), text.len());
        if let Some(body) = self.output.body() {
            words += &format!(", and `{}` bytes that lie ready", body.len);
        }
        words
    }
}

/// Bytes for the eye.
fn shortened(bytes: &str) -> String {
    let lines: Vec<&str> = bytes
        .split("\r\n")
        .filter(|line| line.contains(" HTTP/"))
        .collect();
    match &lines[..] {
        [] => format!("{bytes:?}"),
        lines => lines.join(", ").replace(" HTTP/1.1", ""),
    }
}

fn show() -> io::Result<()> {
    println!(
        "A session takes {} bytes, and these calls:\n",
        size_of::<Session>()
    );

    // ANCHOR: scenes
    let mut stage = Stage::open("A request in two pieces")?;
    stage.receive("GET / HT");
    stage.receive("TP/1.1\r\nHost: localhost\r\n\r\n");

    let mut pipeline = Stage::open("Three requests at once, of which the second takes 50 ms")?;
    pipeline.receive(&[get("/"), get("/slow/50"), get("/bytes/100")].concat());

    let mut stage = Stage::open("A large answer")?;
    stage.receive(&get("/bytes/1000000"));

    let mut stage = Stage::open("Half a request, and then nothing")?;
    stage.receive("GET / HT");
    stage.be_silent();
    stage.hang_up();

    let mut stage = Stage::open("What is no request")?;
    stage.receive("NONSENSE\r\n\r\n");

    let mut stage = Stage::open("A request while the server is about to end")?;
    stage.service.close_after_answers(true);
    stage.receive(&get("/"));
    stage.hang_up();
    // ANCHOR_END: scenes

    let mut record = Record::new();
    record.add("pipeline", pipeline.sequence);
    record.save()
}
