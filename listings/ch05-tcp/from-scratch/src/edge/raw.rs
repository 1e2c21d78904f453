//! The lab's host without a kernel, as a device.

use std::io;
use std::time::Duration;

use lab::{Nothing, Packet, Raw};
use tcp_from_scratch::driver::Device;

/// A place of the lab whose packets we make ourselves.
#[derive(Debug)]
pub struct RawDevice(pub Raw);

impl Device for RawDevice {
    fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        self.0.send(Packet::new(packet));
        Ok(())
    }

    fn receive(&mut self, within: Duration, take: impl FnOnce(&[u8])) -> io::Result<bool> {
        match self.0.receive(within) {
            Ok(packet) => {
                take(packet.bytes());
                Ok(true)
            }
            Err(Nothing::InTime) => Ok(false),
            Err(Nothing::EverAgain) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}
