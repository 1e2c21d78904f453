//! The same queue as `ss` and `nstat` show it, and how long other people's servers make theirs.
#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "the listing uses what these tests do not")]
#[path = "../src/stage.rs"]
mod stage;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use exec_syn_queue::wait_until;
use lab::Host;
use stage::{Client, Settings, Stage};
use testkit::peer;

/// What a program prints on a host.
fn output(host: &Host, program: &Path, arguments: &[&str]) -> String {
    let mut command = host.command(program.to_str().unwrap());
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A server with a full queue, and a client that found it so.
fn full() -> (Stage, Vec<Client>) {
    let stage = Stage::open(Settings {
        backlog: 4,
        ..Settings::default()
    })
    .unwrap();
    let clients = (0..6).map(|_| stage.connect().unwrap()).collect();
    (stage, clients)
}

#[test]
fn ss_shows_the_queue_as_recv_q_and_the_backlog_as_send_q() {
    lab::test(|| {
        let Some(ss) = peer("ss") else { return };
        let (stage, _clients) = full();
        let listening = output(&stage.server, &ss, &["-Hlnt"]);
        let words: Vec<&str> = listening.split_whitespace().collect();
        let address = stage.address.to_string();
        assert_eq!(words[..4], ["LISTEN", "5", "4", &address], "{listening}");
        let waiting = output(&stage.client, &ss, &["-Hnt", "state", "syn-sent"]);
        assert_eq!(waiting.lines().count(), 1, "{waiting}");
    });
}

#[test]
fn nstat_counts_what_met_the_full_queue() {
    lab::test(|| {
        let Some(nstat) = peer("nstat") else { return };
        let (stage, _clients) = full();
        let text = output(&stage.server, &nstat, &["-asz"]);
        for name in ["TcpExtListenOverflows", "TcpExtListenDrops"] {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            let count = line.split_whitespace().nth(1).unwrap();
            assert_eq!(count, "1", "{line}");
        }
    });
}

/// The backlog with which a program listens at port 8000 of a host of its own.
fn backlog_of(program: &Path, arguments: &[&str]) -> u32 {
    let stage = Stage::open(Settings::default()).unwrap();
    let mut child = stage
        .server
        .command(program.to_str().unwrap())
        .args(arguments)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let listener = || stage.diag.listener(8000).ok();
    let listens = wait_until("the program listens", || Ok(listener().is_some()));
    let backlog = listener().map(|socket| socket.send_q);
    child.kill().unwrap();
    child.wait().unwrap();
    listens.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    backlog.unwrap()
}

#[test]
fn nginx_asks_for_511() {
    lab::test(|| {
        let Some(nginx) = peer("nginx") else { return };
        let folder = concat!(env!("CARGO_TARGET_TMPDIR"), "/nginx-backlog");
        fs::create_dir_all(folder).unwrap();
        let configuration = format!("{folder}/nginx.conf");
        let text = format!(
            "daemon off; master_process off; error_log {folder}/error.log; pid {folder}/pid;\n\
             events {{ }}\n\
             http {{\n\
             access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n\
             fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n\
             server {{ listen 8000; return 204; }}\n\
             }}\n"
        );
        fs::write(&configuration, text).unwrap();
        let arguments = ["-p", folder, "-c", &configuration];
        assert_eq!(backlog_of(&nginx, &arguments), 511);
    });
}

#[test]
fn node_asks_for_511() {
    lab::test(|| {
        let Some(node) = peer("node") else { return };
        let script = "require('http').createServer().listen(8000)";
        assert_eq!(backlog_of(&node, &["-e", script]), 511);
    });
}

#[test]
fn python_asks_for_5_in_socketserver_and_for_100_in_asyncio() {
    lab::test(|| {
        let Some(python) = peer("python3") else {
            return;
        };
        assert_eq!(backlog_of(&python, &["-m", "http.server", "8000"]), 5);
        let script = "import asyncio\n\
                      async def main():\n    \
                          server = await asyncio.start_server(lambda r, w: None, '0.0.0.0', 8000)\n    \
                          await server.serve_forever()\n\
                      asyncio.run(main())";
        assert_eq!(backlog_of(&python, &["-c", script]), 100);
    });
}

#[test]
fn rusts_standard_library_and_tokio_ask_for_128() {
    lab::test(|| {
        let stage = Stage::open(Settings::default()).unwrap();
        let [std, tokio] = [8000, 8001].map(|port| SocketAddr::from((stage.server.v4(), port)));
        let backlog = |port| stage.diag.listener(port).unwrap().send_q;
        let _listener = stage.server.run(|| TcpListener::bind(std)).unwrap();
        assert_eq!(backlog(8000), 128);
        let asked = stage.server.run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build()
                .unwrap();
            let bind = tokio::net::TcpListener::bind(tokio);
            let _listener = runtime.block_on(bind).unwrap();
            backlog(8001)
        });
        assert_eq!(asked, 128);
    });
}
