//! The lab's host without a kernel, as a device.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use lab::{Nothing, Packet, Raw};
use tcp_from_scratch::driver::Device;

/// How many packets are taken from the lab at a time.
const BATCH: usize = 64;

/// A place of the lab whose packets we make ourselves.
#[derive(Debug)]
pub struct RawDevice {
    raw: Raw,
    arrived: VecDeque<Packet>,
}

impl RawDevice {
    /// The device at a place.
    pub fn new(raw: Raw) -> Self {
        Self {
            raw,
            arrived: VecDeque::with_capacity(BATCH),
        }
    }

    /// Takes what has arrived, and waits for it if it must.
    fn fetch(&mut self, within: Duration) -> Result<(), Nothing> {
        self.arrived.push_back(self.raw.receive(within)?);
        while self.arrived.len() < BATCH
            && let Ok(packet) = self.raw.receive(Duration::ZERO)
        {
            self.arrived.push_back(packet);
        }
        Ok(())
    }
}

impl Device for RawDevice {
    fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        self.raw.send(Packet::new(packet));
        Ok(())
    }

    fn receive(&mut self, within: Duration, take: impl FnOnce(&[u8])) -> io::Result<bool> {
        if self.arrived.is_empty() {
            match self.fetch(within) {
                Ok(()) => {}
                Err(Nothing::InTime) => return Ok(false),
                Err(Nothing::EverAgain) => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
        if let Some(packet) = self.arrived.pop_front() {
            take(packet.bytes());
        }
        Ok(true)
    }
}
