//! The two processes: a worker, which takes payments from its standard input, and the bank.

use std::io::{self, BufRead, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::bank::{self, Bank, Ledger};
use crate::payments::{LONGEST_NAME, Reply, Request, Service};
use crate::store;

/// Anything that ends a process.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// No line is longer, in bytes: three names, a number of up to twenty digits, and the spaces.
const LONGEST_LINE: u64 = 3 * LONGEST_NAME as u64 + 32;

/// How a worker works.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// How many seconds its clock is ahead of the system's: to see what happens later.
    pub later_s: u64,
    /// Whether it stops at each step, says at which, and goes on when it reads a line.
    pub step: bool,
    /// Whether it does all in one transaction, which is wrong.
    pub one_transaction: bool,
}

/// Reads requests from the standard input, a line each, and answers each with a line.
///
/// # Errors
///
/// When the database fails, or standard input and output do.
pub fn work(database: &str, bank: SocketAddr, options: Options) -> Result<(), Error> {
    let mut service = Service::new(store::open(database)?, Bank::new(bank));
    if options.step {
        service = service.at_each_step(stop_at);
    }
    say("ready")?;
    while let Some(line) = next_line()? {
        let now_s = now_s() + options.later_s;
        let reply = match line.as_str() {
            "recover" => {
                say(&format!("recovered {}", service.recover(now_s)?))?;
                continue;
            }
            "forget" => {
                say(&format!("forgot {}", service.forget(now_s)?))?;
                continue;
            }
            line => match line.parse::<Request>() {
                Err(invalid) => invalid.into(),
                Ok(request) if options.one_transaction => {
                    service.pay_in_one_transaction(now_s, &request)?
                }
                Ok(request) => service.pay(now_s, &request)?,
            },
        };
        let Reply { answer, replayed } = reply;
        let replayed = if replayed { "replayed" } else { "fresh" };
        say(&format!("{} {replayed} {}", answer.status, answer.body))?;
    }
    Ok(())
}

/// Keeps the bank open, until the process is killed.
///
/// # Errors
///
/// When it cannot listen or write its ledger.
pub fn keep_bank(ledger: &Path, address: SocketAddr, step: bool) -> Result<(), Error> {
    let mut ledger = Ledger::open(ledger)?;
    let listener = TcpListener::bind(address)?;
    say(&format!("the bank listens on {}", listener.local_addr()?))?;
    let at = if step { stop_at } else { |_: &'static str| () };
    Ok(bank::serve(&listener, &mut ledger, at)?)
}

/// The system's clock, in seconds since 1970.
#[must_use]
pub fn now_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

// ANCHOR: stop
/// Says which step was reached and waits for a line. Whoever reads it may also kill us here.
fn stop_at(step: &'static str) {
    let told = say(&format!("at {step}"));
    // Nobody is there any more to tell us to go on.
    if told.is_err() || !matches!(next_line(), Ok(Some(_))) {
        std::process::exit(1);
    }
}
// ANCHOR_END: stop

fn say(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// The next line without its end, or none. One that is longer than any request counts as empty, which
/// is no request either.
fn next_line() -> io::Result<Option<String>> {
    let mut stdin = io::stdin().lock();
    let mut line = Vec::new();
    if (&mut stdin)
        .take(LONGEST_LINE)
        .read_until(b'\n', &mut line)?
        == 0
    {
        return Ok(None);
    }
    if line.len() as u64 == LONGEST_LINE && !line.ends_with(b"\n") {
        stdin.skip_until(b'\n')?;
        line.clear();
    }
    Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()))
}
