//! What all servers have in common beside the service: the command line, the listening sockets, the
//! signals, and the tour.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::listen::listen;
use crate::shutdown::Shutdown;
use crate::stats::Stats;
use crate::{Limits, Service, pattern, tour};

/// More workers than this are a typing error.
const MAX_WORKERS: usize = 65_536;

// ANCHOR: model
/// One way to execute the service.
#[derive(Debug)]
pub struct Model {
    /// The package's name.
    pub name: &'static str,
    /// What a worker is, in half a sentence: `threads with an epoll instance each`.
    pub workers_are: &'static str,
    /// How many there are unless `--workers` says otherwise.
    pub workers: Workers,
    /// How they come by their connections.
    pub listeners: Listeners,
    /// Serves until [`Setup::shutdown`] is requested and everything under way is finished.
    pub serve: fn(&Setup) -> io::Result<()>,
}

/// How many workers a server has by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// As many as there are cores.
    PerCore,
    /// So many.
    Fixed(usize),
    /// One, and there cannot be more.
    One,
}

/// How workers come by their connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listeners {
    /// All take from one queue.
    Shared,
    /// Each has a listening socket of its own on the same port (`SO_REUSEPORT`), and the kernel
    /// assigns each connection to one of them.
    PerWorker,
}

/// What a server is given to serve with.
pub struct Setup {
    /// How many workers there are to be.
    pub workers: usize,
    /// One listening socket for each worker, or one for all; non-blocking.
    pub listeners: Vec<TcpListener>,
    /// What a connection may take.
    pub limits: Limits,
    /// What the workers count.
    pub stats: Stats,
    /// Whether to end.
    pub shutdown: Arc<Shutdown>,
    ready_workers: AtomicUsize,
    on_ready: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}
// ANCHOR_END: model

impl Setup {
    /// The service, for one of the workers.
    #[must_use]
    pub fn service(&self, worker: usize, now: Instant) -> Service {
        Service::new(self.limits, self.stats.clone(), worker, now)
    }

    /// The address that clients connect to.
    ///
    /// # Panics
    ///
    /// When the listening socket is none.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listeners[0]
            .local_addr()
            .expect("a listening socket has an address")
    }

    /// The workers have all that they need. From here on this process may have another thread.
    pub fn ready(&self) {
        let mut on_ready = self.on_ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(on_ready) = on_ready.take() {
            on_ready();
        }
    }

    /// The same, said by one of the workers: the last one's word counts. Each needs descriptors, and
    /// the first clients could take the last of them.
    pub fn worker_ready(&self) {
        if self.ready_workers.fetch_add(1, Ordering::Relaxed) + 1 == self.workers {
            self.ready();
        }
    }

    /// Prepares all workers, and then runs each on a thread of its own; a single one on this thread.
    ///
    /// # Errors
    ///
    /// The first worker's that could not be prepared, or that failed.
    pub fn run_workers<W: Send>(
        &self,
        prepare: impl FnMut(usize) -> io::Result<W>,
        run: impl Fn(W) -> io::Result<()> + Sync,
    ) -> io::Result<()> {
        // All of them before the first client may come: each needs descriptors, and a client may take
        // the last one.
        let mut workers = (0..self.workers)
            .map(prepare)
            .collect::<io::Result<Vec<W>>>()?;
        if workers.len() == 1
            && let Some(worker) = workers.pop()
        {
            // In a process with one thread the kernel need not guard the table of descriptors.
            self.ready();
            return run(worker);
        }
        let workers = Mutex::new(workers);
        self.on_threads(|_| {
            self.worker_ready();
            // One for each thread, whichever it is.
            let worker = workers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            worker.map_or(Ok(()), &run)
        })
    }

    /// Runs each worker on a thread of its own, which calls [`Setup::worker_ready`], and returns when
    /// all have ended. If one fails, the others are told to end.
    ///
    /// # Errors
    ///
    /// The first worker's that failed.
    pub fn on_threads(&self, work: impl Fn(usize) -> io::Result<()> + Sync) -> io::Result<()> {
        let work = |worker| {
            let outcome = work(worker);
            if outcome.is_err() {
                self.shutdown.request();
            }
            outcome
        };
        thread::scope(|scope| {
            let mut threads = Vec::new();
            for worker in 0..self.workers {
                let name = format!("worker {worker}");
                let work = &work;
                let thread = thread::Builder::new()
                    .name(name)
                    .spawn_scoped(scope, move || work(worker));
                threads.push(thread.inspect_err(|_| self.shutdown.request())?);
            }
            threads.into_iter().try_for_each(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(io::Error::other("a worker panicked")))
            })
        })
    }
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    /// Serve there; without it, show a tour.
    address: Option<SocketAddr>,
    workers: Option<usize>,
    limits: Limits,
}

impl Options {
    fn parse(arguments: impl IntoIterator<Item = OsString>) -> Option<Self> {
        let mut options = Self {
            address: None,
            workers: None,
            limits: Limits::default(),
        };
        let mut arguments = arguments
            .into_iter()
            .map(|argument| argument.into_string().ok());
        while let Some(argument) = arguments.next() {
            match argument?.as_str() {
                "--workers" => {
                    let workers = arguments.next()??.parse().ok()?;
                    if !(1..=MAX_WORKERS).contains(&workers) || options.workers.is_some() {
                        return None;
                    }
                    options.workers = Some(workers);
                }
                "--limits" => options.limits = options.limits.with(&arguments.next()??).ok()?,
                address if options.address.is_none() => {
                    options.address = Some(address.parse().ok()?);
                }
                _ => return None,
            }
        }
        Some(options)
    }
}

/// The whole `main` of a server: serves on the address that the command line names, or without one
/// shows a tour.
#[must_use]
pub fn run(model: &Model) -> ExitCode {
    run_with(model, std::env::args_os().skip(1))
}

/// The same, with the words that would stand behind the program's name on a command line.
#[must_use]
pub fn run_with(model: &Model, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let options = Options::parse(arguments);
    let options = options
        .filter(|options| model.workers != Workers::One || options.workers.is_none_or(|n| n == 1));
    let Some(options) = options else {
        eprintln!(
            "usage: {0} [--workers N]                    a tour\n       \
             {0} ADDRESS [--workers N] [--limits NAME=MS,...]   serves there, such as on 127.0.0.1:8080",
            model.name
        );
        return ExitCode::from(2);
    };
    raise_descriptor_limit();
    let outcome = match options.address {
        Some(address) => serve(model, address, &options),
        None => show(model, &options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", model.name);
            ExitCode::FAILURE
        }
    }
}

/// A connection is a descriptor, and of these a process may have as many as its soft limit says, 1,024
/// in many a shell. The hard limit is what the administrator allows.
fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Otherwise it is as it was.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

fn set_up(model: &Model, address: SocketAddr, options: &Options) -> io::Result<Setup> {
    let workers = options.workers.unwrap_or_else(|| match model.workers {
        Workers::PerCore => thread::available_parallelism().map_or(1, usize::from),
        Workers::Fixed(workers) => workers,
        Workers::One => 1,
    });
    // Before there are worker processes: they have it in common then.
    pattern::memory();
    let own = model.listeners == Listeners::PerWorker && workers > 1;
    let mut listeners = vec![listen(address, own)?];
    if own {
        let address = listeners[0].local_addr()?;
        for _ in 1..workers {
            listeners.push(listen(address, true)?);
        }
    }
    Ok(Setup {
        workers,
        listeners,
        limits: options.limits,
        stats: Stats::new(model.name, workers)?,
        shutdown: Arc::new(Shutdown::on_signals()?),
        ready_workers: AtomicUsize::new(0),
        on_ready: Mutex::new(None),
    })
}

/// Serves there until it is told to end.
fn serve(model: &Model, address: SocketAddr, options: &Options) -> io::Result<()> {
    let setup = set_up(model, address, options)?;
    let url = format!("http://{}", setup.address());
    let workers = match setup.workers {
        1 => "1 worker".to_owned(),
        n => format!("{n} workers"),
    };
    let workers_are = model.workers_are;
    *setup
        .on_ready
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = Some(Box::new(move || {
        println!("listening on {url}");
        println!("{workers}: {workers_are}");
        println!("Talk to it from another terminal:");
        println!("  curl -i {url}/");
        println!("  curl {url}/bytes/1000");
        println!("  curl {url}/slow/500");
        println!("  curl -d 'some text' {url}/echo");
        println!("  curl {url}/stats");
        println!("SIGTERM or Ctrl-C ends it, once it has answered what it was asked.");
    }));
    (model.serve)(&setup)?;
    let totals = setup.stats.total();
    println!(
        "ended: {} requests on {} connections",
        totals.requests, totals.accepted
    );
    Ok(())
}

/// Serves, and is its own client meanwhile.
fn show(model: &Model, options: &Options) -> io::Result<()> {
    let setup = set_up(model, (Ipv4Addr::LOCALHOST, 0).into(), options)?;
    println!("{}: {}", model.name, model.workers_are);
    let client = Arc::new(Mutex::new(None));
    *setup
        .on_ready
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = Some(Box::new({
        let (address, stats) = (setup.address(), setup.stats.clone());
        let shutdown = Arc::clone(&setup.shutdown);
        let client = Arc::clone(&client);
        move || {
            let visit = thread::spawn(move || {
                let outcome = tour::visit(address, &stats);
                shutdown.request();
                outcome
            });
            *client.lock().unwrap_or_else(PoisonError::into_inner) = Some(visit);
        }
    }));
    (model.serve)(&setup)?;
    let visit = client.lock().unwrap_or_else(PoisonError::into_inner).take();
    let visit = visit.ok_or_else(|| io::Error::other("the server ended before it began"))?;
    let record = visit
        .join()
        .map_err(|_| io::Error::other("the client panicked"))??;
    tour::tell_end(&setup.stats);
    record.save()
}
