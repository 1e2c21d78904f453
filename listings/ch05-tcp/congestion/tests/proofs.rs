//! What the page says about the congestion window, asked of the kernel.
#![cfg(target_os = "linux")]

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use lab::{CaState, Crossing, Fate, Host, Lab, Link, TcpInfo, Verdict};
use record::Line;
use socket2::SockRef;
use tcp_congestion::{Experiment, Flow, Sample, available};
use testkit::{DEADLINE, Run, alone, listing, peer, skip, wait_for};

/// One run for all proofs: it takes eight seconds, and twice that on a busy machine.
static RUN: LazyLock<Run> = LazyLock::new(|| {
    let _alone = alone();
    listing!()
        .deadline(2 * DEADLINE)
        // All, give or take what BBR was probing with at that moment.
        .varying(r"bbr keeps \d\.\d", "bbr keeps N")
        .varying(r"goodput \d+\.\d", "goodput N")
        .varying(r"lost in the queue: \d+", "lost in the queue: N")
        .run()
        .succeeds()
});

/// Whether the kernel has the algorithm; the test that asks for one in vain is skipped.
fn has(congestion: &str) -> bool {
    let has = available(congestion);
    if !has {
        skip(&format!(
            "needs {congestion} (sudo modprobe tcp_{congestion})"
        ));
    }
    has
}

/// A row of a table, by what its first cells say.
fn row(table: &str, first: &[&str]) -> Vec<String> {
    let rows = &RUN.table(table).rows;
    let row = rows.iter().find(|row| row[..first.len()] == *first);
    row.unwrap_or_else(|| panic!("no {first:?} in {table}"))
        .clone()
}

/// A number of that row, by its column.
fn number(table: &str, first: &[&str], column: &str) -> f64 {
    let columns = &RUN.table(table).columns;
    let at = columns.iter().position(|each| each.label == column);
    let cell = &row(table, first)[at.expect("a column of that name")];
    cell.parse()
        .unwrap_or_else(|_| panic!("{cell} is no number"))
}

fn line(series: &str, name: &str) -> &'static Line {
    let lines = &RUN.series(series).lines;
    lines
        .iter()
        .find(|line| line.name == name)
        .unwrap_or_else(|| panic!("no {name} in {series}"))
}

/// Two hosts with Reno, and a connection from the first to the second that reads all that comes.
/// Gives what `work` gives, which sends.
fn connected<T>(
    link: Link,
    work: impl FnOnce(&Host, &TcpStream) -> Result<T, Box<dyn Error + Send + Sync>>,
) -> Result<T, Box<dyn Error + Send + Sync>> {
    let mut builder = Lab::builder();
    let (sender, receiver) = (builder.host("sender"), builder.host("receiver"));
    builder.link(sender, receiver, link.clone(), link);
    builder.congestion("reno");
    let lab = builder.start()?;
    let (sender, receiver) = (lab.host(sender), lab.host(receiver));
    let listener = receiver.run(|| TcpListener::bind((receiver.v4(), 80)))?;
    let reading = receiver.spawn(move || -> std::io::Result<()> {
        let (mut connection, _) = listener.accept()?;
        let mut buffer = vec![0; 1 << 16];
        while connection.read(&mut buffer)? > 0 {}
        Ok(())
    });
    let connection = sender.run(|| TcpStream::connect((receiver.v4(), 80)))?;
    let result = work(&sender, &connection);
    drop(connection);
    reading.join().expect("the reader does not panic")?;
    result
}

/// Sends that many bytes, and waits until all are acknowledged.
fn send(connection: &TcpStream, bytes: usize) -> std::io::Result<TcpInfo> {
    let mut writing = connection;
    writing.write_all(&vec![0; bytes])?;
    wait_for("the last acknowledgment", || {
        let info = lab::tcp_info(connection);
        let over = |info: &TcpInfo| info.unacked == 0 && info.notsent_bytes == 0;
        info.map(|info| over(&info).then_some(info)).transpose()
    })?;
    // The kernel reads the fields one after the other, and the last acknowledgment may have come in
    // between: once more, now that nothing moves.
    lab::tcp_info(connection)
}

#[test]
fn a_run_prints_what_the_page_shows() {
    if has("cubic") && has("bbr") {
        RUN.matches_output();
        RUN.matches_record();
    }
}

#[test]
fn the_first_window_is_ten_segments_and_doubles_every_round_trip() {
    let sent: Vec<&str> = RUN
        .table("rounds")
        .rows
        .iter()
        .map(|row| row[1].as_str())
        .collect();
    assert_eq!(sent, ["10", "20", "40", "80", "160", "320"]);
}

#[test]
fn cubic_starts_with_the_same_ten_segments() {
    let _alone = alone();
    lab::test(|| {
        if !has("cubic") {
            return;
        }
        let delay = Duration::from_millis(50);
        let experiment = Experiment {
            congestion: "cubic",
            there: Link::new().delay(delay),
            back: Link::new().delay(delay),
            ecn: false,
        };
        let flow = experiment
            .run(|sample| sample.info.data_segs_out >= 70)
            .unwrap();
        // Further on, HyStart may take a round trip that comes late for a queue.
        let sizes: Vec<usize> = flow.rounds(delay).iter().map(Vec::len).collect();
        assert_eq!(sizes[..2], [10, 20]);
    });
}

#[test]
fn a_route_can_ask_for_a_larger_first_window() {
    let _alone = alone();
    lab::test(|| {
        let Some(ip) = peer("ip") else { return };
        let ip = ip.to_str().expect("a path in UTF-8");
        connected(Link::new(), |sender, before| {
            assert_eq!(lab::tcp_info(before)?.snd_cwnd, 10);
            let change = [
                "route", "change", "default", "dev", "eth0", "initcwnd", "32",
            ];
            let status = sender.command(ip).args(change).status()?;
            assert!(status.success(), "{status}");
            let to = before.peer_addr()?;
            // The listener's queue has room for one that nobody will accept.
            let after = sender.run(|| TcpStream::connect(to))?;
            assert_eq!(lab::tcp_info(&after)?.snd_cwnd, 32);
            Ok(())
        })
        .unwrap();
    });
}

#[test]
fn reno_adds_one_segment_every_round_trip() {
    let reno = &line("reaction", "Reno").points;
    // Behind the recovery, which ends a second after the start at the latest, or so.
    let settled: Vec<_> = reno.iter().filter(|(at_s, _)| *at_s > 1.5).collect();
    let (first, last) = (settled[0], settled[settled.len() - 1]);
    let round_trips = (last.0 - first.0) / 0.2;
    let per_round_trip = (last.1 - first.1) / round_trips;
    assert!(
        (0.9..=1.05).contains(&per_round_trip),
        "{per_round_trip} segments a round trip"
    );
    for pair in settled.windows(2) {
        let step = pair[1].1 - pair[0].1;
        assert!((0.0..=2.0).contains(&step), "{step} at {} s", pair[1].0);
    }
}

#[test]
fn a_loss_halves_renos_window() {
    let lost = ["Reno", "dropped"];
    assert_eq!(number("reactions", &lost, "window before"), 40.0);
    assert_eq!(number("reactions", &lost, "window after"), 20.0);
    assert_eq!(number("reactions", &lost, "sent again"), 1.0);
}

#[test]
fn a_loss_leaves_cubic_seven_tenths() {
    if !has("cubic") {
        return;
    }
    let lost = ["CUBIC", "dropped"];
    assert_eq!(number("reactions", &lost, "window before"), 40.0);
    // 717/1024 in the kernel.
    assert_eq!(number("reactions", &lost, "window after"), 28.0);
    assert_eq!(number("reactions", &lost, "sent again"), 1.0);
}

#[test]
fn a_mark_cuts_as_a_loss_does_and_nothing_is_sent_again() {
    for (name, after) in [("Reno", 20.0), ("CUBIC", 28.0)] {
        if !has(&name.to_lowercase()) {
            continue;
        }
        let marked = [name, "marked"];
        assert_eq!(number("reactions", &marked, "window before"), 40.0);
        assert_eq!(number("reactions", &marked, "window after"), after);
        assert_eq!(number("reactions", &marked, "sent again"), 0.0);
    }
}

#[test]
fn cubic_follows_its_curve() {
    if !has("cubic") {
        return;
    }
    let measured = &line("reaction", "CUBIC").points;
    let curve = &line("reaction", "the curve of `RFC 9438`").points;
    let (from_s, _) = curve[0];
    // The kernel counts whole segments, aims one round trip ahead, and takes its steps when
    // acknowledgments come, all at once in these 200 ms: it is ahead at first, and late at last.
    for (at_s, aim) in curve.iter().filter(|(at_s, _)| *at_s > from_s + 0.5) {
        let (_, window) = measured.iter().find(|point| point.0 == *at_s).unwrap();
        assert!(
            (0.85 * aim..=1.15 * aim).contains(window),
            "{window} segments at {at_s} s, where the curve has {aim}"
        );
    }
}

#[test]
fn cubic_hurries_back_waits_there_and_hurries_on() {
    if !has("cubic") {
        return;
    }
    let measured = &line("reaction", "CUBIC").points;
    let (from_s, _) = line("reaction", "the curve of `RFC 9438`").points[0];
    let at = |since_s: f64| {
        let point = measured.iter().rfind(|(at_s, _)| *at_s <= from_s + since_s);
        point.expect("the plot goes on so long").1
    };
    let gained = |from_s: f64, to_s: f64| at(to_s) - at(from_s);
    let (hurry, wait, on) = (gained(0.0, 1.2), gained(2.5, 3.7), gained(3.7, 6.0));
    assert!(hurry >= 6.0, "{hurry} segments at first");
    assert!(wait <= 1.0, "{wait} segments where it lost a packet before");
    assert!(on >= 3.0, "{on} segments beyond");
    // And it is back long before Reno is.
    let back = |name| number("reactions", &[name, "dropped"], "back after");
    assert!(back("CUBIC") < 0.75 * back("Reno"));
}

#[test]
fn in_the_bottleneck_reno_halves_cubic_keeps_seven_tenths_and_bbr_all() {
    for (name, least, most) in [
        ("Reno", 0.45, 0.56),
        ("CUBIC", 0.65, 0.75),
        ("BBR", 0.9, 1.25),
    ] {
        if has(&name.to_lowercase()) {
            let kept = number("bottleneck", &[name], "kept");
            assert!((least..=most).contains(&kept), "{name} keeps {kept}");
        }
    }
}

#[test]
fn loss_based_control_fills_the_queue_and_bbr_keeps_it_shorter() {
    let (median, p95, round_trip) = ("median wait", "95 % wait", "round trip");
    for name in ["Reno", "CUBIC"] {
        if has(&name.to_lowercase()) {
            let of = |column| number("bottleneck", &[name], column);
            // The queue holds 80 ms.
            assert!(of(p95) > 70.0, "{name}: {} ms", of(p95));
            assert!(of("overflowed") > 0.0, "{name} never found it full");
        }
    }
    if has("bbr") {
        assert_eq!(number("bottleneck", &["BBR"], "overflowed"), 0.0);
        // It is a fifth of Reno's wait where the machine has time. Where it has not, acknowledgments
        // come in clumps, and BBR takes the link to be faster than it is: up to seven tenths.
        for (column, most) in [(median, 0.85), (p95, 0.85), (round_trip, 0.95)] {
            let [reno, bbr] = ["Reno", "BBR"].map(|name| number("bottleneck", &[name], column));
            assert!(bbr < most * reno, "{column}: {bbr} and Reno's {reno}");
        }
    }
}

#[test]
fn the_wait_in_the_queue_is_in_the_round_trip() {
    for name in ["Reno", "CUBIC", "BBR"] {
        if !has(&name.to_lowercase()) {
            continue;
        }
        let wait = number("bottleneck", &[name], "median wait");
        let round_trip = number("bottleneck", &[name], "round trip");
        // There and back 20 ms, and 1.2 ms for the packet itself; a median is not a sum of medians.
        let error = round_trip - wait - 21.2;
        assert!(error.abs() < 12.0, "{name}: {wait} ms in {round_trip} ms");
    }
}

#[test]
fn all_three_fill_the_link() {
    // Of 10 Mbit/s, headers leave 9.65.
    for row in &RUN.table("bottleneck").rows {
        let goodput = number("bottleneck", &[&row[0]], "goodput");
        assert!((8.5..=9.7).contains(&goodput), "{}: {goodput}", row[0]);
    }
}

/// The first moments of a connection through the listing's bottleneck.
fn into_the_bottleneck(congestion: &'static str) -> Flow {
    let delay = Duration::from_millis(10);
    let experiment = Experiment {
        congestion,
        there: Link::new().rate(10_000_000).queue(100_000).delay(delay),
        back: Link::new().delay(delay),
        ecn: false,
    };
    let enough = Duration::from_millis(600);
    experiment.run(|sample| sample.at >= enough).unwrap()
}

/// The first sample that has a slow start threshold, and how many packets had found the queue full.
fn end_of_slow_start(flow: &Flow) -> (&Sample, usize) {
    let over = |sample: &&Sample| sample.info.snd_ssthresh != u32::MAX >> 1;
    let end = flow.samples.iter().find(over).expect("slow start ends");
    let overflowed = |data: &&Crossing| data.fate == Fate::Overflowed;
    let until = |data: &&Crossing| flow.since_connect(data) <= end.at;
    (end, flow.data().filter(overflowed).filter(until).count())
}

#[test]
fn cubic_ends_slow_start_before_it_hears_of_a_loss_and_reno_dozens_of_losses_later() {
    let _alone = alone();
    lab::test(|| {
        if !has("cubic") {
            return;
        }
        let (reno, cubic) = thread::scope(|scope| {
            let reno = scope.spawn(|| into_the_bottleneck("reno"));
            let cubic = scope.spawn(|| into_the_bottleneck("cubic"));
            (reno.join().unwrap(), cubic.join().unwrap())
        });
        let (Sample { info, .. }, lost_by_reno) = end_of_slow_start(&reno);
        assert_eq!(info.ca_state, CaState::Recovery);
        assert!(lost_by_reno >= 24, "{lost_by_reno}");

        let (Sample { info, .. }, lost_by_cubic) = end_of_slow_start(&cubic);
        assert_eq!((info.ca_state, info.total_retrans), (CaState::Open, 0));
        assert_eq!(info.snd_ssthresh, info.snd_cwnd, "nothing was taken away");
        // On a busy machine, acknowledgments that come in clumps hide from HyStart for a moment how
        // the round trips lengthen, and a few packets find no room. Mostly none do.
        assert!(4 * lost_by_cubic < lost_by_reno, "{lost_by_cubic}");
    });
}

/// A path with room for everything on which one packet in a hundred is lost.
fn over_a_lossy_path(congestion: &'static str) -> Flow {
    let delay = Duration::from_millis(20);
    let experiment = Experiment {
        congestion,
        there: Link::new().rate(20_000_000).delay(delay).loss(0.01, 5681),
        back: Link::new().delay(delay),
        ecn: false,
    };
    let seconds = Duration::from_secs(3);
    experiment.run(|sample| sample.at >= seconds).unwrap()
}

#[test]
fn losses_that_mean_nothing_cost_reno_most_of_the_link_and_bbr_little() {
    let _alone = alone();
    lab::test(|| {
        if !has("bbr") {
            return;
        }
        let (reno, bbr) = thread::scope(|scope| {
            let reno = scope.spawn(|| over_a_lossy_path("reno"));
            let bbr = scope.spawn(|| over_a_lossy_path("bbr"));
            (reno.join().unwrap(), bbr.join().unwrap())
        });
        for flow in [&reno, &bbr] {
            let lost = flow.data().filter(|data| data.fate == Fate::Lost).count();
            assert!(lost >= 5, "{lost} lost");
        }
        // Of 20 Mbit/s, headers leave 19.3.
        let (reno, bbr) = (reno.goodput() / 1e6, bbr.goodput() / 1e6);
        assert!(reno < 6.0, "Reno has {reno:.1} Mbit/s");
        assert!(bbr > 16.0, "BBR has {bbr:.1} Mbit/s");
    });
}

#[test]
fn a_window_that_was_not_used_is_taken_back() {
    let _alone = alone();
    lab::test(|| {
        for (sysctl, taken_back) in [("1", true), ("0", false)] {
            connected(
                Link::new().delay(Duration::from_millis(10)),
                |sender, connection| {
                    sender.sysctl("net.ipv4.tcp_slow_start_after_idle", sysctl)?;
                    let busy = send(connection, 300_000)?;
                    assert!(busy.snd_cwnd >= 80, "{}", busy.snd_cwnd);
                    // What is tested is idleness: the window halves for every timeout that passes.
                    thread::sleep(busy.rto * 6);
                    assert_eq!(lab::tcp_info(connection)?.snd_cwnd, busy.snd_cwnd);
                    let after = send(connection, 1)?.snd_cwnd;
                    if taken_back {
                        assert!((10..=11).contains(&after), "{after}");
                    } else {
                        assert!(after >= busy.snd_cwnd, "{after}");
                    }
                    Ok(())
                },
            )
            .unwrap();
        }
    });
}

#[test]
fn each_socket_may_have_an_algorithm_of_its_own_and_a_listener_hands_it_on() {
    let _alone = alone();
    lab::test(|| {
        if !has("cubic") {
            return;
        }
        connected(Link::new(), |sender, connection| {
            let algorithm = |socket: SockRef| -> std::io::Result<String> {
                let name = String::from_utf8_lossy(&socket.tcp_congestion()?).into_owned();
                Ok(name.trim_end_matches('\0').to_owned())
            };
            assert_eq!(algorithm(connection.into())?, "reno");
            SockRef::from(connection).set_tcp_congestion(b"cubic")?;
            assert_eq!(algorithm(connection.into())?, "cubic");
            let unknown = SockRef::from(connection).set_tcp_congestion(b"vegan");
            assert_eq!(
                unknown.unwrap_err().kind(),
                std::io::ErrorKind::NotFound,
                "and no module of that name"
            );

            let listener = sender.run(|| TcpListener::bind((sender.v4(), 81)))?;
            SockRef::from(&listener).set_tcp_congestion(b"cubic")?;
            let client = sender.run(|| TcpStream::connect((sender.v4(), 81)))?;
            let (accepted, _) = listener.accept()?;
            assert_eq!(algorithm((&accepted).into())?, "cubic");
            assert_eq!(algorithm((&client).into())?, "reno");
            Ok(())
        })
        .unwrap();
    });
}

#[test]
fn ss_sees_the_same_window() {
    let _alone = alone();
    lab::test(|| {
        let Some(ss) = peer("ss") else { return };
        let ss = ss.to_str().expect("a path in UTF-8");
        connected(
            Link::new().delay(Duration::from_millis(5)),
            |sender, connection| {
                send(connection, 100_000)?;
                let at_latest = Instant::now() + Duration::from_secs(10);
                loop {
                    let before = lab::tcp_info(connection)?;
                    let output = sender.command(ss).args(["-H", "-t", "-i", "-n"]).output()?;
                    let after = lab::tcp_info(connection)?;
                    // The last acknowledgment may arrive while `ss` is at work.
                    if before.snd_cwnd == after.snd_cwnd {
                        let text = String::from_utf8_lossy(&output.stdout);
                        assert!(text.contains(" reno "), "{text}");
                        let window = format!(" cwnd:{} ", after.snd_cwnd);
                        assert!(text.contains(&window), "{text}");
                        return Ok(());
                    }
                    assert!(Instant::now() < at_latest, "the window never rests");
                }
            },
        )
        .unwrap();
    });
}

#[test]
fn one_loss_is_one_cut() {
    let _alone = alone();
    lab::test(|| {
        let delay = Duration::from_millis(10);
        let experiment = Experiment {
            congestion: "reno",
            there: Link::new().delay(delay).rule(|number, _| match number {
                20 => Verdict::Drop,
                _ => Verdict::Pass,
            }),
            back: Link::new().delay(delay),
            ecn: false,
        };
        let flow = experiment
            .run(|sample| sample.at > Duration::from_millis(400))
            .unwrap();
        assert_eq!(flow.cuts().len(), 1);
        assert_eq!(flow.last().info.total_retrans, 1);
    });
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let run = listing!().arg("bbr").run();
    assert_eq!(run.status.code(), Some(2));
    assert!(run.stderr.starts_with("usage: "), "{}", run.stderr);
}
