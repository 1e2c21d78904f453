//! A small REST resource: a list of notes, in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http1::{Method, Status};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::error::Category;

use super::conditions::{Conditions, Validators, Verdict};
use super::response::Response;
use super::tag::Tag;

/// How many notes there can be: with the longest content, some 40 MiB.
pub const MAX_NOTES: usize = 1000;

/// How long the content of a request may be, in bytes: the longest note, each of its characters written
/// as an escape, is shorter.
pub const MAX_CONTENT: usize = 64 * 1024;

/// The longest title, in characters.
const MAX_TITLE: usize = 200;

/// The longest text, in characters.
const MAX_TEXT: usize = 4000;

/// The longest id that a client can choose, in characters.
const MAX_ID: usize = 64;

/// Where the notes are.
pub const PATH: &str = "/api/notes";

/// What notes are written in.
pub const JSON: &str = "application/json";

/// What a change of a part is written in (RFC 7396).
pub const MERGE_PATCH: &str = "application/merge-patch+json";

/// A note, as it is sent and received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    title: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    done: bool,
}

impl Note {
    fn checked(self) -> Result<Self, Response> {
        let chars = |text: &str, most| text.chars().count() <= most;
        if self.title.is_empty() || !chars(&self.title, MAX_TITLE) {
            let detail = format!("a title has 1 to {MAX_TITLE} characters");
            return Err(Response::problem(Status::UNPROCESSABLE_CONTENT, &detail));
        }
        if !chars(&self.text, MAX_TEXT) {
            let detail = format!("a text has at most {MAX_TEXT} characters");
            return Err(Response::problem(Status::UNPROCESSABLE_CONTENT, &detail));
        }
        Ok(self)
    }
}

/// A note in the list.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    title: &'a str,
    done: bool,
}

/// A note that is kept.
#[derive(Debug)]
struct Kept {
    note: Note,
    /// As it is sent.
    json: Vec<u8>,
    tag: Tag,
    /// Its place in the order in which notes came.
    number: u64,
}

/// The notes.
#[derive(Debug, Default)]
pub struct Notes {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    notes: BTreeMap<String, Kept>,
    /// How many there have ever been.
    created: u64,
}

/// What a request to the notes needs to be answered.
#[derive(Debug)]
pub struct Request<'a> {
    /// What is to be done.
    pub method: Method<'static>,
    /// To which note; without it, to the list.
    pub id: Option<&'a str>,
    /// If what is so.
    pub conditions: &'a Conditions,
    /// With what.
    pub content: &'a [u8],
}

/// Whether notes can have that id.
#[must_use]
pub fn is_id(id: &str) -> bool {
    let in_id = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=MAX_ID).contains(&id.len()) && id.bytes().all(in_id)
}

impl Notes {
    /// What can be done to the list, or to a note.
    #[must_use]
    pub fn allow(id: Option<&str>) -> &'static str {
        match id {
            None => "GET, HEAD, POST, OPTIONS",
            Some(_) => "GET, HEAD, PUT, PATCH, DELETE, OPTIONS",
        }
    }

    // ANCHOR: answer
    /// Does what is asked for, if it can be done. Everything between the look at what there is and the
    /// change happens under one lock: of two clients with the same If-Match, one comes second and fails.
    pub fn answer(&self, request: &Request<'_>, now: i64) -> Response {
        let mut state = self.lock();
        let outcome = match request.id {
            None => state.answer_list(request, now),
            Some(id) => state.answer_note(id, request, now),
        };
        outcome.unwrap_or_else(|problem| problem)
    }
    // ANCHOR_END: answer

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn answer_list(&mut self, request: &Request<'_>, now: i64) -> Result<Response, Response> {
        let posts = request.method == Method::Post;
        if posts && !request.conditions.has_preconditions() {
            return self.create(request.content);
        }
        let list = self.list();
        // Strong: it is of the bytes themselves.
        let tag = Tag::of_bytes(&list, false);
        check(request, Some(&tag), now)?;
        if posts {
            return self.create(request.content);
        }
        Ok(Response::new(Status::OK)
            .field("ETag", tag.to_string())
            .content(JSON, list))
    }

    // ANCHOR: note
    fn answer_note(
        &mut self,
        id: &str,
        request: &Request<'_>,
        now: i64,
    ) -> Result<Response, Response> {
        let kept = self.notes.get(id);
        if kept.is_none() && request.method != Method::Put {
            let detail = "there is no such note";
            return Err(Response::problem(Status::NOT_FOUND, detail));
        }
        check(request, kept.map(|kept| &kept.tag), now)?;
        match (request.method, kept) {
            (Method::Put, _) => self.put(id, request.content),
            (Method::Patch, Some(kept)) => {
                let patched = patched(&kept.note, request.content)?;
                let (kept, _) = self.keep(id, patched)?;
                Ok(Response::new(Status::NO_CONTENT).field("ETag", kept.tag.to_string()))
            }
            (Method::Delete, _) => {
                self.notes.remove(id);
                Ok(Response::new(Status::NO_CONTENT))
            }
            (_, Some(kept)) => Ok(Response::new(Status::OK)
                .field("ETag", kept.tag.to_string())
                .content(JSON, kept.json.clone())),
            (_, None) => Err(Response::problem(
                Status::NOT_FOUND,
                "there is no such note",
            )),
        }
    }
    // ANCHOR_END: note

    fn list(&self) -> Vec<u8> {
        let mut kept: Vec<(&String, &Kept)> = self.notes.iter().collect();
        kept.sort_by_key(|(_, kept)| kept.number);
        let lines: Vec<Line<'_>> = kept
            .into_iter()
            .map(|(id, kept)| Line {
                id,
                title: &kept.note.title,
                done: kept.note.done,
            })
            .collect();
        json(&lines)
    }

    // ANCHOR: create
    /// The server chooses the id: who posts the same twice has two notes.
    fn create(&mut self, content: &[u8]) -> Result<Response, Response> {
        let note = note(content)?;
        let id = (self.created + 1..)
            .map(|number| number.to_string())
            .find(|id| !self.notes.contains_key(id))
            .unwrap_or_default();
        let (kept, _) = self.keep(&id, note)?;
        Ok(Response::new(Status::CREATED)
            .field("Location", format!("{PATH}/{id}"))
            .field("ETag", kept.tag.to_string())
            .content(JSON, kept.json.clone()))
    }

    /// The client chooses the id: who puts the same twice has one note.
    fn put(&mut self, id: &str, content: &[u8]) -> Result<Response, Response> {
        let note = note(content)?;
        let (kept, is_new) = self.keep(id, note)?;
        let response = match is_new {
            true => Response::new(Status::CREATED),
            false => Response::new(Status::NO_CONTENT),
        };
        // Of another spelling than the client's, the client must ask for the tag (RFC 9110 §9.3.4).
        Ok(match kept.json == content {
            true => response.field("ETag", kept.tag.to_string()),
            false => response,
        })
    }
    // ANCHOR_END: create

    /// Keeps a note under that id, in place of the one that is there; says whether there was none.
    fn keep(&mut self, id: &str, note: Note) -> Result<(&Kept, bool), Response> {
        let before = self.notes.get(id).map(|kept| kept.number);
        if before.is_none() && self.notes.len() == MAX_NOTES {
            let detail = format!("there are {MAX_NOTES} notes: delete one first");
            return Err(Response::problem(Status::CONFLICT, &detail));
        }
        let number = before.unwrap_or_else(|| {
            self.created += 1;
            self.created
        });
        let json = json(&note);
        let tag = Tag::of_bytes(&json, false);
        let kept = Kept {
            note,
            json,
            tag,
            number,
        };
        let place = self.notes.entry(id.to_owned()).insert_entry(kept);
        Ok((place.into_mut(), before.is_none()))
    }
}

/// Evaluates the request's preconditions: the answer, if they do not hold.
fn check(request: &Request<'_>, tag: Option<&Tag>, now: i64) -> Result<(), Response> {
    let current = tag.map(|tag| Validators {
        tag,
        modified: None,
    });
    match request.conditions.evaluate(request.method, current, now) {
        Verdict::Perform => Ok(()),
        Verdict::NotModified => {
            let tag = tag.map(ToString::to_string).unwrap_or_default();
            Err(Response::new(Status::NOT_MODIFIED).field("ETag", tag))
        }
        Verdict::Failed => Err(Response::problem(
            Status::PRECONDITION_FAILED,
            "a precondition does not hold",
        )),
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("text and truth values can be written as JSON")
}

// ANCHOR: read
/// The note that somebody has sent. What is no JSON is malformed (400); what is JSON and no note is
/// understood, and of no use (422).
fn note(content: &[u8]) -> Result<Note, Response> {
    of_value(read(content)?)
}

/// The note with some of its members changed.
fn patched(note: &Note, patch: &[u8]) -> Result<Note, Response> {
    let mut target = serde_json::to_value(note).map_err(|error| not_a_note(&error))?;
    merge(&mut target, read(patch)?);
    of_value(target)
}

fn read(content: &[u8]) -> Result<Value, Response> {
    serde_json::from_slice(content).map_err(|error| not_a_note(&error))
}

fn of_value(value: Value) -> Result<Note, Response> {
    serde_json::from_value::<Note>(value)
        .map_err(|error| not_a_note(&error))?
        .checked()
}

fn not_a_note(error: &serde_json::Error) -> Response {
    let status = match error.classify() {
        Category::Data => Status::UNPROCESSABLE_CONTENT,
        Category::Syntax | Category::Eof | Category::Io => Status::BAD_REQUEST,
    };
    Response::problem(status, &error.to_string())
}
// ANCHOR_END: read

// ANCHOR: merge
/// MergePatch of RFC 7396 §2: members replace members, `null` removes one.
///
/// It goes as deep as the patch, and JSON that is nested deeper than 128 levels is not read.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(members) = target else {
        return;
    };
    for (name, value) in patch {
        match value {
            Value::Null => {
                members.remove(&name);
            }
            value => merge(members.entry(name).or_insert(Value::Null), value),
        }
    }
}
// ANCHOR_END: merge

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn patches_are_merged_as_rfc_7396_shows() {
        for (original, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (
                json!({"a":"b","b":"c"}),
                json!({"a":null}),
                json!({"b":"c"}),
            ),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (
                json!({"a":{"b":"c"}}),
                json!({"a":{"b":"d","c":null}}),
                json!({"a":{"b":"d"}}),
            ),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a":"b"}), json!(["c"]), json!(["c"])),
            (json!({"a":"foo"}), json!(null), json!(null)),
            (json!({"a":"foo"}), json!("bar"), json!("bar")),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (
                json!({}),
                json!({"a":{"bb":{"ccc":null}}}),
                json!({"a":{"bb":{}}}),
            ),
        ] {
            let mut target = original.clone();
            merge(&mut target, patch.clone());
            assert_eq!(target, result, "{original} patched by {patch}");
        }
    }

    #[test]
    fn the_longest_note_fits_into_a_request_even_if_all_of_it_is_escaped() {
        // Beyond U+FFFF, a character is two escapes of six bytes.
        let escaped = (MAX_TITLE + MAX_TEXT) * 12
            + json(&Note {
                title: String::new(),
                text: String::new(),
                done: false,
            })
            .len();
        assert!(escaped <= MAX_CONTENT);
    }

    #[test]
    fn ids_are_short_and_need_no_escapes() {
        for id in ["1", "shopping-list", "A_z"] {
            assert!(is_id(id));
        }
        for id in ["", "a b", "a/b", "é", "a.b", &"x".repeat(MAX_ID + 1)] {
            assert!(!is_id(id));
        }
    }

    proptest! {
        /// Idempotent, unlike patches in general (RFC 5789 §2).
        #[test]
        fn a_merge_patch_twice_is_a_merge_patch_once(patch in value(), target in value()) {
            let mut once = target;
            merge(&mut once, patch.clone());
            let mut twice = once.clone();
            merge(&mut twice, patch);
            prop_assert_eq!(once, twice);
        }

        #[test]
        fn any_bytes_are_a_note_or_a_problem(content: Vec<u8>) {
            match note(&content) {
                Ok(note) => prop_assert_eq!(super::note(&json(&note)).ok(), Some(note)),
                Err(problem) => prop_assert!([400, 422].contains(&problem.status.code())),
            }
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            "[a-c]".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::btree_map("[a-c]", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }
}
