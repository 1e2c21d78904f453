//! Many clients at a time, and more than there are descriptors for.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use exec_service::client::{Client, get};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, SockRef, Socket, Type};

use crate::server::{DEADLINE, eventually};
use crate::{Kind, Server, Subject};

/// How many clients there are.
const CROWD: usize = 10_000;

/// Descriptors beside those of the crowd: the tests beside this one have connections, too.
const OTHER_DESCRIPTORS: u64 = 2_000;

/// Ten thousand clients at once. A server that can, has all of them connected, serves each twice, and
/// spends little on those that are silent. One that cannot serves them in turn: each is answered in
/// the end.
#[doc(alias = "test")]
pub fn ten_thousand_clients_are_served(subject: &Subject) {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let needed = CROWD as u64 + OTHER_DESCRIPTORS;
    if hard < needed {
        testkit::skip(&format!(
            "needs {needed} descriptors, and the hard limit is {hard}"
        ));
        return;
    }
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let server = Server::start(subject, &[]);
    let Kind::Together { idle_connection } = subject.kind else {
        let before = server.memory();
        let mut crowd = Crowd::new(server.address);
        assert_eq!(crowd.ask(CROWD), CROWD);
        assert!(
            crowd.turned_away < CROWD / 100,
            "{} were turned away first",
            crowd.turned_away
        );
        let grown = server.memory().saturating_sub(before);
        assert!(grown < 4 << 20, "{grown} bytes more");
        return;
    };

    // The first clients make it fetch its buffers; these are no connection's.
    drop(
        (0..100)
            .map(|_| {
                let mut client = server.client();
                client.get("/").unwrap();
                client
            })
            .collect::<Vec<_>>(),
    );
    eventually("the first clients to be gone", || server.open() == 0);
    let before = server.memory();
    let mut crowd: Vec<Client> = (0..CROWD)
        .map(|n| {
            let mut client = server.client();
            assert_eq!(
                client
                    .get("/")
                    .unwrap_or_else(|error| panic!("client {n}: {error}"))
                    .status,
                200
            );
            client
        })
        .collect();
    assert_eq!(server.open(), CROWD as u64);
    let each = server.memory().saturating_sub(before) / CROWD;
    eprintln!("{each} bytes for an idle connection");
    if let Some(at_most) = idle_connection {
        assert!(each <= at_most, "{each} bytes for an idle connection");
    }
    // All of them speak before any hears.
    for client in &mut crowd {
        client.send(get("/")).unwrap();
    }
    for (n, client) in crowd.iter_mut().enumerate() {
        let answer = client
            .answer()
            .unwrap_or_else(|error| panic!("client {n}: {error}"));
        assert_eq!(answer.status, 200);
    }
    drop(crowd);
    eventually("all clients to be gone", || server.open() == 0);
}

/// So many clients at once, each of which asks once.
struct Crowd {
    address: SocketAddr,
    epoll: Epoll,
    waiting: HashMap<u64, (TcpStream, Vec<u8>)>,
    begun: u64,
    answered: usize,
    turned_away: usize,
}

impl Crowd {
    /// How many connections are begun before it is looked after those that there are.
    const AT_A_TIME: usize = 100;

    fn new(address: SocketAddr) -> Self {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        Self {
            address,
            epoll,
            waiting: HashMap::new(),
            begun: 0,
            answered: 0,
            turned_away: 0,
        }
    }

    /// Gives how many were answered within the deadline.
    fn ask(&mut self, clients: usize) -> usize {
        for _ in 0..clients / Self::AT_A_TIME {
            (0..Self::AT_A_TIME).for_each(|_| self.connect());
            self.look_after(EpollTimeout::ZERO);
        }
        let at_latest = Instant::now() + DEADLINE;
        while !self.waiting.is_empty() && Instant::now() < at_latest {
            self.look_after(EpollTimeout::from(100u16));
        }
        self.answered
    }

    fn connect(&mut self) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None).unwrap();
        match socket.connect(&self.address.into()) {
            Ok(()) => {}
            Err(error) => assert_eq!(
                error.raw_os_error(),
                Some(nix::libc::EINPROGRESS),
                "{error}"
            ),
        }
        let stream = TcpStream::from(socket);
        let event = EpollEvent::new(EpollFlags::EPOLLOUT, self.begun);
        self.epoll.add(&stream, event).unwrap();
        self.waiting.insert(self.begun, (stream, Vec::new()));
        self.begun += 1;
    }

    /// Takes the client out explicitly: closing its descriptor does not, as long as a process that
    /// another test is just starting has it, too.
    fn remove(&mut self, number: u64) {
        let (stream, _) = self.waiting.remove(&number).expect("a client that waits");
        self.epoll.delete(&stream).unwrap();
    }

    fn look_after(&mut self, timeout: EpollTimeout) {
        let mut events = [EpollEvent::empty(); 256];
        let ready = self.epoll.wait(&mut events, timeout).unwrap();
        for event in &events[..ready] {
            let key = event.data();
            let (stream, received) = self.waiting.get_mut(&key).expect("a client that waits");
            let outcome = if event.events().contains(EpollFlags::EPOLLOUT) {
                let hear = &mut EpollEvent::new(EpollFlags::EPOLLIN, key);
                self.epoll.modify(&*stream, hear).unwrap();
                stream.write_all(get("/").as_bytes()).map(|()| false)
            } else {
                receive(stream, received)
            };
            match outcome {
                Ok(false) => {}
                Ok(true) => {
                    let text = String::from_utf8_lossy(received);
                    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text:?}");
                    self.answered += 1;
                    self.remove(key);
                }
                // It was too slow with its request. A client may repeat one that is idempotent.
                Err(error) => {
                    assert!(received.is_empty(), "half an answer: {error}");
                    self.turned_away += 1;
                    self.remove(key);
                    self.connect();
                }
            }
        }
    }
}

/// Whether the answer is complete: its last line is.
fn receive(stream: &mut TcpStream, received: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 1024];
    match stream.read(&mut buffer) {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Ok(len) => {
            received.extend_from_slice(&buffer[..len]);
            let head = received.windows(4).position(|window| window == b"\r\n\r\n");
            let body = head.map(|at| &received[at + 4..]);
            Ok(body.is_some_and(|body| body.ends_with(b"\n")))
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// With a few dozen descriptors and two hundred clients: those who are in are served, the others wait
/// in the kernel's queue, nobody is lost, and the server does not compute while it waits.
#[doc(alias = "test")]
pub fn running_out_of_descriptors_is_survived_and_loses_nobody(subject: &Subject) {
    const DESCRIPTORS: usize = 64;
    const CLIENTS: usize = 200;
    /// After so many rounds in which everybody inside was served and nobody came, nobody will.
    const QUIET_ROUNDS: usize = 20;
    /// For how long the server is watched while it can accept nobody.
    const WATCHED: Duration = Duration::from_millis(500);
    let server = Server::start_with_descriptors(subject, DESCRIPTORS, &[]);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.client()).collect();
    for client in &mut clients {
        client.send(get("/")).unwrap();
    }
    if !subject.holds_all() {
        // It needs no descriptor for who waits: all are served in turn.
        for mut client in clients {
            assert_eq!(client.answer().unwrap().status, 200);
        }
        assert_eq!(server.get("/").status, 200);
        return;
    }
    // Those who are in are served as ever, and when nobody has come in for a while, the server is full.
    let mut inside: Vec<Client> = Vec::new();
    let mut quiet_rounds = 0;
    eventually("the server to be full", || {
        let came = those_answered(&mut clients);
        quiet_rounds = if came.is_empty() { quiet_rounds + 1 } else { 0 };
        inside.extend(came);
        ask_all(&mut inside);
        inside.len() >= DESCRIPTORS / 2 && quiet_rounds == QUIET_ROUNDS
    });
    assert!(inside.len() < DESCRIPTORS, "{} connections", inside.len());

    let before = server.processor_time();
    let start = Instant::now();
    while start.elapsed() < WATCHED {
        ask_all(&mut inside);
        std::thread::sleep(WATCHED / 20);
    }
    let used = server.processor_time() - before;
    assert!(
        used < WATCHED / 2,
        "it computed for {used:?} of {WATCHED:?}"
    );

    // Whenever some leave, others come in, until all were served.
    let mut served = inside.len();
    drop(inside);
    while !clients.is_empty() {
        eventually("the next clients to come in", || {
            let next = those_answered(&mut clients);
            served += next.len();
            !next.is_empty()
        });
    }
    assert_eq!(served, CLIENTS);
    assert_eq!(server.get("/").status, 200);
}

/// Takes those out of the crowd whose answer has come.
fn those_answered(crowd: &mut Vec<Client>) -> Vec<Client> {
    let is_answered = |client: &mut Client| {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        let flags = nix::libc::MSG_PEEK | nix::libc::MSG_DONTWAIT;
        let peeked = SockRef::from(client.stream()).recv_with_flags(&mut byte, flags);
        peeked.is_ok_and(|len| len > 0)
    };
    let mut answered: Vec<Client> = crowd.extract_if(.., is_answered).collect();
    for client in &mut answered {
        assert_eq!(client.answer().unwrap().status, 200);
    }
    answered
}

fn ask_all(clients: &mut [Client]) {
    for client in clients {
        let answer = client.get("/").unwrap();
        assert!(answer.status == 200 && !answer.closes(), "{}", answer.head);
    }
}
