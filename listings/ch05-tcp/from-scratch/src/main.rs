//! A TCP of this book's own talks to the kernel's, and every byte arrives.
//!
//! ```text
//! cargo run -p tcp-from-scratch
//! ```
//!
//! The TCP is this package's library: no socket, no clock, no kernel in it. Here it sits at a place
//! of the lab that has no kernel either, and at the other end of the link is a host with Linux's
//! own TCP, which does not know the difference.
//!
//! Look for the third segment of text, which is lost on purpose, and for what makes our TCP send it
//! again: not a timeout. Then megabytes go both ways at once, while the link loses, swaps and repeats
//! packets.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod edge;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "tcp-from-scratch needs Linux for its lab: run it in the book's dev container, or on Windows \
         in WSL2. Its library and most of its tests run anywhere: cargo test -p tcp-from-scratch"
    );
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    lab::experiment(env!("CARGO_PKG_NAME"), linux::run)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::error::Error;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::Duration;

    use lab::{Capture, Crossing, Lab, Link, Report, Verdict};
    use record::{Column, Record, States, Step, Table};
    use tcp_from_scratch::driver::Driver;
    use tcp_from_scratch::{Config, ConnectionId, Secret, Stack, State, Status, Time};

    use crate::edge::raw::RawDevice;
    use crate::edge::transfer;

    type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

    /// How long anything may take here.
    const DEADLINE: Duration = Duration::from_secs(20);

    /// Eight full segments: 1,460 bytes less 12 of timestamps.
    const TEXT: usize = 8 * 1448;

    /// How much goes each way in each of the larger transfers.
    const TRANSFER: usize = 500_000;

    pub fn run() -> Result<()> {
        let mut record = Record::new();
        // On a busy machine an answer comes late, and the packets in another order: once more, then.
        let (life, _) = lab::undisturbed(20, life)?;
        life.tell();
        record.add("life", life.capture.sequence());
        record.add("states", life.walk());
        record.add("transfers", transfers()?);
        Ok(record.save()?)
    }

    /// One connection from its SYN to the end of TIME-WAIT.
    struct Life {
        capture: Capture,
        /// The states of our end, and when it came into them.
        states: Vec<(Time, State)>,
        status: Status,
        answer: Vec<u8>,
    }

    fn life() -> Result<(Life, Report)> {
        // ANCHOR: lab
        let mut builder = Lab::builder();
        let (ours, kernel) = (builder.raw("ours"), builder.host("kernel"));
        let delay = Link::new().delay(Duration::from_millis(10));
        let mut texts = 0;
        let there = delay.clone().rule(move |_, packet| {
            texts += u32::from(!packet.payload().is_empty());
            if texts == 3 && !packet.payload().is_empty() {
                return Verdict::Drop;
            }
            Verdict::Pass
        });
        builder.link(ours, kernel, there.rate(10_000_000), delay.rate(10_000_000));
        builder.congestion("reno");
        let lab = builder.start()?;
        let (raw, kernel) = (lab.raw(ours), lab.host(kernel));
        // ANCHOR_END: lab

        let server = kernel.run(|| TcpListener::bind((kernel.v4(), 80)))?;
        let serving = kernel.spawn(move || -> std::io::Result<()> {
            let (mut connection, _) = server.accept()?;
            connection.read_exact(&mut [0; TEXT])?;
            connection.write_all(b"all there")?;
            while connection.read(&mut [0; 16])? > 0 {}
            Ok(())
        });

        // ANCHOR: stack
        let config = Config {
            min_rto: Duration::from_millis(200), // as Linux has it
            msl: Duration::from_millis(50),      // TIME-WAIT lasts a tenth of a second
            ..Config::default()
        };
        let secret = Secret([7; 16]); // in earnest: random
        let mut stack = Stack::new(config, secret, &[raw.v4().into()]);
        let id = stack.connect(Time::ZERO, (kernel.v4(), 80).into(), None)?;
        let mut driver = Driver::new(stack, RawDevice::new(raw));
        let mut watch = Watch::new(id);

        driver.until(DEADLINE, |stack| watch.sees(stack, State::Established))?;
        driver.turn(Duration::ZERO)?; // the handshake's last segment goes out by itself
        driver.send_all(id, &[b'.'; TEXT], DEADLINE)?;
        let mut answer = vec![0; 64];
        let len = driver.receive(id, &mut answer, DEADLINE)?;
        driver.stack.close(id)?;
        driver.until(DEADLINE, |stack| watch.sees(stack, State::Closed))?;
        // ANCHOR_END: stack
        answer.truncate(len);
        serving.join().expect("the kernel's side does not panic")?;

        let life = Life {
            capture: lab.capture(),
            status: driver.stack.status(id)?,
            states: watch.states,
            answer,
        };
        let mut report = lab.finish()?;
        report.late += u64::from(!life.is_punctual());
        Ok((life, report))
    }

    /// Keeps an eye on the state of our end.
    struct Watch {
        id: ConnectionId,
        began: std::time::Instant,
        states: Vec<(Time, State)>,
    }

    impl Watch {
        fn new(id: ConnectionId) -> Self {
            Self {
                id,
                began: std::time::Instant::now(),
                states: Vec::new(),
            }
        }

        fn sees(&mut self, stack: &Stack, wanted: State) -> Option<()> {
            let now = Time::ZERO + self.began.elapsed();
            let path = stack.connection(self.id).ok()?.path();
            let new = &path[self.states.len()..];
            self.states.extend(new.iter().map(|state| (now, *state)));
            path.contains(&wanted).then_some(())
        }
    }

    impl Life {
        /// Whether both programs did at once what they had to: the lab knows its own lateness, but
        /// not ours, nor that of the kernel's user.
        fn is_punctual(&self) -> bool {
            let crossings = self.capture.crossings();
            let ours = |crossing: &Crossing| self.capture.name(crossing.from) == "ours";
            let acknowledged = |crossing: &Crossing| crossing.tcp().map(|tcp| tcp.acknowledgment);
            let (mut before, mut lag) = (Duration::ZERO, Duration::ZERO);
            for crossing in crossings.iter().filter(|crossing| ours(crossing)).skip(1) {
                let arrivals = crossings.iter().filter(|crossing| !ours(crossing));
                let last = arrivals
                    .filter_map(|arrival| arrival.arrived)
                    .filter(|arrived| *arrived <= crossing.sent)
                    .max();
                lag = lag.max(crossing.sent - last.unwrap_or_default().max(before));
                before = crossing.sent;
            }
            let answer = crossings.iter().find(|crossing| {
                !ours(crossing) && crossing.tcp().is_some_and(|tcp| tcp.length > 0)
            });
            let Some(answer) = answer else {
                return false;
            };
            let asked = crossings
                .iter()
                .find(|crossing| !ours(crossing) && acknowledged(crossing) == acknowledged(answer));
            lag = lag.max(asked.map_or(Duration::MAX, |asked| answer.sent - asked.sent));
            lag < Duration::from_millis(1)
        }

        fn tell(&self) {
            println!("Our TCP calls the kernel's. The third segment of text is lost.\n");
            print!("{}", self.capture.lines());
            let path: Vec<String> = self
                .states
                .iter()
                .map(|(_, state)| state.to_string())
                .collect();
            println!("\nOur states: {}", path.join(" → "));
            println!(
                "The kernel answers: {:?}",
                String::from_utf8_lossy(&self.answer)
            );
            let counters = self.status.counters;
            println!(
                "Sent again: {}. Timeouts: {}. Fast recoveries: {}.\n",
                counters.retransmitted, counters.timeouts, counters.fast_recoveries
            );
        }

        /// Our way through the diagram of RFC 9293.
        fn walk(&self) -> States {
            let began = Time::ZERO;
            let place = |state: State| {
                tcp_close::State::ALL
                    .into_iter()
                    .find(|other| other.to_string() == state.to_string())
                    .expect("the RFC has eleven states")
            };
            let mut before = State::Closed;
            let mut steps = Vec::new();
            for &(at, state) in &self.states {
                let arrow = tcp_close::transition(place(before), place(state));
                steps.push(Step {
                    at_us: (at - began).as_micros() as u64,
                    transition: arrow.expect("the diagram has this arrow"),
                });
                before = state;
            }
            let mut diagram = tcp_close::diagram();
            diagram.walk("our end", steps);
            diagram
        }
    }

    /// Much text both ways at once, over links that get worse.
    fn transfers() -> Result<Table> {
        println!("{TRANSFER} bytes each way at once, every one compared:\n");
        let mut table = Table::new([
            Column::words("link"),
            Column::words("who calls"),
            Column::number("time", "ms"),
            Column::number("sent again", ""),
            Column::number("timeouts", ""),
            Column::number("out of order", ""),
        ]);
        for case in transfer::cases().filter(|case| case.disorder == (case.loss_percent > 0)) {
            let outcome = transfer::run(case, TRANSFER)?;
            let link = match (case.loss_percent, case.disorder) {
                (0, false) => "clean".to_owned(),
                (0, true) => "disorder".to_owned(),
                (loss, false) => format!("`{loss}` % lost"),
                (loss, true) => format!("`{loss}` % lost, disorder"),
            };
            let caller = if case.active {
                "we call"
            } else {
                "the kernel calls"
            };
            let counters = outcome.counters;
            println!(
                "  {:24} {caller:18} all right  {:>5} sent again  {:>4} ms",
                link.replace('`', ""),
                counters.retransmitted,
                outcome.took.as_millis(),
            );
            table = table.row([
                link,
                caller.to_owned(),
                outcome.took.as_millis().to_string(),
                counters.retransmitted.to_string(),
                counters.timeouts.to_string(),
                counters.out_of_order.to_string(),
            ]);
        }
        Ok(table)
    }
}
