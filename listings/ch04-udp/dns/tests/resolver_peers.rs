//! DNS servers that no one here wrote answer the listing's resolver: unbound and dnsmasq, on the lab.
#![cfg(target_os = "linux")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use lab::{Host, Lab, Link};
use testkit::{peer, wait_for};
use udp_dns::Transport;
use udp_dns::client::{Event, resolve};
use udp_dns::random::Kernel;
use udp_dns::resolver::{Accepted, Answer, Config, Failure};
use udp_dns_message::Type;

/// The zone, as both are told it.
const ZONE: &str = include_str!("../src/example.com.zone");

/// A program that is ended with the test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a question led to.
struct Asked {
    result: Result<Answer, Failure>,
    transports: Vec<Transport>,
    refused: usize,
    accepted: Vec<Accepted>,
}

impl Asked {
    /// The data of the records, sorted.
    fn data(&self) -> Vec<String> {
        match &self.result {
            Ok(Answer::Found(found)) => {
                let mut data: Vec<String> = found
                    .records()
                    .map(|record| record.rdata.to_string())
                    .collect();
                data.sort();
                data
            }
            other => panic!("{other:?}"),
        }
    }
}

fn ask(client: &Host, server: SocketAddr, name: &str, qtype: Type) -> Asked {
    let (mut transports, mut refused, mut accepted) = (Vec::new(), 0, Vec::new());
    let name = name.parse().unwrap();
    let watch = |event: Event| match event {
        Event::Sent(query) => transports.push(query.transport),
        Event::Refused(_) => refused += 1,
        Event::Accepted(what) => accepted.push(what),
        _ => {}
    };
    let result = client.run(|| resolve(name, qtype, Config::new([server]), Kernel, watch));
    Asked {
        result,
        transports,
        refused,
        accepted,
    }
}

/// A resolver's host, and a server with this program running on it.
fn with_server(program: &Path, arguments: &[String], test: impl FnOnce(&Host, SocketAddr)) {
    let (lab, client, server) = Lab::pair(Link::new()).unwrap();
    let mut command: Command = server.command(program.to_str().unwrap());
    command
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let started = Started(command.spawn().unwrap());
    wait_for("the server's sockets at port 53", || {
        let (udp, tcp) = (server.proc_net("udp"), server.proc_net("tcp"));
        (udp.contains(":0035 ") && tcp.contains(":0035 ")).then_some(())
    });
    test(&client, (server.v4(), 53).into());
    drop(started);
    let _ = lab.finish().unwrap();
}

/// What both servers are asked, over UDP and with the case of letters checked.
fn the_usual(client: &Host, server: SocketAddr) {
    let plain = ask(client, server, "mail.example.com", Type::A);
    assert_eq!(plain.data(), ["192.0.2.25"]);
    assert_eq!(plain.transports, [Transport::Udp]);
    assert_eq!(plain.refused, 0, "it keeps the case");

    let v6 = ask(client, server, "ns1.example.com", Type::AAAA);
    assert_eq!(v6.data(), ["2001:db8::53"]);

    let alias = ask(client, server, "www.example.com", Type::A);
    assert_eq!(alias.data(), ["192.0.2.81"]);
    let Ok(Answer::Found(found)) = &alias.result else {
        unreachable!("it has data")
    };
    assert_eq!(found.name, "host1.web.example.com".parse().unwrap());
    assert_eq!(found.aliases.len(), 2);

    let missing = ask(client, server, "missing.example.com", Type::A);
    assert!(
        matches!(missing.result, Ok(Answer::NoSuchName { .. })),
        "{:?}",
        missing.result
    );
    let nothing = ask(client, server, "mail.example.com", Type::AAAA);
    assert!(
        matches!(nothing.result, Ok(Answer::NoData { .. })),
        "{:?}",
        nothing.result
    );
}

#[test]
fn unbound_answers_the_resolver() {
    lab::test(|| {
        let Some(unbound) = peer("unbound") else {
            return;
        };
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        std::fs::write(directory.join("example.com.zone"), ZONE).unwrap();
        let conf = format!(
            "server:\n interface: 0.0.0.0\n access-control: 0.0.0.0/0 allow\n do-daemonize: no\n \
             chroot: \"\"\n username: \"\"\n directory: \"{directory}\"\n pidfile: \"\"\n \
             use-syslog: no\n module-config: \"iterator\"\n local-zone: \"org.\" refuse\n\
             remote-control:\n control-enable: no\n\
             auth-zone:\n name: example.com\n zonefile: \"example.com.zone\"\n for-upstream: no\n",
            directory = directory.display(),
        );
        let file = directory.join("unbound.conf");
        std::fs::write(&file, conf).unwrap();
        let arguments = ["-d", "-c", file.to_str().unwrap()].map(str::to_owned);
        with_server(&unbound, &arguments, |client, server| {
            the_usual(client, server);
            let long = ask(client, server, "longer.example.com", Type::TXT);
            assert_eq!(long.data().len(), 6);
            assert_eq!(long.transports, [Transport::Udp, Transport::Tcp]);
            assert_eq!(long.accepted, [Accepted::Truncated, Accepted::Result]);
            // More than 512 bytes fit a datagram by EDNS.
            let medium = ask(client, server, "long.example.com", Type::TXT);
            assert_eq!(medium.data().len(), 3);
            assert_eq!(medium.transports, [Transport::Udp]);
            let refused = ask(client, server, "www.example.org", Type::A);
            assert!(refused.result.is_err(), "{:?}", refused.result);
        });
    });
}

#[test]
fn dnsmasq_answers_the_resolver() {
    lab::test(|| {
        let Some(dnsmasq) = peer("dnsmasq") else {
            return;
        };
        let mut arguments: Vec<String> = [
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--pid-file",
            "--no-resolv",
            "--no-hosts",
            "--user=root",
            "--group=root",
            "--log-facility=-",
            "--local=/example.com/",
            "--host-record=mail.example.com,192.0.2.25",
            "--host-record=ns1.example.com,192.0.2.53,2001:db8::53",
            "--host-record=host1.web.example.com,192.0.2.81,2001:db8::81",
            "--cname=web.example.com,host1.web.example.com",
            "--cname=www.example.com,web.example.com",
        ]
        .map(str::to_owned)
        .into();
        // Many addresses of one name: 100 take 1,600 bytes and more.
        for number in 1..=100 {
            arguments.push(format!(
                "--host-record=many.example.com,198.51.100.{number}"
            ));
        }
        with_server(&dnsmasq, &arguments, |client, server| {
            the_usual(client, server);
            let many = ask(client, server, "many.example.com", Type::A);
            assert_eq!(many.data().len(), 100);
            assert_eq!(many.transports, [Transport::Udp, Transport::Tcp]);
            assert_eq!(many.accepted, [Accepted::Truncated, Accepted::Result]);
        });
    });
}
