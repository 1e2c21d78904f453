//! What the listing shows when it is run without arguments.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use exec_idempotency::bank::Ledger;
use exec_idempotency::drive::{End, Process, Told};
use exec_idempotency::payments::{KEPT_S, LEASE_S};
use exec_idempotency::worker::{Error, Options};
use record::{Column, Record, Sequence, Table};
use tempfile::TempDir;

/// How many workers get the same request at once.
const WORKERS: usize = 100;

/// A client's name for a request: any string that it will not use again, as this UUID.
const KEY: &str = "8e03978e-40d5-43e8-bc93-6894a57f9324";

/// A bank and a database for workers; gone with all their files when this is dropped.
struct World {
    program: PathBuf,
    folder: TempDir,
    bank: SocketAddr,
    _bank: Process,
}

impl World {
    fn new() -> Result<Self, Error> {
        let program = std::env::current_exe()?;
        let folder = tempfile::tempdir()?;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let ledger = folder.path().join("ledger.db");
        let (_bank, bank) = Process::bank(&program, &ledger, any, false)?;
        Ok(Self {
            program,
            folder,
            bank,
            _bank,
        })
    }

    fn worker(&self, options: Options) -> Result<Process, Error> {
        let database = self.folder.path().join("payments.db");
        let database = database.to_str().ok_or("a folder whose name is no text")?;
        let worker = Process::worker(&self.program, database, self.bank, options)?;
        Ok(worker)
    }

    /// How many charges there are to a card, and how often the bank was asked for one.
    fn charges(&self, card: &str) -> Result<(usize, u64), Error> {
        let ledger: &Path = &self.folder.path().join("ledger.db");
        let mut entries = Ledger::open(ledger)?.entries()?;
        entries.retain(|entry| entry.payment.card == card);
        let charged = entries.iter().filter(|entry| entry.charged).count();
        Ok((charged, entries.iter().map(|entry| entry.asked).sum()))
    }
}

pub fn run() -> Result<(), Error> {
    let world = World::new()?;
    let mut record = Record::new();
    requests(&world)?;
    duplicates(&world)?;
    record.add("killed", killed(&world)?);
    record.add("crash", crash(&world)?);
    later(&world)?;
    record.save()?;
    Ok(())
}

/// `201 paid` for what a worker says.
fn in_words(told: &Told) -> String {
    let says = |name: &str| {
        let body: serde_json::Value = serde_json::from_str(&told.body).unwrap_or_default();
        body[name].as_str().map(str::to_owned)
    };
    let what = says("status").or_else(|| says("title")).unwrap_or_default();
    let again = if told.replayed { ", replayed" } else { "" };
    format!("{} {what}{again}", told.status)
}

fn requests(world: &World) -> Result<(), Error> {
    let mut worker = world.worker(Options::default())?;
    println!("One payment service and one bank, each with a database of its own:");
    // ANCHOR: requests
    for request in [
        format!("shop-1 {KEY} visa-1 4200"),
        format!("shop-1 {KEY} visa-1 4200"),
        format!("shop-1 {KEY} visa-1 9900"),
        format!("shop-2 {KEY} visa-1 4200"),
        "shop-1 another-key visa-1 250000".to_owned(),
        "shop-1 another-key visa-1 250000".to_owned(),
    ] {
        let told = worker.ask(&request)?;
        println!("  {request:54}  {}", in_words(&told));
    }
    // ANCHOR_END: requests
    let (charged, _) = world.charges("visa-1")?;
    println!("  the bank has charged {charged} times\n");
    Ok(())
}

fn duplicates(world: &World) -> Result<(), Error> {
    let request = format!("shop-3 {KEY} visa-3 4200");
    println!("{WORKERS} processes get the same request at once:");
    // ANCHOR: duplicates
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        workers.push(world.worker(Options::default())?);
    }
    for worker in &mut workers {
        worker.send(&request)?; // and nobody waits for an answer
    }
    let mut told = Vec::new();
    for worker in &mut workers {
        told.push(worker.answer()?);
    }
    // ANCHOR_END: duplicates
    let count = |what: &dyn Fn(&&Told) -> bool| told.iter().filter(what).count();
    println!(
        "  {} is told 201, {} the same 201 replayed, {} 409 in progress",
        count(&|told| told.status == 201 && !told.replayed),
        count(&|told| told.status == 201 && told.replayed),
        count(&|told| told.status == 409),
    );
    let again: Result<Vec<Told>, _> = workers
        .iter_mut()
        .map(|worker| worker.ask(&request))
        .collect();
    let mut bodies: Vec<String> = again?.into_iter().map(|told| told.body).collect();
    bodies.sort();
    bodies.dedup();
    println!(
        "  asked once more, all are told the same: {} body",
        bodies.len()
    );
    let (charged, asked) = world.charges("visa-3")?;
    println!("  the bank was asked {asked} time and has charged {charged} time\n");
    Ok(())
}

/// What became of a request whose worker was killed.
struct Killed {
    step: String,
    at_once: Told,
    after_lease: Told,
    charges: usize,
}

// ANCHOR: killed
/// Kills a worker at the step of that number, and repeats the request: at once, and when the dead
/// worker's lease is over. Nothing if the request was answered before that step.
fn kill_at(world: &World, number: usize, one_transaction: bool) -> Result<Option<Killed>, Error> {
    let card = format!("visa-4-{number}-{one_transaction}");
    let request = format!("{card} {KEY} {card} 4200"); // a client of its own as well
    let options = Options {
        one_transaction,
        ..Options::default()
    };
    let step = true;
    let mut victim = world.worker(Options { step, ..options })?;
    let mut steps = 0..;
    let kill = |_: &str| steps.next() == Some(number);
    let End::Killed(step) = victim.ask_and_kill(&request, kill)? else {
        return Ok(None);
    };
    let at_once = world.worker(options)?.ask(&request)?;
    let later_s = LEASE_S;
    let after_lease = world
        .worker(Options { later_s, ..options })?
        .ask(&request)?;
    let (charges, _) = world.charges(&card)?;
    Ok(Some(Killed {
        step,
        at_once,
        after_lease,
        charges,
    }))
}
// ANCHOR_END: killed

fn at_every_step(world: &World, one_transaction: bool) -> Result<Vec<Killed>, Error> {
    let mut all = Vec::new();
    while let Some(killed) = kill_at(world, all.len(), one_transaction)? {
        all.push(killed);
    }
    Ok(all)
}

fn killed(world: &World) -> Result<Table, Error> {
    let [two, one] = [false, true].map(|one_transaction| at_every_step(world, one_transaction));
    let (two, one) = (two?, one?);
    println!("The process is killed at a step, and the request repeated:");
    println!(
        "  {:17}  {:15}  {:19}  {:7}  in one transaction",
        "killed at", "repeated at once", "and after the lease", "charges"
    );
    let mut table = Table::new([
        Column::words("killed at"),
        Column::words("repeated at once"),
        Column::words("repeated after the lease"),
        Column::number("charges", ""),
        Column::number("charges, in one transaction", ""),
    ]);
    for killed in &two {
        let wrong = one.iter().find(|wrong| wrong.step == killed.step);
        let wrong = wrong.map_or("-".to_owned(), |wrong| wrong.charges.to_string());
        let status = |told: &Told| {
            let again = if told.replayed { " replayed" } else { "" };
            format!("{}{again}", told.status)
        };
        let [at_once, after] = [&killed.at_once, &killed.after_lease].map(status);
        let Killed { step, charges, .. } = killed;
        println!("  {step:17}  {at_once:16}  {after:19}  {charges:<7}  {wrong}");
        table = table.row([
            step.clone(),
            format!("`{}`", at_once),
            format!("`{}`", after),
            charges.to_string(),
            wrong,
        ]);
    }
    println!();
    Ok(table)
}

/// The step at which only the bank knows of the charge.
const WORST: &str = "bank answered";

/// A crash at the worst moment, seen from all sides.
fn crash(world: &World) -> Result<Sequence, Error> {
    let step = true;
    let mut victim = world.worker(Options {
        step,
        ..Options::default()
    })?;
    let start = Instant::now();
    let us = || start.elapsed().as_micros() as u64;
    let mut sequence = Sequence::new();
    let client = sequence.host("client", None);
    let worker = sequence.host("worker", None);
    let database = sequence.host("database", None);
    let bank = sequence.host("bank", None);
    let tell = |sequence: &mut Sequence, step: &str| match step {
        "key committed" => sequence.message(us(), worker, database, "key, reference", None),
        "bank asked" => sequence.message(us(), worker, bank, "charge reference", None),
        "bank answered" => sequence.message(us(), bank, worker, "charged", None),
        "lease committed" => sequence.message(us(), database, worker, "reference", None),
        "answer committed" => sequence.message(us(), worker, database, "payment, answer", None),
        _ => (),
    };
    let request = format!("shop-5 {KEY} visa-5 4200");

    sequence.message(us(), client, worker, "payment with key", None);
    victim.ask_and_kill(&request, |step| {
        tell(&mut sequence, step);
        step == WORST
    })?;
    let killed = "No one but the bank knows that it has charged.";
    sequence.state(us(), worker, "killed", Some(killed));

    let later_s = LEASE_S;
    let mut next = world.worker(Options {
        step,
        later_s,
        ..Options::default()
    })?;
    let started = "It finds the key without an answer, and its lease over.";
    sequence.state(us(), worker, "started again", Some(started));
    sequence.message(
        us(),
        client,
        worker,
        "payment with key",
        Some("The same request."),
    );
    let end = next.ask_and_kill(&request, |step| {
        tell(&mut sequence, step);
        false
    })?;
    let End::Answered(told) = end else {
        return Err("the second worker was killed".into());
    };
    let answer = format!("`{}`", told.status);
    sequence.message(us(), worker, client, answer, None);
    Ok(sequence)
}

fn later(world: &World) -> Result<(), Error> {
    let request = format!("shop-6 {KEY} visa-6 4200");
    let told = world.worker(Options::default())?.ask(&request)?;
    println!("The same request, and again later:");
    println!("  now                   {}", in_words(&told));
    for (when, later_s) in [
        ("a minute before a day", KEPT_S - 60),
        ("after a day", KEPT_S),
    ] {
        let mut worker = world.worker(Options {
            later_s,
            ..Options::default()
        })?;
        println!("  {when:21} {}", in_words(&worker.ask(&request)?));
    }
    let (charged, _) = world.charges("visa-6")?;
    println!("  the bank has charged {charged} times");
    Ok(())
}
