//! What is wrong with a message, and where.

use std::fmt;

use crate::Status;

/// Why a message is refused: what is wrong, and where.
///
/// Compare it in tests, show it to people: `a bare LF at byte 15 (RFC 9112 §2.2)`. Every error ends
/// its connection: behind a message that was not understood, nobody knows where the next one begins
/// (RFC 9112 §11.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub what: What,
    /// Where: bytes since the message's first.
    pub offset: u64,
}

impl Error {
    pub(crate) const fn new(what: What, offset: usize) -> Self {
        Self {
            what,
            offset: offset as u64,
        }
    }

    /// The same, behind so many bytes of its message.
    pub(crate) const fn behind(self, bytes: u64) -> Self {
        Self {
            offset: self.offset + bytes,
            ..self
        }
    }

    /// A client took too long over its request, and sent this many bytes of it. Time is the
    /// caller's; so it makes this error itself.
    #[must_use]
    pub const fn timeout(offset: u64) -> Self {
        Self {
            what: What::Timeout,
            offset,
        }
    }

    /// With which status a server answers. A proxy that finds the error in a *response* answers its
    /// own client with 502, whatever it is.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.what.status()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, offset } = self;
        let (rfc, section) = what.section();
        write!(f, "{what} at byte {offset} (RFC {rfc} §{section})")
    }
}

impl std::error::Error for Error {}

/// Declares each thing that can be wrong: its name, the status for it, the RFC and section that
/// refuse it, and its words.
macro_rules! what {
    ($($(#[$doc:meta])* $name:ident, $status:ident, $rfc:literal $section:literal, $text:literal;)*) => {
        /// What can be wrong with a message.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum What {
            $($(#[$doc])* $name,)*
        }

        impl What {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// With which status a server answers.
            #[must_use]
            pub const fn status(self) -> Status {
                match self {
                    $(Self::$name => Status::$status,)*
                }
            }

            /// The number of the RFC, and the section of it, that the message offends against.
            #[must_use]
            pub const fn section(self) -> (u16, &'static str) {
                match self {
                    $(Self::$name => ($rfc, $section),)*
                }
            }
        }

        impl fmt::Display for What {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$name => $text,)*
                })
            }
        }
    };
}

what! {
    /// A line ends in LF without CR. Some read it as a line's end, others do not.
    BareLf, BAD_REQUEST, 9112 "2.2", "a bare LF";
    /// A CR without LF behind it.
    BareCr, BAD_REQUEST, 9112 "2.2", "a bare CR";
    /// A control character, NUL for example.
    Control, BAD_REQUEST, 9110 "5.5", "a control character";
    /// More than one empty line before a request, or one before a response.
    EmptyLine, BAD_REQUEST, 9112 "2.2", "an empty line before the message";
    /// The first line is not made of three parts with one space between them.
    RequestLine, BAD_REQUEST, 9112 "3", "no request line";
    /// The method is no token.
    Method, BAD_REQUEST, 9112 "3.1", "a character that no method has";
    /// A character that no request target has, a space for example.
    Target, BAD_REQUEST, 9112 "3.2", "a character that no request target has";
    /// The request target has none of the four forms, or not one that goes with the method.
    TargetForm, BAD_REQUEST, 9112 "3.2", "a request target of a form that its method does not take";
    /// The request line is longer than [`Limits::start_line`](crate::Limits::start_line).
    TargetTooLong, URI_TOO_LONG, 9112 "3", "a request line beyond the limit";
    /// The version is not written as versions are.
    Version, BAD_REQUEST, 9112 "2.3", "no HTTP version";
    /// A version of HTTP whose messages look otherwise: 0.9, 2, 3.
    VersionNotSupported, HTTP_VERSION_NOT_SUPPORTED, 9110 "15.6.6", "a version other than HTTP/1";
    /// The first line of a response is no status line.
    StatusLine, BAD_GATEWAY, 9112 "4", "no status line";
    /// The status line is longer than [`Limits::start_line`](crate::Limits::start_line).
    StatusLineTooLong, BAD_GATEWAY, 9112 "4", "a status line beyond the limit";
    /// A line that begins with white space: once it went on with the line before it.
    ObsFold, BAD_REQUEST, 9112 "5.2", "a line that begins with white space";
    /// White space between a field's name and its colon.
    SpaceBeforeColon, BAD_REQUEST, 9112 "5.1", "white space before a colon";
    /// A field's name is empty or no token.
    FieldName, BAD_REQUEST, 9110 "5.1", "a character that no field name has";
    /// A field line without a colon.
    NoColon, BAD_REQUEST, 9112 "5", "a field line without a colon";
    /// A field line is longer than [`Limits::field_line`](crate::Limits::field_line).
    FieldTooLong, REQUEST_HEADER_FIELDS_TOO_LARGE, 6585 "5", "a field line beyond the limit";
    /// More field lines than [`Limits::fields`](crate::Limits::fields), or than there are slots for.
    TooManyFields, REQUEST_HEADER_FIELDS_TOO_LARGE, 6585 "5", "a field line more than the limit";
    /// The head is longer than [`Limits::head`](crate::Limits::head), or the trailer section than
    /// [`Limits::trailers`](crate::Limits::trailers).
    TooLong, REQUEST_HEADER_FIELDS_TOO_LARGE, 6585 "5", "a head or trailer section beyond the limit";
    /// A request of HTTP/1.1 without a Host field.
    HostMissing, BAD_REQUEST, 9112 "3.2", "no Host field";
    /// More than one Host field.
    HostTwice, BAD_REQUEST, 9112 "3.2", "a second Host field";
    /// A Host field that names no host and port.
    HostInvalid, BAD_REQUEST, 9112 "3.2", "a Host that is none";
    /// A Content-Length that is no number.
    LengthInvalid, BAD_REQUEST, 9112 "6.3", "a Content-Length that is no number";
    /// More than one Content-Length, be they equal or not.
    LengthTwice, BAD_REQUEST, 9112 "6.3", "a second Content-Length";
    /// Both Content-Length and Transfer-Encoding: which of the two counts, depends on whom you ask.
    LengthAndCoding, BAD_REQUEST, 9112 "6.3", "Transfer-Encoding beside Content-Length";
    /// Transfer-Encoding in a message of HTTP/1.0, which does not know it.
    CodingInHttp10, BAD_REQUEST, 9112 "6.1", "Transfer-Encoding in HTTP/1.0";
    /// Transfer-Encoding that is no list of codings, or chunked with parameters.
    CodingInvalid, BAD_REQUEST, 9112 "7.1", "a Transfer-Encoding that is none";
    /// Something follows chunked, or a request ends in another coding: nobody knows its length.
    CodingNotLast, BAD_REQUEST, 9112 "6.3", "a Transfer-Encoding that does not end in chunked";
    /// A transfer coding that this library does not undo.
    CodingUnknown, NOT_IMPLEMENTED, 9112 "6.1", "a transfer coding that is not implemented";
    /// An expectation other than `100-continue`.
    Expectation, EXPECTATION_FAILED, 9110 "10.1.1", "an expectation that cannot be met";
    /// The content is longer than [`Limits::body`](crate::Limits::body).
    BodyTooLong, CONTENT_TOO_LARGE, 9110 "15.5.14", "content beyond the limit";
    /// A chunk's size is not written in hexadecimal digits, or has more than 16.
    ChunkSize, BAD_REQUEST, 9112 "7.1", "a chunk size that is none";
    /// A chunk extension that is none.
    ChunkExtension, BAD_REQUEST, 9112 "7.1.1", "a chunk extension that is none";
    /// More chunk extensions than [`Limits::chunk_extensions`](crate::Limits::chunk_extensions).
    ChunkExtensionsTooLong, BAD_REQUEST, 9112 "7.1.1", "chunk extensions beyond the limit";
    /// No CRLF where a chunk must end.
    ChunkEnd, BAD_REQUEST, 9112 "7.1", "a chunk of another size than it says";
    /// A trailer field that says something about framing or routing, which is decided by then.
    TrailerField, BAD_REQUEST, 9110 "6.5.1", "a field that no trailer section has";
    /// The peer has ended the connection in the middle of a message.
    CutOff, BAD_REQUEST, 9112 "8", "the end of the connection within a message";
    /// The client took too long.
    Timeout, REQUEST_TIMEOUT, 9110 "15.5.9", "no more came in time";
    /// A response to which there is no request.
    Unasked, BAD_GATEWAY, 9112 "9.2", "a response that nobody asked for";
}
