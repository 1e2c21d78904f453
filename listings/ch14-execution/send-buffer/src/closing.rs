//! The sixth scene: the sender closes, or ends, before all is sent.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use exec_receive_buffer::{Result, grouped, ms, set_deadline, unread, wait_until};
use lab::{Lab, Link, tcp_info};
use record::{Column, Record, Table};
use socket2::SockRef;

/// What the client writes, and what it asks for as its send buffer: more than it needs.
const BYTES: usize = 150_000;
const SEND_BUFFER: usize = 131_072;

/// How long the server's program does not read.
const PAUSE: Duration = Duration::from_millis(200);

/// How the sender ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// By close(2), with `SO_LINGER` at so many seconds.
    Close(Option<Duration>),
    /// It has written its last byte, and so it ends.
    Exit,
}

/// What came of it.
struct Outcome {
    /// What the server's kernel did not have yet.
    behind: usize,
    /// How long `close()` took, if the program was there to wait for it.
    took: Option<Duration>,
    /// What the server's program read in the end, and what it was told then.
    read: usize,
    told: &'static str,
}

pub fn show(record: &mut Record) -> Result<()> {
    println!(
        "A client has written {} bytes and closes; the server reads {} ms later:",
        grouped(BYTES),
        PAUSE.as_millis()
    );
    let mut table = Table::new([
        Column::words("how it ends"),
        Column::words("what the server is told"),
        Column::number("`close()` takes", "ms"),
        Column::number("not yet at the server", "bytes"),
        Column::number("the server reads", "bytes"),
    ]);
    for (name, ending) in [
        ("`close()`", Ending::Close(None)),
        (
            "`close()`, `SO_LINGER` at `5` s",
            Ending::Close(Some(Duration::from_secs(5))),
        ),
        (
            "`close()`, `SO_LINGER` at `0` s",
            Ending::Close(Some(Duration::ZERO)),
        ),
        ("the program ends", Ending::Exit),
    ] {
        let outcome = end(ending)?;
        let plain = name.replace('`', "");
        match outcome.took {
            Some(took) => println!("  {plain} returns after {:.1} ms", ms(took)),
            None => println!("  {plain}, having written all"),
        }
        println!(
            "    {} bytes to go; the server reads {} bytes, and then {}",
            grouped(outcome.behind),
            grouped(outcome.read),
            outcome.told.replace('`', "")
        );
        table = table.row([
            name.to_owned(),
            outcome.told.to_owned(),
            outcome
                .took
                .map_or("—".to_owned(), |took| format!("{:.1}", ms(took))),
            outcome.behind.to_string(),
            outcome.read.to_string(),
        ]);
    }
    record.add("closing", table);
    Ok(())
}

fn end(ending: Ending) -> Result<Outcome> {
    let (lab, client, server) = Lab::pair(Link::new())?;
    let listener = server.run(|| TcpListener::bind((server.v4(), 80)))?;
    let mut sender = client.run(|| TcpStream::connect((server.v4(), 80)))?;
    SockRef::from(&sender).set_send_buffer_size(SEND_BUFFER)?;
    let (mut receiver, _) = listener.accept()?;
    for end in [&sender, &receiver] {
        set_deadline(end)?;
    }

    // ANCHOR: end
    let close: Box<dyn FnOnce() + Send> = match ending {
        Ending::Close(linger) => {
            SockRef::from(&sender).set_linger(linger)?;
            sender.write_all(&[b'd'; BYTES])?;
            Box::new(|| drop(sender)) // close()
        }
        Ending::Exit => {
            let mut program = client.command("head"); // writes so many bytes, and ends
            program.args(["-c", &BYTES.to_string(), "/dev/zero"]);
            let mut head = program.stdout(OwnedFd::from(sender)).spawn()?;
            Box::new(move || drop(head.wait()))
        }
    };
    wait_until("the window is closed", || {
        Ok(tcp_info(&receiver)?.rcv_wnd == 0)
    })?;
    let behind = BYTES - unread(&receiver)?;
    let (calls, called) = mpsc::channel();
    let closing = thread::spawn(move || {
        let start = Instant::now();
        let _ = calls.send(());
        close();
        start.elapsed()
    });
    called.recv()?;
    thread::sleep(PAUSE);
    let mut buffer = vec![0; 1 << 16];
    let mut read = 0;
    let told = loop {
        match receiver.read(&mut buffer) {
            Ok(0) => break "the end of the stream",
            Ok(bytes) => read += bytes,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break "`ECONNRESET`",
            Err(error) => return Err(error.into()),
        }
    };
    // ANCHOR_END: end
    let took = closing.join().expect("closing does not panic");
    let took = (ending != Ending::Exit).then_some(took);
    drop(receiver);
    let _ = lab.finish()?;
    Ok(Outcome {
        behind,
        took,
        read,
        told,
    })
}
