//! Send buffers under other conditions than the listing's, and what is harder to see.
#![cfg(target_os = "linux")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use exec_receive_buffer::{
    is_window_closed, is_writable, memory, set_deadline, unacknowledged, unread, unsent, wait_until,
};
use lab::{Host, Lab, Link};
use nix::poll::PollTimeout;
use socket2::SockRef;
use testkit::peer;

struct Connection {
    lab: Lab,
    client: Host,
    server: Host,
    sender: TcpStream,
    receiver: TcpStream,
}

fn connection(link: Link) -> Connection {
    let (lab, client, server) = Lab::pair(link).unwrap();
    let listener = server.run(|| TcpListener::bind((server.v4(), 80))).unwrap();
    let sender = client
        .run(|| TcpStream::connect((server.v4(), 80)))
        .unwrap();
    let (receiver, _) = listener.accept().unwrap();
    for end in [&sender, &receiver] {
        set_deadline(end).unwrap();
    }
    Connection {
        lab,
        client,
        server,
        sender,
        receiver,
    }
}

/// Writes until both buffers are full, and gives how many bytes that took.
fn fill(sender: &mut TcpStream) -> usize {
    sender.set_nonblocking(true).unwrap();
    let mut taken = 0;
    wait_until("both buffers are full", || {
        let closed = is_window_closed(sender)?;
        while let Ok(bytes) = sender.write(&[b'd'; 1 << 14]) {
            taken += bytes;
        }
        Ok(closed)
    })
    .unwrap();
    sender.set_nonblocking(false).unwrap();
    taken
}

#[test]
fn send_returns_while_the_receiver_has_read_nothing() {
    lab::test(|| {
        let mut it = connection(Link::new());
        it.sender.write_all(&[b'd'; 50_000]).unwrap();
        wait_until("it has arrived", || Ok(unacknowledged(&it.sender)? == 0)).unwrap();
        assert_eq!(unread(&it.receiver).unwrap(), 50_000);
    });
}

#[test]
fn what_is_sent_and_not_acknowledged_counts_as_before() {
    lab::test(|| {
        // The acknowledgement takes longer than the test.
        let mut it = connection(Link::new().delay(Duration::from_millis(250)));
        it.sender.write_all(&[b'd'; 10_000]).unwrap();
        wait_until("all is sent", || Ok(unsent(&it.sender)? == 0)).unwrap();
        assert_eq!(unacknowledged(&it.sender).unwrap(), 10_000);
        assert!(memory(&it.sender).unwrap().queued > 10_000);
    });
}

#[test]
fn a_send_that_times_out_says_how_much_it_took_before() {
    lab::test(|| {
        let mut it = connection(Link::new());
        SockRef::from(&it.sender)
            .set_send_buffer_size(32_768)
            .unwrap();
        it.sender
            .set_write_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let offered = vec![b'd'; 1 << 20];
        let called = Instant::now();
        let taken = it.sender.write(&offered).unwrap();
        assert!(called.elapsed() >= Duration::from_millis(50));
        assert!(taken > 0 && taken < offered.len(), "{taken}");
        // And where it can take none, it says so.
        wait_until("nothing more is taken", || {
            match it.sender.write(&offered) {
                Ok(_) => Ok(false),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
                Err(error) => Err(error),
            }
        })
        .unwrap();
    });
}

#[test]
fn the_third_number_of_tcp_wmem_is_the_most_that_autotuning_gives() {
    lab::test(|| {
        let largest = |most: u32| {
            let mut it = connection(Link::new().delay(Duration::from_millis(10)));
            it.client
                .sysctl("net.ipv4.tcp_wmem", format!("4096 16384 {most}"))
                .unwrap();
            let mut sender = it.sender.try_clone().unwrap();
            let sending = it.client.spawn(move || {
                sender.write_all(&vec![b'd'; 1 << 20]).unwrap();
                sender.shutdown(Shutdown::Write).unwrap();
            });
            let mut largest = 0;
            let mut buffer = vec![0; 1 << 14];
            while it.receiver.read(&mut buffer).unwrap() > 0 {
                largest = largest.max(memory(&it.sender).unwrap().send_buffer);
            }
            sending.join().unwrap();
            largest
        };
        assert!(largest(200_000) <= 200_000);
        assert!(largest(4_194_304) > 200_000);
    });
}

#[test]
fn a_write_that_would_block_may_still_take_a_part() {
    lab::test(|| {
        let mut it = connection(Link::new());
        it.sender.set_nonblocking(true).unwrap();
        let offered = vec![b'd'; 4 << 20];
        let taken = it.sender.write(&offered).unwrap();
        assert!(taken > 0 && taken < offered.len(), "{taken}");
    });
}

#[test]
fn poll_counts_a_low_water_mark_at_half() {
    lab::test(|| {
        // Behind a closed window all that is written is unsent.
        let mut it = connection(Link::new());
        SockRef::from(&it.sender)
            .set_send_buffer_size(131_072)
            .unwrap();
        let mark = 100_000;
        let filled = fill(&mut it.sender);
        assert!(filled > mark, "{filled}");
        SockRef::from(&it.sender)
            .set_tcp_notsent_lowat(mark as u32)
            .unwrap();
        let mut buffer = [0; 1024];
        let mut least_not_writable = usize::MAX;
        let most_writable = loop {
            it.receiver.read_exact(&mut buffer).unwrap();
            let memory = memory(&it.sender).unwrap();
            if 3 * memory.queued > 2 * memory.send_buffer {
                continue; // the other rule may say no
            }
            let unsent_before = unsent(&it.sender).unwrap();
            let writable = is_writable(&it.sender, PollTimeout::ZERO).unwrap();
            if unsent(&it.sender).unwrap() != unsent_before {
                continue; // it changed while we asked
            }
            if writable {
                break unsent_before;
            }
            least_not_writable = least_not_writable.min(unsent_before);
        };
        assert!(most_writable < mark / 2, "{most_writable}");
        assert!(least_not_writable >= mark / 2, "{least_not_writable}");
    });
}

#[test]
fn close_gives_up_after_so_linger_and_the_kernel_does_not() {
    lab::test(|| {
        let mut it = connection(Link::new());
        let taken = fill(&mut it.sender);
        SockRef::from(&it.sender)
            .set_linger(Some(Duration::from_secs(1)))
            .unwrap();
        let called = Instant::now();
        drop(it.sender); // nobody reads
        let took = called.elapsed();
        assert!((1.0..3.0).contains(&took.as_secs_f64()), "{took:?}");
        // What was unsent then arrives for all that.
        let mut read = Vec::new();
        it.receiver.read_to_end(&mut read).unwrap();
        assert_eq!(read.len(), taken);
        drop(it.lab);
    });
}

#[test]
fn whoever_waits_for_the_end_of_the_stream_knows_that_the_program_has_read_all() {
    lab::test(|| {
        let mut it = connection(Link::new());
        it.sender.write_all(&[b'd'; 100_000]).unwrap();
        it.sender.shutdown(Shutdown::Write).unwrap();
        let mut receiver = it.receiver;
        let reading = thread::spawn(move || {
            let mut all = Vec::new();
            receiver.read_to_end(&mut all).unwrap();
            all.len() // and close()
        });
        // No answer but the end, which the other program sends only after the last byte.
        assert_eq!(it.sender.read(&mut [0]).unwrap(), 0);
        assert_eq!(reading.join().unwrap(), 100_000);
    });
}

#[test]
fn ss_shows_what_is_written_unsent_and_booked() {
    lab::test(|| {
        let Some(ss) = peer("ss") else { return };
        let mut it = connection(Link::new());
        let taken = fill(&mut it.sender);
        let output = |host: &Host| {
            let mut command = host.command(ss.to_str().unwrap());
            let output = command
                .args(["-H", "-t", "-i", "-m", "-n"])
                .stderr(Stdio::inherit())
                .output()
                .unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let sender = output(&it.client);
        let waiting = unacknowledged(&it.sender).unwrap();
        assert_eq!(
            sender.split_whitespace().nth(2),
            Some(&*waiting.to_string()),
            "{sender}"
        );
        let unsent = unsent(&it.sender).unwrap();
        assert!(sender.contains(&format!(" notsent:{unsent}")), "{sender}");
        let memory = memory(&it.sender).unwrap();
        assert!(
            sender.contains(&format!(",tb{},", memory.send_buffer)),
            "{sender}"
        );
        assert!(
            sender.contains(&format!(",w{},", memory.queued)),
            "{sender}"
        );
        let receiver = output(&it.server);
        let unread = (taken - waiting).to_string();
        assert_eq!(
            receiver.split_whitespace().nth(1),
            Some(&*unread),
            "{receiver}"
        );
    });
}
