//! What the page says about opening a connection.
#![cfg(target_os = "linux")]

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{LazyLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use lab::{Capture, Crossing, Fate, Host, Lab, Link, Tcp, TcpState, Verdict, tcp_info};
use nix::sys::socket::SetSockOpt;
use nix::sys::socket::sockopt::TcpFastOpenConnect;
use record::{Fate as Outcome, What};
use socket2::{Domain, Socket, Type};
use testkit::{Run, listing, skip, wait_for};

/// One run for all proofs: it waits for timers of seconds. On a machine that is too busy, it says so
/// and is made again.
static RUN: LazyLock<Run> = LazyLock::new(|| {
    let _alone = QUIET.write().unwrap_or_else(PoisonError::into_inner);
    let program = listing!()
        // Numbers that begin anywhere, and a shift that depends on the machine's `rmem_max`.
        .varying(r"\b(seq|ack) \d+", "$1 N")
        .varying(r"timestamps \d+ \d+", "timestamps N N")
        .varying(r"window scale \d+", "window scale N")
        // Two kernels' timers run out at the same time: how many segments cross, is chance.
        .varying(r"(?m)^(the first SYN ACK) .*$", "$1");
    let mut run = program.run().succeeds();
    for _ in 0..3 {
        if !run.stderr.contains("This machine was busy") {
            break;
        }
        run = program.run().succeeds();
    }
    run
});

/// Held by the run, so that nothing of ours disturbs it, and shared by the tests with labs of their
/// own.
static QUIET: RwLock<()> = RwLock::new(());

/// A test with a lab, not while the listing runs. (Inside [`lab::test`] is another process.)
fn in_lab(body: impl FnOnce()) {
    let _shared = QUIET.read().unwrap_or_else(PoisonError::into_inner);
    lab::test(body);
}

const ONE_WAY: Duration = Duration::from_millis(25);
const ROUND_TRIP_MS: f64 = 50.0;

/// How much later than it should something may be. Linux's timers of seconds are coarse, and the
/// machine may be busy; what is to be told apart are whole seconds.
const LATE_MS: f64 = 700.0;

#[test]
fn a_run_prints_what_the_page_shows() {
    RUN.matches_output();
    RUN.matches_record();
}

// ── The three segments

/// The messages of a figure: who sent them, what they are, whether they arrived.
fn messages(figure: &str) -> Vec<(usize, String, bool)> {
    let events = &RUN.sequence(figure).events;
    let messages = events.iter().filter_map(|event| match &event.what {
        What::Message {
            from, label, fate, ..
        } => Some((
            *from,
            label.trim_matches('`').to_owned(),
            *fate == Outcome::Arrived,
        )),
        What::State { .. } => None,
    });
    messages.collect()
}

const CLIENT: usize = 0;
const SERVER: usize = 1;

fn message(from: usize, label: &str, arrived: bool) -> (usize, String, bool) {
    (from, label.to_owned(), arrived)
}

/// The three cells of a row of the table that has the segments side by side.
fn row(name: &str) -> [String; 3] {
    let rows = &RUN.table("options").rows;
    let row = rows.iter().find(|row| row[0] == name);
    let row = row.unwrap_or_else(|| panic!("a row {name:?}"));
    [1, 2, 3].map(|column| row[column].trim_matches('`').to_owned())
}

fn numbers(name: &str) -> [Option<u32>; 3] {
    row(name).map(|cell| cell.parse().ok())
}

#[test]
fn exactly_three_segments_open_a_connection() {
    assert_eq!(
        messages("handshake"),
        [
            message(CLIENT, "SYN", true),
            message(SERVER, "SYN ACK", true),
            message(CLIENT, "ACK", true)
        ]
    );
}

#[test]
fn none_of_the_three_carries_data() {
    assert_eq!(row("data, bytes"), ["0", "0", "0"]);
}

#[test]
fn each_side_begins_with_a_number_of_its_own_and_a_syn_counts_one() {
    let sequence = numbers("sequence number").map(Option::unwrap);
    let [None, Some(to_client), Some(to_server)] = numbers("acknowledgment number") else {
        panic!("the first segment alone acknowledges nothing");
    };
    assert_ne!(sequence[CLIENT], sequence[SERVER]);
    assert_eq!(to_client, sequence[CLIENT].wrapping_add(1));
    assert_eq!(to_server, sequence[SERVER].wrapping_add(1));
    assert_eq!(sequence[2], to_client, "the third takes no number");
}

#[test]
fn no_two_connections_begin_with_the_same_numbers() {
    let said = "began with 44 different numbers";
    assert!(RUN.stdout.contains(said), "{}", RUN.stdout);
}

#[test]
fn both_sides_offer_the_same_four_options_in_their_syns_alone() {
    assert_eq!(row("option `MSS`"), ["1460", "1460", "–"]);
    assert_eq!(row("option `SACK permitted`"), ["yes", "yes", "–"]);
    let [client, server, ack] = row("option `window scale`");
    assert!(client.parse::<u8>().unwrap() <= 14, "{client}");
    assert!(server.parse::<u8>().unwrap() <= 14, "{server}");
    assert_eq!(ack, "–");
    assert_eq!(row("header length, bytes"), ["40", "40", "32"]);
}

#[test]
fn timestamps_are_echoed_and_stay() {
    let stamps = row("option `timestamps`").map(|cell| {
        let mut words = cell.split(' ').map(|word| word.parse::<u32>().unwrap());
        (words.next().unwrap(), words.next().unwrap())
    });
    let [(syn, nothing), (syn_ack, echoed_there), (ack, echoed_here)] = stamps;
    assert_eq!(nothing, 0);
    assert_eq!(echoed_there, syn);
    assert_eq!(echoed_here, syn_ack);
    // Linux counts milliseconds: the server reads the round trip off the client's own clock.
    let round_trip = f64::from(ack.wrapping_sub(syn));
    assert!(
        (ROUND_TRIP_MS - 2.0..ROUND_TRIP_MS + LATE_MS).contains(&round_trip),
        "{round_trip} ms"
    );
}

/// What stands behind `moment` in the output: the two ends' states.
fn states_when(moment: &str) -> [&'static str; 2] {
    let line = RUN.stdout.lines().find(|line| line.contains(moment));
    let line = line.unwrap_or_else(|| panic!("no line with {moment:?}: {}", RUN.stdout));
    let mut words = line.rsplit(' ').filter(|word| !word.is_empty());
    let server = words.next().unwrap();
    let client = words.nth(1).unwrap();
    [client, server]
}

#[test]
fn the_syn_makes_an_end_at_the_client_at_once_and_at_the_server_when_it_arrives() {
    assert_eq!(states_when("the SYN is under way"), ["SYN-SENT", "–"]);
    assert_eq!(
        states_when("the SYN has arrived"),
        ["SYN-SENT", "SYN-RECEIVED"]
    );
}

#[test]
fn connect_returns_while_the_server_is_only_in_syn_received() {
    let states = states_when("connect() has returned");
    assert_eq!(states, ["ESTABLISHED", "SYN-RECEIVED"]);
}

#[test]
fn the_connection_stands_at_both_ends_before_accept_is_called() {
    let states = states_when("nobody has called accept() yet");
    assert_eq!(states, ["ESTABLISHED", "ESTABLISHED"]);
}

#[test]
fn the_states_follow_each_other_at_each_end() {
    let events = &RUN.sequence("handshake").events;
    let states = |of: usize| -> Vec<&str> {
        let states = events.iter().filter_map(|event| match &event.what {
            What::State { host, label, .. } if *host == of => Some(label.trim_matches('`')),
            _ => None,
        });
        states.collect()
    };
    assert_eq!(states(CLIENT), ["SYN-SENT", "ESTABLISHED"]);
    assert_eq!(states(SERVER), ["SYN-RECEIVED", "ESTABLISHED"]);
}

// ── How long it takes

/// How long `connect()` takes, and `accept()` from the same moment on, in milliseconds: medians of 11
/// connections. Of several such measurements it is the least, for a busy machine only ever adds.
fn times(address: impl Fn(&Host) -> IpAddr) -> [f64; 2] {
    let mut least = [f64::INFINITY; 2];
    for _ in 0..20 {
        let (_lab, client, server) = pair(Link::new(), Link::new());
        let address = SocketAddr::from((address(&server), 80));
        let listener = server.run(|| TcpListener::bind(address)).unwrap();
        let accepting = server.spawn(move || -> Vec<_> {
            let accept = |_| (listener.accept().unwrap(), Instant::now());
            (0..11).map(accept).collect()
        });
        let connected: Vec<_> = client.run(|| {
            let connect = |_| {
                let called = Instant::now();
                let connection = TcpStream::connect(address).unwrap();
                (called, Instant::now(), connection)
            };
            (0..11).map(connect).collect()
        });
        let accepted = accepting.join().unwrap();
        let connects = connected
            .iter()
            .map(|(called, returned, _)| *returned - *called);
        let both = connected.iter().zip(&accepted);
        let accepts = both.map(|((called, ..), (_, returned))| *returned - *called);
        let medians = [median_ms(connects), median_ms(accepts)];
        least = [least[0].min(medians[0]), least[1].min(medians[1])];
        if least[0] < ROUND_TRIP_MS * 1.02 && least[1] < ROUND_TRIP_MS * 1.52 {
            break;
        }
    }
    least
}

fn median_ms(times: impl Iterator<Item = Duration>) -> f64 {
    let mut times: Vec<Duration> = times.collect();
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}

/// Within 5 % of a round trip.
#[track_caller]
fn assert_about(found_ms: f64, expected_ms: f64) {
    let tolerance = ROUND_TRIP_MS * 0.05;
    assert!(
        (expected_ms - 0.1..expected_ms + tolerance).contains(&found_ms),
        "{found_ms} ms and not {expected_ms}"
    );
}

#[test]
fn connect_takes_one_round_trip() {
    in_lab(|| assert_about(times(|server| server.v4().into())[0], ROUND_TRIP_MS));
}

#[test]
fn over_ipv6_it_is_the_same() {
    in_lab(|| {
        let [connect, accept] = times(|server| server.v6().into());
        assert_about(connect, ROUND_TRIP_MS);
        assert_about(accept, ROUND_TRIP_MS * 1.5);
    });
}

#[test]
fn accept_can_return_half_a_round_trip_later() {
    in_lab(|| assert_about(times(|server| server.v4().into())[1], ROUND_TRIP_MS * 1.5));
}

#[test]
fn the_listing_measures_the_same() {
    for row in &RUN.table("times").rows {
        let [connect, accept] = [1, 2].map(|column| row[column].parse::<f64>().unwrap());
        assert!(connect >= ROUND_TRIP_MS - 0.1, "{row:?}");
        assert!(accept >= connect, "{row:?}");
        assert!(accept < ROUND_TRIP_MS + LATE_MS, "{row:?}");
    }
}

// ── What is lost

struct Loss {
    syns: usize,
    syn_acks: usize,
    connect_ms: f64,
    data_ms: f64,
}

fn loss(lost: &str, speaks_first: &str) -> Loss {
    let rows = &RUN.table("losses").rows;
    let row = rows
        .iter()
        .find(|row| row[0] == lost && row[1] == speaks_first);
    let row = row.unwrap_or_else(|| panic!("a row {lost:?}, {speaks_first:?}"));
    Loss {
        syns: row[2].parse().unwrap(),
        syn_acks: row[3].parse().unwrap(),
        connect_ms: row[4].parse().unwrap(),
        data_ms: row[5].parse().unwrap(),
    }
}

/// So many seconds, by timers, on top of what it takes without a loss.
#[track_caller]
fn assert_seconds_more(found_ms: f64, without_ms: f64, seconds: u32) {
    let more_ms = found_ms - without_ms;
    // The two kernels' clocks tick every 4 or 10 ms.
    let least_ms = f64::from(seconds) * 1000.0 - 20.0;
    assert!(
        (least_ms..least_ms + LATE_MS).contains(&more_ms),
        "{more_ms} ms more and not {seconds} s"
    );
}

#[test]
fn a_lost_syn_costs_a_second() {
    let (lost, nothing) = (loss("the first SYN", "client"), loss("nothing", "client"));
    assert_seconds_more(nothing.connect_ms, ROUND_TRIP_MS, 0);
    assert_eq!((lost.syns, lost.syn_acks), (2, 1));
    assert_eq!((nothing.syns, nothing.syn_acks), (1, 1));
    assert_seconds_more(lost.connect_ms, ROUND_TRIP_MS, 1);
    assert_eq!(
        messages("syn-lost"),
        [
            message(CLIENT, "SYN", false),
            message(CLIENT, "SYN", true),
            message(SERVER, "SYN ACK", true),
            message(CLIENT, "ACK", true)
        ]
    );
}

/// Linux has them since 6.5.
fn has_linear_timeouts() -> bool {
    std::fs::exists("/proc/sys/net/ipv4/tcp_syn_linear_timeouts").unwrap()
}

#[test]
fn a_second_lost_syn_costs_a_second_more() {
    if !has_linear_timeouts() {
        return skip("needs net.ipv4.tcp_syn_linear_timeouts (Linux 6.5)");
    }
    let lost = loss("the first two SYNs", "client");
    assert_eq!((lost.syns, lost.syn_acks), (3, 1));
    assert_seconds_more(lost.connect_ms, ROUND_TRIP_MS, 2);
}

#[test]
fn a_lost_syn_ack_costs_a_second() {
    let lost = loss("the first SYN ACK", "client");
    assert!(lost.syns + lost.syn_acks > 2);
    assert!(lost.syn_acks > 1);
    assert_seconds_more(lost.connect_ms, ROUND_TRIP_MS, 1);
}

#[test]
fn data_stands_in_for_a_lost_ack() {
    let lost = loss("the ACK", "client");
    assert_eq!((lost.syns, lost.syn_acks), (1, 1), "nobody asked again");
    assert_seconds_more(lost.connect_ms, ROUND_TRIP_MS, 0);
    assert_seconds_more(lost.data_ms, ROUND_TRIP_MS * 1.5, 0);
    assert_eq!(
        messages("ack-lost"),
        [
            message(CLIENT, "SYN", true),
            message(SERVER, "SYN ACK", true),
            message(CLIENT, "ACK", false),
            message(CLIENT, "PSH ACK", true)
        ]
    );
}

#[test]
fn a_lost_ack_costs_a_second_where_the_server_speaks_first() {
    let (lost, nothing) = (loss("the ACK", "server"), loss("nothing", "server"));
    assert_seconds_more(nothing.data_ms, ROUND_TRIP_MS * 2.0, 0);
    assert_eq!((lost.syns, lost.syn_acks), (1, 2));
    assert_seconds_more(lost.connect_ms, ROUND_TRIP_MS, 0);
    assert_seconds_more(lost.data_ms, ROUND_TRIP_MS * 2.0, 1);
    assert_eq!(
        messages("ack-lost-and-silence"),
        [
            message(CLIENT, "SYN", true),
            message(SERVER, "SYN ACK", true),
            message(CLIENT, "ACK", false),
            message(SERVER, "SYN ACK", true),
            message(CLIENT, "ACK", true),
            message(SERVER, "PSH ACK", true)
        ]
    );
}

// ── No answer

/// When the SYNs were sent, in seconds; what `connect()` said; after how many milliseconds.
fn ending(what: &str) -> (Vec<f64>, &'static str, f64) {
    let rows = &RUN.table("no-answer").rows;
    let row = rows.iter().find(|row| row[0] == what);
    let row = row.unwrap_or_else(|| panic!("a row {what:?}"));
    let syns = row[1].trim_matches('`').split(", ");
    let syns = syns.map(|syn| syn.trim_end_matches(" s").parse().unwrap());
    (
        syns.collect(),
        row[2].trim_matches('`'),
        row[3].parse().unwrap(),
    )
}

/// Whole seconds: a timer runs out a little late, and never early (but for a tick of its clock).
fn whole_seconds(times: &[f64]) -> Vec<u32> {
    let late = times.iter().map(|time| (time + 0.02).fract());
    assert!(
        late.into_iter().all(|late| late < LATE_MS / 1000.0),
        "{times:?}"
    );
    times.iter().map(|time| (time + 0.02) as u32).collect()
}

#[test]
fn a_closed_port_refuses_in_one_round_trip() {
    let (syns, says, after_ms) = ending("no one listens at the port");
    assert_eq!((syns.len(), says), (1, "ECONNREFUSED"));
    assert!(
        (ROUND_TRIP_MS - 0.1..ROUND_TRIP_MS + LATE_MS).contains(&after_ms),
        "{after_ms} ms"
    );
    assert_eq!(
        messages("refused"),
        [
            message(CLIENT, "SYN", true),
            message(SERVER, "RST ACK", true)
        ]
    );
}

#[test]
fn silence_is_asked_again_each_second() {
    if !has_linear_timeouts() {
        return skip("needs net.ipv4.tcp_syn_linear_timeouts (Linux 6.5)");
    }
    let (syns, says, _) = ending("silence");
    assert_eq!(whole_seconds(&syns), [0, 1, 2, 3]);
    assert_eq!(says, "nothing, and the program gives up");
}

#[test]
fn without_linear_timeouts_each_wait_is_twice_the_one_before() {
    let (syns, ..) = ending("silence, `tcp_syn_linear_timeouts=0`");
    assert_eq!(whole_seconds(&syns), [0, 1, 3]);
}

#[test]
fn the_kernel_gives_up_one_wait_after_the_last_retry() {
    let (syns, says, after_ms) = ending("silence, `tcp_syn_linear_timeouts=0 tcp_syn_retries=1`");
    assert_eq!(whole_seconds(&syns), [0, 1]);
    assert_eq!(says, "ETIMEDOUT");
    assert_eq!(
        whole_seconds(&[0.0, after_ms / 1000.0]),
        [0, 3],
        "1 s and 2 s"
    );
}

// ── Beyond the listing

fn pair(there: Link, back: Link) -> (Lab, Host, Host) {
    let mut builder = Lab::builder();
    let (client, server) = (builder.host("client"), builder.host("server"));
    builder.link(client, server, there.delay(ONE_WAY), back.delay(ONE_WAY));
    let lab = builder.start().unwrap();
    let hosts = (lab.host(client), lab.host(server));
    (lab, hosts.0, hosts.1)
}

fn listen(server: &Host) -> (TcpListener, SocketAddr) {
    let address = SocketAddr::from((server.v4(), 80));
    (server.run(|| TcpListener::bind(address)).unwrap(), address)
}

fn wait_for_state(host: &Host, state: TcpState) {
    wait_for(&format!("{state} at {host:?}"), || {
        let mut states = host.tcp_states().into_iter();
        states.find(|socket| socket.state == state)
    });
}

/// The segments with just these of the flags SYN and ACK.
fn with_flags(capture: &Capture, flags: u8) -> Vec<(&Crossing, Tcp)> {
    let segments = capture.crossings().iter();
    let segments = segments.filter_map(|crossing| Some((crossing, crossing.tcp()?)));
    segments
        .filter(|(_, tcp)| tcp.flags & (Tcp::SYN | Tcp::ACK) == flags)
        .collect()
}

#[test]
fn data_is_acknowledged_though_no_program_has_accepted() {
    in_lab(|| {
        let (_lab, client, server) = pair(Link::new(), Link::new());
        let (_listener, address) = listen(&server);
        let mut connection = client.run(|| TcpStream::connect(address)).unwrap();
        connection.write_all(&[7; 1000]).unwrap();
        wait_for("the acknowledgment of 1,000 bytes", || {
            let info = tcp_info(&connection).unwrap();
            (info.bytes_acked >= 1000 && info.unacked == 0).then_some(())
        });
        wait_for_state(&server, TcpState::Established);
    });
}

#[test]
fn the_server_repeats_its_syn_ack_unasked() {
    in_lab(|| {
        let (mut syns, mut syn_acks) = (0, 0);
        // The client's repetitions are lost as well, so that only the server's own timer is left.
        let there = Link::new().rule(move |_, packet| {
            syns += usize::from(packet.tcp().is_some_and(|tcp| tcp.has(Tcp::SYN)));
            if syns > 1 && packet.tcp().is_some_and(|tcp| tcp.has(Tcp::SYN)) {
                Verdict::Drop
            } else {
                Verdict::Pass
            }
        });
        let back = Link::new().rule(move |_, _| {
            syn_acks += 1;
            if syn_acks == 1 {
                Verdict::Drop
            } else {
                Verdict::Pass
            }
        });
        let (lab, client, server) = pair(there, back);
        let (listener, address) = listen(&server);
        let started = Instant::now();
        let connection = client.run(|| TcpStream::connect(address)).unwrap();
        assert!(started.elapsed() > Duration::from_secs(1));
        listener.accept().unwrap();
        let capture = lab.capture();
        let answers = with_flags(&capture, Tcp::SYN | Tcp::ACK);
        assert_eq!(answers.len(), 2, "{}", capture.lines());
        assert_eq!(answers[0].0.fate, Fate::Dropped);
        let arrived = with_flags(&capture, Tcp::SYN)
            .iter()
            .filter(|(crossing, _)| crossing.arrived.is_some())
            .count();
        assert_eq!(arrived, 1, "the server was asked once");
        drop(connection);
    });
}

#[test]
fn a_repeated_syn_has_the_same_sequence_number() {
    in_lab(|| {
        let there = Link::new().rule(|n, _| if n == 1 { Verdict::Drop } else { Verdict::Pass });
        let (lab, client, server) = pair(there, Link::new());
        let (_listener, address) = listen(&server);
        client.run(|| TcpStream::connect(address)).unwrap();
        let capture = lab.capture();
        let numbers: Vec<u32> = with_flags(&capture, Tcp::SYN)
            .iter()
            .map(|(_, tcp)| tcp.sequence)
            .collect();
        assert_eq!(numbers.len(), 2);
        assert_eq!(numbers[0], numbers[1]);
    });
}

#[test]
fn linear_timeouts_come_on_top_of_the_retries() {
    if !has_linear_timeouts() {
        return skip("needs net.ipv4.tcp_syn_linear_timeouts (Linux 6.5)");
    }
    in_lab(|| {
        let (lab, client, server) = pair(Link::new().loss(1.0, 0), Link::new());
        client
            .sysctl("net.ipv4.tcp_syn_linear_timeouts", 1)
            .unwrap();
        client.sysctl("net.ipv4.tcp_syn_retries", 1).unwrap();
        let address = SocketAddr::from((server.v4(), 80));
        let error = client.run(|| TcpStream::connect(address)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let capture = lab.capture();
        let first = capture.crossings()[0].sent;
        let sent: Vec<f64> = capture
            .crossings()
            .iter()
            .map(|syn| (syn.sent - first).as_secs_f64())
            .collect();
        assert_eq!(whole_seconds(&sent), [0, 1, 2], "{}", capture.lines());
    });
}

#[test]
fn the_connection_starts_slower_after_the_second_lost_syn() {
    in_lab(|| {
        for (lost, cwnd) in [(0, 10), (1, 10), (2, 1)] {
            let there = Link::new().rule(move |n, _| {
                if n <= lost {
                    Verdict::Drop
                } else {
                    Verdict::Pass
                }
            });
            let (_lab, client, server) = pair(there, Link::new());
            let (_listener, address) = listen(&server);
            let connection = client.run(|| TcpStream::connect(address)).unwrap();
            let info = tcp_info(&connection).unwrap();
            assert_eq!(info.snd_cwnd, cwnd, "{lost} lost");
        }
    });
}

#[test]
fn a_simultaneous_open_makes_one_connection_of_four_segments() {
    in_lab(|| {
        // A delay in which both are sure to have called.
        let (lab, a, b) = Lab::pair(Link::new().delay(Duration::from_millis(500))).unwrap();
        let ends = [
            SocketAddr::from((a.v4(), 5000)),
            SocketAddr::from((b.v4(), 6000)),
        ];
        let open = |host: &Host, here: SocketAddr, there: SocketAddr| {
            host.spawn(move || {
                let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                socket.bind(&here.into()).unwrap();
                socket.connect(&there.into()).unwrap();
                TcpStream::from(socket)
            })
        };
        // Nobody listens: each SYN meets the other's socket.
        let threads = [open(&a, ends[0], ends[1]), open(&b, ends[1], ends[0])];
        let [mut here, mut there] = threads.map(|thread| thread.join().unwrap());
        here.write_all(b"one connection").unwrap();
        let mut heard = [0; 14];
        there.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"one connection");

        let capture = lab.capture();
        let opening: Vec<(&str, u8)> = capture
            .crossings()
            .iter()
            .map(|crossing| (capture.name(crossing.from), crossing.tcp().unwrap().flags))
            .take(4)
            .collect();
        let both = Tcp::SYN | Tcp::ACK;
        let mut sorted = opening.clone();
        sorted.sort_unstable();
        assert_eq!(
            sorted,
            [
                ("client", Tcp::SYN),
                ("client", both),
                ("server", Tcp::SYN),
                ("server", both)
            ],
            "{}",
            capture.lines()
        );
    });
}

nix::setsockopt_impl!(
    FastOpen,
    libc::IPPROTO_TCP,
    libc::TCP_FASTOPEN,
    i32,
    nix::sys::socket::sockopt::SetStruct<i32>
);

/// Lets a listener take data with a SYN, for so many connections at once (tcp(7)).
#[derive(Clone)]
struct FastOpen;

#[test]
fn with_fast_open_the_second_syn_carries_data() {
    in_lab(|| {
        let (lab, client, server) = pair(Link::new(), Link::new());
        server.sysctl("net.ipv4.tcp_fastopen", 3).unwrap();
        client.sysctl("net.ipv4.tcp_fastopen", 3).unwrap();
        let (listener, address) = listen(&server);
        FastOpen.set(&listener, &16).unwrap();
        for _ in 0..2 {
            let mut connection = client.run(|| {
                let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                TcpFastOpenConnect.set(&socket, &true).unwrap();
                // Sends nothing yet, if there is a cookie: it waits for data to go with the SYN.
                socket.connect(&address.into()).unwrap();
                TcpStream::from(socket)
            });
            connection.write_all(b"GET /").unwrap();
            let (mut accepted, _) = listener.accept().unwrap();
            let mut request = [0; 5];
            accepted.read_exact(&mut request).unwrap();
            assert_eq!(&request, b"GET /");
        }
        let capture = lab.capture();
        let carried: Vec<usize> = with_flags(&capture, Tcp::SYN)
            .iter()
            .map(|(_, tcp)| tcp.length)
            .collect();
        assert_eq!(carried, [0, 5], "{}", capture.lines());
    });
}

#[test]
fn a_router_that_says_no_ends_the_wait_at_once() {
    in_lab(|| {
        let mut builder = Lab::builder();
        let (a, r, b) = (
            builder.host("client"),
            builder.router("router"),
            builder.host("server"),
        );
        builder.link(a, r, Link::new(), Link::new());
        builder.link(r, b, Link::new(), Link::new());
        let lab = builder.start().unwrap();
        // An address for examples (RFC 5737), to which the router knows no way and says so by ICMP.
        let nowhere = SocketAddr::from(([192, 0, 2, 1], 80));
        let started = Instant::now();
        let error = lab.host(a).run(|| TcpStream::connect(nowhere)).unwrap_err();
        let unreachable = [ErrorKind::NetworkUnreachable, ErrorKind::HostUnreachable];
        assert!(unreachable.contains(&error.kind()), "{error:?}");
        assert!(started.elapsed() < Duration::from_secs(1), "{started:?}");
    });
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = listing!().arg("10.0.0.1").run();
    assert_eq!(run.status.code(), Some(2));
    assert!(run.stderr.starts_with("usage: "), "{}", run.stderr);
}
