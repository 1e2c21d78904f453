//! Programs that nobody here wrote, as clients and as witnesses.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::{Program, peer};

use crate::{Server, Subject};

/// With its own idea of HTTP.
#[doc(alias = "test")]
pub fn curl_gets_every_route(subject: &Subject) {
    let Some(curl) = peer("curl") else { return };
    let server = Server::start(subject, &[]);
    let url = |path: &str| format!("http://{}{path}", server.address);
    let curl = |arguments: &[&str]| {
        let run = Program::new(&curl)
            .args(["-sS", "--fail-with-body", "--max-time", "20"])
            .args(arguments)
            .run();
        run.succeeds().stdout
    };
    assert_eq!(
        curl(&[&url("/")]),
        String::from_utf8(server.get("/").body).unwrap()
    );
    assert_eq!(curl(&[&url("/bytes/5000000")]).len(), 5_000_000);
    assert!(!curl(&[&url("/slow/100")]).is_empty());
    assert_eq!(curl(&["-d", "some text", &url("/echo")]), "some text");
    let chunked = "Transfer-Encoding: chunked";
    assert_eq!(
        curl(&["-H", chunked, "-d", "some text", &url("/echo")]),
        "some text"
    );
    assert!(curl(&[&url("/stats")]).contains("\"requests\""));
    assert!(curl(&["-I", &url("/bytes/123")]).contains("Content-Length: 123\r\n"));
    assert_eq!(
        curl(&["--http1.0", &url("/"), &url("/")]).lines().count(),
        2
    );
    // Two on one connection, as curl sees it.
    let connects = [
        "-w",
        "%{num_connects} ",
        "-o",
        "/dev/null",
        "-o",
        "/dev/null",
    ];
    assert_eq!(
        curl(&[&connects[..], &[&url("/"), &url("/bytes/10")]].concat()),
        "1 0 "
    );
    // A body that is announced and waited for.
    let upload = "x".repeat(50_000);
    let expects = ["-H", "Expect: 100-continue", "-d", &upload, &url("/echo")];
    assert_eq!(curl(&expects), upload);
}

/// Many connections, one request at a time on each.
#[doc(alias = "test")]
pub fn wrk_drives_it(subject: &Subject) {
    let Some(wrk) = peer("wrk") else { return };
    let server = Server::start(subject, &[]);
    let url = format!("http://{}/", server.address);
    let connections = if subject.holds_all() { "-c64" } else { "-c4" };
    let run = Program::new(wrk)
        .args(["-t2", connections, "-d1s", &url])
        .run()
        .succeeds();
    let errors = run
        .stdout
        .lines()
        .find(|line| line.contains("Non-2xx") || line.contains("Socket errors"));
    // A server that serves some at a time ends connections for the others' sake; wrk calls it a read
    // error when it finds its connection ended.
    assert!(errors.is_none() || !subject.holds_all(), "{}", run.stdout);
    let requests = run
        .stdout
        .split_whitespace()
        .zip(run.stdout.split_whitespace().skip(1));
    let requests: u64 = requests
        .filter(|(_, word)| *word == "requests")
        .find_map(|(number, _)| number.parse().ok())
        .expect("a count");
    assert!(requests > 1000, "{}", run.stdout);
    let counted = server.stats()["requests"].as_u64().unwrap();
    assert!(counted >= requests, "{counted} counted: {}", run.stdout);
}

/// Its parser is strict, and it says of each request whether it succeeded.
#[doc(alias = "test")]
pub fn h2load_drives_it_with_pipelines(subject: &Subject) {
    let Some(h2load) = peer("h2load") else { return };
    let server = Server::start(subject, &[]);
    let url = format!("http://{}/bytes/100", server.address);
    let connections = if subject.holds_all() { "-c32" } else { "-c1" };
    let run = Program::new(h2load)
        .args(["--h1", "-n10000", connections, "-m16", &url])
        .run()
        .succeeds();
    let expected = "requests: 10000 total, 10000 started, 10000 done, 10000 succeeded, 0 failed, 0 errored, 0 timeout";
    assert!(run.stdout.contains(expected), "{}", run.stdout);
    assert!(
        run.stdout.contains("status codes: 10000 2xx"),
        "{}",
        run.stdout
    );
}

/// What `/stats` says of the server's system calls is what `strace` has seen, but for those of its
/// beginning and end, which the server does not count.
#[doc(alias = "test")]
pub fn strace_counts_the_system_calls_that_the_server_counts(subject: &Subject) {
    const REQUESTS: usize = 500;
    /// More than these of one kind no process makes to begin and to end.
    const BEGINNING_AND_END: usize = 150;
    let Some(strace) = peer("strace") else { return };
    let summary = tempfile();
    let program =
        Program::new(strace).args(["-f", "-c", "-o", &summary, subject.binary, "127.0.0.1:0"]);
    let mut server = Server::of(&program);
    let mut client = server.client();
    for _ in 0..REQUESTS {
        assert_eq!(client.get("/").unwrap().status, 200);
    }
    drop(client);
    let stats = server.stats();
    let uncounted = (BEGINNING_AND_END * server.processes().len()) as u64;
    // Not to strace, but to the process that it has started.
    let process = i32::try_from(stats["process"].as_i64().unwrap()).unwrap();
    kill(Pid::from_raw(process), Signal::SIGTERM).unwrap();
    server.ended();

    let text = fs::read_to_string(&summary).unwrap();
    fs::remove_file(&summary).unwrap();
    let seen = |name: &str| -> u64 {
        let line = text
            .lines()
            .find(|line| line.split_whitespace().last() == Some(name));
        line.map_or(0, |line| {
            line.split_whitespace().nth(3).unwrap().parse().unwrap()
        })
    };
    let calls = stats["syscalls"].as_object().unwrap();
    assert!(
        calls
            .values()
            .map(|count| count.as_u64().unwrap())
            .sum::<u64>()
            >= REQUESTS as u64,
        "{stats}"
    );
    for (name, count) in calls {
        let (counted, seen) = (count.as_u64().unwrap(), seen(name));
        assert!(
            seen >= counted && seen <= counted + uncounted,
            "{name}: {counted} counted, {seen} seen by strace:\n{text}"
        );
    }
}

fn tempfile() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!(
        "exec-strace-{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    );
    std::env::temp_dir()
        .join(name)
        .to_str()
        .expect("a path in UTF-8")
        .to_owned()
}
