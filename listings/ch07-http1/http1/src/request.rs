//! Requests: `GET /index.html HTTP/1.1` and fields (RFC 9112 §3).

use std::fmt;
use std::ops::Range;

use crate::error::{Error, What};
use crate::field::{Fields, Scratch, Slot};
use crate::framing::{Framing, Kind, Notes, is_authority};
use crate::head::{Complete, Head, Start};
use crate::limits::Limits;
use crate::{Version, scan};

/// What is to be done (RFC 9110 §9). Case matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method<'a> {
    /// Transfer a representation of the target.
    Get,
    /// As GET, without the content.
    Head,
    /// Let the target process the content.
    Post,
    /// Replace the target by the content.
    Put,
    /// Remove the target.
    Delete,
    /// Become a tunnel to the target.
    Connect,
    /// Say how one can communicate with the target.
    Options,
    /// Echo the request.
    Trace,
    /// Change the target in part (RFC 5789).
    Patch,
    /// Another one: a token.
    Other(&'a [u8]),
}

impl<'a> Method<'a> {
    /// The method that is written so.
    ///
    /// # Errors
    ///
    /// When it is no token.
    pub fn new(name: &'a [u8]) -> Result<Self, Error> {
        match name.iter().position(|byte| !scan::is_token(*byte)) {
            Some(at) => Err(Error::new(What::Method, at)),
            None if name.is_empty() => Err(Error::new(What::Method, 0)),
            None => Ok(Self::of_token(name)),
        }
    }

    #[inline]
    fn of_token(name: &'a [u8]) -> Self {
        match name {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"CONNECT" => Self::Connect,
            b"OPTIONS" => Self::Options,
            b"TRACE" => Self::Trace,
            b"PATCH" => Self::Patch,
            other => Self::Other(other),
        }
    }

    /// As it is written.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        match self {
            Self::Get => b"GET",
            Self::Head => b"HEAD",
            Self::Post => b"POST",
            Self::Put => b"PUT",
            Self::Delete => b"DELETE",
            Self::Connect => b"CONNECT",
            Self::Options => b"OPTIONS",
            Self::Trace => b"TRACE",
            Self::Patch => b"PATCH",
            Self::Other(name) => name,
        }
    }

    /// Whether it asks for no change (RFC 9110 §9.2.1).
    #[must_use]
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Options | Self::Trace)
    }

    /// Whether sending it twice has the effect of sending it once (RFC 9110 §9.2.2).
    #[must_use]
    pub const fn is_idempotent(self) -> bool {
        self.is_safe() || matches!(self, Self::Put | Self::Delete)
    }
}

/// As it is written; it is ASCII.
impl fmt::Display for Method<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

/// What a request is about, in one of four forms (RFC 9112 §3.2). None is decoded: `%2F` is not `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// `/where?q=now`: to the server that has it.
    Origin(&'a [u8]),
    /// `http://www.example.org/pub/WWW/`: to a proxy; a server takes it, too.
    Absolute {
        /// All of it.
        uri: &'a [u8],
        /// Host and, behind a colon, port. It takes precedence over the Host field.
        authority: &'a [u8],
        /// From the first slash behind the authority on; may be empty.
        origin: &'a [u8],
    },
    /// `www.example.com:80`: CONNECT only.
    Authority(&'a [u8]),
    /// `*`: OPTIONS only, about the server as a whole.
    Asterisk,
}

impl<'a> Target<'a> {
    /// The target that is written so.
    ///
    /// # Errors
    ///
    /// When a character stands in it that no target has, or when it has no form that goes with the
    /// method.
    pub fn new(target: &'a [u8], method: Method<'_>) -> Result<Self, Error> {
        if let Some(at) = scan::target_end(target) {
            return Err(Error::new(What::Target, at));
        }
        Form::of(target, method.as_bytes(), 0).map(|form| form.target(target))
    }

    /// As it is written.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        match self {
            Self::Origin(target) | Self::Absolute { uri: target, .. } | Self::Authority(target) => {
                target
            }
            Self::Asterisk => b"*",
        }
    }

    /// Its path, up to the question mark; `/` of an absolute one that has none. Empty if it is none
    /// of these two forms.
    #[must_use]
    #[inline]
    pub fn path(self) -> &'a [u8] {
        match self {
            Self::Origin(origin) | Self::Absolute { origin, .. } => match split_query(origin).0 {
                b"" => b"/",
                path => path,
            },
            Self::Authority(_) | Self::Asterisk => b"",
        }
    }

    /// What follows the question mark, if there is one.
    #[must_use]
    #[inline]
    pub fn query(self) -> Option<&'a [u8]> {
        match self {
            Self::Origin(origin) | Self::Absolute { origin, .. } => split_query(origin).1,
            Self::Authority(_) | Self::Asterisk => None,
        }
    }
}

/// As it is written; it is ASCII.
impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

fn split_query(origin: &[u8]) -> (&[u8], Option<&[u8]>) {
    match origin.iter().position(|byte| *byte == b'?') {
        Some(at) => (&origin[..at], Some(&origin[at + 1..])),
        None => (origin, None),
    }
}

/// The form of a target, without its parts: hardly anyone asks for those of an absolute one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Origin,
    Absolute,
    Authority,
    Asterisk,
}

impl Form {
    /// The form of a target that has the right characters, and that begins at byte `at`.
    #[inline(always)]
    fn of(target: &[u8], method: &[u8], at: usize) -> Result<Self, Error> {
        match target {
            [b'/', ..] if method != b"CONNECT" => Ok(Self::Origin),
            _ => Self::other(target, method).ok_or(Error::new(What::TargetForm, at)),
        }
    }

    fn other(target: &[u8], method: &[u8]) -> Option<Self> {
        match method {
            b"CONNECT" => is_authority_with_port(target).then_some(Self::Authority),
            b"OPTIONS" if target == b"*" => Some(Self::Asterisk),
            _ => absolute(target).map(|_| Self::Absolute),
        }
    }

    #[inline]
    fn target(self, target: &[u8]) -> Target<'_> {
        match self {
            Self::Origin => Target::Origin(target),
            Self::Authority => Target::Authority(target),
            Self::Asterisk => Target::Asterisk,
            Self::Absolute => {
                let (authority, origin) = absolute(target).unwrap_or_default();
                Target::Absolute {
                    uri: target,
                    authority,
                    origin,
                }
            }
        }
    }
}

/// Host and port; the port cannot be left out (RFC 9112 §3.2.3).
fn is_authority_with_port(target: &[u8]) -> bool {
    let port = target.rsplit(|byte| *byte == b':').next();
    let has_port = port.is_some_and(|port| {
        port.len() < target.len() && !port.is_empty() && port.iter().all(u8::is_ascii_digit)
    });
    has_port && is_authority(target)
}

/// Authority and rest of a URI: a scheme, `://`, an authority without user information (RFC 9110
/// §4.2.4), and what follows.
fn absolute(uri: &[u8]) -> Option<(&[u8], &[u8])> {
    let scheme_len = uri.iter().position(|byte| *byte == b':')?;
    let (scheme, rest) = uri.split_at(scheme_len);
    let in_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    if !scheme.first()?.is_ascii_alphabetic() || !scheme.iter().all(in_scheme) {
        return None;
    }
    let rest = rest.strip_prefix(b"://")?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
    let (authority, origin) = rest.split_at(end.unwrap_or(rest.len()));
    is_authority(authority).then_some((authority, origin))
}

/// Where the parts of a request line are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestLine {
    at: u32,
    method_len: u32,
    target_len: u32,
    form: Form,
    version: Version,
}

impl Start for RequestLine {
    const KIND: Kind = Kind::Request;
    /// Once, for clients that end a form with a line end of their own (RFC 9112 §2.2).
    const EMPTY_LINES: u16 = 1;
    const TOO_LONG: What = What::TargetTooLong;
    const KNOWN: Option<Self> = None;

    #[inline(always)]
    fn parse(bytes: &[u8], line: Range<usize>) -> Result<Self, Error> {
        let at = line.start;
        let method_len = match scan::word_end(&bytes[at..]) {
            Some(len) if bytes[at + len] == b' ' => len,
            _ => scan::token_end(&bytes[line.clone()]),
        };
        let line = &bytes[line];
        let (method, rest) = line.split_at(method_len);
        let ([_, ..], [b' ', rest @ ..]) = (method, rest) else {
            return Err(no_method(line, method_len, at));
        };
        let target_at = at + method_len + 1;
        let Some(([target @ .., b' '], version)) = rest.split_last_chunk() else {
            return Err(no_version(rest, target_at));
        };
        if let Some(bad) = scan::target_end(target) {
            // More than three parts, if it is a space.
            let what = if target[bad] == b' ' {
                What::RequestLine
            } else {
                What::Target
            };
            return Err(Error::new(what, target_at + bad));
        }
        if target.is_empty() {
            return Err(Error::new(What::RequestLine, target_at));
        }
        let version = Version::parse(version, target_at + target.len() + 1)?;
        Ok(Self {
            at: at as u32,
            method_len: method_len as u32,
            target_len: target.len() as u32,
            form: Form::of(target, method, target_at)?,
            version,
        })
    }
}

/// What is wrong with a line whose first part is not followed by a space.
#[cold]
fn no_method(line: &[u8], method_len: usize, at: usize) -> Error {
    match line.get(method_len) {
        Some(b' ') => Error::new(What::RequestLine, at),
        Some(_) => Error::new(What::Method, at + method_len),
        None => Error::new(What::RequestLine, at + line.len()),
    }
}

/// What is wrong with a line that does not end in a space and something of a version's length.
#[cold]
fn no_version(rest: &[u8], at: usize) -> Error {
    match rest.iter().rposition(|byte| *byte == b' ') {
        Some(space) => Error::new(What::Version, at + space + 1),
        None => Error::new(What::RequestLine, at + rest.len()),
    }
}

/// A request's head: a view on bytes that were checked. No getter fails or panics.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    line: RequestLine,
    fields: Fields<'a>,
    framing: Framing,
    host: Option<Slot>,
    persistent: bool,
    upgrades: bool,
    expects_continue: bool,
}

impl<'a> Request<'a> {
    /// Reads the head of a request at the beginning of `bytes`. `None`: it is not complete yet.
    ///
    /// Where heads come in pieces, [`server::Connection`](crate::server::Connection) is better: it
    /// does not begin anew with each.
    ///
    /// # Errors
    ///
    /// When it is no request, when another server could take it for a different one, or when it goes
    /// beyond a limit: see [`What`].
    #[inline]
    pub fn parse(bytes: &'a [u8], scratch: &'a mut Scratch) -> Result<Option<Self>, Error> {
        Self::resume(&mut { Head::NEW }, bytes, scratch)
    }

    /// The same, going on where it stopped.
    #[inline(always)]
    pub(crate) fn resume(
        head: &mut Head<RequestLine>,
        bytes: &'a [u8],
        scratch: &'a mut Scratch,
    ) -> Result<Option<Self>, Error> {
        let limits = scratch.limits;
        match head.read(bytes, limits.head, scratch)? {
            Some(complete) => Self::complete(complete, &head.notes, &limits).map(Some),
            None => Ok(None),
        }
    }

    /// Weighs what the fields say together.
    #[inline(always)]
    fn complete(
        head: Complete<'a, RequestLine>,
        notes: &Notes,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let Complete { start, fields } = head;
        let version = start.version;
        if notes.host.is_none() && version == Version::Http11 {
            return Err(Error::new(What::HostMissing, fields.bytes.len() - 2));
        }
        let framing = notes.framing(Kind::Request, version, limits)?;
        let expects_continue = notes.expects_continue(version)?
            && !matches!(framing, Framing::Empty | Framing::Length(0));
        Ok(Self {
            line: start,
            fields,
            framing,
            host: notes.host,
            persistent: notes.is_persistent(version),
            upgrades: notes.upgrade && version == Version::Http11,
            expects_continue,
        })
    }

    /// What is to be done.
    #[must_use]
    #[inline]
    pub fn method(&self) -> Method<'a> {
        Method::of_token(self.part(self.line.at, self.line.method_len))
    }

    /// To what.
    #[must_use]
    #[inline]
    pub fn target(&self) -> Target<'a> {
        let RequestLine {
            at,
            method_len,
            target_len,
            form,
            ..
        } = self.line;
        form.target(self.part(at + method_len + 1, target_len))
    }

    /// A part of the request line.
    #[inline]
    fn part(&self, at: u32, len: u32) -> &'a [u8] {
        &self.fields.bytes[at as usize..][..len as usize]
    }

    /// The client's version of HTTP.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.line.version
    }

    /// The fields, in their order, Host and framing included.
    #[must_use]
    pub const fn fields(&self) -> Fields<'a> {
        self.fields
    }

    /// Whether content follows, and how it is delimited.
    #[must_use]
    pub const fn framing(&self) -> Framing {
        self.framing
    }

    /// The host, and behind a colon the port, that the client means: from the target if that has
    /// them, else from the Host field (RFC 9112 §3.2.2). HTTP/1.0 may give none.
    #[must_use]
    pub fn authority(&self) -> Option<&'a [u8]> {
        match self.target() {
            Target::Absolute { authority, .. } | Target::Authority(authority) => Some(authority),
            Target::Origin(_) | Target::Asterisk => {
                self.host.map(|slot| slot.value(self.fields.bytes))
            }
        }
    }

    /// Whether the client lets the connection be used again (RFC 9112 §9.3).
    #[must_use]
    pub const fn is_persistent(&self) -> bool {
        self.persistent
    }

    /// Whether the client offers to go on with another protocol (RFC 9110 §7.8): the Upgrade field
    /// says with which.
    #[must_use]
    pub const fn offers_upgrade(&self) -> bool {
        self.upgrades
    }

    /// Whether the client may be waiting for 100 (Continue) before it sends the content.
    #[must_use]
    pub const fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// How many bytes the head takes, the empty line included.
    #[must_use]
    pub const fn head_len(&self) -> usize {
        self.fields.bytes.len()
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method())
            .field("target", &self.target())
            .field("version", &self.version())
            .field("fields", &self.fields)
            .field("framing", &self.framing)
            .finish_non_exhaustive()
    }
}
