//! The suite on PostgreSQL, and a worker whose every system call `strace` sees.
#![cfg(unix)]

mod cluster;
mod suite;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use exec_idempotency::payments::{Answer, LEASE_S};
use exec_idempotency::store::{self, Row};
use exec_idempotency::worker::Options;
use postgres::error::SqlState;
use postgres::{Client, IsolationLevel, NoTls};
use suite::{Database, World};
use tempfile::TempDir;
use testkit::peer;

const PROGRAM: &str = env!("CARGO_BIN_EXE_exec-idempotency");

/// As often as it is called, a database; the caller has seen that there are some.
fn fresh() -> Database {
    cluster::database().expect("there was one before")
}

#[test]
fn on_postgresql_a_hundred_processes_at_once_get_one_charge_and_one_answer() {
    if let Some(database) = cluster::database() {
        suite::a_hundred_processes_at_once_get_one_charge_and_one_answer(
            database,
            cluster::connections(),
        );
    }
}

#[test]
fn on_postgresql_a_hundred_threads_at_once_get_one_charge_and_one_answer() {
    if let Some(database) = cluster::database() {
        suite::a_hundred_threads_at_once_get_one_charge_and_one_answer(
            database,
            cluster::connections(),
        );
    }
}

#[test]
fn on_postgresql_a_hundred_may_open_a_new_database_at_once() {
    if cluster::database().is_some() {
        suite::a_hundred_may_open_a_new_database_at_once(fresh, cluster::connections());
    }
}

#[test]
fn on_postgresql_a_worker_killed_at_any_step_charges_once() {
    if cluster::database().is_some() {
        suite::a_worker_killed_at_any_step_charges_once(fresh);
    }
}

#[test]
fn on_postgresql_a_worker_killed_while_it_goes_on_for_a_dead_one_charges_once() {
    if cluster::database().is_some() {
        suite::a_worker_killed_while_it_goes_on_for_a_dead_one_charges_once(fresh);
    }
}

#[test]
fn on_postgresql_what_no_client_asks_for_again_is_completed() {
    if cluster::database().is_some() {
        suite::what_no_client_asks_for_again_is_completed(fresh);
    }
}

#[test]
fn on_postgresql_a_slow_worker_that_counts_as_dead_does_no_harm() {
    if cluster::database().is_some() {
        suite::a_slow_worker_that_counts_as_dead_does_no_harm(fresh);
    }
}

#[test]
fn on_postgresql_a_slow_worker_does_not_answer_for_a_later_payment_of_the_same_key() {
    if let Some(database) = cluster::database() {
        suite::a_slow_worker_does_not_answer_for_a_later_payment_of_the_same_key(database);
    }
}

#[test]
fn on_postgresql_of_a_hundred_that_find_a_dead_worker_one_goes_on() {
    if let Some(database) = cluster::database() {
        suite::of_a_hundred_that_find_a_dead_worker_one_goes_on(database, cluster::connections());
    }
}

#[test]
fn on_postgresql_a_bank_killed_at_any_step_charges_once() {
    if cluster::database().is_some() {
        suite::a_bank_killed_at_any_step_charges_once(fresh);
    }
}

#[test]
fn on_postgresql_without_a_bank_nothing_is_stored_and_the_next_attempt_pays() {
    if let Some(database) = cluster::database() {
        suite::without_a_bank_nothing_is_stored_and_the_next_attempt_pays(database);
    }
}

#[test]
fn on_postgresql_another_payment_under_a_known_key_is_refused_whatever_became_of_the_first() {
    if cluster::database().is_some() {
        suite::another_payment_under_a_known_key_is_refused_whatever_became_of_the_first(fresh);
    }
}

#[test]
fn on_postgresql_keys_of_two_clients_have_nothing_to_do_with_each_other() {
    if let Some(database) = cluster::database() {
        suite::keys_of_two_clients_have_nothing_to_do_with_each_other(database);
    }
}

#[test]
fn on_postgresql_a_declined_payment_is_an_answer_and_is_kept() {
    if let Some(database) = cluster::database() {
        suite::a_declined_payment_is_an_answer_and_is_kept(database);
    }
}

#[test]
fn on_postgresql_an_answer_is_kept_for_a_day_and_an_unanswered_request_for_ever() {
    if let Some(database) = cluster::database() {
        suite::an_answer_is_kept_for_a_day_and_an_unanswered_request_for_ever(database);
    }
}

#[test]
fn on_postgresql_in_one_transaction_a_crash_behind_the_charge_charges_twice() {
    if cluster::database().is_some() {
        suite::in_one_transaction_a_crash_behind_the_charge_charges_twice(fresh);
    }
}

#[test]
fn on_postgresql_what_is_no_request_is_refused_and_changes_nothing() {
    if let Some(database) = cluster::database() {
        suite::what_is_no_request_is_refused_and_changes_nothing(database);
    }
}

#[test]
fn on_postgresql_forgetting_goes_in_batches_and_skips_what_is_unanswered() {
    if let Some(database) = cluster::database() {
        suite::forgetting_goes_in_batches_and_skips_what_is_unanswered(database);
    }
}

/// A row that no test has used.
fn row(client: &str) -> Row {
    Row {
        client: client.to_owned(),
        key: "key".to_owned(),
        payment: "visa-1 4200".to_owned(),
        reference: format!("reference of {client}"),
        leased_until_s: 1,
        expires_s: 2,
        answer: None,
    }
}

/// Waits until the server says that a session with this schema waits for a lock.
fn until_one_waits(database: &Database) {
    let mut client = Client::connect(&database.name, NoTls).unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let sessions = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
            WHERE NOT granted AND wait_event_type = 'Lock' AND query LIKE '%request%'";
        let waiting: i64 = client.query_one(sessions, &[]).unwrap().get(0);
        if waiting > 0 {
            return;
        }
        assert!(Instant::now() < until, "nobody waits");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn postgresql_lets_an_insert_wait_until_the_other_one_has_committed_or_not() {
    let Some(database) = cluster::database() else {
        return;
    };
    for commits in [true, false] {
        let row = row(&format!("commits: {commits}"));
        let mut first = store::open(&database.name).unwrap();
        let mut one = first.begin().unwrap();
        assert!(one.insert(&row).unwrap());
        let second = thread::spawn({
            let (name, row) = (database.name.clone(), row.clone());
            move || {
                let mut store = store::open(&name).unwrap();
                let mut two = store.begin().unwrap();
                let inserted = two.insert(&row).unwrap();
                let found = two.lock(&row.client, &row.key).unwrap();
                (inserted, found)
            }
        });
        until_one_waits(&database);
        if commits {
            one.commit().unwrap();
        } else {
            drop(one);
        }
        let (inserted, found) = second.join().unwrap();
        assert_eq!(inserted, !commits);
        assert_eq!(found, Some(row), "what was committed, or its own");
    }
}

#[test]
fn postgresql_for_update_waits_and_then_reads_what_the_other_one_has_left() {
    let Some(database) = cluster::database() else {
        return;
    };
    let row = row("client");
    let mut first = store::open(&database.name).unwrap();
    let mut setup = first.begin().unwrap();
    assert!(setup.insert(&row).unwrap());
    setup.commit().unwrap();

    let mut one = first.begin().unwrap();
    assert_eq!(one.lock("client", "key").unwrap(), Some(row.clone()));
    let second = thread::spawn({
        let name = database.name.clone();
        move || {
            let mut store = store::open(&name).unwrap();
            let mut two = store.begin().unwrap();
            two.lock("client", "key").unwrap()
        }
    });
    until_one_waits(&database);
    // A SELECT alone does not wait, and reads what is about to change.
    let mut client = Client::connect(&database.name, NoTls).unwrap();
    let old = client.query_one("SELECT leased_until_s FROM request", &[]);
    assert_eq!(old.unwrap().get::<_, i64>(0), 1);

    let leased = Row {
        leased_until_s: 31,
        ..row
    };
    one.update(&leased).unwrap();
    one.commit().unwrap();
    assert_eq!(second.join().unwrap(), Some(leased));
}

#[test]
fn postgresql_does_not_forget_what_is_renewed_while_it_waits() {
    let Some(database) = cluster::database() else {
        return;
    };
    let answer = Some(Answer {
        status: 201,
        body: "{}".to_owned(),
    });
    let old = Row {
        answer,
        ..row("client")
    };
    let mut first = store::open(&database.name).unwrap();
    let mut setup = first.begin().unwrap();
    assert!(setup.insert(&old).unwrap());
    setup.commit().unwrap();

    let mut renews = first.begin().unwrap();
    renews.lock("client", "key").unwrap();
    let now_s = 100;
    let forgets = thread::spawn({
        let name = database.name.clone();
        move || store::open(&name).unwrap().forget(now_s, 10).unwrap()
    });
    until_one_waits(&database);
    let expires_s = 200;
    renews.update(&Row { expires_s, ..old }).unwrap();
    renews.commit().unwrap();
    assert_eq!(forgets.join().unwrap(), 0);
}

#[test]
fn postgresql_at_repeatable_read_refuses_what_at_read_committed_is_no_conflict() {
    let Some(database) = cluster::database() else {
        return;
    };
    drop(store::open(&database.name).unwrap()); // makes the tables
    let insert =
        "INSERT INTO request VALUES ('c', 'k', 'visa-1 1', $1, 0, 0) ON CONFLICT DO NOTHING";
    for (level, refused) in [
        (IsolationLevel::ReadCommitted, false),
        (IsolationLevel::RepeatableRead, true),
    ] {
        let mut one = Client::connect(&database.name, NoTls).unwrap();
        let mut two = Client::connect(&database.name, NoTls).unwrap();
        one.execute("DELETE FROM request", &[]).unwrap();
        let mut late = two
            .build_transaction()
            .isolation_level(level)
            .start()
            .unwrap();
        late.query_one("SELECT count(*) FROM request", &[]).unwrap(); // its snapshot is from now
        one.execute(insert, &[&"one"]).unwrap();
        match late.execute(insert, &[&"two"]) {
            Ok(count) => assert!(count == 0 && !refused),
            Err(error) => {
                assert!(refused, "{error}");
                assert_eq!(error.code(), Some(&SqlState::T_R_SERIALIZATION_FAILURE));
            }
        }
    }
}

#[test]
fn postgresql_has_a_process_for_each_connection_and_restarts_all_if_one_is_killed() {
    let Some(server) = cluster::server_for_one_test() else {
        return;
    };
    let mut clients = [(); 2].map(|()| Client::connect(&server.url, NoTls).unwrap());
    let mut process = |client: usize| -> Result<i32, postgres::Error> {
        let row = clients[client].query_one("SELECT pg_backend_pid()", &[])?;
        Ok(row.get(0))
    };
    let [one, two] = [0, 1].map(|client| process(client).unwrap());
    assert_ne!(one, two);
    // They have shared memory between them, which the one that died may have left in any state.
    let killed = Command::new("kill").args(["-9", &one.to_string()]).status();
    assert!(killed.unwrap().success());
    let until = Instant::now() + Duration::from_secs(30);
    while process(1).is_ok() {
        assert!(Instant::now() < until, "the other connection lives on");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The calls by which a worker changes anything, or learns something from outside. A question mark
/// lets those be missing that a processor's kernel does not have.
const CALLS: &str = "connect,fcntl,fdatasync,fsync,ftruncate,openat,pwrite64,recvfrom,sendto,\
                     ?unlink,unlinkat,write";

/// A worker under `strace` that gets one request: what it printed, and its calls in their order.
fn traced(strace: &Path, world: &World, request: &str, inject: Option<String>) -> (String, String) {
    let trace = world.file("trace");
    let mut child = Command::new(strace)
        .args(["-f", "-qq", "-e", &format!("trace={CALLS}"), "-o"])
        .arg(&trace)
        .args(inject.map(|inject| format!("--inject={inject}")))
        .args([PROGRAM, "worker", world.database()])
        .arg(world.bank().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It may be dead before it reads.
    let _ = writeln!(child.stdin.take().unwrap(), "{request}");
    let output = child.wait_with_output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    (printed, std::fs::read_to_string(trace).unwrap())
}

/// The call of a line of a trace, `PID CALL(ARGUMENTS) = RESULT`: its name and the rest.
fn call(line: &str) -> Option<(&str, &str)> {
    line.split_once(' ')?.1.trim_start().split_once('(')
}

#[test]
fn a_worker_killed_before_any_of_its_system_calls_charges_once() {
    let Some(strace) = peer("strace") else { return };
    let world = World::new(Database::sqlite());
    // The first makes the files, the second is like all that follow.
    let mut calls = Vec::new();
    for key in ["first", "dry-run"] {
        let (told, trace) = traced(&strace, &world, &format!("shop {key} {key} 4200"), None);
        assert!(told.contains("\n201 fresh "), "{told}");
        calls = trace
            .lines()
            .filter_map(call)
            .map(|(name, _)| name.to_owned())
            .collect();
    }
    assert!(calls.len() > 80, "{calls:?}");
    let mut numbers = HashMap::<&str, usize>::new();
    let mut killed = 0;
    for (number, name) in calls.iter().enumerate() {
        let of_this_name = numbers.entry(name).or_default();
        *of_this_name += 1;
        let request = format!("shop key-{number} card-{number} 4200");
        let inject = format!("{name}:signal=SIGKILL:when={of_this_name}");
        let (told, _) = traced(&strace, &world, &request, Some(inject));
        let answered = told.lines().find(|line| line.starts_with("201 fresh "));
        killed += usize::from(answered.is_none());

        let mut worker = world.worker(Options {
            later_s: LEASE_S,
            ..Options::default()
        });
        let told = worker.ask(&request).unwrap();
        assert_eq!(
            told.status, 201,
            "killed before call {number}, {name}: {told:?}"
        );
        if let Some(answered) = answered {
            assert!(
                answered.ends_with(&told.body),
                "{answered} and then {told:?}"
            );
        }
        let card = format!("card-{number}");
        let entries = world
            .entries()
            .into_iter()
            .filter(|entry| entry.payment.card == card);
        assert_eq!(entries.count(), 1, "killed before call {number}, {name}");
    }
    // The rest of the calls come after the answer: SQLite cleans up.
    assert!(killed > calls.len() / 2, "{killed} of {}", calls.len());
}

#[test]
fn the_key_is_on_the_disk_before_the_bank_is_asked_and_the_answer_before_the_client_is_told() {
    let Some(strace) = peer("strace") else { return };
    let world = World::new(Database::sqlite());
    traced(&strace, &world, "shop first visa-1 4200", None);
    let (_, trace) = traced(&strace, &world, "shop second visa-1 4200", None);
    // What is written to the write-ahead log, and to whom else anything is told. The log's descriptor
    // is the one that opening it gave.
    let opened = trace
        .lines()
        .find(|line| line.contains("payments.db-wal\""))
        .unwrap();
    let log = opened.rsplit(' ').next().unwrap();
    let to_log = |rest: &str| rest.split([',', ')']).next() == Some(log);
    let mut unsynced = 0;
    let mut told = Vec::new();
    for (name, rest) in trace.lines().filter_map(call) {
        match name {
            "pwrite64" if to_log(rest) => unsynced += 1,
            "fsync" | "fdatasync" if to_log(rest) => unsynced = 0,
            "sendto" => told.push(("bank", unsynced)),
            "write" if rest.contains("201 fresh") => told.push(("client", unsynced)),
            _ => (),
        }
        if name == "pwrite64" && to_log(rest) {
            told.push(("log", unsynced));
        }
    }
    told.dedup_by_key(|(to, _)| *to);
    let order: Vec<&str> = told.iter().map(|(to, _)| *to).collect();
    assert_eq!(order, ["log", "bank", "log", "client"]);
    for (to, unsynced) in told.iter().filter(|(to, _)| *to != "log") {
        assert_eq!(*unsynced, 0, "the {to} is told what is not on the disk");
    }
}

/// A server that reads requests and closes the connection, as one does that crashes, and one that
/// answers; and what they read, the method and by which of them.
fn upstreams() -> ([SocketAddr; 2], mpsc::Receiver<(&'static str, String)>) {
    let (reads, read) = mpsc::channel();
    let addresses = ["crashes", "answers"].map(|name| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let reads = reads.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let request = lines.next().unwrap_or_default();
                let method = request.split(' ').next().unwrap_or_default().to_owned();
                // To the end of the header section; none of the requests has content.
                let _ = lines.find(|line| line.is_empty());
                if reads.send((name, method)).is_err() {
                    return;
                }
                if name == "answers" {
                    let _ = (&stream).write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");
                }
            }
        });
        address
    });
    (addresses, read)
}

/// nginx in front of both. Dropping it kills it.
struct Nginx {
    process: Child,
    folder: TempDir,
}

impl Nginx {
    fn start(nginx: &Path, [crashes, answers]: [SocketAddr; 2], option: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let here = folder.path().display();
        // It takes no port of the kernel's choice, and so listens at a path.
        let config = format!(
            "daemon off; master_process off; worker_processes 1;
            pid {here}/pid; error_log {here}/error.log;
            events {{ worker_connections 16; }}
            http {{
                access_log off;
                client_body_temp_path {here}/1; proxy_temp_path {here}/2; fastcgi_temp_path {here}/3;
                uwsgi_temp_path {here}/4; scgi_temp_path {here}/5;
                upstream service {{ server {crashes} max_fails=0; server {answers} backup; }}
                server {{
                    listen unix:{here}/socket;
                    location / {{ proxy_pass http://service; {option} }}
                }}
            }}"
        );
        std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
        let process = Command::new(nginx)
            .arg("-p")
            .arg(folder.path())
            .args(["-c", "nginx.conf", "-e", "error.log"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, folder }
    }

    /// The status of the answer to a request without content.
    fn request(&self, method: &str, field: &str) -> u16 {
        let until = Instant::now() + Duration::from_secs(30);
        let mut stream = loop {
            match UnixStream::connect(self.folder.path().join("socket")) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < until, "nginx does not listen: {error}"),
            }
            thread::sleep(Duration::from_millis(5));
        };
        let request = format!("{method} / HTTP/1.0\r\nHost: shop\r\n{field}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok());
        status.unwrap_or_else(|| panic!("{answer:?} is no answer"))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it may have ended
        let _ = self.process.wait();
    }
}

#[test]
fn nginx_repeats_a_get_a_put_and_a_delete_for_a_crashed_server_and_no_post() {
    let Some(nginx) = peer("nginx") else { return };
    let (addresses, read) = upstreams();
    let nginx = Nginx::start(&nginx, addresses, "");
    for method in ["GET", "PUT", "DELETE"] {
        assert_eq!(nginx.request(method, ""), 200, "{method}");
        let seen: Vec<_> = read.try_iter().collect();
        let by = |name| (name, method.to_owned());
        assert_eq!(seen, [by("crashes"), by("answers")]);
    }
    // A key makes no difference to it.
    for field in ["", "Idempotency-Key: \"8e03978e\"\r\n"] {
        assert_eq!(nginx.request("POST", field), 502);
        let seen: Vec<_> = read.try_iter().collect();
        assert_eq!(seen, [("crashes", "POST".to_owned())]);
    }
}

#[test]
fn nginx_repeats_a_post_if_it_is_told_to() {
    let Some(nginx) = peer("nginx") else { return };
    let (addresses, read) = upstreams();
    let option = "proxy_next_upstream error timeout non_idempotent;";
    let nginx = Nginx::start(&nginx, addresses, option);
    assert_eq!(nginx.request("POST", ""), 200);
    let seen: Vec<_> = read.try_iter().collect();
    let by = |name| (name, "POST".to_owned());
    assert_eq!(seen, [by("crashes"), by("answers")], "both may have paid");
}
