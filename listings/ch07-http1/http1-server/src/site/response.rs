//! An answer, before any version of HTTP has put it on a wire.

use http1::Status;
use serde::Serialize;

use super::content::Content;
use super::notes::PATH;

/// An answer: a status, fields and content. It has no fields about the message itself (Content-Length,
/// Connection) and no Date: those are the server's who sends it.
#[derive(Debug)]
pub struct Response {
    /// What became of the request.
    pub status: Status,
    /// Names and values, in their order. HTTP/2 and HTTP/3 want the names in lower case.
    pub fields: Vec<(&'static str, String)>,
    /// What follows. To HEAD it is the content that GET would have; its length is told, and nothing of it
    /// sent.
    pub content: Content,
}

/// What went wrong, as RFC 9457 has it.
#[derive(Serialize)]
struct Problem<'a> {
    status: u16,
    title: &'a str,
    detail: &'a str,
}

impl Response {
    pub(crate) fn new(status: Status) -> Self {
        Self {
            status,
            fields: Vec::new(),
            content: Content::none(),
        }
    }

    pub(crate) fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    pub(crate) fn content(mut self, content_type: &str, content: Vec<u8>) -> Self {
        self.content.push_bytes(content);
        self.field("Content-Type", content_type)
    }

    /// What went wrong with a file, for people.
    pub(crate) fn text(status: Status, detail: &str) -> Self {
        let text = format!("{status}: {detail}\n");
        Self::new(status).content("text/plain; charset=utf-8", text.into_bytes())
    }

    /// What went wrong with a note, for programs (RFC 9457).
    pub(crate) fn problem(status: Status, detail: &str) -> Self {
        let problem = Problem {
            status: status.code(),
            title: status.reason(),
            detail,
        };
        let json = serde_json::to_vec(&problem).expect("text and numbers can be written as JSON");
        Self::new(status).content("application/problem+json", json)
    }

    /// What went wrong, in the form that goes with the path.
    pub(crate) fn failure(target: &[u8], status: Status, detail: &str) -> Self {
        match target.starts_with(PATH.as_bytes()) {
            true => Self::problem(status, detail),
            false => Self::text(status, detail),
        }
    }

    /// The value of its first field of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut named = self.fields.iter();
        let (_, value) = named.find(|(field, _)| field.eq_ignore_ascii_case(name))?;
        Some(value)
    }
}
