//! SQLite: one file, one writer at a time.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};

use super::{Error, PATIENCE, Row, Store, Transaction, answer, changed_one, signed, sql, unsigned};
use crate::payments::Answer;

/// A connection to a file.
pub struct Sqlite(Connection);

impl Sqlite {
    /// Opens the file, and makes it with its tables if there is none.
    ///
    /// # Errors
    ///
    /// When SQLite cannot.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self(connect(path, sql::TABLES)?))
    }
}

/// How long a connection waits before it asks for the file again: about as long as another one has it.
const PAUSE: Duration = Duration::from_millis(2);

// ANCHOR: connect
/// A connection that waits for others instead of failing, writes ahead, and has on the disk what it
/// committed.
pub(crate) fn connect(path: &Path, tables: &str) -> Result<Connection, rusqlite::Error> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    write_ahead(&connection, || thread::sleep(PAUSE))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // All that are there at the start make the tables, one after the other.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(tables)?;
    transaction.commit()?;
    Ok(connection)
}

/// Changes to writing ahead. While another one writes, SQLite refuses that, however patient we are.
fn write_ahead(connection: &Connection, mut pause: impl FnMut()) -> Result<(), rusqlite::Error> {
    let until = Instant::now() + PATIENCE;
    while let Err(error) = connection.pragma_update(None, "journal_mode", "WAL") {
        if error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy) || Instant::now() > until {
            return Err(error);
        }
        pause();
    }
    Ok(())
}
// ANCHOR_END: connect

// ANCHOR: sqlite
impl Store for Sqlite {
    fn begin(&mut self) -> Result<Box<dyn Transaction + '_>, Error> {
        // BEGIN IMMEDIATE: waits here until no other transaction writes, and then is the only one.
        let behavior = TransactionBehavior::Immediate;
        Ok(Box::new(self.0.transaction_with_behavior(behavior)?))
    }
    // ANCHOR_END: sqlite

    fn abandoned(&mut self, now_s: u64, most: u32) -> Result<Vec<Row>, Error> {
        let mut statement = self.0.prepare_cached(&numbered(sql::ABANDONED))?;
        let mut rows = statement.query(params![signed(now_s), most])?;
        let mut found = Vec::new();
        while let Some(columns) = rows.next()? {
            found.push(row(columns)?);
        }
        Ok(found)
    }

    fn forget(&mut self, now_s: u64, most: u32) -> Result<u64, Error> {
        let parameters = params![signed(now_s), most];
        Ok(self.0.execute(&numbered(sql::FORGET), parameters)? as u64)
    }

    fn payments(&mut self, client: &str) -> Result<u64, Error> {
        let statement = numbered(sql::PAYMENTS);
        unsigned(self.0.query_row(&statement, [client], |row| row.get(0))?)
    }
}

impl Transaction for rusqlite::Transaction<'_> {
    fn insert(&mut self, row: &Row) -> Result<bool, Error> {
        Ok(put(self, sql::INSERT, row)? == 1)
    }

    fn lock(&mut self, client: &str, key: &str) -> Result<Option<Row>, Error> {
        // No FOR UPDATE: nobody else writes until this transaction has ended.
        let mut statement = self.prepare_cached(&numbered(sql::FIND))?;
        let found = statement.query_row([client, key], |columns| Ok(row(columns)));
        found.optional()?.transpose()
    }

    fn update(&mut self, row: &Row) -> Result<(), Error> {
        changed_one(put(self, sql::UPDATE, row)?)
    }

    fn record(
        &mut self,
        reference: &str,
        client: &str,
        cents: u64,
        answer: &Answer,
    ) -> Result<(), Error> {
        let parameters = params![reference, client, signed(cents), answer.status];
        changed_one(self.execute(&numbered(sql::RECORD), parameters)? as u64)
    }

    fn commit(self: Box<Self>) -> Result<(), Error> {
        Ok((*self).commit()?)
    }
}

fn put(connection: &Connection, statement: &str, row: &Row) -> Result<u64, Error> {
    let statement = numbered(statement);
    let (status, body) = row
        .answer
        .as_ref()
        .map(|answer| (answer.status, &answer.body))
        .unzip();
    Ok(connection.prepare_cached(&statement)?.execute(params![
        row.client,
        row.key,
        row.payment,
        row.reference,
        signed(row.leased_until_s),
        signed(row.expires_s),
        status,
        body,
    ])? as u64)
}

/// Writes `?1` for `$1`: SQLite would number the latter by where it first stands.
fn numbered(statement: &str) -> String {
    statement.replace('$', "?")
}

fn row(columns: &rusqlite::Row<'_>) -> Result<Row, Error> {
    Ok(Row {
        client: columns.get(0)?,
        key: columns.get(1)?,
        payment: columns.get(2)?,
        reference: columns.get(3)?,
        leased_until_s: unsigned(columns.get(4)?)?,
        expires_s: unsigned(columns.get(5)?)?,
        answer: answer(columns.get(6)?, columns.get(7)?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_does_not_wait_for_a_writer_to_change_to_writing_ahead_and_so_we_do() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Connection::open(folder.path().join("database")).unwrap();
        let (writer, patient) = (open(), open());
        patient.busy_timeout(PATIENCE).unwrap();
        writer.execute_batch("BEGIN IMMEDIATE").unwrap();
        let start = Instant::now();
        let mut refused = 0;
        let pause = || {
            assert!(start.elapsed() < PATIENCE / 2, "at once");
            refused += 1;
            writer.execute_batch("COMMIT").unwrap();
        };
        write_ahead(&patient, pause).unwrap();
        assert_eq!(refused, 1);
    }
}
