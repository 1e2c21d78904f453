//! What must hold on any database. Each claim is a function here and a test of that name for SQLite,
//! and one for PostgreSQL.

use std::any::Any;
use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use exec_idempotency::bank::{Bank, Entry, Ledger};
use exec_idempotency::drive::{End, Process, Told};
use exec_idempotency::payments::{Answer, KEPT_S, LEASE_S, Reply, Request, Service};
use exec_idempotency::store::{self, Row};
use exec_idempotency::worker::Options;
use tempfile::TempDir;

/// How many duplicates there are of a request, each with a connection of its own.
pub const DUPLICATES: usize = 100;

/// How long duplicates go on asking while they are told to wait.
const DEADLINE: Duration = Duration::from_secs(60);

/// The request of all tests that need but one.
const REQUEST: &str = "shop-1 8e03978e visa-1 4200";

/// Any time. The clock of services that run in the test does not move.
const NOW_S: u64 = 1_800_000_000;

const PROGRAM: &str = env!("CARGO_BIN_EXE_exec-idempotency");

/// An empty database, for as long as this lives.
pub struct Database {
    /// A file or a URL.
    pub name: String,
    /// What removes it when it is dropped.
    pub _keep: Box<dyn Any>,
}

impl Database {
    /// A file of SQLite's.
    pub fn sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let name = folder.path().join("payments.db");
        Self {
            name: name.to_str().unwrap().to_owned(),
            _keep: Box::new(folder),
        }
    }
}

/// A database and a bank.
pub struct World {
    database: Database,
    folder: TempDir,
    bank: Option<Process>,
    address: SocketAddr,
}

/// The options of a worker that stops at each step.
const STEP: Options = Options {
    step: true,
    later_s: 0,
    one_transaction: false,
};

/// The options of a worker that starts after the leases of those before it.
const LATER: Options = Options {
    step: false,
    later_s: LEASE_S,
    one_transaction: false,
};

impl World {
    pub fn new(database: Database) -> Self {
        let folder = TempDir::new().unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let ledger = folder.path().join("ledger.db");
        let (bank, address) = Process::bank(Path::new(PROGRAM), &ledger, any, false).unwrap();
        Self {
            database,
            folder,
            bank: Some(bank),
            address,
        }
    }

    /// A file that goes when this does.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ledger(&self) -> PathBuf {
        self.file("ledger.db")
    }

    #[allow(dead_code, reason = "only the peers' tests trace a worker")]
    pub fn database(&self) -> &str {
        &self.database.name
    }

    #[allow(dead_code, reason = "only the peers' tests trace a worker")]
    pub fn bank(&self) -> SocketAddr {
        self.address
    }

    /// Opens the bank again, after the one before was killed, with the ledger that it left.
    fn open_bank(&mut self, step: bool) {
        self.bank = None;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (bank, address) = Process::bank(Path::new(PROGRAM), &self.ledger(), any, step).unwrap();
        self.bank = Some(bank);
        self.address = address;
    }

    pub fn worker(&self, options: Options) -> Process {
        let program = Path::new(PROGRAM);
        Process::worker(program, &self.database.name, self.address, options).unwrap()
    }

    fn service(&self) -> Service<'static> {
        let store = store::open(&self.database.name).unwrap();
        Service::new(store, Bank::new(self.address))
    }

    pub fn entries(&self) -> Vec<Entry> {
        Ledger::open(&self.ledger()).unwrap().entries().unwrap()
    }

    /// How many payments of the client of [`REQUEST`] are in our own books.
    fn recorded(&self) -> u64 {
        let mut store = store::open(&self.database.name).unwrap();
        store.payments("shop-1").unwrap()
    }

    /// One charge, recorded once. Gives how often the bank was asked for it.
    #[track_caller]
    fn has_charged_once(&self) -> u64 {
        let entries = self.entries();
        let [entry] = &entries[..] else {
            panic!("the bank knows of {entries:?}");
        };
        assert!(entry.charged, "{entry:?}");
        assert_eq!(self.recorded(), 1);
        entry.asked
    }
}

#[track_caller]
fn is_paid(told: &Told) {
    assert_eq!(told.status, 201, "{told:?}");
    assert!(told.body.contains(r#""status":"paid""#), "{told:?}");
}

#[track_caller]
fn only_one<T: std::hash::Hash + Eq + std::fmt::Debug>(all: impl IntoIterator<Item = T>) {
    let different: HashSet<T> = all.into_iter().collect();
    assert_eq!(different.len(), 1, "{different:?}");
}

/// Calls until the answer is another than «in progress».
fn patiently<T>(mut ask: impl FnMut() -> T, status: impl Fn(&T) -> u16) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        let told = ask();
        if status(&told) != 409 {
            return told;
        }
        assert!(Instant::now() < until, "it is in progress for ever");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The steps of a first request, as a dry run counts them.
fn steps(database: Database) -> Vec<String> {
    let world = World::new(database);
    let mut steps = Vec::new();
    let end = world.worker(STEP).ask_and_kill(REQUEST, |step| {
        steps.push(step.to_owned());
        false
    });
    assert!(matches!(end.unwrap(), End::Answered(told) if told.status == 201));
    steps
}

/// Kills a worker at the step of that number, counted from 0, and gives the step's name; or, if there
/// are not so many, the answer.
fn kill_at(world: &World, options: Options, number: usize) -> End {
    let mut counted = 0..;
    let mut worker = world.worker(Options {
        step: true,
        ..options
    });
    let kill = |_: &str| counted.next() == Some(number);
    worker.ask_and_kill(REQUEST, kill).unwrap()
}

pub fn a_hundred_processes_at_once_get_one_charge_and_one_answer(database: Database, most: usize) {
    let world = World::new(database);
    let count = DUPLICATES.min(most);
    let mut workers: Vec<Process> = (0..count)
        .map(|_| world.worker(Options::default()))
        .collect();
    for worker in &mut workers {
        worker.send(REQUEST).unwrap();
    }
    let first: Vec<Told> = workers.iter().map(|one| one.answer().unwrap()).collect();
    // Whoever is not told to wait is told the same, and only one of them for the first time.
    let answered: Vec<&Told> = first.iter().filter(|told| told.status != 409).collect();
    assert!(answered.iter().filter(|told| !told.replayed).count() <= 1);

    let told = workers.iter_mut().map(|worker| {
        let told = patiently(|| worker.ask(REQUEST).unwrap(), |told| told.status);
        is_paid(&told);
        told.body
    });
    only_one(told.chain(answered.into_iter().map(|told| told.body.clone())));
    assert_eq!(
        world.has_charged_once(),
        1,
        "only one of them asks the bank"
    );
}

pub fn a_hundred_threads_at_once_get_one_charge_and_one_answer(database: Database, most: usize) {
    let world = World::new(database);
    let count = DUPLICATES.min(most);
    let start = Arc::new(Barrier::new(count));
    let threads: Vec<_> = (0..count)
        .map(|_| {
            let (start, name, bank) = (start.clone(), world.database.name.clone(), world.address);
            thread::spawn(move || {
                let store = store::open(&name);
                start.wait(); // whatever came of it, so that nobody waits for one that has failed
                let mut service = Service::new(store.unwrap(), Bank::new(bank));
                let request: Request = REQUEST.parse().unwrap();
                patiently(
                    || service.pay(NOW_S, &request).unwrap(),
                    |reply| reply.answer.status,
                )
            })
        })
        .collect();
    let replies: Vec<Reply> = threads
        .into_iter()
        .map(|each| each.join().unwrap())
        .collect();
    let fresh = replies.iter().filter(|reply| !reply.replayed).count();
    assert_eq!(fresh, 1, "{replies:?}");
    only_one(replies.into_iter().map(|reply| {
        assert_eq!(reply.answer.status, 201);
        reply.answer.body
    }));
    assert_eq!(
        world.has_charged_once(),
        1,
        "only one of them asks the bank"
    );
}

pub fn a_hundred_may_open_a_new_database_at_once(database: impl Fn() -> Database, most: usize) {
    // What can go wrong here does so seldom.
    for _ in 0..10 {
        let database = database();
        let (sender, receiver) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..DUPLICATES.min(most) {
                let (name, sender) = (&database.name, sender.clone());
                scope.spawn(move || {
                    let opened = store::open(name).map(drop);
                    sender.send(opened.map_err(|error| error.to_string()))
                });
            }
        });
        drop(sender);
        let failed: Vec<String> = receiver.into_iter().filter_map(Result::err).collect();
        assert!(failed.is_empty(), "{failed:?}");
    }
}

pub fn a_worker_killed_at_any_step_charges_once(database: impl Fn() -> Database) {
    let steps = steps(database());
    assert!(steps.len() > 5, "{steps:?}");
    for (number, step) in steps.iter().enumerate() {
        let world = World::new(database());
        let end = kill_at(&world, STEP, number);
        assert_eq!(end, End::Killed(step.clone()));

        // Before the key is committed nothing has happened, after the answer is everything has. In
        // between the dead worker counts as alive until its lease is over.
        let at_once = world.worker(Options::default()).ask(REQUEST).unwrap();
        match step.as_str() {
            "request read" | "key inserted" => {
                assert_eq!((at_once.status, at_once.replayed), (201, false))
            }
            "answer committed" => assert_eq!((at_once.status, at_once.replayed), (201, true)),
            _ => assert_eq!(at_once.status, 409, "killed at {step}"),
        }
        let told: Vec<Told> = (0..3)
            .map(|_| world.worker(LATER).ask(REQUEST).unwrap())
            .collect();
        told.iter().for_each(is_paid);
        only_one(told.into_iter().map(|told| told.body));
        let asked = world.has_charged_once();
        let knew = ["bank asked", "bank answered", "payment recorded"].contains(&step.as_str());
        assert_eq!(asked, 1 + u64::from(knew), "killed at {step}");
    }
}

pub fn a_worker_killed_while_it_goes_on_for_a_dead_one_charges_once(
    database: impl Fn() -> Database,
) {
    let mut pairs = 0;
    for first in 0.. {
        let world = World::new(database());
        if !matches!(kill_at(&world, STEP, first), End::Killed(_)) {
            break;
        }
        drop(world);
        for second in 0.. {
            let world = World::new(database());
            kill_at(&world, STEP, first);
            let end = kill_at(&world, LATER, second);
            let later_s = 2 * LEASE_S;
            let told = world
                .worker(Options { later_s, ..LATER })
                .ask(REQUEST)
                .unwrap();
            is_paid(&told);
            world.has_charged_once();
            if let End::Answered(before) = end {
                assert_eq!(before.body, told.body);
                break;
            }
            pairs += 1;
        }
    }
    assert!(pairs > 25, "{pairs}");
}

pub fn what_no_client_asks_for_again_is_completed(database: impl Fn() -> Database) {
    for number in 0.. {
        let world = World::new(database());
        let End::Killed(step) = kill_at(&world, STEP, number) else {
            break;
        };
        let mut recovery = world.worker(LATER);
        recovery.send("recover").unwrap();
        let told = recovery.line().unwrap();
        // What the bank has charged is in our books, and what it has not is not.
        let charged = world.entries().len() as u64;
        assert_eq!(world.recorded(), charged, "killed at {step}");
        let begun = !["request read", "key inserted"].contains(&step.as_str());
        assert_eq!(charged, u64::from(begun), "killed at {step}");
        let left = begun && step != "answer committed";
        assert_eq!(
            told,
            format!("recovered {}", u64::from(left)),
            "killed at {step}"
        );
    }
}

pub fn a_slow_worker_that_counts_as_dead_does_no_harm(database: impl Fn() -> Database) {
    for step in steps(database()) {
        if step == "key inserted" || step == "payment recorded" {
            continue; // it holds its locks there, and others wait for it instead
        }
        let world = World::new(database());
        let mut slow = world.worker(STEP);
        slow.send(REQUEST).unwrap();
        let reached = format!("at {step}");
        while slow.line().unwrap() != reached {
            slow.send("go on").unwrap();
        }
        // Others take over and finish, and then it wakes up.
        let told = world.worker(LATER).ask(REQUEST).unwrap();
        is_paid(&told);
        slow.send("go on").unwrap();
        let late = loop {
            match slow.line().unwrap() {
                line if line.starts_with("at ") => slow.send("go on").unwrap(),
                line => break line,
            }
        };
        assert!(
            late.starts_with("201 ") && late.ends_with(&told.body),
            "{step}: {late}"
        );
        world.has_charged_once();
    }
}

pub fn a_slow_worker_does_not_answer_for_a_later_payment_of_the_same_key(database: Database) {
    let world = World::new(database);
    let request: Request = REQUEST.parse().unwrap();
    let a_day_later = NOW_S + KEPT_S;
    let mut others = Vec::new();
    let slow = {
        let mut service = world.service().at_each_step(|step| {
            if step == "bank answered" {
                // Meanwhile others finish, a day passes, and the key means another payment.
                for now_s in [NOW_S + LEASE_S, a_day_later] {
                    others.push(world.service().pay(now_s, &request).unwrap());
                }
            }
        });
        service.pay(NOW_S, &request).unwrap()
    };
    assert_eq!(slow.answer, others[0].answer);
    assert_ne!(slow.answer, others[1].answer);
    let now = world.service().pay(a_day_later, &request).unwrap();
    assert_eq!((now.answer, now.replayed), (others[1].answer.clone(), true));
    assert_eq!((world.entries().len(), world.recorded()), (2, 2));
}

pub fn of_a_hundred_that_find_a_dead_worker_one_goes_on(database: Database, most: usize) {
    let world = World::new(database);
    let steps = kill_at(&world, STEP, 4);
    assert_eq!(steps, End::Killed("bank answered".to_owned()));
    let mut workers: Vec<Process> = (0..DUPLICATES.min(most))
        .map(|_| world.worker(LATER))
        .collect();
    for worker in &mut workers {
        worker.send(REQUEST).unwrap();
    }
    let fresh = workers
        .iter()
        .map(|worker| worker.answer().unwrap())
        .filter(|told| told.status == 201 && !told.replayed);
    assert_eq!(fresh.count(), 1);
    assert_eq!(world.has_charged_once(), 2, "the dead one, and one more");
}

pub fn a_bank_killed_at_any_step_charges_once(database: impl Fn() -> Database) {
    let mut killed = Vec::new();
    loop {
        let mut world = World::new(database());
        world.open_bank(true);
        let mut worker = world.worker(Options::default());
        worker.send(REQUEST).unwrap();
        let mut bank = world.bank.take().unwrap();
        let mut steps = Vec::new();
        while steps.len() < 2 {
            steps.push(bank.line().unwrap());
            if steps.len() == killed.len() + 1 {
                bank.kill().unwrap();
                break;
            }
            bank.send("go on").unwrap();
        }
        // No answer is no answer: charged or not, the client is not told either.
        assert_eq!(worker.answer().unwrap().status, 503);
        world.open_bank(false);
        // Nobody needs to wait for the lease of a worker that has given up.
        is_paid(&world.worker(Options::default()).ask(REQUEST).unwrap());
        let charged_before = steps.last().unwrap() == "at charge committed";
        assert_eq!(world.has_charged_once(), 1 + u64::from(charged_before));
        killed.push(steps.pop().unwrap());
        if charged_before {
            break;
        }
    }
    assert_eq!(killed, ["at charge inserted", "at charge committed"]);
}

pub fn without_a_bank_nothing_is_stored_and_the_next_attempt_pays(database: Database) {
    let mut world = World::new(database);
    // A port where nobody listens, and one whose connections are closed without a word.
    let refused = SocketAddr::from(([127, 0, 0, 1], 1));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = silent.local_addr().unwrap();
    let closing = thread::spawn(move || drop(silent.accept().unwrap()));
    for no_bank in [refused, closed] {
        world.address = no_bank;
        let told = world.worker(Options::default()).ask(REQUEST).unwrap();
        assert_eq!((told.status, told.replayed), (503, false));
    }
    closing.join().unwrap();
    world.open_bank(false);
    let told = world.worker(Options::default()).ask(REQUEST).unwrap();
    is_paid(&told);
    assert!(!told.replayed);
    assert_eq!(world.has_charged_once(), 1);
}

pub fn another_payment_under_a_known_key_is_refused_whatever_became_of_the_first(
    database: impl Fn() -> Database,
) {
    let others = ["shop-1 8e03978e visa-1 4201", "shop-1 8e03978e visa-2 4200"];
    for number in 2.. {
        let world = World::new(database());
        let end = kill_at(&world, STEP, number);
        for options in [Options::default(), LATER] {
            let mut worker = world.worker(options);
            for other in others {
                assert_eq!(worker.ask(other).unwrap().status, 422, "after {end:?}");
            }
        }
        // And it did not change what the key stands for.
        is_paid(&world.worker(LATER).ask(REQUEST).unwrap());
        world.has_charged_once();
        if matches!(end, End::Answered(_)) {
            break;
        }
    }
}

pub fn keys_of_two_clients_have_nothing_to_do_with_each_other(database: Database) {
    let world = World::new(database);
    let mut worker = world.worker(Options::default());
    let [ours, theirs] = ["shop-1 8e03978e visa-1 4200", "shop-2 8e03978e visa-9 700"]
        .map(|request| worker.ask(request).unwrap());
    is_paid(&ours);
    is_paid(&theirs);
    assert!(!theirs.replayed);
    assert_ne!(ours.body, theirs.body);
    let cards = world.entries().into_iter().map(|entry| entry.payment.card);
    assert_eq!(cards.collect::<Vec<_>>(), ["visa-1", "visa-9"]);
}

pub fn a_declined_payment_is_an_answer_and_is_kept(database: Database) {
    let world = World::new(database);
    let mut worker = world.worker(Options::default());
    let [first, second] = [(), ()].map(|()| worker.ask("shop-1 8e03978e visa-1 100001").unwrap());
    assert_eq!((first.status, first.replayed), (402, false));
    assert_eq!((second.status, second.replayed), (402, true));
    assert_eq!(first.body, second.body);
    let entries = world.entries();
    assert!(matches!(&entries[..], [entry] if !entry.charged && entry.asked == 1));
}

pub fn an_answer_is_kept_for_a_day_and_an_unanswered_request_for_ever(database: Database) {
    let world = World::new(database);
    let mut service = world.service();
    let answered: Request = REQUEST.parse().unwrap();
    let first = service.pay(NOW_S, &answered).unwrap();
    assert_eq!(first.answer.status, 201);

    // A request whose worker has stopped behind the charge.
    let abandoned: Request = "shop-1 abandoned visa-2 100".parse().unwrap();
    let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let service = world.service();
        let mut service = service.at_each_step(|step| {
            if step == "bank answered" {
                // Not a panic, whose message would be in the way.
                std::panic::resume_unwind(Box::new(()));
            }
        });
        service.pay(NOW_S, &abandoned)
    }));
    assert!(stopped.is_err());

    let almost = NOW_S + KEPT_S - 1;
    assert_eq!(service.forget(almost).unwrap(), 0);
    assert_eq!(
        service.pay(almost, &answered).unwrap(),
        Reply {
            answer: first.answer.clone(),
            replayed: true
        }
    );
    // Expired but not yet deleted, and deleted, are the same to a client: the key is free.
    let second = service.pay(NOW_S + KEPT_S, &answered).unwrap();
    assert!(!second.replayed && second.answer != first.answer);
    assert_eq!(service.forget(NOW_S + 2 * KEPT_S).unwrap(), 1);
    let third = service.pay(NOW_S + 2 * KEPT_S, &answered).unwrap();
    assert!(!third.replayed && third.answer != second.answer);

    // But where the answer is missing, even a year later the bank is asked with the old reference.
    let year = NOW_S + 365 * KEPT_S;
    assert_eq!(service.forget(year).unwrap(), 1);
    let at_last = service.pay(year, &abandoned).unwrap();
    assert_eq!(at_last.answer.status, 201);
    let of_card = |entry: &Entry| entry.payment.card == "visa-2";
    let entries: Vec<Entry> = world.entries().into_iter().filter(of_card).collect();
    assert!(
        matches!(&entries[..], [entry] if entry.asked == 2),
        "{entries:?}"
    );
}

pub fn forgetting_goes_in_batches_and_skips_what_is_unanswered(database: Database) {
    let mut store = store::open(&database.name).unwrap();
    let mut transaction = store.begin().unwrap();
    for number in 0..6 {
        let answered = number % 2 == 1;
        let row = Row {
            client: "client".to_owned(),
            key: format!("key {number}"),
            payment: "visa-1 4200".to_owned(),
            reference: format!("reference {number}"),
            leased_until_s: 0,
            expires_s: number,
            answer: answered.then(|| Answer {
                status: 201,
                body: "{}".to_owned(),
            }),
        };
        assert!(transaction.insert(&row).unwrap());
    }
    transaction.commit().unwrap();
    let forgotten = [(); 4].map(|()| store.forget(NOW_S, 1).unwrap());
    assert_eq!(forgotten, [1, 1, 1, 0]);
    let left = store.abandoned(NOW_S, 2).unwrap();
    assert_eq!(left.len(), 2, "of three");
}

pub fn in_one_transaction_a_crash_behind_the_charge_charges_twice(database: impl Fn() -> Database) {
    let one_transaction = true;
    let wrong = Options {
        one_transaction,
        ..Options::default()
    };
    let mut charges = Vec::new();
    for number in 0.. {
        let world = World::new(database());
        let End::Killed(step) = kill_at(&world, wrong, number) else {
            break;
        };
        is_paid(&world.worker(wrong).ask(REQUEST).unwrap());
        assert_eq!(world.recorded(), 1, "our own books look fine");
        charges.push((step, world.entries().len()));
    }
    let charges: Vec<(&str, usize)> = charges
        .iter()
        .map(|(step, n)| (step.as_str(), *n))
        .collect();
    assert_eq!(
        charges,
        [
            ("request read", 1),
            ("key inserted", 1),
            ("bank asked", 2),
            ("bank answered", 2),
            ("payment recorded", 2),
            ("answer committed", 1),
        ]
    );
}

pub fn what_is_no_request_is_refused_and_changes_nothing(database: Database) {
    let world = World::new(database);
    let mut worker = world.worker(Options::default());
    let long = "k".repeat(256);
    let megabyte = format!("{REQUEST}{}", " ".repeat(1 << 20));
    for line in [
        "",
        "shop-1",
        "shop-1 key",
        "shop-1 key visa-1",
        "shop-1  visa-1 4200",
        "shop-1 key visa-1 0",
        "shop-1 key visa-1 -1",
        "shop-1 key visa-1 +1",
        "shop-1 key visa-1 1e3",
        "shop-1 key visa-1 1000000001",
        "shop-1 key visa-1 99999999999999999999",
        "shop-1 key visa-1 4200 more",
        "shop-1 k\u{e9}y visa-1 4200",
        "shop-1 key\u{1} visa-1 4200",
        &format!("shop-1 {long} visa-1 4200"),
        &format!("{long} key visa-1 4200"),
        &format!("shop-1 key {long} 4200"),
        &megabyte,
    ] {
        assert_eq!(worker.ask(line).unwrap().status, 400, "{line:?}");
    }
    assert!(world.entries().is_empty());
    is_paid(&worker.ask(REQUEST).unwrap());
    assert_eq!(world.has_charged_once(), 1);
}
