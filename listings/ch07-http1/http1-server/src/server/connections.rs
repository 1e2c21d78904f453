//! All connections together: how many there are, and which one has to go when there are too many.

use std::collections::BTreeMap;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::{Limits, Totals};

/// The connections of a server.
#[derive(Debug)]
pub struct Connections {
    pub limits: Limits,
    state: Mutex<State>,
    /// Rings when one ends.
    room: Condvar,
    accepted: AtomicU64,
    requests: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    open: usize,
    /// Those whose client has asked for nothing, or not completely, by since when. The number tells those
    /// apart that have begun to wait in the same moment.
    waiting: BTreeMap<WaitKey, Arc<TcpStream>>,
    waits: u64,
}

/// Where a connection stands among those that wait for their client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WaitKey(Instant, u64);

/// That a connection is open; dropping it makes room for another.
#[derive(Debug)]
pub struct Open<'a>(&'a Connections);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.lock().open -= 1;
        self.0.room.notify_all();
    }
}

impl Connections {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
            room: Condvar::new(),
            accepted: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        }
    }

    /// Counts a connection, for which there is room.
    pub fn open(&self) -> Open<'_> {
        self.lock().open += 1;
        self.accepted.fetch_add(1, Ordering::Relaxed);
        Open(self)
    }

    /// Counts a request.
    pub fn answered(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub fn totals(&self) -> Totals {
        Totals {
            connections: self.accepted.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
        }
    }

    // ANCHOR: full
    /// Waits until there is room for another connection, and evicts the one whose client has taken longest
    /// to ask for something: an idle one, or one whose request comes slower than all others, but none that
    /// has begun to wait this very moment. So a crowd of those keeps nobody out who has something to ask.
    ///
    /// Gives whether there is room, at `until` at the latest.
    pub fn wait_for_room(&self, until: Instant) -> bool {
        let mut state = self.lock();
        if state.open < self.limits.connections {
            return true;
        }
        let safe_since = Instant::now().checked_sub(self.limits.hurry);
        if let Some(longest) = state.waiting.first_entry()
            && safe_since.is_some_and(|since| longest.key().0 <= since)
        {
            // Its thread wakes up, as if the client had closed. What has come is still read.
            let _ = longest.remove().shutdown(Shutdown::Read);
        }
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if state.open < self.limits.connections || left.is_zero() {
                return state.open < self.limits.connections;
            }
            let waited = self.room.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes note that a connection waits for its client.
    pub fn begin_waiting(&self, client: &Arc<TcpStream>) -> WaitKey {
        let mut state = self.lock();
        state.waits += 1;
        let wait_key = WaitKey(Instant::now(), state.waits);
        state.waiting.insert(wait_key, Arc::clone(client));
        wait_key
    }

    /// Takes note that the client has asked, or gone. Gives whether the connection was not evicted.
    pub fn end_waiting(&self, wait_key: WaitKey) -> bool {
        self.lock().waiting.remove(&wait_key).is_some()
    }
    // ANCHOR_END: full

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
