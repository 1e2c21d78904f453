//! Every way in which a TCP connection ends: which segments are sent, which states the two ends go
//! through, and what the programs are told.
//!
//! ```text
//! cargo run -p tcp-close
//! ```
//!
//! Chapter 1 looked at the two ends of a connection on loopback, where FIN-WAIT-1, LAST-ACK and
//! CLOSING last microseconds. Here a segment is under way for 30 ms (see `stage.rs`), so every state
//! stays long enough for the kernel's table to show it.
//!
//! Look for how many segments a close takes, for who is left with TIME-WAIT, and for the closes of
//! which the other program learns by an error. Linux only.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod stage;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "tcp-close builds a network of Linux kernels. Run it on Linux: in the book's dev container, \
         or on Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    lab::experiment(env!("CARGO_PKG_NAME"), linux::run)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{self, Read, Write};
    use std::net::{Shutdown, TcpStream};
    use std::thread;
    use std::time::Duration;

    use lab::{Link, Tcp, Verdict, undisturbed};
    use nix::sys::socket::{setsockopt, sockopt};
    use record::{Column, Record, States, Step, Table};
    use socket2::SockRef;
    use tcp_close::{State, diagram, transition};

    use crate::stage::{DELAY, Result, Stage, Stay, Story, acknowledged, heard};

    /// How often a run is repeated if the machine was too busy for it.
    const TRIES: usize = 3;

    /// A way in which a connection ends.
    struct Act {
        name: &'static str,
        /// What it is called in figures.
        title: &'static str,
        /// Who does what.
        what: &'static str,
        /// Lets it end, and says what the program is told that did not start.
        play: fn(&Stage, TcpStream, TcpStream) -> Told,
    }

    /// What the program is told that did not start the ending.
    type Told = io::Result<String>;

    const ACTS: [Act; 9] = [
        Act {
            name: "four",
            title: "four segments",
            what: "the client closes, and the server once it has heard of it",
            play: four_segments,
        },
        Act {
            name: "three",
            title: "three segments",
            what: "the client closes, and the server does so at once",
            play: three_segments,
        },
        Act {
            name: "half",
            title: "half-close",
            what: "the client has said all, but listens on",
            play: half_close,
        },
        Act {
            name: "simultaneous",
            title: "simultaneous close",
            what: "both close before either has heard of it",
            play: simultaneous_close,
        },
        Act {
            name: "lost",
            title: "last `ACK` lost",
            what: "three segments, and the network loses the last",
            play: three_segments,
        },
        Act {
            name: "abort",
            title: "abort",
            what: "the client closes with SO_LINGER at zero",
            play: abort,
        },
        Act {
            name: "unread",
            title: "close with data unread",
            what: "the client closes and has not read all",
            play: close_with_data_unread,
        },
        Act {
            name: "deaf",
            title: "data to a closed socket",
            what: "the client closes, and the server goes on sending",
            play: data_to_a_closed_socket,
        },
        Act {
            name: "forgotten",
            title: "half-open",
            what: "the server's kernel forgets the connection, and the client sends",
            play: half_open,
        },
    ];

    // ANCHOR: four
    fn four_segments(stage: &Stage, client: TcpStream, mut server: TcpStream) -> Told {
        drop(client); // close()
        stage.client.reaches(State::FinWait2)?;
        let told = heard(server.read(&mut [0]));
        drop(server);
        Ok(told)
    }
    // ANCHOR_END: four

    // ANCHOR: three
    fn three_segments(_: &Stage, client: TcpStream, mut server: TcpStream) -> Told {
        drop(client);
        let told = heard(server.read(&mut [0])); // waits for the FIN
        drop(server);
        Ok(told)
    }
    // ANCHOR_END: three

    // ANCHOR: half
    fn half_close(stage: &Stage, mut client: TcpStream, mut server: TcpStream) -> Told {
        client.write_all(b"pear fig apple")?;
        acknowledged(&client)?;
        stage.begin();

        client.shutdown(Shutdown::Write)?; // these were all
        let mut words = String::new();
        server.read_to_string(&mut words)?; // up to the end: nobody can sort what is not all there
        let mut words: Vec<&str> = words.split(' ').collect();
        words.sort_unstable();
        server.write_all(words.join(" ").as_bytes())?;
        acknowledged(&server)?;
        drop(server);

        let mut sorted = String::new();
        client.read_to_string(&mut sorted)?;
        Ok(format!("`{sorted:?}`, and the end of the stream"))
    }
    // ANCHOR_END: half

    // ANCHOR: simultaneous
    fn simultaneous_close(_: &Stage, client: TcpStream, server: TcpStream) -> Told {
        drop(client);
        thread::sleep(DELAY / 5); // the FIN is still on its way
        drop(server);
        Ok("nothing: it has closed".to_owned())
    }
    // ANCHOR_END: simultaneous

    // ANCHOR: abort
    fn abort(_: &Stage, client: TcpStream, mut server: TcpStream) -> Told {
        SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
        drop(client);
        Ok(heard(server.read(&mut [0])))
    }
    // ANCHOR_END: abort

    // ANCHOR: unread
    fn close_with_data_unread(stage: &Stage, client: TcpStream, mut server: TcpStream) -> Told {
        server.write_all(b"news")?;
        stage.client.has_unread(4)?;
        acknowledged(&server)?;
        stage.begin();

        drop(client);
        Ok(heard(server.read(&mut [0])))
    }
    // ANCHOR_END: unread

    // ANCHOR: deaf
    fn data_to_a_closed_socket(stage: &Stage, client: TcpStream, mut server: TcpStream) -> Told {
        drop(client);
        stage.client.reaches(State::FinWait2)?;
        // Nobody will read it, but who knows that here?
        let first = server.write(b"news")?;
        stage.server.reaches(State::Closed)?;
        let second = heard(server.write(b"more"));
        Ok(format!("`{first}` bytes taken, and then {second}"))
    }
    // ANCHOR_END: deaf

    // ANCHOR: half-open
    fn half_open(stage: &Stage, mut client: TcpStream, server: TcpStream) -> Told {
        // A socket under repair leaves without a word, as when its host loses power.
        setsockopt(&server, sockopt::TcpRepair, &1)?;
        drop(server);
        stage.server.reaches(State::Closed)?;
        stage.begin();

        client.write_all(b"still there?")?;
        Ok(heard(client.read(&mut [0])))
    }
    // ANCHOR_END: half-open

    pub fn run() -> Result<()> {
        println!("A segment takes 30 ms. Who is told what, and how long each state lasts:\n");
        let mut record = Record::new();
        let mut endings = Table::new([
            Column::words("ending"),
            Column::words("client's end"),
            Column::words("server's end"),
            Column::words("the other program is told"),
            Column::number("segments", ""),
        ]);
        for act in &ACTS {
            let (story, told) = perform(act)?;
            tell(act, &story, &told);
            endings = endings.row([
                act.title.to_owned(),
                names(&story, 0),
                names(&story, 1),
                told,
                story.segments.len().to_string(),
            ]);
            match act.name {
                "four" => record.add("states", walks(&story)),
                "simultaneous" => record.add("states-simultaneous", walks(&story)),
                _ => {}
            }
            record.add(act.name, story.sequence);
        }
        record.add("endings", endings);
        record.add("timers", timers()?);
        record.add("upload", uploads()?);
        record.save()?;
        Ok(())
    }

    fn perform(act: &Act) -> Result<(Story, String)> {
        let ((story, told), _) = undisturbed(TRIES, || {
            let there = Link::new().delay(DELAY);
            let there = if act.name == "lost" {
                there.rule(lose_the_last_ack())
            } else {
                there
            };
            let (stage, client, server) = Stage::open(there)?;
            let told = (act.play)(&stage, client, server)?;
            let (story, report) = stage.finish()?;

            Ok::<_, Box<dyn std::error::Error>>(((story, told), report))
        })?;
        Ok((story, told))
    }

    // ANCHOR: lose
    /// Loses the first segment after the client's FIN: the acknowledgment of the server's.
    fn lose_the_last_ack() -> impl FnMut(u64, &lab::Packet) -> Verdict + Send {
        let mut after_fin = 0;
        move |_, packet| {
            let fin = packet.tcp().is_some_and(|segment| segment.has(Tcp::FIN));
            after_fin += usize::from(fin || after_fin > 0);
            if after_fin == 2 {
                Verdict::Drop
            } else {
                Verdict::Pass
            }
        }
    }
    // ANCHOR_END: lose

    fn tell(act: &Act, story: &Story, told: &str) {
        println!("{}: {}", act.title.replace('`', ""), act.what);
        println!("  segments  {}", story.segments.join("   "));
        for (name, path) in ["client", "server"].iter().zip(&story.paths) {
            let stays: Vec<String> = since(path, story).map(in_words).collect();
            let stays = match stays.as_slice() {
                [] => "gone before".to_owned(),
                stays => stays.join(", "),
            };
            println!("  {name}    {stays}");
        }
        println!("  told      {}\n", told.replace('`', ""));
    }

    /// What an end went through once the story had begun.
    fn since<'a>(path: &'a [Stay], story: &Story) -> impl Iterator<Item = &'a Stay> {
        let begin = story.begin;
        path.iter().filter(move |stay| stay.from >= begin)
    }

    fn in_words(stay: &Stay) -> String {
        let state = stay.state;
        let seconds = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64();
        match (state, stay.lasted) {
            (State::Closed, _) => "gone".to_owned(),
            (_, None) => format!("{state} with {:.2} s to go", seconds(stay.timer_left)),
            _ if stay.is_brief() => format!("({state})"),
            (_, lasted) => format!("{state} for {:.1} ms", seconds(lasted) * 1e3),
        }
    }

    fn names(story: &Story, end: usize) -> String {
        let names: Vec<String> = since(&story.paths[end], story)
            .map(|stay| match stay.state {
                State::Closed => "gone".to_owned(),
                state => format!("`{state}`"),
            })
            .collect();
        match names.as_slice() {
            [] => "–".to_owned(), // gone before
            names => names.join(", "),
        }
    }

    // ANCHOR: walks
    /// The RFC's diagram, and in it the ways that the two ends took.
    fn walks(story: &Story) -> States {
        let mut states = diagram();
        let start = story.paths.iter().flatten().map(|stay| stay.from).min();
        for (name, path) in ["client", "server"].iter().zip(&story.paths) {
            let steps = path.windows(2).filter_map(|pair| {
                let at = pair[1].from.saturating_sub(start.unwrap_or_default());
                Some(Step {
                    at_us: at.as_micros() as u64,
                    transition: transition(pair[0].state, pair[1].state)?,
                })
            });
            states.walk(*name, steps);
        }
        states
    }
    // ANCHOR_END: walks

    /// What ends FIN-WAIT-2 and TIME-WAIT, with `tcp_fin_timeout` as it is and with another.
    fn timers() -> Result<Table> {
        println!("What the kernel's timers say as FIN-WAIT-2 and TIME-WAIT begin:");
        let mut table = Table::new([
            Column::number("`tcp_fin_timeout`", "s"),
            Column::number("`FIN-WAIT-2`", "s"),
            Column::number("`TIME-WAIT`", "s"),
        ]);
        // ANCHOR: timers
        for seconds in [60, 7] {
            let (stage, client, server) = Stage::open(Link::new().delay(DELAY))?;
            let fin_timeout = "net.ipv4.tcp_fin_timeout";
            stage.client.host.sysctl(fin_timeout, seconds)?;
            four_segments(&stage, client, server)?;
            let (story, _) = stage.finish()?;
            // ANCHOR_END: timers
            let [fin_wait_2, time_wait] = [State::FinWait2, State::TimeWait].map(|state| {
                let stay = story.paths[0].iter().find(|stay| stay.state == state);
                let timer = stay.and_then(|stay| stay.timer).unwrap_or_default();
                format!("{:.2}", timer.as_secs_f64())
            });
            println!(
                "  tcp_fin_timeout = {seconds:2}: FIN-WAIT-2 {fin_wait_2:>5} s, TIME-WAIT {time_wait} s"
            );
            table = table.row([seconds.to_string(), fin_wait_2, time_wait]);
        }
        println!();
        Ok(table)
    }

    const UPLOAD: usize = 20_000;
    const ANSWER: usize = 32_768;

    /// A server refuses an upload, with a long answer, and closes in two ways.
    fn uploads() -> Result<Table> {
        println!("A server that has read 1,000 bytes of an upload answers and closes:");
        let mut table = Table::new([
            Column::words("the server"),
            Column::words("in the end the client is told"),
            Column::number("of the answer arrived", "bytes"),
        ]);
        let ways: [(&str, Close); 2] = [
            ("`close()`", close_at_once),
            ("lingering close", lingering_close),
        ];
        for (way, close) in ways {
            let (got, end) = refused_upload(close)?;
            let typed = way.replace('`', "");
            let end_typed = end.replace('`', "");
            println!("  {typed:16} {got:5} of {ANSWER} bytes arrive, and then {end_typed}");
            table = table.row([way.to_owned(), end, got.to_string()]);
        }
        Ok(table)
    }

    type Close = fn(TcpStream) -> io::Result<()>;

    // ANCHOR: upload
    fn refused_upload(close: Close) -> Result<(usize, String)> {
        let (stage, mut client, mut server) = Stage::open(Link::new().delay(DELAY))?;
        client.write_all(&[b'u'; UPLOAD])?;
        stage.server.has_unread(UPLOAD as u32)?;
        let closing = thread::spawn(move || -> io::Result<()> {
            server.read_exact(&mut [0; 1000])?;
            server.write_all(&[b'a'; ANSWER])?;
            close(server)
        });
        let (mut got, mut buffer) = (0, [0; 4096]);
        let end = loop {
            match client.read(&mut buffer) {
                Ok(read @ 1..) => got += read,
                end => break heard(end),
            }
        };
        drop(client);
        closing.join().expect("the server does not panic")?;
        Ok((got, end))
    }

    fn close_at_once(server: TcpStream) -> io::Result<()> {
        drop(server); // 19,000 bytes are unread
        Ok(())
    }

    /// Closes in two steps: has said all, and reads on until the client has closed.
    fn lingering_close(mut server: TcpStream) -> io::Result<()> {
        server.shutdown(Shutdown::Write)?;
        server.set_read_timeout(Some(Duration::from_secs(5)))?;
        io::copy(&mut server, &mut io::sink())?; // a server of the Internet sets a limit here
        Ok(())
    }
    // ANCHOR_END: upload
}
