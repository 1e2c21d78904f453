//! The tunnel: takes packets of the inner network from a device, and hands them to the device at the
//! other end.
//!
//! A VPN's device is a TUN. Here it is a [`Raw`] host of the lab, on whose wire an inner host sends
//! whatever it has to say.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lab::{Host, Nothing, Packet, Raw, tcp_info};
use socket2::SockRef;

/// What carries the packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// A datagram for each packet.
    Udp,
    /// One connection for all packets, each behind its length.
    Tcp,
}

/// How many packets wait for the carrier, as in a TUN device of Linux; one more is lost.
pub const DEVICE_QUEUE: usize = 500;

/// The tunnel's port on both outer hosts.
const PORT: u16 = 1194;

/// How often a device is asked whether its lab is gone.
const PATIENCE: Duration = Duration::from_millis(100);

/// Bytes of the largest IP packet.
const LARGEST: usize = 65_535;

/// One end of the carrier.
#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Socket {
    // ANCHOR: carry
    fn send(&self, packet: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(packet).map(drop),
            Self::Tcp(stream) => {
                let mut framed = (packet.len() as u16).to_be_bytes().to_vec();
                framed.extend_from_slice(packet);
                // Waits as long as the send buffer is full.
                (&mut &*stream).write_all(&framed)
            }
        }
    }

    fn receive(&self, buffer: &mut [u8; LARGEST]) -> io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.recv(buffer),
            Self::Tcp(stream) => {
                let stream = &mut &*stream;
                let mut length = [0; 2];
                stream.read_exact(&mut length)?;
                let length = usize::from(u16::from_be_bytes(length));
                stream.read_exact(&mut buffer[..length])?;
                Ok(length)
            }
        }
    }
    // ANCHOR_END: carry

    /// Bytes that the carrier has taken and not delivered: in its send buffer, on the way or not.
    fn undelivered(&self) -> io::Result<usize> {
        match self {
            Self::Udp(_) => Ok(0),
            Self::Tcp(stream) => {
                let info = tcp_info(stream)?;
                Ok((info.notsent_bytes + info.unacked * info.snd_mss) as usize)
            }
        }
    }

    /// Ends all that waits for this socket.
    fn shut_down(&self) {
        // It fails where the other end has ended it already.
        let _ = match self {
            Self::Udp(socket) => SockRef::from(socket).shutdown(Shutdown::Both),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

/// A tunnel at work.
pub struct Tunnel {
    ends: [Arc<Socket>; 2],
    threads: Vec<JoinHandle<()>>,
    /// The queue of the first device.
    queue: Arc<Queued>,
}

/// What a device's queue holds and has held.
#[derive(Debug, Default)]
struct Queued {
    bytes: AtomicUsize,
    /// Packets that found it full.
    overflowed: AtomicUsize,
}

impl Tunnel {
    /// Joins two devices by a carrier between two hosts.
    ///
    /// # Errors
    ///
    /// When the hosts cannot be connected.
    pub fn open(carrier: Carrier, hosts: [&Host; 2], devices: [Raw; 2]) -> io::Result<Self> {
        let ends = connect(carrier, hosts)?.map(Arc::new);
        let queues: [Arc<Queued>; 2] = Default::default();
        let mut threads = Vec::new();
        for ((end, device), queue) in ends.iter().zip(devices).zip(&queues) {
            let device = Arc::new(device);
            let (entry, exit) = sync_channel(DEVICE_QUEUE);
            let (from, filling) = (device.clone(), queue.clone());
            threads.push(thread::spawn(move || enqueue(&from, &entry, &filling)));
            let (socket, emptying) = (end.clone(), queue.clone());
            threads.push(thread::spawn(move || send_all(&exit, &socket, &emptying)));
            let socket = end.clone();
            threads.push(thread::spawn(move || receive_all(&socket, &device)));
        }
        let [queue, _] = queues;
        Ok(Self {
            ends,
            threads,
            queue,
        })
    }

    /// Bytes that have entered the tunnel at its first end and not left it, as far as that end knows.
    ///
    /// # Errors
    ///
    /// When the carrier's socket is broken.
    pub fn inside(&self) -> io::Result<usize> {
        Ok(self.queue.bytes.load(Ordering::Relaxed) + self.ends[0].undelivered()?)
    }

    /// Packets that the first device has lost because its queue was full.
    #[must_use]
    pub fn overflowed(&self) -> usize {
        self.queue.overflowed.load(Ordering::Relaxed)
    }

    /// Ends the tunnel. Its lab must be gone, or its devices go on.
    pub fn close(self) {
        for end in &self.ends {
            end.shut_down();
        }
        for thread in self.threads {
            thread.join().expect("no thread of the tunnel panics");
        }
    }
}

// ANCHOR: connect
fn connect(carrier: Carrier, [west, east]: [&Host; 2]) -> io::Result<[Socket; 2]> {
    let (here, there) = ((west.v4(), PORT), (east.v4(), PORT));
    match carrier {
        Carrier::Udp => {
            let first = west.run(|| UdpSocket::bind(here))?;
            let second = east.run(|| UdpSocket::bind(there))?;
            first.connect(there)?;
            second.connect(here)?;
            Ok([first, second].map(Socket::Udp))
        }
        Carrier::Tcp => {
            let listener = east.run(|| TcpListener::bind(there))?;
            let first = west.run(|| TcpStream::connect(there))?;
            let (second, _) = listener.accept()?;
            for stream in [&first, &second] {
                stream.set_nodelay(true)?;
            }
            Ok([first, second].map(Socket::Tcp))
        }
    }
}
// ANCHOR_END: connect

// ANCHOR: device
/// From the device into its queue; what finds it full is lost.
fn enqueue(device: &Raw, entry: &SyncSender<Packet>, queue: &Queued) {
    loop {
        match device.receive(PATIENCE) {
            Ok(packet) => {
                let length = packet.length();
                queue.bytes.fetch_add(length, Ordering::Relaxed);
                match entry.try_send(packet) {
                    Ok(()) => {}
                    Err(TrySendError::Full(_)) => {
                        queue.bytes.fetch_sub(length, Ordering::Relaxed);
                        queue.overflowed.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(TrySendError::Disconnected(_)) => return,
                }
            }
            Err(Nothing::InTime) => {}
            Err(Nothing::EverAgain) => return,
        }
    }
}

/// From the queue into the carrier.
fn send_all(exit: &Receiver<Packet>, socket: &Socket, queue: &Queued) {
    for packet in exit {
        queue.bytes.fetch_sub(packet.length(), Ordering::Relaxed);
        if socket.send(packet.bytes()).is_err() {
            return;
        }
    }
}

/// From the carrier out of the other device.
fn receive_all(socket: &Socket, device: &Raw) {
    let mut buffer = [0; LARGEST];
    // Nothing is what a socket gives that was shut down; no packet has no bytes.
    while let Ok(length @ 1..) = socket.receive(&mut buffer) {
        device.send(Packet::new(&buffer[..length]));
    }
}
// ANCHOR_END: device
