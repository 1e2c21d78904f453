//! `cargo book serve`: shows every language, follows changes, survives mistakes, ends cleanly.

#![cfg(unix)]

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use common::Book;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long anything may take before the test gives up. Nothing waits for this on purpose.
const DEADLINE: Duration = Duration::from_secs(30);

const KO: &str = "src/ko/ch01-basics/ports.md";

/// A running `cargo book serve`, ended when dropped.
struct Server {
    child: Child,
    address: SocketAddr,
    lines: Receiver<String>,
}

impl Server {
    fn start(book: &Book, port: u16) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_book"))
            .args(["serve", "--port", &port.to_string()])
            .current_dir(book.root())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (say, lines) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if say.send(line).is_err() {
                    break;
                }
            }
        });
        let mut server = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            lines,
        };
        let line = server.line_with("http://");
        let address = line.split("http://").nth(1).unwrap();
        server.address = address.split('/').next().unwrap().parse().unwrap();
        server
    }

    /// The next line that it prints with `part` in it.
    #[track_caller]
    fn line_with(&self, part: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(DEADLINE).unwrap_or_else(|error| {
                panic!("no line with {part:?}: {error}");
            });
            if line.contains(part) {
                return line;
            }
        }
    }

    fn connect(&self, path: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        BufReader::new(stream)
    }

    fn get(&self, path: &str) -> String {
        let mut answer = String::new();
        self.connect(path).read_to_string(&mut answer).unwrap();
        answer
    }

    fn signal(&mut self, signal: Signal) -> std::process::ExitStatus {
        let id = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(id, signal).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a page hears from the server.
struct Events(BufReader<TcpStream>);

impl Events {
    /// The name and the data of the next event.
    fn next(&mut self) -> (String, String) {
        let (mut name, mut data) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream ended");
            if let Some(rest) = line.strip_prefix("event: ") {
                name = rest.trim_end().to_owned();
            } else if let Some(rest) = line.strip_prefix("data: ") {
                data.push_str(rest);
            } else if line.trim().is_empty() && !name.is_empty() {
                return (name, data);
            }
        }
    }

    fn wait_for(&mut self, wanted: &str) -> String {
        loop {
            let (name, data) = self.next();
            if name == wanted {
                return data;
            }
        }
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn it_shows_both_languages_and_says_where() {
    let book = Book::new();
    let server = Server::start(&book, free_port());
    assert!(server.get("/").contains("href=\"ko/index.html\""));
    assert!(server.get("/ko/").contains("안녕하세요."));
    assert!(server.get("/en/index.html").contains("Hello."));
    // Two slashes in front would make `ko` a host's name.
    for path in ["/ko", "//ko"] {
        let answer = server.get(path).to_lowercase();
        assert!(answer.starts_with("http/1.1 307"), "{answer}");
        assert!(answer.contains("\r\nlocation: /ko/\r\n"), "{answer}");
    }
    let missing = server.get("/ko/none.html");
    assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");
    assert!(server.get("/%2e%2e/book.toml").starts_with("HTTP/1.1 400"));
}

#[test]
fn a_saved_page_is_built_and_the_open_page_is_told() {
    let book = Book::new();
    let server = Server::start(&book, free_port());
    let mut events = Events(server.connect("/~events"));
    let first = events.wait_for("built");
    book.change(KO, "이것은 사실입니다.", "이것은 측정했습니다.");
    let second = events.wait_for("built");
    assert_ne!(first, second);
    assert!(
        server
            .get("/ko/ch01-basics/ports.html")
            .contains("이것은 측정했습니다.")
    );
    // What a listing printed, and the site's looks, are part of the book too.
    book.write("listings/ch01-basics/ports/output.txt", "bound anew\n");
    events.wait_for("built");
    assert!(
        server
            .get("/en/ch01-basics/ports.html")
            .contains("<samp>bound anew</samp>")
    );
}

#[test]
fn a_mistake_is_told_and_the_last_good_page_stays_until_it_is_mended() {
    let book = Book::new();
    let server = Server::start(&book, free_port());
    let mut events = Events(server.connect("/~events"));
    events.wait_for("built");
    book.change(KO, "{{#listing basics-ports}}", "{{#listing basics-prots}}");
    let error = events.wait_for("failed");
    assert!(
        error.contains(&format!("{KO}:5: there is no listing `basics-prots`")),
        "{error}"
    );
    assert!(
        server
            .get("/ko/ch01-basics/ports.html")
            .contains("포트는 방 번호와 같습니다.")
    );
    book.change(KO, "{{#listing basics-prots}}", "{{#listing basics-ports}}");
    events.wait_for("built");
}

#[test]
fn a_book_that_does_not_build_at_first_is_shown_once_it_does() {
    let book = Book::new();
    book.change(KO, "{{#listing basics-ports}}", "{{#listing basics-prots}}");
    let server = Server::start(&book, free_port());
    let page = server.get("/ko/");
    assert!(
        page.contains("there is no listing `basics-prots`"),
        "{page}"
    );
    let mut events = Events(server.connect("/~events"));
    events.wait_for("failed");
    book.change(KO, "{{#listing basics-prots}}", "{{#listing basics-ports}}");
    events.wait_for("built");
    assert!(server.get("/ko/").contains("안녕하세요."));
}

#[test]
fn two_at_once_share_no_port_and_no_folder() {
    let book = Book::new();
    let port = free_port();
    let mut first = Server::start(&book, port);
    let second = Server::start(&book, port);
    assert_eq!(first.address.port(), port);
    assert!(second.address.port() > port);
    assert!(first.signal(Signal::SIGINT).success());
    assert!(second.get("/ko/").contains("안녕하세요."));
}

#[test]
fn a_taken_port_is_named() {
    let book = Book::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let child = Command::new(env!("CARGO_BIN_EXE_book"))
        .args(["serve", "--port", &port.to_string()])
        .current_dir(book.root())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Ended(child);
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(
        line,
        format!("port {port} is taken, trying {}\n", u32::from(port) + 1)
    );
}

/// A child that is ended when dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn ctrl_c_a_closed_terminal_and_a_polite_kill_end_it_and_leave_nothing() {
    let book = Book::new();
    for signal in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGTERM] {
        let mut server = Server::start(&book, free_port());
        // An open page holds its stream of events: that must not keep the server from ending.
        let mut events = Events(server.connect("/~events"));
        events.wait_for("built");
        assert!(server.signal(signal).success(), "{signal}");
        server.line_with("stopped");
        let left: Vec<String> = std::fs::read_dir(book.path("target/book"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with("serve") || name.starts_with("work"))
            .collect();
        assert!(left.is_empty(), "{signal}: {left:?}");
    }
}

#[test]
fn a_configuration_that_is_saved_by_renaming_is_followed_more_than_once() {
    let book = Book::new();
    let server = Server::start(&book, free_port());
    let mut events = Events(server.connect("/~events"));
    events.wait_for("built");
    for host in ["one.example", "two.example"] {
        let text = book.read("book.toml");
        let url = text
            .split('"')
            .find(|part| part.starts_with("https://") && !part.contains("/book/"));
        book.write(
            "book.toml.new",
            text.replace(url.unwrap(), &format!("https://{host}/book")),
        );
        std::fs::rename(book.path("book.toml.new"), book.path("book.toml")).unwrap();
        events.wait_for("built");
        assert!(server.get("/ko/").contains(host), "{host}");
    }
}
