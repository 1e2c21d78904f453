//! Payments by request ID: repeated, a hundred at once, and with the process killed at every step,
//! each is charged once and answered the same.
//!
//! ```text
//! cargo run -p exec-idempotency
//! cargo run -p exec-idempotency -- bank ledger.db 127.0.0.1:7000
//! cargo run -p exec-idempotency -- worker payments.db 127.0.0.1:7000
//! ```
//!
//! Look for the table: at which step a worker was killed, what the repeated request was told, and how
//! often the bank has charged; beside it, what happens if all is done in one transaction. The other
//! two commands are the processes that the first one starts and kills. The worker reads requests from
//! its standard input, as `shop-1 8e03978e visa-1 4200`; its database may be a URL of PostgreSQL's.

#![forbid(unsafe_code)]

mod tour;

use std::net::SocketAddr;
use std::process::ExitCode;

use exec_idempotency::worker::{self, Options};

const USAGE: &str = "\
usage: exec-idempotency
       exec-idempotency bank LEDGER [ADDRESS:PORT] [--step]
       exec-idempotency worker DATABASE ADDRESS:PORT [--step] [--later SECONDS] [--one-transaction]

Without arguments it shows itself. LEDGER and DATABASE are files, which are made if there are none;
DATABASE may be a URL, postgres://… The worker reads requests, CLIENT KEY CARD CENTS, a line each,
and the words `recover` and `forget`.

  --step             stop at each step, say at which, and go on when a line comes in
  --later SECONDS    set the clock forward
  --one-transaction  do it wrong: everything in one transaction";

/// What to do.
enum Command {
    Tour,
    Bank {
        ledger: String,
        address: SocketAddr,
        step: bool,
    },
    Worker {
        database: String,
        bank: SocketAddr,
        options: Options,
    },
}

fn main() -> ExitCode {
    let Some(command) = parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let done = match command {
        Command::Tour => tour::run(),
        Command::Bank {
            ledger,
            address,
            step,
        } => worker::keep_bank(ledger.as_ref(), address, step),
        Command::Worker {
            database,
            bank,
            options,
        } => worker::work(&database, bank, options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("exec-idempotency: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Command> {
    let Some(command) = arguments.next() else {
        return Some(Command::Tour);
    };
    let mut options = Options::default();
    let mut places = Vec::new();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--step" => options.step = true,
            "--later" => options.later_s = arguments.next()?.parse::<u32>().ok()?.into(),
            "--one-transaction" => options.one_transaction = true,
            option if option.starts_with('-') => return None,
            _ => places.push(argument),
        }
    }
    let mut places = places.into_iter();
    let (first, second, rest) = (places.next()?, places.next(), places.next());
    let address = second.map(|address| address.parse()).transpose().ok()?;
    match (command.as_str(), options, rest) {
        (
            "bank",
            Options {
                step,
                later_s: 0,
                one_transaction: false,
            },
            None,
        ) => Some(Command::Bank {
            ledger: first,
            address: address.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0))),
            step,
        }),
        ("worker", options, None) => Some(Command::Worker {
            database: first,
            bank: address?,
            options,
        }),
        _ => None,
    }
}
