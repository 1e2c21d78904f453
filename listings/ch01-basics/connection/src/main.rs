//! The life of one TCP connection: what state each of its two ends is in after every system call.
//!
//! ```text
//! cargo run -p basics-connection
//! ```
//!
//! One program holds both ends, so that each step happens when it wants, and reads from the kernel's
//! own table (`/proc/thread-self/net/tcp`, see `lib.rs`) what that step has made of them. Two states
//! that pass in microseconds are held still by honest means: SYN-SENT by a server that has no room
//! for the connection yet, SYN-RECEIVED by `TCP_DEFER_ACCEPT`.
//!
//! Look for the moments at which the two ends are in *different* states, for the end that is left
//! with TIME-WAIT, and for what a connection costs: file descriptors, and when they are free again.
//!
//! Not shown: FIN-WAIT-1 and LAST-ACK, which last until the other end acknowledges, be it at once or
//! 40 ms later, as its kernel likes; CLOSING, for which both ends must close at once; and the end of
//! TIME-WAIT a minute later, for which the kernel's own timer stands in.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "basics-connection reads the Linux kernel's table of connections. Run it on Linux: in the \
         book's dev container, or on Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    if std::env::args().len() > 1 {
        eprintln!("usage: basics-connection (it takes no arguments)");
        return std::process::ExitCode::from(2);
    }
    match linux::run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("basics-connection: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::io::{self, ErrorKind, Read, Write};
    use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
    use std::thread;
    use std::time::{Duration, Instant};

    use basics_connection::{State, find};
    use nix::sys::socket::SetSockOpt;
    use record::{Column, Event, Fate, Record, Sequence, Table, What};
    use socket2::{Domain, Socket, Type};

    /// How long to wait for a state. The slowest of them, the second try of a connection, comes
    /// after a second.
    const DEADLINE: Duration = Duration::from_secs(20);

    /// The two ends' places in the figure.
    const CLIENT: usize = 0;
    const SERVER: usize = 1;

    /// What takes the place of a state where the kernel holds nothing.
    const NOTHING: &str = "–";

    nix::setsockopt_impl!(
        DeferAccept,
        libc::IPPROTO_TCP,
        libc::TCP_DEFER_ACCEPT,
        u32,
        nix::sys::socket::sockopt::SetStruct<u32>
    );

    /// A listener completes a connection only when its first byte has come, for this many seconds
    /// at most (tcp(7), `TCP_DEFER_ACCEPT`).
    #[derive(Debug, Clone, Copy)]
    struct DeferAccept;

    pub fn run() -> io::Result<()> {
        println!("The life of one TCP connection: the state of its two ends after every call.\n");
        let descriptors_before = descriptors()?;
        let mut life = Life::new();

        // ANCHOR: listen
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
        listener.listen(0)?; // room for one connection that no one has accepted yet
        let listener = TcpListener::from(listener);
        let server_at = listener.local_addr()?;
        // ANCHOR_END: listen
        life.server_at(server_at);
        life.listening(
            State::Listen,
            "server: `listen()`",
            "The port is open. No connection yet: a listener has no other end.",
        )?;

        // ANCHOR: syn-sent
        let stranger = TcpStream::connect(server_at)?;
        wait_until("the stranger takes the only room", || {
            let entry = find(server_at, nowhere())?;
            Ok(entry.is_some_and(|listener| listener.waiting == 1))
        })?;

        let client = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        client.set_nonblocking(true)?;
        let connecting = life.now();
        match client.connect(&server_at.into()) {
            // EINPROGRESS: the request is on its way and the call does not wait for its answer.
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(error) => return Err(error),
            Ok(()) => return Err(io::Error::other("the server had room, against expectation")),
        }
        let mut client = TcpStream::from(client);
        let client_at = client.local_addr()?;
        // ANCHOR_END: syn-sent
        life.client_at(client_at);
        life.step(
            "client: `connect()`",
            Some(State::SynSent),
            None,
            "The client asks, but a stranger holds the one place in the server's queue: the\n\
             kernel there drops the request and says nothing.",
        )?;

        // ANCHOR: syn-received
        DeferAccept.set(&listener, &10)?;
        let (strangers_end, _) = listener.accept()?;
        // ANCHOR_END: syn-received
        let stood = life.step(
            "server: `accept()` of the stranger",
            Some(State::Established),
            Some(State::SynReceived),
            "There is room. The client's kernel asks again, unbidden, a second after its first\n\
             try, and is answered: for the client the connection stands. The server's kernel\n\
             waits for the first byte, because TCP_DEFER_ACCEPT tells it to.",
        )?;
        let note = "asks until it is answered";
        life.arrow(CLIENT, [connecting, stood], "`connect()`", note);

        // ANCHOR: established
        let wrote = life.now();
        client.set_nonblocking(false)?;
        client.write_all(b"hello")?;
        // ANCHOR_END: established
        let arrived = life.step(
            "client: `write(\"hello\")`",
            Some(State::Established),
            Some(State::Established),
            "The first bytes are there, and the connection stands at both ends, though the\n\
             server's program has not been told yet.",
        )?;
        life.arrow(CLIENT, [wrote, arrived], "`hello`", "the first bytes");

        let (mut server, _) = listener.accept()?;
        let mut hello = [0; 5];
        server.read_exact(&mut hello)?;
        life.step(
            "server: `accept()`, `read()`",
            Some(State::Established),
            Some(State::Established),
            "accept() changes nothing: it gives the program a descriptor for what was there.",
        )?;
        let descriptors_during = descriptors()?;

        // ANCHOR: half-closed
        let shut = life.now();
        client.shutdown(Shutdown::Write)?;
        // ANCHOR_END: half-closed
        let arrived = life.step(
            "client: `shutdown(Write)`",
            Some(State::FinWait2),
            Some(State::CloseWait),
            "The client has said all. Its end waits for the server's; the server's end waits\n\
             for its program to close. One that forgets to leaks connections in CLOSE-WAIT.",
        )?;
        expect_end(&mut server)?;
        life.arrow(
            CLIENT,
            [shut, arrived],
            "`shutdown()`",
            "no more from the client",
        );

        // ANCHOR: other-direction
        let answered = life.now();
        server.write_all(b"bye")?;
        let mut bye = [0; 3];
        client.read_exact(&mut bye)?;
        // ANCHOR_END: other-direction
        life.arrow(
            SERVER,
            [answered, life.now()],
            "`bye`",
            "the other direction is still open",
        );
        life.step(
            "server: `write(\"bye\")`",
            Some(State::FinWait2),
            Some(State::CloseWait),
            "Half closed: what the server still says arrives.",
        )?;

        // ANCHOR: closed
        let closed = life.now();
        drop(server); // close(), as the end of every Rust value that owns a descriptor
        // ANCHOR_END: closed
        let arrived = life.step(
            "server: `close()`",
            Some(State::TimeWait),
            None,
            "The server's end is gone. TIME-WAIT is left to the end that closed first.",
        )?;
        expect_end(&mut client)?;
        life.arrow(
            SERVER,
            [closed, arrived],
            "`close()`",
            "no more from the server",
        );

        drop(client);
        life.step(
            "client: `close()`",
            Some(State::TimeWait),
            None,
            "No program holds the client's end any more: the kernel keeps it, in case an old\n\
             segment is still under way.",
        )?;

        drop((stranger, strangers_end, listener));
        let left = find(client_at, server_at)?
            .and_then(|entry| entry.timer)
            .ok_or_else(|| io::Error::other("no timer ends TIME-WAIT"))?;
        let descriptors_after = descriptors()?;
        println!(
            "The kernel's timer ends TIME-WAIT in {:.2} s.",
            left.as_secs_f64()
        );
        println!(
            "File descriptors: {} more while the connection stood, {} more now.\n",
            descriptors_during - descriptors_before,
            descriptors_after - descriptors_before
        );

        let (sequence, mut states) = life.finish();
        abort(&mut states)?;

        let mut record = Record::new();
        record.add("life", sequence);
        record.add("states", states);
        record.save()
    }

    /// A second connection, which is not closed but thrown away.
    fn abort(states: &mut Table) -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        let (mut server, client_at) = listener.accept()?;
        let server_at = listener.local_addr()?;
        println!("A second connection, thrown away with SO_LINGER at 0 s:");

        // ANCHOR: abort
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
        drop(client); // a reset, in place of a farewell
        // ANCHOR_END: abort
        wait_until("neither end is left", || {
            let ends = [(client_at, server_at), (server_at, client_at)];
            let mut left = 0;
            for (local, remote) in ends {
                left += usize::from(find(local, remote)?.is_some());
            }
            Ok(left == 0)
        })?;
        let error = match server.read(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => error,
            other => return Err(io::Error::other(format!("no reset, but {other:?}"))),
        };
        println!(
            "{:10}{:34} {NOTHING:14} {NOTHING}",
            "", "client: close(), a reset"
        );
        println!(
            "          Both ends are gone at once: no TIME-WAIT, no farewell. The server reads:"
        );
        println!("          {error}.");
        *states = states.clone().row([
            "client: `close()`, a reset".into(),
            NOTHING.into(),
            NOTHING.into(),
        ]);
        Ok(())
    }

    /// Reads the end of what the other side says, and nothing else.
    fn expect_end(stream: &mut TcpStream) -> io::Result<()> {
        match stream.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(io::Error::other("a byte came that no one sent")),
        }
    }

    /// How many descriptors this program has open, the one to count them with not among them.
    fn descriptors() -> io::Result<usize> {
        Ok(fs::read_dir("/proc/self/fd")?.count() - 1)
    }

    /// The other end of a listener.
    fn nowhere() -> SocketAddr {
        ([0, 0, 0, 0], 0).into()
    }

    // ANCHOR: wait
    /// The other end is a moment behind: asks again and again until it is so, up to a deadline.
    fn wait_until(what: &str, mut it_is_so: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
        let at_latest = Instant::now() + DEADLINE;
        while !it_is_so()? {
            if Instant::now() >= at_latest {
                let late = format!("waited {DEADLINE:?} in vain until {what}");
                return Err(io::Error::new(ErrorKind::TimedOut, late));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
    // ANCHOR_END: wait

    /// What has been seen of the connection so far.
    struct Life {
        start: Instant,
        client_at: SocketAddr,
        server_at: SocketAddr,
        last: [Option<State>; 2],
        sequence: Sequence,
        states: Table,
    }

    impl Life {
        fn new() -> Self {
            println!("{:10}{:34} {:14} server's end", "", "", "client's end");
            Self {
                start: Instant::now(),
                client_at: nowhere(),
                server_at: nowhere(),
                last: [None; 2],
                sequence: Sequence::new(),
                states: Table::new([
                    Column::words("after"),
                    Column::words("client's end"),
                    Column::words("server's end"),
                ]),
            }
        }

        fn now(&self) -> u64 {
            self.start.elapsed().as_micros() as u64
        }

        fn server_at(&mut self, address: SocketAddr) {
            self.server_at = address;
            self.sequence.host("client", None);
            self.sequence.host("server", Some(&format!("`{address}`")));
        }

        fn client_at(&mut self, address: SocketAddr) {
            self.client_at = address;
            self.sequence.hosts[CLIENT].detail = Some(format!("`{address}`"));
        }

        /// Waits until the listener is in a state, and tells of it.
        fn listening(&mut self, state: State, call: &str, why: &str) -> io::Result<()> {
            wait_until(&format!("the listener is in {state}"), || {
                Ok(find(self.server_at, nowhere())?.map(|entry| entry.state) == Some(state))
            })?;
            self.tell(call, [None, Some(state)], why);
            // The listener goes on listening; the connection's own end begins with nothing.
            self.last[SERVER] = None;
            Ok(())
        }

        /// Waits until the two ends are in these states, and tells of it; when, in microseconds.
        fn step(
            &mut self,
            call: &str,
            client: Option<State>,
            server: Option<State>,
            why: &str,
        ) -> io::Result<u64> {
            let state = |local, remote| -> io::Result<_> {
                Ok(find(local, remote)?.map(|entry| entry.state))
            };
            wait_until(&format!("{client:?} and {server:?} follow {call}"), || {
                Ok(state(self.client_at, self.server_at)? == client
                    && state(self.server_at, self.client_at)? == server)
            })?;
            Ok(self.tell(call, [client, server], why))
        }

        /// Prints and records a step.
        fn tell(&mut self, call: &str, states: [Option<State>; 2], why: &str) -> u64 {
            let names = states.map(|state| state.map_or(NOTHING.to_owned(), |s| s.to_string()));
            let at_us = self.now();
            let seconds = at_us as f64 / 1e6;
            let typed = call.replace('`', "");
            println!("{seconds:6.3} s  {typed:34} {:14} {}", names[0], names[1]);
            for line in why.lines() {
                println!("          {line}");
            }
            println!();

            for (host, name) in names.iter().enumerate() {
                if self.last[host] != states[host] {
                    let label = match states[host] {
                        Some(_) => format!("`{name}`"),
                        None => "gone".to_owned(),
                    };
                    self.sequence.state(at_us, host, label, None);
                }
            }
            self.last = states;

            let [client, server] = names.map(|name| match name.as_str() {
                NOTHING => name,
                _ => format!("`{name}`"),
            });
            let row = [call.to_owned(), client, server];
            self.states = self.states.clone().row(row);
            at_us
        }

        /// Records what one end did and when the other noticed, in microseconds.
        fn arrow(&mut self, from: usize, [at_us, seen_us]: [u64; 2], label: &str, note: &str) {
            self.sequence.events.push(Event {
                at_us,
                what: What::Message {
                    from,
                    to: if from == CLIENT { SERVER } else { CLIENT },
                    label: label.to_owned(),
                    note: Some(note.to_owned()),
                    arrived_us: Some(seen_us),
                    fate: Fate::Arrived,
                },
            });
        }

        /// The figures: the sequence in the order of its times, and the table.
        fn finish(mut self) -> (Sequence, Table) {
            self.sequence.events.sort_by_key(|event| event.at_us);
            (self.sequence, self.states)
        }
    }
}
