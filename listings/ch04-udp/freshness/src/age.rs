//! How old the newest state is, frame by frame.

use std::time::Duration;

use crate::game::{Arrival, PERIOD, Received};

/// Frames of the receiver's screen in a second. It is in step with nobody: between two updates it
/// draws two or three frames, each time at other moments.
pub const FRAMES_A_SECOND: u32 = 144;

/// The age of the newest state at each frame.
#[derive(Debug, Clone)]
pub struct Ages {
    /// When each frame was drawn since the game began, and how old what it showed was.
    pub frames: Vec<(Duration, Duration)>,
    /// The ages, in ascending order.
    sorted: Vec<Duration>,
}

impl Ages {
    // ANCHOR: ages
    /// For each frame, from a quarter of a second on until the last update was made: the age of the
    /// newest state that had come by then.
    #[must_use]
    pub fn of(received: &Received) -> Self {
        let begin = Duration::from_millis(250); // the first update is there
        let end = received.made.last().copied().unwrap_or_default() + PERIOD;
        let mut newest: Option<&Arrival> = None;
        let mut coming = received.taken.iter().peekable();
        let mut frames = Vec::new();
        for frame in 0.. {
            let now = begin + Duration::from_secs(1) * frame / FRAMES_A_SECOND;
            if now >= end {
                break;
            }
            while let Some(arrival) = coming.next_if(|arrival| arrival.at <= now) {
                newest = Some(arrival);
            }
            if let Some(newest) = newest {
                frames.push((now, now - newest.made));
            }
        }
        // ANCHOR_END: ages
        let mut sorted: Vec<Duration> = frames.iter().map(|&(_, age)| age).collect();
        sorted.sort_unstable();
        Self { frames, sorted }
    }

    /// The age that this share of the frames does not exceed.
    ///
    /// # Panics
    ///
    /// When there was no frame.
    #[must_use]
    pub fn percentile(&self, share: f64) -> Duration {
        let rank = (self.sorted.len() as f64 * share).ceil() as usize;
        self.sorted[rank.clamp(1, self.sorted.len()) - 1]
    }

    /// The share of the frames whose state was not older than this.
    #[must_use]
    pub fn share_within(&self, age: Duration) -> f64 {
        let within = self.sorted.partition_point(|&each| each <= age);
        within as f64 / self.sorted.len() as f64
    }
}
