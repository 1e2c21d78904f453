//! Files, whole and in parts.

use std::fs::File;
use std::time::SystemTime;

use http1::{Date, Method, Status};

use super::conditions::{Conditions, Validators, Verdict};
use super::content::Content;
use super::folder::{Failure, Folder, Found, Version};
use super::path::Path;
use super::range::{Part, Selection};
use super::response::Response;
use super::tag::Tag;
use super::{media, path_of, seconds};

/// What files are asked by.
pub const ALLOW: &str = "GET, HEAD, OPTIONS";

/// What is served for a folder.
const INDEX: &str = "index.html";

/// In how many seconds a client may try again when the system is short of descriptors.
const RETRY_AFTER: &str = "1";

/// What a request for a file needs to be answered.
#[derive(Debug)]
pub struct Request<'a> {
    /// GET or HEAD.
    pub method: Method<'static>,
    /// As it came.
    pub target: &'a [u8],
    /// The path in it.
    pub path: &'a Path,
    /// If what is so, and which part.
    pub conditions: &'a Conditions,
}

/// Looks for the file, and answers with it or with the reason why not.
pub fn answer(folder: Option<&Folder>, request: &Request<'_>, now: SystemTime) -> Response {
    let path = request.path;
    let mut name = path.segments.join("/");
    if path.ends_in_slash {
        name.push_str(if name.is_empty() { "" } else { "/" });
        name.push_str(INDEX);
    }
    match folder.map_or(Err(Failure::NotFound), |folder| folder.find(&name)) {
        Ok(Found::File(file, metadata)) => {
            represent(request, file, Version::of(&metadata), media::of(&name), now)
        }
        Ok(Found::Folder) if !path.ends_in_slash => with_slash(request.target),
        Ok(Found::Folder) | Err(Failure::NotFound) => {
            Response::text(Status::NOT_FOUND, "nothing is here")
        }
        Err(Failure::Forbidden) => Response::text(Status::FORBIDDEN, "this file cannot be read"),
        Err(Failure::Busy) => {
            Response::text(Status::SERVICE_UNAVAILABLE, "too many files are open")
                .field("Retry-After", RETRY_AFTER)
        }
        Err(Failure::Other(error)) => {
            eprintln!("{name:?}: {error}");
            Response::text(Status::INTERNAL_SERVER_ERROR, "the file cannot be read")
        }
    }
}

// ANCHOR: represent
/// The answer with what there is of the file, or with none of it if the client has it already.
fn represent(
    request: &Request<'_>,
    file: File,
    version: Version,
    content_type: &str,
    now: SystemTime,
) -> Response {
    let tag = version.tag(now);
    let current = Validators {
        tag: &tag,
        modified: Some(version.modified(now)),
    };
    let conditions = request.conditions;
    match conditions.evaluate(request.method, Some(current), seconds(now)) {
        Verdict::Failed => {
            return Response::text(Status::PRECONDITION_FAILED, "a precondition does not hold");
        }
        Verdict::NotModified => {
            return Response::new(Status::NOT_MODIFIED).field("ETag", tag.to_string());
        }
        Verdict::Perform => {}
    }
    let len = version.len();
    let tagged = |status| {
        Response::new(status)
            .field("ETag", tag.to_string())
            .field("Accept-Ranges", "bytes")
    };
    let dated = |status| match current.modified.map(u64::try_from) {
        Some(Ok(seconds)) => tagged(status).field("Last-Modified", date(seconds)),
        // HTTP's dates begin with the year 0, those that we write with 1970.
        _ => tagged(status),
    };
    let mut content = Content::of_file(file, version);
    let mut response = match conditions.select(request.method, current, len, seconds(now)) {
        Selection::Whole => {
            content.push_range(0, len);
            dated(Status::OK).field("Content-Type", content_type)
        }
        Selection::Parts(parts) if parts.len() == 1 => {
            content.push_range(parts[0].first, parts[0].count());
            let response = match conditions.has_if_range() {
                // The client has another part, and with it has learned the rest (RFC 9110 §15.3.7).
                true => tagged(Status::PARTIAL_CONTENT),
                false => dated(Status::PARTIAL_CONTENT).field("Content-Type", content_type),
            };
            response.field("Content-Range", content_range(parts[0], len))
        }
        Selection::Parts(parts) => {
            let boundary = boundary(&tag);
            push_parts(&mut content, &parts, len, content_type, &boundary);
            let content_type = format!("multipart/byteranges; boundary={boundary}");
            dated(Status::PARTIAL_CONTENT).field("Content-Type", content_type)
        }
        Selection::Unsatisfiable => {
            return Response::text(Status::RANGE_NOT_SATISFIABLE, "nothing is there")
                .field("Content-Range", format!("bytes */{len}"));
        }
    };
    response.content = content;
    response
}
// ANCHOR_END: represent

/// Sends the client to the same place with a slash behind its path, so that the links of the folder's
/// page lead into the folder.
fn with_slash(target: &[u8]) -> Response {
    let path = path_of(target);
    let location = [path, b"/", &target[path.len()..]].concat();
    let location = String::from_utf8_lossy(&location).into_owned();
    let text = format!("this is a folder: {location}");
    Response::text(Status::MOVED_PERMANENTLY, &text).field("Location", location)
}

fn date(seconds: u64) -> String {
    String::from_utf8_lossy(Date::from_unix(seconds).as_bytes()).into_owned()
}

fn content_range(part: Part, len: u64) -> String {
    format!("bytes {}-{}/{len}", part.first, part.last)
}

// ANCHOR: parts
/// What stands between the parts (RFC 2046 §5.1.1): at most 70 characters, and none that needs quotes.
/// A file would have to have its own tag in it to have such a line.
fn boundary(tag: &Tag) -> String {
    format!("part-{}", tag.opaque())
}

/// Appends several parts, each with a head of its own (RFC 9110 §14.6).
fn push_parts(content: &mut Content, parts: &[Part], len: u64, content_type: &str, boundary: &str) {
    for (at, part) in parts.iter().enumerate() {
        let line_end = if at == 0 { "" } else { "\r\n" };
        let range = content_range(*part, len);
        let head = format!(
            "{line_end}--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {range}\r\n\r\n"
        );
        content.push_bytes(head.into_bytes());
        content.push_range(part.first, part.count());
    }
    content.push_bytes(format!("\r\n--{boundary}--\r\n").into_bytes());
}
// ANCHOR_END: parts
