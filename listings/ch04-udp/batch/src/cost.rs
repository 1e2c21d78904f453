//! What moving a datagram costs when nobody waits for anybody.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use nix::unistd::getppid;

use crate::pair::{Calls, Error, Pair};
use crate::way::Way;

/// What some batches cost one thread that sends and receives them in turn.
#[derive(Debug, Clone, Default)]
pub struct Cost {
    /// How many datagrams there were.
    pub datagrams: usize,
    /// The calls.
    pub calls: Calls,
    /// How long each batch took to send. On loopback that includes the way to the receiver's queue.
    pub sending: Vec<Duration>,
    /// How long each took to receive.
    pub receiving: Vec<Duration>,
    /// Processor time of both, for all batches.
    pub processor: Duration,
}

impl Cost {
    /// Processor time for a datagram, in nanoseconds.
    #[must_use]
    pub fn each_ns(&self) -> f64 {
        self.processor.as_secs_f64() * 1e9 / self.datagrams as f64
    }
}

// ANCHOR: measure
/// Sends a batch into the receiver's queue, empties the queue, and does so again: nothing waits,
/// and nothing can be lost, since the queue has room for a batch.
///
/// # Errors
///
/// Those of [`Pair::new`] and of its two ends.
pub fn measure(way: Way, batch: usize, batches: usize) -> Result<Cost, Error> {
    let Pair {
        mut sender,
        mut receiver,
    } = Pair::new(way, batch)?;
    let mut cost = Cost::default();
    let processor = processor_time()?;
    for _ in 0..batches {
        let begun = Instant::now();
        cost.calls.send += sender.send(batch)?;
        let sent = Instant::now();
        let mut received = 0;
        while received < batch {
            received += receiver.receive(batch - received)?;
            cost.calls.receive += 1;
        }
        cost.sending.push(sent - begun);
        cost.receiving.push(sent.elapsed());
        cost.datagrams += received;
    }
    cost.processor = processor_time()? - processor;
    Ok(cost)
}
// ANCHOR_END: measure

/// What the calling thread has used.
pub(crate) fn processor_time() -> Result<Duration, Error> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

/// What a system call costs that does nothing: the way into the kernel and back.
#[must_use]
pub fn empty_call() -> Duration {
    const CALLS: u32 = 1_000;
    let begun = Instant::now();
    for _ in 0..CALLS {
        getppid();
    }
    begun.elapsed() / CALLS
}

/// The one in the middle.
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
