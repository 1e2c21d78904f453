//! Any bytes as a request: its first line is method and target, further lines are fields, and behind an
//! empty line comes content.
//!
//! ```text
//! mkdir -p target/fuzz && cargo +nightly fuzz run site target/fuzz fuzz/corpus/site
//! ```

#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use http1::{Field, Method, Status};
use http1_server::site::{Folder, Site};

/// A folder with a file in it, and another file beside it.
static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let served = folder.path().join("served");
    std::fs::create_dir(&served).expect("a folder in it");
    std::fs::write(served.join("a.txt"), "0123456789".repeat(100)).expect("a file");
    std::fs::write(folder.path().join("secret"), "secret").expect("another file");
    folder
});

/// The longest content that an answer can have here: the whole file, in parts, with their heads.
const MOST: u64 = 8 * 1024;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let folder = Folder::open(&FOLDER.path().join("served")).expect("a folder");
    let site = Site::new(Some(folder));
    let now = SystemTime::now() + Duration::from_secs(10);
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let space = first.iter().position(|byte| *byte == b' ').unwrap_or(0);
    let (method, target) = (&first[..space], first.get(space + 1..).unwrap_or_default());
    let Ok(method) = Method::new(method) else {
        return;
    };
    let mut fields = Vec::new();
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        let colon = line
            .iter()
            .position(|byte| *byte == b':')
            .unwrap_or(line.len());
        fields.push((
            &line[..colon],
            line.get(colon + 1..).unwrap_or_default().trim_ascii(),
        ));
    }
    let json = [(&b"content-type"[..], &b"application/json"[..])];
    let mut note = site.receive(Method::Put, b"/api/notes/a", json);
    note.data(br#"{"title":"a","text":"b"}"#);
    assert_eq!(note.answer(&site, now).status, Status::CREATED);

    let content: Vec<u8> = lines.collect::<Vec<_>>().join(&b'\n');
    // Twice: the second time there is what the first has left behind.
    for _ in 0..2 {
        let mut incoming = site.receive(method, target, fields.iter().copied());
        incoming.data(&content);
        let mut response = incoming.answer(&site, now);
        assert!(response.content.len() <= MOST);
        for (name, value) in &response.fields {
            Field::new(name.as_bytes(), value.as_bytes()).expect("a field that can be written");
        }
        let announced = response.content.len();
        let (mut all, mut buffer) = (Vec::new(), [0; 512]);
        loop {
            match response.content.read(&mut buffer).expect("content") {
                0 => break,
                read => all.extend_from_slice(&buffer[..read]),
            }
        }
        assert_eq!(all.len() as u64, announced);
        assert!(!all.starts_with(b"secret"));
        if response.get("content-type") == Some("application/problem+json") {
            let problem: serde_json::Value = serde_json::from_slice(&all).expect("JSON");
            assert_eq!(problem["status"], response.status.code());
        }
    }
});
