//! Programs that nobody here wrote, as clients.
#![cfg(unix)]

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use testkit::{Program, Server, listing, peer, wait_for};

/// A server, a folder that it serves, and another one for what clients get.
struct Fixture {
    curl: PathBuf,
    server: Server,
    served: TempDir,
    got: TempDir,
}

/// A file that needs several reads and writes.
fn long() -> String {
    (0..40_000).map(|line| format!("line {line}\n")).collect()
}

impl Fixture {
    fn new() -> Option<Self> {
        let curl = peer("curl")?;
        let served = tempfile::tempdir().unwrap();
        fs::write(served.path().join("long.txt"), long()).unwrap();
        fs::write(served.path().join("index.html"), "<p>hello").unwrap();
        fs::create_dir(served.path().join("sub")).unwrap();
        fs::write(served.path().join("sub/index.html"), "<p>sub").unwrap();
        let server = listing!().arg("127.0.0.1:0").arg(served.path()).serve();
        Some(Self {
            curl,
            server,
            served,
            got: tempfile::tempdir().unwrap(),
        })
    }

    /// Its status and, without `-o`, what it has got.
    fn curl(&self, arguments: &[&str], path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.server.address());
        let run = Program::new(&self.curl)
            .args(["-sS", "--max-time", "20", "-w", "%{stderr}%{http_code}"])
            .args(arguments)
            .arg(url)
            .run()
            .succeeds();
        (run.stderr.trim().parse().unwrap(), run.stdout)
    }

    fn path(&self, name: &str) -> String {
        self.got.path().join(name).to_str().unwrap().to_owned()
    }
}

#[test]
fn curl_gets_files_and_their_heads_and_follows_to_the_slash() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    assert_eq!(fixture.curl(&[], "/long.txt"), (200, long()));
    let (status, head) = fixture.curl(&["-I"], "/long.txt");
    assert_eq!(status, 200);
    assert!(
        head.contains(&format!("Content-Length: {}\r\n", long().len())),
        "{head}"
    );
    assert!(head.contains("Accept-Ranges: bytes\r\n"), "{head}");
    assert_eq!(fixture.curl(&["-L"], "/sub"), (200, "<p>sub".to_owned()));
    assert_eq!(fixture.curl(&["--http1.0"], "/").1, "<p>hello");
    // curl resolves dots itself unless it is told not to.
    assert_eq!(fixture.curl(&["--path-as-is"], "/sub/../index.html").0, 404);
    assert_eq!(
        fixture
            .curl(&["--path-as-is"], "/%2e%2e/%2e%2e/etc/passwd")
            .0,
        404
    );
}

#[test]
fn curl_gets_parts_and_resumes() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    let long = long();
    assert_eq!(
        fixture.curl(&["-r", "7-12"], "/long.txt"),
        (206, long[7..13].to_owned())
    );
    assert_eq!(
        fixture.curl(&["-r", "-7"], "/long.txt"),
        (206, long[long.len() - 7..].to_owned())
    );
    let (status, parts) = fixture.curl(&["-r", "0-5,300-305"], "/long.txt");
    assert_eq!(status, 206);
    assert!(
        parts.contains(&format!(
            "Content-Range: bytes 300-305/{}\r\n\r\n{}",
            long.len(),
            &long[300..306]
        )),
        "{parts}"
    );
    assert_eq!(fixture.curl(&["-r", "99999999-"], "/long.txt").0, 416);

    let file = fixture.path("partial.txt");
    fs::write(&file, &long[..123_456]).unwrap();
    assert_eq!(fixture.curl(&["-C", "-", "-o", &file], "/long.txt").0, 206);
    assert_eq!(fs::read_to_string(&file).unwrap(), long);
}

#[test]
fn curl_does_not_get_again_what_it_has() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    let (tag, file) = (fixture.path("tag"), fixture.path("file"));
    let compare = ["--etag-save", &tag, "--etag-compare", &tag, "-o", &file];
    fs::write(&tag, "").unwrap();
    assert_eq!(fixture.curl(&compare, "/long.txt").0, 200);
    assert_eq!(fs::read_to_string(&file).unwrap(), long());
    assert_eq!(fixture.curl(&compare, "/long.txt").0, 304);
    fs::write(fixture.served.path().join("long.txt"), "changed").unwrap();
    assert_eq!(fixture.curl(&compare, "/long.txt").0, 200);
    assert_eq!(fs::read_to_string(&file).unwrap(), "changed");

    // By date, with -R as the file's own time.
    assert_eq!(fixture.curl(&["-R", "-o", &file], "/sub/").0, 200);
    assert_eq!(fixture.curl(&["-z", &file, "-o", &file], "/sub/").0, 304);
    assert_eq!(
        fixture
            .curl(&["-z", "Sun, 06 Nov 1994 08:49:37 GMT"], "/sub/")
            .0,
        200
    );
    assert_eq!(
        fixture
            .curl(&["-z", "-Sun, 06 Nov 1994 08:49:37 GMT"], "/sub/")
            .0,
        412
    );
}

#[test]
fn curl_keeps_notes() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    let json = ["-H", "Content-Type: application/json"];
    let with = |more: &[&str], path: &str| {
        let arguments: Vec<&str> = json.iter().chain(more).copied().collect();
        fixture.curl(&arguments, path)
    };
    let note = r#"{"title":"milk","text":"","done":false}"#;
    assert_eq!(with(&["-d", note], "/api/notes"), (201, note.to_owned()));
    let file = fixture.path("note.json");
    fs::write(&file, r#"{"title":"tea","text":"","done":false}"#).unwrap();
    assert_eq!(with(&["-T", &file], "/api/notes/1").0, 204);
    assert_eq!(
        with(&["-T", &file, "-H", "If-None-Match: *"], "/api/notes/1").0,
        412
    );
    assert_eq!(
        with(&["-T", &file, "-H", "Expect: 100-continue"], "/api/notes/2").0,
        201
    );
    // Chunked.
    assert_eq!(
        with(
            &["-T", &file, "-H", "Transfer-Encoding: chunked"],
            "/api/notes/3"
        )
        .0,
        201
    );
    let patch = [
        "-X",
        "PATCH",
        "-H",
        "Content-Type: application/merge-patch+json",
        "-d",
        r#"{"done":true}"#,
    ];
    assert_eq!(fixture.curl(&patch, "/api/notes/1").0, 204);
    let expected = r#"{"title":"tea","text":"","done":true}"#;
    assert_eq!(
        fixture.curl(&[], "/api/notes/1"),
        (200, expected.to_owned())
    );
    assert_eq!(fixture.curl(&["-X", "DELETE"], "/api/notes/1").0, 204);
    assert_eq!(fixture.curl(&["-X", "DELETE"], "/api/notes/1").0, 404);
    assert_eq!(fixture.curl(&["-d", "a=b"], "/api/notes").0, 415);

    // A megabyte to where there is nothing to send to.
    let file = fixture.path("large.json");
    fs::write(&file, " ".repeat(1_000_000)).unwrap();
    assert_eq!(with(&["-T", &file], "/api/notes/4").0, 413);
    assert_eq!(with(&["-T", &file], "/long.txt").0, 405);
}

#[test]
fn wrk_drives_it_over_many_connections() {
    let Some(wrk) = peer("wrk") else { return };
    let Some(fixture) = Fixture::new() else {
        return;
    };
    for (path, least) in [("/", 500), ("/long.txt", 50)] {
        let url = format!("http://{}{path}", fixture.server.address());
        let run = Program::new(&wrk)
            .args(["-t2", "-c64", "-d1s", &url])
            .run()
            .succeeds();
        let errors = run
            .stdout
            .lines()
            .find(|line| line.contains("Non-2xx") || line.contains("Socket errors"));
        assert_eq!(errors, None, "{}", run.stdout);
        let words: Vec<&str> = run.stdout.split_whitespace().collect();
        let requests: u64 = words
            .windows(3)
            .find(|words| words[1..] == ["requests", "in"])
            .and_then(|words| words[0].parse().ok())
            .unwrap_or_else(|| panic!("{}", run.stdout));
        assert!(requests > least, "{}", run.stdout);
    }
}

/// A client that is killed in the middle leaves nothing behind that would keep others out.
#[cfg(target_os = "linux")]
#[test]
fn clients_that_vanish_leave_no_thread_behind() {
    let Some(wrk) = peer("wrk") else { return };
    let Some(fixture) = Fixture::new() else {
        return;
    };
    let threads = || {
        let status = fs::read_to_string(format!("/proc/{}/status", fixture.server.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("Threads:"));
        line.unwrap().trim().parse::<usize>().unwrap()
    };
    let before = threads();
    let url = format!("http://{}/long.txt", fixture.server.address());
    let many = Program::new(&wrk).args(["-t1", "-c32", "-d1s", &url]);
    assert!(many.run().succeeds().stdout.contains("requests in"));
    wait_for("the threads to end", || (threads() == before).then_some(()));
}
