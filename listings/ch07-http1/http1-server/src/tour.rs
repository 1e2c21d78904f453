//! What the server shows of itself when nobody says where it is to serve.

use std::error::Error;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use http1_server::client::{Client, Exchange};
use http1_server::server::{Limits, Server, Stop};
use http1_server::site::{Folder, Site};
use record::{Record, Sequence};

use crate::{sample, show};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How long a head may take here, so that nobody has to wait long for the end of a slow client.
const HEAD: Duration = Duration::from_millis(500);

/// From one byte of the slow client to the next.
const SLOW: Duration = Duration::from_millis(50);

/// Within what time a file's tag must have become strong.
const PATIENCE: Duration = Duration::from_secs(6);

const JSON: (&str, &str) = ("Content-Type", "application/json");
const MERGE_PATCH: (&str, &str) = ("Content-Type", "application/merge-patch+json");

pub fn run() -> Outcome<()> {
    let folder = sample::make()?;
    let site = Site::new(Some(Folder::open(folder.path())?));
    let limits = Limits {
        head: HEAD,
        ..Limits::default()
    };
    let server = Server::bind((Ipv4Addr::LOCALHOST, 0).into(), limits)?;
    let (address, stop) = (server.address()?, server.stop());
    println!("http1-server listens on {address}");
    let record = thread::scope(|scope| -> Outcome<Record> {
        let server = scope.spawn(|| server.run(&site));
        let record = visit(address, &stop, folder.path());
        // However the visit went: else this would wait for ever.
        stop.request();
        server.join().map_err(|_| "the server panicked")??;
        record
    })?;
    println!("    the server has ended");
    Ok(record.save()?)
}

fn visit(address: SocketAddr, stop: &Stop, folder: &Path) -> Outcome<Record> {
    let mut record = Record::new();
    println!("\nFiles\n");
    show::head();
    files(address, folder, &mut record)?;
    println!("\nNotes\n");
    show::head();
    notes(address)?;
    println!("\nTwo clients change the same note\n");
    show::head();
    record.add("update", two_clients(address)?);
    println!("\nA client that takes its time\n");
    slow_client(address)?;
    println!("\nThe server is told to end\n");
    told_to_end(address, stop)?;
    Ok(record)
}

/// A client whose exchanges are printed.
struct Visitor(Client);

impl Visitor {
    fn connect(address: SocketAddr) -> Outcome<Self> {
        Ok(Self(Client::connect(address)?))
    }

    fn ask(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        content: Option<&str>,
    ) -> Outcome<Exchange> {
        let exchange = self
            .0
            .ask(method, target, fields, content.map(str::as_bytes))?;
        show::exchange(method, target, fields, content, &exchange);
        Ok(exchange)
    }

    fn get(&mut self, target: &str, fields: &[(&str, &str)]) -> Outcome<Exchange> {
        self.ask("GET", target, fields, None)
    }
}

fn tag(exchange: &Exchange) -> Outcome<String> {
    Ok(exchange
        .get("etag")
        .ok_or("an answer without ETag")?
        .to_owned())
}

/// Microseconds since then.
fn us(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

// ANCHOR: files
fn files(address: SocketAddr, folder: &Path, record: &mut Record) -> Outcome<()> {
    let mut visitor = Visitor::connect(address)?;
    visitor.get("/", &[])?;
    visitor.get("/poem.txt", &[])?;
    let strong = until_strong(&mut visitor.0, "/poem.txt")?;
    println!("(now that no other change can bear the same time, the tag is strong)");

    let mut sequence = Sequence::new();
    let client = sequence.host("client", None);
    let server = sequence.host("server", None);
    let begun = Instant::now();
    let revalidate = |visitor: &mut Visitor, sequence: &mut Sequence, tag: Option<&str>| {
        let (label, note) = match tag {
            Some(tag) => (
                "`GET /poem.txt` with `If-None-Match`",
                Some(format!("`If-None-Match: {tag}`")),
            ),
            None => ("`GET /poem.txt`", None),
        };
        sequence.message(us(begun), client, server, label, note.as_deref());
        let fields: Vec<_> = tag.iter().map(|tag| ("If-None-Match", *tag)).collect();
        let answer = visitor.get("/poem.txt", &fields)?;
        let new = self::tag(&answer)?;
        let label = match answer.content.len() {
            0 => format!("`{}` without content", answer.status),
            len => format!("`{}` and `{len}` bytes", answer.status),
        };
        let note = format!("`ETag: {new}`");
        sequence.message(us(begun), server, client, label, Some(&note));
        Outcome::Ok(())
    };
    revalidate(&mut visitor, &mut sequence, None)?;
    revalidate(&mut visitor, &mut sequence, Some(&strong))?;
    // ANCHOR_END: files

    let partial = visitor.get("/poem.txt", &[("Range", "bytes=0-23")])?;
    record.add("partial", show::partial(&partial.response)?);
    visitor.get(
        "/poem.txt",
        &[("Range", "bytes=-46"), ("If-Range", &strong)],
    )?;
    let several = visitor.get("/poem.txt", &[("Range", "bytes=0-2,-4")])?;
    show::content(&several);
    visitor.get("/poem.txt", &[("Range", "bytes=5000-")])?;
    visitor.ask("HEAD", "/poem.txt", &[], None)?;
    visitor.get("/more", &[])?;
    visitor.get("/more/%2e%2e/secret", &[])?;
    visitor.ask("PUT", "/poem.txt", &[], Some("mine"))?;

    let path = folder.join("poem.txt");
    fs::write(&path, format!("{}\n", sample::POEM))?;
    println!("(somebody changes the poem)");
    sequence.state(us(begun), server, "the file changes", None);
    revalidate(&mut visitor, &mut sequence, Some(&strong))?;
    record.add("revalidation", sequence);
    let fields = [("Range", "bytes=0-23"), ("If-Range", strong.as_str())];
    visitor.get("/poem.txt", &fields)?;
    Ok(())
}

/// Asks until the file's tag is no longer weak.
fn until_strong(client: &mut Client, target: &str) -> Outcome<String> {
    let at_latest = Instant::now() + PATIENCE;
    loop {
        let tag = tag(&client.ask("HEAD", target, &[], None)?)?;
        if !tag.starts_with("W/") {
            return Ok(tag);
        }
        if Instant::now() >= at_latest {
            return Err("the file's tag does not become strong".into());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

// ANCHOR: notes
fn notes(address: SocketAddr) -> Outcome<()> {
    let mut visitor = Visitor::connect(address)?;
    visitor.get("/api/notes", &[])?;
    let milk = r#"{"title":"milk","text":"two bottles","done":false}"#;
    let created = visitor.ask("POST", "/api/notes", &[JSON], Some(milk))?;
    let location = created.get("location").ok_or("no Location")?.to_owned();
    let read = visitor.get(&location, &[])?;
    let tag = tag(&read)?;
    let more = r#"{"title":"milk","text":"three bottles","done":false}"#;
    let guarded = [JSON, ("If-Match", &tag)];
    visitor.ask("PUT", &location, &guarded, Some(more))?;
    visitor.ask("PUT", &location, &guarded, Some(more))?;
    visitor.ask("PATCH", &location, &[MERGE_PATCH], Some(r#"{"done":true}"#))?;
    visitor.get(&location, &[])?;

    let new = [JSON, ("If-None-Match", "*")];
    let tea = r#"{"title":"tea","text":"","done":false}"#;
    visitor.ask("PUT", "/api/notes/tea", &new, Some(tea))?;
    visitor.ask("PUT", "/api/notes/tea", &new, Some(tea))?;
    visitor.get("/api/notes", &[])?;

    visitor.ask("POST", "/api/notes", &[JSON], Some(r#"{"title":"#))?;
    visitor.ask(
        "POST",
        "/api/notes",
        &[JSON],
        Some(r#"{"text":"untitled"}"#),
    )?;
    visitor.ask("POST", "/api/notes", &[], Some("title=milk"))?;

    visitor.ask("DELETE", &location, &[], None)?;
    visitor.ask("DELETE", &location, &[], None)?;
    visitor.ask("DELETE", "/api/notes", &[], None)?;
    visitor.ask("OPTIONS", "/api/notes/tea", &[], None)?;
    Ok(())
}
// ANCHOR_END: notes

// ANCHOR: update
/// Both have read the same version, and each wants to replace it. The second is told, and nothing of the
/// first is lost.
fn two_clients(address: SocketAddr) -> Outcome<Sequence> {
    const NOTE: &str = "/api/notes/tea";
    let mut sequence = Sequence::new();
    let first = sequence.host("one client", None);
    let server = sequence.host("server", None);
    let second = sequence.host("another client", None);
    let mut clients = [Visitor::connect(address)?, Visitor::connect(address)?];
    let mut begun = None;
    let mut ask = |who: usize, tag: Option<&str>, content: Option<&str>| -> Outcome<String> {
        let begun = *begun.get_or_insert_with(Instant::now);
        let host = [first, second][who];
        let (method, label) = match content {
            Some(_) => ("PUT", "`PUT` with `If-Match`"),
            None => ("GET", "`GET`"),
        };
        let fields: Vec<_> = tag
            .iter()
            .flat_map(|tag| [JSON, ("If-Match", *tag)])
            .collect();
        let note = tag.map(|tag| format!("`If-Match: {tag}`"));
        sequence.message(us(begun), host, server, label, note.as_deref());
        let answer = clients[who].ask(method, NOTE, &fields, content)?;
        let tag = answer.get("etag").map(str::to_owned);
        let note = tag.as_ref().map(|tag| format!("`ETag: {tag}`"));
        let label = format!("`{}`", answer.status);
        sequence.message(us(begun), server, host, label, note.as_deref());
        Ok(tag.unwrap_or_default())
    };
    let seen_by_first = ask(0, None, None)?;
    let seen_by_second = ask(1, None, None)?;
    let green = r#"{"title":"green tea","text":"","done":false}"#;
    ask(0, Some(&seen_by_first), Some(green))?;
    let black = r#"{"title":"black tea","text":"","done":false}"#;
    ask(1, Some(&seen_by_second), Some(black))?;
    let seen_again = ask(1, None, None)?;
    let both = r#"{"title":"green and black tea","text":"","done":false}"#;
    ask(1, Some(&seen_again), Some(both))?;
    Ok(sequence)
}
// ANCHOR_END: update

// ANCHOR: slow
/// Sends a head byte by byte, and asks for something on another connection in between.
fn slow_client(address: SocketAddr) -> Outcome<()> {
    let begun = Instant::now();
    let mut slow = TcpStream::connect(address)?;
    slow.set_read_timeout(Some(SLOW))?;
    let mut quick = Client::connect(address)?;
    let (mut sent, mut answered) = (0, 0);
    let mut head = b"GET /poem.txt HTTP/1.1\r\n"
        .iter()
        .chain(b"X".iter().cycle());
    let mut answer = [0; 1024];
    let len = loop {
        if let Some(byte) = head.next() {
            slow.write_all(&[*byte])?;
            sent += 1;
        }
        let other = quick.ask("GET", "/", &[], None)?;
        answered += usize::from(other.status.is_success());
        match slow.read(&mut answer) {
            Ok(len) => break len,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
        if begun.elapsed() > HEAD + PATIENCE {
            return Err("the server waits for ever".into());
        }
    };
    let status = String::from_utf8_lossy(&answer[..len]);
    println!(
        "a byte every {} ms, of a head that never ends",
        SLOW.as_millis()
    );
    println!(
        "    after {} ms: {}",
        begun.elapsed().as_millis(),
        status.lines().next().unwrap_or("nothing")
    );
    match sent == answered {
        true => println!("    another client got an answer after each of these bytes"),
        false => println!("    another client got {answered} answers while {sent} bytes were sent"),
    }
    Ok(())
}
// ANCHOR_END: slow

// ANCHOR: end
/// The server is told to end while a request is half sent.
fn told_to_end(address: SocketAddr, stop: &Stop) -> Outcome<()> {
    let mut client = Client::connect(address)?;
    let note = br#"{"title":"coffee"}"#;
    let request = client.request("POST", "/api/notes", &[JSON], Some(note))?;
    let (first, second) = request.split_at(request.len() / 2);
    client.stream().write_all(first)?;
    // That the server has begun to read it: it has answered another connection since.
    Client::connect(address)?.ask("GET", "/", &[], None)?;
    stop.request();
    println!("one half of a request was sent before, the other half is sent now");
    client.stream().write_all(second)?;
    let answer = client.answer(request)?;
    let connection = answer.get("connection").unwrap_or("open");
    println!("    {} · Connection: {connection}", answer.status);
    let at_latest = Instant::now() + PATIENCE;
    // A connection that begins at this very moment may still be dropped in silence.
    while TcpStream::connect_timeout(&address, SLOW).is_ok() {
        if Instant::now() >= at_latest {
            return Err("the server does not end".into());
        }
    }
    println!("    nobody else can connect");
    Ok(())
}
// ANCHOR_END: end
