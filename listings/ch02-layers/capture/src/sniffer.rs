//! A host's frames as its kernel sends and receives them, Ethernet header included.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use lab::Host;
use socket2::{Domain, Protocol, Socket, Type};

use crate::layers::Layers;

/// How long a frame that was sent may take to be seen.
const DEADLINE: Duration = Duration::from_secs(5);

/// Room for a frame of the longest packet.
const LONGEST: usize = 14 + 65_535;

/// `ETH_P_ALL`: frames of every EtherType.
const EVERY_TYPE: u16 = 0x0003;

// ANCHOR: sniffer
/// A packet socket (packet(7)) of type RAW: it gives copies of what the host sends and receives.
pub struct Sniffer(Socket);

impl Sniffer {
    pub fn on(host: &Host) -> io::Result<Self> {
        let every_type = Protocol::from(i32::from(EVERY_TYPE.to_be()));
        let socket = host.run(|| Socket::new(Domain::PACKET, Type::RAW, Some(every_type)))?;
        Ok(Self(socket))
    }

    /// The next frame that carries exactly `data`, headers included.
    pub fn frame_with(&mut self, data: &[u8]) -> io::Result<Vec<u8>> {
        let until = Instant::now() + DEADLINE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let text = format!("no frame with {} bytes of data was seen", data.len());
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            self.0.set_read_timeout(Some(left))?;
            let mut frame = vec![0; LONGEST];
            let len = match self.0.read(&mut frame) {
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            frame.truncate(len);
            if Layers::of(&frame).is_ok_and(|layers| layers.data(&frame) == data) {
                return Ok(frame);
            }
        }
    }
}
// ANCHOR_END: sniffer
