//! Flow control under other conditions than the listing's, and what is harder to see.
#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "the listing uses what these tests do not")]
#[path = "../src/transfer.rs"]
mod transfer;

use std::io::{ErrorKind, Write};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use lab::tcp_info;
use socket2::SockRef;
use testkit::peer;
use transfer::{Segment, Settings, Transfer, content, segments, wait_until};

const BYTES: usize = 300_000;

/// A connection whose window the client has filled, and its segments so far.
fn stopped() -> Transfer {
    let mut transfer = Transfer::open(Settings {
        send_buffer: Some(65_536),
        ..Settings::default()
    })
    .unwrap();
    transfer.fill(BYTES).unwrap();
    transfer
}

fn all(transfer: &Transfer) -> Vec<Segment> {
    let scale = tcp_info(&transfer.sender).unwrap().snd_wscale;
    segments(&transfer.lab.capture(), scale)
}

/// Waits until the client has sent so many probes, and each was answered or not.
fn probes(transfer: &Transfer, count: i64) {
    wait_until("the probes are sent", || {
        Ok(transfer.client.counters()["TcpExtTCPWinProbe"] >= count)
    })
    .unwrap();
}

#[test]
fn the_right_edge_of_the_window_never_moves_to_the_left() {
    lab::test(|| {
        // While nobody reads, as then two processors may send, and a segment overtake another.
        let transfer = stopped();
        probes(&transfer, 1);
        let segments = all(&transfer);
        let first = segments
            .iter()
            .find(|segment| segment.tcp.length > 0)
            .unwrap();
        let first = first.tcp.sequence;
        let edges: Vec<u64> = segments
            .iter()
            .filter(|segment| !segment.from_client)
            .map(|segment| {
                u64::from(segment.tcp.acknowledgment.wrapping_sub(first)) + segment.window
            })
            .collect();
        assert!(edges.is_sorted(), "{edges:?}");
        assert!(edges.len() > 10);
    });
}

#[test]
fn a_probe_has_no_data_and_a_number_that_was_acknowledged_long_ago() {
    lab::test(|| {
        let transfer = stopped();
        probes(&transfer, 1);
        let segments = all(&transfer);
        let closed = segments
            .iter()
            .position(|segment| !segment.from_client && segment.window == 0);
        let closed = closed.unwrap();
        let next = segments[closed].tcp.acknowledgment;
        let probe = segments[closed..]
            .iter()
            .find(|segment| segment.from_client)
            .unwrap();
        assert_eq!(probe.tcp.length, 0);
        assert_eq!(probe.tcp.sequence, next.wrapping_sub(1));
    });
}

#[test]
fn a_kernel_answers_what_is_outside_its_window_twice_a_second_at_most() {
    lab::test(|| {
        let transfer = stopped();
        // The second comes about half a second after the first, so make the limit a second.
        let limit = "net.ipv4.tcp_invalid_ratelimit";
        assert_eq!(transfer.server.read_sysctl(limit).unwrap(), "500");
        transfer.server.sysctl(limit, 1000).unwrap();
        probes(&transfer, 2);
        wait_until("a probe without an answer", || {
            Ok(transfer.server.counters()["TcpExtTCPACKSkippedSeq"] == 1)
        })
        .unwrap();
    });
}

#[test]
fn a_blocking_write_returns_once_the_reader_has_read() {
    lab::test(|| {
        let mut transfer = stopped();
        let rest = content(transfer.written, BYTES - transfer.written);
        transfer.written = BYTES;
        let mut sender = transfer.sender.try_clone().unwrap();
        sender.set_nonblocking(false).unwrap();
        let writing = thread::spawn(move || sender.write_all(&rest).unwrap());
        probes(&transfer, 2);
        assert!(
            !writing.is_finished(),
            "three quarters of a second and longer"
        );
        transfer.read_up_to(BYTES, BYTES).unwrap();
        writing.join().unwrap();
    });
}

#[test]
fn tcp_rmem_limits_how_far_the_window_grows() {
    lab::test(|| {
        let widest = |most: u64| {
            let mut transfer = Transfer::open(Settings::default()).unwrap();
            // A socket looks at its limit whenever its buffer is to grow, so this is in time.
            transfer
                .server
                .sysctl("net.ipv4.tcp_rmem", format!("4096 131072 {most}"))
                .unwrap();
            transfer.complete(1 << 21, 1 << 21).unwrap();
            let back = all(&transfer);
            let back = back.iter().filter(|segment| !segment.from_client);
            back.map(|segment| segment.window).max().unwrap()
        };
        let limited = widest(200_000);
        assert!(limited <= 200_000, "{limited}");
        // How far it grows depends on how fast the bytes come, and so on what else runs here.
        let unlimited: Vec<u64> = (0..5).map(|_| widest(6_291_456)).collect();
        assert!(
            unlimited.iter().any(|&window| window > 200_000),
            "{unlimited:?}"
        );
    });
}

#[test]
fn ss_shows_the_closed_window() {
    lab::test(|| {
        let Some(ss) = peer("ss") else { return };
        let transfer = stopped();
        probes(&transfer, 1);
        let ss = ss.to_str().unwrap();
        let output = |host: &lab::Host| {
            let mut command = host.command(ss);
            let output = command
                .args(["-H", "-t", "-i", "-m", "-n", "-o"])
                .stderr(Stdio::inherit())
                .output()
                .unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let sender = output(&transfer.client);
        // What the client's program has written and the server's kernel has not; a timer that
        // persists; and for how much of the busy time the window was to blame.
        assert!(sender.contains("timer:(persist,"), "{sender}");
        assert!(sender.contains(" rwnd_limited:"), "{sender}");
        let unsent = tcp_info(&transfer.sender).unwrap().notsent_bytes;
        assert!(sender.contains(&format!("notsent:{unsent}")), "{sender}");
        assert_eq!(
            sender.split_whitespace().nth(2),
            Some(&*unsent.to_string()),
            "{sender}"
        );
        // What the server's has and its program has not read.
        let receiver = output(&transfer.server);
        let unread = transfer.written - unsent as usize;
        assert_eq!(
            receiver.split_whitespace().nth(1),
            Some(&*unread.to_string()),
            "{receiver}"
        );
        let space = SockRef::from(&transfer.receiver)
            .recv_buffer_size()
            .unwrap();
        assert!(receiver.contains(&format!(",rb{space},")), "{receiver}");
    });
}

#[test]
fn a_user_timeout_ends_a_wait_for_a_window_that_stays_closed() {
    lab::test(|| {
        let mut transfer = stopped();
        let option = SockRef::from(&transfer.sender);
        option
            .set_tcp_user_timeout(Some(Duration::from_secs(1)))
            .unwrap();
        // The server's kernel answers every probe, so without it the wait would have no end.
        let rest = content(transfer.written, BYTES - transfer.written);
        transfer.sender.set_nonblocking(false).unwrap();
        let error = transfer.sender.write_all(&rest).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(transfer.client.counters()["TcpExtTCPWinProbe"] >= 1);
    });
}
