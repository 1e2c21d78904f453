//! A connection on the lab over which the client sends and the server receives, and what its packets
//! say about the window.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use lab::{Capture, Crossing, Host, Lab, Link, Tcp};
use socket2::{Domain, SockRef, Socket, Type};

pub type Error = Box<dyn std::error::Error>;

/// How long a segment is under way, each direction.
pub const DELAY: Duration = Duration::from_millis(10);

/// How long anything may take that the experiment waits for.
const DEADLINE: Duration = Duration::from_secs(10);

/// What is sent: its byte at every place can be told.
pub fn content(from: usize, length: usize) -> Vec<u8> {
    (from..from + length).map(byte_at).collect()
}

/// 251 is prime, so that no shift by a power of two goes unnoticed.
fn byte_at(place: usize) -> u8 {
    (place % 251) as u8
}

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Two hosts and a connection.
pub struct Transfer {
    pub lab: Lab,
    pub client: Host,
    pub server: Host,
    pub sender: TcpStream,
    pub receiver: TcpStream,
    /// How far the sender has written, and the receiver read.
    pub written: usize,
    pub read: usize,
}

/// What is unlike the lab's ordinary connection.
#[derive(Default)]
pub struct Settings {
    /// The buffers that the two programs ask for.
    pub send_buffer: Option<usize>,
    pub receive_buffer: Option<usize>,
    /// `net.ipv4.tcp_window_scaling` on the server.
    pub no_scaling: bool,
    /// The link back, from the server to the client.
    pub back: Option<Link>,
    pub delay: Option<Duration>,
}

impl Transfer {
    pub fn open(settings: Settings) -> Result<Self, Error> {
        let delay = settings.delay.unwrap_or(DELAY);
        let mut builder = Lab::builder();
        builder.congestion("reno");
        builder.tolerance(Duration::from_millis(5));
        let places = [builder.host("client"), builder.host("server")];
        let back = settings.back.unwrap_or_default();
        builder.link(
            places[0],
            places[1],
            Link::new().delay(delay),
            back.delay(delay),
        );
        let lab = builder.start()?;
        let [client, server] = places.map(|place| lab.host(place));
        // No probes for lost tails, which would be hard to tell from those for the window.
        client.sysctl("net.ipv4.tcp_early_retrans", 0)?;
        if settings.no_scaling {
            server.sysctl("net.ipv4.tcp_window_scaling", 0)?;
        }

        let listener = server.run(|| Socket::new(Domain::IPV4, Type::STREAM, None))?;
        let address = SocketAddr::from((server.v4(), 80));
        if let Some(bytes) = settings.receive_buffer {
            listener.set_recv_buffer_size(bytes)?; // before listen(): the SYN names the scale
        }
        listener.bind(&address.into())?;
        listener.listen(1)?;
        let listener = TcpListener::from(listener);
        let sender = client.run(|| TcpStream::connect(address))?;
        if let Some(bytes) = settings.send_buffer {
            SockRef::from(&sender).set_send_buffer_size(bytes)?;
        }
        let (receiver, _) = listener.accept()?;
        Ok(Self {
            lab,
            client,
            server,
            sender,
            receiver,
            written: 0,
            read: 0,
        })
    }

    // ANCHOR: write
    /// Offers the client's kernel the rest of `length` bytes, and gives how many it takes
    /// without letting the program wait.
    pub fn write_at_once(&mut self, length: usize) -> io::Result<usize> {
        self.sender.set_nonblocking(true)?;
        let rest = content(self.written, length - self.written);
        let taken = match self.sender.write(&rest) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            other => other?,
        };
        self.written += taken;
        Ok(taken)
    }

    /// Writes, while nobody reads, until the kernel takes no more of `length` bytes and has
    /// been told that the window is closed.
    pub fn fill(&mut self, length: usize) -> io::Result<()> {
        wait_until("the window is closed", || {
            let taken = self.write_at_once(length)?;
            Ok(taken == 0 && lab::tcp_info(&self.sender)?.snd_wnd == 0)
        })
    }
    // ANCHOR_END: write

    /// Sends up to `length` bytes in all, while the receiver reads them in pieces of `piece`.
    pub fn complete(&mut self, length: usize, piece: usize) -> io::Result<()> {
        let rest = content(self.written, length - self.written);
        self.written = length;
        let mut sender = self.sender.try_clone()?;
        sender.set_nonblocking(false)?;
        let writing = thread::spawn(move || sender.write_all(&rest));
        self.read_up_to(length, piece)?;
        writing.join().expect("the writer does not panic")
    }

    /// Reads in pieces until so many bytes have been read in all; each must be what was sent.
    pub fn read_up_to(&mut self, length: usize, piece: usize) -> io::Result<()> {
        self.receiver.set_read_timeout(Some(DEADLINE))?;
        let mut buffer = vec![0; piece];
        while self.read < length {
            let read = self.receiver.read(&mut buffer)?;
            if read == 0 || buffer[..read] != content(self.read, read) {
                let place = self.read;
                return Err(io::Error::other(format!("wrong from byte {place} on")));
            }
            self.read += read;
        }
        Ok(())
    }
}

/// Waits until something is so, up to a deadline.
pub fn wait_until(what: &str, mut it_is_so: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let at_latest = Instant::now() + DEADLINE;
    while !it_is_so()? {
        if Instant::now() >= at_latest {
            let late = format!("waited {DEADLINE:?} in vain until {what}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, late));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// A segment of the connection once it stands: data, an acknowledgment with a window, or a probe.
#[derive(Debug, Clone)]
pub struct Segment {
    pub from_client: bool,
    pub sent: Duration,
    pub arrived: Option<Duration>,
    pub tcp: Tcp,
    /// The window that it advertises, in bytes: scaled as the handshake agreed.
    pub window: u64,
}

/// The segments after the handshake.
pub fn segments(capture: &Capture, server_scale: u8) -> Vec<Segment> {
    let segment = |crossing: &Crossing| {
        let tcp = crossing.tcp()?;
        let from_client = capture.name(crossing.from) == "client";
        // The client's own window does not matter here: nothing is sent to it.
        let scale = if from_client { 0 } else { server_scale };
        Some(Segment {
            from_client,
            sent: crossing.sent,
            arrived: crossing.arrived,
            tcp,
            window: u64::from(tcp.window) << scale,
        })
    };
    let all = capture.crossings().iter().filter_map(segment);
    all.skip_while(|segment| segment.tcp.has(Tcp::SYN))
        .collect()
}
