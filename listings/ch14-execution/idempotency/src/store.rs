//! Where keys, answers and payments are kept.

use std::fmt;
use std::time::Duration;

use crate::payments::{Answer, Invalid};

mod postgres;
mod sqlite;

pub use self::postgres::Postgres;
pub use self::sqlite::Sqlite;
pub(crate) use self::sqlite::connect as sqlite_connection;

/// How long a transaction waits for another one's locks. All of ours are over in milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(10);

// ANCHOR: row
/// What is known of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Who sent it. Two clients may choose the same key.
    pub client: String,
    /// What the client called it.
    pub key: String,
    /// What it asks for, to be compared with what a repetition asks for.
    pub payment: String,
    /// What we call it when we talk to the bank.
    pub reference: String,
    /// Until when a worker has it to itself, in seconds of the Unix clock.
    pub leased_until_s: u64,
    /// From when on the answer may be forgotten.
    pub expires_s: u64,
    /// What the client was told, or nothing so far.
    pub answer: Option<Answer>,
}
// ANCHOR_END: row

/// A database.
pub trait Store {
    /// Begins a transaction.
    ///
    /// # Errors
    ///
    /// When the database fails, or has others to serve for longer than [`PATIENCE`].
    fn begin(&mut self) -> Result<Box<dyn Transaction + '_>, Error>;

    /// Requests without an answer that no worker has a lease on, at most so many.
    ///
    /// # Errors
    ///
    /// When the database fails, as do the other methods.
    fn abandoned(&mut self, now_s: u64, most: u32) -> Result<Vec<Row>, Error>;

    /// Deletes answered requests that have expired, at most so many, and gives how many.
    ///
    /// # Errors
    ///
    /// When the database fails.
    fn forget(&mut self, now_s: u64, most: u32) -> Result<u64, Error>;

    /// How many payments of a client are recorded.
    ///
    /// # Errors
    ///
    /// When the database fails.
    fn payments(&mut self, client: &str) -> Result<u64, Error>;
}

// ANCHOR: transaction
/// A transaction. What it did is gone when it is dropped without [`commit`](Self::commit), and just
/// so when the process dies.
pub trait Transaction {
    /// Adds a row, unless there is one of its client and key: then false. Waits for a transaction
    /// that is about to add one.
    fn insert(&mut self, row: &Row) -> Result<bool, Error>;

    /// Reads a row, and keeps all others from changing it until this transaction has ended.
    fn lock(&mut self, client: &str, key: &str) -> Result<Option<Row>, Error>;

    /// Replaces the row of its client and key.
    fn update(&mut self, row: &Row) -> Result<(), Error>;

    /// Adds a payment to our own books.
    fn record(
        &mut self,
        reference: &str,
        client: &str,
        cents: u64,
        answer: &Answer,
    ) -> Result<(), Error>;

    /// Makes all of it last.
    fn commit(self: Box<Self>) -> Result<(), Error>;
}
// ANCHOR_END: transaction

/// The statements, which both databases understand.
mod sql {
    // ANCHOR: tables
    pub const TABLES: &str = "
        CREATE TABLE IF NOT EXISTS request (
            client         TEXT   NOT NULL,
            key            TEXT   NOT NULL,
            payment        TEXT   NOT NULL,
            reference      TEXT   NOT NULL UNIQUE,
            leased_until_s BIGINT NOT NULL,
            expires_s      BIGINT NOT NULL,
            status         BIGINT,
            body           TEXT,
            PRIMARY KEY (client, key),
            CHECK ((status IS NULL) = (body IS NULL))
        );
        CREATE TABLE IF NOT EXISTS payment (
            reference TEXT   NOT NULL PRIMARY KEY,
            client    TEXT   NOT NULL,
            cents     BIGINT NOT NULL,
            status    BIGINT NOT NULL
        );
        CREATE INDEX IF NOT EXISTS unanswered ON request (leased_until_s) WHERE status IS NULL;
        CREATE INDEX IF NOT EXISTS answered ON request (expires_s) WHERE status IS NOT NULL;";

    pub const INSERT: &str = "
        INSERT INTO request VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (client, key) DO NOTHING";
    // ANCHOR_END: tables

    /// What [`INSERT`] puts in, in its order.
    macro_rules! select {
        ($rest:literal) => {
            concat!(
                "SELECT client, key, payment, reference, leased_until_s, expires_s, status, body \
                 FROM request ",
                $rest
            )
        };
    }

    pub const FIND: &str = select!("WHERE client = $1 AND key = $2");
    pub const FIND_FOR_UPDATE: &str = select!("WHERE client = $1 AND key = $2 FOR UPDATE");
    pub const ABANDONED: &str =
        select!("WHERE status IS NULL AND leased_until_s <= $1 ORDER BY leased_until_s LIMIT $2");
    pub const UPDATE: &str = "
        UPDATE request
        SET payment = $3, reference = $4, leased_until_s = $5, expires_s = $6, status = $7, body = $8
        WHERE client = $1 AND key = $2";
    pub const RECORD: &str = "INSERT INTO payment VALUES ($1, $2, $3, $4)";
    // Both conditions twice: a row that changed while the statement waited for it is looked at again,
    // and only the outer ones are.
    pub const FORGET: &str = "
        DELETE FROM request
        WHERE expires_s <= $1 AND status IS NOT NULL AND (client, key) IN (
            SELECT client, key FROM request
            WHERE expires_s <= $1 AND status IS NOT NULL ORDER BY expires_s LIMIT $2)";
    pub const PAYMENTS: &str = "SELECT count(*) FROM payment WHERE client = $1";
}

/// Opens a database: a URL of PostgreSQL's, or a file, which is made if there is none.
///
/// # Errors
///
/// When it cannot be opened, or its tables not made.
pub fn open(database: &str) -> Result<Box<dyn Store>, Error> {
    let is_url = ["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| database.starts_with(scheme));
    Ok(if is_url {
        Box::new(Postgres::open(database)?)
    } else {
        Box::new(Sqlite::open(database.as_ref())?)
    })
}

/// What a database has to complain of.
#[derive(Debug)]
pub enum Error {
    /// SQLite's error.
    Sqlite(rusqlite::Error),
    /// PostgreSQL's.
    Postgres(::postgres::Error),
    /// It holds what was never put in.
    Corrupt(&'static str),
}

impl Error {
    pub(crate) fn corrupt(Invalid(reason): Invalid) -> Self {
        Self::Corrupt(reason)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(error) => write!(f, "SQLite: {error}"),
            // Its own text says only that the database had an error, and not which.
            Self::Postgres(error) => match error.as_db_error() {
                Some(error) => write!(f, "PostgreSQL: {error}"),
                None => write!(f, "PostgreSQL: {error}"),
            },
            Self::Corrupt(reason) => write!(f, "the database is not as we left it: {reason}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<::postgres::Error> for Error {
    fn from(error: ::postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

/// A change that finds nothing to change is not to pass for one.
fn changed_one(count: u64) -> Result<(), Error> {
    match count {
        1 => Ok(()),
        _ => Err(Error::Corrupt("a change did not change one row")),
    }
}

/// Databases have no unsigned integers.
fn signed(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> Result<u64, Error> {
    u64::try_from(number).map_err(|_| Error::Corrupt("a negative number"))
}

fn answer(status: Option<i64>, body: Option<String>) -> Result<Option<Answer>, Error> {
    let Some((status, body)) = status.zip(body) else {
        return Ok(None);
    };
    let status = u16::try_from(status).map_err(|_| Error::Corrupt("no status code"))?;
    Ok(Some(Answer { status, body }))
}
