//! PostgreSQL: a server, many writers at a time.

use postgres::types::ToSql;
use postgres::{Client, IsolationLevel, NoTls};

use super::{Error, PATIENCE, Row, Store, Transaction, answer, changed_one, signed, sql, unsigned};
use crate::payments::Answer;

/// A connection to a server.
pub struct Postgres(Client);

/// What keeps those apart who make the tables at the same time, for which `IF NOT EXISTS` is not
/// enough. Any number would do that all of them know.
const MAKING_TABLES: i64 = 0x0069_6465_6d70;

impl Postgres {
    /// Connects, without TLS, and makes the tables if there are none.
    ///
    /// # Errors
    ///
    /// When the server does not answer or does not let us in.
    pub fn open(url: &str) -> Result<Self, Error> {
        let mut config: postgres::Config = url.parse()?;
        config.connect_timeout(PATIENCE);
        let mut client = config.connect(NoTls)?;
        client.batch_execute(&format!(
            "SET lock_timeout = '{ms}ms'; SET statement_timeout = '{ms}ms'",
            ms = PATIENCE.as_millis()
        ))?;
        let mut transaction = client.transaction()?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&MAKING_TABLES])?;
        transaction.batch_execute(sql::TABLES)?;
        transaction.commit()?;
        Ok(Self(client))
    }
}

// ANCHOR: postgres
impl Store for Postgres {
    fn begin(&mut self) -> Result<Box<dyn Transaction + '_>, Error> {
        // READ COMMITTED: each statement sees what was committed before it began, so that the one
        // that locks a row sees why the one before could not insert it.
        let level = IsolationLevel::ReadCommitted;
        let transaction = self.0.build_transaction().isolation_level(level);
        Ok(Box::new(transaction.start()?))
    }
    // ANCHOR_END: postgres

    fn abandoned(&mut self, now_s: u64, most: u32) -> Result<Vec<Row>, Error> {
        let rows = self
            .0
            .query(sql::ABANDONED, &[&signed(now_s), &i64::from(most)])?;
        rows.iter().map(row).collect()
    }

    fn forget(&mut self, now_s: u64, most: u32) -> Result<u64, Error> {
        let parameters: [&(dyn ToSql + Sync); 2] = [&signed(now_s), &i64::from(most)];
        Ok(self.0.execute(sql::FORGET, &parameters)?)
    }

    fn payments(&mut self, client: &str) -> Result<u64, Error> {
        unsigned(self.0.query_one(sql::PAYMENTS, &[&client])?.try_get(0)?)
    }
}

impl Transaction for postgres::Transaction<'_> {
    fn insert(&mut self, row: &Row) -> Result<bool, Error> {
        Ok(put(self, sql::INSERT, row)? == 1)
    }

    fn lock(&mut self, client: &str, key: &str) -> Result<Option<Row>, Error> {
        let found = self.query_opt(sql::FIND_FOR_UPDATE, &[&client, &key])?;
        found.as_ref().map(row).transpose()
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
        let status = i64::from(answer.status);
        let parameters: [&(dyn ToSql + Sync); 4] = [&reference, &client, &signed(cents), &status];
        changed_one(self.execute(sql::RECORD, &parameters)?)
    }

    fn commit(self: Box<Self>) -> Result<(), Error> {
        Ok((*self).commit()?)
    }
}

fn put(
    transaction: &mut postgres::Transaction<'_>,
    statement: &str,
    row: &Row,
) -> Result<u64, Error> {
    let answer = row.answer.as_ref();
    Ok(transaction.execute(
        statement,
        &[
            &row.client,
            &row.key,
            &row.payment,
            &row.reference,
            &signed(row.leased_until_s),
            &signed(row.expires_s),
            &answer.map(|answer| i64::from(answer.status)),
            &answer.map(|answer| &answer.body),
        ],
    )?)
}

fn row(columns: &postgres::Row) -> Result<Row, Error> {
    Ok(Row {
        client: columns.try_get(0)?,
        key: columns.try_get(1)?,
        payment: columns.try_get(2)?,
        reference: columns.try_get(3)?,
        leased_until_s: unsigned(columns.try_get(4)?)?,
        expires_s: unsigned(columns.try_get(5)?)?,
        answer: answer(columns.try_get(6)?, columns.try_get(7)?)?,
    })
}
