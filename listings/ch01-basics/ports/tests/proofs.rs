//! What the page says about ports, on real sockets.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::sync::LazyLock;

use record::What;
use testkit::{Program, Run, listing, peer};

static RUN: LazyLock<Run> = LazyLock::new(|| {
    listing!()
        // What port 80 is like depends on the machine: a proof of its own looks at it.
        .varying(r"(?m)^port 80, .*\n.*$", "port 80")
        .run()
        .succeeds()
});

/// The run's attempts with the name of the error that each met; `–` where it met none.
fn errors() -> BTreeMap<String, (String, String)> {
    let rows = &RUN.table("errors").rows;
    let plain = |text: &str| text.replace('`', "");
    rows.iter()
        .map(|row| (plain(&row[0]), (plain(&row[1]), plain(&row[2]))))
        .collect()
}

#[track_caller]
fn assert_error(attempt: &str, errno: &str, kind: ErrorKind) {
    let errors = errors();
    let met = errors.get(attempt).unwrap_or_else(|| panic!("{errors:?}"));
    assert_eq!(met, &(errno.to_owned(), format!("{kind:?}")), "{attempt}");
}

#[track_caller]
fn assert_works(attempt: &str) {
    let errors = errors();
    let met = errors.get(attempt).unwrap_or_else(|| panic!("{errors:?}"));
    assert_eq!(met, &("–".to_owned(), "works".to_owned()), "{attempt}");
}

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

#[test]
fn the_port_decides_which_service_answers() {
    let figure = RUN.sequence("demultiplexing");
    let answers: Vec<(&str, &str)> = figure
        .events
        .iter()
        .filter_map(|event| match &event.what {
            What::Message { from, label, .. } if *from >= 3 => {
                Some((figure.hosts[*from].name.as_str(), label.as_str()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(answers.len(), 3);
    for (service, answer) in answers {
        let name = service.trim_start_matches("service ").trim_matches('`');
        let greeting = format!("`{name}: hello, 127.0.0.1:");
        assert!(answer.starts_with(&greeting), "{service} said {answer}");
    }
}

#[test]
fn one_client_port_carries_connections_to_two_services() {
    let figure = RUN.sequence("demultiplexing");
    let address = |name: &str| {
        let host = figure.hosts.iter().find(|host| host.name == name);
        host.and_then(|host| host.detail.clone()).unwrap()
    };
    assert_eq!(address("first socket"), address("third socket"));
    assert_ne!(address("first socket"), address("second socket"));
    assert_ne!(address("service `orders`"), address("service `photos`"));
}

#[test]
#[cfg(target_os = "linux")]
fn one_client_port_carries_as_many_connections_as_there_are_services() {
    use std::net::{SocketAddr, TcpStream};

    use socket2::{Domain, Socket, Type};

    let services: Vec<TcpListener> = (0..20)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let mut port = 0;
    let connections: Vec<TcpStream> = services
        .iter()
        .map(|service| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_reuse_address(true).unwrap();
            let from = SocketAddr::from(([127, 0, 0, 1], port));
            socket.bind(&from.into()).unwrap();
            socket
                .connect(&service.local_addr().unwrap().into())
                .unwrap();
            let connection = TcpStream::from(socket);
            port = connection.local_addr().unwrap().port();
            connection
        })
        .collect();
    for (connection, service) in connections.iter().zip(&services) {
        let (_, client) = service.accept().unwrap();
        assert_eq!(client, connection.local_addr().unwrap());
        assert_eq!(client.port(), port);
    }
}

#[test]
fn port_0_lets_the_kernel_choose_a_free_one() {
    let listeners: Vec<TcpListener> = (0..20)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let mut ports: Vec<u16> = listeners
        .iter()
        .map(|listener| listener.local_addr().unwrap().port())
        .collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 20, "each its own");
    assert_ne!(ports[0], 0, "and a real one");
}

#[test]
fn clients_get_different_ports_of_the_ephemeral_range() {
    let said = "50 clients at once    50 different ports, 50 of them in that range";
    assert!(RUN.stdout.contains(said), "{}", RUN.stdout);
}

#[test]
fn a_port_in_use_is_refused() {
    let attempt = "a second listener on the same port";
    assert_error(attempt, "EADDRINUSE", ErrorKind::AddrInUse);
    let attempt = "the same port, on all addresses (0.0.0.0)";
    assert_error(attempt, "EADDRINUSE", ErrorKind::AddrInUse);
}

#[test]
#[cfg(target_os = "linux")]
fn another_address_has_the_same_port_free() {
    assert_works("the same port, on 127.0.0.2");
}

#[test]
fn tcp_and_udp_have_ports_of_their_own() {
    assert_works("the same number as a UDP port");
}

#[test]
fn no_two_connections_have_all_four_numbers_in_common() {
    let attempt = "a second connection between the same ports";
    let (errno, _) = &errors()[attempt];
    // Linux names the address that it cannot give; BSDs, macOS among them, the one in use.
    assert!(
        ["EADDRNOTAVAIL", "EADDRINUSE", "EEXIST"].contains(&errno.as_str()),
        "{errno}"
    );
}

#[test]
fn the_address_of_another_machine_is_refused() {
    let attempt = "a listener on an address of another machine";
    assert_error(attempt, "EADDRNOTAVAIL", ErrorKind::AddrNotAvailable);
}

#[test]
fn a_port_without_a_listener_refuses_connections() {
    let attempt = "a connection to a port without a listener";
    assert_error(attempt, "ECONNREFUSED", ErrorKind::ConnectionRefused);
}

#[test]
#[cfg(target_os = "linux")]
fn a_privileged_port_needs_the_right_even_of_root() {
    let setting = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    let first_free: u16 = std::fs::read_to_string(setting)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let attempt = "port 80, without the right to it";
    if first_free > 80 {
        assert_error(attempt, "EACCES", ErrorKind::PermissionDenied);
        assert!(
            RUN.stdout
                .contains(&format!("below {first_free}, CAP_NET_BIND_SERVICE"))
        );
    } else {
        // As in many containers: no port is privileged, and the run must not pretend.
        assert_ne!(errors()[attempt].0, "EACCES");
        assert!(
            RUN.stdout
                .contains(&format!("all ports from {first_free} on are for everyone"))
        );
    }
}

#[test]
fn netcat_meets_the_same_error_on_a_port_in_use() {
    let Some(nc) = peer("nc") else { return };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let run = Program::new(nc).args(["-l", "127.0.0.1", &port]).run();
    assert!(!run.status.success());
    assert!(
        run.stderr.contains("Address already in use"),
        "{}",
        run.stderr
    );
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = listing!().arg("8080").run();
    assert_eq!(run.status.code(), Some(2));
    assert!(run.stderr.starts_with("usage: "), "{}", run.stderr);
}
