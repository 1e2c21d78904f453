//! One worker: accepts, has a task begun for each connection, and sees all of them to their end.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd as _;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use exec_service::{
    ACCEPT_PAUSE, Output, Service, Setup, Syscall, is_exhausted, is_passing, stop_accepting,
    stop_listening,
};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::{timeout, timeout_at};

use crate::connection;

/// How many bytes one read takes at most. No connection keeps them: there is one buffer for all.
const BUFFER_LEN: usize = 64 * 1024;

// ANCHOR: worker
/// What the tasks of a worker share. They run on one thread and take turns at `.await` only, so it
/// needs no lock; and what is borrowed from it is given back before each `.await`.
pub struct Worker {
    pub desk: RefCell<Desk>,
    /// Tells everyone that the end was requested.
    pub end: Notify,
    pub ending: Cell<bool>,
    /// Connections that are open.
    open: Cell<usize>,
    /// Tells that one was closed.
    closed: Notify,
}

/// What a task needs while it is at work, and lends from its worker.
pub struct Desk {
    pub service: Service,
    pub buffer: Box<[u8]>,
    pub output: Output,
}
// ANCHOR_END: worker

/// Counts how often a worker's thread waits for events: tokio makes this system call, not we.
pub fn count_wait(setup: &Setup, number: usize) -> impl Fn() + Send + Sync + 'static {
    let stats = setup.stats.clone();
    move || stats.worker(number).count(Syscall::EpollWait)
}

// ANCHOR: work
/// Accepts until the end is requested, and returns when all connections have ended.
pub async fn work(setup: &Setup, number: usize) -> io::Result<()> {
    let worker = Rc::new(Worker {
        desk: RefCell::new(Desk {
            service: setup.service(number, Instant::now()),
            buffer: vec![0; BUFFER_LEN].into_boxed_slice(),
            output: Output::default(),
        }),
        end: Notify::new(),
        ending: Cell::new(false),
        open: Cell::new(0),
        closed: Notify::new(),
    });
    let listener = TcpListener::from_std(setup.listeners[number].try_clone()?)?;
    let told = setup.shutdown.as_fd().try_clone_to_owned()?;
    let shutdown = UnixStream::from_std(told.into())?;
    setup.worker_ready();
    tokio::select! {
        failed = worker.accept(&listener) => failed?,
        requested = shutdown.readable() => requested?,
    }

    stop_accepting(&listener);
    worker.ending.set(true);
    worker.end.notify_waiters();
    let limits = *worker.desk.borrow().service.limits();
    worker.desk.borrow_mut().service.close_after_answers(true);
    let until = tokio::time::Instant::now() + limits.drain;
    // Handshakes that had begun are complete then: what they left in the queue is served as well.
    let _ = timeout(limits.last_handshakes, worker.accept(&listener)).await;
    stop_listening(&listener);
    drop(listener);
    let _ = timeout_at(until, worker.all_closed()).await;
    Ok(())
}
// ANCHOR_END: work

impl Worker {
    // ANCHOR: accept
    /// Accepts for ever.
    async fn accept(self: &Rc<Self>, listener: &TcpListener) -> io::Result<()> {
        loop {
            match poll_fn(|context| self.poll_accept(listener, context)).await {
                Ok(socket) => {
                    self.open.set(self.open.get() + 1);
                    self.desk.borrow().service.counters().accepted();
                    let worker = Rc::clone(self);
                    spawn_local(async move {
                        // What goes wrong between these two is no concern of the others.
                        let _ = connection::serve(socket, &worker).await;
                        worker.close();
                    });
                }
                // No descriptor is left: whoever waits in the queue goes on waiting there until a
                // connection is closed, or for a moment.
                Err(error) if is_exhausted(&error) => {
                    let _ = timeout(ACCEPT_PAUSE, self.closed.notified()).await;
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn poll_accept(
        &self,
        listener: &TcpListener,
        context: &mut Context,
    ) -> Poll<io::Result<TcpStream>> {
        let accepted = ready!(listener.poll_accept(context));
        let desk = self.desk.borrow();
        desk.service.count(Syscall::Accept4);
        let (socket, _) = accepted?;
        // tokio has it registered at once.
        desk.service.count(Syscall::EpollCtl);
        Poll::Ready(Ok(socket))
    }
    // ANCHOR_END: accept

    /// A connection has ended.
    fn close(&self) {
        let desk = self.desk.borrow();
        desk.service.count(Syscall::EpollCtl);
        desk.service.count(Syscall::Close);
        desk.service.counters().closed();
        self.open.set(self.open.get() - 1);
        self.closed.notify_one();
    }

    async fn all_closed(&self) {
        while self.open.get() > 0 {
            self.closed.notified().await;
        }
    }
}
