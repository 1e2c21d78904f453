//! Requests to a site, and its answers, without a server.

use std::fs;
use std::time::Duration;

use super::*;

/// A folder with some files, all of them old enough for strong tags at [`Fixture::now`].
struct Fixture {
    directory: tempfile::TempDir,
    site: Site,
    now: SystemTime,
}

/// Ten thousand bytes, of which each tells its place.
fn long() -> Vec<u8> {
    (0..10_000_u32).map(|at| (at % 251) as u8).collect()
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::write(path.join("index.html"), "<p>hello").unwrap();
        fs::write(path.join("long.bin"), long()).unwrap();
        fs::write(path.join("empty.txt"), "").unwrap();
        fs::create_dir_all(path.join("sub/bare")).unwrap();
        fs::write(path.join("sub/index.html"), "<p>sub").unwrap();
        fs::write(path.join("a b.txt"), "space").unwrap();
        fs::write(path.join(".hidden"), "hidden").unwrap();
        let site = Site::new(Some(Folder::open(path).unwrap()));
        Self {
            directory,
            site,
            now: SystemTime::now() + Duration::from_secs(10),
        }
    }

    fn ask(
        &self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        content: &str,
    ) -> (Response, Vec<u8>) {
        let method = Method::new(method.as_bytes()).unwrap();
        let fields = fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let mut incoming = self.site.receive(method, target.as_bytes(), fields);
        incoming.data(content.as_bytes());
        let mut response = incoming.answer(&self.site, self.now);
        let announced = response.content.len();
        let (mut all, mut buffer) = (Vec::new(), [0; 777]);
        loop {
            match response.content.read(&mut buffer).unwrap() {
                0 => break,
                read => all.extend_from_slice(&buffer[..read]),
            }
        }
        assert_eq!(all.len() as u64, announced);
        (response, all)
    }

    fn get(&self, target: &str, fields: &[(&str, &str)]) -> (Response, Vec<u8>) {
        self.ask("GET", target, fields, "")
    }

    fn status(&self, method: &str, target: &str, fields: &[(&str, &str)], content: &str) -> u16 {
        self.ask(method, target, fields, content).0.status.code()
    }
}

#[test]
fn a_file_is_answered_with_all_that_is_known_of_it() {
    let fixture = Fixture::new();
    let (response, content) = fixture.get("/long.bin?query=1", &[]);
    assert_eq!(response.status, Status::OK);
    assert_eq!(content, long());
    assert_eq!(
        response.get("content-type"),
        Some("application/octet-stream")
    );
    assert_eq!(response.get("accept-ranges"), Some("bytes"));
    assert!(response.get("etag").unwrap().starts_with('"'));
    let modified = response.get("last-modified").unwrap();
    assert!(date::parse(modified.as_bytes(), seconds(fixture.now)).is_some());

    let (response, content) = fixture.get("/a%20b.txt", &[]);
    assert_eq!(
        response.get("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(content, b"space");
    assert_eq!(fixture.get("/empty.txt", &[]).0.status, Status::OK);
}

#[test]
fn folders_have_a_page_and_a_slash() {
    let fixture = Fixture::new();
    assert_eq!(fixture.get("/", &[]).1, b"<p>hello");
    assert_eq!(fixture.get("/sub/", &[]).1, b"<p>sub");
    let (response, _) = fixture.get("/sub?a=b", &[]);
    assert_eq!(response.status, Status::MOVED_PERMANENTLY);
    assert_eq!(response.get("location"), Some("/sub/?a=b"));
    for nothing in ["/sub/bare/", "/long.bin/", "/sub/index.html/", "/nothing"] {
        assert_eq!(
            fixture.get(nothing, &[]).0.status,
            Status::NOT_FOUND,
            "{nothing}"
        );
    }
}

#[test]
fn nothing_outside_and_nothing_hidden_is_served() {
    let fixture = Fixture::new();
    for target in [
        "/../secret",
        "/%2e%2e/secret",
        "/sub/../index.html",
        "/.hidden",
        "/%2ehidden",
        "//index.html",
        "/sub%2findex.html",
    ] {
        assert_eq!(
            fixture.get(target, &[]).0.status,
            Status::NOT_FOUND,
            "{target}"
        );
    }
    for target in [
        "/%",
        "/%00",
        "/a%ff",
        "relative",
        "/a b",
        "/sub?\r\nX: y",
        "/é",
    ] {
        assert_eq!(
            fixture.get(target, &[]).0.status,
            Status::BAD_REQUEST,
            "{target}"
        );
    }
}

#[test]
fn a_version_that_the_client_has_is_not_sent_again() {
    let fixture = Fixture::new();
    let (first, _) = fixture.get("/long.bin", &[]);
    let (tag, modified) = (
        first.get("etag").unwrap(),
        first.get("last-modified").unwrap(),
    );
    for condition in [
        ("If-None-Match", tag),
        ("If-None-Match", &format!("W/{tag}")),
        ("If-None-Match", "*"),
        ("If-Modified-Since", modified),
    ] {
        for method in ["GET", "HEAD"] {
            let (response, content) = fixture.ask(method, "/long.bin", &[condition], "");
            assert_eq!(response.status, Status::NOT_MODIFIED, "{condition:?}");
            assert!(content.is_empty());
            assert_eq!(response.get("etag"), Some(tag));
            assert_eq!(response.get("content-type"), None);
        }
    }
    fs::write(fixture.directory.path().join("long.bin"), "short").unwrap();
    let (response, content) = fixture.get("/long.bin", &[("If-None-Match", tag)]);
    assert_eq!(response.status, Status::OK);
    assert_ne!(response.get("etag"), Some(tag));
    assert_eq!(content, b"short");
    assert_eq!(
        fixture.status("GET", "/long.bin", &[("If-Match", tag)], ""),
        412
    );
}

#[test]
fn a_file_that_has_just_changed_has_a_weak_tag_and_no_parts_by_it() {
    let mut fixture = Fixture::new();
    fixture.now = SystemTime::now();
    let (response, _) = fixture.get("/long.bin", &[]);
    let (tag, modified) = (
        response.get("etag").unwrap(),
        response.get("last-modified").unwrap(),
    );
    assert!(tag.starts_with("W/\""), "{tag}");
    let range = ("Range", "bytes=0-9");
    for if_range in [tag, &tag[2..], modified] {
        assert_eq!(
            fixture.status("GET", "/long.bin", &[range, ("If-Range", if_range)], ""),
            200
        );
    }
    // A client that does not ask by version gets its part.
    assert_eq!(fixture.status("GET", "/long.bin", &[range], ""), 206);
    assert_eq!(
        fixture.status("GET", "/long.bin", &[("If-None-Match", tag)], ""),
        304
    );
}

#[test]
fn a_part_is_sent_as_the_rfc_wants_it() {
    let fixture = Fixture::new();
    let (whole, _) = fixture.get("/long.bin", &[]);
    let (response, content) = fixture.get("/long.bin", &[("Range", "bytes=500-999")]);
    assert_eq!(response.status, Status::PARTIAL_CONTENT);
    assert_eq!(response.get("content-range"), Some("bytes 500-999/10000"));
    assert_eq!(content, &long()[500..1000]);
    for same in ["etag", "last-modified", "content-type", "accept-ranges"] {
        assert_eq!(response.get(same), whole.get(same), "{same}");
    }
    let (tag, modified) = (
        whole.get("etag").unwrap(),
        whole.get("last-modified").unwrap(),
    );
    for (if_range, status) in [(tag, 206), (modified, 206), ("\"another\"", 200)] {
        let fields = [("Range", "bytes=-1"), ("If-Range", if_range)];
        assert_eq!(
            fixture.status("GET", "/long.bin", &fields, ""),
            status,
            "{if_range}"
        );
    }

    // Who has a part of this version knows the rest (RFC 9110 §15.3.7).
    let fields = [("Range", "bytes=-1"), ("If-Range", tag)];
    let (response, _) = fixture.get("/long.bin", &fields);
    assert_eq!(response.get("etag"), Some(tag));
    assert_eq!(
        response
            .get("content-type")
            .or(response.get("last-modified")),
        None
    );

    let (response, content) = fixture.get("/long.bin", &[("Range", "bytes=10000-")]);
    assert_eq!(response.status, Status::RANGE_NOT_SATISFIABLE);
    assert_eq!(response.get("content-range"), Some("bytes */10000"));
    assert!(content.len() < 100);
    // A condition that does not hold goes first (RFC 9110 §14.2).
    let fields = [("Range", "bytes=10000-"), ("If-None-Match", "*")];
    assert_eq!(fixture.status("GET", "/long.bin", &fields, ""), 304);
    let (response, content) = fixture.ask("HEAD", "/long.bin", &[("Range", "bytes=0-9")], "");
    assert_eq!((response.status, content.len()), (Status::OK, 10_000));
}

#[test]
fn several_parts_come_with_a_head_each() {
    let fixture = Fixture::new();
    let (response, content) = fixture.get("/long.bin", &[("Range", "bytes=9000-9009,0-4")]);
    assert_eq!(response.status, Status::PARTIAL_CONTENT);
    assert_eq!(response.get("content-range"), None);
    let content_type = response.get("content-type").unwrap();
    let boundary = content_type
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    let part = |range: &str, bytes: &[u8]| {
        let head = format!(
            "--{boundary}\r\nContent-Type: application/octet-stream\r\n\
             Content-Range: bytes {range}/10000\r\n\r\n"
        );
        [head.as_bytes(), bytes, b"\r\n"].concat()
    };
    let expected = [
        part("9000-9009", &long()[9000..9010]),
        part("0-4", &long()[..5]),
        format!("--{boundary}--\r\n").into_bytes(),
    ];
    assert_eq!(content, expected.concat());
    // One that is left over comes as one.
    let (response, _) = fixture.get("/long.bin", &[("Range", "bytes=0-4,5-9,20000-")]);
    assert_eq!(response.get("content-range"), Some("bytes 0-9/10000"));
}

#[test]
fn files_can_only_be_read() {
    let fixture = Fixture::new();
    for method in ["PUT", "POST", "PATCH", "DELETE", "TRACE"] {
        for target in ["/long.bin", "/nothing"] {
            let (response, _) = fixture.ask(method, target, &[], "");
            assert_eq!(response.status, Status::METHOD_NOT_ALLOWED, "{method}");
            assert_eq!(response.get("allow"), Some(files::ALLOW));
        }
    }
    assert_eq!(fixture.status("BREW", "/long.bin", &[], ""), 501);
    assert_eq!(fixture.status("get", "/long.bin", &[], ""), 501);
    for target in ["/long.bin", "*"] {
        let (response, _) = fixture.ask("OPTIONS", target, &[], "");
        assert_eq!(response.status, Status::NO_CONTENT);
        assert!(response.get("allow").unwrap().contains("GET, HEAD"));
    }
    // Where there is no folder there are no files.
    let site = Site::new(None);
    let incoming = site.receive(Method::Get, b"/", []);
    assert_eq!(
        incoming.answer(&site, SystemTime::now()).status,
        Status::NOT_FOUND
    );
}

#[cfg(unix)]
#[test]
fn a_file_that_must_not_be_read_is_forbidden() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = Fixture::new();
    let path = fixture.directory.path().join("long.bin");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read everything.
    let expected = match fs::File::open(&path) {
        Ok(_) => 200,
        Err(_) => 403,
    };
    assert_eq!(fixture.status("GET", "/long.bin", &[], ""), expected);
}

const JSON_TYPE: (&str, &str) = ("Content-Type", "application/json");
const PATCH_TYPE: (&str, &str) = ("Content-Type", "application/merge-patch+json");

#[test]
fn a_note_is_created_read_replaced_patched_and_deleted() {
    let fixture = Fixture::new();
    assert_eq!(fixture.get("/api/notes", &[]).1, b"[]");
    let (created, content) = fixture.ask("POST", "/api/notes", &[JSON_TYPE], r#"{"title":"milk"}"#);
    assert_eq!(created.status, Status::CREATED);
    assert_eq!(created.get("location"), Some("/api/notes/1"));
    assert_eq!(content, br#"{"title":"milk","text":"","done":false}"#);
    let (read, same) = fixture.get("/api/notes/1", &[]);
    assert_eq!((read.status, same), (Status::OK, content));
    assert_eq!(read.get("etag"), created.get("etag"));
    let tag = read.get("etag").unwrap();
    assert_eq!(
        fixture.status("GET", "/api/notes/1", &[("If-None-Match", tag)], ""),
        304
    );

    let tea = r#"{"title":"tea","text":"","done":false}"#;
    let guarded = [JSON_TYPE, ("If-Match", tag)];
    let (replaced, _) = fixture.ask("PUT", "/api/notes/1", &guarded, tea);
    assert_eq!(replaced.status, Status::NO_CONTENT);
    assert_ne!(replaced.get("etag"), Some(tag));
    assert_eq!(fixture.status("PUT", "/api/notes/1", &guarded, tea), 412);
    assert_eq!(
        fixture.get("/api/notes/1", &[]).0.get("etag"),
        replaced.get("etag")
    );

    let patch = [PATCH_TYPE, ("If-Match", replaced.get("etag").unwrap())];
    let (patched, _) = fixture.ask("PATCH", "/api/notes/1", &patch, r#"{"done":true}"#);
    assert_eq!(patched.status, Status::NO_CONTENT);
    let expected = br#"{"title":"tea","text":"","done":true}"#;
    assert_eq!(fixture.get("/api/notes/1", &[]).1, expected);
    assert_eq!(
        fixture.get("/api/notes", &[]).1,
        br#"[{"id":"1","title":"tea","done":true}]"#
    );

    let guarded = [("If-Match", tag)];
    assert_eq!(fixture.status("DELETE", "/api/notes/1", &guarded, ""), 412);
    assert_eq!(fixture.status("DELETE", "/api/notes/1", &[], ""), 204);
    assert_eq!(fixture.status("DELETE", "/api/notes/1", &[], ""), 404);
    assert_eq!(fixture.status("GET", "/api/notes/1", &[], ""), 404);
    // Its id is not used again.
    let (created, _) = fixture.ask("POST", "/api/notes", &[JSON_TYPE], tea);
    assert_eq!(created.get("location"), Some("/api/notes/2"));
}

#[test]
fn a_client_can_choose_an_id_and_create_only_once() {
    let fixture = Fixture::new();
    let note = r#"{"title":"tea","text":"","done":false}"#;
    let new = [JSON_TYPE, ("If-None-Match", "*")];
    let (created, _) = fixture.ask("PUT", "/api/notes/2", &new, note);
    assert_eq!(created.status, Status::CREATED);
    assert_eq!(fixture.status("PUT", "/api/notes/2", &new, note), 412);
    assert_eq!(
        fixture.status("PUT", "/api/notes/x", &[JSON_TYPE, ("If-Match", "*")], note),
        412
    );
    // A number that is taken is passed over.
    for expected in ["/api/notes/3", "/api/notes/4"] {
        let (created, _) = fixture.ask("POST", "/api/notes", &[JSON_TYPE], note);
        assert_eq!(created.get("location"), Some(expected));
    }
}

#[test]
fn only_what_is_kept_as_it_was_sent_is_answered_with_its_tag() {
    let fixture = Fixture::new();
    let put = |content: &str| fixture.ask("PUT", "/api/notes/a", &[JSON_TYPE], content).0;
    assert!(
        put(r#"{"title":"a","text":"","done":false}"#)
            .get("etag")
            .is_some()
    );
    assert_eq!(put(r#"{ "title": "a" }"#).get("etag"), None);
}

#[test]
fn what_cannot_be_a_note_is_refused_with_what_is_wrong() {
    let fixture = Fixture::new();
    let title = "x".repeat(201);
    let text = "é".repeat(4001);
    for (content, status) in [
        ("", 400),
        ("{", 400),
        ("title=milk", 400),
        (r#"{"title":"milk"} x"#, 400),
        (&"[".repeat(1000), 400),
        ("[]", 422),
        ("null", 422),
        ("{}", 422),
        (r#"{"title":7}"#, 422),
        (r#"{"title":""}"#, 422),
        (r#"{"title":"a","colour":"red"}"#, 422),
        (&format!(r#"{{"title":"{title}"}}"#), 422),
        (&format!(r#"{{"title":"a","text":"{text}"}}"#), 422),
        (
            &format!(r#"{{"title":"{}"}}"#, "x".repeat(notes::MAX_CONTENT)),
            413,
        ),
    ] {
        let (response, problem) = fixture.ask("POST", "/api/notes", &[JSON_TYPE], content);
        let start: String = content.chars().take(40).collect();
        assert_eq!(response.status.code(), status, "{start}");
        assert_eq!(
            response.get("content-type"),
            Some("application/problem+json")
        );
        let problem: serde_json::Value = serde_json::from_slice(&problem).unwrap();
        assert_eq!(problem["status"], status);
    }
    assert_eq!(fixture.get("/api/notes", &[]).1, b"[]");
}

#[test]
fn a_part_is_not_put_in_place_of_the_whole() {
    let fixture = Fixture::new();
    let part = [JSON_TYPE, ("Content-Range", "bytes 0-12/40")];
    let note = r#"{"title":"a"}"#;
    assert_eq!(fixture.status("PUT", "/api/notes/a", &part, note), 400);
    assert_eq!(fixture.status("GET", "/api/notes/a", &[], ""), 404);
}

#[test]
fn a_patch_that_leaves_no_note_changes_nothing() {
    let fixture = Fixture::new();
    let note = r#"{"title":"tea","text":"green","done":false}"#;
    fixture.ask("PUT", "/api/notes/a", &[JSON_TYPE], note);
    for (patch, status) in [
        (r#"{"title":null}"#, 422),
        (r#"{"title":""}"#, 422),
        (r#"{"size":1}"#, 422),
        ("null", 422),
        ("[1]", 422),
        ("{", 400),
    ] {
        assert_eq!(
            fixture.status("PATCH", "/api/notes/a", &[PATCH_TYPE], patch),
            status,
            "{patch}"
        );
        assert_eq!(fixture.get("/api/notes/a", &[]).1, note.as_bytes());
    }
    assert_eq!(
        fixture.status("PATCH", "/api/notes/a", &[PATCH_TYPE], r#"{"text":null}"#),
        204
    );
    let expected = br#"{"title":"tea","text":"","done":false}"#;
    assert_eq!(fixture.get("/api/notes/a", &[]).1, expected);
}

#[test]
fn each_method_says_which_type_it_wants_and_each_resource_which_methods() {
    let fixture = Fixture::new();
    for (method, target, sent, field, wanted) in [
        (
            "POST",
            "/api/notes",
            "text/plain",
            "Accept-Post",
            "application/json",
        ),
        (
            "PUT",
            "/api/notes/a",
            "application/merge-patch+json",
            "Accept",
            "application/json",
        ),
        (
            "PATCH",
            "/api/notes/a",
            "application/json",
            "Accept-Patch",
            "application/merge-patch+json",
        ),
    ] {
        for fields in [&[("Content-Type", sent)][..], &[]] {
            let (response, _) = fixture.ask(method, target, fields, "{}");
            assert_eq!(response.status, Status::UNSUPPORTED_MEDIA_TYPE, "{method}");
            assert_eq!(response.get(field), Some(wanted));
        }
    }
    for (method, target, allow) in [
        ("DELETE", "/api/notes", "GET, HEAD, POST, OPTIONS"),
        (
            "POST",
            "/api/notes/a",
            "GET, HEAD, PUT, PATCH, DELETE, OPTIONS",
        ),
    ] {
        let (response, _) = fixture.ask(method, target, &[], "");
        assert_eq!(response.status, Status::METHOD_NOT_ALLOWED);
        assert_eq!(response.get("allow"), Some(allow));
        let (response, _) = fixture.ask("OPTIONS", target, &[], "");
        assert_eq!(response.get("allow"), Some(allow));
    }
    for nothing in [
        "/api",
        "/api/",
        "/api/notes/",
        "/api/notes/a/b",
        "/api/notes/a.b",
        "/api/other",
    ] {
        assert_eq!(fixture.status("GET", nothing, &[], ""), 404, "{nothing}");
    }
}

#[test]
fn there_are_not_more_notes_than_there_is_room_for() {
    let fixture = Fixture::new();
    let note = r#"{"title":"a"}"#;
    for _ in 0..notes::MAX_NOTES {
        assert_eq!(
            fixture.status("POST", "/api/notes", &[JSON_TYPE], note),
            201
        );
    }
    assert_eq!(
        fixture.status("POST", "/api/notes", &[JSON_TYPE], note),
        409
    );
    assert_eq!(
        fixture.status("PUT", "/api/notes/new", &[JSON_TYPE], note),
        409
    );
    assert_eq!(
        fixture.status("PUT", "/api/notes/1", &[JSON_TYPE], note),
        204
    );
    assert_eq!(fixture.status("DELETE", "/api/notes/1", &[], ""), 204);
    assert_eq!(
        fixture.status("POST", "/api/notes", &[JSON_TYPE], note),
        201
    );
}

#[test]
fn of_many_clients_with_the_same_tag_one_changes_the_note() {
    let fixture = Fixture::new();
    let note = r#"{"title":"0","text":"","done":false}"#;
    let (created, _) = fixture.ask("PUT", "/api/notes/a", &[JSON_TYPE], note);
    let tag = created.get("etag").unwrap();
    let statuses = std::thread::scope(|scope| {
        let put = |number: u32| {
            let fixture = &fixture;
            scope.spawn(move || {
                let note = format!(r#"{{"title":"{number}"}}"#);
                fixture.status(
                    "PUT",
                    "/api/notes/a",
                    &[JSON_TYPE, ("If-Match", tag)],
                    &note,
                )
            })
        };
        let threads: Vec<_> = (1..=16).map(put).collect();
        let mut statuses: Vec<u16> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        statuses.sort_unstable();
        statuses
    });
    assert_eq!(statuses[0], 204);
    assert!(
        statuses[1..].iter().all(|status| *status == 412),
        "{statuses:?}"
    );
}

#[test]
fn content_that_is_not_wanted_is_known_before_it_comes() {
    let site = Site::new(None);
    let json = [(&b"content-type"[..], &b"application/json"[..])];
    let wants = |method, target: &[u8], announced| {
        let mut incoming = site.receive(method, target, json);
        incoming.announce(announced);
        incoming.wants_content()
    };
    assert!(wants(Method::Post, b"/api/notes", 10));
    assert!(!wants(
        Method::Post,
        b"/api/notes",
        notes::MAX_CONTENT as u64 + 1
    ));
    assert!(!wants(Method::Post, b"/api/nothing", 10));
    assert!(!wants(Method::Put, b"/file", 10));
    assert!(!wants(Method::Get, b"/api/notes", 10));
}
