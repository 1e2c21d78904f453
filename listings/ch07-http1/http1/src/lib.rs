//! HTTP/1.1, read and written (RFC 9112): no socket, no clock, no allocation while reading.
//!
//! - [`Request::parse`] and [`Response::parse`] give a view on the bytes of a head, which is checked
//!   once; an [`Error`] says [`What`] is wrong, at which byte, and with which [`Status`] to answer.
//! - [`server::Connection`] and [`client::Connection`] know what comes when: heads, content in both
//!   framings, interim responses, who may send what, and whether the connection can be used again.
//! - [`Limits`] bound all that a peer may send. Whatever two recipients might read differently is
//!   refused (request smuggling, RFC 9112 §11.2).
//!
//! ```
//! use http1::{Framing, Method, Request, Scratch, Status, What};
//!
//! let mut scratch = Scratch::default();
//! let request = Request::parse(b"GET /?q=1 HTTP/1.1\r\nHost: a.example\r\n\r\n", &mut scratch)?;
//! let request = request.expect("a complete head");
//! assert_eq!(request.method(), Method::Get);
//! assert_eq!(request.target().path(), b"/");
//! assert_eq!(request.fields().get("host"), Some(&b"a.example"[..]));
//! assert_eq!(request.framing(), Framing::Empty);
//!
//! let smuggler = b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\
//!     Transfer-Encoding: chunked\r\n\r\n";
//! let error = Request::parse(smuggler, &mut scratch).unwrap_err();
//! assert_eq!((error.what, error.status()), (What::LengthAndCoding, Status::BAD_REQUEST));
//! # Ok::<(), http1::Error>(())
//! ```

#![deny(unsafe_code)] // but for calls of SSE2's instructions in `scan/sse2.rs`
#![warn(missing_docs)]

mod body;
pub mod chunked;
pub mod client;
mod date;
mod error;
mod field;
mod framing;
mod head;
mod limits;
mod request;
mod response;
mod scan;
pub mod server;
mod status;
mod version;

pub use body::{Length, Misuse};
pub use date::Date;
pub use error::{Error, What};
pub use field::{Field, Fields, Scratch};
pub use framing::Framing;
pub use limits::{Limits, MAX_FIELDS, MAX_HEAD};
pub use request::{Method, Request, Target};
pub use response::{Asked, Response};
pub use status::Status;
pub use version::Version;
