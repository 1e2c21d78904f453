//! Threads that wait for work, and grow in number when none waits.

use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, Scope};
use std::time::{Duration, Instant};

/// A thread's stack, in bytes. It is address space until it is used.
const STACK_LEN: usize = 128 * 1024;

// ANCHOR: pool
/// Threads, each of which does one piece of work at a time.
#[derive(Debug)]
pub struct Pool<W> {
    state: Mutex<State<W>>,
    /// Rings when there is work, or never will be again.
    work: Condvar,
    /// Rings when a thread is free.
    room: Condvar,
}

#[derive(Debug)]
struct State<W> {
    /// Handed over, and not yet taken.
    handed: VecDeque<W>,
    /// Threads that wait for work.
    waiting: usize,
    /// Places, by number, in which there is no thread.
    empty: Vec<usize>,
    /// How many threads there can be.
    places: usize,
    patience: Duration,
    over: bool,
}

impl<W: Send> Pool<W> {
    /// A pool without threads, with room for so many. A thread that has no work ends after `patience`.
    #[must_use]
    pub fn new(places: usize, patience: Duration) -> Self {
        let state = State {
            handed: VecDeque::new(),
            waiting: 0,
            empty: (0..places).rev().collect(),
            places,
            patience,
            over: false,
        };
        Self {
            state: Mutex::new(state),
            work: Condvar::new(),
            room: Condvar::new(),
        }
    }

    /// Waits until there is a thread for another piece of work, or could be; not longer than `until`.
    pub fn wait_for_room(&self, until: Instant) -> bool {
        self.wait_until(until, State::has_room)
    }

    /// Waits until no thread has work; not longer than `until`.
    pub fn wait_for_rest(&self, until: Instant) -> bool {
        self.wait_until(until, State::rests)
    }

    /// Gives the work to a thread that waits, or to a new one. `worker` makes, for the number of its
    /// place, what a thread does with each piece of work.
    ///
    /// # Errors
    ///
    /// When there is no such thread, and the system has none to give.
    pub fn hand_over<'scope, 'env, F: FnMut(W) + 'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, 'env>,
        work: W,
        worker: impl FnOnce(usize) -> F + Send + 'scope,
    ) -> io::Result<()>
    where
        W: 'scope,
    {
        let mut state = self.lock();
        if state.waiting > state.handed.len() {
            state.handed.push_back(work);
            drop(state);
            self.work.notify_one();
            return Ok(());
        }
        let place = state.empty.pop().ok_or(io::ErrorKind::WouldBlock)?;
        drop(state);
        let thread = Builder::new()
            .name(format!("worker {place}"))
            .stack_size(STACK_LEN);
        let spawned = thread.spawn_scoped(scope, move || {
            let mut worker = worker(place);
            worker(work);
            while let Some(work) = self.next(place) {
                worker(work);
            }
        });
        if spawned.is_err() {
            self.lock().empty.push(place);
        }
        spawned.map(|_| ())
    }

    /// The next piece of work for the thread in that place; nothing if it is to end.
    fn next(&self, place: usize) -> Option<W> {
        let mut state = self.lock();
        state.waiting += 1;
        self.room.notify_all();
        let until = Instant::now() + state.patience;
        loop {
            let now = Instant::now();
            let work = state.handed.pop_front();
            if work.is_some() || state.over || now >= until {
                state.waiting -= 1;
                if work.is_none() {
                    state.empty.push(place);
                }
                return work;
            }
            let waited = self.work.wait_timeout(state, until - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Lets all threads end once they have done their work.
    pub fn end(&self) {
        self.lock().over = true;
        self.work.notify_all();
    }

    fn wait_until(&self, until: Instant, is_so: impl Fn(&State<W>) -> bool) -> bool {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            if is_so(&state) || now >= until {
                return is_so(&state);
            }
            let waited = self.room.wait_timeout(state, until - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W> State<W> {
    fn has_room(&self) -> bool {
        self.waiting > self.handed.len() || !self.empty.is_empty()
    }

    fn rests(&self) -> bool {
        self.handed.is_empty() && self.waiting + self.empty.len() == self.places
    }
}
// ANCHOR_END: pool

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// Longer than any of these tests.
    const LONG: Duration = Duration::from_secs(60);

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn a_thread_that_is_free_is_used_again_and_another_only_when_none_is() {
        let pool = Pool::new(3, LONG);
        let (tell, told) = mpsc::channel();
        let tell = &tell;
        thread::scope(|scope| {
            let give = |work| {
                pool.hand_over(scope, work, move |place| {
                    let tell = tell.clone();
                    move |gate: mpsc::Receiver<()>| {
                        tell.send(place).unwrap();
                        let _ = gate.recv();
                    }
                })
            };
            let gates = || mpsc::channel();
            for _ in 0..5 {
                let (open, gate) = gates();
                give(gate).unwrap();
                assert_eq!(told.recv().unwrap(), 0);
                drop(open);
                assert!(pool.wait_for_rest(soon()));
            }
            let busy: Vec<_> = (0..3)
                .map(|_| {
                    let (open, gate) = gates();
                    give(gate).unwrap();
                    open
                })
                .collect();
            let mut places: Vec<usize> = (0..3).map(|_| told.recv().unwrap()).collect();
            places.sort_unstable();
            assert_eq!(places, [0, 1, 2]);

            assert!(!pool.wait_for_room(Instant::now()));
            let (_open, gate) = gates();
            assert_eq!(give(gate).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            drop(busy);
            assert!(pool.wait_for_room(soon()) && pool.wait_for_rest(soon()));
            pool.end();
        });
    }

    #[test]
    fn all_work_that_was_handed_over_is_done_before_the_end() {
        let pool = Pool::new(4, LONG);
        let finished = Mutex::new(Vec::new());
        let done = &finished;
        thread::scope(|scope| {
            for number in 0..1000 {
                assert!(pool.wait_for_room(soon()));
                pool.hand_over(scope, number, |_| {
                    move |number| done.lock().unwrap().push(number)
                })
                .unwrap();
            }
            pool.end();
        });
        let mut done = finished.into_inner().unwrap();
        done.sort_unstable();
        assert!(done.into_iter().eq(0..1000));
    }

    #[test]
    fn threads_that_have_nothing_to_do_for_long_end() {
        let pool = Pool::new(4, Duration::from_millis(50));
        thread::scope(|scope| {
            for _ in 0..4 {
                pool.hand_over(scope, (), |_| |()| ()).unwrap();
            }
            let at_latest = soon();
            while pool.lock().waiting > 0 || pool.lock().empty.len() < 4 {
                assert!(Instant::now() < at_latest);
                thread::yield_now();
            }
            // The scope ends only when all threads have.
        });
    }
}
