//! What `ss` shows of several listeners, and that nginx makes them.
#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "the listing uses what these tests do not")]
#[path = "../src/workers.rs"]
mod workers;

use std::fs;
use std::net::TcpStream;
use std::process::Stdio;

use exec_syn_queue::diag::{Diag, State};
use exec_syn_queue::wait_until;
use lab::{Lab, Link};
use testkit::peer;
use workers::{PORT, listen};

#[test]
fn ss_has_a_line_for_each_listener_with_a_recv_q_of_its_own() {
    lab::test(|| {
        let Some(ss) = peer("ss") else { return };
        let (_lab, client, server) = Lab::pair(Link::new()).unwrap();
        let address = (server.v4(), PORT).into();
        let _listeners = [(); 2].map(|()| listen(&server, address, true).unwrap());
        let connect = || TcpStream::connect(address).unwrap();
        let _clients: Vec<TcpStream> = (0..40).map(|_| client.run(connect)).collect();
        let recv_qs = || -> Vec<u32> {
            let mut command = server.command(ss.to_str().unwrap());
            let output = command.args(["-Hlnt"]).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let recv_q = |line: &str| line.split_whitespace().nth(1).unwrap().parse().unwrap();
            text.lines().map(recv_q).collect()
        };
        wait_until("all wait", || Ok(recv_qs().iter().sum::<u32>() == 40)).unwrap();
        assert_eq!(recv_qs().len(), 2);
    });
}

#[test]
fn nginx_makes_a_listener_for_each_worker_if_listen_says_reuseport() {
    lab::test(|| {
        let Some(nginx) = peer("nginx") else { return };
        for (option, listeners) in [("", 1), (" reuseport", 3)] {
            let (_lab, _client, server) = Lab::pair(Link::new()).unwrap();
            let folder = concat!(env!("CARGO_TARGET_TMPDIR"), "/nginx-reuseport");
            fs::create_dir_all(folder).unwrap();
            let configuration = format!("{folder}/nginx.conf");
            let text = format!(
                "daemon off; worker_processes 3; error_log {folder}/error.log; pid {folder}/pid;\n\
                 events {{ }}\n\
                 http {{\n\
                 access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;\n\
                 fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n\
                 server {{ listen 8000{option}; return 204; }}\n\
                 }}\n"
            );
            fs::write(&configuration, text).unwrap();
            let mut child = server
                .command(nginx.to_str().unwrap())
                .args(["-p", folder, "-c", &configuration])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let diag = server.run(Diag::open).unwrap();
            let count = || diag.sockets(&[State::Listen]).unwrap().len();
            wait_until("nginx listens", || Ok(count() > 0)).unwrap();
            // All of them are made before the first worker starts to accept.
            let address = (server.v4(), 8000);
            wait_until("nginx accepts", || {
                Ok(server.run(|| TcpStream::connect(address)).is_ok())
            })
            .unwrap();
            assert_eq!(count(), listeners, "listen 8000{option}");
            child.kill().unwrap();
            child.wait().unwrap();
        }
    });
}
