//! What is served: a folder's files, and notes by REST under [`notes::PATH`].
//!
//! It knows nothing of sockets or of the bytes of a message. A server gives it a request's method,
//! target and fields ([`Site::receive`]), then its content ([`Incoming::data`]), and is given an answer
//! ([`Incoming::answer`]).
//!
//! ```
//! use std::time::SystemTime;
//!
//! use http1::{Method, Status};
//! use http1_server::site::Site;
//!
//! let site = Site::new(None);
//! let json = [(&b"Content-Type"[..], &b"application/json"[..])];
//! let mut incoming = site.receive(Method::Post, b"/api/notes", json);
//! assert!(incoming.wants_content());
//! incoming.data(br#"{"title":"milk"}"#);
//! let response = incoming.answer(&site, SystemTime::now());
//! assert_eq!(response.status, Status::CREATED);
//! assert_eq!(response.get("location"), Some("/api/notes/1"));
//! ```

pub mod conditions;
mod content;
pub mod date;
mod files;
mod folder;
pub mod media;
pub mod notes;
pub mod path;
pub mod range;
mod response;
pub mod tag;

use std::time::{SystemTime, UNIX_EPOCH};

use http1::{Method, Status};

pub use content::Content;
pub use folder::{Failure, Folder, Found, Version};
pub use response::Response;

use conditions::Conditions;
use notes::{JSON, MAX_CONTENT, MERGE_PATCH, Notes};
use path::Path;

/// All that is served. Any number of threads may ask it at once.
#[derive(Debug)]
pub struct Site {
    folder: Option<Folder>,
    notes: Notes,
}

/// What a head says of the content that follows.
#[derive(Debug, Default)]
struct Sent<'a> {
    content_type: Option<&'a [u8]>,
    /// Whether it is only a part (Content-Range).
    is_part: bool,
}

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Route {
    /// A file or a folder.
    File(Path),
    /// The list of notes, or one of them.
    Notes { id: Option<String> },
    /// The server as a whole (`OPTIONS *`).
    Server,
}

// ANCHOR: incoming
/// A request whose head has come. It keeps what it needs: the bytes of the head may go.
#[derive(Debug)]
pub struct Incoming {
    /// The answer, if the head alone has told it; else what the request is about.
    route: Result<Route, Response>,
    method: Method<'static>,
    target: Vec<u8>,
    conditions: Conditions,
    content: Vec<u8>,
    is_too_long: bool,
}
// ANCHOR_END: incoming

impl Site {
    /// A site with the files of that folder, if there is one, and without notes.
    #[must_use]
    pub fn new(folder: Option<Folder>) -> Self {
        let notes = Notes::default();
        Self { folder, notes }
    }

    /// Takes a request's head. `target` is what HTTP/2 calls `:path`: a path that may have a query, or
    /// `*`.
    pub fn receive<'a>(
        &self,
        method: Method<'_>,
        target: &[u8],
        fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Incoming {
        let mut conditions = Conditions::default();
        let mut sent = Sent::default();
        for (name, value) in fields {
            if name.eq_ignore_ascii_case(b"content-type") {
                sent.content_type = Some(value);
            }
            sent.is_part |= name.eq_ignore_ascii_case(b"content-range");
            conditions.note(name, value);
        }
        let method = known(method);
        Incoming {
            route: route(method, target, &sent),
            method: method.unwrap_or(Method::Get),
            target: target.to_vec(),
            conditions,
            content: Vec::new(),
            is_too_long: false,
        }
    }
}

/// The method, if there is a meaning to it here.
fn known(method: Method<'_>) -> Option<Method<'static>> {
    Some(match method {
        Method::Get => Method::Get,
        Method::Head => Method::Head,
        Method::Post => Method::Post,
        Method::Put => Method::Put,
        Method::Delete => Method::Delete,
        Method::Options => Method::Options,
        Method::Patch => Method::Patch,
        Method::Trace => Method::Trace,
        Method::Connect | Method::Other(_) => return None,
    })
}

// ANCHOR: route
/// What the request is about, if nothing in its head speaks against answering it.
fn route(
    method: Option<Method<'static>>,
    target: &[u8],
    sent: &Sent<'_>,
) -> Result<Route, Response> {
    let failure = |status, detail: &str| Response::failure(target, status, detail);
    let Some(method) = method else {
        return Err(failure(
            Status::NOT_IMPLEMENTED,
            "nobody here knows this method",
        ));
    };
    if target == b"*" {
        return Ok(Route::Server);
    }
    // What stands in a target may come to stand in Location.
    if !target.iter().all(u8::is_ascii_graphic) {
        return Err(failure(Status::BAD_REQUEST, "this is not a target"));
    }
    let path = Path::parse(path_of(target)).map_err(|wrong| {
        let status = match wrong {
            path::Wrong::Malformed => Status::BAD_REQUEST,
            path::Wrong::Nowhere => Status::NOT_FOUND,
        };
        failure(status, &wrong.to_string())
    })?;
    let names: Vec<&str> = path.segments.iter().map(String::as_str).collect();
    let id = match names[..] {
        ["api", "notes"] if !path.ends_in_slash => None,
        ["api", "notes", id] if !path.ends_in_slash && notes::is_id(id) => Some(id.to_owned()),
        ["api", ..] => return Err(Response::problem(Status::NOT_FOUND, "nothing is here")),
        _ if matches!(method, Method::Get | Method::Head | Method::Options) => {
            return Ok(Route::File(path));
        }
        _ => {
            return Err(
                failure(Status::METHOD_NOT_ALLOWED, "files can only be read")
                    .field("Allow", files::ALLOW),
            );
        }
    };
    accept(method, Notes::allow(id.as_deref()), sent)?;
    Ok(Route::Notes { id })
}

/// Whether notes can be asked by that method, with such content.
fn accept(method: Method<'_>, allow: &'static str, sent: &Sent<'_>) -> Result<(), Response> {
    let mut allowed = allow.split(", ").map(str::as_bytes);
    if !allowed.any(|allowed| allowed == method.as_bytes()) {
        let detail = format!("here one can {allow}");
        return Err(Response::problem(Status::METHOD_NOT_ALLOWED, &detail).field("Allow", allow));
    }
    let (wanted, field) = match method {
        Method::Post => (JSON, "Accept-Post"),
        Method::Put => (JSON, "Accept"),
        Method::Patch => (MERGE_PATCH, "Accept-Patch"),
        _ => return Ok(()),
    };
    let is_wanted = |content_type| media::is(content_type, wanted);
    if !sent.content_type.is_some_and(is_wanted) {
        let detail = format!("send {wanted}");
        return Err(Response::problem(Status::UNSUPPORTED_MEDIA_TYPE, &detail).field(field, wanted));
    }
    // It would replace the whole by a part (RFC 9110 §14.5).
    if sent.is_part && method == Method::Put {
        return Err(Response::problem(Status::BAD_REQUEST, "send all of it"));
    }
    Ok(())
}
// ANCHOR_END: route

/// The path of a target, without the query.
fn path_of(target: &[u8]) -> &[u8] {
    let end = target.iter().position(|byte| *byte == b'?');
    &target[..end.unwrap_or(target.len())]
}

impl Incoming {
    /// Whether the answer depends on the content. If not, a client that waits for leave to send it (100)
    /// can be answered at once.
    #[must_use]
    pub fn wants_content(&self) -> bool {
        let takes = matches!(self.method, Method::Post | Method::Put | Method::Patch);
        takes && self.route.is_ok() && !self.is_too_long
    }

    /// Says how long the content will be, where that is known before.
    pub fn announce(&mut self, len: u64) {
        self.is_too_long |= len > MAX_CONTENT as u64;
    }

    /// Takes a piece of the content.
    pub fn data(&mut self, data: &[u8]) {
        if !self.wants_content() {
            return;
        }
        if self.content.len() + data.len() > MAX_CONTENT {
            self.is_too_long = true;
            self.content = Vec::new();
            return;
        }
        self.content.extend_from_slice(data);
    }

    /// The answer, now that all of the request has come, or as much as it needs.
    #[must_use]
    pub fn answer(self, site: &Site, now: SystemTime) -> Response {
        let route = match self.route {
            Ok(route) => route,
            Err(response) => return response,
        };
        let takes = matches!(self.method, Method::Post | Method::Put | Method::Patch);
        if takes && self.is_too_long {
            let detail = format!("at most {MAX_CONTENT} bytes");
            return Response::failure(&self.target, Status::CONTENT_TOO_LARGE, &detail);
        }
        let options = |allow| Response::new(Status::NO_CONTENT).field("Allow", allow);
        match (route, self.method) {
            (Route::Server, _) => options("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
            (Route::File(_), Method::Options) => options(files::ALLOW),
            (Route::Notes { id }, Method::Options) => {
                let response = options(Notes::allow(id.as_deref()));
                match id {
                    None => response.field("Accept-Post", JSON),
                    Some(_) => response.field("Accept-Patch", MERGE_PATCH),
                }
            }
            (Route::Notes { id }, method) => {
                let request = notes::Request {
                    method,
                    id: id.as_deref(),
                    conditions: &self.conditions,
                    content: &self.content,
                };
                site.notes.answer(&request, seconds(now))
            }
            (Route::File(path), method) => {
                let request = files::Request {
                    method,
                    target: &self.target,
                    path: &path,
                    conditions: &self.conditions,
                };
                files::answer(site.folder.as_ref(), &request, now)
            }
        }
    }
}

/// Seconds since 1970.
fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
