//! A server and a client hold a conversation over one TCP connection.
//!
//! ```text
//! cargo run -p basics-client-server                       # both ends, in one program
//! cargo run -p basics-client-server -- 127.0.0.1:8080     # the server alone: talk to it with `nc`
//! ```
//!
//! The server keeps a shop's stock. A request is a line, and so is its answer:
//!
//! ```text
//! STOCK tea      OK 12                how many are there?
//! TAKE tea 3     OK 9                 take three away; so many are left
//! anything else  ERROR and a reason
//! ```
//!
//! Look for who speaks first, how each answer follows its own request on the same connection, and
//! what happens when the server is gone.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::env;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use record::{Event, Fate, Record, Sequence, What};

/// The longest line in bytes, its newline included. Without a bound, a client that never sends a
/// newline would fill the server's memory.
const MAX_LINE_LEN: usize = 64;

/// How many clients the server serves at a time. The next ones wait in the kernel's queue.
const WORKERS: usize = 16;

/// How long a client may be silent before the server hangs up and serves another.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let outcome = match &arguments[..] {
        [] => show(),
        [address] => match address.parse() {
            Ok(address) => serve(address),
            Err(_) => return usage(),
        },
        _ => return usage(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("basics-client-server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!(
        "usage: basics-client-server            both ends, in one program\n       \
         basics-client-server ADDRESS    the server alone, such as 127.0.0.1:8080"
    );
    ExitCode::from(2)
}

// ANCHOR: shop
/// What the server is there for: a stock of goods, of which any client may take some.
struct Shop {
    stock: Mutex<BTreeMap<&'static str, u32>>,
}

impl Shop {
    fn open() -> Self {
        Self {
            stock: Mutex::new(BTreeMap::from([("tea", 12), ("coffee", 7), ("cups", 30)])),
        }
    }

    /// Does what a request asks for, and says what came of it.
    fn answer(&self, request: &str) -> String {
        let mut stock = self.stock.lock().unwrap_or_else(PoisonError::into_inner);
        let words: Vec<&str> = request.split_whitespace().collect();
        match words[..] {
            ["STOCK", item] => match stock.get(item) {
                Some(left) => format!("OK {left}"),
                None => format!("ERROR we do not sell {item}"),
            },
            ["TAKE", item, count] => match (stock.get_mut(item), count.parse::<u32>()) {
                (Some(left), Ok(count)) if count <= *left => {
                    *left -= count;
                    format!("OK {left}")
                }
                (Some(left), Ok(_)) => format!("ERROR there are only {left}"),
                (Some(_), Err(_)) => format!("ERROR {count} is no number"),
                (None, _) => format!("ERROR we do not sell {item}"),
            },
            _ => "ERROR unknown request".to_owned(),
        }
    }
}
// ANCHOR_END: shop

// ANCHOR: request
/// What the server finds when it reads.
enum Request {
    /// A whole line, without its newline.
    Line(String),
    /// A line longer than [`MAX_LINE_LEN`], none of which was kept.
    TooLong,
    /// The client says no more. Half a line before that end is no request.
    End,
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Request> {
    let mut line = Vec::new();
    reader
        .by_ref()
        .take(MAX_LINE_LEN as u64)
        .read_until(b'\n', &mut line)?;
    if line.pop_if(|last| *last == b'\n').is_some() {
        Ok(Request::Line(String::from_utf8_lossy(&line).into_owned()))
    } else if line.len() == MAX_LINE_LEN {
        reader.skip_until(b'\n')?;
        Ok(Request::TooLong)
    } else {
        Ok(Request::End)
    }
}
// ANCHOR_END: request

// ANCHOR: converse
/// The server's side of a conversation: request, answer, request, answer, until the client ends it.
fn converse(
    mut stream: &TcpStream,
    shop: &Shop,
    mut note: impl FnMut(&'static str, String),
) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let answer = match read_request(&mut reader)? {
            Request::Line(request) => {
                note("takes", request.clone());
                shop.answer(&request)
            }
            Request::TooLong => {
                note("takes", format!("more than {MAX_LINE_LEN} bytes"));
                format!("ERROR longer than {MAX_LINE_LEN} bytes")
            }
            Request::End => {
                note("hears", "the end".to_owned());
                return Ok(());
            }
        };
        note("answers", answer.clone());
        stream.write_all(format!("{answer}\n").as_bytes())?;
    }
}
// ANCHOR_END: converse

// ANCHOR: ask
/// One turn of the client's: sends a request and waits for its answer.
fn ask(connection: &mut BufReader<&TcpStream>, request: &str) -> io::Result<String> {
    connection
        .get_mut()
        .write_all(format!("{request}\n").as_bytes())?;
    let mut answer = String::new();
    connection
        .take(MAX_LINE_LEN as u64)
        .read_line(&mut answer)?;
    match answer.strip_suffix('\n') {
        Some(answer) => Ok(answer.to_owned()),
        None => Err(ErrorKind::UnexpectedEof.into()),
    }
}
// ANCHOR_END: ask

/// The server alone, for ever.
fn serve(address: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(address).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })?;
    let address = listener.local_addr()?;
    println!("The shop listens on {address}.");
    println!(
        "Talk to it from another terminal:  nc {} {}",
        address.ip(),
        address.port()
    );
    println!("and type:  STOCK tea    TAKE tea 3    (Ctrl-C ends either of them)");

    let shop = Shop::open();
    // ANCHOR: workers
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let outcome = listener.accept().and_then(|(stream, client)| {
                        stream.set_read_timeout(Some(PATIENCE))?;
                        stream.set_write_timeout(Some(PATIENCE))?;
                        converse(&stream, &shop, |does, what| {
                            println!("{client}  {does:8}{}", what.escape_debug());
                        })
                    });
                    if let Err(error) = outcome {
                        println!("a conversation ended early: {error}");
                    }
                }
            });
        }
    });
    // ANCHOR_END: workers
    Ok(())
}

/// What one side did: when, what kind of thing, and its words.
struct Deed {
    at: Instant,
    does: &'static str,
    what: String,
}

impl Deed {
    fn now(does: &'static str, what: String) -> Self {
        let at = Instant::now();
        Self { at, does, what }
    }
}

/// Both ends in one program: the server on a thread of its own, the client on this one.
fn show() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    println!("A shop's server and one client, over one TCP connection.\n");

    // ANCHOR: server
    let server = thread::spawn(move || -> io::Result<Vec<Deed>> {
        let shop = Shop::open();
        let mut deeds = Vec::new();
        let (stream, client) = listener.accept()?;
        deeds.push(Deed::now("accepts", format!("{client}")));
        converse(&stream, &shop, |does, what| {
            deeds.push(Deed::now(does, what));
        })?;
        deeds.push(Deed::now("closes", "its end".to_owned()));
        Ok(deeds)
    });
    // ANCHOR_END: server

    // ANCHOR: client
    let mut deeds = vec![Deed::now("connects", format!("to {address}"))];
    let stream = TcpStream::connect(address)?;
    let client_address = stream.local_addr()?;
    let mut connection = BufReader::new(&stream);
    let too_long = format!("STOCK {}", "tea".repeat(100));
    for request in ["STOCK tea", "TAKE tea 3", "TAKE tea 50", "SING", &too_long] {
        deeds.push(Deed::now("asks", short(request)));
        let answer = ask(&mut connection, request)?;
        deeds.push(Deed::now("reads", answer));
    }
    deeds.push(Deed::now("says", "no more".to_owned()));
    stream.shutdown(std::net::Shutdown::Write)?;
    let nothing_more = connection.read(&mut [0])? == 0;
    deeds.push(Deed::now("hears", "the end".to_owned()));
    // ANCHOR_END: client
    assert!(nothing_more, "the server said something unasked");
    let served = server
        .join()
        .map_err(|_| io::Error::other("the server panicked"))??;

    let start = deeds[0].at;
    let exchange = told(start, &deeds, &served, client_address, address);

    // ANCHOR: refused
    // The server's thread has ended and its listener with it: no one listens there now.
    let before = Instant::now();
    let refusal = TcpStream::connect(address).err();
    let took = before.elapsed();
    // ANCHOR_END: refused
    let refusal = refusal.ok_or_else(|| io::Error::other("someone else listens there by now"))?;
    println!("\nThe first request may leave before accept() has returned: the connection is the");
    println!("kernel's work, and accept() only hands it to the program.");

    println!("\nThe server is gone. The client connects to {address} once more:");
    println!("{refusal}, after {} µs.", took.as_micros());
    println!("No program said that: the kernel at that address did.");

    let mut record = Record::new();
    record.add("exchange", exchange);
    record.add("refused", refused(address, &refusal, took));
    record.save()
}

/// Prints and records the conversation. The two sides did as many things each, and the n-th of one
/// belongs to the n-th of the other: one sends what the other receives.
fn told(
    start: Instant,
    client: &[Deed],
    server: &[Deed],
    client_address: SocketAddr,
    server_address: SocketAddr,
) -> Sequence {
    let mut sequence = Sequence::new();
    sequence.host("client", Some(&format!("`{client_address}`")));
    sequence.host("server", Some(&format!("`{server_address}`")));

    println!("     time  who");
    for (at_client, at_server) in client.iter().zip(server) {
        let (label, note) = match at_client.does {
            "connects" => ("`connect()`".to_owned(), "asks for a connection"),
            "asks" => (format!("`{}`", at_client.what), "a request"),
            "reads" => (format!("`{}`", at_client.what), "its answer"),
            "says" => ("`shutdown()`".to_owned(), "no more requests"),
            _ => ("`close()`".to_owned(), "no more answers"),
        };
        let client_sends = matches!(at_client.does, "connects" | "asks" | "says");
        let ends = [("client", 0, at_client), ("server", 1, at_server)];
        let [from, to] = if client_sends { [0, 1] } else { [1, 0] }.map(|end| ends[end]);
        let [at_us, arrived_us] =
            [from, to].map(|(_, _, deed)| (deed.at - start).as_micros() as u64);
        println!(
            "{at_us:>6} µs  {}  {:9}{}",
            from.0, from.2.does, from.2.what
        );
        println!("{arrived_us:>6} µs  {}  {:9}{}", to.0, to.2.does, to.2.what);
        sequence.events.push(Event {
            at_us,
            what: What::Message {
                from: from.1,
                to: to.1,
                label,
                note: Some(note.to_owned()),
                arrived_us: Some(arrived_us),
                fate: Fate::Arrived,
            },
        });
    }
    sequence
}

/// The connection that did not come to be.
fn refused(address: SocketAddr, refusal: &io::Error, took: Duration) -> Sequence {
    let mut sequence = Sequence::new();
    let client = sequence.host("client", None);
    let kernel = sequence.host("the kernel there", Some(&format!("`{address}`")));
    sequence.message(
        0,
        client,
        kernel,
        "`connect()`",
        Some("asks for a connection"),
    );
    sequence.message(
        took.as_micros() as u64,
        kernel,
        client,
        format!("`{:?}`", refusal.kind()),
        Some("no program listens on this port"),
    );
    sequence
}

/// A request for the eye: a long one is cut.
fn short(request: &str) -> String {
    match request.get(..24) {
        Some(start) if request.len() > MAX_LINE_LEN => {
            format!("{start}… ({} bytes)", request.len() + 1)
        }
        _ => request.to_owned(),
    }
}
