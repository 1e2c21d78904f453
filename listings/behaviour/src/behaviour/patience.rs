//! Clients that take their time, and clients that are gone.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use exec_service::client::{Client, get};
use socket2::{Domain, SockRef, Socket, Type};

use crate::server::{DEADLINE, eventually, until_read};
use crate::{Server, Subject};

/// How much later than its limit says a server may act: the machine has other things to do.
const SLACK: Duration = Duration::from_secs(5);

/// A client whose kernel takes no more than a few kilobytes for it.
fn narrow(address: SocketAddr) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.into()).unwrap();
    Client::over(socket.into()).unwrap()
}

/// How long others may wait for an answer at most: a server that waits for a slow client makes them wait
/// for as long as that has its connection, seconds and more.
const UNHARMED: Duration = Duration::from_secs(2);

/// It asks for much and takes nearly nothing. Its answer lies in no one's memory, and when it takes
/// nothing for too long, its connection ends.
#[doc(alias = "test")]
pub fn a_client_that_reads_one_byte_a_second_harms_nobody(subject: &Subject) {
    const SECONDS: usize = 2;
    let slow = if subject.holds_all() { 100 } else { 1 };
    let server = Server::start(subject, &["--limits", "write=2100"]);
    // Makes it lay out the pattern, which is no client's.
    assert_eq!(server.get("/bytes/1").status, 200);
    let before = server.memory();
    let mut readers: Vec<Client> = (0..slow).map(|_| narrow(server.address)).collect();
    let start = Instant::now();
    for reader in &mut readers {
        reader.send(get("/bytes/1000000000").repeat(10)).unwrap();
    }
    if subject.is_concurrent() {
        for second in 1..=SECONDS {
            let mut client = server.client();
            while start.elapsed() < Duration::from_secs(second as u64) {
                let asked = Instant::now();
                assert_eq!(client.get("/").unwrap().status, 200);
                assert!(asked.elapsed() < UNHARMED, "{:?}", asked.elapsed());
                thread::sleep(Duration::from_millis(10));
            }
            for reader in &mut readers {
                reader.stream().read_exact(&mut [0]).unwrap();
            }
        }
        let grown = server.memory().saturating_sub(before);
        assert!(
            grown < (4 << 20) + slow * 64 * 1024,
            "{grown} bytes for {slow} slow readers"
        );
    }
    // Whoever waited is served, at the latest when the slow ones are cut off.
    assert_eq!(server.get("/").status, 200);
    eventually("the slow readers to be cut off", || server.open() == 0);
}

/// It sends request after request and takes no answer. The server stops reading when it has enough to
/// write, so it is the client that has to wait.
#[doc(alias = "test")]
pub fn a_client_that_never_reads_cannot_make_the_server_hoard(subject: &Subject) {
    let server = Server::start(subject, &["--limits", "write=3000"]);
    // Makes it lay out the pattern, which is no client's.
    assert_eq!(server.get("/bytes/1").status, 200);
    let before = server.memory();
    let client = narrow(server.address);
    client
        .stream()
        .set_write_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let requests = get("/bytes/16000").repeat(1000);
    let mut sent = 0;
    let blocked = loop {
        match client.stream().write(requests.as_bytes()) {
            Ok(len) => sent += len,
            Err(error) => break error,
        }
    };
    assert_eq!(
        blocked.kind(),
        ErrorKind::WouldBlock,
        "after {sent} bytes: {blocked}"
    );
    // Answers to all that was sent would be a thousand times as much. What a worker has for all its
    // connections, such as the buffers that a kernel fills, is touched here for the first time.
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes, after {sent} were sent");
    eventually("the client to be cut off", || server.open() == 0);
}

/// It sends a request, a byte from time to time, and never its end. The limit is on the whole head, so
/// it has to leave as if it had been silent.
#[doc(alias = "test")]
pub fn a_slow_loris_is_cut_off(subject: &Subject) {
    const LIMIT: Duration = Duration::from_millis(500);
    let server = Server::start(subject, &["--limits", "head=500,body=500"]);
    let count = if subject.holds_all() { 50 } else { 1 };
    let endless_head = "GET / HTTP/1.1\r\nHost: localhost\r\nX: "
        .bytes()
        .chain(std::iter::repeat(b'x'));
    let endless_body = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n";
    let endless_chunks =
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let slow_chunks = "1\r\nx\r\n".bytes().cycle();
    let lorises: [(&str, Box<dyn Iterator<Item = u8>>); 3] = [
        ("", Box::new(endless_head)),
        (endless_body, Box::new(std::iter::repeat(b'x'))),
        (endless_chunks, Box::new(slow_chunks)),
    ];
    for (first, mut bytes) in lorises {
        let mut clients: Vec<Client> = (0..count).map(|_| server.client()).collect();
        for client in &mut clients {
            client.send(first).unwrap();
        }
        let start = Instant::now();
        let ended = |client: &Client| {
            let mut byte = [std::mem::MaybeUninit::uninit()];
            let socket = SockRef::from(client.stream());
            let flags = nix::libc::MSG_PEEK | nix::libc::MSG_DONTWAIT;
            socket
                .recv_with_flags(&mut byte, flags)
                .map_or_else(|error| error.kind() != ErrorKind::WouldBlock, |_| true)
        };
        while !clients.iter().all(&ended) {
            assert!(
                start.elapsed() < LIMIT + SLACK,
                "{first:?}: it may go on for ever"
            );
            let byte = bytes.next().expect("there is no end");
            for client in &mut clients {
                // Those that were cut off notice it here or later.
                let _ = client.send([byte]);
            }
            if subject.is_concurrent() {
                let asked = Instant::now();
                assert_eq!(server.get("/").status, 200);
                assert!(asked.elapsed() < UNHARMED, "{:?}", asked.elapsed());
            }
            thread::sleep(Duration::from_millis(20));
        }
        assert!(
            start.elapsed() >= LIMIT * 8 / 10,
            "{first:?}: after {:?}",
            start.elapsed()
        );
        for client in &mut clients {
            // The answer says why, unless it is lost to the bytes that came after it.
            if let Ok(answer) = client.answer() {
                assert!(answer.status == 408 && answer.closes(), "{}", answer.head);
            }
        }
        drop(clients);
        assert_eq!(server.get("/").status, 200);
    }
}

/// A connection on which nothing happens ends without a word: there is nothing to answer.
#[doc(alias = "test")]
pub fn silence_is_ended(subject: &Subject) {
    let server = Server::start(subject, &["--limits", "head=300,idle=600"]);
    for (requests, limit) in [(0, 300), (1, 600)] {
        let limit = Duration::from_millis(limit);
        // The server's time begins when the kernel has the connection.
        let start = Instant::now();
        let mut client = server.client();
        for _ in 0..requests {
            assert_eq!(client.get("/").unwrap().status, 200);
        }
        assert_eq!(client.end().unwrap(), b"");
        let took = start.elapsed();
        assert!(
            took >= limit && took < limit + SLACK,
            "{took:?} instead of {limit:?}"
        );
    }
}

/// In the middle of a request, of a wait, and of an answer, politely and not.
#[doc(alias = "test")]
pub fn clients_that_vanish_leave_nothing_behind(subject: &Subject) {
    let server = Server::start(subject, &[]);
    let large = get("/bytes/1000000000");
    assert_eq!(server.get("/bytes/1").status, 200);
    let before = server.memory();
    for round in 0..30 {
        for (request, reads) in [
            ("GET / HTTP/1.1\r\nHo", false),
            (
                "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000\r\n\r\nsome",
                false,
            ),
            (&*get("/slow/50"), false),
            (&*large, true),
            (&*large.repeat(3), true),
        ] {
            let mut client = server.client();
            client.send(request).unwrap();
            if reads {
                client.stream().read_exact(&mut [0; 1000]).unwrap();
            } else {
                until_read(client.stream());
            }
            if round % 2 == 0 {
                SockRef::from(client.stream())
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
            }
        }
    }
    eventually("all of them to be gone", || server.open() == 0);
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes more");
    let start = Instant::now();
    assert_eq!(server.get("/").status, 200);
    assert!(start.elapsed() < DEADLINE);
}
