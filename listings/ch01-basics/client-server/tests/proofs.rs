//! What the page says about clients and servers, on real sockets.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use record::What;
use socket2::{Domain, Socket, Type};
use testkit::{Program, Server, listing, peer};

/// The first time that a lost request for a connection is sent again (RFC 6298 §2.1).
const FIRST_RETRANSMISSION: Duration = Duration::from_secs(1);

fn server() -> Server {
    listing!().arg("127.0.0.1:0").serve()
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn of(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(testkit::DEADLINE)).unwrap();
        Self(BufReader::new(stream))
    }

    fn say(&mut self, words: &str) {
        self.0.get_mut().write_all(words.as_bytes()).unwrap();
    }

    fn hear(&mut self) -> String {
        let mut answer = String::new();
        self.0.read_line(&mut answer).unwrap();
        answer
    }

    fn ask(&mut self, request: &str) -> String {
        self.say(&format!("{request}\n"));
        self.hear()
    }

    /// Says no more; what the server still says.
    fn end(mut self) -> String {
        self.0.get_ref().shutdown(Shutdown::Write).unwrap();
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).unwrap();
        rest
    }
}

#[test]
fn a_run_prints_what_the_page_shows() {
    let run = listing!().run().succeeds();
    run.matches_output();
    run.matches_record();
}

#[test]
fn the_client_speaks_first_and_every_request_gets_one_answer() {
    let run = listing!().run().succeeds();
    let exchange = run.sequence("exchange");
    let (mut senders, mut last) = (Vec::new(), 0);
    for event in &exchange.events {
        let What::Message {
            from, arrived_us, ..
        } = &event.what
        else {
            panic!("{event:?}");
        };
        let arrived_us = arrived_us.unwrap();
        assert!(
            event.at_us <= arrived_us,
            "read before it was sent: {event:?}"
        );
        assert!(last <= event.at_us, "sent before its cause: {event:?}");
        // The connection is made before the server's accept() returns, so the client's first
        // request may be on its way by then; everything else waits for what went before.
        last = if senders.is_empty() {
            event.at_us
        } else {
            arrived_us
        };
        senders.push(*from);
    }
    let (client, server) = (0, 1);
    assert_eq!(senders[0], client, "connects");
    assert_eq!(senders[1..], [client, server].repeat(6), "in turns");
}

#[test]
fn the_answer_matches_the_request() {
    let server = server();
    let mut client = Client::of(&server);
    for (request, answer) in [
        ("STOCK tea", "OK 12\n"),
        ("STOCK coffee", "OK 7\n"),
        ("TAKE tea 3", "OK 9\n"),
        ("STOCK tea", "OK 9\n"),
        ("TAKE tea 10", "ERROR there are only 9\n"),
        ("TAKE tea -1", "ERROR -1 is no number\n"),
        ("TAKE milk 1", "ERROR we do not sell milk\n"),
        ("  STOCK   cups  ", "OK 30\n"),
        ("SING", "ERROR unknown request\n"),
        ("", "ERROR unknown request\n"),
    ] {
        assert_eq!(client.ask(request), answer, "{request}");
    }
}

#[test]
fn requests_that_arrive_together_are_answered_in_their_order() {
    let server = server();
    let mut client = Client::of(&server);
    client.say("STOCK tea\nSTOCK coffee\nSTOCK cups\n");
    assert_eq!(client.end(), "OK 12\nOK 7\nOK 30\n");
}

#[test]
fn many_clients_at_once_get_each_their_own_answers() {
    let server = server();
    let goods = [
        ("tea", "OK 12\n"),
        ("coffee", "OK 7\n"),
        ("cups", "OK 30\n"),
    ];
    let turns = |client: &mut Client, number: usize| {
        let (item, answer) = goods[number % 3];
        for _ in 0..20 {
            assert_eq!(client.ask(&format!("STOCK {item}")), answer);
        }
    };
    // As many as there are workers, and each has one: it was answered and has not left.
    let mut served: Vec<Client> = (0..16).map(|_| Client::of(&server)).collect();
    thread::scope(|scope| {
        for (number, client) in served.iter_mut().enumerate() {
            scope.spawn(move || turns(client, number));
        }
    });
    // As many again: they are connected and may speak, and wait for their turn.
    let mut waiting: Vec<Client> = (0..16).map(|_| Client::of(&server)).collect();
    for client in &mut waiting {
        client.say("STOCK cups\n");
    }
    turns(&mut served[0], 0);
    for client in &waiting {
        let stream = client.0.get_ref();
        stream.set_nonblocking(true).unwrap();
        let unanswered = stream.peek(&mut [0]).unwrap_err();
        assert_eq!(unanswered.kind(), ErrorKind::WouldBlock);
        stream.set_nonblocking(false).unwrap();
    }
    drop(served);
    thread::scope(|scope| {
        for (number, client) in waiting.iter_mut().enumerate() {
            scope.spawn(move || {
                assert_eq!(client.hear(), "OK 30\n");
                turns(client, number);
            });
        }
    });
}

#[test]
fn what_one_client_takes_is_gone_for_all_and_never_taken_twice() {
    let server = server();
    let taken: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..10)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Client::of(&server);
                    let tries = (0..5).map(|_| client.ask("TAKE cups 1"));
                    tries.filter(|answer| answer.starts_with("OK")).count()
                })
            })
            .collect();
        clients.into_iter().map(|each| each.join().unwrap()).sum()
    });
    assert_eq!(taken, 30, "there were 30 cups for 50 requests");
    assert_eq!(Client::of(&server).ask("STOCK cups"), "OK 0\n");
}

#[test]
fn a_half_sent_request_is_not_carried_out() {
    let server = server();
    let mut half = Client::of(&server);
    half.say("TAKE tea 3");
    assert_eq!(half.end(), "", "no answer to half a request");
    assert_eq!(Client::of(&server).ask("STOCK tea"), "OK 12\n");
}

#[test]
fn a_request_in_pieces_is_one_request() {
    let server = server();
    let mut client = Client::of(&server);
    // Else the kernel may wait and join the pieces.
    client.0.get_ref().set_nodelay(true).unwrap();
    for piece in ["STO", "CK ", "te", "a", "\n"] {
        client.say(piece);
    }
    assert_eq!(client.hear(), "OK 12\n");
}

#[test]
fn a_request_that_is_too_long_is_refused_and_the_next_one_is_served() {
    let server = server();
    let mut client = Client::of(&server);
    let longest = format!("STOCK tea{}", " ".repeat(64 - "STOCK tea\n".len()));
    assert_eq!(client.ask(&longest), "OK 12\n", "64 bytes with the newline");
    assert_eq!(
        client.ask(&format!("{longest} ")),
        "ERROR longer than 64 bytes\n"
    );
    assert_eq!(
        client.ask(&"x".repeat(1_000_000)),
        "ERROR longer than 64 bytes\n"
    );
    assert_eq!(client.ask("STOCK tea"), "OK 12\n");
}

#[test]
fn every_line_gets_one_answer_whatever_is_in_it() {
    // All bytes there are, in an order that is no order, as lines of all lengths around the limit.
    let mut state = 0x2545_f491_u32;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let garbage: Vec<u8> = (0..20_000)
        .map(|_| match random() % 40 {
            0 => b'\n',
            byte => (byte * 7 + random()) as u8,
        })
        .collect();
    let lines = garbage.iter().filter(|byte| **byte == b'\n').count();
    let server = server();
    let client = Client::of(&server);
    let mut to_server = client.0.get_ref().try_clone().unwrap();
    let writer = thread::spawn(move || to_server.write_all(&garbage));
    let mut from_server = client.0;
    let mut answers = Vec::new();
    for _ in 0..lines {
        let mut answer = String::new();
        from_server.read_line(&mut answer).unwrap();
        answers.push(answer);
    }
    writer.join().unwrap().unwrap();
    assert_eq!(Client(from_server).end(), "", "and nothing more");
    for answer in answers {
        assert!(
            answer.starts_with("ERROR ") && answer.ends_with('\n'),
            "{answer:?}"
        );
    }
    assert_eq!(Client::of(&server).ask("STOCK tea"), "OK 12\n");
}

#[test]
fn a_client_that_breaks_off_does_not_disturb_the_others() {
    let server = server();
    let mut steady = Client::of(&server);
    // More of them than there are workers: none is lost to a client that is gone.
    for _ in 0..40 {
        let mut rude = Client::of(&server);
        rude.say("STOCK tea\nSTOCK \u{fffd}");
        drop(rude);
    }
    assert_eq!(steady.ask("STOCK tea"), "OK 12\n");
    assert_eq!(Client::of(&server).ask("STOCK tea"), "OK 12\n");
}

/// A port that is ours, so that no other program comes to listen on it, and on which no one does.
fn closed_port() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

#[test]
fn a_closed_port_refuses_at_once() {
    // Were no answer sent, connect() would wait at least until it asks again.
    let fastest = (0..5)
        .map(|_| {
            let (_held, address) = closed_port();
            let start = Instant::now();
            let refusal = TcpStream::connect(address).unwrap_err();
            assert_eq!(refusal.kind(), ErrorKind::ConnectionRefused);
            start.elapsed()
        })
        .min()
        .unwrap();
    assert!(fastest < FIRST_RETRANSMISSION / 2, "{fastest:?}");
}

#[test]
fn the_runs_own_refusal_came_from_a_port_that_had_just_served() {
    let run = listing!().run().succeeds();
    let refused = run.sequence("refused");
    assert_eq!(
        refused.hosts[1].detail,
        run.sequence("exchange").hosts[1].detail
    );
    let [asked, answered] = &refused.events[..] else {
        panic!("{refused:?}");
    };
    let What::Message { label, .. } = &answered.what else {
        panic!("{answered:?}");
    };
    assert_eq!(label, "`ConnectionRefused`");
    assert!(Duration::from_micros(answered.at_us - asked.at_us) < FIRST_RETRANSMISSION);
}

#[test]
fn netcat_is_a_client_like_any_other() {
    let Some(nc) = peer("nc") else { return };
    let server = server();
    let address = server.address();
    // -N: say no more at the end of the input, as Ctrl-D does.
    let run = Program::new(nc)
        .args(["-N", &address.ip().to_string(), &address.port().to_string()])
        .input("STOCK tea\nTAKE tea 3\nSING\n")
        .run()
        .succeeds();
    assert_eq!(run.stdout, "OK 12\nOK 9\nERROR unknown request\n");
}

#[test]
fn a_server_on_a_port_that_is_taken_says_so() {
    let server = server();
    let run = listing!().arg(server.address().to_string()).run();
    assert_eq!(run.status.code(), Some(1));
    assert!(run.stderr.contains("in use"), "{}", run.stderr);
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    for arguments in [&["no-address"][..], &["127.0.0.1:0", "more"], &["--help"]] {
        let run = listing!().args(arguments).run();
        assert_eq!(run.status.code(), Some(2), "{arguments:?}");
        assert!(run.stderr.starts_with("usage: "), "{}", run.stderr);
    }
}
