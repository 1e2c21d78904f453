//! The edge: a real clock, and a device that carries packets.
//!
//! All else in this crate takes time as a number. Here it comes from the machine.

use std::io;
use std::time::{Duration, Instant};

use crate::{ConnectionId, Error, Stack, Time};

/// How many packets are taken from a device before anything is answered, at most.
const BATCH: usize = 64;

/// What carries packets, from the IP header on: the lab, or a TUN device.
pub trait Device {
    /// Sends a packet. One that cannot be sent is lost, as on any network.
    ///
    /// # Errors
    ///
    /// When the device is gone.
    fn send(&mut self, packet: &[u8]) -> io::Result<()>;

    /// Waits for a packet and shows it to `take`. Says whether one came in time.
    ///
    /// # Errors
    ///
    /// When the device is gone.
    fn receive(&mut self, within: Duration, take: impl FnOnce(&[u8])) -> io::Result<bool>;
}

// ANCHOR: driver
/// A [`Stack`] on a [`Device`], with the machine's monotonic clock.
#[derive(Debug)]
pub struct Driver<D> {
    /// The stack, for the user's calls. What they want sent goes out with the next
    /// [`turn`](Self::turn).
    pub stack: Stack,
    device: D,
    started: Instant,
    buffer: Vec<u8>,
}

impl<D: Device> Driver<D> {
    /// Joins the two.
    pub fn new(stack: Stack, device: D) -> Self {
        Self {
            stack,
            device,
            started: Instant::now(),
            buffer: vec![0; 1 << 16],
        }
    }

    /// What time it is for the stack.
    #[must_use]
    pub fn now(&self) -> Time {
        Time::ZERO + self.started.elapsed()
    }

    /// Sends what there is to send, then [waits](Self::wait).
    ///
    /// # Errors
    ///
    /// Those of the device.
    pub fn turn(&mut self, at_most: Duration) -> io::Result<()> {
        self.flush()?;
        self.wait(at_most)
    }

    /// Sends what there is to send, and does what is due.
    ///
    /// # Errors
    ///
    /// Those of the device.
    pub fn flush(&mut self) -> io::Result<()> {
        let now = self.now();
        while let Some(len) = self.stack.transmit(now, &mut self.buffer) {
            self.device.send(&self.buffer[..len])?;
        }
        Ok(())
    }

    /// Waits until a packet comes or a timer expires, for `at_most` at the longest, and lets the
    /// stack have what came.
    ///
    /// # Errors
    ///
    /// Those of the device.
    pub fn wait(&mut self, at_most: Duration) -> io::Result<()> {
        let mut wait = match self.stack.next_timeout() {
            Some(time) => (time - self.now()).min(at_most),
            None => at_most,
        };
        // What lies ready has come at one time, as far as anybody can tell.
        let mut arrived_at = None;
        for _ in 0..BATCH {
            let (stack, started) = (&mut self.stack, self.started);
            let arrives = |packet: &[u8]| {
                let now = *arrived_at.get_or_insert_with(|| Time::ZERO + started.elapsed());
                stack.arrives(now, packet);
            };
            if !self.device.receive(wait, arrives)? {
                break;
            }
            wait = Duration::ZERO;
        }
        Ok(())
    }
    // ANCHOR_END: driver

    /// Takes turns until `done` gives something.
    ///
    /// # Errors
    ///
    /// When that takes longer than `within`, and those of the device.
    pub fn until<T>(
        &mut self,
        within: Duration,
        mut done: impl FnMut(&mut Stack) -> Option<T>,
    ) -> io::Result<T> {
        let at_latest = Instant::now() + within;
        loop {
            // Once because of what came, and once because of what time has brought.
            for _ in 0..2 {
                if let Some(result) = done(&mut self.stack) {
                    return Ok(result);
                }
                self.flush()?;
            }
            let left = at_latest.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.wait(left)?;
        }
    }

    /// Sends all of `bytes`.
    ///
    /// # Errors
    ///
    /// When that takes longer than `within`, when the connection ends before, and those of the
    /// device.
    pub fn send_all(
        &mut self,
        id: ConnectionId,
        mut bytes: &[u8],
        within: Duration,
    ) -> io::Result<()> {
        self.until(within, |stack| {
            match stack.send(id, bytes) {
                Ok(taken) => bytes = &bytes[taken..],
                Err(Error::WouldBlock) => {}
                Err(error) => return Some(Err(io::Error::other(error))),
            }
            bytes.is_empty().then_some(Ok(()))
        })?
    }

    /// Receives up to `buffer` bytes: as many as there are, 0 at the end.
    ///
    /// # Errors
    ///
    /// As [`send_all`](Self::send_all).
    pub fn receive(
        &mut self,
        id: ConnectionId,
        buffer: &mut [u8],
        within: Duration,
    ) -> io::Result<usize> {
        self.until(within, |stack| match stack.receive(id, buffer) {
            Err(Error::WouldBlock) => None,
            result => Some(result.map_err(io::Error::other)),
        })?
    }

    /// Receives all up to the end.
    ///
    /// # Errors
    ///
    /// As [`send_all`](Self::send_all).
    pub fn receive_to_end(&mut self, id: ConnectionId, within: Duration) -> io::Result<Vec<u8>> {
        let (mut all, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        let at_latest = Instant::now() + within;
        loop {
            let left = at_latest.saturating_duration_since(Instant::now());
            match self.receive(id, &mut buffer, left)? {
                0 => return Ok(all),
                len => all.extend_from_slice(&buffer[..len]),
            }
        }
    }
}
