//! What moving datagrams costs when a sender and a receiver run at the same time.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::cost::processor_time;
use crate::pair::{Calls, Error, Pair};
use crate::way::Way;

/// How many batches may be sent and not yet received. The receiver's queue has room for them.
pub const WINDOW: usize = 3;

/// What it cost two threads to stream datagrams from the one to the other.
#[derive(Debug, Clone, Copy)]
pub struct Streamed {
    /// How many datagrams there were. All of them were received.
    pub datagrams: usize,
    /// The calls.
    pub calls: Calls,
    /// From the first to the last.
    pub elapsed: Duration,
    /// Processor time of both threads.
    pub processor: Duration,
}

/// Streams batches from one thread to another. The receiver paces the sender: for each batch that
/// it has, the sender may send another.
///
/// # Errors
///
/// Those of [`Pair::new`] and of its two ends.
///
/// # Panics
///
/// When the sender's thread does.
pub fn stream(way: Way, batch: usize, batches: usize) -> Result<Streamed, Error> {
    let Pair {
        mut sender,
        mut receiver,
    } = Pair::new(way, batch)?;
    let (allow, allowed) = mpsc::sync_channel(WINDOW);
    for _ in 0..WINDOW {
        allow.send(()).expect("the other end is here");
    }
    let begun = Instant::now();
    let sending = thread::spawn(move || {
        let processor = processor_time()?;
        let mut calls = 0;
        for _ in 0..batches {
            // It fails when the receiver has failed, whose error it is.
            if allowed.recv().is_err() {
                break;
            }
            calls += sender.send(batch)?;
        }
        Ok::<_, Error>((calls, processor_time()? - processor))
    });
    let processor = processor_time()?;
    let (mut received, mut told, mut receive) = (0, WINDOW, 0);
    while received < batch * batches {
        received += receiver.receive(batch)?;
        receive += 1;
        while told < batches && told < received / batch + WINDOW {
            // It fails when the sender has failed, whose error follows.
            if allow.send(()).is_err() {
                break;
            }
            told += 1;
        }
    }
    let elapsed = begun.elapsed();
    let processor = processor_time()? - processor;
    drop(allow);
    let (send, sender_processor) = sending.join().expect("no panic")?;
    Ok(Streamed {
        datagrams: received,
        calls: Calls { send, receive },
        elapsed,
        processor: processor + sender_processor,
    })
}
