//! How servers that no one here wrote are made of processes and threads.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use testkit::peer;

/// How long a server may take to be there.
const DEADLINE: Duration = Duration::from_secs(30);

/// A server, ended when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Asked to end, a master ends its workers first. Killed, it would leave them behind.
        let asked = Command::new("kill").arg(self.0.id().to_string()).status();
        if !asked.is_ok_and(|status| status.success()) {
            let _ = self.0.kill();
        }
        let _ = self.0.wait();
    }
}

/// The processes whose parent this is.
fn children(process: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let children = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("children")));
    let all = children
        .map(|list| list.unwrap_or_default())
        .collect::<String>();
    all.split_whitespace()
        .map(|id| id.parse().unwrap())
        .collect()
}

/// The names of a process's threads.
fn threads(process: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    tasks
        .map(|task| fs::read_to_string(task.unwrap().path().join("comm")).unwrap())
        .map(|name| name.trim_end().to_owned())
        .collect()
}

#[test]
fn nginx_is_a_master_and_workers_with_one_thread_each() {
    let Some(nginx) = peer("nginx") else { return };
    let folder = TempDir::new().unwrap();
    let here = folder.path().display();
    let config = format!(
        "daemon off; worker_processes 3; pid {here}/pid; error_log {here}/error.log;
        events {{ worker_connections 16; }}
        http {{
            access_log off;
            client_body_temp_path {here}/1; proxy_temp_path {here}/2; fastcgi_temp_path {here}/3;
            uwsgi_temp_path {here}/4; scgi_temp_path {here}/5;
            server {{ listen unix:{here}/socket; location / {{ return 204; }} }}
        }}"
    );
    fs::write(folder.path().join("nginx.conf"), config).unwrap();
    let master = Running(
        Command::new(nginx)
            .arg("-p")
            .arg(folder.path())
            .args(["-c", "nginx.conf", "-e", "error.log"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let until = Instant::now() + DEADLINE;
    let listens = || UnixStream::connect(folder.path().join("socket")).is_ok();
    while !listens() || children(master.0.id()).len() < 3 {
        assert!(Instant::now() < until, "nginx does not start");
        thread::sleep(Duration::from_millis(5));
    }
    let workers = children(master.0.id());
    assert_eq!(workers.len(), 3);
    for process in workers.into_iter().chain([master.0.id()]) {
        assert_eq!(threads(process).len(), 1, "{process}");
    }
}

#[test]
fn node_runs_javascript_in_one_thread_and_files_and_names_in_four_others() {
    let Some(node) = peer("node") else { return };
    // Says when a first and a second file operation are done, of which the pool takes as many at a
    // time as it has threads; and goes on until its input ends.
    let script = "require('fs').stat('/', () => console.log('done')); process.stdin.resume();";
    let mut node = Command::new(node)
        .args(["-e", script])
        .env_remove("UV_THREADPOOL_SIZE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(node.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "done");
    let all = threads(node.id()).len();
    // The same program without a file operation: what is missing is the pool.
    let mut idle = Command::new(peer("node").unwrap())
        .args(["-e", "console.log('started'); process.stdin.resume();"])
        .env_remove("UV_THREADPOOL_SIZE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(idle.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "started");
    let without = threads(idle.id()).len();
    for mut process in [node, idle] {
        drop(process.stdin.take());
        process.wait().unwrap();
    }
    assert_eq!(all - without, 4, "{all} and {without} threads");
}
