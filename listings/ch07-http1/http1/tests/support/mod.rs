//! Both ends of a connection, driven as a program would drive them, and what holds for any bytes; the
//! proofs and the fuzz targets use it.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::fmt;

use http1::{Asked, Date, Error, Fields, Framing, Method, Scratch, Status, Target};
use http1::{client, server};

/// The moment that RFC 9110 takes for its examples.
pub fn date() -> Date {
    Date::from_unix(784_111_777)
}

/// A name and a value.
pub type Pair = (Vec<u8>, Vec<u8>);

pub fn pairs(fields: Fields<'_>) -> Vec<Pair> {
    let pair = |field: http1::Field<'_>| (field.name().to_vec(), field.value().to_vec());
    fields.iter().map(pair).collect()
}

/// A message, kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// Method and target, or status.
    pub first: String,
    pub fields: Vec<Pair>,
    pub framing: Option<Framing>,
    pub persistent: bool,
    pub content: Vec<u8>,
    pub trailers: Vec<Pair>,
    pub complete: bool,
}

/// As the corpus writes it.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.first, self.fields.len())?;
        if !self.content.is_empty() {
            write!(f, " \"{}\"", self.content.escape_ascii())?;
        }
        if !self.trailers.is_empty() {
            write!(f, " +{}", self.trailers.len())?;
        }
        if !self.persistent {
            write!(f, " close")?;
        }
        if !self.complete {
            write!(f, " …")?;
        }
        Ok(())
    }
}

/// What a connection's last word was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// More may come.
    More,
    Refused(Error),
    Closed,
    Tunnel,
}

/// All that has come over a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub messages: Vec<Message>,
    pub last: Last,
    /// How many bytes are left over, if nothing was refused.
    pub rest: usize,
}

impl Heard {
    /// As the corpus writes it.
    pub fn verdict(&self) -> String {
        let mut parts: Vec<String> = self.messages.iter().map(Message::to_string).collect();
        match self.last {
            Last::More if self.rest > 0 => parts.push("…".into()),
            Last::More | Last::Closed => {}
            Last::Tunnel => parts.push("tunnel".into()),
            Last::Refused(error) => {
                parts.push(format!("! {:?} {}", error.what, error.offset));
            }
        }
        parts.join(" | ")
    }

    pub fn error(&self) -> Option<Error> {
        match self.last {
            Last::Refused(error) => Some(error),
            _ => None,
        }
    }
}

/// A server that answers 200 to each request, and its connection.
pub struct Server {
    pub connection: server::Connection,
    pub heard: Heard,
    /// What it has sent.
    pub out: Vec<u8>,
    /// What each answer is to.
    pub asked: Vec<Asked>,
    scratch: Scratch,
}

impl Default for Server {
    fn default() -> Self {
        Self::new(Scratch::default())
    }
}

impl Server {
    pub fn new(scratch: Scratch) -> Self {
        Self {
            connection: server::Connection::new(),
            heard: Heard {
                messages: Vec::new(),
                last: Last::More,
                rest: 0,
            },
            out: Vec::new(),
            asked: Vec::new(),
            scratch,
        }
    }

    /// Takes what stands at the beginning of `bytes`, and says how much it has dealt with. Any
    /// number of bytes may be missing.
    pub fn take(&mut self, bytes: &[u8]) -> usize {
        let mut start = 0;
        loop {
            let (used, event) = self.connection.next(&bytes[start..], &mut self.scratch);
            assert!(used <= bytes.len() - start, "used more than there is");
            start += used;
            self.heard.rest = bytes.len() - start;
            let messages = &mut self.heard.messages;
            match event {
                server::Event::Request(request) => {
                    assert_eq!(used, request.head_len());
                    consistent(&request);
                    self.asked.push(request.method().into());
                    messages.push(Message {
                        first: format!("{} {}", request.method(), request.target()),
                        fields: pairs(request.fields()),
                        framing: Some(request.framing()),
                        persistent: request.is_persistent(),
                        ..Message::default()
                    });
                }
                server::Event::Data(data) => {
                    assert!(!data.is_empty(), "a piece without content");
                    let message = messages.last_mut().expect("content of a request");
                    message.content.extend(data);
                }
                server::Event::Continue => {
                    assert_eq!(start, bytes.len());
                    self.connection.send_continue(&mut self.out);
                }
                server::Event::End(trailers) => {
                    let message = messages.last_mut().expect("the end of a request");
                    message.trailers = pairs(trailers);
                    message.complete = true;
                    self.answer();
                }
                server::Event::Answer => unreachable!("it answers at the end"),
                server::Event::More => {
                    self.heard.last = Last::More;
                    return start;
                }
                server::Event::Refused(error) => {
                    self.heard.last = Last::Refused(error);
                    assert!(error.offset <= total(start, messages, bytes), "{error}");
                    self.connection.refuse(error, &date(), &mut self.out);
                    let (_, after) = self.connection.next(&[], &mut self.scratch);
                    assert!(matches!(after, server::Event::Closed));
                    return start;
                }
                server::Event::Closed => {
                    self.heard.last = Last::Closed;
                    return start;
                }
                server::Event::Tunnel => {
                    self.heard.last = Last::Tunnel;
                    return start;
                }
            }
        }
    }

    fn answer(&mut self) {
        let (connection, out) = (&mut self.connection, &mut self.out);
        connection
            .reply(Status::OK, &[], b"", &date(), out)
            .expect("an answer is owed");
    }
}

/// A bound for an error's offset: it counts from the message's first byte, which may be gone.
fn total(start: usize, messages: &[Message], bytes: &[u8]) -> u64 {
    let gone: usize = messages.iter().map(|message| message.content.len()).sum();
    (start + bytes.len() + 40 * gone + 100_000) as u64
}

/// What a request's getters say of each other.
fn consistent(request: &http1::Request<'_>) {
    let method = request.method();
    assert_eq!(Method::new(method.as_bytes()), Ok(method));
    let target = request.target();
    assert_eq!(Target::new(target.as_bytes(), method), Ok(target));
    for field in request.fields().iter() {
        assert_eq!(http1::Field::new(field.name(), field.value()), Ok(field));
    }
    let hosts = request.fields().all("host").count();
    assert!(hosts == 1 || hosts == 0 && request.version() == http1::Version::Http10);
    let lengths: Vec<_> = request.fields().all("Content-Length").collect();
    let codings: Vec<_> = request.fields().list("Transfer-Encoding").collect();
    match request.framing() {
        Framing::Empty => assert!(lengths.is_empty() && codings.is_empty()),
        Framing::Length(length) => {
            let text = std::str::from_utf8(lengths[0]).expect("digits");
            assert_eq!(text.parse(), Ok(length));
            assert!(lengths.len() == 1 && codings.is_empty());
        }
        Framing::Chunked => {
            assert!(lengths.is_empty() && codings.len() == 1);
            assert!(codings[0].eq_ignore_ascii_case(b"chunked"));
        }
        Framing::UntilClose => panic!("a request that goes on until the connection ends"),
    }
}

/// The requests in `bytes`, which come in pieces that end at these places. They are buffered as a
/// program would buffer them: what was not dealt with stays in front.
pub fn requests(bytes: &[u8], ends: impl IntoIterator<Item = usize>) -> Server {
    let mut server = Server::default();
    let mut start = 0;
    for end in ends.into_iter().chain([bytes.len()]) {
        if server.heard.last == Last::More && end >= start {
            start += server.take(&bytes[start..end]);
        }
    }
    server.heard.rest = left_over(&server.heard, bytes.len() - start);
    server
}

/// The responses in `bytes` to requests of these kinds, which come in pieces as those do.
pub fn responses(
    bytes: &[u8],
    ends: impl IntoIterator<Item = usize>,
    asked: &[Asked],
    ended: bool,
) -> Heard {
    let mut connection = client::Connection::new();
    let mut out = Vec::new();
    let host = [http1::Field::literal("Host", "a.example")];
    for asked in asked {
        let (method, target) = match asked {
            Asked::Head => (Method::Head, Target::Origin(b"/")),
            Asked::Connect => (Method::Connect, Target::Authority(b"a.example:443")),
            Asked::Other => (Method::Get, Target::Origin(b"/")),
        };
        connection
            .request(method, target, &host, None, &mut out)
            .expect("a request");
    }

    let mut scratch = Scratch::default();
    let mut heard = Heard {
        messages: Vec::new(),
        last: Last::More,
        rest: 0,
    };
    let mut start = 0;
    let ends = ends.into_iter().chain([bytes.len()]);
    let mut ends = ends.filter(|end| *end <= bytes.len());
    let mut end = 0;
    while heard.last == Last::More {
        let (used, event) = connection.next(&bytes[start..end], &mut scratch);
        start += used;
        let done = matches!(event, client::Event::More);
        let event = match event {
            client::Event::More => match ends.next() {
                Some(next) => {
                    end = end.max(next);
                    continue;
                }
                None if ended => connection.end_of_input(&bytes[start..]),
                None => break,
            },
            event => event,
        };
        hear(&mut heard, event);
        if done {
            break;
        }
    }
    heard.rest = left_over(&heard, bytes.len() - start);
    heard
}

/// What is wrong may have been dealt with in part.
fn left_over(heard: &Heard, rest: usize) -> usize {
    match heard.last {
        Last::Refused(_) => 0,
        Last::More | Last::Closed | Last::Tunnel => rest,
    }
}

fn hear(heard: &mut Heard, event: client::Event<'_>) {
    match event {
        client::Event::Response(response) => heard.messages.push(Message {
            first: response.status().code().to_string(),
            fields: pairs(response.fields()),
            framing: Some(response.framing()),
            persistent: response.is_persistent(),
            complete: response.status().is_interim(),
            ..Message::default()
        }),
        client::Event::Data(data) => {
            assert!(!data.is_empty(), "a piece without content");
            let message = heard.messages.last_mut().expect("content of a response");
            message.content.extend(data);
        }
        client::Event::End(trailers) => {
            let message = heard.messages.last_mut().expect("the end of a response");
            message.trailers = pairs(trailers);
            message.complete = true;
        }
        client::Event::Refused(error) => heard.last = Last::Refused(error),
        client::Event::Closed => heard.last = Last::Closed,
        client::Event::Tunnel => heard.last = Last::Tunnel,
        client::Event::More => {}
    }
}

/// Panics unless all that the library promises holds for what a client sends: that it comes to the
/// same however it is cut, and that what the server sends in return is right.
pub fn requests_hold(bytes: &[u8], ends: impl IntoIterator<Item = usize>) {
    let whole = requests(bytes, []);
    let cut = requests(bytes, ends);
    assert_eq!(whole.heard, cut.heard, "{}", bytes.escape_ascii());

    // One answer to each request that is complete, and one to what is refused.
    let answers = responses(&whole.out, [], &answered(&whole), false);
    assert_eq!(answers.error(), None, "{}", whole.out.escape_ascii());
    let complete = |message: &&Message| message.complete && message.first != "100";
    let answered = answers.messages.iter().filter(complete).count();
    let owed = whole.heard.messages.iter().filter(complete).count();
    let refused = usize::from(whole.heard.error().is_some());
    if let Some(error) = whole.heard.error() {
        let last = answers
            .messages
            .last()
            .expect("an answer to what is refused");
        assert_eq!(last.first, error.status().code().to_string());
        assert!(!last.persistent);
    }
    let tunnel = usize::from(whole.heard.last == Last::Tunnel && answered < owed);
    assert_eq!(
        answered + tunnel,
        owed + refused,
        "{}",
        bytes.escape_ascii()
    );
}

/// What the answers are to; one to what is refused has content whatever the method was.
fn answered(server: &Server) -> Vec<Asked> {
    let mut asked = server.asked.clone();
    let complete = server
        .heard
        .messages
        .iter()
        .filter(|message| message.complete);
    let complete = complete.count();
    if server.heard.error().is_some() && asked.len() == complete {
        asked.push(Asked::Other);
    }
    asked
}

/// Panics if httparse finds another head in bytes in which ours finds one.
pub fn heads_agree(bytes: &[u8]) {
    let mut scratch = Scratch::default();
    let Ok(Some(ours)) = http1::Request::parse(bytes, &mut scratch) else {
        return;
    };
    let head = &bytes[..ours.head_len()];
    let mut slots = [httparse::EMPTY_HEADER; http1::MAX_FIELDS];
    let mut theirs = httparse::Request::new(&mut slots);
    let parsed = theirs.parse(bytes);
    let later = (2..=9).any(|minor| {
        let version = format!(" HTTP/1.{minor}\r\n");
        head.windows(version.len())
            .any(|part| part == version.as_bytes())
    });
    if later {
        return; // httparse knows no HTTP/1.2
    }
    assert_eq!(
        parsed,
        Ok(httparse::Status::Complete(head.len())),
        "{}",
        head.escape_ascii()
    );
    assert_eq!(
        theirs.method.map(str::as_bytes),
        Some(ours.method().as_bytes())
    );
    assert_eq!(
        theirs.path.map(str::as_bytes),
        Some(ours.target().as_bytes())
    );
    let minor = theirs.version.expect("a version");
    assert_eq!(minor == 1, ours.version() == http1::Version::Http11);
    let fields = ours
        .fields()
        .iter()
        .map(|field| (field.name(), field.value()));
    let headers = theirs
        .headers
        .iter()
        .map(|header| (header.name.as_bytes(), header.value));
    assert!(fields.eq(headers), "{}", head.escape_ascii());
}

/// The same for what a server sends.
pub fn responses_hold(bytes: &[u8], ends: impl IntoIterator<Item = usize>, asked: &[Asked]) {
    let ends: Vec<usize> = ends.into_iter().collect();
    for ended in [false, true] {
        let whole = responses(bytes, [], asked, ended);
        let cut = responses(bytes, ends.iter().copied(), asked, ended);
        assert_eq!(whole, cut, "{}", bytes.escape_ascii());
    }
}
