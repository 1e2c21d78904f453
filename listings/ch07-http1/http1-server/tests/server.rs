//! The server, with clients that are slow, many, hasty, or still there when it ends.
#![cfg(unix)]

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use http1_server::client::Client;
use http1_server::server::{Limits, Server, Stop, Totals};
use http1_server::site::{Folder, Site};
use testkit::wait_for;

/// Longer than anything here takes that is not about time.
const LONG: Duration = Duration::from_secs(60);

/// What a client is given that is to be cut off.
const SHORT: Duration = Duration::from_millis(300);

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Limits that nobody reaches.
fn limits() -> Limits {
    Limits {
        connections: 64,
        head: LONG,
        idle: LONG,
        hurry: SHORT,
        stall: LONG,
        rate: 1,
        linger: SHORT,
        grace: SHORT,
        drain: LONG,
    }
}

/// Tells the server to end, also when the test has failed.
struct End(Stop);

impl Drop for End {
    fn drop(&mut self) {
        self.0.request();
    }
}

/// Runs a server while `test` is under way, and gives what it has done.
fn serve(limits: Limits, test: impl FnOnce(SocketAddr, &Stop, &Path)) -> Totals {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hello.txt"), "hello").unwrap();
    let site = Site::new(Some(Folder::open(folder.path()).unwrap()));
    let server = Server::bind((Ipv4Addr::LOCALHOST, 0).into(), limits).unwrap();
    let (address, stop) = (server.address().unwrap(), server.stop());
    thread::scope(|scope| {
        let server = scope.spawn(|| server.run(&site).unwrap());
        let end = End(stop.clone());
        test(address, &stop, folder.path());
        drop(end);
        server.join().unwrap()
    })
}

fn client(address: SocketAddr) -> Client {
    Client::connect(address).unwrap()
}

#[track_caller]
fn is_served(address: SocketAddr) {
    let answer = client(address).ask("GET", "/hello.txt", &[], None).unwrap();
    assert_eq!(answer.text(), "hello");
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

/// Sends a byte every now and then until the server says something, and gives what that is, and how
/// long it took.
fn trickle(address: SocketAddr, first: &[u8], meanwhile: impl Fn()) -> (String, Duration) {
    let begun = Instant::now();
    let mut stream = connect(address);
    stream.write_all(first).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    let mut heard = [0; 4096];
    loop {
        // The server may have closed in this moment: then there is something to be read.
        let _ = stream.write(b"x");
        meanwhile();
        match stream.read(&mut heard) {
            Ok(len) => {
                let text = String::from_utf8_lossy(&heard[..len]).into_owned();
                return (text, begun.elapsed());
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                assert!(begun.elapsed() < LONG, "nothing came");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_head_that_comes_byte_by_byte_is_cut_off_while_others_are_served() {
    let limits = Limits {
        head: SHORT,
        ..limits()
    };
    serve(limits, |address, _, _| {
        let served = AtomicUsize::new(0);
        let (heard, after) = trickle(address, b"GET / HTTP/1.1\r\nX: ", || {
            is_served(address);
            served.fetch_add(1, Ordering::Relaxed);
        });
        assert!(heard.starts_with("HTTP/1.1 408 "), "{heard}");
        assert!(heard.contains("\r\nConnection: close\r\n"), "{heard}");
        assert!(after >= SHORT && after < LONG / 4, "{after:?}");
        assert!(served.load(Ordering::Relaxed) > 0);
    });
}

#[test]
fn a_client_that_says_nothing_at_all_is_let_go_without_a_word() {
    let limits = Limits {
        head: SHORT,
        ..limits()
    };
    serve(limits, |address, _, _| {
        let begun = Instant::now();
        let mut heard = Vec::new();
        connect(address).read_to_end(&mut heard).unwrap();
        assert!(heard.is_empty());
        assert!(begun.elapsed() >= SHORT && begun.elapsed() < LONG / 4);
    });
}

#[test]
fn an_idle_connection_ends_after_its_time_and_not_before() {
    let limits = Limits {
        idle: SHORT,
        ..limits()
    };
    serve(limits, |address, _, _| {
        let mut client = client(address);
        client.ask("GET", "/hello.txt", &[], None).unwrap();
        let begun = Instant::now();
        client.ask("GET", "/hello.txt", &[], None).unwrap();
        let mut heard = Vec::new();
        client.stream().read_to_end(&mut heard).unwrap();
        assert!(heard.is_empty());
        assert!(begun.elapsed() >= SHORT && begun.elapsed() < LONG / 4);
    });
}

const UPLOAD: &str = "PUT /api/notes/a HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
    Content-Length: 20000\r\n\r\n";

#[test]
fn content_that_comes_too_slowly_is_cut_off() {
    let limits = Limits {
        stall: SHORT,
        rate: 100_000,
        ..limits()
    };
    serve(limits, |address, _, _| {
        let (heard, after) = trickle(address, UPLOAD.as_bytes(), || {});
        assert!(heard.starts_with("HTTP/1.1 408 "), "{heard}");
        assert!(after >= SHORT && after < LONG / 4, "{after:?}");
    });
}

#[test]
fn content_that_comes_to_a_halt_is_cut_off_and_what_keeps_coming_is_not() {
    let limits = Limits {
        stall: SHORT,
        rate: 1000,
        ..limits()
    };
    serve(limits, |address, _, _| {
        let mut stream = connect(address);
        stream.write_all(UPLOAD.as_bytes()).unwrap();
        stream.write_all(b"{").unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).unwrap();
        assert!(heard.starts_with("HTTP/1.1 408 "), "{heard}");

        // Forty times quicker than it must be, for longer than any one byte may take.
        let note = format!(r#"{{"title":"a","text":"{}"}}"#, "x".repeat(3900));
        let mut client = client(address);
        let request = client
            .request("PUT", "/api/notes/a", &[JSON], Some(note.as_bytes()))
            .unwrap();
        let begun = Instant::now();
        for piece in request.chunks(400) {
            client.stream().write_all(piece).unwrap();
            thread::sleep(SHORT / 6);
        }
        assert!(begun.elapsed() > SHORT);
        assert_eq!(client.answer(request).unwrap().status.code(), 201);
    });
}

/// A file that no socket's buffers hold.
fn big(folder: &Path, len: u64) {
    let file = fs::File::create(folder.join("big.bin")).unwrap();
    file.set_len(len).unwrap();
}

#[test]
fn a_client_that_does_not_take_its_answer_is_cut_off() {
    let limits = Limits {
        connections: 1,
        stall: SHORT,
        ..limits()
    };
    serve(limits, |address, _, folder| {
        big(folder, 64 << 20);
        let mut stream = connect(address);
        stream
            .write_all(b"GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        // It has the only place, until it has lost it.
        is_served(address);
        let mut taken = Vec::new();
        let outcome = stream.read_to_end(&mut taken);
        assert!(outcome.is_err() || taken.len() < 64 << 20);
    });
}

#[test]
fn a_server_full_of_slow_and_idle_clients_has_room_for_one_who_asks() {
    let limits = Limits {
        connections: 8,
        ..limits()
    };
    serve(limits, |address, _, _| {
        let begun = Instant::now();
        let _slow: Vec<TcpStream> = (0..4)
            .map(|_| {
                let mut stream = connect(address);
                stream.write_all(b"GET / HTTP/1.1\r\nX: ").unwrap();
                stream
            })
            .collect();
        let idle = || {
            let mut client = client(address);
            client.ask("GET", "/hello.txt", &[], None).unwrap();
            client
        };
        let _idle: Vec<Client> = (0..4).map(|_| idle()).collect();
        for _ in 0..20 {
            is_served(address);
        }
        // Not for their deadlines' sake.
        assert!(begun.elapsed() < LONG / 2, "{:?}", begun.elapsed());
    });
}

#[test]
fn who_is_under_way_keeps_the_place_and_the_next_one_waits() {
    let limits = Limits {
        connections: 2,
        ..limits()
    };
    serve(limits, |address, _, _| {
        let note = br#"{"title":"a"}"#;
        let mut busy: Vec<(Client, Vec<u8>)> = (0..2)
            .map(|_| {
                let mut client = client(address);
                let request = client
                    .request(
                        "POST",
                        "/api/notes",
                        &[JSON, ("Expect", "100-continue")],
                        Some(note),
                    )
                    .unwrap();
                let head = request.len() - note.len();
                client.stream().write_all(&request[..head]).unwrap();
                // Now the head was read.
                let mut leave = [0; 25];
                client.stream().read_exact(&mut leave).unwrap();
                assert_eq!(&leave, b"HTTP/1.1 100 Continue\r\n\r\n");
                (client, request)
            })
            .collect();
        let mut next = client(address);
        let request = next.request("GET", "/hello.txt", &[], None).unwrap();
        next.stream().write_all(&request).unwrap();
        next.stream().set_read_timeout(Some(SHORT)).unwrap();
        next.stream().peek(&mut [0]).unwrap_err();

        for (client, request) in &mut busy {
            client.stream().write_all(note).unwrap();
            let answer = client.answer(std::mem::take(request)).unwrap();
            assert_eq!(answer.status.code(), 201);
        }
        // They are idle now.
        next.stream().set_read_timeout(Some(LONG)).unwrap();
        assert_eq!(next.answer(request).unwrap().text(), "hello");
    });
}

#[test]
fn requests_in_a_pipeline_are_answered_in_their_order() {
    let totals = serve(limits(), |address, _, folder| {
        let mut client = client(address);
        let mut pipeline = Vec::new();
        for number in 0..50 {
            fs::write(folder.join(format!("{number}.txt")), number.to_string()).unwrap();
            let target = format!("/{number}.txt");
            let method = if number % 3 == 0 { "HEAD" } else { "GET" };
            pipeline.extend(client.request(method, &target, &[], None).unwrap());
        }
        client.stream().write_all(&pipeline).unwrap();
        for number in 0..50 {
            let answer = client.answer(Vec::new()).unwrap();
            let text = if number % 3 == 0 {
                String::new()
            } else {
                number.to_string()
            };
            assert_eq!((answer.status.code(), answer.text()), (200, text));
        }
    });
    assert_eq!(
        totals,
        Totals {
            connections: 1,
            requests: 50
        }
    );
}

#[test]
fn a_client_that_waits_for_leave_gets_it_or_an_answer() {
    serve(limits(), |address, _, _| {
        let ask = |content_type: &str, content: &[u8]| {
            let head = format!(
                "POST /api/notes HTTP/1.1\r\nHost: a\r\nContent-Type: {content_type}\r\n\
                 Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
                content.len()
            );
            let mut stream = connect(address);
            stream.write_all(head.as_bytes()).unwrap();
            let mut heard = [0; 12];
            stream.read_exact(&mut heard).unwrap();
            (stream, String::from_utf8_lossy(&heard).into_owned())
        };
        let note = br#"{"title":"a"}"#;
        let (mut stream, heard) = ask("application/json", note);
        assert_eq!(heard, "HTTP/1.1 100");
        stream.write_all(note).unwrap();
        let mut answer = [0; 4096];
        let len = stream.read(&mut answer[..13]).unwrap();
        assert_eq!(&answer[..len], b" Continue\r\n\r\n");
        let len = stream.read(&mut answer).unwrap();
        assert!(answer[..len].starts_with(b"HTTP/1.1 201 Created\r\n"));

        for (content_type, len, expected) in [
            ("text/plain", 10, "HTTP/1.1 415"),
            ("application/json", 100_000, "HTTP/1.1 413"),
        ] {
            let (mut stream, heard) = ask(content_type, &vec![b' '; len]);
            assert_eq!(heard, expected);
            let mut rest = String::new();
            stream.read_to_string(&mut rest).unwrap();
            assert!(rest.contains("\r\nConnection: close\r\n"), "{rest}");
        }
    });
}

#[test]
fn content_beyond_the_limit_is_refused_however_it_comes() {
    serve(limits(), |address, _, _| {
        let mut stream = connect(address);
        let head = "POST /api/notes HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
            Transfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        for _ in 0..70 {
            stream.write_all(b"400\r\n").unwrap();
            stream.write_all(&[b' '; 1024]).unwrap();
            stream.write_all(b"\r\n").unwrap();
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
        let mut heard = [0; 12];
        stream.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"HTTP/1.1 413");
    });
}

/// A thread's stack is smaller than a test's: content that is nested as deep as JSON may be must fit.
#[test]
fn deeply_nested_content_is_refused_and_the_server_goes_on() {
    serve(limits(), |address, _, _| {
        let mut client = client(address);
        let note = br#"{"title":"a"}"#;
        client
            .ask("PUT", "/api/notes/a", &[JSON], Some(note))
            .unwrap();
        let patch = ("Content-Type", "application/merge-patch+json");
        for (depth, expected) in [(127, 422), (128, 400), (10_000, 400)] {
            let objects = format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
            let arrays = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            for content in [objects, arrays] {
                let content = Some(content.as_bytes());
                let put = client.ask("PUT", "/api/notes/a", &[JSON], content).unwrap();
                assert_eq!(put.status.code(), expected, "{depth}");
                let patched = client
                    .ask("PATCH", "/api/notes/a", &[patch], content)
                    .unwrap();
                assert_eq!(patched.status.code(), expected, "{depth}");
            }
        }
        is_served(address);
    });
}

#[test]
fn what_is_no_request_is_refused_and_the_server_goes_on() {
    serve(limits(), |address, _, _| {
        for (bytes, expected) in [
            (&b"hello\r\n\r\n"[..], "HTTP/1.1 400 "),
            (b"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "),
            (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "HTTP/1.1 505 "),
            (
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                "HTTP/1.1 400 ",
            ),
            (
                &[
                    b"GET / HTTP/1.1\r\nHost: a\r\n".as_slice(),
                    &[b"X: y\r\n".as_slice(); 4000].concat(),
                ]
                .concat(),
                "HTTP/1.1 431 ",
            ),
        ] {
            let mut stream = connect(address);
            stream.write_all(bytes).unwrap();
            let mut heard = String::new();
            stream.read_to_string(&mut heard).unwrap();
            assert!(heard.starts_with(expected), "{heard}");
            assert!(heard.contains("\r\nConnection: close\r\n"), "{heard}");
        }
        is_served(address);
    });
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_ends_the_connection_and_not_the_answer() {
    serve(limits(), |address, _, folder| {
        big(folder, 64 << 20);
        let mut client = client(address);
        let request = client.request("GET", "/big.bin", &[], None).unwrap();
        client.stream().write_all(&request).unwrap();
        client.stream().peek(&mut [0]).unwrap();
        big(folder, 1);
        let error = client.answer(request).unwrap_err();
        assert!(
            matches!(
                error.kind(),
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
            ),
            "{error:?}"
        );
        is_served(address);
    });
}

#[test]
fn when_it_is_told_to_end_what_is_under_way_is_finished() {
    let begun = Instant::now();
    serve(limits(), |address, stop, folder| {
        big(folder, 32 << 20);
        let mut downloads = client(address);
        let download = downloads.request("GET", "/big.bin", &[], None).unwrap();
        downloads.stream().write_all(&download).unwrap();
        downloads.stream().peek(&mut [0]).unwrap();

        let mut uploads = client(address);
        let note = br#"{"title":"a"}"#;
        let upload = uploads
            .request("POST", "/api/notes", &[JSON], Some(note))
            .unwrap();
        uploads.stream().write_all(&upload[..10]).unwrap();

        let mut idle = client(address);
        idle.ask("GET", "/hello.txt", &[], None).unwrap();

        stop.request();
        wait_for("the end of new connections", || {
            let attempt = TcpStream::connect_timeout(&address, Duration::from_millis(50));
            attempt.is_err().then_some(())
        });
        uploads.stream().write_all(&upload[10..]).unwrap();
        let answer = uploads.answer(upload).unwrap();
        assert_eq!(answer.status.code(), 201);
        assert_eq!(answer.get("connection"), Some("close"));
        assert_eq!(downloads.answer(download).unwrap().content.len(), 32 << 20);
        let mut rest = Vec::new();
        idle.stream().read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty());
    });
    assert!(begun.elapsed() < LONG / 2, "{:?}", begun.elapsed());
}

/// Whoever has connected has been answered, up to the very end, and most of them were still in the kernel's
/// queue then. Elsewhere than on Linux, connections go on to begin.
#[cfg(target_os = "linux")]
#[test]
fn when_it_is_told_to_end_no_request_of_many_is_lost() {
    const CLIENTS: usize = 32;
    let limits = Limits {
        connections: 4,
        hurry: LONG,
        drain: Duration::from_secs(10),
        ..limits()
    };
    let answered = AtomicUsize::new(0);
    let totals = serve(limits, |address, stop, _| {
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    // Once it is told, a SYN is dropped, until the socket closes and it is refused.
                    let quick = Duration::from_millis(100);
                    while let Ok(stream) = TcpStream::connect_timeout(&address, quick) {
                        let mut client = Client::over(stream).unwrap();
                        client.ask("GET", "/hello.txt", &[], None).unwrap();
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            wait_for("some answers", || {
                (answered.load(Ordering::Relaxed) > 200).then_some(())
            });
            stop.request();
        });
    });
    assert_eq!(totals.requests as usize, answered.load(Ordering::Relaxed));
}

#[test]
fn who_takes_too_long_is_left_behind_when_it_ends() {
    let limits = Limits {
        drain: SHORT,
        ..limits()
    };
    let begun = Instant::now();
    serve(limits, |address, stop, folder| {
        big(folder, 64 << 20);
        let mut downloads = connect(address);
        downloads
            .write_all(b"GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        downloads.peek(&mut [0]).unwrap();
        let mut slow = connect(address);
        slow.write_all(b"GET / HTTP/1.1\r\nX: ").unwrap();
        stop.request();
        let mut heard = String::new();
        slow.read_to_string(&mut heard).unwrap();
        assert!(heard.starts_with("HTTP/1.1 408 "), "{heard}");
    });
    assert!(begun.elapsed() < LONG / 2, "{:?}", begun.elapsed());
}

/// However long the file, and however many ask for it.
#[cfg(target_os = "linux")]
#[test]
fn a_file_is_not_in_memory_as_a_whole() {
    const LEN: u64 = 256 << 20;
    const MOST_KIB: u64 = 32 << 10;
    let folder = tempfile::tempdir().unwrap();
    big(folder.path(), LEN);
    let server = testkit::listing!()
        .arg("127.0.0.1:0")
        .arg(folder.path())
        .serve();
    let address = server.address();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut stream = connect(address);
                let request = b"GET /big.bin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
                stream.write_all(request).unwrap();
                let (mut taken, mut buffer) = (0, vec![0; 1 << 20]);
                loop {
                    match stream.read(&mut buffer).unwrap() {
                        0 => break,
                        len => taken += len as u64,
                    }
                }
                assert!(taken > LEN);
            });
        }
    });
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: u64 = peak
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    assert!(kib < MOST_KIB, "{kib} KiB");
}
